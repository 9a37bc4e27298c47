/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exchange by all-reduce step by step, every message passed on by hand: which messages there are for N nodes, who joins when, and
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/pm.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_full;

enum { LENGTH = 2, KEYS = 64, CALL = 3 /* the step behind the result, where there is one step in the butterfly */ };

static bool dense;

static struct hand *cluster_of(uint32_t nodes, bool no_values, uint32_t max_message)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_full,
                                          .options = "exchange=allreduce",
                                          .nodes = nodes,
                                          .workers = 1,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .dense = dense,
                                          .no_values = no_values,
                                          .max_message = max_message});
}

static struct hand *cluster(uint32_t nodes)
{
    return cluster_of(nodes, false, 0);
}

static void exchange(struct hand *h, pm_node_id node)
{
    struct pm_ctx *ctx = pm_node_communicator(hand_node(h, node));
    pm_exchange(ctx);
    pm_ctx_deliver(ctx);
}

static uint64_t rounds(struct hand *h, pm_node_id node)
{
    struct pm_counters c;
    pm_node_counters(hand_node(h, node), &c);
    return c.rounds;
}

/* Every copy, the main copy too, has this much added, and nothing is left to be sent. */
static void assert_everywhere(struct hand *h, uint32_t nodes, pm_key key, float added)
{
    for (pm_node_id i = 0; i < nodes; i++) {
        float value[LENGTH];
        assert_int_equal(hand_pull(h, i, 0, key, value), PM_DONE);
        hand_assert_added(h, value, key, added);
        assert_int_equal(hand_node(h, i)->dirty.n, 0);
        assert_int_equal(hand_node(h, i)->exchange.reduce.bytes, 0);
    }
}

/* ---- messages of a round ----------------------------------------------------------------------------- */

static void two_nodes(void **state)
{
    (void)state;
    struct hand *h = cluster(2);
    pm_key key = hand_key(h, 1, 0);
    hand_push(h, 0, 0, key, 3);
    hand_push(h, 1, 0, key, 4);
    exchange(h, 0);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 partial 1, 1>0 partial 1");
    assert_everywhere(h, 2, key, 7);
    hand_free(h);
}

/* Whoever hears of a round joins it, through the steps that come first. */
static void four_nodes(void **state)
{
    (void)state;
    struct hand *h = cluster(4);
    pm_key key = hand_key(h, 1, 0), other = hand_key(h, 0, 0);
    hand_push(h, 0, 0, key, 3);
    hand_push(h, 3, 0, other, 5);
    exchange(h, 0);
    assert_string_equal(hand_sent(h), "0>1 partial 1");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "1>0 partial 0, 1>3 partial 1, 0>2 partial 1, 3>2 partial 1, 2>3 partial 0, 2>0 partial 1, "
                                      "3>1 partial 1");
    assert_everywhere(h, 4, key, 3);
    assert_everywhere(h, 4, other, 5);
    hand_free(h);
}

static void a_guest_begins(void **state)
{
    (void)state;
    struct hand *h = cluster(3);
    pm_key key = hand_key(h, 1, 0);
    hand_push(h, 2, 0, key, 3);
    exchange(h, 2);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "2>0 partial 1, 0>1 partial 1, 1>0 partial 0, 0>2 partial 1");
    assert_everywhere(h, 3, key, 3);
    hand_free(h);
}

/* A guest is called, and what it has collected comes along. */
static void a_guest_is_called(void **state)
{
    (void)state;
    struct hand *h = cluster(3);
    pm_key key = hand_key(h, 1, 0);
    hand_push(h, 1, 0, key, 3);
    hand_push(h, 2, 0, key, 4);
    exchange(h, 1);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "1>0 partial 1, 0>2 partial 0, 2>0 partial 1, 0>1 partial 1, 0>2 partial 1");
    assert_everywhere(h, 3, key, 7);
    hand_free(h);
}

/* A call that crosses the guest's list, or comes behind the result, changes nothing. */
static void a_late_call(void **state)
{
    (void)state;
    struct hand *h = cluster(3);
    pm_key key = hand_key(h, 1, 0);
    hand_push(h, 2, 0, key, 3);
    hand_push(h, 0, 0, key, 1);
    exchange(h, 0);
    exchange(h, 2);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>2 partial 0, 2>0 partial 1, 0>1 partial 1, 1>0 partial 0, 0>2 partial 1");
    assert_everywhere(h, 3, key, 4);
    struct pm_message *call = pm_message_new(PM_MSG_PARTIAL, &(struct pm_shape){.with_values = true});
    call->wire.source = call->wire.origin = 0;
    call->wire.number = 1;
    call->wire.first = CALL;
    call->wire.sub = 1;
    pm_count(&pm_node_communicator(hand_node(h, 0))->counters.messages_sent, 1);
    pm_count(&pm_node_communicator(hand_node(h, 0))->counters.bytes_sent, call->wire.length_bytes);
    assert_int_equal(hand_give(h, 2, call), PM_OK);
    assert_string_equal(hand_sent(h), "");
    assert_int_equal(rounds(h, 2), 1);
    hand_free(h);
}

