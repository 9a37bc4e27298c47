/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The in-memory network: scheduler, channels and the backend's services to core. Its agents are in
 * memnet/agent.c. */
#include "memnet/memnet.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "memnet/state.h"

enum {
    LEAP_ONE_IN = 24,
    STARVED_ONE_IN = 512,
    DELAYED_ONE_IN = 64,
    IDLE_TICKS_MAX = 20000,
    STEP_NS = 400,
    FAILED_EVENTS_MAX = 1000000
};

const char *const memnet_mode_names[MEMNET_MODES] = {"random", "round-robin", "starve", "delay", "burst"};

struct pm_node *memnet_node(struct memnet *net, pm_node_id id)
{
    return net->nodes[id];
}

const struct pm_job *memnet_job(const struct memnet *net)
{
    return net->job;
}

uint64_t memnet_events(const struct memnet *net)
{
    return net->result.events;
}

bool memnet_interrupted(const struct memnet *net)
{
    return net->interrupted > 0;
}

void memnet_visit_in_flight(struct memnet *net, void (*visit)(void *arg, struct pm_message *m), void *arg)
{
    for (uint32_t i = 0; i < net->n_channels; i++)
        for (struct pm_message *m = net->channels[i].first; m; m = m->next)
            visit(arg, m);
    for (uint32_t i = 0; i < net->n_agents; i++)
        for (struct pm_message *m = net->agents[i].ctx->outbox.first; m; m = m->next)
            visit(arg, m);
}

/* ---- Which events are possible ---- */

static bool can_deliver(const struct memnet *net, uint32_t channel)
{
    const struct channel *c = &net->channels[channel];
    if (!c->first || c->busy)
        return false;
    uint32_t to = channel / net->job->nodes, from = channel % net->job->nodes;
    if (net->agents[memnet_communicator(net, to)].state == AGENT_IDLE)
        return true;
    if (from == to) /* a node's own messages come through the communicator's inbox */
        return false;
    for (uint32_t w = 0; w < net->job->workers; w++)
        if (net->agents[memnet_agent_index(net, to, w)].state == AGENT_BLOCKED)
            return true;
    return false;
}

static bool can_tick(const struct memnet *net, pm_node_id node)
{
    return !net->flushing && net->tick_at_ns[node] <= net->now_ns &&
           net->agents[memnet_communicator(net, node)].state == AGENT_IDLE;
}

/* Events are numbered: channels, agents, ticks. */
static bool possible(const struct memnet *net, uint32_t event)
{
    if (event < net->n_channels)
        return can_deliver(net, event);
    event -= net->n_channels;
    if (event < net->n_agents)
        return net->agents[event].state == AGENT_READY;
    return can_tick(net, event - net->n_agents);
}

static pm_node_id node_of(const struct memnet *net, uint32_t event)
{
    if (event < net->n_channels)
        return event / net->job->nodes;
    event -= net->n_channels;
    return event < net->n_agents ? net->agents[event].node : event - net->n_agents;
}

static bool is_tick(const struct memnet *net, uint32_t event)
{
    return event >= net->n_channels + net->n_agents;
}

/* Leaves only those events that are not `rare`, unless that leaves nothing but ticks. */
static uint32_t keep_common(struct memnet *net, uint32_t n, bool (*rare)(const struct memnet *, uint32_t))
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        kept += !rare(net, net->candidates[i]) && !is_tick(net, net->candidates[i]);
    if (kept == 0)
        return n;
    kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!rare(net, net->candidates[i]))
            net->candidates[kept++] = net->candidates[i];
    return kept;
}

static bool is_starved(const struct memnet *net, uint32_t event)
{
    return event == net->victim % net->n_channels;
}

static bool is_delayed(const struct memnet *net, uint32_t event)
{
    return node_of(net, event) == net->victim % net->job->nodes;
}

