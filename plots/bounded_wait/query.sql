-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean time of a worker per epoch: a series per use of the time, in each a row per delay.
WITH spent AS (
    SELECT o.value AS delay, avg(w.compute_s) AS computing, avg(w.wait_s) AS waiting, avg(w.overhead_s) AS management
    FROM worker_epoch w JOIN figure_run USING (run_id) JOIN option o ON o.run_id = w.run_id AND o.name = 'policy.delay'
    GROUP BY o.value
), part AS (
    SELECT 1 AS place, 'computing' AS series, delay, computing AS mean_s FROM spent
    UNION ALL SELECT 2, 'waiting', delay, waiting FROM spent
    UNION ALL SELECT 3, 'parameter management', delay, management FROM spent
)
SELECT series, '"' || delay || '"' AS delay, mean_s,
       100 * mean_s / sum(mean_s) OVER (PARTITION BY delay) AS percent
FROM part ORDER BY place, delay = 'inf', CAST(delay AS INTEGER);
