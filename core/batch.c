/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The growing arrays of a batch. */
#include "core/scratch.h"
#include "core/workload.h"

static pm_key *room(pm_key **keys, uint32_t *n_keys, uint32_t *capacity, uint32_t n)
{
    size_t wide = *capacity;
    if (pm_grow(keys, &wide, n, sizeof **keys) != PM_OK)
        return NULL;
    *capacity = (uint32_t)wide;
    *n_keys = n;
    return *keys;
}

pm_key *pm_batch_keys(struct pm_batch *b, uint32_t n)
{
    return room(&b->keys, &b->n_keys, &b->keys_capacity, n);
}

pm_key *pm_batch_localize(struct pm_batch *b, uint32_t n)
{
    return room(&b->localize, &b->n_localize, &b->localize_capacity, n);
}

pm_key *pm_batch_pushes(struct pm_batch *b, uint32_t n)
{
    return room(&b->pushes, &b->n_pushes, &b->pushes_capacity, n);
}
