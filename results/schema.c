/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables and views. A column name occurs in one table only, except run_id, epoch, node and those that the
 * contract repeats. Units are SI and in the names.
 *
 * A column that is new since an earlier layout has a default where one is true of the runs that were recorded without it; in
 * databases of that layout it may otherwise be NULL (results/upgrade.c), whatever is said here. */
#include "results/schema.h"

#include <stddef.h>

/* clang-format off */
#define RUN_ID "run_id INTEGER NOT NULL REFERENCES run"
#define EPOCH  "epoch INTEGER NOT NULL"
#define NODE   "node INTEGER NOT NULL"
#define COUNT(column) "  " column " INTEGER NOT NULL,"
#define HOW(what) COUNT("local_" what) COUNT("replica_" what) COUNT("remote_" what) COUNT("queued_" what)
#define KEY(columns) "  PRIMARY KEY(" columns ")) STRICT, WITHOUT ROWID;"

const char results_schema_tables[] =
    "CREATE TABLE run("
    "  run_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT,"
    "  status TEXT NOT NULL CHECK(status IN ('running', 'finished', 'failed', 'interrupted')), reason TEXT,"
    "  started_at TEXT NOT NULL, finished_at TEXT, backend TEXT NOT NULL,"
    "  policy TEXT NOT NULL, policy_options TEXT NOT NULL,"
    "  workload TEXT NOT NULL, workload_options TEXT NOT NULL,"
    "  nodes INTEGER NOT NULL, workers INTEGER NOT NULL,"
    "  values_mode TEXT NOT NULL, network TEXT, platform TEXT,"
    "  seed INTEGER NOT NULL, run_number INTEGER NOT NULL, digest TEXT, version TEXT NOT NULL,"
    "  host TEXT NOT NULL, pid INTEGER NOT NULL, process_start INTEGER NOT NULL, command_line TEXT NOT NULL,"
    "  config_hash TEXT NOT NULL, experiment_hash TEXT NOT NULL, values_digest TEXT,"
    "  wall_s REAL, peak_rss_bytes INTEGER, simulator_events INTEGER) STRICT;"
    "CREATE INDEX run_by_config ON run(config_hash);"
    "CREATE INDEX run_by_experiment ON run(experiment_hash);"
    "CREATE TABLE option("
    "  " RUN_ID ", name TEXT NOT NULL, value TEXT NOT NULL, is_default INTEGER NOT NULL,"
    KEY("run_id, name")
    "CREATE TABLE epoch("
    "  " RUN_ID ", " EPOCH ","
    "  epoch_s REAL NOT NULL, drain_s REAL NOT NULL, eval_s REAL NOT NULL, elapsed_s REAL NOT NULL,"
    "  steps INTEGER NOT NULL, flops REAL NOT NULL, loss REAL, quality_metric TEXT, quality REAL,"
    "  share REAL NOT NULL DEFAULT 1, ci_low_s REAL, ci_high_s REAL,"
    KEY("run_id, epoch")
    "CREATE TABLE node_epoch("
    "  " RUN_ID ", " EPOCH ", " NODE ","
    HOW("reads") HOW("writes") COUNT("sample_reads") COUNT("sample_writes")
    COUNT("sample_remote") COUNT("sample_queued")
    "  sample_shifted INTEGER NOT NULL DEFAULT 0, sample_postponed INTEGER NOT NULL DEFAULT 0,"
    COUNT("relocations_in") COUNT("relocations_out") COUNT("replicas_created") COUNT("replicas_dropped")
    COUNT("messages_sent") COUNT("messages_received") COUNT("bytes_sent") COUNT("bytes_received")
    COUNT("updates_pushed") COUNT("updates_applied") COUNT("rounds")
    "  deltas_clipped INTEGER NOT NULL DEFAULT 0,"
    COUNT("intents") COUNT("intents_dropped")
    "  key_events_left_out INTEGER NOT NULL DEFAULT 0,"
    "  compute_s REAL NOT NULL, wait_s REAL NOT NULL, communicator_busy_s REAL NOT NULL,"
    COUNT("memory_bytes")
    KEY("run_id, epoch, node")
    "CREATE TABLE worker_epoch("
    "  " RUN_ID ", " EPOCH ", " NODE ", worker INTEGER NOT NULL,"
    "  compute_s REAL NOT NULL, wait_s REAL NOT NULL, overhead_s REAL NOT NULL,"
    KEY("run_id, epoch, node, worker")
    "CREATE TABLE message("
    "  " RUN_ID ", " EPOCH ", " NODE ", kind TEXT NOT NULL," COUNT("count") COUNT("bytes")
    KEY("run_id, epoch, node, kind")
    "CREATE TABLE filter("
    "  " RUN_ID ", " EPOCH ", " NODE ", filter TEXT NOT NULL, filtered_kind TEXT NOT NULL,"
    COUNT("filtered_messages") COUNT("bytes_before") COUNT("bytes_after")
    KEY("run_id, epoch, node, filter, filtered_kind")
    "CREATE TABLE latency("
    "  " RUN_ID ", quantity TEXT NOT NULL, bucket INTEGER NOT NULL, unit TEXT NOT NULL,"
    "  lower_bound REAL NOT NULL, upper_bound REAL NOT NULL," COUNT("occurrences")
    KEY("run_id, quantity, bucket")
    "CREATE TABLE quality("
    "  " RUN_ID ", " EPOCH ", metric TEXT NOT NULL, at_s REAL NOT NULL, value REAL,"
    KEY("run_id, epoch, metric")
    "CREATE TABLE key_event("
    "  " RUN_ID ", key INTEGER NOT NULL, time_s REAL NOT NULL, " NODE ","
    "  event TEXT NOT NULL CHECK(event IN ('owned', 'left', 'replica', 'dropped', 'intent', 'expired')),"
    "  event_number INTEGER NOT NULL, key_rank INTEGER,"
    KEY("run_id, key, time_s, node, event_number")
    "CREATE TABLE validation("
    "  simulated_run_id INTEGER NOT NULL REFERENCES run, measured_run_id INTEGER NOT NULL REFERENCES run,"
    "  simulated_s REAL NOT NULL, measured_s REAL NOT NULL, error REAL NOT NULL,"
    KEY("simulated_run_id, measured_run_id");

