/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said of traces, against plain counting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/trace_stats.h"
#include "core/distribution.h"
#include "tests/tracemaker.h"

static uint64_t distance_by_counting(const uint64_t *stream, size_t at)
{
    size_t before = at;
    while (before > 0 && stream[before - 1] != stream[at])
        before--;
    if (before == 0)
        return UINT64_MAX;
    uint64_t distinct = 0;
    for (size_t i = before; i < at; i++) {
        bool seen = false;
        for (size_t k = before; k < i; k++)
            seen |= stream[k] == stream[i];
        distinct += !seen;
    }
    return distinct;
}

/* Streams long enough for positions to be used up several times. */
static void reuse_distances_are_exact(void **state)
{
    (void)state;
    enum { N = 700 };
    static const uint64_t keys[] = {1, 3, 20, 200};
    for (size_t c = 0; c < sizeof keys / sizeof keys[0]; c++) {
        uint64_t stream[N];
        struct reuse r;
        struct pm_rng rng;
        pm_rng_init(&rng, "unit_trace_stats", c, 0, 0);
        assert_int_equal(reuse_begin(&r, keys[c]), PM_OK);
        for (size_t i = 0; i < N; i++) {
            stream[i] = pm_rng_below(&rng, keys[c]);
            assert_int_equal(reuse_access(&r, stream[i]), distance_by_counting(stream, i));
        }
        reuse_free(&r);
    }
}

/* One access of the trace, in the order in which workers of a group take turns. */
struct access {
    pm_key key;
    uint64_t turn;
};

/* The accesses of workers [first, end); returns their number. */
static size_t accesses_of(const struct tracemaker *t, uint32_t first, uint32_t end, struct access *out)
{
    size_t n = 0;
    for (uint32_t epoch = 0; epoch < t->epochs; epoch++)
        for (uint32_t i = 0; i < t->batches; i++)
            for (uint32_t rank = first; rank < end; rank++) {
                struct trace_batch b = tracemaker_batch(t, rank, epoch, i);
                const struct trace_list *const lists[] = {&b.keys, &b.samples};
                for (int l = 0; l < 2; l++)
                    for (uint32_t k = 0; k < lists[l]->n; k++)
                        out[n++] = (struct access){lists[l]->keys[k], (uint64_t)epoch * t->batches + i};
            }
    return n;
}

/* Mean number of different keys in whole windows. */
static double window_by_counting(const struct access *a, size_t n, uint64_t turns, uint64_t length)
{
    double sum = 0;
    for (uint64_t w = 0; w < turns / length; w++)
        for (size_t i = 0; i < n; i++) {
            bool seen = a[i].turn / length != w;
            for (size_t k = 0; k < i && !seen; k++)
                seen = a[k].turn / length == w && a[k].key == a[i].key;
            sum += !seen;
        }
    return sum / (double)(turns / length);
}

enum { ACCESSES_MAX = 10000 };

static void check_windows(const struct tracemaker *t, const struct trace_stats *s)
{
    static struct access all[ACCESSES_MAX];
    uint64_t turns = (uint64_t)t->epochs * t->batches, length = 1;
    for (int i = 0; i < 3; i++, length *= 10) {
        double node = 0;
        for (uint32_t n = 0; n < t->nodes && length <= turns; n++) {
            size_t found = accesses_of(t, n * t->workers, (n + 1) * t->workers, all);
            node += window_by_counting(all, found, turns, length) / t->nodes;
        }
        size_t found = accesses_of(t, 0, t->nodes * t->workers, all);
        assert_int_equal(s->windows[i].batches, length <= turns ? length : 0);
        if (length > turns)
            continue;
        assert_true(fabs(s->windows[i].node_keys - node) < 1e-9);
        assert_true(fabs(s->windows[i].all_keys - window_by_counting(all, found, turns, length)) < 1e-9);
    }
}

