#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# No source of this build made the compiler say anything. The Makefile keeps what it said next to each object.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${PMLAB_BUILD:-build}
if [ -n "${PMLAB_SAN:-}" ]; then
    echo "a sanitizer's instrumentation makes gcc warn of paths that do not exist"
    exit 77
fi

seen=0
said=0
while read -r log; do
    source=${log#"$build/"}
    source=${source%.o.log}.c
    [ -e "$source" ] || continue        # of a source that has been deleted since
    seen=$((seen + 1))
    [ -s "$log" ] || continue
    said=$((said + 1))
    cat "$log"
done < <(find "$build" -name '*.o.log' | sort)

[ $seen -gt 0 ] || { echo "no compiler output below $build"; exit 1; }
echo "$seen compilations checked, $said with warnings"
[ $said -eq 0 ]
