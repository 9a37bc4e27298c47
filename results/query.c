/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queries behind show, compare and the reports. */
#include "results/query.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void results_table_free(struct results_table *table)
{
    for (size_t i = 0; i < table->columns; i++)
        free(table->names[i]);
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->names);
    free(table->cells);
    *table = (struct results_table){0};
}

static int add_row(struct results_table *out, sqlite3_stmt *row)
{
    if (out->rows == out->capacity) {
        size_t capacity = out->capacity == 0 ? 16 : 2 * out->capacity;
        char **cells = realloc(out->cells, capacity * out->columns * sizeof *cells);
        if (cells == NULL)
            return PM_E_MEMORY;
        out->cells = cells;
        out->capacity = capacity;
    }
    char **cells = &out->cells[out->rows * out->columns];
    memset(cells, 0, out->columns * sizeof *cells);
    out->rows++;
    for (size_t i = 0; i < out->columns; i++) {
        const char *text = (const char *)sqlite3_column_text(row, (int)i);
        if (text != NULL && (cells[i] = strdup(text)) == NULL)
            return PM_E_MEMORY;
    }
    return PM_OK;
}

static int add_names(struct results_table *out, sqlite3_stmt *rows)
{
    out->columns = (size_t)sqlite3_column_count(rows);
    out->names = calloc(out->columns, sizeof *out->names);
    if (out->names == NULL) {
        out->columns = 0;
        return PM_E_MEMORY;
    }
    for (size_t i = 0; i < out->columns; i++)
        if ((out->names[i] = strdup(sqlite3_column_name(rows, (int)i))) == NULL)
            return PM_E_MEMORY;
    return PM_OK;
}

static int collect(struct results_db *db, sqlite3_stmt *rows, struct results_table *out, struct pm_error *err)
{
    int rc = add_names(out, rows);
    while (rc == PM_OK && (rc = results_step(db, rows, err)) == SQLITE_ROW)
        rc = add_row(out, rows);
    if (rc == PM_E_MEMORY)
        pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    return rc == SQLITE_DONE ? PM_OK : rc;
}

int results_select(struct results_db *db, struct results_table *out, struct pm_error *err, const char *sql,
                   const char *types, ...)
{
    *out = (struct results_table){0};
    sqlite3_stmt *rows;
    int rc = results_prepare(db, &rows, err, sql, "");
    if (rc == PM_OK && rows == NULL)
        rc = pm_error_set(err, PM_E_FILE, "database %s: a query that is empty, or only comments", db->path);
    if (rc != PM_OK)
        return rc;
    va_list args;
    va_start(args, types);
    rc = results_bind(db, rows, err, types, args);
    va_end(args);
    if (rc == PM_OK)
        rc = collect(db, rows, out, err);
    sqlite3_finalize(rows);
    if (rc != PM_OK)
        results_table_free(out);
    return rc;
}

/* A run's name for people: policy or workload with the options that differ from their defaults. */
#define LABEL(what) what " || CASE " what "_options WHEN '' THEN '' ELSE ':' || " what "_options END"
/* A run that says `running` and whose process is gone was interrupted. */
#define STATUS                                                                                               \
    "CASE WHEN r.status = 'running' AND process_gone(r.host, r.pid, r.process_start)"                        \
    " THEN 'interrupted' ELSE r.status END AS status"
#define REASON                                                                                               \
    "CASE WHEN r.status = 'running' AND process_gone(r.host, r.pid, r.process_start)"                        \
    " THEN 'process ' || r.pid || ' is gone' ELSE r.reason END AS reason"
#define OF_EPOCHS(what) "(SELECT " what " FROM epoch e WHERE e.run_id = r.run_id)"
/* The mean epoch, how many epochs' batches were run, and the mean interval when some were not run whole: the
 * errors of several epochs need not be independent. NULL when an extrapolated epoch has no interval. */
#define END_OF_INTERVAL(end)                                                                                 \
    OF_EPOCHS("CASE WHEN min(share) < 1 AND sum(share < 1 AND ci_low_s IS NULL) = 0"                         \
              " THEN avg(ifnull(" end ", epoch_s)) END")
#define EPOCH_S                                                                                              \
    OF_EPOCHS("avg(epoch_s)") " AS epoch_s, " OF_EPOCHS("sum(share)") " AS epochs_run, " END_OF_INTERVAL(   \
        "ci_low_s") " AS epoch_low_s, " END_OF_INTERVAL("ci_high_s") " AS epoch_high_s"
