#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# An epoch that was run in part is never shown as a whole one: its time is extrapolated, near that of the whole epoch, with
# an interval, and says so.
. "$(dirname "$0")/cli.sh"

zipf=(--workload zipf --nodes 3 --workers 2 --seed 3)
for policy in single classic full kv; do
    for fraction in 1 0.2 0.2; do good run "${zipf[@]}" --policy $policy --epoch-fraction $fraction --db part.db; done
    says '^  epoch time .*\(extrapolated from 20\.0 % of an epoch, 95 % interval [0-9.]+ [mun]?s to [0-9.]+ [mun]?s\)$'
    good run "${zipf[@]}" --policy $policy --db part.db
    says '^  epoch time +[0-9.]+ [mun]?s$'
done
is "shares" "$(sql part.db 'SELECT share, count(*) FROM epoch GROUP BY share' | paste -sd ' ')" '0.2|8 1.0|8'
is "intervals of whole epochs" "$(sql part.db 'SELECT count(*) FROM epoch WHERE (share = 1) <>
    (ci_low_s IS NULL AND ci_high_s IS NULL)')" 0
is "repeated" "$(sql part.db 'SELECT count(DISTINCT digest) FROM run GROUP BY policy' | paste -sd ' ')" '2 2 2 2'
# The truth is within 10 % of the estimate and within the interval, or outside by less than 2 %.
compared="FROM run r JOIN epoch e USING (run_id), (SELECT policy, max(epoch_s) AS truth FROM run JOIN epoch
    USING (run_id) WHERE share = 1 GROUP BY policy) t WHERE t.policy = r.policy AND share < 1"
is "near the truth" "$(sql part.db "SELECT count(*) $compared AND abs(epoch_s - truth) < 0.1 * truth")" 8
is "around the truth" \
    "$(sql part.db "SELECT count(*) $compared AND 0.98 * ci_low_s < truth AND truth < 1.02 * ci_high_s")" 8
is "around the estimate" "$(sql part.db 'SELECT count(*) FROM epoch WHERE ci_low_s <= epoch_s AND
    epoch_s <= ci_high_s AND ci_high_s < 2 * epoch_s')" 8

# A budget of time: the epoch in which it ends is extrapolated; evaluation times are those really trained.
for backend in sim real; do
    good run "${zipf[@]}" --backend $backend --workload.steps 100k --time-budget 300ms --epochs 5 --db budget.db
    says '^run [12] finished: '
    says 'extrapolated from'
done
is "budgets" "$(sql budget.db "SELECT backend, status, share < 1, ci_low_s < epoch_s AND epoch_s < ci_high_s,
    epoch_s > 0.3, at_s BETWEEN 0.3 AND 0.6 FROM run JOIN epoch USING (run_id) JOIN quality USING (run_id)" |
    paste -sd ' ')" 'sim|finished|1|1|1|1 real|finished|1|1|1|1'
good run "${zipf[@]}" --epochs 3 --time-budget 80ms --db epochs.db
says '^  epoch time .*\(mean of 2, extrapolated from 1\.[0-9]+ of 2 epochs, 95 % interval '
is "share of the last epoch alone" "$(sql epochs.db 'SELECT group_concat(abs(share - steps / (SELECT 1.0 * steps
    FROM epoch WHERE epoch = 0)) < 1e-9), max(share), min(share) < 0.5 FROM epoch')" '1,1|1.0|1'
is "elapsed time" "$(sql epochs.db 'SELECT count(*) FROM epoch e WHERE abs(elapsed_s -
    (SELECT sum(epoch_s) FROM epoch f WHERE f.epoch <= e.epoch)) > 1e-9')" 0

# One batch has no spread.
good run "${zipf[@]}" --epoch-fraction 1e-9 --db one.db
says '^  epoch time .*\(extrapolated from 0\.1 % of an epoch, interval not known\)$'
is "one batch" "$(sql one.db 'SELECT share, ci_low_s IS NULL AND ci_high_s IS NULL FROM epoch')" '0.001|1'

# Comparisons mark such times and say what the mark means; JSON has it all.
good compare "${zipf[@]}" --policies full --epoch-fraction 0.1 --db part.db
says '^single +~[0-9.]+ ms '
says '^full +~[0-9.]+ ms '
is "lines that explain" "$(grep -c '^~ extrapolated ' out)" 1
good report --db part.db --output part.html
is "experiments explained in the report" "$(grep -c '<p>~ extrapolated ' part.html)" 2
good compare "${zipf[@]}" --policies full --db whole.db
is "whole epochs marked" "$(grep -c '~' out)" 0
good run "${zipf[@]}" --epoch-fraction 0.1 --db json.db --json
is "JSON" "$(sql :memory: "SELECT json_extract(readfile('out'), '\$.epochs_run'),
    json_extract(readfile('out'), '\$.epoch[0].ci_low_s') = json_extract(readfile('out'), '\$.epoch_low_s')")" '0.1|1'
finish
