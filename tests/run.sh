#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Builds and runs the tests: the C programs unit_*, proto_*, contract_* and e2e_*, the scripts check_* and
# e2e_*.
#
#   tests/run.sh [NAME...]      only these; names as they are printed
#
# Every test runs under a time limit of 120 s, or what a line "time-limit: SECONDS" in a comment at its head
# says. A script that exits with 77 is skipped, and its last line says why. The last line of all is "N
# passed, M failed, K skipped".
#
# Environment: PMLAB_BUILD build folder (build), PMLAB_SAN sanitizer, TEST_JOBS tests at a time (2).
# A test finds PMLAB, PMLAB_SIM, PMLAB_BUILD, PMLAB_SAN in its environment, and in TMPDIR an empty folder
# of its own.
set -u
cd "$(dirname "$0")/.." || exit 1

export LC_ALL=C
export PMLAB_SAN=${PMLAB_SAN:-${SAN:-}}
PMLAB_BUILD=$(realpath -m "${PMLAB_BUILD:-${BUILD:-build${PMLAB_SAN:+/san-$PMLAB_SAN}}}")
export PMLAB_BUILD
export PMLAB=$PMLAB_BUILD/pmlab PMLAB_SIM=$PMLAB_BUILD/pmlab-sim.so
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
jobs=${TEST_JOBS:-2}
slower=1                            # sanitizers take a multiple of the time
[ -z "$PMLAB_SAN" ] || slower=6
make=("${MAKE:-make}" --no-print-directory BUILD="$PMLAB_BUILD" SAN="$PMLAB_SAN")
case " ${MAKEFLAGS:-} " in *\ -j* | *jobserver*) ;; *) make+=(-j2) ;; esac
built=0                             # 0 when make had no error
unbuilt=                            # names of programs that could not be built
out=$PMLAB_BUILD/tests/out          # NAME.log, NAME.result, NAME.tmp/
mkdir -p "$out"

# The tests that were asked for, or all; sets files.
choose() {
    local all=() name file found
    shopt -s nullglob
    all=(tests/check_*.sh tests/unit_*.c tests/proto_*.c tests/contract_*.c tests/e2e_*.c tests/e2e_*.sh)
    shopt -u nullglob
    files=("${all[@]}")
    [ $# -gt 0 ] || return 0
    files=()
    for name in "$@"; do
        found=0
        for file in "${all[@]}"; do
            case $file in
            "$name" | "tests/$name" | "tests/$name.c" | "tests/$name.sh") files+=("$file"); found=1 ;;
            esac
        done
        [ $found = 1 ] || { echo "tests/run.sh: there is no test named '$name'" >&2; exit 2; }
    done
}

name_of() {
    local base=${1##*/}
    case $base in
    e2e_*.sh) echo "$base" ;;       # a program may have the same name
    *) echo "${base%.*}" ;;
    esac
}

# Builds what the chosen tests need; goes on when something does not build, the tests that needed it then
# fail.
build() {
    local targets=(all) file
    for file in "${files[@]}"; do
        case $file in
        *.c) targets+=("$PMLAB_BUILD/${file%.c}") ;;
        esac
    done
    "${make[@]}" -k "${targets[@]}" || built=1
    [ $built -ne 0 ] || return
    for file in "${files[@]}"; do   # an old program may still be there: ask for each
        case $file in
        *.c) "${make[@]}" -s "$PMLAB_BUILD/${file%.c}" >/dev/null 2>&1 || unbuilt+=" $(name_of "$file") " ;;
        esac
    done
}

time_limit_s() {
    local limit
    limit=$(sed -n '1,30s/^[#/* ]*time-limit: *\([0-9][0-9]*\).*/\1/p' "$1" | head -n 1)
    echo $((${limit:-120} * slower))
}

# One line per test, and its outcome in NAME.result: passed, failed or skipped.
report() {
    printf '%s\n' "$2" >"$out/$1.result"
    case $2 in
    passed)  printf 'ok    %-32s %7.1f s\n' "$1" "$3" ;;
    skipped) printf 'skip  %-32s %7.1f s  %s\n' "$1" "$3" "$(tail -n 1 "$out/$1.log")" ;;
    failed)  printf 'FAIL  %-32s %7.1f s  %s\n' "$1" "$3" "$4" ;;
    esac
}

run_one() {
    local file=$1 name limit start seconds status pid command
    name=$(name_of "$file")
    limit=$(time_limit_s "$file")
    command=(bash "$file")
    case $file in
    *.c)
        command=("$PMLAB_BUILD/${file%.c}")
        case $unbuilt in *" $name "*)
            echo "$name was not built, see the compiler's output above" >"$out/$name.log"
            report "$name" failed 0 "does not build"
            return ;;
        esac ;;
    esac
    rm -rf "$out/$name.tmp"
    mkdir -p "$out/$name.tmp"
    start=$EPOCHREALTIME
    TMPDIR=$out/$name.tmp env --default-signal=INT,QUIT timeout --kill-after=10 "$limit" \
        "${command[@]}" >"$out/$name.log" 2>&1 </dev/null &
    pid=$!
    trap 'kill $pid 2>/dev/null' TERM
    wait $pid
    status=$?
    seconds=$(awk "BEGIN { print $EPOCHREALTIME - $start }")
    case $file:$status in
    *:0) report "$name" passed "$seconds"; rm -rf "$out/$name.tmp" ;;
    *.sh:77) report "$name" skipped "$seconds"; rm -rf "$out/$name.tmp" ;;
    *:124 | *:137) report "$name" failed "$seconds" "time limit of $limit s" ;;
    *) report "$name" failed "$seconds" "exit status $status" ;;
    esac
}

run_all() {
    local file running=0
    trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
    for file in "${files[@]}"; do
        [ $running -lt "$jobs" ] || { wait -n; running=$((running - 1)); }
        rm -f "$out/$(name_of "$file").result"
        run_one "$file" &
        running=$((running + 1))
    done
    wait
}

summary() {
    local file name passed=0 failed=0 skipped=0
    for file in "${files[@]}"; do
        name=$(name_of "$file")
        case $(cat "$out/$name.result" 2>/dev/null) in
        passed) passed=$((passed + 1)) ;;
        skipped) skipped=$((skipped + 1)) ;;
        *)
            failed=$((failed + 1))
            printf '\n---- %s\n' "$name"
            cat "$out/$name.log"
            echo "---- again: make check TESTS=$name${PMLAB_SAN:+ SAN=$PMLAB_SAN}" ;;
        esac
    done
    [ $built -eq 0 ] || echo "The build failed, see above."
    echo
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ] && [ $built -eq 0 ] && [ $((passed)) -gt 0 ]
}

choose "$@"
build
run_all
summary
