/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys that are replicated everywhere because they are accessed most. Constant once made. Not installed. */
#ifndef PM_CORE_FREQUENT_H
#define PM_CORE_FREQUENT_H

#include "core/policy.h"
#include "core/workload.h"

struct pm_frequent {
    pm_key first;
    uint64_t n_candidates, n; /* keys looked at; chosen */
    uint64_t bits[];
};

/* Chooses by the rule; *out is NULL when that is no key, and to be freed otherwise. PM_OK; PM_E_REFUSED when the user asked
 * for what the workload does not know; PM_E_MEMORY. */
int pm_frequent_find(const struct pm_workload *workload, const void *state, const struct pm_model *model,
                     const struct pm_frequent_rule *rule, struct pm_frequent **out, struct pm_error *err);

/* f may be NULL: none. */
static inline bool pm_frequent_has(const struct pm_frequent *f, pm_key key)
{
    if (!f || key - f->first >= f->n_candidates) /* below the first it wraps round */
        return false;
    uint64_t i = key - f->first;
    return f->bits[i / 64] >> i % 64 & 1;
}

#endif
