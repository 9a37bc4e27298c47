/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs of updates, one per worker (traits.worker_logs): a push at a replica is in the replica's value at once, for all workers of
 * the node, and in its worker's log, which is shipped when the policy says so. What a replica's value has beyond the last
 * answer of its owner is then what the logs of all workers here hold of the key, and what was shipped since.
 *
 * Of a key an entry changes under the latch of the key's slot alone; the log's own latch guards its arrays, which grow. A
 * replica's `merged` says how many of its updates the logs hold together. */
#include "core/log.h"

#include <stdlib.h>

#include "core/scratch.h"

enum { INDEX_FIRST = 64 };

struct entry {
    pm_key key;
    size_t place;    /* of its delta among the floats */
    uint32_t merged; /* updates that the delta is the sum of; 0: it was shipped */
    uint32_t at;     /* its place in the index */
};

struct pm_log {
    struct pm_latch latch;
    struct pm_latch ship_latch; /* whoever finds nothing to ship knows that all of it has its place in the sequences */
    float *out;                 /* the delta that is being shipped; under the ship latch */
    uint32_t *index;            /* entry number + 1, 0 = empty; open addressing */
    uint32_t mask;
    uint32_t unsent; /* entries with updates */
    struct entry *entries;
    size_t n, capacity;
    float *deltas;
    size_t n_floats, floats_capacity;
    uint64_t bytes; /* modelled; atomic */
};

struct pm_log *pm_log_new(uint32_t length_max)
{
    struct pm_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->out = calloc(length_max + 1u, sizeof *log->out);
    log->index = calloc(INDEX_FIRST, sizeof *log->index);
    log->mask = INDEX_FIRST - 1;
    if (log->out && log->index)
        return log;
    pm_log_free(log);
    return NULL;
}

void pm_log_free(struct pm_log *log)
{
    if (!log)
        return;
    free(log->out);
    free(log->index);
    free(log->entries);
    free(log->deltas);
    free(log);
}

uint64_t pm_log_bytes(const struct pm_log *log)
{
    return __atomic_load_n(&log->bytes, __ATOMIC_RELAXED);
}

/* Place in the index where the key is or would be. */
static uint32_t index_place(const struct pm_log *log, pm_key key)
{
    uint32_t at = (uint32_t)pm_hash64(key) & log->mask;
    while (log->index[at] && log->entries[log->index[at] - 1].key != key)
        at = (at + 1) & log->mask;
    return at;
}

static const struct entry *find(const struct pm_log *log, pm_key key)
{
    uint32_t number = log->n ? log->index[index_place(log, key)] : 0;
    return number ? &log->entries[number - 1] : NULL;
}

static void index_grow(struct pm_log *log)
{
    uint32_t *bigger = calloc(2 * ((size_t)log->mask + 1), sizeof *bigger);
    PM_ASSERT(bigger, "out of memory for a log");
    free(log->index);
    log->index = bigger;
    log->mask = 2 * log->mask + 1;
    for (uint32_t i = 0; i < log->n; i++) {
        log->entries[i].at = index_place(log, log->entries[i].key);
        log->index[log->entries[i].at] = i + 1;
    }
}

/* Under the latch: the key's entry, made if there is none. */
static struct entry *entry_of(struct pm_node *node, struct pm_log *log, pm_key key)
{
    uint32_t at = index_place(log, key), stored = pm_stored(node, key);
    if (log->index[at])
        return &log->entries[log->index[at] - 1];
    PM_ASSERT(pm_grow(&log->entries, &log->capacity, log->n + 1, sizeof *log->entries) == PM_OK &&
                  pm_grow(&log->deltas, &log->floats_capacity, log->n_floats + stored, sizeof *log->deltas) == PM_OK,
              "out of memory for a log");
    struct entry *e = &log->entries[log->n++];
    *e = (struct entry){.key = key, .place = log->n_floats, .at = at};
    if (stored)
        pm_vector_zero(log->deltas + e->place, stored);
    log->n_floats += stored;
    log->index[at] = (uint32_t)log->n;
    __atomic_store_n(&log->bytes, log->bytes + sizeof *e + 4ull * pm_length(node, key), __ATOMIC_RELAXED);
    if (log->n > log->mask / 2)
        index_grow(log);
    return e;
}

