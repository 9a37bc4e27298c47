/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What core's own files share: the node's state and the functions between access, serve, replica, queue, exchange, clock
 * and collective code. Not installed. Protection of each part: core/node.h. */
#ifndef PM_CORE_INTERNAL_H
#define PM_CORE_INTERNAL_H

#include <string.h>

#include "core/frequent.h"
#include "core/node.h"
#include "core/pace.h"
#include "core/pm.h"
#include "core/vector.h"

enum {
    PM_MAX_MESSAGE_DEFAULT = 1 << 20,
    PM_OPS_MAX = 1 << 16,  /* operations of one worker that are not complete */
    PM_HOPS_MAX = 64,      /* a request forwarded more often runs in a circle */
    PM_QUEUE_BUCKETS = 256,
    PM_SHIPPED_BUCKETS = 4096, /* where owners push values, deltas of some clocks are kept */
    PM_ARRIVAL_BUCKETS = 4096, /* a hundred thousand waiting operations are few in each */
    PM_ERAS_KEPT = 64,     /* how long what was true in an era is remembered */
    PM_GENERATIONS_KEPT = 64
};

/* ---- keys in order of their marking, with a latch: dirty replicas, changed main copies ---- */
struct pm_key_list {
    struct pm_latch latch;
    pm_key *keys;
    size_t n, capacity;
};

/* ---- asynchronous operations of a worker (request.c) ---- */
struct pm_entry {
    pm_key key;     /* PM_KEY_NONE while nobody else has been asked for it, and once answered */
    uint32_t place; /* floats from the start of the caller's buffer */
};
struct pm_op {
    uint32_t n, open; /* entries; those not answered */
    uint8_t kind;     /* enum pm_op_kind */
    bool uncharged, model;
    float *out;      /* pulls */
    const float *in; /* pushes, sets: for entries that wait here */
    int64_t issued_ns;
    struct pm_entry entries[];
};
struct pm_op_slot {
    struct pm_op *op;    /* NULL: free */
    uint32_t generation; /* raised at completion; atomic */
    uint32_t next_free;
};
struct pm_requests {
    struct pm_latch latch;
    struct pm_op_slot *slots;
    uint32_t n, capacity, free, outstanding; /* outstanding: atomic */
};

/* An entry of an operation, from wherever it waits. */
struct pm_entry_ref {
    uint32_t worker, op, generation, entry;
};

/* ---- what waits at this node (queue.c, arrival.c, order.c) ---- */
/* One key of an operation of this node's workers, or, at an arriving key, of another node's request. */
struct pm_waiter {
    struct pm_waiter *next;
    uint64_t order;
    pm_key key;
    struct pm_entry_ref ref;
    uint8_t kind;
    uint64_t number; /* of the operation, see need */
    const float *in;
    float *out;
    struct pm_message *request; /* an ACCESS of this key alone; then nothing above but `key` counts */
};
/* All that waits for keys on their way here, in order per key. */
struct pm_arrivals {
    struct pm_latch latch;
    struct pm_waiter **first, **last; /* buckets */
    uint64_t n; /* atomic */
};
/* Keys of other homes whose slots may have a cached location, in the order in which they came here (location.c). */
struct pm_locations {
    struct pm_latch latch;
    pm_key *keys; /* a ring */
    uint32_t first, capacity, n; /* n: atomic */
};
struct pm_queue {
    struct pm_latch latch;
    struct pm_waiter *buckets[PM_QUEUE_BUCKETS]; /* each in order */
    struct pm_message *deferred, **deferred_end; /* requests that the policy would not serve yet, in order */
    uint64_t order, n_waiters, n_deferred;
    uint64_t deferred_bytes; /* modelled; atomic */
    uint64_t kicks, deferred_ever; /* atomic: counts, to notice a kick between a question and the queueing */
};

/* ---- the order of a worker's operations on one key (order.c) ---- */
struct pm_ordered {
    pm_key key;                     /* PM_KEY_NONE: a free place */
    uint32_t held, last_held;       /* occurrences in the operation that the worker is about, not settled yet; the last one */
    uint32_t unanswered;            /* occurrences, all of one operation */
    uint32_t pushes;                /* of them: pushes that were behind others */
    struct pm_waiter *first, *last; /* later operations, behind the unanswered one */
};
enum { PM_ORDER_FILTER = 256 };
/* Keys of which the worker has asked another node and was not answered. The worker adds keys; whoever handles the
 * answer takes them away. */
