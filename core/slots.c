/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two stores of slots, and the blocks behind them. */
#include "core/slots.h"

#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "core/rng.h"
#include "core/vector.h"

enum { CHUNK_SLOTS = 512, INDEX_FIRST = 1024 };
enum { DENSE_SHIFT = 5, NEAR_SHIFT = 6 }; /* a slot; a cache line */
_Static_assert(sizeof(struct pm_slot) == 1 << DENSE_SHIFT, "cells of a dense store are slots");

struct sparse_entry {
    pm_key key; /* PM_KEY_NONE: forgotten */
    struct pm_slot slot; /* forgotten: its location is the number of the entry that was forgotten before */
};

/* Of the index. Two keys that meet there are told apart without a look at their entries, each of which is far away. */
struct sparse_place {
    uint32_t entry; /* its number + 1, 0 = empty */
    uint32_t tag;   /* upper half of the hash of its key */
};

struct pm_sparse {
    struct sparse_place *index; /* open addressing by the lower half */
    uint32_t mask, n; /* n: entries, also forgotten ones */
    uint32_t n_forgotten;
    pm_node_id forgotten; /* number of the one that was last */
    struct sparse_entry **chunks; /* entries keep their address */
    uint32_t n_chunks, chunks_capacity;
};

void pm_latch_wait(uint32_t *word, pm_relax_fn relax, void *self)
{
    for (uint32_t tries = 1;; tries++) {
        if (!__atomic_load_n(word, __ATOMIC_RELAXED) && !__atomic_exchange_n(word, 1u, __ATOMIC_ACQUIRE))
            return;
        if (tries % 128 == 0)
            relax(self); /* the holder may have lost the processor */
        else
            __builtin_ia32_pause();
    }
}

static struct sparse_entry *entry_at(const struct pm_sparse *t, uint32_t i)
{
    return &t->chunks[i / CHUNK_SLOTS][i % CHUNK_SLOTS];
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* Place in the index where the key is or would be. */
static uint32_t index_place(const struct pm_sparse *t, pm_key key)
{
    uint64_t hash = pm_hash64(key);
    uint32_t at = (uint32_t)hash & t->mask, tag = tag_of(hash);
    for (struct sparse_place p; (p = t->index[at]).entry; at = (at + 1) & t->mask)
        if (p.tag == tag && entry_at(t, p.entry - 1)->key == key)
            break;
    return at;
}

struct pm_slot *pm_sparse_find(const struct pm_sparse *t, pm_key key)
{
    uint32_t e = t->index[index_place(t, key)].entry;
    return e ? &entry_at(t, e - 1)->slot : NULL;
}

static void index_put(struct pm_sparse *t, uint32_t at, pm_key key, uint32_t i)
{
    t->index[at] = (struct sparse_place){.entry = i + 1, .tag = tag_of(pm_hash64(key))};
}

static int index_grow(struct pm_sparse *t)
{
    struct sparse_place *bigger = calloc(2 * ((size_t)t->mask + 1), sizeof *bigger);
    if (!bigger)
        return PM_E_MEMORY;
    free(t->index);
    t->index = bigger;
    t->mask = 2 * t->mask + 1;
    for (uint32_t i = 0; i < t->n; i++)
        if (entry_at(t, i)->key != PM_KEY_NONE)
            index_put(t, index_place(t, entry_at(t, i)->key), entry_at(t, i)->key, i);
    return PM_OK;
}

static int chunk_grow(struct pm_sparse *t)
{
    if (t->n_chunks == t->chunks_capacity) {
        uint32_t capacity = t->chunks_capacity ? 2 * t->chunks_capacity : 16;
        struct sparse_entry **bigger = realloc(t->chunks, capacity * sizeof(struct sparse_entry *));
        if (!bigger)
            return PM_E_MEMORY;
        t->chunks = bigger;
        t->chunks_capacity = capacity;
    }
    struct sparse_entry *chunk = calloc(CHUNK_SLOTS, sizeof *chunk);
    if (!chunk)
        return PM_E_MEMORY;
    t->chunks[t->n_chunks++] = chunk;
    return PM_OK;
}

/* Number of an entry that is free: the last forgotten one, or a new one; UINT32_MAX when memory is out. */
static uint32_t free_entry(struct pm_sparse *t)
{
    if (t->n_forgotten) {
        uint32_t i = t->forgotten;
        t->n_forgotten--;
        t->forgotten = entry_at(t, i)->slot.location;
        return i;
    }
    if (t->n == t->n_chunks * CHUNK_SLOTS && chunk_grow(t) != PM_OK)
        return UINT32_MAX;
    return t->n++;
}

struct pm_slot *pm_sparse_get(struct pm_slots *s, pm_key key)
{
    struct pm_sparse *t = s->sparse;
    uint32_t at = index_place(t, key);
    if (t->index[at].entry)
        return &entry_at(t, t->index[at].entry - 1)->slot;
    uint32_t i = free_entry(t);
    if (i == UINT32_MAX)
        return NULL;
    struct sparse_entry *e = entry_at(t, i);
    e->key = key;
    e->slot = (struct pm_slot){.location = PM_NODE_NONE};
    index_put(t, at, key, i);
    if (t->n - t->n_forgotten > t->mask / 2 && index_grow(t) != PM_OK)
        return NULL;
    return &e->slot;
}

void pm_slots_forget(struct pm_slots *s, pm_key key)
{
    struct pm_sparse *t = s->sparse;
    if (!t)
        return;
    uint32_t hole = index_place(t, key), i = t->index[hole].entry - 1;
    struct sparse_entry *e = entry_at(t, i);
    PM_ASSERT(e->slot.state == PM_SLOT_ABSENT && !e->slot.flags && !e->slot.intents && !e->slot.listed);
    /* those behind it move up, so that each is still found from its own place on */
    for (uint32_t at = (hole + 1) & t->mask; t->index[at].entry; at = (at + 1) & t->mask) {
        uint32_t own = (uint32_t)pm_hash64(entry_at(t, t->index[at].entry - 1)->key) & t->mask;
        if (((at - own) & t->mask) < ((at - hole) & t->mask))
            continue; /* its own place is behind the hole */
        t->index[hole] = t->index[at];
        hole = at;
    }
    t->index[hole] = (struct sparse_place){0};
    e->key = PM_KEY_NONE;
    e->slot = (struct pm_slot){.location = t->forgotten};
    t->forgotten = i;
    t->n_forgotten++;
}

static int sparse_init(struct pm_slots *s)
{
    struct pm_sparse *t = calloc(1, sizeof *t);
    if (!t)
        return PM_E_MEMORY;
    t->index = calloc(INDEX_FIRST, sizeof *t->index);
    t->mask = INDEX_FIRST - 1;
    s->sparse = t;
    return t->index ? PM_OK : PM_E_MEMORY;
}

static void sparse_fini(struct pm_sparse *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n_chunks; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->index);
    free(t);
}

