#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Policy full from the command line, exchange over hubs and by all-reduce: sums are right on any number of nodes, simulated and
# real; both train as well; the age of replicas is shown; clipping is counted; memory that is not there ends the run.
. "$(dirname "$0")/cli.sh"

# counted NAME POLICY OPTION...: the counters' workload into NAME.db; sums must be right.
counted() {
    local name=$1 policy=$2
    shift 2
    good run --quiet --db "$name.db" --policy "$policy" --workload zipf:keys=300,steps=300 --workers 2 "$@"
    is "$name: sum_error" "$(sql "$name.db" 'SELECT max(value) FROM quality WHERE metric = "sum_error"')" 0.0
}
digest() { sql "$1.db" 'SELECT values_digest FROM run'; }
sent() { sql "$1.db" "SELECT ifnull(sum(count), 0) FROM message WHERE kind = '$2'"; }
rounds() { sql "$1.db" 'SELECT max(rounds) FROM node_epoch'; }

for nodes in 1 2 3 5 8; do
    counted "hub$nodes" full:syncs_per_second=2000 --nodes $nodes
    counted "sum$nodes" full:exchange=allreduce,syncs_per_second=2000 --nodes $nodes
    is "values on $nodes nodes" "$(digest "sum$nodes")" "$(digest "hub$nodes")"
done
is "messages of hubs" "$(sent hub8 partial)" 0
is "messages of the butterfly" "$(sent sum8 partial), $(sent sum8 collect)" "$(($(rounds sum8) * 8 * 3)), 0"
is "rounds" "$(($(rounds sum8) > 1))" 1
counted fast full:exchange=allreduce,syncs_per_second=0 --nodes 3
good run --quiet --db none.db --policy full:exchange=allreduce,syncs_per_second=0 --workload zipf:keys=300,steps=300 --workers 2 \
    --nodes 3 --values none
is "time without values" "$(sql none.db 'SELECT epoch_s FROM epoch')" "$(sql fast.db 'SELECT epoch_s FROM epoch')"
counted real full:exchange=allreduce,syncs_per_second=500 --nodes 3 --backend real
is "values of real" "$(digest real)" "$(digest sum3)"

# Ages of replicas: those of every read of a replica, in time and clocks, simulated and real.
for name in hub3 sum3 real; do
    run show 1 --db $name.db
    says '^staleness_time +s +[1-9]'
    says '^staleness_clocks +clocks +[1-9]'
    is "ages of $name" "$(sql $name.db "SELECT quantity, sum(occurrences) FROM latency WHERE quantity LIKE 'staleness%'
        GROUP BY 1 HAVING sum(occurrences) != (SELECT sum(replica_reads) FROM node_epoch)")" ''
done

# Training is as good as over hubs.
for kind in hub allreduce; do
    good run --quiet --db mf.db --policy full:exchange=$kind,syncs_per_second=1000 --epochs 4 \
        --workload mf:rows=300,cols=200,cells=12000 --nodes 3 --workers 2 --name $kind
done
rmse() {
    echo "(SELECT value FROM quality JOIN run USING(run_id) WHERE name = '$1' AND metric = 'rmse' ORDER BY epoch DESC LIMIT 1)"
}
is "rmse" "$(sql mf.db "SELECT abs($(rmse allreduce) - $(rmse hub)) < 0.05 * $(rmse hub)")" 1

# Clipping.
good run --quiet --db clip.db --policy full:clip=1.2,syncs_per_second=2000 --workload zipf:keys=300,steps=300 --nodes 3
run show 1 --db clip.db
says '^Updates that were clipped$'
is "clipped" "$(sql clip.db 'SELECT sum(deltas_clipped) > 0 FROM node_epoch')" 1
is "not clipped" "$(sql hub3.db 'SELECT sum(deltas_clipped) FROM node_epoch')" 0
bad 1 'clip looks at values' run --policy full:clip=2 --values none
bad 2 'clip.*-1' run --policy full:clip=-1

# Memory: slots, values and deltas must fit from the start, with a common state as a third for an all-reduce; later what is queued.
model() { echo $((300 * (32 + 8 + 4 * 16 * $1))); }
bad 1 "node 0 needs $(model 3) bytes of memory and has $(($(model 3) - 1)) \(--memory" run --quiet --db m.db --nodes 2 \
    --policy full:exchange=allreduce --workload zipf:keys=300 --memory $(($(model 3) - 1))B
bad 1 "node . needs [0-9]+ bytes of memory and has $(($(model 3) + 999)) \(--memory" run --quiet --db m.db --nodes 2 \
    --policy full:exchange=allreduce --workload zipf:keys=300 --memory $(($(model 3) + 999))B
good run --quiet --db m.db --nodes 2 --policy full:exchange=allreduce --workload zipf:keys=300 --memory $(($(model 3) + 60000))B
bad 1 "node . needs [0-9]+ bytes of memory and has $(model 2) \(--memory" run --quiet --db m.db --nodes 2 \
    --policy full --workload zipf:keys=300 --memory "$(model 2)B"
good run --quiet --db m.db --nodes 2 --policy full --workload zipf:keys=300 --memory $(($(model 2) + 60000))B
is "reasons" "$(sql m.db "SELECT count(*), sum(reason LIKE '%bytes of memory%') FROM run WHERE status = 'failed'")" '3|3'
finish
