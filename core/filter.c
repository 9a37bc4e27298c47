/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters: a policy may replace ACCESS and REPLY messages on their way out, and turns them back at the other side. Counters,
 * charges and the network see the length that really travels. */
#include "core/internal.h"

static bool can_be_filtered(const struct pm_node *node, const struct pm_message *m, pm_node_id to)
{
    return node->policy->filter_out && to != node->config.id &&
           (m->wire.kind == PM_MSG_ACCESS || m->wire.kind == PM_MSG_REPLY);
}

struct pm_message *pm_filter_out(struct pm_ctx *ctx, struct pm_message *m, pm_node_id to)
{
    struct pm_node *node = ctx->node;
    return can_be_filtered(node, m, to) ? node->policy->filter_out(ctx, node->policy_state, to, m) : m;
}

int pm_filter_in(struct pm_ctx *ctx, struct pm_message **m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    int rc = PM_E_MESSAGE;
    if (!node->policy->filter_in || (*m)->wire.source == node->config.id || ((*m)->wire.flags & PM_FLAG_UNCHARGED))
        pm_bad(err, *m, "flags");
    else
        rc = node->policy->filter_in(ctx, node->policy_state, m, err);
    if (rc != PM_OK) {
        pm_message_free(*m);
        *m = NULL;
    }
    return rc;
}

void pm_unsent(struct pm_ctx *ctx, const struct pm_message *m, uint32_t n)
{
    const struct pm_wire *w = &m->wire;
    PM_ASSERT(w->kind == PM_MSG_ACCESS && w->op == PM_OP_PUSH && w->origin == ctx->node->config.id);
    struct pm_entry_ref ref = {.worker = w->worker, .op = w->request & 0xffff};
    ref.generation = ctx->node->workers[w->worker].requests->slots[ref.op].generation;
    pm_count(&ctx->counters.updates_pushed, -(uint64_t)n);
    pm_op_settle(ctx, &ref, n);
}

void pm_filtered(struct pm_ctx *ctx, enum pm_filter filter, uint8_t kind, uint64_t before, uint64_t after)
{
    if (ctx->uncharged)
        return;
    struct pm_filter_counts *c = &ctx->counters.filters[filter][kind == PM_MSG_REPLY];
    pm_count(&c->messages, 1);
    pm_count(&c->bytes_before, before);
    pm_count(&c->bytes_after, after);
}

void pm_apply(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const float *update, uint64_t pushes)
{
    PM_ASSERT(slot->state == PM_SLOT_OWNED, "an update of key %llu, which is not owned here", (unsigned long long)key);
    pm_apply_owned(ctx, key, slot, update, PM_OP_PUSH);
    pm_count(&ctx->counters.updates_applied, pushes);
    pm_charge(ctx, PM_CHARGE_SERVE, 0, 1, pm_length(ctx->node, key));
}

void pm_memory_taken(struct pm_node *node, int64_t bytes)
{
    if (bytes >= 0)
        __atomic_fetch_add(&node->extra_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
    else
        __atomic_fetch_add(&node->dropped_bytes, (uint64_t)-bytes, __ATOMIC_RELAXED);
}
