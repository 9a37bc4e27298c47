/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What reaches a policy's hooks is what workers have called and nothing else: a policy that only writes down what it hears,
 * and workers that look it up. PM_SEED=n runs that seed alone, SEEDS how many. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/internal.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"
#include "tests/scenario.h"

enum { SEEDS = 60, NODES = 3, WORKERS = 2, KEYS = 40, LENGTH = 3, TURNS = 8, ASK_NS = 5000 };
enum { SUB_HINT = 3, SUB_DRAIN = 0x7fff, SUB_ANSWER = 0x8000 }; /* private kinds; an answer's is added to the question's */

/* ---- the policy --------------------------------------------------------------------------------------- */

/* Of each worker: how often a hook was called for it, and with what the last time. */
struct heard {
    uint32_t hints, prepared, samples, advances, clocks;
    pm_key keys[KEYS];
    size_t n, n_prepared, n_sample;
    pm_clock start, end, prepared_start, prepared_end, advanced, before, clock;
    uint32_t distribution, sampled;
};

struct witness {
    struct heard heard[WORKERS];
    bool min_clock, regular, to_send;
    pm_clock open, wanted; /* workers may go on up to this clock; the highest that one has asked for */
    uint32_t rounds, drains, asked_again;
    int64_t due_ns; /* of the next round */
    uint32_t questions[NODES], answers[NODES], collected[NODES];
};

static const struct pm_option witness_options[] = {
    {.name = "min_clock", .type = PM_OPT_BOOL, .def = "0", .help = "nodes tell each other their clocks"},
    {.name = "regular", .type = PM_OPT_BOOL, .def = "0", .help = "rounds come by themselves"},
    {.name = NULL},
};

static int witness_init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                        struct pm_error *err)
{
    struct witness *x = state;
    (void)node, (void)err;
    traits->group = traits->shared_memory = true;
    traits->min_clock = x->min_clock = pm_values_bool(options, "min_clock");
    x->regular = pm_values_bool(options, "regular");
    return PM_OK;
}

static struct heard *heard_of(void *state, const struct pm_worker *worker)
{
    return &((struct witness *)state)->heard[pm_worker_index(worker)];
}

/* Number i of the blob that goes with a private message. */
static uint64_t blob_of(pm_node_id from, uint16_t sub, uint64_t number, uint32_t i)
{
    return pm_hash64_pair(pm_hash64_pair(from, sub), pm_hash64_pair(number, i));
}

static void send(struct pm_ctx *ctx, pm_node_id to, uint16_t sub, uint64_t number)
{
    uint64_t blob[4];
    for (uint32_t i = 0; i < 4; i++)
        blob[i] = blob_of(pm_node_self(pm_ctx_node(ctx)), sub, number, i);
    pm_send_private(ctx, to, sub, number, blob, (uint32_t)(number % 5) * 8);
}

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    struct witness *x = state;
    struct heard *h = heard_of(state, worker);
    h->hints++;
    h->n = n;
    memcpy(h->keys, keys, n * sizeof *keys);
    h->start = start;
    h->end = end;
    x->to_send = true;
    for (pm_node_id to = 0; to < NODES; to++)
        if (to != pm_node_self(pm_ctx_node(ctx)))
            send(ctx, to, SUB_HINT, h->hints);
}

static void prepare_sample(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t distribution, size_t n,
                           pm_clock start, pm_clock end)
{
    struct heard *h = heard_of(state, worker);
    (void)ctx;
    h->prepared++;
    h->distribution = distribution;
    h->n_prepared = n;
    h->prepared_start = start;
    h->prepared_end = end;
}

/* The i-th key of a worker's so-manieth sample. */
static pm_key sample_key(uint32_t index, uint32_t sample, size_t i)
{
    return (sample * 5 + index * 11 + i * 3) % KEYS;
}

static void sample(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t distribution, pm_key *keys, size_t n)
{
    struct heard *h = heard_of(state, worker);
    (void)ctx;
    h->samples++;
    h->sampled = distribution;
    h->n_sample = n;
    for (size_t i = 0; i < n; i++)
        keys[i] = sample_key(pm_worker_index(worker), h->samples, i);
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    struct heard *h = heard_of(state, worker);
    (void)ctx;
    h->advances++;
    h->advanced = c;
    h->before = pm_worker_clock(worker);
}

