/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clocks: each worker's own, and the cluster's minimum, which nodes tell each other when their own minimum
 * rises. What rises then is the policy's clock: every so many advances of a worker, or sub-epochs, are one.
 *
 * A notice says: every update made here before clock c is on its way, and names how many rounds this node
 * had begun to the receiver then, because contexts of one node send in no fixed order; the receiver lets it
 * count when it has handled those rounds. A worker in a collective counts as infinite: what it has done is
 * on its way. When a collective is released an era begins, in which every node counts as no more than the
 * least clock of its workers, which the release tells, until it says more. Each notice says in which era it
 * was sent; one from the era before counts up to that least clock, an older one does not count, and one from
 * the next era waits for it. */
#include <stdlib.h>

#include "core/internal.h"

int pm_clocks_init(struct pm_node *node)
{
    struct pm_clocks *c = &node->clocks;
    c->of_node = calloc(node->config.nodes, sizeof *c->of_node);
    c->era_of = calloc(node->config.nodes, sizeof *c->era_of);
    c->early = calloc(node->config.nodes, sizeof(struct pm_message *));
    c->heard = calloc(node->config.nodes, sizeof *c->heard);
    c->left_with = calloc(node->config.nodes, sizeof *c->left_with);
    return c->of_node && c->era_of && c->early && c->heard && c->left_with ? PM_OK : PM_E_MEMORY;
}

void pm_clocks_fini(struct pm_node *node)
{
    struct pm_clocks *c = &node->clocks;
    for (uint32_t i = 0; c->early && i < node->config.nodes; i++)
        for (struct pm_message *m = c->early[i], *next; m; m = next) {
            next = m->next;
            pm_message_free(m);
        }
    free(c->of_node);
    free(c->era_of);
    free(c->early);
    free(c->heard);
    free(c->left_with);
}

pm_clock pm_clocks_least(const struct pm_node *node)
{
    pm_clock least = PM_CLOCK_INFINITE;
    for (uint32_t i = 0; i < node->config.workers; i++) {
        pm_clock c = __atomic_load_n(&node->workers[i].policy_clock, __ATOMIC_ACQUIRE);
        least = c < least ? c : least;
    }
    return least;
}

/* Minimum of this node's workers, those in a collective left out. */
static pm_clock own_minimum(const struct pm_node *node)
{
    pm_clock least = PM_CLOCK_INFINITE;
    for (uint32_t i = 0; i < node->config.workers; i++) {
        const struct pm_worker *w = &node->workers[i];
        if (__atomic_load_n(&w->in_collective, __ATOMIC_ACQUIRE))
            continue;
        pm_clock c = __atomic_load_n(&w->policy_clock, __ATOMIC_ACQUIRE);
        least = c < least ? c : least;
    }
    return least;
}

static uint64_t iteration(uint32_t era, pm_clock clock)
{
    const uint64_t most = (UINT64_C(1) << PM_ITERATION_CLOCK_BITS) - 1;
    return (uint64_t)era << PM_ITERATION_CLOCK_BITS | ((uint64_t)clock < most ? (uint64_t)clock : most);
}

/* Under the latch: a node has sent everything before this clock of that era. */
static void hear(struct pm_clocks *c, pm_node_id from, uint32_t era, pm_clock clock)
{
    uint64_t now = iteration(era, clock);
    if (now > c->heard[from])
        c->heard[from] = now;
}

/* Under the latch: the first iteration that is perhaps not done. A node that has entered the last collective goes on with at
 * least the clock with which it did, even before saying so. */
static uint64_t first_open(const struct pm_node *node, uint32_t era)
{
    const struct pm_clocks *c = &node->clocks;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < node->config.nodes; i++) {
        uint32_t of = (uint32_t)(c->heard[i] >> PM_ITERATION_CLOCK_BITS);
        bool entered = c->heard[i] == iteration(of, PM_CLOCK_INFINITE) && of < era;
        uint64_t open = !entered ? c->heard[i] : iteration(of + 1, of + 1 == era ? c->left_with[i] : 0);
        least = open < least ? open : least;
    }
    return least;
}

/* Under the latch: the cluster's minimum from what is known; returns whether the hook has to hear of it. */
static bool recompute(struct pm_node *node, uint32_t era, pm_clock *now)
{
    struct pm_clocks *c = &node->clocks;
    pm_clock least = PM_CLOCK_INFINITE;
    for (uint32_t i = 0; i < node->config.nodes; i++)
        least = c->of_node[i] < least ? c->of_node[i] : least;
    pm_clock before = c->known_min;
    __atomic_store_n(&c->known_min, least, __ATOMIC_SEQ_CST);
    *now = least;
    uint64_t open = first_open(node, era), open_before = c->done;
    if (open > open_before)
        __atomic_store_n(&c->done, open, __ATOMIC_SEQ_CST);
    return least > before || open > open_before;
}

