/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replicas: asking for values, collecting updates, sending them to owners, installing answers.
 *
 * What a replica's value is: the last answer of its owner, plus own updates that this answer does not include. Those are
 * the delta (not sent yet; with traits.worker_logs what the logs of all workers here hold of the key, core/log.c) and,
 * while an answer is under way, deltas sent after the question: they are kept as `shipped` with their place in the
 * sequence of ROUND messages to the owner, and an answer says up to which place it includes them.
 * Where owners push values that nobody asked for (traits.pushes_values), every ready replica may get one at any time, so
 * deltas are kept until a value includes them. Answers are then numbered by the owner and handled in that order: a number
 * that it announces stands behind all values that it sent before. */
#include "core/builder.h"
#include "core/events.h"
#include "core/local.h"
#include "core/log.h"
#include "core/versions.h"

int pm_rounds_init(struct pm_node *node)
{
    uint32_t n = node->config.nodes;
    struct pm_rounds *r = &node->rounds;
    r->sequence_out = calloc(n, sizeof *r->sequence_out);
    r->sequence_in = calloc(n, sizeof *r->sequence_in);
    r->early = calloc(n, sizeof(struct pm_message *));
    r->answers_out = calloc(n, sizeof *r->answers_out);
    r->answers_in = calloc(n, sizeof *r->answers_in);
    r->early_answers = calloc(n, sizeof(struct pm_message *));
    bool all = r->sequence_out && r->sequence_in && r->early && r->answers_out && r->answers_in && r->early_answers;
    return all ? PM_OK : PM_E_MEMORY;
}

static void free_list(struct pm_message *m)
{
    for (struct pm_message *next; m; m = next) {
        next = m->next;
        pm_message_free(m);
    }
}

void pm_rounds_fini(struct pm_node *node)
{
    struct pm_rounds *r = &node->rounds;
    for (uint32_t i = 0; r->early && i < node->config.nodes; i++)
        free_list(r->early[i]);
    for (uint32_t i = 0; r->early_answers && i < node->config.nodes; i++)
        free_list(r->early_answers[i]);
    for (uint32_t b = 0; b < PM_SHIPPED_BUCKETS; b++)
        for (struct pm_shipped *s = r->shipped[b], *next; s; s = next) {
            next = s->next;
            free(s);
        }
    free(r->sequence_out);
    free(r->sequence_in);
    free(r->early);
    free(r->answers_out);
    free(r->answers_in);
    free(r->early_answers);
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
    return &r->shipped[pm_hash64(key) % PM_SHIPPED_BUCKETS];
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

/* value += deltas of this key sent after place `sequence`; forgets the others, and these unless another value may come that
 * does not include them either. */
static void add_shipped(struct pm_node *node, pm_key key, uint32_t sequence, float *value)
{
    struct pm_rounds *r = &node->rounds;
    pm_lock(node, &r->shipped_latch);
    for (struct pm_shipped **at = shipped_bucket(r, key); *at;) {
        struct pm_shipped *s = *at;
        bool later = (int32_t)(s->sequence - sequence) > 0;
        if (s->key == key && later)
            pm_add(value, s->delta, pm_stored(node, key));
        if (s->key != key || (later && node->traits.pushes_values)) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        free(s);
    }
    pm_unlock(node, &r->shipped_latch);
}

void pm_ship(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const struct pm_shipment *s)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_length(node, key), stored = pm_stored(node, key);
    bool has_delta = s->merged && *s->merged;
    bool after_refresh = slot->flags & PM_SLOT_REFRESHING;
    /* Contexts begin rounds in one order and deliver them in another; entries of one key keep theirs, so that an
     * answer that includes a round includes every earlier delta of the key. */
    uint32_t *sequence = pm_slot_sequence(&node->slots, slot, length);
    struct pm_entry_place place = {.kind = PM_MSG_ROUND,
                                   .to = pm_next_hop(ctx, key, slot, 0),
                                   .need = s->need,
                                   .not_before = *sequence,
                                   .after_refresh = after_refresh,
                                   .floats = has_delta ? length : 0};
    struct pm_builder *b = pm_builder_for(ctx, &place);
    *sequence = b->sequence;
    b->has_refresh |= (s->flags & PM_ROUND_REFRESH) != 0;
    struct pm_entry_meta meta = {.flags = s->flags | (has_delta ? PM_ROUND_DELTA : 0)};
    pm_builder_add(ctx, b, key, &meta, s->delta, has_delta);
    if (has_delta) {
        if (after_refresh || (node->traits.pushes_values && (slot->flags & PM_SLOT_READY)))
            keep_shipped(node, key, b, s->delta);
        b->updates += *s->merged;
        *s->merged = 0;
        pm_vector_zero(s->delta, stored);
    }
}

