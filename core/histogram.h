/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log-scaled histogram of non-negative 64-bit integers (nanoseconds, clocks) in fixed memory.
 *
 * Values below 8 have a bucket each; above, every power of two is divided into 8 buckets, so that a bucket is
 * at most an eighth as wide as its lower bound. All zero bytes are an empty histogram. One writer at a time.
 */
#ifndef PM_CORE_HISTOGRAM_H
#define PM_CORE_HISTOGRAM_H

#include <stdint.h>

#include "core/error.h"

#define PM_HISTOGRAM_SUB_BITS 3
#define PM_HISTOGRAM_BUCKETS  ((64 - PM_HISTOGRAM_SUB_BITS) << PM_HISTOGRAM_SUB_BITS) /* 488 */

struct pm_histogram {
    uint64_t count;   /* values recorded */
    uint64_t sum;     /* of the values; UINT64_MAX once it would be more */
    int64_t min, max; /* of the values; 0 while count is 0 */
    uint64_t buckets[PM_HISTOGRAM_BUCKETS];
};

/* Bucket of a value >= 0. */
static inline unsigned pm_histogram_bucket(int64_t value)
{
    uint64_t v = (uint64_t)value;
    if (v < (1u << PM_HISTOGRAM_SUB_BITS))
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - PM_HISTOGRAM_SUB_BITS;
    return (shift << PM_HISTOGRAM_SUB_BITS) + (unsigned)(v >> shift);
}

/* Smallest and largest value of a bucket. */
int64_t pm_histogram_lower(unsigned bucket);
int64_t pm_histogram_upper(unsigned bucket);

/* Records a value `times` times. */
static inline void pm_histogram_record_n(struct pm_histogram *h, int64_t value, uint64_t times)
{
    PM_ASSERT(value >= 0, "value %lld", (long long)value);
    if (times == 0)
        return;
    uint64_t product;
    if (__builtin_mul_overflow((uint64_t)value, times, &product) ||
        __builtin_add_overflow(h->sum, product, &h->sum))
        h->sum = UINT64_MAX;
    if (h->count == 0 || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->count += times;
    h->buckets[pm_histogram_bucket(value)] += times;
}

static inline void pm_histogram_record(struct pm_histogram *h, int64_t value)
{
    pm_histogram_record_n(h, value, 1);
}

/* Adds all that `from` holds to `into`. */
void pm_histogram_merge(struct pm_histogram *into, const struct pm_histogram *from);

/* Mean, exact until the sum saturates; 0 when empty. */
double pm_histogram_mean(const struct pm_histogram *h);

/* The value with the share q (in [0, 1]) of all values at or below it: exact for q = 0, q = 1 and values
 * below 8, else interpolated in its bucket. 0 when empty. */
int64_t pm_histogram_quantile(const struct pm_histogram *h, double q);

#endif