/* Values, deltas and common states in a block. */
static uint32_t vectors_of(const struct pm_slots *s, unsigned block)
{
    return block & PM_BLOCK_SHARED ? 3 : block & PM_BLOCK_REPLICA && !s->no_deltas ? 2 : 1;
}

static size_t block_bytes(const struct pm_slots *s, uint32_t length, unsigned block)
{
    size_t floats = s->with_values ? length : 0, words = block == PM_BLOCK_MAIN ? 0 : 2;
    return s->private_bytes + sizeof(float) * (vectors_of(s, block) * floats + words);
}

static unsigned block_of(const struct pm_slot *slot)
{
    return (slot->state == PM_SLOT_REPLICA ? PM_BLOCK_REPLICA : 0u) | (slot->shared ? PM_BLOCK_SHARED : 0u);
}

static int dense_init(struct pm_slots *s, const struct pm_memory *memory, bool near)
{
    uint64_t n = s->layout->n_keys;
    bool fits = sizeof(struct pm_slot) + block_bytes(s, s->layout->length_max, PM_BLOCK_MAIN) <= 1u << NEAR_SHIFT;
    s->cell_shift = near && fits ? NEAR_SHIFT : DENSE_SHIFT;
    s->dense = memory->alloc(memory->self, n << s->cell_shift);
    if (!s->dense)
        return PM_E_MEMORY;
    for (uint64_t k = 0; k < n; k++)
        pm_dense_slot(s, k)->location = PM_NODE_NONE;
    return PM_OK;
}

int pm_slots_init(struct pm_slots *s, const struct pm_layout *layout, enum pm_store store, bool with_values,
                  uint32_t private_bytes, const struct pm_memory *memory, pm_relax_fn relax, void *relax_self)
{
    *s = (struct pm_slots){.layout = layout,
                           .relax = relax,
                           .relax_self = relax_self,
                           .with_values = with_values,
                           .private_bytes = (private_bytes + 7u) & ~7u};
    s->pool = calloc(1, sizeof *s->pool);
    if (!s->pool)
        return PM_E_MEMORY;
    s->pool->memory = *memory;
    return store == PM_STORE_SPARSE ? sparse_init(s) : dense_init(s, memory, store == PM_STORE_NEAR);
}

void pm_slots_fini(struct pm_slots *s)
{
    if (!s->pool)
        return;
    if (s->dense)
        s->pool->memory.release(s->pool->memory.self, s->dense, s->layout->n_keys << s->cell_shift);
    sparse_fini(s->sparse);
    pm_pool_fini(s->pool);
    free(s->pool);
    *s = (struct pm_slots){0};
}

