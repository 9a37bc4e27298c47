/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What intents bring about between two processes on the real backend, under adaps: relocation in bulk, back and forth; the time
 * from an intent on one remote key until it is local; replicas that both nodes write. Beside the figures the limits of the same
 * run: memcpy, a stream and a ping-pong over loopback TCP.
 *
 *   bench_intent_real [ROUNDS [PART]]      (5 all; bulk, single, replicas, or the number of a row, from 0)
 *
 * Every round measures everything once; figures are medians over the rounds. On a machine that does other things, too, look at
 * the processor time, which both nodes' threads have taken together. Exit 0: a benchmark does not judge, it prints. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/internal.h"
#include "core/registry.h"
#include "real/backend.h"
#include "real/sleeper.h"
#include "tests/measure.h"
#include "tests/testload.h"

enum {
    ROUNDS_MAX = 99,
    MOVES = 4,  /* of all keys that are measured */
    GROUND = 3, /* before: the first gathers them, then each node has once taken what memory it needs */
    SINGLES = 300,
    DECLARED = 1000, /* keys per call */
    PUSHED = 10,
    PROBES_MAX = 1 << 14,
    PROBE_EVERY = 16, /* batches */
    POLL_NS = 20000
};
#define WRITING_NS   ((int64_t)1000000000)
#define PROBE_NS     ((int64_t)300000)
#define STREAM_BYTES ((uint64_t)1 << 30)
#define FOR_EVER     ((pm_clock)1 << 40)

enum figure { KEYS_PER_S, LATENCY_P50, LATENCY_P99, PUSHES_PER_S, SENT_PER_S, CPU_NS_PER_KEY, FIGURES };

/* One measurement; what AdaPM's released code does with its defaults was recorded on another machine. */
struct experiment {
    int (*main)(struct pm_worker *worker, void *arg);
    uint32_t length;
    uint64_t keys;
    double adapm_keys_per_s, adapm_latency_us;
    double found[FIGURES][ROUNDS_MAX];
    uint32_t round;
};

/* Shared by the two nodes: when the i-th update of a probe was pushed. */
static int64_t *probed_at_ns;

static void pause_ns(int64_t ns)
{
    const struct timespec t = {0, ns};
    nanosleep(&t, NULL);
}

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void tell(struct pm_worker *w, enum figure figure, double value)
{
    const struct pm_job *job = pm_node_job(w->ctx.node);
    struct pm_record record = {.kind = PM_RECORD_QUALITY, .epoch = figure};
    record.u.quality.value = value;
    job->report(job->report_arg, &record);
}

static int declare(struct pm_worker *w, uint64_t n, pm_clock end)
{
    pm_key keys[DECLARED];
    int rc = PM_OK;
    for (uint64_t first = 0; first < n && rc == PM_OK; first += DECLARED) {
        uint64_t count = n - first < DECLARED ? n - first : DECLARED;
        for (uint64_t i = 0; i < count; i++)
            keys[i] = first + i;
        rc = pm_intent(w, keys, count, pm_worker_clock(w), end);
    }
    return rc;
}

/* ---- relocation in bulk ---- */

static uint64_t arrived(struct pm_worker *w)
{
    struct pm_counters c;
    pm_node_counters(w->ctx.node, &c);
    return c.relocations_in;
}

static bool is_wanted(struct pm_worker *w, pm_key key)
{
    struct pm_slot *slot = pm_slot_open(&w->ctx, key);
    bool wanted = slot->intents > 0;
    pm_slot_close(&w->ctx, slot);
    return wanted;
}

/* This node gets all keys, of which `missing` are elsewhere; nanoseconds. */
static int gather(struct pm_worker *w, uint64_t keys, uint64_t missing, int64_t *ns)
{
    uint64_t before = arrived(w);
    int64_t start_ns = real_clock_ns();
    int rc = declare(w, keys, pm_worker_clock(w) + 1);
    while (rc == PM_OK && arrived(w) - before < missing)
        pause_ns(POLL_NS);
    *ns = real_clock_ns() - start_ns;
    if (rc == PM_OK)
        rc = pm_advance_clock(w);
    while (rc == PM_OK && is_wanted(w, keys - 1)) /* the last one that ends */
        pause_ns(POLL_NS);
    return rc;
}

