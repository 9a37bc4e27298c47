/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an operation does to one slot, under its latch. */
#include "core/internal.h"
#include "core/log.h"
#include "core/versions.h"

/* Under the latch: adds an update to a copy and its delta, which is to be sent. */
static void collect(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const float *update)
{
    struct pm_node *node = ctx->node;
    if (node->config.with_values) {
        uint32_t length = pm_length(node, key);
        pm_add(slot->value, update, length);
        pm_add(pm_slot_delta(&node->slots, slot, length), update, length);
    }
    if (!(slot->flags & PM_SLOT_DIRTY)) {
        slot->flags |= PM_SLOT_DIRTY;
        pm_mark(ctx, &node->dirty, key);
    }
}

/* Under the latch, with traits.versions: the same where deltas are lazy and rounds go through all replicas. */
static void collect_versioned(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const float *update)
{
    struct pm_node *node = ctx->node;
    const uint32_t length = pm_length(node, key), stored = pm_stored(node, key);
    float *delta = pm_slot_delta(&node->slots, slot, length);
    if (slot->flags & PM_SLOT_READY)
        pm_add(slot->value, update, stored);
    if ((*pm_slot_merged(&node->slots, slot, length))++)
        pm_add(delta, update, stored);
    else
        pm_copy(delta, update, stored);
}

void pm_apply_owned(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const float *update,
                    enum pm_op_kind kind)
{
    struct pm_node *node = ctx->node;
    uint32_t length = pm_stored(node, key);
    const struct pm_workload *workload = node->config.workload;
    slot->version++;
    if (slot->shared) {
        collect(ctx, key, slot, update);
        return;
    }
    if (kind == PM_OP_SET)
        pm_copy(slot->value, update, length);
    else if (workload->apply && length)
        workload->apply(node->config.workload_state, key, length, slot->value, update);
    else
        pm_add(slot->value, update, length);
    if (!node->traits.track_changes || (slot->flags & PM_SLOT_CHANGED))
        return;
    pm_node_id other = (node->config.id + 1) % node->config.nodes;
    bool spread = node->traits.pushes_values ? slot->flags & PM_SLOT_WANTED
                                             : other != node->config.id && pm_replicated_at(node, key, other);
    if (spread) {
        slot->flags |= PM_SLOT_CHANGED;
        pm_mark(ctx, &node->changed, key);
    }
}

/* Under the latch of a replica: one push. */
static void apply_replica(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const struct pm_access *access)
{
    if (ctx->node->traits.versions) {
        collect_versioned(ctx, key, slot, access->in);
        return;
    }
    ++*pm_slot_merged(&ctx->node->slots, slot, pm_length(ctx->node, key));
    if (!ctx->node->traits.worker_logs) {
        collect(ctx, key, slot, access->in);
        return;
    }
    pm_add(slot->value, access->in, pm_stored(ctx->node, key));
    pm_log_push(ctx->node, access->worker->log, key, access->in);
}

bool pm_serve_local(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const struct pm_access *access)
{
    const struct pm_policy *p = ctx->node->policy;
    if (access->kind == PM_OP_PULL) {
        pm_copy(access->out, slot->value, pm_stored(ctx->node, key));
        if (slot->state == PM_SLOT_REPLICA && ctx->node->traits.versions)
            pm_fresh_versioned(ctx, access->worker, key, slot);
        else if (slot->state == PM_SLOT_REPLICA)
            pm_fresh_exchanged(ctx, access->worker);
    } else if (slot->state != PM_SLOT_OWNED) {
        apply_replica(ctx, key, slot, access);
        return false;
    } else if (!p->merge || !p->merge(ctx, ctx->node->policy_state, key, slot, access->number, access->kind, access->in)) {
        pm_apply_owned(ctx, key, slot, access->in, access->kind);
        return access->kind == PM_OP_PUSH;
    }
    return false;
}

bool pm_serve_waiter(struct pm_ctx *ctx, struct pm_slot *slot, const struct pm_waiter *waiter)
{
    struct pm_access access = {.kind = waiter->kind, .number = waiter->number, .out = waiter->out, .in = waiter->in};
    access.worker = &ctx->node->workers[waiter->ref.worker];
    bool applied = pm_serve_local(ctx, waiter->key, slot, &access);
    pm_charge(ctx, PM_CHARGE_LOCAL, 0, 0, pm_length(ctx->node, waiter->key));
    if (applied)
        pm_count(&ctx->counters.updates_applied, 1);
    return applied;
}
