#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 240
# Figures run only what is missing and draw; the report is one file; neither needs more than the database.
. "$(dirname "$0")/cli.sh"
command -v gnuplot >/dev/null || { echo "gnuplot is not here (package gnuplot-nox)"; exit 77; }

# A small figure of our own, by path.
mkdir -p mine
cat >mine/figure.ini <<'X'
title = Mine <&>
answers = nothing
[options]
workload = zipf
workload.keys = 20
workload.steps = 3
workers = 1
[vary]
policy = single kv classic:fast_local=0
nodes = 1 2
X
cp plots/epoch_time/query.sql plots/epoch_time/plot.gp mine/
good figure ./mine --db f.db --output out.d
for end in svg png tsv gp; do [ -s out.d/mine.$end ] || wrong "no out.d/mine.$end"; done
is "runs of the figure: single once" "$(sql f.db 'SELECT count(*) FROM run')" 5
is "kind of the picture" "$(head -c 8 out.d/mine.png | od -An -tx1 | tr -d ' \n')" 89504e470d0a1a0a
is "series" "$(grep -c '^"' out.d/mine.tsv)" 3
good figure ./mine --db f.db --output out.d --quiet
is "runs after a second time" "$(sql f.db 'SELECT count(*) FROM run')" 5
good figure mine/ --db f.db --output out.d --nodes 2 --quiet --jobs 2
is "runs after one with options that the figure varies" "$(sql f.db 'SELECT count(*) FROM run')" 5
good figure mine/ --db f.db --output out.d --workload.steps 4 --nodes 2 --quiet --jobs 2
is "runs after one with another option" "$(sql f.db 'SELECT count(*) FROM run')" 8
good figure ./mine --db f.db --output out.d --terminal dumb
[ "$(wc -l <out)" -gt 20 ] || wrong "nothing was drawn as text"
(cd out.d && gnuplot -e 'set terminal dumb' mine.gp >/dev/null 2>../err) ||
    wrong "the script alone: $(cat err)"

# Values to vary on several lines; options of one policy; those of the command line count more.
mkdir -p own
sed -e 's/^nodes = .*/nodes = 1/' -e 's/^policy = .*/policy = single kv\npolicy = classic:fast_local=0/' mine/figure.ini \
    >own/figure.ini
printf '[policy kv]\nepochs = 2\nworkload.steps = 5\n' >>own/figure.ini
cp mine/query.sql mine/plot.gp own/
epochs() { sql own.db "SELECT group_concat(policy || epochs || workload_options) FROM (SELECT *, (SELECT count(*) FROM epoch e
    WHERE e.run_id = r.run_id) AS epochs FROM run r WHERE run_id > $1 ORDER BY policy)"; }
good figure ./own --db own.db --output out.d --quiet
is "epochs and steps" "$(epochs 0)" classic1keys=20,steps=3,kv2keys=20,steps=5,single1keys=20,steps=3
good figure ./own --db own.db --output out.d --quiet --workload.steps 4 --epochs 3
is "epochs and steps that were asked for" "$(epochs 3)" classic3keys=20,steps=4,kv3keys=20,steps=4,single3keys=20,steps=4

# What is wrong with a figure is one line.
bad 3 'nope/figure.ini' figure ./nope
echo 'what = 1' >>mine/figure.ini
sed -i 's/^\[options\]/[option]/' mine/figure.ini
bad 3 'mine/figure.ini:4' figure ./mine --db f.db
sed -i 's/^\[option\]/[options]/; /^what/d' mine/figure.ini
echo 'SELECT nowhere' >mine/query.sql
bad 3 'figure mine: .*no such column: nowhere' figure ./mine --db f.db
: >mine/query.sql
bad 3 'figure mine: database f.db: a query that is empty, or only comments' figure ./mine --db f.db
printf 'SELECT 1\n\0' >mine/query.sql
bad 3 'mine/query.sql:2: a zero byte; not a text file' figure ./mine --db f.db
cp plots/epoch_time/query.sql mine/
echo 'plot nonsense nonsense' >mine/plot.gp
bad 3 'gnuplot .*mine.gp' figure ./mine --db f.db
sed 's/^nodes = .*/&  '"$(printf '%200s' '')"' 2/' own/figure.ini >mine/figure.ini
bad 3 'mine/figure.ini:11: line is longer than 198 characters' figure ./mine --db f.db
sed 's/^nodes = .*/nodes = /' own/figure.ini >mine/figure.ini
bad 3 'mine/figure.ini:11: neither title, answers, nor .* \[vary\] \(1 to 64 values\)' figure ./mine --db f.db
cp own/figure.ini mine/
printf '[options]\nnodez = 1\n' >>mine/figure.ini
bad 3 'mine/figure.ini: unknown option --nodez' figure ./mine --db f.db

# The report: one file, pictures inside, nothing from outside.
before=$(sql f.db 'SELECT count(*) FROM run')
good report --db f.db --output r.html
says '^r.html$'
is "pictures" "$(($(grep -c '<svg' r.html) > 1))" 1
is "tables" "$(($(grep -c '<table>' r.html) > 1))" 1
is "what is loaded from outside" "$(grep -cE '(src|href)="?(http|/|[a-z]+\.(js|css|png))' r.html)" 0
is "runs after the report" "$(sql f.db 'SELECT count(*) FROM run')" "$before"
is "files beside it" "$(echo r.html*)" r.html
good run --nodes 2 --workers 1 --workload zipf:keys=20,steps=3 --db one.db --quiet
good report --db one.db --output one.html --quiet
is "a report of one run" "$(grep -c 'too few to be drawn' one.html)" 1
bad 3 'database nope.db' report --db nope.db

