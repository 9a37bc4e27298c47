#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Breaks the protocol on purpose: applies one patch of this folder at a time to a copy of the tree, builds and
# runs the suite that must notice. Fails when a suite stays green, when a patch does not apply or build, or
# when a suite is red without one.
#
#   tests/mutants/run.sh [NAME...]      only these patches
#
# The first line of a patch says what must turn red, a program of tests/ and perhaps its arguments:
# "# red: proto_random -t full". The second says in words what is broken.
set -u
cd "$(dirname "$0")/../.." || exit 1

LIMIT_S=90                          # a suite that never ends has noticed, too
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tree=$work/tree                     # patched
pristine=$work/pristine             # the work tree may change meanwhile
build=$work/build

if [ $# -gt 0 ]; then
    patches=()
    for name in "$@"; do patches+=("tests/mutants/$(basename "$name" .patch).patch"); done
else
    patches=(tests/mutants/*.patch)
fi
for patch in "${patches[@]}"; do
    [ -e "$patch" ] || { echo "there is no $patch"; exit 2; }
done

suite_of() { sed -n '1s/^# red: *//p' "$1"; }
words_of() { sed -n '2s/^# *//p' "$1"; }

# What is in the work tree, without what was built from it.
mkdir -p "$pristine"
if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard |
        while read -r file; do [ ! -e "$file" ] || echo "$file"; done
else
    find . -type f -not -path './build/*' -not -path './demo/*'
fi | tar cf - -T - | tar xf - -C "$pristine"
cp -a "$pristine" "$tree"

# Suites that simulate load the simulator from the build folder.
make_suite() {
    local simulator=
    case $1 in *sim*) simulator=$build/pmlab-sim.so ;; esac
    # shellcheck disable=SC2086  # no word when there is none
    "${MAKE:-make}" --no-print-directory -C "$tree" -j2 BUILD="$build" SAN= CFLAGS='-O1 -g' \
        "$build/tests/$1" $simulator >"$work/build.log" 2>&1
}
# run_suite NAME [ARGUMENT...]
run_suite() {
    local name=$1
    shift
    mkdir -p "$work/tmp"
    (cd "$tree" && TMPDIR=$work/tmp PMLAB_BUILD=$build timeout --kill-after=5 $LIMIT_S "$build/tests/$name" "$@"; exit $?) \
        >"$work/run.log" 2>&1 </dev/null
}
# The first line of the log that tells what was noticed.
reason() {
    grep -aE 'assertion failed|ERROR|error:|Sanitizer|does not hold|differ' "$work/run.log" |
        head -n 1 | cut -c 1-150
}

unset MAKEFLAGS MAKELEVEL MFLAGS
failed=0
suites=$(for patch in "${patches[@]}"; do suite_of "$patch" | cut -d ' ' -f 1; done | sort -u)
for suite in $suites; do
    if ! make_suite "$suite"; then
        echo "FAIL  $suite does not build without any patch:"
        tail -n 20 "$work/build.log"
        exit 1
    fi
    if ! run_suite "$suite"; then
        echo "FAIL  $suite is red without any patch:"
        tail -n 20 "$work/run.log"
        exit 1
    fi
    echo "ok    $suite is green on the tree as it is"
done

for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    read -r -a suite <<<"$(suite_of "$patch")"
    if [ ${#suite[@]} -eq 0 ] || [ -z "$(words_of "$patch")" ]; then
        echo "FAIL  $name: its first lines must be '# red: SUITE' and '# what is broken'"
        failed=$((failed + 1))
        continue
    fi
    if ! patch -d "$tree" -p1 -s -N -r - <"$patch" >"$work/patch.log" 2>&1; then
        echo "FAIL  $name does not apply: $(head -n 1 "$work/patch.log")"
        failed=$((failed + 1))
    elif ! make_suite "${suite[0]}"; then
        echo "FAIL  $name does not build: $(grep -m 1 error "$work/build.log")"
        failed=$((failed + 1))
    elif run_suite "${suite[@]}"; then
        echo "FAIL  $name: ${suite[*]} stays green although $(words_of "$patch")"
        failed=$((failed + 1))
    else
        printf 'ok    %-28s %s is red: %s\n' "$name" "${suite[*]}" "$(reason)"
    fi
    # back to the tree as it was, also where a patch has applied in part
    sed -n 's,^+++ b/\([^[:space:]]*\).*,\1,p' "$patch" | while read -r file; do
        cp "$pristine/$file" "$tree/$file"
        touch "$tree/$file"
    done
done

echo
echo "${#patches[@]} mutants, $failed not noticed or broken themselves"
[ $failed -eq 0 ]
