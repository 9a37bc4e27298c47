/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When to act on an intent: an estimate of how far a worker's clock may get before the round after the next one (Renz-Wieland et
 * al., Good Intentions, CIKM 2023, section 4.2). */
#ifndef PM_POLICIES_ADAPS_PACE_H
#define PM_POLICIES_ADAPS_PACE_H

#include <stdbool.h>

#include "core/poisson.h"
#include "core/types.h"

enum { ADAPS_RATE_FIRST = 10 };

/* How fast a worker's clock rises. */
struct adaps_pace {
    pm_clock clock; /* at the last round */
    double rate;    /* clocks per round, smoothed */
    bool seen;      /* there was a round before */
};

/* A round finds the worker at this clock. Returns the clocks per round to plan with: what the last round saw, or more if the
 * smoothed rate, in which that counts with `weight`, is higher. */
static inline double adaps_pace_round(struct adaps_pace *p, pm_clock clock, double weight)
{
    double passed = p->seen ? (double)(clock - p->clock) : 0;
    if (!p->seen)
        p->rate = ADAPS_RATE_FIRST;
    if (passed > 0)
        p->rate = (1 - weight) * p->rate + weight * passed;
    p->clock = clock;
    p->seen = true;
    return passed > p->rate ? passed : p->rate;
}

/* So many clocks pass in this and the next round, at most, with the probability of `quantiles`. */
static inline pm_clock adaps_window(struct pm_poisson *quantiles, double rate)
{
    return pm_poisson_quantile(quantiles, 2 * rate);
}

#endif
