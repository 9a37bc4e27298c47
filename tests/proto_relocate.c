/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation step by step, every message passed on by hand: which messages there are for each relocation and each access, what is
 * counted, and what is refused. */
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

/* ---- messages of a relocation ------------------------------------------------------------------------ */

static void three_messages(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    hand_bring(h, 2, key);
    hand_localize(h, 0, key);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 relocate 1, 1>2 relocate/1 1, 2>0 transfer 1");
    assert_int_equal(hand_owner(h, key), 0);
    hand_free(h);
}

static void two_messages_when_the_home_owns(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    hand_localize(h, 0, key);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>1 relocate 1, 1>0 transfer 1");
    assert_int_equal(hand_owner(h, key), 0);
    hand_free(h);
}

static void two_messages_when_the_home_asks(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    hand_bring(h, 2, key);
    hand_localize(h, 1, key);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "1>2 relocate/1 1, 2>1 transfer 1");
    assert_int_equal(hand_owner(h, key), 1);
    hand_free(h);
}

/* Of a key that is here, and of one that is arriving already. */
static void no_message(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 2);
    pm_key own = hand_key(h, 0, 0), key = hand_key(h, 1, 0);
    hand_localize(h, 0, own);
    hand_bring(h, 0, key);
    hand_localize(h, 0, key);
    assert_string_equal(hand_sent(h), "");
    pm_key other = hand_key(h, 2, 0), twice[2] = {other, other};
    assert_int_equal(pm_localize(hand_worker(h, 0, 0), twice, 2), PM_OK);
    assert_int_equal(pm_localize(hand_worker(h, 0, 1), &other, 1), PM_OK);
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "0>2 relocate 1, 2>0 transfer 1");
    hand_free(h);
}

/* Keys of several homes and owners: one message per destination on every leg. */
static void grouped_by_destination(void **state)
{
    (void)state;
    struct hand *h = cluster("", 4, 1);
    pm_key keys[8];
    for (uint32_t i = 0; i < 8; i++)
        keys[i] = hand_key(h, 1 + i % 2, i / 2); /* homes 1 and 2 ... */
    hand_bring(h, 3, keys[0]);                        /* ... of which node 3 owns four, two of each home */
    hand_bring(h, 3, keys[1]);
    hand_bring(h, 3, keys[2]);
    hand_bring(h, 3, keys[3]);
    assert_int_equal(pm_localize(hand_worker(h, 0, 0), keys, 8), PM_OK);
    assert_string_equal(hand_sent(h), "0>1 relocate 4, 0>2 relocate 4");
    hand_pass(h, 0, 1);
    hand_pass(h, 0, 2);
    assert_string_equal(hand_sent(h), "1>3 relocate/1 2, 1>0 transfer 2, 2>3 relocate/1 2, 2>0 transfer 2");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "3>0 transfer 2, 3>0 transfer 2");
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(hand_owner(h, keys[i]), 0);
    hand_free(h);
}

/* ---- messages of an access --------------------------------------------------------------------------- */

static const enum pm_op_kind kinds[] = {PM_OP_PULL, PM_OP_PUSH, PM_OP_SET};

/* One operation of node 0 on the key, with the messages that it takes. */
static void expect_access(struct hand *h, pm_key key, enum pm_op_kind kind, const char *messages)
{
    float out[LENGTH];
    hand_sent(h);
    pm_ticket ticket = kind == PM_OP_PULL   ? hand_pull(h, 0, 0, key, out)
                       : kind == PM_OP_PUSH ? hand_push(h, 0, 0, key, 1)
                                            : hand_set(h, 0, 0, key, 7);
    hand_pass_all(h);
    assert_true(hand_done(h, 0, 0, ticket));
    assert_string_equal(hand_sent(h), messages);
}

