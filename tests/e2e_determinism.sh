#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 200
# A simulated run repeated has the same digest: alone, under load, without address randomisation, with poisoned memory, in
# parallel; another seed has another. One node with one worker gives the same values simulated and real.
. "$(dirname "$0")/cli.sh"

mf="mf:rows=600,cols=200,cells=8000,rank=8"
zipf="zipf:keys=500,steps=200,sampling=0.3,drift=0.1"

# digests DATABASE: the digests of its runs, one line each.
digests() { sql "$1" "SELECT digest || ' ' || coalesce(values_digest, '') FROM run ORDER BY policy, run_id"; }

for policy in classic full kv lapse lapse:location_cache=1 stale stale:sync=server bounded:delay=1,compress=1; do
    for workload in "$mf" "$zipf"; do
        rm -f one.db
        simulated=(run --quiet --db one.db --nodes 3 --workers 2 --policy "$policy" --workload "$workload" --epochs 2)
        good "${simulated[@]}"
        good "${simulated[@]}"
        MALLOC_PERTURB_=181 good "${simulated[@]}"
        checks=$((checks + 1))
        setarch -R "$PMLAB" "${simulated[@]}" >out 2>err || wrong "setarch -R: $(cat err)"
        (while :; do :; done) & load=$!
        good "${simulated[@]}"
        kill $load
        wait $load 2>/dev/null
        is "$policy, $workload: runs" "$(digests one.db | wc -l)" 5
        is "$policy, $workload: different digests" "$(digests one.db | sort -u | wc -l)" 1
        good "${simulated[@]}" --seed 2
        is "$policy, $workload: digests with another seed" "$(digests one.db | sort -u | wc -l)" 2
    done
done

compared=(compare --quiet --policies classic,full,kv,lapse,stale,stale:sync=server --nodes 3 --workers 2 --workload "$mf")
good "${compared[@]}" --db alone.db --jobs 1
good "${compared[@]}" --db parallel.db --jobs 2
is "digests of compare --jobs 2" "$(digests parallel.db)" "$(digests alone.db)"

for policy in single classic full kv lapse stale stale:sync=server bounded nups:replicate=50; do
    for workload in "$mf" "$zipf"; do
        rm -f both.db
        for backend in sim real; do
            good run --quiet --db both.db --backend $backend --nodes 1 --workers 1 --policy $policy --workload "$workload"
        done
        is "$policy, $workload on 1 x 1: values, sim and real" \
            "$(sql both.db 'SELECT count(DISTINCT values_digest) FROM run WHERE values_digest IS NOT NULL')" 1
        is "$policy, $workload on 1 x 1: digest of the real run" \
            "$(sql both.db "SELECT digest IS NULL FROM run WHERE backend = 'real'")" 1
    done
done

for policy in classic full kv lapse lapse:fast_local=0 stale stale:sync=server bounded:delay=2,threshold=1; do
    for backend in sim real; do
        good run --quiet --db sums.db --backend $backend --nodes 4 --workers 2 --policy $policy --workload zipf
    done
done
is "zipf on 4 x 2: runs" "$(sql sums.db 'SELECT count(*) FROM epoch')" 16
is "zipf on 4 x 2: sum_error" "$(sql sums.db "SELECT DISTINCT quality_metric || ' ' || quality FROM epoch")" "sum_error 0.0"

# Where a block is at one node at a time, moving it there changes nothing but time.
for policy in classic lapse lapse:fast_local=0; do
    for backend in sim real; do
        good run --quiet --db blocks.db --backend $backend --nodes 3 --workers 2 --policy $policy --workload "$mf,order=blocks"
    done
done
is "mf by blocks: values under classic and lapse, sim and real" \
    "$(sql blocks.db 'SELECT count(*), count(DISTINCT values_digest), count(DISTINCT final_quality) FROM run JOIN
        (SELECT run_id, quality AS final_quality FROM epoch GROUP BY run_id HAVING epoch = max(epoch)) USING (run_id)')" "6|1|1"
finish
