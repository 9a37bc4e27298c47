/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What training reports: epochs, nodes, quality, latencies, the digest of the values. Nothing here is charged. */
#include <stdlib.h>

#include "core/events.h"
#include "core/train.h"

enum { DIGEST_KEYS = 1 << 14, DIGEST_FLOATS = 1 << 20, PROGRESS_EVERY_NS = 200 * 1000 * 1000 };

struct node_blob {
    struct pm_counters counters;
    struct pm_projection projection; /* of the node's workers */
    uint64_t memory_bytes;
    uint64_t n_events; /* of traced keys; they stand behind the times */
    struct pm_worker_times times[]; /* of the node's workers */
};

static bool is_reporter(const struct pm_trainer *t)
{
    return t->worker->rank == 0;
}

static void report(const struct pm_trainer *t, const struct pm_record *r)
{
    if (t->job->report)
        t->job->report(t->job->report_arg, r);
}

static struct pm_worker_times times_of(const struct pm_trainer *t, uint32_t worker)
{
    const struct pm_counters *c = &t->node->workers[worker].ctx.counters;
    return (struct pm_worker_times){.compute_ns = pm_counter_read(&c->compute_ns),
                                    .wait_ns = pm_counter_read(&c->wait_ns),
                                    .trained_ns = pm_counter_read(&c->trained_ns)};
}

int pm_report_begin(struct pm_trainer *t)
{
    if (t->worker->index == 0)
        t->times_before = calloc(t->node->config.workers, sizeof *t->times_before);
    if (is_reporter(t))
        t->events_reported = calloc(t->node->config.nodes, sizeof *t->events_reported);
    bool room = (t->worker->index != 0 || t->times_before) && (!is_reporter(t) || t->events_reported);
    return room ? PM_OK : PM_E_MEMORY;
}

void pm_report_snapshot(struct pm_trainer *t)
{
    if (t->worker->index != 0)
        return;
    pm_node_counters(t->node, &t->before);
    for (uint32_t w = 0; w < t->node->config.workers; w++)
        t->times_before[w] = times_of(t, w);
}

void pm_report_progress(struct pm_trainer *t)
{
    if (!is_reporter(t) || t->computed % 16)
        return;
    int64_t now = pm_now_ns(&t->worker->ctx);
    if (now < t->progress_at_ns)
        return;
    t->progress_at_ns = now + PROGRESS_EVERY_NS;
    struct pm_record r = {.kind = PM_RECORD_PROGRESS};
    r.u.progress.done = t->steps_before + t->computed;
    r.u.progress.total = t->steps_all;
    r.u.progress.now_ns = now;
    report(t, &r);
}

