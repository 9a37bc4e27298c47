/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relocation: main copies move to the nodes that ask for them (Lapse, section 3).
 *
 * The home of a key, its owner at the start, keeps the directory: who owns it now. A node that wants a key marks it as
 * arriving and asks the home; the home names it as owner at once, so that later accesses go to it, and tells the old
 * owner, who sends the value. The home tells each owner of one successor, so that an arriving key is wanted by at most
 * one node more here: that is noted in the slot and served when the key has arrived and all that waited for it is done. */
#include "core/builder.h"
#include "core/events.h"
#include "core/local.h"
#include "core/location.h"
#include "core/versions.h"

/* While a key arrives its version is not known; in its place are the low bits of the time at which it was asked for and,
 * above them, the number of the node that gets it next, plus one. */
enum { TIME_BITS = 48 };
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
_Static_assert(PM_NODES_MAX < 1 << (64 - TIME_BITS), "a node's number fits above the time");

static uint64_t asked_at(int64_t now_ns)
{
    return (uint64_t)now_ns & TIME_MASK;
}
static int64_t waited_ns(const struct pm_slot *slot, int64_t now_ns)
{
    return (int64_t)(((uint64_t)now_ns - slot->version) & TIME_MASK);
}
pm_node_id pm_slot_successor(const struct pm_slot *slot)
{
    return slot->version >> TIME_BITS ? (pm_node_id)(slot->version >> TIME_BITS) - 1 : PM_NODE_NONE;
}
static void note_successor(struct pm_slot *slot, pm_node_id next)
{
    slot->version |= (next + UINT64_C(1)) << TIME_BITS;
}

pm_node_id pm_directory_hop(const struct pm_node *node, pm_key key, const struct pm_slot *slot, uint32_t hop)
{
    pm_node_id home = pm_owner_at_start(node, key);
    if (!node->traits.relocates)
        return home;
    if (node->traits.grants)
        return pm_owner_hop(node, key, slot, hop);
    bool known = slot && slot->state == PM_SLOT_ABSENT && slot->location != PM_NODE_NONE;
    if (home == node->config.id) {
        PM_ASSERT(known, "the home of a key does not know its owner");
        return slot->location;
    }
    return hop == 0 && known && node->traits.location_cache ? slot->location : home;
}

void pm_locations_learn(struct pm_ctx *ctx, const pm_key *keys, const uint32_t *counters, uint32_t n, pm_node_id owner)
{
    struct pm_node *node = ctx->node;
    for (uint32_t i = 0; i < n && owner != node->config.id; i++) {
        if (!counters && pm_owner_at_start(node, keys[i]) == node->config.id)
            continue; /* here it would be the directory */
        struct pm_slot *slot = pm_slots_get(&node->slots, keys[i]);
        if (!slot)
            return; /* a cached location is not worth a run */
        pm_slot_lock(&node->slots, slot);
        if (counters)
            pm_owner_hear(ctx, keys[i], slot, owner, counters[i]);
        else if (slot->state == PM_SLOT_ABSENT)
            pm_location_keep(ctx, keys[i], slot, owner);
        pm_slot_unlock(&node->slots, slot);
        pm_locations_trim(ctx);
    }
}

/* RELOCATE of a key, asked for by `requester`; `hop` 0: to its home, 1: to its owner. */
static void send_relocate(struct pm_ctx *ctx, pm_key key, pm_node_id requester, uint32_t hop, pm_node_id to)
{
    struct pm_entry_place place = {.kind = PM_MSG_RELOCATE, .to = to, .need = pm_origin_need(requester, hop)};
    pm_builder_add(ctx, pm_builder_for(ctx, &place), key, &(struct pm_entry_meta){0}, NULL, false);
}

void pm_localize_keys(struct pm_ctx *ctx, const pm_key *keys, size_t n)
{
    struct pm_node *node = ctx->node;
    const pm_node_id self = node->config.id;
    const uint64_t now = asked_at(pm_now_ns(ctx));
    PM_ASSERT(node->traits.relocates && !node->traits.grants);
    for (size_t i = 0; i < n; i++) {
        bool home = pm_owner_at_start(node, keys[i]) == self;
        if (home && !pm_slots_find(&node->slots, keys[i]))
            continue; /* never touched, so it is here: no need for a slot */
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        PM_ASSERT(slot->state != PM_SLOT_REPLICA, "a key with a replica here is not to be moved");
        if (slot->state == PM_SLOT_ABSENT) {
            pm_node_id to = pm_directory_hop(node, keys[i], slot, 1);
            slot->state = PM_SLOT_ARRIVING;
            slot->version = now;
            if (home)
                slot->location = self;
            else
                pm_location_drop(node, slot);
            send_relocate(ctx, keys[i], self, home, to);
        }
        pm_slot_close(ctx, slot);
    }
}

/* Under the latch of an owned slot: sends the key to its next owner, whom the home knows already. */
static void give(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id to)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_length(node, key);
    struct pm_entry_place place = {.kind = PM_MSG_TRANSFER, .to = to, .floats = length};
    struct pm_entry_meta meta = {.version = slot->version};
    pm_builder_add(ctx, pm_builder_for(ctx, &place), key, &meta, slot->value, true);
    pm_slot_detach(&node->slots, key, slot);
    pm_key_went(node, key);
    pm_event(ctx, key, PM_EVENT_LEFT);
    if (pm_owner_at_start(node, key) != node->config.id)
        pm_location_keep(ctx, key, slot, to);
    pm_count(&ctx->counters.relocations_out, 1);
    __atomic_fetch_add(&node->dropped_bytes, pm_slot_model_bytes(&node->slots, length, false), __ATOMIC_RELAXED);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, length);
}

