/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks from slabs. */
#include "core/pool.h"

#include <stdlib.h>
#include <string.h>

enum { SLAB_FIRST = 1 << 12, SLAB_LAST = 64 << 20 };

static struct pm_pool_size *size_of(struct pm_pool *pool, size_t bytes)
{
    for (uint32_t i = 0; i < pool->n_sizes; i++)
        if (pool->sizes[i].bytes == bytes)
            return &pool->sizes[i];
    PM_ASSERT(pool->n_sizes < PM_POOL_SIZES_MAX, "more than %d block sizes", PM_POOL_SIZES_MAX);
    struct pm_pool_size *s = &pool->sizes[pool->n_sizes++];
    *s = (struct pm_pool_size){.bytes = bytes, .slab_next = SLAB_FIRST};
    return s;
}

static int new_slab(struct pm_pool *pool, struct pm_pool_size *s)
{
    size_t bytes = s->slab_next < s->bytes ? s->bytes : s->slab_next;
    bytes -= bytes % s->bytes;
    struct pm_pool_slab *slab = malloc(sizeof *slab);
    void *memory = slab ? pool->memory.alloc(pool->memory.self, bytes) : NULL;
    if (!memory) {
        free(slab);
        return PM_E_MEMORY;
    }
    *slab = (struct pm_pool_slab){.next = pool->slabs, .memory = memory, .bytes = bytes};
    pool->slabs = slab;
    s->fresh = memory;
    s->fresh_end = bytes;
    if (s->slab_next < SLAB_LAST)
        s->slab_next *= 4;
    return PM_OK;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

void *pm_pool_get(struct pm_pool *pool, size_t bytes, pm_relax_fn relax, void *relax_self)
{
    bytes = rounded(bytes);
    pm_word_lock(&pool->latch.word, relax, relax_self);
    struct pm_pool_size *s = size_of(pool, bytes);
    void *block = s->free;
    if (block) {
        memcpy(&s->free, block, sizeof s->free);
        __builtin_prefetch(s->free, 1); /* the next one to be asked for */
    } else if (s->fresh_end >= bytes || new_slab(pool, s) == PM_OK) {
        block = s->fresh;
        s->fresh += bytes;
        s->fresh_end -= bytes;
    }
    pm_word_unlock(&pool->latch.word, relax);
    return block;
}

void pm_pool_put(struct pm_pool *pool, void *block, size_t bytes, pm_relax_fn relax, void *relax_self)
{
    bytes = rounded(bytes);
    pm_word_lock(&pool->latch.word, relax, relax_self);
    struct pm_pool_size *s = size_of(pool, bytes);
    memcpy(block, &s->free, sizeof s->free);
    s->free = block;
    pm_word_unlock(&pool->latch.word, relax);
}

void pm_pool_fini(struct pm_pool *pool)
{
    for (struct pm_pool_slab *slab = pool->slabs, *next; slab; slab = next) {
        next = slab->next;
        pool->memory.release(pool->memory.self, slab->memory, slab->bytes);
        free(slab);
    }
    pool->slabs = NULL;
}
