/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The in-memory network: a backend that looks for faults. The whole cluster lives in one process on one thread; every
 * worker and every communicator is a coroutine, and a scheduler seeded by one number decides what happens
 * next.
 *
 * A step fires one event, chosen among those that are possible: deliver the first message of one (sender,
 * receiver) channel, resume one agent that can run, call one node's tick that is due. Possible events are
 * numbered by rule (channels by receiver and sender, then agents by node and index, then ticks by node), so
 * that a seed repeats a run exactly. Channels keep their order; there is none between channels. Time advances
 * a little with each event, and leaps to the next tick now and then or when nothing else is possible.
 *
 * A message that arrives is handled by the communicator, or by a worker of the node that is blocked.
 * `deliver` pauses at random before, between and after handing over what is in the outbox, so that other
 * agents run between an agent's decision and its sending. With values each message travels as a copy of its
 * encoding, and the original is overwritten. */
#ifndef PM_MEMNET_H
#define PM_MEMNET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backend.h"
#include "core/job.h"
#include "core/message.h"
#include "core/node.h"

enum memnet_mode {
    MEMNET_RANDOM,      /* every possible event is equally likely */
    MEMNET_ROUND_ROBIN, /* the next possible event after the last, in the order of their numbers */
    MEMNET_STARVE, /* one channel, chosen by the seed, is 512 times rarer, unless nothing else but ticks is
                      possible (never at all would let the waves of a drain go on for ever) */
    MEMNET_DELAY,  /* the events of one node, chosen by the seed, are 64 times rarer */
    MEMNET_BURST,  /* mostly the same event again while it is possible */
    MEMNET_MODES
};
extern const char *const memnet_mode_names[MEMNET_MODES];

struct memnet;

struct memnet_config {
    uint64_t seed;
    enum memnet_mode mode;
    bool latches; /* the node works with latches (which nobody may find taken) */
    bool dense;   /* dense slots, as on a real node */
    bool preempt; /* with latches, dense: who finds a latch taken lets others run; see preempt.h */
    unsigned postpone_percent; /* how likely each possible pause inside deliver is */
    uint64_t max_events;       /* more is a failure; 0 = no limit */

    /* Each may be NULL. Called for every message that is handed over; for every one that is about to be handled ... */
    void (*sent)(void *arg, const struct pm_message *m, pm_node_id from);
    void (*received)(void *arg, struct pm_message *m, pm_node_id at);
    /* ... after each event, and when all workers have ended and all messages have been handled. PM_OK, or an
     * error that ends the run. */
    int (*after_event)(void *arg, struct memnet *net, struct pm_error *err);
    int (*at_end)(void *arg, struct memnet *net, struct pm_error *err);
    void *arg;
};

struct memnet_result {
    uint64_t events, messages;
    int64_t now_ns;
    struct pm_counters counters; /* over all nodes */
    struct pm_charge charges[PM_CHARGES];
};

/* Runs the job. PM_OK, or the first failure: a worker's code, an invariant, accounts that do not add up, a
 * malformed message, no progress (err then tells what waits). result may be NULL. */
int memnet_run(const struct pm_job *job, const struct memnet_config *config, struct memnet_result *result,
               struct pm_error *err);

/* The same behind the interface of all backends; options seed, mode, latches, dense, postpone, events. */
extern const struct pm_backend memnet_backend;

/* For hooks. */
struct pm_node *memnet_node(struct memnet *net, pm_node_id id);
const struct pm_job *memnet_job(const struct memnet *net);
uint64_t memnet_events(const struct memnet *net);
/* Is an agent interrupted in the middle of a transition? Only with `preempt`. */
bool memnet_interrupted(const struct memnet *net);
/* Visits every message that was sent or stands in an outbox, and was not handled. */
void memnet_visit_in_flight(struct memnet *net, void (*visit)(void *arg, struct pm_message *m), void *arg);

#endif
