/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One node's process from the roll call to its last frame: the communicator's loop and the worker threads. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "real/ops.h"

enum {
    TICK_NS = 100000,
    PROGRESS_NS = 50000000,
    TIMER_SLACK_NS = 1000,
    COMPUTING_NS = 20 * 1000 * 1000, /* of processor time between two pulses */
    PULSE_NS = 1000000000,
    RETURN_NS = 1000000000,
    CLOSE_NS = 2000000000,
    MAPPED_BYTES = 32 << 20, /* the most that the library takes */
    KEPT_BYTES = 1 << 30
};

/* ---- Talking to the calling process ---- */

/* On the thread of the worker that reports. Progress is worth telling now and then only. */
static void report_record(void *arg, const struct pm_record *record)
{
    struct real_node *n = arg;
    bool progress = record->kind == PM_RECORD_PROGRESS;
    if (progress && record->u.progress.done < record->u.progress.total) {
        int64_t now_ns = real_node_now_ns(n);
        if (now_ns < n->next_progress_ns)
            return;
        n->next_progress_ns = now_ns + PROGRESS_NS;
    }
    struct real_frame frame;
    frame.kind = REAL_FRAME_RECORD;
    memcpy(&frame.u.record, record, sizeof *record);
    real_frame_send(n->config->parent_fd, &frame, true);
}

static void send_end(const struct real_node_config *config, const struct pm_error *failure, bool loss)
{
    struct rusage usage;
    struct real_frame frame = {.kind = REAL_FRAME_END};
    getrusage(RUSAGE_SELF, &usage);
    frame.u.end.code = failure->code;
    frame.u.end.loss = loss;
    frame.u.end.peak_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    memcpy(frame.u.end.text, failure->text, sizeof frame.u.end.text);
    real_frame_send(config->parent_fd, &frame, true);
}

static void explain(struct real_node *n)
{
    char waits[PM_ERROR_TEXT_SIZE / 2] = "";
    pm_node_describe_waits(n->core, waits, sizeof waits);
    real_transport_fail(&n->transport, false, PM_E_PROGRESS, "%s", waits);
}

static uint32_t said(const uint32_t *count)
{
    return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}

/* A worker that computes a long batch moves nothing, and yet is no reason to end the run: has this process used the processor
 * since the last pulse, with a worker that does not wait? */
static bool is_computing(struct real_node *n)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    int64_t used_ns = (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
    bool busy = used_ns - n->used_ns > COMPUTING_NS;
    n->used_ns = used_ns;
    return busy && said(&n->running) > said(&n->blocked);
}

/* Once a second: looks whether something was missed, and keeps the calling process informed. */
static void pulse(struct real_node *n)
{
    struct pm_counters sum;
    struct real_frame frame = {.kind = REAL_FRAME_PULSE}, order;
    real_transport_sweep(&n->transport);
    pm_node_counters(n->core, &sum);
    n->computing_pulses += is_computing(n);
    frame.u.pulse.activity = sum.steps + n->computing_pulses;
    for (uint32_t i = 0; i <= n->job.workers; i++)
        frame.u.pulse.activity += __atomic_load_n(&n->transport.agents[i].handled, __ATOMIC_RELAXED);
    frame.u.pulse.blocked = __atomic_load_n(&n->blocked, __ATOMIC_RELAXED);
    real_frame_send(n->config->parent_fd, &frame, false);
    int got = real_frame_receive(n->config->parent_fd, &order);
    if (got > 0 && order.kind == REAL_FRAME_EXPLAIN)
        explain(n);
    else if (got < 0)
        real_transport_fail(&n->transport, false, PM_E_INTERRUPTED,
                            "the command that started node %u is gone", n->config->rendezvous.rank);
}

/* ---- Communicator ---- */

static void tick_if_due(struct real_node *n)
{
    int64_t asked_ns = __atomic_load_n(&n->asked_tick_ns, __ATOMIC_ACQUIRE);
    int64_t now_ns = real_node_now_ns(n);
    if (now_ns < asked_ns && now_ns < n->next_tick_ns)
        return;
    __atomic_exchange_n(&n->asked_tick_ns, PM_TIME_NEVER, __ATOMIC_ACQ_REL);
    struct pm_ctx *ctx = pm_node_communicator(n->core);
    n->next_tick_ns = pm_node_tick(ctx, now_ns);
    if (n->next_tick_ns <= now_ns)
        n->next_tick_ns = now_ns + TICK_NS; /* rounds are paused: not a reason to spin */
    pm_ctx_deliver(ctx);
}

