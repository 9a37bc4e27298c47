/* SPDX-License-Identifier: GPL-3.0-or-later */
/* classic: static allocation, remote access grouped by destination. Stands for PS-Lite (fast_local=0: even local accesses
 * go through the communicator) and for a classic parameter server with fast local access (fast_local=1). */
#include "core/policy.h"
#include "policies/placement.h"

static const struct pm_option options_table[] = {
    {.name = "fast_local", .type = PM_OPT_BOOL, .def = "1", .help = "workers access keys of their own node directly"},
    PLACEMENT_OPTION("hash"),
    {0},
};

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    (void)node, (void)state, (void)err;
    traits->group = true;
    traits->ranges = placement_by_ranges(options);
    traits->shared_memory = pm_values_bool(options, "fast_local");
    traits->promise_sync = traits->promise_async = PM_SEQUENTIAL;
    return PM_OK;
}

const struct pm_policy pm_policy_classic = {
    .abi = PM_POLICY_ABI,
    .name = "classic",
    .summary = "static allocation, grouped remote access (PS-Lite; with fast_local: shared memory for local keys)",
    .options = options_table,
    .init = init,
};
