/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kv: static allocation, one request per key and operation, also for keys of the own node. Stands for first-generation
 * key-value stores used as parameter servers. */
#include "core/policy.h"

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    (void)node, (void)state, (void)options, (void)err;
    traits->promise_sync = traits->promise_async = PM_SEQUENTIAL;
    return PM_OK;
}

const struct pm_policy pm_policy_kv = {
    .abi = PM_POLICY_ABI,
    .name = "kv",
    .summary = "static allocation, a request per key, no shared memory (memcached-style)",
    .init = init,
};
