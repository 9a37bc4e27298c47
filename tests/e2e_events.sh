#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 200
# Events of traced keys as the database has them. Where all keys are traced they agree with the counters; per key and node they
# alternate; the same run has the same ones; and they change nothing else.
. "$(dirname "$0")/cli.sh"

keys=300
small=(--nodes 3 --workers 2 --epochs 2 --workload zipf:keys=$keys,steps=100,skew=1 --ahead 30)
for backend in sim real; do
    for policy in classic lapse stale full adaps adaps:techniques=relocation adaps:techniques=replication; do
        good run --db all.db --quiet --backend $backend --policy $policy "${small[@]}" --trace-keys random-100k
    done
done

# counted EVENT COUNTER AT_THE_START: policies where the events are not those at the start and what was counted.
counted() {
    sql all.db "SELECT r.backend, r.policy, r.policy_options, k.n, c.n FROM run r
        JOIN (SELECT run_id, count(*) AS n FROM key_event WHERE event = '$1' GROUP BY run_id UNION ALL
              SELECT run_id, 0 FROM run WHERE run_id NOT IN (SELECT run_id FROM key_event WHERE event = '$1')) k USING (run_id)
        JOIN (SELECT run_id, sum($2) AS n FROM node_epoch GROUP BY run_id) c USING (run_id) WHERE k.n <> c.n + $3"
}
is "main copies that came" "$(counted owned relocations_in $keys)" ""
is "main copies that left" "$(counted left relocations_out 0)" ""
is "replicas that came" "$(counted replica replicas_created "(r.policy = 'full') * $((2 * keys))")" ""
is "replicas that were dropped" "$(counted dropped replicas_dropped 0)" ""
is "runs in which keys moved" "$(sql all.db "SELECT group_concat(DISTINCT policy || policy_options) FROM
    (SELECT * FROM run JOIN key_event USING (run_id) WHERE event = 'left' ORDER BY policy, policy_options)")" \
    "adaps,adapstechniques=relocation,lapse"
is "runs with replicas" "$(sql all.db "SELECT group_concat(DISTINCT policy || policy_options) FROM
    (SELECT * FROM run JOIN key_event USING (run_id) WHERE event = 'replica' ORDER BY policy, policy_options)")" \
    "adaps,adapstechniques=replication,full,stale"
is "policies that act on intents" "$(sql all.db "SELECT group_concat(DISTINCT policy) FROM run JOIN key_event USING (run_id)
    WHERE event = 'intent'")" adaps

# Of each kind, what begins and what ends alternate at a node; an owner is at one node at a time.
pairs="WITH e AS (SELECT *, CASE WHEN event IN ('owned', 'left') THEN 1 WHEN event IN ('replica', 'dropped') THEN 2
        ELSE 3 END AS kind, event IN ('owned', 'replica', 'intent') AS begins FROM key_event),
    n AS (SELECT *, lag(begins, 1, 0) OVER (PARTITION BY run_id, key, node, kind ORDER BY event_number) AS before FROM e)"
is "events that begin what has begun, or end what has not" "$(sql all.db "$pairs SELECT count(*) FROM n WHERE begins = before")" 0
is "times that go back" "$(sql all.db "SELECT count(*) FROM (SELECT time_s - lag(time_s) OVER
    (PARTITION BY run_id, node ORDER BY event_number) AS later, backend FROM key_event JOIN run USING (run_id))
    WHERE later < 0 AND backend = 'sim'")" 0
is "numbers of a node's events" "$(sql all.db "SELECT count(*) FROM (SELECT max(event_number) + 1 - count(*) AS holes
    FROM key_event GROUP BY run_id, node) WHERE holes <> 0")" 0
is "owners of a key at the end" "$(sql all.db "SELECT min(n), max(n), count(*) FROM (SELECT
    sum((event = 'owned') - (event = 'left')) AS n FROM key_event GROUP BY run_id, key)")" "1|1|$((14 * keys))"
is "keys by rank" "$(sql all.db "SELECT count(DISTINCT key), count(DISTINCT key_rank), min(key_rank), max(key_rank) FROM key_event
    WHERE run_id = 1")" "$keys|$keys|1|$keys"

# A few keys: those that were asked for, and the same run otherwise.
for traced in "" "--trace-keys top-4" "--trace-keys top-4" "--trace-keys 5,17,5" "--trace-keys random-7"; do
    # shellcheck disable=SC2086
    good run --db few.db --quiet --policy adaps "${small[@]}" $traced
done
is "keys" "$(sql few.db "SELECT (SELECT count(DISTINCT key) FROM key_event e WHERE e.run_id = r.run_id) FROM run r
    ORDER BY run_id" | paste -sd ' ')" "0 4 4 2 7"
is "ranks of the top" "$(sql few.db "SELECT DISTINCT key_rank FROM key_event WHERE run_id = 2 ORDER BY 1" |
    paste -sd ' ')" "1 2 3 4"
is "keys of the list" "$(sql few.db "SELECT DISTINCT key FROM key_event WHERE run_id = 4 ORDER BY 1" | paste -sd ' ')" "5 17"
is "keys of the list as they are among all" "$(sql few.db -cmd "ATTACH 'all.db' AS whole" "SELECT count(*) FROM
    (SELECT key, time_s, node, event FROM key_event WHERE run_id = 4 EXCEPT SELECT key, time_s, node, event
    FROM whole.key_event JOIN whole.run USING (run_id) WHERE backend = 'sim' AND policy = 'adaps' AND policy_options = '')")" 0
is "epochs, with and without" "$(sql few.db 'SELECT count(DISTINCT epoch_s) FROM epoch WHERE epoch = 1')" 1
is "digests: none, the top twice, a list, random ones" "$(sql few.db 'SELECT count(DISTINCT digest) FROM run')" 4
is "digest of the same run" "$(sql few.db 'SELECT count(DISTINCT digest) FROM run WHERE run_id IN (2, 3)')" 1
sql few.db "CREATE TABLE copy AS SELECT * FROM key_event WHERE run_id = 2"
is "rows of the same run" "$(sql few.db "SELECT count(*) FROM (SELECT key, time_s, node, event, event_number FROM key_event
    WHERE run_id = 3 EXCEPT SELECT key, time_s, node, event, event_number FROM copy)")" 0

good show 2 --db few.db
says '^event +count +keys +nodes$'
says '^owned +[0-9]+ +4 '
says '^node +keys_declared +without_room$'
is "declared intents, both epochs" "$(sql few.db "SELECT sum(intents) = sum(local_reads + replica_reads + remote_reads
    + queued_reads) FROM node_epoch WHERE run_id = 2")" 1

bad 2 'option "trace-keys": "top" \(allowed: keys as K,L,..., top-N, random-N' run --trace-keys top
bad 2 'option "trace-keys": "1,,2"' run --trace-keys 1,,2
bad 2 'option "trace-keys": "top-0"' run --trace-keys top-0
bad 1 'traced keys: the workload has no key 300 \(allowed: 0 to 299\)' run "${small[@]}" --db few.db --quiet --trace-keys 7,300
finish
