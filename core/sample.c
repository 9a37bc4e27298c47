/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sampling accesses: announced early; drawn when they are announced or when they are pulled, as the scheme says
 * (enum pm_sampling_scheme in core/policy.h). */
#include <stdlib.h>

#include "core/local.h"
#include "core/sample_pool.h"

enum { SAMPLES_MAX = 1 << 20 };

struct prepared {
    uint64_t n_left;
    uint32_t distribution, next_free;
    pm_key *drawn, *next; /* keys that were drawn when it was announced, or NULL; the first not pulled */
};

struct pm_samples {
    struct prepared *list;
    uint32_t n, capacity, free; /* free: chain by index + 1 */
    struct pm_sample_pool *pools[PM_DISTRIBUTIONS_MAX]; /* of schemes that reuse; made when first used */
};

struct pm_samples *pm_samples_new(void)
{
    return calloc(1, sizeof(struct pm_samples));
}

void pm_samples_free(struct pm_samples *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        free(s->list[i].drawn);
    for (uint32_t i = 0; i < PM_DISTRIBUTIONS_MAX; i++)
        pm_sample_pool_free(s->pools[i]);
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

static void give_place(struct pm_samples *s, int64_t handle)
{
    struct prepared *p = &s->list[handle];
    free(p->drawn);
    *p = (struct prepared){.next_free = s->free};
    s->free = (uint32_t)handle + 1;
}

static void draw_independent(struct pm_worker *w, uint32_t distribution, pm_key *keys, size_t n)
{
    const struct pm_distribution *d = w->ctx.node->config.model->distributions[distribution];
    for (size_t i = 0; i < n; i++)
        keys[i] = pm_distribution_draw(d, &w->sample_rng);
}

static int draw_now(struct pm_worker *w, struct prepared *p, pm_clock start, pm_clock end)
{
    p->drawn = p->next = malloc(p->n_left * sizeof *p->drawn);
    if (!p->drawn)
        return PM_E_MEMORY;
    draw_independent(w, p->distribution, p->drawn, p->n_left);
    return pm_intent(w, p->drawn, p->n_left, start, end);
}

static int announce_to_pool(struct pm_worker *w, uint32_t distribution, size_t n, pm_clock start, pm_clock end)
{
    struct pm_node *node = w->ctx.node;
    struct pm_sample_pool **pool = &w->samples->pools[distribution];
    if (!*pool)
        *pool = pm_sample_pool_new(&node->traits.sampling);
    if (!*pool)
        return PM_E_MEMORY;
    return pm_sample_pool_announce(w, *pool, node->config.model->distributions[distribution], n, start, end);
}

/* What the scheme does when a sample is announced. */
static int announce(struct pm_worker *w, struct prepared *p, pm_clock start, pm_clock end)
{
    switch (w->ctx.node->traits.sampling.scheme) {
    case PM_SAMPLING_PRELOCALIZE:
        return draw_now(w, p, start, end);
    case PM_SAMPLING_REUSE:
    case PM_SAMPLING_POSTPONE:
        return announce_to_pool(w, p->distribution, p->n_left, start, end);
    case PM_SAMPLING_INDEPENDENT:
    case PM_SAMPLING_LOCAL:
        break;
    }
    return PM_OK;
}

int64_t pm_prepare_sample(struct pm_worker *w, uint32_t distribution, size_t n, pm_clock start, pm_clock end)
{
    struct pm_node *node = w->ctx.node;
    if (distribution >= node->config.model->n_distributions || n == 0 || n > PM_OP_KEYS_MAX || start < 0 || start > end)
        return PM_E_ARGUMENT;
    int64_t handle = take_place(w->samples);
    if (handle < 0)
        return handle;
    w->samples->list[handle] = (struct prepared){.n_left = n, .distribution = distribution};
    int rc = announce(w, &w->samples->list[handle], start, end);
    if (rc != PM_OK) {
        give_place(w->samples, handle);
        return rc;
    }
    if (node->policy->prepare_sample) {
        node->policy->prepare_sample(&w->ctx, node->policy_state, w, distribution, n, start, end);
        pm_ctx_deliver(&w->ctx);
    }
    return handle;
}

/* Each node draws among the keys that it has. A key that all of them have would be drawn by all of them, so each takes it only
 * once in so many times as there are nodes: over all nodes the keys keep their shares. */
static bool is_taken(struct pm_worker *w, uint32_t distribution, pm_key key)
{
    const struct pm_node *node = w->ctx.node;
    return pm_local_has(node, distribution, key) &&
           (!pm_is_frequent(node, key) || pm_rng_below(&w->sample_rng, node->config.nodes) == 0);
}

/* Draws until one is here; after so many tries, the next key of the support that is. */
static void draw_local(struct pm_worker *w, uint32_t distribution, pm_key *keys, size_t n)
{
    const struct pm_node *node = w->ctx.node;
    uint64_t shifted = 0;
    draw_independent(w, distribution, keys, n);
    for (size_t i = 0; i < n; i++) {
        pm_key key = keys[i];
        for (uint64_t tries = node->traits.sampling.tries; tries > 1 && !is_taken(w, distribution, key); tries--)
            draw_independent(w, distribution, &key, 1);
        key = pm_local_from(node, distribution, key);
        if (key == PM_KEY_NONE || key == keys[i])
            continue;
        keys[i] = key;
        shifted++;
    }
    if (!w->ctx.uncharged)
        pm_count(&w->ctx.counters.sample_shifted, shifted);
}

static void draw(struct pm_worker *w, struct prepared *p, pm_key *keys, size_t n)
{
    struct pm_node *node = w->ctx.node;
    if (node->policy->sample) {
        node->policy->sample(&w->ctx, node->policy_state, w, p->distribution, keys, n);
        return;
    }
    switch (node->traits.sampling.scheme) {
    case PM_SAMPLING_INDEPENDENT:
        draw_independent(w, p->distribution, keys, n);
        return;
    case PM_SAMPLING_PRELOCALIZE:
        memcpy(keys, p->next, n * sizeof *keys);
        p->next += n;
        return;
    case PM_SAMPLING_REUSE:
    case PM_SAMPLING_POSTPONE:
        pm_sample_pool_take(w, w->samples->pools[p->distribution], keys, n);
        return;
    case PM_SAMPLING_LOCAL:
        draw_local(w, p->distribution, keys, n);
    }
}

/* Pulls drawn keys, and counts them by how they were served. */
static pm_ticket pull_drawn(struct pm_worker *w, const pm_key *keys, size_t n, float *out)
{
    struct pm_counters *c = &w->ctx.counters;
    uint64_t remote = c->reads[PM_HOW_REMOTE], queued = c->reads[PM_HOW_QUEUED];
    pm_ticket ticket = pm_pull(w, keys, n, out);
    if (!w->ctx.uncharged) {
        pm_count(&c->sample_reads, n);
        pm_count(&c->sample_remote, c->reads[PM_HOW_REMOTE] - remote);
        pm_count(&c->sample_queued, c->reads[PM_HOW_QUEUED] - queued);
    }
    return ticket;
}

pm_ticket pm_pull_sample(struct pm_worker *w, int64_t handle, size_t n, pm_key *keys_out, float *out)
{
    struct pm_samples *s = w->samples;
    if (handle < 0 || handle >= s->n || n > s->list[handle].n_left)
        return PM_E_ARGUMENT;
    if (n == 0)
        return PM_DONE;
    struct prepared *p = &s->list[handle];
    draw(w, p, keys_out, n);
    p->n_left -= n;
    if (p->n_left == 0)
        give_place(s, handle);
    return pull_drawn(w, keys_out, n, out);
}
