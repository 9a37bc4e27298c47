/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ownership that is granted by the owner (traits.grants): it answers a refresh with the main copy itself.
 *
 * The owner decides alone, so nobody needs to ask the home first; the home hears of it afterwards, and so does whoever gets a
 * message about the key: every relocation of a key raises a counter, and of two owners the one with the higher counter is the
 * newer. A message goes to the last owner that its sender has heard of, then on to what the receivers know, and after two of
 * them by the home; what is passed on carries the newest owner known. A node that is named there by a counter newer than its
 * own will own the key as soon as the grant is here, which has been sent: the message waits for it. Everybody else passes it
 * on. A former owner tells the home before it passes anything on, so that a message does not go in a circle for long. */
#include <stdlib.h>

#include "core/builder.h"
#include "core/events.h"
#include "core/local.h"
#include "core/versions.h"

enum { CACHED_HOPS = 2 }; /* receivers that go by what they have heard themselves; later ones ask the home */
enum { AHEAD = 16 };      /* keys whose slots are fetched before they are looked at */

pm_node_id pm_owner_hop(const struct pm_node *node, pm_key key, const struct pm_slot *slot, uint32_t hop)
{
    pm_node_id home = pm_owner_at_start(node, key);
    bool known = slot && slot->location != PM_NODE_NONE;
    if (home == node->config.id) {
        PM_ASSERT(known, "the home of a key does not know its owner");
        return slot->location;
    }
    return known && hop <= CACHED_HOPS && node->traits.location_cache ? slot->location : home;
}

bool pm_owner_hear(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id owner, uint32_t counter)
{
    const struct pm_node *node = ctx->node;
    if (slot->state == PM_SLOT_OWNED || owner >= node->config.nodes || counter <= slot->relocations)
        return false;
    if (owner == node->config.id)
        return slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_REFRESHING);
    if (node->traits.location_cache || pm_owner_at_start(node, key) == node->config.id) {
        slot->location = owner;
        slot->relocations = counter;
    }
    return false;
}

void pm_park(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, struct pm_message *m)
{
    struct pm_waiter *w = calloc(1, sizeof *w);
    PM_ASSERT(w, "out of memory for a waiting request");
    w->key = key;
    w->request = m;
    pm_arrivals_add(ctx, slot, w);
    slot->flags |= PM_SLOT_PARKED;
}

/* Handles what waited for a key that is owned here now, or was a moment ago. */
static void handle_parked(struct pm_ctx *ctx, struct pm_waiter *parked)
{
    const bool before = ctx->uncharged;
    for (struct pm_waiter *w = parked, *next; w; w = next) {
        struct pm_message *m = w->request;
        struct pm_error err;
        next = w->next;
        free(w);
        pm_rounds_flush(ctx);
        ctx->uncharged = m->wire.flags & PM_FLAG_UNCHARGED;
        m->wire.hop = 0; /* it has arrived; if the key has left meanwhile the search begins anew */
        int rc = m->wire.kind == PM_MSG_ACCESS ? pm_handle_access(ctx, m, &err) : pm_handle_versioned_round(ctx, m, &err);
        PM_ASSERT(rc == PM_OK, "a request that waited became malformed");
        pm_rounds_flush(ctx);
    }
    ctx->uncharged = before;
}

void pm_grant_key(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id to, bool same)
{
    struct pm_node *node = ctx->node;
    const pm_node_id home = pm_owner_at_start(node, key);
    const uint32_t length = pm_length(node, key), counter = slot->relocations + 1;
    PM_ASSERT(node->traits.grants && to != node->config.id);
    struct pm_entry_place place = {.kind = PM_MSG_GRANT, .to = to, .floats = same ? 0 : length};
    struct pm_entry_meta meta = {
        .version = slot->version, .flags = same ? 0 : PM_GRANT_VALUE, .owner = to, .counter = counter};
    pm_builder_add(ctx, pm_builder_for(ctx, &place), key, &meta, slot->value, !same);
    pm_slot_detach(&node->slots, key, slot);
    pm_key_went(node, key);
    pm_event(ctx, key, PM_EVENT_LEFT);
    slot->location = to;
    slot->relocations = counter;
    if (home != node->config.id && home != to) {
        struct pm_entry_place notice = {.kind = PM_MSG_OWNER, .to = home};
        pm_builder_add(ctx, pm_builder_for(ctx, &notice), key, &meta, NULL, false);
    }
    pm_count(&ctx->counters.relocations_out, 1);
    __atomic_fetch_add(&node->dropped_bytes, pm_slot_model_bytes(&node->slots, length, false), __ATOMIC_RELAXED);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, same ? 0 : length);
}

/* ---- the new owner's side ---- */

