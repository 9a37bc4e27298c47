/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which worker trains on which triples, and in which order.
 *
 * partition=random: the triples are shuffled once and dealt out in equal shares. partition=relations: they are sorted by their
 * relations, each node takes an equal share of the sorted list, and its workers take the triples of it in turns; a relation then
 * belongs to one node, or at the limits of the shares to two, and is localized by the one that has most of its triples. In both
 * cases each worker goes through its triples in an order drawn anew for each epoch. */
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "workloads/kge.h"

/* Ends of the share of `part` in n things that are divided evenly. */
static uint64_t share_begin(uint64_t n, uint64_t part, uint64_t parts)
{
    return (uint64_t)((unsigned __int128)n * part / parts);
}

static void sort_by_relation(const struct graph *g, uint64_t n, uint64_t *starts, uint32_t *sorted)
{
    for (uint64_t i = 0; i < n; i++)
        starts[g->triples[i].r + 1]++;
    for (uint64_t r = 0; r < g->n_relations; r++)
        starts[r + 1] += starts[r];
    for (uint64_t i = 0; i < n; i++)
        sorted[starts[g->triples[i].r]++] = (uint32_t)i;
    memmove(starts + 1, starts, g->n_relations * sizeof *starts);
    starts[0] = 0;
}

/* The node with most of the triples at [first, end) of the sorted list; the first one of several. */
static uint32_t node_with_most(uint64_t first, uint64_t end, uint64_t n, uint32_t nodes)
{
    uint32_t best = 0;
    uint64_t most = 0;
    for (uint32_t node = 0; node < nodes; node++) {
        uint64_t from = share_begin(n, node, nodes), to = share_begin(n, node + 1, nodes);
        from = from < first ? first : from;
        to = to > end ? end : to;
        if (to > from && to - from > most) {
            most = to - from;
            best = node;
        }
    }
    return best;
}

int kge_divide(struct kge_state *s, struct pm_error *err)
{
    const struct graph *g = &s->graph;
    uint64_t n = graph_size(g, GRAPH_TRAIN);
    if (!s->by_relation) {
        pm_permutation_init(&s->order, n, s->order_seed);
        return PM_OK;
    }
    uint64_t *starts = calloc(g->n_relations + 1, sizeof *starts);
    s->by_relations = malloc(n * sizeof *s->by_relations);
    s->relation_nodes = calloc(g->n_relations, sizeof *s->relation_nodes);
    int rc = PM_E_MEMORY;
    if (starts != NULL && s->by_relations != NULL && s->relation_nodes != NULL) {
        sort_by_relation(g, n, starts, s->by_relations);
        for (uint64_t r = 0; r < g->n_relations; r++)
            s->relation_nodes[r] = node_with_most(starts[r], starts[r + 1], n, s->task.nodes);
        rc = PM_OK;
    }
    free(starts);
    return rc == PM_OK ? PM_OK : pm_error_set(err, rc, "triples by relation: out of memory");
}

/* Place in the graph of the worker's i-th triple of the epoch. */
static uint64_t place_of(const struct kge_state *s, const struct kge_worker *w, uint64_t i)
{
    uint64_t n = graph_size(&s->graph, GRAPH_TRAIN), at = pm_permutation_apply(&w->order, i);
    if (!s->by_relation)
        return pm_permutation_apply(&s->order, share_begin(n, w->rank, s->ranks) + at);
    uint32_t workers = s->task.workers, node = w->rank / workers, index = w->rank % workers;
    return s->by_relations[share_begin(n, node, s->task.nodes) + at * workers + index];
}

struct triple kge_triple_at(const struct kge_state *s, const struct kge_worker *w, uint64_t i)
{
    return s->graph.triples[place_of(s, w, i)];
}

/* Finds the first triple of the next batch, and has it on its way to the cache until then. */
static void find_next(const struct kge_state *s, struct kge_worker *w)
{
    if (w->stream.next == w->n_triples)
        return;
    w->stream.place = place_of(s, w, w->stream.next);
    __builtin_prefetch(&s->graph.triples[w->stream.place]);
}