/* One turn of the communicator's loop; sleeps until limit_ns at most. */
static void communicate(struct real_node *n, bool ticks, int64_t limit_ns)
{
    int64_t start_ns = real_node_now_ns(n),
            next_ns = n->next_pulse_ns < limit_ns ? n->next_pulse_ns : limit_ns;
    if (ticks) {
        tick_if_due(n);
        int64_t asked_ns = __atomic_load_n(&n->asked_tick_ns, __ATOMIC_ACQUIRE);
        next_ns = next_ns < asked_ns ? next_ns : asked_ns;
        next_ns = next_ns < n->next_tick_ns ? next_ns : n->next_tick_ns;
    }
    if (start_ns >= n->next_pulse_ns) {
        pulse(n);
        next_ns = start_ns;
        n->next_pulse_ns = start_ns + PULSE_NS;
    }
    int64_t sleep_ns = real_node_now_ns(n);
    real_transport_receive(&n->transport, n->transport.communicator,
                           next_ns > sleep_ns ? next_ns - sleep_ns : 0);
    int64_t woke_ns = n->transport.communicator->woke_ns - n->config->origin_ns;
    pm_count(&pm_node_communicator(n->core)->counters.busy_ns,
             (uint64_t)(sleep_ns - start_ns + real_node_now_ns(n) - woke_ns));
}

/* ---- Workers ---- */

static void *run_worker(void *arg)
{
    struct real_worker *w = arg;
    struct real_node *n = w->node;
    int rc = n->job.main(w->core, n->job.main_arg);
    if (rc != PM_OK)
        real_transport_fail(&n->transport, false, rc, "node %u, worker %u: %s", n->config->rendezvous.rank,
                            w->index, pm_worker_reason(w->core, rc));
    __atomic_fetch_sub(&n->running, 1u, __ATOMIC_ACQ_REL);
    real_wake(&n->transport.communicator->sleeper);
    return NULL;
}

static void start_workers(struct real_node *n)
{
    for (uint32_t i = 0; i < n->job.workers; i++) {
        struct real_worker *w = &n->workers[i];
        __atomic_fetch_add(&n->running, 1u, __ATOMIC_ACQ_REL);
        int rc = pthread_create(&w->thread, NULL, run_worker, w);
        if (rc == 0) {
            n->started++;
            continue;
        }
        __atomic_fetch_sub(&n->running, 1u, __ATOMIC_ACQ_REL);
        real_transport_fail(&n->transport, false, PM_E_LIMIT, "node %u: cannot start worker %u: %s",
                            n->config->rendezvous.rank, i, strerror(rc));
        return;
    }
}

/* ---- From start to end ---- */

static int make_node(struct real_node *n, struct pm_error *err)
{
    const struct pm_job *job = &n->job;
    const struct pm_node_config config = {
        .id = n->config->rendezvous.rank,
        .nodes = job->nodes,
        .workers = job->workers,
        .policy = job->policy,
        .policy_options = job->policy_options,
        .model = &n->opened.model,
        .workload = job->workload,
        .workload_state = n->opened.state,
        .census = n->opened.census,
        .traced = n->opened.traced,
        .seed = job->seed,
        .with_values = job->with_values,
        .dense = true,
        .max_message = job->max_message,
        .ops = &real_ops,
        .ops_self = n,
        .job = job,
    };
    int rc = pm_node_create(&config, &n->core, err);
    n->workers = rc == PM_OK ? calloc(job->workers, sizeof *n->workers) : NULL;
    if (rc == PM_OK && !n->workers)
        rc = pm_error_set(err, PM_E_MEMORY, "out of memory for %u workers", job->workers);
    for (uint32_t i = 0; i < job->workers && rc == PM_OK; i++) {
        struct pm_worker *w = pm_node_worker(n->core, i);
        n->workers[i] = (struct real_worker){.node = n, .core = w, .index = i};
        w->backend = w->ctx.backend = &n->transport.agents[i];
        n->transport.agents[i].ctx = &w->ctx;
    }
    if (rc == PM_OK) {
        struct pm_ctx *ctx = pm_node_communicator(n->core);
        ctx->backend = n->transport.communicator;
        n->transport.communicator->ctx = ctx;
    }
    return rc;
}

