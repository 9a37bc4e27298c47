/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A worker's asynchronous operations: opened by the worker, counted down by whoever handles their answers. */
#include <stdlib.h>

#include "core/internal.h"
#include "core/scratch.h"
#include "core/versions.h"

enum { NO_SLOT = -1, GENERATION_MASK = 0xffff };

struct pm_requests *pm_requests_new(void)
{
    struct pm_requests *r = calloc(1, sizeof *r);
    if (r)
        r->free = (uint32_t)NO_SLOT;
    return r;
}

void pm_requests_free(struct pm_requests *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n; i++)
        free(r->slots[i].op);
    free(r->slots);
    free(r);
}

/* A free slot, under the latch; NO_SLOT when memory is out. */
static uint32_t take_slot(struct pm_requests *r)
{
    uint32_t i = r->free;
    if (i != (uint32_t)NO_SLOT) {
        r->free = r->slots[i].next_free;
        return i;
    }
    if (r->n == r->capacity) {
        uint32_t capacity = r->capacity ? 2 * r->capacity : 64;
        struct pm_op_slot *bigger = realloc(r->slots, capacity * sizeof *bigger);
        if (!bigger)
            return (uint32_t)NO_SLOT;
        r->slots = bigger;
        r->capacity = capacity;
    }
    r->slots[r->n] = (struct pm_op_slot){.generation = 1};
    return r->n++;
}

