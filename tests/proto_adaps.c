/* SPDX-License-Identifier: GPL-3.0-or-later */
/* adaps, message by message: who gets what when, what is sent for it, and what becomes of updates meanwhile. */
#include "tests/adaps_cluster.h"

/* Nodes 0 and 1 want a key whose home is node 1, which stays there. */
static pm_key shared_key(struct hand *h)
{
    pm_key key = hand_key(h, 1, 0);
    intend(h, 1, key, 0, SOON);
    whole_round(h, 1);
    intend(h, 0, key, 0, FAR);
    whole_round(h, 0);
    assert_true(is_ready(h, 0, key));
    assert_int_equal(hand_owner(h, key), 1);
    hand_sent(h);
    return key;
}

/* ---- who gets what ------------------------------------------------------------------------------------ */

/* The only node that wants a key gets it, with two messages where the home has it. */
static void sole_intent_relocates(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, key, 0, SOON);
    assert_string_equal(hand_sent(h), "");
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 grant 1");
    assert_int_equal(hand_owner(h, key), 0);
    assert_reads(h, 0, key, 0);
    advance(h, 0, SOON); /* without an intent it stays where it is */
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "");
    assert_int_equal(hand_owner(h, key), 0);
    finish(h);
}

/* From a third node: the home passes the request on and is told of the relocation. */
static void home_is_told(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, key, 0, SOON);
    whole_round(h, 0);
    advance(h, 0, SOON);
    whole_round(h, 0);
    hand_sent(h);
    intend(h, 2, key, 0, SOON);
    whole_round(h, 2);
    assert_string_equal(hand_sent(h), "2>1 round 1, 1>0 round/1 1, 0>2 grant 1, 0>1 owner 1");
    assert_int_equal(hand_owner(h, key), 2);
    assert_int_equal(hand_slot(h, 1, key)->location, 2);
    assert_int_equal(hand_slot(h, 1, key)->relocations, 2);
    intend(h, 3, key, 0, SOON); /* the home knows the way now */
    advance(h, 2, SOON);
    whole_round(h, 2);
    hand_sent(h);
    whole_round(h, 3);
    assert_string_equal(hand_sent(h), "3>1 round 1, 1>2 round/1 1, 2>3 grant 1, 2>1 owner 1");
    finish(h);
}

/* A key that its owner wants itself is replicated; so is one that two others want. */
static void concurrent_intent_replicates(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = shared_key(h);
    intend(h, 2, key, 0, FAR);
    whole_round(h, 2);
    assert_string_equal(hand_sent(h), "2>1 round 1, 1>2 answer 1");
    advance(h, 1, SOON); /* the owner has done: the others keep their replicas */
    whole_round(h, 1);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 0");
    assert_true(is_ready(h, 0, key) && is_ready(h, 2, key));
    advance(h, 2, FAR); /* one of them has done: the last one gets the key */
    whole_round(h, 2);
    assert_string_equal(hand_sent(h), "2>1 round 1");
    assert_false(is_replica(h, 2, key));
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 grant 1");
    assert_int_equal(hand_owner(h, key), 0);
    finish(h);
}

/* An intent that ends while the refresh is under way does not send the key back. */
static void ownership_that_comes_late_stays(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, key, 0, SOON);
    turn(h, 0);
    advance(h, 0, SOON);
    turn(h, 0); /* waits for the answer */
    assert_string_equal(hand_sent(h), "0>1 round 1");
    hand_pass_all(h);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "1>0 grant 1");
    assert_int_equal(hand_owner(h, key), 0);
    finish(h);
}

