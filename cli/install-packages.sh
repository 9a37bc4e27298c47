#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finds out which packages a purpose needs and installs the missing ones by apt; elsewhere names them and
# stops.
#
#   install-packages.sh build|test|demo|mutants [CONFIG]
#
# With CONFIG, the compile and link flags of the libraries are then written there as Makefile variables.
# Nothing is asked of apt when everything is there. Exit 0: all there (now); 1: something is still missing.
set -u

purpose=${1:?usage: install-packages.sh build|test|demo|mutants [CONFIG]}
config=${2:-}
compiler=${CC:-gcc}
compiler=${compiler%% *}

# One requirement per line: how to look for it, what to look for, the Debian package that brings it.
requirements() {
    case $purpose in
    build)
        echo "command $compiler gcc"
        echo "header stdio.h libc6-dev"
        echo "command pkg-config pkg-config"
        echo "module simgrid libsimgrid-dev"
        echo "module gsl libgsl-dev"
        echo "module sqlite3 libsqlite3-dev"
        echo "module libxxhash libxxhash-dev"
        echo "module liblz4 liblz4-dev"
        echo "module inih libinih-dev"
        ;;
    test)
        echo "module cmocka libcmocka-dev"
        echo "command sqlite3 sqlite3"
        ;;
    demo)
        echo "command gnuplot gnuplot-nox"
        echo "command sqlite3 sqlite3"
        ;;
    mutants)
        echo "command patch patch"
        ;;
    *)
        echo "install-packages.sh: unknown purpose '$purpose'; known are build, test, demo, mutants" >&2
        return 1
        ;;
    esac
}

there() {
    case $1 in
    command) command -v "$2" >/dev/null 2>&1 ;;
    header)  command -v "$compiler" >/dev/null 2>&1 &&
             echo "#include <$2>" | "$compiler" -E -x c - >/dev/null 2>&1 ;;
    module)  command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$2" 2>/dev/null ;;
    esac
}

# The packages that are missing, separated by blanks; empty when all is there.
missing() {
    requirements | while read -r how what package; do
        there "$how" "$what" || printf '%s ' "$package"
    done
}

stop() {
    echo "pmlab: $1" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Does apt know a version of every one of these packages? A fresh image has no package lists.
all_have_candidates() {
    for package in "$@"; do
        apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1
    done
}

install_by_apt() {
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        stop "missing packages: $* (neither root nor sudo here; as root: apt-get install $*)"
    fi
    echo "pmlab: installing missing packages: $*" >&2
    all_have_candidates "$@" || as_root apt-get -qq update >&2 ||
        stop "apt-get update failed; missing packages: $*"
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install -y --no-install-recommends "$@" >&2 ||
        stop "apt-get install failed; missing packages: $*"
}

write_config() {
    mkdir -p "$(dirname "$config")" || exit 1
    {
        echo "# Written by cli/install-packages.sh; make remakes it when it is gone."
        for module in simgrid gsl sqlite3 libxxhash liblz4 inih; do
            name=$(echo "${module#lib}" | tr '[:lower:]' '[:upper:]')
            echo "${name}_CFLAGS := $(pkg-config --cflags "$module")"
            echo "${name}_LIBS := $(pkg-config --libs "$module")"
        done
    } >"$config.tmp.$$" && mv "$config.tmp.$$" "$config"
}

requirements >/dev/null || exit 1
list=$(missing)
if [ -n "$list" ]; then
    command -v apt-get >/dev/null 2>&1 ||
        stop "missing packages (Debian names): ${list}- install what brings them here, then run make again"
    # shellcheck disable=SC2086  # a list of package names
    install_by_apt $list
    list=$(missing)
    [ -z "$list" ] || stop "still missing after installation: $list"
fi
[ -z "$config" ] || write_config
