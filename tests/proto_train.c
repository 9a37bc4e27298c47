/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The training loop's options on the in-memory network: shares of epochs, a budget of time, evaluation now and
 * then, with a worker that has no batches at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"
#include "tests/testload.h"

extern const struct pm_policy pm_policy_classic, pm_policy_full;

enum { BATCHES = 100, RANKS = 4, BUSY_RANKS = 3 };

/* ---- a workload of one key per batch ---- */

static int begin(const void *state, void *ws, uint32_t rank)
{
    (void)state;
    *(uint64_t *)ws = rank;
    return PM_OK;
}

static uint64_t epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    (void)state, (void)epoch;
    return *(uint64_t *)ws == 1 ? 0 : BATCHES;
}

static int next(const void *state, void *ws, struct pm_batch *batch)
{
    (void)state;
    pm_key *key = pm_batch_keys(batch, 1);
    if (key)
        *key = *(uint64_t *)ws;
    return key ? PM_OK : PM_E_MEMORY;
}

static void compute(const void *state, void *ws, struct pm_step *step)
{
    (void)state, (void)ws;
    step->push_keys[0] = step->batch->keys[0];
    step->n_push = 1;
    memset(step->updates, 0, 4 * sizeof(float));
}

static int evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    (void)state, (void)ws, (void)worker;
    out->n_metrics = 1;
    out->metrics[0].name = "rmse";
    return PM_OK;
}

/* ---- what is reported ---- */

struct seen {
    uint32_t epochs, evaluated; /* evaluated: a bit per epoch */
    uint64_t steps, pushed;
    struct pm_record last; /* of an epoch */
    int64_t elapsed_ns, at_ns;
    uint32_t workers; /* records of workers */
    int64_t compute_ns, wait_ns; /* of nodes, less those of workers */
    int64_t least_spent_ns; /* of a worker in an epoch */
};

static void note_worker(struct seen *seen, const struct pm_record *r)
{
    int64_t spent_ns = r->u.worker.compute_ns + r->u.worker.wait_ns + r->u.worker.overhead_ns;
    assert_true(r->u.worker.compute_ns >= 0 && r->u.worker.wait_ns >= 0 && r->u.worker.overhead_ns >= 0);
    assert_true(r->u.worker.node < 2 && r->u.worker.worker < RANKS / 2);
    if (seen->workers++ == 0 || spent_ns < seen->least_spent_ns)
        seen->least_spent_ns = spent_ns;
    seen->compute_ns -= r->u.worker.compute_ns;
    seen->wait_ns -= r->u.worker.wait_ns;
}

static void note(void *arg, const struct pm_record *r)
{
    struct seen *seen = arg;
    if (r->kind == PM_RECORD_NODE) {
        seen->pushed += r->u.node.counters.updates_pushed;
        seen->compute_ns += (int64_t)r->u.node.counters.compute_ns;
        seen->wait_ns += (int64_t)r->u.node.counters.wait_ns;
    }
    if (r->kind == PM_RECORD_WORKER)
        note_worker(seen, r);
    if (r->kind == PM_RECORD_QUALITY)
        seen->at_ns = r->u.quality.at_ns;
    if (r->kind != PM_RECORD_EPOCH)
        return;
    seen->last = *r;
    seen->elapsed_ns += r->u.epoch.epoch_ns;
    assert_int_equal(r->u.epoch.elapsed_ns, seen->elapsed_ns);
    seen->epochs++;
    seen->steps += r->u.epoch.steps;
    seen->evaluated |= (uint32_t)r->u.epoch.has_quality << r->epoch;
}

