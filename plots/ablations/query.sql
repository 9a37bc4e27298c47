-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean epoch time, bytes sent per node and share of accesses that were remote or waited: a series per variant, in each a row per
-- workload.
WITH run_of AS (
    SELECT r.run_id, r.workload, (SELECT value FROM option o WHERE o.run_id = r.run_id AND o.name = 'policy.techniques')
               AS techniques,
           (SELECT value FROM option o WHERE o.run_id = r.run_id AND o.name = 'policy.timing') AS timing
    FROM run r JOIN figure_run USING (run_id) WHERE r.policy = 'adaps'
), measured AS (
    SELECT r.*, (SELECT avg(epoch_s) FROM epoch e WHERE e.run_id = r.run_id) AS epoch_s,
           (SELECT 1.0 * sum(bytes_sent) / count(*) FROM node_epoch n WHERE n.run_id = r.run_id) AS bytes_per_node,
           (SELECT 1 - avg(local_share) FROM v_locality v WHERE v.run_id = r.run_id) AS remote_share
    FROM run_of r
)
SELECT CASE techniques WHEN 'all' THEN 'adaps' ELSE 'only ' || techniques END
           || CASE timing WHEN '0' THEN ', at once' ELSE '' END AS series,
       '"' || workload || '"' AS workload, avg(epoch_s) AS epoch_s, avg(bytes_per_node) AS bytes_per_node,
       avg(remote_share) AS remote_share
FROM measured GROUP BY techniques, timing, workload ORDER BY techniques, timing DESC, workload;
