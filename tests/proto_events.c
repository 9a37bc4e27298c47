/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Traced keys: which they are, and what is recorded of them where, message by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/events.h"
#include "core/traced.h"
#include "tests/hand.h"

extern const struct pm_policy pm_policy_adaps, pm_policy_full, pm_policy_lapse;

enum { KEYS = 64, NODES = 4, MS = 1000000, SOON = 5, FAR = 1000 };

static const struct pm_traced_rule all = {.choice = PM_TRACED_RANDOM, .n = KEYS};

static struct hand *cluster(const struct pm_policy *policy, const struct pm_traced_rule *rule)
{
    struct hand *h = hand_new(&(struct hand_config){
        .policy = policy, .options = "", .nodes = NODES, .workers = 2, .keys = KEYS, .length = 2, .traced = *rule});
    hand_set_time(h, MS);
    return h;
}

static void finish(struct hand *h)
{
    hand_pass_all(h);
    hand_free(h);
}

/* What a node recorded of a key since the last call, as "owned@0 left@5": times in ms. What it recorded of others is gone. */
static const char *events(struct hand *h, pm_node_id node, pm_key key)
{
    static char text[512];
    struct pm_key_event *list;
    size_t n = pm_events_take(hand_node(h, node), &list), at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        if (list[i].key == key)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s@%lld", at ? " " : "", pm_event_name(list[i].what),
                                   (long long)(list[i].at_ns / MS));
    free(list);
    return text;
}

static void intend(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, pm_clock start, pm_clock end)
{
    assert_int_equal(pm_intent(hand_worker(h, node, worker), &key, 1, start, end), PM_OK);
}

static void advance(struct hand *h, pm_node_id node, uint32_t worker, uint32_t times)
{
    while (times-- > 0)
        assert_int_equal(pm_advance_clock(hand_worker(h, node, worker)), PM_OK);
}

static void round_at(struct hand *h, pm_node_id node, int64_t ms)
{
    hand_set_time(h, ms * MS);
    hand_tick(h, node);
    hand_pass_all(h);
}

/* ---- what is recorded ---- */

static void start_is_recorded(void **state)
{
    (void)state;
    struct hand *h = cluster(&pm_policy_full, &all);
    pm_key key = hand_key(h, 1, 3);
    assert_string_equal(events(h, 0, key), "replica@0");
    assert_string_equal(events(h, 1, key), "owned@0");
    assert_string_equal(events(h, 1, key), ""); /* taken */
    finish(h);
    h = cluster(&pm_policy_adaps, &all);
    assert_string_equal(events(h, 0, key), "");
    assert_string_equal(events(h, 1, key), "owned@0");
    finish(h);
}

static void only_traced_keys_are_recorded(void **state)
{
    (void)state;
    pm_key traced = 5;
    struct hand *h = cluster(&pm_policy_lapse, &(struct pm_traced_rule){.choice = PM_TRACED_LIST, .n = 1, .keys = &traced});
    for (pm_key key = 0; key < KEYS; key++)
        hand_bring(h, hand_owner(h, key) == 0 ? 1 : 0, key);
    uint32_t n = 0;
    for (pm_node_id i = 0; i < NODES; i++) {
        struct pm_key_event *list;
        size_t of_node = pm_events_take(hand_node(h, i), &list);
        for (size_t e = 0; e < of_node; e++)
            assert_int_equal(list[e].key, traced);
        n += (uint32_t)of_node;
        free(list);
    }
    assert_int_equal(n, 3); /* owned at first, left, owned */
    finish(h);
}

static void relocation_is_recorded(void **state)
{
    (void)state;
    struct hand *h = cluster(&pm_policy_lapse, &all);
    pm_key key = hand_key(h, 1, 0);
    hand_set_time(h, 3 * MS);
    hand_localize(h, 0, key);
    hand_localize(h, 2, key);
    hand_pass(h, 0, 1);
    hand_set_time(h, 4 * MS);
    hand_pass(h, 2, 1); /* the next owner is noted where the key is about to come */
    hand_set_time(h, 5 * MS);
    hand_pass_all(h);
    assert_string_equal(events(h, 1, key), "owned@0 left@3");
    assert_string_equal(events(h, 0, key), "owned@5 left@5");
    assert_string_equal(events(h, 2, key), "owned@5");
    finish(h);
}