/* Chooses one of the n candidates, which are in the order of their numbers. */
static uint32_t choose(struct memnet *net, uint32_t n)
{
    if (net->config->mode == MEMNET_ROUND_ROBIN) {
        for (uint32_t i = 0; i < n; i++)
            if (net->candidates[i] > net->last_event)
                return net->candidates[i];
        return net->candidates[0];
    }
    if (net->config->mode == MEMNET_BURST && possible(net, net->last_event) &&
        pm_rng_below(&net->rng, 8) != 0)
        return net->last_event;
    if (net->config->mode == MEMNET_STARVE && pm_rng_below(&net->rng, STARVED_ONE_IN) != 0)
        n = keep_common(net, n, is_starved);
    if (net->config->mode == MEMNET_DELAY && pm_rng_below(&net->rng, DELAYED_ONE_IN) != 0)
        n = keep_common(net, n, is_delayed);
    return net->candidates[pm_rng_below(&net->rng, n)];
}

static int64_t earliest_tick(const struct memnet *net)
{
    int64_t earliest = PM_TIME_NEVER;
    for (pm_node_id i = 0; i < net->job->nodes && !net->flushing; i++)
        if (net->tick_at_ns[i] < earliest && net->agents[memnet_communicator(net, i)].state == AGENT_IDLE)
            earliest = net->tick_at_ns[i];
    return earliest;
}

static uint32_t list_candidates(struct memnet *net)
{
    uint32_t n = 0, events = net->n_channels + net->n_agents + net->job->nodes;
    for (uint32_t e = 0; e < events; e++)
        if (possible(net, e))
            net->candidates[n++] = e;
    return n;
}

/* ---- One step ---- */

static void fire_delivery(struct memnet *net, uint32_t channel)
{
    struct channel *c = &net->channels[channel];
    uint32_t to = channel / net->job->nodes, from = channel % net->job->nodes;
    uint32_t handlers[PM_WAKES_MAX + 3], n = 0;
    if (net->agents[memnet_communicator(net, to)].state == AGENT_IDLE)
        for (int weight = 0; weight < 3; weight++)
            handlers[n++] = memnet_communicator(net, to);
    for (uint32_t w = 0; w < net->job->workers && from != to; w++)
        if (net->agents[memnet_agent_index(net, to, w)].state == AGENT_BLOCKED)
            handlers[n++] = memnet_agent_index(net, to, w);
    struct agent *handler = &net->agents[handlers[pm_rng_below(&net->rng, n)]];
    handler->inbox = c->first;
    handler->channel = c;
    c->first = c->first->next;
    if (!c->first)
        c->last = NULL;
    handler->inbox->next = NULL;
    c->busy = true;
    memnet_resume(handler);
}

static void fire(struct memnet *net, uint32_t event)
{
    net->last_event = event;
    net->now_ns += 1 + (int64_t)pm_rng_below(&net->rng, STEP_NS);
    net->result.events++;
    net->idle_ticks = is_tick(net, event) ? net->idle_ticks + 1 : 0;
    if (event < net->n_channels) {
        fire_delivery(net, event);
    } else if (!is_tick(net, event)) {
        memnet_resume(&net->agents[event - net->n_channels]);
    } else {
        struct agent *agent = &net->agents[memnet_communicator(net, event - net->n_channels - net->n_agents)];
        agent->tick = true;
        memnet_resume(agent);
    }
}

/* What waits, into err. */
static void no_progress(struct memnet *net, const char *why)
{
    char waits[300] = "";
    size_t used = 0;
    for (pm_node_id i = 0; i < net->job->nodes && used < sizeof waits - 1; i++) {
        used += pm_node_describe_waits(net->nodes[i], waits + used, sizeof waits - used);
        if (used + 2 < sizeof waits)
            memcpy(waits + used, "; ", 3), used += 2;
    }
    memnet_fail(net, pm_error_set(&net->err, PM_E_PROGRESS, "%s after %" PRIu64 " events: %s", why,
                                  net->result.events, waits));
}

/* Fires one event; false when none is possible. */
static bool step(struct memnet *net)
{
    bool leap = !net->flushing && pm_rng_below(&net->rng, LEAP_ONE_IN) == 0;
    uint32_t n = leap ? 0 : list_candidates(net);
    if (n == 0) {
        int64_t at = earliest_tick(net);
        if (at != PM_TIME_NEVER && at > net->now_ns)
            net->now_ns = at;
        n = list_candidates(net);
    }
    if (n == 0)
        return false;
    fire(net, choose(net, n));
    if (net->config->after_event && !net->failed) {
        int code = net->config->after_event(net->config->arg, net, &net->err);
        if (code != PM_OK)
            memnet_fail(net, code);
    }
    return true;
}

