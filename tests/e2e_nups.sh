#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 120
# nups from the command line: exact sums under every scheme of sampling on both backends, what is counted, what is refused.
. "$(dirname "$0")/cli.sh"

zipf=zipf:keys=2000,sampling=0.3,steps=300
schemes="independent prelocalize reuse postpone local"
small=group=20,reuse=4

for scheme in $schemes; do
    policy=nups:hot_factor=20,sampling=$scheme,$small
    good run --db n.db --quiet --policy "$policy" --workload "$zipf" --nodes 3 --workers 2 --epochs 2
    good run --db n.db --quiet --backend real --policy "$policy" --workload "$zipf" --nodes 3 --workers 2
done
good run --db n.db --quiet --policy nups:replicate=0,sampling=local --workload "$zipf" --nodes 3 --workers 2
good run --db n.db --quiet --policy nups --workload zipf:sampling=0.3 --nodes 2 --workers 2
is "no update was lost or doubled" \
    "$(sql n.db "SELECT count(*) || ' ' || max(value) FROM quality WHERE metric = 'sum_error'")" '17 0.0'

# ---- what is counted ----
counts="SELECT sum(sample_reads), sum(sample_remote) > 0, sum(sample_queued) > 0, sum(sample_shifted) > 0,
    sum(sample_postponed) > 0 FROM node_epoch JOIN run USING (run_id)
    WHERE backend = 'sim' AND policy_options LIKE '%hot_factor=20%'"
of() { sql n.db "$counts AND policy_options LIKE '%sampling=$1%'"; }
is "samples drawn when pulled" "$(of independent)" '10800|1|1|0|0'
is "samples that move before" "$(of prelocalize | cut -d'|' -f1,3-)" '10800|1|0|0'
is "samples used again, the default" \
    "$(sql n.db "$counts AND policy_options NOT LIKE '%sampling=%'" | cut -d'|' -f1,4-)" '10800|0|0'
is "samples put off" "$(of postpone | cut -d'|' -f1,4-)" '10800|0|1'
is "samples of what is here" "$(of local)" '10800|0|0|1|0'
share() {
    sql n.db "SELECT 1.0 * sum(sample_remote) / sum(sample_reads) FROM node_epoch JOIN run USING (run_id)
        WHERE backend = 'sim' AND policy_options LIKE '%sampling=$1%' AND policy_options LIKE '%hot_factor=20%'"
}
is "samples that move before are seldom remote" "$(sql :memory: "SELECT $(share prelocalize) < 0.5 * $(share independent)")" 1
is "replicas and relocations" "$(sql n.db "SELECT min(r > 0 AND m > 0 AND x > 0) FROM (SELECT sum(replica_reads) AS r,
    sum(relocations_in) AS m, sum(rounds) AS x FROM node_epoch JOIN run USING (run_id) WHERE policy_options LIKE '%hot_factor=20%'
    GROUP BY run_id)")" 1
is "none" "$(sql n.db "SELECT sum(replica_reads), sum(rounds) FROM node_epoch JOIN run USING (run_id)
    WHERE policy_options LIKE '%replicate=0%'")" '0|0'
good show 1 --db n.db
says '^Samples$'
says '^ *reads +remote +queued +shifted +postponed$'

# ---- the same again; with and without values; the published heuristic ----
same() {
    good run --db d.db --quiet --policy "nups:preset=$1" --workload "$2" --nodes 4 --workers 2 "${@:3}"
}
same knobs3 mf:rows=3000,cols=3000,cells=20k,rank=4
same knobs3 mf:rows=3000,cols=3000,cells=20k,rank=4
is "two runs are the same" "$(sql d.db "SELECT count(DISTINCT digest), count(DISTINCT values_digest) FROM run")" '1|1'
same knobs3 mf:rows=3000,cols=3000,cells=20k,rank=4 --values none
is "and the same without values" "$(sql d.db "SELECT count(DISTINCT n) FROM (SELECT sum(messages_sent) || ' ' || sum(bytes_sent)
    || ' ' || sum(relocations_in) || ' ' || sum(replica_reads) AS n FROM node_epoch GROUP BY run_id)")" 1
is "columns that are replicated" "$(sql d.db "SELECT min(replica_reads) > 0 FROM (SELECT sum(replica_reads) AS replica_reads
    FROM node_epoch GROUP BY run_id)")" 1

# ---- presets: what is recorded is in force, and what had to be given for it is told ----
tiny=zipf:keys=300,steps=5
recorded() { sql s.db "SELECT group_concat(name || '=' || value || ' ' || is_default) FROM (SELECT * FROM option WHERE run_id = $1
    AND name IN ($2) ORDER BY name)"; }
for options in preset=kge preset=knobs1 preset=knobs1,ahead=1 preset=kge,hot_factor=100 preset=none,replicate=900; do
    good run --db s.db --quiet --policy "nups:$options" --workload $tiny --nodes 2
    # The same again out of the dumped configuration.
    good run --policy "nups:$options" --workload $tiny --nodes 2 --dump-config
    cp out dumped.ini
    good run --db s.db --quiet --config dumped.ini
done
knobs="'policy.ahead', 'policy.hot_scale', 'policy.sampling', 'policy.syncs_per_second'"
replicated="'policy.hot_factor', 'policy.replicate'"
is "number of keys" "$(recorded 1 "$replicated")" 'policy.hot_factor=100 1,policy.replicate=900 0'
is "knobs" "$(recorded 3 "$knobs")" \
    'policy.ahead=16 0,policy.hot_scale=0.2199 0,policy.sampling=local 0,policy.syncs_per_second=1000 0'
is "a default that overrules" "$(recorded 5 "$knobs")" \
    'policy.ahead=1 0,policy.hot_scale=0.2199 0,policy.sampling=local 0,policy.syncs_per_second=1000 0'
is "another way to choose keys" "$(recorded 7 "$replicated")" 'policy.hot_factor=100 0'
is "what had to be given" "$(sql s.db "SELECT group_concat(policy_options, ' ') FROM run WHERE run_id % 2")" \
    'preset=kge preset=knobs1 preset=knobs1,ahead=1 hot_factor=100,preset=kge replicate=900'
is "dumped configurations" "$(sql s.db "SELECT count(*), count(DISTINCT config_hash) FROM run GROUP BY (run_id - 1) / 2" |
    uniq)" '2|1'
is "settings have hashes of their own" "$(sql s.db 'SELECT count(DISTINCT config_hash) FROM run')" 5
good list policy nups
says '^  preset=kge +replicate=900 .unless hot_factor or hot_scale is given.$'
says '^  preset=knobs1 +hot_scale=0.2199,ahead=16,syncs_per_second=1000,sampling=local$'

# ---- what is refused ----
bad 2 'allowed: one way of the two' run --db r.db --policy nups:replicate=5,hot_factor=3
bad 2 'nearest is "local"' run --db r.db --policy nups:sampling=lokal
bad 2 'knobs5' run --db r.db --policy nups:preset=knobs6
bad 1 'update function at the owner' run --db r.db --policy nups --workload lr
finish
