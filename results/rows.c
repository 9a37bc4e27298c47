/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nanoseconds become seconds here and nowhere else. */
#include "results/rows.h"

#include <math.h>
#include <stddef.h>

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static int insert_epoch(struct results_db *db, int64_t run_id, const struct pm_record *r,
                        struct pm_error *err)
{
    bool has = r->u.epoch.has_quality, interval = r->u.epoch.ci_high_ns > 0;
    return results_run_statement(
        db, err,
        "INSERT INTO epoch(run_id, epoch, epoch_s, drain_s, eval_s, elapsed_s, steps, flops, loss, quality_metric, quality, share,"
        " ci_low_s, ci_high_s) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iiddddiddsdddd", run_id,
        (int64_t)r->epoch, seconds(r->u.epoch.epoch_ns), seconds(r->u.epoch.drain_ns),
        seconds(r->u.epoch.eval_ns), seconds(r->u.epoch.elapsed_ns), (int64_t)r->u.epoch.steps,
        r->u.epoch.flops, r->u.epoch.loss, has ? r->u.epoch.metric : NULL, has ? r->u.epoch.quality : NAN,
        r->u.epoch.share, interval ? seconds(r->u.epoch.ci_low_ns) : NAN,
        interval ? seconds(r->u.epoch.ci_high_ns) : NAN);
}

static int insert_kinds(struct results_db *db, int64_t run_id, const struct pm_record *r,
                        struct pm_error *err)
{
    const struct pm_counters *c = &r->u.node.counters;
    int rc = PM_OK;
    for (int kind = 0; kind < PM_MSG_KINDS && rc == PM_OK; kind++)
        if (c->kind_count[kind] != 0)
            rc = results_run_statement(db, err,
                                       "INSERT INTO message(run_id, epoch, node, kind, count, bytes) VALUES(?, ?, ?, ?, ?, ?)",
                                       "iiisii", run_id, (int64_t)r->epoch, (int64_t)r->u.node.node,
                                       pm_message_kind_name((enum pm_message_kind)kind),
                                       (int64_t)c->kind_count[kind], (int64_t)c->kind_bytes[kind]);
    return rc;
}

static int insert_filters(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    int rc = PM_OK;
    for (int i = 0; i < 2 * PM_FILTERS && rc == PM_OK; i++) {
        const struct pm_filter_counts *c = &r->u.node.counters.filters[i / 2][i % 2];
        if (c->messages != 0)
            rc = results_run_statement(db, err,
                                       "INSERT INTO filter(run_id, epoch, node, filter, filtered_kind, filtered_messages,"
                                       " bytes_before, bytes_after) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                                       "iiissiii", run_id, (int64_t)r->epoch, (int64_t)r->u.node.node,
                                       pm_filter_name((enum pm_filter)(i / 2)),
                                       pm_message_kind_name(i % 2 ? PM_MSG_REPLY : PM_MSG_ACCESS), (int64_t)c->messages,
                                       (int64_t)c->bytes_before, (int64_t)c->bytes_after);
    }
    return rc;
}

/* The columns of node_epoch that are counts as they stand. */
static const struct {
    const char *column;
    size_t at;
} counts[] = {
    {"local_reads", offsetof(struct pm_counters, reads[PM_HOW_LOCAL])},
    {"replica_reads", offsetof(struct pm_counters, reads[PM_HOW_REPLICA])},
    {"remote_reads", offsetof(struct pm_counters, reads[PM_HOW_REMOTE])},
    {"queued_reads", offsetof(struct pm_counters, reads[PM_HOW_QUEUED])},
    {"local_writes", offsetof(struct pm_counters, writes[PM_HOW_LOCAL])},
    {"replica_writes", offsetof(struct pm_counters, writes[PM_HOW_REPLICA])},
    {"remote_writes", offsetof(struct pm_counters, writes[PM_HOW_REMOTE])},
    {"queued_writes", offsetof(struct pm_counters, writes[PM_HOW_QUEUED])},
    {"sample_reads", offsetof(struct pm_counters, sample_reads)},
    {"sample_writes", offsetof(struct pm_counters, sample_writes)},
    {"sample_remote", offsetof(struct pm_counters, sample_remote)},
    {"sample_queued", offsetof(struct pm_counters, sample_queued)},
    {"sample_shifted", offsetof(struct pm_counters, sample_shifted)},
    {"sample_postponed", offsetof(struct pm_counters, sample_postponed)},
    {"relocations_in", offsetof(struct pm_counters, relocations_in)},
    {"relocations_out", offsetof(struct pm_counters, relocations_out)},
    {"replicas_created", offsetof(struct pm_counters, replicas_created)},
    {"replicas_dropped", offsetof(struct pm_counters, replicas_dropped)},
    {"messages_sent", offsetof(struct pm_counters, messages_sent)},
    {"messages_received", offsetof(struct pm_counters, messages_received)},
    {"bytes_sent", offsetof(struct pm_counters, bytes_sent)},
    {"bytes_received", offsetof(struct pm_counters, bytes_received)},
    {"updates_pushed", offsetof(struct pm_counters, updates_pushed)},
    {"updates_applied", offsetof(struct pm_counters, updates_applied)},
    {"rounds", offsetof(struct pm_counters, rounds)},
    {"deltas_clipped", offsetof(struct pm_counters, deltas_clipped)},
    {"intents", offsetof(struct pm_counters, intents)},
    {"intents_dropped", offsetof(struct pm_counters, intents_dropped)},
    {"key_events_left_out", offsetof(struct pm_counters, key_events_left_out)},
};
enum { COUNTS = sizeof counts / sizeof counts[0] };