static void tell_policy(struct pm_ctx *ctx, bool risen, pm_clock least)
{
    struct pm_node *node = ctx->node;
    if (risen && node->policy->min_clock)
        node->policy->min_clock(ctx, node->policy_state, least);
}

/* Under the latch: tells every other node this node's minimum. */
static void send_notices(struct pm_ctx *ctx, pm_clock own)
{
    struct pm_node *node = ctx->node;
    for (uint32_t i = 1; i < node->config.nodes; i++) {
        pm_node_id to = (node->config.id + i) % node->config.nodes;
        struct pm_message *m = pm_message_new(PM_MSG_CLOCK, &(struct pm_shape){.with_values = true});
        PM_ASSERT(m, "out of memory");
        m->wire.number = (uint64_t)own;
        m->wire.request = node->clocks.era;
        m->wire.first = __atomic_load_n(&node->rounds.sequence_out[to], __ATOMIC_SEQ_CST);
        pm_emit(ctx, m, to);
    }
}

void pm_clocks_update(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_clocks *c = &node->clocks;
    if (!node->traits.min_clock)
        return;
    pm_clock least = 0;
    bool risen = false;
    pm_lock(node, &c->latch);
    pm_clock own = own_minimum(node);
    if (own > c->of_node[node->config.id]) {
        c->of_node[node->config.id] = own;
        hear(c, node->config.id, c->era, own);
        send_notices(ctx, own);
        risen = recompute(node, c->era, &least);
    }
    pm_unlock(node, &c->latch);
    tell_policy(ctx, risen, least);
}

void pm_clocks_new_era(struct pm_node *node, uint32_t era, pm_clock least, const pm_clock *least_of)
{
    struct pm_clocks *c = &node->clocks;
    if (!node->traits.min_clock)
        return;
    pm_lock(node, &c->latch);
    for (uint32_t i = 0; i < node->config.nodes; i++)
        if (c->of_node[i] > least_of[i])
            c->of_node[i] = least_of[i];
    memcpy(c->left_with, least_of, node->config.nodes * sizeof *least_of);
    __atomic_store_n(&c->leasts[era % PM_ERAS_KEPT], least, __ATOMIC_SEQ_CST);
    pm_clock now;
    recompute(node, era, &now);
    __atomic_store_n(&c->era, era, __ATOMIC_SEQ_CST);
    pm_unlock(node, &c->latch);
}

void pm_clocks_tell_era(struct pm_ctx *ctx)
{
    if (!ctx->node->traits.min_clock)
        return;
    tell_policy(ctx, true, pm_min_clock(ctx->node));
    for (pm_node_id from = 0; from < ctx->node->config.nodes; from++)
        pm_clocks_late(ctx, from);
}

/* Under the latch. */
static void take_notice(struct pm_node *node, const struct pm_message *m)
{
    struct pm_clocks *c = &node->clocks;
    pm_node_id from = m->wire.source;
    pm_clock clock = (pm_clock)m->wire.number;
    int32_t ahead = (int32_t)(m->wire.request - c->era);
    hear(c, from, m->wire.request, clock);
    if (ahead < -1 || (int32_t)(m->wire.request - c->era_of[from]) < 0)
        return;
    if (ahead < 0 && clock > c->left_with[from])
        clock = c->left_with[from];
    if (clock > c->of_node[from])
        c->of_node[from] = clock;
    c->era_of[from] = m->wire.request;
}

/* Under the latch. */
static bool is_due(const struct pm_node *node, const struct pm_message *m)
{
    uint32_t handled = __atomic_load_n(&node->rounds.sequence_in[m->wire.source], __ATOMIC_ACQUIRE);
    return (int32_t)(handled - m->wire.first) >= 0 && (int32_t)(m->wire.request - node->clocks.era) <= 0;
}

/* Takes the first notice of a node that may count now, and out of the list; NULL when there is none. */
static struct pm_message *next_due(struct pm_node *node, pm_node_id from, bool *risen, pm_clock *least)
{
    struct pm_clocks *c = &node->clocks;
    pm_lock(node, &c->latch);
    struct pm_message **at = &c->early[from];
    while (*at && !is_due(node, *at))
        at = &(*at)->next;
    struct pm_message *m = *at;
    if (m) {
        *at = m->next;
        take_notice(node, m);
        *risen = recompute(node, c->era, least);
    }
    pm_unlock(node, &c->latch);
    return m;
}

