-- SPDX-License-Identifier: GPL-3.0-or-later
-- The primary metric after each evaluated epoch, a series per policy and number of nodes.
SELECT policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END || ', ' || nodes
       || CASE nodes WHEN 1 THEN ' node' ELSE ' nodes' END AS series,
       avg(at_s) AS at_s, avg(value) AS value
FROM v_quality_over_time JOIN figure_run USING (run_id)
WHERE is_primary AND run_id IN (SELECT run_id FROM epoch GROUP BY run_id HAVING count(quality) > 1)
GROUP BY series, epoch ORDER BY series, epoch;
