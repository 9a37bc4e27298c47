/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Distributions over keys and the permutation that scatters them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#include "core/distribution.h"

/* Draws, and compares the counts per key with the claimed probabilities; keys that expect fewer than ten
 * draws share a cell. Fails below one in a million; seeds are fixed, so no luck is needed. */
static void assert_draws_fit(const struct pm_distribution *d, int draws, uint64_t seed)
{
    uint64_t *counts = calloc(d->n, sizeof *counts);
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_distribution", seed, 0, 0);
    for (int i = 0; i < draws; i++) {
        pm_key key = pm_distribution_draw(d, &rng);
        assert_true(key >= d->first && key - d->first < d->n);
        counts[key - d->first]++;
    }
    double chi_square = 0, rare_expected = 0, rare_found = 0, total = 0;
    int cells = 0;
    for (uint64_t i = 0; i < d->n; i++) {
        double share = pm_distribution_probability(d, d->first + i), expected = share * draws;
        total += share;
        if (share == 0)
            assert_true(counts[i] == 0);
        if (expected < 10) {
            rare_expected += expected;
            rare_found += (double)counts[i];
            continue;
        }
        chi_square += pow((double)counts[i] - expected, 2) / expected;
        cells++;
    }
    if (rare_expected >= 10) {
        chi_square += pow(rare_found - rare_expected, 2) / rare_expected;
        cells++;
    }
    free(counts);
    if (fabs(total - 1) > 1e-9)
        fail_msg("probabilities add up to %.12g", total);
    double p = cells > 1 ? gsl_cdf_chisq_Q(chi_square, cells - 1) : 0.5;
    if (p < 1e-6 || p > 1 - 1e-6)
        fail_msg("n %g, skew %g: chi-square %g over %d cells, p = %g", (double)d->n, d->skew, chi_square,
                 cells, p);
}

static void uniform_draws(void **state)
{
    (void)state;
    struct pm_distribution d;
    assert_int_equal(pm_distribution_uniform(&d, 100, 37, NULL), PM_OK);
    assert_draws_fit(&d, 100000, 1);
    assert_true(pm_distribution_probability(&d, 99) == 0);
    assert_true(pm_distribution_probability(&d, 137) == 0);
    assert_true(pm_distribution_probability(&d, 136) == 1 / 37.0);
    pm_distribution_free(&d);
}

static void zipf_draws(void **state)
{
    (void)state;
    static const double skews[] = {0, 0.3, 0.75, 1 - 1e-12, 1, 1 + 1e-9, 1.1, 1.5, 2, 5, 20};
    static const uint64_t sizes[] = {1, 2, 3, 10, 1000, 5000};
    for (size_t s = 0; s < sizeof skews / sizeof *skews; s++) {
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
            struct pm_distribution d;
            assert_int_equal(pm_distribution_zipf(&d, 7, sizes[n], skews[s], NULL), PM_OK);
            assert_draws_fit(&d, 60000, 100 * s + n);
            pm_distribution_free(&d);
        }
    }
}

/* The sum over a billion ranks, by the formula, against the sum term by term for n that allow it, and against
 * the zeta function for n that does not. */
static void zipf_probabilities_are_right(void **state)
{
    (void)state;
    static const double skews[] = {0, 0.5, 1, 1.0000001, 1.1, 2, 8};
    for (size_t s = 0; s < sizeof skews / sizeof *skews; s++) {
        for (uint64_t n = 999; n < 300000; n *= 4) {
            struct pm_distribution d;
            assert_int_equal(pm_distribution_zipf(&d, 0, n, skews[s], NULL), PM_OK);
            double sum = 0;
            for (uint64_t r = n; r >= 1; r--)
                sum += pow((double)r, -skews[s]);
            double share = pow(5, -skews[s]) / sum, found = pm_distribution_probability(&d, 4);
            if (fabs(found / share - 1) > 1e-11)
                fail_msg("n %g, skew %g: %.15g, not %.15g", (double)n, skews[s], found, share);
        }
    }
    struct pm_distribution d;
    assert_int_equal(pm_distribution_zipf(&d, 0, 1000000000, 2, NULL), PM_OK);
    double zeta = M_PI * M_PI / 6 - 1e-9; /* what lies beyond 1e9 is 1e-9 */
    assert_true(fabs(pm_distribution_probability(&d, 0) * zeta - 1) < 1e-12);
    /* Harmonic number: log n + Euler's constant + 1 / 2n. */
    assert_int_equal(pm_distribution_zipf(&d, 0, 1000000000, 1, NULL), PM_OK);
    double harmonic = log(1e9) + 0.57721566490153286 + 0.5e-9;
    assert_true(fabs(pm_distribution_probability(&d, 0) * harmonic - 1) < 1e-12);
}