void pm_clocks_late(struct pm_ctx *ctx, pm_node_id from)
{
    bool before = ctx->uncharged, risen;
    pm_clock least;
    for (struct pm_message *m; (m = next_due(ctx->node, from, &risen, &least)) != NULL; pm_message_free(m)) {
        bool uncharged = m->wire.flags & PM_FLAG_UNCHARGED;
        if (uncharged == before) {
            tell_policy(ctx, risen, least);
            continue;
        }
        pm_rounds_flush(ctx);
        ctx->uncharged = uncharged; /* what a notice causes counts as it does, whenever it is taken */
        tell_policy(ctx, risen, least);
        pm_rounds_flush(ctx);
        ctx->uncharged = before;
    }
}

int pm_handle_clock(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    struct pm_clocks *c = &node->clocks;
    if (!node->traits.min_clock || m->wire.number > (uint64_t)PM_CLOCK_INFINITE ||
        m->wire.source == node->config.id)
        return pm_bad(err, m, "number");
    if ((int32_t)(m->wire.request - pm_clock_era(node)) > 1)
        return pm_bad(err, m, "request"); /* nobody leaves two collectives while this node has left none */
    pm_node_id from = m->wire.source;
    pm_lock(node, &c->latch);
    struct pm_message **end = &c->early[from];
    while (*end)
        end = &(*end)->next;
    m->next = NULL;
    *end = m;
    pm_unlock(node, &c->latch);
    pm_clocks_late(ctx, from);
    return PM_OK;
}

uint32_t pm_clock_era(const struct pm_node *node)
{
    return __atomic_load_n(&node->clocks.era, __ATOMIC_SEQ_CST);
}

uint64_t pm_worker_iteration(const struct pm_worker *worker)
{
    return iteration(pm_clock_era(worker->ctx.node), pm_policy_clock(worker));
}

uint64_t pm_iterations_done(const struct pm_node *node)
{
    return __atomic_load_n(&node->clocks.done, __ATOMIC_SEQ_CST);
}

pm_clock pm_clock_worth(const struct pm_node *node, uint32_t era, pm_clock clock)
{
    const struct pm_clocks *c = &node->clocks;
    if ((int32_t)(pm_clock_era(node) - era) <= 0)
        return clock;
    pm_clock least = __atomic_load_n(&c->leasts[(era + 1) % PM_ERAS_KEPT], __ATOMIC_SEQ_CST);
    if (pm_clock_era(node) - era >= PM_ERAS_KEPT)
        return 0; /* what was read is of a later era */
    return clock < least ? clock : least;
}

pm_clock pm_min_clock(const struct pm_node *node)
{
    return __atomic_load_n(&node->clocks.known_min, __ATOMIC_SEQ_CST);
}

/* Asks the policy whether the worker may go on; waits for kicks until it may. */
static int wait_for_clock(struct pm_worker *w, pm_clock now)
{
    struct pm_node *node = w->ctx.node;
    for (;;) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&w->clock_held, 1, __ATOMIC_SEQ_CST);
        enum pm_verdict v = node->policy->clock(&w->ctx, node->policy_state, w, now);
        pm_ctx_deliver(&w->ctx);
        int rc = v == PM_WAIT ? pm_block(w) : PM_OK;
        __atomic_store_n(&w->clock_held, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
        if (v != PM_WAIT || rc != PM_OK)
            return rc;
    }
}

/* Ends the worker's present policy clock; `clock` is what its own clock is then. */
static int end_policy_clock(struct pm_worker *w, pm_clock clock)
{
    struct pm_node *node = w->ctx.node;
    pm_clock now = w->policy_clock + 1;
    int rc = node->traits.min_clock ? pm_order_wait_pushes(w) : PM_OK; /* notices say that they are on their way */
    if (rc != PM_OK)
        return rc;
    if (node->policy->advance) {
        node->policy->advance(&w->ctx, node->policy_state, w, now);
        pm_ctx_deliver(&w->ctx);
    }
    __atomic_store_n(&w->clock, clock, __ATOMIC_RELEASE);
    __atomic_store_n(&w->policy_clock, now, __ATOMIC_RELEASE);
    if (node->traits.min_clock) {
        pm_clocks_update(&w->ctx);
        pm_ctx_deliver(&w->ctx);
    }
    return node->policy->clock ? wait_for_clock(w, now) : PM_OK;
}

int pm_advance_clock(struct pm_worker *w)
{
    uint32_t every = w->ctx.node->traits.clock_every;
    pm_clock now = w->clock + 1;
    if (every == PM_CLOCK_SUB_EPOCHS || (every > 1 && now % every != 0)) {
        __atomic_store_n(&w->clock, now, __ATOMIC_RELEASE);
        return PM_OK;
    }
    return end_policy_clock(w, now);
}

int pm_end_sub_epoch(struct pm_worker *w)
{
    return w->ctx.node->traits.clock_every == PM_CLOCK_SUB_EPOCHS ? end_policy_clock(w, w->clock) : PM_OK;
}
