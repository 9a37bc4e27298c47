#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make install puts everything where others find it: every header compiles on its own, a program is built with
# what pkg-config says, the command runs from there with its simulator; uninstall leaves nothing.
set -u
cd "$(dirname "$0")/.." || exit 1
TMPDIR=${TMPDIR:-$(mktemp -d)}
build=${PMLAB_BUILD:-$PWD/build}
san=${PMLAB_SAN:-}
root=$TMPDIR/root
unset MAKEFLAGS MAKELEVEL MFLAGS PMLAB_SIM

fail() {
    echo "$1"
    exit 1
}

# The build goes on in a copy, so that other tests running now never see a program that is half linked.
mkdir -p "$TMPDIR/build"
for part in core real policies workloads memnet results cli sim gen config.mk flags sources \
    libpmlab.a pmlab pmlab-sim.so; do
    [ ! -e "$build/$part" ] || cp -a "$build/$part" "$TMPDIR/build/"
done
installation() {
    make --no-print-directory BUILD="$TMPDIR/build" SAN="$san" DESTDIR="$root" prefix=/opt/pm "$1"
}

installation install || fail "make install fails"
export PKG_CONFIG_PATH=$root/opt/pm/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
flags=$(pkg-config --cflags pmlab) && libs=$(pkg-config --libs pmlab) || fail "pkg-config does not know pmlab"
case $flags in *"-I$root/opt/pm/include/pmlab"*) ;; *) fail "unexpected flags: $flags" ;; esac

seen=0
for header in "$root"/opt/pm/include/pmlab/core/*.h; do
    name=core/${header##*/}
    # shellcheck disable=SC2086  # flags are several words
    echo "#include \"$name\"" | ${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror $flags -fsyntax-only -x c - ||
        fail "$name does not compile on its own"
    seen=$((seen + 1))
done
[ $seen -eq "$(grep -L 'Not installed' core/*.h | wc -l)" ] || fail "$seen headers installed, not all public ones of core/*.h"

mkdir -p "$TMPDIR/app"
cat >"$TMPDIR/app/app.c" <<'END'
#include <stdio.h>
#include "core/error.h"
#include "core/registry.h"

int main(void)
{
    size_t policies = 0;
    while (pm_registry_policies[policies])
        policies++;
    printf("%s %s %zu\n", pm_version, pm_strerror(PM_E_KEY), policies);
    return 0;
}
END
# shellcheck disable=SC2086
(cd "$TMPDIR/app" && ${CC:-gcc} ${san:+-fsanitize=$san} $flags -o app app.c $libs) ||
    fail "a program does not build"
# shellcheck disable=SC2086
(cd "$TMPDIR/app" && ${CC:-gcc} ${san:+-fsanitize=$san} $flags -o whole app.c \
    -Wl,--whole-archive $libs -Wl,--no-whole-archive) || fail "pkg-config does not name all that the library needs"
said=$("$TMPDIR/app/app") || fail "the program does not run"
tables=$(cat policies/*.c /dev/null 2>/dev/null | grep -c '^const struct pm_policy pm_policy_')
case $said in
"0."*" key out of range $tables") ;;
*) fail "the program says: $said; there are $tables policies" ;;
esac

if [ -e cli/main.c ]; then
    installed=$root/opt/pm/bin/pmlab
    "$installed" list policies | grep -q . || fail "the installed command lists no policies"
    (cd "$TMPDIR/app" && "$installed" run --quiet --db one.db) ||
        fail "the installed command does not simulate"
fi

installation uninstall || fail "make uninstall fails"
left=$(find "$root" ! -type d; find "$root" -type d -name '*pmlab*')
[ -z "$left" ] || fail "left behind: $left"