/* A worker goes on when a round has opened its clock. */
static enum pm_verdict clock_hook(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    struct witness *x = state;
    struct heard *h = heard_of(state, worker);
    PM_ASSERT(pm_worker_clock(worker) == c && h->advanced == c);
    x->asked_again += h->clock == c;
    h->clocks++;
    h->clock = c;
    if (c <= x->open)
        return PM_USE;
    x->wanted = c > x->wanted ? c : x->wanted;
    if (!x->regular) {
        int64_t at_ns = pm_now_ns(ctx) + ASK_NS;
        x->due_ns = at_ns < x->due_ns ? at_ns : x->due_ns;
        pm_tick_at(ctx, at_ns);
    }
    return PM_WAIT;
}

/* Every second round opens what is asked for; all kick. */
static int64_t round_hook(struct pm_ctx *ctx, void *state, int64_t now_ns)
{
    struct witness *x = state;
    PM_ASSERT(!ctx->worker && now_ns >= x->due_ns, "a round at %lld ns, due at %lld", (long long)now_ns,
              (long long)x->due_ns);
    x->due_ns = x->regular ? now_ns + ASK_NS : PM_TIME_NEVER;
    if (++x->rounds % 2 == 0)
        x->open = x->wanted;
    pm_kick(ctx);
    return x->regular ? x->due_ns : PM_TIME_NEVER;
}

static int message(struct pm_ctx *ctx, void *state, struct pm_message *m)
{
    struct witness *x = state;
    const struct pm_wire *w = &m->wire;
    bool answer = w->sub & SUB_ANSWER;
    if (w->length_bytes != PM_WIRE_BYTES + (w->number % 5) * 8 || w->source == pm_node_self(pm_ctx_node(ctx)))
        return PM_E_MESSAGE;
    const uint64_t *blob = pm_message_blob(m);
    for (uint32_t i = 0; i < w->number % 5; i++)
        if (blob[i] != blob_of(w->source, w->sub, w->number, i))
            return PM_E_MESSAGE;
    x->questions[w->source] += w->sub == SUB_HINT;
    x->collected[w->source] += w->sub == SUB_DRAIN;
    x->answers[w->source] += answer;
    if (!answer)
        send(ctx, w->source, w->sub | SUB_ANSWER, w->number + 1);
    return PM_OK;
}

/* Sends what was left for it, once. */
static void drain(struct pm_ctx *ctx, void *state)
{
    struct witness *x = state;
    struct pm_node *node = pm_ctx_node(ctx);
    x->drains++;
    for (uint32_t i = 0; i < WORKERS; i++)
        PM_ASSERT(pm_node_worker(node, i)->in_collective, "a drain while a worker is elsewhere");
    for (pm_node_id to = 0; to < NODES && x->to_send; to++)
        if (to != pm_node_self(node))
            send(ctx, to, SUB_DRAIN, x->drains);
    x->to_send = false;
}

static const struct pm_policy witness = {
    .abi = PM_POLICY_ABI,
    .name = "witness",
    .options = witness_options,
    .node_bytes = sizeof(struct witness),
    .init = witness_init,
    .hint = hint,
    .prepare_sample = prepare_sample,
    .sample = sample,
    .advance = advance,
    .clock = clock_hook,
    .round = round_hook,
    .message = message,
    .drain = drain,
};

/* ---- what workers do ---------------------------------------------------------------------------------- */

