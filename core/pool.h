/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks of a few fixed sizes from large slabs, for values. A freed one is used again, as it is, for the next
 * request of its size; slabs are given back at the end only. Protected by a latch of its own. */
#ifndef PM_CORE_POOL_H
#define PM_CORE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "core/slots.h"

enum { PM_POOL_SIZES_MAX = 64 };

struct pm_pool_slab {
    struct pm_pool_slab *next;
    void *memory;
    size_t bytes;
};

struct pm_pool_size {
    size_t bytes;     /* of a block, a multiple of 16 */
    void *free;       /* chain of freed blocks */
    char *fresh;      /* rest of the newest slab */
    size_t fresh_end; /* bytes left there */
    size_t slab_next; /* size of the next slab: grows, so that few keys cost little, many come in few slabs */
};

struct pm_pool {
    struct pm_latch latch;
    struct pm_memory memory;
    struct pm_pool_slab *slabs;
    uint32_t n_sizes;
    struct pm_pool_size sizes[PM_POOL_SIZES_MAX];
};

/* A block of at least `bytes`, 16-byte aligned, with anything in it; NULL when memory is out. */
void *pm_pool_get(struct pm_pool *pool, size_t bytes, pm_relax_fn relax, void *relax_self);
void pm_pool_put(struct pm_pool *pool, void *block, size_t bytes, pm_relax_fn relax, void *relax_self);
void pm_pool_fini(struct pm_pool *pool);

#endif
