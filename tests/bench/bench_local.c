/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local pulls and pushes on one node: nanoseconds per key and thread, beside a bound taken in the same run
 * (one array without locks or bookkeeping, over the same keys, batch by batch) and memcpy's bandwidth.
 *
 *   bench_local [REPETITIONS]      (9)
 *
 * What is compared takes turns in every repetition, so that other load on the machine hits all alike; figures
 * are medians. Time is each thread's processor time: no local access blocks, waiting for a latch spins and
 * counts, and what other programs take does not. Exit 0: a benchmark does not judge, it prints. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/distribution.h"
#include "core/node.h"
#include "core/pm.h"
#include "core/registry.h"
#include "core/workload.h"
#include "real/ops.h"

enum { KEYS = 1000000, DRAWS = 1 << 20, THREADS_MAX = 2, REPETITIONS_MAX = 99 };
enum { BATCH_MAX = 100, LENGTH_MAX = 128 };
#define SKEW        1.1
#define COPY_BYTES  ((size_t)256 << 20)

enum operation { NODE_PULL, NODE_PUSH, ARRAY_PULL, ARRAY_PUSH, OPERATIONS };
enum stream { UNIFORM, ZIPF, STREAMS };
static const char *const stream_names[] = {"uniform", "Zipf 1.1"};
static const uint32_t batches[] = {1, 10, 100}, lengths[] = {4, 128};
enum { BATCHES = sizeof batches / sizeof *batches, LENGTHS = sizeof lengths / sizeof *lengths };

/* Nanoseconds per key and thread of AdaPM's released code with its defaults (-O3 -march=native), one node, 1M
 * keys, medians on another machine: two cores of a virtual AVX-512 Xeon. */
static const struct recorded {
    uint32_t length, threads;
    enum stream stream;
    uint32_t batch;
    double pull, push;
} adapm[] = {
    {4, 1, ZIPF, 10, 56, 65},     {4, 1, UNIFORM, 10, 113, 120}, {4, 1, UNIFORM, 1, 125, 153},
    {4, 2, ZIPF, 10, 108, 145},   {4, 2, UNIFORM, 100, 96, 99},  {128, 1, ZIPF, 10, 109, 257},
    {128, 1, UNIFORM, 10, 188, 590}, {128, 2, ZIPF, 10, 157, 422},
};

/* Processor and elapsed time of measurements with several threads: did they really run at the same time? */
static double together_cpu_ns, together_ns;

struct target {
    const char *text;
    uint32_t length, batch_min;
    bool pulls;
    double factor;
    double worst; /* found */
    char where[64];
};
static struct target targets[] = {
    {.text = "length 4, batches of 10 and more", .length = 4, .batch_min = 10, .pulls = true, .factor = 3},
    {.text = "length 128, pushes", .length = 128, .batch_min = 1, .factor = 2},
};

struct bench {
    struct pm_model model;
    struct pm_node *node;
    uint32_t length;
    float *array;
    pm_key *keys[STREAMS][THREADS_MAX];
};

/* One thread's share of a measurement. */
struct run {
    const struct bench *bench;
    enum operation operation;
    const pm_key *keys;
    uint32_t thread, batch;
    float *buffer;
    pthread_barrier_t *start;
    int64_t ns, elapsed_ns;
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- a node without a cluster: memory and yielding as in the real backend, nothing to send ---- */

static int64_t ops_now_ns(void *self)
{
    (void)self;
    return clock_ns(CLOCK_MONOTONIC);
}

static void ops_deliver(void *self, struct pm_ctx *ctx)
{
    (void)self;
    PM_ASSERT(!ctx->outbox.first && !ctx->outbox.n_wakes, "a local access sent something");
}

static int ops_block(void *self, struct pm_worker *worker)
{
    (void)self, (void)worker;
    PM_ASSERT(false, "a local access blocked");
}

static const struct pm_workload zeros = {.abi = PM_WORKLOAD_ABI, .name = "zeros"};

static void *large(size_t bytes)
{
    void *memory = real_ops.alloc(NULL, bytes);
    PM_ASSERT(memory, "out of memory");
    memset(memory, 0, bytes);
    return memory;
}

static void open_bench(struct bench *b, uint32_t length)
{
    static struct pm_backend_ops ops;
    ops = real_ops; /* alloc, release and relax look at nothing of a running node */
    ops.now_ns = ops_now_ns;
    ops.deliver = ops_deliver;
    ops.block = ops_block;
    struct pm_error err = {0};
    b->length = length;
    b->model = (struct pm_model){0};
    int rc = pm_layout_add(&b->model.layout, KEYS, length, &err);
    struct pm_node_config config = {
        .nodes = 1,
        .workers = THREADS_MAX,
        .policy = pm_registry_policies[0],
        .model = &b->model,
        .workload = &zeros,
        .with_values = true,
        .dense = true,
        .ops = &ops,
    };
    for (uint32_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, "single") == 0)
            config.policy = pm_registry_policies[i];
    if (rc >= 0)
        rc = pm_node_create(&config, &b->node, &err);
    PM_ASSERT(rc == PM_OK, "%s", err.text);
    b->array = large((size_t)KEYS * length * sizeof(float));
}