struct pm_order {
    struct pm_latch latch;
    uint32_t n, mask; /* n: atomic; open addressing */
    uint32_t n_pushes; /* that were put behind other operations and are not done; atomic */
    struct pm_ordered *table;
    uint32_t filter[PM_ORDER_FILTER]; /* keys of the table by a hash; atomic: where there is 0 none is pending */
};

/* ---- deltas under way that an answer may not include yet (replica.c) ---- */
struct pm_shipped {
    struct pm_shipped *next;
    pm_key key;
    pm_node_id to;
    uint32_t sequence;
    float delta[];
};

struct pm_rounds {
    struct pm_latch latch;      /* handling of ROUND messages and of deferred refreshes: one at a time */
    struct pm_latch ship_latch; /* sending of all deltas: one at a time */
    uint32_t *sequence_out;   /* per node: ROUND messages begun to it; atomic */
    uint32_t *sequence_in;    /* per node: ROUND messages handled of it */
    struct pm_message **early; /* per node: those that came before their turn, in order of sequence */
    /* where owners push values; what is received by whoever handles that node's messages, one at a time */
    uint32_t *answers_out;     /* per node: ANSWER messages begun to it; atomic */
    uint32_t *answers_in;      /* per node: ANSWER messages handled of it */
    struct pm_message **early_answers; /* per node: those that came before their turn, in order */
    struct pm_latch shipped_latch;
    struct pm_shipped *shipped[PM_SHIPPED_BUCKETS];
    uint64_t asked, answered; /* with traits.versions: refreshes, over the whole run; atomic */
    int64_t began_ns;         /* the first of those that are open; atomic */
    uint32_t generation;      /* of those that are open, or were last (core/staleness.c); atomic */
    uint32_t answered_generation; /* the newest of which all are answered; atomic */
};

/* ---- clocks (clock.c) ---- */
struct pm_clocks {
    struct pm_latch latch;
    pm_clock *of_node;         /* minimum of each node as last heard */
    uint32_t *era_of;          /* how many collectives that node had left when it said so */
    struct pm_message **early; /* per node: notices that came before the rounds that they follow or before their era, in
                                  order of arrival */
    pm_clock *left_with;       /* per node: the least clock with which it left the last collective */
    pm_clock leasts[PM_ERAS_KEPT]; /* those with which everybody left the last collectives, by era; atomic */
    uint64_t *heard;           /* per node: the newest iteration before which it has sent everything */
    uint64_t done;             /* atomic: the least of them; see pm_iterations_done */
    pm_clock known_min;        /* atomic */
    uint32_t era; /* collectives that everybody has left; atomic, written after the minimum that holds in it */
};

/* ---- barrier, reduction, drain (collective.c) ---- */
enum pm_collective_kind { PM_COLLECTIVE_BARRIER, PM_COLLECTIVE_DRAIN };
struct pm_collective {
    struct pm_latch latch;
    uint64_t entered, released; /* collectives whose local workers all arrived; that were released (atomic) */
    uint32_t arrived, n_values;
    uint8_t kind;
    uint32_t draining; /* atomic: all workers of this node are in a drain */
    double *values;               /* workers x n_values, local */
    double result[PM_REDUCE_MAX]; /* of the last release */
    pm_clock *least_of;           /* per node: the least clock of its workers, at the hub and where clocks matter */
    /* node 0 only: the hub */
    uint64_t *last_of; /* per node: the wave of the collective at which it was last counted */
    uint32_t arrived_nodes;
    uint32_t hub_values; /* what the first arrival of this collective said: number of doubles, ... */
    uint8_t hub_kind;    /* ... kind */
    pm_clock least_clock;
    double *all_values; /* nodes x workers x n_values */
    uint64_t wave, totals[4], previous[4];
};

/* ---- staleness (staleness.c) ---- */
/* Read without a latch: a reader looks at `number` before and after the rest. */
struct pm_generation {
    uint32_t number;     /* atomic, like the rest; UINT32_MAX while it is written */
    int64_t begun_ns;
    pm_clock *clock_of;  /* per worker of the node */
};
struct pm_generations {
    struct pm_latch latch; /* beginning one */
    uint32_t newest;       /* atomic */
    struct pm_generation of[PM_GENERATIONS_KEPT]; /* by number modulo */
    pm_clock *clocks;
};