static void nothing_to_exchange(void **state)
{
    (void)state;
    for (uint32_t nodes = 2; nodes < 7; nodes++) {
        struct hand *h = cluster(nodes);
        for (pm_node_id i = 0; i < nodes; i++)
            exchange(h, i);
        assert_string_equal(hand_sent(h), "");
        hand_free(h);
    }
}

/* Each round of N nodes: steps of the butterfly, and two messages for each guest. */
static void messages_of_a_round(void **state)
{
    (void)state;
    for (uint32_t nodes = 2; nodes <= 9; nodes++) {
        struct hand *h = cluster(nodes);
        uint32_t steps = nodes < 4 ? 1 : nodes < 8 ? 2 : 3, inner = 1u << steps;
        pm_key key = hand_key(h, 1, 0);
        for (pm_node_id i = 0; i < nodes; i++)
            hand_push(h, i, 0, key, (float)(1u << i));
        for (pm_node_id i = nodes; i-- > 0;)
            exchange(h, i);
        hand_pass_all(h);
        uint32_t messages = 0;
        for (const char *sent = hand_sent(h); *sent; sent++)
            messages += *sent == '>';
        assert_in_range(messages, inner * steps + 2 * (nodes - inner), inner * steps + 3 * (nodes - inner));
        assert_everywhere(h, nodes, key, (float)((1u << nodes) - 1));
        for (pm_node_id i = 0; i < nodes; i++)
            assert_int_equal(rounds(h, i), 1);
        hand_free(h);
    }
}

/* ---- what happens meanwhile -------------------------------------------------------------------------- */

/* Updates that are made while a round is under way are seen at once, and go with the next one. */
static void updates_during_a_round(void **state)
{
    (void)state;
    struct hand *h = cluster(2);
    float value[LENGTH];
    for (pm_node_id home = 0; home < 2; home++) {
        pm_key key = hand_key(h, home, 0);
        hand_push(h, 0, 0, key, 1);
        hand_push(h, 1, 0, key, 2);
        exchange(h, 0);
        hand_push(h, 0, 0, key, 4);
        hand_pull(h, 0, 0, key, value);
        hand_assert_added(h, value, key, 5);
        hand_pass_all(h);
        hand_pull(h, 0, 0, key, value);
        hand_assert_added(h, value, key, 7);
        hand_pull(h, 1, 0, key, value);
        hand_assert_added(h, value, key, 3);
        exchange(h, 0);
        hand_pass_all(h);
        assert_everywhere(h, 2, key, 7);
    }
    hand_free(h);
}

/* A partner may be a round ahead: what it sends is kept until then. */
static void a_round_ahead(void **state)
{
    (void)state;
    struct hand *h = cluster(4);
    pm_key key = hand_key(h, 2, 0);
    hand_push(h, 0, 0, key, 1);
    exchange(h, 0);
    hand_pass_all_but(h, 3, 1);
    assert_int_equal(rounds(h, 0), 1);
    assert_int_equal(rounds(h, 1), 0);
    hand_push(h, 0, 0, key, 2);
    exchange(h, 0);
    hand_pass_all_but(h, 3, 1);
    assert_int_equal(rounds(h, 1), 0);
    assert_true(hand_node(h, 1)->exchange.reduce.bytes > 0);
    hand_pass_all(h);
    for (pm_node_id i = 0; i < 4; i++)
        assert_int_equal(rounds(h, i), 2);
    assert_everywhere(h, 4, key, 3);
    hand_free(h);
}

/* Lists are cut at max_message, with and without values. */
static void long_lists(void **state)
{
    (void)state;
    for (int no_values = 0; no_values < 2; no_values++) {
        struct hand *h = cluster_of(3, no_values, 100); /* three keys of 8 + 8 bytes behind the header */
        for (pm_key key = 0; key < 7; key++)
            hand_push(h, key % 3, 0, key, 1);
        exchange(h, 2);
        hand_pass_all(h);
        assert_string_equal(hand_sent(h), "2>0 partial 2, 0>1 partial 3, 0>1 partial 2, 1>0 partial 2, 0>2 partial 3, "
                                          "0>2 partial 3, 0>2 partial 1");
        for (pm_key key = 0; key < KEYS && !no_values; key++)
            assert_everywhere(h, 3, key, key < 7);
        hand_free(h);
    }
}

