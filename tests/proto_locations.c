/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a node remembers of keys that are elsewhere, every message passed on by hand: locations up to the limit, the oldest
 * forgotten first, and with them their memory; a home's directory in any case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/pm.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_lapse;

enum { LENGTH = 2, KEYS = 128, LIMIT = 3 };

static bool dense;

static struct hand *cluster(const char *options)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_lapse,
                                          .options = options,
                                          .nodes = 3,
                                          .workers = 1,
                                          .keys = KEYS,
                                          .length = LENGTH,
                                          .dense = dense});
}

static struct hand *caching(void)
{
    return cluster("location_cache=1,location_cache_keys=3");
}

/* Node 0 reads a key and hears who owns it. */
static void ask_for(struct hand *h, pm_key key)
{
    float out[LENGTH];
    pm_ticket ticket = hand_pull(h, 0, 0, key, out);
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, ticket));
}

static void expect_way(struct hand *h, pm_key key, const char *sent)
{
    hand_sent(h);
    ask_for(h, key);
    assert_string_equal(hand_sent(h), sent);
}

static const char direct[] = "0>2 access 1, 2>0 reply 1", by_home[] = "0>1 access 1, 1>2 access/1 1, 2>0 reply 1";

/* Keys of home 1 that node 2 owns. */
static void bring_keys(struct hand *h, pm_key *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        keys[i] = hand_key(h, 1, i);
        hand_bring(h, 2, keys[i]);
    }
}

/* Does the node know anything of the key? */
static bool is_known(struct hand *h, pm_node_id node, pm_key key)
{
    const struct pm_slot *slot = hand_slot(h, node, key);
    return slot && (!dense || slot->state != PM_SLOT_ABSENT || slot->location != PM_NODE_NONE);
}

static uint32_t known_of_others(struct hand *h, pm_node_id node)
{
    uint32_t n = 0;
    for (pm_key key = 0; key < KEYS; key++)
        n += pm_owner_at_start(hand_node(h, node), key) != node && is_known(h, node, key);
    return n;
}

static uint64_t memory(struct hand *h, pm_node_id node)
{
    return pm_node_memory_bytes(hand_node(h, node));
}

/* ---- the limit --------------------------------------------------------------------------------------- */

static void the_oldest_is_forgotten(void **state)
{
    (void)state;
    struct hand *h = caching();
    pm_key keys[LIMIT + 1];
    bring_keys(h, keys, LIMIT + 1);
    uint64_t before = memory(h, 0);
    for (uint32_t i = 0; i < LIMIT; i++)
        ask_for(h, keys[i]);
    assert_int_equal(memory(h, 0), before + LIMIT * sizeof(struct pm_slot));
    for (uint32_t i = 0; i < LIMIT; i++)
        expect_way(h, keys[i], direct);
    ask_for(h, keys[LIMIT]);
    assert_false(is_known(h, 0, keys[0]));
    assert_int_equal(memory(h, 0), before + LIMIT * sizeof(struct pm_slot));
    for (uint32_t i = 1; i <= LIMIT; i++)
        expect_way(h, keys[i], direct);
    expect_way(h, keys[0], by_home);
    expect_way(h, keys[0], direct);
    assert_false(is_known(h, 0, keys[1]));
    hand_free(h);
}

/* Answers of many keys in one message, and keys that were here. */
static void never_more_than_the_limit(void **state)
{
    (void)state;
    enum { MANY = 20 };
    struct hand *h = caching();
    pm_key keys[MANY];
    float out[MANY * LENGTH];
    bring_keys(h, keys, MANY);
    assert_int_equal(known_of_others(h, 2), MANY);
    for (int turn = 0; turn < 3; turn++) {
        assert_true(pm_pull(hand_worker(h, 0, 0), keys, MANY, out) >= 0);
        hand_pass_all(h);
        assert_int_equal(known_of_others(h, 0), LIMIT);
    }
    assert_int_equal(pm_localize(hand_worker(h, 0, 0), keys, MANY), PM_OK);
    hand_pass_all(h);
    assert_int_equal(known_of_others(h, 0), MANY); /* all are here */
    assert_int_equal(known_of_others(h, 2), LIMIT); /* where they went */
    assert_int_equal(pm_localize(hand_worker(h, 1, 0), keys, MANY), PM_OK);
    hand_pass_all(h);
    assert_int_equal(known_of_others(h, 0), LIMIT);
    hand_free(h);
}

