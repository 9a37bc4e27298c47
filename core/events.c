/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What became of traced keys at this node, in order, until worker 0 takes it at the end of an epoch. */
#include "core/events.h"

#include <stdlib.h>

#include "core/scratch.h"
#include "core/traced.h"

struct pm_events {
    struct pm_latch latch;
    struct pm_key_event *all;
    size_t n, capacity;
};

static const char *const names[] = {
    [PM_EVENT_OWNED] = "owned",     [PM_EVENT_LEFT] = "left",     [PM_EVENT_REPLICA] = "replica",
    [PM_EVENT_DROPPED] = "dropped", [PM_EVENT_INTENT] = "intent", [PM_EVENT_EXPIRED] = "expired",
};

const char *pm_event_name(enum pm_event what)
{
    return (unsigned)what < sizeof names / sizeof names[0] ? names[what] : "unknown";
}

static void add(struct pm_ctx *ctx, const struct pm_traced_key *key, enum pm_event what)
{
    struct pm_node *node = ctx->node;
    struct pm_events *e = node->events;
    const struct pm_key_event event = {.at_ns = pm_now_ns(ctx), .key = key->key, .rank = key->rank, .what = what};
    pm_lock(node, &e->latch);
    bool room = e->n < PM_EVENTS_MAX && pm_grow(&e->all, &e->capacity, e->n + 1, sizeof *e->all) == PM_OK;
    if (room)
        e->all[e->n++] = event;
    pm_unlock(node, &e->latch);
    if (!room)
        pm_count(&ctx->counters.key_events_left_out, 1);
}

void pm_event_of_traced(struct pm_ctx *ctx, pm_key key, enum pm_event what)
{
    const struct pm_traced_key *traced = pm_traced_at(ctx->node->config.traced, key);
    if (traced)
        add(ctx, traced, what);
}

int pm_events_init(struct pm_node *node)
{
    const struct pm_traced *t = node->config.traced;
    if (!t)
        return PM_OK;
    node->events = calloc(1, sizeof *node->events);
    if (!node->events)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < t->n; i++) {
        if (pm_owner_at_start(node, t->keys[i].key) == node->config.id)
            add(&node->communicator, &t->keys[i], PM_EVENT_OWNED);
        else if (pm_replicated_at(node, t->keys[i].key, node->config.id))
            add(&node->communicator, &t->keys[i], PM_EVENT_REPLICA);
    }
    return PM_OK;
}

void pm_events_fini(struct pm_node *node)
{
    if (node->events)
        free(node->events->all);
    free(node->events);
}

size_t pm_events_take(struct pm_node *node, struct pm_key_event **events)
{
    struct pm_events *e = node->events;
    *events = NULL;
    if (!e)
        return 0;
    pm_lock(node, &e->latch);
    size_t n = e->n;
    *events = e->all;
    e->all = NULL;
    e->n = e->capacity = 0;
    pm_unlock(node, &e->latch);
    return n;
}