static void access_messages_without_cache(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct hand *h = cluster("", 4, 1);
        pm_key key = hand_key(h, 1, 0), own = hand_key(h, 0, 0);
        expect_access(h, key, kinds[k], "0>1 access 1, 1>0 reply 1"); /* the home owns it */
        hand_bring(h, 2, key);
        expect_access(h, key, kinds[k], "0>1 access 1, 1>2 access/1 1, 2>0 reply 1");
        expect_access(h, key, kinds[k], "0>1 access 1, 1>2 access/1 1, 2>0 reply 1");
        hand_bring(h, 2, own);
        expect_access(h, own, kinds[k], "0>2 access 1, 2>0 reply 1"); /* the asker is the home */
        hand_bring(h, 0, own);
        expect_access(h, own, kinds[k], "");
        hand_free(h);
    }
}

static void access_messages_with_cache(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct hand *h = cluster("location_cache=1", 4, 1);
        pm_key key = hand_key(h, 1, 0);
        hand_bring(h, 2, key);
        expect_access(h, key, kinds[k], "0>1 access 1, 1>2 access/1 1, 2>0 reply 1"); /* nothing known */
        expect_access(h, key, kinds[k], "0>2 access 1, 2>0 reply 1");                 /* right */
        hand_bring(h, 3, key);
        expect_access(h, key, kinds[k], "0>2 access 1, 2>1 access/1 1, 1>3 access/2 1, 3>0 reply 1"); /* stale */
        expect_access(h, key, kinds[k], "0>3 access 1, 3>0 reply 1");
        hand_bring(h, 0, key); /* what has been here goes to whom it was given */
        hand_bring(h, 2, key);
        expect_access(h, key, kinds[k], "0>2 access 1, 2>0 reply 1");
        hand_free(h);
    }
}

/* At its home a key's location is the directory: right whatever is cached, and not changed by answers. */
static void the_home_uses_its_directory(void **state)
{
    (void)state;
    struct hand *h = cluster("location_cache=1", 3, 1);
    pm_key key = hand_key(h, 0, 0);
    float out[LENGTH];
    hand_bring(h, 1, key);
    pm_ticket ticket = hand_pull(h, 0, 0, key, out);
    hand_pass(h, 0, 1);
    hand_localize(h, 2, key); /* the home hears of the new owner before the old one's answer */
    hand_pass(h, 2, 0);
    hand_pass(h, 1, 0);
    assert_true(hand_done(h, 0, 0, ticket));
    hand_pass_all(h);
    expect_access(h, key, PM_OP_PULL, "0>2 access 1, 2>0 reply 1");
    hand_free(h);
}

/* Without shared memory even local accesses are messages, of a node to itself. */
static void through_the_communicator(void **state)
{
    (void)state;
    struct hand *h = cluster("fast_local=0", 3, 1);
    pm_key key = hand_key(h, 1, 0);
    hand_bring(h, 2, key);
    expect_access(h, key, PM_OP_PULL, "0>1 access 1, 1>2 access/1 1, 2>0 reply 1");
    hand_bring(h, 0, key);
    expect_access(h, key, PM_OP_PUSH, "0>0 access 1, 0>0 reply 1");
    hand_bring(h, 2, key);
    hand_localize(h, 0, key);
    float out[LENGTH];
    pm_ticket ticket = hand_pull(h, 0, 0, key, out);
    assert_string_equal(hand_sent(h), "0>1 relocate 1, 0>0 access 1");
    hand_pass(h, 0, 0);
    assert_string_equal(hand_sent(h), "");
    hand_pass_all(h);
    assert_string_equal(hand_sent(h), "1>2 relocate/1 1, 2>0 transfer 1, 0>0 reply 1");
    assert_true(hand_done(h, 0, 0, ticket));
    hand_assert_added(h, out, key, 1);
    hand_free(h);
}

/* ---- the model, statistics --------------------------------------------------------------------------- */