void pm_log_push(struct pm_node *node, struct pm_log *log, pm_key key, const float *update)
{
    uint32_t stored = pm_stored(node, key);
    pm_lock(node, &log->latch);
    struct entry *e = entry_of(node, log, key);
    log->unsent += e->merged++ == 0;
    if (stored)
        pm_add(log->deltas + e->place, update, stored);
    pm_unlock(node, &log->latch);
}

void pm_logs_add(struct pm_node *node, pm_key key, float *value)
{
    uint32_t stored = pm_stored(node, key);
    for (uint32_t i = 0; i < node->config.workers && stored; i++) {
        struct pm_log *log = node->workers[i].log;
        pm_lock(node, &log->latch);
        const struct entry *e = find(log, key);
        if (e && e->merged)
            pm_add(value, log->deltas + e->place, stored);
        pm_unlock(node, &log->latch);
    }
}

/* Under the latch: takes the updates out of an entry, to where they are shipped from; how many they are. */
static uint32_t take_out(struct pm_node *node, struct pm_log *log, struct entry *e)
{
    uint32_t merged = e->merged, stored = merged ? pm_stored(node, e->key) : 0;
    log->unsent -= merged != 0;
    e->merged = 0;
    if (stored) {
        pm_copy(log->out, log->deltas + e->place, stored);
        pm_vector_zero(log->deltas + e->place, stored);
    }
    return merged;
}

/* Entry i goes to its key's owner, if there is anything in it. */
static void ship_entry(struct pm_ctx *ctx, struct pm_log *log, pm_key key, size_t i)
{
    struct pm_node *node = ctx->node;
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    pm_slot_lock(&node->slots, slot);
    pm_lock(node, &log->latch);
    uint32_t merged = take_out(node, log, &log->entries[i]);
    pm_unlock(node, &log->latch);
    if (merged) {
        *pm_slot_merged(&node->slots, slot, pm_length(node, key)) -= merged;
        pm_ship(ctx, key, slot, &(struct pm_shipment){.delta = log->out, .merged = &merged});
    }
    pm_slot_unlock(&node->slots, slot);
}

/* Under the latch: forgets the entries, when all were shipped and nothing was pushed meanwhile; the room stays. */
static void clear(struct pm_log *log)
{
    if (log->unsent)
        return;
    for (size_t i = 0; i < log->n; i++)
        log->index[log->entries[i].at] = 0;
    log->n = log->n_floats = 0;
    __atomic_store_n(&log->bytes, 0, __ATOMIC_RELAXED);
}

static void ship_log(struct pm_ctx *ctx, struct pm_log *log)
{
    struct pm_node *node = ctx->node;
    pm_lock(node, &log->ship_latch);
    pm_lock(node, &log->latch);
    size_t n = log->n;
    for (size_t i = 0; i < n; i++) {
        pm_key key = log->entries[i].key;
        pm_unlock(node, &log->latch); /* slots come first */
        ship_entry(ctx, log, key, i);
        pm_lock(node, &log->latch);
    }
    clear(log);
    pm_unlock(node, &log->latch);
    pm_unlock(node, &log->ship_latch);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
}

void pm_logs_ship(struct pm_ctx *ctx)
{
    for (uint32_t i = 0; i < ctx->node->config.workers; i++)
        ship_log(ctx, ctx->node->workers[i].log);
}

void pm_send_log(struct pm_ctx *ctx, struct pm_worker *worker)
{
    PM_ASSERT(ctx->node->traits.worker_logs);
    ship_log(ctx, worker->log);
}
