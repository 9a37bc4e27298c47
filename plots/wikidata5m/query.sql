-- SPDX-License-Identifier: GPL-3.0-or-later
-- Epoch time with its interval and bytes sent per node, both of a whole epoch, per policy. A series per cluster; in each the
-- policies in the same order, the fastest last.
WITH measured AS (
    SELECT r.workers, r.policy || CASE r.policy_options WHEN '' THEN '' ELSE ':' || r.policy_options END AS label,
           e.epoch_s, coalesce(e.ci_low_s, e.epoch_s) AS low_s, coalesce(e.ci_high_s, e.epoch_s) AS high_s,
           (SELECT nullif(avg(n.bytes_sent), 0) FROM node_epoch n WHERE n.run_id = r.run_id) / e.share AS bytes_per_node
    FROM figure_run JOIN run r USING (run_id) JOIN epoch e USING (run_id)
), point AS (
    SELECT workers, label, avg(epoch_s) AS epoch_s, avg(low_s) AS low_s, avg(high_s) AS high_s,
           avg(bytes_per_node) AS bytes_per_node
    FROM measured GROUP BY workers, label
)
SELECT (SELECT max(nodes) FROM figure_run JOIN run USING (run_id)) || ' x ' || workers AS series,
       label, epoch_s, low_s, high_s, bytes_per_node
FROM point ORDER BY workers, max(epoch_s) OVER (PARTITION BY label) DESC, label;
