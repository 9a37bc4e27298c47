/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab show: the runs of a database, or everything about one. Reads only. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/format.h"
#include "cli/print.h"

static int print_list(struct results_db *db, struct pm_error *err)
{
    static const char *const head[] = {"run",     "started",  "status",         "backend",
                                       "policy",  "workload", "shape",          "epoch time",
                                       "quality", "name",     "what went wrong"};
    struct results_table t;
    int rc = results_list_runs(db, &t, err);
    if (rc != PM_OK)
        return rc;
    struct cli_table table;
    cli_table_begin(&table, "rllllllrlll", head);
    for (size_t row = 0; row < t.rows; row++) {
        char shape[48], epoch[32], value[32], quality[80];
        const char *metric = cli_column(&t, row, "metric"), *reason = cli_column(&t, row, "reason");
        snprintf(shape, sizeof shape, "%sx%s", cli_column(&t, row, "nodes"), cli_column(&t, row, "workers"));
        cli_format_seconds(epoch, sizeof epoch, cli_number(cli_column(&t, row, "epoch_s")));
        cli_format_real(value, sizeof value, cli_number(cli_column(&t, row, "quality")));
        snprintf(quality, sizeof quality, "%s %s", metric != NULL ? metric : "", value);
        const char *name = cli_column(&t, row, "name");
        const char *cells[] = {cli_column(&t, row, "run_id"),
                               cli_column(&t, row, "started_at"),
                               cli_column(&t, row, "status"),
                               cli_column(&t, row, "backend"),
                               cli_column(&t, row, "policy"),
                               cli_column(&t, row, "workload"),
                               shape,
                               epoch,
                               metric != NULL ? quality : "-",
                               name,
                               reason != NULL ? reason : ""};
        cli_table_row(&table, cells);
    }
    cli_table_print(&table, stdout);
    results_table_free(&t);
    return PM_OK;
}

/* A query as a table under a heading; nothing at all when it has no rows. */
static int section(struct results_db *db, int64_t run_id, const char *heading, const char *sql,
                   struct pm_error *err)
{
    struct results_table t;
    int rc = results_select(db, &t, err, sql, "i", run_id);
    if (rc != PM_OK)
        return rc;
    if (t.rows > 0) {
        char alignment[32];
        for (size_t i = 0; i < t.columns; i++) {
            char *end = NULL;
            const char *cell = results_cell(&t, 0, i);
            alignment[i] = cell != NULL && strtod(cell, &end) == 0 && end == cell ? 'l' : 'r';
        }
        alignment[t.columns] = '\0';
        printf("\n%s\n", heading);
        struct cli_table table;
        cli_table_begin(&table, alignment, (const char *const *)t.names);
        for (size_t row = 0; row < t.rows; row++)
            cli_table_row(&table, (const char *const *)&t.cells[row * t.columns]);
        cli_table_print(&table, stdout);
    }
    results_table_free(&t);
    return PM_OK;
}

