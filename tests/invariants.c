/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold in a whole cluster between any two events. */
#include "tests/invariants.h"

#include <inttypes.h>

#include "core/internal.h"
#include "tests/testload.h"

static int broken(struct pm_error *err, pm_key key, const char *what, double found, double bound)
{
    return pm_error_set(err, PM_E_INTERNAL, "key %" PRIu64 ": %s (%.9g, %.9g)", key, what, found, bound);
}

static int check_owner(struct invariants *v, struct memnet *net, pm_key key, struct pm_error *err)
{
    uint32_t owners = 0;
    uint64_t version = 0;
    for (pm_node_id i = 0; i < memnet_job(net)->nodes; i++) {
        struct pm_node *node = memnet_node(net, i);
        const struct pm_slot *slot = pm_slots_find(&node->slots, key);
        owners += slot ? slot->state == PM_SLOT_OWNED : pm_owner_at_start(node, key) == i;
        if (slot && slot->state == PM_SLOT_OWNED)
            version = slot->version;
    }
    if (owners != 1)
        return broken(err, key, "owners, must be 1", owners, 1);
    if (version < v->version[key])
        return broken(err, key, "version went back", (double)version, (double)v->version[key]);
    v->version[key] = version;
    return PM_OK;
}

/* Main copy and unsent deltas of one key at one node. */
static int add_slot(struct invariants *v, struct pm_node *node, pm_key key, struct pm_error *err)
{
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot || slot->state == PM_SLOT_ABSENT)
        return PM_OK;
    uint32_t length = pm_length(node, key);
    bool owned = slot->state == PM_SLOT_OWNED;
    const float *values = owned ? slot->value : pm_slot_delta(&node->slots, slot, length);
    double first = (double)values[0] - (owned ? testload_initial(key, 0) : 0);
    for (uint32_t j = 1; j < length; j++)
        if ((double)values[j] - (owned ? testload_initial(key, j) : 0) != first)
            return broken(err, key, "elements of one value differ", first, (double)values[j]);
    v->found[key] += first;
    return PM_OK;
}

/* Pushes and deltas of a message that was not handled. */
static void add_message(void *arg, struct pm_message *m)
{
    struct invariants *v = arg;
    const struct pm_wire *w = &m->wire;
    bool pushes = w->kind == PM_MSG_ACCESS && w->op == PM_OP_PUSH;
    if (!pushes && w->kind != PM_MSG_COLLECT && w->kind != PM_MSG_ROUND)
        return;
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_message_meta(m);
    const float *values = pm_message_values(m);
    uint32_t n_deltas = 0;
    for (uint32_t i = 0; i < w->n_keys; i++)
        n_deltas += w->kind != PM_MSG_ROUND || (flags[i] & PM_ROUND_DELTA);
    for (uint32_t i = 0; i < w->n_keys && n_deltas; i++) {
        if (w->kind == PM_MSG_ROUND && !(flags[i] & PM_ROUND_DELTA))
            continue;
        v->found[keys[i]] += (double)values[0];
        values += pm_layout_length(v->layout, keys[i]);
    }
}

static int check_sums(struct invariants *v, struct memnet *net, struct pm_error *err)
{
    memset(v->found, 0, v->n_keys * sizeof *v->found);
    v->layout = memnet_node(net, 0)->layout;
    for (pm_node_id i = 0; i < memnet_job(net)->nodes; i++) {
        struct pm_node *node = memnet_node(net, i);
        for (pm_key key = 0; key < v->n_keys; key++) {
            int code = add_slot(v, node, key, err);
            if (code != PM_OK)
                return code;
        }
    }
    memnet_visit_in_flight(net, add_message, v);
    for (pm_node_id i = 0; i < memnet_job(net)->nodes; i++)
        for (pm_node_id from = 0; from < memnet_job(net)->nodes; from++)
            for (struct pm_message *m = memnet_node(net, i)->rounds.early[from]; m; m = m->next)
                add_message(v, m);
    for (pm_key key = 0; key < v->n_keys; key++) {
        if (v->found[key] > v->issued[key])
            return broken(err, key, "more was added than was pushed", v->found[key], v->issued[key]);
        if (v->found[key] < v->completed[key])
            return broken(err, key, "less was added than was completed", v->found[key], v->completed[key]);
    }
    return PM_OK;
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
    int code = check_counters(net, err);
    if (code != PM_OK || ++v->skipped < v->every)
        return code;
    v->skipped = 0;
    for (pm_key key = 0; key < v->n_keys && code == PM_OK; key++)
        code = check_owner(v, net, key, err);
    if (code == PM_OK && v->issued)
        code = check_sums(v, net, err);
    return code;
}

static void count_updates(void *arg, struct pm_message *m)
{
    *(uint64_t *)arg += m->wire.kind == PM_MSG_ACCESS || m->wire.updates != 0;
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
    for (pm_key key = 0; v->issued && key < v->n_keys && code == PM_OK; key++)
        if (v->found[key] != v->issued[key])
            code = broken(err, key, "drained, but not all pushes were added", v->found[key], v->issued[key]);
    return code;
}
