-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean epoch time: a series per kind of local access, in each a row per kind of allocation; nothing without lapse.
SELECT CASE o.value WHEN '1' THEN 'workers access local keys directly' ELSE 'all accesses through the server' END AS series,
       CASE r.policy WHEN 'lapse' THEN '"dynamic allocation"' ELSE '"static allocation"' END AS allocation,
       avg(e.epoch_s) AS epoch_s
FROM run r JOIN figure_run USING (run_id) JOIN epoch e USING (run_id)
JOIN option o ON o.run_id = r.run_id AND o.name = 'policy.fast_local'
WHERE EXISTS (SELECT 1 FROM run JOIN figure_run USING (run_id) WHERE policy = 'lapse')
GROUP BY series, allocation ORDER BY series, allocation DESC;
