-- SPDX-License-Identifier: GPL-3.0-or-later
-- Bytes sent per node and epoch, mean epoch time and speed-up over a single node: a point per setting, a series per policy; nothing
-- without nups.
WITH setting AS (
    SELECT v.*, replace(replace(replace(policy_options, 'preset=', ''), 'replicate=', ''), ',ahead=', ' keys, ') AS label
    FROM v_speedup v JOIN figure_run USING (run_id) WHERE policy <> 'single'
)
SELECT policy AS series,
       (SELECT 1.0 * sum(bytes_sent) / count(*) FROM node_epoch n WHERE n.run_id = s.run_id) AS bytes_per_node,
       epoch_s, speedup, '"' || label || '"' AS setting
FROM setting s WHERE EXISTS (SELECT 1 FROM setting WHERE policy = 'nups') ORDER BY policy = 'adaps', policy, policy_options;
