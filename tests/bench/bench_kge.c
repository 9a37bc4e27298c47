/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels of knowledge graph embeddings: floating-point operations per second on one thread, beside the processor's peak for
 * the same instruction set, taken in the same run: as many independent multiply-adds on registers as it has.
 *
 *   bench_kge [REPETITIONS]      (9)
 *
 * A group is some triples that share negatives; 1 x 12 is what a triple with 6 + 6 negatives has per call, 64 x 512 a batch that
 * shares its negatives. Peak and kernels take turns, figures are medians, time is the thread's processor time. Exit 0: a
 * benchmark does not judge, it prints. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workloads/kge_kernel.h"

enum { REPETITIONS_MAX = 99, PEAK_STEPS = 2000000 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Peak ---- */

/* Twelve of each: as many are under way as the latency of a multiply-add needs, and as registers hold. Each begins with another
 * number: of equal ones the compiler would keep one. */
#define TWELVE(do)                                                                                                                 \
    do                                                                                                                             \
    (0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11)
#define DECLARE(n) vector x##n = b + n;
#define STEP(n)    x##n = x##n * a + b;
#define KEEP(n)    keep = keep + x##n[0];

/* Defines a function that does PEAK_STEPS times twelve multiply-adds on vectors of this many floats, and returns the operations.
 * The rest of the tests is compiled without fused ones. */
#define PEAK(name, isa, floats)                                                                                                    \
    __attribute__((optimize("fp-contract=fast") isa)) static double name(void)                                                     \
    {                                                                                                                              \
        typedef float vector __attribute__((vector_size(floats * sizeof(float))));                                                 \
        volatile float factor = 0.5f, keep = 0;                                                                                    \
        vector a = {0}, b = {0};                                                                                                   \
        a += factor;                                                                                                               \
        b += factor;                                                                                                               \
        TWELVE(DECLARE)                                                                                                            \
        for (int i = 0; i < PEAK_STEPS; i++) {                                                                                     \
            TWELVE(STEP)                                                                                                           \
        }                                                                                                                          \
        TWELVE(KEEP)                                                                                                               \
        return 2.0 * 12 * floats * PEAK_STEPS;                                                                                     \
    }

#if defined(__x86_64__)
#define ISA(text) , target(text)
PEAK(peak_avx512, ISA("avx512f,fma"), 16)
PEAK(peak_avx2, ISA("avx2,fma"), 8)
#endif
PEAK(peak_baseline, , 4)

static double peak_of(const struct kge_kernel *kernel)
{
    double start = now_s(), flops;
#if defined(__x86_64__)
    if (strcmp(kernel->name, "avx512") == 0)
        flops = peak_avx512();
    else if (strcmp(kernel->name, "avx2") == 0)
        flops = peak_avx2();
    else
#endif
        flops = peak_baseline();
    return flops / (now_s() - start);
}

/* ---- Kernels ---- */

enum { SCORES, SUMS, GRADIENTS, WHAT };
static const char *const what_names[WHAT] = {"scores", "sums of candidates", "gradients of candidates"};

struct group {
    uint32_t triples, negatives, dims;
    float *vectors, *candidates, *scores, *sums, *updates;
};

static float *floats(size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = 0.01f * (float)(1 + i % 7);
    return x;
}

static struct group make_group(uint32_t triples, uint32_t negatives, uint32_t dims)
{
    return (struct group){triples,
                          negatives,
                          dims,
                          floats((size_t)triples * dims),
                          floats((size_t)negatives * 2 * dims),
                          floats((size_t)triples * negatives),
                          floats((size_t)triples * dims),
                          floats((size_t)negatives * 2 * dims)};
}

static void free_group(struct group *g)
{
    free(g->vectors);
    free(g->candidates);
    free(g->scores);
    free(g->sums);
    free(g->updates);
}

static void run(const struct kge_kernel *k, const struct group *g, int what)
{
    struct kge_rows vectors = {g->vectors, g->dims, g->triples}, candidates = {g->candidates, 2 * g->dims, g->negatives};
    if (what == SCORES)
        k->scores(vectors, candidates, g->dims, g->scores, g->negatives);
    else if (what == SUMS)
        k->combine(g->scores, g->negatives, 1, g->triples, candidates, g->dims, g->sums, g->dims);
    else
        k->combine(g->scores, 1, g->negatives, g->negatives, vectors, g->dims, g->updates, 2 * g->dims);
}

static double rate_of(const struct kge_kernel *k, const struct group *g, int what)
{
    double per_call = 2.0 * g->triples * g->negatives * g->dims;
    int calls = (int)(5e7 / per_call) + 1;
    double start = now_s();
    for (int i = 0; i < calls; i++)
        run(k, g, what);
    return per_call * calls / (now_s() - start);
}

/* With a rate of 1 steps that are taken for gradients again do not vanish: numbers too small to be normal would take longer. */
static double adagrad_ns(const struct kge_kernel *k, const struct group *g)
{
    int calls = (int)(4e6 / ((double)g->dims * g->negatives)) + 1;
    double start = now_s();
    for (int i = 0; i < calls; i++)
        for (uint32_t j = 0; j < g->negatives; j++)
            k->adagrad(g->candidates + (size_t)j * 2 * g->dims, g->updates + (size_t)j * 2 * g->dims, g->dims, 1);
    return (now_s() - start) * 1e9 / ((double)calls * g->dims * g->negatives);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    return x[n / 2];
}

static void measure(const struct kge_kernel *k, struct group *g, int repetitions)
{
    double peaks[REPETITIONS_MAX], rates[WHAT][REPETITIONS_MAX], steps[REPETITIONS_MAX];
    for (int i = 0; i < repetitions; i++) {
        peaks[i] = peak_of(k);
        for (int what = 0; what < WHAT; what++)
            rates[what][i] = rate_of(k, g, what);
        steps[i] = adagrad_ns(k, g);
    }
    double peak = median(peaks, repetitions);
    printf("%-8s d = %3u, %2u x %3u: peak %5.1f Gflop/s", k->name, g->dims, g->triples, g->negatives, peak * 1e-9);
    for (int what = 0; what < WHAT; what++) {
        double rate = median(rates[what], repetitions);
        printf("; %s %5.1f (%2.0f %%)", what_names[what], rate * 1e-9, 100 * rate / peak);
    }
    printf("; AdaGrad %.2f ns per element\n", median(steps, repetitions));
}

int main(int argc, char **argv)
{
    int repetitions = argc > 1 ? atoi(argv[1]) : 9;
    if (repetitions < 1 || repetitions > REPETITIONS_MAX) {
        fprintf(stderr, "bench_kge: repetitions from 1 to %d\n", REPETITIONS_MAX);
        return 2;
    }
    static const uint32_t dims[] = {100, 128, 500}, shapes[][2] = {{1, 12}, {64, 512}};
    for (const struct kge_kernel *const *k = kge_kernels; *k != NULL; k++)
        for (size_t d = 0; (*k)->runs_here() && d < sizeof dims / sizeof *dims; d++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
                struct group g = make_group(shapes[s][0], shapes[s][1], dims[d]);
                measure(*k, &g, repetitions);
                free_group(&g);
            }
    return 0;
}
