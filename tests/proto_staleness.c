/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The age of replicas when they are read, every message passed on by hand: recorded ages are those since the question whose answer
 * is here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/pm.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_full;

enum { LENGTH = 2, KEYS = 64, WORKERS = 2 };

static bool dense;

static struct hand *cluster(const char *options)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_full,
                                          .options = options,
                                          .nodes = 2,
                                          .workers = WORKERS,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .dense = dense});
}

static const char *const kinds[] = {"exchange=hub", "exchange=allreduce"};

static void exchange(struct hand *h, pm_node_id node)
{
    struct pm_ctx *ctx = pm_node_communicator(hand_node(h, node));
    pm_exchange(ctx);
    pm_ctx_deliver(ctx);
}

static void read(struct hand *h, uint32_t worker, pm_key key)
{
    float value[LENGTH];
    assert_int_equal(hand_pull(h, 0, worker, key, value), PM_DONE);
}

/* How many ages a worker of node 0 has recorded, and that of the last read, found as the difference of sums. */
struct ages {
    uint64_t n;
    int64_t ns;
    pm_clock clocks;
};

static struct ages ages_of(struct hand *h, uint32_t worker)
{
    const struct pm_ctx *ctx = &hand_worker(h, 0, worker)->ctx;
    const struct pm_histogram *times = ctx->histograms[PM_Q_STALENESS_TIME], *clocks = ctx->histograms[PM_Q_STALENESS_CLOCKS];
    if (!times && !clocks)
        return (struct ages){0};
    assert_true(times && clocks);
    assert_int_equal(times->count, clocks->count);
    return (struct ages){times->count, (int64_t)times->sum, (pm_clock)clocks->sum};
}

static void read_has_age(struct hand *h, uint32_t worker, pm_key key, int64_t ns, pm_clock clocks)
{
    struct ages before = ages_of(h, worker);
    read(h, worker, key);
    struct ages after = ages_of(h, worker);
    assert_int_equal(after.n - before.n, 1);
    assert_int_equal(after.ns - before.ns, ns);
    assert_int_equal(after.clocks - before.clocks, clocks);
}

static void advance(struct hand *h, uint32_t worker, int times)
{
    while (times-- > 0)
        assert_int_equal(pm_advance_clock(hand_worker(h, 0, worker)), PM_OK);
}

/* Before the first exchange values are as old as the run; then as old as the start of the last whose result is here. */
static void since_the_last_exchange(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct hand *h = cluster(kinds[kind]);
        pm_key key = hand_key(h, 1, 0);
        hand_set_time(h, 700);
        advance(h, 0, 3);
        read_has_age(h, 0, key, 700, 3);
        read_has_age(h, 1, key, 700, 0);
        hand_push(h, 0, 0, key, 1);
        exchange(h, 0);
        hand_set_time(h, 900);
        advance(h, 0, 1);
        read_has_age(h, 0, key, 900, 4); /* no result yet */
        hand_pass_all(h);
        read_has_age(h, 0, key, 200, 1);
        read_has_age(h, 1, hand_key(h, 1, 1), 200, 0); /* of the whole node */
        advance(h, 1, 2);
        hand_set_time(h, 1000);
        read_has_age(h, 1, key, 300, 2);
        hand_free(h);
    }
}

/* Main copies have no age, writes do not count, and what is read at once counts key by key. */
static void what_counts(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct hand *h = cluster(kinds[kind]);
        pm_key replica = hand_key(h, 1, 0), own = hand_key(h, 0, 0);
        read(h, 0, own);
        hand_push(h, 0, 0, replica, 1);
        assert_int_equal(ages_of(h, 0).n, 0);
        float values[4 * LENGTH];
        const pm_key keys[] = {replica, own, hand_key(h, 1, 1), replica};
        assert_int_equal(pm_pull(hand_worker(h, 0, 0), keys, 4, values), PM_DONE);
        assert_int_equal(ages_of(h, 0).n, 3);
        assert_int_equal(pm_read_model(hand_worker(h, 0, 0), &own, 1, values), PM_OK);
        assert_int_equal(ages_of(h, 0).n, 3);
        exchange(h, 0);
        hand_pass_all(h);
        hand_free(h);
    }
}

/* The last generations are remembered; an older one counts as the oldest of them. */
static void generations(void **state)
{
    (void)state;
    struct hand *h = cluster(kinds[0]);
    struct pm_ctx *ctx = &hand_worker(h, 0, 0)->ctx;
    uint32_t number = 0;
    for (int i = 1; i <= 200; i++) {
        hand_set_time(h, 1000 * i);
        number = pm_fresh_begin(ctx);
        assert_int_equal(number, i);
        advance(h, 0, 1);
    }
    const struct {
        uint32_t generation;
        int64_t ns;
        pm_clock clocks;
    } reads[] = {{200, 0, 1}, {199, 1000, 2}, {140, 60000, 61}, {138, 62000, 63}, {100, 62000, 63}, {0, 62000, 63}};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        struct ages before = ages_of(h, 0);
        pm_fresh_read(ctx, hand_worker(h, 0, 0), reads[i].generation);
        pm_ctx_deliver(ctx);
        struct ages after = ages_of(h, 0);
        assert_int_equal(after.ns - before.ns, reads[i].ns);
        assert_int_equal(after.clocks - before.clocks, reads[i].clocks);
    }
    hand_free(h);
}

/* One transition may read for several workers, and of several generations. */
static void apart(void **state)
{
    (void)state;
    struct hand *h = cluster(kinds[0]);
    struct pm_ctx *ctx = pm_node_communicator(hand_node(h, 0));
    hand_set_time(h, 1000);
    uint32_t first = pm_fresh_begin(ctx);
    hand_set_time(h, 5000);
    advance(h, 1, 7);
    uint32_t second = pm_fresh_begin(ctx);
    pm_fresh_read(ctx, hand_worker(h, 0, 0), first);
    pm_fresh_read(ctx, hand_worker(h, 0, 1), first);
    pm_fresh_read(ctx, hand_worker(h, 0, 1), second);
    pm_fresh_read(ctx, hand_worker(h, 0, 1), second);
    pm_ctx_deliver(ctx);
    const struct pm_histogram *times = ctx->histograms[PM_Q_STALENESS_TIME], *clocks = ctx->histograms[PM_Q_STALENESS_CLOCKS];
    assert_int_equal(times->count, 4);
    assert_int_equal(times->sum, 8000);
    assert_int_equal(clocks->count, 4);
    assert_int_equal(clocks->sum, 7);
    hand_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(since_the_last_exchange),
        cmocka_unit_test(what_counts),
        cmocka_unit_test(generations),
        cmocka_unit_test(apart),
    };
    int failed = repeat_main(argc, argv, "staleness, sparse", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "staleness, dense", tests, sizeof tests / sizeof *tests);
}
