#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 240
# Traces from the command line: recorded runs and their replays access the same keys as often, simulated and with real processes;
# sizes; imports good and bad; what describe says; exit statuses; nothing half-written.
. "$(dirname "$0")/cli.sh"

# counts FILE: accesses per key, in a file to compare.
counts() {
    good trace export "$1"
    awk '$5 == "read" || $5 == "sample" { n[$6]++ } END { for (key in n) print key, n[key] }' out | LC_ALL=C sort
}

run list workloads
says '^trace  *replay of recorded or imported accesses'

# ---- record, replay ----
# both WORKLOAD POLICY NODES WORKERS: sets reads; leaves first.trace.
both() {
    rm -f ./*.db first.trace second.trace
    good trace record --output first.trace --db x.db --workload "$1" --policy "$2" --nodes "$3" --workers "$4"
    says "^first.trace: [0-9]+ accesses in [0-9]+ batches, .* bytes per access$"
    reads=$(sql x.db 'SELECT sum(local_reads + replica_reads + remote_reads + queued_reads) FROM node_epoch')
    good trace describe first.trace --json
    is "$1: accesses of the trace" "$(sql :memory: "SELECT json_extract(readfile('out'), '\$.accesses')")" "$reads"
    good trace record --output second.trace --db y.db --quiet --workload trace:file=first.trace --policy "$2" --nodes "$3" \
        --workers "$4"
    [ ! -s out ] || wrong "--quiet: $(cat out)"
    counts first.trace >first
    counts second.trace >second
    is "$1 under $2: accesses per key of the replay" "$(cmp first second 2>&1)" ""
    is "$1 under $2: sum_error of the replay" "$(sql y.db 'SELECT quality FROM epoch')" 0.0
    # samples come in one operation with the batch's own keys
    [ "$(sql x.db 'SELECT sum(sample_reads) FROM node_epoch')" != 0 ] ||
        is "$1 under $2: traffic of the replay" "$(sql y.db 'SELECT sum(bytes_sent) FROM node_epoch')" \
            "$(sql x.db 'SELECT sum(bytes_sent) FROM node_epoch')"
}
both zipf:keys=2k,steps=150,sampling=0.5,write=0.3 lapse 3 2
both mf:rows=300,cols=200,cells=5k,rank=4,order=blocks lapse 2 2
both mf:rows=300,cols=200,cells=5k,rank=4 full 4 1
# kge: samples of both sides, relations that a node localizes, steps that access the same keys again and again.
graph=kge:entities=300,relations=10,triples=1000,dim=4,negatives=3
both $graph,partition=relations lapse 3 2
both $graph nups:replicate=20 3 2
good trace describe first.trace
says '^8997 accesses \(2997 direct, 6000 samples\) to 310 of 310 keys, values of 8 floats, 8997 pushes$'
both $graph adaps 2 2
both $graph,shared=1,batch=16,loss=softmax,model=rescal nups:replicate=20,sampling=postpone 2 2
both $graph,update=score,partition=relations lapse 2 2
both $graph,update=score nups:replicate=20,sampling=local 2 2
both $graph,update=score adaps 3 1
both lr:rows=2000,features=500 bounded:delay=1 2 2
good trace describe first.trace && says '^first.trace: recorded from lr:.* under bounded:delay=1, 2 x 2 workers, seed 1$'

# A recorded run is the run: same digest, kept in the database as that.
good run --db x.db --quiet --workload lr:rows=2000,features=500 --policy bounded:delay=1 --nodes 2 --workers 2
is "digests with and without recording" \
    "$(sql x.db 'SELECT count(DISTINCT digest), count(DISTINCT config_hash), count(*) FROM run')" '1|1|2'

# What kge accesses can be told from its triples: relation r has r + 1 of ten, and is accessed once for each of them, or once in
# each of the 7 steps of a triple with 3 negatives per side; so are all objects together.
awk 'BEGIN { for (i = 0; i < 60; i++) { r = int((sqrt(8 * (i % 10) + 1) - 1) / 2); printf "s%d\tr%d\to%d\n", i, r, i % 10 } }' \
    >triples.txt
for update in batch score; do
    times=$([ $update = score ] && echo 7 || echo 1)
    for policy in lapse nups:replicate=5 adaps; do
        good trace record --output kge.trace --quiet --policy $policy --nodes 2 --workers 2 \
            --workload kge:train=triples.txt,test=triples.txt,dim=4,negatives=3,update=$update,partition=relations
        good trace export kge.trace
        is "reads of the 4 relations, $update, $policy" \
            "$(awk '$5 == "read" && $6 >= 70 { n[$6]++ } END { for (k = 70; k < 74; k++) print n[k] }' out | xargs)" \
            "$((6 * times)) $((12 * times)) $((18 * times)) $((24 * times))"
        is "samples, $update, $policy" "$(awk '$5 == "sample"' out | wc -l)" 360
        is "keys localized, $update, $policy" "$(awk '$5 == "localize" && $6 >= 70' out | wc -l)" 4
        is "pushes of what was read, $update, $policy" "$(awk '$5 == "push"' out | wc -l)" \
            "$(awk '$5 == "read" || $5 == "sample"' out | wc -l)"
    done
done

# Other clusters replay all of it, with and without barriers; single takes the whole.
good trace record --output blocks.trace --quiet --workload mf:rows=300,cols=200,cells=5k,rank=4,order=blocks --nodes 2 --workers 2
counts blocks.trace >first
for shape in '1 1' '1 3' '2 2' '3 2' '5 3'; do
    read -r nodes workers <<<"$shape"
    good trace record --output second.trace --quiet --workload trace:file=blocks.trace --policy lapse --nodes "$nodes" \
        --workers "$workers"
    counts second.trace >second
    is "replay on $nodes x $workers" "$(cmp first second 2>&1)" ""
done
rm -f x.db
good compare --db x.db --policies single,kv,classic,lapse,stale,full,bounded --workload trace:file=blocks.trace --nodes 2 \
    --workers 2
is "replays that lost updates" "$(sql x.db "SELECT count(*) FROM epoch WHERE quality <> 0")" 0
is "replays that finished" "$(sql x.db "SELECT count(*) FROM run WHERE status = 'finished'")" 7

# Real processes record the same trace, byte for byte, and replay it.
for workload in $graph,update=score,partition=relations zipf:keys=500,steps=60,sampling=0.5; do
    for backend in sim real; do
        good trace record --output $backend.trace --quiet --backend $backend --nodes 2 --workers 2 --workload $workload
    done
    is "simulated and real traces of $workload" "$(cmp sim.trace real.trace 2>&1)" ""
done
rm -f x.db
good run --db x.db --quiet --backend real --workload trace:file=sim.trace --nodes 2 --workers 2
is "sum_error with real processes" "$(sql x.db 'SELECT quality FROM epoch')" 0.0
good run --db x.db --quiet --workload trace:file=sim.trace,samples=drawn --nodes 2 --workers 2
is "samples drawn anew" "$(sql x.db 'SELECT sum(sample_reads) FROM node_epoch')" 1200
is "sum_error of samples drawn anew" "$(sql x.db 'SELECT sum(quality) FROM epoch')" 0.0

# A million accesses take at most 4 MB: skewed ones, the same without skew over more keys, embeddings of a graph of 2,000 entities,
# step by step, and of one of 4.8 million.
for workload in zipf:steps=25k zipf:steps=25k,skew=0,keys=5M kge:triples=70k kge:triples=30k,update=score \
    kge:preset=wikidata5m,triples=115k,negatives=3,update=batch; do
    good trace record --output million.trace --values none --policy single --workers 4 --workload $workload
    accesses=$(sed -n 's/^million.trace: \([0-9]*\) accesses .*/\1/p' out)
    bytes=$(wc -c <million.trace)
    echo "$workload: $accesses accesses, $bytes bytes"
    [ "$accesses" -ge 1000000 ] || wrong "$workload has only $accesses accesses"
    [ $((bytes / 4)) -le "$accesses" ] || wrong "$accesses accesses of $workload take $bytes bytes"
done

# Part of an epoch, or what a time budget leaves, is recorded as it was run.
good trace record --output part.trace --quiet --epoch-fraction 0.25 --workload zipf:steps=100 --nodes 2 --workers 1
good trace describe part.trace && says '^2 nodes x 1 worker, 1 epoch, 50 batches of 10\.0 accesses, [0-9.]+ kB, '
good trace record --output barriers.trace --quiet --workload mf:rows=30,cols=20,cells=200,rank=4,order=blocks --nodes 2 \
    --workers 1 --epochs 2
good trace describe barriers.trace
says '^2 nodes x 1 worker, 2 epochs, [0-9]+ batches of [0-9.]+ accesses, [0-9]+ barriers, '
says '^[0-9]+ accesses to 50 of 50 keys, values of 8 floats, [0-9]+ pushes, [0-9]+ keys localized$'

# ---- import, describe ----
printf '# accesses\nt,node,key\n0.0,7,100\n0.5,3,0x64\n1,7,200\n1.5,7,100\n2,7,300\n' >accesses.csv
good trace import accesses.csv --output own.trace --columns time,node,key --header 2 --batch 2
says '^accesses.csv: 5 lines, 3 keys, 2 nodes$'
says '^own.trace: 5 accesses in 3 batches, '
good trace export own.trace && says '^1 0 0 1 push 2$' && says '^0 0 0 0 read 0$'
is "lines of the export" "$(wc -l <out)" 11
good trace export own.trace --output own.txt
is "an exported file" "$(tail -n +2 own.txt | wc -l)" 10
good trace import own.txt --output again.trace --columns node,-,-,-,-,key --quiet
good trace describe again.trace && says '^10 accesses to 3 of 3 keys, values of 16 floats, 10 pushes$'
good trace describe own.trace
for line in '^own.trace: imported from accesses.csv$' \
    '^5 accesses to 3 of 3 keys, values of 16 floats, 5 pushes$' \
    '^ *one key +60.0 %$' '^ *first access +80.0 %' '^ *2 +1 +33.3 % +60.0 %$'; do
    says "$line"
done
good trace describe own.trace --json
is "JSON of describe" "$(sql :memory: "WITH t AS (SELECT readfile('out') AS j)
    SELECT j ->> 'accesses', j ->> 'nodes', j ->> '\$.keys_by_nodes[1]', j ->> 'origin' FROM t")" '5|2|1|imported from accesses.csv'
good run --quiet --policy lapse --workload trace:file=own.trace --nodes 2 --workers 1
for node in 1 2 3 4 5 6 7 8 9 10; do
    for key in 1 2 3 4 5 6 7 8 9 10; do [ $key -lt $node ] || echo "$node $key"; done
done >stairs.txt # key k is accessed by nodes 1 to k
good trace import stairs.txt --output stairs.trace --quiet --columns node,key && good trace describe stairs.trace
for line in '^ *1 +1 +10.0 % +1.8 %$' '^ *4 +1 +10.0 % +7.3 %$' '^ *5 to 8 +4 +40.0 % +47.3 %$' '^ *9 to 10 +2 +20.0 % +34.5 %$'; do
    says "$line"
done

# nups replicates the keys that a trace accesses most: of 1,000 two that have a third of the accesses each, and that all but the
# owner read as replicas.
awk 'BEGIN { for (i = 0; i < 9000; i++) print i % 4, i % 3 < 2 ? i % 3 : 2 + i * 7 % 998 }' >skewed.txt
good trace import skewed.txt --output skewed.trace --quiet --columns node,key
rm -f x.db
good run --db x.db --quiet --policy nups --workload trace:file=skewed.trace --nodes 4 --workers 1
is "reads of replicas under nups, and all" "$(sql x.db 'SELECT sum(replica_reads),
    sum(local_reads + replica_reads + remote_reads + queued_reads) FROM node_epoch')" '4500|9000'
is "sum_error under nups" "$(sql x.db 'SELECT quality FROM epoch')" 0.0
printf '5,3\n7,1\n' >ranges.csv
good trace import ranges.csv --output ranges.trace --columns key,count && says '^ranges.trace: 4 accesses in 1 batches'
good trace describe ranges.trace && says '^1 node x 1 worker, 1 epoch, 1 batches of 4.0 accesses, '
says '^batches of each worker  different keys at a node$' # the node is the cluster, and shares nothing
! grep -q sharing out || wrong "one node shares keys: $(cat out)"

# ---- mistakes ----
bad 2 'trace: which one\? \(pmlab trace --help\)' trace
bad 2 'unknown command "trace recrod"; nearest is "trace record"' trace recrod
bad 2 'trace record: where to\? \(--output FILE\)' trace record
bad 2 'trace import: which text\?' trace import
bad 2 'trace import: where to\?' trace import accesses.csv
bad 2 'trace describe: which trace\?' trace describe
bad 2 'trace export: which trace\?' trace export
bad 2 'unexpected argument "b"' trace describe a b
bad 2 'pmlab trace record has no option --repeat' trace record --output t --repeat 2
bad 2 'pmlab trace describe has no option --nodes' trace describe own.trace --nodes 2
bad 2 'columns "key,kex": "kex" \(allowed' trace import accesses.csv --output t --columns key,kex
bad 2 'workload trace: which trace\?' run --workload trace
bad 2 'option "samples": "some" is not allowed' run --workload trace:file=own.trace,samples=some
bad 3 "accesses.csv:2: 't,node,key' is not 'key'" trace import accesses.csv --output t
bad 3 'none.csv: cannot be opened: No such file' trace import none.csv --output t
bad 3 'none/t: cannot be written: No such file' trace import ranges.csv --output none/t
bad 3 'plots: not a regular file' trace import ranges.csv --output plots
bad 3 'none/t: cannot be written: No such file' trace record --output none/t
for command in 'trace describe' 'trace export' 'run --workload'; do
    file=$([ "$command" = 'run --workload' ] && echo trace:file= || true)
    # shellcheck disable=SC2086  # several words
    { bad 3 'none.trace: .*No such file' $command ${file}none.trace
    bad 3 'accesses.csv: byte 0: not a trace of pmlab' $command ${file}accesses.csv
    head -c 400 blocks.trace >cut.trace
    bad 3 'cut.trace: byte 32: a trace of [0-9]+ bytes is expected, the file has 400' $command ${file}cut.trace
    { head -c 400 blocks.trace; printf x; tail -c +402 blocks.trace; } >changed.trace
    bad 3 'changed.trace: byte [0-9]+: a block whose checksum does not match' $command ${file}changed.trace
    : >empty.trace
    bad 3 'empty.trace: byte 0: the file is empty' $command ${file}empty.trace; }
done
[ ! -e t ] || wrong "a trace of a mistake"

# ---- nothing half-written ----
cp own.trace kept.trace
rm -f x.db y.db
bad 1 'memory' trace record --output kept.trace --db x.db --memory 1kB
is "a failed run" "$(sql x.db 'SELECT status FROM run')" failed
"$PMLAB" trace record --output kept.trace --db y.db --workload zipf:keys=200,steps=200,write=0 --nodes 2 --workers 1 --epochs 1M \
    >out 2>err &
pid=$!
for _ in $(seq 200); do
    [ "$(sql y.db 'SELECT count(*) > 0 FROM epoch' 2>/dev/null)" != 1 ] || break
    sleep 0.1
done
[ "$(find . -name 'kept.trace.*' -size +0 | wc -l)" = 1 ] || wrong "nothing is being written"
kill -INT $pid
wait $pid
is "status after an interruption" $? 130
is "the interrupted run" "$(sql y.db 'SELECT status FROM run')" interrupted
is "the trace from before" "$(cmp own.trace kept.trace 2>&1)" ""
yes '1 2' | head -n 5000000 >long.txt
"$PMLAB" trace import long.txt --columns key,count --output kept.trace >out 2>err &
pid=$!
for _ in $(seq 100); do
    [ -z "$(find . -name 'kept.trace.*' -size +0)" ] || break
    sleep 0.02
done
kill -TERM $pid
wait $pid
is "status after an import was interrupted" $? 143
is "the trace from before the import" "$(cmp own.trace kept.trace 2>&1)" ""
is "left-overs" "$(find . -name '*.unsorted' -o -name '*.sorted' -o -name '*.partial')" ""

finish
