/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order of one worker's asynchronous operations on one key, where keys move or operations wait at replicas.
 *
 * An operation that was sent may still be on its way, forwarded, when the key arrives at the worker's own node, or when a
 * later operation takes a shorter way: so a later one on the same key waits until the earlier one is answered (Lapse's
 * asynchronous operations promise no less, but do not keep it when a route is chosen before and used after a relocation).
 * Likewise a push must not be seen by a read of the same worker that came before it and still waits for a fresher value.
 *
 * Occurrences of a key in one operation have one place in that order: they go in one message, and the next operation waits for
 * the answers to all. Those for which it has no room go on when these have come, as those do that wait in a queue. */
#include <stdlib.h>

#include "core/internal.h"
#include "core/scratch.h"

enum { FIRST_PLACES = 64 };

struct pm_order *pm_order_new(void)
{
    struct pm_order *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->table = malloc(FIRST_PLACES * sizeof *o->table);
    if (!o->table) {
        free(o);
        return NULL;
    }
    o->mask = FIRST_PLACES - 1;
    for (uint32_t i = 0; i <= o->mask; i++)
        o->table[i].key = PM_KEY_NONE;
    return o;
}

void pm_order_free(struct pm_order *o)
{
    if (!o)
        return;
    for (uint32_t i = 0; i <= o->mask; i++) {
        if (o->table[i].key == PM_KEY_NONE)
            continue;
        for (struct pm_waiter *w = o->table[i].first, *next; w; w = next) {
            next = w->next;
            free(w);
        }
    }
    free(o->table);
    free(o);
}

/* The place of the key, or the free one where it would be. */
static struct pm_ordered *place_of(const struct pm_order *o, pm_key key)
{
    uint32_t at = (uint32_t)pm_hash64(key) & o->mask;
    while (o->table[at].key != PM_KEY_NONE && o->table[at].key != key)
        at = (at + 1) & o->mask;
    return &o->table[at];
}

static void grow(struct pm_order *o)
{
    struct pm_ordered *old = o->table;
    uint32_t places = o->mask + 1;
    o->table = malloc(2 * (size_t)places * sizeof *o->table);
    PM_ASSERT(o->table, "out of memory for the order of %u operations", o->n);
    o->mask = 2 * places - 1;
    for (uint32_t i = 0; i <= o->mask; i++)
        o->table[i].key = PM_KEY_NONE;
    for (uint32_t i = 0; i < places; i++)
        if (old[i].key != PM_KEY_NONE)
            *place_of(o, old[i].key) = old[i];
    free(old);
}

static uint32_t filter_of(pm_key key)
{
    return (uint32_t)(pm_hash64(key) >> 32) % PM_ORDER_FILTER;
}

/* Frees a place and moves those behind it up, so that every key is still found from its own place on. */
static void clear(struct pm_order *o, struct pm_ordered *p)
{
    uint32_t hole = (uint32_t)(p - o->table), f = filter_of(p->key);
    for (uint32_t at = (hole + 1) & o->mask; o->table[at].key != PM_KEY_NONE; at = (at + 1) & o->mask) {
        uint32_t own = (uint32_t)pm_hash64(o->table[at].key) & o->mask;
        if (((at - own) & o->mask) < ((at - hole) & o->mask))
            continue; /* its own place is behind the hole */
        o->table[hole] = o->table[at];
        hole = at;
    }
    o->table[hole].key = PM_KEY_NONE;
    __atomic_store_n(&o->n, o->n - 1, __ATOMIC_RELEASE);
    __atomic_store_n(&o->filter[f], o->filter[f] - 1, __ATOMIC_RELEASE);
}

/* Under the latch. */
static struct pm_ordered *insert(struct pm_order *o, pm_key key)
{
    if (2 * (o->n + 1) > o->mask)
        grow(o);
    struct pm_ordered *p = place_of(o, key);
    uint32_t f = filter_of(key);
    *p = (struct pm_ordered){.key = key};
    __atomic_store_n(&o->n, o->n + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&o->filter[f], o->filter[f] + 1, __ATOMIC_RELEASE);
    return p;
}

bool pm_order_pending(const struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    /* only this worker adds: what it does not find now nobody will put there */
    if (__atomic_load_n(&o->filter[filter_of(key)], __ATOMIC_ACQUIRE) == 0)
        return false;
    pm_lock(w->ctx.node, &o->latch);
    bool pending = place_of(o, key)->key == key;
    pm_unlock(w->ctx.node, &o->latch);
    return pending;
}

uint32_t pm_order_hold(struct pm_worker *w, pm_key key, uint32_t number)
{
    struct pm_order *o = w->order;
    pm_lock(w->ctx.node, &o->latch);
    struct pm_ordered *p = place_of(o, key);
    if (p->key != key)
        p = insert(o, key);
    uint32_t earlier = p->held++ ? p->last_held : PM_NO_MISS;
    p->last_held = number;
    pm_unlock(w->ctx.node, &o->latch);
    return earlier;
}

