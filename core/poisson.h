/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quantiles of the Poisson distribution, for those that are asked for often. One user at a time. */
#ifndef PM_CORE_POISSON_H
#define PM_CORE_POISSON_H

#include <stddef.h>
#include <stdint.h>

struct pm_poisson {
    double probability;
    double *most; /* most[k]: the largest mean whose quantile is k; 0: not computed yet */
    size_t n;
};

void pm_poisson_init(struct pm_poisson *p, double probability);
void pm_poisson_free(struct pm_poisson *p);
/* The least k with P(X <= k) >= probability for X of this mean (> 0); from 2,000,000 on, of the normal distribution with the same
 * mean and variance, rounded up. */
int64_t pm_poisson_quantile(struct pm_poisson *p, double mean);

#endif
