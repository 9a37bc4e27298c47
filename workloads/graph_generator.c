/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generated graphs. Entities are ranked by popularity; rank k, from 0, is in cluster k mod clusters, so that all clusters have
 * the same mixture. The clusters lie on a circle, and each relation leads a fixed way around it: that is what a model can learn. */
#include "workloads/graph.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/distribution.h"
#include "core/rng.h"

enum { DRAWS_PER_TRIPLE_MAX = 200, DRAWS_SPARE = 1000000, BLOCK = 32 };

/* Triples so far: open addressing over a power of two of places; a place holds the triple's number + 1, 0 = free. */
struct triple_set {
    uint32_t *places;
    uint64_t mask;
};

struct generator {
    const struct graph_recipe *recipe;
    struct pm_distribution subjects, relations, objects; /* of ranks */
    uint32_t *entity_of, *relation_of;                   /* rank -> number */
    struct pm_rng draws;
    uint64_t way_seed;
    struct triple_set drawn;
    uint64_t blocks_left;
};

static int triple_set_init(struct triple_set *set, uint64_t n)
{
    uint64_t places = 1024;
    while (places < n + n / 2)
        places *= 2;
    set->places = calloc(places, sizeof *set->places);
    set->mask = places - 1;
    return set->places != NULL ? PM_OK : PM_E_MEMORY;
}

/* Where to look for a triple first. */
static uint64_t place_of(const struct triple_set *set, struct triple t)
{
    return pm_hash64_pair((uint64_t)t.s << 32 | t.o, t.r) & set->mask;
}

/* Adds the triple to the graph, which has room, if it is new. */
static void add_new(struct triple_set *set, struct graph *g, struct triple t, uint64_t at)
{
    for (; set->places[at] != 0; at = (at + 1) & set->mask) {
        const struct triple *there = &g->triples[set->places[at] - 1];
        if (there->s == t.s && there->r == t.r && there->o == t.o)
            return;
    }
    g->triples[g->n++] = t;
    set->places[at] = (uint32_t)g->n;
}