/* Of two workers of a node the first that intends counts, and the last. */
static void intents_are_recorded_per_node(void **state)
{
    (void)state;
    struct hand *h = cluster(&pm_policy_adaps, &all);
    pm_key key = hand_key(h, 1, 0);
    intend(h, 0, 0, key, 0, SOON);
    intend(h, 0, 1, key, 0, SOON + 1);
    round_at(h, 0, 2);
    assert_string_equal(events(h, 0, key), "intent@2 owned@2");
    assert_string_equal(events(h, 1, key), "owned@0 left@2");
    advance(h, 0, 0, SOON);
    round_at(h, 0, 3);
    assert_string_equal(events(h, 0, key), "");
    advance(h, 0, 1, SOON + 1);
    round_at(h, 0, 4);
    assert_string_equal(events(h, 0, key), "expired@4");
    finish(h);
}

/* Nodes 0 and 1 want a key of node 1; node 0 has a replica then. */
static pm_key shared(struct hand *h)
{
    pm_key key = hand_key(h, 1, 0);
    intend(h, 1, 0, key, 0, SOON);
    round_at(h, 1, 2);
    intend(h, 0, 0, key, 0, FAR);
    hand_set_time(h, 3 * MS);
    hand_tick(h, 0);
    assert_string_equal(events(h, 0, key), "intent@3"); /* without a value it is no replica yet */
    hand_set_time(h, 4 * MS);
    hand_pass_all(h);
    assert_string_equal(events(h, 0, key), "replica@4");
    assert_string_equal(events(h, 1, key), "owned@0 intent@2");
    assert_int_equal(hand_push(h, 1, 0, key, 1), PM_DONE);
    round_at(h, 0, 5);
    assert_string_equal(events(h, 0, key), ""); /* a new value is not a new replica */
    return key;
}

static void replicas_are_recorded(void **state)
{
    (void)state;
    struct hand *h = cluster(&pm_policy_adaps, &all);
    pm_key key = shared(h);
    advance(h, 0, 0, FAR);
    round_at(h, 0, 6);
    assert_string_equal(events(h, 0, key), "expired@6 dropped@6");
    assert_string_equal(events(h, 1, key), "");
    finish(h);
}

static void promotion_ends_the_replica(void **state)
{
    (void)state;
    struct hand *h = cluster(&pm_policy_adaps, &all);
    pm_key key = shared(h);
    advance(h, 1, 0, SOON);
    round_at(h, 1, 6);
    round_at(h, 0, 7);
    assert_string_equal(events(h, 1, key), "expired@6 left@7");
    assert_string_equal(events(h, 0, key), "dropped@7 owned@7");
    finish(h);
}

static void what_has_no_room_is_counted(void **state)
{
    (void)state;
    enum { MORE = 100 };
    struct hand *h = hand_new(&(struct hand_config){.policy = &pm_policy_full,
                                                    .options = "",
                                                    .nodes = 2,
                                                    .workers = 1,
                                                    .keys = PM_EVENTS_MAX + MORE,
                                                    .length = 1,
                                                    .traced = {.choice = PM_TRACED_TOP, .n = PM_EVENTS_MAX + MORE}});
    for (pm_node_id i = 0; i < 2; i++) {
        struct pm_counters counters;
        struct pm_key_event *list;
        pm_node_counters(hand_node(h, i), &counters);
        assert_int_equal(counters.key_events_left_out, MORE);
        assert_int_equal(pm_events_take(hand_node(h, i), &list), PM_EVENTS_MAX);
        free(list);
    }
    finish(h);
}

/* ---- which keys ---- */

static int choose(const struct pm_traced_rule *rule, const struct pm_workload *workload, uint64_t seed, struct pm_traced **out,
                  struct pm_error *err)
{
    const struct pm_job job = {.workload = workload, .traced = *rule, .seed = seed};
    struct pm_model model = {.layout = {.n_keys = KEYS}};
    return pm_traced_find(&job, NULL, &model, out, err);
}

static struct pm_traced *chosen(const struct pm_traced_rule *rule, uint64_t seed)
{
    struct pm_traced *t;
    assert_int_equal(choose(rule, &testload, seed, &t, NULL), PM_OK);
    return t;
}

