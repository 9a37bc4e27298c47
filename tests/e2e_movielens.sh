#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 200
# MovieLens-100K, u1.base / u1.test: single reaches a test RMSE of at most 0.95, and the policies on a cluster come within
# 0.01 of it, simulated and with real processes. The data may not be shipped: skipped, aloud, where it is not there.
. "$(dirname "$0")/cli.sh"

archive=$root/../shared/data/ml-100k.tar.xz
if [ ! -r "$archive" ]; then
    echo "skipped: no MovieLens data at ../shared/data/ml-100k.tar.xz"
    exit 77
fi
tar xJf "$archive" || exit 1
mf="mf:train=ml-100k/u1.base,test=ml-100k/u1.test,rank=20,bias=1"

# rmse NODES WORKERS BACKEND POLICY: sets quality to the test RMSE after 10 epochs.
rmse() {
    good run --quiet --db x.db --nodes "$1" --workers "$2" --backend "$3" --policy "$4" --workload "$mf" --epochs 10
    quality=$(sql x.db 'SELECT quality FROM epoch ORDER BY run_id DESC, epoch DESC LIMIT 1')
    echo "$4 on $3, $1 x $2: test RMSE $quality"
}

# is_true WHAT EXPRESSION
is_true() { is "$1: $2" "$(sql :memory: "SELECT $2")" 1; }

rmse 1 1 sim single
baseline=$quality
is_true "single" "$baseline <= 0.95"
for policy in classic full lapse stale stale:sync=server; do
    rmse 4 2 sim $policy
    is_true "$policy simulated, beside single" "abs($quality - $baseline) <= 0.01"
    rmse 2 1 real $policy
    is_true "$policy on real processes, beside single" "abs($quality - $baseline) <= 0.01"
done
finish