/* Under the latch: the replica's entry with the delta if it has one. Logs of workers are shipped on their own. */
static void ship(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint32_t flags, uint64_t need)
{
    struct pm_node *node = ctx->node;
    if (node->traits.versions) {
        pm_versions_ship(ctx, key, slot, flags);
        return;
    }
    uint32_t length = pm_length(node, key);
    struct pm_shipment s = {.flags = flags, .need = need};
    if (!node->traits.worker_logs) {
        s.delta = pm_slot_delta(&node->slots, slot, length);
        s.merged = pm_slot_merged(&node->slots, slot, length);
    }
    pm_ship(ctx, key, slot, &s);
}

static void make_replica(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot)
{
    struct pm_node *node = ctx->node;
    PM_ASSERT(pm_slot_attach(&node->slots, key, slot, true) == PM_OK, "out of memory for a replica");
    if (node->traits.versions) {
        if (!(slot->flags & PM_SLOT_LISTED))
            pm_mark(ctx, &node->replicas, key);
        slot->flags |= PM_SLOT_LISTED;
    } else if (__atomic_load_n(&node->dropped_bytes, __ATOMIC_RELAXED)) { /* perhaps this one, with an entry under way */
        pm_node_id to = pm_next_hop(ctx, key, slot, 0);
        *pm_slot_sequence(&node->slots, slot, pm_length(node, key)) =
            __atomic_load_n(&node->rounds.sequence_out[to], __ATOMIC_SEQ_CST);
    }
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
    PM_ASSERT(!node->traits.pushes_values, "values for the replica may be on their way");
    PM_ASSERT(!node->traits.worker_logs, "logs may hold updates of the replica");
    ship(ctx, key, slot, PM_ROUND_OVER, 0);
    if (slot->flags & PM_SLOT_READY) {
        pm_count(&ctx->counters.replicas_dropped, 1);
        pm_event(ctx, key, PM_EVENT_DROPPED);
    }
    pm_slot_detach(&node->slots, key, slot);
    pm_key_went(node, key);
    __atomic_fetch_add(&node->dropped_bytes, pm_slot_model_bytes(&node->slots, pm_length(node, key), true),
                       __ATOMIC_RELAXED);
}

static void send_if_idle(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot)
{
    (void)arg;
    if (!(slot->flags & PM_SLOT_REFRESHING))
        pm_send_delta(ctx, key, slot);
}

void pm_send_deltas(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    pm_key *keys;
    if (node->traits.worker_logs) {
        pm_logs_ship(ctx);
        return;
    }
    if (node->traits.versions) {
        pm_visit_replicas(ctx, send_if_idle, NULL);
        return;
    }
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
    pm_builder_add(ctx, b, key, &(struct pm_entry_meta){.version = stamp}, slot->value, true);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, pm_length(ctx->node, key));
}

void pm_push_value(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id to, uint64_t stamp)
{
    PM_ASSERT(ctx->node->traits.pushes_values && slot->state == PM_SLOT_OWNED && to != ctx->node->config.id);
    answer(ctx, key, slot, to, stamp);
}

