/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contract suite on the in-memory network: every scenario, every policy, several clusters and schedules.
 * PM_SEED=n runs that schedule alone, SEEDS sets how many there are. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"
#include "tests/contract.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"

enum { SEEDS = 10, CASES_MAX = 256 };

static const struct contract_cluster clusters[] = {{2, 1}, {3, 2}, {1, 1}, {1, 3}, {5, 1}, {4, 2}};
enum { CLUSTERS = sizeof clusters / sizeof *clusters };

static void run(const struct contract_case *c, const struct contract_policy *policy, uint64_t seed)
{
    char options[128];
    uint64_t bits = pm_hash64(seed);
    snprintf(options, sizeof options, "seed=%" PRIu64 ",mode=%s,latches=%d,dense=%d,postpone=%d", seed,
             memnet_mode_names[seed % MEMNET_MODES], (int)(bits & 1), (int)(bits >> 1 & 1),
             (int)(bits >> 2 & 3) * 15);
    struct pm_error err = {0};
    repeat_note(seed, "", c->name);
    if (contract_run(&memnet_backend, options, c, policy, clusters[seed % CLUSTERS], seed, &err) == PM_OK)
        return;
    repeat_line(err.text, seed, "", c->name);
    fail_msg("%s fails on memnet:%s", c->name, options);
}

static void scenario(void **state)
{
    struct contract_policy policy;
    uint64_t first = repeat_number("PM_SEED", 0), seeds = repeat_number("SEEDS", SEEDS);
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (uint64_t seed = first; seed < (getenv("PM_SEED") ? first + 1 : seeds); seed++)
            run(*state, &policy, seed);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES_MAX];
    const struct contract_case *c;
    size_t n = 0;
    for (; n < CASES_MAX && (c = contract_case_at(n)) != NULL; n++)
        tests[n] = (struct CMUnitTest){c->name, scenario, NULL, NULL, (void *)c};
    return repeat_main(argc, argv, "contract on the in-memory network", tests, n);
}
