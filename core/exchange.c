/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collective exchange: what both kinds share, and exchange over owner hubs (by all-reduce: core/allreduce.c).
 *
 * Over hubs every node sends the deltas of its replicas to their owners (COLLECT); an owner that has those of all nodes sends
 * its changed main copies to all (SPREAD); a node that has those of all nodes is done.
 *
 * A node takes part as soon as it has something to exchange or hears of a COLLECT, so that a round needs no coordinator and
 * idle nodes cost one empty message per peer and half. Since a replica ships its delta once per round and the round's SPREAD
 * includes it, a replica's value is that of the SPREAD plus what it collected since. A fast node may be a round ahead:
 * its COLLECT is applied at once and counted for its round, by parity. */
#include "core/builder.h"

int pm_exchange_init(struct pm_node *node)
{
    struct pm_exchange *x = &node->exchange;
    x->collect_of = calloc(node->config.nodes, sizeof *x->collect_of);
    x->spread_of = calloc(node->config.nodes, sizeof *x->spread_of);
    pm_allreduce_init(node);
    return x->collect_of && x->spread_of ? PM_OK : PM_E_MEMORY;
}

void pm_exchange_fini(struct pm_node *node)
{
    free(node->exchange.collect_of);
    free(node->exchange.spread_of);
    pm_allreduce_fini(node);
}

void pm_exchange_begun(struct pm_ctx *ctx)
{
    struct pm_exchange *x = &ctx->node->exchange;
    x->active = true;
    x->round++;
    x->started_ns = pm_now_ns(ctx);
    x->generation = pm_fresh_begin(ctx);
}

void pm_exchange_over(struct pm_ctx *ctx)
{
    struct pm_exchange *x = &ctx->node->exchange;
    x->active = false;
    __atomic_store_n(&x->installed, x->generation, __ATOMIC_RELEASE);
    pm_count(&ctx->counters.rounds, 1);
    pm_record(ctx, PM_Q_ROUND, pm_now_ns(ctx) - x->started_ns);
}

uint32_t pm_exchange_take(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, float *out)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_length(node, key), stored = pm_stored(node, key);
    float *delta = pm_slot_delta(&node->slots, slot, length);
    uint32_t *merged = pm_slot_merged(&node->slots, slot, length), updates = *merged;
    *merged = 0;
    slot->flags &= (uint8_t)~PM_SLOT_DIRTY;
    pm_copy(out, delta, stored);
    pm_clip(ctx, out, stored);
    pm_vector_zero(delta, stored);
    return updates;
}

/* Messages of one half to one node are cut at max_message; the last one is marked, and goes out even when empty. */
struct batch {
    struct pm_ctx *ctx;
    enum pm_message_kind kind;
    uint64_t round;
};

static struct pm_message *half_message(struct batch *b, const pm_key *keys, uint32_t n, bool last)
{
    const struct pm_node *node = b->ctx->node;
    struct pm_shape shape = {.n_keys = n, .with_values = node->config.with_values};
    for (uint32_t i = 0; i < n; i++)
        shape.n_floats += pm_length(node, keys[i]);
    struct pm_message *m = pm_message_new(b->kind, &shape);
    PM_ASSERT(m, "out of memory for an exchange of %u keys", n);
    if (n)
        memcpy(pm_message_keys(m), keys, n * sizeof *keys);
    m->wire.origin = node->config.id;
    m->wire.number = b->round;
    m->wire.sub = last;
    return m;
}

uint32_t pm_exchange_fitting(const struct pm_node *node, const pm_key *keys, size_t n)
{
    uint64_t bytes = PM_WIRE_BYTES;
    uint32_t i = 0;
    for (; i < n; i++) {
        bytes += sizeof(pm_key) + 4ull * pm_length(node, keys[i]);
        if (i && bytes > node->config.max_message)
            break;
    }
    return i;
}

/* Moves the deltas of these keys into the message. */
static void fill_deltas(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_node *node = ctx->node;
    const pm_key *keys = pm_message_keys(m);
    float *values = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        pm_slot_lock(&node->slots, slot);
        m->wire.updates += pm_exchange_take(ctx, keys[i], slot, values);
        pm_slot_unlock(&node->slots, slot);
        values += pm_stored(node, keys[i]);
    }
}

