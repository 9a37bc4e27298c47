#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Lengths of functions, files and lines, blanks, banned calls, left-over notes, license lines.
# tests/tidy.awk does the looking; begins by showing that it notices faults.
set -u
cd "$(dirname "$0")/.." || exit 1
TMPDIR=${TMPDIR:-$(mktemp -d)}

# Prints what is untidy in the files named on standard input, which are relative to the folder ROOT.
scan() { (cd "$1" && xargs -r awk -f "$here/tests/tidy.awk"); }
here=$PWD

SPDX='/* SPDX-License-Identifier: GPL-3.0-or-later */'
# plant FILE TEXT: is a file with the license line and this text noticed?
plant() {
    rm -rf "$TMPDIR/tree"
    mkdir -p "$TMPDIR/tree/$(dirname "$1")"
    printf '%s\n%b\n' "$SPDX" "$2" >"$TMPDIR/tree/$1"
    [ -n "$(echo "$1" | scan "$TMPDIR/tree")" ]
}
fault() { plant "$1" "$2" || { echo "not noticed in $1: ${2:0:100}"; exit 1; }; }
fine() {
    plant "$1" "$2" || return 0
    echo "wrongly refused in $1: ${2:0:100}"
    echo "$1" | scan "$TMPDIR/tree"
    exit 1
}
lines() { printf '%*s' "$1" '' | sed "s/ /${2}\\\\n/g"; }

fault core/a.c "int f(void)\n{\n$(lines 69 '    x();')}"
fine core/a.c "int f(void)\n{\n$(lines 68 '    x();')}"
fault core/a.c "int f(void) {\n$(lines 69 '    x();')}"
fine core/a.c "const int t[] = {\n$(lines 100 '    1,')};"
fault core/a.c "$(lines 600 'int x;')"
fine core/a.c "$(lines 598 'int x;')"
fault core/a.c "$(printf '/%133s' /)"
fault core/a.c '\tint x;'
fault tests/a.sh 'echo '
for call in strcpy strcat sprintf vsprintf gets rand srand alloca system exit _exit time; do
    fault core/a.c "    $call(x);"
done
fault sim/a.c '    now = time(NULL);'
fault results/a.c '    exit(1);'
fine cli/a.c '    exit(1);'
fine sim/a.c '    _exit(1);'
fine core/a.c '    snprintf(x); stop_time(x); my_exit(x); node->exit_code = "exit(1)"; /* system( */'
fine core/a.c '/* strcpy(\n   strcat( */'
fault core/a.c '/* a */ strcpy(x); /* b */'
for note in 'TO''DO' 'FIX''ME' 'XX''X'; do
    fault core/a.c "/* $note: later */"
done
fine cli/a.c '    mkstemp("aXXXXXX");'
fault core/a.c '    if (policy == &pm_policy_full)'
fine core/a.c '    if (policy == NULL)'
fault core/a.c '    return strcmp(node->policy->name, "full");'
fault core/a.c '#ifdef SIM'
fault core/a.c '#if defined(PM_SIM)'
fine core/a.c '#ifndef PM_CORE_SIMILAR_H'
SPDX='/* a file */'
fault core/a.c 'int x;'
fault plots/a.gp 'x'

# Files that are in the tree or about to be: ignored ones are not looked at.
list() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . -type f -not -path './build/*' -not -path './demo/*' | sed 's,^\./,,'
    fi | grep -E '\.(c|h|sh|awk|gp|sql)$|^Makefile$|^\.ci/run$' |
        while read -r file; do [ ! -e "$file" ] || echo "$file"; done
}
found=$(list | scan .)
[ -z "$found" ] || { echo "$found"; exit 1; }
list | wc -l | sed 's/$/ files checked/'
