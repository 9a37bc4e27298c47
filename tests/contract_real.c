/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The contract suite on the real backend: every scenario under every policy, on several clusters of
 * processes. time-limit: 240 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "real/backend.h"
#include "tests/contract.h"
#include "tests/repeat.h"

enum { CASES_MAX = 256 };

/* Besides the usual: small socket buffers, so that messages are cut; little credit, so that workers wait for
 * it; polling. */
static const struct setting {
    struct contract_cluster cluster;
    const char *options;
} settings[] = {
    {{2, 1}, "watchdog=20s"},
    {{3, 2}, "watchdog=20s,send-buffer=1kB,socket-buffer=64KiB"},
    {{1, 3}, "watchdog=20s"},
    {{2, 3}, "watchdog=20s,spin=20us"},
};

static void scenario(void **state)
{
    const struct contract_case *c = *state;
    struct contract_policy policy;
    uint64_t seed = repeat_number("PM_SEED", 1);
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
            struct pm_error err = {0};
            if (contract_run(&pm_backend_real, settings[s].options, c, &policy, settings[s].cluster, seed,
                             &err) == PM_OK)
                continue;
            repeat_line(err.text, seed, "", c->name);
            fail_msg("%s fails on real:%s", c->name, settings[s].options);
        }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES_MAX];
    const struct contract_case *c;
    size_t n = 0;
    for (; n < CASES_MAX && (c = contract_case_at(n)) != NULL; n++)
        tests[n] = (struct CMUnitTest){c->name, scenario, NULL, NULL, (void *)(uintptr_t)c};
    return repeat_main(argc, argv, "contract on the real backend", tests, n);
}
