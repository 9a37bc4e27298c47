/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Barrier, reduction and drain, with node 0 as the hub.
 *
 * A barrier is a reduction of no values. Each node's last arriving worker sends all its workers' doubles;
 * the hub adds them in rank order, so that sums are the same bits however messages travel. A drain is a
 * barrier that is released by counting: in waves every node reports updates pushed and applied, messages
 * sent and received; once two successive waves report the same, balanced numbers, no update and no message
 * is under way (four-counter termination detection, Mattern 1987). */
#include <stdlib.h>

#include "core/internal.h"

struct wave_report {
    uint64_t totals[4]; /* pushed, applied, sent, received */
    int64_t least_clock;
};

int pm_collective_init(struct pm_node *node)
{
    const struct pm_node_config *c = &node->config;
    struct pm_collective *x = &node->collective;
    x->values = calloc((size_t)c->workers * PM_REDUCE_MAX, sizeof *x->values);
    x->least_clock = PM_CLOCK_INFINITE;
    x->least_of = calloc(c->nodes, sizeof *x->least_of);
    if (!x->least_of)
        return PM_E_MEMORY;
    if (c->id == 0) {
        x->all_values = calloc((size_t)c->nodes * c->workers * PM_REDUCE_MAX, sizeof *x->all_values);
        x->last_of = calloc(c->nodes, sizeof *x->last_of);
        if (!x->all_values || !x->last_of)
            return PM_E_MEMORY;
    }
    return x->values ? PM_OK : PM_E_MEMORY;
}

void pm_collective_fini(struct pm_node *node)
{
    free(node->collective.values);
    free(node->collective.least_of);
    free(node->collective.all_values);
    free(node->collective.last_of);
}

static struct pm_message *control(enum pm_message_kind kind, uint64_t number, uint64_t collective, const void *blob,
                                  size_t bytes)
{
    struct pm_shape shape = {.blob_bytes = (uint32_t)bytes, .with_values = true};
    struct pm_message *m = pm_message_new(kind, &shape);
    PM_ASSERT(m, "out of memory");
    m->wire.number = number;
    m->wire.first = (uint32_t)collective;
    if (bytes && blob)
        memcpy(pm_message_blob(m), blob, bytes);
    return m;
}

/* Bytes of the least clocks that a release tells, where clocks matter. */
static size_t clock_bytes(const struct pm_node *node)
{
    return node->traits.min_clock ? node->config.nodes * sizeof(pm_clock) : 0;
}

static uint32_t blob_bytes(const struct pm_message *m)
{
    return m->wire.length_bytes - PM_WIRE_BYTES;
}

/* Under the latch. A round that runs meanwhile has sent all that it will before a drain begins to count, and the pause that the
 * end of a drain begins lets no other one in between. */
static void set_draining(struct pm_node *node, bool draining)
{
    struct pm_collective *x = &node->collective;
    if (x->draining == draining)
        return;
    pm_lock(node, &node->round_latch);
    if (!draining && node->pauses_after_drain)
        __atomic_store_n(&node->paused, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&x->draining, draining, __ATOMIC_RELEASE);
    pm_unlock(node, &node->round_latch);
}

/* Under the latch: lets this node's workers go on. */
static void release_here(struct pm_ctx *ctx, uint64_t number, const double *sums, uint32_t n)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    if (n)
        memcpy(x->result, sums, n * sizeof *sums);
    for (uint32_t i = 0; i < node->config.workers; i++)
        __atomic_store_n(&node->workers[i].in_collective, 0, __ATOMIC_RELEASE);
    pm_clocks_new_era(node, (uint32_t)number, x->least_clock, x->least_of);
    set_draining(node, false);
    __atomic_store_n(&x->released, number, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < node->config.workers; i++)
        pm_wake(ctx, i);
}

/* Under the hub's latch: all nodes may go on. The caller tells of the new era when the latch is free. */
static void release_all(struct pm_ctx *ctx, const double *sums, uint32_t n)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    uint64_t number = x->released + 1;
    for (uint32_t to = 1; to < node->config.nodes; to++) {
        size_t bytes = n * sizeof *sums;
        struct pm_message *m = control(PM_MSG_RELEASE, (uint64_t)x->least_clock, number, NULL, bytes + clock_bytes(node));
        char *blob = pm_message_blob(m);
        memcpy(blob, sums, bytes);
        memcpy(blob + bytes, x->least_of, clock_bytes(node));
        pm_emit(ctx, m, to);
    }
    x->arrived_nodes = 0;
    x->wave = 0;
    memset(x->totals, 0, sizeof x->totals);
    memset(x->previous, 0, sizeof x->previous);
    release_here(ctx, number, sums, n);
}