/* A billion ranks: the share of draws per decade of ranks. */
static void zipf_draws_over_a_billion_keys(void **state)
{
    (void)state;
    static const double skews[] = {0.5, 1, 1.2};
    for (size_t s = 0; s < sizeof skews / sizeof *skews; s++) {
        struct pm_distribution d;
        assert_int_equal(pm_distribution_zipf(&d, 0, 1000000000, skews[s], NULL), PM_OK);
        enum { DRAWS = 200000 };
        double found[10] = {0}, chi_square = 0;
        struct pm_rng rng;
        pm_rng_init(&rng, "unit_distribution", 77, s, 0);
        for (int i = 0; i < DRAWS; i++) {
            uint64_t rank = pm_distribution_draw(&d, &rng) + 1;
            int decade = 0;
            while (rank >= 10) {
                rank /= 10;
                decade++;
            }
            found[decade]++;
        }
        int cells = 0;
        double below = 0;
        for (int decade = 0; decade < 9; decade++) { /* rank 1e9 itself is alone in the last */
            struct pm_distribution part;
            assert_int_equal(
                pm_distribution_zipf(&part, 0, (uint64_t)pow(10, decade + 1) - 1, skews[s], NULL), PM_OK);
            double share = part.total / d.total, expected = (share - below) * DRAWS;
            below = share;
            if (expected < 10)
                continue;
            chi_square += pow(found[decade] - expected, 2) / expected;
            cells++;
        }
        double p = gsl_cdf_chisq_Q(chi_square, cells - 1);
        if (p < 1e-6)
            fail_msg("skew %g: chi-square %g over %d decades, p = %g", skews[s], chi_square, cells, p);
        assert_true(found[9] < 10);
    }
}

static void weighted_draws(void **state)
{
    (void)state;
    double weights[200];
    for (int i = 0; i < 200; i++)
        weights[i] = i % 7 == 0 ? 0 : pow(i, 0.75);
    struct pm_distribution d;
    assert_int_equal(pm_distribution_weights(&d, 50, 200, weights, NULL), PM_OK);
    weights[1] = 1e9; /* a copy was made */
    assert_draws_fit(&d, 200000, 3);
    pm_distribution_scatter(&d, 9);
    assert_draws_fit(&d, 200000, 4);
    pm_distribution_free(&d);
    const double one = 3;
    assert_int_equal(pm_distribution_weights(&d, 5, 1, &one, NULL), PM_OK);
    assert_draws_fit(&d, 100, 5);
    pm_distribution_free(&d);
}

