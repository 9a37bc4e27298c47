/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replicas with versions (traits.versions): rounds in which a node sends what it collected and asks for what is newer.
 *
 * A main copy's version rises by one with every update and every merged delta. A replica has the version of the value that it
 * got, raised by one for each delta that it has sent since; an entry names the version from before its own delta raises it.
 * The owner compares that with its own before it merges the delta: when they are the same the replica lacks nothing, and the
 * answer is a count. A delta that is sent without a question leaves the replica with a version that nobody has: until it is
 * merged the version raised by one could be the main copy's by coincidence, and a grant without value would then take the one
 * for the other.
 *
 * An unanswered replica sends nothing and is not dropped, so an answer includes all that was sent; values need no numbers in
 * a sequence. Where owners grant ownership (core/grant.c) an entry may have to look for the owner: every entry says whose
 * replica it is from and how many pushes its delta has, so that a message can be taken apart on its way. */
#include <stdlib.h>

#include "core/builder.h"
#include "core/versions.h"

#define VERSION_OF_NOBODY UINT64_MAX

/* ---- when a replica's value was asked for ---- */

/* In place of a sequence: the low halves of two generations, that in which the replica was asked for last and, above it, that
 * behind the value that it has until then. One that is answered by a count is as fresh as the question when all are answered. */
static uint32_t *generations_of(struct pm_node *node, pm_key key, const struct pm_slot *slot)
{
    return pm_slot_sequence(&node->slots, slot, pm_length(node, key));
}

/* So many generations after another one, of which the low halves are given. */
static int16_t after(uint32_t generation, uint32_t other)
{
    return (int16_t)(uint16_t)(generation - other);
}

static uint32_t fresh_half(const struct pm_node *node, uint32_t word)
{
    uint32_t answered = __atomic_load_n(&node->rounds.answered_generation, __ATOMIC_ACQUIRE);
    return after(answered, word) >= 0 ? word & 0xffff : word >> 16;
}

static void note_asked(struct pm_ctx *ctx, pm_key key, const struct pm_slot *slot)
{
    struct pm_node *node = ctx->node;
    struct pm_rounds *r = &node->rounds;
    if (pm_refreshes_open(node) == 0) {
        __atomic_store_n(&r->began_ns, pm_transition_ns(ctx), __ATOMIC_RELAXED);
        __atomic_store_n(&r->generation, pm_fresh_begin(ctx), __ATOMIC_RELAXED);
    }
    uint32_t *word = generations_of(node, key, slot);
    *word = fresh_half(node, *word) << 16 | (r->generation & 0xffff);
    __atomic_fetch_add(&r->asked, 1, __ATOMIC_SEQ_CST);
}

void pm_fresh_versioned(struct pm_ctx *ctx, struct pm_worker *worker, pm_key key, const struct pm_slot *slot)
{
    struct pm_node *node = ctx->node;
    uint32_t answered = __atomic_load_n(&node->rounds.answered_generation, __ATOMIC_ACQUIRE);
    uint32_t half = fresh_half(node, *generations_of(node, key, slot));
    pm_fresh_read(ctx, worker, (uint32_t)((int64_t)answered + after(half, answered)));
}

/* ---- the replica's side ---- */

void pm_versions_ship(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint32_t flags)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_length(node, key);
    uint32_t *merged = pm_slot_merged(&node->slots, slot, length);
    float *delta = pm_slot_delta(&node->slots, slot, length);
    PM_ASSERT(!(slot->flags & PM_SLOT_REFRESHING) && *merged <= PM_ROUND_MERGED_MOST, "%u pushes in a delta", *merged);
    flags |= slot->flags & PM_SLOT_READY ? 0 : PM_ROUND_UNREADY;
    flags |= *merged ? PM_ROUND_DELTA | *merged << PM_ROUND_MERGED_SHIFT : 0;
    struct pm_entry_place place = {.kind = PM_MSG_ROUND,
                                   .to = pm_next_hop(ctx, key, slot, 0),
                                   .need = pm_origin_need(node->config.id, 0),
                                   .floats = *merged ? length : 0,
                                   .back = flags & PM_ROUND_REFRESH ? length : 0};
    struct pm_entry_meta meta = {.version = slot->version, .flags = flags};
    pm_builder_add(ctx, pm_builder_for(ctx, &place), key, &meta, delta, *merged != 0);
    if (*merged) {
        slot->version = flags & PM_ROUND_REFRESH ? slot->version + 1 : VERSION_OF_NOBODY;
        *merged = 0;
    }
    if (flags & PM_ROUND_REFRESH)
        note_asked(ctx, key, slot);
}

