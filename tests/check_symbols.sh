#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The core owns no clock, socket, thread, file or rand(), and no state outside its structs: its objects may
# want only the foreign symbols listed here, and define nothing in a writable section. Begins by showing
# that it notices faults.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${PMLAB_BUILD:-build}
TMPDIR=${TMPDIR:-$(mktemp -d)}

MEMORY='malloc calloc realloc free aligned_alloc posix_memalign mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)'
STRING='strn?(len|dup|cmp|casecmp) str(chr|rchr|chrnul|str|spn|cspn|pbrk|tok_r|error_r) __xpg_strerror_r
        stpn?cpy strto(d|f|l|ll|ul|ull|imax|umax) __isoc[0-9]*_strto[a-z]+ __errno_location
        v?snprintf sscanf __isoc[0-9]*_sscanf __v?snprintf_chk __mem[a-z]+_chk
        __ctype_(b|tolower|toupper)_loc tolower toupper'
MATH='(exp|exp2|expm1|log|log2|log10|log1p|sqrt|cbrt|pow|hypot|fabs|erfc?|lgamma|tgamma)f?
      (sin|cos|tan|sincos|asin|acos|atan2?|sinh|cosh|tanh)f?
      (floor|ceil|trunc|round|rint|nearbyint|fmod|fmin|fmax|fma|ldexp|frexp|scalbn|copysign|nextafter|modf)f?
      l?l(round|rint)f?'
OTHER='gsl_[A-Za-z0-9_]+ qsort bsearch abort __atomic_[a-z0-9_]+ __stack_chk_fail _GLOBAL_OFFSET_TABLE_
       __(asan|ubsan|tsan|sanitizer|gcov)_[a-z0-9_]+'
# A failed assertion writes its line to file descriptor 2.
ASSERTION='core/error\.o: (write|v?dprintf)'

allow="^[^ ]*: ($(echo $MEMORY $STRING $MATH $OTHER | tr ' ' '|'))\$|$ASSERTION\$"

# Foreign symbols that the objects want, but neither define among themselves nor may have: "object: symbol".
foreign() {
    nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }' | sort -u >"$TMPDIR/defined"
    nm -A -u "$@" | sed -E 's/^(.*):[[:space:]]+[Uwv] (.*)$/\1: \2/' |
        awk -v defined="$TMPDIR/defined" \
            'BEGIN { while ((getline line < defined) > 0) own[line] = 1 } !($2 in own)' |
        grep -vE "$allow" | sed 's/$/ (a foreign symbol that core may not use)/'
}

# Data that can be written at run time: "object: symbol". Constant tables of addresses lie in .data.rel.ro.
writable() {
    local object
    for object in "$@"; do
        objdump -t "$object" | awk -v object="$object" \
            '/[ \t](\.t?(data|bss)|\*COM\*|\.data\.[^r][^ \t]*|\.bss\.[^ \t]*)[ \t]/ &&
             $0 !~ / d  / && $NF !~ /^(__odr_asan|\.L)/ {
                 print object ": " $NF " (writable data outside a struct)" }'
    done
}

# fault CODE: an object made of it must be noticed.
fault() {
    mkdir -p "$TMPDIR/core"
    echo "$1" | ${CC:-gcc} -w -x c -c -o "$TMPDIR/core/planted.o" - || exit 1
    found=$(foreign "$TMPDIR/core/planted.o"; writable "$TMPDIR/core/planted.o")
    [ -n "$found" ] || { echo "not noticed: $1"; exit 1; }
}
fine() {
    mkdir -p "$TMPDIR/core"
    echo "$1" | ${CC:-gcc} -w -fPIC -x c -c -o "$TMPDIR/core/planted.o" - || exit 1
    found=$(foreign "$TMPDIR/core/planted.o"; writable "$TMPDIR/core/planted.o")
    [ -z "$found" ] || { echo "wrongly refused: $1: $found"; exit 1; }
}
for name in time clock_gettime socket send pthread_create fopen open read write rand random getenv exit \
    printf puts dlopen; do
    fault "int $name(); int f(void) { return $name(); }"
done
fault 'static int calls; int f(void) { return calls++; }'
fault 'int calls;'
fault 'int limit = 3;'
fault '__thread int calls;'
fault 'int calls __attribute__((common));'
fine 'extern int memcpy(); int f(void) { return memcpy(); } int g(void) { return f(); }'
fine 'static const char a[] = "a"; extern const char *const names[]; const char *const names[] = {a};'

objects=()
for source in core/*.c; do
    object=$build/${source%.c}.o
    [ -e "$object" ] || { echo "$object is missing: build first"; exit 1; }
    objects+=("$object")
done
found=$(foreign "${objects[@]}"; writable "${objects[@]}")
[ -z "$found" ] || { echo "$found"; exit 1; }
echo "${#objects[@]} objects checked"
