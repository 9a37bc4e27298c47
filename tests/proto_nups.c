/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nups: two kinds of keys side by side, message by message; its options and presets. What holds whatever happens is in
 * proto_random and the contract suites, which run it with several settings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "core/spec.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_nups;

enum { LENGTH = 2, HOT = 16 };

/* 16 of 64 keys are replicated. */
static struct hand *cluster(const char *options)
{
    char all[128];
    snprintf(all, sizeof all, "replicate=%d%s%s", HOT, *options ? "," : "", options);
    return hand_new(&(struct hand_config){
        .policy = &pm_policy_nups, .options = all, .nodes = 3, .workers = 2, .keys = 64, .length = LENGTH});
}

/* A key of this home that is replicated, or that moves. */
static pm_key key_of(struct hand *h, pm_node_id home, bool hot)
{
    uint32_t number = 0;
    while (pm_is_frequent(hand_node(h, 0), hand_key(h, home, number)) != hot)
        number++;
    return hand_key(h, home, number);
}

static int64_t tick(struct hand *h, pm_node_id node, int64_t now_ns)
{
    struct pm_ctx *ctx = pm_node_communicator(hand_node(h, node));
    hand_set_time(h, now_ns);
    int64_t next_ns = pm_node_tick(ctx, now_ns);
    pm_ctx_deliver(ctx);
    return next_ns;
}

static void finish(struct hand *h)
{
    hand_pass_all(h);
    hand_free(h);
}

/* Localize hints and intents for replicated keys do nothing; those for others do what they do under lapse. */
static void only_other_keys_move(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key hot = key_of(h, 1, true), cold = key_of(h, 1, false), keys[] = {hot, cold, hot};
    struct pm_worker *w = hand_worker(h, 0, 0);
    assert_int_equal(pm_frequent_count(hand_node(h, 2)), HOT);
    hand_localize(h, 0, hot);
    assert_int_equal(pm_intent(w, &hot, 1, 0, 5), PM_OK);
    assert_string_equal(hand_sent(h), "");
    assert_int_equal(pm_localize(w, keys, 3), PM_OK);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 relocate 1, 1>0 transfer 1");
    assert_int_equal(hand_owner(h, cold), 0);
    assert_int_equal(hand_owner(h, hot), 1);
    keys[1] = key_of(h, 2, false);
    assert_int_equal(pm_intent(w, keys, 3, 2, 3), PM_OK);
    assert_string_equal(hand_sent(h), "");
    assert_int_equal(pm_advance_clock(w), PM_OK);
    assert_string_equal(hand_sent(h), "0>2 relocate 1");
    finish(h);
}

/* Replicated keys are read and written here; a round carries the sums to the owner and from there to all. */
static void replicas_exchange_in_rounds(void **state)
{
    (void)state;
    struct hand *h = cluster("syncs_per_second=1000");
    pm_key hot = key_of(h, 1, true);
    float out[LENGTH];
    assert_int_equal(tick(h, 0, 0), 1000000);
    assert_string_equal(hand_sent(h), ""); /* no round without updates */
    assert_int_equal(hand_push(h, 0, 0, hot, 3), PM_DONE);
    assert_int_equal(hand_push(h, 0, 1, hot, 4), PM_DONE);
    assert_int_equal(hand_push(h, 2, 0, hot, 5), PM_DONE);
    assert_int_equal(hand_pull(h, 0, 0, hot, out), PM_DONE);
    hand_assert_added(h, out, hot, 7);
    assert_int_equal(tick(h, 0, 1000000), 2000000);
    assert_string_equal(hand_sent(h), "0>1 collect 1, 0>2 collect 0");
    hand_pass_all(h);
    for (pm_node_id node = 0; node < 3; node++) {
        assert_int_equal(hand_pull(h, node, 0, hot, out), PM_DONE);
        hand_assert_added(h, out, hot, 12);
    }
    finish(h);
}

/* Main copies that have moved are in no round, and keys that move are asked for where they are. */
static void moved_keys_are_in_no_round(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key cold = key_of(h, 1, false);
    hand_bring(h, 0, cold);
    assert_int_equal(hand_push(h, 0, 0, cold, 3), PM_DONE);
    assert_int_equal(hand_push(h, 0, 1, cold, 4), PM_DONE);
    tick(h, 0, 0);
    hand_push(h, 2, 0, cold, 5);
    assert_string_equal(hand_sent(h), "2>1 access 1");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "1>0 access/1 1, 0>2 reply 1");
    tick(h, 1, 0);
    assert_string_equal(hand_sent(h), "");
    finish(h);
}

