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

/* What can be preset. */
struct knobs {
    uint64_t replicate; /* PM_FREQUENT_BY_FACTOR: see hot_scale */
    double hot_scale;
    int64_t interval_ns;
    uint64_t ahead;
    struct pm_sampling sampling;
};

/* In the order of the option's choices. The first four: numbers of replicated keys of the published tasks; the others: the
 * settings (factor of the heuristic's number of keys, ahead) with which the successor was compared, all with 1000 rounds per
 * second and local sampling. */
static const struct preset {
    uint64_t replicate;
    double hot_scale;
    uint64_t ahead;
} presets[] = {
    {0, 0, 0},
    {900, 0, 0},
    {3272, 0, 0},
    {209408, 0, 0},
    {755, 0, 0},
    {0, 0.2199, 16},
    {0, 0.0288, 134},
    {0, 19.165, 1},
    {0, 43.543, 25},
    {0, 0.0415, 1},
};

enum { PRESET_INTERVAL_NS = 1000 * 1000 };

static void apply_preset(const struct preset *preset, const struct pm_values *options, struct knobs *k)
{
    bool numbers = pm_values_is_given(options, "hot_factor") || pm_values_is_given(options, "hot_scale") ||
                   pm_values_is_given(options, "replicate");
    if (preset->replicate && !numbers)
        k->replicate = preset->replicate;
    if (preset->hot_scale <= 0)
        return;
    if (!pm_values_is_given(options, "hot_scale"))
        k->hot_scale = preset->hot_scale;
    if (!pm_values_is_given(options, "ahead"))
        k->ahead = preset->ahead;
    if (!pm_values_is_given(options, "syncs_per_second"))
        k->interval_ns = PRESET_INTERVAL_NS;
    if (!pm_values_is_given(options, "sampling"))
        k->sampling.scheme = PM_SAMPLING_LOCAL;
}

static int read_knobs(const struct pm_values *options, struct knobs *k, struct pm_error *err)
{
    bool counted = pm_values_is_set(options, "replicate");
    *k = (struct knobs){.replicate = counted ? pm_values_count(options, "replicate") : PM_FREQUENT_BY_FACTOR,
                        .hot_scale = pm_values_real(options, "hot_scale"),
                        .interval_ns = pm_exchange_interval_ns(options),
                        .ahead = pm_values_count(options, "ahead"),
                        .sampling = sampling_of(options)};
    if (counted && (pm_values_is_given(options, "hot_factor") || pm_values_is_given(options, "hot_scale")))
        return pm_error_set(err, PM_E_OPTION,
                            "nups: replicate= is a number of keys, hot_factor= and hot_scale= find one (allowed: one way of the "
                            "two)");
    apply_preset(&presets[pm_values_enum(options, "preset")], options, k);
    return PM_OK;
}

static void set_traits(const struct pm_values *options, const struct knobs *k, struct pm_traits *traits)
{
    bool cache = pm_values_bool(options, "location_cache");
    traits->group = true;
    traits->shared_memory = true;
    traits->ranges = placement_by_ranges(options);
    traits->relocates = true;
    traits->location_cache = cache;
    traits->location_cache_keys = (uint32_t)pm_values_count(options, "location_cache_keys");
    pm_exchange_traits(options, traits);
    traits->sampling = k->sampling;
    traits->frequent = (struct pm_frequent_rule){
        .on = true,
        .asked = pm_values_is_given(options, "hot_factor") || pm_values_is_given(options, "hot_scale") ||
                 pm_values_is_given(options, "replicate") || pm_values_enum(options, "preset") != 0,
        .count = k->replicate,
        .factor = pm_values_real(options, "hot_factor"),
        .scale = k->hot_scale};
    traits->promise_sync = PM_CAUSAL;
    traits->promise_async = cache ? PM_EVENTUAL : PM_CAUSAL;
}

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct nups *s = state;
    struct knobs k;
    int rc = read_knobs(options, &k, err);
    if (rc != PM_OK)
        return rc;
    set_traits(options, &k, traits);
    s->interval_ns = k.interval_ns;
    if (!node)
        return PM_OK;
    s->movable = calloc(pm_node_workers(node), sizeof *s->movable);
    if (!s->movable)
        return pm_error_set(err, PM_E_MEMORY, "nups: out of memory for %u workers", pm_node_workers(node));
    s->n_workers = pm_node_workers(node);
    return lapse_intents_init(&s->intents, node, (pm_clock)k.ahead, err);
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
    .node_bytes = sizeof(struct nups),
    .init = init,
    .fini = fini,
    .hint = hint,
    .advance = advance,
    .round = round_hook,
    .drain = drain,
};
