#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 240
# The command line against experiments.md, a line or two per sentence; help and configuration
# against golden files.
# GOLDEN=write rewrites the golden files.
. "$(dirname "$0")/cli.sh"
tiny=(--nodes 2 --workers 1 --workload zipf:keys=20,steps=3)

# golden NAME: the last output is the file's content.
golden() {
    checks=$((checks + 1))
    [ "${GOLDEN:-}" != write ] || cp out "$root/tests/golden/$1"
    diff "$root/tests/golden/$1" out || wrong "output differs from tests/golden/$1"
}

# ---- help, lists ----
good --help && golden help.txt
good --version && says '^pmlab [0-9]+\.[0-9]+\.[0-9]+'
for command in run compare figure report consistency list show 'trace record' 'trace import' 'trace describe' 'trace export'; do
    # shellcheck disable=SC2086  # one word or two
    good $command --help && golden "help-${command// /-}.txt"
done
good trace --help && golden help-trace.txt
for kind in policies workloads topologies figures backends; do
    good list $kind
    is "list $kind: an item per line, name first" "$(grep -vcE '^[A-Za-z0-9_]+ +[^ ]' out)" 0
done
good list backends && says '^sim ' && says '^real '
good list topologies && says '^star '
good list figures && says '^epoch_time '
good list policies && says '^classic ' && says '^single '
good list workloads && says '^zipf '
good list policy classic && says '^  fast_local='
good list workload zipf && says '^  skew='
good list policies --verbose && says '^  fast_local='

# ---- defaults: classic, zipf, 4 nodes, 2 workers, 1 epoch, seed 1, 10Gbps, 20us, 1Gf, sim, flow ----
start=$(date +%s)
good run
[ $(($(date +%s) - start)) -le $((PMLAB_SAN ? 60 : 10)) ] || wrong "the default run takes long"
is "the default run" "$(sql pmlab.db "SELECT backend, policy, workload, nodes, workers, seed, network,
    platform, status FROM run")" 'sim|classic|zipf|4|2|1|flow|star|finished'
is "its options" "$(sql pmlab.db "SELECT group_concat(value, ' ') FROM (SELECT value FROM option WHERE name IN
    ('bandwidth', 'latency', 'speed', 'epochs') ORDER BY name)")" '10Gbps 1 20us 1Gf'
is "options not at their defaults" "$(sql pmlab.db 'SELECT count(*) FROM option WHERE NOT is_default')" 0
says '^run 1 finished: classic, zipf on sim, 4 nodes x 2 workers, seed 1$'
says '^  quality +sum_error 0$'
rm pmlab.db

# ---- run always runs and adds a row; equal runs have equal rows, whatever else the machine does ----
good run "${tiny[@]}" --name a
good run "${tiny[@]}" --name b --quiet
[ ! -s out ] || wrong "--quiet prints"
good run "${tiny[@]}" --db other.db --quiet
is "equal runs" "$(sql pmlab.db "SELECT count(*), count(DISTINCT digest), count(DISTINCT values_digest),
    count(DISTINCT config_hash), count(DISTINCT name) FROM run")" '2|1|1|1|2'
is "equal run in another database" "$(sql other.db 'SELECT digest, config_hash FROM run')" \
    "$(sql pmlab.db 'SELECT digest, config_hash FROM run WHERE run_id = 1')"
for other in '--seed 2' '--run-number 2' '--epochs 2' '--nodes 3' '--workers 2' '--latency 30us' \
    '--policy kv' '--policy.fast_local 0' '--workload.skew 1.2' '--network queue' '--values none' \
    '--ahead 5' '--speeds 500Mf' '--slow-share 0.5' '--slow-share 0.5 --slow-factor 2'; do
    # shellcheck disable=SC2086  # options with their values
    good run "${tiny[@]}" $other --db config.db --quiet
done
good run "${tiny[@]}" --db config.db --quiet --name x --verbose
is "configurations that differ" "$(sql config.db 'SELECT count(DISTINCT config_hash) FROM run')" 16
is "experiments: all but policy and nodes" \
    "$(sql config.db "SELECT count(DISTINCT experiment_hash) FROM run")" 13

# ---- --values none: no values digest; the traffic is the same ----
good run "${tiny[@]}" --values none --db none.db --quiet
is "values digest without values" \
    "$(sql none.db 'SELECT values_digest IS NULL, values_mode FROM run')" '1|none'
is "bytes without values" "$(sql none.db 'SELECT sum(bytes) FROM message')" \
    "$(sql other.db 'SELECT sum(bytes) FROM message')"