static void close_bench(struct bench *b)
{
    pm_node_destroy(b->node);
    real_ops.release(NULL, b->array, (size_t)KEYS * b->length * sizeof(float));
}

static void draw_keys(struct bench *b)
{
    struct pm_distribution d[STREAMS];
    pm_distribution_uniform(&d[UNIFORM], 0, KEYS, NULL);
    int rc = pm_distribution_zipf(&d[ZIPF], 0, KEYS, SKEW, NULL);
    PM_ASSERT(rc == PM_OK);
    pm_distribution_scatter(&d[ZIPF], 1);
    for (int s = 0; s < STREAMS; s++)
        for (uint32_t t = 0; t < THREADS_MAX; t++) {
            struct pm_rng rng;
            pm_rng_init(&rng, stream_names[s], 1, 0, t);
            b->keys[s][t] = large(DRAWS * sizeof(pm_key));
            for (uint32_t i = 0; i < DRAWS; i++)
                b->keys[s][t][i] = pm_distribution_draw(&d[s], &rng);
        }
    pm_distribution_free(&d[UNIFORM]);
    pm_distribution_free(&d[ZIPF]);
}

/* ---- what is measured ---- */

/* The bound: no locks, a length that the compiler knows; with two threads updates may get lost. */
static inline __attribute__((always_inline)) void array_batch(const struct run *r, const pm_key *keys,
                                                              uint32_t length)
{
    float *array = r->bench->array;
    for (uint32_t i = 0; i < r->batch; i++) {
        float *value = array + keys[i] * length, *mine = r->buffer + i * length;
        if (r->operation == ARRAY_PULL)
            memcpy(mine, value, length * sizeof *mine);
        else
            for (uint32_t k = 0; k < length; k++)
                value[k] += mine[k];
    }
}

static void run_array(const struct run *r)
{
    for (uint32_t i = 0; i + r->batch <= DRAWS; i += r->batch) {
        if (r->bench->length == 4)
            array_batch(r, r->keys + i, 4);
        else
            array_batch(r, r->keys + i, 128);
        __asm__ volatile("" : : "r"(r->buffer) : "memory"); /* each batch counts */
    }
}

static void run_node(const struct run *r)
{
    struct pm_worker *w = pm_node_worker(r->bench->node, r->thread);
    for (uint32_t i = 0; i + r->batch <= DRAWS; i += r->batch) {
        pm_ticket ticket = r->operation == NODE_PULL ? pm_pull(w, r->keys + i, r->batch, r->buffer)
                                                     : pm_push(w, r->keys + i, r->batch, r->buffer);
        PM_ASSERT(ticket == PM_DONE, "code %d", (int)ticket);
    }
}

static void *run_thread(void *arg)
{
    struct run *r = arg;
    pthread_barrier_wait(r->start);
    int64_t started = clock_ns(CLOCK_MONOTONIC), before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (r->operation == NODE_PULL || r->operation == NODE_PUSH)
        run_node(r);
    else
        run_array(r);
    r->ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
    r->elapsed_ns = clock_ns(CLOCK_MONOTONIC) - started;
    return NULL;
}

/* Nanoseconds per key and thread, once. */
static double measure(const struct bench *b, enum operation operation, uint32_t threads, enum stream stream,
                      uint32_t batch)
{
    static _Alignas(64) float buffers[THREADS_MAX][BATCH_MAX * LENGTH_MAX];
    struct run runs[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, threads);
    for (uint32_t t = 0; t < threads; t++) {
        runs[t] = (struct run){b, operation, b->keys[stream][t], t, batch, buffers[t], &start, 0, 0};
        if (operation == NODE_PUSH || operation == ARRAY_PUSH)
            for (uint32_t i = 0; i < batch * b->length; i++)
                buffers[t][i] = 1;
        int rc = pthread_create(&ids[t], NULL, run_thread, &runs[t]);
        PM_ASSERT(rc == 0, "pthread_create: %d", rc);
    }
    double ns = 0;
    for (uint32_t t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        ns += (double)runs[t].ns / threads;
        if (threads > 1) {
            together_cpu_ns += (double)runs[t].ns;
            together_ns += (double)runs[t].elapsed_ns;
        }
    }
    pthread_barrier_destroy(&start);
    return ns / (DRAWS / batch * batch);
}

/* ---- the limit of memory ---- */

struct copy {
    char *to, *from;
    pthread_barrier_t *start;
    double bytes_per_s;
};

static void *run_copy(void *arg)
{
    struct copy *c = arg;
    pthread_barrier_wait(c->start);
    int64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    memcpy(c->to, c->from, COPY_BYTES);
    c->bytes_per_s = (double)COPY_BYTES * 1e9 / (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before);
    return NULL;
}

