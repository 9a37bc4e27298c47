#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 120
# pmlab consistency: the table, its histories and their repetition, broken promises, and what goes wrong.
. "$(dirname "$0")/cli.sh"
san=${PMLAB_SAN:-}
few=${san:+50}
few=${few:-400}

# AddressSanitizer warns of every program with coroutines, which it is told of.
quiet() { [ "$san" != address ] || sed -i '/ASan does.* fully support makecontext/d' err; }
run() {
    "$PMLAB" "$@" >out 2>err </dev/null
    status=$?
    checks=$((checks + 1))
    quiet
}

# ---- the table: what is promised is kept, weaknesses are shown with a history that repeats ----
good consistency --policy full:syncs_per_second=10000,kv --schedules "$few" --backends memnet,sim,real
is "rows" "$(awk 'NR == 1 || /^(full|kv)[^,]*  / { print $1 }' out | paste -sd ' ')" \
    'policy full:syncs_per_second=10000 full:syncs_per_second=10000 kv kv'
says '^policy +operations +eventual +PRAM/clock +PRAM +causal +sequential +serializable$'
says '^full:syncs_per_second=10000 +sync +yes \([0-9]+\) +yes \([0-9]+\) +yes \([0-9]+\) +yes \([0-9]+\) +no +no$'
says '^kv +async +yes \([0-9]+\) +yes \([0-9]+\) +yes \([0-9]+\) +yes \([0-9]+\) +yes \([0-9]+\) +no$'
says '^full:syncs_per_second=10000, sync: not sequential \([0-9]+ of [0-9]+ schedules\), on (memnet|sim)$'
is "store buffering takes four operations" "$(sed -n '/^full.* sync: not sequential/,/^$/p' out | grep -c '^  worker')" 4
sed -n '/^full.* sync: not sequential/,/^$/p' out >finding
grep '^  worker' finding >shortest
repeat=$(sed -n 's/^  repeat: pmlab //p' finding)
# shellcheck disable=SC2086  # a command line
good $repeat
is "the schedule again" "$(sed -n '/^sequential: violated/,/^  so /p' out | grep '^  worker' | diff - shortest && echo same)" same
says '^causal \(promised\): not violated$'
cp out before
# shellcheck disable=SC2086
good $repeat
is "and again" "$(cmp out before && echo same)" same

# ---- other backends ----
for backend in sim real; do
    good consistency --policy full:syncs_per_second=10000 --backends $backend --replay 1000038
    says "^full:syncs_per_second=10000, sync, schedule 1000038, shape "
    says "^[0-9] nodes x [0-9] workers on $backend: "
    says '^eventual \(promised\): not violated$'
done
good consistency --policy classic --backends sim --replay 1000037 && cp out before
good consistency --policy classic --backends sim --replay 1000037
is "simulated schedules repeat" "$(cmp out before && echo same)" same

# ---- JSON; another seed makes other schedules ----
good consistency --policy kv,classic:fast_local=0 --schedules 64 --backends memnet --json
is "JSON" "$(sql :memory: "SELECT count(*), sum(json_extract(value, '\$.schedules')), sum(json_extract(value, '\$.promised'))
    FROM json_each(readfile('out'))")" '24|1536|20'
is "violations in JSON" "$(sql :memory: "SELECT sum(json_extract(value, '\$.promised') AND json_extract(value, '\$.violations')),
    min(json_array_length(value, '\$.history')) FROM json_each(readfile('out'))")" '0|2'
cp out before
good consistency --policy kv,classic:fast_local=0 --schedules 64 --backends memnet --json --jobs 1
is "the same with one process" "$(cmp out before && echo same)" same
good consistency --policy kv,classic:fast_local=0 --schedules 64 --backends memnet --json --seed 7
is "other schedules" "$(sql :memory: "SELECT min(json_extract(value, '\$.number')) >= 7000000
    FROM json_each(readfile('out'))")" 1
good consistency --policy kv --schedules 16 --backends memnet --quiet
[ ! -s out ] || wrong "--quiet prints"

# ---- promises that are not kept: a policy that says too much, one whose reads miss the worker's own pushes ----
# planted NAME SED: the example policy, changed.
planted() {
    sed "$2" "$root/docs/examples/policies/ssp.c" >"$1.c"
    cmp -s "$1.c" "$root/docs/examples/policies/ssp.c" && wrong "$1 changes nothing"
    # shellcheck disable=SC2086  # flags are several words
    "${CC:-gcc}" -shared -fPIC -O1 -w ${san:+-fsanitize=$san} -I"$root" -o "$1.so" "$1.c" || wrong "$1.c does not build"
}
# breaks POLICY LEVEL: status 1, and a line that says so.
breaks() {
    run consistency --policy "$1" --schedules "$few" --backends memnet
    [ $status -eq 1 ] || wrong "$1: status $status"
    grep -qE "^pmlab: .*: $2 is promised and violated$" err || wrong "$1: no word of $2: $(cat err)"
    says ' BROKEN '
}
planted boast 's/promise_async = PM_PRAM/promise_async = PM_SEQUENTIAL/'
breaks ./boast.so sequential
planted blind '/if (op == PM_OP_PUSH) {/,/}/ { s/pm_replicate(ctx, key, slot);//; s/return PM_USE/return PM_ASK/ }'
breaks ./blind.so PRAM
planted dead 's/^    if (op == PM_OP_PUSH) {/    if (op == PM_OP_PUSH) { __builtin_trap();/'
bad 1 '\./dead.so: died of SIG[A-Z]+; repeat: pmlab consistency --policy ./dead.so --backends memnet --replay [0-9]+$' \
    consistency --policy ./dead.so --schedules 8 --backends memnet

# ---- usage ----
bad 2 'option "backends": unknown "menmet"; nearest is "memnet"' consistency --backends menmet
bad 2 'option "replay": needs one --policy' consistency --replay 5
bad 2 'option "replay": needs one --policy' consistency --replay 5 --policy kv,full
bad 2 'option "schedules".*0' consistency --schedules 0
bad 2 'option "seed": at most' consistency --seed 9e18
bad 2 'unknown policy "lapze"' consistency --policy lapze
bad 2 'fast_local' consistency --policy classic:fast_local=7
bad 2 'pmlab consistency has no option --nodes' consistency --nodes 3
bad 3 'absent.so' consistency --policy ./absent.so

# ---- interruption ----
"$PMLAB" consistency --policy kv --schedules 500000 --backends memnet >out 2>err </dev/null &
pid=$!
sleep 1
kill -TERM $pid
wait $pid
is "status after SIGTERM" $? 143
quiet
is "what is said then" "$(cat err)" 'pmlab: consistency: interrupted by SIGTERM'
finish
