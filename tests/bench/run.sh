#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs every benchmark that was built, one after another, and keeps what each printed in
# $PMLAB_BUILD/bench/NAME.txt. Fails only when a benchmark could not run: whether a target is met is printed.
set -u
cd "$(dirname "$0")/../.." || exit 1
PMLAB_BUILD=$(realpath -m "${PMLAB_BUILD:-build}")
out=$PMLAB_BUILD/bench
mkdir -p "$out"
status=0
for source in tests/bench/bench_*.c; do
    name=$(basename "$source" .c)
    printf '==== %s (%s cores, load %s)\n' "$name" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
    timeout --kill-after=10 600 "$PMLAB_BUILD/tests/bench/$name" 2>&1 | tee "$out/$name.txt"
    code=${PIPESTATUS[0]}
    [ "$code" = 0 ] || { echo "$name failed with exit status $code" >&2; status=1; }
    echo
done
echo "kept in $out"
exit $status
