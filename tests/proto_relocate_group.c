/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation step by step, every message passed on by hand: entries of one operation that are let go, or served, in one
 * transition share a message, though they had waited one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/pm.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_lapse;

enum { LENGTH = 2, KEYS = 256, MOST = 8 };

static bool no_values;

/* lapse, but every key in a message of its own. */
static struct pm_policy single;

static int single_init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                       struct pm_error *err)
{
    int rc = pm_policy_lapse.init(node, state, options, traits, err);
    traits->group = false;
    return rc;
}

static struct hand *cluster_of(const struct pm_policy *policy, uint32_t nodes, uint32_t max_message)
{
    return hand_new(&(struct hand_config){.policy = policy,
                                          .options = "",
                                          .nodes = nodes,
                                          .workers = 2,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .no_values = no_values,
                                          .max_message = max_message});
}

static struct hand *cluster(uint32_t nodes)
{
    return cluster_of(&pm_policy_lapse, nodes, 0);
}

/* Keys of a home, by number. */
static void pick(struct hand *h, pm_node_id home, pm_key *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        keys[i] = hand_key(h, home, i);
}

/* Adds key % 7 + 1 to each element of each key, so that no two values may be confused. */
static float amount(pm_key key)
{
    return (float)(key % 7 + 1);
}

static pm_ticket push_all(struct hand *h, pm_node_id node, uint32_t worker, const pm_key *keys, uint32_t n)
{
    static float updates[4][MOST * LENGTH];
    static uint32_t used;
    float *u = updates[used++ % 4];
    for (uint32_t i = 0; i < n * LENGTH; i++)
        u[i] = amount(keys[i / LENGTH]);
    pm_ticket ticket = pm_push(hand_worker(h, node, worker), keys, n, u);
    assert_true(ticket >= 0);
    return ticket;
}

static void assert_pulled(struct hand *h, const float *out, const pm_key *keys, uint32_t n, float times)
{
    for (uint32_t i = 0; i < n && !no_values; i++)
        hand_assert_added(h, out + i * LENGTH, keys[i], times * amount(keys[i]));
}

/* ---- behind a worker's own unanswered operation ------------------------------------------------------ */

/* A pull of five keys, four of which were pushed just now, in another order and between keys of another home. */
static void entries_let_go_together_share_a_request(void **state)
{
    (void)state;
    struct hand *h = cluster(3);
    float out[MOST * LENGTH];
    pm_key pushed[4], other = hand_key(h, 2, 0);
    pick(h, 1, pushed, 4);
    pm_ticket push = push_all(h, 0, 0, pushed, 4), far = push_all(h, 0, 0, &other, 1);
    pm_key pulled[6] = {pushed[3], pushed[1], other, pushed[0], hand_key(h, 1, 4), pushed[2]};
    assert_string_equal(hand_sent(h), "0>1 access 4, 0>2 access 1");
    pm_ticket pull = pm_pull(hand_worker(h, 0, 0), pulled, 6, out);
    assert_string_equal(hand_sent(h), "0>1 access 1");
    hand_pass(h, 0, 1);
    hand_pass(h, 0, 1);
    hand_sent(h);
    hand_pass(h, 1, 0); /* the answer to the push: four keys go on */
    assert_true(hand_done(h, 0, 0, push));
    assert_string_equal(hand_sent(h), "0>1 access 4");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "1>0 reply 4, 2>0 reply 1, 0>2 access 1, 2>0 reply 1");
    assert_true(hand_done(h, 0, 0, pull) && hand_done(h, 0, 0, far));
    assert_pulled(h, out, pulled, 4, 1);
    assert_pulled(h, out + 4 * LENGTH, pulled + 4, 1, 0);
    assert_pulled(h, out + 5 * LENGTH, pulled + 5, 1, 1);
    hand_free(h);
}

/* Two pulls and a push are next, each at other keys: a message for each, and what is behind them waits. */
static void each_operation_has_its_own_request(void **state)
{
    (void)state;
    struct hand *h = cluster(2);
    float out[3][MOST * LENGTH];
    pm_key keys[6];
    pick(h, 1, keys, 6);
    push_all(h, 0, 0, keys, 6);
    pm_ticket first = pm_pull(hand_worker(h, 0, 0), keys, 2, out[0]);
    pm_ticket second = push_all(h, 0, 0, keys + 1, 3);
    pm_ticket third = pm_pull(hand_worker(h, 0, 0), keys, 6, out[1]);
    assert_string_equal(hand_sent(h), "0>1 access 6");
    hand_pass(h, 0, 1);
    hand_sent(h);
    hand_pass(h, 1, 0);
    assert_string_equal(hand_sent(h), "0>1 access 2, 0>1 access 2, 0>1 access 2");
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, first) && hand_done(h, 0, 0, second) && hand_done(h, 0, 0, third));
    assert_pulled(h, out[0], keys, 2, 1);
    assert_pulled(h, out[1], keys, 1, 1);
    assert_pulled(h, out[1] + LENGTH, keys + 1, 3, 2);
    assert_pulled(h, out[1] + 4 * LENGTH, keys + 4, 2, 1);
    hand_free(h);
}

/* Neither the request nor its answer is longer than a message may be. */
static void requests_are_cut(void **state)
{
    (void)state;
    struct hand *h = cluster_of(&pm_policy_lapse, 2, PM_WIRE_BYTES + 3 * (8 + 4 * LENGTH)); /* or two with entry numbers */
    float out[MOST * LENGTH];
    pm_key keys[3];
    pick(h, 1, keys, 3);
    pm_key more[4] = {keys[2], keys[0], keys[1], hand_key(h, 1, 3)};
    push_all(h, 0, 0, keys, 3);
    pm_ticket pull = pm_pull(hand_worker(h, 0, 0), more, 4, out);
    hand_pass(h, 0, 1);
    hand_sent(h);
    hand_pass(h, 1, 0);
    assert_string_equal(hand_sent(h), "0>1 access 2, 0>1 access 1");
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, pull));
    assert_pulled(h, out, more, 3, 1);
    hand_free(h);
}

