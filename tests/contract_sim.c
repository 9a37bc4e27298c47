/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contract suite on the simulated backend: every scenario under every policy, on several clusters and
 * both networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/contract.h"
#include "tests/repeat.h"
#include "tests/simtest.h"

enum { CASES_MAX = 256 };

/* Slow links beside fast processors and the reverse, so that charges and transfers take turns in mattering.
 */
static const struct setting {
    struct contract_cluster cluster;
    const char *options;
} settings[] = {
    {{2, 1}, ""},
    {{3, 2}, "cost=none,bandwidth=100Mbps"},
    {{4, 2}, "network=queue,latency=1us"},
    {{1, 2}, "cores=2"},
    {{5, 1}, "platform=fattree,latency=200ns,charge-cap=0ns"},
};

static void scenario(void **state)
{
    const struct contract_case *c = *state;
    struct contract_policy policy;
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
            struct pm_error err = {0};
            if (contract_run(simtest_backend(), settings[s].options, c, &policy, settings[s].cluster, s,
                             &err) != PM_OK)
                fail_msg("sim:%s: %s", settings[s].options, err.text);
        }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES_MAX];
    const struct contract_case *c;
    size_t n = 0;
    for (; n < CASES_MAX && (c = contract_case_at(n)) != NULL; n++)
        tests[n] = (struct CMUnitTest){c->name, scenario, NULL, NULL, (void *)c};
    return repeat_main(argc, argv, "contract on the simulated backend", tests, n);
}