static int check_grant(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_entry_flags(m);
    uint64_t floats = 0;
    if (!node->traits.grants)
        return pm_bad(err, m, "kind");
    if (m->wire.n_keys > pm_refreshes_open(node))
        return pm_bad(err, m, "n_keys (more than were asked for)");
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        bool ready = false;
        if (i + AHEAD < m->wire.n_keys)
            pm_slots_prefetch(&node->slots, keys[i + AHEAD]);
        if (keys[i] >= node->layout->n_keys)
            return pm_bad(err, m, "key");
        if (flags[i] & ~(uint32_t)PM_GRANT_VALUE)
            return pm_bad(err, m, "entry flags");
        if (!pm_awaits_answer(node, keys[i], &ready))
            return pm_bad(err, m, "key (no refresh was asked for)");
        if (!flags[i] && !ready)
            return pm_bad(err, m, "entry flags (the replica has no value)");
        floats += flags[i] ? pm_length(node, keys[i]) : 0;
    }
    return m->wire.n_floats == floats ? PM_OK : pm_bad(err, m, "n_floats");
}

/* Under the latch of an awaiting replica: it is the main copy now, with what it collected since it asked. */
static void promote(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t version, uint32_t counter,
                    const float *value)
{
    struct pm_node *node = ctx->node;
    const uint32_t length = pm_length(node, key), merged = *pm_slot_merged(&node->slots, slot, length);
    const bool ready = slot->flags & PM_SLOT_READY;
    PM_ASSERT(pm_slot_promote(&node->slots, key, slot, value) == PM_OK, "out of memory for a main copy");
    pm_key_came(node, key);
    if (ready)
        pm_event(ctx, key, PM_EVENT_DROPPED);
    pm_event(ctx, key, PM_EVENT_OWNED);
    slot->version = version + (merged != 0);
    slot->relocations = counter;
    pm_count(&ctx->counters.updates_applied, merged);
    pm_count(&ctx->counters.relocations_in, 1);
    pm_count(&ctx->counters.replicas_dropped, ready);
    pm_record(ctx, PM_Q_RELOCATION, pm_transition_ns(ctx) - __atomic_load_n(&node->rounds.began_ns, __ATOMIC_RELAXED));
    __atomic_fetch_add(&node->extra_bytes, pm_slot_model_bytes(&node->slots, length, false), __ATOMIC_RELAXED);
    __atomic_fetch_add(&node->dropped_bytes, pm_slot_model_bytes(&node->slots, length, true), __ATOMIC_RELAXED);
}

int pm_handle_grant(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    int rc = check_grant(node, m, err);
    if (rc != PM_OK)
        return rc;
    const pm_key *keys = pm_message_keys(m);
    const uint64_t *versions = pm_message_meta(m);
    const float *values = pm_message_values(m);
    uint64_t n = 0;
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        pm_fetch_ahead(node, keys, i, m->wire.n_keys);
        bool has_value = pm_entry_flags(m)[i];
        struct pm_waiter *parked = NULL;
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        bool queued = false;
        if (slot->state == PM_SLOT_REPLICA) { /* else the message names the key twice */
            n++;
            promote(ctx, keys[i], slot, versions[i], pm_entry_counters(m)[i], has_value ? values : NULL);
            if (slot->flags & PM_SLOT_PARKED)
                parked = pm_arrivals_take(node, keys[i]);
            queued = slot->flags & PM_SLOT_QUEUED;
            slot->flags &= (uint8_t)~(PM_SLOT_PARKED | PM_SLOT_QUEUED);
        }
        pm_slot_close(ctx, slot);
        if (queued)
            pm_queue_retry(ctx, keys[i]);
        handle_parked(ctx, parked);
        values += has_value ? pm_stored(node, keys[i]) : 0;
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    pm_refreshes_answered(ctx, n);
    pm_message_free(m);
    return PM_OK;
}

int pm_handle_owner(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    const struct pm_node *node = ctx->node;
    const pm_key *keys = pm_message_keys(m);
    const pm_node_id *owners = pm_entry_owners(m);
    if (!node->traits.grants)
        return pm_bad(err, m, "kind");
    if (m->wire.n_floats)
        return pm_bad(err, m, "n_floats");
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (keys[i] >= node->layout->n_keys || pm_owner_at_start(node, keys[i]) != node->config.id)
            return pm_bad(err, m, "key (its home is another node)");
        if (owners[i] >= node->config.nodes || owners[i] == node->config.id)
            return pm_bad(err, m, "owner");
    }
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        pm_fetch_ahead(node, keys, i, m->wire.n_keys);
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        pm_owner_hear(ctx, keys[i], slot, owners[i], pm_entry_counters(m)[i]);
        pm_slot_close(ctx, slot);
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, 0);
    pm_message_free(m);
    return PM_OK;
}
