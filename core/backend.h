/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backend seam: what carries messages and passes time.
 *
 * Core is a state machine. A context (struct pm_ctx) is one agent that runs core code: a worker or a communicator, each
 * a thread (real), an actor (simulation) or a coroutine (tests). Core code running in a context appends messages, wake-ups
 * and timer requests to the context's outbox and adds to its charges; after each transition, holding no latch, core calls
 * `deliver` on that context, and the backend carries everything out. A backend never calls back into the core from
 * `deliver` on the same context.
 *
 * What a backend does with a node, besides:
 *   - starts config.workers workers per node, each of which calls job->main(worker, job->main_arg) once;
 *   - runs a communicator per node, which hands each arrived message to pm_node_receive(ctx, message) and calls
 *     pm_node_tick(ctx, now) when the time that it last returned (or an earlier pm_ctx.outbox.tick_at_ns) has come;
 *     after either it calls pm_ctx_deliver(ctx);
 *   - keeps order: messages from one node to another arrive in the order in which `deliver` was given them, those of
 *     different contexts of the sender too when one `deliver` has returned before the other was called;
 *   - delivers messages that a node sends to itself through the communicator's inbox, without network;
 *   - keeps communicators running until every worker of every node has returned from main.                         */
#ifndef PM_CORE_BACKEND_H
#define PM_CORE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/option.h"
#include "core/types.h"

enum { PM_BACKEND_ABI = 1 };

struct pm_ctx;
struct pm_worker;
struct pm_job;

/* Services of a running backend to core. `self` is what pm_node_create was given. All times are integer nanoseconds since
 * some fixed start. */
struct pm_backend_ops {
    /* Current time. Never blocks. Any context. */
    int64_t (*now_ns)(void *self);
    /* Carries out and empties ctx's outbox: takes ownership of the messages (even when a peer has failed: then it frees
     * them), wakes the listed workers, arms the timer, and turns the charges into time. May block a worker for flow control
     * or simulated time; never blocks a communicator on a peer. */
    void (*deliver)(void *self, struct pm_ctx *ctx);
    /* Blocks the calling worker until it is woken through some outbox. A wake-up that came before the call counts
     * (one token is kept); returning for no reason is allowed. Meanwhile it may itself receive messages for the node on
     * the worker's own context. Returns PM_OK, or PM_E_PEER, PM_E_INTERRUPTED, PM_E_PROGRESS when waiting is in vain. */
    int (*block)(void *self, struct pm_worker *worker);
    /* The worker has computed `flops` floating-point operations: passes the time that takes where time is modelled.
     * May block. */
    void (*compute)(void *self, struct pm_worker *worker, double flops);
    /* Large zeroed memory (slots, values); NULL when out. Any context. */
    void *(*alloc)(void *self, size_t bytes);
    void (*release)(void *self, void *memory, size_t bytes);
    /* Called in a long spin on a latch: give the processor away. NULL where contexts never run at the same time; then
     * core leaves latches out altogether. */
    void (*relax)(void *self);
};

/* One backend, as `--backend` names it. */
struct pm_backend {
    uint32_t abi;
    const char *name, *summary;
    const struct pm_option *options;
    /* Runs the job to its end in this process or in children, calling job->report for what it reports, in order, in
     * the calling process. Returns PM_OK or the code of the failure with its reason in err; what was reported before a
     * failure stays valid. Blocks. Called at most once at a time. */
    int (*run)(const struct pm_job *job, const struct pm_values *options, struct pm_error *err);
};

#endif
