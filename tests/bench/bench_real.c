/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Remote pulls and pushes between two processes on the real backend: the time of a synchronous pull, beside a
 * blocking TCP ping-pong of the same sizes taken in the same run, and keys per second with 64 operations in
 * flight.
 *
 *   bench_real [ROUNDS [OPERATIONS]]      (5 2000)
 *
 * Each process is bound to a core of its own, so that both sides of both measurements have the same way to
 * go, and once more without that. Ping-pong and pulls take turns; figures are medians over the rounds. Exit
 * 0: a benchmark does not judge, it prints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"
#include "core/pm.h"
#include "core/registry.h"
#include "real/backend.h"
#include "real/sleeper.h"
#include "tests/measure.h"
#include "tests/testload.h"

enum {
    KEYS = 100000,
    LENGTH = 4,
    BATCHES = 3,
    BATCH_MAX = 100,
    IN_FLIGHT = 64,
    ROUNDS_MAX = 99,
    DRAWS = 1 << 16
};
static const uint32_t batches[BATCHES] = {1, 10, 100};

/* Recorded on another machine, two processes on two cores of a virtual AVX-512 Xeon: AdaPM's released code
 * with its defaults and tuned, and ps-lite. Microseconds; thousand keys per second. */
static const double recorded_pull_us[BATCHES][3] = {{216, 173, 169}, {227, 179, 176}, {273, 215, 181}};
static const double recorded_kkeys[2][BATCHES][3] = {
    {{80, 119, 119}, {296, 1152, 1023}, {1841, 3939, 9254}},
    {{92, 124, 164}, {358, 1108, 1465}, {2103, 3710, 13317}},
};

/* What one round finds, per batch size. */
enum figure { PING_P50, PING_P99, PULL_P50, PULL_P99, PULL_RATE, PUSH_RATE, FIGURES };
static double found[BATCHES][FIGURES][ROUNDS_MAX];

struct plan {
    uint32_t operations, round;
    bool pinned;
};

/* ---- Ping-pong ---- */

static void ping_pong(const struct plan *plan, uint32_t b)
{
    size_t out = PM_WIRE_BYTES + 8 * batches[b], back = PM_WIRE_BYTES + 4 * LENGTH * batches[b];
    uint32_t n = plan->operations;
    double *us = malloc(n * sizeof *us);
    measure_ping_pong(us, n, out, back, plan->pinned);
    found[b][PING_P50][plan->round] = measure_quantile(us, n, 0.5);
    found[b][PING_P99][plan->round] = measure_quantile(us, n, 0.99);
    free(us);
}

/* ---- Pulls and pushes ---- */

/* Node 0's worker draws keys that node 1 owns. */
static void draw_remote(struct pm_worker *w, pm_key *keys)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "bench", 1, 0, 0);
    for (uint32_t i = 0; i < DRAWS; i++)
        do
            keys[i] = pm_rng_below(&rng, KEYS);
        while (pm_home(w->ctx.node, keys[i]) != 1);
}

static void tell(struct pm_worker *w, uint32_t b, enum figure figure, double value)
{
    const struct pm_job *job = pm_node_job(w->ctx.node);
    struct pm_record record = {.kind = PM_RECORD_QUALITY, .epoch = b * FIGURES + figure};
    record.u.quality.value = value;
    job->report(job->report_arg, &record);
}

static int synchronous(struct pm_worker *w, const struct plan *plan, const pm_key *keys, uint32_t b)
{
    float out[BATCH_MAX * LENGTH];
    uint32_t n = plan->operations, warm = n / 10;
    double *us = malloc(n * sizeof *us);
    int rc = us ? PM_OK : PM_E_MEMORY;
    for (uint32_t i = 0; i < n + warm && rc == PM_OK; i++) {
        int64_t start_ns = real_clock_ns();
        rc = pm_wait(w, pm_pull(w, keys + (size_t)i * batches[b] % (DRAWS - BATCH_MAX), batches[b], out));
        if (i >= warm)
            us[i - warm] = (double)(real_clock_ns() - start_ns) / 1e3;
    }
    if (rc == PM_OK) {
        tell(w, b, PULL_P50, measure_quantile(us, n, 0.5));
        tell(w, b, PULL_P99, measure_quantile(us, n, 0.99));
    }
    free(us);
    return rc;
}

static int in_flight(struct pm_worker *w, const struct plan *plan, const pm_key *keys, uint32_t b, bool push)
{
    static float values[IN_FLIGHT][BATCH_MAX * LENGTH];
    pm_ticket tickets[IN_FLIGHT] = {0};
    uint32_t n = 10 * plan->operations;
    int64_t start_ns = real_clock_ns();
    int rc = PM_OK;
    for (uint32_t i = 0; i < n && rc == PM_OK; i++) {
        pm_ticket *ticket = &tickets[i % IN_FLIGHT];
        const pm_key *batch = keys + (size_t)i * batches[b] % (DRAWS - BATCH_MAX);
        rc = *ticket ? pm_wait(w, *ticket) : PM_OK;
        *ticket = push ? pm_push(w, batch, batches[b], values[i % IN_FLIGHT])
                       : pm_pull(w, batch, batches[b], values[i % IN_FLIGHT]);
        if (*ticket < 0)
            rc = (int)*ticket;
    }
    if (rc == PM_OK)
        rc = pm_wait_all(w);
    double keys_per_s = (double)n * batches[b] * 1e9 / (double)(real_clock_ns() - start_ns);
    tell(w, b, push ? PUSH_RATE : PULL_RATE, keys_per_s / 1e3);
    return rc;
}

