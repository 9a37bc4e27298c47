/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What intents cost a worker and its node: a million of them declared and pending, then made active, then over. Beside each
 * figure a bound taken in the same repetition: the same entries written to one array, a count at each key raised and
 * lowered in one array without locks.
 *
 *   bench_intent [REPETITIONS]      (5)
 *
 * What is compared takes turns in every repetition; figures are medians. Time is the thread's processor time. Exit 0: a
 * benchmark does not judge, it prints. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/internal.h"
#include "core/registry.h"
#include "core/workload.h"
#include "real/ops.h"
#include "tests/measure.h"

enum { KEYS = 1000000, INTENTS = 1000000, LENGTH = 4, KEYS_MAX = 10, REPETITIONS_MAX = 99 };
#define FAR             ((pm_clock)1 << 40)
#define TARGET_BYTES    100.0
#define TARGET_NS       200.0

enum figure { SIGNAL, ARRAY, BYTES, BEGIN, COUNT_UP, EXPIRE, COUNT_DOWN, FIGURES };

static const struct row {
    const char *order;
    uint32_t n_keys;
    bool shuffled;
} rows[] = {
    {"rising", 1, false},
    {"rising", 10, false},
    {"random", 1, true},
    {"random", 10, true},
};
enum { ROWS = sizeof rows / sizeof *rows };

struct intent {
    pm_clock start, end;
    pm_key keys[KEYS_MAX];
};

static struct intent intents[INTENTS];
static pm_key array_keys[(size_t)INTENTS * KEYS_MAX];
static pm_clock array_clocks[(size_t)INTENTS * 2];
static uint16_t counts[KEYS];

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- a node whose messages go nowhere: signalling and acting on intents sends nothing by itself ---- */

static int64_t ops_now_ns(void *self)
{
    (void)self;
    return cpu_ns();
}

static void ops_deliver(void *self, struct pm_ctx *ctx)
{
    (void)self;
    PM_ASSERT(!ctx->outbox.first && !ctx->outbox.n_wakes, "an intent sent something");
}

static const struct pm_workload zeros = {.abi = PM_WORKLOAD_ABI, .name = "zeros"};

static const struct pm_policy *policy_named(const char *name)
{
    for (size_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, name) == 0)
            return pm_registry_policies[i];
    fprintf(stderr, "bench_intent: there is no policy %s\n", name);
    exit(1);
}

static struct pm_node *open_node(struct pm_model *model)
{
    static struct pm_backend_ops ops;
    static struct pm_values options;
    struct pm_error err = {0};
    struct pm_node *node = NULL;
    ops = real_ops; /* alloc, release and relax look at nothing of a running node */
    ops.now_ns = ops_now_ns;
    ops.deliver = ops_deliver;
    *model = (struct pm_model){0};
    struct pm_node_config config = {
        .nodes = 2,
        .workers = 1,
        .policy = policy_named("adaps"),
        .policy_options = &options,
        .model = model,
        .workload = &zeros,
        .with_values = true,
        .dense = true,
        .ops = &ops,
    };
    int rc = pm_values_init(&options, config.policy->options, &err);
    if (rc == PM_OK && (rc = pm_layout_add(&model->layout, KEYS, LENGTH, &err)) >= 0)
        rc = pm_node_create(&config, &node, &err);
    PM_ASSERT(rc == PM_OK, "%s", err.text);
    pm_values_free(&options);
    return node;
}

/* ---- what is measured ---- */

static void draw(const struct row *row)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "bench intent", 1, 0, 0);
    for (uint32_t i = 0; i < INTENTS; i++) {
        intents[i].start = FAR + (row->shuffled ? (pm_clock)pm_rng_below(&rng, INTENTS) : i);
        intents[i].end = intents[i].start + 1;
        for (uint32_t k = 0; k < row->n_keys; k++)
            intents[i].keys[k] = pm_rng_below(&rng, KEYS);
    }
}

static void signal_all(struct pm_worker *w, uint32_t n_keys)
{
    for (uint32_t i = 0; i < INTENTS; i++) {
        int rc = pm_intent(w, intents[i].keys, n_keys, intents[i].start, intents[i].end);
        PM_ASSERT(rc == PM_OK);
    }
}

