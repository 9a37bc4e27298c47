/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The zipf workload: what it accesses, what it pushes, and that its sum is exact on a cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"
#include "core/registry.h"
#include "core/rng.h"
#include "memnet/memnet.h"
#include "tests/testload.h"
#include "tests/workload_store.h"

extern const struct pm_workload pm_workload_zipf;

static const struct pm_task cluster = {.nodes = 2, .workers = 2, .epochs = 1, .seed = 3, .with_values = true};

struct seen {
    uint64_t *counts; /* per key, direct accesses */
    uint64_t direct, samples, batches, hash;
    uint64_t from, to; /* only batches [from, to) of rank 0 are counted; to = 0: all of all ranks */
};

static void visit(void *arg, uint32_t rank, const struct pm_batch *batch)
{
    struct seen *seen = arg;
    if (rank == 0)
        seen->hash = pm_hash_bytes(batch->keys, batch->n_keys * sizeof *batch->keys, seen->hash);
    uint64_t number = seen->batches;
    seen->batches += rank == 0 || seen->to == 0;
    if (seen->to > 0 && (rank > 0 || number < seen->from || number >= seen->to))
        return;
    seen->direct += batch->n_keys;
    seen->samples += batch->n_samples;
    for (uint32_t i = 0; i < batch->n_keys; i++)
        seen->counts[batch->keys[i]]++;
}

/* Runs epochs 0.. and leaves the store open. */
static void run(struct store *s, struct seen *seen, const char *specification, const struct pm_task *task,
                uint32_t epochs, uint32_t ahead)
{
    struct pm_error err = {0};
    if (store_open(s, &pm_workload_zipf, specification, task, &err) != PM_OK)
        fail_msg("%s: %s", specification, err.text);
    seen->counts = calloc(s->model.layout.n_keys, sizeof *seen->counts);
    s->visit = visit;
    s->visit_arg = seen;
    for (uint32_t epoch = 0; epoch < epochs; epoch++)
        store_epoch(s, epoch, ahead);
}

static void finish(struct store *s, struct seen *seen)
{
    free(seen->counts);
    store_close(s);
}

static uint64_t hottest_key(const struct seen *seen, uint64_t keys)
{
    uint64_t best = 0;
    for (uint64_t key = 1; key < keys; key++)
        if (seen->counts[key] > seen->counts[best])
            best = key;
    return best;
}

static void accesses_are_zipf_distributed(void **state)
{
    (void)state;
    struct store s;
    struct seen seen = {0};
    run(&s, &seen, "zipf:keys=1000,length=1,skew=1,steps=5000,batch=10", &cluster, 1, 0);
    assert_true(seen.direct == 4 * 5000 * 10 && seen.samples == 0);
    double harmonic = 0;
    for (int r = 1; r <= 1000; r++)
        harmonic += 1.0 / r;
    double expected = (double)seen.direct / harmonic;
    assert_true(fabs((double)seen.counts[hottest_key(&seen, 1000)] - expected) < 5 * sqrt(expected));
    finish(&s, &seen);
}

static void streams_repeat_and_differ_by_seed_and_epoch(void **state)
{
    (void)state;
    uint64_t hashes[4];
    struct pm_task other = cluster;
    other.seed = 4;
    for (int i = 0; i < 4; i++) {
        struct store s;
        struct seen seen = {0};
        run(&s, &seen, "zipf:keys=1000,length=2,steps=50,sampling=0.3", i == 2 ? &other : &cluster,
            i == 3 ? 2 : 1, i == 1 ? 1000 : 0);
        hashes[i] = seen.hash;
        finish(&s, &seen);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] != hashes[2] && hashes[0] != hashes[3]);
}

