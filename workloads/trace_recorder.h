/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records what a run accesses: a workload around the run's own one, which does the same and writes down each batch when it
 * has been computed, with the samples that the policy has drawn and the keys that were pushed to. */
#ifndef PM_WORKLOADS_TRACE_RECORDER_H
#define PM_WORKLOADS_TRACE_RECORDER_H

#include "core/workload.h"
#include "workloads/trace_writer.h"

/* The recording workload, whose options and results are those of `workload`. There is one per process at a time; the
 * processes that a backend starts for the run inherit it. Both arguments outlive the run. */
const struct pm_workload *trace_recorder(const struct pm_workload *workload, const struct trace_output *output);

#endif