/* Sends one node its part of the deltas. */
static void collect_to(struct batch *b, pm_node_id to, const pm_key *keys, size_t n)
{
    size_t done = 0;
    do {
        uint32_t count = pm_exchange_fitting(b->ctx->node, keys + done, n - done);
        struct pm_message *m = half_message(b, keys + done, count, done + count == n);
        fill_deltas(b->ctx, m);
        pm_emit(b->ctx, m, to);
        done += count;
    } while (done < n);
}

/* First half: all dirty replicas, sorted by owner in the order of their marking. */
static void send_collect(struct batch *b)
{
    struct pm_ctx *ctx = b->ctx;
    struct pm_node *node = ctx->node;
    struct pm_scratch *s = ctx->scratch;
    pm_key *keys;
    size_t n = pm_take(node, &node->dirty, &keys);
    pm_key *sorted = malloc((n ? n : 1) * sizeof *sorted);
    PM_ASSERT(sorted && pm_group_reserve(s, n) == PM_OK, "out of memory");
    for (size_t i = 0; i < n; i++)
        pm_group_add(s, (uint32_t)i, pm_owner_at_start(node, keys[i]));
    for (pm_node_id to = 0; to < node->config.nodes; to++) {
        size_t of_node = 0;
        for (uint32_t i = s->head[to]; i != UINT32_MAX; i = s->next[i])
            sorted[of_node++] = keys[i];
        if (to != node->config.id)
            collect_to(b, to, sorted, of_node);
    }
    pm_group_clear(s);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
    free(sorted);
    free(keys);
}

static void fill_values(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_node *node = ctx->node;
    const pm_key *keys = pm_message_keys(m);
    float *values = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        uint32_t stored = pm_stored(node, keys[i]);
        pm_slot_lock(&node->slots, slot);
        slot->flags &= (uint8_t)~PM_SLOT_CHANGED;
        pm_copy(values, slot->value, stored);
        pm_slot_unlock(&node->slots, slot);
        values += stored;
    }
}

static struct pm_message *duplicate(const struct pm_message *m)
{
    struct pm_message *copy = pm_message_raw(m->stored_bytes);
    PM_ASSERT(copy, "out of memory");
    memcpy(&copy->wire, &m->wire, m->stored_bytes);
    return copy;
}

/* Second half: all changed main copies, to every other node. */
static void send_spread(struct batch *b)
{
    struct pm_ctx *ctx = b->ctx;
    struct pm_node *node = ctx->node;
    pm_key *keys;
    size_t n = pm_take(node, &node->changed, &keys), done = 0;
    do {
        uint32_t count = pm_exchange_fitting(node, keys + done, n - done);
        struct pm_message *m = half_message(b, keys + done, count, done + count == n);
        fill_values(ctx, m);
        for (uint32_t i = 1; i < node->config.nodes; i++) {
            bool last = i + 1 == node->config.nodes;
            pm_emit(ctx, last ? m : duplicate(m), (node->config.id + i) % node->config.nodes);
        }
        done += count;
    } while (done < n);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
    free(keys);
}

/* Under the exchange latch: whatever the counts allow next. */
static void advance(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_exchange *x = &node->exchange;
    uint32_t peers = node->config.nodes - 1;
    if (x->active && !x->spread && x->collected[x->round & 1] == peers) {
        x->collected[x->round & 1] = 0;
        x->spread = true;
        send_spread(&(struct batch){.ctx = ctx, .kind = PM_MSG_SPREAD, .round = x->round});
    }
    if (x->active && x->spread && x->spread_in == peers) {
        x->spread = false;
        x->spread_in = 0;
        pm_exchange_over(ctx);
    }
}

static void begin(struct pm_ctx *ctx)
{
    pm_exchange_begun(ctx);
    send_collect(&(struct batch){.ctx = ctx, .kind = PM_MSG_COLLECT, .round = ctx->node->exchange.round});
    advance(ctx);
}

/* Under the exchange latch: a faster peer has begun the next round already. */
static void join_next(struct pm_ctx *ctx)
{
    struct pm_exchange *x = &ctx->node->exchange;
    if (!x->active && x->collected[(x->round + 1) & 1])
        begin(ctx);
}

