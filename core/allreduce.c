/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collective exchange by sparse all-reduce: lists of (key, sum of deltas), sorted by key, are merged in a butterfly.
 *
 * Of N nodes the first 2^m <= N form the butterfly: in step s = 1..m node i and node i xor 2^(s-1) send each other what they have
 * and add the two lists up, by which both get the same bits. Each further node is the guest of the node with its number less 2^m:
 * its list goes there in step 0, and the result comes back in step m + 1. So updates are grouped alike wherever they are added,
 * and all nodes have the same sums, bit for bit.
 *
 * All copies of a key, the main copy among them, have one state in common. The result of a round is added to it at every node;
 * a copy's value is that state plus the updates of its own node that are not in it yet.
 *
 * A node takes part as soon as it has something to exchange or hears of a round; one that has begun tells its guest (step m + 2,
 * empty) if that has not sent its list yet. The partners of a node may be a round ahead: what comes of the next round is kept, by
 * parity. */
#include <stdlib.h>

#include "core/internal.h"

/* ---- who talks to whom ---- */

void pm_allreduce_init(struct pm_node *node)
{
    struct pm_allreduce *r = &node->exchange.reduce;
    while (2u << r->steps <= node->config.nodes)
        r->steps++;
    PM_ASSERT(r->steps + 2 < PM_STEPS_MAX, "%u nodes", node->config.nodes);
    for (uint32_t i = 0; i < 2 * PM_STEPS_MAX; i++)
        r->in[i / PM_STEPS_MAX][i % PM_STEPS_MAX].end = &r->in[i / PM_STEPS_MAX][i % PM_STEPS_MAX].first;
}

bool pm_exchange_shared(const struct pm_node *node, pm_key key)
{
    if (node->traits.exchange != PM_EXCHANGE_ALLREDUCE || node->config.nodes == 1)
        return false;
    bool owned = pm_owner_at_start(node, key) == node->config.id;
    return pm_replicated_at(node, key, owned ? (node->config.id + 1) % node->config.nodes : node->config.id);
}

static uint32_t result_step(const struct pm_node *node)
{
    return node->exchange.reduce.steps + 1;
}

static uint32_t call_step(const struct pm_node *node)
{
    return node->exchange.reduce.steps + 2;
}

static bool is_guest(const struct pm_node *node)
{
    return node->config.id >> node->exchange.reduce.steps;
}

/* The node on the other side of a step, or PM_NODE_NONE when this one has no part in it. */
static pm_node_id partner(const struct pm_node *node, uint32_t step)
{
    const pm_node_id self = node->config.id, inner = 1u << node->exchange.reduce.steps;
    bool butterfly = step >= 1 && step <= node->exchange.reduce.steps;
    if (butterfly)
        return is_guest(node) ? PM_NODE_NONE : self ^ 1u << (step - 1);
    if (is_guest(node))
        return self - inner;
    return self + inner < node->config.nodes ? self + inner : PM_NODE_NONE;
}

/* Do messages of this step come to this node? */
static bool receives(const struct pm_node *node, uint32_t step)
{
    return step <= call_step(node) && partner(node, step) != PM_NODE_NONE && is_guest(node) == (step >= result_step(node));
}

/* ---- lists ---- */

static void free_sums(struct pm_sums *s)
{
    free(s->keys);
    free(s->values);
    *s = (struct pm_sums){0};
}

static void reserve(struct pm_sums *s, size_t keys, uint64_t stored)
{
    *s = (struct pm_sums){.keys = malloc((keys + 1) * sizeof *s->keys), .values = malloc((stored + 1) * sizeof *s->values)};
    PM_ASSERT(s->keys && s->values, "out of memory for an exchange of %zu keys", keys);
}

static uint64_t sums_bytes(const struct pm_sums *s)
{
    return s->n * sizeof(pm_key) + 4 * s->floats;
}

static void account(struct pm_allreduce *r, uint64_t more, uint64_t less)
{
    __atomic_store_n(&r->bytes, r->bytes + more - less, __ATOMIC_RELAXED);
}

