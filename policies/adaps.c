/* SPDX-License-Identifier: GPL-3.0-or-later */
/* adaps: nothing to choose. Workers declare which keys they will access when (intent), and the policy does the rest: a key that
 * the workers of one node alone intend to access moves there, one that several nodes want at the same time is replicated at
 * them for as long, and both happen just in time. (Renz-Wieland et al., Good Intentions, CIKM 2023.)
 *
 * Each node works in rounds: it makes those intents active that may begin before the round after the next (adaps_pace.h),
 * sends what its replicas have collected, gives up those that nobody wants any more and asks for the news of the others. The
 * owner of a key answers; it knows which nodes are interested, and gives the key away when only the asker is. */
#include <stdlib.h>

#include "core/policy.h"
#include "policies/adaps.h"
#include "policies/adaps_pace.h"
#include "policies/sampling.h"

enum { TECHNIQUES_ALL, TECHNIQUES_RELOCATION, TECHNIQUES_REPLICATION };

struct adaps {
    int64_t period_ns, next_ns; /* between the starts of two rounds; the start of the next */
    double weight;
    bool relocates, replicates, timing, empty_rounds;
    uint32_t nodes, n_workers;
    struct pm_poisson quantiles;
    struct adaps_pace *paces; /* per worker */
};

static const struct pm_option options_table[] = {
    {.name = "techniques",
     .type = PM_OPT_ENUM,
     .def = "all",
     .choices = "all|relocation|replication",
     .help = "all: relocate or replicate, as intents demand; the others are ablations"},
    {.name = "timing",
     .type = PM_OPT_BOOL,
     .def = "1",
     .help = "act on an intent just in time; 0: as soon as it is declared (ablation)"},
    {.name = "rounds_per_second",
     .type = PM_OPT_REAL,
     .def = "1000",
     .help = "rounds per second, at most",
     .min = 0.001,
     .max = 1e6},
    {.name = "quantile",
     .type = PM_OPT_REAL,
     .def = "0.9999",
     .help = "probability with which an intent is acted on before it begins",
     .min = 0.5,
     .max = 0.999999999},
    {.name = "weight",
     .type = PM_OPT_REAL,
     .def = "0.1",
     .help = "of the newest round in the estimate of how fast a worker's clock rises",
     .min = 0,
     .max = 1},
    {.name = "location_cache", .type = PM_OPT_BOOL, .def = "1", .help = "look for a key at its last owner that was heard of first"},
    {.name = "empty_rounds",
     .type = PM_OPT_BOOL,
     .def = "0",
     .help = "send every node a message in every round, as the published system does"},
    SAMPLING_OPTIONS("local"),
    {0},
};

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct adaps *a = state;
    int techniques = pm_values_enum(options, "techniques");
    a->relocates = techniques != TECHNIQUES_REPLICATION;
    a->replicates = techniques != TECHNIQUES_RELOCATION;
    a->timing = pm_values_bool(options, "timing");
    a->empty_rounds = pm_values_bool(options, "empty_rounds");
    a->period_ns = (int64_t)(1e9 / pm_values_real(options, "rounds_per_second"));
    a->weight = pm_values_real(options, "weight");
    pm_poisson_init(&a->quantiles, pm_values_real(options, "quantile"));
    a->nodes = node ? pm_node_count(node) : 1;
    a->n_workers = node ? pm_node_workers(node) : 1;
    a->paces = calloc(a->n_workers, sizeof *a->paces);
    if (!a->paces)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for policy adaps");
    traits->group = true;
    traits->shared_memory = true;
    traits->replicates = true;
    traits->gate_replicas = true;
    traits->relocates = true;
    traits->location_cache = pm_values_bool(options, "location_cache");
    traits->versions = true;
    traits->grants = true;
    traits->sampling = sampling_of(options);
    traits->key_bytes = sizeof(uint64_t) * adaps_words(a->nodes);
    traits->promise_sync = traits->promise_async = PM_EVENTUAL;
    return PM_OK;
}

static void fini(struct pm_node *node, void *state)
{
    struct adaps *a = state;
    (void)node;
    pm_poisson_free(&a->quantiles);
    free(a->paces);
}

