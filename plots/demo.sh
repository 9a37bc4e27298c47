#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# demo.sh BINARY OUTDIR: matrix factorisation of generated ratings on a simulated cluster of 8 nodes under
# several ways of managing the parameters; a table, a database, a figure and a report in OUTDIR.
set -eu
pmlab=${1:?usage: demo.sh BINARY OUTDIR}
out=${2:?usage: demo.sh BINARY OUTDIR}
mkdir -p "$out"
rm -f "$out/results.db" "$out/results.db-wal" "$out/results.db-shm"

policies=single,kv,classic,stale:sync=server,full,full:syncs_per_second=200,lapse,nups:replicate=50,syncs_per_second=200,adaps
data=(--workload mf --workload.rows 4000 --workload.cols 500 --workload.cells 100k --workload.truth_rank 4
    --workload.lambda 0.02)

echo "Matrix factorisation (4,000 x 500, 100,000 generated ratings) on a simulated cluster:"
echo "8 nodes x 2 workers of 100 Mflop/s, 10 Gbit/s, 20 us; one node x 2 workers as the baseline."
echo
"$pmlab" compare --policies "$policies" "${data[@]}" --nodes 8 --workers 2 --speed 100Mf --epochs 5 --jobs 2 \
    --db "$out/results.db" --name demo
"$pmlab" figure epoch_time --jobs 2 --db "$out/results.db" --output "$out" --quiet
"$pmlab" figure quality_over_time --jobs 2 --db "$out/results.db" --output "$out" --quiet
"$pmlab" report --db "$out/results.db" --output "$out/report.html" --quiet
echo
echo "$out/results.db       all runs: $pmlab show --db $out/results.db"
echo "$out/epoch_time.svg   epoch time and speed-up over nodes (also .png, and its data)"
echo "$out/quality_over_time.svg"
echo "$out/report.html      all of it in one page"