static int move_all(struct pm_worker *w, void *arg)
{
    struct experiment *e = arg;
    uint32_t rank = pm_worker_rank(w);
    uint64_t missing = 0;
    double seconds = 0, cpu = 0;
    int rc = pm_barrier(w);
    for (pm_key key = 0; key < e->keys; key++)
        missing += pm_home(w->ctx.node, key) != rank;
    for (uint32_t move = 0; move < GROUND + MOVES && rc == PM_OK; move++) {
        int64_t ns = 0, before_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
        if (rank == move % 2) {
            rc = gather(w, e->keys, missing, &ns);
            missing = e->keys;
        } else if (move == 0) {
            missing = e->keys;
        }
        if (rc == PM_OK)
            rc = pm_barrier(w);
        double sums[] = {(double)ns / 1e9, (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - before_ns)};
        if (rc == PM_OK)
            rc = pm_reduce(w, sums, 2);
        seconds += move >= GROUND ? sums[0] : 0;
        cpu += move >= GROUND ? sums[1] : 0;
    }
    if (rank == 0 && rc == PM_OK) {
        tell(w, KEYS_PER_S, (double)e->keys * MOVES / seconds);
        tell(w, CPU_NS_PER_KEY, cpu / ((double)e->keys * MOVES));
    }
    return rc;
}

/* ---- one key ---- */

static bool is_owned(struct pm_worker *w, pm_key key)
{
    struct pm_slot *slot = pm_slot_open(&w->ctx, key);
    bool owned = slot->state == PM_SLOT_OWNED;
    pm_slot_close(&w->ctx, slot);
    return owned;
}

static int fetch_singles(struct pm_worker *w, const struct experiment *e)
{
    double us[SINGLES];
    struct pm_rng rng;
    uint32_t n = 0;
    int rc = PM_OK;
    pm_rng_init(&rng, "bench", 1, 0, 0);
    for (pm_key key = 0; key < e->keys && n < SINGLES && rc == PM_OK; key++) {
        if (is_owned(w, key))
            continue;
        pause_ns((int64_t)pm_rng_below(&rng, 2000000)); /* rounds do not wait for us */
        int64_t start_ns = real_clock_ns();
        rc = pm_intent(w, &key, 1, pm_worker_clock(w), pm_worker_clock(w) + 1);
        while (rc == PM_OK && !is_owned(w, key))
            pause_ns(POLL_NS);
        us[n++] = (double)(real_clock_ns() - start_ns) / 1e3;
        if (rc == PM_OK)
            rc = pm_advance_clock(w);
    }
    if (rc == PM_OK) {
        tell(w, LATENCY_P50, measure_quantile(us, n, 0.5));
        tell(w, LATENCY_P99, measure_quantile(us, n, 0.99));
    }
    return rc;
}

static int fetch_one_by_one(struct pm_worker *w, void *arg)
{
    int rc = pm_barrier(w);
    if (rc == PM_OK && pm_worker_rank(w) == 0)
        rc = fetch_singles(w, arg);
    return rc == PM_OK ? pm_barrier(w) : rc;
}

/* ---- replicas ---- */

/* What a node does while both write: pushes to all keys; updates of a probe key per owner, or looks for them. */
struct writer {
    struct pm_worker *worker;
    const struct experiment *e;
    pm_key probes[2];
    float *values; /* room for PUSHED and for two keys */
    struct pm_rng rng;
    uint64_t pushes, seen[2], n_probes, n_delays;
    double delays_us[2 * PROBES_MAX];
};

static int push_batch(struct writer *r)
{
    pm_key keys[PUSHED];
    for (uint32_t i = 0; i < PUSHED; i++)
        keys[i] = pm_rng_below(&r->rng, r->e->keys);
    r->pushes += PUSHED;
    for (uint32_t i = 0; i < PUSHED; i++)
        if (keys[i] == r->probes[0] || keys[i] == r->probes[1])
            return PM_OK;
    pm_ticket ticket = pm_push(r->worker, keys, PUSHED, r->values);
    return ticket < 0 ? (int)ticket : ticket == PM_DONE ? PM_OK : pm_wait(r->worker, ticket);
}

