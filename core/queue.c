/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits at a node: operations of its workers for a slot, and requests that the policy would not serve yet. */
#include <stdlib.h>

#include "core/internal.h"

static uint32_t bucket_of(pm_key key)
{
    return (uint32_t)(pm_hash64(key) % PM_QUEUE_BUCKETS);
}

/* Under the queue's latch: keeps the bucket in order. */
static void insert(struct pm_queue *q, struct pm_waiter *w)
{
    struct pm_waiter **at = &q->buckets[bucket_of(w->key)];
    while (*at && (*at)->order < w->order)
        at = &(*at)->next;
    w->next = *at;
    *at = w;
    q->n_waiters++;
}

int pm_queue_add(struct pm_ctx *ctx, struct pm_slot *slot, const struct pm_waiter *waiter)
{
    struct pm_queue *q = &ctx->node->queue;
    struct pm_waiter *w = malloc(sizeof *w);
    if (!w)
        return PM_E_MEMORY;
    *w = *waiter;
    if (slot->state == PM_SLOT_ARRIVING) {
        pm_arrivals_add(ctx, slot, w);
        return PM_OK;
    }
    slot->flags |= PM_SLOT_QUEUED;
    pm_lock(ctx->node, &q->latch);
    w->order = q->order++;
    insert(q, w);
    pm_unlock(ctx->node, &q->latch);
    return PM_OK;
}

/* Takes the operations that wait for the key (or, with PM_KEY_NONE, all) out of the queue, in order. */
static struct pm_waiter *take(struct pm_node *node, pm_key key)
{
    struct pm_queue *q = &node->queue;
    struct pm_waiter *taken = NULL, **end = &taken;
    pm_lock(node, &q->latch);
    uint32_t first = key == PM_KEY_NONE ? 0 : bucket_of(key);
    uint32_t last = key == PM_KEY_NONE ? PM_QUEUE_BUCKETS - 1 : first;
    for (uint32_t b = first; b <= last && q->n_waiters; b++) {
        for (struct pm_waiter **at = &q->buckets[b]; *at;) {
            struct pm_waiter *w = *at;
            if (key != PM_KEY_NONE && w->key != key) {
                at = &w->next;
                continue;
            }
            *at = w->next;
            w->next = NULL;
            *end = w;
            end = &w->next;
            q->n_waiters--;
        }
    }
    pm_unlock(node, &q->latch);
    return taken;
}

/* Asks again about one operation; it is served, sent away, or put back. */
static void retry(struct pm_ctx *ctx, struct pm_waiter *w)
{
    struct pm_node *node = ctx->node;
    struct pm_slot *slot = pm_slots_find(&node->slots, w->key);
    PM_ASSERT(slot, "an operation waits for a key without a slot");
    pm_slot_lock(&node->slots, slot);
    const bool arriving = slot->state == PM_SLOT_ARRIVING;
    struct pm_worker *worker = &node->workers[w->ref.worker];
    const pm_key key = w->key;
    enum pm_verdict v = pm_judge(ctx, worker, key, slot, w->kind, w->number);
    pm_node_id to = PM_NODE_NONE;
    if (v == PM_USE) {
        pm_serve_waiter(ctx, slot, w);
    } else if (v == PM_WAIT && arriving) {
        pm_arrivals_add(ctx, slot, w);
    } else if (v == PM_WAIT) {
        slot->flags |= PM_SLOT_QUEUED;
        pm_lock(node, &node->queue.latch);
        insert(&node->queue, w);
        pm_unlock(node, &node->queue.latch);
    } else {
        to = pm_next_hop(ctx, key, slot, 0);
    }
    pm_slot_unlock(&node->slots, slot);
    if (v == PM_WAIT && arriving && node->ordered)
        pm_order_done(ctx, worker, key); /* arrivals have an order of their own */
    if (v == PM_WAIT)
        return;
    if (v == PM_USE)
        pm_op_settle(ctx, &w->ref, 1);
    else
        pm_send_waiter(ctx, w, to);
    if (v == PM_USE && node->ordered)
        pm_order_done(ctx, worker, key);
    free(w);
}

