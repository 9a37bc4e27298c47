#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 180 The Makefile itself, on a small tree: what is rebuilt when what changes, modules found and
# forgotten, -j8, faulty use.
set -u
cd "$(dirname "$0")/.." || exit 1
TMPDIR=${TMPDIR:-$(mktemp -d)}
unset MAKEFLAGS MAKELEVEL MFLAGS BUILD SAN PMLAB_SAN
here=$PWD
tree=$TMPDIR/tree

fail() {
    echo "$1"
    sed 's/^/  make: /' "$TMPDIR/said"
    exit 1
}

run() {
    status=0
    make -C "$tree" --no-print-directory "$@" >"$TMPDIR/said" 2>&1 </dev/null || status=$?
}

# expect WHAT: the run before succeeded and compiled exactly these sources (all on one line, sorted).
expect() {
    local compiled
    [ $status -eq 0 ] || fail "$1: exit status $status"
    compiled=$(sed -n 's/^  CC *\([a-z].*\)$/\1/p' "$TMPDIR/said" | sort | tr '\n' ' ')
    [ "$compiled" = "$2" ] || fail "$1: compiled '$compiled' and not '$2'"
}

# A tree as small as can be: a header, two core files, a policy, the program and the simulator.
SPDX='/* SPDX-License-Identifier: GPL-3.0-or-later */'
mkdir -p "$tree"/{core,cli,policies,sim}
cp Makefile "$tree/"
cp cli/install-packages.sh "$tree/cli/"
cp core/registry.h "$tree/core/"
put() { printf '%s\n' "$SPDX" "${@:2}" >"$tree/$1"; }
put core/a.h 'struct pm_policy { const char *name; };' 'int pm_a(void);'
put core/a.c '#include "core/a.h"' 'int pm_a(void) { return 1; }'
put core/b.c 'int pm_b(void);' 'int pm_b(void) { return 2; }'
put policies/one.c '#include "core/a.h"' 'extern const struct pm_policy pm_policy_one;' \
    'const struct pm_policy pm_policy_one = {"one"};'
put sim/s.c '#include "core/a.h"' 'int sim_s(void);' 'int sim_s(void) { return pm_a(); }'
put cli/main.c '#include <stdio.h>' '#include "core/a.h"' '#include "core/registry.h"' 'int main(void) {' \
    'for (int i = 0; pm_registry_policies[i]; i++) puts(pm_registry_policies[i]->name);' \
    'return pm_a() - 1; }'
all='build/gen/registry.c build/gen/version.c cli/main.c core/a.c core/b.c policies/one.c sim/s.c '

run -j8
expect 'first build, eight at once' "$all"
[ "$("$tree/build/pmlab")" = one ] || fail 'the program does not list the policy'
nm -D "$tree/build/pmlab-sim.so" | grep -q 'U pm_a' || fail 'the simulator has its own copy of the core'
nm -D --defined-only "$tree/build/pmlab" | grep -q 'pm_b' || fail 'the program does not export the core'

run
expect 'nothing changed' ''
[ ! -s "$TMPDIR/said" ] || fail 'nothing changed: something done'

touch "$tree/core/a.h"
run -j8
expect 'a header changed' 'cli/main.c core/a.c policies/one.c sim/s.c '

run CFLAGS=-O0
expect 'flags changed' "$all"
run
expect 'flags changed back' "$all"

sed 's/one/two/g' "$tree/policies/one.c" >"$tree/policies/two.c"
run -j8
expect 'a policy more' 'build/gen/registry.c policies/two.c '
[ "$("$tree/build/pmlab" | tr '\n' ' ')" = 'one two ' ] || fail 'the new policy is not listed'

rm "$tree/core/b.c"
run
expect 'a core file less' ''
! ar t "$tree/build/libpmlab.a" | grep -q '^b.o' || fail 'the deleted file is still in the library'

rm "$tree/policies/one.c"
run -j8
expect 'a policy less' 'build/gen/registry.c '
[ "$("$tree/build/pmlab")" = two ] || fail 'the deleted policy is still listed'

# Kernels may fuse multiply and add, nothing else may; V=1 shows it.
mkdir -p "$tree/workloads"
put workloads/mf_kernel.c 'int mf_a(void);' 'int mf_a(void) { return 1; }'
put workloads/mf.c 'int mf_b(void);' 'int mf_b(void) { return 1; }'
run V=1
grep -q 'ffp-contract=off.* workloads/mf\.c' "$TMPDIR/said" || fail 'V=1 does not show how mf.c is compiled'
grep 'workloads/mf_kernel\.c' "$TMPDIR/said" | grep -qv 'ffp-contract=off' ||
    fail 'a kernel is compiled like the rest'

run SAN=undefined
[ $status -eq 0 ] || fail 'no sanitizer build'
nm "$tree/build/san-undefined/core/a.o" >/dev/null || fail 'a sanitizer build has no folder of its own'
run
expect 'after a sanitizer build' ''

# A broken source stops the build, says why, and leaves no object behind.
put core/c.c 'int broken('
run
[ $status -ne 0 ] && grep -q 'core/c.c:' "$TMPDIR/said" || fail 'a broken source is not named'
[ ! -e "$tree/build/core/c.o" ] || fail 'a broken source left an object'
run WITHOUT=core/c.c
[ $status -eq 0 ] || fail 'WITHOUT does not leave a source out'

for wrong in SAN=memory BUILD=. "BUILD=a b"; do
    run "$wrong"
    [ $status -eq 2 ] || fail "$wrong is accepted"
done

run help
[ $status -eq 0 ] && grep -q 'make check' "$TMPDIR/said" || fail 'no help'
mkdir -p "$tree/other" && touch "$tree/other/file"
run clean BUILD=other
[ -e "$tree/other/file" ] || fail 'clean removes a folder that is not a build folder'
run clean
[ $status -eq 0 ] && [ ! -e "$tree/build" ] || fail 'clean leaves the build folder'
cd "$here" || exit 1
