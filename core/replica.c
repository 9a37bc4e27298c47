/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replicas: asking for values, collecting updates, sending them to owners, installing answers.
 *
 * What a replica's value is: the last answer of its owner, plus own updates that this answer does not include. Those are
 * the delta (not sent yet) and, while an answer is under way, deltas sent after the question: they are kept as `shipped`
 * with their place in the sequence of ROUND messages to the owner, and an answer says up to which place it includes them. */
#include "core/builder.h"

int pm_rounds_init(struct pm_node *node)
{
    uint32_t n = node->config.nodes;
    struct pm_rounds *r = &node->rounds;
    r->sequence_out = calloc(n, sizeof *r->sequence_out);
    r->sequence_in = calloc(n, sizeof *r->sequence_in);
    r->early = calloc(n, sizeof(struct pm_message *));
    return r->sequence_out && r->sequence_in && r->early ? PM_OK : PM_E_MEMORY;
}

void pm_rounds_fini(struct pm_node *node)
{
    struct pm_rounds *r = &node->rounds;
    for (uint32_t i = 0; r->early && i < node->config.nodes; i++)
        for (struct pm_message *m = r->early[i], *next; m; m = next) {
            next = m->next;
            pm_message_free(m);
        }
    for (uint32_t b = 0; b < PM_QUEUE_BUCKETS; b++)
        for (struct pm_shipped *s = r->shipped[b], *next; s; s = next) {
            next = s->next;
            free(s);
        }
    free(r->sequence_out);
    free(r->sequence_in);
    free(r->early);
}

void pm_mark(struct pm_ctx *ctx, struct pm_key_list *list, pm_key key)
{
    pm_lock(ctx->node, &list->latch);
    PM_ASSERT(pm_grow(&list->keys, &list->capacity, list->n + 1, sizeof *list->keys) == PM_OK, "out of memory");
    list->keys[list->n++] = key;
    pm_unlock(ctx->node, &list->latch);
}

size_t pm_take(struct pm_node *node, struct pm_key_list *list, pm_key **keys)
{
    pm_lock(node, &list->latch);
    size_t n = list->n;
    *keys = list->keys;
    list->keys = NULL;
    list->n = list->capacity = 0;
    pm_unlock(node, &list->latch);
    return n;
}

static struct pm_shipped **shipped_bucket(struct pm_rounds *r, pm_key key)
{
    return &r->shipped[pm_hash64(key) % PM_QUEUE_BUCKETS];
}

/* Keeps a copy of a delta that an answer under way may not include. */
static void keep_shipped(struct pm_node *node, pm_key key, const struct pm_builder *b, const float *delta)
{
    uint32_t length = pm_stored(node, key);
    struct pm_shipped *s = malloc(sizeof *s + length * sizeof(float));
    PM_ASSERT(s, "out of memory");
    s->key = key;
    s->to = b->to;
    s->sequence = b->sequence;
    pm_copy(s->delta, delta, length);
    struct pm_rounds *r = &node->rounds;
    pm_lock(node, &r->shipped_latch);
    struct pm_shipped **bucket = shipped_bucket(r, key);
    s->next = *bucket;
    *bucket = s;
    pm_unlock(node, &r->shipped_latch);
}

/* value += deltas of this key sent after place `sequence`; forgets all of this key. */
static void add_shipped(struct pm_node *node, pm_key key, uint32_t sequence, float *value)
{
    struct pm_rounds *r = &node->rounds;
    pm_lock(node, &r->shipped_latch);
    for (struct pm_shipped **at = shipped_bucket(r, key); *at;) {
        struct pm_shipped *s = *at;
        if (s->key != key) {
            at = &s->next;
            continue;
        }
        if ((int32_t)(s->sequence - sequence) > 0)
            pm_add(value, s->delta, pm_stored(node, key));
        *at = s->next;
        free(s);
    }
    pm_unlock(node, &r->shipped_latch);
}

