/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whole epochs from parts of them, with batches whose times are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pace.h"
#include "core/rng.h"

/* The pace of a worker that runs `done` of `all` batches, of which batch i takes time_of(i); its end. */
static struct pm_pace run(uint64_t all, uint64_t done, int64_t (*time_of)(uint64_t))
{
    struct pm_pace p;
    int64_t now = 1000000;
    pm_pace_begin(&p, all, now);
    for (uint64_t i = 0; i < done; i++) {
        now += time_of(i);
        if (pm_pace_batch(&p))
            pm_pace_segment(&p, now);
    }
    pm_pace_end(&p, now);
    return p;
}

static struct pm_whole_epoch alone(uint64_t all, uint64_t done, int64_t (*time_of)(uint64_t), int64_t drain_ns)
{
    struct pm_pace p = run(all, done, time_of);
    struct pm_projection sum = {0};
    pm_projection_worker(&sum, &p);
    return pm_extrapolate(&sum, p.ended_ns - p.began_ns + drain_ns);
}

static int64_t always_700(uint64_t i)
{
    (void)i;
    return 700;
}
static int64_t always_1400(uint64_t i)
{
    (void)i;
    return 1400;
}
/* A batch of 300 ns, then one of 500 ns. */
static int64_t in_turn(uint64_t i)
{
    return i % 2 ? 500 : 300;
}

static void equal_batches_are_exact(void **state)
{
    (void)state;
    for (uint64_t done = 2; done < 1000; done++) {
        struct pm_whole_epoch e = alone(1000, done, always_700, 0);
        assert_int_equal(e.epoch_ns, 700000);
        assert_in_range(e.low_ns, 699999, 700000);
        assert_in_range(e.high_ns, 700000, 700001);
        assert_true(e.share == (double)done / 1000);
    }
}

static void whole_epochs_are_as_measured(void **state)
{
    (void)state;
    struct pm_whole_epoch e = alone(777, 777, in_turn, 55);
    assert_int_equal(e.epoch_ns, 388 * 800 + 300 + 55);
    assert_true(e.share == 1);
    assert_int_equal(e.low_ns, 0);
    assert_int_equal(e.high_ns, 0);
}

/* Segments are of equally many batches, and nothing is lost when they are joined. */
static void segments(void **state)
{
    (void)state;
    for (uint64_t done = 1; done < 3000; done++) {
        struct pm_pace p = run(3000, done, always_700);
        assert_true(p.n < PM_SEGMENTS);
        assert_true(done < PM_SEGMENTS || p.n >= PM_SEGMENTS / 2);
        assert_int_equal(p.n, done / p.length);
        for (uint32_t i = 0; i < p.n; i++)
            assert_int_equal(p.segments_ns[i], 700 * p.length);
    }
}

/* Four batches of 300, 500, 300, 500 ns: mean 400, deviation 115.47, error of the mean 57.735; Student's t of three degrees
 * is 3.182446; 16 batches, of which 12 are not known. */
static void interval_by_hand(void **state)
{
    (void)state;
    struct pm_whole_epoch e = alone(16, 4, in_turn, 0);
    double half = 3.182446 * 16 * 57.735027 * 0.8660254;
    assert_int_equal(e.epoch_ns, 6400);
    assert_true(e.low_ns <= 6400 - half + 0.01 && e.low_ns >= 6400 - half - 1.01);
    assert_true(e.high_ns >= 6400 + half - 0.01 && e.high_ns <= 6400 + half + 1.01);
    assert_int_equal(alone(16, 1, in_turn, 0).high_ns, 0); /* one batch has no spread */
    assert_int_equal(alone(16, 1, in_turn, 0).epoch_ns, 16 * 300);
    assert_true(alone(4, 2, in_turn, 0).low_ns >= 800); /* no less than what was run */
}

/* A drain of 100 after a quarter: between 100 and 400 after the whole. */
static void drains(void **state)
{
    (void)state;
    struct pm_whole_epoch e = alone(1000, 250, always_700, 100);
    assert_int_equal(e.epoch_ns, 700000 + 200);
    assert_in_range(e.low_ns, 700000 + 99, 700000 + 100);
    assert_in_range(e.high_ns, 700000 + 400, 700000 + 401);
}

/* Out of time: the fast worker has run 200 batches, the slow one 100. The whole takes 140000 / 0.15
 * if they share what is left, 1400000 if they do not. */
static void workers_of_different_pace(void **state)
{
    (void)state;
    struct pm_pace fast = run(1000, 200, always_700), slow = run(1000, 100, always_1400), idle = run(0, 0, always_700);
    struct pm_projection one = {0}, other = {0};
    pm_projection_worker(&one, &slow);
    pm_projection_worker(&one, &idle);
    pm_projection_worker(&other, &fast);
    struct pm_projection sum = other;
    pm_projection_add(&sum, &one);
    struct pm_whole_epoch e = pm_extrapolate(&sum, 140000);
    assert_true(e.share == 0.15);
    assert_in_range(e.epoch_ns, (933333 + 1400000) / 2 - 1, (933333 + 1400000) / 2 + 1);
    assert_in_range(e.low_ns, 933332, 933333);
    assert_in_range(e.high_ns, 1400000, 1400001);
    pm_projection_add(&one, &other);
    struct pm_whole_epoch same = pm_extrapolate(&one, 140000);
    assert_memory_equal(&same, &e, sizeof e);
}

static void nothing_was_run(void **state)
{
    (void)state;
    struct pm_projection none = {0};
    assert_true(pm_extrapolate(&none, 9).share == 1);
    assert_int_equal(pm_extrapolate(&none, 9).epoch_ns, 9);
    assert_true(alone(10, 0, always_700, 5).share == 0);
    assert_int_equal(alone(10, 0, always_700, 5).epoch_ns, 5);
    assert_int_equal(alone(10, 0, always_700, 5).high_ns, 0);
}

static struct pm_rng rng;
static int64_t at_random(uint64_t i)
{
    (void)i;
    return 500 + (int64_t)(pm_rng_u64(&rng) % 1000);
}

/* Of 2000 epochs of which a part was run, 95 % have their true time in the interval, give or take two. */
static void intervals_hold(void **state)
{
    (void)state;
    int inside = 0;
    pm_rng_init(&rng, "pace", 1, 0, 0);
    for (int epoch = 0; epoch < 2000; epoch++) {
        struct pm_rng before = rng;
        struct pm_pace whole = run(1000, 1000, at_random);
        rng = before;
        struct pm_whole_epoch e = alone(1000, 30 + (uint64_t)epoch % 600, at_random, 0);
        int64_t truth = whole.ended_ns - whole.began_ns;
        inside += e.low_ns <= truth && truth <= e.high_ns;
    }
    print_message("%d of 2000 inside\n", inside);
    assert_in_range(inside, 1860, 1940);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_batches_are_exact),   cmocka_unit_test(whole_epochs_are_as_measured),
        cmocka_unit_test(segments),                  cmocka_unit_test(interval_by_hand),
        cmocka_unit_test(drains),                    cmocka_unit_test(workers_of_different_pace),
        cmocka_unit_test(nothing_was_run),           cmocka_unit_test(intervals_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
