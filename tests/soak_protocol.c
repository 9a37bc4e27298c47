/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random programs under every policy until EVENTS events have been fired; says how many there were per
 * second. The seeds go on from PM_SEED (1). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/program.h"
#include "tests/repeat.h"

enum { STEPS = 400 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(void)
{
    uint64_t wanted = repeat_number("EVENTS", 1000000), events = 0, runs = 0, messages = 0;
    uint64_t steps = repeat_number("PM_STEPS", STEPS);
    double started = now_s();
    struct contract_policy policy;
    for (uint64_t seed = repeat_number("PM_SEED", 1); events < wanted; seed++)
        for (size_t i = 0; contract_policy_at(i, &policy) && events < wanted; i++, runs++) {
            struct pm_error err = {0};
            struct memnet_result result;
            struct program p = {.seed = seed, .policy = &policy, .steps = steps};
            if (program_run(&p, &result, &err) != PM_OK) {
                fprintf(stderr,
                        "%s\nagain: PM_SEED=%" PRIu64 " PM_STEPS=%" PRIu64 " EVENTS=1 soak_protocol\n",
                        err.text, seed, steps);
                return EXIT_FAILURE;
            }
            events += result.events;
            messages += result.messages;
        }
    double took_s = now_s() - started;
    printf("%" PRIu64 " programs, %" PRIu64 " events, %" PRIu64 " messages in %.1f s: %.0f events/s\n", runs,
           events, messages, took_s, (double)events / took_s);
    return EXIT_SUCCESS;
}