/* An intent is acted on when it may begin before the round after the next: at first 10 clocks are expected per round. */
static void intents_are_acted_on_in_time(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key soon = hand_key(h, 1, 0), later = hand_key(h, 1, 1);
    intend(h, 0, soon, 39, 45);
    intend(h, 0, later, 40, 45);
    whole_round(h, 0);
    assert_int_equal(hand_owner(h, soon), 0);
    assert_int_equal(hand_owner(h, later), 1);
    advance(h, 0, 5);
    whole_round(h, 0);
    assert_int_equal(hand_owner(h, later), 0);
    finish(h);
    h = cluster("timing=0");
    intend(h, 0, later, 1000000, 1000001);
    whole_round(h, 0);
    assert_int_equal(hand_owner(h, later), 0);
    finish(h);
}

/* Many intents of two workers for one key: it is wanted until the last of them ends, and asked for once a round. */
static void intents_are_merged(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0), other = hand_key(h, 1, 1);
    intend(h, 1, key, 0, FAR);
    whole_round(h, 1);
    for (pm_clock c = 8; c >= 0; c--) /* starts in no order */
        intend(h, 0, key, c, c + 1);
    intend(h, 0, other, 3, 3); /* never */
    pm_key twice[2] = {key, key};
    assert_int_equal(pm_intent(hand_worker(h, 0, 1), twice, 2, 0, 2), PM_OK);
    whole_round(h, 0);
    assert_int_equal(hand_slot(h, 0, key)->intents, 2);
    advance(h, 0, 8);
    hand_sent(h);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 0");
    assert_int_equal(hand_slot(h, 0, key)->intents, 2);
    advance(h, 0, 1);
    whole_round(h, 0);
    assert_int_equal(hand_slot(h, 0, key)->intents, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pm_advance_clock(hand_worker(h, 0, 1)), PM_OK);
    whole_round(h, 0);
    assert_false(is_replica(h, 0, key));
    assert_int_equal(hand_slot(h, 0, key)->intents, 0);
    finish(h);
}

/* ---- updates ------------------------------------------------------------------------------------------ */

/* Before the value is here reads go to the owner; pushes are collected at once. */
static void unready_replica(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    float value[LENGTH];
    intend(h, 1, key, 0, FAR);
    whole_round(h, 1);
    intend(h, 0, key, 0, FAR);
    turn(h, 0);
    hand_sent(h);
    pm_ticket pulled = hand_pull(h, 0, 0, key, value);
    assert_pushes_here(h, 0, key, 3);
    assert_string_equal(hand_sent(h), "0>1 access 1");
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, pulled));
    hand_assert_added(h, value, key, 0);
    assert_reads(h, 0, key, 3); /* the value has come, and what was collected is on top */
    assert_reads(h, 1, key, 0);
    whole_round(h, 0);
    assert_reads(h, 1, key, 3);
    finish(h);
}

/* The own update does not come back; another node's does, once. */
static void updates_travel_once(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = shared_key(h);
    assert_pushes_here(h, 0, key, 1);
    assert_pushes_here(h, 0, key, 1);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 0");
    assert_reads(h, 1, key, 2);
    assert_pushes_here(h, 1, key, 5);
    assert_pushes_here(h, 0, key, 1);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 1");
    assert_reads(h, 0, key, 8);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 0");
    finish(h);
}

/* A version that the owner happens to have, too, when the replica's own update and another's cross. */
static void equal_versions_of_other_updates(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = shared_key(h);
    intend(h, 2, key, 0, FAR);
    whole_round(h, 2);
    hand_sent(h);
    assert_pushes_here(h, 0, key, 1);
    assert_pushes_here(h, 2, key, 10);
    turn(h, 2);
    turn(h, 0);
    hand_pass_all(h);
    whole_round(h, 0);
    whole_round(h, 2);
    assert_reads(h, 0, key, 11);
    assert_reads(h, 2, key, 11);
    assert_reads(h, 1, key, 11);
    finish(h);
}

