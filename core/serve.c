/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The owner's side of accesses: serve, defer or forward each key of a request. */
#include <stdlib.h>

#include "core/builder.h"
#include "core/versions.h"

/* What becomes of a request. The reply is made for all keys at once; when one cannot be served it turns into an indexed
 * reply of the others, and the rest goes into requests of its own. */
struct pm_located {
    pm_node_id owner;
    uint32_t counter;
};
struct serving {
    struct pm_ctx *ctx;
    struct pm_message *m, *reply;
    uint32_t n_served, n_floats, n_applied;
    uint32_t *served;     /* indices into m's keys, once partial */
    pm_node_id *elsewhere; /* per key, once partial: PM_NODE_NONE served or awaited, self deferred, else next hop */
    struct pm_located *known; /* per key, once partial, where owners grant ownership: who owns it as far as is known here */
    bool partial;
};

static uint32_t entry_number(struct pm_message *m, uint32_t i)
{
    const uint32_t *numbers = pm_message_meta(m);
    return (m->wire.flags & PM_FLAG_INDEXED) ? numbers[i] : m->wire.first + i;
}

/* A message that takes over who asked for what from `from`. */
static struct pm_message *derive(enum pm_message_kind kind, const struct pm_shape *shape, const struct pm_message *from)
{
    struct pm_message *m = pm_message_new(kind, shape);
    PM_ASSERT(m, "out of memory for a message of %u keys", shape->n_keys);
    m->wire.flags |= from->wire.flags & PM_FLAG_MODEL;
    m->wire.op = from->wire.op;
    m->wire.origin = from->wire.origin;
    m->wire.request = from->wire.request;
    m->wire.worker = from->wire.worker;
    m->wire.number = from->wire.number;
    m->wire.hop = from->wire.hop;
    return m;
}

static struct pm_message *whole_reply(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_shape shape = {.n_keys = m->wire.n_keys,
                             .indexed = m->wire.flags & PM_FLAG_INDEXED,
                             .located = pm_replies_located(ctx->node),
                             .with_values = ctx->node->config.with_values};
    if (m->wire.op == PM_OP_PULL) {
        const pm_key *keys = pm_message_keys(m);
        for (uint32_t i = 0; i < m->wire.n_keys; i++)
            shape.n_floats += pm_length(ctx->node, keys[i]);
    }
    struct pm_message *reply = derive(PM_MSG_REPLY, &shape, m);
    reply->wire.first = m->wire.first;
    if (shape.indexed)
        memcpy(pm_message_meta(reply), pm_message_meta(m), m->wire.n_keys * sizeof(uint32_t));
    return reply;
}

static void become_partial(struct serving *s, uint32_t i)
{
    if (s->partial)
        return;
    s->partial = true;
    s->served = malloc(s->m->wire.n_keys * sizeof *s->served);
    s->elsewhere = malloc(s->m->wire.n_keys * sizeof *s->elsewhere);
    s->known = s->ctx->node->traits.grants ? malloc(s->m->wire.n_keys * sizeof *s->known) : NULL;
    PM_ASSERT(s->served && s->elsewhere && (s->known || !s->ctx->node->traits.grants),
              "out of memory for a request of %u keys", s->m->wire.n_keys);
    for (uint32_t k = 0; k < i; k++) {
        s->served[k] = k;
        s->elsewhere[k] = PM_NODE_NONE;
    }
}

/* May the owned slot answer now? Under the latch. */
static bool may_serve(struct serving *s, pm_key key, const struct pm_slot *slot)
{
    const struct pm_node *node = s->ctx->node;
    uint64_t stamp = 0;
    if (s->m->wire.op != PM_OP_PULL || (s->m->wire.flags & PM_FLAG_MODEL) || !node->policy->serve)
        return true;
    return node->policy->serve(s->ctx, node->policy_state, key, slot, s->m->wire.origin, s->m->wire.number,
                               &stamp) == PM_SERVE_VALUE;
}

