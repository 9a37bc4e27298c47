/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reuse of samples: draws come in groups, and each group is gone through so many times, in a fresh random order each time.
 *
 * Which group a sample will come from is known when it is announced. The policy hears of a group's keys while the group
 * before still has one pass to go (or earlier: samples are announced early), for all the clocks in which the group will be in
 * use if samples go on at the pace of that announcement. */
#include "core/sample_pool.h"

#include <math.h>
#include <stdlib.h>

#include "core/local.h"

struct group {
    struct group *next;
    uint32_t passes; /* still to be begun */
    pm_key keys[];
};

struct pm_sample_pool {
    struct group *first, *last; /* the one in use, and those drawn ahead */
    uint64_t left;              /* announced samples that were not pulled */
    uint64_t ready;             /* samples in the present pass and in all passes to come */
    /* The present pass: order[head..tail). What stands behind the first `group` places was put off before. */
    pm_key *order;
    uint32_t head, tail;
};

struct pm_sample_pool *pm_sample_pool_new(const struct pm_sampling *s)
{
    struct pm_sample_pool *p = calloc(1, sizeof *p);
    if (p)
        p->order = malloc(2ul * s->group * sizeof *p->order);
    if (p && !p->order) {
        free(p);
        return NULL;
    }
    return p;
}

void pm_sample_pool_free(struct pm_sample_pool *p)
{
    if (!p)
        return;
    for (struct group *g = p->first, *next; g; g = next) {
        next = g->next;
        free(g);
    }
    free(p->order);
    free(p);
}

static struct group *draw_group(struct pm_worker *w, struct pm_sample_pool *p, const struct pm_distribution *d)
{
    const struct pm_sampling *s = &w->ctx.node->traits.sampling;
    struct group *g = malloc(sizeof *g + s->group * sizeof *g->keys);
    if (!g)
        return NULL;
    *g = (struct group){.passes = s->reuse};
    for (uint32_t i = 0; i < s->group; i++)
        g->keys[i] = pm_distribution_draw(d, &w->sample_rng);
    if (p->last)
        p->last->next = g;
    else
        p->first = g;
    p->last = g;
    p->ready += (uint64_t)s->group * s->reuse;
    return g;
}

/* The clock at which a group is used up, if each announcement of (end - start) clocks is for n samples. */
static pm_clock end_of_use(const struct pm_sampling *s, size_t n, pm_clock start, pm_clock end)
{
    double clocks = ceil((double)s->group * (s->reuse + 1.0) / (double)n) * (double)(end - start);
    return clocks < 0x1p62 - (double)start ? start + (pm_clock)clocks : PM_CLOCK_INFINITE;
}

int pm_sample_pool_announce(struct pm_worker *w, struct pm_sample_pool *p, const struct pm_distribution *d, size_t n,
                            pm_clock start, pm_clock end)
{
    const struct pm_sampling *s = &w->ctx.node->traits.sampling;
    p->left += n;
    while (p->ready < p->left + s->group) {
        const struct group *g = draw_group(w, p, d);
        int rc = g ? pm_intent(w, g->keys, s->group, start, end_of_use(s, n, start, end)) : PM_E_MEMORY;
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

/* Begins the next pass. Samples that were announced are never more than those ready. */
static void begin_pass(struct pm_worker *w, struct pm_sample_pool *p)
{
    struct group *g = p->first;
    const uint32_t n = w->ctx.node->traits.sampling.group;
    if (g->passes == 0) {
        PM_ASSERT(g->next, "a sample was pulled that was not announced");
        p->first = g->next;
        free(g);
        g = p->first;
    }
    g->passes--;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t other = (uint32_t)pm_rng_below(&w->order_rng, i + 1u);
        pm_key key = g->keys[i];
        g->keys[i] = g->keys[other];
        g->keys[other] = key;
    }
    memcpy(p->order, g->keys, n * sizeof *p->order);
    p->head = 0;
    p->tail = n;
}

/* The next sample of the pass; under `postpone` one that is not here goes to the end, once, if another can come first. */
static pm_key next_sample(struct pm_worker *w, struct pm_sample_pool *p, uint64_t *postponed)
{
    const struct pm_sampling *s = &w->ctx.node->traits.sampling;
    if (p->head == p->tail)
        begin_pass(w, p);
    pm_key key = p->order[p->head++];
    bool movable = s->scheme == PM_SAMPLING_POSTPONE && p->head <= s->group && p->head < p->tail;
    if (movable && !pm_key_is_here(w->ctx.node, key)) {
        p->order[p->tail++] = key;
        key = p->order[p->head++];
        ++*postponed;
    }
    p->ready--;
    p->left--;
    return key;
}

void pm_sample_pool_take(struct pm_worker *w, struct pm_sample_pool *p, pm_key *keys, size_t n)
{
    uint64_t postponed = 0;
    for (size_t i = 0; i < n; i++)
        keys[i] = next_sample(w, p, &postponed);
    if (!w->ctx.uncharged)
        pm_count(&w->ctx.counters.sample_postponed, postponed);
}
