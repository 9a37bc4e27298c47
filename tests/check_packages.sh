#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The package script on machines made of fake commands: everything there, something missing, apt that cannot
# help, no sudo, another system.
set -u
cd "$(dirname "$0")/.." || exit 1
TMPDIR=${TMPDIR:-$(mktemp -d)}
script=$PWD/cli/install-packages.sh

fail() {
    echo "$1"
    [ ! -e "$machine/said" ] || sed 's/^/  said: /' "$machine/said"
    [ ! -e "$machine/apt" ] || sed 's/^/  apt:  /' "$machine/apt"
    exit 1
}

# new_machine THING...: a machine with these commands and modules only. bin/ is its PATH, have/ lists the
# modules it has.
new_machine() {
    local tool
    machine=$TMPDIR/machine
    rm -rf "$machine"
    mkdir -p "$machine/bin" "$machine/have"
    for tool in sh cat grep tr dirname mkdir mv env; do
        ln -s "$(command -v $tool)" "$machine/bin/$tool"
    done
    echo 0 >"$machine/uid"
    fake id 'cat "$machine/uid"'
    for tool in "$@"; do bring "$tool"; done
}

# fake COMMAND SCRIPT: the script sees the machine's folder in $machine.
fake() {
    printf '#!/bin/sh\nmachine=%s\n%s\n' "$machine" "$2" >"$machine/bin/$1"
    chmod +x "$machine/bin/$1"
}

# What installing a package brings.
bring() {
    case $1 in
    gcc) fake gcc 'cat >/dev/null; [ -e "$machine/have/stdio.h" ]' ;;
    libc6-dev) : >"$machine/have/stdio.h" ;;
    pkg-config) fake pkg-config 'case $1 in
        --exists) [ -e "$machine/have/$2" ] ;;
        --cflags) echo "-I/$2" ;;
        --libs) echo "-l$2" ;;
        esac' ;;
    libxxhash-dev) : >"$machine/have/libxxhash" ;;
    liblz4-dev) : >"$machine/have/liblz4" ;;
    libsqlite3-dev) : >"$machine/have/sqlite3" ;;
    gnuplot-nox) fake gnuplot : ;;
    lib*-dev) name=${1#lib}; : >"$machine/have/${name%-dev}" ;;
    apt) bring_apt ;;
    *) fake "$1" : ;;
    esac
}

# apt that writes down what it is asked; install brings what the file "archive" offers, which update fills.
bring_apt() {
    : >"$machine/archive"
    : >"$machine/apt"
    fake apt-cache 'if grep -qx "$2" "$machine/archive"; then echo "  Candidate: 1.0"
        else echo "  Candidate: (none)"; fi'
    fake apt-get 'echo "$DEBIAN_FRONTEND $*" >>"$machine/apt"
        case "$*" in
        *update) cat "$machine/mirror" >"$machine/archive" ;;
        *install*) for word in "$@"; do
            if grep -qx -e "$word" "$machine/archive"; then echo "$word" >>"$machine/installed"; fi
        done ;;
        esac'
    printf '%s\n' "${BUILD_SET[@]}" libcmocka-dev sqlite3 gnuplot-nox >"$machine/mirror"
    # Installing happens in the fake's own process: a pass-through that brings what it has installed.
    cp "$machine/bin/apt-get" "$machine/apt-get.real"
    {
        echo '#!/bin/bash'
        declare -f fake bring
        echo "machine=$machine; $machine/apt-get.real \"\$@\" || exit"
        echo 'while read -r package; do bring "$package"; done <"$machine/installed"'
    } >"$machine/bin/apt-get"
    : >"$machine/installed"
    ln -s "$(command -v bash)" "$machine/bin/bash"
    ln -s "$(command -v chmod)" "$machine/bin/chmod"
}

# run ARGUMENT...: the script on this machine; its words in said, its status in $status.
run() {
    status=0
    DEBIAN_FRONTEND=dialog PATH=$machine/bin CC=gcc "$machine/bin/sh" \
        "$script" "$@" >"$machine/said" 2>&1 </dev/null || status=$?
}

