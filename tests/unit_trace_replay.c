/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recording runs and replaying them: the same accesses, whoever manages the parameters and whoever replays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/node.h"
#include "core/registry.h"
#include "core/spec.h"
#include "memnet/memnet.h"
#include "tests/testload.h"
#include "tests/tracemaker.h"
#include "tests/workload_store.h"
#include "workloads/trace_recorder.h"
#include "workloads/trace_replay.h"

extern const struct pm_workload pm_workload_zipf, pm_workload_mf, pm_workload_kge, pm_workload_lr, pm_workload_trace;
extern const struct pm_policy pm_policy_bounded;

enum { KEYS_MAX = 4096 };

struct counts {
    uint64_t reads[KEYS_MAX], pushes[KEYS_MAX], batches, localized;
    double flops;
};

static int count_batch(void *arg, uint32_t rank, uint32_t epoch, const struct trace_batch *b)
{
    (void)rank, (void)epoch;
    struct counts *c = arg;
    for (uint32_t i = 0; i < b->keys.n; i++)
        c->reads[b->keys.keys[i]]++;
    for (uint32_t i = 0; i < b->samples.n; i++)
        c->reads[b->samples.keys[i]]++;
    for (uint32_t i = 0; i < b->pushed.n; i++)
        c->pushes[b->pushed.keys[i]]++;
    c->localized += b->localize.n;
    c->flops += b->flops;
    c->batches += b->keys.n + b->samples.n > 0;
    return PM_OK;
}

static void counts_of(const char *path, struct counts *c)
{
    struct trace_file f;
    struct pm_error err = {0};
    memset(c, 0, sizeof *c);
    if (trace_open(path, &f, count_batch, c, &err) != PM_OK)
        fail_msg("%s", err.text);
    trace_close(&f);
}

/* ---- a run on the random network ---- */

struct run {
    const struct pm_policy *policy;
    const char *policy_options;
    const struct pm_workload *workload;
    const char *specification;
    uint32_t nodes, workers, epochs;
    double sum_error;          /* of the last evaluation; -1: none */
    uint64_t reads, samples, pushed; /* of all nodes */
    uint64_t digest;
};

static void *digest_start(void)
{
    return calloc(1, sizeof(uint64_t));
}

static void digest_feed(void *digest, const float *values, uint64_t n)
{
    *(uint64_t *)digest = pm_hash_bytes(values, n * sizeof *values, *(uint64_t *)digest);
}

static uint64_t digest_finish(void *digest)
{
    uint64_t value = *(uint64_t *)digest;
    free(digest);
    return value;
}

static const struct pm_digest digest = {digest_start, digest_feed, digest_finish};

static void take_record(void *arg, const struct pm_record *r)
{
    struct run *run = arg;
    if (r->kind == PM_RECORD_QUALITY && strcmp(r->u.quality.metric, "sum_error") == 0)
        run->sum_error = r->u.quality.value;
    if (r->kind == PM_RECORD_DIGEST)
        run->digest = r->u.digest.values;
    if (r->kind != PM_RECORD_NODE)
        return;
    const struct pm_counters *c = &r->u.node.counters;
    run->reads += c->keys_asked[0];
    run->samples += c->sample_reads;
    run->pushed += c->updates_pushed;
}

/* The trace has what the nodes have counted. */
static void check_totals(const struct run *run, const char *path)
{
    static struct counts c;
    uint64_t reads = 0, pushed = 0;
    counts_of(path, &c);
    for (pm_key key = 0; key < KEYS_MAX; key++) {
        reads += c.reads[key];
        pushed += c.pushes[key];
    }
    assert_int_equal(reads, run->reads);
    assert_int_equal(pushed, run->pushed);
}

