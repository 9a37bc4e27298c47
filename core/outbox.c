/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Outboxes: what a transition wants sent and woken, and the blocking of workers. */
#include <stdlib.h>

#include "core/internal.h"
#include "core/scratch.h"

static void count_sent(struct pm_ctx *ctx, const struct pm_message *m, pm_node_id to)
{
    struct pm_counters *c = &ctx->counters;
    if (!pm_message_is_control(m->wire.kind))
        pm_count(&c->balance_sent, 1);
    if (to == ctx->node->config.id)
        return;
    pm_count(&c->messages_sent, 1);
    pm_count(&c->bytes_sent, m->wire.length_bytes);
    pm_count(&c->kind_count[m->wire.kind], 1);
    pm_count(&c->kind_bytes[m->wire.kind], m->wire.length_bytes);
}

void pm_emit(struct pm_ctx *ctx, struct pm_message *m, pm_node_id to)
{
    struct pm_outbox *o = &ctx->outbox;
    PM_ASSERT(to < ctx->node->config.nodes, "destination %u", to);
    m->wire.source = ctx->node->config.id;
    if (ctx->uncharged)
        m->wire.flags |= PM_FLAG_UNCHARGED;
    else if ((m = pm_filter_out(ctx, m, to)) == NULL)
        return;
    else
        count_sent(ctx, m, to);
    m->destination = to;
    m->next = NULL;
    pm_charge(ctx, PM_CHARGE_SEND, 1, m->wire.n_keys, (m->wire.length_bytes + 3) / 4);
    if (o->last)
        o->last->next = m;
    else
        o->first = m;
    o->last = m;
    o->n_messages++;
}

void pm_wake(struct pm_ctx *ctx, uint32_t worker)
{
    struct pm_outbox *o = &ctx->outbox;
    struct pm_worker *w = &ctx->node->workers[worker];
    /* A full barrier between what was completed and this look at `blocked`; it pairs with the worker's store to `blocked`
     * before its last look at what it waits for. */
    if (!__atomic_fetch_add(&w->blocked, 0u, __ATOMIC_SEQ_CST) || o->wake_listed[worker])
        return;
    o->wake_listed[worker] = 1;
    o->wakes[o->n_wakes++] = (uint16_t)worker;
    pm_charge(ctx, PM_CHARGE_WAKE, 1, 0, 0);
}

void pm_ctx_deliver(struct pm_ctx *ctx)
{
    if (ctx->scratch->n_builders)
        pm_rounds_flush(ctx);
    const struct pm_node_config *c = &ctx->node->config;
    if (ctx->fresh.n)
        pm_fresh_flush(ctx);
    ctx->transition_ns = 0;
    for (uint32_t i = 0; i < ctx->outbox.n_wakes; i++)
        ctx->outbox.wake_listed[ctx->outbox.wakes[i]] = 0;
    c->ops->deliver(c->ops_self, ctx);
    PM_ASSERT(!ctx->outbox.first && !ctx->outbox.n_wakes, "the backend left something in the outbox");
}

int pm_block(struct pm_worker *w)
{
    const struct pm_node_config *c = &w->ctx.node->config;
    PM_ASSERT(!w->ctx.scratch->n_builders, "blocks with messages in the making");
    int64_t before = c->ops->now_ns(c->ops_self);
    int rc = c->ops->block(c->ops_self, w);
    if (!w->ctx.uncharged) {
        int64_t waited = c->ops->now_ns(c->ops_self) - before;
        w->wait_ns += waited;
        pm_count(&w->ctx.counters.wait_ns, (uint64_t)waited);
    }
    return rc;
}

void pm_ask_tick(struct pm_ctx *ctx, int64_t at_ns)
{
    if (at_ns < ctx->outbox.tick_at_ns)
        ctx->outbox.tick_at_ns = at_ns;
}

void pm_ask_round(struct pm_node *node, int64_t at_ns)
{
    int64_t asked = __atomic_load_n(&node->asked_round_ns, __ATOMIC_RELAXED);
    while (at_ns < asked && !__atomic_compare_exchange_n(&node->asked_round_ns, &asked, at_ns, false, __ATOMIC_SEQ_CST,
                                                         __ATOMIC_RELAXED))
        continue;
}

void pm_tick_at(struct pm_ctx *ctx, int64_t at_ns)
{
    pm_ask_round(ctx->node, at_ns);
    pm_ask_tick(ctx, at_ns);
}

int64_t pm_now_ns(struct pm_ctx *ctx)
{
    const struct pm_node_config *c = &ctx->node->config;
    return c->ops->now_ns(c->ops_self);
}

int64_t pm_transition_ns(struct pm_ctx *ctx)
{
    if (ctx->transition_ns == 0)
        ctx->transition_ns = pm_now_ns(ctx);
    return ctx->transition_ns;
}

void pm_record(struct pm_ctx *ctx, uint32_t quantity, int64_t value)
{
    pm_record_times(ctx, quantity, value, 1);
}

void pm_record_times(struct pm_ctx *ctx, uint32_t quantity, int64_t value, uint64_t times)
{
    PM_ASSERT(quantity < PM_QUANTITIES);
    if (ctx->uncharged || value < 0)
        return;
    struct pm_histogram **h = &ctx->histograms[quantity];
    if (!*h) {
        struct pm_histogram *made = calloc(1, sizeof *made);
        if (!made)
            return; /* a histogram is not worth a run */
        __atomic_store_n(h, made, __ATOMIC_RELEASE);
    }
    pm_histogram_record_n(*h, value, times);
}
