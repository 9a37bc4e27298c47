/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clipping of what a node has collected for a key: what is sent, how many are counted, and when it is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/pm.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_full;

enum { LENGTH = 4, KEYS = 64 };

static bool dense;

static struct hand *cluster(const char *options)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_full,
                                          .options = options,
                                          .nodes = 2,
                                          .workers = 1,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .dense = dense});
}

static const char *const clipping[] = {"exchange=hub,clip=2", "exchange=allreduce,clip=2"};

/* Node 0 collects two updates of this sum for a key of node 1, which an exchange sends. */
static void send(struct hand *h, pm_key key, float sum)
{
    hand_push(h, 0, 0, key, sum - 1);
    hand_push(h, 0, 0, key, 1);
    struct pm_ctx *ctx = pm_node_communicator(hand_node(h, 0));
    pm_exchange(ctx);
    pm_ctx_deliver(ctx);
    hand_pass_all(h);
    hand_sent(h);
}

static void assert_added(struct hand *h, pm_key key, double added)
{
    for (pm_node_id i = 0; i < 2; i++) {
        float value[LENGTH];
        assert_int_equal(hand_pull(h, i, 0, key, value), PM_DONE);
        for (uint32_t j = 0; j < LENGTH; j++)
            assert_float_equal((double)value[j] - (double)testload_initial(key, j), added, 1e-4);
    }
}

static uint64_t clipped(struct hand *h, pm_node_id node)
{
    struct pm_counters c;
    pm_node_counters(hand_node(h, node), &c);
    return c.deltas_clipped;
}

/* The first norm is the mean; what is longer than twice the mean is brought down to that, and counts in full from then on. */
static void long_updates(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct hand *h = cluster(clipping[kind]);
        send(h, hand_key(h, 1, 0), 10);
        assert_added(h, hand_key(h, 1, 0), 10);
        send(h, hand_key(h, 1, 1), 20); /* twice the mean: just not too long */
        assert_added(h, hand_key(h, 1, 1), 20);
        send(h, hand_key(h, 1, 2), 90); /* the mean is 15 */
        assert_added(h, hand_key(h, 1, 2), 30);
        assert_int_equal(clipped(h, 0), 1);
        send(h, hand_key(h, 1, 3), -82); /* the mean is 40 */
        assert_added(h, hand_key(h, 1, 3), -80);
        assert_int_equal(clipped(h, 0), 2);
        assert_int_equal(clipped(h, 1), 0);
        hand_free(h);
    }
}

/* The mean forgets: what has become usual passes. */
static void becoming_usual(void **state)
{
    (void)state;
    struct hand *h = cluster(clipping[1]);
    pm_key key = hand_key(h, 1, 0);
    for (int i = 0; i < 1000; i++)
        send(h, key, 2);
    for (int i = 0; i < 600; i++)
        send(h, key, 20);
    /* After k norms of 20 the mean is 20 - 18 x 0.999^k: above 10 from k = 588 on, where 20 is not too long any more. */
    assert_int_equal(clipped(h, 0), 588);
    hand_free(h);
}

/* Zeros have no direction to keep, and infinite updates no norm. */
static void no_norm(void **state)
{
    (void)state;
    struct hand *h = cluster(clipping[0]);
    float value[LENGTH];
    send(h, hand_key(h, 1, 0), 0);
    send(h, hand_key(h, 1, 1), 5);
    assert_added(h, hand_key(h, 1, 1), 5);
    send(h, hand_key(h, 1, 2), INFINITY);
    assert_int_equal(hand_pull(h, 1, 0, hand_key(h, 1, 2), value), PM_DONE);
    assert_true(isinf(value[0]));
    send(h, hand_key(h, 1, 3), 6); /* the mean is 2.5 */
    assert_added(h, hand_key(h, 1, 3), 5);
    assert_int_equal(clipped(h, 0), 1);
    hand_free(h);
}

/* An owner's own updates are sent by all-reduce, where it is one node among others; over hubs they are in the main copy at once. */
static void of_the_owner(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct hand *h = cluster(clipping[kind]);
        send(h, hand_key(h, 0, 0), 10);
        send(h, hand_key(h, 0, 1), 50);
        assert_added(h, hand_key(h, 0, 1), kind == 0 ? 50 : 20);
        assert_int_equal(clipped(h, 0), kind);
        hand_free(h);
    }
}

static void off_by_default(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    send(h, hand_key(h, 1, 0), 10);
    send(h, hand_key(h, 1, 1), 1000);
    assert_added(h, hand_key(h, 1, 1), 1000);
    assert_int_equal(clipped(h, 0), 0);
    hand_free(h);
}

static void needs_values(void **state)
{
    (void)state;
    static const struct testload_shape shape = {.keys = KEYS, .length = LENGTH};
    struct testjob t;
    struct pm_opened opened;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, &pm_policy_full, "clip=2", &shape, &err), PM_OK);
    t.job.with_values = false;
    assert_int_equal(pm_job_open(&t.job, &opened, &err), PM_E_REFUSED);
    assert_non_null(strstr(err.text, "clip"));
    testjob_free(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_updates), cmocka_unit_test(becoming_usual), cmocka_unit_test(no_norm),
        cmocka_unit_test(of_the_owner), cmocka_unit_test(off_by_default), cmocka_unit_test(needs_values),
    };
    int failed = repeat_main(argc, argv, "clipping, sparse", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "clipping, dense", tests, sizeof tests / sizeof *tests);
}
