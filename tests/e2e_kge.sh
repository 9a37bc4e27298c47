#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 300
# Workload kge from the command line: files good and bad, the same quality whoever manages the parameters, simulated and with real
# processes, the same bits again, presets without values, checkpoint and export.
. "$(dirname "$0")/cli.sh"

# mrr NODES WORKERS BACKEND POLICY WORKLOAD EPOCHS: sets mrr and loss after the last epoch.
mrr() {
    rm -f q.db
    good run --quiet --db q.db --nodes "$1" --workers "$2" --backend "$3" --policy "$4" --workload "$5" --epochs "$6" \
        --evaluate end
    mrr=$(sql q.db "SELECT value FROM quality WHERE metric = 'mrr'")
    loss=$(sql q.db 'SELECT loss FROM epoch ORDER BY epoch DESC LIMIT 1')
    echo "$4 on $3, $1 x $2: MRR $mrr, loss $loss"
}

# is_true WHAT EXPRESSION
is_true() { is "$1: $2" "$(sql :memory: "SELECT $2")" 1; }

run list workloads
says '^kge  *embeddings of knowledge graphs'

# Days of the week, in CR LF files: tomorrow, yesterday and the day after tomorrow of each but what is left for the test.
awk 'BEGIN { split("mo tu we th fr sa su", day, " "); names["next"] = 1; names["before"] = 6; names["second"] = 2
    for (r in names) for (i = 0; i < 7; i++)
        printf "%s\t%s\t%s\r\n", day[i + 1], r, day[(i + names[r]) % 7 + 1] >(i == 2 && r != "second" ? "test.tsv" : "train.tsv") }'
mrr 1 1 sim single kge:train=train.tsv,test=test.tsv,dim=8,rate=0.1 100
is_true "days" "$mrr > 0.3"
is "metrics" "$(sql q.db "SELECT group_concat(metric) FROM (SELECT metric FROM quality ORDER BY metric)")" \
    hits_at_1,hits_at_10,hits_at_3,mean_rank,mrr
sed '3s/\t/ /' train.tsv >bad.tsv
bad 3 "bad.tsv:3: '.*' is not 'subject TAB relation TAB object'" run --workload kge:train=bad.tsv
bad 3 "bad.tsv:3: '.*' is not 'subject TAB relation TAB object'" run --workload kge:train=train.tsv,test=bad.tsv
bad 3 'none.tsv: No such file' run --workload kge:train=none.tsv
: >empty.tsv
bad 3 'empty.tsv:1: the file holds no triple' run --workload kge:train=empty.tsv
bad 3 'train.tsv: byte 0: not a checkpoint of kge' run --workload kge:train=train.tsv,test=test.tsv,resume=train.tsv
bad 2 'dim=7 with model=complex' run --workload kge:dim=7
bad 2 'model.*complex' run --workload kge:model=complexx
bad 2 'export= needs values' run --values none --workload kge:export=x
bad 2 'value_bytes=8 counts sizes alone.*allowed: --values none, or value_bytes=4' run --workload kge:preset=wikidata5m

# The same training under policies with one copy of each value, and by replicas.
task=kge:entities=500,relations=6,triples=6000,clusters=20,noise=0,dim=16,accumulator=0.01,batch=8
mrr 1 1 sim single $task 10
alone=$mrr
is_true "single" "$alone > 0.15"
for policy in classic lapse full; do
    mrr 3 2 sim $policy $task,partition=relations 10
    is_true "$policy beside one worker" "abs($mrr - $alone) < 0.15"
done
mrr 2 1 real classic $task 10
is_true "classic on real processes" "abs($mrr - $alone) < 0.15"

# One worker computes the same bits on both backends, and again.
for backend in sim real sim; do
    mrr 1 1 $backend classic $task,isa=baseline 2
    found="$(sql q.db 'SELECT values_digest FROM run')|$mrr|$loss"
    is "bits on $backend" "$found" "${bits:=$found}"
