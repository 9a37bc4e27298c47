#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Damaged messages, random texts and damaged files, many times as many as in the tests.
#
#   tests/fuzz.sh [TIMES [PROGRAM...]]  10 times, if it does not say, which are a million inputs for each reader of files but
#                                       SQLite and SimGrid, which want real ones; all programs, or these
#
# Stops at the first failure; the last line then is a command that repeats it. Environment: PMLAB_BUILD.
set -u
cd "$(dirname "$0")/.." || exit 1
times=${1:-10}
case $times in '' | *[!0-9]* | 0*)
    echo "fuzz.sh: TIMES is '$times'; allowed is a whole number from 1" >&2
    exit 2 ;;
esac
[ $# -eq 0 ] || shift
LIMIT_S=$((60 + 60 * times))        # per line below, each of which takes a few seconds per time
[ -z "${PMLAB_SAN:-}" ] || LIMIT_S=$((6 * LIMIT_S)) # as in run.sh
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
found=0

# Program, test (or all), and what is multiplied.
while read -r program test name usual; do
    case " $* " in '  ' | *" $program "*) ;; *) continue ;; esac
    found=$((found + 1))
    command=("${PMLAB_BUILD:-build}/tests/$program")
    [ "$test" = all ] || command+=(-t "$test")
    settings=()
    [ "$name" = none ] || settings=("$name=$((usual * times))")
    start=$EPOCHREALTIME
    env -u PM_SEED "${settings[@]}" timeout --kill-after=10 $LIMIT_S "${command[@]}" >"$TMPDIR/log" 2>&1 </dev/null
    status=$?
    if [ $status -ne 0 ]; then
        cat "$TMPDIR/log"
        echo "FAIL  $program $test: exit status $status (124: $LIMIT_S s were not enough)"
        echo "again: ${settings[*]} ${command[*]}"
        exit 1
    fi
    awk -v what="$program $test" -v settings="${settings[*]}" -v s="$EPOCHREALTIME" -v t="$start" \
        'BEGIN { printf "ok    %-58s %-16s %6.1f s\n", what, settings, s - t }'
done <<END
proto_message random_headers ROUNDS 300000
proto_message mutated_messages RUNS 12000
proto_message answers_that_come_again AGAIN_RUNS 60
proto_hostile all none 0
unit_intent as_a_list_does RUNS 4000
unit_option random_texts ROUNDS 200000
unit_option random_numbers ROUNDS 200000
unit_spec random_specs_round_trip ROUNDS 100000
unit_spec random_texts ROUNDS 100000
unit_ratings damaged_files_are_read_or_refused ROUNDS 100000
unit_libsvm damaged_files_are_read_or_refused ROUNDS 100000
unit_graph damaged_files_are_read_or_refused ROUNDS 100000
unit_kge damaged_checkpoints_are_read_or_refused ROUNDS 100000
unit_trace random_bytes_decode_or_not ROUNDS 100000
unit_trace sealed_damage_is_read_or_refused ROUNDS 100000
unit_trace_text damaged_texts_are_read_or_refused ROUNDS 100000
unit_ini damaged_configurations_are_read_or_refused ROUNDS 100000
unit_ini damaged_figures_are_read_or_refused ROUNDS 100000
unit_sim_cost damaged_cost_models_are_read_or_refused ROUNDS 100000
unit_results damaged_databases_are_read_or_refused ROUNDS 1000
unit_sim_failures damaged_platforms_are_used_or_refused ROUNDS 300
END
[ $found -gt 0 ] || { echo "fuzz.sh: nothing here is of $*" >&2; exit 2; }
