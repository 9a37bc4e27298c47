-- SPDX-License-Identifier: GPL-3.0-or-later
-- Of the traced keys of ranks 1, 4, 16, ... (any others where those are not known): kind 1, 2, 3: when a node owned it, had a
-- replica of it, had an intent; kind 4: in `share`, how much of the time the node had an intent. `line` counts keys from the top.
WITH RECURSIVE chosen_rank(r) AS (SELECT 1 UNION ALL SELECT 4 * r FROM chosen_rank WHERE r < 1024), one AS (
    SELECT run_id, nodes FROM run JOIN figure_run USING (run_id)
    WHERE run_id = (SELECT max(run_id) FROM figure_run JOIN key_event USING (run_id))
), known AS (
    SELECT DISTINCT key, coalesce(key_rank, 1 << 2 * (dense_rank() OVER (ORDER BY key) - 1)) AS rank
    FROM key_event JOIN one USING (run_id)
), chosen AS (
    SELECT key, rank, row_number() OVER (ORDER BY rank) AS line FROM known JOIN chosen_rank ON r = rank
), ends AS (
    SELECT max((SELECT max(time_s) FROM key_event JOIN one USING (run_id)),
               (SELECT sum(epoch_s + eval_s) FROM epoch JOIN one USING (run_id))) AS end_s
), phase AS (
    SELECT c.line, c.rank, e.node, e.event, e.time_s AS from_s, CASE WHEN e.event IN ('owned', 'left') THEN 1
               WHEN e.event IN ('replica', 'dropped') THEN 2 ELSE 3 END AS kind, e.event_number
    FROM key_event e JOIN one USING (run_id) JOIN chosen c USING (key)
), span AS (
    SELECT line, rank, node, kind, event, from_s,
           coalesce(lead(from_s) OVER (PARTITION BY line, node, kind ORDER BY event_number), end_s) AS to_s
    FROM phase, ends
)
SELECT 'spans' AS series, line, rank, node, kind, from_s, to_s, NULL AS share, nodes FROM span, one
WHERE event IN ('owned', 'replica', 'intent') AND to_s > from_s
UNION ALL
SELECT 'spans', c.line, c.rank, n.value, 4, NULL, NULL,
       (SELECT coalesce(sum(to_s - from_s), 0) FROM span s WHERE s.line = c.line AND s.node = n.value AND s.event = 'intent')
           / (SELECT end_s FROM ends), nodes
FROM chosen c, one, json_each((WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n + 1 < nodes)
                               SELECT json_group_array(n) FROM i)) n
ORDER BY kind, line, node, from_s;
