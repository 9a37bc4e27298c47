#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# docs/schema.md describes every table, view and column of the database, and none that is not there.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cd "${TMPDIR:-/tmp}" || exit 1
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'rm -rf "$dir"' EXIT

"$PMLAB" run --db s.db --quiet --nodes 2 --workers 1 --workload zipf:keys=10,steps=2 || exit 1

# "table column" per line, of the database and of the text.
sqlite3 s.db "SELECT m.name || ' ' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
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
loose=$(sqlite3 s.db "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
    AND NOT strict AND name NOT LIKE 'sqlite_%'")
[ -z "$loose" ] || { echo "not STRICT: $loose"; exit 1; }
marks=$(sqlite3 s.db 'PRAGMA journal_mode; PRAGMA application_id; PRAGMA user_version' | paste -sd ' ')
[ "$marks" = "wal 1886219362 1" ] ||
    { echo "journal mode, application_id or user_version is wrong"; exit 1; }

# A column name occurs in one table only, but for those that the text names.
twice=$(sqlite3 s.db "SELECT c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
    AND c.name NOT IN ('run_id', 'epoch', 'node', 'name', 'value', 'compute_s', 'wait_s')
    GROUP BY c.name HAVING count(*) > 1")
[ -z "$twice" ] || { echo "in two tables: $twice"; exit 1; }
echo "$(wc -l <there) columns described"
