#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# time-limit: 240
# Policies and workloads from shared objects, the simulator as one, and what the command makes of a
# backend's failures.
. "$(dirname "$0")/cli.sh"
tiny=(--nodes 2 --workers 1 --workload zipf:keys=20,steps=3)
compiler=${CC:-gcc}
sanitizer=()
[ -z "${PMLAB_SAN:-}" ] || sanitizer=("-fsanitize=$PMLAB_SAN")

# build NAME: NAME.so out of standard input.
build() {
    "$compiler" -std=gnu11 -Wall -Wextra -O1 -fPIC -shared "${sanitizer[@]}" -I"$root" -x c - -o "$1.so" ||
        wrong "$1.so does not build"
}

# ---- a policy by path; its bare name is recorded; what lies in the file counts ----
policy_source() {
    cat <<X
#include "core/policy.h"
static const struct pm_option options[] = {{"x", PM_OPT_COUNT, "3", "a number", 0, 0, 0}, {0}};
static int init(struct pm_node *node, void *state, const struct pm_values *o, struct pm_traits *t,
                struct pm_error *err)
{
    (void)node, (void)state, (void)err;
    t->group = t->shared_memory = pm_values_count(o, "x") == ${2:-3};
    return PM_OK;
}
const struct pm_policy pm_policy_export = {
    .abi = $1, .name = "mine", .summary = "s", .options = options, .init = init};
X
}
policy_source PM_POLICY_ABI | build mine
good run "${tiny[@]}" --policy ./mine.so --quiet
good run "${tiny[@]}" --policy mine.so:x=4 --quiet
good run "${tiny[@]}" --policy "$dir/mine.so" --quiet
is "policies of a file" \
    "$(sql pmlab.db 'SELECT group_concat(policy || policy_options) FROM run')" 'mine,minex=4,mine'
is "their configurations" "$(sql pmlab.db 'SELECT count(DISTINCT config_hash) FROM run')" 2
good list policy ./mine.so
says '^  x=N '
good compare "${tiny[@]}" --policies ./mine.so:x=5,kv --jobs 2 --db c.db
says '^mine:x=5 '
policy_source PM_POLICY_ABI 4 | build mine
good run "${tiny[@]}" --policy ./mine.so --quiet
is "another content" "$(sql pmlab.db 'SELECT count(DISTINCT config_hash) FROM run')" 3
bad 2 'mine.so: unknown option "y"; nearest is "x"' run "${tiny[@]}" --policy ./mine.so:y=1

# ---- what is wrong with a file is one line and status 3 ----
policy_abi=$(sed -n 's/.*PM_POLICY_ABI = \([0-9]*\).*/\1/p' "$root/core/policy.h")
policy_source 'PM_POLICY_ABI + 1' | build later
bad 3 "later.so: built for interface version $((policy_abi + 1)), this program has $policy_abi" run "${tiny[@]}" --policy ./later.so
echo 'int x;' | build nothing
bad 3 'nothing.so: has no symbol pm_policy_export' run "${tiny[@]}" --policy ./nothing.so
bad 3 'nothing.so: has no symbol pm_workload_export' run --nodes 2 --workload ./nothing.so
echo '#include "core/policy.h"
const struct pm_policy pm_policy_export = {.abi = PM_POLICY_ABI, .name = "n", .summary = "s"};' | build noinit
bad 3 'noinit.so: its table has no init' run "${tiny[@]}" --policy ./noinit.so
echo 'void nowhere(void); void f(void) { nowhere(); }' | build unresolved
bad 3 'unresolved.so: undefined symbol: nowhere' run "${tiny[@]}" --policy ./unresolved.so

# ---- the simulator is loaded only by what simulates, from the program's own folder or ../lib/pmlab ----
mkdir -p bin lib/pmlab
cp "$PMLAB" bin/pmlab
own=$PMLAB
PMLAB=$dir/bin/pmlab
good list policies
good run --backend real --nodes 1 --workers 1 --workload zipf:keys=20,steps=3 --quiet --db r.db
[ -e /usr/local/lib/pmlab/pmlab-sim.so ] || bad 3 'pmlab-sim.so is neither in' run "${tiny[@]}"
cp "$(dirname "$own")/pmlab-sim.so" lib/pmlab/
good run "${tiny[@]}" --quiet --db l.db

# ---- each failure of a backend has its exit status; the run is marked failed with the reason ----
build bin/pmlab-sim <<'X'
#include <stdlib.h>
#include <signal.h>
#include "core/backend.h"
#include "core/job.h"
static const struct pm_option options[] = {{0}};
static int run(const struct pm_job *job, const struct pm_values *values, struct pm_error *err)
{
    (void)values;
    struct pm_record epoch = {.kind = PM_RECORD_EPOCH};
    epoch.u.epoch.epoch_ns = 5;
    epoch.u.epoch.share = 1;
    job->report(job->report_arg, &epoch);
    int code = atoi(getenv("CODE"));
    if (code == 9)
        raise(SIGKILL);
    return code == 0 ? PM_OK : pm_error_set(err, code, "it went\nwrong");
}
const struct pm_backend pm_backend_sim = {PM_BACKEND_ABI, "sim", "s", options, run};
X
for pair in 1:-1 1:-5 2:-6 3:-7 5:-9 6:-11 130:-12 1:-13; do
    export CODE=${pair#*:}
    bad "${pair%:*}" 'it went\?wrong' run "${tiny[@]}" --db f.db
    is "reason of $pair" "$(sql f.db 'SELECT status || reason FROM run ORDER BY run_id DESC LIMIT 1')" \
        "$([ $CODE = -12 ] && echo interrupted || echo failed)it went?wrong"
done
is "what was reported before stays" "$(sql f.db 'SELECT count(*) FROM epoch')" 8
CODE=0 good run "${tiny[@]}" --db f.db

# Other policies of a comparison go on; the same failure of all is said once.
CODE=-13 bad_status=1
export CODE
run compare "${tiny[@]}" --policies kv,full --db f2.db
is "status of a failed comparison" $status $bad_status
is "lines of a failed comparison" "$(wc -l <err)" 1
is "runs of a failed comparison" "$(sql f2.db "SELECT count(*) FROM run WHERE status = 'failed'")" 3

# A run whose process dies is noticed.
CODE=9 run compare "${tiny[@]}" --policies kv,full --jobs 2 --db k.db
is "status after a death" $status 1
grep -q 'the process of this run died of SIGKILL' err || wrong "a death is not explained: $(cat err)"
good show --db k.db
is "dead runs" "$(grep -c ' interrupted .* is gone' out)" 3
intact k.db
finish
