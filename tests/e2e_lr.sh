#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Workload lr from the command line: files good and bad, the same quality whoever manages the weights, simulated and with
# real processes, the same bits again, and accesses without values.
. "$(dirname "$0")/cli.sh"

# quality NODES WORKERS BACKEND POLICY WORKLOAD EPOCHS: sets log_loss, auc, nonzeros, objective after the last epoch.
quality() {
    rm -f q.db
    good run --quiet --db q.db --nodes "$1" --workers "$2" --backend "$3" --policy "$4" --workload "$5" --epochs "$6" \
        --evaluate end
    local name
    for name in log_loss auc nonzeros objective; do
        declare -g $name="$(sql q.db "SELECT value FROM quality WHERE metric = '$name'")"
    done
    echo "$4 on $3, $1 x $2: log loss $log_loss, AUC $auc, $nonzeros weights, objective $objective"
}

# is_true WHAT EXPRESSION
is_true() { is "$1: $2" "$(sql :memory: "SELECT $2")" 1; }

run list workloads
says '^lr  *sparse logistic regression'

# A file of 8 features, of which the first two decide: one more weight than these is chance.
awk 'BEGIN { srand(7); for (i = 0; i < 600; i++) {
    line = ""; margin = 0
    for (f = 1; f <= 8; f++) if (rand() < 0.5) { v = int(rand() * 4 + 1) / 2; line = line " " f ":" v
        margin += f == 1 ? 2 * v : f == 2 ? -2 * v : 0 }
    print (rand() < 1 / (1 + exp(-margin)) ? "+1" : "-1") line } }' >sample.svm
head -n 500 sample.svm >train.svm
tail -n 100 sample.svm >test.svm
quality 1 1 sim single lr:train=train.svm,test=test.svm,l1=0.02,blocks=3 60
is_true "sample" "$auc > 0.85 and $nonzeros between 2 and 4"
quality 2 2 sim classic lr:train=sample.svm,l1=0.02,blocks=3 60
is_true "held-out examples" "$auc > 0.8"
sed '3s/$/ 9:x/' train.svm >bad.svm
bad 3 "bad.svm:3: '9:x' is not 'index:value' or 'index'" run --workload lr:train=bad.svm
sed '4s/^[+-]1/3/' train.svm >bad.svm
bad 3 'bad.svm:4: label 3 \(allowed: 0 and 1, or -1 and \+1\)' run --workload lr:train=train.svm,test=bad.svm
bad 3 'none.svm: No such file' run --workload lr:train=none.svm
bad 2 'blocks=99 \(allowed: at most the 9 features\)' run --workload lr:train=train.svm,blocks=99
bad 2 'curvature.*bound' run --workload lr:curvature=bond

# The same training under every policy with one copy of each weight.
task=lr:rows=4000,features=1000,nonzeros=10,truth=40,l1=0.002
quality 1 1 sim single $task 25
l=$log_loss a=$auc n=$nonzeros o=$objective
is_true "single" "$a > 0.7 and $n between 5 and 100"
close="abs(\$log_loss - $l) < 0.002 and abs(\$auc - $a) < 0.004 and abs(\$nonzeros - $n) <= 5 and abs(\$objective - $o) < 0.001"
for policy in classic lapse bounded:delay=0; do
    quality 4 2 sim $policy $task 25
    is_true "$policy beside one worker" "$(eval echo "\"$close\"")"
done
for policy in classic bounded:delay=0; do
    quality 2 1 real $policy $task 25
    is_true "$policy on real processes" "$(eval echo "\"$close\"")"
done
exact=$objective
quality 4 2 sim bounded:delay=0,kkt=1 $task 25
is_true "with a KKT filter" "$(eval echo "\"$close\"")"
last=$exact
for delay in 2 8; do
    quality 4 2 sim bounded:delay=$delay $task 25
    is_true "delay $delay" "$objective > $last and $objective < $o + 0.02"
    last=$objective
done
quality 4 2 sim bounded:delay=inf $task 25
is_true "no bound" "$objective < $o + 0.02"

# The same bits again; and the same model of one worker on both backends.
digest() { sql d.db 'SELECT group_concat(d, " ") FROM (SELECT DISTINCT values_digest AS d FROM run)'; }
good run --quiet --db d.db --policy classic --workload $task --epochs 3
good run --quiet --db d.db --policy classic --workload $task --epochs 3
is "digests of two runs" "$(digest | wc -w)" 1
rm d.db
good run --quiet --db d.db --nodes 1 --workers 1 --workload $task --epochs 3
good run --quiet --db d.db --nodes 1 --workers 1 --workload $task --epochs 3 --backend real
is "digests of both backends" "$(digest | wc -w)" 1

# Keys alone: the same messages as with values.
rm -f v.db
good run --quiet --db v.db --policy kv --workload $task
good run --quiet --db v.db --policy kv --workload $task --values none
is "messages without values" "$(sql v.db 'SELECT count(DISTINCT n) FROM (SELECT run_id, sum(messages_sent) AS n
    FROM node_epoch GROUP BY run_id)')" 1
finish
