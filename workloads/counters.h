/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Models without a meaning: every update adds 1 to each element of a key. Values stay whole numbers below COUNTERS_EXACT,
 * which floats hold exactly: the sum over the model is what was pushed, or an update was lost or doubled. */
#ifndef PM_WORKLOADS_COUNTERS_H
#define PM_WORKLOADS_COUNTERS_H

#include "core/pm.h"
#include "core/workload.h"

enum { COUNTERS_EXACT = 1 << 24 }; /* greatest whole number below which a float holds all */

/* One worker's part of the evaluation, a slot of the worker alone. */
struct counters {
    const struct pm_layout *layout;
    uint64_t rank, ranks;
    double pushed; /* elements raised by this worker since the start */
    float *values; /* room to read the model */
};

/* For values or, without them, nothing to evaluate. PM_E_MEMORY. */
int counters_begin(struct counters *c, const struct pm_layout *layout, uint64_t rank, uint64_t ranks, bool with_values);
void counters_end(struct counters *c);
/* The metric sum_error. PM_E_LIMIT when a counter has left the exact range: its error would say nothing about lost
 * updates. `fewer` names the settings that keep it there. */
int counters_evaluate(struct counters *c, struct pm_worker *worker, const char *fewer, struct pm_evaluation *out);

#endif
