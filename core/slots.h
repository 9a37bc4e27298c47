/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Slots: what a node knows of each key. One interface, three stores behind it:
 *   dense   (real backend) an array with a slot per key of the model, made at the start; nothing is allocated
 *           per access;
 *   near    (real backend) a dense store of short values for nodes that hold much of the model: a slot has a
 *           cache line to itself, and its value lies there too when it fits, so that an access waits for
 *           memory once, not twice;
 *   sparse  (simulation) a hash table of only those keys that the node has something of; slots keep their
 *           address until they are forgotten, when the place is taken by the next key, and are visited in the order of
 *           their places, never in hash order.
 *
 * A slot with a value points into a block: private bytes of the policy | value[len] | merged, sequence (u32)
 * | delta[len], all but the first two in replicas only; a shared slot's has all of these and common[len]. With `--values
 * none` value, delta and common state have no floats.
 * A replica's value includes its own updates; the delta holds those that the owner has not been sent,
 * `merged` how many pushes they are (with no_deltas it is elsewhere: core/log.c); `sequence` is the place of
 * the last ROUND to the owner that had an entry of the key, or, with traits.versions, when it was asked for
 * (core/versions.c). The value of a replica that is not ready means nothing. Shared slots (exchange by
 * all-reduce) are copies of one common state, the main copy too: value = common state + updates of this node that are not
 * in it; delta = those that have not been sent. With `lazy` a delta means nothing while `merged` is 0.
 *
 * Protection: everything in a slot and its block by the slot's latch (PM_SLOT latch word); `state` may be
 * peeked at without it. One slot latch at a time; under it only latches that guard one list each may be taken: of
 * queues, requests, dirty keys, logs, the pool. */
#ifndef PM_CORE_SLOTS_H
#define PM_CORE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/layout.h"
#include "core/types.h"

enum pm_slot_state {
    PM_SLOT_ABSENT,  /* nothing here but perhaps a cached location */
    PM_SLOT_OWNED,   /* the main copy */
    PM_SLOT_REPLICA, /* a copy; serves reads when PM_SLOT_READY */
    PM_SLOT_ARRIVING, /* will be the main copy: its value is on its way here; accesses queue in order */
};

enum pm_slot_flag {
    PM_SLOT_READY = 1,      /* replica has a value */
    PM_SLOT_DIRTY = 2,      /* replica is in the node's list of deltas to send */
    PM_SLOT_REFRESHING = 4, /* a refresh was asked for and is not answered */
    PM_SLOT_CHANGED = 8,    /* main copy is in the node's list of changes to spread */
    PM_SLOT_QUEUED = 16,    /* operations or requests wait for this key */
    PM_SLOT_WANTED = 32,    /* main copy: another node has asked for a refresh, once */
    PM_SLOT_LISTED = 64,    /* is in the node's list of replicas (with traits.versions) */
    PM_SLOT_PARKED = 128,   /* requests of others wait here for the main copy, which is on its way (with traits.grants) */
    PM_SLOT_KEPT_FLAGS = PM_SLOT_QUEUED | PM_SLOT_LISTED | PM_SLOT_PARKED, /* whatever becomes of the slot's value */
};

struct pm_slot {
    uint32_t latch;
    uint8_t state; /* enum pm_slot_state */
    uint8_t flags; /* enum pm_slot_flag */
    uint16_t intents : 14; /* workers of this node that have an active intent (core/intent.c) */
    uint16_t shared : 1;   /* main copy or replica: its block has a delta and the common state, too */
    uint16_t listed : 1;   /* is in the node's list of cached locations (core/location.c) */
    uint64_t version;     /* main copy: rises with each change; replica: stamp of the installed value, with traits.versions raised
                             by each delta sent since; arriving: when it was asked for and who gets it next (core/relocate.c) */
    uint32_t relocations; /* with traits.grants: the counter that made the owner own it, or that stands with `location` */
    pm_node_id location;  /* at the key's home, unless owned there: its owner, or who is to be; elsewhere, when not owned: the
                             last owner that was heard of, or none (core/location.c) */
    float *value;         /* NULL when absent; see above for the block */
};
_Static_assert(sizeof(struct pm_slot) == 32, "two slots per cache line");

/* A latch for short critical sections; also for policies' private state. */
struct pm_latch {
    uint32_t word;
};

typedef void (*pm_relax_fn)(void *self);

struct pm_slots; /* see struct below */
struct pm_sparse;

enum pm_store { PM_STORE_SPARSE, PM_STORE_DENSE, PM_STORE_NEAR };

struct pm_slots {
    char *dense;         /* a cell per key, which begins with its slot; NULL in a sparse store */
    uint32_t cell_shift; /* log2 of a cell's bytes; what is behind the slot is room for a block */
    struct pm_sparse *sparse;
    const struct pm_layout *layout;
    pm_relax_fn relax; /* NULL: single-threaded, no latching */
    void *relax_self;
    bool with_values;
    bool lazy; /* with traits.versions: values and deltas are not zeroed; set before the first block is given */
    bool no_deltas;         /* replicas' updates are collected elsewhere */
    uint32_t private_bytes; /* of each block, rounded up to 8 */
    struct pm_pool *pool;   /* blocks */
};

/* Waits in a spin that gives the processor away after a while. */
void pm_latch_wait(uint32_t *word, pm_relax_fn relax, void *self);

static inline void pm_word_lock(uint32_t *word, pm_relax_fn relax, void *self)
{
    if (relax && __atomic_exchange_n(word, 1u, __ATOMIC_ACQUIRE))
        pm_latch_wait(word, relax, self);
}
static inline void pm_word_unlock(uint32_t *word, pm_relax_fn relax)
{
    if (relax)
        __atomic_store_n(word, 0u, __ATOMIC_RELEASE);
}
static inline void pm_slot_lock(const struct pm_slots *s, struct pm_slot *slot)
{
    pm_word_lock(&slot->latch, s->relax, s->relax_self);
}
static inline void pm_slot_unlock(const struct pm_slots *s, struct pm_slot *slot)
{
    pm_word_unlock(&slot->latch, s->relax);
}

/* Memory of the slots and blocks comes from these (a backend's, or malloc's). */
struct pm_memory {
    void *self;
    void *(*alloc)(void *self, size_t bytes); /* zeroed */
    void (*release)(void *self, void *memory, size_t bytes);
};

/* A near store becomes a dense one when no value would fit. */
int pm_slots_init(struct pm_slots *s, const struct pm_layout *layout, enum pm_store store, bool with_values,
                  uint32_t private_bytes, const struct pm_memory *memory, pm_relax_fn relax,
                  void *relax_self);
void pm_slots_fini(struct pm_slots *s);

struct pm_slot *pm_sparse_find(const struct pm_sparse *t, pm_key key);
struct pm_slot *pm_sparse_get(struct pm_slots *s, pm_key key);

/* Dense stores: the slot of a key. */
static inline struct pm_slot *pm_dense_slot(const struct pm_slots *s, pm_key key)
{
    return (struct pm_slot *)(void *)(s->dense + (key << s->cell_shift));
}
/* Bytes of blocks that fit behind a slot. */
static inline size_t pm_slots_room(const struct pm_slots *s)
{
    return s->dense ? ((size_t)1 << s->cell_shift) - sizeof(struct pm_slot) : 0;
}

/* The slot of a key, or NULL when nothing is known of it (sparse only). */
static inline struct pm_slot *pm_slots_find(const struct pm_slots *s, pm_key key)
{
    return s->dense ? pm_dense_slot(s, key) : pm_sparse_find(s->sparse, key);
}
/* The slot of a key, made (absent) if there is none; NULL when memory is out. Sparse stores are
 * single-threaded. */
static inline struct pm_slot *pm_slots_get(struct pm_slots *s, pm_key key)
{
    return s->dense ? pm_dense_slot(s, key) : pm_sparse_get(s, key);
}
/* Outside latches: an absent slot in which nothing is kept is as if it had never been made. Nothing happens in a dense store. */
void pm_slots_forget(struct pm_slots *s, pm_key key);
/* Fetches a slot into the cache; any key will do, even one out of range. */
static inline void pm_slots_prefetch(const struct pm_slots *s, pm_key key)
{
    if (s->dense)
        __builtin_prefetch((const void *)((uintptr_t)s->dense + (key << s->cell_shift)), 1, 3);
}

/* What a block holds besides private bytes and value. */
enum pm_block {
    PM_BLOCK_MAIN = 0,
    PM_BLOCK_REPLICA = 1, /* merged, sequence and delta */
    PM_BLOCK_SHARED = 2,  /* with either: these, and the common state of all copies (exchange by all-reduce) */
};

/* Calls visit for every slot that has a value, a main copy or a replica: dense in key order, sparse in order of places. */
void pm_slots_visit(struct pm_slots *s, void (*visit)(void *arg, pm_key key, struct pm_slot *slot),
                    void *arg);

/* Under the latch: gives the slot a zeroed block (enum pm_block) of a main copy or a replica; PM_OK or PM_E_MEMORY. With `lazy`
 * only the private bytes, `merged` and `sequence` are zero: the value is to be filled. */
int pm_slot_attach(struct pm_slots *s, pm_key key, struct pm_slot *slot, unsigned block);
/* Under the latch: gives the block back; the slot is absent afterwards. */
void pm_slot_detach(struct pm_slots *s, pm_key key, struct pm_slot *slot);

/* Under the latch: makes a replica the main copy, with this value and its own delta, or, when NULL, as it is. The private bytes
 * are zero, its delta is forgotten. PM_OK or PM_E_MEMORY. */
int pm_slot_promote(struct pm_slots *s, pm_key key, struct pm_slot *slot, const float *value);

/* The parts of a block. `length` is the key's. */
static inline uint32_t *pm_slot_merged(const struct pm_slots *s, const struct pm_slot *slot, uint32_t length)
{
    return (uint32_t *)(void *)(slot->value + (s->with_values ? length : 0));
}
static inline uint32_t *pm_slot_sequence(const struct pm_slots *s, const struct pm_slot *slot,
                                         uint32_t length)
{
    return pm_slot_merged(s, slot, length) + 1;
}
static inline float *pm_slot_delta(const struct pm_slots *s, const struct pm_slot *slot, uint32_t length)
{
    return slot->value + (s->with_values ? length : 0) + 2;
}
/* Of a shared slot. */
static inline float *pm_slot_common(const struct pm_slots *s, const struct pm_slot *slot, uint32_t length)
{
    return pm_slot_delta(s, slot, length) + (s->with_values ? length : 0);
}
static inline void *pm_slot_private(const struct pm_slots *s, const struct pm_slot *slot)
{
    return (char *)slot->value - s->private_bytes;
}

/* Modelled bytes of one slot with its block, with values counted whether stored or not. */
uint64_t pm_slot_model_bytes(const struct pm_slots *s, uint32_t length, unsigned block);

#endif