/* A key that is about to come, or is here, is not forgotten when its turn comes; when it leaves it is remembered anew. */
static void what_is_used_is_not_forgotten(void **state)
{
    (void)state;
    struct hand *h = caching();
    pm_key keys[2];
    float out[LENGTH];
    bring_keys(h, keys, 2);
    uint64_t before = memory(h, 0);
    ask_for(h, keys[0]);
    ask_for(h, keys[1]);
    hand_bring(h, 0, keys[0]);
    hand_localize(h, 0, keys[1]); /* the wish does not get to the home yet */
    uint64_t owned = memory(h, 0) - before;
    assert_int_equal(owned, pm_slot_model_bytes(&hand_node(h, 0)->slots, LENGTH, PM_BLOCK_MAIN));
    for (uint32_t i = 0; i < 2 * LIMIT; i++) {
        hand_pull(h, 0, 0, hand_key(h, 2, i), out);
        hand_pass_all_but(h, 0, 1);
    }
    pm_ticket ticket = hand_pull(h, 0, 0, keys[1], out);
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, ticket));
    assert_int_equal(hand_owner(h, keys[0]), 0);
    assert_int_equal(hand_owner(h, keys[1]), 0);
    assert_int_equal(memory(h, 0), before + 2 * owned + LIMIT * sizeof(struct pm_slot));
    hand_bring(h, 2, keys[0]);
    hand_bring(h, 2, keys[1]);
    assert_int_equal(memory(h, 0), before + LIMIT * sizeof(struct pm_slot));
    expect_way(h, keys[0], direct);
    expect_way(h, keys[1], direct);
    hand_free(h);
}

/* ---- what is no cache -------------------------------------------------------------------------------- */

/* The directory of keys whose home is here. */
static void a_home_never_forgets(void **state)
{
    (void)state;
    struct hand *h = caching();
    pm_key keys[2 * LIMIT], own[2 * LIMIT];
    for (uint32_t i = 0; i < 2 * LIMIT; i++)
        hand_bring(h, 2, own[i] = hand_key(h, 0, i));
    bring_keys(h, keys, 2 * LIMIT);
    for (uint32_t i = 0; i < 2 * LIMIT; i++) {
        ask_for(h, own[i]);
        ask_for(h, keys[i]);
    }
    for (uint32_t i = 0; i < 2 * LIMIT; i++)
        expect_way(h, own[i], direct);
    hand_free(h);
}

/* Without caches nothing is known of a key that has gone. */
static void nothing_is_kept_without_caches(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key keys[4];
    bring_keys(h, keys, 4);
    uint64_t before = memory(h, 0);
    for (uint32_t i = 0; i < 4; i++)
        hand_bring(h, 0, keys[i]);
    assert_int_equal(known_of_others(h, 0), 4);
    for (uint32_t i = 0; i < 4; i++)
        hand_bring(h, 1 + i % 2, keys[i]);
    assert_int_equal(known_of_others(h, 0), 0);
    assert_int_equal(memory(h, 0), before);
    expect_way(h, keys[1], by_home);
    hand_bring(h, 0, keys[1]); /* as if for the first time */
    expect_way(h, keys[1], "");
    hand_free(h);
}

/* Nor of one that was only asked for, if an operation waited for the answer to another. */
static void nothing_is_kept_of_what_was_asked_for(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 1, 0);
    float out[LENGTH];
    hand_push(h, 0, 0, key, 1);
    pm_ticket ticket = hand_pull(h, 0, 0, key, out);
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, ticket));
    hand_assert_added(h, out, key, 1);
    assert_int_equal(known_of_others(h, 0), 0);
    hand_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(never_more_than_the_limit),
        cmocka_unit_test(what_is_used_is_not_forgotten),
        cmocka_unit_test(a_home_never_forgets),
        cmocka_unit_test(nothing_is_kept_without_caches),
        cmocka_unit_test(nothing_is_kept_of_what_was_asked_for),
    };
    int failed = repeat_main(argc, argv, "locations, sparse", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "locations, dense", tests, sizeof tests / sizeof *tests);
}