static bool workers_ended(const struct memnet *net)
{
    for (uint32_t i = 0; i < net->n_agents; i++)
        if (net->agents[i].worker && net->agents[i].state != AGENT_ENDED)
            return false;
    return true;
}

/* After a failure: every agent that can run goes on until the workers have returned; nothing is delivered any
 * more. */
static void wind_up(struct memnet *net)
{
    bool ran = true;
    for (uint32_t events = 0; ran; events++) {
        PM_ASSERT(events < FAILED_EVENTS_MAX, "a worker does not return after an error");
        ran = false;
        for (uint32_t i = 0; i < net->n_agents; i++) {
            if (net->agents[i].state == AGENT_BLOCKED)
                net->agents[i].state = AGENT_READY;
            if (net->agents[i].state == AGENT_READY) {
                memnet_resume(&net->agents[i]);
                ran = true;
            }
        }
    }
    PM_ASSERT(workers_ended(net), "a worker is stuck");
}

static void schedule(struct memnet *net)
{
    while (!net->failed && !workers_ended(net)) {
        if (!step(net))
            no_progress(net, "nothing can happen any more");
        else if (net->idle_ticks > IDLE_TICKS_MAX)
            no_progress(net, "nothing but ticks");
        else if (net->config->max_events && net->result.events > net->config->max_events)
            no_progress(net, "too long");
    }
    net->flushing = true;
    while (!net->failed && step(net))
        ;
    if (net->failed)
        wind_up(net);
}

/* ---- Accounts at the end ---- */

static int check_balance(struct memnet *net)
{
    const struct pm_counters *c = &net->result.counters;
    if (c->messages_sent != c->messages_received || c->bytes_sent != c->bytes_received ||
        c->balance_sent != c->balance_received)
        return pm_error_set(&net->err, PM_E_INTERNAL,
                            "messages sent %" PRIu64 " received %" PRIu64 ", bytes %" PRIu64 " and %" PRIu64
                            ", balance %" PRIu64 " and %" PRIu64,
                            c->messages_sent, c->messages_received, c->bytes_sent, c->bytes_received,
                            c->balance_sent, c->balance_received);
    return PM_OK;
}

static void settle(struct memnet *net)
{
    int code = PM_OK;
    for (pm_node_id i = 0; i < net->job->nodes; i++) {
        struct pm_counters of_node;
        pm_node_counters(net->nodes[i], &of_node);
        pm_counters_add(&net->result.counters, &of_node);
        if (code == PM_OK)
            code = pm_node_check_accounts(net->nodes[i], &net->err);
    }
    if (code == PM_OK)
        code = check_balance(net);
    if (code == PM_OK && net->config->at_end)
        code = net->config->at_end(net->config->arg, net, &net->err);
    if (code != PM_OK)
        memnet_fail(net, code);
}

/* ---- Making and unmaking ---- */

static int make_nodes(struct memnet *net)
{
    const struct pm_job *job = net->job;
    for (pm_node_id i = 0; i < job->nodes; i++) {
        struct pm_node_config config = {
            .id = i,
            .nodes = job->nodes,
            .workers = job->workers,
            .policy = job->policy,
            .policy_options = job->policy_options,
            .model = &net->opened.model,
            .workload = job->workload,
            .workload_state = net->opened.state,
            .census = net->opened.census,
            .traced = net->opened.traced,
            .seed = job->seed,
            .with_values = job->with_values,
            .dense = net->config->dense,
            .max_message = job->max_message,
            .ops = net->config->preempt   ? &memnet_ops_preempted
                   : net->config->latches ? &memnet_ops_latched
                                          : &memnet_ops,
            .ops_self = net,
            .job = job,
        };
        int code = pm_node_create(&config, &net->nodes[i], &net->err);
        if (code != PM_OK)
            return code;
    }
    return PM_OK;
}

