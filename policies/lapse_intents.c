/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents that wait for their time are kept by core; what is due at the same time moves together. */
#include "policies/lapse_intents.h"

#include <stdlib.h>
#include <string.h>

/* Of one worker, touched by it alone. */
struct lapse_worker {
    pm_key *due; /* scratch */
    size_t n_due, due_capacity;
    char padding[40]; /* a cache line each */
};

int lapse_intents_init(struct lapse_intents *l, const struct pm_node *node, pm_clock ahead, struct pm_error *err)
{
    l->ahead = ahead;
    l->workers = calloc(pm_node_workers(node), sizeof *l->workers);
    if (!l->workers)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for the intents of %u workers", pm_node_workers(node));
    l->n_workers = pm_node_workers(node);
    return PM_OK;
}

void lapse_intents_fini(struct lapse_intents *l)
{
    for (uint32_t i = 0; i < l->n_workers; i++)
        free(l->workers[i].due);
    free(l->workers);
}

void lapse_intents_hint(struct pm_ctx *ctx, const struct lapse_intents *l, struct pm_worker *worker, const pm_key *keys, size_t n,
                        pm_clock start, pm_clock end)
{
    pm_clock now = pm_worker_clock(worker);
    bool never = start != PM_CLOCK_NOW && (start >= end || end <= now);
    if (!never && start <= now + l->ahead)
        pm_localize_keys(ctx, keys, n);
    else if (!never)
        pm_intent_keep(worker, keys, n, start, end);
}

static void add_due(struct pm_ctx *ctx, void *arg, const pm_key *keys, size_t n, pm_clock start, pm_clock end)
{
    (void)ctx, (void)start, (void)end;
    struct lapse_worker *w = arg;
    if (w->n_due + n > w->due_capacity) {
        size_t capacity = 2 * (w->n_due + n);
        pm_key *due = realloc(w->due, capacity * sizeof *due);
        PM_ASSERT(due, "out of memory for %zu keys", capacity);
        w->due = due;
        w->due_capacity = capacity;
    }
    memcpy(w->due + w->n_due, keys, n * sizeof *keys);
    w->n_due += n;
}

/* The worker's clock is about to be c: all that is due then moves, in one message per destination. */
void lapse_intents_advance(struct pm_ctx *ctx, const struct lapse_intents *l, struct pm_worker *worker, pm_clock c)
{
    struct lapse_worker *w = &l->workers[pm_worker_index(worker)];
    w->n_due = 0;
    pm_intents_take(ctx, worker, c + l->ahead, add_due, w);
    if (w->n_due)
        pm_localize_keys(ctx, w->due, w->n_due);
}