/* The modelled memory has what is kept of a round. */
static void memory(void **state)
{
    (void)state;
    struct hand *h = cluster(2);
    struct pm_node *node = hand_node(h, 0);
    uint64_t idle = pm_node_memory_bytes(node);
    const struct pm_slots *slots = &node->slots;
    assert_int_equal(idle, KEYS * pm_slot_model_bytes(slots, LENGTH, PM_BLOCK_SHARED));
    assert_int_equal(pm_slot_model_bytes(slots, LENGTH, PM_BLOCK_SHARED), pm_slot_model_bytes(slots, LENGTH, PM_BLOCK_REPLICA) + 8);
    hand_push(h, 0, 0, 1, 1);
    hand_push(h, 0, 0, 2, 1);
    exchange(h, 0);
    assert_int_equal(pm_node_memory_bytes(node), idle + 2 * (8 + 4 * LENGTH));
    hand_pass_all(h);
    assert_int_equal(pm_node_memory_bytes(node), idle);
    hand_free(h);
}

/* ---- refused ----------------------------------------------------------------------------------------- */

static struct pm_message *partial(pm_node_id from, uint64_t round, uint32_t step, const pm_key *keys, uint32_t n)
{
    const struct pm_shape shape = {.n_keys = n, .n_floats = n * LENGTH, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_PARTIAL, &shape);
    assert_non_null(m);
    if (n) {
        memcpy(pm_message_keys(m), keys, n * sizeof *keys);
        memset(pm_message_values(m), 0, 4 * LENGTH * n);
    }
    m->wire.source = m->wire.origin = from;
    m->wire.number = round;
    m->wire.first = step;
    m->wire.sub = 1;
    return m;
}

static void refuses(struct hand *h, pm_node_id to, struct pm_message *m)
{
    assert_int_equal(hand_give(h, to, m), PM_E_MESSAGE);
}

static void refused(void **state)
{
    (void)state;
    struct hand *h = cluster(3);
    const pm_key falling[] = {5, 4}, twice[] = {5, 5}, outside[] = {KEYS}, rising[] = {4, 5};
    hand_push(h, 0, 0, 1, 1);
    exchange(h, 0);
    hand_sent(h);
    refuses(h, 0, partial(1, 1, 0, NULL, 0));        /* not the guest */
    refuses(h, 0, partial(2, 1, 1, NULL, 0));        /* not the partner */
    refuses(h, 0, partial(2, 1, 2, NULL, 0));        /* results go to guests */
    refuses(h, 0, partial(2, 1, CALL, NULL, 0));     /* so do calls */
    refuses(h, 0, partial(1, 1, 4, NULL, 0));        /* no such step */
    refuses(h, 0, partial(1, 1, UINT32_MAX, NULL, 0));
    refuses(h, 0, partial(1, 0, 1, NULL, 0));        /* over long ago */
    refuses(h, 0, partial(1, 3, 1, NULL, 0));        /* the round behind the next */
    refuses(h, 0, partial(1, 1, 1, falling, 2));
    refuses(h, 0, partial(1, 1, 1, twice, 2));
    refuses(h, 0, partial(1, 1, 1, outside, 1));
    refuses(h, 2, partial(0, 1, 2, NULL, 0));        /* a result before the question */
    refuses(h, 2, partial(0, 2, CALL, NULL, 0));     /* a call of the round behind the next */
    refuses(h, 2, partial(0, 1, CALL, rising, 2));   /* a call says nothing */
    refuses(h, 1, partial(2, 1, 1, NULL, 0));
    struct pm_message *open = partial(1, 1, 1, rising, 2), *empty = partial(1, 1, 1, NULL, 0);
    open->wire.sub = 2;
    refuses(h, 0, open);
    empty->wire.sub = 0;
    refuses(h, 0, empty);
    assert_string_equal(hand_sent(h), "");
    hand_pass_all(h);
    assert_everywhere(h, 3, 1, 1);
    hand_free(h);
}

/* Keys rise from one message of a step to the next, and a step ends once. */
static void refused_in_parts(void **state)
{
    (void)state;
    struct hand *h = cluster_of(2, false, 100);
    const pm_key before[] = {3, 4}, last[] = {5, 6};
    for (pm_key key = 3; key < 8; key++)
        hand_push(h, 1, 0, key, 1);
    exchange(h, 1);
    assert_string_equal(hand_sent(h), "1>0 partial 3, 1>0 partial 2");
    hand_pass(h, 1, 0);
    refuses(h, 0, partial(1, 1, 1, before, 2));
    refuses(h, 0, partial(1, 1, 1, last, 2));
    hand_pass(h, 1, 0);
    refuses(h, 0, partial(1, 1, 1, NULL, 0));
    hand_pass_all(h);
    assert_everywhere(h, 2, 7, 1);
    hand_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes),
        cmocka_unit_test(four_nodes),
        cmocka_unit_test(a_guest_begins),
        cmocka_unit_test(a_guest_is_called),
        cmocka_unit_test(a_late_call),
        cmocka_unit_test(nothing_to_exchange),
        cmocka_unit_test(messages_of_a_round),
        cmocka_unit_test(updates_during_a_round),
        cmocka_unit_test(a_round_ahead),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(memory),
        cmocka_unit_test(refused),
        cmocka_unit_test(refused_in_parts),
    };
    int failed = repeat_main(argc, argv, "all-reduce", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "all-reduce, dense", tests, sizeof tests / sizeof *tests);
}
