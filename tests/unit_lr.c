/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logistic regression without a cluster: gradient, steps at the owner, convergence under a bounded delay, the stream of
 * blocks, the area under the curve. */
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

#include "core/rng.h"
#include "tests/lockstep.h"
#include "tests/workload_store.h"

extern const struct pm_workload pm_workload_lr;

#define SMALL "rows=600,features=60,nonzeros=6,truth=20,skew=0.5,l1=0.004"

/* ---- Options ---- */

static void impossible_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *options, *words;
    } cases[] = {
        {"lr:test=x", "test= without train="},
        {"lr:train=x,rows=10", "rows= is for generated examples (allowed: without train=)"},
        {"lr:features=10,nonzeros=5,truth=5,blocks=11", "blocks=11 (allowed: at most the 10 features)"},
        {"lr:features=10,nonzeros=11,blocks=1", "nonzeros=11 is more than features=10"},
        {"lr:features=10,nonzeros=1,truth=11,blocks=1", "truth=11 is more than features=10"},
        {"lr:features=100,nonzeros=90,truth=1,skew=9", "too few different features"},
        {"lr:train=no/such/file", "no/such/file: cannot be opened"},
    };
    struct pm_task task = {.nodes = 2, .workers = 1, .epochs = 1, .seed = 1, .with_values = true};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store s;
        struct pm_error err = {0};
        assert_true(store_open(&s, &pm_workload_lr, cases[i].options, &task, &err) < 0);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].words);
    }
}

/* ---- Stream ---- */

struct seen_blocks {
    const struct lr_state *s;
    uint64_t n;            /* batches of worker 0 */
    uint32_t worked[200];  /* its blocks */
    uint32_t pushes[2000]; /* per key, all workers, this epoch */
};

static void see(void *arg, uint32_t rank, const struct pm_batch *batch)
{
    struct seen_blocks *seen = arg;
    const struct lr_item *item = batch->item;
    uint32_t lag = seen->s->lag;
    if (rank == 0)
        seen->worked[seen->n++] = item->worked;
    assert_int_equal(item->worked, seen->worked[seen->n - 1]); /* the same at all workers */
    assert_int_equal(item->learnt, seen->n > lag ? seen->worked[seen->n - 1 - lag] : LR_NOTHING);
    for (uint32_t i = 0; i < batch->n_pushes; i++) {
        assert_int_equal(lr_block_of(seen->s, batch->pushes[i]), item->worked);
        seen->pushes[batch->pushes[i]]++;
    }
    for (uint32_t i = 0; i < batch->n_keys; i++)
        assert_int_equal(lr_block_of(seen->s, batch->keys[i]), item->learnt);
    assert_true(pm_workload_lr.flops(seen->s, batch) > 0);
}

static void all_workers_visit_the_same_blocks_once(void **state)
{
    (void)state;
    static const char *const lags[] = {"", ",lag=3", ",lag=30"};
    for (int with_values = 0; with_values < 2; with_values++) {
        for (int i = 0; i < 3; i++) {
            struct pm_task task = {.nodes = 2, .workers = 2, .epochs = 1, .seed = 1, .with_values = with_values > 0};
            struct store s;
            char options[200];
            snprintf(options, sizeof options, "lr:rows=500,features=1500,blocks=20%s", lags[i]);
            assert_int_equal(store_open(&s, &pm_workload_lr, options, &task, NULL), PM_OK);
            struct seen_blocks seen = {.s = s.state};
            s.visit = see;
            s.visit_arg = &seen;
            for (uint32_t epoch = 0; epoch < 3; epoch++) {
                memset(seen.pushes, 0, sizeof seen.pushes);
                store_epoch(&s, epoch, epoch);
                assert_int_equal(seen.n, 20 * (epoch + 1));
                for (uint32_t block = 0, times = 0; block < 20; block++, times = 0) {
                    for (uint32_t v = 0; v < 20; v++)
                        times += seen.worked[20 * epoch + v] == block;
                    assert_int_equal(times, 1);
                }
                for (uint32_t key = 0; key < 1501; key++)
                    assert_int_equal(seen.pushes[key], seen.s->holders[key]);
            }
            assert_memory_not_equal(seen.worked, seen.worked + 20, 20 * sizeof *seen.worked);
            store_close(&s);
        }
    }
}

