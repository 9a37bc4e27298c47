/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Distributions over the keys [first, first + n), for sampling and for generators.
 *
 * Zipf draws use rejection-inversion (W. Hoermann, G. Derflinger, "Rejection-inversion to generate variates
 * from monotone discrete distributions", ACM TOMACS 6, 1996): constant memory and time for any n. Explicit
 * weights use an alias table. Constant once initialised: any thread may read it, each drawing with its own
 * pm_rng. */
#ifndef PM_CORE_DISTRIBUTION_H
#define PM_CORE_DISTRIBUTION_H

#include <stdbool.h>
#include <stdint.h>

#include <gsl/gsl_randist.h>

#include "core/error.h"
#include "core/permutation.h"
#include "core/rng.h"
#include "core/types.h"

#define PM_DISTRIBUTION_KEYS_MAX (UINT64_C(1) << 40) /* largest n */
#define PM_DISTRIBUTION_SKEW_MAX 20.0

enum pm_distribution_kind {
    PM_DISTRIBUTION_UNIFORM,
    PM_DISTRIBUTION_ZIPF,   /* rank r = 1..n has probability proportional to r^-skew */
    PM_DISTRIBUTION_WEIGHTS /* rank r has probability proportional to weights[r - 1] */
};

struct pm_distribution {
    enum pm_distribution_kind kind;
    pm_key first;
    uint64_t n;
    double skew; /* Zipf */
    bool scattered;
    struct pm_permutation scatter; /* rank - 1 -> key - first */
    double area_low, area_high;    /* Zipf: bounds of the inverted area */
    double accept;                 /* Zipf: distance that needs no second test */
    double total;                  /* Zipf: sum of r^-skew */
    gsl_ran_discrete_t *alias;     /* weights: owned */
    double *shares;                /* weights: probability per rank, owned */
};

/* Each fills an uninitialised d. Rank r is key first + r - 1 until scattered. PM_E_ARGUMENT, PM_E_LIMIT,
 * PM_E_MEMORY; nothing is left to free after an error. Weights are copied: finite, not negative, not all
 * zero. */
int pm_distribution_uniform(struct pm_distribution *d, pm_key first, uint64_t n, struct pm_error *err);
int pm_distribution_zipf(struct pm_distribution *d, pm_key first, uint64_t n, double skew,
                         struct pm_error *err);
int pm_distribution_weights(struct pm_distribution *d, pm_key first, uint64_t n, const double *weights,
                            struct pm_error *err);
void pm_distribution_free(struct pm_distribution *d);

/* Scatters ranks over the keys by a pseudorandom bijection, so that frequent keys are no neighbours. */
void pm_distribution_scatter(struct pm_distribution *d, uint64_t seed);

/* Key of a rank in [1, n], and rank of a key of the distribution. */
pm_key pm_distribution_key(const struct pm_distribution *d, uint64_t rank);
uint64_t pm_distribution_rank(const struct pm_distribution *d, pm_key key);

pm_key pm_distribution_draw(const struct pm_distribution *d, struct pm_rng *rng);

/* Probability that a draw gives this key; 0 outside. Constant time. */
double pm_distribution_probability(const struct pm_distribution *d, pm_key key);

#endif