static int check_hints(struct pm_worker *w, struct heard *h, uint32_t turn)
{
    pm_key keys[4] = {turn, w->rank, turn, KEYS - 1};
    const pm_key wrong[2] = {0, KEYS};
    uint32_t before = h->hints;
    SCENARIO_OK(pm_intent(w, keys, 4, turn, turn + 3));
    SCENARIO_CHECK(h->hints == before + 1 && h->n == 4 && memcmp(h->keys, keys, sizeof keys) == 0);
    SCENARIO_CHECK(h->start == turn && h->end == turn + 3);
    SCENARIO_CHECK(pm_intent(w, wrong, 2, 0, 1) == PM_E_KEY && pm_localize(w, wrong, 2) == PM_E_KEY);
    SCENARIO_CHECK(pm_intent(w, keys, 4, 2, 1) == PM_E_ARGUMENT && pm_intent(w, keys, 4, -1, 1) == PM_E_ARGUMENT);
    SCENARIO_CHECK(pm_intent(w, keys, 0, 0, 1) == PM_OK && pm_localize(w, keys, 0) == PM_OK);
    SCENARIO_CHECK(h->hints == before + 1);
    SCENARIO_OK(pm_localize(w, keys + 1, 3));
    SCENARIO_CHECK(h->hints == before + 2 && h->n == 3 && memcmp(h->keys, keys + 1, 3 * sizeof *keys) == 0);
    SCENARIO_CHECK(h->start == PM_CLOCK_NOW && h->end == PM_CLOCK_NOW);
    return PM_OK;
}

static int check_part(struct pm_worker *w, struct heard *h, int64_t handle, uint32_t distribution, size_t n)
{
    pm_key keys[5];
    float values[5 * LENGTH];
    uint32_t before = h->samples;
    pm_ticket ticket = pm_pull_sample(w, handle, n, keys, values);
    SCENARIO_OK(ticket);
    SCENARIO_OK(pm_wait(w, ticket));
    SCENARIO_CHECK(h->samples == before + 1 && h->n_sample == n && h->sampled == distribution);
    for (size_t i = 0; i < n; i++)
        SCENARIO_CHECK(keys[i] == sample_key(w->index, h->samples, i));
    return scenario_check_values(w, keys, n, values, scenario_nothing, NULL);
}

static int check_samples(struct pm_worker *w, struct heard *h, uint32_t turn)
{
    uint32_t distribution = turn % 2, prepared = h->prepared, samples = h->samples;
    int64_t handle = pm_prepare_sample(w, distribution, 5, turn + 1, turn + 2);
    SCENARIO_OK(handle);
    SCENARIO_CHECK(h->prepared == prepared + 1 && h->n_prepared == 5 && h->distribution == distribution);
    SCENARIO_CHECK(h->prepared_start == turn + 1 && h->prepared_end == turn + 2);
    SCENARIO_CHECK(h->samples == samples); /* drawn when they are pulled */
    SCENARIO_OK(check_part(w, h, handle, distribution, 2));
    SCENARIO_CHECK(pm_pull_sample(w, handle, 4, NULL, NULL) == PM_E_ARGUMENT && h->samples == samples + 1);
    SCENARIO_OK(check_part(w, h, handle, distribution, 3));
    SCENARIO_CHECK(pm_prepare_sample(w, 2, 1, 0, 1) == PM_E_ARGUMENT && h->prepared == prepared + 1);
    return PM_OK;
}

static int check_clock(struct pm_worker *w, struct witness *x, struct heard *h)
{
    pm_clock now = pm_worker_clock(w) + 1;
    uint32_t advances = h->advances, clocks = h->clocks;
    SCENARIO_OK(pm_advance_clock(w));
    SCENARIO_CHECK(pm_worker_clock(w) == now && h->advances == advances + 1);
    SCENARIO_CHECK(h->advanced == now && h->before == now - 1);
    SCENARIO_CHECK(h->clocks > clocks && h->clock == now && x->open >= now);
    return PM_OK;
}

static int check_collectives(struct pm_worker *w, struct witness *x, struct heard *h, uint32_t turn)
{
    uint32_t advances = h->advances, drains = x->drains, clocks = h->clocks, self = w->ctx.node->config.id;
    SCENARIO_OK(pm_barrier(w));
    SCENARIO_CHECK(x->drains == drains);
    SCENARIO_OK(pm_drain(w));
    SCENARIO_CHECK(x->drains >= drains + 2); /* two waves that agree */
    SCENARIO_CHECK(h->clocks == clocks && h->advances == advances + (x->min_clock ? 2 : 0));
    SCENARIO_CHECK(!x->min_clock || h->advanced == PM_CLOCK_INFINITE);
    for (pm_node_id from = 0; from < NODES; from++) {
        uint32_t hints = from == self ? 0 : 2 * WORKERS * (turn + 1), collected = from == self ? 0 : turn + 1;
        SCENARIO_CHECK(x->questions[from] == hints && x->collected[from] == collected);
        SCENARIO_CHECK(x->answers[from] == hints + collected);
    }
    return pm_barrier(w);
}