/* A request of key i alone, whose values (of a push) are at `in`. */
static struct pm_message *single(struct serving *s, uint32_t i, pm_key key, const float *in)
{
    bool values = s->m->wire.op != PM_OP_PULL;
    struct pm_shape shape = {.n_keys = 1,
                             .n_floats = values ? pm_length(s->ctx->node, key) : 0,
                             .indexed = true,
                             .with_values = s->ctx->node->config.with_values};
    struct pm_message *m = derive(PM_MSG_ACCESS, &shape, s->m);
    m->wire.source = s->m->wire.source;
    m->wire.flags |= s->m->wire.flags & PM_FLAG_UNCHARGED;
    *pm_message_keys(m) = key;
    *(uint32_t *)pm_message_meta(m) = entry_number(s->m, i);
    pm_copy(pm_message_values(m), in, values ? pm_stored(s->ctx->node, key) : 0);
    return m;
}

/* Under the latch of an arriving slot. */
static void await(struct serving *s, uint32_t i, pm_key key, struct pm_slot *slot, const float *in)
{
    struct pm_waiter *w = calloc(1, sizeof *w);
    PM_ASSERT(w, "out of memory for a waiting request");
    w->key = key;
    w->request = single(s, i, key, in);
    pm_arrivals_add(s->ctx, slot, w);
}

/* Under the latch: does the message say that the key, which is not here, is on its way here? */
static bool is_coming(struct serving *s, uint32_t i, pm_key key, struct pm_slot *slot)
{
    struct pm_message *m = s->m;
    return (m->wire.flags & PM_FLAG_LOCATED) &&
           pm_owner_hear(s->ctx, key, slot, pm_entry_owners(m)[i], pm_entry_counters(m)[i]);
}

/* The slot of a key of the request; NULL: nothing is known of it here. */
static struct pm_slot *slot_of(struct serving *s, pm_key key)
{
    struct pm_node *node = s->ctx->node;
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot)
        PM_ASSERT(pm_slot_make(node, key, &slot) == PM_OK, "out of memory for a slot");
    if (!slot && (s->m->wire.flags & PM_FLAG_LOCATED)) {
        slot = pm_slots_get(&node->slots, key);
        PM_ASSERT(slot, "out of memory for a slot");
    }
    return slot;
}

/* Under the latch, if there is a slot: key i goes elsewhere, or waits here. */
static void pass_by(struct serving *s, uint32_t i, const struct pm_slot *slot, pm_node_id to)
{
    become_partial(s, i);
    s->elsewhere[i] = to;
    if (s->known)
        s->known[i] = slot ? (struct pm_located){slot->location, slot->relocations} : (struct pm_located){PM_NODE_NONE, 0};
}

/* Under the latch of an owned slot. */
static void serve_owned(struct serving *s, uint32_t i, pm_key key, struct pm_slot *slot, const float *in)
{
    struct pm_node *node = s->ctx->node;
    float *out = pm_message_values(s->reply) + (node->config.with_values ? s->n_floats : 0);
    struct pm_access access = {.kind = s->m->wire.op, .number = s->m->wire.number, .out = out, .in = in};
    s->n_applied += pm_serve_local(s->ctx, key, slot, &access);
    if (s->reply->wire.flags & PM_FLAG_LOCATED)
        pm_entry_counters(s->reply)[s->n_served] = slot->relocations;
    if (s->partial) {
        s->served[s->n_served] = i;
        s->elsewhere[i] = PM_NODE_NONE;
    }
    s->n_served++;
    if (s->m->wire.op == PM_OP_PULL)
        s->n_floats += pm_length(node, key);
}

/* Under the latch, if there is a slot: serves key i, whose values (of a push) are at `in`, or notes where it goes instead. An
 * owned one is served if `may`. */
