/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A cluster under adaps, driven by hand. Included by one test program each. */
#ifndef PM_TESTS_ADAPS_CLUSTER_H
#define PM_TESTS_ADAPS_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/internal.h"
#include "tests/hand.h"

extern const struct pm_policy pm_policy_adaps;

enum { LENGTH = 2, PERIOD_NS = 1000000, NODES = 4, SOON = 5, FAR = 1000 };

static int64_t now_ns;

static inline struct hand *cluster(const char *options)
{
    now_ns = PERIOD_NS;
    struct hand *h = hand_new(&(struct hand_config){
        .policy = &pm_policy_adaps, .options = options, .nodes = NODES, .workers = 2, .keys = 256, .length = LENGTH});
    hand_set_time(h, now_ns);
    return h;
}

static inline void finish(struct hand *h)
{
    hand_pass_all(h);
    hand_free(h);
}

static inline void intend(struct hand *h, pm_node_id node, pm_key key, pm_clock start, pm_clock end)
{
    assert_int_equal(pm_intent(hand_worker(h, node, 0), &key, 1, start, end), PM_OK);
}

static inline void advance(struct hand *h, pm_node_id node, uint32_t times)
{
    while (times-- > 0)
        assert_int_equal(pm_advance_clock(hand_worker(h, node, 0)), PM_OK);
}

/* A round of one node; nothing is passed on. */
static inline void turn(struct hand *h, pm_node_id node)
{
    now_ns += PERIOD_NS;
    hand_set_time(h, now_ns);
    hand_tick(h, node);
}

/* A round of one node, and all that comes of it. */
static inline void whole_round(struct hand *h, pm_node_id node)
{
    turn(h, node);
    hand_pass_all(h);
}

static inline bool is_replica(struct hand *h, pm_node_id node, pm_key key)
{
    const struct pm_slot *slot = hand_slot(h, node, key);
    return slot && slot->state == PM_SLOT_REPLICA;
}

static inline bool is_ready(struct hand *h, pm_node_id node, pm_key key)
{
    return is_replica(h, node, key) && (hand_slot(h, node, key)->flags & PM_SLOT_READY);
}

/* A worker reads the key here, without asking anybody. */
static inline void assert_reads(struct hand *h, pm_node_id node, pm_key key, float added)
{
    float value[LENGTH];
    hand_sent(h);
    assert_int_equal(hand_pull(h, node, 0, key, value), PM_DONE);
    assert_string_equal(hand_sent(h), "");
    hand_assert_added(h, value, key, added);
}

static inline void assert_pushes_here(struct hand *h, pm_node_id node, pm_key key, float value)
{
    assert_int_equal(hand_push(h, node, 0, key, value), PM_DONE);
}

#endif
