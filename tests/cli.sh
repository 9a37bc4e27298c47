# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by the tests of the command line: a folder of their own, and what to expect of a command.
# PMLAB is the program. Everything that went wrong is said; finish gives the exit status.

: "${PMLAB:?}"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/cli.XXXXXX") && cd "$dir" || exit 1
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
ln -s "$root/plots" plots # where figures are looked for first
unset NO_COLOR
failures=0
checks=0

wrong() {
    failures=$((failures + 1))
    echo "WRONG: $*"
}

# run ARGUMENT...: runs the program; sets status; out and err are files.
run() {
    "$PMLAB" "$@" >out 2>err </dev/null
    status=$?
    checks=$((checks + 1))
}

# good ARGUMENT...: must end with 0 and say nothing on standard error.
good() {
    run "$@"
    [ $status -eq 0 ] || wrong "pmlab $*: status $status: $(cat err)"
    [ ! -s err ] || wrong "pmlab $*: said: $(cat err)"
}

# bad STATUS PATTERN ARGUMENT...: must end with that status and say one line that matches the pattern,
# nothing else.
bad() {
    local expected=$1 pattern=$2
    shift 2
    run "$@"
    [ $status -eq "$expected" ] || wrong "pmlab $*: status $status, expected $expected: $(cat err)"
    [ "$(wc -l <err)" -eq 1 ] || wrong "pmlab $*: $(wc -l <err) lines on standard error: $(cat err)"
    grep -qE -- "^pmlab: .*$pattern" err || wrong "pmlab $*: '$(cat err)' does not match '$pattern'"
    [ ! -s out ] || wrong "pmlab $*: wrote on standard output: $(cat out)"
}

# is WHAT FOUND EXPECTED
is() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] || wrong "$1: '$2', expected '$3'"
}

# says PATTERN: standard output of the last command has such a line.
says() {
    checks=$((checks + 1))
    grep -qE -- "$1" out || wrong "no line '$1' in: $(cat out)"
}

sql() { sqlite3 -cmd '.timeout 20000' "$@"; }

# intact FILE: the database is whole.
intact() { is "integrity of $1" "$(sql "$1" 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok; }

finish() {
    echo "$checks checks, $failures wrong"
    [ $failures -eq 0 ]
    exit
}