/* Under the latch: appends the replica's entry to the message for its owner, with the delta if it has one. */
static void ship(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint32_t flags, uint64_t need)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_length(node, key), stored = pm_stored(node, key);
    uint32_t *merged = pm_slot_merged(&node->slots, slot, length);
    float *delta = pm_slot_delta(&node->slots, slot, length);
    bool has_delta = *merged != 0;
    bool after_refresh = slot->flags & PM_SLOT_REFRESHING;
    /* Contexts begin rounds in one order and deliver them in another; entries of one key keep theirs, so that an
     * answer that includes a round includes every earlier delta of the key. */
    uint32_t *sequence = pm_slot_sequence(&node->slots, slot, length);
    struct pm_entry_place place = {.kind = PM_MSG_ROUND,
                                   .to = pm_next_hop(ctx, key, slot, 0),
                                   .need = need,
                                   .not_before = *sequence,
                                   .after_refresh = after_refresh,
                                   .floats = has_delta ? length : 0};
    struct pm_builder *b = pm_builder_for(ctx, &place);
    *sequence = b->sequence;
    b->has_refresh |= (flags & PM_ROUND_REFRESH) != 0;
    pm_builder_add(ctx, b, key, flags | (has_delta ? PM_ROUND_DELTA : 0), delta, has_delta);
    if (has_delta) {
        if (after_refresh)
            keep_shipped(node, key, b, delta);
        b->updates += *merged;
        *merged = 0;
        pm_vector_zero(delta, stored);
    }
}

static void make_replica(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot)
{
    struct pm_node *node = ctx->node;
    PM_ASSERT(pm_slot_attach(&node->slots, key, slot, true) == PM_OK, "out of memory for a replica");
    if (__atomic_load_n(&node->dropped_bytes, __ATOMIC_RELAXED)) { /* perhaps this one, with an entry under way */
        pm_node_id to = pm_next_hop(ctx, key, slot, 0);
        *pm_slot_sequence(&node->slots, slot, pm_length(node, key)) =
            __atomic_load_n(&node->rounds.sequence_out[to], __ATOMIC_SEQ_CST);
    }
    pm_count(&ctx->counters.replicas_created, 1);
    __atomic_fetch_add(&node->extra_bytes, pm_slot_model_bytes(&node->slots, pm_length(node, key), true),
                       __ATOMIC_RELAXED);
}

void pm_replicate(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot)
{
    if (slot->state == PM_SLOT_ABSENT)
        make_replica(ctx, key, slot);
}

void pm_refresh(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t need)
{
    pm_replicate(ctx, key, slot);
    PM_ASSERT(slot->state == PM_SLOT_REPLICA, "only replicas are refreshed");
    if (slot->flags & PM_SLOT_REFRESHING)
        return;
    ship(ctx, key, slot, PM_ROUND_REFRESH, need);
    slot->flags |= PM_SLOT_REFRESHING;
}

void pm_drop(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot)
{
    struct pm_node *node = ctx->node;
    PM_ASSERT(slot->state == PM_SLOT_REPLICA && !(slot->flags & PM_SLOT_REFRESHING),
              "a replica with an unanswered refresh is not dropped");
    ship(ctx, key, slot, PM_ROUND_OVER, 0);
    pm_slot_detach(&node->slots, key, slot);
    pm_count(&ctx->counters.replicas_dropped, 1);
    __atomic_fetch_add(&node->dropped_bytes, pm_slot_model_bytes(&node->slots, pm_length(node, key), true),
                       __ATOMIC_RELAXED);
}

void pm_send_deltas(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    pm_key *keys;
    /* Who comes second finds every delta in a message that has its place in the sequence, which a clock notice names. */
    pm_lock(node, &node->rounds.ship_latch);
    size_t n = pm_take(node, &node->dirty, &keys);
    for (size_t i = 0; i < n; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        pm_slot_lock(&node->slots, slot);
        if (slot->flags & PM_SLOT_DIRTY) {
            slot->flags &= (uint8_t)~PM_SLOT_DIRTY;
            if (*pm_slot_merged(&node->slots, slot, pm_length(node, keys[i])))
                ship(ctx, keys[i], slot, 0, 0);
        }
        pm_slot_unlock(&node->slots, slot);
    }
    pm_unlock(node, &node->rounds.ship_latch);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
    free(keys);
}