/* ---- clipping of deltas (clip.c); under the exchange's latch ---- */
struct pm_clip {
    uint64_t n; /* norms in the mean */
    double mean;
};

/* ---- exchange (exchange.c, allreduce.c) ---- */
/* Sums of updates, by rising keys. */
struct pm_sums {
    pm_key *keys;
    float *values; /* of stored length */
    size_t n;
    uint64_t floats; /* counted */
    uint64_t updates; /* pushes at replicas that are in the sums */
};
/* What has come of one step of a round. */
struct pm_inbox {
    struct pm_message *first, **end;
    bool complete;
};
enum { PM_STEPS_MAX = 16 };
struct pm_allreduce {
    uint32_t steps; /* of the butterfly, over 2^steps nodes; further nodes are the guests of the first ones */
    uint32_t step, sent; /* the step that is awaited; the last one that was sent */
    bool heard; /* somebody has begun the next round */
    struct pm_sums sums; /* in this round, up to the step before */
    struct pm_inbox in[2][PM_STEPS_MAX]; /* by parity of the round, step */
    uint64_t bytes; /* modelled, of what is kept here; atomic */
};
struct pm_exchange {
    struct pm_latch latch;
    uint64_t round; /* the current or last one */
    bool active;
    int64_t started_ns;
    uint32_t generation, installed; /* that began with this round; that of the last one whose result is here (atomic) */
    struct pm_clip clip;
    /* over hubs */
    bool spread;
    uint32_t collected[2], spread_in; /* peers' last messages of a round (by parity), of this round */
    uint64_t *collect_of, *spread_of; /* per node: the last round of which it has sent all */
    /* by all-reduce */
    struct pm_allreduce reduce;
};

/* ---- statistics on their way to node 0 (gather.c) ---- */
struct pm_gather {
    struct pm_latch latch;
    struct pm_message **from; /* nodes; node 0 only */
    uint32_t n;
};

/* ---- what the workers' paces say about the epoch (train.c, report.c) ---- */
struct pm_projections {
    struct pm_latch latch;
    struct pm_projection sum; /* of this node's workers; worker 0 takes it away */
};

struct pm_local;
struct pm_events;

struct pm_node {
    struct pm_node_config config;
    struct pm_traits traits;
    const struct pm_layout *layout;
    const struct pm_policy *policy;
    void *policy_state;
    struct pm_slots slots;
    struct pm_worker *workers;
    struct pm_ctx communicator;
    struct pm_key_list dirty, changed, replicas;
    struct pm_queue queue;
    struct pm_arrivals arrivals;
    struct pm_locations locations;
    bool ordered; /* keeps the order of each worker's operations per key */
    struct pm_rounds rounds;
    struct pm_clocks clocks;
    struct pm_collective collective;
    struct pm_exchange exchange;
    struct pm_generations generations;
    struct pm_gather gather;
    struct pm_projections projections;
    struct pm_local *local; /* per distribution; NULL where nobody asks */
    struct pm_events *events; /* of traced keys; NULL where there are none */
    uint64_t base_bytes;                  /* modelled memory at the start */
    uint64_t extra_bytes, dropped_bytes;  /* replicas made and dropped since; atomic */
    int64_t next_round_ns;                /* as the round hook said */
    int64_t asked_round_ns;               /* as pm_tick_at was told, earliest; atomic */
    struct pm_latch round_latch; /* held while the round hook runs and what it sent is counted; under collective.latch */
    uint32_t paused; /* atomic, set under round_latch: no rounds while the model is evaluated */
    bool pauses_after_drain; /* the end of a drain begins such a pause */
};

/* ---- small helpers ---- */
static inline uint32_t pm_length(const struct pm_node *node, pm_key key)
{
    return pm_layout_length(node->layout, key);
}
/* Floats that really lie in memory for a key. */
static inline uint32_t pm_stored(const struct pm_node *node, pm_key key)
{
    return node->config.with_values ? pm_layout_length(node->layout, key) : 0;
}
/* Fetches the beginning of a value into the cache; its slot should be there already. */
static inline __attribute__((always_inline)) void pm_fetch_value(const struct pm_slot *slot)
{
    const char *value = (const char *)__atomic_load_n(&slot->value, __ATOMIC_RELAXED);
    __builtin_prefetch(value, 1);
    __builtin_prefetch(value + 64, 1);
}
/* Who goes through keys that are in range calls this for each: what it will touch of later ones comes into the cache. Inlined,
 * because the compiler drops calls of functions that only prefetch. */
