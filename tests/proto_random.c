/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random programs under every policy, many seeds. PM_SEED=n runs that seed alone, PM_STEPS sets the steps of
 * each worker, SEEDS how many seeds. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/message.h"
#include "tests/blocks.h"
#include "tests/program.h"
#include "tests/repeat.h"

enum { SEEDS = 80, STEPS = 250, POLICIES_MAX = 64 };

static struct contract_policy policies[POLICIES_MAX];
static char names[POLICIES_MAX][64];

/* One program, after so many events of others; fails the test when it fails. */
static void run_after(uint64_t events, const struct program *p, const char *test, struct memnet_result *result)
{
    struct pm_error err = {0};
    char further[64];
    snprintf(further, sizeof further, "PM_STEPS=%" PRIu64, p->steps);
    repeat_note(p->seed, further, test);
    if (program_run(p, result, &err) == PM_OK)
        return;
    repeat_line(err.text, p->seed, further, test);
    fail_msg("seed %" PRIu64 " fails after %" PRIu64 " events, %" PRIu64 " in all: %s", p->seed, result->events,
             events + result->events, err.text);
}

static void run(const struct program *p, const char *test, struct memnet_result *result)
{
    run_after(0, p, test, result);
}

/* The seeds to run: PM_SEED alone, or 1 to `standard` (or SEEDS). */
static uint64_t first_seed(void)
{
    return repeat_number("PM_SEED", 1);
}
static uint64_t last_seed(uint64_t standard)
{
    return getenv("PM_SEED") ? first_seed() : repeat_number("SEEDS", standard);
}

static void programs(void **state)
{
    const struct contract_policy *policy = *state;
    struct memnet_result result;
    uint64_t events = 0;
    for (uint64_t seed = first_seed(); seed <= last_seed(SEEDS / REPEAT_SHARE); seed++) {
        struct program p = {.seed = seed, .policy = policy, .steps = repeat_number("PM_STEPS", STEPS)};
        run_after(events, &p, names[policy - policies], &result);
        events += result.events;
    }
    printf("%" PRIu64 " events\n", events);
}

/* ---- the same messages with and without values ---- */

struct entry {
    uint32_t from, to, kind, length;
};
struct log {
    struct entry *entries;
    size_t n, capacity;
};

static void note(void *arg, const struct pm_message *m, pm_node_id from)
{
    struct log *log = arg;
    if (log->n == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 1024;
        log->entries = realloc(log->entries, log->capacity * sizeof *log->entries);
        assert_non_null(log->entries);
    }
    log->entries[log->n++] = (struct entry){from, m->destination, m->wire.kind, m->wire.length_bytes};
}

static void same_messages(uint64_t seed, const struct contract_policy *policy)
{
    struct log logs[2] = {{0}};
    struct memnet_result results[2];
    for (int without = 0; without < 2; without++) {
        struct program p = {
            .seed = seed,
            .policy = policy,
            .steps = repeat_number("PM_STEPS", STEPS),
            .no_values = without,
            .sent = note,
            .sent_arg = &logs[without],
        };
        run(&p, "values_or_not", &results[without]);
    }
    assert_int_equal(logs[0].n, logs[1].n);
    for (size_t i = 0; i < logs[0].n; i++)
        if (memcmp(&logs[0].entries[i], &logs[1].entries[i], sizeof(struct entry)) != 0) {
            repeat_line("a message is not the same with and without values", seed, "", "values_or_not");
            fail_msg("%s: message %zu: %s of %u bytes, without values %s of %u", policy->policy->name, i,
                     pm_message_kind_name(logs[0].entries[i].kind), logs[0].entries[i].length,
                     pm_message_kind_name(logs[1].entries[i].kind), logs[1].entries[i].length);
        }
    assert_memory_equal(results[0].charges, results[1].charges, sizeof results[0].charges);
    assert_memory_equal(&results[0].counters, &results[1].counters, sizeof results[0].counters);
    free(logs[0].entries);
    free(logs[1].entries);
}

static void values_or_not(void **state)
{
    (void)state;
    struct contract_policy policy;
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (uint64_t seed = first_seed(); seed <= last_seed(6); seed++)
            same_messages(seed, &policy);
}

/* ---- nothing is left ---- */

static void everything_is_freed(void **state)
{
    (void)state;
    struct contract_policy policy;
    struct memnet_result result;
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (uint64_t seed = first_seed(); seed <= last_seed(4); seed++) {
            struct program p = {.seed = seed, .policy = &policy, .steps = STEPS};
            int64_t before = blocks_live;
            run(&p, "everything_is_freed", &result);
            if (blocks_live != before)
                repeat_line("memory is lost", seed, "", "everything_is_freed");
            assert_int_equal(blocks_live, before);
        }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[POLICIES_MAX + 2];
    size_t n = 0;
    while (n < POLICIES_MAX && contract_policy_at(n, &policies[n])) {
        snprintf(names[n], sizeof names[n], "%s%s%s", policies[n].policy->name, *policies[n].options ? ":" : "",
                 policies[n].options);
        tests[n] = (struct CMUnitTest){names[n], programs, NULL, NULL, &policies[n]};
        n++;
    }
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(values_or_not);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(everything_is_freed);
    return repeat_main(argc, argv, "random programs", tests, n);
}
