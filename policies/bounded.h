/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of policy bounded: sums of iterations, filters of messages, lists of keys that both sides know, updates that are
 * held back, vector clocks of ranges. */
#ifndef PM_POLICIES_BOUNDED_H
#define PM_POLICIES_BOUNDED_H

#include "core/policy.h"

/* ---- pushes of iterations that are not done, summed up at the owner (bounded_sums.c) ---- */
struct bounded_group;
struct bounded_sums {
    struct pm_latch latch;
    struct bounded_group *groups; /* by rising iteration */
};
/* Under the slot's latch: adds a push to the sum of its iteration. */
void bounded_sums_add(struct bounded_sums *s, struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t iteration,
                      const float *update);
/* Under the slot's latch: applies the key's sums of all iterations before this one, in order. */
void bounded_sums_apply(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t before);
/* Outside any latch: the same for all keys, and gives their memory back. */
void bounded_sums_flush(struct bounded_sums *s, struct pm_ctx *ctx, uint64_t before);
/* For checks: the first floats of a key's sums together, from the private bytes of its slot. */
double bounded_sums_first(const void *private_bytes);
void bounded_sums_fini(struct bounded_sums *s);

/* ---- lists of keys (bounded_lists.c) ----
 * One at each end of the way from a worker to a node. Both see the same lists in the same order, and forget the same: what
 * the sender finds, the receiver has. */
enum { BOUNDED_LISTED_KEYS_MAX = 1 << 21 }; /* in the lists of one end */
struct bounded_list {
    uint64_t hash, used;
    uint32_t n;
    pm_key *keys; /* NULL: free */
};
struct bounded_lists {
    uint32_t capacity;
    uint64_t tick, n_keys;
    struct bounded_list *lists; /* made when first used */
};
uint64_t bounded_list_hash(const pm_key *keys, uint32_t n);
/* Is this list known? If not, it is from now on (unless it is too long, at both ends). The hash is returned in *hash. */
bool bounded_lists_use(struct bounded_lists *l, const pm_key *keys, uint32_t n, uint64_t *hash);
/* The list of this hash, or NULL; touch: counted as used. */
const struct bounded_list *bounded_lists_find(struct bounded_lists *l, uint64_t hash, bool touch);
void bounded_lists_fini(struct bounded_lists *l);

/* ---- vector clocks of ranges (bounded_ranges.c) ----
 * One component: for each range of keys, the time of the last message of one worker that covered it. Setting the time of a
 * range splits an older one into at most three. */
struct bounded_range {
    pm_key first; /* up to the next one's first */
    uint64_t time;
};
struct bounded_ranges {
    struct bounded_range *ranges; /* by rising key; none: time 0 everywhere */
    uint32_t n, capacity;
};
void bounded_ranges_set(struct bounded_ranges *r, pm_key first, pm_key last, uint64_t time);
/* The least time over keys first to last. */
uint64_t bounded_ranges_least(const struct bounded_ranges *r, pm_key first, pm_key last);
void bounded_ranges_fini(struct bounded_ranges *r);

/* ---- updates held back while they are small (bounded_held.c) ---- One worker's. */
struct bounded_held {
    float threshold;
    bool flushing; /* everything is sent */
    struct bounded_kept *kept; /* in order of their first holding back */
    float *floats;
    uint32_t *table; /* index in kept + 1 by hash of key */
    size_t n, capacity, n_floats, floats_capacity, table_size;
};
/* May this update go? Then it has what was held back of the key added; else it is held back. */
bool bounded_held_pass(struct bounded_held *h, pm_key key, uint32_t length, float *update);
/* Calls push with all that is held back, once; then nothing is. */
void bounded_held_flush(struct bounded_held *h, const struct pm_node *node,
                        void (*push)(void *arg, const pm_key *keys, size_t n, const float *updates), void *arg);
void bounded_held_fini(struct bounded_held *h);

/* ---- filters (bounded_filter.c encodes, bounded_unfilter.c decodes) ---- */
/* How a filtered message is to be read (wire.sub). The parts follow the header in this order, behind each other:
 *   BOUNDED_STAMPED  u64 time, u64 first key, u64 last key: for the clocks of ranges
 *   BOUNDED_PARTIAL  u64 n, n bits in u64 words: the keys are n, the entries those whose bit is set
 *   the keys         BOUNDED_KNOWN: u64 hash of a list of n; BOUNDED_RANGE: u64 first of n; BOUNDED_LISTED: n keys, which
 *                    the receiver keeps as a list; otherwise the keys of the entries
 *   the values       of the entries
 * BOUNDED_PACKED: all that (of a REPLY: its body) is LZ4-compressed, behind a u32 that says how long it is. */
enum bounded_form {
    BOUNDED_STAMPED = 1,
    BOUNDED_PARTIAL = 2,
    BOUNDED_KNOWN = 4,
    BOUNDED_RANGE = 8,
    BOUNDED_LISTED = 16,
    BOUNDED_PACKED = 32
};

/* The two ends of the way from a worker to a node. */
struct bounded_way {
    uint64_t time; /* sender: of the last message */
    struct bounded_lists lists;
    struct bounded_ranges ranges; /* receiver */
};

struct bounded {
    pm_clock delay; /* less than 0: no bound */
    bool stamps, keys, compress;
    uint32_t nodes, workers;
    struct bounded_sums sums;
    struct bounded_held *held; /* by worker here; NULL: no threshold */
    struct bounded_way *out;   /* worker here x node */
    struct bounded_way *in;    /* node x worker there */
    uint64_t twice;            /* atomic: messages that arrived twice */
};

struct pm_message *bounded_filter_out(struct pm_ctx *ctx, void *state, pm_node_id to, struct pm_message *m);
int bounded_filter_in(struct pm_ctx *ctx, void *state, struct pm_message **m, struct pm_error *err);
/* Compresses a message's body if that makes it shorter: returns it or its replacement. */
struct pm_message *bounded_pack(struct pm_ctx *ctx, struct pm_message *m);
/* Decompresses `packed` (a u32 length, then LZ4 data) into new memory; NULL when it is malformed. */
unsigned char *bounded_unpack(const unsigned char *packed, uint32_t n, uint32_t *n_out);

#endif
