#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Who may include whom: fails on every #include that the table below does not allow. Begins by showing that
# it notices faults.
set -u -f
cd "$(dirname "$0")/.." || exit 1

# What C gives without asking the operating system for anything (files are kept out of core by
# check_symbols.sh).
PLAIN='assert complex ctype endian errno float immintrin inttypes limits math stdalign stdarg stdatomic
       stdbool stddef stdint stdio stdlib stdnoreturn string strings'
# What the edges may use beside it.
SYSTEM='dirent fcntl fnmatch locale malloc poll sched signal spawn time unistd
        sys/(file|mman|param|prctl|resource|stat|time|types|utsname|wait)'
COROUTINES='setjmp ucontext sys/mman sanitizer/(common_interface_defs|tsan_interface)'
NETWORK='arpa/inet ifaddrs net/if netdb netinet/(in|tcp) linux/futex
         sys/(epoll|eventfd|random|select|signalfd|socket|syscall|timerfd|uio|un)'

# allowed FOLDER: regular expressions of what its files may include, with the quotes or angle brackets.
allowed() {
    local system
    case $1 in core | policies) system=$PLAIN ;; memnet) system="$PLAIN $COROUTINES" ;; *) system="$PLAIN $SYSTEM" ;; esac
    [ "$1" != real ] || system+=" $NETWORK"
    for name in $system; do echo "<$name\.h>"; done
    echo "\"$1/[a-z0-9_]+\.h\""
    [ "$1" = core ] || echo '"core/[a-z0-9_]+\.h"'
    case $1 in
    policies) echo '<lz4\.h>' ;;
    core) echo '<gsl/[a-z0-9_]+\.h>' ;;
    workloads) echo '<gsl/[a-z0-9_]+\.h>'; echo '<lz4\.h>'; echo '<xxhash\.h>' ;;
    sim)     echo '<simgrid/[a-z0-9_]+\.h>' ;;
    real)    echo '<pthread\.h>'; echo '<sodium\.h>'; echo '<sodium/[a-z0-9_]+\.h>' ;;
    results) echo '<sqlite3\.h>'; echo '<xxhash\.h>' ;;
    esac
}

# Prints every forbidden #include below the folder ROOT; cli and tests may include everything.
scan() {
    local root=$1 folder
    for folder in core policies workloads sim real memnet results; do
        [ -d "$root/$folder" ] || continue
        find "$root/$folder" -name '*.[ch]' -exec grep -nHE '^[[:space:]]*#[[:space:]]*include' {} + |
            sed -E 's/^([^:]*:[0-9]+):[ \t]*#[ \t]*include[ \t]*([<"][^>"]*[>"]|.*).*/\1 \2/' |
            awk -v allow="$(allowed $folder | paste -sd '|')" -v folder="$folder" \
                '{ at = $1; $1 = ""; sub(/^ /, "")
                   if ($0 !~ "^(" allow ")$") print at ": " folder " must not include " $0 }'
    done
}

# fault FOLDER INCLUDE: a file with that line must be noticed; fine: must not.
plant() {
    rm -rf "$TMPDIR/tree"
    mkdir -p "$TMPDIR/tree/$1"
    printf '#include %s\n' "$2" >"$TMPDIR/tree/$1/planted.c"
    [ -n "$(scan "$TMPDIR/tree")" ]
}
fault() { plant "$1" "$2" || { echo "not noticed: $1 includes $2"; exit 1; }; }
fine() { ! plant "$1" "$2" || { echo "wrongly refused: $1 includes $2"; exit 1; }; }

TMPDIR=${TMPDIR:-$(mktemp -d)}
for header in '<time.h>' '<pthread.h>' '<sys/socket.h>' '<unistd.h>' '<sqlite3.h>' \
    '"sim/backend.h"' '"policies/full.h"' '"error.h"' '"core/../sim/x.h"' '<core/error.h>' 'MACRO'; do
    fault core "$header"
done
fault policies '<gsl/gsl_rng.h>'
fault workloads '"results/store.h"'
fault sim '<pthread.h>'
fault sim '<sys/socket.h>'
fault sim '<gsl/gsl_rng.h>'
fault sim '"real/loop.h"'
fault real '<simgrid/actor.h>'
fault results '<gsl/gsl_rng.h>'
fault memnet '"sim/sim.h"'
fault memnet '<pthread.h>'
fine core '<gsl/gsl_rng.h> /* why */'
fine core '"core/error.h"'
fine policies '<lz4.h>'
fine workloads '<lz4.h>'
fine workloads '<xxhash.h>'
fault policies '<xxhash.h>'
fault core '<lz4.h>'
fine real '<sys/epoll.h>'
fine sim '<simgrid/actor.h>'
fine memnet '<ucontext.h>'

found=$(scan .)
[ -z "$found" ] || { echo "$found"; exit 1; }
find core policies workloads sim real memnet results -name '*.[ch]' | wc -l | sed 's/$/ files checked/'
