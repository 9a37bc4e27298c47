/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policies that bound staleness, on the in-memory network: random programs in which each worker adds to an element of its
 * own, so that a value tells exactly which of its updates it contains. PM_SEED=n runs that seed alone, PM_STEPS sets the
 * steps of each worker, SEEDS how many seeds.
 *
 * What must hold:
 *   - an element is always the sum of the first so many updates of its worker: none lost, doubled or out of order;
 *   - a pull at clock c contains every update made before clock c - staleness, by any worker;
 *   - it contains all that its own worker had pushed when it was issued and nothing that was pushed later, no less than
 *     that worker has seen before, and no more than its later pulls of the key;
 *   - a replica contains all that the workers of its node have pushed;
 *   - recorded staleness stays within the bound;
 *   - drained main copies are the sums of all updates; nothing is kept then; every program ends. */
#ifndef PM_TESTS_BOUNDS_H
#define PM_TESTS_BOUNDS_H

#include "core/policy.h"
#include "memnet/memnet.h"

#define BOUNDS_UNBOUNDED INT64_C(1000000000000)

struct bounds {
    const char *name;
    const struct pm_policy *policy;
    const char *options; /* but the bound; NULL: none */
    pm_clock staleness;
    bool preempt;
    bool in_step;  /* everybody at the same clock: what was pushed before a barrier is asked for right behind it */
    bool asks_once; /* no node asks for a key more than once */
};

/* One program; adds to *events what it took. */
int bounds_run(const struct bounds *b, uint64_t seed, uint64_t *events, struct pm_error *err);

/* The seeds to run: PM_SEED alone, or 1 to `standard` (or SEEDS). */
uint64_t bounds_first_seed(void);
uint64_t bounds_last_seed(uint64_t standard);

/* Tests for cmocka. *state is a struct bounds: many programs. */
void bounds_programs(void **state);
/* *state is a struct bounds_settings: the random programs and scenarios that the policies of the tree have to pass. */
struct bounds_settings {
    const struct pm_policy *policy;
    const char *const *options; /* NULL ends them */
};
void bounds_random(void **state);
void bounds_contract(void **state);

#endif
