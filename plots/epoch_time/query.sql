-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean epoch time and speed-up per policy and number of nodes; `single` is drawn as a line over all of them.
WITH chosen AS (
    SELECT v.* FROM v_speedup v JOIN figure_run f ON f.run_id = v.run_id
), label AS (
    SELECT *, policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END AS series
    FROM chosen
), point AS (
    SELECT series, nodes, epoch_s, speedup FROM label WHERE policy <> 'single'
    UNION ALL
    SELECT l.series, n.nodes, l.epoch_s, l.speedup
    FROM label l JOIN (SELECT DISTINCT nodes FROM chosen) n WHERE l.policy = 'single'
)
SELECT series, nodes, avg(epoch_s) AS epoch_s, avg(speedup) AS speedup
FROM point GROUP BY series, nodes ORDER BY series, nodes;
