#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# docs/schema.md describes every table, view and column of the database, and none that is not there. Databases of earlier
# layouts, tests/layouts/VERSION.dump, get the present one and lose nothing. GOLDEN=write writes the present one's file.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cd "${TMPDIR:-/tmp}" || exit 1
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
sql() { sqlite3 -cmd ".timeout 20000" "$@"; }
tiny=(--quiet --nodes 2 --workers 1 --workload 'zipf:keys=10,steps=2')

"$PMLAB" run --db s.db "${tiny[@]}" || exit 1

# "table column" per line, of the database and of the text.
sql s.db "SELECT m.name || ' ' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'" | sort >there
described() {
    awk '/^## / { table = $2; next } /^\| [a-z]/ && $2 != "column" { print table " " $2 }' "$1" | sort
}
described "$root/docs/schema.md" >described
diff there described || { echo "docs/schema.md and the database differ (< database, > text)"; exit 1; }

# The same comparison notices what is missing on either side.
grep -v '^| wall_s' "$root/docs/schema.md" >without.md
described without.md | diff -q there - >/dev/null && { echo "a missing column was not noticed"; exit 1; }

# Every table is STRICT; the marks of our databases.
loose=$(sql s.db "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
    AND NOT strict AND name NOT LIKE 'sqlite_%'")
[ -z "$loose" ] || { echo "not STRICT: $loose"; exit 1; }
marks=$(sql s.db 'PRAGMA journal_mode; PRAGMA application_id; PRAGMA user_version' | paste -sd ' ')
version=${marks##* }
[ "$marks" = "wal 1886219362 $version" ] && [ "$version" -gt 1 ] ||
    { echo "journal mode, application_id or user_version is wrong"; exit 1; }

# A column name occurs in one table only, but for those that the text names.
twice=$(sql s.db "SELECT c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
    AND c.name NOT IN ('run_id', 'epoch', 'node', 'name', 'value', 'compute_s', 'wait_s')
    GROUP BY c.name HAVING count(*) > 1")
[ -z "$twice" ] || { echo "in two tables: $twice"; exit 1; }

# ---- layouts ----

# What the database is made of, tables and views.
made_of() { sql "$1" "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'" | sort; }
layout=$root/tests/layouts/$version.dump
if [ "${GOLDEN:-}" = write ]; then
    { echo "-- SPDX-License-Identifier: GPL-3.0-or-later"
      echo "-- A database of layout $version with a finished run, as sqlite3's .dump gives it."
      echo "PRAGMA application_id = 1886219362;"
      echo "PRAGMA user_version = $version;"
      sql s.db .dump | sed "s/'$(hostname)'/'elsewhere'/; s|'[^']*/pmlab run|'pmlab run|g"; } >"$layout"
fi
made_of s.db >present
grep '^CREATE' "$layout" | sort | diff - present ||
    { echo "the schema is not that of $layout: raise RESULTS_VERSION, and write the new layout with GOLDEN=write"; exit 1; }

# columns DATABASE: "table column type key" per line, whatever their order.
columns() {
    sql "$1" "SELECT m.type || ' ' || m.name || ' ' || c.name || ' ' || c.type || ' ' || c.pk FROM sqlite_schema m
        JOIN pragma_table_info(m.name) c WHERE m.name NOT LIKE 'sqlite_%'" | sort
}
# rows DATABASE TABLES: the rows of what tables and columns old.db has, first runs only.
rows() {
    local table
    for table in $(sql old.db "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"); do
        echo "$table"
        sql "$1" "SELECT $(sql old.db "SELECT group_concat(name) FROM pragma_table_info('$table')")
            FROM $table $(sql old.db "SELECT 'WHERE run_id <= $runs' FROM pragma_table_info('$table') WHERE name = 'run_id'")"
    done
}
# fails WHAT: says what an old database did wrong.
fails() { echo "layout $number: $*"; exit 1; }
# checked DATABASE: it has the present layout, and all that old.db had.
checked() {
    columns "$1" | diff present-columns - || fails "columns of $1 differ from the present ones (>)"
    grep '^CREATE VIEW' present >views
    made_of "$1" | grep '^CREATE VIEW' | diff views - || fails "views of $1 differ from the present ones (>)"
    rows old.db | diff - <(rows "$1") || fails "rows of $1 are not those of old.db (<)"
    [ "$(sql "$1" 'PRAGMA user_version; PRAGMA integrity_check; PRAGMA foreign_key_check' | paste -sd ' ')" = "$version ok" ] ||
        fails "$1 is damaged, or has another version"
}
# As somebody who may not write: permissions mean nothing to root.
reader() {
    local nobody=()
    [ "$(id -u)" -ne 0 ] || nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "${nobody[@]}" "$@"
}

columns s.db >present-columns
chmod 755 "$dir"
earlier=0
cp "$PMLAB" pmlab
for layout in "$root"/tests/layouts/*.dump; do
    number=$(basename "$layout" .dump)
    [ "$number" -lt "$version" ] || continue
    earlier=$((earlier + 1))
    rm -rf *.db* closed
    { cat "$layout"; echo "PRAGMA journal_mode = WAL;"; } | sql old.db >made &&
        [ "$(sql old.db 'PRAGMA user_version')" = "$number" ] || fails "cannot be made"
    runs=$(sql old.db 'SELECT count(*) FROM run')
    columns old.db | diff -q - present-columns >/dev/null && fails "has the columns of layout $version"

    # a command that reads, and one after it
    cp old.db show.db
    "$PMLAB" show --db show.db "$runs" >out || fails "pmlab show"
    checked show.db
    "$PMLAB" show --db show.db --json >out && grep -q '"run_id":1' out || fails "pmlab show --json"
    "$PMLAB" show --db show.db --json "$runs" >out && grep -q '"epoch_s":' out || fails "pmlab show --json RUN"
    "$PMLAB" report --db show.db --output report.html >out && grep -q zipf report.html || fails "pmlab report"

    # a run: its digest does not depend on the layout that the database began with
    cp old.db run.db
    "$PMLAB" run --db run.db "${tiny[@]}" || fails "pmlab run"
    checked run.db
    "$PMLAB" run --db new.db "${tiny[@]}" || fails "pmlab run in a new database"
    [ "$(sql run.db 'SELECT digest FROM run ORDER BY run_id DESC LIMIT 1')" = "$(sql new.db 'SELECT digest FROM run')" ] ||
        fails "the digest of a run differs from that in a new database"

    # several processes that find it at the same time
    for round in 1 2 3; do
        rm -f many.db*
        cp old.db many.db
        pids=()
        for ((i = 0; i < 6; i++)); do
            if ((i % 2)); then "$PMLAB" run --db many.db "${tiny[@]}" & else "$PMLAB" show --db many.db >"shown$i" & fi
            pids+=($!)
        done
        for pid in "${pids[@]}"; do wait "$pid" || fails "one of several processes, round $round"; done
        checked many.db
        [ "$(sql many.db 'SELECT count(*) FROM run')" -eq $((runs + 3)) ] || fails "runs of several processes are missing"
    done

    # a file that must stay as it is can be shown
    mkdir closed
    cp old.db closed/
    sum=$(cksum <closed/old.db)
    chmod 444 closed/old.db
    chmod 555 closed
    reader ./pmlab show --db closed/old.db "$runs" >out || fails "pmlab show of a file that cannot be written"
    [ "$(cksum <closed/old.db)" = "$sum" ] || fails "a file that cannot be written was"
    chmod 755 closed

    # a later one is refused before the run begins
    sql old.db "PRAGMA user_version = $((version + 1))"
    sum=$(cksum <old.db)
    for command in run show; do
        arguments=()
        [ $command = show ] || arguments=("${tiny[@]}")
        "$PMLAB" $command --db old.db "${arguments[@]}" >out 2>err
        [ $? -eq 3 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'made by a later pmlab' err || fails "a later layout: $(cat err)"
    done
    [ "$(cksum <old.db)" = "$sum" ] || fails "a database of a later layout was changed"
done
[ $earlier -eq $((version - 1)) ] || { echo "$earlier earlier layouts were found"; exit 1; }
echo "$(wc -l <there) columns described, layout $version; $earlier earlier ones got it"
