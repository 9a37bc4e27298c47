/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of owners that grant (policy adaps) with one field that no honest peer sends: each is refused for the reason that is
 * said, nothing changes, and what was under way goes on and comes out right. What cannot be known to be a lie is taken, and
 * harms nobody but who relies on it: a request that is said to wait for a key which never comes waits until it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/builder.h"
#include "tests/hand.h"

extern const struct pm_policy pm_policy_adaps, pm_policy_classic, pm_policy_stale;

enum { LENGTH = 2, PERIOD_NS = 1000000, NODES = 3, KEYS = 64, FAR = 1000 };

/* Node 0 has asked node 1 for a key that it alone wants (`coming`, not there yet) and for news of one that both want (`shared`),
 * and node 2 for a value; it owns `own`. */
struct scene {
    struct hand *hand;
    int64_t now_ns;
    pm_key coming, shared, own;
    pm_ticket pull;
    float pulled[LENGTH];
    uint32_t request;
};

static void turn(struct scene *s, pm_node_id node)
{
    s->now_ns += PERIOD_NS;
    hand_set_time(s->hand, s->now_ns);
    hand_tick(s->hand, node);
}

static void intend(struct scene *s, pm_node_id node, pm_key key)
{
    assert_int_equal(pm_intent(hand_worker(s->hand, node, 0), &key, 1, 0, FAR), PM_OK);
}

static struct hand *cluster(const struct pm_policy *policy)
{
    return hand_new(&(struct hand_config){
        .policy = policy, .options = "", .nodes = NODES, .workers = 1, .keys = KEYS, .length = LENGTH});
}

static void begin(struct scene *s)
{
    *s = (struct scene){.hand = cluster(&pm_policy_adaps)};
    s->coming = hand_key(s->hand, 1, 0);
    s->shared = hand_key(s->hand, 1, 1);
    s->own = hand_key(s->hand, 0, 0);
    intend(s, 1, s->shared);
    turn(s, 1);
    intend(s, 0, s->shared);
    turn(s, 0);
    hand_pass_all(s->hand);
    intend(s, 0, s->coming);
    turn(s, 0);
    s->pull = hand_pull(s->hand, 0, 0, hand_key(s->hand, 2, 0), s->pulled);
    assert_true(s->pull > PM_DONE);
    assert_int_equal(hand_slot(s->hand, 0, s->shared)->state, PM_SLOT_REPLICA);
    assert_int_equal(pm_refreshes_open(hand_node(s->hand, 0)), 2);
}

/* The truth comes, and is believed. */
static void truth(struct scene *s)
{
    hand_pass_all(s->hand);
    assert_true(hand_done(s->hand, 0, 0, s->pull));
    hand_assert_added(s->hand, s->pulled, hand_key(s->hand, 2, 0), 0);
    assert_int_equal(hand_owner(s->hand, s->coming), 0);
    assert_int_equal(hand_owner(s->hand, s->shared), 1);
    assert_int_equal(pm_refreshes_open(hand_node(s->hand, 0)), 0);
}

/* ---- messages to node 0 that would be good ---------------------------------------------------------------- */

static struct pm_message *made(enum pm_message_kind kind, pm_key key, struct pm_shape shape)
{
    shape.with_values = true;
    struct pm_message *m = pm_message_new(kind, &shape);
    assert_non_null(m);
    memset((char *)&m->wire + PM_WIRE_BYTES, 0, m->stored_bytes - PM_WIRE_BYTES);
    m->wire.source = m->wire.origin = 1;
    for (uint32_t i = 0; i < shape.n_keys && kind != PM_MSG_REPLY; i++)
        pm_message_keys(m)[i] = key;
    return m;
}

static struct pm_message *good(const struct scene *s, enum pm_message_kind kind, bool located, uint32_t n_keys, uint32_t n_floats)
{
    struct pm_shape shape = {.n_keys = n_keys, .n_floats = n_floats, .located = located};
    bool asked = kind == PM_MSG_ANSWER || kind == PM_MSG_GRANT;
    shape.versions = kind == PM_MSG_ROUND;
    struct pm_message *m = made(kind, asked ? s->coming : s->own, shape);
    if (kind == PM_MSG_ROUND && n_keys)
        *pm_entry_flags(m) = PM_ROUND_DELTA | PM_ROUND_REFRESH | 1 << PM_ROUND_MERGED_SHIFT;
    if (kind == PM_MSG_GRANT)
        for (uint32_t i = 0; i < n_keys; i++)
            pm_entry_flags(m)[i] = PM_GRANT_VALUE;
    if (kind == PM_MSG_OWNER)
        *pm_entry_owners(m) = 2;
    if (kind == PM_MSG_ACCESS)
        m->wire.op = PM_OP_PUSH;
    if (kind == PM_MSG_REPLY) {
        m->wire.source = 2;
        m->wire.op = PM_OP_PULL;
        m->wire.request = s->request;
    }
    return m;
}

