/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How fast a worker runs its batches, and from that how long a whole epoch would have taken of which only a part was run.
 * Not installed. Not locked: a pace belongs to its worker.                                                              */
#ifndef PM_CORE_PACE_H
#define PM_CORE_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum { PM_SEGMENTS = 20 };

/* One worker's batches of one epoch. Its time is kept in segments of equally many batches: when there is no room for
 * another, each two become one of twice as many batches.                                                              */
struct pm_pace {
    uint64_t all, done; /* batches of the whole epoch; those run */
    int64_t began_ns, ended_ns; /* before the first batch; after the last one that was run */
    uint64_t length; /* batches of a segment */
    uint32_t n;      /* segments */
    int64_t segments_ns[PM_SEGMENTS];
    int64_t segment_at_ns; /* where the segment under way began */
};

void pm_pace_begin(struct pm_pace *p, uint64_t all, int64_t now_ns);
/* One more batch is done: whether it completes a segment, so that pm_pace_segment wants the time. */
bool pm_pace_batch(struct pm_pace *p);
void pm_pace_segment(struct pm_pace *p, int64_t now_ns);
void pm_pace_end(struct pm_pace *p, int64_t now_ns);

/* Of some workers that run side by side; all zeros for none. */
struct pm_projection {
    uint64_t all, done;
    double run_ns;   /* longest time of a worker for what it ran */
    double whole_ns; /* longest time that a worker would need for all its batches */
    double half_ns;  /* half of the 95 % interval of that; negative: not known */
};

/* Adds one worker. It needs (its time / batches run) x all its batches. How sure that is follows from the spread between
 * its segments: Student's t over the segments, with the part that was run being known (finite population). One segment
 * has no spread; a worker that ran none of its batches says nothing about time.                                         */
void pm_projection_worker(struct pm_projection *sum, const struct pm_pace *p);
/* The slower one decides; the order of adding does not matter. */
void pm_projection_add(struct pm_projection *sum, const struct pm_projection *other);

struct pm_whole_epoch {
    double share;     /* of all batches that was run */
    int64_t epoch_ns; /* as measured when share is 1 (or 0, which says nothing); else extrapolated */
    int64_t low_ns, high_ns; /* 95 % interval of an extrapolated time; both 0: none */
};

/* An epoch that took `measured_ns` from its first barrier to the end of its drain, by the projection of all workers.
 *
 * - The batches of the whole epoch take between (longest time run / share), which holds when workers that are done leave
 *   room to the others, and the longest time that a worker needs at its own pace. The middle is taken; the two are the same
 *   when all workers have run the same part. The interval reaches from the lower less half the slowest worker's interval
 *   to the upper plus it, and no lower than what was run.
 * - The drain is what came after the last worker's last batch. It is as long at the end of a whole epoch when updates
 *   flow steadily, and 1 / share times as long when all of them have waited for it. The geometric mean of the two is
 *   taken; the interval reaches from one to the other.                                                                 */
struct pm_whole_epoch pm_extrapolate(const struct pm_projection *all, int64_t measured_ns);

#endif