/* A replica without a value collects updates already. */
static enum pm_verdict usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key, struct pm_slot *slot,
                              enum pm_op_kind op)
{
    const struct adaps *a = state;
    (void)ctx, (void)worker, (void)key;
    bool collects = op == PM_OP_PUSH && a->replicates;
    return (slot->flags & PM_SLOT_READY) || collects ? PM_USE : PM_ASK;
}

/* ---- the owner's side ---- */

static void interest(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, pm_node_id from, bool on)
{
    (void)state, (void)key;
    uint64_t *word = (uint64_t *)pm_key_private(ctx, slot) + from / ADAPS_NODES_PER_WORD;
    *word = on ? *word | adaps_bit(from) : *word & ~adaps_bit(from);
}

static bool others_are_interested(struct pm_ctx *ctx, const struct adaps *a, const struct pm_slot *slot, pm_node_id but)
{
    const uint64_t *words = pm_key_private(ctx, slot);
    for (uint32_t i = 0; i < adaps_words(a->nodes); i++) {
        uint64_t left_out = i == but / ADAPS_NODES_PER_WORD ? adaps_bit(but) : 0;
        if (words[i] & ~left_out)
            return true;
    }
    return false;
}

static enum pm_grant grant(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, pm_node_id from)
{
    const struct adaps *a = state;
    (void)key;
    enum pm_grant stays = a->replicates ? PM_GRANT_REPLICA : PM_GRANT_NOTHING;
    if (!a->relocates || slot->intents > 0)
        return stays;
    /* who cannot have replicas has the key one after another */
    return a->replicates && others_are_interested(ctx, a, slot, from) ? stays : PM_GRANT_OWNERSHIP;
}

/* ---- rounds ---- */

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    (void)ctx, (void)state;
    if (start != PM_CLOCK_NOW && start < end) /* a wish to have keys at once says nothing about when they are used */
        pm_intent_keep(worker, keys, n, start, end);
}

static void begun(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot)
{
    (void)arg;
    pm_replicate(ctx, key, slot);
}

static void activate(struct pm_ctx *ctx, struct adaps *a)
{
    for (uint32_t i = 0; i < a->n_workers; i++) {
        struct pm_worker *worker = pm_node_worker(pm_ctx_node(ctx), i);
        pm_clock now = pm_worker_clock(worker);
        double rate = adaps_pace_round(&a->paces[i], now, a->weight);
        pm_clock until = a->timing ? now + adaps_window(&a->quantiles, rate) : PM_CLOCK_INFINITE;
        pm_intents_activate(ctx, worker, now, until, begun, NULL);
    }
}

static void synchronise(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot)
{
    (void)arg;
    if (slot->intents == 0)
        pm_drop(ctx, key, slot);
    else
        pm_refresh(ctx, key, slot, 0);
}

static int64_t round_hook(struct pm_ctx *ctx, void *state, int64_t now_ns)
{
    struct adaps *a = state;
    if (pm_refreshes_open(pm_ctx_node(ctx)))
        return PM_TIME_NEVER; /* asked again when they are answered */
    if (now_ns < a->next_ns)
        return a->next_ns;
    a->next_ns = now_ns + a->period_ns;
    if (pm_draining(pm_ctx_node(ctx)))
        return a->next_ns; /* nobody reads what would be asked for */
    activate(ctx, a);
    pm_visit_replicas(ctx, synchronise, NULL);
    if (a->empty_rounds)
        pm_round_to_all(ctx);
    return pm_refreshes_open(pm_ctx_node(ctx)) ? PM_TIME_NEVER : a->next_ns;
}

static void drain(struct pm_ctx *ctx, void *state)
{
    (void)state;
    pm_send_deltas(ctx);
}

const struct pm_policy pm_policy_adaps = {
    .abi = PM_POLICY_ABI,
    .name = "adaps",
    .summary = "relocates and replicates keys by itself, from what workers declare to access",
    .options = options_table,
    .node_bytes = sizeof(struct adaps),
    .init = init,
    .fini = fini,
    .usable = usable,
    .grant = grant,
    .interest = interest,
    .hint = hint,
    .round = round_hook,
    .drain = drain,
};