static void write_array(uint32_t n_keys)
{
    pm_key *keys = array_keys;
    for (uint32_t i = 0; i < INTENTS; i++) {
        array_clocks[2 * i] = intents[i].start;
        array_clocks[2 * i + 1] = intents[i].end;
        for (uint32_t k = 0; k < n_keys; k++)
            *keys++ = intents[i].keys[k];
        __asm__ volatile("" : : "r"(keys) : "memory");
    }
}

static void count_all(uint32_t n_keys, uint16_t by)
{
    for (uint32_t i = 0; i < INTENTS; i++)
        for (uint32_t k = 0; k < n_keys; k++)
            counts[intents[i].keys[k]] = (uint16_t)(counts[intents[i].keys[k]] + by);
    __asm__ volatile("" : : "r"(counts) : "memory");
}

static void began(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot)
{
    (void)ctx, (void)key, (void)slot;
    ++*(uint64_t *)arg;
}

#define TIMED(figure, what)                                                                                                      \
    do {                                                                                                                         \
        int64_t before_ns = cpu_ns();                                                                                            \
        what;                                                                                                                    \
        found[figure] = (double)(cpu_ns() - before_ns);                                                                          \
    } while (0)

/* One repetition: nanoseconds and bytes of the million. */
static void measure(const struct row *row, double *found)
{
    struct pm_model model;
    struct pm_node *node = open_node(&model);
    struct pm_worker *w = pm_node_worker(node, 0);
    struct pm_ctx *ctx = pm_node_communicator(node);
    uint64_t n_began = 0;
    TIMED(ARRAY, write_array(row->n_keys));
    TIMED(SIGNAL, signal_all(w, row->n_keys));
    found[BYTES] = (double)pm_intents_bytes(w->intents);
    TIMED(BEGIN, pm_intents_activate(ctx, w, FAR, 2 * FAR, began, &n_began));
    TIMED(COUNT_UP, count_all(row->n_keys, 1));
    TIMED(EXPIRE, pm_intents_activate(ctx, w, 2 * FAR, 2 * FAR, began, &n_began));
    TIMED(COUNT_DOWN, count_all(row->n_keys, UINT16_MAX));
    PM_ASSERT(n_began > 0 && w->ctx.counters.intents_dropped == 0);
    pm_node_destroy(node);
}

static void print_row(const struct row *row, uint32_t repetitions)
{
    static double samples[FIGURES][REPETITIONS_MAX];
    double m[FIGURES];
    draw(row);
    for (uint32_t r = 0; r < repetitions; r++) {
        double found[FIGURES];
        measure(row, found);
        for (int f = 0; f < FIGURES; f++)
            samples[f][r] = found[f] / INTENTS / (f >= BEGIN ? row->n_keys : 1);
    }
    for (int f = 0; f < FIGURES; f++)
        m[f] = measure_quantile(samples[f], (uint32_t)repetitions, 0.5);
    printf("%-8s %5u | %7.1f %7.1f %6.1f | %7.1f | %7.1f %7.1f | %7.1f %7.1f |", row->order, row->n_keys, m[SIGNAL], m[ARRAY],
           m[SIGNAL] / m[ARRAY], m[BYTES], m[BEGIN], m[COUNT_UP], m[EXPIRE], m[COUNT_DOWN]);
    if (row->n_keys == 1)
        printf(" %s", m[SIGNAL] <= TARGET_NS && m[BYTES] <= TARGET_BYTES ? "met" : "missed");
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 5;
    uint32_t repetitions = asked < 1 ? 1 : asked > REPETITIONS_MAX ? REPETITIONS_MAX : (uint32_t)asked;
    printf("A worker declares %d intents that begin far in the future, of keys drawn from %d; medians of %u.\n", INTENTS, KEYS,
           repetitions);
    printf("Target: pending, an intent of one key takes less than %g bytes and %g ns to declare.\n\n", TARGET_BYTES, TARGET_NS);
    printf("               |  declaring, ns per intent |  bytes  |  begin, ns/key  |   end, ns/key   |\n"
           "order     keys |  intent   array  ratio  |  intent |    node   array |    node   array |\n");
    for (uint32_t i = 0; i < ROWS; i++)
        print_row(&rows[i], repetitions);
    return 0;
}