static void blocks_are_spread_over_the_keys(void **state)
{
    (void)state;
    struct lockstep l;
    lockstep_open(&l, "lr:rows=10,features=100000,blocks=16", 1, 1, 0);
    for (int part = 0; part < 8; part++) {
        uint32_t counts[16] = {0};
        for (pm_key key = (pm_key)part * 12500; key < (pm_key)(part + 1) * 12500; key++)
            counts[lr_block_of(l.state, key)]++;
        for (int block = 0; block < 16; block++)
            assert_in_range(counts[block], 12500 / 16 - 100, 12500 / 16 + 100);
    }
    lockstep_close(&l);
}

/* ---- Gradient and curvature ---- */

/* Examples with values of all sizes and signs. */
static const char *write_examples(void)
{
    static char text[1 << 16];
    size_t n = 0;
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_lr", 1, 0, 0);
    for (int row = 0; row < 100; row++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%d", (int)pm_rng_below(&rng, 2));
        for (int f = 0; f < 30; f++)
            if (pm_rng_below(&rng, 4) == 0)
                n += (size_t)snprintf(text + n, sizeof text - n, " %d:%.3f", f, 3 * pm_rng_normal(&rng));
        n += (size_t)snprintf(text + n, sizeof text - n, "\n");
    }
    return store_file(1, "values", text, n);
}

/* Sums of all workers' updates for all keys at the weights that the main copies have; one block, so that the first
 * iteration teaches the workers the weights and the second takes the gradient there. */
static void updates_at(struct lockstep *l, float *sums)
{
    size_t n = l->model.layout.n_floats;
    float *weights = malloc(n * sizeof *weights);
    memcpy(weights, l->values, n * sizeof *weights);
    lockstep_epochs(l, 0, 1);
    memset(l->sums, 0, n * sizeof *l->sums);
    memset(l->touched, 0, l->model.layout.n_keys);
    lockstep_epochs(l, 1, 1);
    memcpy(sums, l->sums, n * sizeof *sums);
    assert_memory_equal(l->values, weights, n * sizeof *weights);
    free(weights);
}

static void gradients_are_those_of_small_steps(void **state)
{
    (void)state;
    static const char *const curvatures[] = {"diagonal", "bound"};
    const char *path = write_examples();
    for (int c = 0; c < 4; c++) {
        struct lockstep l;
        char options[700];
        float sums[31 * LR_VALUE_LENGTH];
        snprintf(options, sizeof options, "lr:train=%s,test=%s,blocks=1,l1=0,curvature=%s", path, path, curvatures[c % 2]);
        lockstep_open(&l, options, 1, c < 2 ? 1 : 4, 0);
        assert_int_equal(l.model.layout.n_keys, 31);
        struct pm_rng rng;
        pm_rng_init(&rng, "unit_lr.weights", 1, 0, 0);
        for (pm_key key = 0; key < 31; key++)
            l.values[key * LR_VALUE_LENGTH] = (float)(0.3 * pm_rng_normal(&rng));
        updates_at(&l, sums);
        double here = lockstep_objective(&l, NULL, NULL);
        for (pm_key key = 0; key < 31; key++) {
            float *weight = &l.values[key * LR_VALUE_LENGTH], old = *weight, h = 0x1p-7f;
            *weight = old + h;
            double up = lockstep_objective(&l, NULL, NULL);
            *weight = old - h;
            double down = lockstep_objective(&l, NULL, NULL);
            *weight = old;
            double first = (up - down) / (2 * (double)h), second = (up - 2 * here + down) / ((double)h * (double)h);
            assert_true(fabs(first - (double)sums[2 * key]) < 1e-4 + 1e-3 * fabs(first));
            if (c % 2 == 0)
                assert_true(fabs(second - (double)sums[2 * key + 1]) < 1e-3 + 1e-2 * second);
            else
                assert_true(second < (double)sums[2 * key + 1] + 1e-3);
        }
        lockstep_close(&l);
    }
    unlink(path);
}

