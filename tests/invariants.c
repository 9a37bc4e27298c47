/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold in a whole cluster between any two events. */
#include "tests/invariants.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/internal.h"
#include "core/local.h"
#include "core/log.h"
#include "policies/adaps.h"
#include "policies/bounded.h"
#include "tests/testload.h"

enum { LENGTH_MAX = 64 };

/* ---- making, and what is looked at ------------------------------------------------------------------- */

int invariants_init(struct invariants *v, uint32_t nodes)
{
    uint64_t n = v->n_keys;
    v->nodes = nodes;
    v->version = calloc(n, sizeof *v->version);
    v->tallies = calloc(n, sizeof *v->tallies);
    v->touched = calloc(n, sizeof *v->touched);
    v->looked_at = calloc(n, sizeof *v->looked_at);
    v->touched_keys = calloc(n, sizeof *v->touched_keys);
    v->all_keys = calloc(n, sizeof *v->all_keys);
    v->asked = calloc(n * nodes, sizeof *v->asked);
    v->next = calloc(n * nodes, sizeof *v->next);
    if (!v->version || !v->tallies || !v->touched || !v->looked_at || !v->touched_keys || !v->all_keys || !v->asked ||
        !v->next)
        return PM_E_MEMORY;
    for (pm_key key = 0; key < n; key++)
        v->all_keys[key] = key;
    return PM_OK;
}

void invariants_fini(struct invariants *v)
{
    free(v->version);
    free(v->tallies);
    free(v->touched);
    free(v->looked_at);
    free(v->touched_keys);
    free(v->all_keys);
    free(v->asked);
    free(v->next);
}

void invariants_touch(struct invariants *v, const pm_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v->touched[keys[i]])
            continue;
        v->touched[keys[i]] = true;
        v->touched_keys[v->n_touched++] = keys[i];
    }
}

void invariants_touch_message(struct invariants *v, struct pm_message *m)
{
    bool sealed = m->wire.flags & PM_FLAG_FILTERED;
    if (m->wire.kind <= PM_MSG_OWNER && m->wire.kind != PM_MSG_REPLY && !sealed)
        invariants_touch(v, pm_message_keys(m), m->wire.n_keys);
}

static int broken(struct pm_error *err, pm_key key, const char *what, double found, double bound)
{
    return pm_error_set(err, PM_E_INTERNAL, "key %" PRIu64 ": %s (%.9g, %.9g)", key, what, found, bound);
}

static bool follows_sums(const struct invariants *v, pm_key key)
{
    return v->issued && key < v->n_counters;
}

/* ---- messages ---------------------------------------------------------------------------------------- */

static void note_asked(struct invariants *v, pm_key key, pm_node_id node)
{
    v->asked[key * v->nodes + node]++;
}

static void note_next(struct invariants *v, pm_key key, pm_node_id node, pm_node_id next)
{
    v->next[key * v->nodes + node] = next;
    note_asked(v, key, next);
}

static void add_transfer(struct invariants *v, struct pm_message *m)
{
    const pm_key *keys = pm_message_keys(m);
    const uint64_t *versions = pm_message_meta(m);
    const float *value = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct tally *t = &v->tallies[keys[i]];
        if (v->looked_at[keys[i]]) {
            t->transfers++;
            t->holder = m->destination;
            t->version = versions[i];
            note_asked(v, keys[i], m->destination);
            if (follows_sums(v, keys[i]))
                t->found += (double)*value - (double)testload_initial(keys[i], 0);
        }
        value += pm_layout_length(v->layout, keys[i]);
    }
}

/* A grant without a value: the main copy is what the replica holds, but for what it has collected since. */
static double value_of_replica(struct invariants *v, pm_node_id at, pm_key key)
{
    struct pm_node *node = memnet_node(v->net, at);
    const struct pm_slot *slot = pm_slots_find(&node->slots, key);
    const uint32_t length = pm_length(node, key);
    bool collected = *pm_slot_merged(&node->slots, slot, length);
    return (double)*slot->value - (collected ? (double)*pm_slot_delta(&node->slots, slot, length) : 0);
}