/* The test's workload accesses every fourth key most, from the last one on. */
static void most_frequent_are_chosen(void **state)
{
    (void)state;
    struct pm_traced *t = chosen(&(struct pm_traced_rule){.choice = PM_TRACED_TOP, .n = KEYS / 4 + 2}, 1);
    assert_int_equal(t->n, KEYS / 4 + 2);
    uint64_t n = 0;
    for (pm_key key = 0; key < KEYS; key++) {
        const struct pm_traced_key *at = pm_traced_at(t, key);
        assert_true(!at == !(key % 4 == 3 || key < 2));
        if (at) {
            assert_int_equal(at->key, key);
            assert_int_equal(at->rank, key % 4 == 3 ? KEYS / 4 - key / 4 : KEYS / 4 + 1 + key);
            n++;
        }
    }
    assert_int_equal(n, t->n);
    free(t);
}

static void random_keys_are_different_and_seeded(void **state)
{
    (void)state;
    enum { SEEDS = 200, N = 48 };
    uint32_t times[KEYS] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct pm_traced *t = chosen(&(struct pm_traced_rule){.choice = PM_TRACED_RANDOM, .n = N}, seed);
        struct pm_traced *same = chosen(&(struct pm_traced_rule){.choice = PM_TRACED_RANDOM, .n = N}, seed);
        assert_int_equal(t->n, N);
        assert_memory_equal(t->keys, same->keys, N * sizeof *t->keys);
        for (uint64_t i = 0; i < t->n; i++) {
            assert_true(t->keys[i].key < KEYS && (i == 0 || t->keys[i].key > t->keys[i - 1].key));
            times[t->keys[i].key]++;
        }
        free(t);
        free(same);
    }
    for (pm_key key = 0; key < KEYS; key++) /* 150 on average, with a standard deviation of 6 */
        assert_in_range(times[key], 150 - 35, 150 + 35);
    struct pm_traced *t = chosen(&(struct pm_traced_rule){.choice = PM_TRACED_RANDOM, .n = 1000}, 1);
    assert_int_equal(t->n, KEYS);
    free(t);
}

static void list_is_sorted_and_checked(void **state)
{
    (void)state;
    pm_key keys[] = {9, 3, 9, 60};
    const struct pm_traced_rule rule = {.choice = PM_TRACED_LIST, .n = 4, .keys = keys};
    struct pm_error err;
    struct pm_traced *t = chosen(&rule, 1);
    assert_int_equal(t->n, 3);
    assert_true(t->keys[0].key == 3 && t->keys[1].key == 9 && t->keys[2].key == 60);
    assert_int_equal(t->keys[0].rank, 16);
    free(t);
    keys[1] = KEYS;
    assert_int_equal(choose(&rule, &testload, 1, &t, &err), PM_E_REFUSED);
    assert_string_equal(err.text, "traced keys: the workload has no key 64 (allowed: 0 to 63)");
    assert_null(t);
}

static void unknown_frequencies_are_refused(void **state)
{
    (void)state;
    struct pm_workload silent = testload;
    struct pm_traced *t;
    struct pm_error err;
    silent.frequency = NULL;
    assert_int_equal(choose(&(struct pm_traced_rule){.choice = PM_TRACED_TOP, .n = 3}, &silent, 1, &t, &err), PM_E_REFUSED);
    assert_non_null(strstr(err.text, "testload does not say"));
    assert_int_equal(choose(&all, &silent, 1, &t, &err), PM_OK);
    assert_int_equal(t->keys[0].rank, 0);
    free(t);
    assert_int_equal(choose(&(struct pm_traced_rule){0}, &testload, 1, &t, &err), PM_OK);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_is_recorded),
        cmocka_unit_test(only_traced_keys_are_recorded),
        cmocka_unit_test(relocation_is_recorded),
        cmocka_unit_test(intents_are_recorded_per_node),
        cmocka_unit_test(replicas_are_recorded),
        cmocka_unit_test(promotion_ends_the_replica),
        cmocka_unit_test(what_has_no_room_is_counted),
        cmocka_unit_test(most_frequent_are_chosen),
        cmocka_unit_test(random_keys_are_different_and_seeded),
        cmocka_unit_test(list_is_sorted_and_checked),
        cmocka_unit_test(unknown_frequencies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