static const struct {
    const char *heading, *sql;
    bool verbose_only;
} sections[] = {
    {"Run",
     "SELECT started_at, finished_at, version, host, command_line, config_hash, experiment_hash FROM run"
     " WHERE run_id = ?",
     true},
    {"Options",
     "SELECT name, value, CASE is_default WHEN 1 THEN 'default' ELSE '' END AS given FROM option"
     " WHERE run_id = ?",
     true},
    {"Options that differ from their defaults",
     "SELECT name, value FROM option WHERE run_id = ? AND NOT is_default", false},
    {"Epochs",
     "SELECT epoch, epoch_s, drain_s, eval_s, elapsed_s, steps, loss, quality_metric, quality, share, ci_low_s, ci_high_s"
     " FROM epoch"
     " WHERE run_id = ?",
     false},
    {"Evaluations", "SELECT epoch, at_s, metric, value FROM quality WHERE run_id = ? ORDER BY epoch, metric",
     false},
    {"Accesses",
     "SELECT sum(local_reads) AS local_reads, sum(replica_reads) AS replica_reads,"
     " sum(remote_reads) AS remote_reads, sum(queued_reads) AS queued_reads,"
     " sum(local_writes) AS local_writes, sum(replica_writes) AS replica_writes,"
     " sum(remote_writes) AS remote_writes, sum(queued_writes) AS queued_writes"
     " FROM node_epoch WHERE run_id = ? HAVING count(*) > 0",
     false},
    {"Samples",
     "SELECT sum(sample_reads) AS reads, sum(sample_remote) AS remote, sum(sample_queued) AS queued,"
     " sum(sample_shifted) AS shifted, sum(sample_postponed) AS postponed"
     " FROM node_epoch WHERE run_id = ? HAVING sum(sample_reads) > 0",
     false},
    {"Nodes",
     "SELECT node, sum(messages_sent) AS messages_sent, sum(bytes_sent) AS bytes_sent,"
     " sum(compute_s) AS compute_s, sum(wait_s) AS wait_s, sum(communicator_busy_s) AS busy_s,"
     " max(memory_bytes) AS memory_bytes FROM node_epoch WHERE run_id = ? GROUP BY node",
     false},
    {"Relocations",
     "SELECT node, sum(relocations_in) AS keys_in, sum(relocations_out) AS keys_out FROM node_epoch"
     " WHERE run_id = ? GROUP BY node HAVING sum(relocations_in + relocations_out) > 0",
     false},
    {"Updates that were clipped",
     "SELECT node, sum(deltas_clipped) AS updates FROM node_epoch WHERE run_id = ? GROUP BY node HAVING updates > 0", false},
    {"Intents",
     "SELECT node, sum(intents) AS keys_declared, sum(intents_dropped) AS without_room FROM node_epoch"
     " WHERE run_id = ? GROUP BY node HAVING sum(intents) > 0",
     false},
    {"Events of traced keys",
     "SELECT event, count(*) AS count, count(DISTINCT key) AS keys, count(DISTINCT node) AS nodes FROM key_event"
     " WHERE run_id = ? GROUP BY event ORDER BY event",
     false},
    {"Events of traced keys that were left out",
     "SELECT node, sum(key_events_left_out) AS left_out FROM node_epoch"
     " WHERE run_id = ? GROUP BY node HAVING sum(key_events_left_out) > 0",
     false},
    {"Workers: time over all epochs",
     "WITH w AS (SELECT sum(compute_s) AS c, sum(wait_s) AS i, sum(overhead_s) AS o FROM worker_epoch"
     "  WHERE run_id = ? GROUP BY node, worker),"
     " t AS (SELECT 1 AS place, 'computing' AS what, c AS s FROM w UNION ALL SELECT 2, 'waiting', i FROM w"
     "  UNION ALL SELECT 3, 'management', o FROM w),"
     " k AS (SELECT *, row_number() OVER (PARTITION BY place ORDER BY s) AS k, count(*) OVER (PARTITION BY place) AS n"
     "  FROM t)"
     " SELECT what AS time, min(s) AS least_s, avg(CASE WHEN k IN ((n + 1) / 2, n / 2 + 1) THEN s END) AS median_s,"
     "  max(s) AS greatest_s, round(100 * sum(s) / (SELECT sum(s) FROM t), 1) AS percent FROM k GROUP BY place",
     false},
    {"Messages",
     "SELECT kind, sum(count) AS count, sum(bytes) AS bytes FROM message WHERE run_id = ? GROUP BY kind"
     " ORDER BY bytes DESC, kind",
     false},
    {"Filters: bytes of messages before and after each, in the order in which they work",
     "SELECT filter, filtered_kind AS kind, sum(filtered_messages) AS messages, sum(bytes_before) AS before,"
     " sum(bytes_after) AS after, round(100 - 100.0 * sum(bytes_after) / sum(bytes_before), 1) AS percent_saved"
     " FROM filter WHERE run_id = ? GROUP BY filter, filtered_kind"
     " ORDER BY CASE filter WHEN 'kkt' THEN 1 WHEN 'threshold' THEN 2 WHEN 'keys' THEN 3 ELSE 4 END, filtered_kind",
     false},
    {"Latencies",
     "WITH l AS (SELECT *, sum(occurrences) OVER (PARTITION BY quantity ORDER BY bucket) AS upto,"
     "  sum(occurrences) OVER (PARTITION BY quantity) AS total FROM latency WHERE run_id = ?)"
     " SELECT quantity, unit, max(total) AS occurrences, min(lower_bound) AS least,"
     " min(CASE WHEN upto >= 0.5 * total THEN upper_bound END) AS p50,"
     " min(CASE WHEN upto >= 0.99 * total THEN upper_bound END) AS p99,"
     " max(upper_bound) AS greatest FROM l GROUP BY quantity",
     false},
};

static int print_one(struct results_db *db, int64_t run_id, bool verbose, struct pm_error *err)
{
    int rc = cli_print_summary(db, run_id, err);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0] && rc == PM_OK; i++)
        if (verbose || !sections[i].verbose_only)
            rc = section(db, run_id, sections[i].heading, sections[i].sql, err);
    return rc;
}

static int print(const struct cli_args *args, struct results_db *db, int64_t run_id, struct pm_error *err)
{
    if (!cli_flag(args, "json"))
        return run_id > 0 ? print_one(db, run_id, cli_flag(args, "verbose"), err) : print_list(db, err);
    char *json = NULL;
    int rc = run_id > 0 ? results_json_run(db, run_id, &json, err) : results_json_runs(db, &json, err);
    if (rc == PM_OK)
        puts(json);
    free(json);
    return rc;
}

int cli_show(const struct cli_args *args)
{
    static const struct pm_option run = {"RUN", PM_OPT_COUNT, NULL, "", NULL, 1, 9e18};
    struct pm_error err = {0};
    struct pm_value value = {0};
    int rc = PM_OK;
    if (args->n_words > 0)
        rc = pm_option_parse(&run, args->words[0], &value, &err);
    struct results_db db;
    if (rc == PM_OK)
        rc = results_open(cli_text(args, "db"), RESULTS_READ, &db, &err);
    if (rc == PM_OK) {
        rc = print(args, &db, (int64_t)value.whole, &err);
        results_close(&db);
    }
    return rc == PM_OK ? 0 : cli_complain(rc, err.text);
}
