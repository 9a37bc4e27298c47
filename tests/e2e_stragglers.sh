#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Stragglers in simulation, and where each worker's time goes: computing, waiting and the rest add up, agree with what the
# nodes count, and tell slow workers from those that wait for them.
. "$(dirname "$0")/cli.sh"

small=(run --quiet --nodes 4 --workers 2 --workload zipf:keys=500,steps=100,flops=1e6)

# The parts of the database s.db that must agree; one line when they do.
agree() {
    is "$1: rows per worker" "$(sql "$1" 'SELECT count(*) FROM worker_epoch')" "$2"
    is "$1: sums of a node" "$(sql "$1" 'SELECT count(*) FROM node_epoch n JOIN (SELECT run_id, epoch, node,
        sum(compute_s) AS c, sum(wait_s) AS w FROM worker_epoch GROUP BY run_id, epoch, node) USING (run_id, epoch, node)
        WHERE abs(c - compute_s) > 1e-9 OR abs(w - wait_s) > 1e-9')" 0
    is "$1: negative times" \
        "$(sql "$1" 'SELECT count(*) FROM worker_epoch WHERE min(compute_s, wait_s, overhead_s) < 0')" 0
    # nobody's time is shorter than the epoch by more than the way of a barrier
    is "$1: workers whose time is not the epoch's" "$(sql "$1" "SELECT count(*) FROM worker_epoch JOIN epoch USING (run_id, epoch)
        WHERE compute_s + wait_s + overhead_s - epoch_s NOT BETWEEN -$3 AND $3")" 0
}

for policy in classic full; do good "${small[@]}" --epochs 2 --policy $policy --db sim.db; done
agree sim.db 32 0.0005
is "computing of each worker" "$(sql sim.db 'SELECT DISTINCT round(compute_s, 6) FROM worker_epoch')" 0.1
for policy in classic full; do good "${small[@]}" --epochs 2 --policy $policy --db real.db --backend real; done
agree real.db 32 1
good "${small[@]}" --cost none --db none.db
is "overhead without a cost model" "$(sql none.db 'SELECT max(overhead_s) < 1e-9 FROM worker_epoch')" 1

# Node 1 computes four times as long; the others wait for it in the end.
good "${small[@]}" --speeds 1Gf,250Mf --db speeds.db
is "computing of the nodes" "$(sql speeds.db 'SELECT group_concat(c) FROM (SELECT round(avg(compute_s), 6) AS c
    FROM worker_epoch GROUP BY node ORDER BY node)')" 0.1,0.4,0.1,0.1
is "who waits" "$(sql speeds.db 'SELECT (SELECT min(wait_s) FROM worker_epoch WHERE node <> 1)
    > (SELECT max(wait_s) FROM worker_epoch WHERE node = 1) + 0.29')" 1
good show 1 --db speeds.db
says '^Workers: time over all epochs$'
says '^time +least_s +median_s +greatest_s +percent$'
says '^computing +0\.(1|099)[0-9]* +0\.(1|099)[0-9]* +0\.4[0-9]* +[0-9.]+$'
good "${small[@]}" --policy single --nodes 1 --speeds 1Gf,250Mf --db speeds.db
good compare --quiet --policies single,classic --nodes 4 --workers 2 --workload zipf:keys=500,steps=10 \
    --speeds 1Gf,250Mf --db speeds.db

# A fifth of the steps five times as long: 1.8 times the computation, by chance and by worker; the same every time.
for seed in 1 1 2; do good "${small[@]}" --slow-share 0.2 --slow-factor 5 --seed $seed --db slow.db; done
is "slowed computing" "$(sql slow.db 'SELECT avg(compute_s) BETWEEN 0.16 AND 0.2 FROM worker_epoch')" 1
is "workers that differ" "$(sql slow.db 'SELECT count(DISTINCT compute_s) FROM worker_epoch WHERE run_id = 1')" 8
is "repeated runs" "$(sql slow.db "SELECT group_concat(digest = (SELECT digest FROM run WHERE run_id = 1)) FROM run")" 1,1,0
is "repeated times" "$(sql slow.db 'SELECT count(*) FROM (SELECT epoch, node, worker, compute_s, wait_s, overhead_s
    FROM worker_epoch WHERE run_id < 3 GROUP BY 1, 2, 3, 4, 5, 6)')" 8
is "recorded options" "$(sql slow.db "SELECT group_concat(name || ' ' || value, ', ') FROM (SELECT * FROM option
    WHERE run_id = 1 AND name LIKE 'slow%' ORDER BY name)")" 'slow-factor 5, slow-share 0.2'

bad 2 'option "speeds": "fast"' run --speeds 1Gf,fast --db bad.db
bad 2 'option "speeds": 5 speeds for 4 nodes' run --speeds 1Gf,1Gf,1Gf,1Gf,1Gf --db bad.db
finish
