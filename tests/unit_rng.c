/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random streams: known answers, uniformity, independence of streams; hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>

#include "core/rng.h"

/* Fails when the counts are less likely than one in a million under equal shares. Seeds are fixed: no luck is
 * needed. */
static void assert_uniform(const char *what, const uint64_t *counts, size_t n)
{
    double total = 0, chi_square = 0;
    for (size_t i = 0; i < n; i++)
        total += (double)counts[i];
    for (size_t i = 0; i < n; i++) {
        double off = (double)counts[i] - total / (double)n;
        chi_square += off * off / (total / (double)n);
    }
    double p = gsl_cdf_chisq_Q(chi_square, (double)n - 1);
    if (p < 1e-6 || p > 1 - 1e-6)
        fail_msg("%s: chi-square %g over %zu cells, p = %g", what, chi_square, n, p);
}

/* The first numbers after the state 1, 2, 3, 4, as the algorithm's definition gives them by hand: the first
 * is rotl(2 * 5, 7) * 9 = 11520, the second has s[1] = 0. */
static void generator_gives_known_numbers(void **state)
{
    (void)state;
    static const uint64_t known[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct pm_rng rng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(pm_rng_u64(&rng) == known[i]);
}

/* pm_hash64 is the step of SplitMix64, whose first outputs after the seed 0 are published. */
static void hash_gives_known_numbers(void **state)
{
    (void)state;
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    assert_true(pm_hash64(0) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(pm_hash64(golden) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(pm_hash64(2 * golden) == UINT64_C(0x06c45d188009454f));
    assert_true(pm_hash64(3 * golden) == UINT64_C(0xf88bb8a8724c81ec));
}

static void gsl_sees_the_same_stream(void **state)
{
    (void)state;
    struct pm_rng a, b;
    pm_rng_init(&a, "x", 1, 2, 3);
    b = a;
    gsl_rng view = pm_rng_gsl(&b);
    for (int i = 0; i < 10; i++) {
        assert_true(pm_rng_u64(&a) == gsl_rng_get(&view));
        assert_true(pm_rng_real(&a) == gsl_rng_uniform(&view));
    }
    assert_memory_equal(&a, &b, sizeof a);
    gsl_rng *own = gsl_rng_alloc(&pm_rng_type);
    gsl_rng_set(own, 0);
    assert_true(gsl_rng_get(own) != 0);
    assert_true(gsl_rng_max(own) == UINT64_MAX);
    /* All 64 bits of a seed count. */
    gsl_rng_set(own, 1);
    uint64_t low = gsl_rng_get(own);
    gsl_rng_set(own, 1 + (UINT64_C(1) << 32));
    assert_true(gsl_rng_get(own) != low);
    gsl_rng_free(own);
}

static void streams_differ_in_every_part_of_their_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t seed, node, worker;
    } streams[] = {
        {"a", 1, 0, 0},
        {"b", 1, 0, 0},
        {"ab", 1, 0, 0},
        {"a", 2, 0, 0},
        {"a", 1, 1, 0},
        {"a", 1, 0, 1},
        {"a", 1, 1, 1},
        {"", 1, 0, 0},
        {"a", 0, 1, 0},
        {"a", UINT64_C(1) << 32, 0, 0},
        {"a", 1, PM_RNG_NOBODY, 0},
        {"a", 1, 0, PM_RNG_NOBODY},
    };
    enum { N = sizeof streams / sizeof *streams };
    struct pm_rng rngs[N], again;
    for (int i = 0; i < N; i++)
        pm_rng_init(&rngs[i], streams[i].name, streams[i].seed, streams[i].node, streams[i].worker);
    for (int i = 0; i < N; i++) {
        pm_rng_init(&again, streams[i].name, streams[i].seed, streams[i].node, streams[i].worker);
        assert_memory_equal(&again, &rngs[i], sizeof again);
        for (int j = 0; j < i; j++)
            for (int word = 0; word < 4; word++)
                assert_true(rngs[i].s[word] != rngs[j].s[word]);
    }
}

static void first_draws_of_neighbouring_streams_are_uniform(void **state)
{
    (void)state;
    uint64_t cells[64] = {0}, joint[64] = {0};
    for (uint64_t node = 0; node < 300; node++) {
        for (uint64_t worker = 0; worker < 100; worker++) {
            struct pm_rng rng, next;
            pm_rng_init(&rng, "loader", 1, node, worker);
            pm_rng_init(&next, "loader", 1, node, worker + 1);
            uint64_t draw = pm_rng_u64(&rng), other = pm_rng_u64(&next);
            cells[draw >> 58]++;
            joint[(draw >> 61) * 8 + (other >> 61)]++;
        }
    }
    assert_uniform("first draws", cells, 64);
    assert_uniform("pairs of first draws", joint, 64);
}

static void reals_and_ranges_are_uniform(void **state)
{
    (void)state;
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_rng", 1, 0, 0);
    uint64_t reals[100] = {0}, below[7] = {0}, large[3] = {0}, low_bits[256] = {0};
    /* Without drawing again, multiples of 3 would come twice as often here. */
    const uint64_t most = 3 * (UINT64_C(1) << 62);
    for (int i = 0; i < 300000; i++) {
        double real = pm_rng_real(&rng);
        assert_true(real >= 0 && real < 1);
        reals[(int)(real * 100)]++;
        below[pm_rng_below(&rng, 7)]++;
        large[pm_rng_below(&rng, most) % 3]++;
        low_bits[pm_rng_u64(&rng) & 255]++;
        assert_true(pm_rng_below(&rng, 1) == 0);
    }
    assert_uniform("reals", reals, 100);
    assert_uniform("below 7", below, 7);
    assert_uniform("below 3 x 2^62", large, 3);
    assert_uniform("low bits", low_bits, 256);
}

static void normals_have_their_moments(void **state)
{
    (void)state;
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_rng", 2, 0, 0);
    uint64_t cells[50] = {0};
    double sum = 0, squares = 0;
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        double x = pm_rng_normal(&rng);
        sum += x;
        squares += x * x;
        cells[(int)fmin(49, gsl_cdf_ugaussian_P(x) * 50)]++;
    }
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 5 * sqrt(2.0 / n));
    assert_uniform("normals", cells, 50);
}