static int push_probes(struct writer *r)
{
    int64_t now_ns = real_clock_ns();
    if (r->n_probes == PROBES_MAX || (r->n_probes && now_ns - probed_at_ns[r->n_probes - 1] < PROBE_NS))
        return PM_OK;
    __atomic_store_n(&probed_at_ns[r->n_probes++], now_ns, __ATOMIC_RELEASE);
    return pm_wait(r->worker, pm_push(r->worker, r->probes, 2, r->values));
}

/* A probe's value is the number of its updates that have come. */
static int look_for_probes(struct writer *r)
{
    float *values = r->values + PUSHED * r->e->length;
    int rc = pm_wait(r->worker, pm_pull(r->worker, r->probes, 2, values));
    int64_t now_ns = real_clock_ns();
    for (uint32_t i = 0; i < 2 && rc == PM_OK; i++) {
        uint64_t n = (uint64_t)(values[i * r->e->length] - testload_initial(r->probes[i], 0));
        for (; r->seen[i] < n; r->seen[i]++)
            r->delays_us[r->n_delays++] =
                (double)(now_ns - __atomic_load_n(&probed_at_ns[r->seen[i]], __ATOMIC_ACQUIRE)) / 1e3;
    }
    return rc;
}

static uint64_t asked(struct pm_worker *w)
{
    return __atomic_load_n(&w->ctx.node->rounds.asked, __ATOMIC_RELAXED);
}

/* Processor time of this node's communicator, on the thread of its only worker. */
static int64_t communicator_ns(void)
{
    return cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Sums over both nodes. */
static int write_for_a_while(struct writer *r)
{
    struct pm_worker *w = r->worker;
    struct pm_counters before, after;
    pm_node_counters(w->ctx.node, &before);
    uint64_t asked_before = asked(w);
    int64_t start_ns = real_clock_ns(), now_ns = start_ns, before_ns = communicator_ns();
    int rc = PM_OK;
    for (uint64_t i = 0; now_ns < start_ns + WRITING_NS && rc == PM_OK; i++) {
        rc = push_batch(r);
        if (i % PROBE_EVERY == 0 && rc == PM_OK)
            rc = pm_worker_rank(w) == 0 ? push_probes(r) : look_for_probes(r);
        now_ns = real_clock_ns();
    }
    double seconds = (double)(now_ns - start_ns) / 1e9;
    pm_node_counters(w->ctx.node, &after);
    double sums[] = {(double)(asked(w) - asked_before) / seconds, (double)r->pushes / seconds,
                     (double)(after.bytes_sent - before.bytes_sent) / seconds,
                     r->n_delays ? measure_quantile(r->delays_us, (uint32_t)r->n_delays, 0.5) : 0,
                     r->n_delays ? measure_quantile(r->delays_us, (uint32_t)r->n_delays, 0.99) : 0,
                     (double)(communicator_ns() - before_ns) / seconds};
    const enum figure figures[] = {KEYS_PER_S, PUSHES_PER_S, SENT_PER_S, LATENCY_P50, LATENCY_P99, CPU_NS_PER_KEY};
    if (rc == PM_OK)
        rc = pm_reduce(w, sums, sizeof sums / sizeof *sums);
    sums[5] /= sums[0];
    for (uint32_t i = 0; i < sizeof sums / sizeof *sums && rc == PM_OK && pm_worker_rank(w) == 0; i++)
        tell(w, figures[i], sums[i]);
    return rc;
}

static bool is_here(struct pm_worker *w, pm_key key)
{
    struct pm_slot *slot = pm_slot_open(&w->ctx, key);
    bool here = slot->state == PM_SLOT_OWNED || (slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_READY));
    pm_slot_close(&w->ctx, slot);
    return here;
}

static int write_replicas(struct pm_worker *w, void *arg)
{
    struct experiment *e = arg;
    static struct writer writer;
    struct writer *r = &writer;
    *r = (struct writer){.worker = w, .e = e};
    for (uint32_t owner = 0; owner < 2; owner++)
        while (pm_home(w->ctx.node, r->probes[owner]) != owner)
            r->probes[owner]++;
    r->values = malloc((size_t)(PUSHED + 2) * e->length * sizeof *r->values);
    PM_ASSERT(r->values);
    for (uint32_t i = 0; i < PUSHED * e->length; i++)
        r->values[i] = 1;
    pm_rng_init(&r->rng, "bench", 1, pm_worker_rank(w), 0);
    int rc = pm_barrier(w);
    if (rc == PM_OK)
        rc = declare(w, e->keys, FOR_EVER);
    for (pm_key key = 0; key < e->keys && rc == PM_OK; key++)
        while (!is_here(w, key))
            pause_ns(POLL_NS);
    if (rc == PM_OK)
        rc = pm_barrier(w);
    if (rc == PM_OK)
        rc = write_for_a_while(r);
    free(r->values);
    return rc;
}

