/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One scenario on all three backends - in-memory network, simulator, real processes - gives the same: final
 * values for every policy; with one active worker, unless keys are replicated or clocks are heeded, also the same messages,
 * kind by kind, in number and bytes; with one node and one worker the same bits whatever the numbers. */
/* time-limit: 240 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backends.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"
#include "tests/scenario.h"

enum { BACKENDS = 3, OPERATIONS = 40, OP_KEYS = 6 };

static const char *const backend_names[BACKENDS] = {"memnet", "sim", "real"};

struct outcome {
    uint64_t digest;
    struct pm_counters counters; /* of the whole cluster */
    int reports;
    bool timed; /* what is sent depends on time: rounds, clocks */
};

/* ---- what the workers do ---- */

/* How a cluster is used: by whom, with what numbers. */
struct use {
    bool one_active, fractions;
};

static int operate(struct pm_worker *w, const struct use *use)
{
    /* the order of adding is the same everywhere when one worker adds, and nobody adds up for it */
    bool fractions = use->fractions || (use->one_active && !scenario_traits(w)->replicates);
    struct pm_rng rng;
    pm_rng_init(&rng, "differential", w->ctx.node->config.seed, PM_RNG_NOBODY, pm_worker_rank(w));
    for (int o = 0; o < OPERATIONS; o++) {
        pm_key keys[OP_KEYS];
        float values[OP_KEYS * 16] = {0};
        uint32_t n = 1 + (uint32_t)pm_rng_below(&rng, OP_KEYS);
        for (uint32_t i = 0; i < n; i++)
            keys[i] = pm_rng_below(&rng, scenario_keys(w));
        uint64_t floats = scenario_floats(w, keys, n);
        bool pull = pm_rng_below(&rng, 3) == 0;
        if (pm_rng_below(&rng, 4) == 0)
            SCENARIO_OK(pm_localize(w, keys, n));
        for (uint64_t i = 0; i < floats && !pull; i++)
            values[i] = fractions ? (float)pm_rng_normal(&rng) : (float)pm_rng_below(&rng, 10) - 4;
        pm_ticket ticket = pull ? pm_pull(w, keys, n, values) : pm_push(w, keys, n, values);
        SCENARIO_OK(ticket);
        SCENARIO_OK(pm_wait(w, ticket));
        if (o % 10 == 9)
            SCENARIO_OK(pm_advance_clock(w));
    }
    return PM_OK;
}

/* Rank 0 reports hashes of the model and the cluster's counters, summed up by a reduction. */
static int report(struct pm_worker *w)
{
    const struct pm_job *job = pm_node_job(w->ctx.node);
    struct pm_record digest = {.kind = PM_RECORD_DIGEST}, counters = {.kind = PM_RECORD_NODE};
    struct pm_counters of_node = scenario_counters(w);
    uint64_t *sums = (uint64_t *)&counters.u.node.counters;
    for (int i = 0; i < PM_COUNTERS; i++) {
        double sum = w->index == 0 ? (double)((uint64_t *)&of_node)[i] : 0;
        SCENARIO_OK(pm_reduce(w, &sum, 1));
        sums[i] = (uint64_t)sum;
    }
    for (pm_key key = 0; key < scenario_keys(w); key++) {
        float value[16];
        SCENARIO_OK(pm_read_model(w, &key, 1, value));
        digest.u.digest.values =
            pm_hash_bytes(value, pm_length(w->ctx.node, key) * sizeof *value, digest.u.digest.values);
    }
    SCENARIO_OK(pm_barrier(w));
    if (pm_worker_rank(w) == 0) {
        job->report(job->report_arg, &digest);
        job->report(job->report_arg, &counters);
    }
    return PM_OK;
}

static int scenario(struct pm_worker *w, void *arg)
{
    const struct use *use = arg;
    SCENARIO_OK(pm_barrier(w));
    if (!use->one_active || pm_worker_rank(w) == 0) {
        int code = operate(w, use);
        if (code != PM_OK)
            return code;
    }
    SCENARIO_OK(pm_drain(w));
    return report(w);
}

/* ---- runs ---- */

static void collect(void *arg, const struct pm_record *record)
{
    struct outcome *outcome = arg;
    if (record->kind == PM_RECORD_DIGEST) {
        outcome->digest = record->u.digest.values;
        outcome->reports++;
    } else if (record->kind == PM_RECORD_NODE) {
        outcome->counters = record->u.node.counters;
        outcome->reports++;
    }
}

static int run_on(int backend, struct testjob *t, struct outcome *outcome, struct pm_error *err)
{
    const struct pm_backend *backends[BACKENDS] = {&memnet_backend, backends_sim(), backends_real()};
    struct pm_values options;
    assert_non_null(backends[backend]);
    int code = pm_values_init(&options, backends[backend]->options, err);
    if (code != PM_OK)
        return code;
    *outcome = (struct outcome){0};
    t->job.report = collect;
    t->job.report_arg = outcome;
    code = backends[backend]->run(&t->job, &options, err);
    pm_values_free(&options);
    return code;
}

