/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contract suite: what every backend and every policy owes to an application, as scenarios that run
 * unchanged on any of them. A scenario is what each worker of the cluster runs (job->main). It may run in
 * another process, so it tells of a failure by one line on standard error and by its return code; its
 * argument is a struct contract_case, read only. */
#ifndef PM_TESTS_CONTRACT_H
#define PM_TESTS_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/backend.h"
#include "core/policy.h"
#include "tests/testload.h"

struct contract_case {
    const char *name;
    int (*main)(struct pm_worker *w, void *contract_case);
    struct testload_shape shape; /* keys = 0: the usual one */
    uint32_t max_message;        /* 0: the default */
    bool without_values;
};

extern const struct contract_case contract_access[], contract_collective[],
    contract_hints[]; /* main = NULL ends each */

/* The scenario of this number over all three tables, or NULL behind the last. */
const struct contract_case *contract_case_at(size_t i);

/* Policies of the registry with their defaults, then further settings of some; NULL behind the last. */
struct contract_policy {
    const struct pm_policy *policy;
    const char *options;
};
bool contract_policy_at(size_t i, struct contract_policy *out);

struct contract_cluster {
    uint32_t nodes, workers;
};

/* Runs one scenario. `backend_options` is "name=value,...". PM_OK, or a code with the reason in err, which
 * also names scenario, policy and cluster. */
int contract_run(const struct pm_backend *backend, const char *backend_options, const struct contract_case *c,
                 const struct contract_policy *policy, struct contract_cluster cluster, uint64_t seed,
                 struct pm_error *err);

#endif