/* Runs, recording into a file unless `path` is NULL. */
static void run_it(struct run *run, const char *path)
{
    struct testjob t;
    struct testload_shape shape = {.keys = 1, .length = 1};
    struct pm_spec spec;
    struct pm_values options;
    struct pm_error err = {0};
    struct trace_output output;
    struct trace_totals totals;
    assert_int_equal(testjob_init(&t, run->policy, run->policy_options, &shape, &err), PM_OK);
    assert_int_equal(pm_spec_parse(run->specification, &spec, &err), PM_OK);
    if (pm_spec_apply(&spec, run->workload->options, run->workload->presets, &options, &err) != PM_OK)
        fail_msg("%s", err.text);
    testjob_cluster(&t, run->nodes, run->workers);
    if (path != NULL)
        assert_int_equal(trace_output_begin(&output, path, &err), PM_OK);
    t.job.workload = path != NULL ? trace_recorder(run->workload, &output) : run->workload;
    t.job.workload_options = &options;
    t.job.epochs = run->epochs;
    t.job.main = pm_train_worker;
    t.job.report = take_record;
    t.job.report_arg = run;
    t.job.digest = &digest;
    run->sum_error = -1;
    run->reads = run->samples = run->pushed = 0;
    struct memnet_config config = {.seed = 1, .postpone_percent = 20};
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s, %s: %s", run->policy->name, run->specification, err.text);
    struct trace_shape trace = {.nodes = t.job.nodes, .workers = t.job.workers, .origin = run->specification};
    if (path != NULL && trace_output_finish(&output, &trace, &totals, &err) != PM_OK)
        fail_msg("%s", err.text);
    if (path != NULL)
        check_totals(run, path);
    pm_values_free(&options);
    pm_spec_free(&spec);
    testjob_free(&t);
}

#define GRAPH "kge:entities=60,relations=5,triples=60,clusters=10,dim=4,negatives=3,partition=relations"

static const struct {
    const struct pm_workload *workload;
    const char *specification;
    bool samples;
} recorded[] = {
    {&pm_workload_zipf, "zipf:keys=300,length=3,steps=15,sampling=0.4,write=0.6", true},
    {&pm_workload_mf, "mf:rows=60,cols=40,cells=600,rank=2,order=blocks", false},
    {&pm_workload_kge, GRAPH ",batch=3,shared=1", true},
    {&pm_workload_kge, GRAPH ",update=score", true},
};

static struct run recorded_run(const struct pm_policy *policy, size_t which)
{
    return (struct run){.policy = policy, .policy_options = "", .workload = recorded[which].workload,
                        .specification = recorded[which].specification, .nodes = 2, .workers = 2, .epochs = 2};
}

/* Under every policy: the run is what it is without recording; its trace has as many accesses as were counted; the
 * replay accesses each key as often as the run did, by a second recording, and loses no update. */
static void a_replay_has_the_same_accesses(void **state)
{
    (void)state;
    static struct counts first, second;
    for (const struct pm_policy *const *p = pm_registry_policies; *p != NULL; p++)
        for (size_t which = 0; which < sizeof recorded / sizeof recorded[0]; which++) {
            char specification[700];
            struct run plain = recorded_run(*p, which), run = plain;
            run_it(&plain, NULL);
            run_it(&run, tracemaker_path(0));
            assert_true(run.reads == plain.reads && run.pushed == plain.pushed && run.digest == plain.digest);
            snprintf(specification, sizeof specification, "trace:file=%s", tracemaker_path(0));
            struct run replay = {*p, "", &pm_workload_trace, specification, 2, 2, 2, 0, 0, 0, 0, 0};
            run_it(&replay, tracemaker_path(1));
            counts_of(tracemaker_path(0), &first);
            counts_of(tracemaker_path(1), &second);
            assert_memory_equal(&first, &second, sizeof first);
            assert_true(replay.sum_error == 0 && replay.reads == run.reads && replay.pushed == run.pushed);
            assert_true(replay.samples == 0 && (run.samples > 0) == recorded[which].samples);
        }
    unlink(tracemaker_path(0));
    unlink(tracemaker_path(1));
}

/* ... and what was counted is what the workload's own stream says, key by key. */
struct seen {
    uint64_t reads[KEYS_MAX];
};

static void see(void *arg, uint32_t rank, const struct pm_batch *b)
{
    (void)rank;
    struct seen *seen = arg;
    for (uint32_t i = 0; i < b->n_keys; i++)
        seen->reads[b->keys[i]]++;
}

