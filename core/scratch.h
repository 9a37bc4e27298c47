/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reusable arrays of a context, so that the path of an access allocates nothing once they have grown. A context's alone.
 * Not installed. */
#ifndef PM_CORE_SCRATCH_H
#define PM_CORE_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/message.h"
#include "core/types.h"

/* A key of an operation that was not served locally. */
struct pm_miss {
    pm_key key;
    uint32_t place; /* floats before it in the caller's buffer */
    pm_node_id to;  /* where to ask; PM_NODE_NONE: nowhere (yet) */
    uint32_t later; /* number of the key's next occurrence, where the worker's order is kept, or PM_NO_MISS */
};
#define PM_NO_MISS UINT32_MAX

/* What an entry says of its key. */
struct pm_entry_meta {
    uint64_t version; /* or stamp */
    uint32_t flags; /* ACCESS, REPLY: number of the entry in its operation */
    pm_node_id owner; /* as far as is known, with the counter of relocations that made it so */
    uint32_t counter;
};

/* The operation that an ACCESS or REPLY is part of, at its origin. */
struct pm_op_name {
    uint32_t request;
    uint16_t worker;
    uint8_t op; /* enum pm_op_kind */
    bool model;
};

/* A message of entries that is being put together for one node, or has been. */
struct pm_builder {
    struct pm_message *message; /* what it has become when it had no more room; its arrays are the next one's then */
    pm_node_id to;
    uint8_t kind;
    bool open, has_refresh, located;
    bool uncharged, rising; /* evaluation; entries of an operation came by rising numbers so far */
    uint64_t need;
    struct pm_op_name name; /* ACCESS, REPLY */
    uint32_t sequence, turn, updates;
    uint32_t n_keys, keys_capacity;
    uint32_t n_floats, floats_capacity; /* counted; stored only with values */
    uint32_t n_back; /* floats that the answer may have */
    uint32_t n_pulled; /* ACCESS: floats of its answer */
    pm_key *keys;
    struct pm_entry_meta *meta;
    float *floats;
};

/* Where an entry of an operation lies in its builder. */
struct pm_entry_at {
    uint32_t number, place; /* of the entry; in the builder's keys */
    uint32_t floats;        /* before its own, as stored */
};

struct pm_scratch {
    struct pm_miss *misses, *gathered; /* the second: for their change of places */
    size_t misses_capacity, gathered_capacity;
    /* grouping by destination */
    uint32_t *next;
    size_t next_capacity;
    uint32_t *head, *tail; /* per node; head = UINT32_MAX where empty */
    pm_node_id *touched;
    uint32_t n_touched;
    /* messages in the making, in order of opening */
    struct pm_builder *builders;
    uint32_t n_builders, builders_capacity;
    /* entries of one of them by rising numbers */
    struct pm_entry_at *sorted;
    size_t sorted_capacity;
    /* keys for ranges */
    pm_key *range;
    size_t range_capacity;
    /* keys that a reply answered */
    pm_key *answered;
    size_t answered_capacity;
    /* keys of intents that are acted on, and until when they are wanted */
    pm_key *intents;
    size_t intents_capacity;
    pm_clock *intent_ends;
    size_t intent_ends_capacity;
};

struct pm_scratch *pm_scratch_new(uint32_t nodes);
void pm_scratch_free(struct pm_scratch *s);

/* Makes room for n elements of `size` bytes in an array that grows by doubling; PM_OK or PM_E_MEMORY. */
int pm_grow(void *array, size_t *capacity, size_t n, size_t size);

/* Brings the occurrences of each key among the first n misses together, which keep their order. PM_OK or PM_E_MEMORY. */
int pm_misses_gather(struct pm_scratch *s, uint32_t n);

/* Stable grouping: pm_group_add(i, node) for i = 0.. in order, then walk s->touched and each chain from head by next;
 * pm_group_clear when done. `n` is the largest i + 1. */
int pm_group_reserve(struct pm_scratch *s, size_t n);
void pm_group_add(struct pm_scratch *s, uint32_t i, pm_node_id to);
void pm_group_clear(struct pm_scratch *s);

#endif