/* The same run on each backend. */
static void run(const struct contract_policy *policy, const struct use *use, struct contract_cluster cluster,
                uint64_t seed, const char *test, struct outcome *outcomes)
{
    static const struct testload_shape shape = {.keys = 30, .length = 3, .more_keys = 20, .more_length = 7};
    struct testjob t;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, policy->policy, policy->options, &shape, &err), PM_OK);
    testjob_cluster(&t, cluster.nodes, cluster.workers);
    t.job.seed = seed;
    t.job.main = scenario;
    t.job.main_arg = (void *)use;
    struct pm_traits traits;
    assert_int_equal(pm_policy_traits(policy->policy, &t.policy_options, &traits, &err), PM_OK);
    for (int b = 0; b < BACKENDS; b++) {
        repeat_note(seed, "", test);
        if (run_on(b, &t, &outcomes[b], &err) != PM_OK || outcomes[b].reports != 2) {
            repeat_line(err.text, seed, "", test);
            fail_msg("%s:%s fails on %s", policy->policy->name, policy->options, backend_names[b]);
        }
        outcomes[b].timed = traits.replicates || traits.min_clock;
        if (outcomes[b].digest != outcomes[0].digest) {
            repeat_line("final values differ", seed, "", test);
            fail_msg("%s:%s: values on %s and %s differ", policy->policy->name, policy->options,
                     backend_names[0], backend_names[b]);
        }
    }
    testjob_free(&t);
}

static void each_policy(const struct use *use, struct contract_cluster cluster, const char *test,
                        void (*check)(const struct contract_policy *, const struct outcome *, int backend))
{
    uint64_t first = repeat_number("PM_SEED", 1), end = getenv("PM_SEED") ? first + 1 : 4;
    struct contract_policy policy;
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (uint64_t seed = first; seed < end; seed++) {
            struct outcome outcomes[BACKENDS];
            run(&policy, use, cluster, seed, test, outcomes);
            for (int b = 1; b < BACKENDS && check; b++)
                check(&policy, outcomes, b);
        }
}

/* Whether a key that was asked for is here yet when it is used: a matter of time. */
static uint64_t here_or_arriving(const uint64_t *how)
{
    return how[PM_HOW_LOCAL] + how[PM_HOW_QUEUED];
}

/* All that does not depend on time. */
static void same_messages(const struct contract_policy *policy, const struct outcome *outcomes, int backend)
{
    const struct pm_counters *a = &outcomes[0].counters, *b = &outcomes[backend].counters;
    if (outcomes[0].timed)
        return;
    for (int kind = 0; kind < PM_MSG_PRIVATE; kind++) {
        if (pm_message_is_control((uint8_t)kind))
            continue;
        if (a->kind_count[kind] != b->kind_count[kind] || a->kind_bytes[kind] != b->kind_bytes[kind])
            fail_msg("%s:%s: %" PRIu64 " %s messages of %" PRIu64 " bytes on %s, %" PRIu64 " of %" PRIu64
                     " on %s",
                     policy->policy->name, policy->options, a->kind_count[kind],
                     pm_message_kind_name((enum pm_message_kind)kind), a->kind_bytes[kind], backend_names[0],
                     b->kind_count[kind], b->kind_bytes[kind], backend_names[backend]);
    }
    assert_int_equal(here_or_arriving(a->reads), here_or_arriving(b->reads));
    assert_int_equal(here_or_arriving(a->writes), here_or_arriving(b->writes));
    assert_int_equal(a->reads[PM_HOW_REMOTE], b->reads[PM_HOW_REMOTE]);
    assert_int_equal(a->writes[PM_HOW_REMOTE], b->writes[PM_HOW_REMOTE]);
    assert_int_equal(a->relocations_in, b->relocations_in);
    assert_int_equal(a->relocations_out, a->relocations_in);
    assert_true(a->updates_pushed > 0);
    assert_int_equal(a->updates_pushed, b->updates_pushed);
    assert_int_equal(a->updates_applied, b->updates_applied);
}

static void equal_values(void **state)
{
    (void)state;
    each_policy(&(struct use){0}, (struct contract_cluster){3, 2}, "equal_values", NULL);
}

static void one_active_worker(void **state)
{
    (void)state;
    each_policy(&(struct use){.one_active = true}, (struct contract_cluster){3, 2}, "one_active_worker",
                same_messages);
}

static void one_worker_any_numbers(void **state)
{
    (void)state;
    each_policy(&(struct use){.fractions = true}, (struct contract_cluster){1, 1}, "one_worker_any_numbers",
                same_messages);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values),
        cmocka_unit_test(one_active_worker),
        cmocka_unit_test(one_worker_any_numbers),
    };
    return repeat_main(argc, argv, "the same on all backends", tests, sizeof tests / sizeof *tests);
}
