/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drawing of keys. Zipf: the hat is the integral of h(x) = x^-skew; a uniform point of its area is turned
 * into x by the inverse of the integral, and the integer next to x is accepted unless the point lies above
 * that integer's bar. */
#include "core/distribution.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static int init(struct pm_distribution *d, enum pm_distribution_kind kind, pm_key first, uint64_t n,
                struct pm_error *err)
{
    *d = (struct pm_distribution){.kind = kind, .first = first, .n = n};
    if (n == 0)
        return pm_error_set(err, PM_E_ARGUMENT, "a distribution over 0 keys (allowed: at least 1)");
    if (n > PM_DISTRIBUTION_KEYS_MAX)
        return pm_error_set(err, PM_E_LIMIT,
                            "a distribution over %" PRIu64 " keys (allowed: at most %" PRIu64 ")", n,
                            PM_DISTRIBUTION_KEYS_MAX);
    if (first > UINT64_MAX - n)
        return pm_error_set(err, PM_E_ARGUMENT, "%" PRIu64 " keys from key %" PRIu64 " on end beyond 2^64", n,
                            first);
    return PM_OK;
}

int pm_distribution_uniform(struct pm_distribution *d, pm_key first, uint64_t n, struct pm_error *err)
{
    return init(d, PM_DISTRIBUTION_UNIFORM, first, n, err);
}

/* h(x) = x^-skew */
static double zipf_bar(double skew, double x)
{
    return exp(-skew * log(x));
}

/* Integral of h from 1 to x: (x^(1-skew) - 1) / (1 - skew), and its limit log x for skew = 1. */
static double zipf_area(double skew, double x)
{
    double log_x = log(x), t = (1 - skew) * log_x;
    return fabs(t) < 1e-8 ? log_x * (1 + t / 2) : expm1(t) / (1 - skew);
}

/* The x up to which the area is `area`. */
static double zipf_inverse(double skew, double area)
{
    double t = (1 - skew) * area;
    if (t <= -1) /* rounding only: the whole area to infinity is 1 / (skew - 1) */
        t = -1 + 0x1p-53;
    return exp(fabs(t) < 1e-8 ? area * (1 - t / 2) : log1p(t) / (1 - skew));
}

/* Sum of r^-skew for r = 1..n: term by term at first, then the Euler-Maclaurin formula, whose next term is
 * below the rounding error from rank 1000 on. */
static double zipf_total(double skew, uint64_t n)
{
    const uint64_t explicit_ranks = 1000;
    uint64_t m = n < explicit_ranks ? n : explicit_ranks;
    double head = 0;
    for (uint64_t r = m; r >= 1; r--)
        head += zipf_bar(skew, (double)r);
    if (m == n)
        return head;
    double a = (double)m, b = (double)n;
    double h_a = zipf_bar(skew, a), h_b = zipf_bar(skew, b);
    double tail = zipf_area(skew, b) - zipf_area(skew, a);
    tail += (h_b - h_a) / 2;
    tail += skew / 12 * (h_a / a - h_b / b);
    return head + tail;
}

int pm_distribution_zipf(struct pm_distribution *d, pm_key first, uint64_t n, double skew,
                         struct pm_error *err)
{
    int rc = init(d, PM_DISTRIBUTION_ZIPF, first, n, err);
    if (rc != PM_OK)
        return rc;
    if (!(skew >= 0 && skew <= PM_DISTRIBUTION_SKEW_MAX))
        return pm_error_set(err, PM_E_ARGUMENT, "Zipf skew %g (allowed: 0 to %g)", skew,
                            PM_DISTRIBUTION_SKEW_MAX);
    d->skew = skew;
    /* The first bar is cut to height h(1) = 1: it reaches from area(1.5) - 1 to area(1.5). */
    d->area_low = zipf_area(skew, 1.5) - 1;
    d->area_high = zipf_area(skew, (double)n + 0.5);
    d->accept = 2 - zipf_inverse(skew, zipf_area(skew, 2.5) - zipf_bar(skew, 2));
    d->total = zipf_total(skew, n);
    return PM_OK;
}