void pm_visit_changed(struct pm_ctx *ctx, pm_visit_fn visit, void *arg)
{
    struct pm_node *node = ctx->node;
    pm_key *keys;
    pm_lock(node, &node->rounds.latch); /* what was handled of each node's rounds stays the same meanwhile */
    size_t n = pm_take(node, &node->changed, &keys);
    for (size_t i = 0; i < n; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        pm_slot_lock(&node->slots, slot);
        slot->flags &= (uint8_t)~PM_SLOT_CHANGED;
        visit(ctx, arg, keys[i], slot);
        pm_slot_unlock(&node->slots, slot);
    }
    pm_unlock(node, &node->rounds.latch);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
    free(keys);
}

void pm_announce(struct pm_ctx *ctx, pm_node_id to, uint64_t number)
{
    struct pm_node *node = ctx->node;
    PM_ASSERT(node->traits.pushes_values && to != node->config.id);
    struct pm_message *m = pm_message_new(PM_MSG_ANSWER, &(struct pm_shape){.with_values = true});
    PM_ASSERT(m, "out of memory for an announcement");
    m->wire.origin = node->config.id;
    m->wire.number = number;
    pm_rounds_flush(ctx); /* so that it need not wait there for what stands before it */
    m->wire.request = __atomic_add_fetch(&node->rounds.answers_out[to], 1, __ATOMIC_SEQ_CST);
    pm_emit(ctx, m, to);
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
        slot->flags |= PM_SLOT_WANTED;
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
    if (m->wire.source == node->config.id)
        return pm_bad(err, m, "source");
    if (m->wire.flags & (PM_FLAG_VERSIONS | PM_FLAG_LOCATED))
        return pm_bad(err, m, "flags");
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (keys[i] >= node->layout->n_keys)
            return pm_bad(err, m, "key");
        if (flags[i] & ~(uint32_t)(PM_ROUND_DELTA | PM_ROUND_REFRESH | PM_ROUND_OVER))
            return pm_bad(err, m, "entry flags");
        if (pm_owner_at_start(node, keys[i]) != node->config.id)
            return pm_bad(err, m, "key (not owned here)");
        if (node->traits.relocates && !pm_replicated_at(node, keys[i], m->wire.source))
            return pm_bad(err, m, "key (may have left)");
        floats += (flags[i] & PM_ROUND_DELTA) ? pm_length(node, keys[i]) : 0;
    }
    uint32_t ahead = m->wire.first - node->rounds.sequence_in[m->wire.source];
    if (ahead == 0 || ahead > UINT32_MAX / 2)
        return pm_bad(err, m, "sequence");
    return m->wire.n_floats == floats ? PM_OK : pm_bad(err, m, "n_floats");
}

/* A message's place in the sequence of its kind. */
static uint32_t turn_of(const struct pm_message *m)
{
    return m->wire.kind == PM_MSG_ROUND ? m->wire.first : m->wire.request;
}

/* Keeps a message until its turn; false when that turn is taken already. */
static bool keep_early(struct pm_message **at, struct pm_message *m)
{
    while (*at && (int32_t)(turn_of(*at) - turn_of(m)) < 0)
        at = &(*at)->next;
    if (*at && turn_of(*at) == turn_of(m))
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
    if (rc == PM_OK && !keep_early(&r->early[from], m))
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

void pm_take_value(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t stamp, uint32_t sequence,
                   const float *values)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_stored(node, key);
    pm_copy(slot->value, values, length);
    if (!node->traits.versions)
        add_shipped(node, key, sequence, slot->value);
    if (!(slot->flags & PM_SLOT_READY)) {
        pm_count(&ctx->counters.replicas_created, 1);
        pm_event(ctx, key, PM_EVENT_REPLICA);
    }
    if (length && !node->traits.worker_logs && !(node->slots.lazy && *pm_slot_merged(&node->slots, slot, length) == 0))
        pm_add(slot->value, pm_slot_delta(&node->slots, slot, length), length);
    else if (length && node->traits.worker_logs && *pm_slot_merged(&node->slots, slot, length))
        pm_logs_add(node, key, slot->value);
    slot->flags = (uint8_t)((slot->flags & ~PM_SLOT_REFRESHING) | PM_SLOT_READY);
    slot->version = stamp;
    pm_key_came(node, key);
    if (node->policy->installed)
        node->policy->installed(ctx, node->policy_state, key, slot, stamp);
}

