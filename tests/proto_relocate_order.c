/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation step by step, every message passed on by hand: in which order everything happens at a key that is on its
 * way, and to one worker's operations on a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/pm.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_lapse;

enum { LENGTH = 2, KEYS = 64 };

static bool dense;

static struct hand *cluster(const char *options, uint32_t nodes, uint32_t workers)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_lapse,
                                          .options = options,
                                          .nodes = nodes,
                                          .workers = workers,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .dense = dense});
}

/* ---- at a key that is arriving ----------------------------------------------------------------------- */

/* Operations of two workers and of another node, in the order in which they came. */
static void accesses_queue_in_order(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 2);
    pm_key key = hand_key(h, 1, 0);
    float out[4][LENGTH];
    hand_bring(h, 2, key);
    hand_push(h, 2, 0, key, 1);
    hand_localize(h, 0, key);
    hand_pass(h, 0, 1); /* from here on the home sends accesses to node 0 */
    hand_sent(h);
    pm_ticket first = hand_push(h, 0, 0, key, 2), second = hand_pull(h, 0, 1, key, out[0]);
    pm_ticket third = hand_push(h, 0, 0, key, 4);
    assert_string_equal(hand_sent(h), "");
    pm_ticket theirs = hand_push(h, 2, 1, key, 8); /* is owner still: served there */
    assert_true(hand_done(h, 2, 1, theirs));
    hand_pass(h, 1, 2);
    pm_ticket away = hand_pull(h, 2, 0, key, out[1]);
    hand_pass(h, 2, 1);
    hand_pass(h, 1, 0); /* waits behind the three */
    pm_ticket last = hand_push(h, 0, 1, key, 16);
    assert_false(hand_done(h, 0, 0, first) || hand_done(h, 0, 1, second) || hand_done(h, 0, 0, third));
    hand_sent(h);
    hand_pass(h, 2, 0); /* the value */
    assert_true(hand_done(h, 0, 0, first) && hand_done(h, 0, 1, second) && hand_done(h, 0, 0, third));
    assert_true(hand_done(h, 0, 1, last));
    assert_string_equal(hand_sent(h), "0>2 reply 1");
    hand_assert_added(h, out[0], key, 1 + 8 + 2);
    hand_pass_all(h);
    assert_true(hand_done(h, 2, 0, away));
    hand_assert_added(h, out[1], key, 1 + 8 + 2 + 4);
    hand_pull(h, 0, 0, key, out[2]);
    hand_assert_added(h, out[2], key, 1 + 8 + 2 + 4 + 16);
    struct pm_counters c;
    pm_node_counters(hand_node(h, 0), &c);
    assert_int_equal(c.writes[PM_HOW_QUEUED], 3);
    assert_int_equal(c.reads[PM_HOW_QUEUED], 1);
    assert_int_equal(c.reads[PM_HOW_LOCAL], 1);
    hand_free(h);
}

/* A set between two pushes, all waiting. */
static void sets_queue_in_order(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    pm_key key = hand_key(h, 1, 0);
    float out[LENGTH];
    hand_localize(h, 0, key);
    hand_push(h, 0, 0, key, 100);
    hand_set(h, 0, 0, key, 50);
    hand_push(h, 0, 0, key, 3);
    pm_ticket ticket = hand_pull(h, 0, 0, key, out);
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, ticket));
    assert_float_equal(out[0], 53, 0);
    assert_float_equal(out[1], 53, 0);
    hand_free(h);
}

/* The next one's request comes before the key: it is served when the queue is done, and nothing later. */
static void handed_on_after_the_queue(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    float out[2][LENGTH];
    hand_localize(h, 0, key);
    hand_pass(h, 0, 1);
    hand_localize(h, 2, key);
    hand_pass(h, 2, 1);
    assert_string_equal(hand_sent(h), "0>1 relocate 1, 1>0 transfer 1, 2>1 relocate 1, 1>0 relocate/1 1");
    hand_push(h, 0, 0, key, 1);
    pm_ticket ticket = hand_pull(h, 0, 0, key, out[0]);
    hand_push(h, 2, 0, key, 2);
    hand_pass(h, 1, 0); /* the value, before the request: handed on when that comes */
    assert_true(hand_done(h, 0, 0, ticket));
    assert_int_equal(hand_owner(h, key), 0);
    hand_pass(h, 1, 0);
    assert_string_equal(hand_sent(h), "0>2 transfer 1");
    hand_pass_all(h);
    assert_int_equal(hand_owner(h, key), 2);
    hand_assert_added(h, out[0], key, 1);
    hand_pull(h, 2, 0, key, out[1]);
    hand_assert_added(h, out[1], key, 3);
    hand_free(h);
}