BUILD_SET=(gcc libc6-dev pkg-config libsimgrid-dev libgsl-dev libsqlite3-dev libxxhash-dev liblz4-dev libinih-dev)

# Everything there: apt is not asked for anything, the flags are written.
new_machine "${BUILD_SET[@]}" apt
run build "$machine/config.mk"
[ $status -eq 0 ] || fail "all there: status $status"
[ ! -s "$machine/apt" ] || fail "all there: asked apt"
[ ! -s "$machine/said" ] || fail "all there: not silent"
grep -qx 'SIMGRID_LIBS := -lsimgrid' "$machine/config.mk" || fail "all there: no flags of SimGrid"
grep -qx 'XXHASH_CFLAGS := -I/libxxhash' "$machine/config.mk" || fail "all there: no flags of xxHash"

# Nothing but make and apt without lists: update first, then everything at once, without a question.
new_machine apt
run build "$machine/config.mk"
[ $status -eq 0 ] || fail "fresh machine: status $status"
[ "$(wc -l <"$machine/apt")" -eq 2 ] || fail "fresh machine: not exactly update and install"
sed -n 1p "$machine/apt" | grep -q '^noninteractive .*update$' || fail "fresh machine: no update first"
sed -n 2p "$machine/apt" | grep -q -- "install -y --no-install-recommends ${BUILD_SET[*]}\$" ||
    fail "fresh machine: not the whole set"
[ -s "$machine/config.mk" ] || fail "fresh machine: no flags"

# One missing with a candidate: only that one, and no update.
new_machine "${BUILD_SET[@]}" apt
rm "$machine/have/gsl"
cp "$machine/mirror" "$machine/archive"
run build "$machine/config.mk"
[ $status -eq 0 ] || fail "one missing: status $status"
grep -q -- '--no-install-recommends libgsl-dev$' "$machine/apt" || fail "one missing: not that one alone"
! grep -q update "$machine/apt" || fail "one missing: needless update"

# A purpose of its own; gnuplot of any variant will do.
new_machine "${BUILD_SET[@]}" apt gnuplot
cp "$machine/mirror" "$machine/archive"
run demo
[ $status -eq 0 ] || fail "demo: status $status"
grep -q -- '--no-install-recommends sqlite3$' "$machine/apt" || fail "demo: not sqlite3 alone"

# apt does not have it: named, stopped, no flags written.
new_machine apt
grep -v simgrid "$machine/mirror" >"$machine/some"
mv "$machine/some" "$machine/mirror"
run build "$machine/config.mk"
[ $status -eq 1 ] || fail "not in the archive: status $status"
grep -q 'still missing after installation: libsimgrid-dev' "$machine/said" ||
    fail "not in the archive: not named"
[ ! -e "$machine/config.mk" ] || fail "not in the archive: flags written"

# Not root: through sudo; without sudo the exact command.
new_machine "${BUILD_SET[@]}" apt
echo 1000 >"$machine/uid"
rm "$machine/have/inih"
run build "$machine/config.mk"
[ $status -eq 1 ] || fail "no sudo: status $status"
grep -q 'as root: apt-get install libinih-dev' "$machine/said" || fail "no sudo: command not named"
[ ! -s "$machine/apt" ] || fail "no sudo: asked apt"
fake sudo 'echo "$*" >>"$machine/sudo"; exec "$@"'
run build "$machine/config.mk"
[ $status -eq 0 ] || fail "sudo: status $status"
grep -q 'apt-get .*install.* libinih-dev' "$machine/sudo" || fail "sudo: not used"

# Another system: exact names, nothing tried.
new_machine "${BUILD_SET[@]}"
rm "$machine/have/simgrid" "$machine/have/libxxhash"
run build "$machine/config.mk"
[ $status -eq 1 ] || fail "another system: status $status"
grep -q 'libsimgrid-dev libxxhash-dev' "$machine/said" || fail "another system: not named"
[ "$(wc -l <"$machine/said")" -eq 1 ] || fail "another system: more than one line"

# A wrong purpose is a fault of the caller.
run nonsense
[ $status -eq 1 ] || fail "unknown purpose: status $status"