# ---- files count by their content, not by their path ----
cat >p1.xml <<'X'
<?xml version='1.0'?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1"><cluster id="c" prefix="n" suffix="" radical="0-3" speed="1Gf" bw="1.25GBps"
lat="10us" core="4"/></platform>
X
cp p1.xml p2.xml
sed 's/10us/15us/' p1.xml >p3.xml
for i in 1 2 3; do good run "${tiny[@]}" --platform p$i.xml --db platform.db --quiet; done
is "platforms" "$(sql platform.db "SELECT group_concat(same) FROM (SELECT config_hash =
    (SELECT config_hash FROM run WHERE run_id = 1) AS same FROM run ORDER BY run_id)")" '1,1,0'
is "what the platform says itself is not recorded" \
    "$(sql platform.db "SELECT count(*) FROM option WHERE name IN ('bandwidth', 'latency', 'speed')")" 0
bad 2 'option bandwidth: the platform file .p1.xml. says that itself' \
    run "${tiny[@]}" --platform p1.xml --bandwidth 1Gbps --db platform.db

# ---- single is always 1 node x W workers and recorded so ----
good run --policy single --nodes 8 --workers 2 --workload zipf:keys=20,steps=3 --db single.db --quiet
is "single" "$(sql single.db 'SELECT nodes, workers FROM run')" '1|2'

# ---- configuration file: same names; --dump-config prints the effective one; the line wins ----
printf 'nodes = 3\nworkers = 1\n; a comment\n[workload]\nkeys = 20\nsteps = 3\n' >c.ini
printf 'policy = kv\nnodes = 3\n[workload]\nkeys = 20\n' >d.ini
good run --config c.ini --dump-config && golden dump-config.ini
cp out dumped.ini
good run --config c.ini --quiet --db dump.db
good run --config dumped.ini --quiet --db dump.db
is "a dumped configuration" "$(sql dump.db 'SELECT count(DISTINCT config_hash), max(nodes) FROM run')" '1|3'
good run --nodes 2 --config c.ini --quiet --db dump.db
is "the line wins" "$(sql dump.db 'SELECT nodes FROM run WHERE run_id = 3')" 2
good run --config d.ini --policy classic:fast_local=0 --workload zipf:keys=30,steps=2 --quiet --db dump.db
is "a module named on the line" "$(sql dump.db "SELECT policy, policy_options, workload_options FROM run
    WHERE run_id = 4")" 'classic|fast_local=0|keys=30,steps=2'
[ ! -e pmlab.db ] || is "--dump-config runs nothing" "$(sql pmlab.db 'SELECT count(*) FROM run')" 2

# ---- units, inside a specification as outside; = or a blank ----
good run "${tiny[@]}" --bandwidth=1GBps --latency 0.02ms --speed 500Mf --memory 16GiB --db units.db --quiet
is "units" "$(sql units.db "SELECT group_concat(value, ' ') FROM (SELECT value FROM option WHERE name IN
    ('bandwidth', 'latency', 'speed', 'memory') ORDER BY name)")" '8Gbps 20us 16GiB 500Mf'
good run --nodes 1 --workload zipf:keys=1k,steps=2 --db units.db --quiet
is "units in a specification" \
    "$(sql units.db "SELECT value FROM option WHERE name = 'workload.keys' AND run_id = 2")" 1000

# ---- --evaluate every|N|end; quality is NULL where it was not evaluated ----
for when in every 2 end; do good run "${tiny[@]}" --epochs 3 --evaluate $when --db evaluate.db --quiet; done
is "evaluations" "$(sql evaluate.db "SELECT group_concat(n) FROM (SELECT
    group_concat(quality IS NOT NULL, '') AS n FROM epoch GROUP BY run_id)")" '111,011,001'

# ---- JSON ----
good run "${tiny[@]}" --json --db json.db
is "JSON of a run" \
    "$(sql :memory: "SELECT json_extract(readfile('out'), '\$.status', '\$.nodes', '\$.quality')")" \
    '["finished",2,0.0]'
good run "${tiny[@]}" --json --repeat 2 --db json.db
is "JSON of two runs" "$(sql :memory: "SELECT json_array_length(readfile('out')),
    json_extract(readfile('out'), '\$[1].seed')")" '2|2'
good show --json --db json.db
is "JSON of all runs" "$(sql :memory: "SELECT json_array_length(readfile('out'))")" 3
good show 1 --json --db json.db
is "JSON of one run" \
    "$(sql :memory: "SELECT json_extract(readfile('out'), '\$.options.\"workload.keys\"')")" 20
good compare "${tiny[@]}" --policies kv,full --json --db json.db
is "JSON of a comparison" "$(sql :memory: "SELECT group_concat(json_extract(value, '\$.policy')) FROM
    json_each(readfile('out'))")" 'single,kv,full'