static void a_trace_is_the_stream(void **state)
{
    (void)state;
    static const char specification[] = "zipf:keys=300,length=3,steps=15";
    static struct seen seen;
    static struct counts counts;
    struct store s;
    struct run run = {pm_registry_policies[0], "", &pm_workload_zipf, specification, 2, 2, 1, 0, 0, 0, 0, 0};
    struct testjob t;
    assert_int_equal(testjob_init(&t, run.policy, "", &(struct testload_shape){.keys = 1, .length = 1}, NULL), PM_OK);
    struct pm_task task = {.nodes = 2, .workers = 2, .epochs = 1, .seed = t.job.seed, .with_values = true};
    testjob_free(&t);
    run_it(&run, tracemaker_path(0));
    counts_of(tracemaker_path(0), &counts);
    assert_int_equal(store_open(&s, &pm_workload_zipf, specification, &task, NULL), PM_OK);
    s.visit = see;
    s.visit_arg = &seen;
    store_epoch(&s, 0, 10);
    store_close(&s);
    assert_memory_equal(seen.reads, counts.reads, sizeof seen.reads);
    unlink(tracemaker_path(0));
}

/* Updates that a filter leaves out are not in the trace, nor then in the replay. */
static void what_a_filter_leaves_out_is_not_recorded(void **state)
{
    (void)state;
    static const char *const options[] = {"delay=1", "delay=1,kkt=1"};
    uint64_t pushed[2];
    for (int i = 0; i < 2; i++) {
        char specification[700];
        struct run run = {&pm_policy_bounded, options[i], &pm_workload_lr, "lr:rows=400,features=200,truth=10,l1=0.02,blocks=4",
                          2, 2, 4, 0, 0, 0, 0, 0};
        run_it(&run, tracemaker_path(0));
        pushed[i] = run.pushed;
        snprintf(specification, sizeof specification, "trace:file=%s", tracemaker_path(0));
        struct run replay = {&pm_policy_bounded, options[i], &pm_workload_trace, specification, 2, 2, 4, 0, 0, 0, 0, 0};
        run_it(&replay, tracemaker_path(1));
        assert_true(replay.reads == run.reads && replay.pushed == run.pushed && replay.sum_error == 0);
    }
    assert_true(pushed[1] < pushed[0] && pushed[1] > 0);
    unlink(tracemaker_path(0));
    unlink(tracemaker_path(1));
}

/* ---- other shapes ---- */

/* Replays all epochs with a store, which checks that workers agree about barriers. */
static void replay_in_store(const char *path, const char *options, const struct pm_task *task, struct seen *seen, double *flops,
                            uint64_t *barriers)
{
    char specification[700];
    struct store s;
    struct pm_error err = {0};
    snprintf(specification, sizeof specification, "trace:file=%s%s", path, options);
    if (store_open(&s, &pm_workload_trace, specification, task, &err) != PM_OK)
        fail_msg("%s", err.text);
    memset(seen, 0, sizeof *seen);
    s.visit = see;
    s.visit_arg = seen;
    *barriers = 0;
    for (uint32_t epoch = 0; epoch < task->epochs; epoch++) {
        store_epoch(&s, epoch, 3);
        *barriers += s.barriers;
    }
    double sum = 0;
    for (uint64_t i = 0; i < s.model.layout.n_floats && s.values != NULL; i++)
        sum += (double)s.values[i];
    *flops = sum;
    store_close(&s);
}

static void any_number_of_workers_replays_all(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{3, 2}, {1, 1}, {1, 2}, {2, 2}, {1, 4}, {5, 1}, {6, 2}, {4, 5}, {1, 13}, {2, 32}};
    static struct counts counts;
    static struct seen seen;
    for (uint32_t barriers = 0; barriers < 5; barriers += 4) {
        struct tracemaker t = {.nodes = 3, .workers = 2, .epochs = 2, .keys = 200, .batches = 19, .barriers = barriers, .seed = 4};
        double pushed = 0;
        tracemaker_write(&t, tracemaker_path(0));
        counts_of(tracemaker_path(0), &counts);
        for (pm_key key = 0; key < t.keys; key++)
            pushed += (double)counts.pushes[key] * (key < 20 ? 3 : 5);
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            struct pm_task task = {.nodes = shapes[i][0], .workers = shapes[i][1], .epochs = 2, .with_values = true};
            double sum;
            uint64_t passed;
            replay_in_store(tracemaker_path(0), "", &task, &seen, &sum, &passed);
            assert_memory_equal(seen.reads, counts.reads, sizeof seen.reads);
            assert_true(sum == pushed);
            assert_int_equal(passed, barriers > 0 ? 2 * ((19 - 1) / 4) : 0);
        }
        unlink(tracemaker_path(0));
    }
}