static void samples_take_their_share(void **state)
{
    (void)state;
    static const struct {
        const char *specification;
        uint64_t direct, samples;
    } cases[] = {
        {"zipf:keys=100,steps=10,batch=10,sampling=0.5", 5, 5},
        {"zipf:keys=100,steps=10,batch=10,sampling=1", 0, 10},
        {"zipf:keys=100,steps=10,batch=1,sampling=0.4", 1, 0},
    };
    for (size_t i = 0; i < 3; i++) {
        struct store s;
        struct seen seen = {0};
        run(&s, &seen, cases[i].specification, &cluster, 1, 2);
        assert_true(seen.direct == 40 * cases[i].direct && seen.samples == 40 * cases[i].samples);
        finish(&s, &seen);
    }
}

/* Sum of all elements. */
static double total(const struct store *s)
{
    double sum = 0;
    for (uint64_t i = 0; i < s->model.layout.n_floats; i++)
        sum += (double)s->values[i];
    return sum;
}

static void the_write_share_is_pushed(void **state)
{
    (void)state;
    static const double shares[] = {0, 0.25, 1};
    for (int i = 0; i < 3; i++) {
        struct store s;
        struct seen seen = {0};
        char specification[100];
        snprintf(specification, sizeof specification,
                 "zipf:keys=100,length=3,steps=1000,sampling=0.5,write=%g", shares[i]);
        run(&s, &seen, specification, &cluster, 1, 0);
        double n = 4 * 1000 * 10, pushed = total(&s) / 3;
        assert_true(fabs(pushed - shares[i] * n) <= 5 * sqrt(n * shares[i] * (1 - shares[i])));
        finish(&s, &seen);
    }
}

/* With drift 0.5 the order moves by one rank every two steps: the key that is hottest at first is of rank 2
 * two steps later ... */
static void drift_moves_the_hot_set(void **state)
{
    (void)state;
    uint64_t hottest[3];
    static const uint64_t windows[3][2] = {{0, 2}, {200, 202}, {20, 22}};
    for (int i = 0; i < 3; i++) {
        struct store s;
        struct seen seen = {.from = windows[i][0], .to = windows[i][1]};
        run(&s, &seen, "zipf:keys=100,length=1,skew=2,steps=250,batch=1000,drift=0.5", &cluster, 1, 0);
        hottest[i] = hottest_key(&seen, 100);
        finish(&s, &seen);
    }
    assert_true(hottest[0] == hottest[1]); /* once around */
    assert_true(hottest[0] != hottest[2]);
}

static void inexact_sums_are_refused(void **state)
{
    (void)state;
    struct store s;
    struct pm_error err = {0};
    assert_int_equal(store_open(&s, &pm_workload_zipf, "zipf:keys=1,steps=1M,batch=10", &cluster, &err),
                     PM_E_OPTION);
    assert_non_null(strstr(err.text, "sums are exact below 16777216"));
    struct pm_task epochs = cluster;
    epochs.epochs = 1000;
    assert_int_equal(store_open(&s, &pm_workload_zipf, "zipf:keys=100,steps=10k", &epochs, &err),
                     PM_E_OPTION);
    /* Many updates of many keys are fine; so is anything without values or without writes. */
    struct pm_task none = cluster;
    none.with_values = false;
    assert_int_equal(
        store_open(&s, &pm_workload_zipf, "zipf:keys=1M,steps=1M,batch=10,skew=0.8", &cluster, &err), PM_OK);
    store_close(&s);
    assert_int_equal(store_open(&s, &pm_workload_zipf, "zipf:keys=1,steps=1M,batch=10", &none, &err), PM_OK);
    store_close(&s);
    assert_int_equal(
        store_open(&s, &pm_workload_zipf, "zipf:keys=1,steps=1M,batch=10,write=0", &cluster, &err), PM_OK);
    store_close(&s);
}

static void flops_follow_the_batch_unless_given(void **state)
{
    (void)state;
    struct store s;
    assert_int_equal(store_open(&s, &pm_workload_zipf, "zipf:batch=8,length=4", &cluster, NULL), PM_OK);
    assert_true(pm_workload_zipf.flops(s.state, NULL) == 640);
    store_close(&s);
    assert_int_equal(store_open(&s, &pm_workload_zipf, "zipf:batch=8,length=4,flops=5", &cluster, NULL),
                     PM_OK);
    assert_true(pm_workload_zipf.flops(s.state, NULL) == 5);
    store_close(&s);
}