/* What must add up over the cluster when an epoch is drained. */
static int check_cluster(struct pm_trainer *t, const struct pm_counters *sum, uint32_t epoch)
{
    const struct {
        const char *what;
        uint64_t one, other;
    } lines[] = {
        {"messages sent and received", sum->messages_sent, sum->messages_received},
        {"bytes sent and received", sum->bytes_sent, sum->bytes_received},
        {"updates pushed and applied", sum->updates_pushed, sum->updates_applied},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (lines[i].one != lines[i].other)
            return pm_worker_fail(t->worker, PM_E_INTERNAL, "accounts of epoch %u do not add up: %s are %llu and %llu",
                                  epoch, lines[i].what, (unsigned long long)lines[i].one,
                                  (unsigned long long)lines[i].other);
    return PM_OK;
}

/* What is neither computation nor waiting is overhead: the rest of the time that passed. */
static int report_workers(struct pm_trainer *t, uint32_t node, uint32_t epoch)
{
    const struct node_blob *blob = pm_gather_blob(t->node, node);
    for (uint32_t w = 0; w < t->node->config.workers; w++) {
        const struct pm_worker_times *times = &blob->times[w];
        uint64_t known_ns = times->compute_ns + times->wait_ns;
        if (known_ns > times->trained_ns)
            return pm_worker_fail(t->worker, PM_E_INTERNAL,
                                  "accounts of epoch %u do not add up: worker %u of node %u was busy or waited %llu of %llu ns",
                                  epoch, w, node, (unsigned long long)known_ns, (unsigned long long)times->trained_ns);
        struct pm_record r = {.kind = PM_RECORD_WORKER, .epoch = epoch};
        r.u.worker.node = node;
        r.u.worker.worker = w;
        r.u.worker.compute_ns = (int64_t)times->compute_ns;
        r.u.worker.wait_ns = (int64_t)times->wait_ns;
        r.u.worker.overhead_ns = (int64_t)(times->trained_ns - known_ns);
        report(t, &r);
    }
    return PM_OK;
}

static uint32_t fixed_bytes(const struct pm_trainer *t)
{
    return (uint32_t)(sizeof(struct node_blob) + t->node->config.workers * sizeof(struct pm_worker_times));
}

static int report_events(struct pm_trainer *t, uint32_t node, uint32_t epoch)
{
    const struct node_blob *blob = pm_gather_blob(t->node, node);
    const struct pm_key_event *events = (const void *)((const char *)blob + fixed_bytes(t));
    const uint32_t rest_bytes = pm_gather_bytes(t->node, node) - fixed_bytes(t);
    if (rest_bytes % sizeof *events != 0 || rest_bytes / sizeof *events != blob->n_events)
        return PM_E_MESSAGE;
    for (uint64_t i = 0; i < blob->n_events; i += PM_EVENTS_PER_RECORD) {
        struct pm_record r = {.kind = PM_RECORD_EVENTS, .epoch = epoch};
        uint64_t rest = blob->n_events - i;
        r.u.events.node = node;
        r.u.events.n = rest < PM_EVENTS_PER_RECORD ? (uint32_t)rest : PM_EVENTS_PER_RECORD;
        r.u.events.first = t->events_reported[node] + i;
        memcpy(r.u.events.events, events + i, r.u.events.n * sizeof *events);
        report(t, &r);
    }
    t->events_reported[node] += blob->n_events;
    return PM_OK;
}

static int report_nodes(struct pm_trainer *t, uint32_t epoch)
{
    struct pm_counters sum = {0};
    for (uint32_t i = 0; i < t->node->config.nodes; i++) {
        const struct node_blob *blob = pm_gather_blob(t->node, i);
        struct pm_record r = {.kind = PM_RECORD_NODE, .epoch = epoch};
        r.u.node.node = i;
        r.u.node.counters = blob->counters;
        r.u.node.memory_bytes = blob->memory_bytes;
        pm_counters_add(&sum, &r.u.node.counters);
        report(t, &r);
        int rc = report_workers(t, i, epoch);
        if (rc == PM_OK)
            rc = report_events(t, i, epoch);
        if (rc != PM_OK)
            return rc;
    }
    return check_cluster(t, &sum, epoch);
}

static void set_metric(char *to, size_t size, const char *name)
{
    size_t n = strlen(name);
    n = n < size ? n : size - 1;
    memcpy(to, name, n);
    to[n] = 0;
}

static void set_epoch_time(struct pm_trainer *t, struct pm_record *r)
{
    struct pm_projection p = {0};
    for (uint32_t i = 0; i < t->node->config.nodes; i++) {
        const struct node_blob *blob = pm_gather_blob(t->node, i);
        pm_projection_add(&p, &blob->projection);
    }
    struct pm_whole_epoch whole = pm_extrapolate(&p, t->ended_ns - t->began_ns);
    r->u.epoch.epoch_ns = whole.epoch_ns;
    r->u.epoch.share = whole.share;
    r->u.epoch.ci_low_ns = whole.low_ns;
    r->u.epoch.ci_high_ns = whole.high_ns;
}

static void report_times(struct pm_trainer *t, uint32_t epoch, bool evaluated)
{
    struct pm_record r = {.kind = PM_RECORD_EPOCH, .epoch = epoch};
    set_epoch_time(t, &r);
    r.u.epoch.drain_ns = t->ended_ns - t->drain_ns;
    r.u.epoch.eval_ns = t->eval_ns;
    t->elapsed_ns += r.u.epoch.epoch_ns;
    r.u.epoch.elapsed_ns = t->elapsed_ns;
    r.u.epoch.steps = t->steps;
    r.u.epoch.flops = t->flops;
    r.u.epoch.loss = t->loss;
    const struct pm_evaluation *e = &t->evaluation;
    if (evaluated && e->n_metrics) {
        r.u.epoch.has_quality = true;
        r.u.epoch.quality = e->metrics[0].value;
        set_metric(r.u.epoch.metric, sizeof r.u.epoch.metric, e->metrics[0].name);
    }
    report(t, &r);
    for (uint32_t i = 0; evaluated && i < e->n_metrics; i++) {
        struct pm_record q = {.kind = PM_RECORD_QUALITY, .epoch = epoch};
        q.u.quality.at_ns = t->trained_ns + t->ended_ns - t->began_ns;
        q.u.quality.value = e->metrics[i].value;
        set_metric(q.u.quality.metric, sizeof q.u.quality.metric, e->metrics[i].name);
        report(t, &q);
    }
}

/* All workers of the node have added their projections. */
static void fill_blob(struct pm_trainer *t, struct node_blob *blob)
{
    struct pm_counters now;
    pm_node_counters(t->node, &now);
    pm_counters_subtract(&blob->counters, &now, &t->before);
    blob->memory_bytes = pm_node_memory_bytes(t->node);
    for (uint32_t w = 0; w < t->node->config.workers; w++) {
        const struct pm_worker_times later = times_of(t, w), *earlier = &t->times_before[w];
        blob->times[w] = (struct pm_worker_times){.compute_ns = later.compute_ns - earlier->compute_ns,
                                                  .wait_ns = later.wait_ns - earlier->wait_ns,
                                                  .trained_ns = later.trained_ns - earlier->trained_ns};
    }
    struct pm_projections *p = &t->node->projections;
    pm_lock(t->node, &p->latch);
    blob->projection = p->sum;
    p->sum = (struct pm_projection){0};
    pm_unlock(t->node, &p->latch);
}

static int gather_node(struct pm_trainer *t)
{
    struct pm_key_event *events;
    size_t n = pm_events_take(t->node, &events), events_bytes = n * sizeof *events, bytes = fixed_bytes(t) + events_bytes;
    struct node_blob *blob = calloc(1, bytes);
    int rc = blob ? PM_OK : PM_E_MEMORY;
    if (rc == PM_OK) {
        fill_blob(t, blob);
        blob->n_events = n;
        if (n > 0)
            memcpy((char *)blob + fixed_bytes(t), events, events_bytes);
        rc = pm_gather(t->worker, blob, (uint32_t)bytes, fixed_bytes(t));
    }
    free(events);
    free(blob);
    return rc;
}

int pm_report_epoch(struct pm_trainer *t, uint32_t epoch, bool evaluated)
{
    int rc = PM_OK;
    if (t->worker->index == 0)
        rc = gather_node(t);
    if (rc == PM_OK && is_reporter(t)) {
        report_times(t, epoch, evaluated);
        rc = report_nodes(t, epoch);
        pm_gather_clear(t->node);
    }
    return rc == PM_OK ? pm_barrier(t->worker) : rc;
}

/* ---- at the end ---- */

/* This node's histograms of all contexts, added up. */
static void merge_histograms(const struct pm_node *node, struct pm_histogram *sum)
{
    for (uint32_t q = 0; q < PM_QUANTITIES; q++) {
        for (uint32_t i = 0; i <= node->config.workers; i++) {
            const struct pm_ctx *ctx = i < node->config.workers ? &node->workers[i].ctx : &node->communicator;
            const struct pm_histogram *h = __atomic_load_n(&ctx->histograms[q], __ATOMIC_ACQUIRE);
            if (h)
                pm_histogram_merge(&sum[q], h);
        }
    }
}

static void report_latencies(struct pm_trainer *t)
{
    for (uint32_t q = 0; q < PM_QUANTITIES; q++) {
        struct pm_record r = {.kind = PM_RECORD_LATENCY};
        r.u.latency.quantity = q;
        for (uint32_t i = 0; i < t->node->config.nodes; i++) {
            const struct pm_histogram *of = pm_gather_blob(t->node, i);
            pm_histogram_merge(&r.u.latency.histogram, &of[q]);
        }
        if (r.u.latency.histogram.count)
            report(t, &r);
    }
}

static int gather_latencies(struct pm_trainer *t)
{
    if (t->worker->index != 0)
        return PM_OK;
    struct pm_histogram *sum = calloc(PM_QUANTITIES, sizeof *sum);
    if (!sum)
        return PM_E_MEMORY;
    merge_histograms(t->node, sum);
    int rc = pm_gather(t->worker, sum, PM_QUANTITIES * sizeof *sum, PM_QUANTITIES * sizeof *sum);
    free(sum);
    if (rc == PM_OK && is_reporter(t)) {
        report_latencies(t);
        pm_gather_clear(t->node);
    }
    return rc;
}

/* Feeds all main copies in key order. */
static int digest_values(struct pm_trainer *t)
{
    const struct pm_digest *d = t->job->digest;
    const struct pm_layout *layout = t->node->layout;
    if (!is_reporter(t) || !d || !t->node->config.with_values)
        return PM_OK;
    pm_key *keys = malloc(DIGEST_KEYS * sizeof *keys);
    float *values = malloc(((size_t)DIGEST_FLOATS + layout->length_max) * sizeof *values);
    void *digest = d->start();
    int rc = keys && values && digest ? PM_OK : PM_E_MEMORY;
    for (pm_key first = 0; rc == PM_OK && first < layout->n_keys;) {
        size_t n = 0;
        uint64_t floats = 0;
        for (; n < DIGEST_KEYS && floats < DIGEST_FLOATS && first < layout->n_keys; first++) {
            keys[n++] = first;
            floats += pm_layout_length(layout, first);
        }
        rc = pm_read_model(t->worker, keys, n, values);
        if (rc == PM_OK)
            d->feed(digest, values, floats);
    }
    struct pm_record r = {.kind = PM_RECORD_DIGEST};
    if (digest)
        r.u.digest.values = d->finish(digest);
    if (rc == PM_OK)
        report(t, &r);
    free(keys);
    free(values);
    return rc;
}

int pm_report_end(struct pm_trainer *t)
{
    t->worker->ctx.uncharged = true;
    int rc = gather_latencies(t);
    if (rc == PM_OK)
        rc = digest_values(t);
    if (rc == PM_OK)
        rc = pm_barrier(t->worker);
    t->worker->ctx.uncharged = false;
    return rc;
}
