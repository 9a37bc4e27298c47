/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nups: the few keys that the workload is expected to access most are replicated on every node, and exchange updates in
 * periodic rounds; all others move to the node that is about to access them; samples are drawn by a scheme of choice. Which
 * technique a key gets is fixed at the start. (Renz-Wieland et al., NuPS: A Parameter Server for Machine Learning with
 * Non-Uniform Parameter Access, SIGMOD 2022.) */
#include <stdlib.h>

#include "policies/exchange.h"
#include "policies/lapse_intents.h"
#include "policies/placement.h"
#include "policies/sampling.h"

/* Of one worker: keys of a hint that can move. */
struct movable {
    pm_key *keys;
    size_t capacity;
};

struct nups {
    struct lapse_intents intents;
    int64_t interval_ns; /* between the starts of two rounds */
    uint32_t n_workers;
    struct movable *movable;
};

static const struct pm_option options_table[] = {
    {.name = "hot_factor",
     .type = PM_OPT_REAL,
     .def = "100",
     .help = "replicate keys accessed more than so many times the mean over the workload's candidates",
     .min = 0,
     .max = 1e12},
    {.name = "hot_scale",
     .type = PM_OPT_REAL,
     .def = "1",
     .help = "replicate so many times as many keys as hot_factor says",
     .min = 0,
     .max = 1e12},
    {.name = "replicate", .type = PM_OPT_COUNT, .help = "replicate so many keys, those accessed most", .max = 1e15},
    {.name = "preset",
     .type = PM_OPT_ENUM,
     .def = "none",
     .choices = "none|kge|wv|wv_tuned|mf|knobs1|knobs2|knobs3|knobs4|knobs5",
     .help = "published settings; options that are given as well go first"},
    PM_EXCHANGE_OPTIONS,
    LAPSE_AHEAD_OPTION,
    LAPSE_LOCATION_CACHE_OPTION,
    LAPSE_LOCATION_CACHE_KEYS_OPTION,
    PLACEMENT_OPTION("hash"),
    SAMPLING_OPTIONS("reuse"),
    {0},
};

/* The number of replicated keys of a published task: one way to choose them, and not the one that the user then has asked for. */
#define REPLICATE(preset_, count)                                                                                        \
    {.preset = preset_, .option = "replicate", .text = count, .unless = {"hot_factor", "hot_scale"}}

/* Settings with which the successor was compared: factor of the heuristic's number of keys, and ahead. */
#define KNOBS(preset_, factor, clocks)                                                                                   \
    {.preset = preset_, .option = "hot_scale", .text = factor}, {.preset = preset_, .option = "ahead", .text = clocks},    \
        {.preset = preset_, .option = "syncs_per_second", .text = "1000"},                                               \
        {.preset = preset_, .option = "sampling", .text = "local"}

static const struct pm_preset presets_table[] = {
    REPLICATE("kge", "900"),
    REPLICATE("wv", "3272"),
    REPLICATE("wv_tuned", "209408"),
    REPLICATE("mf", "755"),
    KNOBS("knobs1", "0.2199", "16"),
    KNOBS("knobs2", "0.0288", "134"),
    KNOBS("knobs3", "19.165", "1"),
    KNOBS("knobs4", "43.543", "25"),
    KNOBS("knobs5", "0.0415", "1"),
    {0},
};

static int check_options(const struct pm_values *options, struct pm_error *err)
{
    if (!pm_values_is_given(options, "replicate") ||
        !(pm_values_is_given(options, "hot_factor") || pm_values_is_given(options, "hot_scale")))
        return PM_OK;
    return pm_error_set(err, PM_E_OPTION,
                        "nups: replicate= is a number of keys, hot_factor= and hot_scale= find one (allowed: one way of the two)");
}