static uint64_t stream_seed(const struct graph_recipe *c, const char *name)
{
    struct pm_rng rng;
    pm_rng_init(&rng, name, c->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    return pm_rng_u64(&rng);
}

static int check_recipe(const struct graph_recipe *c, struct pm_error *err)
{
    if (c->entities < 2 || c->entities > GRAPH_ENTITIES_MAX || c->relations == 0 || c->relations > GRAPH_ENTITIES_MAX)
        return pm_error_set(err, PM_E_OPTION,
                            "a graph of %" PRIu64 " entities and %" PRIu64 " relations (allowed: from 2 and from 1, to %" PRIu64
                            ")",
                            c->entities, c->relations, GRAPH_ENTITIES_MAX);
    if (c->clusters == 0 || c->clusters > c->entities)
        return pm_error_set(err, PM_E_OPTION,
                            "%" PRIu64 " clusters of %" PRIu64 " entities (allowed: from 1, at most one for each)", c->clusters,
                            c->entities);
    double places = (double)c->entities * (double)c->entities * (double)c->relations, n = 0;
    for (int part = 0; part < GRAPH_PARTS; part++)
        n += (double)c->sizes[part];
    if (n > places || n > (double)GRAPH_TRIPLES_MAX)
        return pm_error_set(err, PM_E_OPTION,
                            "%.0f triples in all do not fit into a graph of %" PRIu64 " entities and %" PRIu64
                            " relations (allowed: at most %.0f)",
                            n, c->entities, c->relations, places < (double)GRAPH_TRIPLES_MAX ? places : (double)GRAPH_TRIPLES_MAX);
    return PM_OK;
}

/* Ranks of subject and object, and a relation. */
static struct triple draw(struct generator *g)
{
    const struct graph_recipe *c = g->recipe;
    for (;;) {
        uint64_t subject = pm_distribution_draw(&g->subjects, &g->draws);
        uint64_t relation = g->relation_of[pm_distribution_draw(&g->relations, &g->draws)];
        uint64_t object = pm_distribution_draw(&g->objects, &g->draws);
        if (pm_rng_real(&g->draws) >= c->noise) {
            uint64_t way = pm_hash64_pair(g->way_seed, relation) % c->clusters;
            object += (subject + way) % c->clusters - object % c->clusters;
        }
        if (object < c->entities) /* the last ranks may have no place in some clusters */
            return (struct triple){.s = (uint32_t)subject, .r = (uint32_t)relation, .o = (uint32_t)object};
    }
}

/* Draws some triples and adds those that are new, until there are n. What each step needs of memory is asked for by the step
 * before: to wait for it triple by triple would take most of the time. */
static void add_block(struct generator *g, struct graph *graph, uint64_t n)
{
    struct triple drawn[BLOCK];
    uint64_t at[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        drawn[i] = draw(g);
        __builtin_prefetch(&g->entity_of[drawn[i].s]);
        __builtin_prefetch(&g->entity_of[drawn[i].o]);
    }
    for (int i = 0; i < BLOCK; i++) {
        drawn[i].s = g->entity_of[drawn[i].s];
        drawn[i].o = g->entity_of[drawn[i].o];
        at[i] = place_of(&g->drawn, drawn[i]);
        __builtin_prefetch(&g->drawn.places[at[i]], 1);
    }
    for (int i = 0; i < BLOCK; i++)
        if (g->drawn.places[at[i]] != 0)
            __builtin_prefetch(&graph->triples[g->drawn.places[at[i]] - 1]);
    for (int i = 0; i < BLOCK && graph->n < n; i++)
        add_new(&g->drawn, graph, drawn[i], at[i]);
}

/* A table of where a permutation leads: to walk it for each triple anew would take longer than all else. */
static uint32_t *scatter(uint64_t n, uint64_t seed)
{
    struct pm_permutation permutation;
    uint32_t *table = malloc(n * sizeof *table);
    pm_permutation_init(&permutation, n, seed);
    for (uint64_t rank = 0; table != NULL && rank < n; rank++)
        table[rank] = (uint32_t)pm_permutation_apply(&permutation, rank);
    return table;
}

static int prepare(struct generator *g, struct graph *graph, uint64_t n, struct pm_error *err)
{
    const struct graph_recipe *c = g->recipe;
    int rc = pm_distribution_zipf(&g->subjects, 0, c->entities, c->subject_skew, err);
    if (rc == PM_OK)
        rc = pm_distribution_zipf(&g->objects, 0, c->entities, c->skew, err);
    if (rc == PM_OK)
        rc = pm_distribution_zipf(&g->relations, 0, c->relations, c->relation_skew, err);
    if (rc != PM_OK)
        return rc;
    pm_rng_init(&g->draws, "graph.triples", c->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    g->way_seed = stream_seed(c, "graph.ways");
    g->blocks_left = (n * DRAWS_PER_TRIPLE_MAX + DRAWS_SPARE) / BLOCK;
    g->entity_of = scatter(c->entities, stream_seed(c, "graph.entities"));
    g->relation_of = scatter(c->relations, stream_seed(c, "graph.relations"));
    if (g->entity_of == NULL || g->relation_of == NULL || triple_set_init(&g->drawn, n) != PM_OK ||
        graph_reserve(graph, n) != PM_OK)
        return pm_error_set(err, PM_E_MEMORY, "%" PRIu64 " generated triples: out of memory", n);
    return PM_OK;
}

static int fill(struct generator *g, struct graph *graph, uint64_t n, struct pm_error *err)
{
    while (graph->n < n) {
        if (g->blocks_left-- == 0)
            return pm_error_set(err, PM_E_OPTION,
                                "drawing finds too few different triples: only %" PRIu64 " of %" PRIu64
                                "; take fewer triples, less skew or more noise",
                                graph->n, n);
        add_block(g, graph, n);
    }
    return PM_OK;
}

int graph_generate(const struct graph_recipe *recipe, struct graph *g, struct pm_error *err)
{
    struct generator state = {.recipe = recipe};
    uint64_t n = 0;
    int rc = check_recipe(recipe, err);
    if (rc != PM_OK)
        return rc;
    for (int part = 0; part < GRAPH_PARTS; part++)
        g->ends[part] = n += recipe->sizes[part];
    g->n_entities = recipe->entities;
    g->n_relations = recipe->relations;
    rc = prepare(&state, g, n, err);
    if (rc == PM_OK)
        rc = fill(&state, g, n, err);
    free(state.drawn.places);
    free(state.entity_of);
    free(state.relation_of);
    if (rc != PM_OK)
        graph_free(g);
    return rc;
}