/* ---- lies ------------------------------------------------------------------------------------------------- */

enum field {
    NOTHING, OP, HOP, ORIGIN, REQUEST, WORKER, FIRST, UPDATES, KEY, KEY_ELSEWHERE, ENTRY_FLAGS, OWNER, MODEL
};

struct lie {
    enum pm_message_kind kind;
    bool located;
    uint32_t n_keys, n_floats;
    enum field field;
    uint64_t value;
    const char *reason; /* NULL: it is none */
};

#define ENTRY(flags, merged) ((flags) | (uint32_t)(merged) << PM_ROUND_MERGED_SHIFT)
static const struct lie lies[] = {
    {PM_MSG_ROUND, true, 1, LENGTH, HOP, PM_HOPS_MAX, "hop"},
    {PM_MSG_ROUND, true, 1, LENGTH, HOP, 255, "hop"},
    {PM_MSG_ROUND, true, 1, LENGTH, ORIGIN, NODES, "origin"},
    {PM_MSG_ROUND, true, 1, LENGTH, ORIGIN, UINT32_MAX, "origin"},
    {PM_MSG_ROUND, true, 1, LENGTH, KEY, KEYS, "key"},
    {PM_MSG_ROUND, true, 1, LENGTH, KEY, UINT64_MAX, "key"},
    {PM_MSG_ROUND, true, 1, LENGTH, ENTRY_FLAGS, ENTRY(PM_ROUND_DELTA, 0), "entry flags"},
    {PM_MSG_ROUND, true, 1, 0, ENTRY_FLAGS, ENTRY(PM_ROUND_REFRESH, 1), "entry flags"},
    {PM_MSG_ROUND, true, 1, LENGTH, ENTRY_FLAGS, ENTRY(PM_ROUND_REFRESH, 0), "n_floats"},
    {PM_MSG_ROUND, true, 1, LENGTH - 1, NOTHING, 0, "n_floats"},
    {PM_MSG_ROUND, true, 1, LENGTH + 1, NOTHING, 0, "n_floats"},
    {PM_MSG_ROUND, true, 0, 1, NOTHING, 0, "n_floats"},
    {PM_MSG_ANSWER, false, 1, LENGTH, NOTHING, 0, "flags"},
    {PM_MSG_ANSWER, true, 1, LENGTH, KEY, KEYS, "key"},
    {PM_MSG_ANSWER, true, 1, LENGTH, KEY_ELSEWHERE, 2, "key (no refresh was asked for)"},
    {PM_MSG_ANSWER, true, 1, LENGTH, KEY_ELSEWHERE, 0, "key (no refresh was asked for)"},
    {PM_MSG_ANSWER, true, 1, LENGTH, UPDATES, 2, "updates (more than were asked for)"},
    {PM_MSG_ANSWER, true, 1, LENGTH, UPDATES, UINT32_MAX, "updates (more than were asked for)"},
    {PM_MSG_ANSWER, true, 0, 0, UPDATES, 3, "updates (more than were asked for)"},
    {PM_MSG_ANSWER, true, 3, 3 * LENGTH, NOTHING, 0, "updates (more than were asked for)"},
    {PM_MSG_ANSWER, true, 1, LENGTH + 1, NOTHING, 0, "n_floats"},
    {PM_MSG_ANSWER, true, 1, 0, NOTHING, 0, "n_floats"},
    {PM_MSG_GRANT, false, 1, LENGTH, KEY, KEYS, "key"},
    {PM_MSG_GRANT, false, 1, LENGTH, KEY_ELSEWHERE, 2, "key (no refresh was asked for)"},
    {PM_MSG_GRANT, false, 1, LENGTH, KEY_ELSEWHERE, 0, "key (no refresh was asked for)"},
    {PM_MSG_GRANT, false, 1, LENGTH, ENTRY_FLAGS, 2, "entry flags"},
    {PM_MSG_GRANT, false, 1, LENGTH, ENTRY_FLAGS, UINT32_MAX, "entry flags"},
    {PM_MSG_GRANT, false, 1, 0, ENTRY_FLAGS, 0, "entry flags (the replica has no value)"},
    {PM_MSG_GRANT, false, 3, 3 * LENGTH, NOTHING, 0, "n_keys (more than were asked for)"},
    {PM_MSG_GRANT, false, 1, 0, NOTHING, 0, "n_floats"},
    {PM_MSG_GRANT, false, 1, LENGTH + 1, NOTHING, 0, "n_floats"},
    {PM_MSG_OWNER, false, 1, 1, NOTHING, 0, "n_floats"},
    {PM_MSG_OWNER, false, 1, 0, KEY, KEYS, "key (its home is another node)"},
    {PM_MSG_OWNER, false, 1, 0, KEY_ELSEWHERE, 1, "key (its home is another node)"},
    {PM_MSG_OWNER, false, 1, 0, OWNER, NODES, "owner"},
    {PM_MSG_OWNER, false, 1, 0, OWNER, 0, "owner"},
    {PM_MSG_OWNER, false, 1, 0, OWNER, UINT32_MAX, "owner"},
    {PM_MSG_ACCESS, true, 1, LENGTH, OP, PM_OP_KINDS, "op"},
    {PM_MSG_ACCESS, true, 1, LENGTH, HOP, PM_HOPS_MAX, "hop"},
    {PM_MSG_ACCESS, true, 1, LENGTH, ORIGIN, NODES, "origin"},
    {PM_MSG_ACCESS, true, 1, LENGTH, KEY, KEYS, "key"},
    {PM_MSG_ACCESS, true, 1, LENGTH, OP, PM_OP_PULL, "n_floats"},
    {PM_MSG_ACCESS, true, 1, LENGTH - 1, NOTHING, 0, "n_floats"},
    {PM_MSG_ACCESS, true, 0, 0, NOTHING, 0, "n_keys"},
    {PM_MSG_REPLY, false, 1, LENGTH, NOTHING, 0, "flags"},
    {PM_MSG_REPLY, true, 1, LENGTH, MODEL, 0, "flags"},
    {PM_MSG_REPLY, true, 1, LENGTH, REQUEST, 0, "request"},
    {PM_MSG_REPLY, true, 1, LENGTH, REQUEST, UINT32_MAX, "request"},
    {PM_MSG_REPLY, true, 1, LENGTH, WORKER, 1, "worker"},
    {PM_MSG_REPLY, true, 1, LENGTH, OP, PM_OP_PUSH, "op"},
    {PM_MSG_REPLY, true, 1, LENGTH, FIRST, 1, "entry"},
    {PM_MSG_REPLY, true, 1, LENGTH, FIRST, UINT32_MAX, "entry"},
    {PM_MSG_REPLY, true, 0, 0, NOTHING, 0, "n_keys"},
    {PM_MSG_REPLY, true, 2, 2 * LENGTH, NOTHING, 0, "n_keys"},
    {PM_MSG_REPLY, true, 1, LENGTH + 1, NOTHING, 0, "n_floats"},
    {PM_MSG_REPLY, true, 1, 0, NOTHING, 0, "n_floats"},
};

