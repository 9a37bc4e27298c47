/* SPDX-License-Identifier: GPL-3.0-or-later */
/* full: every key is replicated on every node from the start; a background round exchanges updates, over the owners as hubs or by
 * all-reduce. All reads and writes are local; what costs is the exchange, and staleness. */
#include "policies/exchange.h"

struct full {
    int64_t interval_ns; /* between the starts of two rounds */
};

static const struct pm_option options_table[] = {
    PM_EXCHANGE_OPTIONS,
    {0},
};

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    (void)node, (void)err;
    struct full *f = state;
    f->interval_ns = pm_exchange_interval_ns(options);
    pm_exchange_traits(options, traits);
    traits->group = true;
    traits->shared_memory = true;
    traits->promise_sync = traits->promise_async = PM_CAUSAL;
    return PM_OK;
}

static bool replicated(const struct pm_node *node, const void *state, pm_key key, pm_node_id at)
{
    (void)node, (void)state, (void)key, (void)at;
    return true;
}

static int64_t round_hook(struct pm_ctx *ctx, void *state, int64_t now_ns)
{
    const struct full *f = state;
    pm_exchange(ctx);
    return now_ns + f->interval_ns;
}

static void drain(struct pm_ctx *ctx, void *state)
{
    (void)state;
    pm_exchange(ctx);
}

const struct pm_policy pm_policy_full = {
    .abi = PM_POLICY_ABI,
    .name = "full",
    .summary = "every key replicated on every node, updates exchanged in periodic rounds",
    .options = options_table,
    .node_bytes = sizeof(struct full),
    .init = init,
    .replicated = replicated,
    .round = round_hook,
    .drain = drain,
};
