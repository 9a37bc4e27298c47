/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents that wait for their time, per worker. */
#include "policies/lapse_intents.h"

#include <stdlib.h>
#include <string.h>

/* Keys that a worker will access from its clock `start` on. */
struct intent {
    struct intent *next;
    pm_clock start;
    size_t n;
    pm_key keys[];
};

/* Of one worker, touched by it alone. */
struct lapse_worker {
    struct intent *first, *last; /* not acted on yet, by rising start */
    pm_key *due;                 /* scratch */
    size_t due_capacity;
    char padding[32]; /* a cache line each */
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
    for (uint32_t i = 0; i < l->n_workers; i++) {
        for (struct intent *t = l->workers[i].first, *next; t; t = next) {
            next = t->next;
            free(t);
        }
        free(l->workers[i].due);
    }
    free(l->workers);
}

/* Keeps an intent for later, behind those that begin no later: usually the last place. */
static void keep(struct lapse_worker *w, const pm_key *keys, size_t n, pm_clock start)
{
    struct intent *t = malloc(sizeof *t + n * sizeof *keys);
    PM_ASSERT(t, "out of memory for an intent of %zu keys", n);
    t->start = start;
    t->n = n;
    memcpy(t->keys, keys, n * sizeof *keys);
    struct intent **at = &w->first;
    if (w->last && w->last->start <= start)
        at = &w->last->next;
    while (*at && (*at)->start <= start)
        at = &(*at)->next;
    t->next = *at;
    *at = t;
    if (!t->next)
        w->last = t;
}

void lapse_intents_hint(struct pm_ctx *ctx, const struct lapse_intents *l, struct pm_worker *worker, const pm_key *keys, size_t n,
                        pm_clock start, pm_clock end)
{
    pm_clock now = pm_worker_clock(worker);
    bool never = start != PM_CLOCK_NOW && (start >= end || end <= now);
    if (!never && start <= now + l->ahead)
        pm_localize_keys(ctx, keys, n);
    else if (!never)
        keep(&l->workers[pm_worker_index(worker)], keys, n, start);
}

static void add_due(struct lapse_worker *w, size_t *n_due, const struct intent *t)
{
    if (*n_due + t->n > w->due_capacity) {
        size_t capacity = 2 * (*n_due + t->n);
        pm_key *due = realloc(w->due, capacity * sizeof *due);
        PM_ASSERT(due, "out of memory for %zu keys", capacity);
        w->due = due;
        w->due_capacity = capacity;
    }
    memcpy(w->due + *n_due, t->keys, t->n * sizeof *t->keys);
    *n_due += t->n;
}

/* The worker's clock is about to be c: all that is due then moves, in one message per destination. */
void lapse_intents_advance(struct pm_ctx *ctx, const struct lapse_intents *l, struct pm_worker *worker, pm_clock c)
{
    struct lapse_worker *w = &l->workers[pm_worker_index(worker)];
    size_t n_due = 0;
    while (w->first && w->first->start <= c + l->ahead) {
        struct intent *t = w->first;
        add_due(w, &n_due, t);
        w->first = t->next;
        free(t);
    }
    if (!w->first)
        w->last = NULL;
    if (n_due)
        pm_localize_keys(ctx, w->due, n_due);
}