static void serve_key(struct serving *s, uint32_t i, pm_key key, struct pm_slot *slot, const float *in, bool may)
{
    if (slot && slot->state == PM_SLOT_OWNED) {
        if (may)
            serve_owned(s, i, key, slot, in);
        else
            pass_by(s, i, slot, s->ctx->node->config.id);
    } else if (slot && slot->state == PM_SLOT_ARRIVING) {
        await(s, i, key, slot, in);
        pass_by(s, i, slot, PM_NODE_NONE);
    } else if (slot && is_coming(s, i, key, slot)) {
        pm_park(s->ctx, key, slot, single(s, i, key, in));
        pass_by(s, i, slot, PM_NODE_NONE);
    } else {
        pass_by(s, i, slot, pm_next_hop(s->ctx, key, slot, s->m->wire.hop + 1u));
    }
}

/* Serves a key that the request names from the i-th on one or several times. They go one way, in order: under one latch, by one
 * answer of the policy. Returns how many they are. */
static uint32_t serve_repeats(struct serving *s, uint32_t i, const pm_key *keys, const float *in)
{
    struct pm_node *node = s->ctx->node;
    const pm_key key = keys[i];
    struct pm_slot *slot = slot_of(s, key);
    uint32_t n = 0;
    if (slot)
        pm_slot_lock(&node->slots, slot);
    const bool may = slot && slot->state == PM_SLOT_OWNED && may_serve(s, key, slot);
    do
        serve_key(s, i + n, key, slot, in + (s->m->wire.op == PM_OP_PULL ? 0 : n * (size_t)pm_stored(node, key)), may);
    while (++n + i < s->m->wire.n_keys && keys[i + n] == key);
    if (slot)
        pm_slot_unlock(&node->slots, slot);
    return n;
}

/* The reply of a request of which only some keys were served. */
static struct pm_message *partial_reply(struct serving *s)
{
    struct pm_shape shape = {.n_keys = s->n_served,
                             .n_floats = s->n_floats,
                             .indexed = true,
                             .located = s->reply->wire.flags & PM_FLAG_LOCATED,
                             .with_values = s->ctx->node->config.with_values};
    struct pm_message *reply = derive(PM_MSG_REPLY, &shape, s->m);
    uint32_t *numbers = pm_message_meta(reply);
    for (uint32_t i = 0; i < s->n_served; i++)
        numbers[i] = entry_number(s->m, s->served[i]);
    if (shape.located)
        memcpy(pm_entry_counters(reply), pm_entry_counters(s->reply), s->n_served * sizeof *numbers);
    if (shape.with_values)
        memcpy(pm_message_values(reply), pm_message_values(s->reply), s->n_floats * sizeof(float));
    return reply;
}

/* A request of the keys that go to `to`. */
static struct pm_message *rest_for(struct serving *s, pm_node_id to)
{
    struct pm_node *node = s->ctx->node;
    pm_key *keys = pm_message_keys(s->m);
    bool values = s->m->wire.op != PM_OP_PULL;
    struct pm_shape shape = {
        .indexed = true, .located = s->known && to != node->config.id, .with_values = node->config.with_values};
    for (uint32_t i = 0; i < s->m->wire.n_keys; i++) {
        if (s->elsewhere[i] != to)
            continue;
        shape.n_keys++;
        shape.n_floats += values ? pm_length(node, keys[i]) : 0;
    }
    struct pm_message *rest = derive(PM_MSG_ACCESS, &shape, s->m);
    pm_key *rest_keys = pm_message_keys(rest);
    uint32_t *numbers = pm_message_meta(rest);
    float *out = pm_message_values(rest);
    const float *in = pm_message_values(s->m);
    for (uint32_t i = 0, r = 0; i < s->m->wire.n_keys; i++) {
        uint32_t length = values ? pm_stored(node, keys[i]) : 0;
        if (s->elsewhere[i] == to) {
            if (shape.located) {
                pm_entry_owners(rest)[r] = s->known[i].owner;
                pm_entry_counters(rest)[r] = s->known[i].counter;
            }
            rest_keys[r] = keys[i];
            numbers[r++] = entry_number(s->m, i);
            pm_copy(out, in, length);
            out += length;
        }
        in += length;
    }
    return rest;
}