/* What was collected leaves with the end of the intent; nothing does where nothing was, but the owner hears of it. */
static void last_delta_is_sent(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = shared_key(h);
    assert_pushes_here(h, 0, key, 4);
    advance(h, 0, FAR);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1");
    assert_false(is_replica(h, 0, key));
    assert_reads(h, 1, key, 4);
    intend(h, 2, key, 0, FAR);
    advance(h, 1, SOON);
    whole_round(h, 1);
    hand_sent(h);
    whole_round(h, 2); /* nobody else is interested any more */
    assert_string_equal(hand_sent(h), "2>1 round 1, 1>2 grant 1");
    finish(h);
}

static uint64_t granted_bytes(struct hand *h, pm_node_id node)
{
    struct pm_counters c;
    pm_node_counters(hand_node(h, node), &c);
    return c.kind_bytes[PM_MSG_GRANT];
}

/* The value goes along unless the replica is up to date; what it has collected since is not lost. */
static void grants_with_and_without_value(void **state)
{
    (void)state;
    for (int behind = 0; behind < 2; behind++) {
        struct hand *h = cluster("");
        pm_key key = shared_key(h);
        assert_pushes_here(h, 0, key, 1);
        whole_round(h, 0);
        if (behind)
            assert_pushes_here(h, 1, key, 10);
        advance(h, 1, SOON);
        whole_round(h, 1);
        assert_pushes_here(h, 0, key, 2);
        hand_sent(h);
        turn(h, 0);
        assert_pushes_here(h, 0, key, 4);
        hand_pass_all(h);
        assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 grant 1");
        assert_int_equal(granted_bytes(h, 1), PM_WIRE_BYTES + 8 + 16 + (behind ? 4 * LENGTH : 0));
        assert_int_equal(hand_owner(h, key), 0);
        assert_reads(h, 0, key, behind ? 17 : 7);
        finish(h);
    }
}

/* A drain's delta that a refresh of the same replica overtakes: versions that are alike by coincidence lose nothing. */
static void delta_without_question(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = shared_key(h);
    advance(h, 1, SOON);
    whole_round(h, 1);
    assert_pushes_here(h, 1, key, 10);
    assert_pushes_here(h, 0, key, 1);
    struct pm_ctx *ctx = &hand_worker(h, 0, 1)->ctx;
    pm_send_deltas(ctx);
    turn(h, 0);
    pm_ctx_deliver(ctx);
    hand_pass_all(h);
    assert_int_equal(hand_owner(h, key), 0);
    assert_reads(h, 0, key, 11);
    finish(h);
}

/* ---- ways --------------------------------------------------------------------------------------------- */

/* A request that names a node as owner before the grant is there waits for it; others are passed on. */
static void requests_wait_for_a_grant(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    float value[LENGTH];
    intend(h, 0, key, 0, SOON);
    whole_round(h, 0);
    advance(h, 0, SOON);
    whole_round(h, 0);
    intend(h, 2, key, 0, FAR);
    turn(h, 2);
    hand_pass(h, 2, 1);
    hand_pass(h, 1, 0);
    hand_pass(h, 0, 1); /* the home knows the new owner, who does not know yet */
    hand_sent(h);
    pm_ticket pulled = hand_pull(h, 1, 0, key, value), pushed = hand_push(h, 1, 1, key, 7);
    hand_pass_all_but(h, 0, 2);
    assert_string_equal(hand_sent(h),
                        "1>2 access 1, 1>2 access 1, 2>1 access/1 1, 1>2 access/2 1, 2>1 access/1 1, 1>2 access/2 1");
    assert_false(hand_done(h, 1, 0, pulled) || hand_done(h, 1, 1, pushed));
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "2>1 reply 1, 2>1 reply 1");
    assert_true(hand_done(h, 1, 0, pulled) && hand_done(h, 1, 1, pushed));
    hand_assert_added(h, value, key, 0);
    assert_reads(h, 2, key, 7);
    finish(h);
}

