/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The in-memory network's workers and communicators, and what they ask of their backend. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "memnet/state.h"

enum { SPURIOUS_ONE_IN = 50, INTERRUPTED_ONE_IN = 10 };

void memnet_fail(struct memnet *net, int code)
{
    if (net->failed)
        return;
    net->failed = code;
    if (net->err.code != code)
        pm_error_set(&net->err, code, "%s", pm_strerror(code));
}

static struct agent *agent_of(const struct pm_ctx *ctx)
{
    return ctx->backend;
}

void memnet_pause(struct agent *agent)
{
    agent->state = AGENT_READY;
    fiber_yield(agent->fiber);
}

void memnet_interrupt(struct agent *agent)
{
    agent->net->interrupted++;
    memnet_pause(agent);
    agent->net->interrupted--;
}

static void pause_at_random(struct agent *agent)
{
    struct memnet *net = agent->net;
    if (net->config->postpone_percent && pm_rng_below(&net->rng, 100) < net->config->postpone_percent)
        memnet_pause(agent);
}

/* ---- Deliver ---- */

/* The same encoding in memory of its own; the original is overwritten, so that nobody gets away with keeping
 * it. */
static struct pm_message *travel(struct pm_message *m)
{
    if (m->stored_bytes != m->wire.length_bytes)
        return m;
    struct pm_message *copy = pm_message_raw(m->wire.length_bytes);
    PM_ASSERT(copy != NULL);
    copy->destination = m->destination;
    memcpy(&copy->wire, &m->wire, m->wire.length_bytes);
    memset(&m->wire, 0xdb, m->stored_bytes);
    pm_message_free(m);
    return copy;
}

static void hand_over(struct agent *agent, struct pm_message *m)
{
    struct memnet *net = agent->net;
    PM_ASSERT(m->destination < net->job->nodes && m->wire.source == agent->node);
    PM_ASSERT(m->wire.kind != PM_MSG_HELLO && m->wire.kind != PM_MSG_GOODBYE);
    if (net->config->sent)
        net->config->sent(net->config->arg, m, agent->node);
    m = travel(m);
    if (pm_message_check(m, m->stored_bytes, net->job->with_values) != PM_OK)
        memnet_fail(net, pm_error_set(&net->err, PM_E_MESSAGE, "node %u sent a malformed %s of %u bytes",
                                      agent->node, pm_message_kind_name(m->wire.kind), m->wire.length_bytes));
    net->result.messages++;
    m->next = NULL;
    struct channel *channel = &net->channels[m->destination * net->job->nodes + agent->node];
    if (channel->last)
        channel->last->next = m;
    else
        channel->first = m;
    channel->last = m;
}

static void wake(struct agent *sleeper)
{
    if (sleeper->state == AGENT_ENDED)
        return;
    sleeper->token = true;
    if (sleeper->state == AGENT_BLOCKED)
        sleeper->state = AGENT_READY;
}

static void take_charges(struct memnet *net, struct pm_ctx *ctx)
{
    for (int i = 0; i < PM_CHARGES; i++) {
        net->result.charges[i].events += ctx->charges[i].events;
        net->result.charges[i].keys += ctx->charges[i].keys;
        net->result.charges[i].bytes += ctx->charges[i].bytes;
        ctx->charges[i] = (struct pm_charge){0};
    }
}

static void memnet_deliver(void *self, struct pm_ctx *ctx)
{
    struct memnet *net = self;
    struct agent *agent = agent_of(ctx);
    struct pm_outbox *outbox = &ctx->outbox;
    PM_ASSERT(!agent->delivering, "deliver inside deliver");
    agent->delivering = true;
    take_charges(net, ctx);
    while (outbox->first) {
        pause_at_random(agent);
        struct pm_message *m = outbox->first;
        outbox->first = m->next;
        if (!outbox->first)
            outbox->last = NULL;
        PM_ASSERT(outbox->n_messages > 0);
        outbox->n_messages--;
        hand_over(agent, m);
    }
    PM_ASSERT(outbox->n_messages == 0);
    if (outbox->n_wakes > 0)
        pause_at_random(agent);
    for (uint32_t i = 0; i < outbox->n_wakes; i++) {
        PM_ASSERT(outbox->wakes[i] < net->job->workers && !outbox->wake_listed[outbox->wakes[i]]);
        wake(&net->agents[memnet_agent_index(net, agent->node, outbox->wakes[i])]);
    }
    outbox->n_wakes = 0;
    if (outbox->tick_at_ns < net->tick_at_ns[agent->node])
        net->tick_at_ns[agent->node] = outbox->tick_at_ns;
    outbox->tick_at_ns = PM_TIME_NEVER;
    pause_at_random(agent);
    agent->delivering = false;
}

/* ---- The rest of the backend's services ---- */

static int64_t memnet_now(void *self)
{
    return ((struct memnet *)self)->now_ns;
}

/* Whoever asks for the time in the middle of a transition may be interrupted there. */
static int64_t memnet_now_preempted(void *self)
{
    struct memnet *net = self;
    while (net->running && pm_rng_below(&net->rng, INTERRUPTED_ONE_IN) == 0)
        memnet_interrupt(net->running);
    return net->now_ns;
}

/* The message that the scheduler gave this agent: its channel is busy until all that follows from it has been
 * sent. */