/* Wherever one goes from the present weights, the objective lies below its parabola. */
static void the_bound_holds_everywhere(void **state)
{
    (void)state;
    const char *path = write_examples();
    struct lockstep l;
    char options[700];
    float sums[31 * LR_VALUE_LENGTH], weights[31];
    snprintf(options, sizeof options, "lr:train=%s,test=%s,blocks=1,l1=0", path, path);
    lockstep_open(&l, options, 2, 1, 0);
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_lr.directions", 1, 0, 0);
    for (pm_key key = 0; key < 31; key++)
        weights[key] = l.values[key * LR_VALUE_LENGTH] = (float)(0.3 * pm_rng_normal(&rng));
    updates_at(&l, sums);
    double here = lockstep_objective(&l, NULL, NULL), closest = INFINITY;
    for (int i = 0; i < 2000; i++) {
        double scale = exp(pm_rng_normal(&rng) * 2 - 2), above = here;
        for (pm_key key = 0; key < 31; key++) {
            double step = scale * pm_rng_normal(&rng);
            l.values[key * LR_VALUE_LENGTH] = weights[key] + (float)step;
            above += (double)sums[2 * key] * step + (double)sums[2 * key + 1] / 2 * step * step;
        }
        double there = lockstep_objective(&l, NULL, NULL);
        assert_true(there <= above + 1e-6);
        closest = fmin(closest, above - there);
    }
    assert_true(closest < 1e-3);
    lockstep_close(&l);
    unlink(path);
}

/* ---- Steps at the owner ---- */

static struct lr_state owner(double l1, double l2, double rate, bool aggregates, uint32_t *holders)
{
    return (struct lr_state){.l1 = l1,
                             .l2 = l2,
                             .rate = rate,
                             .n_keys = 1,
                             .task.aggregates = aggregates,
                             .holders = holders};
}

/* The whole sum: the new weight is where the step's objective is least. */
static void a_step_minimises_its_objective(void **state)
{
    (void)state;
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_lr.steps", 1, 0, 0);
    int zeros = 0, moved = 0;
    for (int i = 0; i < 3000; i++) {
        uint32_t holders = 5;
        double l1 = 0.3 * pm_rng_real(&rng), l2 = i % 2 ? pm_rng_real(&rng) : 0, rate = i % 3 ? 1 : 0.4;
        struct lr_state s = owner(l1, l2, rate, true, &holders);
        float value[2] = {i % 4 ? (float)pm_rng_normal(&rng) : 0, (float)pm_rng_real(&rng)};
        float update[2] = {(float)(0.3 * pm_rng_normal(&rng)), (float)(0.1 + pm_rng_real(&rng))};
        double w = (double)value[0], g = (double)update[0] + l2 * w, u = ((double)update[1] + l2) / rate;
        lr_apply(&s, 0, 2, value, update);
        double v = (double)value[0];
        zeros += v == 0;
        moved += v != 0;
        /* zero is in the subdifferential g + u (v - w) + l1 sign(v) */
        double smooth = g + u * (v - w);
        if (v == 0)
            assert_true(fabs(smooth) <= l1 + 1e-6 && fabs((double)value[1] + smooth) < 1e-5);
        else
            assert_true(fabs(smooth + (v > 0 ? l1 : -l1)) < 1e-5 && fabs((double)value[1] - u * rate) < 1e-5);
    }
    assert_true(zeros > 500 && moved > 500);
}

/* Parts of the sum one after another: sum_r a_r / 2 (w - b_r)^2 + l1 |w|, of which worker r knows the r-th term; terms that
 * are alike, as those of rows dealt out in turns are. */