void pm_send_delta(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot)
{
    PM_ASSERT(ctx->node->traits.versions && slot->state == PM_SLOT_REPLICA);
    if (*pm_slot_merged(&ctx->node->slots, slot, pm_length(ctx->node, key)))
        pm_versions_ship(ctx, key, slot, 0);
}

void pm_round_to_all(struct pm_ctx *ctx)
{
    const pm_node_id self = ctx->node->config.id;
    struct pm_entry_place place = {.kind = PM_MSG_ROUND, .need = pm_origin_need(self, 0)};
    for (place.to = 0; place.to < ctx->node->config.nodes; place.to++)
        if (place.to != self)
            pm_builder_for(ctx, &place);
}

uint64_t pm_refreshes_open(const struct pm_node *node)
{
    uint64_t answered = __atomic_load_n(&node->rounds.answered, __ATOMIC_SEQ_CST); /* first: never more than asked */
    uint64_t asked = __atomic_load_n(&node->rounds.asked, __ATOMIC_SEQ_CST);
    return asked > answered ? asked - answered : 0; /* peers may answer more than they were asked */
}

void pm_refreshes_answered(struct pm_ctx *ctx, uint64_t n)
{
    struct pm_rounds *r = &ctx->node->rounds;
    /* before the rest: who comes last of several contexts goes on alone, and the next round begins only then */
    const uint32_t generation = __atomic_load_n(&r->generation, __ATOMIC_RELAXED);
    const int64_t began_ns = __atomic_load_n(&r->began_ns, __ATOMIC_RELAXED);
    if (n == 0 || __atomic_add_fetch(&r->answered, n, __ATOMIC_SEQ_CST) != __atomic_load_n(&r->asked, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&r->answered_generation, generation, __ATOMIC_RELEASE);
    int64_t now_ns = pm_now_ns(ctx);
    pm_count(&ctx->counters.rounds, 1);
    pm_record(ctx, PM_Q_ROUND, now_ns - began_ns);
    pm_tick_at(ctx, now_ns);
}

/* Those that are still replicas go back to the list, before those that were made meanwhile. */
static void put_back(struct pm_node *node, pm_key *kept, size_t n, size_t capacity)
{
    struct pm_key_list *list = &node->replicas;
    pm_lock(node, &list->latch);
    PM_ASSERT(pm_grow(&kept, &capacity, n + list->n, sizeof *kept) == PM_OK, "out of memory");
    if (list->n)
        memcpy(kept + n, list->keys, list->n * sizeof *kept);
    free(list->keys);
    list->keys = kept;
    list->n += n;
    list->capacity = capacity;
    pm_unlock(node, &list->latch);
}

void pm_visit_replicas(struct pm_ctx *ctx, pm_visit_fn visit, void *arg)
{
    struct pm_node *node = ctx->node;
    PM_ASSERT(node->traits.versions);
    pm_key *keys;
    pm_lock(node, &node->rounds.ship_latch);
    const bool open = pm_refreshes_open(node) != 0;
    size_t n = pm_take(node, &node->replicas, &keys), kept = 0;
    for (size_t i = 0; i < n; i++) {
        pm_key key = keys[i];
        pm_fetch_ahead(node, keys, i, n);
        struct pm_slot *slot = pm_slots_find(&node->slots, key);
        pm_slot_lock(&node->slots, slot);
        if (slot->state == PM_SLOT_REPLICA) {
            if (!open)
                slot->flags &= (uint8_t)~PM_SLOT_REFRESHING;
            visit(ctx, arg, key, slot);
        }
        if (slot->state == PM_SLOT_REPLICA)
            keys[kept++] = key;
        else
            slot->flags &= (uint8_t)~PM_SLOT_LISTED;
        pm_slot_unlock(&node->slots, slot);
    }
    put_back(node, keys, kept, n);
    pm_unlock(node, &node->rounds.ship_latch);
    pm_charge(ctx, PM_CHARGE_SCAN, 1, n, 0);
}

/* ---- the owner's side ---- */

/* One entry of a ROUND. */
struct entry {
    pm_key key;
    uint64_t version;
    uint32_t flags;
    const float *delta;
    pm_node_id origin;
};

/* Under the latch of a main copy: the answer to a refresh; the value unless `bare`. */
static void answer(struct pm_ctx *ctx, const struct entry *e, const struct pm_slot *slot, bool bare)
{
    struct pm_entry_place place = {.kind = PM_MSG_ANSWER,
                                   .to = e->origin,
                                   .located = ctx->node->traits.grants,
                                   .floats = bare ? 0 : pm_length(ctx->node, e->key)};
    struct pm_builder *b = pm_builder_for(ctx, &place);
    struct pm_entry_meta meta = {.version = slot->version, .counter = slot->relocations};
    if (bare)
        b->updates++;
    else
        pm_builder_add(ctx, b, e->key, &meta, slot->value, true);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, bare ? 0 : pm_length(ctx->node, e->key));
}