#define LAST(column)                                                                                         \
    "(SELECT " column " FROM epoch e WHERE e.run_id = r.run_id AND quality_metric IS NOT NULL"               \
    " ORDER BY epoch DESC LIMIT 1)"
#define NEAR "local_reads + replica_reads + local_writes + replica_writes"
#define FAR  "remote_reads + queued_reads + remote_writes + queued_writes"
#define SHARE                                                                                                \
    "(SELECT 1.0 * sum(" NEAR ") / nullif(sum(" NEAR " + " FAR "), 0) FROM node_epoch n"                     \
    " WHERE n.run_id = r.run_id) AS local_share"
/* Sent per node and epoch. */
#define BYTES                                                                                                \
    "(SELECT 1.0 * sum(bytes_sent) / r.nodes / nullif(count(DISTINCT epoch), 0) FROM node_epoch n"           \
    " WHERE n.run_id = r.run_id) AS bytes_per_node"
#define SUMMARY                                                                                              \
    "r.run_id AS run_id, r.name AS name, " STATUS ", " REASON ", r.started_at AS started_at,"                \
    " r.backend AS backend, " LABEL("r.policy") " AS policy, " LABEL(                                        \
        "r.workload") " AS workload,"                                                                        \
                      " r.nodes AS nodes, r.workers AS workers, r.seed AS seed,"                             \
                      " " OF_EPOCHS("count(*)") " AS epochs, " EPOCH_S ","                                   \
                      " (SELECT speedup FROM v_speedup v WHERE v.run_id = r.run_id) AS speedup, " SHARE      \
                      ", " BYTES ","                                                                         \
                      " " LAST("quality_metric") " AS metric, " LAST(                                        \
                          "quality") " AS quality,"                                                          \
                                     " (SELECT loss FROM epoch e WHERE e.run_id = r.run_id ORDER BY epoch "  \
                                     "DESC LIMIT 1) AS loss,"                                                \
                                     " r.digest AS digest, r.values_digest AS values_digest, r.wall_s AS "   \
                                     "wall_s,"                                                               \
                                     " r.peak_rss_bytes AS peak_rss_bytes, r.config_hash AS config_hash"

int results_list_runs(struct results_db *db, struct results_table *out, struct pm_error *err)
{
    return results_select(db, out, err, "SELECT " SUMMARY " FROM run r ORDER BY run_id", "");
}

int results_summary(struct results_db *db, int64_t run_id, struct results_table *out, struct pm_error *err)
{
    int rc = results_select(db, out, err, "SELECT " SUMMARY " FROM run r WHERE run_id = ?", "i", run_id);
    if (rc != PM_OK || out->rows == 1)
        return rc;
    results_table_free(out);
    return pm_error_set(err, PM_E_OPTION, "database %s has no run %lld", db->path, (long long)run_id);
}

#define COMPARED                                                                                             \
    " FROM (SELECT j.key AS position, " SUMMARY                                                              \
    " FROM json_each(?1) j JOIN run r ON r.run_id = j.value) GROUP BY policy"                                \
    " ORDER BY min(position)"
#define SPREAD(column)                                                                                       \
    "sum(" column " * " column ") - sum(" column ") * sum(" column ") / nullif(count(" column "), 0)"

int results_compare(struct results_db *db, const char *run_ids, struct results_table *out,
                    struct pm_error *err)
{
    return results_select(
        db, out, err,
        "SELECT policy, count(epoch_s) AS runs, avg(epoch_s) AS epoch_s, avg(speedup) AS speedup,"
        " avg(local_share) AS local_share, avg(bytes_per_node) AS bytes_per_node,"
        " max(metric) AS metric, avg(quality) AS quality, max(epochs_run < epochs) AS extrapolated, " SPREAD(
            "epoch_s") " AS epoch_s_spread,"
                       " " SPREAD("speedup") " AS speedup_spread, " SPREAD(
                           "quality") " AS quality_spread" COMPARED,
        "s", run_ids);
}

static int one_text(struct results_db *db, char **out, struct pm_error *err, sqlite3_stmt *row)
{
    int rc = results_step(db, row, err);
    *out = NULL;
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(row, 0);
        *out = strdup(text != NULL ? text : "null");
        rc = *out != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    }
    sqlite3_finalize(row);
    return rc == SQLITE_DONE ? pm_error_set(err, PM_E_OPTION, "database %s has no such run", db->path) : rc;
}

