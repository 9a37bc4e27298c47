/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits for keys that are on their way here: operations of this node's workers and requests of others, in one order
 * per key. The queue of kicks (queue.c) is another one: nobody is asked about these, they wait for the value alone. */
#include <stdlib.h>

#include "core/internal.h"

static uint32_t bucket_of(pm_key key)
{
    return (uint32_t)(pm_hash64(key) % PM_ARRIVAL_BUCKETS);
}

int pm_arrivals_init(struct pm_arrivals *a)
{
    a->first = calloc(PM_ARRIVAL_BUCKETS, sizeof(struct pm_waiter *));
    a->last = calloc(PM_ARRIVAL_BUCKETS, sizeof(struct pm_waiter *));
    return a->first && a->last ? PM_OK : PM_E_MEMORY;
}

void pm_arrivals_add(struct pm_ctx *ctx, struct pm_slot *slot, struct pm_waiter *waiter)
{
    struct pm_arrivals *a = &ctx->node->arrivals;
    uint32_t b = bucket_of(waiter->key);
    slot->flags |= PM_SLOT_QUEUED;
    waiter->next = NULL;
    pm_lock(ctx->node, &a->latch);
    if (a->first[b])
        a->last[b]->next = waiter;
    else
        a->first[b] = waiter;
    a->last[b] = waiter;
    __atomic_store_n(&a->n, a->n + 1, __ATOMIC_RELAXED);
    pm_unlock(ctx->node, &a->latch);
}

struct pm_waiter *pm_arrivals_take(struct pm_node *node, pm_key key)
{
    struct pm_arrivals *a = &node->arrivals;
    uint32_t b = bucket_of(key);
    struct pm_waiter *taken = NULL, **end = &taken, *before = NULL;
    pm_lock(node, &a->latch);
    for (struct pm_waiter **at = &a->first[b]; *at;) {
        struct pm_waiter *w = *at;
        if (w->key != key) {
            before = w;
            at = &w->next;
            continue;
        }
        *at = w->next;
        *end = w;
        end = &w->next;
        __atomic_store_n(&a->n, a->n - 1, __ATOMIC_RELAXED);
    }
    *end = NULL;
    a->last[b] = before;
    pm_unlock(node, &a->latch);
    return taken;
}

void pm_arrivals_serve(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot)
{
    slot->flags &= (uint8_t)~PM_SLOT_QUEUED;
    for (struct pm_waiter *w = pm_arrivals_take(ctx->node, key), *next; w; w = next) {
        next = w->next;
        if (w->request) {
            pm_serve_request(ctx, key, slot, w->request);
        } else {
            pm_serve_waiter(ctx, slot, w);
            pm_op_settle(ctx, &w->ref, 1);
        }
        free(w);
    }
}

void pm_arrivals_fini(struct pm_arrivals *a)
{
    for (uint32_t b = 0; a->first && b < PM_ARRIVAL_BUCKETS; b++)
        for (struct pm_waiter *w = a->first[b], *next; w; w = next) {
            next = w->next;
            if (w->request)
                pm_message_free(w->request);
            free(w);
        }
    free(a->first);
    free(a->last);
}