/* Serves until all workers of the cluster have returned and all connections are closed, or a failure. */
static void serve(struct real_node *n)
{
    struct real_transport *t = &n->transport;
    uint32_t others = n->job.nodes - 1;
    n->next_pulse_ns = real_node_now_ns(n) + PULSE_NS;
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS); /* of this thread and those that it starts */
    real_transport_say(t, PM_MSG_HELLO, REAL_SUB_READY);
    while (!real_transport_failed(t) && said(&t->ready) < others)
        communicate(n, false, PM_TIME_NEVER);
    n->next_tick_ns = 0;
    if (!real_transport_failed(t))
        start_workers(n);
    while (!real_transport_failed(t) && said(&n->running) > 0)
        communicate(n, true, PM_TIME_NEVER);
    if (!real_transport_failed(t))
        real_transport_say(t, PM_MSG_GOODBYE, 0);
    while (!real_transport_failed(t) && (said(&t->goodbyes) < others || !real_transport_flushed(t)))
        communicate(n, true, PM_TIME_NEVER);
    /* Nobody asks anything any more. Reading to the end keeps the kernel from resetting connections with
     * unread bytes. */
    int64_t limit_ns = real_node_now_ns(n) + CLOSE_NS;
    if (!real_transport_failed(t))
        real_transport_shutdown(t);
    while (!real_transport_failed(t) && said(&t->closed) < others && real_node_now_ns(n) < limit_ns)
        communicate(n, false, limit_ns);
}

/* After a failure workers come back from core soon; those that compute may take any time and are not waited
 * for. */
static bool workers_return(struct real_node *n)
{
    int64_t limit_ns = real_node_now_ns(n) + RETURN_NS;
    while (said(&n->running) > 0 && real_node_now_ns(n) < limit_ns) {
        const struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    if (said(&n->running) > 0)
        return false;
    for (uint32_t i = 0; i < n->started; i++)
        pthread_join(n->workers[i].thread, NULL);
    return true;
}

static int open_transport(struct real_node *n, struct pm_error *err)
{
    const struct real_rendezvous *r = &n->config->rendezvous;
    struct real_link *links = calloc(r->nodes, sizeof *links);
    if (!links)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for %u connections", r->nodes);
    int rc = real_join(r, links, err);
    close(r->listener);
    const struct real_transport_config config = {
        .rank = r->rank,
        .nodes = r->nodes,
        .workers = n->job.workers,
        .with_values = n->job.with_values,
        .credit_bytes = n->config->settings->send_buffer_bytes,
        .spin_ns = n->config->settings->spin_ns,
        .handle = real_handle,
        .deliver = real_deliver_handled,
        .arg = n,
    };
    if (rc == PM_OK)
        rc = real_transport_open(&n->transport, &config, links, err);
    free(links);
    return rc;
}

/* The end of a node in which no thread but this one runs. */
static void close_node(struct real_node *n, struct pm_error *err)
{
    if (err->code == PM_OK)
        pm_node_check_accounts(n->core, err);
    pm_node_destroy(n->core);
    real_transport_close(&n->transport);
    pm_job_close(&n->job, &n->opened);
    free(n->workers);
}

/* Messages come and go: their memory is to be used again, not given back and fetched anew page by page. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

void real_node_run(const struct real_node_config *config)
{
    static struct real_node node; /* outlives this function when workers do not come back */
    struct real_node *n = &node;
    keep_memory();
    struct pm_error err = {.code = PM_OK};
    bool loss = false;
    n->config = config;
    n->job = *config->job;
    n->job.report = report_record;
    n->job.report_arg = n;
    n->job.interrupted = NULL;
    n->asked_tick_ns = PM_TIME_NEVER;
    int rc = open_transport(n, &err);
    if (rc == PM_OK)
        rc = pm_job_open(&n->job, &n->opened, &err);
    if (rc == PM_OK)
        rc = make_node(n, &err);
    if (rc == PM_OK) {
        serve(n);
        bool returned = workers_return(n);
        err = n->transport.failure;
        loss = n->transport.failure_is_loss;
        if (returned)
            close_node(n, &err);
    }
    send_end(config, &err, loss);
}
