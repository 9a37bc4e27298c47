/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A running node: its state, and the services of this backend to core (struct pm_backend_ops).
 *
 * Protection: running, blocked and asked_tick_ns are atomic; started, the dates and what concerns
 * pulses belong to the communicator; all else is constant while workers run. */
#ifndef PM_REAL_OPS_H
#define PM_REAL_OPS_H

#include <pthread.h>

#include "core/node.h"
#include "real/frame.h"
#include "real/node.h"
#include "real/transport.h"

struct real_worker {
    struct real_node *node;
    struct pm_worker *core;
    uint32_t index;
    pthread_t thread;
};

struct real_node {
    const struct real_node_config *config;
    struct pm_job job; /* as given, but reporting to the calling process */
    struct pm_opened opened;
    struct pm_node *core;
    struct real_transport transport;
    struct real_worker *workers;
    uint32_t started;
    uint32_t running;                                   /* workers that have not returned */
    uint32_t blocked;                                   /* workers that wait */
    int64_t used_ns;                                    /* processor time at the last pulse */
    uint64_t computing_pulses;                          /* pulses at which it had risen while a worker did not wait */
    int64_t asked_tick_ns, next_tick_ns, next_pulse_ns; /* in the job's time */
    int64_t next_progress_ns;                           /* of the worker that reports */
};

extern const struct pm_backend_ops real_ops; /* `self` is a struct real_node */

int64_t real_node_now_ns(const struct real_node *n);
/* For the transport: core handles a message, and then sends what that has produced. `node` is a struct
 * real_node. */
int real_handle(void *node, struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
void real_deliver_handled(void *node, struct pm_ctx *ctx);

#endif