/* Under the hub's latch: sums in rank order. */
static void release_with_sums(struct pm_ctx *ctx, uint32_t n)
{
    const struct pm_node *node = ctx->node;
    const struct pm_collective *x = &node->collective;
    double sums[PM_REDUCE_MAX] = {0};
    for (uint32_t rank = 0; rank < node->config.nodes * node->config.workers; rank++)
        for (uint32_t i = 0; i < n; i++)
            sums[i] += x->all_values[(size_t)rank * n + i];
    release_all(ctx, sums, n);
}

/* Names the present wave of the present collective. */
static uint64_t present(const struct pm_collective *x)
{
    return (x->released + 1) << 32 | (x->wave + 1);
}

/* Under the hub's latch: is an arrival of this kind, with n doubles per worker, one of the present collective? */
static bool agrees(struct pm_collective *x, enum pm_collective_kind kind, uint32_t n)
{
    if (x->arrived_nodes == 0 && x->wave == 0) {
        x->hub_kind = (uint8_t)kind;
        x->hub_values = n;
    }
    return x->hub_kind == kind && x->hub_values == n;
}

/* Under the hub's latch: counts a node's arrival at this wave; true when it is the last. */
static bool arrive(struct pm_node *node, pm_node_id from, int64_t least_clock)
{
    struct pm_collective *x = &node->collective;
    if (least_clock < x->least_clock || x->arrived_nodes == 0)
        x->least_clock = least_clock;
    x->least_of[from] = least_clock;
    x->last_of[from] = present(x);
    return ++x->arrived_nodes == node->config.nodes;
}

/* Under the hub's latch: one node's doubles, workers x n. Returns whether the collective is released. */
static bool hub_barrier(struct pm_ctx *ctx, pm_node_id from, const void *doubles, uint32_t n, int64_t least_clock)
{
    struct pm_node *node = ctx->node;
    size_t of_node = (size_t)node->config.workers * n;
    if (n)
        memcpy(node->collective.all_values + from * of_node, doubles, of_node * sizeof(double));
    if (!arrive(node, from, least_clock))
        return false;
    release_with_sums(ctx, n);
    return true;
}

static void report_of(struct pm_node *node, struct wave_report *r)
{
    struct pm_counters sum;
    pm_node_counters(node, &sum);
    *r = (struct wave_report){{sum.updates_pushed, sum.updates_applied, sum.balance_sent, sum.balance_received},
                              pm_clocks_least(node)};
}

static bool hub_wave(struct pm_ctx *ctx, pm_node_id from, const struct wave_report *r);

/* Under the latch: this node's part in the present wave. Returns whether the drain is released. */
static bool take_part(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    if (node->policy->drain) {
        node->policy->drain(ctx, node->policy_state);
        pm_rounds_flush(ctx); /* so that the report counts what it sends */
    }
    struct wave_report r;
    report_of(node, &r);
    if (node->config.id == 0)
        return hub_wave(ctx, 0, &r);
    pm_emit(ctx, control(PM_MSG_WAVE, x->wave, x->entered, &r, sizeof r), 0);
    return false;
}

/* Under the hub's latch: a wave is complete. Releases, or begins the next. */
static bool judge_wave(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    const uint64_t *t = x->totals;
    bool balanced = t[0] == t[1] && t[2] == t[3];
    if (x->wave > 0 && balanced && memcmp(t, x->previous, sizeof x->previous) == 0) {
        release_all(ctx, x->result, 0);
        return true;
    }
    memcpy(x->previous, x->totals, sizeof x->previous);
    memset(x->totals, 0, sizeof x->totals);
    x->arrived_nodes = 0;
    x->wave++;
    for (uint32_t to = 1; to < node->config.nodes; to++)
        pm_emit(ctx, control(PM_MSG_WAVE, x->wave, x->released + 1, NULL, 0), to);
    return take_part(ctx);
}

