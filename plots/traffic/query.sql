-- SPDX-License-Identifier: GPL-3.0-or-later
-- Bytes sent per node and epoch: a series per kind of message, in each a row per policy and number of nodes,
-- zeros too.
WITH labelled AS (
    SELECT run_id, nodes,
           policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END || ', ' || nodes
           || ' nodes' AS bar
    FROM run JOIN figure_run USING (run_id) WHERE nodes > 1
), epochs AS (
    SELECT bar, count(*) AS n FROM labelled JOIN epoch USING (run_id) GROUP BY bar
), sent AS (
    SELECT l.bar, t.kind, sum(t.bytes_per_node) AS bytes FROM labelled l JOIN v_traffic t USING (run_id)
    GROUP BY l.bar, t.kind
)
SELECT k.kind AS series, '"' || e.bar || '"' AS bar, ifnull(s.bytes, 0) / e.n AS bytes
FROM (SELECT DISTINCT kind FROM sent) k JOIN epochs e LEFT JOIN sent s ON s.kind = k.kind AND s.bar = e.bar
ORDER BY k.kind, e.bar;
