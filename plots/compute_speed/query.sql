-- SPDX-License-Identifier: GPL-3.0-or-later
-- Epoch time of each policy over that of lapse at the same speed of a core (flop/s) and at as many nodes; and the
-- speed-up over one node, of which the picture says nothing.
WITH timed AS (
    SELECT r.policy, r.policy || CASE r.policy_options WHEN '' THEN '' ELSE ':' || replace(replace(r.policy_options,
               'sync=server,clock=subepoch', 'sync=server'), 'clock=subepoch', 'sync=client') END AS series, r.nodes,
           CAST(o.value AS REAL) * CASE substr(ltrim(o.value, '0123456789.e-'), 1, 1)
               WHEN 'k' THEN 1e3 WHEN 'M' THEN 1e6 WHEN 'G' THEN 1e9 WHEN 'T' THEN 1e12 WHEN 'P' THEN 1e15 ELSE 1 END AS speed,
           avg(e.epoch_s) AS epoch_s
    FROM run r JOIN figure_run USING (run_id) JOIN epoch e USING (run_id)
    JOIN option o ON o.run_id = r.run_id AND o.name = 'speed' GROUP BY r.policy, series, r.nodes, speed
)
SELECT t.series, t.speed, t.epoch_s / l.epoch_s AS factor, t.epoch_s, l.epoch_s AS lapse_s,
       (SELECT s.epoch_s FROM timed s WHERE s.policy = 'single' AND s.speed = t.speed) / t.epoch_s AS speedup
FROM timed t JOIN timed l ON l.series = 'lapse' AND l.speed = t.speed AND l.nodes = t.nodes
WHERE t.policy <> 'lapse' ORDER BY t.series, t.speed;