/* Forwards or defers every key that was not served, one message per next hop. */
static void pass_on(struct serving *s)
{
    struct pm_node *node = s->ctx->node;
    for (uint32_t i = 0; i < s->m->wire.n_keys; i++) {
        pm_node_id to = s->elsewhere[i];
        if (to == PM_NODE_NONE)
            continue;
        struct pm_message *rest = rest_for(s, to);
        for (uint32_t k = i; k < s->m->wire.n_keys; k++)
            if (s->elsewhere[k] == to)
                s->elsewhere[k] = PM_NODE_NONE;
        if (to == node->config.id) {
            rest->wire.source = s->m->wire.source;
            pm_queue_defer(s->ctx, rest);
            continue;
        }
        rest->wire.hop++;
        pm_emit(s->ctx, rest, to);
    }
}

void pm_serve_request(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, struct pm_message *m)
{
    const struct pm_wire *w = &m->wire;
    const bool before = ctx->uncharged, pull = w->op == PM_OP_PULL;
    const uint32_t length = pm_length(ctx->node, key);
    PM_ASSERT(w->n_keys == 1 && !pm_replies_located(ctx->node));
    ctx->uncharged = w->flags & PM_FLAG_UNCHARGED;
    struct pm_entry_place place = {
        .kind = PM_MSG_REPLY, .to = w->origin, .need = w->number, .floats = pull ? length : 0};
    place.name = (struct pm_op_name){w->request, w->worker, w->op, w->flags & PM_FLAG_MODEL};
    struct pm_access access = {.kind = w->op, .number = w->number, .in = pm_message_values(m)};
    access.out = pm_builder_add(ctx, pm_builder_for(ctx, &place), key, &(struct pm_entry_meta){.flags = entry_number(m, 0)},
                                NULL, pull);
    if (pm_serve_local(ctx, key, slot, &access) && !ctx->uncharged)
        pm_count(&ctx->counters.updates_applied, 1);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, length);
    pm_message_free(m);
    ctx->uncharged = before;
}

static int check_access(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    const struct pm_wire *w = &m->wire;
    if (w->op >= PM_OP_KINDS)
        return pm_bad(err, m, "op");
    if (w->origin >= node->config.nodes)
        return pm_bad(err, m, "origin");
    if (w->hop >= PM_HOPS_MAX)
        return pm_bad(err, m, "hop");
    if (w->n_keys == 0)
        return pm_bad(err, m, "n_keys");
    if ((w->flags & PM_FLAG_LOCATED) && !node->traits.grants)
        return pm_bad(err, m, "flags");
    return pm_check_keys(node, m, w->op == PM_OP_PULL, err);
}

int pm_handle_access(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    int rc = check_access(node, m, err);
    if (rc != PM_OK)
        return rc;
    uint64_t kicks = pm_kicks(node);
    struct serving s = {.ctx = ctx, .m = m, .reply = whole_reply(ctx, m)};
    const pm_key *keys = pm_message_keys(m);
    const float *in = pm_message_values(m);
    for (uint32_t i = 0, n; i < m->wire.n_keys; i += n) {
        n = serve_repeats(&s, i, keys, in);
        if (m->wire.op != PM_OP_PULL)
            in += n * (size_t)pm_stored(node, keys[i]);
    }
    if (m->wire.op == PM_OP_PUSH && !ctx->uncharged)
        pm_count(&ctx->counters.updates_applied, s.n_applied);
    pm_charge(ctx, PM_CHARGE_SERVE, 1, s.n_served, m->wire.op == PM_OP_PULL ? s.n_floats : m->wire.n_floats);
    if (s.partial) {
        struct pm_message *part = s.n_served ? partial_reply(&s) : NULL;
        pm_message_free(s.reply);
        s.reply = part;
        pass_on(&s);
        free(s.served);
        free(s.elsewhere);
        free(s.known);
    }
    if (s.reply)
        pm_emit(ctx, s.reply, m->wire.origin);
    pm_message_free(m);
    if (s.partial && pm_kicks(node) != kicks)
        pm_kick(ctx); /* one came between a question and the queueing */
    return PM_OK;
}