static uint64_t draw_zipf(const struct pm_distribution *d, struct pm_rng *rng)
{
    double n = (double)d->n;
    for (;;) {
        double area = d->area_high + pm_rng_real(rng) * (d->area_low - d->area_high);
        double x = zipf_inverse(d->skew, area);
        double rank = floor(x + 0.5);
        rank = rank < 1 ? 1 : rank > n ? n : rank;
        if (rank - x <= d->accept || area >= zipf_area(d->skew, rank + 0.5) - zipf_bar(d->skew, rank))
            return (uint64_t)rank;
    }
}

/* Sum of the weights in d->shares, checked. */
static int sum_weights(const double *weights, uint64_t n, double *sum, struct pm_error *err)
{
    *sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (!(weights[i] >= 0) || isinf(weights[i]))
            return pm_error_set(err, PM_E_ARGUMENT,
                                "weight %" PRIu64 " is %g (allowed: finite, not negative)", i, weights[i]);
        *sum += weights[i];
    }
    if (*sum == 0 || isinf(*sum))
        return pm_error_set(err, PM_E_ARGUMENT, "the sum of the weights is %g (allowed: more than 0, finite)",
                            *sum);
    return PM_OK;
}

int pm_distribution_weights(struct pm_distribution *d, pm_key first, uint64_t n, const double *weights,
                            struct pm_error *err)
{
    double sum;
    int rc = init(d, PM_DISTRIBUTION_WEIGHTS, first, n, err);
    if (rc == PM_OK)
        rc = sum_weights(weights, n, &sum, err);
    if (rc != PM_OK)
        return rc;
    d->shares = malloc(n * sizeof *d->shares);
    if (d->shares != NULL) {
        for (uint64_t i = 0; i < n; i++)
            d->shares[i] = weights[i] / sum;
        d->alias = gsl_ran_discrete_preproc(n, d->shares);
    }
    if (d->alias == NULL) {
        pm_distribution_free(d);
        return pm_error_set(err, PM_E_MEMORY, "weights of %" PRIu64 " keys: out of memory", n);
    }
    return PM_OK;
}

void pm_distribution_free(struct pm_distribution *d)
{
    if (d->alias != NULL)
        gsl_ran_discrete_free(d->alias);
    free(d->shares);
    *d = (struct pm_distribution){0};
}

void pm_distribution_scatter(struct pm_distribution *d, uint64_t seed)
{
    pm_permutation_init(&d->scatter, d->n, seed);
    d->scattered = true;
}

pm_key pm_distribution_key(const struct pm_distribution *d, uint64_t rank)
{
    PM_ASSERT(rank >= 1 && rank <= d->n, "rank %" PRIu64 " of %" PRIu64, rank, d->n);
    return d->first + (d->scattered ? pm_permutation_apply(&d->scatter, rank - 1) : rank - 1);
}

uint64_t pm_distribution_rank(const struct pm_distribution *d, pm_key key)
{
    PM_ASSERT(key >= d->first && key - d->first < d->n, "key %" PRIu64, key);
    uint64_t offset = key - d->first;
    return 1 + (d->scattered ? pm_permutation_invert(&d->scatter, offset) : offset);
}

pm_key pm_distribution_draw(const struct pm_distribution *d, struct pm_rng *rng)
{
    switch (d->kind) {
    case PM_DISTRIBUTION_UNIFORM:
        return d->first + pm_rng_below(rng, d->n);
    case PM_DISTRIBUTION_ZIPF:
        return pm_distribution_key(d, draw_zipf(d, rng));
    case PM_DISTRIBUTION_WEIGHTS:
        break;
    }
    gsl_rng view = pm_rng_gsl(rng);
    return pm_distribution_key(d, 1 + gsl_ran_discrete(&view, d->alias));
}

double pm_distribution_probability(const struct pm_distribution *d, pm_key key)
{
    if (key < d->first || key - d->first >= d->n)
        return 0;
    switch (d->kind) {
    case PM_DISTRIBUTION_UNIFORM:
        return 1 / (double)d->n;
    case PM_DISTRIBUTION_ZIPF:
        return zipf_bar(d->skew, (double)pm_distribution_rank(d, key)) / d->total;
    case PM_DISTRIBUTION_WEIGHTS:
        break;
    }
    return d->shares[pm_distribution_rank(d, key) - 1];
}