/* Goes through a list, or through the messages of an inbox. */
struct reader {
    const struct pm_node *node;
    struct pm_message *next;
    const pm_key *keys;
    const float *values;
    size_t n; /* left of these */
};

static void open_next(struct reader *r)
{
    while (r->n == 0 && r->next) {
        r->keys = pm_message_keys(r->next);
        r->values = pm_message_values(r->next);
        r->n = r->next->wire.n_keys;
        r->next = r->next->next;
    }
}

static struct reader read_sums(const struct pm_node *node, const struct pm_sums *s)
{
    return (struct reader){.node = node, .keys = s->keys, .values = s->values, .n = s->n};
}

static struct reader read_inbox(const struct pm_node *node, const struct pm_inbox *in)
{
    struct reader r = {.node = node, .next = in->first};
    open_next(&r);
    return r;
}

static void skip(struct reader *r)
{
    r->values += pm_stored(r->node, *r->keys);
    r->keys++;
    r->n--;
    open_next(r);
}

/* Appends the next key of one list, or of both. */
static void append(const struct pm_node *node, struct pm_sums *out, float **end, struct reader *mine, struct reader *theirs)
{
    bool here = mine->n && (!theirs->n || *mine->keys <= *theirs->keys);
    bool there = theirs->n && (!mine->n || *theirs->keys <= *mine->keys);
    pm_key key = here ? *mine->keys : *theirs->keys;
    uint32_t stored = pm_stored(node, key);
    pm_copy(*end, here ? mine->values : theirs->values, stored);
    if (here && there)
        pm_add(*end, theirs->values, stored);
    *end += stored;
    out->keys[out->n++] = key;
    out->floats += pm_length(node, key);
    if (here)
        skip(mine);
    if (there)
        skip(theirs);
}

static void free_inbox(struct pm_inbox *in)
{
    for (struct pm_message *m = in->first, *next; m; m = next) {
        next = m->next;
        pm_message_free(m);
    }
    *in = (struct pm_inbox){.end = &in->first};
}

/* Adds what has come of a step to the sums. */
static void merge(struct pm_ctx *ctx, struct pm_inbox *in)
{
    const struct pm_node *node = ctx->node;
    struct pm_allreduce *r = &ctx->node->exchange.reduce;
    struct pm_sums out;
    size_t keys = r->sums.n;
    uint64_t floats = r->sums.floats, updates = r->sums.updates, held = sums_bytes(&r->sums);
    for (struct pm_message *m = in->first; m; m = m->next) {
        keys += m->wire.n_keys;
        floats += m->wire.n_floats;
        updates += m->wire.updates;
        held += m->wire.length_bytes;
    }
    reserve(&out, keys, node->config.with_values ? floats : 0);
    out.updates = updates;
    struct reader mine = read_sums(node, &r->sums), theirs = read_inbox(node, in);
    float *end = out.values;
    while (mine.n || theirs.n)
        append(node, &out, &end, &mine, &theirs);
    free_sums(&r->sums);
    free_inbox(in);
    r->sums = out;
    account(r, sums_bytes(&out), held);
    pm_charge(ctx, PM_CHARGE_SERVE, 1, keys, floats);
}

void pm_allreduce_fini(struct pm_node *node)
{
    struct pm_allreduce *r = &node->exchange.reduce;
    free_sums(&r->sums);
    for (uint32_t i = 0; i < 2 * PM_STEPS_MAX; i++)
        free_inbox(&r->in[i / PM_STEPS_MAX][i % PM_STEPS_MAX]);
}

/* ---- a round ---- */