static bool hub_wave(struct pm_ctx *ctx, pm_node_id from, const struct wave_report *r)
{
    struct pm_collective *x = &ctx->node->collective;
    for (int i = 0; i < 4; i++)
        x->totals[i] += r->totals[i];
    return arrive(ctx->node, from, r->least_clock) && judge_wave(ctx);
}

/* ---- workers ---- */

/* Under the latch: this node enters the collective of the cluster. Returns whether that releases it. */
static bool enter_cluster(struct pm_ctx *ctx)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    if (x->kind == PM_COLLECTIVE_DRAIN) {
        set_draining(node, true);
        if (node->config.id != 0)
            x->wave = 0;
        return take_part(ctx);
    }
    pm_clock least = pm_clocks_least(node);
    if (node->config.id == 0)
        return hub_barrier(ctx, 0, x->values, x->n_values, least);
    size_t bytes = (size_t)node->config.workers * x->n_values * sizeof *x->values;
    pm_emit(ctx, control(PM_MSG_BARRIER, (uint64_t)least, x->entered, x->values, bytes), 0);
    return false;
}

/* Under the latch: the last worker of this node has arrived; *released says whether that releases the collective. PM_OK, or
 * PM_E_MESSAGE at the hub when another node is in another collective. */
static int node_arrived(struct pm_worker *w, bool *released)
{
    struct pm_ctx *ctx = &w->ctx;
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    x->arrived = 0;
    x->entered++;
    if (node->config.id == 0 && !agrees(x, x->kind, x->n_values))
        return pm_worker_fail(w, PM_E_MESSAGE, "another node is in another collective");
    *released = enter_cluster(ctx);
    return PM_OK;
}
static int wait_for_release(struct pm_worker *w)
{
    struct pm_collective *x = &w->ctx.node->collective;
    while (__atomic_load_n(&x->released, __ATOMIC_ACQUIRE) < w->collectives) {
        __atomic_store_n(&w->blocked, 1, __ATOMIC_SEQ_CST);
        int rc = __atomic_load_n(&x->released, __ATOMIC_SEQ_CST) < w->collectives ? pm_block(w) : PM_OK;
        __atomic_store_n(&w->blocked, 0, __ATOMIC_RELAXED);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

static int collective(struct pm_worker *w, enum pm_collective_kind kind, double *values, uint32_t n)
{
    struct pm_node *node = w->ctx.node;
    struct pm_collective *x = &node->collective;
    int rc = node->traits.min_clock ? pm_order_wait_pushes(w) : PM_OK;
    if (rc != PM_OK)
        return rc;
    if (node->traits.min_clock && node->policy->advance) {
        node->policy->advance(&w->ctx, node->policy_state, w, PM_CLOCK_INFINITE);
        pm_ctx_deliver(&w->ctx);
    }
    __atomic_store_n(&w->in_collective, 1, __ATOMIC_SEQ_CST);
    pm_clocks_update(&w->ctx);
    pm_lock(node, &x->latch);
    PM_ASSERT(x->arrived == 0 || (x->kind == kind && x->n_values == n), "workers are in different collectives");
    x->kind = (uint8_t)kind;
    x->n_values = n;
    if (n)
        memcpy(x->values + (size_t)w->index * n, values, n * sizeof *values);
    w->collectives++;
    bool released = false;
    rc = ++x->arrived == node->config.workers ? node_arrived(w, &released) : PM_OK;
    pm_unlock(node, &x->latch);
    if (released)
        pm_clocks_tell_era(&w->ctx);
    pm_ctx_deliver(&w->ctx);
    if (rc == PM_OK)
        rc = wait_for_release(w);
    if (rc == PM_OK && n)
        memcpy(values, x->result, n * sizeof *values);
    return rc;
}

int pm_barrier(struct pm_worker *w)
{
    return collective(w, PM_COLLECTIVE_BARRIER, NULL, 0);
}

int pm_reduce(struct pm_worker *w, double *values, size_t n)
{
    if (n > PM_REDUCE_MAX)
        return PM_E_LIMIT;
    return collective(w, PM_COLLECTIVE_BARRIER, values, (uint32_t)n);
}

int pm_drain(struct pm_worker *w)
{
    int rc = pm_wait_all(w);
    return rc == PM_OK ? collective(w, PM_COLLECTIVE_DRAIN, NULL, 0) : rc;
}

/* ---- messages ---- */

/* At the hub: is this the sender's next arrival? */
static int check_arrival(struct pm_node *node, struct pm_message *m, uint32_t n, bool wave, struct pm_error *err)
{
    struct pm_collective *x = &node->collective;
    size_t bytes = wave ? sizeof(struct wave_report) : (size_t)node->config.workers * n * sizeof(double);
    pm_node_id from = m->wire.source;
    if (node->config.id != 0 || from == 0 || m->wire.first != (uint32_t)(x->released + 1))
        return pm_bad(err, m, "first (no such collective)");
    if (wave ? m->wire.number != x->wave : m->wire.number > (uint64_t)PM_CLOCK_INFINITE)
        return pm_bad(err, m, "number");
    if (x->last_of[from] == present(x))
        return pm_bad(err, m, "source (arrived twice)");
    if (blob_bytes(m) != bytes)
        return pm_bad(err, m, "blob");
    bool same = agrees(x, wave ? PM_COLLECTIVE_DRAIN : PM_COLLECTIVE_BARRIER, n);
    return same ? PM_OK : pm_bad(err, m, "kind (another collective)");
}

static int handle_barrier(struct pm_ctx *ctx, struct pm_message *m, bool *released, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    uint32_t per_value = node->config.workers * (uint32_t)sizeof(double);
    uint32_t n = blob_bytes(m) / per_value;
    int rc = n > PM_REDUCE_MAX ? pm_bad(err, m, "blob") : check_arrival(node, m, n, false, err);
    if (rc == PM_OK)
        *released = hub_barrier(ctx, m->wire.source, pm_message_blob(m), n, (pm_clock)m->wire.number);
    return rc;
}

static int handle_wave(struct pm_ctx *ctx, struct pm_message *m, bool *released, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    if (node->config.id == 0) {
        int rc = check_arrival(node, m, 0, true, err);
        if (rc == PM_OK) {
            struct wave_report r;
            memcpy(&r, pm_message_blob(m), sizeof r);
            *released = hub_wave(ctx, m->wire.source, &r);
        }
        return rc;
    }
    bool expected = x->kind == PM_COLLECTIVE_DRAIN && x->entered > x->released;
    if (m->wire.source != 0 || !expected || m->wire.number != x->wave + 1)
        return pm_bad(err, m, "number");
    x->wave++;
    take_part(ctx);
    return PM_OK;
}

static int handle_release(struct pm_ctx *ctx, struct pm_message *m, bool *released, struct pm_error *err)
{
    const struct pm_node *node = ctx->node;
    struct pm_collective *x = &ctx->node->collective;
    size_t bytes = x->n_values * sizeof(double);
    if (m->wire.source != 0 || x->entered != x->released + 1 || m->wire.first != (uint32_t)x->entered ||
        m->wire.number > (uint64_t)PM_CLOCK_INFINITE || blob_bytes(m) != bytes + clock_bytes(node))
        return pm_bad(err, m, "first (no such collective)");
    double sums[PM_REDUCE_MAX];
    const char *blob = pm_message_blob(m);
    memcpy(sums, blob, bytes);
    for (size_t at = bytes; at < blob_bytes(m); at += sizeof(pm_clock)) {
        pm_clock clock;
        memcpy(&clock, blob + at, sizeof clock);
        if (clock < (pm_clock)m->wire.number)
            return pm_bad(err, m, "clock");
    }
    memcpy(x->least_of, blob + bytes, clock_bytes(node));
    x->least_clock = (pm_clock)m->wire.number;
    release_here(ctx, x->entered, sums, x->n_values);
    *released = true;
    return PM_OK;
}

int pm_handle_collective(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    struct pm_collective *x = &node->collective;
    bool released = false;
    pm_lock(node, &x->latch);
    int rc = m->wire.kind == PM_MSG_BARRIER ? handle_barrier(ctx, m, &released, err)
             : m->wire.kind == PM_MSG_WAVE  ? handle_wave(ctx, m, &released, err)
                                            : handle_release(ctx, m, &released, err);
    pm_unlock(node, &x->latch);
    if (released)
        pm_clocks_tell_era(ctx);
    if (rc == PM_OK)
        pm_message_free(m);
    return rc;
}