static void noted_and_served_after_the_queue(void **state)
{
    (void)state;
    struct hand *h = cluster("", 4, 2);
    pm_key key = hand_key(h, 1, 0);
    float out[3][LENGTH];
    hand_bring(h, 3, key);
    hand_localize(h, 0, key);
    hand_pass(h, 0, 1);
    hand_push(h, 0, 0, key, 1);
    hand_localize(h, 2, key);
    hand_pass(h, 2, 1);
    hand_pass(h, 1, 0); /* noted */
    pm_ticket after = hand_pull(h, 0, 1, key, out[0]);
    hand_localize(h, 0, key); /* joins the arrival */
    hand_sent(h);
    hand_pass(h, 1, 3);
    hand_pass(h, 3, 0);
    assert_string_equal(hand_sent(h), "3>0 transfer 1, 0>2 transfer 1");
    assert_true(hand_done(h, 0, 1, after));
    hand_assert_added(h, out[0], key, 1);
    assert_int_equal(hand_owner(h, key), PM_NODE_NONE);
    pm_ticket gone = hand_pull(h, 0, 0, key, out[1]); /* no longer here: by the home, to where it will be */
    assert_string_equal(hand_sent(h), "0>1 access 1");
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, gone));
    hand_assert_added(h, out[1], key, 1);
    assert_int_equal(hand_owner(h, key), 2);
    hand_free(h);
}

/* All nodes want the key before anybody gets it, the home, too: each gets it once, in the order of the home. */
static void handed_on_along_a_chain(void **state)
{
    (void)state;
    enum { NODES = 6 };
    static const pm_node_id order[NODES] = {4, 0, 2, 1, 5, 3}; /* 2 is the home */
    struct hand *h = cluster("", NODES, 1);
    pm_key key = hand_key(h, 2, 0);
    float out[NODES][LENGTH];
    pm_ticket tickets[NODES];
    hand_bring(h, 1, key);
    hand_push(h, 1, 0, key, 1);
    hand_bring(h, 3, key);
    for (int i = 0; i < NODES - 1; i++) {
        hand_localize(h, order[i], key);
        hand_push(h, order[i], 0, key, 1);
        tickets[i] = hand_pull(h, order[i], 0, key, out[i]);
        if (order[i] != 2)
            hand_pass(h, order[i], 2);
    }
    hand_localize(h, 3, key); /* owns it still: nothing to do, and it will lose it */
    hand_pass_all(h);
    for (int i = 0; i < NODES - 1; i++) {
        assert_true(hand_done(h, order[i], 0, tickets[i]));
        hand_assert_added(h, out[i], key, (float)(2 + i));
    }
    assert_int_equal(hand_owner(h, key), 5);
    for (pm_node_id i = 0; i < NODES; i++) {
        struct pm_counters c;
        pm_node_counters(hand_node(h, i), &c);
        assert_int_equal(c.relocations_in, i == 1 ? 2 : 1);
    }
    hand_free(h);
}

/* The home waits for its own key; two others want it meanwhile. */
static void the_home_as_a_link_of_the_chain(void **state)
{
    (void)state;
    struct hand *h = cluster("", 4, 1);
    pm_key key = hand_key(h, 1, 0);
    hand_bring(h, 0, key);
    hand_localize(h, 1, key);
    hand_localize(h, 2, key);
    hand_localize(h, 3, key);
    hand_pass(h, 2, 1);
    hand_pass(h, 3, 1);
    hand_sent(h);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 transfer 1, 1>2 transfer 1, 2>3 transfer 1");
    assert_int_equal(hand_owner(h, key), 3);
    float out[LENGTH];
    pm_ticket ticket = hand_pull(h, 1, 0, key, out);
    hand_pass_all(h);
    assert_true(hand_done(h, 1, 0, ticket));
    assert_string_equal(hand_sent(h), "1>3 access 1, 3>1 reply 1");
    hand_free(h);
}

/* A key that was given away and is wanted back at once. */
static void wanted_back(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    float out[LENGTH];
    hand_bring(h, 0, key);
    hand_push(h, 0, 0, key, 1);
    hand_localize(h, 2, key);
    hand_pass(h, 2, 1);
    hand_pass(h, 1, 0); /* given to node 2 ... */
    hand_localize(h, 0, key);
    hand_push(h, 0, 0, key, 2);
    hand_pass(h, 0, 1); /* ... which is told to give it back before it has it */
    hand_pass(h, 1, 2);
    hand_push(h, 2, 0, key, 4);
    hand_pass_all(h);
    assert_int_equal(hand_owner(h, key), 0);
    hand_pull(h, 0, 0, key, out);
    hand_assert_added(h, out, key, 7);
    hand_free(h);
}

/* ---- requests of several keys ------------------------------------------------------------------------ */