done

# Checkpoint and export.
mrr 2 1 sim classic $task,checkpoint=model.kge,export=model 2
is "files" "$(ls model | tr '\n' ' ')" "entities.npy entities.txt relations.npy relations.txt "
is "entities" "$(wc -l <model/entities.txt)" 500
is "relations" "$(awk 'NF != 17' model/relations.txt | wc -l)" 0
before=$loss
mrr 2 1 sim classic $task,resume=model.kge 1
is_true "going on" "$loss < $before"

# The published accesses, 3 per scored triple and a third of them sampled, under every policy.
for policy in $("$PMLAB" list policies | cut -d ' ' -f 1); do
    rm -f q.db
    good run --quiet --db q.db --values none --nodes 4 --workers 2 --bandwidth 100Gbps --policy "$policy" --epoch-fraction 0.002 \
        --workload kge:preset=wikidata5m,entities=20000,triples=20000
    is "$policy: accesses" "$(sql q.db "SELECT sum(local_reads + replica_reads + remote_reads + queued_reads) = 603 * max(steps),
        sum(sample_reads) = 200 * max(steps) FROM node_epoch JOIN epoch USING (run_id, epoch)")" "1|1"
done

# What is recorded is in force: of the preset what is not given, even where that is the default.
for dim in '' ,dim=32; do
    rm -f q.db
    good run --quiet --db q.db --values none --nodes 2 --epoch-fraction 0.001 \
        --workload "kge:preset=wikidata5m,entities=20000,triples=1000$dim"
    is "options, $dim" "$(sql q.db "SELECT group_concat(name || '=' || value || ' ' || is_default) FROM (SELECT * FROM option
        WHERE name IN ('workload.dim', 'workload.entities', 'workload.rate', 'workload.skew', 'workload.update') ORDER BY name)")" \
        "workload.dim=$([ -n "$dim" ] && echo 32 || echo 500) 0,workload.entities=20000 0,workload.rate=0.1869 0,"\
"workload.skew=0.8 1,workload.update=score 0"
    hashes="${hashes:-} $(sql q.db 'SELECT config_hash FROM run')"
done
is "dim counts" "$(tr ' ' '\n' <<<"${hashes# }" | sort -u | wc -l)" 2
good show 1 --db q.db
says '^workload.negatives +100$'
# The generator's sizes that a preset says are no wish beside files, nor are they in the dumped configuration.
good run --workload kge:preset=fb15k-237,train=train.tsv,dim=8,batch=1,negatives=2 --dump-config
says '^; workload.entities = 14541$'
says '^; workload.loss = softmax$'
says '^workload.dim = 8$'
cp out dumped.ini
good run --quiet --db q.db --config dumped.ini --nodes 1 --workers 1
is "a dumped configuration" "$(sql q.db "SELECT value FROM option WHERE run_id = 2 AND name = 'workload.entities'")" 14541
good list workload kge
says '^  preset=medium +entities=20000,relations=50,triples=300000,dim=100$'

# Doubles: the same messages, and each value that travels has as many bytes more as it has with 32-bit floats, 2 x 20 of them.
for bytes in 4 8; do
    rm -f q.db
    good run --quiet --db q.db --values none --nodes 2 --policy classic --workload "kge:dim=20,triples=200,value_bytes=$bytes"
    found="$(sql q.db 'SELECT sum(messages_sent), sum(remote_reads + remote_writes), sum(bytes_sent),
        (SELECT sum(flops) FROM epoch) FROM node_epoch')"
    IFS='|' read -r messages values sent flops <<<"$found"
    echo "value_bytes=$bytes: $found"
    [ $bytes -eq 8 ] || { floats="$messages|$values|$flops" sent_floats=$sent; }
done
is "as with floats" "$messages|$values|$flops" "$floats"
is "bytes of doubles" "$((sent - sent_floats))" "$((values * 40 * 4))"
finish