/* So do rounds of others, with what they bring. */
static void rounds_wait_for_a_grant(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, key, 0, SOON);
    whole_round(h, 0);
    advance(h, 0, SOON);
    whole_round(h, 0);
    intend(h, 2, key, 0, FAR);
    turn(h, 2);
    hand_pass(h, 2, 1);
    hand_pass(h, 1, 0);
    hand_pass(h, 0, 1);
    intend(h, 3, key, 0, FAR);
    turn(h, 3);
    hand_sent(h);
    hand_pass_all_but(h, 0, 2);
    assert_string_equal(hand_sent(h), "1>2 round/1 1");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "2>3 answer 1");
    assert_true(is_ready(h, 3, key));
    finish(h);
}

/* Whoever heard of the owner asks it; without caches the home is asked. Answers tell, too. */
static void locations_are_remembered(void **state)
{
    (void)state;
    for (int cache = 0; cache < 2; cache++) {
        struct hand *h = cluster(cache ? "" : "location_cache=0");
        pm_key key = hand_key(h, 1, 0);
        float value[LENGTH];
        intend(h, 0, key, 0, FAR);
        whole_round(h, 0);
        hand_sent(h);
        hand_pull(h, 2, 0, key, value);
        hand_pass_all(h);
        assert_string_equal(hand_sent(h), "2>1 access 1, 1>0 access/1 1, 0>2 reply 1");
        hand_pull(h, 2, 0, key, value);
        hand_pass_all(h);
        assert_string_equal(hand_sent(h), cache ? "2>0 access 1, 0>2 reply 1" : "2>1 access 1, 1>0 access/1 1, 0>2 reply 1");
        intend(h, 3, key, 0, FAR);
        whole_round(h, 3);
        hand_sent(h);
        whole_round(h, 3);
        assert_string_equal(hand_sent(h), cache ? "3>0 round 1, 0>3 answer 0" : "3>1 round 1, 1>0 round/1 1, 0>3 answer 0");
        finish(h);
    }
}

/* News of an older relocation than what is known changes nothing. */
static void older_news_does_not_count(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    pm_node_id owners[] = {0, 2, 3};
    for (int i = 0; i < 3; i++) { /* each has it for a while; the home hears of 2 -> 3 before 0 -> 2 */
        intend(h, owners[i], key, 0, SOON);
        turn(h, owners[i]);
        if (i == 1) {
            hand_pass(h, 2, 1);
            hand_pass(h, 1, 0);
            hand_pass(h, 0, 2); /* 0>1 owner waits */
            advance(h, 2, SOON);
            turn(h, 2);
            intend(h, 3, key, 0, SOON);
            turn(h, 3);
            hand_pass_all_but(h, 0, 1);
            assert_int_equal(hand_owner(h, key), 3);
            assert_int_equal(hand_slot(h, 1, key)->location, 3);
            break;
        }
        hand_pass_all(h);
        advance(h, owners[i], SOON);
        whole_round(h, owners[i]);
    }
    hand_pass_all(h);
    assert_int_equal(hand_slot(h, 1, key)->location, 3);
    finish(h);
}

/* ---- what nobody sends -------------------------------------------------------------------------------- */

/* Requests that fit a message, but not what would become of them. */
static void requests_that_would_grow_too_long(void **state)
{
    (void)state;
    for (int push = 0; push < 2; push++) {
        struct hand *h = cluster("");
        const uint32_t n = push ? 4194300 : 5592401;
        struct pm_shape shape = {.n_keys = n, .n_floats = push ? LENGTH * n : 0, .with_values = true};
        struct pm_message *m = pm_message_new(PM_MSG_ACCESS, &shape);
        assert_non_null(m);
        m->wire.op = push ? PM_OP_PUSH : PM_OP_PULL;
        m->wire.source = m->wire.origin = 0;
        pm_key mine = hand_key(h, 1, 0), other = hand_key(h, 2, 0);
        for (uint32_t i = 0; i < n; i++)
            pm_message_keys(m)[i] = !push && i + 1 < n ? mine : other;
        memset(pm_message_values(m), 0, shape.n_floats * sizeof(float));
        assert_int_equal(hand_give(h, 1, m), PM_E_MESSAGE);
        assert_string_equal(hand_sent(h), "");
        hand_free(h);
    }
}