/* Under the latch: puts a copy of the waiter behind all others of its key. */
static void put_behind(struct pm_order *o, struct pm_ordered *p, const struct pm_waiter *waiter)
{
    struct pm_waiter *copy = malloc(sizeof *copy);
    PM_ASSERT(copy, "out of memory for a waiting operation");
    *copy = *waiter;
    copy->next = NULL;
    if (p->first)
        p->last = p->last->next = copy;
    else
        p->first = p->last = copy;
    if (waiter->kind != PM_OP_PULL)
        __atomic_fetch_add(&o->n_pushes, 1, __ATOMIC_SEQ_CST);
}

bool pm_order_enter(struct pm_worker *w, const struct pm_waiter *waiter)
{
    struct pm_order *o = w->order;
    pm_lock(w->ctx.node, &o->latch);
    struct pm_ordered *p = place_of(o, waiter->key);
    PM_ASSERT(p->key == waiter->key && p->held, "an operation enters that was not held");
    p->held--;
    bool leads = !p->unanswered;
    if (leads)
        p->unanswered = 1;
    else
        put_behind(o, p, waiter);
    pm_unlock(w->ctx.node, &o->latch);
    return leads;
}

void pm_order_join(struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    pm_lock(w->ctx.node, &o->latch);
    struct pm_ordered *p = place_of(o, key);
    PM_ASSERT(p->key == key && p->held && p->unanswered && !p->first, "an occurrence joins one that was let go");
    p->held--;
    p->unanswered++;
    pm_unlock(w->ctx.node, &o->latch);
}

void pm_order_fall_behind(struct pm_worker *w, const struct pm_waiter *waiter)
{
    struct pm_order *o = w->order;
    pm_lock(w->ctx.node, &o->latch);
    struct pm_ordered *p = place_of(o, waiter->key);
    PM_ASSERT(p->key == waiter->key && p->unanswered > 1, "an occurrence falls behind that went alone");
    p->unanswered--;
    put_behind(o, p, waiter);
    pm_unlock(w->ctx.node, &o->latch);
}

struct pm_waiter *pm_order_follow(struct pm_ctx *ctx, struct pm_worker *w, const struct pm_waiter *sent)
{
    struct pm_order *o = w->order;
    pm_lock(ctx->node, &o->latch);
    struct pm_ordered *p = place_of(o, sent->key);
    PM_ASSERT(p->key == sent->key && p->unanswered, "an operation was sent that is not the unanswered one");
    struct pm_waiter *next = p->first;
    if (next && next->ref.op == sent->ref.op && next->ref.generation == sent->ref.generation) {
        p->first = next->next;
        p->unanswered++;
        p->pushes += next->kind != PM_OP_PULL;
    } else {
        next = NULL;
    }
    pm_unlock(ctx->node, &o->latch);
    return next;
}

void pm_order_leave(struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    pm_lock(w->ctx.node, &o->latch);
    struct pm_ordered *p = place_of(o, key);
    PM_ASSERT(p->key == key && p->held, "an operation leaves that was not held");
    if (--p->held == 0 && !p->unanswered)
        clear(o, p);
    pm_unlock(w->ctx.node, &o->latch);
}

/* Under the latch: pushes that were behind others are done. */
static void pushed(struct pm_ctx *ctx, struct pm_worker *w, struct pm_ordered *p)
{
    uint32_t left = __atomic_sub_fetch(&w->order->n_pushes, p->pushes, __ATOMIC_SEQ_CST);
    p->pushes = 0;
    if (left == 0)
        pm_wake(ctx, w->index);
}

int pm_order_wait_pushes(struct pm_worker *w)
{
    const struct pm_order *o = w->order;
    while (__atomic_load_n(&o->n_pushes, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        int rc = __atomic_load_n(&o->n_pushes, __ATOMIC_SEQ_CST) ? pm_block(w) : PM_OK;
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

/* An unanswered occurrence of the key is done. Returns the waiter that is the unanswered one now and goes on, if there is one. */
static struct pm_waiter *next_after(struct pm_ctx *ctx, struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    struct pm_waiter *next = NULL;
    pm_lock(ctx->node, &o->latch);
    struct pm_ordered *p = place_of(o, key);
    PM_ASSERT(p->key == key && p->unanswered, "an answer for a key of which nothing is pending");
    if (--p->unanswered == 0) {
        next = p->first;
        if (p->pushes)
            pushed(ctx, w, p);
        if (next) {
            p->first = next->next;
            p->unanswered = 1;
            p->pushes = next->kind != PM_OP_PULL;
        } else if (!p->held) {
            clear(o, p);
        }
    }
    pm_unlock(ctx->node, &o->latch);
    return next;
}

void pm_order_done(struct pm_ctx *ctx, struct pm_worker *w, pm_key key)
{
    struct pm_waiter *next;
    do
        next = next_after(ctx, w, key);
    while (next && !pm_go_on(ctx, next));
}
