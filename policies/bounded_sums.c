/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of pushes: one per key and iteration, as long as the iteration is not done. A key's sums hang at its slot, in the
 * order of their iterations; those of one iteration also hang together, for when it is done. A sum leaves its key when it is
 * applied, and is freed with its group. */
#include <stdlib.h>
#include <string.h>

#include "policies/bounded.h"

struct sum {
    struct sum *later; /* of the same key */
    struct sum *next;  /* of the same iteration */
    uint64_t iteration, pushes;
    pm_key key;
    float values[];
};

struct bounded_group {
    struct bounded_group *next;
    uint64_t iteration;
    struct sum *first, **end;
};

static struct sum **sums_of(struct pm_ctx *ctx, const struct pm_slot *slot)
{
    return pm_key_private(ctx, slot);
}

static size_t bytes_of(const struct pm_node *node, pm_key key)
{
    return sizeof(struct sum) + sizeof(float) * pm_key_floats(node, key);
}

/* Modelled: with values, whether stored or not. */
static int64_t modelled(const struct pm_node *node, pm_key key)
{
    return (int64_t)(sizeof(struct sum) + sizeof(float) * pm_key_length(node, key));
}

/* Under the sums' latch. */
static struct bounded_group *group_of(struct bounded_sums *s, uint64_t iteration)
{
    struct bounded_group **at = &s->groups;
    while (*at && (*at)->iteration < iteration)
        at = &(*at)->next;
    if (*at && (*at)->iteration == iteration)
        return *at;
    struct bounded_group *g = malloc(sizeof *g);
    PM_ASSERT(g, "out of memory for the sums of an iteration");
    *g = (struct bounded_group){.next = *at, .iteration = iteration, .end = &g->first};
    *at = g;
    return g;
}

/* A sum of no pushes yet, at its place among the key's. */
static struct sum *begin(struct bounded_sums *s, struct pm_node *node, pm_key key, struct sum **at, uint64_t iteration)
{
    struct sum *sum = calloc(1, bytes_of(node, key));
    PM_ASSERT(sum, "out of memory for the sum of an iteration");
    sum->iteration = iteration;
    sum->key = key;
    sum->later = *at;
    *at = sum;
    pm_memory_taken(node, modelled(node, key));
    pm_latch_take(node, &s->latch);
    struct bounded_group *g = group_of(s, iteration);
    *g->end = sum;
    g->end = &sum->next;
    pm_latch_give(node, &s->latch);
    return sum;
}

void bounded_sums_add(struct bounded_sums *s, struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t iteration,
                      const float *update)
{
    struct pm_node *node = pm_ctx_node(ctx);
    struct sum **at = sums_of(ctx, slot);
    while (*at && (*at)->iteration < iteration)
        at = &(*at)->later;
    struct sum *sum = *at;
    if (!sum || sum->iteration != iteration)
        sum = begin(s, node, key, at, iteration);
    uint32_t n = pm_key_floats(node, key);
    for (uint32_t i = 0; i < n; i++)
        sum->values[i] += update[i];
    sum->pushes++;
}

void bounded_sums_apply(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t before)
{
    struct sum **first = sums_of(ctx, slot);
    while (*first && (*first)->iteration < before) {
        struct sum *sum = *first;
        *first = sum->later;
        pm_apply(ctx, key, slot, sum->values, sum->pushes);
    }
}

void bounded_sums_flush(struct bounded_sums *s, struct pm_ctx *ctx, uint64_t before)
{
    struct pm_node *node = pm_ctx_node(ctx);
    struct bounded_group *done = NULL, **end = &done;
    pm_latch_take(node, &s->latch);
    while (s->groups && s->groups->iteration < before) {
        *end = s->groups;
        end = &s->groups->next;
        s->groups = s->groups->next;
    }
    *end = NULL;
    pm_latch_give(node, &s->latch);
    for (struct bounded_group *g = done, *next_group; g; g = next_group) {
        next_group = g->next;
        for (struct sum *sum = g->first, *next; sum; sum = next) {
            next = sum->next;
            struct pm_slot *slot = pm_slot_open(ctx, sum->key);
            bounded_sums_apply(ctx, sum->key, slot, before);
            pm_slot_close(ctx, slot);
            pm_memory_taken(node, -modelled(node, sum->key));
            free(sum);
        }
        free(g);
    }
}

double bounded_sums_first(const void *private_bytes)
{
    double sum = 0;
    for (const struct sum *s = *(struct sum *const *)private_bytes; s; s = s->later)
        sum += (double)s->values[0];
    return sum;
}

void bounded_sums_fini(struct bounded_sums *s)
{
    for (struct bounded_group *g = s->groups, *next_group; g; g = next_group) {
        next_group = g->next;
        for (struct sum *sum = g->first, *next; sum; sum = next) {
            next = sum->next;
            free(sum);
        }
        free(g);
    }
    s->groups = NULL;
}