/* Ticks end where nothing is replicated. */
static void no_rounds_without_replicas(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        int64_t next_ns;
    } cases[] = {
        {"", PM_TIME_NEVER}, /* none of 64 keys is accessed 100 times as much as the mean */
        {"replicate=0", PM_TIME_NEVER},
        {"replicate=1", 40000000},
        {"replicate=1,syncs_per_second=0.2", 5000000000},
        {"hot_factor=2", 40000000},
        {"hot_factor=2,hot_scale=0.01", PM_TIME_NEVER},
        {"hot_scale=0.5", PM_TIME_NEVER},
        {"preset=kge", 40000000},
        {"preset=kge,syncs_per_second=125", 8000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hand *h = hand_new(&(struct hand_config){
            .policy = &pm_policy_nups, .options = cases[i].options, .nodes = 2, .workers = 1, .keys = 64, .length = LENGTH});
        assert_int_equal(tick(h, 0, 0), cases[i].next_ns);
        finish(h);
    }
}

static void assigning_is_refused(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    const float value[LENGTH] = {1, 1};
    for (int hot = 0; hot < 2; hot++) {
        pm_key key = key_of(h, 0, hot);
        assert_int_equal(pm_set(hand_worker(h, 0, 0), &key, 1, value), PM_E_REFUSED);
    }
    finish(h);
}

/* ---- what must not be asked -------------------------------------------------------------------------- */

static void refused(struct hand *h, pm_node_id to, enum pm_message_kind kind, pm_node_id from, pm_key key)
{
    struct pm_message *m = pm_message_new(kind, &(struct pm_shape){.n_keys = 1, .with_values = true});
    assert_non_null(m);
    m->wire.source = m->wire.origin = from;
    m->wire.first = 1;
    *pm_message_keys(m) = key;
    if (kind == PM_MSG_ROUND)
        *(uint32_t *)pm_message_meta(m) = PM_ROUND_REFRESH;
    assert_int_equal(hand_give(h, to, m), PM_E_MESSAGE);
}

/* A replicated key is not given away, and a key that may have left is in no round. */
static void kinds_of_keys_are_kept_apart(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key hot = key_of(h, 1, true), cold = key_of(h, 1, false);
    refused(h, 1, PM_MSG_RELOCATE, 2, hot);
    assert_int_equal(hand_owner(h, hot), 1);
    refused(h, 1, PM_MSG_ROUND, 2, cold);
    hand_bring(h, 0, cold);
    refused(h, 1, PM_MSG_ROUND, 2, cold);
    refused(h, 1, PM_MSG_COLLECT, 2, cold);
    refused(h, 0, PM_MSG_COLLECT, 2, cold);
    refused(h, 2, PM_MSG_TRANSFER, 1, hot);
    finish(h);
}

/* ---- options ----------------------------------------------------------------------------------------- */

static int traits_of(const char *options, struct pm_traits *traits, struct pm_error *err)
{
    char text[160];
    struct pm_spec spec;
    struct pm_values values;
    snprintf(text, sizeof text, "nups%s%s", *options ? ":" : "", options);
    assert_int_equal(pm_spec_parse(text, &spec, err), PM_OK);
    assert_int_equal(pm_spec_apply(&spec, pm_policy_nups.options, pm_policy_nups.presets, &values, err), PM_OK);
    int code = pm_policy_traits(&pm_policy_nups, &values, traits, err);
    pm_values_free(&values);
    pm_spec_free(&spec);
    return code;
}

