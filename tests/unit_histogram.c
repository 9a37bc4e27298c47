/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log-scaled histograms: bucket bounds, merging, quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "core/histogram.h"
#include "core/rng.h"

static void buckets_tile_all_values(void **state)
{
    (void)state;
    assert_true(pm_histogram_lower(0) == 0);
    assert_true(pm_histogram_upper(PM_HISTOGRAM_BUCKETS - 1) == INT64_MAX);
    for (unsigned b = 0; b < PM_HISTOGRAM_BUCKETS; b++) {
        int64_t lower = pm_histogram_lower(b), upper = pm_histogram_upper(b);
        assert_true(lower <= upper);
        assert_int_equal(pm_histogram_bucket(lower), b);
        assert_int_equal(pm_histogram_bucket(lower + (upper - lower) / 2), b);
        assert_int_equal(pm_histogram_bucket(upper), b);
        if (b > 0)
            assert_true(lower == pm_histogram_upper(b - 1) + 1);
        assert_true((double)(upper - lower) <= (double)lower / 8); /* relative width */
        if (b < 16)
            assert_true(lower == b && upper == b);
    }
}

static void empty_histogram(void **state)
{
    (void)state;
    struct pm_histogram h = {0}, other = {0};
    assert_true(pm_histogram_quantile(&h, 0.5) == 0);
    assert_true(pm_histogram_mean(&h) == 0);
    pm_histogram_record_n(&h, 5, 0);
    assert_true(h.count == 0);
    pm_histogram_record(&other, 1000);
    pm_histogram_merge(&other, &h); /* an empty one must not pull the minimum to 0 */
    assert_true(other.min == 1000 && other.max == 1000 && other.count == 1);
    pm_histogram_merge(&h, &other);
    assert_true(h.min == 1000 && h.max == 1000 && h.count == 1 && h.sum == 1000);
    struct pm_histogram wider = {0};
    pm_histogram_record(&wider, 10);
    pm_histogram_record(&wider, 5000);
    pm_histogram_merge(&h, &wider);
    assert_true(h.min == 10 && h.max == 5000 && h.count == 3 && h.sum == 6010);
    pm_histogram_merge(&wider, &other); /* lies between */
    assert_true(wider.min == 10 && wider.max == 5000 && wider.count == 3);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    struct pm_histogram h = {0};
    for (int64_t v = 1; v <= 10; v++)
        pm_histogram_record(&h, v);
    assert_true(h.count == 10 && h.sum == 55 && h.min == 1 && h.max == 10);
    assert_true(pm_histogram_mean(&h) == 5.5);
    for (int64_t v = 1; v <= 10; v++)
        assert_true(pm_histogram_quantile(&h, (double)v / 10) == v);
    assert_true(pm_histogram_quantile(&h, 0) == 1);
    assert_true(pm_histogram_quantile(&h, 0.55) == 6);
    struct pm_histogram zeros = {0};
    pm_histogram_record_n(&zeros, 0, 3);
    assert_true(pm_histogram_quantile(&zeros, 0.5) == 0 && zeros.buckets[0] == 3);
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    struct pm_histogram h = {0};
    pm_histogram_record(&h, INT64_MAX);
    pm_histogram_record(&h, INT64_MAX);
    assert_true(h.sum == UINT64_MAX - 1);
    pm_histogram_record(&h, INT64_MAX);
    assert_true(h.sum == UINT64_MAX); /* stays at the limit */
    pm_histogram_record(&h, 1);
    assert_true(h.sum == UINT64_MAX);
    assert_true(pm_histogram_quantile(&h, 0.9) <= INT64_MAX &&
                pm_histogram_quantile(&h, 0.9) > INT64_MAX / 2);
    assert_true(pm_histogram_quantile(&h, 1) == INT64_MAX);
    struct pm_histogram many = {0};
    pm_histogram_record_n(&many, 1000, UINT64_MAX / 2);
    assert_true(many.sum == UINT64_MAX);
    pm_histogram_merge(&many, &h);
    assert_true(many.sum == UINT64_MAX && many.count == UINT64_MAX / 2 + 4);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Quantiles lie within an eighth of the sorted sample's, over nine decades; parts merge to the whole. */
static void quantiles_are_close(void **state)
{
    (void)state;
    enum { N = 20000 };
    static int64_t sample[N];
    static struct pm_histogram whole, parts[3];
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_histogram", 1, 0, 0);
    for (int i = 0; i < N; i++) {
        sample[i] = (int64_t)exp(pm_rng_real(&rng) * 20.7);
        pm_histogram_record(&whole, sample[i]);
        pm_histogram_record(&parts[i % 3], sample[i]);
    }
    qsort(sample, N, sizeof *sample, compare);
    int64_t previous = 0;
    for (int percent = 0; percent <= 100; percent++) {
        int rank = percent * N / 100;
        double exact = (double)sample[rank > 0 ? rank - 1 : 0];
        int64_t found = pm_histogram_quantile(&whole, percent / 100.0);
        if (fabs((double)found - exact) > exact / 8 + 1)
            fail_msg("quantile %d %%: %g, not %g", percent, (double)found, exact);
        assert_true(found >= previous);
        previous = found;
    }
    pm_histogram_merge(&parts[0], &parts[1]);
    pm_histogram_merge(&parts[0], &parts[2]);
    assert_memory_equal(&parts[0], &whole, sizeof whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_tile_all_values), cmocka_unit_test(empty_histogram),
        cmocka_unit_test(small_values_are_exact),  cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(quantiles_are_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
