-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean epoch time and speed-up over one node (policy single) per policy and number of nodes; nothing without lapse.
WITH timed AS (
    SELECT r.policy, r.policy || CASE r.policy_options WHEN '' THEN '' ELSE ':' || replace(replace(r.policy_options,
               'sync=server,clock=subepoch', 'sync=server'), 'clock=subepoch', 'sync=client') END AS series, r.nodes,
           e.epoch_s
    FROM run r JOIN figure_run USING (run_id) JOIN epoch e USING (run_id)
), single AS (
    SELECT avg(epoch_s) AS epoch_s FROM timed WHERE policy = 'single'
)
SELECT series, nodes, avg(t.epoch_s) AS epoch_s, s.epoch_s / avg(t.epoch_s) AS speedup
FROM timed t JOIN single s WHERE EXISTS (SELECT 1 FROM timed WHERE policy = 'lapse')
GROUP BY series, nodes ORDER BY series, nodes;