/* One is served at once, one waits for its value, one is somewhere else: each is answered from where it is. */
static void a_request_is_answered_in_parts(void **state)
{
    (void)state;
    struct hand *h = cluster("", 4, 1);
    pm_key keys[3];
    float ones[3 * LENGTH], out[3 * LENGTH];
    for (uint32_t i = 0; i < 3; i++)
        keys[i] = hand_key(h, 1, i);
    for (int i = 0; i < 3 * LENGTH; i++)
        ones[i] = 1;
    hand_bring(h, 2, keys[1]);
    hand_bring(h, 3, keys[2]);
    hand_localize(h, 1, keys[1]); /* home 1: owns the first, waits for the second, has lent the third */
    pm_ticket pushed = pm_push(hand_worker(h, 0, 0), keys, 3, ones);
    hand_sent(h);
    hand_pass(h, 0, 1);
    assert_string_equal(hand_sent(h), "1>3 access/1 1, 1>0 reply 1");
    hand_pass(h, 1, 0);
    assert_false(hand_done(h, 0, 0, pushed));
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "2>1 transfer 1, 3>0 reply 1, 1>0 reply 1");
    assert_true(hand_done(h, 0, 0, pushed));
    pm_ticket pulled = pm_pull(hand_worker(h, 0, 0), keys, 3, out);
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, pulled));
    for (uint32_t i = 0; i < 3; i++)
        hand_assert_added(h, out + i * LENGTH, keys[i], 1);
    hand_free(h);
}

/* ---- one worker's order on a key --------------------------------------------------------------------- */

/* A push is on its way by the home when the key comes here: the next operations wait for its answer, although they could
 * be served here. */
static void later_operations_wait_for_the_answer(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 2);
    pm_key key = hand_key(h, 1, 0);
    float out[3][LENGTH];
    hand_bring(h, 2, key);
    pm_ticket first = hand_push(h, 0, 0, key, 1);
    hand_pass(h, 0, 1);
    hand_localize(h, 0, key);
    hand_pass(h, 0, 1);
    pm_ticket second = hand_pull(h, 0, 0, key, out[0]), third = hand_push(h, 0, 0, key, 2);
    hand_pass(h, 1, 2); /* the push is applied there */
    hand_pass(h, 1, 2);
    hand_sent(h);
    pm_ticket others = hand_pull(h, 0, 1, key, out[1]); /* another worker's operation does not wait for that */
    assert_false(hand_done(h, 0, 0, first) || hand_done(h, 0, 0, second));
    hand_pass(h, 2, 0); /* the answer to the push; what is behind it now waits for the value */
    assert_true(hand_done(h, 0, 0, first));
    assert_false(hand_done(h, 0, 0, second) || hand_done(h, 0, 1, others));
    hand_pass(h, 2, 0); /* the value */
    assert_true(hand_done(h, 0, 0, second) && hand_done(h, 0, 0, third) && hand_done(h, 0, 1, others));
    hand_assert_added(h, out[0], key, 1);
    hand_assert_added(h, out[1], key, 1);
    hand_pull(h, 0, 0, key, out[2]);
    hand_assert_added(h, out[2], key, 3);
    assert_string_equal(hand_sent(h), "");
    hand_free(h);
}

/* A key arrives while the same worker's earlier operation on it is still unanswered, forwarded once more. */
static void an_operation_chases_its_key_home(void **state)
{
    (void)state;
    struct hand *h = cluster("location_cache=0", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    float out[LENGTH];
    hand_bring(h, 2, key);
    pm_ticket first = hand_push(h, 0, 0, key, 1); /* to the home, where it stays for a while */
    hand_localize(h, 2, key);                     /* is there */
    hand_localize(h, 0, key);
    pm_ticket second = hand_pull(h, 0, 0, key, out);
    hand_pass(h, 0, 1); /* push: forwarded to node 2 */
    hand_pass(h, 0, 1); /* relocate */
    hand_pass_all_but(h, 2, 0);
    assert_false(hand_done(h, 0, 0, first) || hand_done(h, 0, 0, second));
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, first) && hand_done(h, 0, 0, second));
    hand_assert_added(h, out, key, 1);
    hand_free(h);
}

/* With location caches the policy promises less: nothing is held back. */
static void not_held_back_with_caches(void **state)
{
    (void)state;
    struct hand *h = cluster("location_cache=1", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    float out[LENGTH];
    hand_bring(h, 2, key);
    hand_push(h, 0, 0, key, 1);
    hand_pull(h, 0, 0, key, out);
    assert_string_equal(hand_sent(h), "0>1 access 1, 0>1 access 1");
    hand_pass_all(h);
    hand_assert_added(h, out, key, 1);
    hand_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_queue_in_order),
        cmocka_unit_test(sets_queue_in_order),
        cmocka_unit_test(handed_on_after_the_queue),
        cmocka_unit_test(noted_and_served_after_the_queue),
        cmocka_unit_test(handed_on_along_a_chain),
        cmocka_unit_test(the_home_as_a_link_of_the_chain),
        cmocka_unit_test(wanted_back),
        cmocka_unit_test(a_request_is_answered_in_parts),
        cmocka_unit_test(later_operations_wait_for_the_answer),
        cmocka_unit_test(an_operation_chases_its_key_home),
        cmocka_unit_test(not_held_back_with_caches),
    };
    int failed = repeat_main(argc, argv, "relocation, order, sparse", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "relocation, order, dense", tests, sizeof tests / sizeof *tests);
}
