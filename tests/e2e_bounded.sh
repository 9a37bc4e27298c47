#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Policy bounded from the command line: filters change no final value and save what they say, more delay is less waiting,
# bulk synchronous training is the same training whatever the filters, and all of it with real processes.
. "$(dirname "$0")/cli.sh"

# counted NAME POLICY OPTION...: the counters' workload into NAME.db; sums must be right.
counted() {
    local name=$1 policy=$2
    shift 2
    good run --quiet --db "$name.db" --policy "$policy" --workload zipf:keys=500,steps=300 --nodes 3 --workers 2 "$@"
    is "$name: sum_error" "$(sql "$name.db" 'SELECT max(value) FROM quality WHERE metric = "sum_error"')" 0.0
}
digest() { sql "$1.db" 'SELECT values_digest FROM run'; }
bytes() { sql "$1.db" 'SELECT sum(bytes) FROM message WHERE kind IN ("access", "reply")'; }
# saved NAME FILTER: bytes that the filter says it saved.
saved() { sql "$1.db" "SELECT ifnull(sum(bytes_before - bytes_after), 0) FROM filter WHERE filter = '$2'"; }

# Sums of whole numbers: the same bits with every filter.
counted plain bounded:keys=0,range_clocks=0
counted keys bounded:range_clocks=0
counted pack bounded:keys=0,range_clocks=0,compress=1
counted held bounded:keys=0,range_clocks=0,threshold=1.5
counted all bounded:delay=inf,compress=1,threshold=1,lists=8,placement=hash
counted classic classic
counted ranges classic:placement=range
for name in keys pack held all classic ranges; do
    is "values of $name" "$(digest $name)" "$(digest plain)"
done
is "filters of plain" "$(sql plain.db 'SELECT count(*) FROM filter')" 0
is "bytes saved by keys" "$(($(bytes plain) - $(saved keys keys)))" "$(bytes keys)"
is "bytes saved by compress" "$(($(bytes plain) - $(saved pack compress)))" "$(bytes pack)"
is "every filter saves" "$(for f in keys:keys pack:compress held:threshold; do
    [ "$(saved ${f%:*} ${f#*:})" -gt 0 ] && echo ${f%:*}; done | paste -sd ' ')" "keys pack held"
run show 1 --db all.db
says '^threshold +access +[1-9]'
says '^compress +reply +[1-9]'
counted real bounded:delay=1,compress=1,threshold=1 --backend real
is "values of real" "$(digest real)" "$(digest plain)"
good run --quiet --db none.db --policy bounded --workload zipf:keys=500,steps=100 --values none
bad 1 'compress looks at values' run --policy bounded:compress=1 --values none --workload zipf:keys=500
bad 2 'delay=2x: a whole number below 1000000000 or inf is allowed' run --policy bounded:delay=2x

# With stragglers a longer delay is less waiting and a shorter epoch.
task=lr:rows=3000,features=1000,nonzeros=10,truth=40,l1=0.002
for delay in 0 2 8; do
    good run --quiet --db lr$delay.db --policy bounded:delay=$delay,kkt=1 --workload $task --epochs 8 --speed 50Mf \
        --slow-share 0.2 --slow-factor 6
done
waiting() { sql "$1.db" 'SELECT sum(wait_s) / sum(compute_s + wait_s + overhead_s) FROM worker_epoch'; }
is "waiting falls" "$(sql :memory: "SELECT $(waiting lr0) > $(waiting lr2) AND $(waiting lr2) > $(waiting lr8)")" 1
seconds() { sql "$1.db" 'SELECT sum(epoch_s) FROM epoch'; }
is "epochs get shorter" "$(sql :memory: "SELECT $(seconds lr0) > $(seconds lr2) AND $(seconds lr2) > $(seconds lr8)")" 1
is "kkt saves" "$(sql lr0.db 'SELECT sum(bytes_after) < sum(bytes_before) / 2 FROM filter WHERE filter = "kkt"')" 1

loss() { sql "$1.db" 'SELECT value FROM quality WHERE metric = "log_loss" ORDER BY epoch DESC LIMIT 1'; }

# Pulls that begin a batch early are hidden behind it; a delay of 0 allows none.
for delay in 0 8; do
    for ahead in 0 1; do
        good run --quiet --db ahead$ahead-$delay.db --policy bounded:delay=$delay --workload $task --epochs 8 --speed 50Mf \
            --ahead $ahead
    done
done
is "pulls are hidden" "$(sql :memory: "SELECT $(waiting ahead1-8) < 0.5 * $(waiting ahead0-8)")" 1
is "same quality" "$(sql :memory: "SELECT abs($(loss ahead1-8) - $(loss ahead0-8)) < 1e-3")" 1
is "bulk synchronous as ever" "$(seconds ahead1-0) $(digest ahead1-0)" "$(seconds ahead0-0) $(digest ahead0-0)"

# Bulk synchronous: filters that lose nothing change nothing but the order of additions.
good run --quiet --db a.db --policy bounded:keys=0,range_clocks=0 --workload $task --epochs 8
good run --quiet --db b.db --policy bounded:compress=1 --workload $task --epochs 8
good run --quiet --db c.db --policy bounded:compress=1 --workload $task --epochs 8 --backend real
is "log loss with filters" "$(sql :memory: "SELECT abs($(loss a) - $(loss b)) < 1e-4 * $(loss a)")" 1
is "log loss of real processes" "$(sql :memory: "SELECT abs($(loss a) - $(loss c)) < 1e-4 * $(loss a)")" 1
finish
