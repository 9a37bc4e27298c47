/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State of the in-memory network, shared by its two source files. One thread. */
#ifndef PM_MEMNET_STATE_H
#define PM_MEMNET_STATE_H

#include "core/rng.h"
#include "memnet/fiber.h"
#include "memnet/memnet.h"

enum agent_state {
    AGENT_READY,   /* can be resumed: not started, paused, woken, or computing */
    AGENT_BLOCKED, /* a worker inside ops->block without a token; may be given a message to handle */
    AGENT_IDLE,    /* a communicator without work */
    AGENT_ENDED
};

struct channel {
    struct pm_message *first, *last;
    bool busy; /* one of its messages is being handled: its consequences are not all sent */
};

struct agent {
    struct memnet *net;
    struct fiber *fiber;
    struct pm_ctx *ctx;
    struct pm_worker *worker; /* NULL: the communicator */
    pm_node_id node;
    enum agent_state state;
    bool token; /* woken since it last blocked */
    bool tick;  /* what a communicator is resumed for: a tick, or ... */
    bool delivering;
    struct pm_message *inbox; /* ... this message, which came through this channel */
    struct channel *channel;
};

struct memnet {
    const struct pm_job *job;
    const struct memnet_config *config;
    struct pm_opened opened;
    struct pm_node **nodes;
    struct channel *channels; /* receiver x sender */
    struct agent *agents;     /* node by node: workers, then the communicator */
    int64_t *tick_at_ns;      /* per node */
    uint32_t *candidates;
    uint32_t n_channels, n_agents, last_event, victim, idle_ticks, interrupted;
    int64_t now_ns, allocated_bytes;
    struct agent *running; /* NULL: the scheduler */
    struct pm_rng rng;
    bool flushing; /* all workers have ended: no more ticks */
    int failed;    /* first failure, its text in err */
    struct pm_error err;
    struct memnet_result result;
};

extern const struct pm_backend_ops memnet_ops, memnet_ops_latched, memnet_ops_preempted;

int memnet_make_agents(struct memnet *net);
/* Runs the agent until it yields; not while it is blocked, unless with a message. */
void memnet_resume(struct agent *agent);
/* Lets others run; the agent goes on when resumed. */
void memnet_pause(struct agent *agent);
/* The same in the middle of a transition. */
void memnet_interrupt(struct agent *agent);
/* Ends a communicator, or an agent that never ran, and frees its coroutine. */
void memnet_end_agent(struct agent *agent);
/* Notes the first failure. */
void memnet_fail(struct memnet *net, int code);

static inline uint32_t memnet_agent_index(const struct memnet *net, pm_node_id node, uint32_t worker)
{
    return node * (net->job->workers + 1) + worker;
}
static inline uint32_t memnet_communicator(const struct memnet *net, pm_node_id node)
{
    return memnet_agent_index(net, node, net->job->workers);
}

#endif