static void print_bandwidth(uint32_t repetitions)
{
    struct copy copies[THREADS_MAX];
    pthread_barrier_t start;
    double samples[REPETITIONS_MAX];
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        copies[t] = (struct copy){large(COPY_BYTES), large(COPY_BYTES), &start, 0};
    for (uint32_t threads = 1; threads <= THREADS_MAX; threads++) {
        pthread_t ids[THREADS_MAX];
        pthread_barrier_init(&start, NULL, threads);
        for (uint32_t i = 0; i < repetitions; i++) {
            samples[i] = 0;
            for (uint32_t t = 0; t < threads; t++)
                pthread_create(&ids[t], NULL, run_copy, &copies[t]);
            for (uint32_t t = 0; t < threads; t++) {
                pthread_join(ids[t], NULL);
                samples[i] += copies[t].bytes_per_s;
            }
        }
        pthread_barrier_destroy(&start);
        printf("memcpy from DRAM, %u thread%s: %.1f GB/s copied\n", threads, threads > 1 ? "s" : "",
               median(samples, repetitions) / 1e9);
    }
    for (uint32_t t = 0; t < THREADS_MAX; t++) {
        real_ops.release(NULL, copies[t].to, COPY_BYTES);
        real_ops.release(NULL, copies[t].from, COPY_BYTES);
    }
}

/* ---- tables ---- */

static void hold_against(double factor, const char *what, const struct recorded *r)
{
    for (struct target *t = targets; t < targets + sizeof targets / sizeof *targets; t++) {
        bool is_pull = strcmp(what, "pull") == 0;
        if (r->length != t->length || r->batch < t->batch_min || (is_pull && !t->pulls))
            continue;
        if (t->where[0] && t->worst <= factor)
            continue;
        t->worst = factor;
        snprintf(t->where, sizeof t->where, "%s, %u thread%s, %s, batch %u", what, r->threads,
                 r->threads > 1 ? "s" : "", stream_names[r->stream], r->batch);
    }
}

static void print_row(const struct recorded *row, const double ns[OPERATIONS])
{
    printf("%6u %7u  %-8s %5u | %7.1f %7.1f | %7.1f %7.1f | %5.2f %5.2f |", row->length, row->threads,
           stream_names[row->stream], row->batch, ns[NODE_PULL], ns[NODE_PUSH], ns[ARRAY_PULL],
           ns[ARRAY_PUSH], ns[NODE_PULL] / ns[ARRAY_PULL], ns[NODE_PUSH] / ns[ARRAY_PUSH]);
    for (const struct recorded *a = adapm; a < adapm + sizeof adapm / sizeof *adapm; a++) {
        if (a->length != row->length || a->threads != row->threads || a->stream != row->stream ||
            a->batch != row->batch)
            continue;
        double pulls = a->pull / ns[NODE_PULL], pushes = a->push / ns[NODE_PUSH];
        printf(" %5.0f %5.0f | %4.1f %4.1f", a->pull, a->push, pulls, pushes);
        hold_against(pulls, "pull", a);
        hold_against(pushes, "push", a);
    }
    putchar('\n');
    fflush(stdout);
}

static void print_table(const struct bench *b, uint32_t repetitions)
{
    static double samples[OPERATIONS][REPETITIONS_MAX];
    for (uint32_t threads = 1; threads <= THREADS_MAX; threads++)
        for (int s = 0; s < STREAMS; s++)
            for (uint32_t i = 0; i < BATCHES; i++) {
                struct recorded row = {b->length, threads, s, batches[i], 0, 0};
                double ns[OPERATIONS];
                for (uint32_t rep = 0; rep < repetitions; rep++)
                    for (int o = 0; o < OPERATIONS; o++)
                        samples[o][rep] = measure(b, o, threads, s, batches[i]);
                for (int o = 0; o < OPERATIONS; o++)
                    ns[o] = median(samples[o], repetitions);
                print_row(&row, ns);
            }
}

int main(int argc, char **argv)
{
    long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 9;
    uint32_t repetitions = asked < 1 ? 1 : asked > REPETITIONS_MAX ? REPETITIONS_MAX : (uint32_t)asked;
    printf("Local access on one node, %d keys: ns per key and thread, medians of %u.\n", KEYS, repetitions);
    print_bandwidth(repetitions);
    printf("AdaPM: as recorded on another machine.\n\n"
           "%-30s |      node       |      array      | node/array  |    AdaPM    | faster\n"
           "%6s %7s  %-8s %5s |    pull    push |    pull    push |  pull  push |  pull  push | pull push\n",
           "", "length", "threads", "keys", "batch");
    struct bench b;
    draw_keys(&b);
    for (uint32_t i = 0; i < LENGTHS; i++) {
        open_bench(&b, lengths[i]);
        print_table(&b, repetitions);
        close_bench(&b);
    }
    printf("\nWith two threads each had a processor for %.0f %% of the time%s.\n",
           100 * together_cpu_ns / together_ns,
           together_cpu_ns < 0.9 * together_ns ? ": too little to say how they disturb each other" : "");
    for (const struct target *t = targets; t < targets + sizeof targets / sizeof *targets; t++)
        printf("%s: at least %g times AdaPM's keys per second: worst %.1f times (%s): target %s\n", t->text,
               t->factor, t->worst, t->where, t->worst >= t->factor ? "met" : "missed");
    return 0;
}