/* Reading the model: by the directory, uncounted, from wherever each key is. */
static void the_model_is_read_where_it_is(void **state)
{
    (void)state;
    struct hand *h = cluster("location_cache=1", 4, 1);
    pm_key keys[3];
    for (uint32_t i = 0; i < 3; i++) {
        keys[i] = hand_key(h, 1, i);
        hand_bring(h, i == 1 ? 0 : 1 + i, keys[i]); /* at nodes 1, 0, 3 */
        hand_push(h, 2, 0, keys[i], (float)(1 + i));
        hand_pass_all(h);
    }
    struct pm_counters before, after;
    float out[3 * LENGTH];
    pm_node_counters(hand_node(h, 2), &before);
    hand_sent(h);
    struct pm_worker *w = hand_worker(h, 2, 0);
    assert_int_equal(pm_read_model(w, keys, 3, out), PM_E_PROGRESS); /* would wait for the answers ... */
    hand_pass_all(h);                                                /* ... which come now */
    assert_string_equal(hand_sent(h), "2>1 access 3, 1>0 access/1 1, 1>3 access/1 1, 1>2 reply 1, 0>2 reply 1, 3>2 reply 1");
    for (uint32_t i = 0; i < 3; i++)
        hand_assert_added(h, out + i * LENGTH, keys[i], (float)(1 + i));
    pm_node_counters(hand_node(h, 2), &after);
    assert_memory_equal(&before, &after, sizeof before);
    hand_free(h);
}

static void statistics(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key a = hand_key(h, 1, 0), b = hand_key(h, 1, 1);
    struct pm_counters c;
    hand_set_time(h, 1000000);
    hand_localize(h, 0, a);
    hand_set_time(h, 1000500);
    hand_localize(h, 0, b);
    hand_push(h, 0, 0, b, 1);
    hand_set_time(h, 1002000);
    hand_pass_all(h);
    hand_localize(h, 2, a);
    hand_set_time(h, 1009000);
    hand_pass_all(h);
    const struct pm_histogram *here = pm_node_communicator(hand_node(h, 0))->histograms[PM_Q_RELOCATION];
    const struct pm_histogram *there = pm_node_communicator(hand_node(h, 2))->histograms[PM_Q_RELOCATION];
    assert_int_equal(here->count, 2);
    assert_int_equal(here->sum, 2000 + 1500);
    assert_int_equal(here->max, 2000);
    assert_int_equal(there->count, 1);
    assert_int_equal(there->sum, 7000);
    static const uint64_t in[] = {2, 0, 1}, out[] = {1, 2, 0};
    for (pm_node_id i = 0; i < 3; i++) {
        pm_node_counters(hand_node(h, i), &c);
        assert_int_equal(c.relocations_in, in[i]);
        assert_int_equal(c.relocations_out, out[i]);
        assert_int_equal(c.writes[PM_HOW_QUEUED], i == 0);
    }
    hand_free(h);
}

/* What a node reports as its memory follows the keys. */
static void memory_moves_along(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    uint64_t before[2], after[2];
    for (pm_node_id i = 0; i < 2; i++)
        before[i] = pm_node_memory_bytes(hand_node(h, i));
    hand_bring(h, 0, hand_key(h, 1, 0));
    for (pm_node_id i = 0; i < 2; i++)
        after[i] = pm_node_memory_bytes(hand_node(h, i));
    assert_true(after[0] > before[0] && after[1] < before[1]);
    assert_int_equal(after[0] + after[1], before[0] + before[1]);
    hand_bring(h, 1, hand_key(h, 1, 0));
    for (pm_node_id i = 0; i < 2; i++)
        assert_int_equal(pm_node_memory_bytes(hand_node(h, i)), before[i]);
    hand_free(h);
}

/* ---- messages that no honest peer sends -------------------------------------------------------------- */

static struct pm_message *message(enum pm_message_kind kind, pm_node_id from, pm_key key)
{
    struct pm_shape shape = {.n_keys = 1, .n_floats = kind == PM_MSG_TRANSFER ? LENGTH : 0, .with_values = true};
    struct pm_message *m = pm_message_new(kind, &shape);
    assert_non_null(m);
    m->wire.source = m->wire.origin = from;
    *pm_message_keys(m) = key;
    if (kind == PM_MSG_TRANSFER)
        *(uint64_t *)pm_message_meta(m) = 3;
    return m;
}

static void refused(struct hand *h, pm_node_id to, struct pm_message *m)
{
    assert_int_equal(hand_give(h, to, m), PM_E_MESSAGE);
}