/* At the home: who has the key or is about to. */
static pm_node_id owner_before(const struct pm_node *node, const struct pm_slot *slot)
{
    return slot->state == PM_SLOT_OWNED ? node->config.id : slot->location;
}

/* Can this entry of a RELOCATE be as it says? Under the latch; slot NULL: never touched. */
static const char *refuse(const struct pm_node *node, const struct pm_message *m, pm_key key, const struct pm_slot *slot)
{
    pm_node_id home = pm_owner_at_start(node, key);
    if (m->wire.hop == 0) {
        if (home != node->config.id)
            return "key (its home is another node)";
        if (pm_replicated_at(node, key, m->wire.origin))
            return "key (replicated)";
        return slot && owner_before(node, slot) == m->wire.origin ? "key (asked for already)" : NULL;
    }
    if (home != m->wire.source)
        return "key (not from its home)";
    bool unclaimed = slot && slot->state == PM_SLOT_ARRIVING && pm_slot_successor(slot) == PM_NODE_NONE;
    bool here = unclaimed || (slot && slot->state == PM_SLOT_OWNED);
    return here ? NULL : "key (not owned here)";
}

static int check_relocate(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    const struct pm_wire *w = &m->wire;
    if (!node->traits.relocates || node->traits.grants)
        return pm_bad(err, m, "kind");
    if (w->origin >= node->config.nodes || w->origin == node->config.id || (w->hop == 0 && w->origin != w->source))
        return pm_bad(err, m, "origin");
    if (w->hop > 1)
        return pm_bad(err, m, "hop");
    if (w->n_floats)
        return pm_bad(err, m, "n_floats");
    const pm_key *keys = pm_message_keys(m);
    for (uint32_t i = 0; i < w->n_keys; i++) {
        if (keys[i] >= node->layout->n_keys)
            return pm_bad(err, m, "key");
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        if (slot)
            pm_slot_lock(&node->slots, slot);
        const char *why = refuse(node, m, keys[i], slot);
        if (slot)
            pm_slot_unlock(&node->slots, slot);
        if (why)
            return pm_bad(err, m, why);
    }
    return PM_OK;
}

int pm_handle_relocate(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    const pm_node_id self = node->config.id, requester = m->wire.origin;
    int rc = check_relocate(node, m, err);
    if (rc != PM_OK)
        return rc;
    const pm_key *keys = pm_message_keys(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        pm_node_id before = m->wire.hop == 0 ? owner_before(node, slot) : self;
        if (m->wire.hop == 0)
            slot->location = requester;
        /* What the message names twice is done once. */
        if (before == self && slot->state == PM_SLOT_OWNED)
            give(ctx, keys[i], slot, requester);
        else if (before == self && slot->state == PM_SLOT_ARRIVING && pm_slot_successor(slot) == PM_NODE_NONE)
            note_successor(slot, requester);
        else if (before != self && before != requester)
            send_relocate(ctx, keys[i], requester, 1, before);
        pm_slot_close(ctx, slot);
        pm_locations_trim(ctx);
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, 0);
    pm_message_free(m);
    return PM_OK;
}

static int check_transfer(const struct pm_node *node, struct pm_message *m, struct pm_error *err)
{
    if (!node->traits.relocates || node->traits.grants)
        return pm_bad(err, m, "kind");
    int rc = pm_check_keys(node, m, false, err);
    if (rc != PM_OK)
        return rc;
    const pm_key *keys = pm_message_keys(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        struct pm_slot *slot = pm_slots_find(&node->slots, keys[i]);
        if (slot)
            pm_slot_lock(&node->slots, slot);
        bool awaited = slot && slot->state == PM_SLOT_ARRIVING;
        if (slot)
            pm_slot_unlock(&node->slots, slot);
        if (!awaited)
            return pm_bad(err, m, "key (not asked for)");
    }
    return PM_OK;
}

/* The main copy of a key is here: what waited for it goes first, then whoever wants it next. */
static void arrive(struct pm_ctx *ctx, pm_key key, uint64_t version, const float *values)
{
    struct pm_node *node = ctx->node;
    struct pm_slot *slot = pm_slot_open(ctx, key);
    if (slot->state == PM_SLOT_ARRIVING) { /* else the message names the key twice */
        uint32_t length = pm_length(node, key);
        pm_node_id next = pm_slot_successor(slot);
        pm_record(ctx, PM_Q_RELOCATION, waited_ns(slot, pm_now_ns(ctx)));
        PM_ASSERT(pm_slot_attach(&node->slots, key, slot, false) == PM_OK, "out of memory for a main copy");
        __atomic_fetch_add(&node->extra_bytes, pm_slot_model_bytes(&node->slots, length, false), __ATOMIC_RELAXED);
        pm_copy(slot->value, values, pm_stored(node, key));
        slot->version = version;
        pm_key_came(node, key);
        pm_event(ctx, key, PM_EVENT_OWNED);
        pm_count(&ctx->counters.relocations_in, 1);
        if (slot->flags & PM_SLOT_QUEUED)
            pm_arrivals_serve(ctx, key, slot);
        if (next != PM_NODE_NONE)
            give(ctx, key, slot, next);
    }
    pm_slot_close(ctx, slot);
    pm_locations_trim(ctx);
}

int pm_handle_transfer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    int rc = check_transfer(ctx->node, m, err);
    if (rc != PM_OK)
        return rc;
    const pm_key *keys = pm_message_keys(m);
    const uint64_t *versions = pm_message_meta(m);
    const float *values = pm_message_values(m);
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        arrive(ctx, keys[i], versions[i], values);
        values += pm_stored(ctx->node, keys[i]);
    }
    pm_charge(ctx, PM_CHARGE_SERVE, 1, m->wire.n_keys, m->wire.n_floats);
    pm_message_free(m);
    return PM_OK;
}
