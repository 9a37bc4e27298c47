#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 240
# Signals in the middle of runs: one line, the right exit status, the run marked, no process left, the
# database whole.
. "$(dirname "$0")/cli.sh"
long=(--nodes 2 --workers 1 --epochs 1M --workload zipf:keys=200,steps=200,write=0)

# Waits until the database has as many running runs as asked for, with rows of an epoch when $2 is given.
wait_for_runs() {
    local i
    for i in $(seq 300); do
        kill -0 $pid 2>/dev/null || break
        [ "$(sqlite3 x.db "SELECT count(*) FROM run WHERE status = 'running'" 2>/dev/null)" = "$1" ] &&
            { [ -z "${2:-}" ] || [ "$(sql x.db 'SELECT count(*) > 0 FROM epoch')" = 1 ]; } && return
        sleep 0.1
    done
    wrong "no $1 running runs appeared: $(cat err)"
}

# Processes of ours that still run: the folder's path is in their working directory.
left() {
    local p n=0
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/exe" 2>/dev/null)" = "$(realpath "$PMLAB")" ] &&
            [ "$(readlink "$p/cwd" 2>/dev/null)" = "$dir" ] && n=$((n + 1))
    done
    echo $n
}
none_left() {
    local i
    for i in $(seq 100); do
        [ "$(left)" -gt 0 ] || return
        sleep 0.1
    done
    wrong "$1: $(left) processes left"
}

# signal SIGNAL STATUS LINES REASON COMMAND...: sends it to the command alone while it runs.
signal() {
    local name=$1 expected=$2 reason=$3
    shift 3
    rm -f x.db*
    "$PMLAB" "$@" --db x.db >out 2>err &
    pid=$!
    wait_for_runs 1 epochs
    kill -"$name" $pid
    wait $pid
    is "status of pmlab $1 after SIG$name" $? "$expected"
    is "lines of pmlab $1 after SIG$name" "$(wc -l <err)" 1
    is "runs after SIG$name" "$(sql x.db 'SELECT DISTINCT status, reason FROM run')" "interrupted|$reason"
    is "digest of an interrupted run" "$(sql x.db 'SELECT count(digest) FROM run')" 0
    is "epochs of an interrupted run" "$(sql x.db 'SELECT count(*) > 0 FROM epoch')" 1
    intact x.db
    none_left "pmlab $1 after SIG$name"
}

signal INT 130 'interrupted by SIGINT' run "${long[@]}"
signal TERM 143 'interrupted by SIGTERM' run "${long[@]}"
signal INT 130 'interrupted by SIGINT' run --backend real "${long[@]}"
signal TERM 143 'interrupted by SIGTERM' run --backend real "${long[@]}"
signal INT 130 'interrupted by SIGINT' compare --policies classic,kv "${long[@]}"

# SIGINT at the whole group, as a terminal sends it, with two runs at a time.
rm -f x.db*
setsid "$PMLAB" compare --policies single,classic,kv --jobs 2 "${long[@]}" --db x.db >out 2>err &
pid=$!
wait_for_runs 2 epochs
kill -INT -- -$pid
wait $pid
is "status of compare --jobs 2 after SIGINT" $? 130
is "runs of compare --jobs 2" "$(sql x.db "SELECT count(*), count(DISTINCT status), min(status) FROM run")" \
    '2|1|interrupted'
intact x.db
none_left 'compare --jobs 2'

# kill -9: what is committed stays, the run is shown as interrupted, the next writer marks it, children die.
rm -f x.db*
"$PMLAB" run "${long[@]}" --db x.db >out 2>err &
pid=$!
wait_for_runs 1 epochs
good show --db x.db
says ' running '
kill -KILL $pid
wait $pid 2>/dev/null
none_left 'after SIGKILL'
intact x.db
good show --db x.db
says " interrupted .*process $pid is gone"
is "reading does not write" "$(sql x.db 'SELECT status FROM run')" running
good run --nodes 1 --workers 1 --workload zipf:keys=20,steps=3 --db x.db --quiet
is "the next writer marks it" "$(sql x.db 'SELECT status, reason FROM run WHERE run_id = 1')" \
    "interrupted|process $pid is gone"

# A second SIGINT ends the process at once, and its children with it.
rm -f x.db*
"$PMLAB" run "${long[@]}" --db x.db >out 2>err &
pid=$!
wait_for_runs 1
kill -INT $pid
kill -INT $pid 2>/dev/null
wait $pid
is "status after two SIGINT" $? 130
none_left 'two SIGINT'
intact x.db

# A database locked for a while is waited for.
rm -f x.db*
good run --nodes 1 --workers 1 --workload zipf:keys=20,steps=3 --db x.db --quiet
sqlite3 x.db 'BEGIN IMMEDIATE' '.shell sleep 2' 'COMMIT' &
sleep 0.5
good run --nodes 1 --workers 1 --workload zipf:keys=20,steps=3 --db x.db --quiet
wait
is "runs beside a lock" "$(sql x.db "SELECT count(*) FROM run WHERE status = 'finished'")" 2
finish