/* With the same nodes, what a node accessed it accesses again. */
static void nodes_keep_their_accesses(void **state)
{
    (void)state;
    struct tracemaker t = {.nodes = 3, .workers = 2, .epochs = 1, .keys = 200, .batches = 9, .seed = 5};
    static const uint32_t workers[] = {1, 2, 3, 4, 7};
    struct trace_file f;
    tracemaker_write(&t, tracemaker_path(0));
    assert_int_equal(trace_open(tracemaker_path(0), &f, NULL, NULL, NULL), PM_OK);
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        uint64_t dealt = 0;
        for (uint32_t rank = 0; rank < 3 * workers[i]; rank++) {
            struct trace_replay r;
            const struct trace_batch *batch;
            bool barrier;
            assert_int_equal(trace_replay_begin(&r, &f, rank, 3 * workers[i]), PM_OK);
            uint64_t n = trace_replay_epoch(&r, 0);
            for (uint64_t b = 0; b < n; b++) {
                bool found = false;
                assert_int_equal(trace_replay_next(&r, &batch, &barrier), PM_OK);
                assert_true(batch != NULL && !barrier);
                for (uint32_t old = 2 * (rank / workers[i]); old < 2 * (rank / workers[i] + 1); old++)
                    for (uint32_t number = 0; number < t.batches && !found; number++) {
                        struct trace_batch made = tracemaker_batch(&t, old, 0, number);
                        found = tracemaker_same_batch(&made, batch);
                    }
                assert_true(found);
                dealt++;
            }
            trace_replay_free(&r);
        }
        assert_int_equal(dealt, 6 * t.batches);
    }
    trace_close(&f);
    unlink(tracemaker_path(0));
}

/* ---- options ---- */

static void options_change_what_they_say(void **state)
{
    (void)state;
    static struct counts counts;
    static struct seen seen;
    struct tracemaker t = {.nodes = 2, .workers = 1, .epochs = 2, .keys = 200, .batches = 30, .seed = 6};
    struct pm_task task = {.nodes = 2, .workers = 1, .epochs = 2, .with_values = true};
    double sum;
    uint64_t passed, pushes = 0;
    tracemaker_write(&t, tracemaker_path(0));
    counts_of(tracemaker_path(0), &counts);
    for (pm_key key = 0; key < t.keys; key++)
        pushes += counts.pushes[key];
    replay_in_store(tracemaker_path(0), ",push=0", &task, &seen, &sum, &passed);
    assert_true(sum == 0 && memcmp(seen.reads, counts.reads, sizeof seen.reads) == 0);
    replay_in_store(tracemaker_path(0), ",length=2", &task, &seen, &sum, &passed);
    assert_true(sum == 2 * (double)pushes);
    replay_in_store(tracemaker_path(0), ",samples=drawn,length=1", &task, &seen, &sum, &passed);
    assert_true(sum == (double)pushes && memcmp(seen.reads, counts.reads, sizeof seen.reads) != 0);
    task.epochs = 4; /* twice what was recorded */
    replay_in_store(tracemaker_path(0), ",length=1", &task, &seen, &sum, &passed);
    assert_true(sum == 2 * (double)pushes);
    for (pm_key key = 0; key < t.keys; key++)
        assert_true(seen.reads[key] == 2 * counts.reads[key]);
    unlink(tracemaker_path(0));
}

/* ---- how often ---- */

/* What the workload expects of its first n keys, and of a part of them, which is the same. */
static void expect(const char *options, const struct pm_task *task, uint64_t n, double *all)
{
    char specification[700];
    struct store s;
    double part[50];
    snprintf(specification, sizeof specification, "trace:file=%s%s", tracemaker_path(0), options);
    assert_int_equal(store_open(&s, &pm_workload_trace, specification, task, NULL), PM_OK);
    s.workload->frequency(s.state, 0, n, all);
    s.workload->frequency(s.state, 30, 50, part);
    assert_memory_equal(part, all + 30, sizeof part);
    store_close(&s);
}

/* Expected are the accesses of the whole replay: exactly those where samples are known, and where they are drawn anew direct
 * ones exactly, and so many samples of each key as its share of those recorded. */
