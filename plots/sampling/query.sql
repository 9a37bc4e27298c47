-- SPDX-License-Identifier: GPL-3.0-or-later
-- Over the share of sampling accesses: epoch time, bytes sent per node and whole epoch, share of accesses that found no value here,
-- and the age of replicas when they were read. A series per policy.
WITH chosen AS (
    SELECT run_id, policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END AS series,
           CAST(o.value AS REAL) AS x
    FROM run JOIN figure_run USING (run_id) JOIN option o USING (run_id) WHERE o.name = 'workload.sampling'
), age AS (
    SELECT run_id, lower_bound, sum(occurrences) OVER (PARTITION BY run_id ORDER BY bucket) AS so_far,
           sum(occurrences) OVER (PARTITION BY run_id) AS reads
    FROM latency WHERE quantity = 'staleness_time'
), measured AS (
    SELECT c.*, e.epoch_s, n.bytes_per_node / e.share AS bytes_per_node, 1 - v.local_share AS remote_share,
           (SELECT min(lower_bound) FROM age a WHERE a.run_id = c.run_id AND so_far >= 0.5 * reads) AS age_p50_s,
           (SELECT min(lower_bound) FROM age a WHERE a.run_id = c.run_id AND so_far >= 0.99 * reads) AS age_p99_s
    FROM chosen c JOIN epoch e USING (run_id) JOIN v_locality v USING (run_id, epoch)
    JOIN (SELECT run_id, epoch, avg(bytes_sent) AS bytes_per_node FROM node_epoch GROUP BY run_id, epoch) n USING (run_id, epoch)
)
SELECT series, x, avg(epoch_s) AS epoch_s, avg(bytes_per_node) AS bytes_per_node, avg(remote_share) AS remote_share,
       avg(age_p50_s) AS age_p50_s, avg(age_p99_s) AS age_p99_s
FROM measured GROUP BY series, x ORDER BY series, x;
