/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cached locations: which node owns a key of another home, as far as was heard. A node keeps a bounded number of them, and forgets
 * those first that it has had longest; with one a sparse store's slot goes, so that its memory does not grow with every key
 * that was ever here or asked for. Homes never forget: there a location is the directory. Nor does anybody where owners grant
 * ownership: a former owner that forgot the counter of its own relocation would believe an old message that names it as the
 * owner, and keep a request for a grant that nobody sends. */
#include <stdlib.h>

#include "core/location.h"

/* Without caches nothing is kept, and slots of a dense store need not be given back. */
static uint32_t limit_of(const struct pm_node *node)
{
    return node->traits.location_cache ? node->traits.location_cache_keys : 0;
}

/* Under the latch of the list. PM_OK or PM_E_MEMORY. */
static int grow(struct pm_locations *l)
{
    uint32_t capacity = l->capacity ? 2 * l->capacity : 64;
    pm_key *bigger = malloc(capacity * sizeof *bigger);
    if (!bigger)
        return PM_E_MEMORY;
    for (uint32_t i = 0; i < l->n; i++)
        bigger[i] = l->keys[(l->first + i) % l->capacity];
    free(l->keys);
    l->keys = bigger;
    l->capacity = capacity;
    l->first = 0;
    return PM_OK;
}

void pm_location_keep(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id owner)
{
    struct pm_node *node = ctx->node;
    struct pm_locations *l = &node->locations;
    PM_ASSERT(slot->state == PM_SLOT_ABSENT && pm_owner_at_start(node, key) != node->config.id && !node->traits.grants);
    if (limit_of(node)) {
        if (slot->location == PM_NODE_NONE)
            pm_memory_taken(node, sizeof *slot);
        slot->location = owner;
    }
    if (slot->listed || (node->slots.dense && !limit_of(node)))
        return;
    slot->listed = 1;
    pm_lock(node, &l->latch);
    PM_ASSERT(l->n < l->capacity || grow(l) == PM_OK, "out of memory for the list of locations");
    l->keys[(l->first + l->n) % l->capacity] = key;
    __atomic_store_n(&l->n, l->n + 1, __ATOMIC_RELAXED);
    pm_unlock(node, &l->latch);
}

void pm_location_drop(struct pm_node *node, struct pm_slot *slot)
{
    if (slot->location != PM_NODE_NONE)
        pm_memory_taken(node, -(int64_t)sizeof *slot);
    slot->location = PM_NODE_NONE;
}

/* The key that has been in the list longest, if there are too many. */
static pm_key take_oldest(struct pm_node *node)
{
    struct pm_locations *l = &node->locations;
    pm_key key = PM_KEY_NONE;
    pm_lock(node, &l->latch);
    if (l->n > limit_of(node)) {
        key = l->keys[l->first];
        l->first = (l->first + 1) % l->capacity;
        __atomic_store_n(&l->n, l->n - 1, __ATOMIC_RELAXED);
    }
    pm_unlock(node, &l->latch);
    return key;
}

void pm_locations_trim(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    while (__atomic_load_n(&node->locations.n, __ATOMIC_RELAXED) > limit_of(node)) {
        pm_key key = take_oldest(node);
        struct pm_slot *slot = key == PM_KEY_NONE ? NULL : pm_slots_find(&node->slots, key);
        if (!slot)
            return; /* another context was faster */
        pm_slot_lock(&node->slots, slot);
        const bool absent = slot->state == PM_SLOT_ABSENT; /* else it was asked for again, and is listed again when it leaves */
        slot->listed = 0;
        if (absent)
            pm_location_drop(node, slot);
        const bool unused = absent && !slot->flags && !slot->intents;
        pm_slot_unlock(&node->slots, slot);
        if (unused)
            pm_slots_forget(&node->slots, key);
    }
}

void pm_locations_fini(struct pm_locations *l)
{
    free(l->keys);
}
