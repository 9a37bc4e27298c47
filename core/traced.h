/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Traced keys: of these every node records what becomes of them there, and of no others. Which ones, is decided once, when the
 * workload is opened, and is the same at every node and in every process. Constant once made. Not installed. */
#ifndef PM_CORE_TRACED_H
#define PM_CORE_TRACED_H

#include "core/job.h"
#include "core/workload.h"

struct pm_traced_key {
    pm_key key;
    uint64_t rank; /* among all keys by expected accesses, 1 = most (of equal ones the first); 0: not known */
};

struct pm_traced {
    uint64_t n;
    struct pm_traced_key keys[]; /* in order of their numbers */
};

/* Chooses by job->traced; *out is NULL when nothing is traced, and to be freed otherwise. PM_OK; PM_E_REFUSED when the rule
 * does not fit the workload; PM_E_MEMORY. */
int pm_traced_find(const struct pm_job *job, const void *state, const struct pm_model *model, struct pm_traced **out,
                   struct pm_error *err);

/* NULL: not traced. */
const struct pm_traced_key *pm_traced_at(const struct pm_traced *traced, pm_key key);

#endif
