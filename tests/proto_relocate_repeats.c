/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation step by step, every message passed on by hand: operations that name a key several times. The occurrences have one
 * place in the order of the worker's operations, so they travel together, in the order in which the operation names them. */
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

static struct hand *cluster_of(const char *options, uint32_t nodes, uint32_t workers, uint32_t max_message)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_lapse,
                                          .options = options,
                                          .nodes = nodes,
                                          .workers = workers,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .dense = dense,
                                          .max_message = max_message});
}

static struct hand *cluster(const char *options, uint32_t nodes, uint32_t workers)
{
    return cluster_of(options, nodes, workers, 0);
}

/* What the workload's apply does besides adding: write the pushes of one key down; let an answer come at another. */
static struct {
    struct hand *h;
    pm_key watched, trigger;
    bool armed;
    float applied[8];
    int n;
} spy;

static void apply_and_look(const void *state, pm_key key, uint32_t length, float *value, const float *update)
{
    (void)state;
    for (uint32_t j = 0; j < length; j++)
        value[j] += update[j];
    if (key == spy.watched)
        spy.applied[spy.n++] = update[0];
    if (key == spy.trigger && spy.armed) {
        spy.armed = false;
        hand_pass(spy.h, 1, 0);
    }
}

/* Writes down what is pushed to `watched`; while armed, a message from node 1 is passed to node 0 when `trigger` is pushed. */
static void watch(struct hand *h, uint32_t nodes, pm_key watched, pm_key trigger)
{
    static struct pm_workload workload;
    workload = *hand_node(h, 0)->config.workload;
    workload.apply = apply_and_look;
    for (pm_node_id i = 0; i < nodes; i++)
        hand_node(h, i)->config.workload = &workload;
    spy.h = h;
    spy.watched = watched;
    spy.trigger = trigger;
    spy.armed = false;
    spy.n = 0;
}

static void assert_applied(const float *expected, int n)
{
    assert_int_equal(spy.n, n);
    for (int i = 0; i < n; i++)
        assert_float_equal(spy.applied[i], expected[i], 0);
}

/* Adds 1, 2, ... to the keys; the buffer stays for the next four. */
static pm_ticket push_rising(struct hand *h, const pm_key *keys, uint32_t n)
{
    static float updates[4][8 * LENGTH];
    static uint32_t used;
    float *u = updates[used++ % 4];
    for (uint32_t i = 0; i < n * LENGTH; i++)
        u[i] = (float)(i / LENGTH + 1);
    pm_ticket ticket = pm_push(hand_worker(h, 0, 0), keys, n, u);
    assert_true(ticket >= 0);
    return ticket;
}

static pm_ticket pull_all(struct hand *h, const pm_key *keys, uint32_t n, float *out)
{
    pm_ticket ticket = pm_pull(hand_worker(h, 0, 0), keys, n, out);
    assert_true(ticket >= 0);
    return ticket;
}

/* The answer to an earlier push comes between the two occurrences of its key in one operation. */
static void answered_in_the_middle_of_an_operation(void **state)
{
    (void)state;
    static const char *const options[] = {"", "fast_local=0"};
    for (int o = 0; o < 2; o++) {
        struct hand *h = cluster(options[o], 2, 1);
        pm_key keys[3] = {hand_key(h, 1, 0), hand_key(h, 0, 0), hand_key(h, 1, 0)};
        watch(h, 2, keys[0], keys[1]);
        pm_ticket before = hand_push(h, 0, 0, keys[0], 100);
        hand_pass(h, 0, 1);
        spy.armed = true;
        pm_ticket ticket = push_rising(h, keys, 3);
        hand_pass_all(h);
        assert_true(hand_done(h, 0, 0, before) && hand_done(h, 0, 0, ticket));
        assert_applied((const float[]){100, 1, 3}, 3);
        hand_free(h);
    }
}

