/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Knowledge graphs - sets of triples (subject, relation, object) in three parts, to train, to validate and to test - and where
 * they come from: files and a generator.
 *
 * A struct graph belongs to whoever fills it; once filled any thread may read it. */
#ifndef PM_WORKLOADS_GRAPH_H
#define PM_WORKLOADS_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

#define GRAPH_TRIPLES_MAX  UINT64_C(0xfffffffe)
#define GRAPH_ENTITIES_MAX (UINT64_C(1) << 31)

struct triple {
    uint32_t s, r, o; /* numbers from 0 */
};

enum graph_part { GRAPH_TRAIN, GRAPH_VALID, GRAPH_TEST, GRAPH_PARTS };

/* Names in the order of their first occurrence: a name's number is its place. */
struct names {
    uint64_t n, capacity;
    uint64_t *starts; /* of each name in `text` */
    char *text;       /* names one after another, each ended by a zero byte */
    uint64_t length, text_capacity;
    uint32_t *places; /* open addressing over a power of two: number + 1, 0 = free */
    uint64_t n_places;
};

/* All zero bytes are an empty graph. */
struct graph {
    uint64_t n_entities, n_relations;
    struct triple *triples; /* the parts one after another */
    uint64_t n, capacity;
    uint64_t ends[GRAPH_PARTS];       /* of each part in `triples` */
    struct names entities, relations; /* empty when the graph was generated: names are the numbers */
};

static inline uint64_t graph_begin(const struct graph *g, enum graph_part part)
{
    return part == GRAPH_TRAIN ? 0 : g->ends[part - 1];
}

static inline uint64_t graph_size(const struct graph *g, enum graph_part part)
{
    return g->ends[part] - graph_begin(g, part);
}

/* Number of a name, which is added when it is new; -1 when out of memory. */
int64_t names_number(struct names *names, const char *text, size_t length);
/* A name of a list that is not empty. */
static inline const char *names_text(const struct names *names, uint64_t number)
{
    return names->text + names->starts[number];
}
void names_free(struct names *names);

/* Room for at least `capacity` triples. PM_E_MEMORY; the graph is unchanged then. */
int graph_reserve(struct graph *g, uint64_t capacity);
void graph_free(struct graph *g);

/* Reads files into an empty graph: paths of the parts, NULL for a part that is to be empty (not the first). Lines are subject
 * TAB relation TAB object, any text without tabulators and line ends; they may end with CR LF, blank ones are passed over. Entities
 * and relations are numbered as they first occur, whatever part they occur in. PM_E_FILE with "FILE:LINE: what",
 * PM_E_MEMORY; the graph is empty again after an error. */
int graph_read(const char *const paths[GRAPH_PARTS], struct graph *g, struct pm_error *err);
/* The same from files that are open and stay so, NULL for a part that is to be empty; paths are for messages. */
int graph_read_from(FILE *const files[GRAPH_PARTS], const char *const paths[GRAPH_PARTS], struct graph *g, struct pm_error *err);
/* Moves about `share` of the training triples, at least one of each, to the empty parts for validation and for testing. Which
 * ones is a function of the seed and of the triple. PM_E_OPTION when nothing would be left, PM_E_MEMORY. */
int graph_hold_out(struct graph *g, double share, uint64_t seed, struct pm_error *err);

/* A generated graph of distinct triples. Subjects, relations and objects have the popularities of Zipf distributions, whose ranks
 * are scattered over the numbers. Entities are divided into clusters of equal size and equal mixture of popularities; each
 * relation leads from each cluster to one other, and an object is drawn from the cluster that the relation leads to, or, in a
 * share `noise` of the triples, from all entities: so there is something to learn. Everything is a function of these fields. */
struct graph_recipe {
    uint64_t entities, relations;
    uint64_t sizes[GRAPH_PARTS];
    double subject_skew, relation_skew, skew; /* Zipf exponents; skew: of objects */
    uint64_t clusters;
    double noise;
    uint64_t seed;
};
/* Fills an empty graph. PM_E_OPTION when there are not so many triples, or they cannot be found by drawing; PM_E_MEMORY. */
int graph_generate(const struct graph_recipe *recipe, struct graph *g, struct pm_error *err);

#endif