static void check_distances(const struct tracemaker *t, const struct trace_stats *s)
{
    static struct access all[ACCESSES_MAX];
    static uint64_t stream[ACCESSES_MAX];
    uint64_t expected[STATS_DISTANCES] = {0}, first = 0;
    for (uint32_t node = 0; node < t->nodes; node++) {
        size_t n = accesses_of(t, node * t->workers, (node + 1) * t->workers, all);
        for (size_t i = 0; i < n; i++) {
            stream[i] = all[i].key;
            uint64_t distance = distance_by_counting(stream, i);
            int bucket = 0;
            while (bucket < 63 && distance >> bucket != 0)
                bucket++;
            if (distance == UINT64_MAX)
                first++;
            else
                expected[bucket]++;
        }
    }
    assert_int_equal(s->first, first);
    assert_memory_equal(s->distances, expected, sizeof expected);
}

static void check_sharing(const struct tracemaker *t, const struct trace_stats *s)
{
    static struct access all[ACCESSES_MAX];
    static uint64_t counts[1000], nodes_of[1000];
    uint64_t keys[8] = {0}, accesses[8] = {0}, accessed = 0, hottest = 0;
    memset(counts, 0, sizeof counts);
    memset(nodes_of, 0, sizeof nodes_of);
    for (uint32_t node = 0; node < t->nodes; node++) {
        size_t n = accesses_of(t, node * t->workers, (node + 1) * t->workers, all);
        for (size_t i = 0; i < n; i++) {
            counts[all[i].key]++;
            nodes_of[all[i].key] |= UINT64_C(1) << node;
        }
    }
    for (size_t key = 0; key < 1000; key++)
        if (counts[key] > 0) {
            int n = __builtin_popcountll(nodes_of[key]) - 1;
            keys[n]++;
            accesses[n] += counts[key];
            accessed++;
            hottest = counts[key] > hottest ? counts[key] : hottest;
        }
    assert_true(s->keys == accessed && s->hottest_accesses == hottest);
    assert_memory_equal(s->shared_keys, keys, t->nodes * sizeof *keys);
    assert_memory_equal(s->shared_accesses, accesses, t->nodes * sizeof *accesses);
}

