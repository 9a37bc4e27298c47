/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How far ahead adaps looks: quantiles, and the estimate of a worker's pace. */
#include "policies/adaps_pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <gsl/gsl_cdf.h>

/* Windows at 0.9999 that the published estimator has. */
static void published_windows(void **state)
{
    static const struct {
        double rate;
        pm_clock window;
    } cases[] = {{0.1, 3}, {0.5, 6}, {1, 9}, {2, 13}, {5, 24}, {10, 39},
                 {20, 66}, {50, 139}, {100, 255}, {250, 585}, {500, 1120}, {1000, 2168}};
    (void)state;
    struct pm_poisson q;
    pm_poisson_init(&q, 0.9999);
    for (int back = 0; back < 2; back++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            assert_int_equal(adaps_window(&q, cases[i].rate), cases[i].window);
    pm_poisson_free(&q);
}

/* The least k that is enough, by the distribution itself; kept or computed anew. */
static void quantiles_are_least(void **state)
{
    static const double probabilities[] = {0.5, 0.9, 0.9999, 0.999999};
    (void)state;
    for (size_t i = 0; i < sizeof probabilities / sizeof *probabilities; i++) {
        struct pm_poisson q;
        pm_poisson_init(&q, probabilities[i]);
        for (double mean = 1e-3; mean < 1.9e6; mean *= 1.37) {
            int64_t k = pm_poisson_quantile(&q, mean);
            assert_true(gsl_cdf_poisson_P((unsigned)k, mean) >= probabilities[i]);
            assert_true(k == 0 || gsl_cdf_poisson_P((unsigned)k - 1, mean) < probabilities[i]);
        }
        pm_poisson_free(&q);
    }
}

/* A million clocks per round and more: the normal distribution, without a jump where it begins. */
static void large_rates(void **state)
{
    (void)state;
    struct pm_poisson q;
    pm_poisson_init(&q, 0.9999);
    double below = (double)adaps_window(&q, 999999), from = (double)adaps_window(&q, 1000000);
    assert_true(fabs(from - below) < 20);
    assert_int_equal(adaps_window(&q, 1e6), (pm_clock)ceil(2e6 + sqrt(2e6) * gsl_cdf_ugaussian_Pinv(0.9999)));
    pm_poisson_free(&q);
}

static void pace_of_a_worker(void **state)
{
    (void)state;
    struct adaps_pace p = {0};
    assert_true(adaps_pace_round(&p, 500, 0.1) == 10); /* the first round has seen nothing pass */
    assert_true(adaps_pace_round(&p, 500, 0.1) == 10); /* who stands still keeps its rate */
    assert_true(adaps_pace_round(&p, 600, 0.1) == 100);
    assert_true(fabs(p.rate - 19) < 1e-12);
    assert_true(fabs(adaps_pace_round(&p, 602, 0.1) - 17.3) < 1e-12); /* slower now, but the rate remembers */
    assert_true(fabs(adaps_pace_round(&p, 602, 0.1) - 17.3) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_windows),
        cmocka_unit_test(quantiles_are_least),
        cmocka_unit_test(large_rates),
        cmocka_unit_test(pace_of_a_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