static void retry_all(struct pm_ctx *ctx, struct pm_waiter *taken)
{
    for (struct pm_waiter *w = taken, *next; w; w = next) {
        next = w->next;
        retry(ctx, w);
    }
}

void pm_queue_retry(struct pm_ctx *ctx, pm_key key)
{
    uint64_t kicks;
    do { /* again while a kick comes between a question and the putting back */
        kicks = pm_kicks(ctx->node);
        retry_all(ctx, take(ctx->node, key));
    } while (pm_kicks(ctx->node) != kicks);
}

void pm_queue_defer(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_queue *q = &ctx->node->queue;
    m->next = NULL;
    pm_lock(ctx->node, &q->latch);
    if (!q->deferred)
        q->deferred_end = &q->deferred;
    *q->deferred_end = m;
    q->deferred_end = &m->next;
    q->n_deferred++;
    __atomic_store_n(&q->deferred_bytes, q->deferred_bytes + m->wire.length_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&q->deferred_ever, q->deferred_ever + 1, __ATOMIC_RELAXED);
    pm_unlock(ctx->node, &q->latch);
}

/* By order of arrival, across keys. */
static int by_order(const void *a, const void *b)
{
    const struct pm_waiter *const *x = a, *const *y = b;
    return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

static void retry_in_order(struct pm_ctx *ctx)
{
    struct pm_waiter *taken = take(ctx->node, PM_KEY_NONE);
    size_t n = 0;
    for (struct pm_waiter *w = taken; w; w = w->next)
        n++;
    struct pm_waiter **sorted = n ? malloc(n * sizeof(struct pm_waiter *)) : NULL;
    if (!sorted) {
        retry_all(ctx, taken); /* in order per key at least */
        return;
    }
    n = 0;
    for (struct pm_waiter *w = taken; w; w = w->next)
        sorted[n++] = w;
    qsort(sorted, n, sizeof(struct pm_waiter *), by_order);
    for (size_t i = 0; i < n; i++)
        retry(ctx, sorted[i]);
    free(sorted);
}

static void retry_deferred(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_queue *q = &node->queue;
    pm_lock(node, &q->latch);
    struct pm_message *m = q->deferred;
    q->deferred = NULL;
    q->n_deferred = 0;
    __atomic_store_n(&q->deferred_bytes, 0, __ATOMIC_RELAXED);
    pm_unlock(node, &q->latch);
    for (struct pm_message *next; m; m = next) {
        next = m->next;
        struct pm_error err;
        int rc = m->wire.kind == PM_MSG_ROUND ? (pm_retry_refreshes(ctx, m), PM_OK) : pm_handle_access(ctx, m, &err);
        PM_ASSERT(rc == PM_OK, "a deferred request became malformed");
    }
}

void pm_kick(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    uint64_t kicks = __atomic_add_fetch(&node->queue.kicks, 1, __ATOMIC_SEQ_CST);
    for (;;) { /* what was put back may have been asked about before another context's kick */
        retry_in_order(ctx);
        retry_deferred(ctx);
        uint64_t now = pm_kicks(node);
        if (now == kicks)
            break;
        kicks = now;
    }
    for (uint32_t i = 0; i < node->config.workers; i++)
        if (__atomic_load_n(&node->workers[i].clock_held, __ATOMIC_SEQ_CST))
            pm_wake(ctx, i);
}

void pm_queue_fini(struct pm_queue *q)
{
    for (uint32_t b = 0; b < PM_QUEUE_BUCKETS; b++)
        for (struct pm_waiter *w = q->buckets[b], *next; w; w = next) {
            next = w->next;
            free(w);
        }
    for (struct pm_message *m = q->deferred, *next; m; m = next) {
        next = m->next;
        pm_message_free(m);
    }
}