static void scattered_draws(void **state)
{
    (void)state;
    struct pm_distribution d;
    assert_int_equal(pm_distribution_zipf(&d, 1000, 3000, 1.1, NULL), PM_OK);
    pm_distribution_scatter(&d, 5);
    assert_draws_fit(&d, 200000, 6);
    int neighbours = 0;
    for (uint64_t rank = 1; rank <= 3000; rank++) {
        pm_key key = pm_distribution_key(&d, rank);
        assert_true(pm_distribution_rank(&d, key) == rank);
        neighbours += rank > 1 && key == pm_distribution_key(&d, rank - 1) + 1;
    }
    assert_in_range(neighbours, 0, 10); /* one is expected */
    pm_distribution_free(&d);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    struct pm_distribution d;
    struct pm_error err = {0};
    assert_int_equal(pm_distribution_uniform(&d, 0, 0, &err), PM_E_ARGUMENT);
    assert_int_equal(pm_distribution_uniform(&d, UINT64_MAX, 1, &err), PM_E_ARGUMENT);
    assert_int_equal(pm_distribution_uniform(&d, UINT64_MAX - 1, 1, &err), PM_OK);
    assert_int_equal(pm_distribution_uniform(&d, 0, PM_DISTRIBUTION_KEYS_MAX + 1, &err), PM_E_LIMIT);
    assert_int_equal(pm_distribution_zipf(&d, 0, 10, -0.1, &err), PM_E_ARGUMENT);
    assert_string_equal(err.text, "Zipf skew -0.1 (allowed: 0 to 20)");
    assert_int_equal(pm_distribution_zipf(&d, 0, 10, NAN, &err), PM_E_ARGUMENT);
    assert_int_equal(pm_distribution_zipf(&d, 0, 10, 20.1, &err), PM_E_ARGUMENT);
    static const double bad[][2] = {{1, -1}, {NAN, 1}, {INFINITY, 1}, {0, 0}, {1e308, 1e308}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pm_distribution_weights(&d, 0, 2, bad[i], &err), PM_E_ARGUMENT);
    assert_non_null(strstr(err.text, "sum of the weights is inf"));
}

static void permutations_are_bijections(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3000; n += 1 + n / 5) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct pm_permutation p;
            pm_permutation_init(&p, n, seed);
            bool *seen = calloc(n, sizeof *seen);
            for (uint64_t i = 0; i < n; i++) {
                uint64_t image = pm_permutation_apply(&p, i);
                assert_true(image < n && !seen[image]);
                seen[image] = true;
                assert_true(pm_permutation_invert(&p, image) == i);
            }
            free(seen);
        }
    }
    static const uint64_t large[] = {1000000007, PM_DISTRIBUTION_KEYS_MAX, PM_PERMUTATION_MAX - 1,
                                     PM_PERMUTATION_MAX};
    for (int k = 0; k < 4; k++) {
        struct pm_permutation p;
        pm_permutation_init(&p, large[k], 11);
        for (uint64_t i = 0; i < 1000; i++) {
            uint64_t at = i % 2 ? large[k] - i : i, image = pm_permutation_apply(&p, at);
            assert_true(image < large[k] && pm_permutation_invert(&p, image) == at);
        }
    }
}

/* Where 0 and 1 go, over many seeds, is uniform over all pairs of places. */
static void permutations_are_spread(void **state)
{
    (void)state;
    enum { N_MAX = 20, SEEDS = 76000 };
    static const uint64_t sizes[] = {2, 3, 4, 8, N_MAX};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        uint64_t n = sizes[k];
        double counts[N_MAX][N_MAX] = {{0}}, chi_square = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct pm_permutation p;
            pm_permutation_init(&p, n, seed);
            counts[pm_permutation_apply(&p, 0)][pm_permutation_apply(&p, 1)]++;
        }
        double pairs = (double)(n * (n - 1)), expected = SEEDS / pairs;
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j < n; j++)
                chi_square += i == j ? 0 : pow(counts[i][j] - expected, 2) / expected;
        double p = gsl_cdf_chisq_Q(chi_square, pairs - 1);
        if (p < 1e-6)
            fail_msg("n %g: chi-square %g, p = %g", (double)n, chi_square, p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_draws),
        cmocka_unit_test(zipf_draws),
        cmocka_unit_test(zipf_probabilities_are_right),
        cmocka_unit_test(zipf_draws_over_a_billion_keys),
        cmocka_unit_test(weighted_draws),
        cmocka_unit_test(scattered_draws),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(permutations_are_bijections),
        cmocka_unit_test(permutations_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
