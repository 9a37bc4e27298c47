/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sampling accesses: announced early, drawn when pulled. */
#include <stdlib.h>

#include "core/internal.h"

enum { SAMPLES_MAX = 1 << 20 };

struct prepared {
    uint64_t n_left;
    uint32_t distribution, next_free;
};

struct pm_samples {
    struct prepared *list;
    uint32_t n, capacity, free; /* free: chain by index + 1 */
};

struct pm_samples *pm_samples_new(void)
{
    return calloc(1, sizeof(struct pm_samples));
}

void pm_samples_free(struct pm_samples *s)
{
    if (s)
        free(s->list);
    free(s);
}

static int64_t take_place(struct pm_samples *s)
{
    if (s->free) {
        uint32_t i = s->free - 1;
        s->free = s->list[i].next_free;
        return i;
    }
    if (s->n == SAMPLES_MAX)
        return PM_E_LIMIT;
    if (s->n == s->capacity) {
        uint32_t capacity = s->capacity ? 2 * s->capacity : 64;
        struct prepared *bigger = realloc(s->list, capacity * sizeof *bigger);
        if (!bigger)
            return PM_E_MEMORY;
        s->list = bigger;
        s->capacity = capacity;
    }
    return s->n++;
}

int64_t pm_prepare_sample(struct pm_worker *w, uint32_t distribution, size_t n, pm_clock start, pm_clock end)
{
    struct pm_node *node = w->ctx.node;
    if (distribution >= node->config.model->n_distributions || n == 0 || n > PM_OP_KEYS_MAX)
        return PM_E_ARGUMENT;
    int64_t handle = take_place(w->samples);
    if (handle < 0)
        return handle;
    w->samples->list[handle] = (struct prepared){.n_left = n, .distribution = distribution};
    if (node->policy->prepare_sample) {
        node->policy->prepare_sample(&w->ctx, node->policy_state, w, distribution, n, start, end);
        pm_ctx_deliver(&w->ctx);
    }
    return handle;
}

static void draw(struct pm_worker *w, uint32_t distribution, pm_key *keys, size_t n)
{
    struct pm_node *node = w->ctx.node;
    if (node->policy->sample) {
        node->policy->sample(&w->ctx, node->policy_state, w, distribution, keys, n);
        return;
    }
    const struct pm_distribution *d = node->config.model->distributions[distribution];
    for (size_t i = 0; i < n; i++)
        keys[i] = pm_distribution_draw(d, &w->sample_rng);
}

pm_ticket pm_pull_sample(struct pm_worker *w, int64_t handle, size_t n, pm_key *keys_out, float *out)
{
    struct pm_samples *s = w->samples;
    if (handle < 0 || handle >= s->n || n > s->list[handle].n_left)
        return PM_E_ARGUMENT;
    if (n == 0)
        return PM_DONE;
    struct prepared *p = &s->list[handle];
    p->n_left -= n;
    draw(w, p->distribution, keys_out, n);
    if (p->n_left == 0) {
        p->next_free = s->free;
        s->free = (uint32_t)handle + 1;
    }
    if (!w->ctx.uncharged)
        pm_count(&w->ctx.counters.sample_reads, n);
    return pm_pull(w, keys_out, n, out);
}