/* ---- ablations ---------------------------------------------------------------------------------------- */

/* Without replication the key goes from one to the next; who waits asks the owner for every access. */
static void relocation_alone(void **state)
{
    (void)state;
    struct hand *h = cluster("techniques=relocation");
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, key, 0, SOON);
    whole_round(h, 0);
    assert_int_equal(hand_owner(h, key), 0);
    intend(h, 2, key, 0, FAR);
    whole_round(h, 2);
    hand_sent(h);
    assert_false(is_ready(h, 2, key));
    hand_push(h, 2, 0, key, 5);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "2>1 access 1, 1>0 access/1 1, 0>2 reply 1");
    advance(h, 0, SOON);
    whole_round(h, 0);
    whole_round(h, 2);
    assert_int_equal(hand_owner(h, key), 2);
    assert_reads(h, 2, key, 5);
    finish(h);
}

/* Without relocation the home keeps the key, and its sole user has a replica. */
static void replication_alone(void **state)
{
    (void)state;
    struct hand *h = cluster("techniques=replication");
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, key, 0, FAR);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 1");
    assert_int_equal(hand_owner(h, key), 1);
    assert_pushes_here(h, 0, key, 1);
    whole_round(h, 0);
    assert_reads(h, 1, key, 1);
    finish(h);
}

/* What is asked for in one message is answered in one, so that an owner sends some values while it looks for others. */
static void answers_fit_into_messages(void **state)
{
    (void)state;
    enum { MANY = 6, FITTING = 3, ENTRY_BYTES = 8 + 16 + 4 * LENGTH };
    now_ns = PERIOD_NS;
    struct hand *h = hand_new(&(struct hand_config){.policy = &pm_policy_adaps,
                                                    .options = "",
                                                    .nodes = 2,
                                                    .workers = 1,
                                                    .keys = 256,
                                                    .length = LENGTH,
                                                    .max_message = PM_WIRE_BYTES + FITTING * ENTRY_BYTES});
    for (uint32_t i = 0; i < MANY; i++)
        intend(h, 0, hand_key(h, 1, i), 0, SOON);
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 3, 0>1 round 3, 1>0 grant 3, 1>0 grant 3");
    finish(h);
}

/* As published: everybody hears of every round. */
static void empty_rounds(void **state)
{
    (void)state;
    struct hand *h = cluster("empty_rounds=1");
    whole_round(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 0, 0>2 round 0, 0>3 round 0");
    intend(h, 0, hand_key(h, 1, 0), 0, FAR);
    intend(h, 0, hand_key(h, 1, 1), 0, FAR);
    turn(h, 0);
    assert_string_equal(hand_sent(h), "0>1 round 2, 0>2 round 0, 0>3 round 0");
    finish(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sole_intent_relocates),
        cmocka_unit_test(home_is_told),
        cmocka_unit_test(concurrent_intent_replicates),
        cmocka_unit_test(ownership_that_comes_late_stays),
        cmocka_unit_test(intents_are_acted_on_in_time),
        cmocka_unit_test(intents_are_merged),
        cmocka_unit_test(unready_replica),
        cmocka_unit_test(updates_travel_once),
        cmocka_unit_test(equal_versions_of_other_updates),
        cmocka_unit_test(last_delta_is_sent),
        cmocka_unit_test(grants_with_and_without_value),
        cmocka_unit_test(delta_without_question),
        cmocka_unit_test(requests_that_would_grow_too_long),
        cmocka_unit_test(requests_wait_for_a_grant),
        cmocka_unit_test(rounds_wait_for_a_grant),
        cmocka_unit_test(locations_are_remembered),
        cmocka_unit_test(older_news_does_not_count),
        cmocka_unit_test(relocation_alone),
        cmocka_unit_test(replication_alone),
        cmocka_unit_test(answers_fit_into_messages),
        cmocka_unit_test(empty_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