static bool has_block(const struct pm_slot *slot)
{
    return slot->state == PM_SLOT_OWNED || slot->state == PM_SLOT_REPLICA;
}

void pm_slots_visit(struct pm_slots *s, void (*visit)(void *arg, pm_key key, struct pm_slot *slot), void *arg)
{
    if (s->dense) {
        for (pm_key k = 0; k < s->layout->n_keys; k++)
            if (has_block(pm_dense_slot(s, k)))
                visit(arg, k, pm_dense_slot(s, k));
        return;
    }
    for (uint32_t i = 0; i < s->sparse->n; i++) {
        struct sparse_entry *e = entry_at(s->sparse, i);
        if (has_block(&e->slot))
            visit(arg, e->key, &e->slot);
    }
}

int pm_slot_attach(struct pm_slots *s, pm_key key, struct pm_slot *slot, unsigned block)
{
    PM_ASSERT(slot->state == PM_SLOT_ABSENT || slot->state == PM_SLOT_ARRIVING);
    size_t bytes = block_bytes(s, pm_layout_length(s->layout, key), block);
    if (bytes) {
        char *start = bytes <= pm_slots_room(s) ? (char *)(slot + 1)
                                                : pm_pool_get(s->pool, bytes, s->relax, s->relax_self);
        if (!start)
            return PM_E_MEMORY;
        memset(start, 0, s->lazy ? s->private_bytes : bytes);
        /* prefetching workers look at the pointer without the latch */
        __atomic_store_n(&slot->value, (float *)(void *)(start + s->private_bytes), __ATOMIC_RELAXED);
    }
    if (s->lazy && (block & PM_BLOCK_REPLICA))
        memset(pm_slot_merged(s, slot, pm_layout_length(s->layout, key)), 0, 2 * sizeof(uint32_t));
    slot->state = block & PM_BLOCK_REPLICA ? PM_SLOT_REPLICA : PM_SLOT_OWNED;
    slot->flags &= PM_SLOT_KEPT_FLAGS;
    slot->shared = (block & PM_BLOCK_SHARED) != 0;
    slot->version = 0;
    return PM_OK;
}

void pm_slot_detach(struct pm_slots *s, pm_key key, struct pm_slot *slot)
{
    PM_ASSERT(has_block(slot));
    size_t bytes = block_bytes(s, pm_layout_length(s->layout, key), block_of(slot));
    if (bytes > pm_slots_room(s))
        pm_pool_put(s->pool, (char *)slot->value - s->private_bytes, bytes, s->relax, s->relax_self);
    __atomic_store_n(&slot->value, (float *)NULL, __ATOMIC_RELAXED);
    slot->state = PM_SLOT_ABSENT;
    slot->flags &= PM_SLOT_KEPT_FLAGS;
    slot->shared = false;
}

int pm_slot_promote(struct pm_slots *s, pm_key key, struct pm_slot *slot, const float *value)
{
    PM_ASSERT(slot->state == PM_SLOT_REPLICA && !slot->shared);
    const uint32_t length = pm_layout_length(s->layout, key), floats = s->with_values ? length : 0;
    const size_t before = block_bytes(s, length, PM_BLOCK_REPLICA), after = block_bytes(s, length, PM_BLOCK_MAIN);
    const size_t room = pm_slots_room(s);
    char *old = (char *)slot->value - s->private_bytes, *block = old;
    if (before > room)
        block = after <= room ? (char *)(slot + 1) : after ? pm_pool_get(s->pool, after, s->relax, s->relax_self) : NULL;
    if (!block && after)
        return PM_E_MEMORY;
    float *to = after ? (float *)(void *)(block + s->private_bytes) : NULL;
    if (value) {
        pm_vector_copy(to, value, floats);
        if (*pm_slot_merged(s, slot, length))
            pm_vector_add(to, pm_slot_delta(s, slot, length), floats);
    } else if (block != old) {
        pm_vector_copy(to, slot->value, floats);
    }
    if (block != old)
        pm_pool_put(s->pool, old, before, s->relax, s->relax_self);
    if (after)
        memset(block, 0, s->private_bytes);
    __atomic_store_n(&slot->value, to, __ATOMIC_RELAXED);
    slot->state = PM_SLOT_OWNED;
    slot->flags &= PM_SLOT_KEPT_FLAGS;
    return PM_OK;
}

uint64_t pm_slot_model_bytes(const struct pm_slots *s, uint32_t length, unsigned block)
{
    uint64_t words = block == PM_BLOCK_MAIN ? 0 : 2;
    return sizeof(struct pm_slot) + s->private_bytes + 4 * (vectors_of(s, block) * (uint64_t)length + words);
}
