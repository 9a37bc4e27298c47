/* SPDX-License-Identifier: GPL-3.0-or-later */
/* single: one node that owns everything; its workers share memory. The single-node baseline of every paper. */
#include "core/policy.h"

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    (void)node, (void)state, (void)options, (void)err;
    traits->group = true;
    traits->shared_memory = true;
    traits->max_nodes = 1;
    traits->promise_sync = traits->promise_async = PM_SEQUENTIAL;
    return PM_OK;
}

static pm_node_id owner(const struct pm_node *node, const void *state, pm_key key)
{
    (void)node, (void)state, (void)key;
    return 0;
}

const struct pm_policy pm_policy_single = {
    .abi = PM_POLICY_ABI,
    .name = "single",
    .summary = "one node, shared memory: the baseline (always 1 node x W workers)",
    .init = init,
    .owner = owner,
};