static void parts_lead_where_their_sum_does(void **state)
{
    (void)state;
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_lr.parts", 1, 0, 0);
    int zeros = 0;
    for (int i = 0; i < 300; i++) {
        uint32_t holders = 2 + (uint32_t)pm_rng_below(&rng, 7);
        double a[9], b[9], pull = 0, sum = 0, l1 = 1 + pm_rng_real(&rng), common = pm_rng_normal(&rng);
        for (uint32_t r = 0; r < holders; r++) {
            a[r] = 0.8 + 0.4 * pm_rng_real(&rng);
            b[r] = common + 0.2 * pm_rng_normal(&rng);
            pull += a[r] * b[r];
            sum += a[r];
        }
        double best = pull > l1 ? (pull - l1) / sum : pull < -l1 ? (pull + l1) / sum : 0;
        struct lr_state s = owner(l1, 0, 0.05, false, &holders);
        float value[2] = {(float)pm_rng_normal(&rng), (float)sum};
        for (uint32_t push = 0; push < 400 * holders; push++) {
            uint32_t r = push % holders;
            float update[2] = {(float)(a[r] * ((double)value[0] - b[r])), (float)a[r]};
            lr_apply(&s, 0, 2, value, update);
        }
        if (fabs(fabs(pull) - l1) < 0.5)
            continue; /* on the edge: the parts' order decides */
        assert_true(best == 0 ? value[0] == 0 : fabs((double)value[0] - best) < 0.03 * (1 + fabs(best)));
        zeros += best == 0;
    }
    assert_true(zeros > 20 && zeros < 280);
}

/* Parts that pull hard in different directions, but not together, do not move a zero weight. */
static void a_zero_weight_is_moved_by_all_pulls_together(void **state)
{
    (void)state;
    uint32_t holders = 4;
    struct lr_state s = owner(1, 0, 1, false, &holders);
    static const float pulls[4] = {0.6f, -0.5f, 0.4f, -0.45f}; /* each beyond 1 / 4 */
    float value[2] = {0, 0};
    for (int push = 0; push < 400; push++) {
        float update[2] = {-pulls[push % 4], 1};
        lr_apply(&s, 0, 2, value, update);
        assert_true(value[0] == 0);
    }
    for (int push = 0; push < 40; push++) {
        float update[2] = {-0.5f, 1};
        lr_apply(&s, 0, 2, value, update);
    }
    assert_true(value[0] > 0);
}

static void steps_can_be_limited(void **state)
{
    (void)state;
    uint32_t holders = 1;
    struct lr_state s = owner(0.1, 0, 1, true, &holders);
    s.trust = 0.5;
    float value[2] = {0, 0}, up[2] = {-10, 1}, down[2] = {10, 1};
    lr_apply(&s, 0, 2, value, up);
    assert_true(value[0] == 0.5f);
    lr_apply(&s, 0, 2, value, down);
    assert_true(value[0] == 0);
    lr_apply(&s, 0, 2, value, down);
    assert_true(value[0] == -0.5f);
}

static void the_bias_is_not_penalised(void **state)
{
    (void)state;
    uint32_t holders[2] = {1, 1};
    struct lr_state s = owner(0.5, 1, 1, true, holders);
    s.n_keys = 2;
    s.bias = true;
    float feature[2] = {0, 0}, bias[2] = {0, 0}, update[2] = {-0.25f, 1};
    lr_apply(&s, 0, 2, feature, update);
    lr_apply(&s, 1, 2, bias, update);
    assert_true(feature[0] == 0 && bias[0] == 0.25f);
}

/* ---- Convergence ---- */