/* ---- On the in-memory network ---- */

struct quality {
    uint32_t evaluations;
    double sum_error;
};

static void take_record(void *arg, const struct pm_record *record)
{
    struct quality *q = arg;
    if (record->kind != PM_RECORD_QUALITY)
        return;
    assert_string_equal(record->u.quality.metric, "sum_error");
    q->evaluations++;
    q->sum_error += record->u.quality.value;
}

static void set(struct pm_values *values, const char *name, const char *text)
{
    assert_int_equal(pm_values_set(values, name, text, NULL), PM_OK);
}

/* Trains two epochs under the policy. */
static int train(const struct pm_policy *policy, const struct pm_workload *workload, struct quality *q,
                 struct pm_error *err)
{
    struct testjob t;
    struct testload_shape shape = {.keys = 1, .length = 1};
    assert_int_equal(testjob_init(&t, policy, "", &shape, err), PM_OK);
    struct pm_values options;
    assert_int_equal(pm_values_init(&options, workload->options, NULL), PM_OK);
    set(&options, "keys", "50");
    set(&options, "length", "3");
    set(&options, "steps", "20");
    set(&options, "sampling", "0.3");
    set(&options, "write", "0.7");
    set(&options, "drift", "0.1");
    testjob_cluster(&t, 3, 2);
    t.job.workload = workload;
    t.job.workload_options = &options;
    t.job.epochs = 2;
    t.job.evaluate = PM_EVALUATE_EVERY;
    t.job.main = pm_train_worker;
    t.job.report = take_record;
    t.job.report_arg = q;
    struct memnet_config config = {.seed = 1, .postpone_percent = 20};
    int rc = memnet_run(&t.job, &config, NULL, err);
    pm_values_free(&options);
    testjob_free(&t);
    return rc;
}

static void the_sum_is_exact_under_every_policy(void **state)
{
    (void)state;
    for (const struct pm_policy *const *policy = pm_registry_policies; *policy != NULL; policy++) {
        struct quality q = {0};
        struct pm_error err = {0};
        if (train(*policy, &pm_workload_zipf, &q, &err) != PM_OK)
            fail_msg("%s: %s", (*policy)->name, err.text);
        assert_int_equal(q.evaluations, 2);
        assert_true(q.sum_error == 0);
    }
}

/* Initial values that the workload does not know of stand for updates that came twice. */
static void one_too_many(const void *state, pm_key first, uint64_t n, float *values)
{
    (void)state;
    for (uint64_t i = 0; i < 3 * n; i++)
        values[i] = first + i / 3 == 7;
}

/* ... and for sums that have left the exact range. */
static void far_too_many(const void *state, pm_key first, uint64_t n, float *values)
{
    (void)state;
    for (uint64_t i = 0; i < 3 * n; i++)
        values[i] = first + i / 3 == 7 ? 0x1p24f : 0;
}

static void a_wrong_sum_is_noticed(void **state)
{
    (void)state;
    struct pm_workload spoilt = pm_workload_zipf;
    struct quality q = {0};
    struct pm_error err = {0};
    spoilt.initial = one_too_many;
    assert_int_equal(train(pm_registry_policies[0], &spoilt, &q, &err), PM_OK);
    assert_true(q.evaluations == 2 && q.sum_error == 6);
    spoilt.initial = far_too_many;
    assert_int_equal(train(pm_registry_policies[0], &spoilt, &q, &err), PM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_are_zipf_distributed),
        cmocka_unit_test(streams_repeat_and_differ_by_seed_and_epoch),
        cmocka_unit_test(samples_take_their_share),
        cmocka_unit_test(the_write_share_is_pushed),
        cmocka_unit_test(drift_moves_the_hot_set),
        cmocka_unit_test(inexact_sums_are_refused),
        cmocka_unit_test(flops_follow_the_batch_unless_given),
        cmocka_unit_test(the_sum_is_exact_under_every_policy),
        cmocka_unit_test(a_wrong_sum_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