#define NODE_COLUMNS "run_id, epoch, node, compute_s, wait_s, communicator_busy_s, memory_bytes"
#define NODE_VALUES  "?, ?, ?, ?, ?, ?, ?"

/* The counts are part of the statement's text, which takes as many as there are. */
static int insert_counts(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    const struct pm_counters *c = &r->u.node.counters;
    sqlite3_str *sql = sqlite3_str_new(db->sqlite);
    sqlite3_str_appendall(sql, "INSERT INTO node_epoch(" NODE_COLUMNS);
    for (int i = 0; i < COUNTS; i++)
        sqlite3_str_appendf(sql, ", %s", counts[i].column);
    sqlite3_str_appendall(sql, ") VALUES(" NODE_VALUES);
    for (int i = 0; i < COUNTS; i++)
        sqlite3_str_appendf(sql, ", %lld", *(const long long *)(const void *)((const char *)c + counts[i].at));
    sqlite3_str_appendall(sql, ")");
    char *text = sqlite3_str_finish(sql);
    if (text == NULL)
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    int rc = results_run_statement(db, err, text, "iiidddi", run_id, (int64_t)r->epoch, (int64_t)r->u.node.node,
                                   seconds((int64_t)c->compute_ns), seconds((int64_t)c->wait_ns),
                                   seconds((int64_t)c->busy_ns), (int64_t)r->u.node.memory_bytes);
    sqlite3_free(text);
    return rc;
}

static int insert_node(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    int rc = insert_counts(db, run_id, r, err);
    if (rc == PM_OK)
        rc = insert_kinds(db, run_id, r, err);
    return rc == PM_OK ? insert_filters(db, run_id, r, err) : rc;
}

static int insert_latency(struct results_db *db, int64_t run_id, const struct pm_record *r,
                          struct pm_error *err)
{
    const struct pm_histogram *h = &r->u.latency.histogram;
    enum pm_quantity quantity = r->u.latency.quantity;
    bool clocks = quantity == PM_Q_STALENESS_CLOCKS;
    double unit = clocks ? 1.0 : 1e9;
    int rc = PM_OK;
    for (unsigned bucket = 0; bucket < PM_HISTOGRAM_BUCKETS && rc == PM_OK; bucket++)
        if (h->buckets[bucket] != 0)
            rc =
                results_run_statement(db, err,
                                      "INSERT INTO latency(run_id, quantity, bucket, unit, lower_bound, upper_bound, occurrences)"
                                      " VALUES(?, ?, ?, ?, ?, ?, ?)",
                                      "isisddi", run_id, pm_quantity_name(quantity), (int64_t)bucket,
                                      clocks ? "clocks" : "s", (double)pm_histogram_lower(bucket) / unit,
                                      (double)pm_histogram_upper(bucket) / unit, (int64_t)h->buckets[bucket]);
    return rc;
}

static int insert_events(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    int rc = PM_OK;
    for (uint32_t i = 0; i < r->u.events.n && rc == PM_OK; i++) {
        const struct pm_key_event *e = &r->u.events.events[i];
        rc = results_run_statement(db, err, "INSERT INTO key_event(run_id, key, time_s, node, event, event_number, key_rank)"
                                   " VALUES(?, ?, ?, ?, ?, ?, nullif(?, 0))",
                                   "iidisii", run_id, (int64_t)e->key, seconds(e->at_ns), (int64_t)r->u.events.node,
                                   pm_event_name((enum pm_event)e->what), (int64_t)(r->u.events.first + i), (int64_t)e->rank);
    }
    return rc;
}

int results_insert(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    switch (r->kind) {
    case PM_RECORD_EPOCH:
        return insert_epoch(db, run_id, r, err);
    case PM_RECORD_NODE:
        return insert_node(db, run_id, r, err);
    case PM_RECORD_WORKER:
        return results_run_statement(db, err,
                                     "INSERT INTO worker_epoch(run_id, epoch, node, worker, compute_s, wait_s, overhead_s)"
                                     " VALUES(?, ?, ?, ?, ?, ?, ?)",
                                     "iiiiddd", run_id, (int64_t)r->epoch, (int64_t)r->u.worker.node, (int64_t)r->u.worker.worker,
                                     seconds(r->u.worker.compute_ns), seconds(r->u.worker.wait_ns),
                                     seconds(r->u.worker.overhead_ns));
    case PM_RECORD_EVENTS:
        return insert_events(db, run_id, r, err);
    case PM_RECORD_LATENCY:
        return insert_latency(db, run_id, r, err);
    case PM_RECORD_QUALITY:
        return results_run_statement(db, err, "INSERT INTO quality(run_id, epoch, metric, at_s, value) VALUES(?, ?, ?, ?, ?)",
                                     "iisdd", run_id, (int64_t)r->epoch, r->u.quality.metric, seconds(r->u.quality.at_ns),
                                     r->u.quality.value);
    default:
        PM_ASSERT(0, "record of kind %d has no table", (int)r->kind);
        return PM_E_INTERNAL;
    }
}