static void hash_spreads_keys_over_nodes(void **state)
{
    (void)state;
    for (uint64_t stride = 1; stride <= 1 << 20; stride *= 16) {
        uint64_t nodes[24] = {0};
        for (uint64_t i = 0; i < 24000; i++)
            nodes[pm_hash64(i * stride) % 24]++;
        assert_uniform("homes", nodes, 24);
    }
}

static void every_bit_changes_half_of_the_hash(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        double flipped = 0, flipped_pair = 0;
        for (uint64_t i = 0; i < 1000; i++) {
            uint64_t x = pm_hash64(i);
            flipped += __builtin_popcountll(pm_hash64(x) ^ pm_hash64(x ^ UINT64_C(1) << bit));
            flipped_pair +=
                __builtin_popcountll(pm_hash64_pair(x, 5) ^ pm_hash64_pair(x ^ UINT64_C(1) << bit, 5));
        }
        assert_true(fabs(flipped / 1000 - 32) < 1);
        assert_true(fabs(flipped_pair / 1000 - 32) < 1);
    }
    assert_true(pm_hash64_pair(1, 2) != pm_hash64_pair(2, 1));
}

static void hash_of_bytes_sees_every_byte(void **state)
{
    (void)state;
    unsigned char data[40] = {0};
    for (size_t length = 0; length <= sizeof data; length++) {
        uint64_t h = pm_hash_bytes(data, length, 7);
        assert_true(h != pm_hash_bytes(data, length, 8));
        if (length > 0)
            assert_true(h != pm_hash_bytes(data, length - 1, 7)); /* only zeros differ */
        for (size_t i = 0; i < length; i++) {
            data[i] = 1;
            assert_true(h != pm_hash_bytes(data, length, 7));
            data[i] = 0;
        }
    }
    /* The address does not matter. */
    char text[] = "xabcdefghijklmnop";
    char same[] = "abcdefghijklmnop";
    assert_true(pm_hash_bytes(text + 1, 16, 0) == pm_hash_bytes(same, 16, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_gives_known_numbers),
        cmocka_unit_test(hash_gives_known_numbers),
        cmocka_unit_test(gsl_sees_the_same_stream),
        cmocka_unit_test(streams_differ_in_every_part_of_their_name),
        cmocka_unit_test(first_draws_of_neighbouring_streams_are_uniform),
        cmocka_unit_test(reals_and_ranges_are_uniform),
        cmocka_unit_test(normals_have_their_moments),
        cmocka_unit_test(hash_spreads_keys_over_nodes),
        cmocka_unit_test(every_bit_changes_half_of_the_hash),
        cmocka_unit_test(hash_of_bytes_sees_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
