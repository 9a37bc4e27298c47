/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lapse: dynamic allocation. A key that a worker is about to access moves to that worker's node, at once for a localize
 * hint, `ahead` clocks before an intent begins; until it is here accesses to it wait, and then they are local. (Renz-Wieland
 * et al., Dynamic Parameter Allocation in Parameter Servers, PVLDB 13(12), 2020.) */
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"
#include "policies/placement.h"

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

struct lapse {
    pm_clock ahead;
    uint32_t n_workers;
    struct lapse_worker *workers;
};

static const struct pm_option options_table[] = {
    {.name = "fast_local", .type = PM_OPT_BOOL, .def = "1", .help = "workers access keys of their own node directly"},
    {.name = "location_cache",
     .type = PM_OPT_BOOL,
     .def = "0",
     .help = "ask the last owner that was heard of first, not the home (asynchronous operations are then only eventual)"},
    {.name = "ahead",
     .type = PM_OPT_COUNT,
     .def = "1",
     .help = "batches before its first clock at which an intent is acted on",
     .max = 1e9},
    PLACEMENT_OPTION("hash"),
    {0},
};

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct lapse *l = state;
    bool cache = pm_values_bool(options, "location_cache");
    l->ahead = (pm_clock)pm_values_count(options, "ahead");
    traits->group = true;
    traits->ranges = placement_by_ranges(options);
    traits->shared_memory = pm_values_bool(options, "fast_local");
    traits->relocates = true;
    traits->location_cache = cache;
    traits->promise_sync = PM_SEQUENTIAL;
    traits->promise_async = cache ? PM_EVENTUAL : PM_SEQUENTIAL;
    if (!node)
        return PM_OK;
    l->n_workers = pm_node_workers(node);
    l->workers = calloc(l->n_workers, sizeof *l->workers);
    return l->workers ? PM_OK : pm_error_set(err, PM_E_MEMORY, "lapse: out of memory for %u workers", l->n_workers);
}

static void fini(struct pm_node *node, void *state)
{
    struct lapse *l = state;
    (void)node;
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

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    const struct lapse *l = state;
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
static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    const struct lapse *l = state;
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

const struct pm_policy pm_policy_lapse = {
    .abi = PM_POLICY_ABI,
    .name = "lapse",
    .summary = "dynamic allocation: keys move to the node that is about to access them",
    .options = options_table,
    .node_bytes = sizeof(struct lapse),
    .init = init,
    .fini = fini,
    .hint = hint,
    .advance = advance,
};