/* The key itself comes between its two occurrences. */
static void arrives_in_the_middle_of_an_operation(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    pm_key keys[3] = {hand_key(h, 1, 0), hand_key(h, 0, 0), hand_key(h, 1, 0)};
    watch(h, 2, keys[0], keys[1]);
    hand_localize(h, 0, keys[0]);
    hand_pass(h, 0, 1);
    hand_sent(h);
    spy.armed = true;
    pm_ticket ticket = push_rising(h, keys, 3);
    assert_int_equal(hand_owner(h, keys[0]), 0);
    assert_true(hand_done(h, 0, 0, ticket));
    assert_string_equal(hand_sent(h), "");
    assert_applied((const float[]){1, 3}, 2);
    hand_free(h);
}

/* All occurrences go in one request and are answered by one reply; those of a push are carried out in order. */
static void occurrences_share_a_request(void **state)
{
    (void)state;
    static const char *const options[] = {"", "fast_local=0", "location_cache=1"};
    for (int o = 0; o < 3; o++) {
        struct hand *h = cluster(options[o], 2, 1);
        float out[5 * LENGTH];
        pm_key a = hand_key(h, 1, 0), b = hand_key(h, 1, 1), keys[5] = {a, b, a, a, b};
        watch(h, 2, a, PM_KEY_NONE);
        pm_ticket push = push_rising(h, keys, 5);
        assert_string_equal(hand_sent(h), "0>1 access 5");
        hand_pass_all(h);
        assert_string_equal(hand_sent(h), "1>0 reply 5");
        assert_true(hand_done(h, 0, 0, push));
        assert_applied((const float[]){1, 3, 4}, 3);
        pm_ticket pull = pull_all(h, keys, 5, out);
        hand_pass_all(h);
        assert_string_equal(hand_sent(h), "0>1 access 5, 1>0 reply 5");
        assert_true(hand_done(h, 0, 0, pull));
        for (int i = 0; i < 5; i++)
            hand_assert_added(h, out + i * LENGTH, keys[i], keys[i] == a ? 1 + 3 + 4 : 2 + 5);
        hand_free(h);
    }
}

/* The same at a key that is somewhere else, and at one that is on its way to where the request goes. */
static void occurrences_are_forwarded_and_wait_together(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key a = hand_key(h, 1, 0), b = hand_key(h, 1, 1), keys[5] = {a, b, a, b, a};
    watch(h, 3, a, PM_KEY_NONE);
    hand_bring(h, 2, a);
    pm_ticket first = push_rising(h, keys, 5);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 access 5, 1>2 access/1 3, 1>0 reply 2, 2>0 reply 3");
    hand_localize(h, 1, a);
    hand_sent(h);
    pm_ticket second = push_rising(h, keys, 5);
    hand_pass(h, 0, 1);
    assert_string_equal(hand_sent(h), "0>1 access 5, 1>0 reply 2");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "2>1 transfer 1, 1>0 reply 3");
    assert_true(hand_done(h, 0, 0, first) && hand_done(h, 0, 0, second));
    assert_applied((const float[]){1, 3, 5, 1, 3, 5}, 6);
    hand_free(h);
}

/* What waits behind an earlier operation is let go together, and what comes later waits for all of it. */
static void occurrences_are_let_go_together(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    float out[4 * LENGTH], last[LENGTH];
    pm_key a = hand_key(h, 1, 0), b = hand_key(h, 1, 1), keys[4] = {a, b, a, b};
    watch(h, 2, a, PM_KEY_NONE);
    push_rising(h, keys, 2);
    pm_ticket push = push_rising(h, keys, 4), pull = pull_all(h, keys, 4, out), after = hand_pull(h, 0, 0, a, last);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 access 2, 1>0 reply 2, 0>1 access 4, 1>0 reply 4, 0>1 access 4, 1>0 reply 4, "
                                      "0>1 access 1, 1>0 reply 1");
    assert_true(hand_done(h, 0, 0, push) && hand_done(h, 0, 0, pull) && hand_done(h, 0, 0, after));
    assert_applied((const float[]){1, 1, 3}, 3);
    for (int i = 0; i < 4; i++)
        hand_assert_added(h, out + i * LENGTH, keys[i], keys[i] == a ? 1 + 1 + 3 : 2 + 2 + 4);
    hand_assert_added(h, last, a, 1 + 1 + 3);
    hand_free(h);
}

