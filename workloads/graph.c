/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lists that make a graph: triples and names. */
#include "workloads/graph.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

enum { PLACES_MIN = 1024, NAMES_MIN = 512, TEXT_MIN = 4096 };

static bool grow(void **list, uint64_t *capacity, uint64_t least, uint64_t needed, size_t size)
{
    if (needed <= *capacity)
        return true;
    uint64_t more = *capacity + *capacity / 2;
    more = more < least ? least : more;
    more = more < needed ? needed : more;
    void *bigger = realloc(*list, more * size);
    if (bigger == NULL)
        return false;
    *list = bigger;
    *capacity = more;
    return true;
}

static uint64_t hash_of(const char *text, size_t length)
{
    return pm_hash_bytes(text, length, 0);
}

/* Doubles the places; they are at most half full. */
static bool widen(struct names *names)
{
    uint64_t n = names->n_places > 0 ? 2 * names->n_places : PLACES_MIN;
    uint32_t *places = calloc(n, sizeof *places);
    if (places == NULL)
        return false;
    for (uint64_t i = 0; i < names->n; i++) {
        const char *text = names_text(names, i);
        uint64_t at = hash_of(text, strlen(text)) & (n - 1);
        while (places[at] != 0)
            at = (at + 1) & (n - 1);
        places[at] = (uint32_t)(i + 1);
    }
    free(names->places);
    names->places = places;
    names->n_places = n;
    return true;
}

int64_t names_number(struct names *names, const char *text, size_t length)
{
    if (2 * (names->n + 1) > names->n_places && !widen(names))
        return -1;
    uint64_t at = hash_of(text, length) & (names->n_places - 1);
    for (; names->places[at] != 0; at = (at + 1) & (names->n_places - 1)) {
        const char *there = names_text(names, names->places[at] - 1);
        if (strncmp(there, text, length) == 0 && there[length] == '\0')
            return names->places[at] - 1;
    }
    if (!grow((void **)&names->starts, &names->capacity, NAMES_MIN, names->n + 1, sizeof *names->starts) ||
        !grow((void **)&names->text, &names->text_capacity, TEXT_MIN, names->length + length + 1, 1))
        return -1;
    memcpy(names->text + names->length, text, length);
    names->text[names->length + length] = '\0';
    names->starts[names->n] = names->length;
    names->length += length + 1;
    names->places[at] = (uint32_t)++names->n;
    return (int64_t)names->n - 1;
}

void names_free(struct names *names)
{
    free(names->starts);
    free(names->text);
    free(names->places);
    *names = (struct names){0};
}

int graph_reserve(struct graph *g, uint64_t capacity)
{
    void *list = g->triples;
    if (!grow(&list, &g->capacity, 0, capacity, sizeof *g->triples))
        return PM_E_MEMORY;
    g->triples = list;
    return PM_OK;
}

void graph_free(struct graph *g)
{
    free(g->triples);
    names_free(&g->entities);
    names_free(&g->relations);
    *g = (struct graph){0};
}

/* 0: stays, 1: validation, 2: test. */
static int part_of(const struct triple *t, double share, uint64_t seed)
{
    uint64_t hash = pm_hash64_pair(pm_hash64_pair(seed, (uint64_t)t->s << 32 | t->o), t->r);
    double x = (double)hash * 0x1p-64;
    return x < share ? GRAPH_VALID : x < 2 * share ? GRAPH_TEST : GRAPH_TRAIN;
}

int graph_hold_out(struct graph *g, double share, uint64_t seed, struct pm_error *err)
{
    uint64_t n[GRAPH_PARTS] = {0}, at[GRAPH_PARTS];
    if (g->n < 3)
        return pm_error_set(err, PM_E_OPTION, "%d triples are too few: some are held out for the evaluation", (int)g->n);
    uint8_t *parts = malloc(g->n);
    struct triple *sorted = malloc(g->n * sizeof *sorted);
    if (parts == NULL || sorted == NULL) {
        free(parts);
        free(sorted);
        return pm_error_set(err, PM_E_MEMORY, "held-out triples: out of memory");
    }
    for (uint64_t i = 0; i < g->n; i++)
        n[parts[i] = (uint8_t)part_of(&g->triples[i], share, seed)]++;
    for (int part = GRAPH_PARTS - 1; part >= 0; part--) /* the last triples where the hash took none */
        for (uint64_t i = g->n; n[part] == 0 && i-- > 0;)
            if (n[parts[i]] > 1) {
                n[parts[i]]--;
                n[parts[i] = (uint8_t)part]++;
            }
    for (int part = 0; part < GRAPH_PARTS; part++) {
        at[part] = part == 0 ? 0 : g->ends[part - 1];
        g->ends[part] = at[part] + n[part];
    }
    for (uint64_t i = 0; i < g->n; i++)
        sorted[at[parts[i]]++] = g->triples[i];
    memcpy(g->triples, sorted, g->n * sizeof *sorted);
    free(parts);
    free(sorted);
    return PM_OK;
}