# ---- compare: the same everything else, single once as the baseline, a table; --jobs changes no result ----
good compare "${tiny[@]}" --policies classic:fast_local=0,kv,full --db compare.db
says '^policy +epoch time +speed-up +local accesses +bytes/node +quality$'
is "rows in the order of the list" \
    "$(awk 'NR > 1 { print $1 }' out | paste -sd ' ')" \
    'single classic:fast_local=0 kv full'
says '^single .* 1 +100\.0 % +0 B +sum_error 0$'
good compare "${tiny[@]}" --policy classic:fast_local=0 --policy kv,full --jobs 2 --db compare.db
is "with --jobs 2" "$(sql compare.db 'SELECT count(*), count(DISTINCT digest) FROM run')" '8|4'
good compare "${tiny[@]}" --policies kv,single --repeat 2 --db repeat.db
is "seeds" "$(sql repeat.db "SELECT group_concat(policy || seed) FROM run")" 'kv1,kv2,single1,single2'
says '^kv .*\+- '
is "the baseline of each seed" "$(sql repeat.db "SELECT count(*) FROM v_speedup v JOIN run s
    ON s.run_id = single_run_id WHERE v.seed = s.seed AND v.policy = 'kv'")" 2
# Workers of zipf do a fixed number of steps each: more nodes do more work, and speed-up counts that; mf divides its data.
good compare --workload zipf:keys=50,steps=40 --nodes 4 --workers 1 --policies single,full --cost none --db work.db
is "work of 4 nodes" "$(sql work.db 'SELECT max(flops) / min(flops) FROM epoch')" 4.0
is "speed-up by work" "$(sql work.db "SELECT abs(v.speedup - 4 * single_epoch_s / epoch_s) < 1e-9 AND v.speedup BETWEEN 1 AND 4
    FROM v_speedup v WHERE policy = 'full'")" 1
good compare --workload mf:rows=40,cols=20,cells=300 --nodes 4 --workers 1 --policies single,full --db divided.db
is "work that is divided" "$(sql divided.db 'SELECT count(DISTINCT flops) FROM epoch')" 1
good compare "${tiny[@]}" --backend real --policies kv --jobs 2 --db real.db
is "real runs have no digest" \
    "$(sql real.db "SELECT count(*) FROM run WHERE digest IS NULL AND backend = 'real'")" 2

# ---- show ----
good show --db compare.db
is "runs listed" "$(($(wc -l <out) - 1))" 8
good show 2 --db compare.db
says '^run 2 finished: classic:fast_local=0, '
says '^Epochs$' && says '^Messages$'
good show 2 --verbose --db compare.db && says '^Options$'
is "reading leaves nothing behind" "$(echo compare.db*)" compare.db

# ---- accounts in the database: reads by kind, bytes sent and received, kinds and sums ----
for db in compare.db real.db evaluate.db; do
    is "bytes in $db" "$(sql $db 'SELECT count(*) FROM (SELECT 1 FROM node_epoch
        GROUP BY run_id HAVING sum(bytes_sent) <> sum(bytes_received)
        OR sum(messages_sent) <> sum(messages_received))')" 0
    is "kinds in $db" "$(sql $db 'SELECT count(*) FROM (SELECT n.run_id FROM node_epoch n
        GROUP BY run_id HAVING sum(bytes_sent) <>
        ifnull((SELECT sum(bytes) FROM message m WHERE m.run_id = n.run_id), 0))')" 0
    is "elapsed time in $db" "$(sql $db 'SELECT count(*) FROM epoch e WHERE abs(elapsed_s -
        (SELECT sum(epoch_s) FROM epoch f WHERE f.run_id = e.run_id AND f.epoch <= e.epoch)) > 1e-9')" 0
    intact $db
done

# ---- progress goes to standard error only when that is a terminal; NO_COLOR is honoured ----
long=(run --nodes 2 --epochs 30 --db long.db)
run "${long[@]}"
[ ! -s err ] || wrong "progress without a terminal: $(cat err)"
terminal() { script -qec "$1 $PMLAB ${long[*]} 2>&1 >/dev/null" /dev/null </dev/null; }
if ! script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    echo "not tested: progress on a terminal (no pseudo-terminal here)"
else
    terminal '' >out
    is "progress on a terminal" "$(grep -c '%.*batches/s.*left' out)" 1
    is "colour" "$(grep -c $'\033' out)" 1
    terminal NO_COLOR=1 >out
    is "progress without colour" "$(grep -c '%.*batches/s.*left' out)" 1
    is "no colour" "$(grep -c $'\033' out)" 0
fi
finish
