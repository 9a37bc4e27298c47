/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hooks around hooks. */
#include "memnet/preempt.h"

#include "core/internal.h"
#include "memnet/state.h"

enum { PAUSE_PERCENT = 12 };

static const struct pm_policy *inner;

static void interrupt(struct pm_ctx *ctx)
{
    struct agent *agent = ctx->backend;
    while (pm_rng_below(&agent->net->rng, 100) < PAUSE_PERCENT)
        memnet_interrupt(agent);
}

static enum pm_verdict usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                              struct pm_slot *slot, enum pm_op_kind op)
{
    interrupt(ctx);
    enum pm_verdict v = inner->usable(ctx, state, worker, key, slot, op);
    interrupt(ctx);
    return v;
}

static pm_node_id route(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, uint32_t hop)
{
    interrupt(ctx);
    return inner->route ? inner->route(ctx, state, key, slot, hop) : pm_directory_hop(ctx->node, key, slot, hop);
}

static enum pm_serve serve(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot,
                           pm_node_id from, uint64_t need, uint64_t *stamp)
{
    interrupt(ctx);
    enum pm_serve s = inner->serve ? inner->serve(ctx, state, key, slot, from, need, stamp) : PM_SERVE_VALUE;
    interrupt(ctx);
    return s;
}

static void interest(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, pm_node_id from,
                     bool on)
{
    interrupt(ctx);
    if (inner->interest)
        inner->interest(ctx, state, key, slot, from, on);
}

static void installed(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, uint64_t stamp)
{
    interrupt(ctx);
    if (inner->installed)
        inner->installed(ctx, state, key, slot, stamp);
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    interrupt(ctx);
    if (inner->advance)
        inner->advance(ctx, state, worker, c);
    interrupt(ctx);
}

static void min_clock(struct pm_ctx *ctx, void *state, pm_clock c)
{
    interrupt(ctx);
    if (inner->min_clock)
        inner->min_clock(ctx, state, c);
    interrupt(ctx);
}

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    interrupt(ctx);
    inner->hint(ctx, state, worker, keys, n, start, end);
    interrupt(ctx);
}

static bool merge(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, uint64_t number, enum pm_op_kind op,
                  const float *update)
{
    interrupt(ctx);
    bool kept = inner->merge(ctx, state, key, slot, number, op, update);
    interrupt(ctx);
    return kept;
}

static void drain(struct pm_ctx *ctx, void *state)
{
    interrupt(ctx);
    if (inner->drain)
        inner->drain(ctx, state);
    interrupt(ctx);
}

static int init_gated(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                      struct pm_error *err)
{
    int code = inner->init(node, state, options, traits, err);
    traits->gate_owned = true;
    return code;
}

/* Asked about owned keys only, which any worker of the node may use. */
static enum pm_verdict use(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key, struct pm_slot *slot,
                           enum pm_op_kind op)
{
    (void)state, (void)worker, (void)key, (void)slot, (void)op;
    interrupt(ctx);
    return PM_USE;
}

void preempt_accesses(struct pm_policy *out)
{
    if (inner->usable)
        return;
    out->init = init_gated;
    out->usable = use;
}

void preempt_policy(const struct pm_policy *policy, struct pm_policy *out)
{
    inner = policy;
    *out = *policy;
    if (policy->merge)
        out->merge = merge;
    if (policy->usable)
        out->usable = usable;
    out->route = route;
    out->serve = serve;
    out->interest = interest;
    out->installed = installed;
    out->advance = advance;
    out->min_clock = min_clock;
    if (policy->hint)
        out->hint = hint;
    out->drain = drain;
}