/* Under the latch of a main copy. */
static void serve_entry(struct pm_ctx *ctx, const struct entry *e, struct pm_slot *slot)
{
    struct pm_node *node = ctx->node;
    const struct pm_policy *p = node->policy;
    const bool same = !(e->flags & PM_ROUND_UNREADY) && e->version == slot->version;
    if (e->flags & PM_ROUND_DELTA) {
        pm_apply_owned(ctx, e->key, slot, e->delta, PM_OP_PUSH);
        pm_count(&ctx->counters.updates_applied, e->flags >> PM_ROUND_MERGED_SHIFT);
    }
    if ((e->flags & PM_ROUND_OVER) && p->interest)
        p->interest(ctx, node->policy_state, e->key, slot, e->origin, false);
    if (!(e->flags & PM_ROUND_REFRESH) || e->origin == node->config.id) /* who waits for an answer does not own the key */
        return;
    if (p->interest)
        p->interest(ctx, node->policy_state, e->key, slot, e->origin, true);
    enum pm_grant g = p->grant ? p->grant(ctx, node->policy_state, e->key, slot, e->origin) : PM_GRANT_REPLICA;
    if (g == PM_GRANT_OWNERSHIP)
        pm_grant_key(ctx, e->key, slot, e->origin, same);
    else
        answer(ctx, e, slot, same || g == PM_GRANT_NOTHING);
}

/* Under the latch of a key that is not owned here: passes the entry on. */
static void forward(struct pm_ctx *ctx, const struct entry *e, const struct pm_slot *slot, uint32_t hop)
{
    const struct pm_node *node = ctx->node;
    bool has_delta = e->flags & PM_ROUND_DELTA;
    struct pm_entry_place place = {.kind = PM_MSG_ROUND,
                                   .to = pm_next_hop(ctx, e->key, slot, hop),
                                   .need = pm_origin_need(e->origin, hop),
                                   .located = true,
                                   .floats = has_delta ? pm_length(node, e->key) : 0,
                                   .back = e->flags & PM_ROUND_REFRESH ? pm_length(node, e->key) : 0};
    struct pm_entry_meta meta = {
        .version = e->version, .flags = e->flags, .owner = slot->location, .counter = slot->relocations};
    pm_builder_add(ctx, pm_builder_for(ctx, &place), e->key, &meta, e->delta, has_delta);
}

/* The entry as a message of its own, to be handled when its key is here. */
static struct pm_message *single(struct pm_ctx *ctx, const struct pm_message *m, const struct entry *e)
{
    bool has_delta = e->flags & PM_ROUND_DELTA;
    struct pm_shape shape = {.n_keys = 1,
                             .n_floats = has_delta ? pm_length(ctx->node, e->key) : 0,
                             .versions = true,
                             .with_values = ctx->node->config.with_values};
    struct pm_message *one = pm_message_new(PM_MSG_ROUND, &shape);
    PM_ASSERT(one, "out of memory for a waiting refresh");
    one->wire.source = m->wire.source;
    one->wire.origin = m->wire.origin;
    one->wire.hop = m->wire.hop;
    *pm_message_keys(one) = e->key;
    *(uint64_t *)pm_message_meta(one) = e->version;
    *pm_entry_flags(one) = e->flags;
    pm_copy(pm_message_values(one), e->delta, has_delta ? pm_stored(ctx->node, e->key) : 0);
    return one;
}

