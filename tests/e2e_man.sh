#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The man page names every long option of every command and none that does not exist, every command and every exit status
# that the help tells of; and it is a page that a formatter takes, where there is one.
set -u
cd "$(dirname "$0")/.." || exit 1
page=docs/pmlab.1
dir=${TMPDIR:-/tmp}
failed=0

fail() {
    echo "$*" >&2
    failed=1
}

long_options() { grep -oE -e '--[a-z][a-z-]*' | sed 's/-$//' | LC_ALL=C sort -u; }
plain() { sed 's/\\-/-/g; s/\\f[BIRP]//g; /^\.\\"/d' "$page"; }

commands=$("$PMLAB" --help | sed -n 's/^  pmlab \([a-z]*\( [a-z]*\)\{0,1\}\)  .*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 11 ] || fail "the help lists only these commands: $commands"
echo "$commands" | while read -r command; do
    # shellcheck disable=SC2086  # one word or two
    "$PMLAB" $command --help
    grep -qE "^\.B pmlab $command( |\$)" "$page" || echo "$page has no synopsis of 'pmlab $command'" >>"$dir/missing"
done >"$dir/help"
[ ! -e "$dir/missing" ] || fail "$(cat "$dir/missing")"
{ cat "$dir/help"; "$PMLAB" --help; echo --help; } | long_options >"$dir/there"
plain | long_options >"$dir/named"
[ "$(wc -l <"$dir/there")" -gt 30 ] || fail "the help names only $(wc -l <"$dir/there") options"
for option in $(LC_ALL=C comm -23 "$dir/there" "$dir/named"); do fail "$page does not name $option"; done
for option in $(LC_ALL=C comm -13 "$dir/there" "$dir/named"); do fail "$page names $option, which no command has"; done

statuses=$(sed -n '/^Exit status:/,/^[0-9].*interrupted/p' "$dir/help" | grep -oE '\b[0-9]+\b' | sort -un)
[ -n "$statuses" ] || fail "the help tells of no exit status"
for status in $statuses; do
    sed -n '/^\.SH EXIT STATUS/,/^\.SH FILES/p' "$page" | grep -qE "(^\.B |^\.BR |\" )$status( |\$)" ||
        fail "$page does not tell of exit status $status"
done

# Each example is an invocation that the program understands.
examples=0
while read -r example; do
    examples=$((examples + 1))
    case $example in
    "pmlab run "* | "pmlab compare "*)
        (cd "$dir" && eval "\"$PMLAB\" ${example#pmlab } --dump-config" >/dev/null) || fail "wrong example: $example" ;;
    "pmlab list "*) eval "\"$PMLAB\" ${example#pmlab }" >/dev/null || fail "wrong example: $example" ;;
    esac
done < <(plain | sed -n '/^\.SH EXAMPLES/,/^\.fi/p' | grep '^pmlab ')
[ $examples -ge 5 ] || fail "$page has only $examples examples"

if command -v groff >/dev/null 2>&1; then
    groff -man -Tascii -ww "$page" >/dev/null 2>"$dir/groff" || fail "groff does not take $page"
    [ ! -s "$dir/groff" ] || fail "groff: $(cat "$dir/groff")"
fi
exit $failed
