/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Entries of a worker's operation that waited, one by one, and go on now: those that one transition sends to one node share a
 * message, whether they name different keys or one key again. */
#include <stdlib.h>

#include "core/builder.h"

static void add(struct pm_ctx *ctx, struct pm_builder *b, const struct pm_waiter *waiter)
{
    const bool pull = waiter->kind == PM_OP_PULL;
    pm_op_asked(ctx, &waiter->ref, waiter->key);
    pm_builder_add(ctx, b, waiter->key, &(struct pm_entry_meta){.flags = waiter->ref.entry}, waiter->in, !pull);
    b->n_pulled += pull ? pm_length(ctx->node, waiter->key) : 0;
}

void pm_send_waiter(struct pm_ctx *ctx, const struct pm_waiter *waiter, pm_node_id to)
{
    struct pm_node *node = ctx->node;
    const struct pm_entry_ref *ref = &waiter->ref;
    struct pm_entry_place place = {.kind = PM_MSG_ACCESS, .to = to, .need = waiter->number};
    place.name = (struct pm_op_name){.request = pm_op_request(ref), .worker = (uint16_t)ref->worker, .op = waiter->kind};
    place.floats = pm_length(node, waiter->key);
    add(ctx, pm_builder_for(ctx, &place), waiter);
    while (node->ordered && pm_builder_has_room(ctx, &place)) {
        struct pm_waiter *next = pm_order_follow(ctx, &node->workers[ref->worker], waiter);
        if (!next)
            break;
        add(ctx, pm_builder_for(ctx, &place), next);
        free(next);
    }
}

bool pm_go_on(struct pm_ctx *ctx, struct pm_waiter *waiter)
{
    struct pm_node *node = ctx->node;
    struct pm_worker *w = &node->workers[waiter->ref.worker];
    uint64_t kicks = pm_kicks(node);
    struct pm_slot *slot = pm_slots_find(&node->slots, waiter->key);
    if (!slot)
        PM_ASSERT(pm_slot_make(node, waiter->key, &slot) == PM_OK, "out of memory for a slot");
    if (slot)
        pm_slot_lock(&node->slots, slot);
    bool here = slot && (slot->state == PM_SLOT_OWNED || slot->state == PM_SLOT_ARRIVING);
    bool shared = node->traits.shared_memory;
    enum pm_verdict v = shared && slot ? pm_judge(ctx, w, waiter->key, slot, waiter->kind, waiter->number) : PM_ASK;
    bool leads = v == PM_ASK || (v == PM_WAIT && slot->state != PM_SLOT_ARRIVING); /* arrivals have an order of their own */
    pm_node_id to = PM_NODE_NONE;
    if (v == PM_USE) {
        pm_serve_waiter(ctx, slot, waiter);
        pm_op_settle(ctx, &waiter->ref, 1);
    } else if (v == PM_WAIT) {
        PM_ASSERT(pm_queue_add(ctx, slot, waiter) == PM_OK, "out of memory for a waiting operation");
    } else {
        to = here ? node->config.id : pm_next_hop(ctx, waiter->key, slot, 0);
    }
    if (slot)
        pm_slot_unlock(&node->slots, slot);
    if (v == PM_ASK)
        pm_send_waiter(ctx, waiter, to);
    if (v == PM_WAIT && pm_kicks(node) != kicks)
        pm_queue_retry(ctx, waiter->key); /* a kick came between the question and the queueing */
    free(waiter);
    return leads;
}
