/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The child's life: cluster, nodes, actors, simulation, checks, end. It ends by _exit, and says how before.
 */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <simgrid/engine.h>

#include "core/units.h"

void sim_fail(struct sim *sim, int code, const char *fmt, ...)
{
    char text[PM_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    sim_frame_end(sim->fd, code, text);
    _exit(0);
}

void *sim_new(struct sim *sim, size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (memory == NULL)
        sim_fail(sim, PM_E_MEMORY, "out of memory for the simulation (%zu x %zu bytes)", n, size);
    return memory;
}

void sim_describe_waits(const struct sim *sim, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < sim->n_nodes && n + 32 < size; i++) {
        char waits[PM_ERROR_TEXT_SIZE] = "";
        if (pm_node_describe_waits(sim->nodes[i].node, waits, sizeof waits) > 0)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n > 0 ? "; " : "", waits);
    }
    if (n == 0)
        snprintf(text, size, "%u of %u workers wait", sim->blocked, sim->n_nodes * sim->job.workers);
}

void sim_check_memory(struct sim_node *node)
{
    uint64_t limit = node->sim->settings->memory_bytes, needs = pm_node_memory_bytes(node->node) + node->inbox_bytes;
    if (needs <= limit)
        return;
    char limit_text[64];
    pm_units_format_whole(&pm_units_bytes, limit, limit_text, sizeof limit_text);
    sim_fail(node->sim, PM_E_LIMIT, "node %u needs %llu bytes of memory and has %llu (--memory %s)", node->id,
             (unsigned long long)needs, (unsigned long long)limit, limit_text);
}

/* ---- records ---- */

/* job->report of the copy that core sees here. */
static void report(void *arg, const struct pm_record *record)
{
    struct sim *sim = arg;
    if (record->kind == PM_RECORD_EPOCH)
        for (uint32_t i = 0; i < sim->n_nodes; i++)
            sim_check_memory(&sim->nodes[i]);
    sim_frame_record(sim->fd, record);
}

static void report_backend(struct sim *sim)
{
    struct rusage usage;
    struct pm_record record = {.kind = PM_RECORD_BACKEND};
    getrusage(RUSAGE_SELF, &usage);
    record.u.backend.peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    record.u.backend.events = sim->events;
    sim_frame_record(sim->fd, &record);
}

/* ---- the run ---- */

static void make_nodes(struct sim *sim)
{
    struct pm_error err = {0};
    for (uint32_t i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = &sim->nodes[i];
        struct pm_node_config config = {
            .id = i,
            .nodes = sim->n_nodes,
            .workers = sim->job.workers,
            .policy = sim->job.policy,
            .policy_options = sim->job.policy_options,
            .model = &sim->opened.model,
            .workload = sim->job.workload,
            .workload_state = sim->opened.state,
            .census = sim->opened.census,
            .traced = sim->opened.traced,
            .seed = sim->job.seed,
            .with_values = sim->job.with_values,
            .dense = false,
            .max_message = sim->job.max_message,
            .ops = &sim_ops,
            .ops_self = node,
            .job = &sim->job,
        };
        int rc = pm_node_create(&config, &node->node, &err);
        if (rc != PM_OK)
            sim_fail(sim, rc, "%s", err.text[0] ? err.text : pm_strerror(rc));
        node->communicator = pm_node_communicator(node->node);
        node->communicator->backend = &node->agent;
        sim_check_memory(node);
    }
}

static void check_accounts(const struct sim *sim, struct pm_error *err)
{
    int rc = PM_OK;
    struct pm_counters sum = {0}, one;
    for (uint32_t i = 0; i < sim->n_nodes && rc == PM_OK; i++) {
        rc = pm_node_check_accounts(sim->nodes[i].node, err);
        pm_node_counters(sim->nodes[i].node, &one);
        pm_counters_add(&sum, &one);
    }
    for (uint32_t i = 0; i < sim->n_nodes * sim->job.workers && rc == PM_OK; i++)
        rc = sim_worker_check_accounts(&sim->workers[i], err);
    if (rc == PM_OK && (sum.messages_sent != sum.messages_received || sum.bytes_sent != sum.bytes_received))
        pm_error_set(err, PM_E_INTERNAL, "accounts: %llu messages of %llu bytes sent, %llu of %llu received",
                     (unsigned long long)sum.messages_sent, (unsigned long long)sum.bytes_sent,
                     (unsigned long long)sum.messages_received, (unsigned long long)sum.bytes_received);
}

/* simgrid_run also returns when nothing can happen any more. */
static void check_end(struct sim *sim)
{
    if (sim->live > 0) {
        char waits[PM_ERROR_TEXT_SIZE];
        sim_describe_waits(sim, waits, sizeof waits);
        sim_fail(sim, PM_E_PROGRESS, "no progress: at %.9f s nothing can happen any more; %s",
                 simgrid_get_clock(), waits);
    }
    struct pm_error err = {0};
    check_accounts(sim, &err);
    if (err.code != PM_OK)
        sim_fail(sim, err.code, "%s", err.text);
}

static void run(struct sim *sim)
{
    uint32_t ranks = sim->n_nodes * sim->job.workers;
    sim->workers = sim_new(sim, ranks, sizeof *sim->workers);
    sim->live = ranks;
    sim_agenda_start(sim);
    for (uint32_t i = 0; i < sim->n_nodes; i++)
        sim_tick_at(&sim->nodes[i], 0);
    for (uint32_t rank = 0; rank < ranks; rank++)
        sim_worker_start(sim, rank);
    simgrid_run();
}

static void destroy(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->n_nodes; i++)
        pm_node_destroy(sim->nodes[i].node);
    pm_job_close(&sim->job, &sim->opened);
}

void sim_simulate(const struct pm_job *job, const struct sim_settings *settings, struct sim_box *box, int fd)
{
    struct pm_error err = {0};
    struct sim sim = {.settings = settings, .job = *job, .fd = fd, .box = box, .n_nodes = job->nodes};
    sim.job.report = report;
    sim.job.report_arg = &sim;
    sim.quiet_since_ns = PM_TIME_NEVER;
    sim.nodes = sim_new(&sim, sim.n_nodes, sizeof *sim.nodes);
    for (uint32_t i = 0; i < sim.n_nodes; i++) {
        struct sim_node *node = &sim.nodes[i];
        node->sim = &sim;
        node->id = i;
        node->agent.node = node;
        node->tick_at_ns = PM_TIME_NEVER;
    }
    sim_platform_load(&sim);
    int rc = pm_job_open(&sim.job, &sim.opened, &err);
    if (rc != PM_OK)
        sim_fail(&sim, rc, "%s", err.text[0] ? err.text : pm_strerror(rc));
    make_nodes(&sim);
    run(&sim);
    check_end(&sim);
    report_backend(&sim);
    destroy(&sim);
    sim_frame_end(fd, PM_OK, "");
    _exit(0);
}
