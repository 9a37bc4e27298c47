-- SPDX-License-Identifier: GPL-3.0-or-later
-- What is minimised (where the workload has no `objective`: its primary metric) after each epoch, a series per policy.
WITH metric AS (
    SELECT run_id, policy, ifnull((SELECT value FROM option o WHERE o.run_id = v.run_id AND o.name = 'policy.delay'), '') AS delay,
           epoch, at_s, value
    FROM v_quality_over_time v JOIN figure_run USING (run_id)
    WHERE metric = 'objective' OR (is_primary AND NOT EXISTS
          (SELECT 1 FROM quality q WHERE q.run_id = v.run_id AND q.metric = 'objective'))
)
SELECT policy || CASE delay WHEN '' THEN '' ELSE ', delay ' || delay END AS series, avg(at_s) AS at_s, avg(value) AS objective
FROM metric WHERE EXISTS (SELECT 1 FROM metric WHERE delay <> '')
GROUP BY series, epoch ORDER BY delay = 'inf', CAST(delay AS INTEGER), series, epoch;
