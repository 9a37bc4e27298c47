/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lapse: dynamic allocation. A key that a worker is about to access moves to that worker's node, at once for a localize
 * hint, `ahead` clocks before an intent begins; until it is here accesses to it wait, and then they are local. (Renz-Wieland
 * et al., Dynamic Parameter Allocation in Parameter Servers, PVLDB 13(12), 2020.) */
#include "policies/lapse_intents.h"
#include "policies/placement.h"

struct lapse {
    struct lapse_intents intents;
};

static const struct pm_option options_table[] = {
    {.name = "fast_local", .type = PM_OPT_BOOL, .def = "1", .help = "workers access keys of their own node directly"},
    LAPSE_LOCATION_CACHE_OPTION,
    LAPSE_LOCATION_CACHE_KEYS_OPTION,
    LAPSE_AHEAD_OPTION,
    PLACEMENT_OPTION("hash"),
    {0},
};

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct lapse *l = state;
    bool cache = pm_values_bool(options, "location_cache");
    traits->group = true;
    traits->ranges = placement_by_ranges(options);
    traits->shared_memory = pm_values_bool(options, "fast_local");
    traits->relocates = true;
    traits->location_cache = cache;
    traits->location_cache_keys = (uint32_t)pm_values_count(options, "location_cache_keys");
    traits->promise_sync = PM_SEQUENTIAL;
    traits->promise_async = cache ? PM_EVENTUAL : PM_SEQUENTIAL;
    return node ? lapse_intents_init(&l->intents, node, (pm_clock)pm_values_count(options, "ahead"), err) : PM_OK;
}

static void fini(struct pm_node *node, void *state)
{
    (void)node;
    lapse_intents_fini(&((struct lapse *)state)->intents);
}

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    lapse_intents_hint(ctx, &((struct lapse *)state)->intents, worker, keys, n, start, end);
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    lapse_intents_advance(ctx, &((struct lapse *)state)->intents, worker, c);
}

const struct pm_policy pm_policy_lapse = {
    .abi = PM_POLICY_ABI,
    .name = "lapse",
    .summary = "dynamic allocation: keys move to the node that is about to access them",
    .options = options_table,
    .node_bytes = sizeof(struct lapse),
    .init = init,
    .fini = fini,
    .hint = hint,
    .advance = advance,
};