static void add_grant(struct invariants *v, struct pm_message *m)
{
    const pm_key *keys = pm_message_keys(m);
    const uint64_t *versions = pm_message_meta(m);
    const uint32_t *flags = pm_entry_flags(m);
    const float *value = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct tally *t = &v->tallies[keys[i]];
        if (v->looked_at[keys[i]]) {
            t->transfers++;
            t->holder = m->destination;
            t->version = versions[i];
            if (follows_sums(v, keys[i]))
                t->found += (flags[i] & PM_GRANT_VALUE ? (double)*value : value_of_replica(v, m->destination, keys[i])) -
                            (double)testload_initial(keys[i], 0);
        }
        value += flags[i] & PM_GRANT_VALUE ? pm_layout_length(v->layout, keys[i]) : 0;
    }
}

static void add_relocate(struct invariants *v, struct pm_message *m)
{
    const pm_key *keys = pm_message_keys(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (!v->looked_at[keys[i]])
            continue;
        if (m->wire.hop == 0)
            note_asked(v, keys[i], m->wire.origin);
        else
            note_next(v, keys[i], m->destination, m->wire.origin);
    }
}

/* Pushes and deltas. */
static void add_updates(struct invariants *v, struct pm_message *m)
{
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_entry_flags(m);
    const float *values = pm_message_values(m);
    bool round = m->wire.kind == PM_MSG_ROUND;
    for (uint32_t i = 0; i < m->wire.n_keys && v->issued; i++) {
        if (round && !(flags[i] & PM_ROUND_DELTA))
            continue;
        if (v->looked_at[keys[i]] && follows_sums(v, keys[i]))
            v->tallies[keys[i]].found += (double)*values;
        values += pm_layout_length(v->layout, keys[i]);
    }
}