/* ---- running and printing ---- */

static struct experiment bulk[] = {
    {.main = move_all, .length = 4, .keys = 1000000, .adapm_keys_per_s = 849e3},
    {.main = move_all, .length = 4, .keys = 100000, .adapm_keys_per_s = 849e3},
    {.main = move_all, .length = 128, .keys = 100000, .adapm_keys_per_s = 545e3},
    {.main = move_all, .length = 1000, .keys = 20000, .adapm_keys_per_s = 112e3},
};
static struct experiment single = {.main = fetch_one_by_one, .length = 4, .keys = 10000};
static struct experiment replicas[] = {
    {.main = write_replicas, .length = 4, .keys = 1000, .adapm_latency_us = 570},
    {.main = write_replicas, .length = 4, .keys = 20000, .adapm_keys_per_s = 1.3e6, .adapm_latency_us = 4300},
    {.main = write_replicas, .length = 4, .keys = 200000, .adapm_keys_per_s = 1.3e6},
    {.main = write_replicas, .length = 128, .keys = 20000, .adapm_keys_per_s = 0.7e6},
    {.main = write_replicas, .length = 1000, .keys = 5000, .adapm_keys_per_s = 0.12e6},
};
enum { BULKS = sizeof bulk / sizeof *bulk, REPLICAS = sizeof replicas / sizeof *replicas, EXPERIMENTS = BULKS + 1 + REPLICAS };
static double stream[ROUNDS_MAX], copy[ROUNDS_MAX], ping[ROUNDS_MAX];

static void keep(void *arg, const struct pm_record *record)
{
    struct experiment *e = arg;
    if (record->kind == PM_RECORD_QUALITY)
        e->found[record->epoch][e->round] = record->u.quality.value;
}

static void run(struct experiment *e)
{
    const struct testload_shape shape = {.keys = e->keys, .length = e->length};
    const struct pm_policy *policy = NULL;
    struct testjob t;
    struct pm_values options;
    struct pm_error err = {.code = PM_OK};
    for (size_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, "adaps") == 0)
            policy = pm_registry_policies[i];
    if (!policy || testjob_init(&t, policy, "", &shape, &err) != PM_OK ||
        pm_values_init(&options, pm_backend_real.options, &err) != PM_OK) {
        fprintf(stderr, "bench_intent_real: %s\n", policy ? err.text : "there is no policy adaps");
        exit(1);
    }
    testjob_cluster(&t, 2, 1);
    t.job.main = e->main;
    t.job.main_arg = e;
    t.job.report = keep;
    t.job.report_arg = e;
    if (pm_backend_real.run(&t.job, &options, &err) != PM_OK) {
        fprintf(stderr, "bench_intent_real: %s\n", err.text);
        exit(1);
    }
    pm_values_free(&options);
    testjob_free(&t);
}

static double median(struct experiment *e, enum figure figure, uint32_t rounds)
{
    return measure_quantile(e->found[figure], rounds, 0.5);
}

static void print_bulk(uint32_t rounds, double stream_bytes_per_s)
{
    printf("Relocation in bulk, back and forth: thousand keys per second; processor time per key; limit: values, keys and\n"
           "metadata of the request and of the grant (44 bytes and the value) as one stream.\n"
           "length    keys |    ours |  cpu ns |   AdaPM  ratio |   limit  ratio\n");
    for (struct experiment *e = bulk; e < bulk + BULKS; e++) {
        double ours = median(e, KEYS_PER_S, rounds), limit = stream_bytes_per_s / (44 + 4.0 * e->length);
        printf("%6u %7.0f | %7.0f | %7.0f | %7.0f %6.2f | %7.0f %6.2f\n", e->length, (double)e->keys, ours / 1e3,
               median(e, CPU_NS_PER_KEY, rounds), e->adapm_keys_per_s / 1e3, ours / e->adapm_keys_per_s, limit / 1e3, ours / limit);
    }
}

