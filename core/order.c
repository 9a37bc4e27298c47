/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order of one worker's asynchronous operations on one key, where keys move.
 *
 * An operation that was sent may still be on its way, forwarded, when the key arrives at the worker's own node, or when a
 * later operation takes a shorter way: so a later one on the same key waits until the earlier one is answered (Lapse's
 * asynchronous operations promise no less, but do not keep it when a route is chosen before and used after a relocation). */
#include <stdlib.h>

#include "core/internal.h"

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

/* Frees a place and moves those behind it up, so that every key is still found from its own place on. */
static void clear(struct pm_order *o, struct pm_ordered *p)
{
    uint32_t hole = (uint32_t)(p - o->table);
    for (uint32_t at = (hole + 1) & o->mask; o->table[at].key != PM_KEY_NONE; at = (at + 1) & o->mask) {
        uint32_t own = (uint32_t)pm_hash64(o->table[at].key) & o->mask;
        if (((at - own) & o->mask) < ((at - hole) & o->mask))
            continue; /* its own place is behind the hole */
        o->table[hole] = o->table[at];
        hole = at;
    }
    o->table[hole].key = PM_KEY_NONE;
    __atomic_store_n(&o->n, o->n - 1, __ATOMIC_RELEASE);
}

/* Under the latch. */
static void insert(struct pm_order *o, pm_key key)
{
    if (2 * (o->n + 1) > o->mask)
        grow(o);
    *place_of(o, key) = (struct pm_ordered){.key = key};
    __atomic_store_n(&o->n, o->n + 1, __ATOMIC_RELEASE);
}

bool pm_order_pending(const struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    if (__atomic_load_n(&o->n, __ATOMIC_ACQUIRE) == 0)
        return false; /* only this worker adds */
    pm_lock(w->ctx.node, &o->latch);
    bool pending = place_of(o, key)->key == key;
    pm_unlock(w->ctx.node, &o->latch);
    return pending;
}

bool pm_order_begin(struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    pm_lock(w->ctx.node, &o->latch);
    bool begins = place_of(o, key)->key != key;
    if (begins)
        insert(o, key);
    pm_unlock(w->ctx.node, &o->latch);
    return begins;
}

bool pm_order_behind(struct pm_worker *w, const struct pm_waiter *waiter)
{
    struct pm_order *o = w->order;
    struct pm_waiter *copy = malloc(sizeof *copy);
    PM_ASSERT(copy, "out of memory for a waiting operation");
    *copy = *waiter;
    copy->next = NULL;
    pm_lock(w->ctx.node, &o->latch);
    struct pm_ordered *p = place_of(o, waiter->key);
    bool pending = p->key == waiter->key;
    if (!pending)
        insert(o, waiter->key);
    else if (p->first)
        p->last = p->last->next = copy;
    else
        p->first = p->last = copy;
    pm_unlock(w->ctx.node, &o->latch);
    if (!pending)
        free(copy);
    return pending;
}

void pm_order_done(struct pm_ctx *ctx, struct pm_worker *w, pm_key key)
{
    struct pm_order *o = w->order;
    for (;;) {
        pm_lock(ctx->node, &o->latch);
        struct pm_ordered *p = place_of(o, key);
        PM_ASSERT(p->key == key, "an answer for a key of which nothing is pending");
        struct pm_waiter *next = p->first;
        if (next)
            p->first = next->next;
        else
            clear(o, p);
        pm_unlock(ctx->node, &o->latch);
        if (!next || pm_go_on(ctx, next))
            return;
    }
}