/* A message that was not handled. */
static void add_message(void *arg, struct pm_message *m)
{
    struct invariants *v = arg;
    const struct pm_wire *w = &m->wire;
    if (w->flags & PM_FLAG_FILTERED)
        v->sealed += w->op == PM_OP_PUSH;
    else if (w->kind == PM_MSG_TRANSFER)
        add_transfer(v, m);
    else if (w->kind == PM_MSG_GRANT)
        add_grant(v, m);
    else if (w->kind == PM_MSG_RELOCATE)
        add_relocate(v, m);
    else if (w->kind == PM_MSG_COLLECT || w->kind == PM_MSG_ROUND || (w->kind == PM_MSG_ACCESS && w->op == PM_OP_PUSH))
        add_updates(v, m);
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

/* What a replica has collected and not sent: its delta, or what the logs of its node's workers hold. */
static const float *unsent(struct pm_node *node, pm_key key, const struct pm_slot *slot, float *room)
{
    uint32_t length = pm_length(node, key);
    if (!node->traits.worker_logs)
        return pm_slot_delta(&node->slots, slot, length);
    PM_ASSERT(length <= LENGTH_MAX);
    memset(room, 0, length * sizeof *room);
    pm_logs_add(node, key, room);
    return room;
}

/* Main copy, or unsent updates. */
static int add_value(struct invariants *v, struct pm_node *node, pm_key key, const struct pm_slot *slot,
                     struct pm_error *err)
{
    uint32_t length = pm_length(node, key);
    bool owned = slot->state == PM_SLOT_OWNED;
    if (!owned && node->slots.lazy && *pm_slot_merged(&node->slots, slot, length) == 0)
        return PM_OK;
    float room[LENGTH_MAX];
    const float *values = owned ? slot->value : unsent(node, key, slot, room);
    double first = (double)values[0] - (owned ? (double)testload_initial(key, 0) : 0);
    for (uint32_t j = 1; j < length; j++)
        if ((double)values[j] - (owned ? (double)testload_initial(key, j) : 0) != first)
            return broken(err, key, "elements of one value differ", first, (double)values[j]);
    v->tallies[key].found += first;
    if (node->policy->merge && owned)
        v->tallies[key].found += bounded_sums_first(pm_slot_private(&node->slots, slot));
    return PM_OK;
}

/* Exchanges of which the node has installed the result. */
static uint64_t installed(const struct pm_node *node)
{
    return node->exchange.round - node->exchange.active;
}

/* What was added to each element of a vector of the key; false when elements differ. */
static bool added_to(const struct pm_node *node, pm_key key, const float *values, double *added)
{
    *added = (double)values[0] - (double)testload_initial(key, 0);
    for (uint32_t j = 1; j < pm_length(node, key); j++)
        if ((double)values[j] - (double)testload_initial(key, j) != *added)
            return false;
    return true;
}

/* A copy of a state that is common to all nodes. Updates are in the newest common state, or at their node: not in its own state
 * yet, or, where that is the one before, not sent yet. */
static int add_copy(struct invariants *v, struct pm_node *node, pm_key key, const struct pm_slot *slot, struct pm_error *err)
{
    struct tally *t = &v->tallies[key];
    const uint32_t length = pm_length(node, key);
    const uint64_t behind = v->newest - installed(node);
    double common = 0, value = 0, unsent = 0;
    if (behind > 1)
        return broken(err, key, "results behind the newest, must be 1", (double)behind, node->config.id);
    if (slot) {
        if (!added_to(node, key, pm_slot_common(&node->slots, slot, length), &common) ||
            !added_to(node, key, slot->value, &value))
            return broken(err, key, "elements of one value differ", common, value);
        unsent = (double)pm_slot_delta(&node->slots, slot, length)[0];
    }
    if (t->has_common[behind] && t->common[behind] != common)
        return broken(err, key, "common states differ", t->common[behind], common);
    if (value - common < unsent)
        return broken(err, key, "a value lacks updates of its own node", value - common, unsent);
    if (behind == 0 && !t->has_common[0])
        t->found += common;
    t->has_common[behind] = true;
    t->common[behind] = common;
    t->found += behind == 0 ? value - common : unsent;
    return PM_OK;
}

/* Keys of a distribution that a node lists as readable here are those that are. */
static int check_listed(struct pm_node *node, pm_key key, const struct pm_slot *slot, struct pm_error *err)
{
    const struct pm_model *model = node->config.model;
    bool here = slot ? slot->state == PM_SLOT_OWNED || (slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_READY))
                     : pm_owner_at_start(node, key) == node->config.id || pm_replicated_at(node, key, node->config.id);
    for (uint32_t i = 0; node->local && i < model->n_distributions; i++) {
        if (pm_distribution_probability(model->distributions[i], key) <= 0)
            continue;
        bool listed = pm_local_has(node, i, key);
        if (listed != here)
            return broken(err, key, "is listed as readable here, and is", listed, here);
    }
    return PM_OK;
}

static int add_slot(struct invariants *v, struct pm_node *node, pm_key key, struct pm_error *err)
{
    const pm_node_id self = node->config.id;
    const struct pm_slot *slot = pm_slots_find(&node->slots, key);
    struct tally *t = &v->tallies[key];
    if (slot ? slot->state == PM_SLOT_OWNED : pm_owner_at_start(node, key) == self) {
        t->owners++;
        t->holder = self;
        t->version = slot ? slot->version : 0;
    }
    if (slot && slot->state == PM_SLOT_ARRIVING && pm_slot_successor(slot) != PM_NODE_NONE)
        note_next(v, key, self, pm_slot_successor(slot));
    if (pm_exchange_shared(node, key))
        return follows_sums(v, key) ? add_copy(v, node, key, slot, err) : PM_OK;
    bool has_value = slot && (slot->state == PM_SLOT_OWNED || slot->state == PM_SLOT_REPLICA);
    int code = check_listed(node, key, slot, err);
    if (code != PM_OK)
        return code;
    return has_value && follows_sums(v, key) ? add_value(v, node, key, slot, err) : PM_OK;
}

