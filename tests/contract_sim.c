/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contract suite on the simulator: every scenario, every policy, both networks. PM_SEED is the job's
 * seed. */
/* time-limit: 240 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/backends.h"
#include "tests/contract.h"
#include "tests/repeat.h"

enum { CASES_MAX = 256 };

static void run(const struct contract_case *c, const struct contract_policy *policy, const char *options,
                struct contract_cluster cluster)
{
    uint64_t seed = repeat_number("PM_SEED", 1);
    struct pm_error err = {0};
    repeat_note(seed, "", c->name);
    if (contract_run(backends_sim(), backends_sim_options(options), c, policy, cluster, seed, &err) == PM_OK)
        return;
    repeat_line(err.text, seed, "", c->name);
    fail_msg("%s fails on the simulator with %s", c->name, options);
}

static void scenario(void **state)
{
    struct contract_policy policy;
    assert_non_null(backends_sim());
    for (size_t i = 0; contract_policy_at(i, &policy); i++) {
        run(*state, &policy, "network=flow", (struct contract_cluster){3, 2});
        run(*state, &policy, "network=queue,cost=none", (struct contract_cluster){2, 1});
    }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES_MAX];
    const struct contract_case *c;
    size_t n = 0;
    for (; n < CASES_MAX && (c = contract_case_at(n)) != NULL; n++)
        tests[n] = (struct CMUnitTest){c->name, scenario, NULL, NULL, (void *)c};
    return repeat_main(argc, argv, "contract on the simulator", tests, n);
}