static void print_replicas(uint32_t rounds)
{
    printf("\nReplicas of the same keys at both nodes, which push to them all the time: refreshes of replicas and pushes per\n"
           "second (million, both nodes), processor time of both communicators per refresh, MB/s sent, staleness one way (us).\n"
           "length    keys | refreshes  AdaPM  ratio |  cpu ns |  pushes |   sent | p50     p99    | AdaPM p50\n");
    for (struct experiment *e = replicas; e < replicas + REPLICAS; e++) {
        double ours = median(e, KEYS_PER_S, rounds);
        printf("%6u %7.0f | %9.2f", e->length, (double)e->keys, ours / 1e6);
        if (e->adapm_keys_per_s > 0)
            printf(" %6.2f %6.2f", e->adapm_keys_per_s / 1e6, ours / e->adapm_keys_per_s);
        else
            printf(" %6s %6s", "-", "-");
        printf(" | %7.0f | %7.2f | %6.0f | %7.0f %7.0f |", median(e, CPU_NS_PER_KEY, rounds),
               median(e, PUSHES_PER_S, rounds) / 1e6, median(e, SENT_PER_S, rounds) / 1e6, median(e, LATENCY_P50, rounds),
               median(e, LATENCY_P99, rounds));
        if (e->adapm_latency_us > 0)
            printf(" %7.0f", e->adapm_latency_us);
        putchar('\n');
    }
}

static void measure_limits(uint32_t round)
{
    double us[SINGLES];
    stream[round] = measure_stream(STREAM_BYTES);
    copy[round] = measure_copy();
    measure_ping_pong(us, SINGLES, PM_WIRE_BYTES + 20, PM_WIRE_BYTES + 40, false);
    ping[round] = measure_quantile(us, SINGLES, 0.5);
}

static void select_part(const char *part, uint32_t *first, uint32_t *last)
{
    if (strcmp(part, "bulk") == 0)
        *last = BULKS;
    else if (strcmp(part, "single") == 0)
        *first = BULKS, *last = BULKS + 1;
    else if (strcmp(part, "replicas") == 0)
        *first = BULKS + 1;
    else if (strcmp(part, "all") != 0)
        *first = (uint32_t)strtoul(part, NULL, 10) % EXPERIMENTS, *last = *first + 1;
}

int main(int argc, char **argv)
{
    uint32_t first = 0, last = EXPERIMENTS;
    select_part(argc > 2 ? argv[2] : "all", &first, &last);
    long asked_rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;
    uint32_t rounds = asked_rounds < 1 ? 1 : asked_rounds > ROUNDS_MAX ? ROUNDS_MAX : (uint32_t)asked_rounds;
    probed_at_ns = mmap(NULL, PROBES_MAX * sizeof *probed_at_ns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    PM_ASSERT(probed_at_ns != MAP_FAILED);
    for (uint32_t round = 0; round < rounds; round++) {
        measure_limits(round);
        for (uint32_t i = first; i < last; i++) {
            struct experiment *e = i < BULKS ? &bulk[i] : i == BULKS ? &single : &replicas[i - BULKS - 1];
            e->round = round;
            run(e);
        }
    }
    double stream_bytes_per_s = measure_quantile(stream, rounds, 0.5);
    printf("Two processes under adaps with its defaults, one worker each, %u rounds; medians. AdaPM: as recorded on another "
           "machine.\nmemcpy %.1f GB/s, stream %.2f GB/s, ping-pong %.0f us.\n\n",
           rounds, measure_quantile(copy, rounds, 0.5) / 1e9, stream_bytes_per_s / 1e9, measure_quantile(ping, rounds, 0.5));
    if (first < BULKS)
        print_bulk(rounds, stream_bytes_per_s);
    if (first <= BULKS && last > BULKS)
        printf("\nIntent on one remote key until it is local: p50 %.0f us, p99 %.0f us (AdaPM: p50 500 to 1100); limit: half a "
               "round\n"
           "of 1000 us and a ping-pong, %.0f us.\n",
           median(&single, LATENCY_P50, rounds), median(&single, LATENCY_P99, rounds),
           500 + measure_quantile(ping, rounds, 0.5));
    if (last > BULKS + 1)
        print_replicas(rounds);
    return 0;
}