static int work(struct pm_worker *w, void *arg)
{
    struct witness *x = w->ctx.node->policy_state;
    struct heard *h = &x->heard[w->index];
    (void)arg;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        SCENARIO_OK(check_hints(w, h, turn));
        SCENARIO_OK(check_samples(w, h, turn));
        SCENARIO_OK(check_clock(w, x, h));
        SCENARIO_OK(check_collectives(w, x, h, turn));
    }
    SCENARIO_CHECK(x->asked_again > 0); /* each was held by one round at least */
    return PM_OK;
}

/* ---- runs --------------------------------------------------------------------------------------------- */

static int run(const struct pm_policy *policy, const char *options, uint64_t seed, int (*body)(struct pm_worker *, void *),
               struct pm_error *err)
{
    struct testjob t;
    const struct testload_shape shape = {.keys = KEYS, .length = LENGTH};
    const struct memnet_config config = {.seed = seed,
                                         .mode = (enum memnet_mode)(seed % MEMNET_MODES),
                                         .latches = seed & 1,
                                         .dense = seed & 2,
                                         .postpone_percent = 20 * (seed % 3),
                                         .max_events = 200000};
    assert_int_equal(testjob_init(&t, policy, options, &shape, err), PM_OK);
    testjob_cluster(&t, NODES, WORKERS);
    t.job.main = body;
    int code = memnet_run(&t.job, &config, NULL, err);
    testjob_free(&t);
    return code;
}

static void hooks(void **state)
{
    const char *options = *state;
    uint64_t first = repeat_number("PM_SEED", 1);
    uint64_t last = getenv("PM_SEED") ? first : repeat_number("SEEDS", SEEDS / REPEAT_SHARE);
    for (uint64_t seed = first; seed <= last; seed++) {
        struct pm_error err = {0};
        repeat_note(seed, "", options);
        if (run(&witness, options, seed, work, &err) == PM_OK)
            continue;
        repeat_line(err.text, seed, "", options);
        fail_msg("seed %" PRIu64 " fails", seed);
    }
}

/* ---- private messages that are refused ---------------------------------------------------------------- */

static int one_hint(struct pm_worker *w, void *arg)
{
    const pm_key key = 1;
    (void)arg;
    int code = w->rank == 0 ? pm_intent(w, &key, 1, 0, 1) : PM_OK;
    return code == PM_OK ? pm_drain(w) : code;
}

static int refuse(struct pm_ctx *ctx, void *state, struct pm_message *m)
{
    (void)ctx, (void)state, (void)m;
    return PM_E_MESSAGE;
}

static void refused_messages(void **state)
{
    (void)state;
    struct pm_policy refusing = witness, deaf = witness;
    struct pm_error err = {0};
    refusing.message = refuse;
    deaf.message = NULL;
    assert_int_equal(run(&witness, "", 1, one_hint, &err), PM_OK);
    assert_int_equal(run(&refusing, "", 1, one_hint, &err), PM_E_MESSAGE);
    assert_non_null(strstr(err.text, "private"));
    assert_int_equal(run(&deaf, "", 1, one_hint, &err), PM_E_MESSAGE);
    assert_non_null(strstr(err.text, "kind"));
}

int main(int argc, char **argv)
{
    static char asked[] = "regular=0", regular[] = "regular=1", clocks[] = "min_clock=1";
    const struct CMUnitTest tests[] = {
        {asked, hooks, NULL, NULL, asked},
        {regular, hooks, NULL, NULL, regular},
        {clocks, hooks, NULL, NULL, clocks},
        cmocka_unit_test(refused_messages),
    };
    return repeat_main(argc, argv, "hooks", tests, sizeof tests / sizeof *tests);
}