/* Waits until the worker may open another operation. */
static int wait_for_room(struct pm_worker *w)
{
    while (__atomic_load_n(&w->requests->outstanding, __ATOMIC_ACQUIRE) >= PM_OPS_MAX) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        pm_ctx_deliver(&w->ctx); /* the keys before this one may have asked for something */
        int rc = __atomic_load_n(&w->requests->outstanding, __ATOMIC_SEQ_CST) >= PM_OPS_MAX ? pm_block(w) : PM_OK;
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

struct pm_op *pm_op_open(struct pm_worker *w, uint32_t n, enum pm_op_kind kind, struct pm_entry_ref *ref, int *error)
{
    struct pm_requests *r = w->requests;
    *error = wait_for_room(w);
    if (*error != PM_OK)
        return NULL;
    *error = PM_E_MEMORY;
    struct pm_op *op = malloc(sizeof *op + n * sizeof op->entries[0]);
    if (!op)
        return NULL;
    *op = (struct pm_op){.n = n, .open = n, .kind = (uint8_t)kind, .uncharged = w->ctx.uncharged};
    op->issued_ns = pm_now_ns(&w->ctx);
    for (uint32_t i = 0; i < n; i++)
        op->entries[i].key = PM_KEY_NONE;
    pm_lock(w->ctx.node, &r->latch);
    uint32_t i = take_slot(r);
    if (i != (uint32_t)NO_SLOT) {
        r->slots[i].op = op;
        *ref = (struct pm_entry_ref){.worker = w->index, .op = i, .generation = r->slots[i].generation};
        __atomic_fetch_add(&r->outstanding, 1, __ATOMIC_RELAXED);
    }
    pm_unlock(w->ctx.node, &r->latch);
    if (i == (uint32_t)NO_SLOT) {
        free(op);
        return NULL;
    }
    *error = PM_OK;
    return op;
}

pm_ticket pm_op_ticket(const struct pm_entry_ref *ref)
{
    return (pm_ticket)((uint64_t)ref->generation << 16 | ref->op);
}

/* Does this operation's slot hold it no more? Only its worker asks, who alone moves the array. */
bool pm_op_done(const struct pm_worker *w, pm_ticket ticket)
{
    uint32_t i = (uint32_t)ticket & 0xffff;
    uint32_t generation = (uint32_t)((uint64_t)ticket >> 16);
    return ticket == PM_DONE || i >= w->requests->n ||
           __atomic_load_n(&w->requests->slots[i].generation, __ATOMIC_ACQUIRE) != generation;
}

/* Under the latch: the operation is complete. Its ticket is done as soon as the generation has risen. */
static void close_op(struct pm_requests *r, uint32_t i)
{
    struct pm_op_slot *s = &r->slots[i];
    free(s->op);
    s->op = NULL;
    s->next_free = r->free;
    r->free = i;
    uint32_t next = s->generation == UINT32_MAX >> 1 ? 1 : s->generation + 1;
    __atomic_store_n(&s->generation, next, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&r->outstanding, 1, __ATOMIC_RELEASE);
}

/* Under the latch: n entries fewer. Returns whether that was the last. */
static bool count_down(struct pm_ctx *ctx, struct pm_requests *r, uint32_t i, uint32_t n)
{
    struct pm_op *op = r->slots[i].op;
    PM_ASSERT(op && op->open >= n, "an operation was answered twice");
    op->open -= n;
    if (op->open)
        return false;
    if (!op->uncharged)
        pm_record(ctx, op->kind == PM_OP_PULL ? PM_Q_PULL : PM_Q_PUSH, pm_now_ns(ctx) - op->issued_ns);
    close_op(r, i);
    return true;
}

void pm_op_asked(struct pm_ctx *ctx, const struct pm_entry_ref *ref, pm_key key)
{
    struct pm_requests *r = ctx->node->workers[ref->worker].requests;
    pm_lock(ctx->node, &r->latch);
    r->slots[ref->op].op->entries[ref->entry].key = key;
    pm_unlock(ctx->node, &r->latch);
}

void pm_op_settle(struct pm_ctx *ctx, const struct pm_entry_ref *ref, uint32_t n)
{
    struct pm_worker *w = &ctx->node->workers[ref->worker];
    pm_lock(ctx->node, &w->requests->latch);
    PM_ASSERT(w->requests->slots[ref->op].generation == ref->generation, "a waiting operation is gone");
    bool done = count_down(ctx, w->requests, ref->op, n);
    pm_unlock(ctx->node, &w->requests->latch);
    if (done)
        pm_wake(ctx, ref->worker);
}

/* Number of the i-th entry that a reply names. */
static uint32_t entry_of(struct pm_message *m, uint32_t i)
{
    const uint32_t *numbers = pm_message_meta(m);
    return (m->wire.flags & PM_FLAG_INDEXED) ? numbers[i] : m->wire.first + i;
}

/* Everything about a reply that can be wrong; changes nothing. Under the latch. */
static int check_reply(const struct pm_node *node, const struct pm_requests *r, struct pm_message *m,
                       struct pm_error *err)
{
    const struct pm_wire *w = &m->wire;
    uint32_t i = w->request & 0xffff;
    if (i >= r->n || !r->slots[i].op || (r->slots[i].generation & GENERATION_MASK) != w->request >> 16)
        return pm_bad(err, m, "request");
    const struct pm_op *op = r->slots[i].op;
    if (w->op != op->kind)
        return pm_bad(err, m, "op");
    if (!(w->flags & PM_FLAG_MODEL) != !op->model || !(w->flags & PM_FLAG_LOCATED) != !pm_replies_located(node))
        return pm_bad(err, m, "flags");
    if (w->n_keys == 0 || w->n_keys > op->open)
        return pm_bad(err, m, "n_keys");
    uint64_t floats = 0;
    for (uint32_t k = 0; k < w->n_keys; k++) {
        uint32_t e = entry_of(m, k);
        bool rises = k == 0 || e > entry_of(m, k - 1);
        if (!rises || e >= op->n || op->entries[e].key == PM_KEY_NONE)
            return pm_bad(err, m, "entry");
        floats += pm_length(node, op->entries[e].key);
    }
    if (w->n_floats != (op->kind == PM_OP_PULL ? floats : 0))
        return pm_bad(err, m, "n_floats");
    return PM_OK;
}

/* Copies a checked reply's values to the caller's buffer and marks the entries as answered, whose keys go to `keys`. */
static void take_values(const struct pm_node *node, struct pm_op *op, struct pm_message *m, pm_key *keys)
{
    const float *values = pm_message_values(m);
    for (uint32_t k = 0; k < m->wire.n_keys; k++) {
        struct pm_entry *e = &op->entries[entry_of(m, k)];
        if (op->kind == PM_OP_PULL) {
            uint32_t length = pm_stored(node, e->key);
            pm_copy(op->out + e->place, values, length);
            values += length;
        }
        keys[k] = e->key;
        e->key = PM_KEY_NONE;
    }
}

/* What the owner's answer means where keys move; nothing, if the model was read. */
static void learn(struct pm_ctx *ctx, struct pm_message *m, const pm_key *keys)
{
    struct pm_node *node = ctx->node;
    if (m->wire.flags & PM_FLAG_MODEL)
        return;
    if (node->traits.location_cache)
        pm_locations_learn(ctx, keys, pm_replies_located(node) ? pm_entry_counters(m) : NULL, m->wire.n_keys, m->wire.source);
    for (uint32_t i = 0; node->ordered && i < m->wire.n_keys; i++)
        pm_order_done(ctx, &node->workers[m->wire.worker], keys[i]);
}

int pm_handle_reply(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    if (m->wire.worker >= node->config.workers)
        return pm_bad(err, m, "worker");
    struct pm_requests *r = node->workers[m->wire.worker].requests;
    struct pm_scratch *s = ctx->scratch;
    bool done = false;
    pm_lock(node, &r->latch);
    int rc = check_reply(node, r, m, err);
    if (rc == PM_OK) {
        uint32_t i = m->wire.request & 0xffff;
        PM_ASSERT(pm_grow(&s->answered, &s->answered_capacity, m->wire.n_keys, sizeof *s->answered) == PM_OK, "out of memory");
        take_values(node, r->slots[i].op, m, s->answered);
        done = count_down(ctx, r, i, m->wire.n_keys);
    }
    pm_unlock(node, &r->latch);
    if (rc != PM_OK)
        return rc;
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    if (done)
        pm_wake(ctx, m->wire.worker);
    learn(ctx, m, s->answered);
    pm_message_free(m);
    return PM_OK;
}

int pm_wait(struct pm_worker *w, pm_ticket ticket)
{
    if (ticket < 0)
        return PM_E_ARGUMENT;
    while (!pm_op_done(w, ticket)) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        int rc = pm_op_done(w, ticket) ? PM_OK : pm_block(w);
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

int pm_wait_all(struct pm_worker *w)
{
    while (__atomic_load_n(&w->requests->outstanding, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        int rc = __atomic_load_n(&w->requests->outstanding, __ATOMIC_SEQ_CST) ? pm_block(w) : PM_OK;
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}
