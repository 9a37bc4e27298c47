/* SPDX-License-Identifier: GPL-3.0-or-later */
/* P(Poisson(m) <= k) is the probability that a gamma variable of shape k + 1 exceeds m: so for each k there is one largest mean
 * whose quantile is still k, and the inverse of the gamma distribution gives it. Each is computed when it is first needed. */
#include "core/poisson.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#define NORMAL_FROM 2e6
enum { KEPT_MOST = 1 << 16 };

void pm_poisson_init(struct pm_poisson *p, double probability)
{
    *p = (struct pm_poisson){.probability = probability};
}

void pm_poisson_free(struct pm_poisson *p)
{
    free(p->most);
}

/* Room for most[k], if it is to be kept and memory is there. */
static void make_room(struct pm_poisson *p, size_t k)
{
    size_t n = p->n ? p->n : 64;
    while (n <= k)
        n *= 2;
    double *bigger = realloc(p->most, n * sizeof *bigger);
    if (!bigger)
        return;
    memset(bigger + p->n, 0, (n - p->n) * sizeof *bigger);
    p->most = bigger;
    p->n = n;
}

/* The largest mean whose quantile is k < KEPT_MOST. */
static double most(struct pm_poisson *p, size_t k)
{
    if (k >= p->n)
        make_room(p, k);
    if (k < p->n && p->most[k] != 0)
        return p->most[k];
    double mean = gsl_cdf_gamma_Qinv(p->probability, (double)k + 1, 1);
    if (k < p->n)
        p->most[k] = mean;
    return mean;
}

/* Is k enough? GSL's inverse is not exact for larger k, so there the distribution itself is asked. */
static bool suffices(struct pm_poisson *p, size_t k, double mean)
{
    return k < KEPT_MOST ? most(p, k) >= mean : gsl_cdf_poisson_P((unsigned)k, mean) >= p->probability;
}

int64_t pm_poisson_quantile(struct pm_poisson *p, double mean)
{
    double z = gsl_cdf_ugaussian_Pinv(p->probability), normal = mean + sqrt(mean) * z;
    if (mean >= NORMAL_FROM)
        return (int64_t)ceil(normal);
    double guess = normal + (z * z - 1) / 6; /* the distribution is a little skewed */
    size_t k = guess > 0 ? (size_t)guess : 0;
    while (!suffices(p, k, mean))
        k++;
    while (k > 0 && suffices(p, k - 1, mean))
        k--;
    return (int64_t)k;
}
