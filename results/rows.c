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
        db, err, "INSERT INTO epoch VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiddddiddsdddd", run_id,
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
            rc = results_run_statement(db, err, "INSERT INTO message VALUES(?, ?, ?, ?, ?, ?)", "iiisii",
                                       run_id, (int64_t)r->epoch, (int64_t)r->u.node.node,
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
            rc = results_run_statement(db, err, "INSERT INTO filter VALUES(?, ?, ?, ?, ?, ?, ?, ?)", "iiissiii", run_id,
                                       (int64_t)r->epoch, (int64_t)r->u.node.node, pm_filter_name((enum pm_filter)(i / 2)),
                                       pm_message_kind_name(i % 2 ? PM_MSG_REPLY : PM_MSG_ACCESS), (int64_t)c->messages,
                                       (int64_t)c->bytes_before, (int64_t)c->bytes_after);
    }
    return rc;
}

/* The counts of node_epoch in the order of the table's columns, from local_reads to rounds. */
static const size_t counts[] = {
#define AT(field) offsetof(struct pm_counters, field)
    AT(reads[PM_HOW_LOCAL]),
    AT(reads[PM_HOW_REPLICA]),
    AT(reads[PM_HOW_REMOTE]),
    AT(reads[PM_HOW_QUEUED]),
    AT(writes[PM_HOW_LOCAL]),
    AT(writes[PM_HOW_REPLICA]),
    AT(writes[PM_HOW_REMOTE]),
    AT(writes[PM_HOW_QUEUED]),
    AT(sample_reads),
    AT(sample_writes),
    AT(sample_remote),
    AT(sample_queued),
    AT(sample_shifted),
    AT(sample_postponed),
    AT(relocations_in),
    AT(relocations_out),
    AT(replicas_created),
    AT(replicas_dropped),
    AT(messages_sent),
    AT(messages_received),
    AT(bytes_sent),
    AT(bytes_received),
    AT(updates_pushed),
    AT(updates_applied),
    AT(rounds),
    AT(deltas_clipped),
    AT(intents),
    AT(intents_dropped),
    AT(key_events_left_out),
#undef AT
};
enum { COUNTS = sizeof counts / sizeof counts[0] };

static int insert_node(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    const struct pm_counters *c = &r->u.node.counters;
    sqlite3_stmt *row;
    int rc = results_prepare(db, &row, err,
                             "INSERT INTO node_epoch VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                             "?, ?, ?, ?, ?, ?, ?, ?,"
                             " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                             "iii", run_id, (int64_t)r->epoch, (int64_t)r->u.node.node);
    if (rc != PM_OK)
        return rc;
    int column = 4;
    for (int i = 0; i < COUNTS; i++)
        sqlite3_bind_int64(row, column++, *(const int64_t *)(const void *)((const char *)c + counts[i]));
    sqlite3_bind_double(row, column++, seconds((int64_t)c->compute_ns));
    sqlite3_bind_double(row, column++, seconds((int64_t)c->wait_ns));
    sqlite3_bind_double(row, column++, seconds((int64_t)c->busy_ns));
    sqlite3_bind_int64(row, column++, (int64_t)r->u.node.memory_bytes);
    PM_ASSERT(column == sqlite3_bind_parameter_count(row) + 1);
    rc = results_step(db, row, err);
    sqlite3_finalize(row);
    if (rc != SQLITE_DONE)
        return rc;
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
                results_run_statement(db, err, "INSERT INTO latency VALUES(?, ?, ?, ?, ?, ?, ?)", "isisddi",
                                      run_id, pm_quantity_name(quantity), (int64_t)bucket,
                                      clocks ? "clocks" : "s", (double)pm_histogram_lower(bucket) / unit,
                                      (double)pm_histogram_upper(bucket) / unit, (int64_t)h->buckets[bucket]);
    return rc;
}

static int insert_events(struct results_db *db, int64_t run_id, const struct pm_record *r, struct pm_error *err)
{
    int rc = PM_OK;
    for (uint32_t i = 0; i < r->u.events.n && rc == PM_OK; i++) {
        const struct pm_key_event *e = &r->u.events.events[i];
        rc = results_run_statement(db, err, "INSERT INTO key_event VALUES(?, ?, ?, ?, ?, ?, nullif(?, 0))", "iidisii", run_id,
                                   (int64_t)e->key, seconds(e->at_ns), (int64_t)r->u.events.node,
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
        return results_run_statement(db, err, "INSERT INTO worker_epoch VALUES(?, ?, ?, ?, ?, ?, ?)", "iiiiddd", run_id,
                                     (int64_t)r->epoch, (int64_t)r->u.worker.node, (int64_t)r->u.worker.worker,
                                     seconds(r->u.worker.compute_ns), seconds(r->u.worker.wait_ns),
                                     seconds(r->u.worker.overhead_ns));
    case PM_RECORD_EVENTS:
        return insert_events(db, run_id, r, err);
    case PM_RECORD_LATENCY:
        return insert_latency(db, run_id, r, err);
    case PM_RECORD_QUALITY:
        return results_run_statement(db, err, "INSERT INTO quality VALUES(?, ?, ?, ?, ?)", "iisdd", run_id,
                                     (int64_t)r->epoch, r->u.quality.metric, seconds(r->u.quality.at_ns),
                                     r->u.quality.value);
    default:
        PM_ASSERT(0, "record of kind %d has no table", (int)r->kind);
        return PM_E_INTERNAL;
    }
}