static void stats_are_what_counting_gives(void **state)
{
    (void)state;
    static const struct tracemaker cases[] = {
        {.nodes = 3, .workers = 2, .epochs = 2, .keys = 100, .batches = 17, .seed = 1},
        {.nodes = 1, .workers = 1, .epochs = 1, .keys = 21, .batches = 120, .seed = 2},
        {.nodes = 2, .workers = 1, .epochs = 3, .keys = 900, .batches = 5, .seed = 3, .barriers = 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace_file f;
        struct trace_stats s;
        tracemaker_write(&cases[i], tracemaker_path(0));
        assert_int_equal(trace_open(tracemaker_path(0), &f, NULL, NULL, NULL), PM_OK);
        assert_int_equal(trace_stats(&f, &s, NULL), PM_OK);
        assert_true(s.direct + s.samples == f.accesses);
        assert_int_equal(s.barriers, cases[i].barriers > 0 ? 3 * 2 : 0);
        check_windows(&cases[i], &s);
        check_distances(&cases[i], &s);
        check_sharing(&cases[i], &s);
        trace_stats_free(&s);
        trace_close(&f);
        unlink(tracemaker_path(0));
    }
}

/* Writes a trace of one worker with these keys, 100 in a batch. */
static void write_keys(const pm_key *keys, uint32_t n, uint64_t n_keys)
{
    struct trace_output output;
    struct trace_totals totals;
    struct pm_layout layout = {0};
    struct trace_stream stream;
    struct trace_shape shape = {.nodes = 1, .workers = 1, .origin = ""};
    assert_int_equal(trace_output_begin(&output, tracemaker_path(0), NULL), PM_OK);
    int fd = trace_output_open(&output);
    trace_stream_begin(&stream, fd, 0);
    for (uint32_t i = 0; i < n; i += 100) {
        struct trace_batch b = {.flops = 1, .keys = {keys + i, n - i < 100 ? n - i : 100, 0, NULL}};
        assert_int_equal(trace_stream_add(&stream, 0, &b, NULL), PM_OK);
    }
    assert_true(pm_layout_add(&layout, n_keys, 1, NULL) >= 0);
    assert_int_equal(trace_output_layout(fd, &layout, NULL), PM_OK);
    assert_int_equal(trace_stream_end(&stream, NULL), PM_OK);
    trace_stream_free(&stream);
    close(fd);
    assert_int_equal(trace_output_finish(&output, &shape, &totals, NULL), PM_OK);
}

static void stats_of_keys(const pm_key *keys, uint32_t n, uint64_t n_keys, struct trace_stats *s)
{
    struct trace_file f;
    write_keys(keys, n, n_keys);
    assert_int_equal(trace_open(tracemaker_path(0), &f, NULL, NULL, NULL), PM_OK);
    assert_int_equal(trace_stats(&f, s, NULL), PM_OK);
    trace_close(&f);
    unlink(tracemaker_path(0));
}

/* Draws from a Zipf law are recognised, the more the better. */
static void exponents_are_found(void **state)
{
    (void)state;
    enum { N = 400000, KEYS = 1000 };
    static const double exponents[] = {0, 0.6, 1, 1.4};
    static pm_key keys[N];
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        struct pm_distribution d;
        struct pm_rng rng;
        struct trace_stats s;
        pm_rng_init(&rng, "unit_trace_stats.zipf", i, 0, 0);
        assert_int_equal(pm_distribution_zipf(&d, 0, KEYS, exponents[i], NULL), PM_OK);
        for (uint32_t k = 0; k < N; k++)
            keys[k] = pm_distribution_draw(&d, &rng);
        pm_distribution_free(&d);
        stats_of_keys(keys, N, KEYS, &s);
        /* ranks by the counts themselves make even uniform draws look a little skewed */
        if (fabs(s.zipf - exponents[i]) > (exponents[i] > 0 ? 0.03 : 0.06))
            fail_msg("exponent %g, found %g", exponents[i], s.zipf);
        trace_stats_free(&s);
    }
}

/* 1000 keys, key k k + 1 times, as a trace of the reverse order. */
static void shares_of_the_hottest(void **state)
{
    (void)state;
    enum { KEYS = 1000, N = KEYS * (KEYS + 1) / 2 };
    static pm_key keys[N];
    uint32_t n = 0;
    struct trace_stats s;
    for (pm_key key = KEYS; key-- > 0;)
        for (pm_key times = 0; times <= key; times++)
            keys[n++] = key;
    stats_of_keys(keys, N, KEYS + 5, &s);
    static const int hottest[STATS_SHARES] = {1, 10, 100, 500};
    assert_true(s.keys == KEYS && s.hottest_accesses == KEYS);
    for (int i = 0; i < STATS_SHARES; i++) {
        double sum = 0;
        for (int k = 0; k < hottest[i]; k++)
            sum += KEYS - k;
        assert_true(fabs(s.hottest[i] - sum / N) < 1e-12);
    }
    trace_stats_free(&s);
}

static void a_trace_of_one_key(void **state)
{
    (void)state;
    static const pm_key keys[3] = {2, 2, 2};
    struct trace_stats s;
    stats_of_keys(keys, 3, 4, &s);
    assert_true(s.keys == 1 && isnan(s.zipf) && s.hottest[0] == 1 && s.first == 1 && s.distances[0] == 2);
    assert_true(s.shared_keys[0] == 1 && s.shared_accesses[0] == 3 && s.windows[0].batches == 1 && s.windows[1].batches == 0);
    trace_stats_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reuse_distances_are_exact), cmocka_unit_test(stats_are_what_counting_gives),
        cmocka_unit_test(exponents_are_found),       cmocka_unit_test(shares_of_the_hottest),
        cmocka_unit_test(a_trace_of_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
