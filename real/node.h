/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One node's process: joins the others, loads the job, runs workers and communicator, ends in order.
 *
 * The process's first thread is the communicator; it starts the worker threads when all nodes have said
 * READY. When the workers have returned it says GOODBYE, serves on until all have said so, and ends. After a
 * failure it gives the workers a short time to return from core, reports, and the process exits with whatever
 * its workers are doing.       */
#ifndef PM_REAL_NODE_H
#define PM_REAL_NODE_H

#include <stdint.h>

#include "core/job.h"
#include "real/join.h"

/* The options, parsed. */
struct real_settings {
    struct real_port_range ports;
    int64_t join_timeout_ns, spin_ns, watchdog_ns;
    uint64_t send_buffer_bytes, socket_buffer_bytes;
};

struct real_node_config {
    const struct pm_job *job;
    const struct real_settings *settings;
    struct real_rendezvous rendezvous;
    int64_t origin_ns; /* CLOCK_MONOTONIC at the start of the job's time */
    int parent_fd;     /* frames */
};

/* Runs a node to its end; the last frame is sent before it returns. Called in the node's own process, which
 * must exit then. */
void real_node_run(const struct real_node_config *config);

#endif
