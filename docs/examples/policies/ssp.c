/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ssp: stale synchronous parallel, a policy outside the tree. docs/writing-a-policy.md walks through it.
 *
 * A worker at clock c may read a value that contains every update that any worker made before clock c -
 * staleness, and all updates of its own node. Replicas are made on first use; the updates that a node
 * collects in them are shipped when one of its workers advances its clock.
 *
 *   cc -shared -fPIC $(pkg-config --cflags pmlab) -o ssp.so ssp.c
 *   pmlab run --policy ./ssp.so:staleness=3 */
#include "core/policy.h"

struct ssp {
    pm_clock staleness;
};

static const struct pm_option options_table[] = {
    {.name = "staleness",
     .type = PM_OPT_COUNT,
     .def = "1",
     .help = "clocks that a read may lag behind; 1T is as good as no bound",
     .min = 0,
     .max = 1e12},
    {0},
};

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct ssp *ssp = state;
    (void)node, (void)err;
    ssp->staleness = (pm_clock)pm_values_count(options, "staleness");
    traits->group = true;
    traits->shared_memory = true;
    traits->replicates = true;
    traits->gate_owned = traits->gate_replicas = traits->gate_absent = true;
    traits->min_clock = true;
    traits->promise_sync = traits->promise_async = PM_PRAM;
    return PM_OK;
}

/* What a value contains (a stamp), or must contain (a need): every update made before a clock, known in an
 * era. */
static uint64_t stamp_of(uint32_t era, pm_clock clock)
{
    return (uint64_t)era << 32 | (clock > UINT32_MAX ? UINT32_MAX : (uint64_t)clock);
}
static uint32_t era_of(uint64_t stamp)
{
    return (uint32_t)(stamp >> 32);
}
static uint32_t clock_of(uint64_t stamp)
{
    return (uint32_t)stamp;
}

/* A stamp of an earlier era says nothing: who waited in a collective then counted as infinite and has gone
 * on since. */
static bool suffices(uint64_t stamp, uint64_t need)
{
    return clock_of(need) == 0 || (era_of(stamp) >= era_of(need) && clock_of(stamp) >= clock_of(need));
}

/* What this node knows now. */
static uint64_t known(const struct pm_node *node)
{
    uint32_t era = pm_clock_era(node); /* before the minimum */
    return stamp_of(era, pm_min_clock(node));
}

static enum pm_verdict usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                              struct pm_slot *slot, enum pm_op_kind op)
{
    if (op == PM_OP_PUSH) {
        pm_replicate(ctx, key, slot);
        return PM_USE;
    }
    const struct ssp *ssp = state;
    uint64_t now = known(pm_ctx_node(ctx));
    pm_clock least = pm_worker_clock(worker) - ssp->staleness;
    uint64_t need = stamp_of(era_of(now), least > 0 ? least : 0);
    if (slot->state == PM_SLOT_OWNED)
        return suffices(now, need) ? PM_USE : PM_WAIT;
    bool ready = slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_READY);
    if (ready && suffices(slot->version, need))
        return PM_USE;
    /* Asking before the minimum allows it could leave the owner waiting for a worker of this node, which
     * would then wait for the same answer. A value from a later era means that the news of it is on its way
     * here. */
    if (suffices(now, need) && !(ready && era_of(slot->version) > era_of(now)))
        pm_refresh(ctx, key, slot, need);
    return PM_WAIT;
}

static enum pm_serve serve(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot,
                           pm_node_id from, uint64_t need, uint64_t *stamp)
{
    (void)state, (void)key, (void)slot, (void)from;
    uint64_t now = known(pm_ctx_node(ctx));
    /* The asker knew that the minimum allows it: the news of that is on its way here, unless an era has
     * begun since. Then the asker gets what there is, and decides anew. */
    if (!suffices(now, need) && era_of(now) <= era_of(need))
        return PM_SERVE_LATER;
    *stamp = now;
    return PM_SERVE_VALUE;
}

static void min_clock(struct pm_ctx *ctx, void *state, pm_clock c)
{
    (void)state, (void)c;
    pm_kick(ctx);
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    (void)state, (void)worker, (void)c;
    pm_send_deltas(ctx);
}

static void drain(struct pm_ctx *ctx, void *state)
{
    (void)state;
    pm_send_deltas(ctx);
}

const struct pm_policy pm_policy_export = {
    .abi = PM_POLICY_ABI,
    .name = "ssp",
    .summary = "replicas on first use, reads at most `staleness` clocks behind (stale synchronous parallel)",
    .options = options_table,
    .node_bytes = sizeof(struct ssp),
    .init = init,
    .usable = usable,
    .serve = serve,
    .advance = advance,
    .min_clock = min_clock,
    .drain = drain,
};
