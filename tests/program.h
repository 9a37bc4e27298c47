/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random programs: every worker runs a random mix of pulls, pushes, sets, waits, hints, samples and clocks,
 * in phases that end in a collective, on the in-memory network, and the invariants are checked after each
 * event. Everything follows from the seed. */
#ifndef PM_TESTS_PROGRAM_H
#define PM_TESTS_PROGRAM_H

#include "tests/contract.h"
#include "memnet/memnet.h"

struct program {
    uint64_t seed;
    const struct contract_policy *policy;
    uint64_t steps;                                                       /* of each worker */
    bool no_values;                                                       /* --values none */
    void (*sent)(void *arg, const struct pm_message *m, pm_node_id from); /* may be NULL */
    void *sent_arg;
};

/* PM_OK, or the first failure; err also says what the seed made of the cluster. */
int program_run(const struct program *p, struct memnet_result *result, struct pm_error *err);

#endif
