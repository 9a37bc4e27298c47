/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Samples that are used again: groups that a worker draws ahead. A worker's alone. Not installed. */
#ifndef PM_CORE_SAMPLE_POOL_H
#define PM_CORE_SAMPLE_POOL_H

#include "core/internal.h"

/* Groups of samples that a worker draws from one distribution and uses several times. NULL: out of memory. */
struct pm_sample_pool;
struct pm_sample_pool *pm_sample_pool_new(const struct pm_sampling *s);
void pm_sample_pool_free(struct pm_sample_pool *p);
/* n more samples will be taken at clocks [start, end): draws groups ahead and tells the policy of them. PM_OK, PM_E_MEMORY. */
int pm_sample_pool_announce(struct pm_worker *w, struct pm_sample_pool *p, const struct pm_distribution *d, size_t n,
                            pm_clock start, pm_clock end);
/* The next n of those announced. */
void pm_sample_pool_take(struct pm_worker *w, struct pm_sample_pool *p, pm_key *keys, size_t n);

#endif
