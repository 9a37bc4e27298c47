-- SPDX-License-Identifier: GPL-3.0-or-later
-- Epoch time of each policy over that of lapse in the same experiment and at as many nodes, per speed of a core (flop/s).
WITH timed AS (
    SELECT r.*, avg(e.epoch_s) AS epoch_s FROM run r JOIN figure_run USING (run_id) JOIN epoch e USING (run_id) GROUP BY r.run_id
), factor AS (
    SELECT t.run_id, t.policy || CASE t.policy_options WHEN '' THEN '' ELSE ':' || t.policy_options END AS series,
           t.epoch_s / l.epoch_s AS factor, t.epoch_s, l.epoch_s AS lapse_s
    FROM timed t JOIN timed l ON l.policy = 'lapse' AND l.experiment_hash = t.experiment_hash AND l.nodes = t.nodes
    WHERE t.policy <> 'lapse'
)
SELECT series, CAST(o.value AS REAL) * CASE substr(ltrim(o.value, '0123456789.e-'), 1, 1)
           WHEN 'k' THEN 1e3 WHEN 'M' THEN 1e6 WHEN 'G' THEN 1e9 WHEN 'T' THEN 1e12 WHEN 'P' THEN 1e15 ELSE 1 END AS speed,
       avg(factor) AS factor, avg(epoch_s) AS epoch_s, avg(lapse_s) AS lapse_s
FROM factor JOIN option o ON o.run_id = factor.run_id AND o.name = 'speed'
GROUP BY series, speed ORDER BY series, speed;
