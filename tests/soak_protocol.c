/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random programs under every policy, or under those whose text contains PM_POLICY, until EVENTS events have been fired;
 * says how many there were per second. The seeds go on from PM_SEED (1). Most programs are short, because what has gone wrong
 * shows when everybody waits, at a program's end and while its first values are on their way; about half of the events are those
 * of long ones. PM_STEPS: all are that long. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/program.h"
#include "tests/repeat.h"

enum { SHORT_STEPS = 50, LONG_STEPS = 400, LONG_ONE_IN = 8 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_wanted(const struct contract_policy *policy, char *name, size_t size)
{
    const char *wanted = getenv("PM_POLICY");
    snprintf(name, size, "%s%s%s", policy->policy->name, *policy->options ? ":" : "", policy->options);
    return !wanted || strstr(name, wanted);
}

static uint64_t steps_of(uint64_t seed)
{
    return repeat_number("PM_STEPS", seed % LONG_ONE_IN ? SHORT_STEPS : LONG_STEPS);
}

int main(void)
{
    uint64_t wanted = repeat_number("EVENTS", 1000000), events = 0, runs = 0, messages = 0, relocations = 0;
    double started = now_s();
    struct contract_policy policy;
    char name[256];
    bool any = false;
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        any |= is_wanted(&policy, name, sizeof name);
    if (!any) {
        fprintf(stderr, "PM_POLICY is in no policy's text\n");
        return 2;
    }
    for (uint64_t seed = repeat_number("PM_SEED", 1); events < wanted; seed++)
        for (size_t i = 0; contract_policy_at(i, &policy) && events < wanted; i++) {
            struct pm_error err = {0};
            if (!is_wanted(&policy, name, sizeof name))
                continue;
            struct memnet_result result;
            uint64_t steps = steps_of(seed);
            struct program p = {.seed = seed, .policy = &policy, .steps = steps};
            if (program_run(&p, &result, &err) != PM_OK) {
                fprintf(stderr,
                        "%s\nnoticed at event %" PRIu64 ", %" PRIu64 " of this program\n"
                        "again: PM_POLICY=%s PM_SEED=%" PRIu64 " PM_STEPS=%" PRIu64 " EVENTS=1 soak_protocol\n",
                        err.text, events + result.events, result.events, name, seed, steps);
                return EXIT_FAILURE;
            }
            runs++;
            events += result.events;
            messages += result.messages;
            relocations += result.counters.relocations_in;
        }
    double took_s = now_s() - started;
    printf("%" PRIu64 " programs, %" PRIu64 " events, %" PRIu64 " messages, %" PRIu64
           " relocations, no violation, in %.1f s: %.0f events/s\n",
           runs, events, messages, relocations, took_s, (double)events / took_s);
    return EXIT_SUCCESS;
}
