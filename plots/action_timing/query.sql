-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean epoch time, bytes sent per node and epoch and percentage of accesses that were neither local nor to a replica, over the
-- signal offset in batches; a series per timing.
WITH measured AS (
    SELECT r.run_id, CAST(a.value AS REAL) * CASE substr(ltrim(a.value, '0123456789.'), 1, 1) WHEN 'k' THEN 1e3 WHEN 'M' THEN 1e6
               ELSE 1 END AS ahead, t.value AS timing,
           (SELECT avg(epoch_s) FROM epoch e WHERE e.run_id = r.run_id) AS epoch_s,
           (SELECT 1.0 * sum(bytes_sent) / count(*) FROM node_epoch n WHERE n.run_id = r.run_id) AS bytes_per_node,
           (SELECT 100 * (1 - avg(local_share)) FROM v_locality v WHERE v.run_id = r.run_id) AS remote_percent
    FROM run r JOIN figure_run USING (run_id) JOIN option a ON a.run_id = r.run_id AND a.name = 'ahead'
    JOIN option t ON t.run_id = r.run_id AND t.name = 'policy.timing'
)
SELECT CASE timing WHEN '0' THEN 'at once' ELSE 'in time' END AS series, ahead, avg(epoch_s) AS epoch_s,
       avg(bytes_per_node) AS bytes_per_node, avg(remote_percent) AS remote_percent
FROM measured GROUP BY timing, ahead ORDER BY timing DESC, ahead;