static struct seen train(const struct pm_policy *policy, const struct pm_job *wishes)
{
    const struct testload_shape shape = {.keys = 64, .length = 4};
    const struct memnet_config config = {.seed = 1};
    struct pm_workload workload = testload;
    struct pm_error err = {0};
    struct seen seen = {0};
    struct testjob t;
    workload.begin = begin;
    workload.epoch_begin = epoch_begin;
    workload.next = next;
    workload.compute = compute;
    workload.evaluate = evaluate;
    assert_int_equal(testjob_init(&t, policy, "", &shape, &err), PM_OK);
    testjob_cluster(&t, 2, RANKS / 2);
    t.job.workload = &workload;
    t.job.main = pm_train_worker;
    t.job.report = note;
    t.job.report_arg = &seen;
    t.job.epochs = wishes->epochs;
    t.job.epoch_fraction = wishes->epoch_fraction;
    t.job.time_budget_ns = wishes->time_budget_ns;
    t.job.evaluate = wishes->evaluate;
    t.job.evaluate_n = wishes->evaluate_n;
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s", err.text);
    testjob_free(&t);
    assert_int_equal(seen.pushed, seen.steps);
    assert_int_equal(seen.workers, seen.epochs * RANKS);
    assert_int_equal(seen.compute_ns, 0);
    assert_int_equal(seen.wait_ns, 0);
    assert_true(seen.least_spent_ns > 0);
    return seen;
}

static void shares_of_epochs(void **state)
{
    for (int percent = 1; percent <= 100; percent++) {
        struct seen seen = train(*state, &(struct pm_job){.epochs = 2, .epoch_fraction = percent / 100.0});
        assert_int_equal(seen.epochs, 2);
        assert_int_equal(seen.steps, 2 * BUSY_RANKS * percent);
    }
    struct seen least = train(*state, &(struct pm_job){.epochs = 1, .epoch_fraction = 1e-9});
    assert_int_equal(least.steps, BUSY_RANKS);
}

/* An epoch of which a part was run says which, has an interval around its time, and counts as whole in the time that
 * elapsed, not in that which was trained. */
static void extrapolation(void **state)
{
    struct seen whole = train(*state, &(struct pm_job){.epochs = 2, .epoch_fraction = 1});
    assert_true(whole.last.u.epoch.share == 1);
    assert_int_equal(whole.last.u.epoch.ci_low_ns, 0);
    assert_int_equal(whole.last.u.epoch.ci_high_ns, 0);
    assert_int_equal(whole.elapsed_ns, whole.at_ns);
    struct seen part = train(*state, &(struct pm_job){.epochs = 2, .epoch_fraction = 0.25});
    assert_true(part.last.u.epoch.share == 0.25);
    assert_true(part.last.u.epoch.ci_low_ns < part.last.u.epoch.epoch_ns);
    assert_true(part.last.u.epoch.ci_high_ns > part.last.u.epoch.epoch_ns);
    assert_true(part.elapsed_ns > 2 * part.at_ns && part.elapsed_ns < 5 * part.at_ns);
    struct seen one = train(*state, &(struct pm_job){.epochs = 1, .epoch_fraction = 0.01});
    assert_true(one.last.u.epoch.share == 0.01);
    assert_int_equal(one.last.u.epoch.ci_high_ns, 0); /* one batch has no spread */
}

static void budget_of_time(void **state)
{
    struct seen seen =
        train(*state, &(struct pm_job){.epochs = 9, .epoch_fraction = 1, .time_budget_ns = 1});
    assert_int_equal(seen.epochs, 1);
    assert_int_equal(seen.steps, BUSY_RANKS); /* what was begun is finished */
    assert_int_equal(seen.evaluated, 0x1);
}

static void evaluation_now_and_then(void **state)
{
    struct pm_job wishes = {.epochs = 5, .epoch_fraction = 0.02, .evaluate = PM_EVALUATE_N, .evaluate_n = 2};
    assert_int_equal(train(*state, &wishes).evaluated, 0x1a);
    wishes.evaluate = PM_EVALUATE_END;
    assert_int_equal(train(*state, &wishes).evaluated, 0x10);
    wishes.evaluate = PM_EVALUATE_EVERY;
    assert_int_equal(train(*state, &wishes).evaluated, 0x1f);
}

int main(int argc, char **argv)
{
#define TEST(function, policy) {#function, function, NULL, NULL, (void *)(uintptr_t)&pm_policy_##policy}
    const struct CMUnitTest tests[] = {
        TEST(shares_of_epochs, classic), TEST(shares_of_epochs, full),
        TEST(budget_of_time, classic),   TEST(budget_of_time, full),
        TEST(evaluation_now_and_then, classic),
        TEST(extrapolation, classic), TEST(extrapolation, full),
    };
    return repeat_main(argc, argv, "train", tests, sizeof tests / sizeof *tests);
}