static int by_key(const void *a, const void *b)
{
    const pm_key *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The sums begin with this node's own updates. */
static void take_own(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_allreduce *r = &node->exchange.reduce;
    struct pm_sums own;
    pm_key *keys;
    size_t n = pm_take(node, &node->dirty, &keys);
    uint64_t floats = 0;
    for (size_t i = 0; i < n; i++)
        floats += pm_length(node, keys[i]);
    reserve(&own, n, node->config.with_values ? floats : 0);
    own.n = n;
    own.floats = floats;
    if (n)
        memcpy(own.keys, keys, n * sizeof *keys);
    qsort(own.keys, n, sizeof *own.keys, by_key);
    float *values = own.values;
    for (size_t i = 0; i < n; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, own.keys[i]);
        pm_slot_lock(&node->slots, slot);
        own.updates += pm_exchange_take(ctx, own.keys[i], slot, values);
        pm_slot_unlock(&node->slots, slot);
        values += pm_stored(node, own.keys[i]);
    }
    free(keys);
    r->sums = own;
    account(r, sums_bytes(&own), 0);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
}

/* Sends these sums, cut at max_message; the last message is marked, and goes out even when it is empty. */
static void send(struct pm_ctx *ctx, const struct pm_sums *s, uint32_t step)
{
    const struct pm_node *node = ctx->node;
    size_t done = 0;
    const float *values = s->values;
    do {
        struct pm_shape shape = {.with_values = node->config.with_values};
        shape.n_keys = pm_exchange_fitting(node, s->keys + done, s->n - done);
        uint64_t stored = 0;
        for (uint32_t i = 0; i < shape.n_keys; i++) {
            shape.n_floats += pm_length(node, s->keys[done + i]);
            stored += pm_stored(node, s->keys[done + i]);
        }
        struct pm_message *m = pm_message_new(PM_MSG_PARTIAL, &shape);
        PM_ASSERT(m, "out of memory for an exchange of %u keys", shape.n_keys);
        if (shape.n_keys)
            memcpy(pm_message_keys(m), s->keys + done, shape.n_keys * sizeof *s->keys);
        if (stored)
            memcpy(pm_message_values(m), values, stored * sizeof *values);
        values += stored;
        done += shape.n_keys;
        m->wire.origin = node->config.id;
        m->wire.number = node->exchange.round;
        m->wire.first = step;
        m->wire.sub = done == s->n;
        m->wire.updates = done == s->n ? (uint32_t)s->updates : 0;
        pm_emit(ctx, m, partner(node, step));
    } while (done < s->n);
}

/* Adds the result to the common state of its keys. */
static void install(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_allreduce *r = &node->exchange.reduce;
    const float *sum = r->sums.values;
    for (size_t i = 0; i < r->sums.n; i++) {
        pm_key key = r->sums.keys[i];
        struct pm_slot *slot = pm_slots_find(&node->slots, key);
        if (!slot)
            PM_ASSERT(pm_slot_make(node, key, &slot) == PM_OK && slot, "out of memory");
        uint32_t length = pm_length(node, key), stored = pm_stored(node, key);
        pm_slot_lock(&node->slots, slot);
        float *common = pm_slot_common(&node->slots, slot, length);
        pm_add(common, sum, stored);
        pm_copy(slot->value, common, stored);
        pm_add(slot->value, pm_slot_delta(&node->slots, slot, length), stored);
        slot->version++;
        pm_slot_unlock(&node->slots, slot);
        sum += stored;
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, r->sums.n, r->sums.floats);
    if (node->config.id == 0) /* every node has the same sums: one counts for all */
        pm_count(&ctx->counters.updates_applied, r->sums.updates);
    account(r, 0, sums_bytes(&r->sums));
    free_sums(&r->sums);
}

static void finish(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    if (!is_guest(node) && partner(node, result_step(node)) != PM_NODE_NONE)
        send(ctx, &node->exchange.reduce.sums, result_step(node));
    install(ctx);
    pm_exchange_over(ctx);
}

/* Goes on as far as what has come allows. */
static void advance(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_allreduce *r = &node->exchange.reduce;
    uint32_t last = is_guest(node) ? result_step(node) : r->steps;
    for (; r->step <= last; r->step++) {
        if (!is_guest(node) && r->step > r->sent) {
            send(ctx, &r->sums, r->step);
            r->sent = r->step;
        }
        if (!receives(node, r->step))
            continue;
        struct pm_inbox *in = &r->in[node->exchange.round & 1][r->step];
        if (!in->complete)
            return;
        if (is_guest(node)) { /* what comes back has its own list in it */
            account(r, 0, sums_bytes(&r->sums));
            free_sums(&r->sums);
        }
        merge(ctx, in);
    }
    finish(ctx);
}

