/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real backend: processes of this machine that talk over TCP. Its options and its entry. */
#include "real/backend.h"

#include "core/job.h"
#include "core/node.h"
#include "real/launch.h"

static const struct pm_option options[] = {
    {"port-range", PM_OPT_TEXT, "", "ports to listen on, FIRST-LAST; empty: the kernel's choice", NULL, 0, 0},
    {"join-timeout", PM_OPT_DURATION, "30s", "how long the roll call waits for missing nodes", NULL, 0.01,
     86400},
    {"send-buffer", PM_OPT_BYTES, "64MiB", "bytes queued to a node before workers that send to it wait", NULL,
     1, 0},
    {"socket-buffer", PM_OPT_BYTES, "0B", "send and receive buffer of a socket; 0: the kernel's choice", NULL,
     0, 1 << 30},
    {"spin", PM_OPT_DURATION, "0s", "how long a waiting thread polls before it sleeps", NULL, 0, 1},
    {"watchdog", PM_OPT_DURATION, "60s",
     "ends a run in which workers wait and nothing has moved for so long; 0: never", NULL, 0, 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static int run(const struct pm_job *job, const struct pm_values *values, struct pm_error *err)
{
    struct real_settings settings = {
        .join_timeout_ns = pm_values_ns(values, "join-timeout"),
        .spin_ns = pm_values_ns(values, "spin"),
        .watchdog_ns = pm_values_ns(values, "watchdog"),
        .send_buffer_bytes = pm_values_bytes(values, "send-buffer"),
        .socket_buffer_bytes = pm_values_bytes(values, "socket-buffer"),
    };
    if (job->nodes < 1 || job->nodes > PM_NODES_MAX || job->workers < 1 || job->workers > PM_WAKES_MAX)
        return pm_error_set(err, PM_E_OPTION,
                            "%u nodes with %u workers: 1 to %d nodes and 1 to %d workers are possible",
                            job->nodes, job->workers, PM_NODES_MAX, PM_WAKES_MAX);
    int rc = real_port_range_parse(pm_values_text(values, "port-range"), &settings.ports, err);
    return rc == PM_OK ? real_launch(job, &settings, err) : rc;
}

const struct pm_backend pm_backend_real = {
    .abi = PM_BACKEND_ABI,
    .name = "real",
    .summary = "local processes over TCP",
    .options = options,
    .run = run,
};
