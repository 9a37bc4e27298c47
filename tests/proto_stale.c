/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy stale on the in-memory network, both forms of synchronisation. tests/bounds.h says what must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/registry.h"
#include "tests/bounds.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_stale;

#define CLIENT .policy = &pm_policy_stale, .options = "sync=client"
#define SERVER .policy = &pm_policy_stale, .asks_once = true, .options = "sync=server"

static struct bounds cases[] = {
    {.name = "client_0", CLIENT, .staleness = 0},
    {.name = "client_1", CLIENT, .staleness = 1},
    {.name = "client_3", CLIENT, .staleness = 3},
    {.name = "client_unbounded", CLIENT, .staleness = BOUNDS_UNBOUNDED},
    {.name = "client_in_step_0", CLIENT, .staleness = 0, .in_step = true},
    {.name = "client_in_step_1", CLIENT, .staleness = 1, .in_step = true},
    {.name = "client_of_3_batches", CLIENT ",clock=3", .staleness = 1},
    {.name = "client_of_sub_epochs", CLIENT ",clock=subepoch", .staleness = 1},
    {.name = "client_preempted_0", CLIENT, .staleness = 0, .preempt = true},
    {.name = "client_preempted_1", CLIENT, .staleness = 1, .preempt = true},
    {.name = "client_preempted_3", CLIENT ",clock=2", .staleness = 3, .preempt = true},
    {.name = "client_preempted_in_step_0", CLIENT, .staleness = 0, .preempt = true, .in_step = true},
    {.name = "server_0", SERVER, .staleness = 0},
    {.name = "server_1", SERVER, .staleness = 1},
    {.name = "server_3", SERVER, .staleness = 3},
    {.name = "server_unbounded", SERVER, .staleness = BOUNDS_UNBOUNDED},
    {.name = "server_in_step_0", SERVER, .staleness = 0, .in_step = true},
    {.name = "server_in_step_1", SERVER, .staleness = 1, .in_step = true},
    {.name = "server_of_3_batches", SERVER ",clock=3", .staleness = 1},
    {.name = "server_of_sub_epochs", SERVER ",clock=subepoch", .staleness = 1},
    {.name = "server_preempted_0", SERVER, .staleness = 0, .preempt = true},
    {.name = "server_preempted_1", SERVER, .staleness = 1, .preempt = true},
    {.name = "server_preempted_3", SERVER ",clock=2", .staleness = 3, .preempt = true},
    {.name = "server_preempted_in_step_0", SERVER, .staleness = 0, .preempt = true, .in_step = true},
};
enum { CASES = sizeof cases / sizeof *cases };

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES];
    for (size_t n = 0; n < CASES; n++)
        tests[n] = (struct CMUnitTest){cases[n].name, bounds_programs, NULL, NULL, &cases[n]};
    return repeat_main(argc, argv, "bounded staleness", tests, CASES);
}