static bool anything(struct pm_node *node, struct pm_key_list *list)
{
    pm_lock(node, &list->latch);
    bool some = list->n != 0;
    pm_unlock(node, &list->latch);
    return some;
}

void pm_exchange(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    PM_ASSERT(node->traits.exchange != PM_EXCHANGE_NONE, "the policy does not say how it exchanges");
    if (node->config.nodes == 1)
        return;
    pm_lock(node, &node->exchange.latch);
    if (!node->exchange.active && (anything(node, &node->dirty) || anything(node, &node->changed))) {
        if (node->traits.exchange == PM_EXCHANGE_HUB)
            begin(ctx);
        else
            pm_allreduce_begin(ctx);
    }
    pm_unlock(node, &node->exchange.latch);
}

/* ---- received halves ---- */

static void apply_collect(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_node *node = ctx->node;
    const pm_key *keys = pm_message_keys(m);
    const float *delta = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        if (!slot)
            PM_ASSERT(pm_slot_make(node, keys[i], &slot) == PM_OK && slot, "out of memory");
        pm_slot_lock(&node->slots, slot);
        pm_apply_owned(ctx, keys[i], slot, delta, PM_OP_PUSH);
        pm_slot_unlock(&node->slots, slot);
        delta += pm_stored(node, keys[i]);
    }
    pm_count(&ctx->counters.updates_applied, m->wire.updates);
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
}

static void apply_spread(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_node *node = ctx->node;
    const pm_key *keys = pm_message_keys(m);
    const float *values = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        if (!slot)
            PM_ASSERT(pm_slot_make(node, keys[i], &slot) == PM_OK && slot, "out of memory");
        uint32_t length = pm_length(node, keys[i]), stored = pm_stored(node, keys[i]);
        pm_slot_lock(&node->slots, slot);
        pm_copy(slot->value, values, stored);
        pm_add(slot->value, pm_slot_delta(&node->slots, slot, length), stored);
        slot->version = m->wire.number;
        pm_slot_unlock(&node->slots, slot);
        values += stored;
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
}

static int check_half(const struct pm_node *node, struct pm_message *m, bool collect, struct pm_error *err)
{
    const pm_key *keys = pm_message_keys(m);
    const struct pm_exchange *x = &node->exchange;
    pm_node_id from = m->wire.source, self = node->config.id;
    bool next = m->wire.number == x->round + 1 && collect;
    if (node->traits.exchange != PM_EXCHANGE_HUB)
        return pm_bad(err, m, "kind");
    if (from == self || m->wire.sub > 1 || !(next || (m->wire.number == x->round && x->active)) ||
        m->wire.number != (collect ? x->collect_of : x->spread_of)[from] + 1)
        return pm_bad(err, m, "number");
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (keys[i] >= node->layout->n_keys || pm_owner_at_start(node, keys[i]) != (collect ? self : from) ||
            !pm_replicated_at(node, keys[i], collect ? from : self))
            return pm_bad(err, m, "key");
    }
    return pm_check_keys(node, m, false, err);
}

int pm_handle_collect(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_exchange *x = &ctx->node->exchange;
    pm_lock(ctx->node, &x->latch);
    int rc = check_half(ctx->node, m, true, err);
    if (rc == PM_OK) {
        apply_collect(ctx, m);
        x->collected[m->wire.number & 1] += m->wire.sub;
        x->collect_of[m->wire.source] += m->wire.sub;
        if (!x->active)
            begin(ctx);
        advance(ctx);
        join_next(ctx);
        pm_message_free(m);
    }
    pm_unlock(ctx->node, &x->latch);
    return rc;
}

int pm_handle_spread(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_exchange *x = &ctx->node->exchange;
    pm_lock(ctx->node, &x->latch);
    int rc = check_half(ctx->node, m, false, err);
    if (rc == PM_OK) {
        apply_spread(ctx, m);
        x->spread_in += m->wire.sub;
        x->spread_of[m->wire.source] += m->wire.sub;
        advance(ctx);
        join_next(ctx);
        pm_message_free(m);
    }
    pm_unlock(ctx->node, &x->latch);
    return rc;
}