static inline __attribute__((always_inline)) void pm_fetch_ahead(const struct pm_node *node, const pm_key *keys, size_t i,
                                                                 size_t n)
{
    enum { AHEAD_SLOT = 16, AHEAD_VALUE = 6 };
    if (i + AHEAD_SLOT < n)
        pm_slots_prefetch(&node->slots, keys[i + AHEAD_SLOT]);
    if (i + AHEAD_VALUE < n && node->slots.dense)
        pm_fetch_value(pm_dense_slot(&node->slots, keys[i + AHEAD_VALUE]));
}
static inline void pm_lock(const struct pm_node *node, struct pm_latch *latch)
{
    pm_word_lock(&latch->word, node->config.ops->relax, node->config.ops_self);
}
static inline void pm_unlock(const struct pm_node *node, struct pm_latch *latch)
{
    pm_word_unlock(&latch->word, node->config.ops->relax);
}
static inline void pm_charge(struct pm_ctx *ctx, enum pm_charge_kind kind, uint64_t events, uint64_t keys,
                             uint64_t floats)
{
    if (ctx->uncharged)
        return;
    ctx->charges[kind].events += events;
    ctx->charges[kind].keys += keys;
    ctx->charges[kind].bytes += 4 * floats;
}
/* Home of a key among so many nodes: high bits of hash x N, which divides nothing. */
static inline pm_node_id pm_home_of(pm_key key, uint32_t nodes)
{
    return (pm_node_id)(((unsigned __int128)pm_hash64(key) * nodes) >> 64);
}
/* Home of a key by ranges of as many keys. */
static inline pm_node_id pm_range_home(pm_key key, uint32_t nodes, uint64_t n_keys)
{
    return (pm_node_id)(n_keys <= UINT64_MAX / nodes ? key * nodes / n_keys : key / ((n_keys - 1) / nodes + 1));
}
pm_node_id pm_owner_at_start(const struct pm_node *node, pm_key key);
bool pm_replicated_at(const struct pm_node *node, pm_key key, pm_node_id at);
/* Initial value of one key, or nothing with --values none. */
void pm_initial_value(const struct pm_node *node, pm_key key, float *out);
/* What a sparse store leaves out: the slot of a key of which nothing has been stored yet, as placement says it is at the
 * start (owned, replica or absent). Made if it is not there; PM_E_MEMORY. */
int pm_slot_make(struct pm_node *node, pm_key key, struct pm_slot **slot);

/* Vectors: contiguous floats; n may be 0. */
static inline void pm_copy(float *restrict to, const float *restrict from, uint32_t n)
{
    pm_vector_copy(to, from, n);
}
static inline void pm_add(float *restrict to, const float *restrict update, uint32_t n)
{
    pm_vector_add(to, update, n);
}

/* ---- filters of messages (filter.c) ---- */
/* What enters the outbox instead of this message, or NULL. */
struct pm_message *pm_filter_out(struct pm_ctx *ctx, struct pm_message *m, pm_node_id to);
/* Turns a filtered message back; frees it on failure. *m is NULL then, or when it is to be ignored. */
int pm_filter_in(struct pm_ctx *ctx, struct pm_message **m, struct pm_error *err);

/* ---- outbox (outbox.c) ---- */
/* Appends a message to a node (self included) and counts it. Takes ownership. */
void pm_emit(struct pm_ctx *ctx, struct pm_message *m, pm_node_id to);
/* Wakes a worker of this node if it is blocked or about to be. */
void pm_wake(struct pm_ctx *ctx, uint32_t worker);
/* Has pm_node_tick called at this time or earlier; the round hook then only if it is due. */
void pm_ask_tick(struct pm_ctx *ctx, int64_t at_ns);
/* Makes the round hook due at this time or earlier. */
void pm_ask_round(struct pm_node *node, int64_t at_ns);
/* The same value so many times. */
void pm_record_times(struct pm_ctx *ctx, uint32_t quantity, int64_t value, uint64_t times);
/* Blocks the worker of ctx once, after delivering its outbox; counts the time. */
int pm_block(struct pm_worker *w);