/* ---- the owner's side ---- */

/* Under the latch: the answer to a refresh. */
static void answer(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id to, uint64_t stamp)
{
    struct pm_entry_place place = {.kind = PM_MSG_ANSWER,
                                   .to = to,
                                   .need = ctx->node->rounds.sequence_in[to],
                                   .floats = pm_length(ctx->node, key)};
    struct pm_builder *b = pm_builder_for(ctx, &place);
    pm_builder_add(ctx, b, key, stamp, slot->value, true);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, pm_length(ctx->node, key));
}

/* A refresh request of one key, to be asked again at the next kick. */
static void defer_refresh(struct pm_ctx *ctx, pm_key key, pm_node_id from, uint64_t need)
{
    struct pm_shape shape = {.n_keys = 1, .with_values = ctx->node->config.with_values};
    struct pm_message *m = pm_message_new(PM_MSG_ROUND, &shape);
    PM_ASSERT(m, "out of memory");
    *pm_message_keys(m) = key;
    *(uint32_t *)pm_message_meta(m) = PM_ROUND_REFRESH;
    m->wire.source = from;
    m->wire.number = need;
    pm_queue_defer(ctx, m);
}

/* One entry of a ROUND at the owner. */
static void handle_entry(struct pm_ctx *ctx, struct pm_message *m, pm_key key, uint32_t flags, const float *delta)
{
    struct pm_node *node = ctx->node;
    const struct pm_policy *p = node->policy;
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot)
        PM_ASSERT(pm_slot_make(node, key, &slot) == PM_OK && slot, "a round for a key that is not owned here");
    pm_slot_lock(&node->slots, slot);
    PM_ASSERT(slot->state == PM_SLOT_OWNED, "a round for a key that is not owned here");
    if (flags & PM_ROUND_DELTA)
        pm_apply_owned(ctx, key, slot, delta, PM_OP_PUSH);
    if ((flags & PM_ROUND_OVER) && p->interest)
        p->interest(ctx, node->policy_state, key, slot, m->wire.source, false);
    if (flags & PM_ROUND_REFRESH) {
        uint64_t stamp = 0;
        if (p->interest)
            p->interest(ctx, node->policy_state, key, slot, m->wire.source, true);
        if (!p->serve || p->serve(ctx, node->policy_state, key, slot, m->wire.source, m->wire.number, &stamp) ==
                             PM_SERVE_VALUE)
            answer(ctx, key, slot, m->wire.source, stamp);
        else
            defer_refresh(ctx, key, m->wire.source, m->wire.number);
    }
    pm_slot_unlock(&node->slots, slot);
}

static void handle_entries(struct pm_ctx *ctx, struct pm_message *m)
{
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_message_meta(m);
    const float *delta = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        handle_entry(ctx, m, keys[i], flags[i], delta);
        if (flags[i] & PM_ROUND_DELTA)
            delta += pm_stored(ctx->node, keys[i]);
    }
    pm_count(&ctx->counters.updates_applied, m->wire.updates);
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
}

/* Whether a refresh was put off while a kick came, so that the kick must be repeated. */
static void kick_again(struct pm_ctx *ctx, uint64_t kicks, uint64_t deferred)
{
    if (pm_kicks(ctx->node) != kicks && __atomic_load_n(&ctx->node->queue.deferred_ever, __ATOMIC_RELAXED) != deferred)
        pm_kick(ctx);
}

void pm_retry_refreshes(struct pm_ctx *ctx, struct pm_message *m)
{
    pm_lock(ctx->node, &ctx->node->rounds.latch);
    handle_entries(ctx, m);
    pm_unlock(ctx->node, &ctx->node->rounds.latch);
    pm_message_free(m);
}

