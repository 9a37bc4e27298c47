/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A workload for tests: one or two ranges of keys whose initial values are small whole numbers, so that sums
 * are exact; two distributions over all keys, the first uniform, the second Zipf with skew 1. Trains nothing.
 */
#ifndef PM_TESTS_TESTLOAD_H
#define PM_TESTS_TESTLOAD_H

#include <stdint.h>

#include "core/job.h"
#include "core/workload.h"

enum { TESTLOAD_UNIFORM, TESTLOAD_ZIPF };

extern const struct pm_workload testload;

struct testload_shape {
    uint64_t keys, more_keys; /* the first range, and the one behind it (0: none) */
    uint32_t length, more_length;
};

/* Initial value of an element of a key. */
float testload_initial(pm_key key, uint32_t element);

/* A job with its policy and workload options, for scenarios. */
struct testjob {
    struct pm_job job;
    struct pm_values policy_options, workload_options;
};
/* Fills t for this policy and these "name=value,name=value" policy options; options that the policy does not
 * have are an error. Two nodes of one worker, with values; the caller changes what it wants in t->job. PM_OK
 * or an error. Free with testjob_free. */
int testjob_init(struct testjob *t, const struct pm_policy *policy, const char *policy_options,
                 const struct testload_shape *shape, struct pm_error *err);
void testjob_free(struct testjob *t);
/* Sets the cluster's shape, on as many nodes as the policy's traits allow. */
void testjob_cluster(struct testjob *t, uint32_t nodes, uint32_t workers);

#endif