static uint64_t triples_of(const struct kge_state *s, uint32_t rank)
{
    uint64_t n = graph_size(&s->graph, GRAPH_TRAIN);
    if (!s->by_relation)
        return share_begin(n, rank + 1, s->ranks) - share_begin(n, rank, s->ranks);
    uint32_t workers = s->task.workers, node = rank / workers, index = rank % workers;
    uint64_t own = share_begin(n, node + 1, s->task.nodes) - share_begin(n, node, s->task.nodes);
    return (own + workers - 1 - index) / workers;
}

uint64_t kge_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    const struct kge_state *s = state;
    struct kge_worker *w = ws;
    w->n_triples = triples_of(s, w->rank);
    w->stream.next = 0;
    w->stream.hints = epoch == 0 && s->by_relation && s->task.nodes > 1 && w->rank % s->task.workers == 0;
    uint64_t seed = pm_hash64_pair(pm_hash64_pair(s->order_seed, w->rank), s->epochs_before + epoch);
    if (w->n_triples > 0)
        pm_permutation_init(&w->order, w->n_triples, seed);
    find_next(s, w);
    return (w->n_triples + s->batch - 1) / s->batch;
}

static int hint_relations(const struct kge_state *s, struct kge_worker *w, struct pm_batch *batch)
{
    uint32_t node = w->rank / s->task.workers, n = 0;
    for (uint64_t r = 0; r < s->graph.n_relations; r++)
        n += s->relation_nodes[r] == node;
    pm_key *keys = pm_batch_localize(batch, n * s->rows);
    if (keys == NULL && n > 0)
        return PM_E_MEMORY;
    for (uint32_t r = 0; r < s->graph.n_relations; r++)
        for (uint32_t row = 0; s->relation_nodes[r] == node && row < s->rows; row++)
            *keys++ = kge_relation_key(s, r) + row;
    w->stream.hints = false;
    return PM_OK;
}

static pm_key *put_relation(const struct kge_state *s, uint32_t relation, pm_key *keys)
{
    for (uint32_t row = 0; row < s->rows; row++)
        *keys++ = kge_relation_key(s, relation) + row;
    return keys;
}

/* The keys of each step anew: those of the triple, then for each negative object (s, r), then for each negative subject (r, o). */
static int fill_stepwise(const struct kge_state *s, struct pm_batch *batch)
{
    const struct kge_item *item = batch->item;
    struct triple t = item->triple;
    pm_key *keys = pm_batch_keys(batch, 2 + s->rows + 2 * s->negatives * (1 + s->rows));
    if (keys == NULL)
        return PM_E_MEMORY;
    for (uint32_t j = 0; j <= s->negatives; j++) {
        *keys++ = t.s;
        keys = put_relation(s, t.r, keys);
        if (j == 0)
            *keys++ = t.o;
    }
    for (uint32_t j = 0; j < s->negatives; j++) {
        keys = put_relation(s, t.r, keys);
        *keys++ = t.o;
    }
    return PM_OK;
}

int kge_next(const void *state, void *ws, struct pm_batch *batch)
{
    const struct kge_state *s = state;
    struct kge_worker *w = ws;
    struct kge_item *item = batch->item;
    uint64_t left = w->n_triples - w->stream.next;
    *item = (struct kge_item){.first = w->stream.next, .n_triples = left < s->batch ? (uint32_t)left : s->batch};
    item->triple = s->graph.triples[w->stream.place];
    w->stream.next += item->n_triples;
    find_next(s, w);
    batch->barrier_before = false;
    batch->n_localize = 0;
    batch->distribution = 0;
    batch->n_samples = 2 * s->negatives * (s->shared ? 1 : item->n_triples);
    int rc = w->stream.hints ? hint_relations(s, w, batch) : PM_OK;
    if (rc != PM_OK || s->stepwise)
        return rc != PM_OK ? rc : fill_stepwise(s, batch);
    kge_slots_fill(s, w, item, &w->stream.slots);
    pm_key *keys = pm_batch_keys(batch, w->stream.slots.n_keys);
    if (keys == NULL)
        return PM_E_MEMORY;
    kge_slots_keys(s, &w->stream.slots, keys);
    return PM_OK;
}
