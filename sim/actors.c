/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What core asks of a backend (struct pm_backend_ops), and the workers' actors.
 *
 * Charges collect as pending time of their agent. A communicator sleeps it before it sends, wakes or rests; a
 * worker before it sends, wakes, blocks, computes (in one sleep with the computation), after it has advanced
 * its clock, and when it passes
 * --charge-cap. Less than a nanosecond stays pending. */
#include "sim/sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct sim_worker *worker_of(struct pm_ctx *ctx)
{
    return (struct sim_worker *)ctx->backend; /* its agent comes first */
}

/* ---- time ---- */

static int64_t now_ns(void *self)
{
    (void)self;
    return sim_now_ns();
}

bool sim_spend(struct pm_ctx *ctx)
{
    struct sim_agent *agent = ctx->backend;
    double ns = agent->pending_ns;
    if (ns < 1)
        return false;
    agent->pending_ns = 0;
    int64_t before = sim_now_ns();
    sim_pass(agent->node, ns);
    int64_t took = sim_now_ns() - before;
    agent->node->sim->events++;
    if (ctx->worker == NULL)
        pm_count(&ctx->counters.busy_ns, (uint64_t)took);
    else
        worker_of(ctx)->overhead_ns += took;
    return true;
}

/* Core counts the whole of `compute` and `block` as computation and waiting. What of it was pending overhead
 * is moved at the worker's next call, when core has counted it. */
static void settle(struct sim_worker *w)
{
    if (w->misplaced_compute_ns > 0) {
        w->worker->compute_ns -= w->misplaced_compute_ns;
        pm_count(&w->worker->ctx.counters.compute_ns, (uint64_t)-w->misplaced_compute_ns);
        w->misplaced_compute_ns = 0;
    }
    if (w->misplaced_wait_ns > 0) {
        w->worker->wait_ns -= w->misplaced_wait_ns;
        pm_count(&w->worker->ctx.counters.wait_ns, (uint64_t)-w->misplaced_wait_ns);
        w->misplaced_wait_ns = 0;
    }
}

static void compute(void *self, struct pm_worker *worker, double flops)
{
    (void)self;
    struct sim_worker *w = worker_of(&worker->ctx);
    struct sim_node *node = w->agent.node;
    settle(w);
    double overhead_ns = w->agent.pending_ns;
    double ns = overhead_ns + sim_slowdown(w) * flops / node->speed_flops_per_s * 1e9;
    if (ns < 1) {
        w->agent.pending_ns = ns;
        return;
    }
    w->agent.pending_ns = 0;
    int64_t before = sim_now_ns();
    sim_pass(node, ns);
    int64_t took = sim_now_ns() - before;
    node->sim->events++;
    w->misplaced_compute_ns = llround(overhead_ns);
    if (w->misplaced_compute_ns > took)
        w->misplaced_compute_ns = took;
    w->overhead_ns += w->misplaced_compute_ns;
}

/* ---- waiting ---- */

static int block(void *self, struct pm_worker *worker)
{
    struct sim_node *node = self;
    struct sim_worker *w = worker_of(&worker->ctx);
    settle(w);
    int64_t before = worker->ctx.uncharged ? sim_now_ns() : 0, overhead_before = w->overhead_ns;
    sim_spend(&worker->ctx);
    if (!w->token) {
        w->waiting = true;
        node->sim->blocked++;
        sg_sem_acquire(w->wake);
        node->sim->events++;
    }
    w->token = false;
    int64_t overhead = w->overhead_ns - overhead_before;
    if (worker->ctx.uncharged)
        w->evaluation_ns += sim_now_ns() - before - overhead;
    else
        w->misplaced_wait_ns = overhead;
    return PM_OK;
}

static void wake(struct sim_node *node, uint32_t index)
{
    struct sim *sim = node->sim;
    struct sim_worker *w = &sim->workers[(size_t)node->id * sim->job.workers + index];
    sim->quiet_since_ns = PM_TIME_NEVER;
    if (!w->waiting) {
        w->token = true;
        return;
    }
    w->waiting = false;
    sim->blocked--;
    sg_sem_release(w->wake);
}

/* ---- delivery ---- */

static bool must_spend(const struct pm_ctx *ctx)
{
    if (ctx->outbox.first != NULL || ctx->outbox.n_wakes > 0)
        return true;
    if (ctx->worker == NULL)
        return false;
    struct sim_worker *w = (struct sim_worker *)ctx->backend;
    if (w->clock_seen != ctx->worker->clock) {
        w->clock_seen = ctx->worker->clock;
        return true;
    }
    return w->agent.pending_ns >= w->agent.node->sim->settings->charge_cap_ns;
}

