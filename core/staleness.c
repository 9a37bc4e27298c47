/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How old replicas are when they are read: by the time and the reader's clocks that have passed since their value was asked for.
 *
 * A generation remembers when that was, once per node for all that was asked for then. Reads find it without a latch: the number
 * is looked at before and after the rest. Reads of one transition are counted, and recorded together at its end. */
#include <stdlib.h>

#include "core/internal.h"

enum { BEING_WRITTEN = -1 };

int pm_generations_init(struct pm_node *node)
{
    struct pm_generations *g = &node->generations;
    const uint32_t workers = node->config.workers;
    if (!node->traits.replicates)
        return PM_OK; /* nobody asks */
    g->clocks = calloc((size_t)PM_GENERATIONS_KEPT * workers, sizeof *g->clocks);
    for (uint32_t i = 0; i < PM_GENERATIONS_KEPT && g->clocks; i++)
        g->of[i].clock_of = g->clocks + (size_t)i * workers;
    return g->clocks ? PM_OK : PM_E_MEMORY;
}

void pm_generations_fini(struct pm_node *node)
{
    free(node->generations.clocks);
}

uint32_t pm_fresh_begin(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_generations *g = &node->generations;
    const int64_t now_ns = pm_now_ns(ctx);
    pm_lock(node, &g->latch);
    uint32_t number = g->newest + 1;
    struct pm_generation *of = &g->of[number % PM_GENERATIONS_KEPT];
    __atomic_store_n(&of->number, (uint32_t)BEING_WRITTEN, __ATOMIC_RELAXED);
    __atomic_store_n(&of->begun_ns, now_ns, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < node->config.workers; i++)
        __atomic_store_n(&of->clock_of[i], pm_worker_clock(&node->workers[i]), __ATOMIC_RELEASE);
    __atomic_store_n(&of->number, number, __ATOMIC_RELEASE);
    __atomic_store_n(&g->newest, number, __ATOMIC_RELEASE);
    pm_unlock(node, &g->latch);
    return number;
}

/* When the generation began, or the oldest that is remembered for sure, while the next one is being written. */
static void look_up(const struct pm_generations *g, uint32_t number, uint32_t worker, int64_t *begun_ns, pm_clock *clock)
{
    for (;;) {
        const struct pm_generation *of = &g->of[number % PM_GENERATIONS_KEPT];
        bool before = __atomic_load_n(&of->number, __ATOMIC_ACQUIRE) == number;
        *begun_ns = __atomic_load_n(&of->begun_ns, __ATOMIC_ACQUIRE);
        *clock = __atomic_load_n(&of->clock_of[worker], __ATOMIC_ACQUIRE);
        if (before && __atomic_load_n(&of->number, __ATOMIC_RELAXED) == number)
            return;
        number = __atomic_load_n(&g->newest, __ATOMIC_ACQUIRE) - (PM_GENERATIONS_KEPT - 2);
    }
}

void pm_fresh_read(struct pm_ctx *ctx, struct pm_worker *worker, uint32_t generation)
{
    struct pm_fresh *f = &ctx->fresh;
    if (ctx->uncharged)
        return;
    if (f->n && (f->worker != worker || f->generation != generation))
        pm_fresh_flush(ctx);
    f->worker = worker;
    f->generation = generation;
    f->n++;
}

void pm_fresh_flush(struct pm_ctx *ctx)
{
    struct pm_fresh *f = &ctx->fresh;
    int64_t begun_ns, now_ns = pm_transition_ns(ctx);
    pm_clock clock, now = pm_worker_clock(f->worker);
    look_up(&ctx->node->generations, f->generation, f->worker->index, &begun_ns, &clock);
    /* a result that another context has installed since this transition asked for the time is of age 0 */
    pm_record_times(ctx, PM_Q_STALENESS_TIME, now_ns > begun_ns ? now_ns - begun_ns : 0, f->n);
    pm_record_times(ctx, PM_Q_STALENESS_CLOCKS, now > clock ? now - clock : 0, f->n);
    f->n = 0;
}
