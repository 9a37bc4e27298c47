/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A cluster driven by hand: every message waits in the channel of its sender and receiver until the test passes it on, and
 * what was sent is written down in one line. Workers must not block: operations are begun, and looked at later. One
 * thread; failures fail the running test. */
#ifndef PM_TESTS_HAND_H
#define PM_TESTS_HAND_H

#include "core/internal.h"
#include "tests/testload.h"

struct hand;

struct hand_config {
    const struct pm_policy *policy;
    const char *options;
    uint32_t nodes, workers;
    uint64_t keys;
    uint32_t length;
    bool dense, no_values;
    uint32_t max_message;
    struct pm_traced_rule traced;
    uint64_t intents_max;
};

struct hand *hand_new(const struct hand_config *config);
/* Everything must have been passed on. Checks each node's accounts and that messages sent were received. */
void hand_free(struct hand *h);
/* The same of a cluster that was lied to: checks nothing. */
void hand_drop(struct hand *h);

struct pm_node *hand_node(struct hand *h, pm_node_id id);
struct pm_worker *hand_worker(struct hand *h, pm_node_id node, uint32_t index);
void hand_set_time(struct hand *h, int64_t now_ns);
/* The key of this number among those whose home is this node, from 0. */
pm_key hand_key(struct hand *h, pm_node_id home, uint32_t number);

/* Passes the first message of a channel on; there must be one. */
void hand_pass(struct hand *h, pm_node_id from, pm_node_id to);
/* Passes on whatever waits, the receivers in turn, until nothing does. */
void hand_pass_all(struct hand *h);
/* The same, but nothing from this node to that. */
void hand_pass_all_but(struct hand *h, pm_node_id from, pm_node_id to);
/* Gives a node a message that the test has made, which is gone then; what the node says of it. */
int hand_give(struct hand *h, pm_node_id to, struct pm_message *m);

/* What was sent since the last call, as "0>1 access 2, 1>0 reply 2": kind, "/hop" of what was
 * forwarded, number of keys. */
const char *hand_sent(struct hand *h);

/* Is the operation complete? */
bool hand_done(struct hand *h, pm_node_id node, uint32_t index, pm_ticket ticket);
/* The node that owns the key; PM_NODE_NONE when it is on its way. */
pm_node_id hand_owner(struct hand *h, pm_key key);

/* The node's periodic work is due, at the time that was set. */
void hand_tick(struct hand *h, pm_node_id node);
/* What the node knows of the key; NULL: nothing. */
struct pm_slot *hand_slot(struct hand *h, pm_node_id node, pm_key key);
/* Asks that the key move to the node. */
void hand_localize(struct hand *h, pm_node_id node, pm_key key);
/* The same, and passes everything on, of which nothing is written down. */
void hand_bring(struct hand *h, pm_node_id node, pm_key key);
/* Begin an operation of a worker on one key with `value` in each element; its buffer stays for the next 64. */
pm_ticket hand_push(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, float value);
pm_ticket hand_set(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, float value);
pm_ticket hand_pull(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, float *out);
/* A pulled value is the initial one and this in each element. */
void hand_assert_added(struct hand *h, const float *value, pm_key key, float added);

#endif