/* Pushes of one key among these waiting operations and requests. */
static double pushes_of(const struct pm_waiter *waiter, pm_key key)
{
    double sum = 0;
    for (; waiter; waiter = waiter->next) {
        if (waiter->key != key)
            continue;
        if (waiter->request)
            sum += waiter->request->wire.kind == PM_MSG_ACCESS && waiter->request->wire.op == PM_OP_PUSH
                       ? (double)*pm_message_values(waiter->request)
                       : 0;
        else if (waiter->kind == PM_OP_PUSH)
            sum += (double)*waiter->in;
    }
    return sum;
}

/* Operations of a worker that keep behind an unanswered one. */
static double pushes_behind(const struct pm_order *o, pm_key key)
{
    for (uint32_t at = (uint32_t)pm_hash64(key) & o->mask; o->table[at].key != PM_KEY_NONE; at = (at + 1) & o->mask)
        if (o->table[at].key == key)
            return pushes_of(o->table[at].first, key);
    return 0;
}

/* Deltas of one key that wait for its main copy. */
static void add_parked(struct invariants *v, const struct pm_waiter *waiter, pm_key key)
{
    for (; waiter; waiter = waiter->next)
        if (waiter->key == key && waiter->request && waiter->request->wire.kind == PM_MSG_ROUND)
            add_updates(v, waiter->request);
}

/* What waits at a node. */
static void add_waiting(struct invariants *v, struct pm_node *node, const pm_key *keys, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (!follows_sums(v, keys[i]))
            continue;
        uint32_t bucket = (uint32_t)(pm_hash64(keys[i]) % PM_QUEUE_BUCKETS);
        double *waits = &v->tallies[keys[i]].waits;
        if (node->arrivals.n) {
            *waits += pushes_of(node->arrivals.first[pm_hash64(keys[i]) % PM_ARRIVAL_BUCKETS], keys[i]);
            add_parked(v, node->arrivals.first[pm_hash64(keys[i]) % PM_ARRIVAL_BUCKETS], keys[i]);
        }
        if (node->queue.n_waiters)
            *waits += pushes_of(node->queue.buckets[bucket], keys[i]);
        for (uint32_t w = 0; w < node->config.workers && node->ordered; w++)
            if (node->workers[w].order->n)
                *waits += pushes_behind(node->workers[w].order, keys[i]);
    }
}

static int add_node(struct invariants *v, struct pm_node *node, const pm_key *keys, uint64_t n, struct pm_error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        int code = add_slot(v, node, keys[i], err);
        if (code != PM_OK)
            return code;
    }
    add_waiting(v, node, keys, n);
    for (struct pm_message *m = node->queue.deferred; m && node->queue.n_deferred; m = m->next)
        add_message(v, m);
    for (pm_node_id from = 0; from < v->nodes; from++)
        for (struct pm_message *m = node->rounds.early[from]; m; m = m->next)
            add_message(v, m);
    return PM_OK;
}

/* ---- what must hold ---------------------------------------------------------------------------------- */

static int check_owner(struct invariants *v, pm_key key, struct pm_error *err)
{
    const struct tally *t = &v->tallies[key];
    if (t->owners + t->transfers != 1)
        return broken(err, key, "owners and transfers, must be 1", t->owners, t->transfers);
    if (t->version < v->version[key])
        return broken(err, key, "version went back", (double)t->version, (double)v->version[key]);
    v->version[key] = t->version;
    return PM_OK;
}

/* Who waits for the key has asked once, nobody else has; and they get it one after another, up to the one whom the home
 * believes to own it. */
static int check_arrivals(struct invariants *v, struct memnet *net, pm_key key, struct pm_error *err)
{
    pm_node_id home = pm_owner_at_start(memnet_node(net, 0), key), last = v->tallies[key].holder;
    for (pm_node_id i = 0; i < v->nodes; i++) {
        const struct pm_slot *slot = pm_slots_find(&memnet_node(net, i)->slots, key);
        uint32_t arriving = slot && slot->state == PM_SLOT_ARRIVING, asked = v->asked[key * v->nodes + i];
        if (asked != arriving)
            return broken(err, key, arriving ? "is arriving at a node that has asked so often" : "asked for in vain, node",
                          arriving ? asked : i, 1);
    }
    for (uint32_t steps = 0; v->next[key * v->nodes + last] != PM_NODE_NONE; steps++) {
        if (steps == v->nodes)
            return broken(err, key, "goes round in a circle over node", last, home);
        last = v->next[key * v->nodes + last];
    }
    const struct pm_slot *slot = pm_slots_find(&memnet_node(net, home)->slots, key);
    pm_node_id named = !slot || slot->state == PM_SLOT_OWNED ? home : slot->location;
    return named == last ? PM_OK : broken(err, key, "home names another owner than its last", named, last);
}

