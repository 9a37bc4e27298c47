/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Segments of batches, their mean and spread. */
#include "core/pace.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

#include "core/error.h"

void pm_pace_begin(struct pm_pace *p, uint64_t all, int64_t now_ns)
{
    *p = (struct pm_pace){.all = all, .began_ns = now_ns, .ended_ns = now_ns, .length = 1, .segment_at_ns = now_ns};
}

bool pm_pace_batch(struct pm_pace *p)
{
    p->done++;
    return p->done % p->length == 0;
}

static void join_pairs(struct pm_pace *p)
{
    p->n /= 2;
    for (uint32_t i = 0; i < p->n; i++)
        p->segments_ns[i] = p->segments_ns[2 * i] + p->segments_ns[2 * i + 1];
    p->length *= 2;
}

void pm_pace_segment(struct pm_pace *p, int64_t now_ns)
{
    PM_ASSERT(p->done % p->length == 0 && p->n < PM_SEGMENTS, "not the end of a segment");
    p->segments_ns[p->n++] = now_ns - p->segment_at_ns;
    p->segment_at_ns = now_ns;
    if (p->n == PM_SEGMENTS)
        join_pairs(p);
}

void pm_pace_end(struct pm_pace *p, int64_t now_ns)
{
    p->ended_ns = now_ns;
}

/* Standard deviation of a segment's time. */
static double spread(const struct pm_pace *p)
{
    double mean = 0, squares = 0;
    for (uint32_t i = 0; i < p->n; i++)
        mean += (double)p->segments_ns[i] / p->n;
    for (uint32_t i = 0; i < p->n; i++)
        squares += ((double)p->segments_ns[i] - mean) * ((double)p->segments_ns[i] - mean);
    return sqrt(squares / (p->n - 1));
}

static double half_interval(const struct pm_pace *p)
{
    if (p->done == p->all)
        return 0;
    if (p->n < 2)
        return -1;
    double all = (double)p->all, done = (double)p->done, length = (double)p->length;
    double of_mean = spread(p) / sqrt(done * length); /* of a batch's mean time: there are done / length segments */
    return gsl_cdf_tdist_Pinv(0.975, p->n - 1) * all * of_mean * sqrt(1 - done / all);
}

void pm_projection_worker(struct pm_projection *sum, const struct pm_pace *p)
{
    struct pm_projection one = {.all = p->all, .done = p->done, .run_ns = (double)(p->ended_ns - p->began_ns)};
    if (p->done) {
        one.whole_ns = p->done == p->all ? one.run_ns : one.run_ns / (double)p->done * (double)p->all;
        one.half_ns = half_interval(p);
    }
    pm_projection_add(sum, &one);
}

void pm_projection_add(struct pm_projection *sum, const struct pm_projection *other)
{
    sum->all += other->all;
    sum->done += other->done;
    sum->run_ns = fmax(sum->run_ns, other->run_ns);
    bool slower = other->whole_ns > sum->whole_ns;
    if (slower || (other->whole_ns == sum->whole_ns && other->half_ns > sum->half_ns))
        sum->half_ns = other->half_ns;
    if (slower)
        sum->whole_ns = other->whole_ns;
}

struct pm_whole_epoch pm_extrapolate(const struct pm_projection *all, int64_t measured_ns)
{
    struct pm_whole_epoch e = {.share = all->all ? (double)all->done / (double)all->all : 1, .epoch_ns = measured_ns};
    if (all->done == all->all || all->done == 0)
        return e;
    double drain = fmax((double)measured_ns - all->run_ns, 0);
    double together = all->run_ns / e.share, alone = all->whole_ns;
    double batches = together / 2 + alone / 2;
    e.epoch_ns = llround(batches + drain / sqrt(e.share));
    if (all->half_ns < 0)
        return e;
    e.low_ns = llround(floor(fmax(fmin(together, alone) - all->half_ns, all->run_ns) + drain));
    e.high_ns = llround(ceil(fmax(together, alone) + all->half_ns + drain / e.share));
    return e;
}
