/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pulls that the training loop begins before their batch is due, on the in-memory network: how early they are, that each
 * batch is computed with the values of its own keys, and that they contain what a pull at the batch's own clock may. */
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

extern const struct pm_policy pm_policy_bounded, pm_policy_classic;

/* Key COUNTER gets 1 from each rank in each batch; nobody pushes to the others. */
enum { BATCHES = 40, BARRIER = 20, RANKS = 4, EPOCHS = 2, COUNTER = 63, LENGTH = 4, SEEDS = 8 };

static struct {
    uint32_t delay;
    bool barrier, sums; /* sums: a pull returns whole iterations */
    uint64_t pulls[BATCHES]; /* by how many clocks they were early; of pushes, too */
    uint64_t computed, wrong, stale;
} seen;

/* ---- the policy, overheard ---- */

static uint64_t overheard_need(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t ahead)
{
    seen.pulls[ahead]++;
    return pm_policy_bounded.need(ctx, state, worker, ahead);
}

/* ---- a workload of two keys per batch ---- */

struct stream {
    uint64_t rank, number, epoch;
};

static int begin(const void *state, void *ws, uint32_t rank)
{
    (void)state;
    ((struct stream *)ws)->rank = rank;
    return PM_OK;
}

static uint64_t epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    (void)state;
    struct stream *s = ws;
    s->number = 0;
    s->epoch = epoch;
    return BATCHES;
}

static int next(const void *state, void *ws, struct pm_batch *batch)
{
    (void)state;
    struct stream *s = ws;
    pm_key *keys = pm_batch_keys(batch, 2);
    if (!keys)
        return PM_E_MEMORY;
    keys[0] = (7 * s->number + s->rank) % COUNTER;
    keys[1] = COUNTER;
    batch->barrier_before = seen.barrier && s->number == BARRIER;
    *(uint64_t *)batch->item = s->number++;
    return PM_OK;
}

static void compute(const void *state, void *ws, struct pm_step *step)
{
    (void)state;
    const struct stream *s = ws;
    uint64_t number = *(const uint64_t *)step->batch->item, before = s->epoch * BATCHES;
    for (uint32_t i = 0; i < LENGTH; i++)
        seen.wrong += step->values[i] != testload_initial(step->batch->keys[0], i);
    uint64_t counted = (uint64_t)(step->values[LENGTH] - testload_initial(COUNTER, 0));
    uint64_t least = number > seen.delay ? number - seen.delay : 0;
    if (seen.barrier && number >= BARRIER && least < BARRIER)
        least = BARRIER;
    seen.wrong += seen.sums && counted % RANKS != 0;
    seen.stale += counted < RANKS * (before + least) || counted > RANKS * (before + number);
    seen.computed++;
    step->push_keys[0] = COUNTER;
    step->n_push = 1;
    memset(step->updates, 0, LENGTH * sizeof *step->updates);
    step->updates[0] = 1;
}

/* ---- runs ---- */

struct wishes {
    const char *options;
    uint32_t delay, ahead;
    bool barrier, at_its_time;
    int64_t time_budget_ns;
    uint64_t seed;
};

static void train(const struct pm_policy *policy, const struct wishes *w)
{
    const struct testload_shape shape = {.keys = COUNTER + 1, .length = LENGTH};
    const struct memnet_config config = {
        .seed = w->seed, .mode = (enum memnet_mode)(w->seed % MEMNET_MODES), .latches = true, .dense = w->seed & 1};
    struct pm_policy overheard = *policy;
    struct pm_workload workload = testload;
    struct pm_error err = {0};
    struct testjob t;
    if (policy->need)
        overheard.need = overheard_need;
    workload.begin = begin;
    workload.epoch_begin = epoch_begin;
    workload.next = next;
    workload.compute = compute;
    workload.worker_bytes = sizeof(struct stream);
    workload.batch_bytes = sizeof(uint64_t);
    workload.pulls_ahead = !w->at_its_time;
    memset(&seen, 0, sizeof seen);
    seen.delay = w->delay;
    seen.barrier = w->barrier;
    seen.sums = policy->need != NULL;
    assert_int_equal(testjob_init(&t, &overheard, w->options, &shape, &err), PM_OK);
    testjob_cluster(&t, 2, RANKS / 2);
    t.job.workload = &workload;
    t.job.main = pm_train_worker;
    t.job.seed = w->seed;
    t.job.epochs = EPOCHS;
    t.job.epoch_fraction = 1;
    t.job.ahead = w->ahead;
    t.job.time_budget_ns = w->time_budget_ns;
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s, seed %u: %s", w->options, (unsigned)w->seed, err.text);
    testjob_free(&t);
    assert_int_equal(seen.wrong, 0);
}

/* All but the first batches of an epoch, and the first after a barrier, are pulled as early as can be, and none earlier. */
static void as_early_as_allowed(void **state)
{
    (void)state;
    static const struct wishes runs[] = {
        {"delay=0", 0, 5, true, false, 0, 0}, {"delay=1", 1, 1, true, false, 0, 0}, {"delay=2", 2, 1, true, false, 0, 0},
        {"delay=2", 2, 5, true, false, 0, 0}, {"delay=4", 4, 3, true, false, 0, 0}, {"delay=3", 3, 0, true, false, 0, 0},
        {"delay=inf", BATCHES, 2, true, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        for (uint64_t seed = 1; seed <= repeat_number("SEEDS", SEEDS); seed++) {
            struct wishes w = runs[i];
            uint32_t most = w.delay < w.ahead ? w.delay : w.ahead;
            w.seed = seed;
            train(&pm_policy_bounded, &w);
            assert_int_equal(seen.stale, 0);
            assert_int_equal(seen.computed, BATCHES * RANKS * EPOCHS);
            for (uint32_t ahead = 1; ahead < BATCHES; ahead++) {
                uint64_t each = ahead < most ? 2 : ahead == most ? 2 * (BARRIER - most) : 0;
                assert_int_equal(seen.pulls[ahead], each * RANKS * EPOCHS);
            }
        }
}

/* Not where the workload has not asked for it, nor where a pull means the moment in which it is made. */
static void in_time_without(void **state)
{
    (void)state;
    train(&pm_policy_bounded, &(struct wishes){"delay=4", 4, 3, true, true, 0, 1});
    assert_int_equal(seen.stale, 0);
    for (uint32_t ahead = 1; ahead < BATCHES; ahead++)
        assert_int_equal(seen.pulls[ahead], 0);
    train(&pm_policy_classic, &(struct wishes){"", BATCHES, 3, false, false, 0, 1});
    assert_int_equal(seen.computed, BATCHES * RANKS * EPOCHS);
}

/* Workers that run out of time leave pulls that were begun and are not waited for by a batch. */
static void out_of_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= repeat_number("SEEDS", SEEDS); seed++) {
        train(&pm_policy_bounded, &(struct wishes){"delay=3", 3, 3, false, false, 1, seed});
        assert_int_equal(seen.stale, 0);
        assert_in_range(seen.computed, RANKS, BATCHES * RANKS - 1);
        assert_true(seen.pulls[3] > 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_early_as_allowed),
        cmocka_unit_test(in_time_without),
        cmocka_unit_test(out_of_time),
    };
    return repeat_main(argc, argv, "ahead", tests, sizeof tests / sizeof *tests);
}