/* Occurrences that a message has no room for stay behind those that it has, for the key may move in between. */
static void occurrences_stay_behind_a_full_message(void **state)
{
    (void)state;
    struct hand *h = cluster_of("", 3, 1, PM_WIRE_BYTES + 3 * (8 + 4 * LENGTH)); /* or two with entry numbers */
    pm_key a = hand_key(h, 1, 0), b = hand_key(h, 1, 1), keys[6] = {a, a, b, a, a, a};
    watch(h, 3, a, PM_KEY_NONE);
    pm_ticket ticket = push_rising(h, keys, 6), later = hand_push(h, 0, 0, a, 7);
    assert_string_equal(hand_sent(h), "0>1 access 3, 0>1 access 1");
    hand_bring(h, 2, b); /* passes everything on, so that the next two are let go, then the last of the operation */
    assert_true(hand_done(h, 0, 0, ticket) && hand_done(h, 0, 0, later));
    assert_applied((const float[]){1, 2, 4, 5, 6, 7}, 6);
    hand_free(h);
}

/* Nor does an operation that was let go fill more than a message at a time. */
static void occurrences_that_are_let_go_are_cut(void **state)
{
    (void)state;
    struct hand *h = cluster_of("", 2, 1, PM_WIRE_BYTES + 3 * (8 + 4 * LENGTH));
    pm_key a = hand_key(h, 1, 0), keys[5] = {a, a, a, a, a};
    watch(h, 2, a, PM_KEY_NONE);
    push_rising(h, keys, 1);
    pm_ticket ticket = push_rising(h, keys, 5);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 access 1, 1>0 reply 1, 0>1 access 2, 1>0 reply 2, 0>1 access 2, 1>0 reply 2, "
                                      "0>1 access 1, 1>0 reply 1");
    assert_true(hand_done(h, 0, 0, ticket));
    assert_applied((const float[]){1, 1, 2, 3, 4, 5}, 6);
    hand_free(h);
}

/* A reply to entries `first` to `last` of a pull that is the worker's first operation. */
static void answer(struct hand *h, uint32_t first, uint32_t last)
{
    struct pm_shape shape = {.n_keys = last - first + 1, .n_floats = (last - first + 1) * LENGTH, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_REPLY, &shape);
    const struct pm_entry_ref ref = {.op = 0, .generation = 1};
    assert_non_null(m);
    memset(pm_message_values(m), 0, shape.n_floats * sizeof(float));
    m->wire.source = 1;
    m->wire.op = PM_OP_PULL;
    m->wire.request = pm_op_request(&ref);
    m->wire.first = first;
    assert_int_equal(hand_give(h, 0, m), PM_OK);
}

/* Answers to occurrences may come one by one: the last of them lets the next operation go. */
static void the_last_answer_lets_the_next_operation_go(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    pm_key a = hand_key(h, 1, 0), keys[3] = {a, a, a};
    float out[3 * LENGTH];
    pm_ticket pull = pull_all(h, keys, 3, out), push = hand_push(h, 0, 0, a, 1);
    assert_string_equal(hand_sent(h), "0>1 access 3");
    answer(h, 1, 2);
    assert_string_equal(hand_sent(h), "");
    answer(h, 0, 0);
    assert_string_equal(hand_sent(h), "0>1 access 1");
    assert_true(hand_done(h, 0, 0, pull));
    assert_false(hand_done(h, 0, 0, push));
    hand_drop(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answered_in_the_middle_of_an_operation),
        cmocka_unit_test(arrives_in_the_middle_of_an_operation),
        cmocka_unit_test(occurrences_share_a_request),
        cmocka_unit_test(occurrences_are_forwarded_and_wait_together),
        cmocka_unit_test(occurrences_are_let_go_together),
        cmocka_unit_test(occurrences_stay_behind_a_full_message),
        cmocka_unit_test(occurrences_that_are_let_go_are_cut),
        cmocka_unit_test(the_last_answer_lets_the_next_operation_go),
    };
    int failed = repeat_main(argc, argv, "relocation, repeated keys, sparse", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "relocation, repeated keys, dense", tests, sizeof tests / sizeof *tests);
}