static int check_round(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    const struct pm_wire *w = &m->wire;
    const bool grants = node->traits.grants;
    if (!(w->flags & PM_FLAG_VERSIONS) || ((w->flags & PM_FLAG_LOCATED) && !grants))
        return pm_bad(err, m, "flags");
    if (w->origin >= node->config.nodes || (!grants && (w->origin != w->source || w->origin == node->config.id)))
        return pm_bad(err, m, "origin");
    if (w->hop >= PM_HOPS_MAX)
        return pm_bad(err, m, "hop");
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_entry_flags(m);
    uint64_t floats = 0;
    for (uint32_t i = 0; i < w->n_keys; i++) {
        bool delta = flags[i] & PM_ROUND_DELTA;
        if (keys[i] >= node->layout->n_keys)
            return pm_bad(err, m, "key");
        if (!grants && pm_owner_at_start(node, keys[i]) != node->config.id)
            return pm_bad(err, m, "key (not owned here)");
        if (delta != (flags[i] >> PM_ROUND_MERGED_SHIFT != 0))
            return pm_bad(err, m, "entry flags");
        floats += delta ? pm_length(node, keys[i]) : 0;
    }
    return w->n_floats == floats ? PM_OK : pm_bad(err, m, "n_floats");
}

int pm_handle_versioned_round(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    int rc = check_round(node, m, err);
    if (rc != PM_OK)
        return rc;
    const bool located = m->wire.flags & PM_FLAG_LOCATED;
    const uint64_t *versions = pm_message_meta(m);
    const pm_key *keys = pm_message_keys(m);
    struct entry e = {.origin = m->wire.origin, .delta = pm_message_values(m)};
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        pm_fetch_ahead(node, keys, i, m->wire.n_keys);
        e.key = keys[i];
        e.version = versions[i];
        e.flags = pm_entry_flags(m)[i];
        struct pm_slot *slot = pm_slot_open(ctx, e.key);
        bool coming = located && pm_owner_hear(ctx, e.key, slot, pm_entry_owners(m)[i], pm_entry_counters(m)[i]);
        if (slot->state == PM_SLOT_OWNED)
            serve_entry(ctx, &e, slot);
        else if (coming)
            pm_park(ctx, e.key, slot, single(ctx, m, &e));
        else
            forward(ctx, &e, slot, m->wire.hop + 1u);
        pm_slot_close(ctx, slot);
        e.delta += (e.flags & PM_ROUND_DELTA) ? pm_stored(node, e.key) : 0;
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    pm_message_free(m);
    return PM_OK;
}

/* ---- answers ---- */

bool pm_awaits_answer(const struct pm_node *node, pm_key key, bool *ready)
{
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot)
        return false;
    pm_slot_lock(&node->slots, slot);
    bool awaits = slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_REFRESHING);
    *ready = awaits && (slot->flags & PM_SLOT_READY);
    pm_slot_unlock(&node->slots, slot);
    return awaits;
}

static int check_answer(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    int rc = pm_check_keys(node, m, false, err);
    const pm_key *keys = pm_message_keys(m);
    if (rc != PM_OK)
        return rc;
    if (!(m->wire.flags & PM_FLAG_LOCATED) != !node->traits.grants)
        return pm_bad(err, m, "flags");
    if ((uint64_t)m->wire.n_keys + m->wire.updates > pm_refreshes_open(node))
        return pm_bad(err, m, "updates (more than were asked for)");
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        bool ready;
        pm_fetch_ahead(node, keys, i, m->wire.n_keys);
        if (!pm_awaits_answer(node, keys[i], &ready))
            return pm_bad(err, m, "key (no refresh was asked for)");
    }
    return PM_OK;
}

int pm_handle_versioned_answer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    int rc = check_answer(node, m, err);
    if (rc != PM_OK)
        return rc;
    const pm_key *keys = pm_message_keys(m);
    const uint64_t *versions = pm_message_meta(m);
    const float *values = pm_message_values(m);
    uint64_t answered = m->wire.updates;
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        pm_fetch_ahead(node, keys, i, m->wire.n_keys);
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        bool awaits = slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_REFRESHING); /* not twice in one message */
        answered += awaits;
        if (awaits) {
            pm_take_value(ctx, keys[i], slot, versions[i], 0, values);
            uint32_t *word = generations_of(node, keys[i], slot);
            *word = (*word & 0xffff) << 16 | (*word & 0xffff);
        }
        bool queued = awaits && (slot->flags & PM_SLOT_QUEUED);
        if (queued)
            slot->flags &= (uint8_t)~PM_SLOT_QUEUED;
        if (node->traits.grants)
            pm_owner_hear(ctx, keys[i], slot, m->wire.source, pm_entry_counters(m)[i]);
        pm_slot_close(ctx, slot);
        if (queued)
            pm_queue_retry(ctx, keys[i]);
        values += pm_stored(node, keys[i]);
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    pm_refreshes_answered(ctx, answered);
    pm_message_free(m);
    return PM_OK;
}