static void options_and_presets(void **state)
{
    (void)state;
    const uint64_t rule = PM_FREQUENT_BY_FACTOR;
    static const enum pm_sampling_scheme reuse = PM_SAMPLING_REUSE, local = PM_SAMPLING_LOCAL;
    const struct {
        const char *options;
        bool asked;
        uint64_t count;
        double factor, scale;
        enum pm_sampling_scheme scheme;
    } cases[] = {
        {"", false, rule, 100, 1, reuse},
        {"preset=none", false, rule, 100, 1, reuse},
        {"hot_factor=10", true, rule, 10, 1, reuse},
        {"replicate=7,sampling=local", true, 7, 100, 1, local},
        {"replicate=0", true, 0, 100, 1, reuse},
        {"preset=kge", true, 900, 100, 1, reuse},
        {"preset=wv", true, 3272, 100, 1, reuse},
        {"preset=wv_tuned", true, 209408, 100, 1, reuse},
        {"preset=mf", true, 755, 100, 1, reuse},
        {"preset=mf,hot_factor=50", true, rule, 50, 1, reuse},
        {"preset=mf,replicate=5", true, 5, 100, 1, reuse},
        {"preset=knobs1", true, rule, 100, 0.2199, local},
        {"preset=knobs2", true, rule, 100, 0.0288, local},
        {"preset=knobs3", true, rule, 100, 19.165, local},
        {"preset=knobs4", true, rule, 100, 43.543, local},
        {"preset=knobs5", true, rule, 100, 0.0415, local},
        {"preset=knobs5,hot_scale=2,sampling=reuse", true, rule, 100, 2, reuse},
        {"preset=knobs1,replicate=9", true, 9, 100, 0.2199, local},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_traits t;
        struct pm_error err = {0};
        assert_int_equal(traits_of(cases[i].options, &t, &err), PM_OK);
        assert_true(t.frequent.on && t.frequent.asked == cases[i].asked && t.frequent.count == cases[i].count);
        assert_true(t.frequent.factor == cases[i].factor && t.frequent.scale == cases[i].scale);
        assert_true(t.sampling.scheme == cases[i].scheme && t.sampling.group == 250 && t.sampling.reuse == 16);
        assert_true(t.relocates && t.replicates && t.track_changes && t.promise_sync == PM_CAUSAL);
        assert_int_equal(t.promise_async, PM_CAUSAL);
    }
    struct pm_traits t;
    struct pm_error err = {0};
    assert_int_equal(traits_of("location_cache=1", &t, &err), PM_OK);
    assert_int_equal(t.promise_async, PM_EVENTUAL);
    assert_int_equal(traits_of("replicate=5,hot_factor=3", &t, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "allowed: one way of the two"));
}

/* A preset's look-ahead and rate, and options that go first. */
static void presets_set_the_pace(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        pm_clock ahead;
        int64_t interval_ns;
    } cases[] = {
        {"preset=knobs1,replicate=3", 16, 1000000},
        {"preset=knobs2,replicate=3", 134, 1000000},
        {"preset=knobs3,replicate=3", 1, 1000000},
        {"preset=knobs4,replicate=3", 25, 1000000},
        {"preset=knobs5,replicate=3", 1, 1000000},
        {"preset=knobs4,replicate=3,ahead=2,syncs_per_second=10", 2, 100000000},
        {"preset=mf,replicate=3,ahead=4", 4, 40000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hand *h = hand_new(&(struct hand_config){
            .policy = &pm_policy_nups, .options = cases[i].options, .nodes = 2, .workers = 1, .keys = 64, .length = LENGTH});
        pm_key soon = key_of(h, 1, false), later = soon;
        for (uint32_t n = 0; later == soon || pm_is_frequent(hand_node(h, 0), later); n++)
            later = hand_key(h, 1, n);
        assert_int_equal(pm_intent(hand_worker(h, 0, 0), &later, 1, cases[i].ahead + 1, cases[i].ahead + 2), PM_OK);
        assert_string_equal(hand_sent(h), "");
        assert_int_equal(pm_intent(hand_worker(h, 0, 0), &soon, 1, cases[i].ahead, cases[i].ahead + 1), PM_OK);
        assert_string_equal(hand_sent(h), "0>1 relocate 1");
        assert_int_equal(tick(h, 0, 0), cases[i].interval_ns);
        finish(h);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_other_keys_move),
        cmocka_unit_test(replicas_exchange_in_rounds),
        cmocka_unit_test(moved_keys_are_in_no_round),
        cmocka_unit_test(no_rounds_without_replicas),
        cmocka_unit_test(assigning_is_refused),
        cmocka_unit_test(kinds_of_keys_are_kept_apart),
        cmocka_unit_test(options_and_presets),
        cmocka_unit_test(presets_set_the_pace),
    };
    return repeat_main(argc, argv, "nups", tests, sizeof tests / sizeof *tests);
}
