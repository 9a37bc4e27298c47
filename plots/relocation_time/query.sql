-- SPDX-License-Identifier: GPL-3.0-or-later
-- Share of relocations that took at most so long; a series per order of accesses (where the workload has one), bandwidth and
-- number of nodes.
WITH labelled AS (
    SELECT r.run_id, ifnull((SELECT value || ', ' FROM option o WHERE o.run_id = r.run_id AND o.name = 'workload.order'), '')
           || ifnull((SELECT value || ', ' FROM option o WHERE o.run_id = r.run_id AND o.name = 'bandwidth'), '')
           || r.nodes || CASE r.nodes WHEN 1 THEN ' node' ELSE ' nodes' END AS series
    FROM run r JOIN figure_run USING (run_id)
), counted AS (
    SELECT l.series, h.upper_bound, sum(h.occurrences) AS n FROM labelled l JOIN latency h USING (run_id)
    WHERE h.quantity = 'relocation' GROUP BY l.series, h.upper_bound
)
SELECT series, upper_bound AS relocation_s,
       1.0 * sum(n) OVER (PARTITION BY series ORDER BY upper_bound) / sum(n) OVER (PARTITION BY series) AS share
FROM counted ORDER BY series, upper_bound;