static void receive(struct agent *agent)
{
    struct memnet *net = agent->net;
    struct pm_message *m = agent->inbox;
    agent->inbox = NULL;
    if (net->config->received)
        net->config->received(net->config->arg, m, agent->node);
    if (pm_node_receive(agent->ctx, m, &net->err) != PM_OK)
        memnet_fail(net, PM_E_MESSAGE);
    pm_ctx_deliver(agent->ctx);
    agent->channel->busy = false;
    agent->channel = NULL;
}

static int memnet_block(void *self, struct pm_worker *worker)
{
    struct memnet *net = self;
    struct agent *agent = worker->backend;
    PM_ASSERT(!agent->delivering && worker->ctx.outbox.n_messages == 0, "blocks with messages in its outbox");
    while (!net->failed) {
        if (agent->token) {
            agent->token = false;
            return PM_OK;
        }
        if (pm_rng_below(&net->rng, SPURIOUS_ONE_IN) == 0) {
            memnet_pause(agent);
            return PM_OK;
        }
        agent->state = AGENT_BLOCKED;
        fiber_yield(agent->fiber);
        if (agent->inbox)
            receive(agent);
    }
    return PM_E_PEER;
}

static void memnet_compute(void *self, struct pm_worker *worker, double flops)
{
    struct memnet *net = self;
    PM_ASSERT(flops >= 0);
    net->now_ns += flops < 1e6 ? (int64_t)flops : 1000000;
    memnet_pause(worker->backend);
}

static void *memnet_alloc(void *self, size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory)
        ((struct memnet *)self)->allocated_bytes += (int64_t)bytes;
    return memory;
}

static void memnet_release(void *self, void *memory, size_t bytes)
{
    if (memory)
        ((struct memnet *)self)->allocated_bytes -= (int64_t)bytes;
    free(memory);
}

static void memnet_relax(void *self)
{
    (void)self;
    PM_ASSERT(false, "a latch is taken while its holder does not run: it was kept over deliver or block, or "
                     "not given back");
}

static void memnet_relax_preempted(void *self)
{
    memnet_interrupt(((struct memnet *)self)->running);
}

const struct pm_backend_ops memnet_ops = {
    .now_ns = memnet_now,
    .deliver = memnet_deliver,
    .block = memnet_block,
    .compute = memnet_compute,
    .alloc = memnet_alloc,
    .release = memnet_release,
};

const struct pm_backend_ops memnet_ops_latched = {
    .now_ns = memnet_now,
    .deliver = memnet_deliver,
    .block = memnet_block,
    .compute = memnet_compute,
    .alloc = memnet_alloc,
    .release = memnet_release,
    .relax = memnet_relax,
};

const struct pm_backend_ops memnet_ops_preempted = {
    .now_ns = memnet_now_preempted,
    .deliver = memnet_deliver,
    .block = memnet_block,
    .compute = memnet_compute,
    .alloc = memnet_alloc,
    .release = memnet_release,
    .relax = memnet_relax_preempted,
};

/* ---- Agents ---- */

static void run_worker(void *arg)
{
    struct agent *agent = arg;
    int code = agent->net->failed ? PM_OK : agent->net->job->main(agent->worker, agent->net->job->main_arg);
    if (code != PM_OK) {
        if (!agent->net->failed && agent->worker->error.code == code)
            agent->net->err = agent->worker->error;
        memnet_fail(agent->net, code);
    }
    agent->state = AGENT_ENDED;
}

static void tick(struct agent *agent)
{
    struct memnet *net = agent->net;
    agent->tick = false;
    net->tick_at_ns[agent->node] = PM_TIME_NEVER;
    int64_t next = pm_node_tick(agent->ctx, net->now_ns);
    if (next < net->tick_at_ns[agent->node])
        net->tick_at_ns[agent->node] = next;
    pm_ctx_deliver(agent->ctx);
}

static void run_communicator(void *arg)
{
    struct agent *agent = arg;
    while (agent->inbox || agent->tick) {
        if (agent->inbox)
            receive(agent);
        else
            tick(agent);
        agent->state = AGENT_IDLE;
        fiber_yield(agent->fiber);
    }
    agent->state = AGENT_ENDED;
}

void memnet_resume(struct agent *agent)
{
    PM_ASSERT(agent->state != AGENT_ENDED);
    agent->net->running = agent;
    fiber_resume(agent->fiber);
    agent->net->running = NULL;
    PM_ASSERT(fiber_ended(agent->fiber) == (agent->state == AGENT_ENDED));
}

void memnet_end_agent(struct agent *agent)
{
    if (agent->fiber && !agent->worker && agent->state != AGENT_ENDED)
        memnet_resume(agent); /* without work: its loop ends */
    fiber_free(agent->fiber);
}

int memnet_make_agents(struct memnet *net)
{
    for (uint32_t i = 0; i < net->n_agents; i++) {
        struct agent *agent = &net->agents[i];
        uint32_t per_node = net->job->workers + 1;
        agent->net = net;
        agent->node = i / per_node;
        if (i % per_node < net->job->workers) {
            agent->worker = pm_node_worker(net->nodes[agent->node], i % per_node);
            agent->worker->backend = agent;
            agent->ctx = &agent->worker->ctx;
            agent->state = AGENT_READY;
        } else {
            agent->ctx = pm_node_communicator(net->nodes[agent->node]);
            agent->state = AGENT_IDLE;
        }
        agent->ctx->backend = agent;
        agent->fiber = fiber_new(agent->worker ? run_worker : run_communicator, agent);
        if (!agent->fiber)
            return PM_E_MEMORY;
    }
    return PM_OK;
}
