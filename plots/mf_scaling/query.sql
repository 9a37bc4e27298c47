-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean epoch time and speed-up over one node (policy single) per policy and number of nodes; nothing without lapse.
SELECT policy || CASE policy_options WHEN '' THEN '' ELSE ':' || policy_options END AS series, nodes,
       avg(epoch_s) AS epoch_s, avg(speedup) AS speedup
FROM v_speedup JOIN figure_run USING (run_id)
WHERE EXISTS (SELECT 1 FROM run JOIN figure_run USING (run_id) WHERE policy = 'lapse')
GROUP BY series, nodes ORDER BY series, nodes;
