/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated backend as tests use it: loaded from the build folder, run with a few options, its records
 * kept. One thread. */
#ifndef PM_TESTS_SIMTEST_H
#define PM_TESTS_SIMTEST_H

#include <stdbool.h>

#include "core/backend.h"
#include "core/job.h"
#include "core/policy.h"
#include "tests/testload.h"

/* Loads pmlab-sim.so from the folder that PMLAB_BUILD names; ends the program with a message if it is not
 * there. */
const struct pm_backend *simtest_backend(void);

/* Every key stays with its owner, requests are grouped, workers access their node's keys directly. */
extern const struct pm_policy simtest_policy;

enum { SIMTEST_RECORDS_MAX = 256 };

struct simtest {
    struct testjob t;
    struct pm_values options;
    struct pm_record records[SIMTEST_RECORDS_MAX];
    size_t n;
    struct pm_error err;
};

/* A job over `keys` keys of `length` floats that runs `main`; options are name, value, ..., NULL. Fails the
 * test when an option is refused. */
void simtest_init(struct simtest *s, uint64_t keys, uint32_t length,
                  int (*main)(struct pm_worker *w, void *arg), ...);
/* Runs it; the code, with its text in s->err. */
int simtest_run(struct simtest *s);
void simtest_free(struct simtest *s);

/* For scenarios: sends a number home, as a progress record of this epoch number. */
void simtest_tell(struct pm_worker *w, uint32_t what, int64_t number);
/* The number of the first such record; fails the test when there is none. */
int64_t simtest_told(const struct simtest *s, uint32_t what);

#endif