static int check_sums(struct invariants *v, pm_key key, struct pm_error *err)
{
    const struct tally *t = &v->tallies[key];
    if (t->found > v->issued[key])
        return broken(err, key, "more was added than was pushed", t->found, v->issued[key]);
    if (t->found < v->completed[key])
        return broken(err, key, "less was added than was completed", t->found, v->completed[key]);
    if (t->found + t->waits != v->issued[key] && !v->sealed)
        return broken(err, key, "added and waiting updates are not those pushed", t->found + t->waits, v->issued[key]);
    return PM_OK;
}

static int check_keys(struct invariants *v, struct memnet *net, const pm_key *keys, uint64_t n, struct pm_error *err)
{
    const struct pm_traits *traits = &memnet_node(net, 0)->traits;
    const bool relocates = traits->relocates && !traits->grants;
    int code = PM_OK;
    v->net = net;
    v->layout = memnet_node(net, 0)->layout;
    for (uint64_t i = 0; i < n; i++) {
        v->looked_at[keys[i]] = true;
        v->tallies[keys[i]] = (struct tally){.holder = PM_NODE_NONE};
        memset(v->asked + keys[i] * v->nodes, 0, v->nodes * sizeof *v->asked);
        memset(v->next + keys[i] * v->nodes, 0xff, v->nodes * sizeof *v->next);
    }
    v->sealed = 0;
    v->newest = 0;
    for (pm_node_id i = 0; i < v->nodes; i++)
        if (installed(memnet_node(net, i)) > v->newest)
            v->newest = installed(memnet_node(net, i));
    memnet_visit_in_flight(net, add_message, v);
    for (pm_node_id i = 0; i < v->nodes && code == PM_OK; i++)
        code = add_node(v, memnet_node(net, i), keys, n, err);
    for (uint64_t i = 0; i < n && code == PM_OK; i++) {
        code = check_owner(v, keys[i], err);
        if (code == PM_OK && relocates)
            code = check_arrivals(v, net, keys[i], err);
        if (code == PM_OK && follows_sums(v, keys[i]))
            code = check_sums(v, keys[i], err);
    }
    for (uint64_t i = 0; i < n; i++)
        v->looked_at[keys[i]] = false;
    return code;
}

static int check_counters(struct memnet *net, struct pm_error *err)
{
    const struct pm_job *job = memnet_job(net);
    for (pm_node_id i = 0; i < job->nodes; i++)
        for (uint32_t w = 0; w < job->workers; w++) {
            const struct pm_counters *c = &pm_node_worker(memnet_node(net, i), w)->ctx.counters;
            uint64_t reads = 0, writes = 0;
            for (int how = 0; how < PM_HOWS; how++) {
                reads += c->reads[how];
                writes += c->writes[how];
            }
            if (reads != c->keys_asked[0] || writes != c->keys_asked[1])
                return pm_error_set(err, PM_E_INTERNAL,
                                    "worker %u of node %u: %" PRIu64 " reads for %" PRIu64 " keys, %" PRIu64
                                    " writes for %" PRIu64,
                                    w, i, reads, c->keys_asked[0], writes, c->keys_asked[1]);
        }
    return PM_OK;
}

int invariants_check(struct invariants *v, struct memnet *net, struct pm_error *err)
{
    v->skipped++;
    if (memnet_interrupted(net))
        return PM_OK; /* what an agent holds in its hands cannot be seen */
    int code;
    if (v->skipped >= v->every) {
        v->skipped = 0;
        code = check_counters(net, err);
        if (code == PM_OK)
            code = check_keys(v, net, v->all_keys, v->n_keys, err);
    } else {
        code = v->n_touched ? check_keys(v, net, v->touched_keys, v->n_touched, err) : PM_OK;
    }
    for (uint64_t i = 0; i < v->n_touched; i++)
        v->touched[v->touched_keys[i]] = false;
    v->n_touched = 0;
    return code;
}