static void falsify(struct scene *s, struct pm_message *m, const struct lie *l)
{
    struct pm_wire *w = &m->wire;
    switch (l->field) {
    case NOTHING: break;
    case OP: w->op = (uint8_t)l->value; break;
    case HOP: w->hop = (uint8_t)l->value; break;
    case ORIGIN: w->origin = (uint32_t)l->value; break;
    case REQUEST: w->request = (uint32_t)l->value; break;
    case WORKER: w->worker = (uint16_t)l->value; break;
    case FIRST: w->first = (uint32_t)l->value; break;
    case UPDATES: w->updates = (uint32_t)l->value; break;
    case MODEL: w->flags |= PM_FLAG_MODEL; break;
    case KEY: *pm_message_keys(m) = l->value; break;
    case KEY_ELSEWHERE: *pm_message_keys(m) = hand_key(s->hand, (pm_node_id)l->value, 1); break;
    case ENTRY_FLAGS: *pm_entry_flags(m) = (uint32_t)l->value; break;
    case OWNER: *pm_entry_owners(m) = (pm_node_id)l->value; break;
    }
}

/* Gives it to node 0, which must refuse it for this reason and be as before. */
static void refused(struct hand *h, struct pm_message *m, const char *reason)
{
    struct pm_node *node = hand_node(h, 0);
    struct pm_counters before, after;
    struct pm_error err = {0};
    char expected[128];
    snprintf(expected, sizeof expected, "%s message from node %u: field %s is out of bounds", pm_message_kind_name(m->wire.kind),
             m->wire.source, reason);
    assert_int_equal(pm_message_check(m, m->stored_bytes, true), PM_OK);
    pm_node_counters(node, &before);
    assert_int_equal(pm_node_receive(pm_node_communicator(node), m, &err), PM_E_MESSAGE);
    assert_string_equal(err.text, expected);
    assert_null(pm_node_communicator(node)->outbox.first);
    pm_node_counters(node, &after);
    assert_memory_equal(&before, &after, sizeof before);
}

