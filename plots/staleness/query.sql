-- SPDX-License-Identifier: GPL-3.0-or-later
-- Median and 99th percentile (upper bounds of the buckets) of the age of replicas in seconds, and in clocks, at reads: two series,
-- a row per policy.
WITH counted AS (
    SELECT '"' || r.policy || CASE r.policy_options WHEN '' THEN '' ELSE ', ' ||
               replace(replace(r.policy_options, 's_per_second=', 's/s: '),
               'staleness=', '') END || '"' AS policy, l.quantity,
           l.upper_bound, sum(l.occurrences) AS n
    FROM run r JOIN figure_run USING (run_id) JOIN latency l USING (run_id)
    WHERE l.quantity IN ('staleness_time', 'staleness_clocks') GROUP BY 1, 2, 3
), upto AS (
    SELECT *, sum(n) OVER (PARTITION BY policy, quantity ORDER BY upper_bound) AS below,
           sum(n) OVER (PARTITION BY policy, quantity) AS total
    FROM counted
), quantile AS (
    SELECT policy, quantity, q.name, min(upper_bound) AS value
    FROM upto, (SELECT 'median' AS name, 0.5 AS share UNION ALL SELECT '99th percentile', 0.99) q
    WHERE below >= q.share * total GROUP BY policy, quantity, q.name
)
SELECT name AS series, policy, max(CASE quantity WHEN 'staleness_time' THEN value END) AS age_s,
       max(CASE quantity WHEN 'staleness_clocks' THEN value END) AS age_clocks
FROM quantile GROUP BY name, policy ORDER BY name DESC, policy;