/* With all updates seen the objective never rises, whatever the blocks, and ends where no coordinate can do better. */
static void the_objective_falls_to_its_minimum(void **state)
{
    (void)state;
    static const char *const options[] = {"lr:" SMALL ",blocks=1", "lr:" SMALL ",blocks=5,l2=0.01",
                                          "lr:" SMALL ",blocks=20,order=sequence"};
    for (int i = 0; i < 3; i++) {
        struct lockstep l;
        double gradient[61], last = log(2);
        lockstep_open(&l, options[i], 2, 2, 0);
        for (uint32_t epoch = 0; epoch < 600; epoch++) {
            lockstep_epochs(&l, epoch, 1);
            double now = lockstep_objective(&l, NULL, NULL);
            assert_true(now <= last + 1e-7);
            last = now;
        }
        lockstep_drain(&l);
        uint64_t nonzeros;
        lockstep_objective(&l, gradient, &nonzeros);
        assert_in_range(nonzeros, 3, 55);
        for (pm_key key = 0; key < 61; key++) {
            double weight = (double)l.values[key * 2], l1 = key == 60 ? 0 : l.state->l1, l2 = key == 60 ? 0 : l.state->l2;
            double slope = gradient[key] + l2 * weight;
            assert_true(weight == 0 ? fabs(slope) <= l1 + 1e-4 : fabs(slope + (weight > 0 ? l1 : -l1)) < 1e-4);
        }
        lockstep_close(&l);
    }
}

static double train(const char *options, uint32_t workers, uint32_t delay, uint32_t epochs, uint64_t *nonzeros)
{
    struct lockstep l;
    lockstep_open(&l, options, 1, workers, delay);
    lockstep_epochs(&l, 0, epochs);
    lockstep_drain(&l);
    double objective = lockstep_objective(&l, NULL, nonzeros);
    lockstep_close(&l);
    return objective;
}

static void workers_share_the_rows_and_not_the_result(void **state)
{
    (void)state;
    uint64_t one, seven;
    double alone = train("lr:" SMALL ",blocks=8", 1, 0, 20, &one);
    double shared = train("lr:" SMALL ",blocks=8", 7, 0, 20, &seven);
    assert_true(fabs(alone - shared) < 1e-6 && one == seven);
}

/* Several passes in an epoch train as so many epochs do; either way an epoch's loss has each row once. */
static void passes_are_as_epochs(void **state)
{
    (void)state;
    struct lockstep l[2];
    for (uint32_t i = 0; i < 2; i++) {
        lockstep_open(&l[i], i ? "lr:" SMALL ",blocks=16,passes=4" : "lr:" SMALL ",blocks=16", 1, 4, 2);
        lockstep_epochs(&l[i], 0, i ? 50 : 200);
        lockstep_drain(&l[i]);
    }
    assert_memory_equal(l[0].values, l[1].values, l[0].state->n_keys * LR_VALUE_LENGTH * sizeof *l[0].values);
    assert_true(fabs(l[0].loss - l[1].loss) < 1e-3 * l[0].loss);
    for (uint32_t i = 0; i < 2; i++)
        lockstep_close(&l[i]);
}

/* The longer the delay, the shorter the steps that cannot overshoot: all delays get there, the longer the later. */
static void longer_delays_take_longer_and_get_there(void **state)
{
    (void)state;
    static const uint32_t delays[] = {0, 2, 8, 30};
    uint64_t nonzeros[2];
    double least = train("lr:" SMALL ",blocks=16", 1, 0, 1000, &nonzeros[0]), early = 0;
    for (int i = 0; i < 4; i++) {
        double after_ten = train("lr:" SMALL ",blocks=16", 4, delays[i], 10, &nonzeros[1]);
        double at_last = train("lr:" SMALL ",blocks=16", 4, delays[i], 1000, &nonzeros[1]);
        print_message("delay %d: %.5f after 10 epochs, %.5f after 1000 (%d weights), least %.5f (%d)\n", (int)delays[i],
                      after_ten, at_last, (int)nonzeros[1], least, (int)nonzeros[0]);
        assert_true(after_ten > early && after_ten < log(2));
        assert_true(fabs(at_last - least) < 1e-4);
        assert_true(nonzeros[1] >= nonzeros[0] - 2 && nonzeros[1] <= nonzeros[0] + 2);
        early = after_ten;
    }
}