static int build(struct memnet *net)
{
    uint32_t nodes = net->job->nodes;
    net->n_channels = nodes * nodes;
    net->n_agents = nodes * (net->job->workers + 1);
    net->nodes = calloc(nodes, sizeof *net->nodes);
    net->tick_at_ns = calloc(nodes, sizeof *net->tick_at_ns);
    net->channels = calloc(net->n_channels, sizeof *net->channels);
    net->agents = calloc(net->n_agents, sizeof *net->agents);
    net->candidates = calloc(net->n_channels + net->n_agents + nodes, sizeof *net->candidates);
    if (!net->nodes || !net->tick_at_ns || !net->channels || !net->agents || !net->candidates)
        return PM_E_MEMORY;
    int code = make_nodes(net);
    return code == PM_OK ? memnet_make_agents(net) : code;
}

static void unbuild(struct memnet *net)
{
    for (uint32_t i = 0; net->agents && i < net->n_agents; i++)
        memnet_end_agent(&net->agents[i]);
    for (uint32_t i = 0; net->channels && i < net->n_channels; i++)
        while (net->channels[i].first) {
            struct pm_message *m = net->channels[i].first;
            net->channels[i].first = m->next;
            pm_message_free(m);
        }
    for (pm_node_id i = 0; net->nodes && i < net->job->nodes; i++)
        if (net->nodes[i])
            pm_node_destroy(net->nodes[i]);
    free(net->nodes);
    free(net->tick_at_ns);
    free(net->channels);
    free(net->agents);
    free(net->candidates);
    if (net->allocated_bytes != 0)
        memnet_fail(net, pm_error_set(&net->err, PM_E_INTERNAL, "%lld bytes were not released",
                                      (long long)net->allocated_bytes));
}

int memnet_run(const struct pm_job *job, const struct memnet_config *config, struct memnet_result *result,
               struct pm_error *err)
{
    PM_ASSERT(job->nodes > 0 && job->workers > 0 && job->workers <= PM_WAKES_MAX);
    struct memnet net = {.job = job, .config = config};
    pm_rng_init(&net.rng, "memnet", config->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    net.victim = (uint32_t)(pm_rng_u64(&net.rng) >> 32);
    int code = pm_job_open(job, &net.opened, &net.err);
    if (code == PM_OK) {
        code = build(&net);
        if (code != PM_OK)
            memnet_fail(&net, code);
        else
            schedule(&net);
        if (!net.failed)
            settle(&net);
        unbuild(&net);
        pm_job_close(job, &net.opened);
        code = net.failed;
    }
    if (result)
        *result = net.result;
    if (err && code != PM_OK)
        pm_error_set(err, code, "%s", net.err.code == code ? net.err.text : pm_strerror(code));
    return code;
}

/* ---- As one backend among others ---- */

static const struct pm_option options[] = {
    {.name = "seed", .type = PM_OPT_COUNT, .def = "1", .help = "seed of the scheduler"},
    {.name = "mode",
     .type = PM_OPT_ENUM,
     .def = "random",
     .help = "how the next event is chosen",
     .choices = "random|round-robin|starve|delay|burst"},
    {.name = "latches", .type = PM_OPT_BOOL, .def = "0", .help = "nodes use latches"},
    {.name = "dense", .type = PM_OPT_BOOL, .def = "0", .help = "dense slots"},
    {.name = "postpone",
     .type = PM_OPT_COUNT,
     .def = "20",
     .help = "pauses inside deliver, percent",
     .max = 100},
    {.name = "events", .type = PM_OPT_COUNT, .def = "2M", .help = "more events are a failure; 0 = no limit"},
    {.name = NULL},
};

static int run(const struct pm_job *job, const struct pm_values *values, struct pm_error *err)
{
    struct memnet_config config = {
        .seed = pm_values_count(values, "seed"),
        .mode = (enum memnet_mode)pm_values_enum(values, "mode"),
        .latches = pm_values_bool(values, "latches"),
        .dense = pm_values_bool(values, "dense"),
        .postpone_percent = (unsigned)pm_values_count(values, "postpone"),
        .max_events = pm_values_count(values, "events"),
    };
    return memnet_run(job, &config, NULL, err);
}

const struct pm_backend memnet_backend = {
    .abi = PM_BACKEND_ABI,
    .name = "memnet",
    .summary = "one process, one thread, random schedules",
    .options = options,
    .run = run,
};
