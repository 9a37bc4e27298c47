#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 300
# The examples of docs/examples as an outside author meets them: built against an installed tree with nothing
# but pkg-config's flags, run by the installed command on both backends; what is wrong with a file is one line.
. "$(dirname "$0")/cli.sh"
: "${PMLAB_BUILD:?}"
san=${PMLAB_SAN:-}
compiler=${CC:-gcc}
unset MAKEFLAGS MAKELEVEL MFLAGS PMLAB_SIM

# Installs from a copy of the build, so that other tests running now never see a program that is half linked.
mkdir build
for part in core real policies workloads memnet results cli sim gen config.mk flags sources \
    libpmlab.a pmlab pmlab-sim.so; do
    [ ! -e "$PMLAB_BUILD/$part" ] || cp -a "$PMLAB_BUILD/$part" build/
done
make --no-print-directory -C "$root" BUILD="$dir/build" SAN="$san" DESTDIR="$dir/root" prefix=/opt/pm \
    install >log 2>&1 || { cat log; exit 1; }
PMLAB=$dir/root/opt/pm/bin/pmlab
export PKG_CONFIG_PATH=$dir/root/opt/pm/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dir/root

# build NAME: NAME.so out of NAME.c here.
build() {
    # shellcheck disable=SC2046,SC2086  # flags are several words
    "$compiler" -shared -fPIC -O1 -Wall -Wextra -Werror ${san:+-fsanitize=$san} $(pkg-config --cflags pmlab) \
        -o "$1.so" "$1.c" -lm || wrong "$1.c does not build"
}
cp "$root"/docs/examples/policies/*.c "$root"/docs/examples/workloads/*.c .
for source in ssp lsq; do build $source; done

# exact WHERE: every such run has lost and doubled nothing.
exact() {
    is "sum_error where $1" \
        "$(sql p.db "SELECT group_concat(DISTINCT quality) FROM epoch JOIN run USING (run_id) WHERE $1")" 0.0
}

counters=zipf:keys=300,steps=150,batch=6
for bound in 0 1 3 1T; do
    good run --policy "./ssp.so:staleness=$bound" --workload $counters --nodes 4 --workers 2 --epochs 2 \
        --quiet --db p.db
done
good run --policy ./ssp.so --workload $counters --nodes 4 --workers 2 --values none --quiet --db p.db
exact "backend = 'sim' AND values_mode = 'full'"
is "policies" "$(sql p.db 'SELECT count(DISTINCT policy_options) || policy FROM run')" 4ssp
# The bound shows: the more clocks reads may lag behind, the more find a replica, and the sooner the end.
column() {
    sql p.db "SELECT group_concat(x > before) FROM
        (SELECT $1 AS x, lag($1) OVER (ORDER BY run_id) AS before FROM $2 WHERE run_id <= 4 GROUP BY run_id)
        WHERE before IS NOT NULL"
}
is "more replica reads as the bound grows" "$(column 'sum(replica_reads)' node_epoch)" 1,1,1
is "shorter epochs as the bound grows" "$(column '-sum(epoch_s)' epoch)" 1,1,1
# The same run again gives the same rows.
good run --policy ./ssp.so:staleness=3 --workload $counters --nodes 4 --workers 2 --epochs 2 --quiet --db p.db
is "digests of equal runs" "$(sql p.db "SELECT count(DISTINCT digest) FROM run
    WHERE policy_options = 'staleness=3'")" 1

for bound in 0 2; do
    good run --backend real --policy "./ssp.so:staleness=$bound" --workload $counters --nodes 3 --workers 2 \
        --epochs 2 --quiet --db p.db
done
exact "backend = 'real'"

# rmse starts near 0.65; the workload learns under any policy.
for with in classic full:syncs_per_second=20000 ./ssp.so:staleness=2; do
    good run --policy $with --workload ./lsq.so:features=200 --nodes 2 --workers 2 --quiet --db l.db
done
good run --backend real --policy ./ssp.so:staleness=2 --workload ./lsq.so:features=200 --nodes 2 --workers 2 \
    --quiet --db l.db
is "runs that learned" \
    "$(sql l.db "SELECT count(*) FROM epoch WHERE quality_metric = 'rmse' AND quality < 0.05")" 4
good compare --policies classic,./ssp.so:staleness=1 --workload ./lsq.so:features=200,steps=50 --nodes 2 \
    --db c.db
says '^ssp '

# ---- wrong files, wrong options ----
version_of() { sed -n "s/.*$1 = \([0-9]*\).*/\1/p" "$root/core/$2"; }
policy_abi=$(version_of PM_POLICY_ABI policy.h) workload_abi=$(version_of PM_WORKLOAD_ABI workload.h)
sed 's/= PM_POLICY_ABI/= PM_POLICY_ABI + 7/' ssp.c >other.c && build other
bad 3 "other.so: built for interface version $((policy_abi + 7)), this program has $policy_abi" run --policy ./other.so
sed 's/= PM_WORKLOAD_ABI/= PM_WORKLOAD_ABI + 7/' lsq.c >other.c && build other
bad 3 "other.so: built for interface version $((workload_abi + 7)), this program has $workload_abi" run --workload ./other.so
bad 3 'lsq.so: has no symbol pm_policy_export' run --policy ./lsq.so
bad 3 'ssp.so: has no symbol pm_workload_export' run --workload ./ssp.so
echo 'no shared object' >text.so
bad 3 'text.so: .*(too short|invalid ELF header)' run --policy ./text.so
bad 3 'absent.so: No such file' run --policy ./absent.so
wrong='{.preset = "x", .option = "staleness", .text = "1"}, {0}'
sed "s/^    .options = options_table,/&\n    .presets = (const struct pm_preset[]){$wrong},/" ssp.c >presets.c && build presets
bad 1 'presets.so: there are presets, but no enum "preset" to choose one' run --policy ./presets.so
bad 2 'unknown option "slack"' run --policy ./ssp.so:slack=1
bad 2 'active=6 is more than features=5' run --workload ./lsq.so:features=5,active=6
finish