/* Other actors run while this one sleeps, sends or wakes, but none of them uses this context. */
static void deliver(void *self, struct pm_ctx *ctx)
{
    struct sim_node *node = self;
    struct sim_agent *agent = ctx->backend;
    struct pm_outbox *box = &ctx->outbox;
    if (ctx->worker != NULL)
        settle(worker_of(ctx));
    agent->pending_ns += sim_cost_take(&node->sim->settings->cost, ctx->charges);
    if (must_spend(ctx))
        sim_spend(ctx);
    int64_t tick_at_ns = box->tick_at_ns;
    box->tick_at_ns = PM_TIME_NEVER;
    sim_tick_at(node, tick_at_ns);
    struct pm_message *m = box->first;
    struct pm_message *last = ctx->worker == NULL ? box->last : NULL;
    box->first = box->last = NULL;
    box->n_messages = 0;
    while (m != last) {
        struct pm_message *next = m->next;
        sim_send(node, m, agent->background);
        m = next;
    }
    for (uint32_t i = 0; i < box->n_wakes; i++) {
        if (ctx->worker == NULL && last == NULL && i + 1 == box->n_wakes)
            sim_rest_early(node);
        wake(node, box->wakes[i]);
    }
    box->n_wakes = 0;
    if (last != NULL)
        sim_send_last(node, last);
}

/* ---- memory ---- */

static void *allocate(void *self, size_t bytes)
{
    (void)self;
    return calloc(1, bytes);
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self;
    (void)bytes;
    free(memory);
}

const struct pm_backend_ops sim_ops = {
    .now_ns = now_ns,
    .deliver = deliver,
    .block = block,
    .compute = compute,
    .alloc = allocate,
    .release = release,
    .relax = NULL,
};

/* ---- the workers ---- */

static void worker_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct sim_worker *w = sg_actor_self_get_data();
    struct sim_node *node = w->agent.node;
    struct sim *sim = node->sim;
    w->started_ns = sim_now_ns();
    int rc = sim->job.main(w->worker, sim->job.main_arg);
    if (rc != PM_OK)
        sim_fail(sim, rc, "worker %u of node %u: %s", w->worker->index, node->id, pm_worker_reason(w->worker, rc));
    sim_spend(&w->worker->ctx);
    settle(w);
    w->ended_ns = sim_now_ns();
    sim->live--;
    sim_stop_if_done(sim);
}

void sim_worker_start(struct sim *sim, uint32_t rank)
{
    struct sim_worker *w = &sim->workers[rank];
    struct sim_node *node = &sim->nodes[rank / sim->job.workers];
    w->agent.node = node;
    w->worker = pm_node_worker(node->node, rank % sim->job.workers);
    w->worker->ctx.backend = w;
    w->worker->backend = w;
    w->clock_seen = w->worker->clock;
    sim_slowdown_begin(w);
    w->wake = sg_sem_init(0);
    sg_actor_t actor = sg_actor_init("worker", node->host);
    sg_actor_set_data(actor, w);
    sg_actor_start(actor, worker_main, 0, NULL);
}

void sim_stop_if_done(struct sim *sim)
{
    if (sim->live > 0 || sim->n_serving > 0 || sim->under_way > 0 || sim->stopping)
        return;
    sim->stopping = true;
    sim_couriers_stop(sim);
    sim_agenda_stop(sim);
}

/* compute + wait + overhead = elapsed, to the nanosecond. */
int sim_worker_check_accounts(const struct sim_worker *w, struct pm_error *err)
{
    int64_t elapsed = w->ended_ns - w->started_ns;
    int64_t sum = w->worker->compute_ns + w->worker->wait_ns + w->overhead_ns + w->evaluation_ns;
    if (sum == elapsed)
        return PM_OK;
    return pm_error_set(
        err, PM_E_INTERNAL,
        "accounts of worker %u of node %u: compute %lld + wait %lld + overhead %lld + evaluation %lld ns "
        "are %lld and not the %lld that elapsed",
        w->worker->index, w->agent.node->id, (long long)w->worker->compute_ns, (long long)w->worker->wait_ns,
        (long long)w->overhead_ns, (long long)w->evaluation_ns, (long long)sum, (long long)elapsed);
}