static void install(struct pm_ctx *ctx, pm_key key, uint64_t stamp, uint32_t sequence, const float *values)
{
    struct pm_node *node = ctx->node;
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    bool queued = false;
    pm_slot_lock(&node->slots, slot);
    /* Contexts of the owner put together messages at the same time, so an older value may be in the later one. */
    if (!node->traits.pushes_values || !(slot->flags & PM_SLOT_READY) || stamp >= slot->version) {
        pm_take_value(ctx, key, slot, stamp, sequence, values);
        queued = slot->flags & PM_SLOT_QUEUED;
        slot->flags &= (uint8_t)~PM_SLOT_QUEUED;
    }
    pm_slot_unlock(&node->slots, slot);
    if (queued)
        pm_queue_retry(ctx, key);
}

/* May the sender give this node a value of the key? Only its owner may: when asked, or, where owners push values, from then on. */
static bool expected(const struct pm_node *node, pm_key key, pm_node_id from)
{
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot || from != pm_owner_at_start(node, key))
        return false;
    pm_slot_lock(&node->slots, slot);
    bool pushed = node->traits.pushes_values && slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_READY);
    bool awaits = slot->flags & PM_SLOT_REFRESHING;
    pm_slot_unlock(&node->slots, slot);
    return awaits || pushed;
}

static int check_answer(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    int rc = m->wire.flags & PM_FLAG_LOCATED ? pm_bad(err, m, "flags") : pm_check_keys(node, m, false, err);
    const pm_key *keys = pm_message_keys(m);
    for (uint32_t i = 0; rc == PM_OK && i < m->wire.n_keys; i++)
        if (!expected(node, keys[i], m->wire.source))
            rc = pm_bad(err, m, "key (no refresh was asked for)");
    if (rc != PM_OK || !node->traits.pushes_values)
        return rc;
    uint32_t ahead = m->wire.request - node->rounds.answers_in[m->wire.source];
    return ahead == 0 || ahead > UINT32_MAX / 2 || m->wire.source == node->config.id ? pm_bad(err, m, "sequence") : PM_OK;
}

/* Takes a checked answer over. */
static void take_answer(struct pm_ctx *ctx, struct pm_message *m)
{
    struct pm_node *node = ctx->node;
    const pm_key *keys = pm_message_keys(m);
    const uint64_t *stamps = pm_message_meta(m);
    const float *values = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        install(ctx, keys[i], stamps[i], m->wire.first, values);
        values += pm_stored(node, keys[i]);
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    if (m->wire.n_keys == 0 && node->policy->announced)
        node->policy->announced(ctx, node->policy_state, m->wire.source, m->wire.number);
    pm_message_free(m);
}

int pm_handle_answer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    struct pm_rounds *r = &node->rounds;
    pm_node_id from = m->wire.source;
    int rc = check_answer(node, m, err);
    if (rc == PM_OK && !node->traits.pushes_values) {
        take_answer(ctx, m);
        return PM_OK;
    }
    if (rc == PM_OK && !keep_early(&r->early_answers[from], m))
        rc = pm_bad(err, m, "sequence");
    while (rc == PM_OK && r->early_answers[from] && turn_of(r->early_answers[from]) == r->answers_in[from] + 1) {
        struct pm_message *next = r->early_answers[from];
        r->early_answers[from] = next->next;
        r->answers_in[from]++;
        take_answer(ctx, next);
    }
    return rc;
}
