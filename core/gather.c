/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Statistics on their way to node 0. */
#include <stdlib.h>

#include "core/internal.h"

int pm_gather_init(struct pm_node *node)
{
    if (node->config.id == 0)
        node->gather.from = calloc(node->config.nodes, sizeof(struct pm_message *));
    return node->config.id != 0 || node->gather.from ? PM_OK : PM_E_MEMORY;
}

void pm_gather_clear(struct pm_node *node)
{
    struct pm_gather *g = &node->gather;
    pm_lock(node, &g->latch);
    for (uint32_t i = 0; g->from && i < node->config.nodes; i++) {
        if (g->from[i])
            pm_message_free(g->from[i]);
        g->from[i] = NULL;
    }
    __atomic_store_n(&g->n, 0, __ATOMIC_RELEASE);
    pm_unlock(node, &g->latch);
}

void pm_gather_fini(struct pm_node *node)
{
    pm_gather_clear(node);
    free(node->gather.from);
}

static int keep(struct pm_ctx *ctx, struct pm_message *m, pm_node_id from, struct pm_error *err)
{
    struct pm_gather *g = &ctx->node->gather;
    pm_lock(ctx->node, &g->latch);
    bool free_place = g->from[from] == NULL;
    if (free_place) {
        g->from[from] = m;
        __atomic_store_n(&g->n, g->n + 1, __ATOMIC_SEQ_CST);
    }
    pm_unlock(ctx->node, &g->latch);
    return free_place ? PM_OK : pm_bad(err, m, "source (sent twice)");
}

int pm_handle_stats(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    if (ctx->node->config.id != 0 || m->wire.source == 0)
        return pm_bad(err, m, "source");
    int rc = keep(ctx, m, m->wire.source, err);
    if (rc == PM_OK)
        pm_wake(ctx, 0);
    return rc;
}

int pm_gather(struct pm_worker *w, const void *blob, uint32_t bytes, uint32_t least_bytes)
{
    struct pm_node *node = w->ctx.node;
    struct pm_message *m = pm_message_new(PM_MSG_STATS, &(struct pm_shape){.blob_bytes = bytes, .with_values = true});
    if (!m)
        return PM_E_MEMORY;
    memcpy(pm_message_blob(m), blob, bytes);
    if (node->config.id != 0) {
        pm_emit(&w->ctx, m, 0);
        pm_ctx_deliver(&w->ctx);
        return PM_OK;
    }
    int rc = keep(&w->ctx, m, 0, NULL);
    PM_ASSERT(rc == PM_OK, "statistics were gathered twice");
    while (rc == PM_OK && __atomic_load_n(&node->gather.n, __ATOMIC_ACQUIRE) < node->config.nodes) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&node->gather.n, __ATOMIC_SEQ_CST) < node->config.nodes)
            rc = pm_block(w);
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; rc == PM_OK && i < node->config.nodes; i++)
        if (pm_gather_bytes(node, i) < least_bytes)
            rc = PM_E_MESSAGE;
    return rc;
}

const void *pm_gather_blob(struct pm_node *node, pm_node_id of)
{
    return pm_message_blob(node->gather.from[of]);
}

uint32_t pm_gather_bytes(struct pm_node *node, pm_node_id of)
{
    return node->gather.from[of]->wire.length_bytes - PM_WIRE_BYTES;
}