void pm_allreduce_begin(struct pm_ctx *ctx)
{
    static const struct pm_sums nothing = {0};
    struct pm_node *node = ctx->node;
    struct pm_exchange *x = &node->exchange;
    struct pm_allreduce *r = &x->reduce;
    do {
        pm_exchange_begun(ctx);
        r->heard = false;
        r->step = r->sent = 0;
        take_own(ctx);
        if (is_guest(node))
            send(ctx, &r->sums, 0);
        else if (receives(node, 0) && !r->in[x->round & 1][0].complete)
            send(ctx, &nothing, call_step(node));
        advance(ctx);
    } while (!x->active && r->heard);
}

/* ---- messages ---- */

/* Rising keys that every node has, also from one message of a step to the next. */
static int check_keys(struct pm_node *node, struct pm_message *m, const struct pm_inbox *in, struct pm_error *err)
{
    const pm_key *keys = pm_message_keys(m);
    struct pm_message *before = NULL;
    for (struct pm_message *at = in->first; at; at = at->next)
        before = at;
    bool some = before && before->wire.n_keys;
    pm_key last = some ? pm_message_keys(before)[before->wire.n_keys - 1] : 0;
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (keys[i] >= node->layout->n_keys || !pm_exchange_shared(node, keys[i]) || (some && keys[i] <= last))
            return pm_bad(err, m, "key");
        last = keys[i];
        some = true;
    }
    return pm_check_keys(node, m, false, err);
}

static int check_partial(struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    const struct pm_exchange *x = &node->exchange;
    const struct pm_wire *w = &m->wire;
    if (node->traits.exchange != PM_EXCHANGE_ALLREDUCE)
        return pm_bad(err, m, "kind");
    if (w->first >= PM_STEPS_MAX || !receives(node, w->first))
        return pm_bad(err, m, "first (no such step here)");
    if (w->source != partner(node, w->first))
        return pm_bad(err, m, "source");
    bool call = w->first == call_step(node), next = w->number == x->round + 1;
    if (call)
        return w->number <= x->round + 1 && w->number > 0 && w->n_keys == 0 ? PM_OK : pm_bad(err, m, "number");
    const struct pm_inbox *in = &x->reduce.in[w->number & 1][w->first];
    if (!(next || (w->number == x->round && x->active && w->first >= x->reduce.step)) || in->complete)
        return pm_bad(err, m, "number");
    if (next && w->first == result_step(node))
        return pm_bad(err, m, "number (the result of a round that this node is not in)");
    if (w->sub > 1 || (w->n_keys == 0 && !w->sub))
        return pm_bad(err, m, "sub");
    return check_keys(node, m, in, err);
}

/* Keeps a checked message until it is its turn. */
static void keep(struct pm_allreduce *r, struct pm_message *m)
{
    struct pm_inbox *in = &r->in[m->wire.number & 1][m->wire.first];
    m->next = NULL;
    *in->end = m;
    in->end = &m->next;
    in->complete = m->wire.sub;
    account(r, m->wire.length_bytes, 0);
}

int pm_handle_partial(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_exchange *x = &ctx->node->exchange;
    pm_lock(ctx->node, &x->latch);
    int rc = check_partial(ctx->node, m, err);
    if (rc == PM_OK) {
        if (m->wire.number == x->round + 1)
            x->reduce.heard = true;
        if (m->wire.first == call_step(ctx->node))
            pm_message_free(m);
        else
            keep(&x->reduce, m);
        if (x->active)
            advance(ctx);
        if (!x->active && x->reduce.heard)
            pm_allreduce_begin(ctx);
    }
    pm_unlock(ctx->node, &x->latch);
    return rc;
}