# Every figure of ours can be drawn from tiny runs.
for name in $("$PMLAB" list figures | awk '{ print $1 }'); do
    good figure "$name" --db all.db --output all --workload zipf:keys=50,steps=5 --workers 1 --jobs 2 --quiet
    [ -s "all/$name.svg" ] || wrong "no picture of $name"
done
# numbers FIGURE COLUMN: that column of its data, one per line.
numbers() { awk -F '\t' -v column="$2" '!/^#/ && NF > 1 { print $column }' "all/$1.tsv"; }
is "ways of access x allocation" "$(numbers lapse_ablation 2 | wc -l)" 4
is "speed-up of one node over itself" "$(grep -A 1 '^"single"$' all/mf_scaling.tsv | tail -n 1 | cut -f 3)" 1.0
is "speeds of a core" "$(numbers compute_speed 1 | sort -gu | paste -sd ' ')" \
    "50000000.0 500000000.0 5000000000.0 50000000000.0"
is "percent over all uses of time, per delay" "$(numbers bounded_wait 3 | awk '{ sum += $1 } END { printf "%.3f", sum }')" 700.000
is "delays" "$(numbers bounded_wait 1 | uniq | tail -n 7 | tr -d '"\n')" 0124816inf
good figure wikidata5m --db all.db --output all --workload.entities 2000 --workload.triples 2000 --workload.dim 10 \
    --epoch-fraction 0.02 --nodes 2 --workers 2 --jobs 2 --quiet
is "epoch times inside their intervals, bytes of all but single" "$(awk -F '\t' '!/^#/ && NF > 1 {
    print ($3 <= $2 && $2 <= $4), $5 != "NaN" }' all/wikidata5m.tsv | sort | uniq -c | xargs)" "1 1 0 9 1 1"
for name in skew sampling; do
    good figure $name --db all.db --output all --workload.keys 50 --workload.steps 5 --nodes 2 --workers 1 --jobs 2 --quiet
done
is "skews" "$(numbers skew 1 | sort -gu | paste -sd ' ')" "0.8 1.1 1.4"
is "shares of samples" "$(numbers sampling 1 | sort -gu | paste -sd ' ')" "0.0 0.3 0.6"
is "remote shares of classic and, where all is replicated, of full" "$(for figure in skew sampling; do
    grep -A 1 -e '^"full"$' -e '^"classic"$' all/$figure.tsv | awk -F '\t' 'NF > 1 { print ($4 > 0.2), ($4 == 0) }'
    done | paste -sd ' ')" "1 0 0 1 1 0 0 1"
is "ages of replicas: none of single, some of full" "$(grep -A 1 -e '^"single"$' -e '^"full"$' all/skew.tsv |
    awk -F '\t' 'NF > 1 { print ($5 + 0 > 0) }' | sort | paste -sd ' ')" "0 1"
is "share of all relocations" "$(numbers relocation_time 2 | sort -g | tail -n 1)" 1.0
is "least share of relocations" "$(numbers relocation_time 2 | awk '$1 <= 0 || $1 > 1' | wc -l)" 0
# Of the few keys that were traced: owners' times cover each key, shares are shares, ranks are those asked for.
is "ranks of keys whose allocation is drawn" "$(numbers allocation 2 | sort -nu | paste -sd ' ')" "1 4 16"
is "shares of time with intent" "$(numbers allocation 7 | awk '$1 != "NaN" && ($1 < 0 || $1 > 1)' | wc -l)" 0
is "nodes x keys with a share" "$(numbers allocation 7 | grep -vc NaN)" $((8 * 3))
is "keys that somebody owns from the start" \
    "$(awk -F '\t' '$4 == 1 && $5 == 0 { print $1 }' all/allocation.tsv | sort -u | wc -l)" 3
# means SERIES: those per key of the figure on techniques.
means() { sed -n "/^\"$1\"\$/,/^\$/p" all/technique.tsv | awk -F '\t' 'NF > 1 { print $2 }' | sort -u; }
is "replicas under full" "$(means 'full: replicas')" 7.0
is "relocations under full" "$(means 'full: relocations')" NaN
is "offsets, twice" "$(numbers action_timing 1 | sort -g | uniq -c | awk '{ printf "%s%s ", $1, $2 }')" \
    "21.0 24.0 216.0 264.0 2256.0 21024.0 24096.0 "
is "variants without a part of adaps" "$(grep -cE '^"(adaps|only)' all/ablations.tsv)" 6
is "medians above the 99th percentile" "$(awk -F '\t' '/^"median"$/ { m = 1 } /^"99th/ { m = 0 } NF > 1 && !/^#/ {
    if (m) a[$1] = $2; else if (a[$1] > $2) n++ } END { print n + 0 }' all/staleness.tsv)" 0
is "settings of nups, and adaps" "$(numbers nups_cloud 1 | wc -l)" 9
finish