/* ---- requests (request.c) ---- */
struct pm_requests *pm_requests_new(void);
void pm_requests_free(struct pm_requests *r);
/* An open operation of n entries (op->entries to be filled; no keys yet), which *ref names. NULL: out of memory or
 * failure (*error). */
struct pm_op *pm_op_open(struct pm_worker *w, uint32_t n, enum pm_op_kind kind, struct pm_entry_ref *ref, int *error);
pm_ticket pm_op_ticket(const struct pm_entry_ref *ref);
bool pm_op_done(const struct pm_worker *w, pm_ticket ticket);
/* An entry that waited here is asked for elsewhere: answers for it are right from now on. */
void pm_op_asked(struct pm_ctx *ctx, const struct pm_entry_ref *ref, pm_key key);
/* n entries that this context served itself are done. */
void pm_op_settle(struct pm_ctx *ctx, const struct pm_entry_ref *ref, uint32_t n);
/* Wire form of an operation's name. */
static inline uint32_t pm_op_request(const struct pm_entry_ref *ref)
{
    return ref->op | ref->generation << 16;
}
int pm_handle_reply(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);

/* ---- waiting entries (waiter.c) ---- */
/* Sends one to where its key is, with those of its operation that this transition sends there, too, and the key's next
 * occurrences in it, as many as there is room for. */
void pm_send_waiter(struct pm_ctx *ctx, const struct pm_waiter *waiter, pm_node_id to);
/* Outside latches: a worker's operation that waited behind another one is served, queued, or sent; true when sent, so that
 * its answer will come. Takes the waiter over. */
bool pm_go_on(struct pm_ctx *ctx, struct pm_waiter *waiter);