static void frequencies_are_counted(void **state)
{
    (void)state;
    enum { KEYS = 200 };
    static struct seen direct, every;
    struct tracemaker t = {.nodes = 2, .workers = 2, .epochs = 2, .keys = KEYS, .batches = 40, .seed = 7};
    double all[KEYS], sum;
    uint64_t passed;
    tracemaker_write(&t, tracemaker_path(0));
    for (uint32_t epochs = 1; epochs <= 4; epochs++) {
        struct pm_task task = {.nodes = 3, .workers = 1, .epochs = epochs, .with_values = true};
        double samples = 0, drawn = 0;
        replay_in_store(tracemaker_path(0), "", &task, &every, &sum, &passed);
        expect("", &task, KEYS, all);
        for (pm_key key = 0; key < KEYS; key++)
            assert_true(all[key] == (double)every.reads[key]);
        replay_in_store(tracemaker_path(0), ",samples=drawn", &task, &direct, &sum, &passed);
        expect(",samples=drawn", &task, KEYS, all);
        for (pm_key key = 0; key < KEYS; key++) {
            samples += (double)(every.reads[key] - direct.reads[key]);
            drawn += all[key] - (double)direct.reads[key];
            if (epochs % 2 == 0) /* shares are those of all recorded epochs together */
                assert_true(fabs(all[key] - (double)every.reads[key]) < 1e-6);
        }
        assert_true(samples > 0 && fabs(samples - drawn) < 1e-6);
    }
    unlink(tracemaker_path(0));
}

/* ---- amounts of computation, refusals ---- */

static void flops_of_first(const char *options, double expected)
{
    char specification[700];
    struct store s;
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 1};
    snprintf(specification, sizeof specification, "trace:file=%s%s", tracemaker_path(0), options);
    assert_int_equal(store_open(&s, &pm_workload_trace, specification, &task, NULL), PM_OK);
    struct pm_batch batch = {.item = calloc(1, pm_workload_trace.batch_bytes)};
    s.workload->epoch_begin(s.state, store_worker_state(&s, 0), 0);
    assert_int_equal(s.workload->next(s.state, store_worker_state(&s, 0), &batch), PM_OK);
    assert_true(s.workload->flops(s.state, &batch) == expected);
    free(batch.keys);
    free(batch.localize);
    free(batch.pushes);
    free(batch.item);
    store_close(&s);
}

static void computation_is_as_recorded_unless_given(void **state)
{
    (void)state;
    struct tracemaker t = {.nodes = 1, .workers = 1, .epochs = 1, .keys = 200, .batches = 1};
    do
        t.seed++;
    while (tracemaker_batch(&t, 0, 0, 0).flops == 0 || tracemaker_batch(&t, 0, 0, 0).keys.n == 0);
    tracemaker_write(&t, tracemaker_path(0));
    flops_of_first("", tracemaker_batch(&t, 0, 0, 0).flops);
    flops_of_first(",flops=77", 77);
    unlink(tracemaker_path(0));
}

static void bad_settings_are_refused(void **state)
{
    (void)state;
    struct store s;
    struct pm_error err = {0};
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 1000000, .with_values = true};
    struct tracemaker t = {.nodes = 1, .workers = 1, .epochs = 1, .keys = 21, .batches = 300, .seed = 1};
    char specification[700];
    assert_int_equal(store_open(&s, &pm_workload_trace, "trace", &task, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "workload trace: which trace? (trace:file=FILE"));
    assert_int_equal(store_open(&s, &pm_workload_trace, "trace:file=no/such", &task, &err), PM_E_FILE);
    tracemaker_write(&t, tracemaker_path(0));
    snprintf(specification, sizeof specification, "trace:file=%s", tracemaker_path(0));
    assert_int_equal(store_open(&s, &pm_workload_trace, specification, &task, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "updates of one key: sums are exact below 16777216 (allowed: fewer epochs, push=0, or"));
    task.with_values = false;
    assert_int_equal(store_open(&s, &pm_workload_trace, specification, &task, &err), PM_OK);
    store_close(&s);
    unlink(tracemaker_path(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_has_the_same_accesses),
        cmocka_unit_test(a_trace_is_the_stream),
        cmocka_unit_test(what_a_filter_leaves_out_is_not_recorded),
        cmocka_unit_test(any_number_of_workers_replays_all),
        cmocka_unit_test(nodes_keep_their_accesses),
        cmocka_unit_test(options_change_what_they_say),
        cmocka_unit_test(frequencies_are_counted),
        cmocka_unit_test(computation_is_as_recorded_unless_given),
        cmocka_unit_test(bad_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