static int work(struct pm_worker *w, void *arg)
{
    static pm_key keys[DRAWS];
    const struct plan *plan = arg;
    uint32_t rank = pm_worker_rank(w);
    if (plan->pinned)
        measure_pin(rank);
    int rc = pm_barrier(w);
    if (rank == 0 && rc == PM_OK) {
        draw_remote(w, keys);
        for (uint32_t b = 0; b < BATCHES && rc == PM_OK; b++) {
            rc = synchronous(w, plan, keys, b);
            for (int push = 0; push < 2 && rc == PM_OK; push++)
                rc = in_flight(w, plan, keys, b, push);
        }
    }
    return rc == PM_OK ? pm_barrier(w) : rc;
}

static void keep(void *arg, const struct pm_record *record)
{
    const struct plan *plan = arg;
    if (record->kind == PM_RECORD_QUALITY)
        found[record->epoch / FIGURES][record->epoch % FIGURES][plan->round] = record->u.quality.value;
}

static void run_backend(const struct plan *plan, const char *spin)
{
    const struct testload_shape shape = {.keys = KEYS, .length = LENGTH};
    const struct pm_policy *policy = NULL;
    struct testjob t;
    struct pm_values options;
    struct pm_error err = {.code = PM_OK};
    for (size_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, "classic") == 0)
            policy = pm_registry_policies[i];
    if (!policy || testjob_init(&t, policy, "", &shape, &err) != PM_OK ||
        pm_values_init(&options, pm_backend_real.options, &err) != PM_OK ||
        pm_values_set(&options, "spin", spin, &err) != PM_OK) {
        fprintf(stderr, "bench_real: %s\n", policy ? err.text : "there is no policy classic");
        exit(1);
    }
    testjob_cluster(&t, 2, 1);
    t.job.main = work;
    t.job.main_arg = (void *)(uintptr_t)plan;
    t.job.report = keep;
    t.job.report_arg = (void *)(uintptr_t)plan;
    if (pm_backend_real.run(&t.job, &options, &err) != PM_OK) {
        fprintf(stderr, "bench_real: %s\n", err.text);
        exit(1);
    }
    pm_values_free(&options);
    testjob_free(&t);
}

static double median(uint32_t b, enum figure figure, uint32_t rounds)
{
    return measure_quantile(found[b][figure], rounds, 0.5);
}

static void table(uint32_t rounds, uint32_t operations, bool pinned, const char *spin)
{
    struct plan plan = {.operations = operations, .pinned = pinned};
    for (plan.round = 0; plan.round < rounds; plan.round++) {
        for (uint32_t b = 0; b < BATCHES; b++)
            ping_pong(&plan, b);
        run_backend(&plan, spin);
    }
    printf("%s, spin %s\n", pinned ? "one core per process" : "cores as the system chooses", spin);
    printf("       |   ping-pong us  | synchronous pull us |  ratio   | AdaPM tuned ps-lite | 64 in flight, "
           "kkeys/s: "
           "ours | AdaPM tuned ps-lite\n");
    printf(" batch |    p50     p99  |      p50      p99   |   p50    |                     |        pull    "
           "  push  "
           "     | (pulls)\n");
    for (uint32_t b = 0; b < BATCHES; b++) {
        double ping = median(b, PING_P50, rounds), pull = median(b, PULL_P50, rounds);
        const double *r = recorded_pull_us[b], *k = recorded_kkeys[0][b];
        printf("%6u | %7.1f %7.1f | %9.1f %9.1f | %5.2f %-3s | %5.0f %5.0f %7.0f | %11.0f %9.0f | %5.0f "
               "%5.0f %7.0f\n",
               batches[b], ping, median(b, PING_P99, rounds), pull, median(b, PULL_P99, rounds), pull / ping,
               pull / ping <= 1.5 ? "met" : "", r[0], r[1], r[2], median(b, PULL_RATE, rounds),
               median(b, PUSH_RATE, rounds), k[0], k[1], k[2]);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 5,
         operations = argc > 2 ? strtol(argv[2], NULL, 10) : 2000;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    operations = operations < 10 ? 10 : operations > 1000000 ? 1000000 : operations;
    printf("Remote access between two processes, length %d, %ld rounds of %ld operations; medians.\n", LENGTH,
           rounds, operations);
    printf("Target: p50 of a synchronous pull at most 1.5 times that of the ping-pong.\n");
    printf("AdaPM, tuned, ps-lite: as recorded on another machine.\n\n");
    table((uint32_t)rounds, (uint32_t)operations, true, "0s");
    table((uint32_t)rounds, (uint32_t)operations, false, "0s");
    table((uint32_t)rounds, (uint32_t)operations, true, "100us");
    return 0;
}
