/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bounds, merging and quantiles of log-scaled histograms. */
#include "core/histogram.h"

/* Smallest value of a bucket; also of the one past the last, which is 2^63. */
static uint64_t lower(unsigned bucket)
{
    const unsigned sub = 1u << PM_HISTOGRAM_SUB_BITS;
    if (bucket < sub)
        return bucket;
    unsigned shift = (bucket >> PM_HISTOGRAM_SUB_BITS) - 1;
    return (uint64_t)(sub + (bucket & (sub - 1))) << shift;
}

int64_t pm_histogram_lower(unsigned bucket)
{
    PM_ASSERT(bucket < PM_HISTOGRAM_BUCKETS, "bucket %u", bucket);
    return (int64_t)lower(bucket);
}

int64_t pm_histogram_upper(unsigned bucket)
{
    PM_ASSERT(bucket < PM_HISTOGRAM_BUCKETS, "bucket %u", bucket);
    return (int64_t)(lower(bucket + 1) - 1);
}

void pm_histogram_merge(struct pm_histogram *into, const struct pm_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    if (__builtin_add_overflow(into->sum, from->sum, &into->sum))
        into->sum = UINT64_MAX;
    for (unsigned b = 0; b < PM_HISTOGRAM_BUCKETS; b++)
        into->buckets[b] += from->buckets[b];
}

double pm_histogram_mean(const struct pm_histogram *h)
{
    return h->count == 0 ? 0 : (double)h->sum / (double)h->count;
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

int64_t pm_histogram_quantile(const struct pm_histogram *h, double q)
{
    PM_ASSERT(q >= 0 && q <= 1, "quantile %g", q);
    if (h->count == 0)
        return 0;
    double wanted = q * (double)h->count, below = 0;
    if (q == 0)
        return h->min;
    for (unsigned b = 0; b < PM_HISTOGRAM_BUCKETS; b++) {
        double here = (double)h->buckets[b];
        if (here > 0 && below + here >= wanted && q < 1) {
            double width = (double)(lower(b + 1) - 1 - lower(b));
            int64_t into = (int64_t)(width * ((wanted - below) / here));
            return clamp(pm_histogram_lower(b) + into, h->min, h->max);
        }
        below += here;
    }
    return h->max;
}