/* What a KKT filter may leave out is most of it, and makes little difference; all workers leave out the same. */
static void negligible_updates_are_negligible(void **state)
{
    (void)state;
    static const char options[] = "lr:rows=3000,features=1000,nonzeros=10,skew=0.8,l1=0.003,blocks=8";
    for (uint32_t delay = 0; delay <= 3; delay += 3) {
        struct lockstep l;
        uint64_t with, without;
        double whole = train(options, 3, delay, 40, &without);
        lockstep_open(&l, options, 1, 3, delay);
        l.filter = true;
        lockstep_epochs(&l, 0, 40);
        lockstep_drain(&l);
        double filtered = lockstep_objective(&l, NULL, &with), share = (double)l.left_out / (double)l.pushed;
        print_message("delay %d: left out %.1f %%; objective %.6f with %d weights, else %.6f with %d\n", (int)delay,
                      100 * share, filtered, (int)with, whole, (int)without);
        assert_true(share > 0.75 && fabs(filtered - whole) < 2e-4);
        assert_true(with + 3 >= without && with <= without + 3);
        lockstep_close(&l);
    }
}

/* ---- Area under the curve ---- */

static void areas_by_hand(void **state)
{
    (void)state;
    static const struct {
        struct lr_score scores[6];
        uint64_t n;
        double area;
    } cases[] = {
        {{{1, 1}, {0, -1}}, 2, 1},
        {{{0, 1}, {1, -1}}, 2, 0},
        {{{0, 1}, {0, -1}}, 2, 0.5},
        /* pairs: (0.8, 0.1) (0.8, 0.4) (0.35, 0.1) won, (0.35, 0.4) lost */
        {{{0.1, -1}, {0.4, -1}, {0.35, 1}, {0.8, 1}}, 4, 0.75},
        /* 3 x 3 pairs; of 2 the positives 1 + 0.5 + 1, of 3 (twice) 2 x (1 + 1 + 0.5) */
        {{{2, 1}, {3, 1}, {3, 1}, {1, -1}, {2, -1}, {3, -1}}, 6, (1.5 + 2 * 2.5) / 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lr_score scores[6];
        memcpy(scores, cases[i].scores, sizeof scores);
        double area = lr_auc(scores, cases[i].n);
        if (fabs(area - cases[i].area) > 1e-12)
            fail_msg("case %zu: %.6f, expected %.6f", i, area, cases[i].area);
    }
    struct lr_score positive[2] = {{1, 1}, {2, 1}};
    assert_true(isnan(lr_auc(positive, 2)) && isnan(lr_auc(positive, 0)));
}

static void losses_by_hand(void **state)
{
    (void)state;
    assert_true(fabs(lr_loss(0) - log(2)) < 1e-15);
    assert_true(fabs(lr_loss(2) - 0.12692801104297) < 1e-13 && fabs(lr_loss(-2) - 2.12692801104297) < 1e-13);
    assert_true(lr_loss(1000) == 0 && lr_loss(-1000) == 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(all_workers_visit_the_same_blocks_once),
        cmocka_unit_test(blocks_are_spread_over_the_keys),
        cmocka_unit_test(gradients_are_those_of_small_steps),
        cmocka_unit_test(the_bound_holds_everywhere),
        cmocka_unit_test(a_step_minimises_its_objective),
        cmocka_unit_test(parts_lead_where_their_sum_does),
        cmocka_unit_test(a_zero_weight_is_moved_by_all_pulls_together),
        cmocka_unit_test(steps_can_be_limited),
        cmocka_unit_test(the_bias_is_not_penalised),
        cmocka_unit_test(the_objective_falls_to_its_minimum),
        cmocka_unit_test(workers_share_the_rows_and_not_the_result),
        cmocka_unit_test(passes_are_as_epochs),
        cmocka_unit_test(longer_delays_take_longer_and_get_there),
        cmocka_unit_test(negligible_updates_are_negligible),
        cmocka_unit_test(areas_by_hand),
        cmocka_unit_test(losses_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
