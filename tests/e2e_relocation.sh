#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Relocations as the database and pmlab show have them, where their number is known beforehand: with parameter blocking
# every column of the matrix visits every node once in an epoch, and no row moves after the first.
. "$(dirname "$0")/cli.sh"

cols=200 nodes=3
for backend in sim real; do
    for policy in classic lapse lapse:location_cache=1 lapse:fast_local=0; do
        good run --db one.db --backend $backend --nodes $nodes --workers 2 --policy $policy --epochs 3 \
            --workload mf:rows=600,cols=$cols,cells=20000,rank=8,order=blocks
    done
done
per_epoch="SELECT run_id, policy, policy_options, backend, epoch, sum(relocations_in) AS moved_in,
    sum(relocations_out) AS moved_out, sum(remote_reads + remote_writes) AS remote,
    sum(local_reads + local_writes) AS local, sum(queued_reads + queued_writes) AS queued
    FROM run JOIN node_epoch USING (run_id) GROUP BY run_id, epoch"
is "relocations in later epochs" \
    "$(sql one.db "SELECT DISTINCT policy, moved_in, moved_out FROM ($per_epoch) WHERE epoch > 0 ORDER BY 1" | paste -sd ' ')" \
    "classic|0|0 lapse|$((cols * nodes))|$((cols * nodes))"
is "keys that came and went in all" \
    "$(sql one.db "SELECT count(*) FROM ($per_epoch) WHERE moved_in <> moved_out")" 0
is "accesses that were not local, under lapse" \
    "$(sql one.db "SELECT count(*) FROM ($per_epoch) WHERE policy = 'lapse' AND policy_options <> 'fast_local=0'
        AND epoch > 0 AND remote > 0.01 * (remote + local + queued)")" 0
is "recorded relocation times" \
    "$(sql one.db "SELECT count(*) FROM (SELECT run_id, sum(relocations_in) AS n FROM node_epoch GROUP BY run_id)
        JOIN (SELECT run_id, sum(occurrences) AS m FROM latency WHERE quantity = 'relocation' GROUP BY run_id)
        USING (run_id) WHERE n = m")" 6
is "values, however keys move and on whatever backend" \
    "$(sql one.db 'SELECT count(*), count(DISTINCT values_digest) FROM run')" "8|1"

good show 2 --db one.db
says '^relocation +s +[0-9]+ +[0-9.e-]+ +[0-9.e-]+ +[0-9.e-]+ +[0-9.e-]+$'
says '^node +keys_in +keys_out$'
says '^local_reads .*queued_reads .*queued_writes$'
good show 1 --db one.db
checks=$((checks + 1))
! grep -qE '^(Relocations|relocation )' out || wrong "relocations under classic: $(cat out)"
finish