static void count_updates(void *arg, struct pm_message *m)
{
    bool has_delta = m->wire.kind == PM_MSG_ROUND && m->wire.n_floats > 0;
    *(uint64_t *)arg += m->wire.kind == PM_MSG_ACCESS || m->wire.kind == PM_MSG_RELOCATE || m->wire.kind == PM_MSG_TRANSFER ||
                        has_delta || (m->wire.kind == PM_MSG_COLLECT && m->wire.updates != 0);
}

/* Where owners grant ownership, the home knows who owns the key when all is quiet. */
static int check_home(struct invariants *v, struct memnet *net, pm_key key, struct pm_error *err)
{
    const struct pm_node *home = memnet_node(net, pm_owner_at_start(memnet_node(net, 0), key));
    const struct pm_slot *slot = pm_slots_find(&home->slots, key);
    pm_node_id named = !slot || slot->state == PM_SLOT_OWNED ? home->config.id : slot->location;
    return named == v->tallies[key].holder ? PM_OK : broken(err, key, "drained, but its home names another owner", named,
                                                            v->tallies[key].holder);
}

/* Where owners grant ownership: when all is quiet they believe nobody to be interested who has no replica. */
static int check_interest(struct invariants *v, struct memnet *net, pm_key key, struct pm_error *err)
{
    struct pm_node *owner = memnet_node(net, v->tallies[key].holder);
    const struct pm_slot *slot = pm_slots_find(&owner->slots, key);
    for (pm_node_id i = 0; slot && i < v->nodes; i++) {
        const struct pm_slot *there = pm_slots_find(&memnet_node(net, i)->slots, key);
        bool replica = there && there->state == PM_SLOT_REPLICA;
        if (!replica && adaps_is_interested(pm_slot_private(&owner->slots, slot), i))
            return broken(err, key, "drained, but its owner believes a node without replica to be interested", i, 0);
    }
    return PM_OK;
}

/* After all that: no key is on its way, nothing waits. */
static int check_rest(struct invariants *v, struct memnet *net, struct pm_error *err)
{
    for (pm_node_id i = 0; i < v->nodes; i++) {
        const struct pm_node *node = memnet_node(net, i);
        uint64_t waits = node->arrivals.n + node->queue.n_waiters + node->queue.n_deferred;
        for (uint32_t w = 0; w < node->config.workers; w++)
            waits += node->workers[w].order->n;
        if (waits)
            return pm_error_set(err, PM_E_INTERNAL, "%" PRIu64 " operations wait at node %u after a drain", waits, i);
    }
    for (pm_key key = 0; key < v->n_keys; key++) {
        if (v->tallies[key].owners != 1)
            return broken(err, key, "drained, but nobody owns it", v->tallies[key].owners, 1);
        if (follows_sums(v, key) && v->tallies[key].found != v->issued[key])
            return broken(err, key, "drained, but not all pushes were added", v->tallies[key].found, v->issued[key]);
        const bool grants = memnet_node(net, 0)->traits.grants;
        int code = grants ? check_home(v, net, key, err) : PM_OK;
        if (code == PM_OK && grants)
            code = check_interest(v, net, key, err);
        if (code != PM_OK)
            return code;
    }
    return PM_OK;
}

int invariants_check_quiet(struct invariants *v, struct memnet *net, struct pm_error *err)
{
    uint64_t in_flight = 0;
    memnet_visit_in_flight(net, count_updates, &in_flight);
    if (in_flight)
        return pm_error_set(err, PM_E_INTERNAL,
                            "%" PRIu64 " messages with updates are in flight after a drain", in_flight);
    v->skipped = v->every;
    int code = invariants_check(v, net, err);
    return code == PM_OK ? check_rest(v, net, err) : code;
}