static void every_field(void **state)
{
    (void)state;
    struct scene s;
    begin(&s);
    s.request = 1 << 16; /* the first operation */
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const struct lie *l = &lies[i];
        struct pm_message *m = good(&s, l->kind, l->located, l->n_keys, l->n_floats);
        falsify(&s, m, l);
        refused(s.hand, m, l->reason);
    }
    truth(&s);
    hand_free(s.hand);
}

/* Without the lie each of these is taken: it was the lie that was refused. Then the truth comes a second time. */
static void the_same_without_the_lie(void **state)
{
    (void)state;
    static const enum pm_message_kind kinds[] = {PM_MSG_ROUND, PM_MSG_ANSWER, PM_MSG_GRANT,
                                                 PM_MSG_OWNER, PM_MSG_ACCESS, PM_MSG_REPLY};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct scene s;
        begin(&s);
        s.request = 1 << 16;
        bool located = kinds[i] != PM_MSG_GRANT && kinds[i] != PM_MSG_OWNER;
        uint32_t n_floats = kinds[i] == PM_MSG_OWNER ? 0 : LENGTH;
        assert_int_equal(hand_give(s.hand, 0, good(&s, kinds[i], located, 1, n_floats)), PM_OK);
        if (kinds[i] == PM_MSG_ANSWER || kinds[i] == PM_MSG_GRANT)
            refused(s.hand, good(&s, kinds[i], located, 1, n_floats), "key (no refresh was asked for)");
        hand_drop(s.hand);
    }
}

/* Who is told that a key is coming which is not keeps the request for as long; all else goes on, and when the key comes after
 * all the request is handled. */
static void a_key_that_does_not_come(void **state)
{
    (void)state;
    for (int comes = 0; comes < 2; comes++) {
        struct scene s;
        begin(&s);
        struct pm_message *m = good(&s, PM_MSG_ROUND, true, 1, 0);
        *pm_message_keys(m) = comes ? s.coming : s.shared;
        *pm_entry_flags(m) = PM_ROUND_OVER;
        *pm_entry_counters(m) = 7;
        assert_int_equal(hand_give(s.hand, 0, m), PM_OK);
        assert_true(hand_slot(s.hand, 0, comes ? s.coming : s.shared)->flags & PM_SLOT_PARKED);
        for (int round = 0; round < 3; round++) {
            hand_pass_all(s.hand);
            turn(&s, 0);
            turn(&s, 1);
        }
        const struct pm_slot *slot = hand_slot(s.hand, 0, s.shared);
        assert_int_equal(!(slot->flags & PM_SLOT_PARKED), comes);
        assert_int_equal(slot->state, PM_SLOT_REPLICA);
        assert_int_equal(hand_push(s.hand, 0, 0, s.shared, 1), PM_DONE);
        truth(&s);
        hand_drop(s.hand);
    }
}

/* Messages of this protocol under policies that have another one. */
static void other_protocols(void **state)
{
    (void)state;
    const struct pm_policy *const policies[] = {&pm_policy_classic, &pm_policy_stale};
    for (size_t i = 0; i < 2; i++) {
        struct scene s = {.hand = cluster(policies[i])};
        s.own = hand_key(s.hand, 0, 0);
        s.coming = hand_key(s.hand, 1, 0);
        refused(s.hand, good(&s, PM_MSG_GRANT, false, 1, LENGTH), "kind");
        refused(s.hand, good(&s, PM_MSG_OWNER, false, 1, 0), "kind");
        refused(s.hand, good(&s, PM_MSG_ROUND, true, 1, LENGTH), i ? "flags" : "kind");
        refused(s.hand, good(&s, PM_MSG_ANSWER, true, 1, LENGTH), i ? "flags" : "kind");
        refused(s.hand, good(&s, PM_MSG_ACCESS, true, 1, LENGTH), "flags");
        hand_free(s.hand);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field),
        cmocka_unit_test(the_same_without_the_lie),
        cmocka_unit_test(a_key_that_does_not_come),
        cmocka_unit_test(other_protocols),
    };
    return cmocka_run_group_tests_name("lies", tests, NULL, NULL);
}
