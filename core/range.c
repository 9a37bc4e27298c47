/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on ranges of keys. */
#include "core/internal.h"
#include "core/scratch.h"

/* Keys [first, first + n) as an array in the scratch; NULL with *rc. */
static const pm_key *range_keys(struct pm_worker *w, pm_key first, size_t n, int *rc)
{
    struct pm_scratch *s = w->ctx.scratch;
    *rc = n > PM_OP_KEYS_MAX ? PM_E_LIMIT : pm_grow(&s->range, &s->range_capacity, n, sizeof *s->range);
    if (*rc == PM_OK && (first > UINT64_MAX - n || first + n > w->ctx.node->layout->n_keys))
        *rc = PM_E_KEY;
    if (*rc != PM_OK)
        return NULL;
    for (size_t i = 0; i < n; i++)
        s->range[i] = first + i;
    return s->range;
}

pm_ticket pm_pull_range(struct pm_worker *w, pm_key first, size_t n, float *out)
{
    int rc;
    const pm_key *keys = range_keys(w, first, n, &rc);
    return keys ? pm_pull(w, keys, n, out) : rc;
}

pm_ticket pm_push_range(struct pm_worker *w, pm_key first, size_t n, const float *updates)
{
    int rc;
    const pm_key *keys = range_keys(w, first, n, &rc);
    return keys ? pm_push(w, keys, n, updates) : rc;
}
