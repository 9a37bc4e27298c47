/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hints of workers to the policy, and what policies may do with slots and private messages. */
#include "core/internal.h"

static int hint(struct pm_worker *w, const pm_key *keys, size_t n, pm_clock start, pm_clock end)
{
    struct pm_node *node = w->ctx.node;
    for (size_t i = 0; i < n; i++)
        if (keys[i] >= node->layout->n_keys)
            return PM_E_KEY;
    if (!node->policy->hint || n == 0)
        return PM_OK;
    pm_charge(&w->ctx, PM_CHARGE_INTENT, 1, n, 0);
    pm_count(&w->ctx.counters.intents, n);
    node->policy->hint(&w->ctx, node->policy_state, w, keys, n, start, end);
    pm_ctx_deliver(&w->ctx);
    return PM_OK;
}

int pm_intent(struct pm_worker *w, const pm_key *keys, size_t n, pm_clock start, pm_clock end)
{
    return start >= 0 && start <= end ? hint(w, keys, n, start, end) : PM_E_ARGUMENT;
}

int pm_localize(struct pm_worker *w, const pm_key *keys, size_t n)
{
    return hint(w, keys, n, PM_CLOCK_NOW, PM_CLOCK_NOW);
}

struct pm_slot *pm_slot_open(struct pm_ctx *ctx, pm_key key)
{
    struct pm_node *node = ctx->node;
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot)
        PM_ASSERT(pm_slot_make(node, key, &slot) == PM_OK, "out of memory for a slot");
    if (!slot)
        slot = pm_slots_get(&node->slots, key);
    PM_ASSERT(slot, "out of memory for a slot");
    pm_slot_lock(&node->slots, slot);
    return slot;
}

void pm_slot_close(struct pm_ctx *ctx, struct pm_slot *slot)
{
    pm_slot_unlock(&ctx->node->slots, slot);
}

void *pm_key_private(struct pm_ctx *ctx, const struct pm_slot *slot)
{
    PM_ASSERT((slot->state == PM_SLOT_OWNED || slot->state == PM_SLOT_REPLICA) && ctx->node->slots.private_bytes);
    return pm_slot_private(&ctx->node->slots, slot);
}

uint32_t pm_key_floats(const struct pm_node *node, pm_key key)
{
    return pm_stored(node, key);
}

uint32_t pm_key_length(const struct pm_node *node, pm_key key)
{
    return pm_length(node, key);
}

uint64_t pm_key_count(const struct pm_node *node)
{
    return node->layout->n_keys;
}

bool pm_has_values(const struct pm_node *node)
{
    return node->config.with_values;
}

void pm_latch_take(const struct pm_node *node, struct pm_latch *latch)
{
    pm_lock(node, latch);
}

void pm_latch_give(const struct pm_node *node, struct pm_latch *latch)
{
    pm_unlock(node, latch);
}

void pm_send_private(struct pm_ctx *ctx, pm_node_id to, uint16_t sub, uint64_t number, const void *blob, uint32_t bytes)
{
    PM_ASSERT(to != ctx->node->config.id, "a private message to this node itself");
    struct pm_shape shape = {.blob_bytes = bytes, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_PRIVATE, &shape);
    PM_ASSERT(m, "out of memory for a private message of %u bytes", bytes);
    m->wire.origin = ctx->node->config.id;
    m->wire.sub = sub;
    m->wire.number = number;
    if (bytes)
        memcpy(pm_message_blob(m), blob, bytes);
    pm_rounds_flush(ctx); /* verbs called before go first */
    pm_emit(ctx, m, to);
}
