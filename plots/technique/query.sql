-- SPDX-License-Identifier: GPL-3.0-or-later
-- Mean number of relocations and of replicas that a key had, over its rank among the traced ones (in halves of a power of two); two
-- series per policy. Replicas count when their first value is there, or from the start.
WITH ranked AS (
    SELECT e.run_id, e.key, coalesce(max(e.key_rank), dense_rank() OVER (PARTITION BY e.run_id ORDER BY e.key)) AS rank,
           sum(e.event = 'left') AS relocations, sum(e.event = 'replica') AS replicas
    FROM key_event e JOIN figure_run USING (run_id) GROUP BY e.run_id, e.key
), named AS (
    SELECT r.policy || CASE r.policy_options WHEN '' THEN '' ELSE ', ' ||
               replace(r.policy_options, 'techniques=', 'only ') END AS policy,
           pow(2, round(2 * log2(k.rank)) / 2) AS rank, k.relocations, k.replicas
    FROM ranked k JOIN run r USING (run_id)
), mean AS (
    SELECT policy, rank, avg(relocations) AS relocations, avg(replicas) AS replicas FROM named GROUP BY policy, rank
)
SELECT policy || ': ' || kind.name AS series, rank,
       nullif(CASE kind.name WHEN 'relocations' THEN relocations ELSE replicas END, 0) AS mean_per_key
FROM mean, (SELECT 'relocations' AS name UNION ALL SELECT 'replicas') kind
ORDER BY policy, kind.name, rank;