static void set_traits(const struct pm_values *options, struct pm_traits *traits)
{
    bool cache = pm_values_bool(options, "location_cache");
    traits->group = true;
    traits->shared_memory = true;
    traits->ranges = placement_by_ranges(options);
    traits->relocates = true;
    traits->location_cache = cache;
    traits->location_cache_keys = (uint32_t)pm_values_count(options, "location_cache_keys");
    pm_exchange_traits(options, traits);
    traits->sampling = sampling_of(options);
    traits->frequent = (struct pm_frequent_rule){
        .on = true,
        .asked = pm_values_is_given(options, "hot_factor") || pm_values_is_given(options, "hot_scale") ||
                 pm_values_is_given(options, "replicate") || pm_values_enum(options, "preset") != 0,
        .count = pm_values_is_set(options, "replicate") ? pm_values_count(options, "replicate") : PM_FREQUENT_BY_FACTOR,
        .factor = pm_values_real(options, "hot_factor"),
        .scale = pm_values_real(options, "hot_scale")};
    traits->promise_sync = PM_CAUSAL;
    traits->promise_async = cache ? PM_EVENTUAL : PM_CAUSAL;
}

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct nups *s = state;
    int rc = check_options(options, err);
    if (rc != PM_OK)
        return rc;
    set_traits(options, traits);
    s->interval_ns = pm_exchange_interval_ns(options);
    if (!node)
        return PM_OK;
    s->movable = calloc(pm_node_workers(node), sizeof *s->movable);
    if (!s->movable)
        return pm_error_set(err, PM_E_MEMORY, "nups: out of memory for %u workers", pm_node_workers(node));
    s->n_workers = pm_node_workers(node);
    return lapse_intents_init(&s->intents, node, (pm_clock)pm_values_count(options, "ahead"), err);
}

static void fini(struct pm_node *node, void *state)
{
    struct nups *s = state;
    (void)node;
    for (uint32_t i = 0; i < s->n_workers; i++)
        free(s->movable[i].keys);
    free(s->movable);
    lapse_intents_fini(&s->intents);
}

/* Copies the keys that move, those that are not replicated; returns their number. */
static size_t copy_movable(const struct pm_node *node, struct movable *m, const pm_key *keys, size_t n)
{
    size_t kept = 0;
    if (n > m->capacity) {
        pm_key *bigger = realloc(m->keys, 2 * n * sizeof *bigger);
        PM_ASSERT(bigger, "out of memory for a hint of %zu keys", n);
        m->keys = bigger;
        m->capacity = 2 * n;
    }
    for (size_t i = 0; i < n; i++)
        if (!pm_is_frequent(node, keys[i]))
            m->keys[kept++] = keys[i];
    return kept;
}

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    const struct nups *s = state;
    struct movable *m = &s->movable[pm_worker_index(worker)];
    const struct pm_node *node = pm_ctx_node(ctx);
    size_t kept = pm_frequent_count(node) ? copy_movable(node, m, keys, n) : n;
    if (kept)
        lapse_intents_hint(ctx, &s->intents, worker, kept == n ? keys : m->keys, kept, start, end);
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    lapse_intents_advance(ctx, &((struct nups *)state)->intents, worker, c);
}

static int64_t round_hook(struct pm_ctx *ctx, void *state, int64_t now_ns)
{
    const struct nups *s = state;
    if (pm_frequent_count(pm_ctx_node(ctx)) == 0)
        return PM_TIME_NEVER;
    pm_exchange(ctx);
    return now_ns + s->interval_ns;
}

static void drain(struct pm_ctx *ctx, void *state)
{
    (void)state;
    pm_exchange(ctx);
}

const struct pm_policy pm_policy_nups = {
    .abi = PM_POLICY_ABI,
    .name = "nups",
    .summary = "hot keys replicated on every node, all others move to the node that is about to access them",
    .options = options_table,
    .presets = presets_table,
    .node_bytes = sizeof(struct nups),
    .init = init,
    .fini = fini,
    .hint = hint,
    .advance = advance,
    .round = round_hook,
    .drain = drain,
};