/* ---- access (access.c, apply.c), serve (serve.c) ---- */
int pm_handle_access(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
/* Under the latch of an owned slot: one push or set. */
void pm_apply_owned(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const float *update, enum pm_op_kind kind);
/* One key of an operation: its values (out of pulls, in of the others) and the number that its worker's requests carry. */
struct pm_access {
    uint8_t kind; /* enum pm_op_kind */
    struct pm_worker *worker; /* of this node; NULL: another's */
    uint64_t number;
    float *out;
    const float *in;
};
/* Serves one key of an operation from its slot (owned, or a usable replica), under the latch. Returns whether that was a push
 * which changed a main copy: not one that the policy keeps. */
bool pm_serve_local(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const struct pm_access *access);
/* The same for an operation of this node that waited, with its count. */
bool pm_serve_waiter(struct pm_ctx *ctx, struct pm_slot *slot, const struct pm_waiter *waiter);
/* The verdict for one key of a worker's operation with this number, under the latch. */
enum pm_verdict pm_judge(struct pm_ctx *ctx, struct pm_worker *w, pm_key key, struct pm_slot *slot,
                         enum pm_op_kind kind, uint64_t number);
pm_node_id pm_next_hop(struct pm_ctx *ctx, pm_key key, const struct pm_slot *slot, uint32_t hop);

/* Under the latch of an owned slot: serves a request of this key alone, which it takes over. The answer goes into one message with
 * those to other keys of its operation that this transition serves. */
void pm_serve_request(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, struct pm_message *m);

/* ---- relocation (relocate.c) ---- */
/* Next hop by the directory of owners. The slot is not owned here. */
pm_node_id pm_directory_hop(const struct pm_node *node, pm_key key, const struct pm_slot *slot, uint32_t hop);
/* Under the latch of an arriving slot: the node that gets the key next, or PM_NODE_NONE. */
pm_node_id pm_slot_successor(const struct pm_slot *slot);
/* An answer came from the owner of these keys, with the counters that made it so where owners grant ownership (else NULL):
 * remembered where locations are cached. */
void pm_locations_learn(struct pm_ctx *ctx, const pm_key *keys, const uint32_t *counters, uint32_t n, pm_node_id owner);
int pm_handle_relocate(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
int pm_handle_transfer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);

/* ---- arrivals (arrival.c) ---- */
/* Under the latch of an arriving slot: takes the waiter (malloced) over. */
void pm_arrivals_add(struct pm_ctx *ctx, struct pm_slot *slot, struct pm_waiter *waiter);
/* Under the latch of a slot that has just become owned: serves all that waited for it, in order. */
void pm_arrivals_serve(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot);
/* Takes all that waits for the key, in order. */
struct pm_waiter *pm_arrivals_take(struct pm_node *node, pm_key key);
/* PM_OK or PM_E_MEMORY. Only where keys move. */
int pm_arrivals_init(struct pm_arrivals *a);
void pm_arrivals_fini(struct pm_arrivals *a);

/* ---- order of operations per key (order.c) ---- */
struct pm_order *pm_order_new(void);
void pm_order_free(struct pm_order *o);
/* Is an operation of this worker on the key unanswered, or held? By the worker. */
bool pm_order_pending(const struct pm_worker *w, pm_key key);
/* An occurrence of the key in the worker's operation was not served at once: until it enters, joins or leaves, later occurrences
 * count as pending, too. Returns the number of the one before that is held, or PM_NO_MISS. */
uint32_t pm_order_hold(struct pm_worker *w, pm_key key, uint32_t number);
/* A held occurrence is to be settled: true when it may, and is the unanswered one from now on; false when it was put behind
 * another. */
bool pm_order_enter(struct pm_worker *w, const struct pm_waiter *waiter);
/* A held occurrence goes in the message of the one of its operation that is the unanswered one and was not delivered yet ... */
void pm_order_join(struct pm_worker *w, pm_key key);
/* ... in which there was no room for it after all: it is put behind. */
void pm_order_fall_behind(struct pm_worker *w, const struct pm_waiter *waiter);
/* A waiter was put into a message that was not delivered yet: takes the next occurrence of its key in its operation, if it is
 * next on that key, to go with it. It is the caller's to free. */
struct pm_waiter *pm_order_follow(struct pm_ctx *ctx, struct pm_worker *w, const struct pm_waiter *sent);
/* A held occurrence will not be settled. */
void pm_order_leave(struct pm_worker *w, pm_key key);
/* Blocks the worker until none of the pushes that were put behind others is left. PM_OK, or what blocking returned. */
int pm_order_wait_pushes(struct pm_worker *w);
/* Outside latches: an occurrence of the key that was unanswered is done; after the last one those behind it go on. Any context. */
void pm_order_done(struct pm_ctx *ctx, struct pm_worker *w, pm_key key);

/* ---- queue (queue.c) ---- */
/* Under the slot's latch. At an arriving slot: until it has arrived; else until a kick or an answer. */
int pm_queue_add(struct pm_ctx *ctx, struct pm_slot *slot, const struct pm_waiter *waiter);
/* Outside latches: looks again at the operations that wait for this key. */
void pm_queue_retry(struct pm_ctx *ctx, pm_key key);
void pm_queue_defer(struct pm_ctx *ctx, struct pm_message *m);
void pm_queue_fini(struct pm_queue *q);
/* Kicks so far. Read before a question; when it has risen after the queueing, look again. */
static inline uint64_t pm_kicks(const struct pm_node *node)
{
    return __atomic_load_n(&node->queue.kicks, __ATOMIC_SEQ_CST);
}

/* ---- replicas (replica.c) ---- */
int pm_rounds_init(struct pm_node *node);
void pm_rounds_fini(struct pm_node *node);
/* Turns what was collected in ctx (core/builder.h) into messages; part of deliver. */
void pm_rounds_flush(struct pm_ctx *ctx);
int pm_handle_round(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
void pm_retry_refreshes(struct pm_ctx *ctx, struct pm_message *m);
int pm_handle_answer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
/* Under the latch of a replica: its value is this one now, and what of its own updates that does not include. */
void pm_take_value(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t stamp, uint32_t sequence,
                   const float *values);
/* What goes to the owner of a replica's key. */
struct pm_shipment {
    uint32_t flags; /* enum pm_round_entry_flag, but PM_ROUND_DELTA */
    uint64_t need;
    float *delta;     /* updates that go along ... */
    uint32_t *merged; /* ... and how many they are; NULL: none do. Both are zero afterwards. */
};
/* Under the latch of a replica: puts the entry into a message for the owner. */
void pm_ship(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const struct pm_shipment *s);
void pm_mark(struct pm_ctx *ctx, struct pm_key_list *list, pm_key key);
/* Takes the list away; the caller frees *keys. Returns their number. */
size_t pm_take(struct pm_node *node, struct pm_key_list *list, pm_key **keys);

/* ---- exchange (exchange.c, allreduce.c, clip.c) ---- */
int pm_exchange_init(struct pm_node *node);
void pm_exchange_fini(struct pm_node *node);
int pm_handle_collect(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
int pm_handle_spread(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
int pm_handle_partial(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
/* Under the exchange's latch: this node is in the next round; it has the result of the present one. */
void pm_exchange_begun(struct pm_ctx *ctx);
void pm_exchange_over(struct pm_ctx *ctx);
/* How many keys from the first go into one message. */
uint32_t pm_exchange_fitting(const struct pm_node *node, const pm_key *keys, size_t n);
/* Under the latch of the key's slot, and the exchange's: moves its delta to `out`. Returns the pushes that are in it. */
uint32_t pm_exchange_take(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, float *out);
/* Is this key's state common to all nodes, with a copy at each? */
bool pm_exchange_shared(const struct pm_node *node, pm_key key);
void pm_allreduce_init(struct pm_node *node);
void pm_allreduce_fini(struct pm_node *node);
/* Under the exchange's latch: takes part in the next round. */
void pm_allreduce_begin(struct pm_ctx *ctx);
/* Scales a delta that is about to be sent, if it is too long. */
void pm_clip(struct pm_ctx *ctx, float *delta, uint32_t n);

/* ---- staleness (staleness.c) ---- */
int pm_generations_init(struct pm_node *node);
void pm_generations_fini(struct pm_node *node);
/* Records what was read in this transition. */
void pm_fresh_flush(struct pm_ctx *ctx);
/* A worker reads a replica that exchanges keep alike. */
static inline void pm_fresh_exchanged(struct pm_ctx *ctx, struct pm_worker *worker)
{
    const struct pm_node *node = ctx->node;
    if (node->traits.exchange != PM_EXCHANGE_NONE)
        pm_fresh_read(ctx, worker, __atomic_load_n(&node->exchange.installed, __ATOMIC_ACQUIRE));
}

/* ---- clocks (clock.c) ---- */
int pm_clocks_init(struct pm_node *node);
void pm_clocks_fini(struct pm_node *node);
/* Recomputes this node's minimum after a worker's clock changed or a worker entered a collective. */
void pm_clocks_update(struct pm_ctx *ctx);
pm_clock pm_clocks_least(const struct pm_node *node);
/* All workers of the cluster may leave collective number `era`, which each entered with a clock of at least `least`, and those
 * of each node with one of at least least_of[node]. Comes before this node's workers are let go; under the collective's
 * latch. */
void pm_clocks_new_era(struct pm_node *node, uint32_t era, pm_clock least, const pm_clock *least_of);
/* The same for the policy and for other nodes; outside any latch. */
void pm_clocks_tell_era(struct pm_ctx *ctx);
/* Rounds of this node were handled: notices that waited for them may count now. */
void pm_clocks_late(struct pm_ctx *ctx, pm_node_id from);
int pm_handle_clock(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);

/* ---- collective (collective.c) ---- */
int pm_collective_init(struct pm_node *node);
void pm_collective_fini(struct pm_node *node);
int pm_handle_collective(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);

/* ---- statistics (gather.c) ---- */
int pm_gather_init(struct pm_node *node);
void pm_gather_fini(struct pm_node *node);
int pm_handle_stats(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
/* Collective over worker 0 of each node, between barriers: each gives a blob of at least this length; at node 0 it waits for
 * all, and blob(i) is node i's until pm_gather_clear. PM_OK, what blocking returned, PM_E_MESSAGE (one is too short). */
int pm_gather(struct pm_worker *w, const void *blob, uint32_t bytes, uint32_t least_bytes);
const void *pm_gather_blob(struct pm_node *node, pm_node_id of);
uint32_t pm_gather_bytes(struct pm_node *node, pm_node_id of);
void pm_gather_clear(struct pm_node *node);

/* ---- intents (intent.c) ---- */
struct pm_intents *pm_intents_new(void);
void pm_intents_free(struct pm_intents *t);
/* Memory that a worker's intents have taken. Any context. */
uint64_t pm_intents_bytes(const struct pm_intents *t);

/* ---- samples (sample.c) ---- */
struct pm_samples *pm_samples_new(void);
void pm_samples_free(struct pm_samples *s);

/* ---- checks of received messages (check.c) ---- */
/* Keys in range and floats as many as the keys' lengths say (or, with `pull`, none, but no more in the answer than a
 * message holds). */
int pm_check_keys(const struct pm_node *node, struct pm_message *m, bool pull, struct pm_error *err);
int pm_bad(struct pm_error *err, const struct pm_message *m, const char *field);

#endif