/* "90 % of the best" is 0.9 x the greatest value where more is better, and the least / 0.9 where errors are
 * measured. */
#define LESS_IS_BETTER "IN ('rmse', 'log_loss', 'sum_error')"

/* Each run r beside s, the latest finished run of policy `single` in the same experiment. */
#define WITH_SINGLE \
    " LEFT JOIN run s ON s.run_id = (SELECT max(b.run_id) FROM run b WHERE b.policy = 'single'" \
    "  AND b.status = 'finished' AND b.experiment_hash = r.experiment_hash)"

#define IDENTITY "r.run_id, r.policy, r.policy_options, r.nodes, r.workers"
#define ALL(what) "local_" what " + replica_" what " + remote_" what " + queued_" what
#define NEAR(what) "local_" what " + replica_" what
#define SHARE(near, all) "1.0 * sum(" near ") / nullif(sum(" all "), 0)"

/* The first time at which a run's quality was as good as the goal b. */
#define REACHED_BY(run) \
    "(SELECT min(q.at_s) FROM quality q WHERE q.run_id = " run " AND q.metric = b.metric" \
    " AND CASE WHEN b.metric " LESS_IS_BETTER " THEN q.value <= b.goal ELSE q.value >= b.goal END)"

const char results_schema_views[] =
    "CREATE VIEW v_speedup AS"
    " WITH mean AS (SELECT run_id, avg(epoch_s) AS epoch_s, avg(flops / share) AS flops FROM epoch GROUP BY run_id)"
    " SELECT " IDENTITY ", r.name, r.backend, r.workload, r.workload_options, r.seed, r.experiment_hash,"
    "  m.epoch_s, s.run_id AS single_run_id, n.epoch_s AS single_epoch_s,"
    "  n.epoch_s / m.epoch_s * CASE WHEN n.flops > 0 THEN m.flops / n.flops ELSE 1 END AS speedup"
    " FROM run r JOIN mean m ON m.run_id = r.run_id" WITH_SINGLE
    " LEFT JOIN mean n ON n.run_id = s.run_id WHERE r.status = 'finished';"
    "CREATE VIEW v_locality AS"
    " SELECT " IDENTITY ", e.epoch, sum(" ALL("reads") ") AS reads, sum(" ALL("writes") ") AS writes,"
    "  " SHARE(NEAR("reads"), ALL("reads")) " AS local_read_share,"
    "  " SHARE(NEAR("writes"), ALL("writes")) " AS local_write_share,"
    "  " SHARE(NEAR("reads") " + " NEAR("writes"), ALL("reads") " + " ALL("writes")) " AS local_share"
    " FROM run r JOIN node_epoch e ON e.run_id = r.run_id GROUP BY r.run_id, e.epoch;"
    "CREATE VIEW v_traffic AS"
    " SELECT " IDENTITY ", m.epoch, m.kind, sum(m.count) AS messages, sum(m.bytes) AS bytes,"
    "  1.0 * sum(m.bytes) / r.nodes AS bytes_per_node"
    " FROM run r JOIN message m ON m.run_id = r.run_id GROUP BY r.run_id, m.epoch, m.kind;"
    "CREATE VIEW v_quality_over_time AS"
    " SELECT " IDENTITY ", r.experiment_hash, r.backend, r.workload, r.seed,"
    "  q.epoch, q.metric, q.at_s, q.value, ifnull(e.quality_metric = q.metric, 0) AS is_primary"
    " FROM run r JOIN quality q ON q.run_id = r.run_id"
    " LEFT JOIN epoch e ON e.run_id = q.run_id AND e.epoch = q.epoch;"
    "CREATE VIEW v_effective_speedup AS"
    " WITH best AS (SELECT run_id, quality_metric AS metric, CASE WHEN quality_metric " LESS_IS_BETTER
    "   THEN min(quality) / 0.9 ELSE 0.9 * max(quality) END AS goal"
    "  FROM epoch WHERE quality IS NOT NULL GROUP BY run_id),"
    " reached AS (SELECT r.run_id, b.metric, b.goal, " REACHED_BY("r.run_id") " AS reached_s,"
    "   " REACHED_BY("s.run_id") " AS single_reached_s"
    "  FROM run r" WITH_SINGLE " JOIN best b ON b.run_id = s.run_id)"
    " SELECT v.run_id, v.policy, v.policy_options, v.nodes, v.workers, x.metric, x.goal, x.reached_s,"
    "  v.single_run_id, x.single_reached_s, x.single_reached_s / x.reached_s AS effective_speedup, v.speedup"
    " FROM v_speedup v JOIN reached x ON x.run_id = v.run_id;";
/* clang-format on */

const struct results_digested results_digested[] = {
    {"epoch", "epoch"},
    {"node_epoch", "epoch, node"},
    {"message", "epoch, node, kind"},
    {"filter", "epoch, node, filter, filtered_kind"},
    {"latency", "quantity, bucket"},
    {"quality", "epoch, metric"},
    {"key_event", "key, time_s, node, event_number"},
    {NULL, NULL},
};