/* ---- at keys that arrive ----------------------------------------------------------------------------- */

/* Keys of home 1 that node 2 has, on their way to node 0, where node 3's accesses will wait for them. */
static struct hand *under_way(const struct pm_policy *policy, pm_key *keys, uint32_t n)
{
    struct hand *h = cluster_of(policy, 4, 0);
    pick(h, 1, keys, n);
    assert_int_equal(pm_localize(hand_worker(h, 2, 0), keys, n), PM_OK);
    hand_pass_all(h);
    assert_int_equal(pm_localize(hand_worker(h, 0, 0), keys, n), PM_OK);
    hand_pass(h, 0, 1);
    hand_pass(h, 1, 2);
    hand_sent(h);
    return h;
}

static void answers_of_one_arrival_share_a_message(void **state)
{
    (void)state;
    pm_key keys[4];
    float out[MOST * LENGTH], here[MOST * LENGTH];
    struct hand *h = under_way(&pm_policy_lapse, keys, 4);
    pm_key backwards[4] = {keys[3], keys[2], keys[1], keys[0]};
    pm_ticket push = push_all(h, 3, 0, keys, 4), pull = pm_pull(hand_worker(h, 3, 1), backwards, 4, out);
    hand_pass_all_but(h, 2, 0);
    assert_string_equal(hand_sent(h), "3>1 access 4, 3>1 access 4, 1>0 access/1 4, 1>0 access/1 4");
    pm_ticket local = pm_pull(hand_worker(h, 0, 1), keys, 4, here);
    hand_pass(h, 2, 0); /* the values */
    assert_string_equal(hand_sent(h), "0>3 reply 4, 0>3 reply 4");
    assert_true(hand_done(h, 0, 1, local));
    hand_pass_all(h);
    assert_true(hand_done(h, 3, 0, push) && hand_done(h, 3, 1, pull));
    assert_pulled(h, out, backwards, 4, 1);
    assert_pulled(h, here, keys, 4, 1);
    hand_free(h);
}

/* Some of a request's keys came before: the others are named one by one. */
static void answers_name_their_entries(void **state)
{
    (void)state;
    pm_key keys[4];
    float out[MOST * LENGTH];
    struct hand *h = under_way(&pm_policy_lapse, keys, 4);
    pm_key more[6] = {hand_key(h, 1, 4), keys[2], hand_key(h, 1, 5), keys[0], keys[3], keys[1]};
    pm_ticket pull = pm_pull(hand_worker(h, 3, 0), more, 6, out);
    hand_pass_all_but(h, 2, 0);
    assert_string_equal(hand_sent(h), "3>1 access 6, 1>0 access/1 4, 1>3 reply 2");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>3 reply 4");
    assert_true(hand_done(h, 3, 0, pull));
    assert_pulled(h, out, more, 6, 0);
    hand_free(h);
}

static void without_grouping_an_answer_per_key(void **state)
{
    (void)state;
    pm_key keys[2];
    struct hand *h = under_way(&single, keys, 2);
    pm_ticket push = push_all(h, 3, 0, keys, 2);
    hand_pass_all_but(h, 2, 0);
    hand_sent(h);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>3 reply 1, 0>3 reply 1");
    assert_true(hand_done(h, 3, 0, push));
    hand_free(h);
}

/* Evaluation and a pull wait for the same keys: what answers the one is not counted, what answers the other is. */
static void evaluation_is_not_counted(void **state)
{
    (void)state;
    pm_key keys[3];
    float out[2][MOST * LENGTH];
    struct hand *h = under_way(&pm_policy_lapse, keys, 3);
    struct pm_counters before, after;
    assert_int_equal(pm_read_model(hand_worker(h, 3, 0), keys, 3, out[0]), PM_E_PROGRESS); /* nobody can block here */
    pm_ticket pull = pm_pull(hand_worker(h, 3, 1), keys, 3, out[1]);
    hand_pass_all_but(h, 2, 0);
    hand_sent(h);
    pm_node_counters(hand_node(h, 0), &before);
    hand_pass(h, 2, 0);
    assert_string_equal(hand_sent(h), "0>3 reply 3, 0>3 reply 3");
    pm_node_counters(hand_node(h, 0), &after);
    assert_int_equal(after.kind_count[PM_MSG_REPLY] - before.kind_count[PM_MSG_REPLY], 1);
    hand_pass_all(h);
    assert_true(hand_done(h, 3, 1, pull));
    assert_pulled(h, out[0], keys, 3, 0);
    assert_pulled(h, out[1], keys, 3, 0);
    hand_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_let_go_together_share_a_request),
        cmocka_unit_test(each_operation_has_its_own_request),
        cmocka_unit_test(requests_are_cut),
        cmocka_unit_test(answers_of_one_arrival_share_a_message),
        cmocka_unit_test(answers_name_their_entries),
        cmocka_unit_test(without_grouping_an_answer_per_key),
        cmocka_unit_test(evaluation_is_not_counted),
    };
    single = pm_policy_lapse;
    single.init = single_init;
    int failed = repeat_main(argc, argv, "relocation, groups", tests, sizeof tests / sizeof *tests);
    no_values = true;
    return failed | repeat_main(argc, argv, "relocation, groups, no values", tests, sizeof tests / sizeof *tests);
}