static void lies_are_refused(void **state)
{
    (void)state;
    struct hand *h = cluster("", 3, 1);
    pm_key key = hand_key(h, 1, 0), other = hand_key(h, 1, 1);
    struct pm_message *m;
    hand_bring(h, 2, key);
    refused(h, 0, message(PM_MSG_RELOCATE, 2, key));        /* not its home */
    refused(h, 1, message(PM_MSG_RELOCATE, 2, key));        /* owns it */
    refused(h, 0, message(PM_MSG_TRANSFER, 2, key));        /* nobody asked for it */
    refused(h, 1, message(PM_MSG_RELOCATE, 0, KEYS));       /* no such key */
    m = message(PM_MSG_RELOCATE, 0, key), m->wire.origin = 3; /* no such node */
    refused(h, 1, m);
    m = message(PM_MSG_RELOCATE, 0, key), m->wire.origin = 1; /* the receiver itself */
    refused(h, 1, m);
    m = message(PM_MSG_RELOCATE, 0, key), m->wire.hop = 2;
    refused(h, 1, m);
    m = message(PM_MSG_RELOCATE, 0, key), m->wire.hop = 1; /* not from the home */
    refused(h, 2, m);
    m = message(PM_MSG_RELOCATE, 1, other), m->wire.hop = 1, m->wire.origin = 0; /* does not own it */
    refused(h, 2, m);
    m = message(PM_MSG_RELOCATE, 0, other), m->wire.origin = 2; /* in another node's name */
    refused(h, 1, m);
    assert_int_equal(hand_owner(h, key), 2);
    assert_int_equal(hand_owner(h, other), 1);
    hand_bring(h, 0, key);
    hand_bring(h, 0, other);
    hand_free(h);
}

/* Kinds of other policies, for a key that has left. */
static void replicas_entries_are_refused(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    pm_key key = hand_key(h, 1, 0);
    static const enum pm_message_kind others[] = {PM_MSG_ROUND, PM_MSG_COLLECT, PM_MSG_SPREAD, PM_MSG_ANSWER};
    hand_bring(h, 0, key);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct pm_message *m = message(others[i], 0, key);
        m->wire.first = 1;
        refused(h, 1, m);
    }
    assert_int_equal(hand_owner(h, key), 0);
    hand_free(h);
}

/* An answer that says it is of the model, or not, against the truth. */
static void answers_of_another_sort_are_refused(void **state)
{
    (void)state;
    struct hand *h = cluster("", 2, 1);
    pm_key key = hand_key(h, 1, 0);
    for (int model = 0; model < 2; model++) {
        float out[LENGTH];
        struct pm_shape shape = {.n_keys = 1, .n_floats = LENGTH, .with_values = true};
        if (model)
            assert_int_equal(pm_read_model(hand_worker(h, 0, 0), &key, 1, out), PM_E_PROGRESS);
        else
            hand_pull(h, 0, 0, key, out);
        struct pm_message *m = pm_message_new(PM_MSG_REPLY, &shape);
        m->wire.source = 1;
        m->wire.op = PM_OP_PULL;
        m->wire.request = 0 | (uint32_t)(1 + model) << 16;
        m->wire.flags = model ? 0 : PM_FLAG_MODEL;
        refused(h, 0, m);
        hand_pass_all(h);
        hand_assert_added(h, out, key, 0);
    }
    hand_free(h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_messages),
        cmocka_unit_test(two_messages_when_the_home_owns),
        cmocka_unit_test(two_messages_when_the_home_asks),
        cmocka_unit_test(no_message),
        cmocka_unit_test(grouped_by_destination),
        cmocka_unit_test(access_messages_without_cache),
        cmocka_unit_test(access_messages_with_cache),
        cmocka_unit_test(the_home_uses_its_directory),
        cmocka_unit_test(through_the_communicator),
        cmocka_unit_test(the_model_is_read_where_it_is),
        cmocka_unit_test(statistics),
        cmocka_unit_test(memory_moves_along),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(replicas_entries_are_refused),
        cmocka_unit_test(answers_of_another_sort_are_refused),
    };
    int failed = repeat_main(argc, argv, "relocation, messages, sparse", tests, sizeof tests / sizeof *tests);
    dense = true;
    return failed | repeat_main(argc, argv, "relocation, messages, dense", tests, sizeof tests / sizeof *tests);
}
