-- SPDX-License-Identifier: GPL-3.0-or-later
-- Bytes sent per node and epoch: a series per kind of message, a row per policy and number of nodes in each, zeros too.
WITH sent AS (
    SELECT policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END || ', ' || nodes || ' nodes' AS bar,
           kind, sum(bytes_per_node) / count(DISTINCT run_id || ' ' || epoch) AS bytes
    FROM v_traffic JOIN figure_run USING (run_id) GROUP BY bar, kind
), epochs AS (
    SELECT policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END || ', ' || nodes || ' nodes' AS bar
    FROM run JOIN figure_run USING (run_id) WHERE nodes > 1 GROUP BY bar
)
SELECT k.kind AS series, '"' || e.bar || '"' AS bar, ifnull(s.bytes, 0) AS bytes
FROM (SELECT DISTINCT kind FROM sent) k JOIN epochs e LEFT JOIN sent s ON s.kind = k.kind AND s.bar = e.bar
ORDER BY k.kind, e.bar;