#define JSON_SUMMARY                                                                                         \
    "json_object('run_id', run_id, 'name', name, 'status', status, 'reason', reason,"                        \
    " 'started_at', started_at, 'backend', backend, 'policy', policy, 'workload', workload,"                 \
    " 'nodes', nodes, 'workers', workers, 'seed', seed, 'epochs', epochs, 'epoch_s', epoch_s,"               \
    " 'epochs_run', epochs_run, 'epoch_low_s', epoch_low_s, 'epoch_high_s', epoch_high_s,"                   \
    " 'speedup', speedup, 'local_share', local_share, 'bytes_per_node', bytes_per_node,"                     \
    " 'quality_metric', metric, 'quality', quality, 'loss', loss, 'digest', digest,"                         \
    " 'values_digest', values_digest, 'wall_s', wall_s, 'peak_rss_bytes', peak_rss_bytes,"                   \
    " 'config_hash', config_hash"

int results_json_runs(struct results_db *db, char **out, struct pm_error *err)
{
    sqlite3_stmt *row;
    int rc = results_prepare(db, &row, err,
                             "SELECT json_group_array(json(o)) FROM (SELECT " JSON_SUMMARY ") AS o"
                             " FROM (SELECT " SUMMARY " FROM run r) ORDER BY run_id)",
                             "");
    return rc == PM_OK ? one_text(db, out, err, row) : rc;
}

#define EPOCHS                                                                                               \
    "(SELECT json_group_array(json_object('epoch', epoch, 'epoch_s', epoch_s, 'drain_s', drain_s,"           \
    " 'eval_s', eval_s, 'elapsed_s', elapsed_s, 'steps', steps, 'loss', loss,"                               \
    " 'quality_metric', quality_metric, 'quality', quality, 'share', share, 'ci_low_s', ci_low_s,"           \
    " 'ci_high_s', ci_high_s)) FROM epoch e WHERE e.run_id = s.run_id)"
#define OPTIONS "(SELECT json_group_object(o.name, o.value) FROM option o WHERE o.run_id = s.run_id)"
#define METRICS                                                                                              \
    "(SELECT json_group_array(json_object('epoch', epoch, 'metric', metric, 'at_s', at_s, 'value', value))"  \
    " FROM quality q WHERE q.run_id = s.run_id)"
#define TRAFFIC                                                                                              \
    "(SELECT json_group_object(kind, json_object('count', n, 'bytes', b)) FROM (SELECT kind,"                \
    " sum(count) AS n, sum(bytes) AS b FROM message m WHERE m.run_id = s.run_id GROUP BY kind))"
#define TIMES                                                                                                \
    "(SELECT json_object('compute_s', sum(compute_s), 'wait_s', sum(wait_s), 'overhead_s', sum(overhead_s))" \
    " FROM worker_epoch w WHERE w.run_id = s.run_id)"

int results_json_run(struct results_db *db, int64_t run_id, char **out, struct pm_error *err)
{
    sqlite3_stmt *row;
    int rc = results_prepare(db, &row, err,
                             "SELECT " JSON_SUMMARY ", 'options', " OPTIONS ", 'epoch', " EPOCHS
                             ", 'evaluations', " METRICS ", 'messages', " TRAFFIC ", 'worker_time', " TIMES ")"
                             " FROM (SELECT " SUMMARY " FROM run r WHERE run_id = ?) s",
                             "i", run_id);
    return rc == PM_OK ? one_text(db, out, err, row) : rc;
}

int results_json_compare(struct results_db *db, const char *run_ids, char **out, struct pm_error *err)
{
    sqlite3_stmt *row;
    int rc =
        results_prepare(db, &row, err,
                        "SELECT json_group_array(json(o)) FROM (SELECT json_object('policy', policy,"
                        " 'runs', json_group_array(run_id), 'epoch_s', avg(epoch_s), 'speedup', avg(speedup),"
                        " 'local_share', avg(local_share), 'bytes_per_node', avg(bytes_per_node),"
                        " 'quality_metric', max(metric), 'quality', avg(quality),"
                        " 'extrapolated', json(iif(max(epochs_run < epochs), 'true', 'false'))) AS o" COMPARED ")",
                        "s", run_ids);
    return rc == PM_OK ? one_text(db, out, err, row) : rc;
}
