/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The example policy of docs/examples/policies on the in-memory network: clocks, refreshes, deferred requests, deltas
 * shipped while an answer is under way, replicas that are dropped. tests/bounds.h says what must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/internal.h"
#include "docs/examples/policies/ssp.c"
#include "tests/bounds.h"
#include "tests/repeat.h"

/* The same policy, forgetting some replicas now and then. */
static void min_clock_dropping(struct pm_ctx *ctx, void *state, pm_clock c)
{
    for (pm_key key = 0; key < ctx->node->layout->n_keys; key++) {
        if (pm_hash64_pair((uint64_t)c, key) % 3)
            continue;
        struct pm_slot *slot = pm_slot_open(ctx, key);
        if (slot->state == PM_SLOT_REPLICA && !(slot->flags & PM_SLOT_REFRESHING))
            pm_drop(ctx, key, slot);
        pm_slot_close(ctx, slot);
    }
    min_clock(ctx, state, c);
}

/* And drawing samples from what is here: core lists the replicas that can be read, which random programs check. */
static int init_listing(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                        struct pm_error *err)
{
    int code = init(node, state, options, traits, err);
    traits->sampling = (struct pm_sampling){.scheme = PM_SAMPLING_LOCAL, .tries = 2};
    return code;
}

static struct pm_policy dropping;

static struct bounds cases[] = {
    {.name = "staleness_0", .staleness = 0},
    {.name = "staleness_1", .staleness = 1},
    {.name = "staleness_3", .staleness = 3},
    {.name = "unbounded", .staleness = BOUNDS_UNBOUNDED},
    {.name = "in_step_0", .staleness = 0, .in_step = true},
    {.name = "in_step_1", .staleness = 1, .in_step = true},
    {.name = "dropping_0", .staleness = 0, .policy = &dropping},
    {.name = "dropping_3", .staleness = 3, .policy = &dropping},
    {.name = "preempted_0", .staleness = 0, .preempt = true},
    {.name = "preempted_1", .staleness = 1, .preempt = true},
    {.name = "preempted_3", .staleness = 3, .preempt = true},
    {.name = "preempted_unbounded", .staleness = BOUNDS_UNBOUNDED, .preempt = true},
    {.name = "preempted_in_step_0", .staleness = 0, .preempt = true, .in_step = true},
    {.name = "preempted_dropping_1", .staleness = 1, .preempt = true, .policy = &dropping},
};
enum { CASES = sizeof cases / sizeof *cases };

int main(int argc, char **argv)
{
    static const char *const options[] = {"staleness=0", "staleness=1", "staleness=3", "staleness=1T", NULL};
    static struct bounds_settings settings = {&pm_policy_export, options}, dropped = {&dropping, options};
    struct CMUnitTest tests[CASES + 3];
    size_t n = 0;
    dropping = pm_policy_export;
    dropping.min_clock = min_clock_dropping;
    dropping.init = init_listing;
    for (; n < CASES; n++) {
        if (!cases[n].policy)
            cases[n].policy = &pm_policy_export;
        tests[n] = (struct CMUnitTest){cases[n].name, bounds_programs, NULL, NULL, &cases[n]};
    }
    tests[n++] = (struct CMUnitTest){"programs", bounds_random, NULL, NULL, &settings};
    tests[n++] = (struct CMUnitTest){"programs_dropping", bounds_random, NULL, NULL, &dropped};
    tests[n++] = (struct CMUnitTest){"contract", bounds_contract, NULL, NULL, &settings};
    return repeat_main(argc, argv, "bounded staleness, the example", tests, n);
}