static int check_round(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_message_meta(m);
    uint64_t floats = 0;
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (keys[i] >= node->layout->n_keys)
            return pm_bad(err, m, "key");
        if (flags[i] & ~(uint32_t)(PM_ROUND_DELTA | PM_ROUND_REFRESH | PM_ROUND_OVER))
            return pm_bad(err, m, "entry flags");
        if (pm_owner_at_start(node, keys[i]) != node->config.id)
            return pm_bad(err, m, "key (not owned here)");
        floats += (flags[i] & PM_ROUND_DELTA) ? pm_length(node, keys[i]) : 0;
    }
    uint32_t ahead = m->wire.first - node->rounds.sequence_in[m->wire.source];
    if (ahead == 0 || ahead > UINT32_MAX / 2)
        return pm_bad(err, m, "sequence");
    return m->wire.n_floats == floats ? PM_OK : pm_bad(err, m, "n_floats");
}

/* Keeps a message that came before its turn; false when that turn is taken already. */
static bool keep_early(struct pm_rounds *r, struct pm_message *m)
{
    struct pm_message **at = &r->early[m->wire.source];
    while (*at && (int32_t)((*at)->wire.first - m->wire.first) < 0)
        at = &(*at)->next;
    if (*at && (*at)->wire.first == m->wire.first)
        return false;
    m->next = *at;
    *at = m;
    return true;
}

int pm_handle_round(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_rounds *r = &ctx->node->rounds;
    uint64_t kicks = pm_kicks(ctx->node);
    uint64_t deferred = __atomic_load_n(&ctx->node->queue.deferred_ever, __ATOMIC_RELAXED);
    pm_lock(ctx->node, &r->latch);
    int rc = check_round(ctx->node, m, err);
    pm_node_id from = m->wire.source;
    if (rc == PM_OK && !keep_early(r, m))
        rc = pm_bad(err, m, "sequence");
    while (rc == PM_OK && r->early[from] && r->early[from]->wire.first == r->sequence_in[from] + 1) {
        struct pm_message *next = r->early[from];
        r->early[from] = next->next;
        __atomic_store_n(&r->sequence_in[from], r->sequence_in[from] + 1, __ATOMIC_RELAXED);
        handle_entries(ctx, next);
        pm_message_free(next);
    }
    pm_unlock(ctx->node, &r->latch);
    kick_again(ctx, kicks, deferred);
    pm_clocks_late(ctx, from);
    return rc;
}

/* ---- answers ---- */

static void install(struct pm_ctx *ctx, pm_key key, uint64_t stamp, uint32_t sequence, const float *values)
{
    struct pm_node *node = ctx->node;
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    pm_slot_lock(&node->slots, slot);
    uint32_t length = pm_stored(node, key);
    pm_copy(slot->value, values, length);
    add_shipped(node, key, sequence, slot->value);
    if (length)
        pm_add(slot->value, pm_slot_delta(&node->slots, slot, length), length);
    slot->flags = (uint8_t)((slot->flags & ~PM_SLOT_REFRESHING) | PM_SLOT_READY);
    slot->version = stamp;
    if (node->policy->installed)
        node->policy->installed(ctx, node->policy_state, key, slot, stamp);
    bool queued = slot->flags & PM_SLOT_QUEUED;
    slot->flags &= (uint8_t)~PM_SLOT_QUEUED;
    pm_slot_unlock(&node->slots, slot);
    if (queued)
        pm_queue_retry(ctx, key);
}

/* Has this node asked for a fresh value, which only the owner may give? */
static bool awaits_answer(const struct pm_node *node, pm_key key, pm_node_id from)
{
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot || from != pm_owner_at_start(node, key))
        return false;
    pm_slot_lock(&node->slots, slot);
    bool awaits = slot->flags & PM_SLOT_REFRESHING;
    pm_slot_unlock(&node->slots, slot);
    return awaits;
}

int pm_handle_answer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    int rc = pm_check_keys(node, m, false, err);
    const pm_key *keys = pm_message_keys(m);
    for (uint32_t i = 0; rc == PM_OK && i < m->wire.n_keys; i++)
        if (!awaits_answer(node, keys[i], m->wire.source))
            rc = pm_bad(err, m, "key (no refresh was asked for)");
    if (rc != PM_OK)
        return rc;
    const uint64_t *stamps = pm_message_meta(m);
    const float *values = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        install(ctx, keys[i], stamps[i], m->wire.first, values);
        values += pm_stored(node, keys[i]);
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    pm_message_free(m);
    return PM_OK;
}
