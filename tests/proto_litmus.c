/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Litmus programs on the in-memory network: what policies promise holds, what they do not promise is found, a schedule's number
 * repeats it, and programs are what they should be. PM_SEED is the command's --seed, SCHEDULES its --schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/consistency.h"
#include "core/registry.h"
#include "tests/repeat.h"

/* AddressSanitizer looks at the whole stack at each switch of coroutines. */
#ifdef __SANITIZE_ADDRESS__
enum { SHARE = 4 };
#else
enum { SHARE = REPEAT_SHARE };
#endif
enum { SCHEDULES = 800, FIND_STEP = 50, FIND_MAX = 10000, SHAPES_MAX = 64 };

/* pmlab consistency with these arguments and more of the tests' own; its exit status. */
static int command(const char *policy, uint64_t seed)
{
    char schedules[32], seed_text[32];
    snprintf(schedules, sizeof schedules, "%llu",
             (unsigned long long)repeat_number("SCHEDULES", SCHEDULES / SHARE));
    snprintf(seed_text, sizeof seed_text, "%llu", (unsigned long long)seed);
    const char *argv[] = {"--backends", "memnet", "--jobs", "2", "--quiet", "--schedules", schedules, "--seed", seed_text,
                          "--policy", policy};
    struct pm_error err = {0};
    struct cli_args args;
    int n = (int)(sizeof argv / sizeof *argv);
    assert_int_equal(cli_args_parse(&args, CLI_CONSISTENCY, "consistency", n, (char **)argv, &err), PM_OK);
    int status = cli_consistency(&args);
    cli_args_free(&args);
    return status;
}

static void keeps_promises(void **state)
{
    const char *policy = *state;
    uint64_t seed = repeat_number("PM_SEED", 1);
    repeat_note(seed, "", policy);
    if (command(policy, seed) == 0)
        return;
    repeat_line("a promise is broken", seed, "", policy);
    fail_msg("%s breaks its promise", policy);
}

/* ---- single schedules ---- */

static void row_init(struct consistency_row *row, const char *text)
{
    struct pm_error err = {0};
    struct cli_args args;
    struct pm_spec spec;
    assert_int_equal(cli_args_parse(&args, CLI_CONSISTENCY, "consistency", 0, NULL, &err), PM_OK);
    assert_int_equal(pm_spec_parse(text, &spec, &err), PM_OK);
    *row = (struct consistency_row){0};
    assert_int_equal(cli_policy_of(&args, &spec, &row->policy, &err), PM_OK);
    assert_int_equal(cli_policy_traits(&row->policy, &row->traits, &err), PM_OK);
    pm_spec_free(&spec);
    cli_args_free(&args);
}

/* Runs schedules of a row until one violates the level. */
static void find(const char *policy, int mode, enum history_level level, struct consistency_finding *found)
{
    struct consistency_row row;
    struct consistency_unit *unit = calloc(1, sizeof *unit);
    row_init(&row, policy);
    for (uint64_t i = 0; i < FIND_MAX && unit->findings[mode][level].times == 0; i += FIND_STEP) {
        *unit = (struct consistency_unit){.backend = ON_MEMNET, .first = 1000000 + 2 * i, .n = FIND_STEP};
        consistency_run_unit(&row, unit);
        assert_true(unit->ended);
        assert_int_equal(unit->code, PM_OK);
        assert_int_equal(unit->schedules[mode], FIND_STEP);
    }
    *found = unit->findings[mode][level];
    cli_module_spec_free(&row.policy);
    free(unit);
}

/* The number of a finding gives the same history, and so the same shortest part. */
static void repeats(const char *policy, const struct consistency_finding *f, enum history_level level)
{
    struct consistency_row row;
    struct pm_error err = {0};
    struct history h, shortest;
    struct history_cycle cycle;
    struct litmus_board *board = litmus_board_new(consistency_rounds(ON_MEMNET));
    assert_non_null(board);
    row_init(&row, policy);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(consistency_run_job(&row, ON_MEMNET, f->number, board, &err), PM_OK);
        litmus_history(&board->rounds[0], &h);
        assert_true(history_shorten(&h, level, &shortest, &cycle));
        assert_memory_equal(&shortest, &f->shortest, sizeof shortest);
    }
    cli_module_spec_free(&row.policy);
    litmus_board_free(board, consistency_rounds(ON_MEMNET));
}

static void weakness(const char *policy, int mode, enum history_level level, uint32_t longest)
{
    static struct consistency_finding f;
    find(policy, mode, level, &f);
    if (f.times == 0)
        fail_msg("%s, %s: no violation of %s was found", policy, consistency_mode_names[mode], history_level_names[level]);
    assert_true(f.shortest.n_ops > 1 && f.shortest.n_ops <= longest);
    repeats(policy, &f, level);
}

static void weaknesses_show(void **state)
{
    (void)state;
    for (int mode = 0; mode < CONSISTENCY_MODES; mode++) {
        weakness("full:syncs_per_second=10000", mode, HISTORY_SEQUENTIAL, 6);
        weakness("kv", mode, HISTORY_SERIALIZABLE, 4);
        weakness("stale:sync=client", mode, HISTORY_CAUSAL, 4);
        weakness("stale:sync=server", mode, HISTORY_CAUSAL, 4);
    }
    weakness("single", 0, HISTORY_SERIALIZABLE, 4); /* seen by preemption between the keys of an operation only */
    weakness("lapse:location_cache=1", 1, HISTORY_PRAM, 4);
}

/* ---- programs ---- */

/* Updates are unique, numbers give programs again, every shape comes up, and only asynchronous operations are waited for apart. */
static void programs(void **state)
{
    (void)state;
    uint64_t asynchronous_waits = 0;
    bool shapes[SHAPES_MAX] = {false};
    for (uint64_t number = 0; number < 4000; number++) {
        struct litmus_program p, again;
        uint32_t nodes = 1 + (uint32_t)(number % 4), workers = 1 + (uint32_t)(number / 4 % 2);
        uint64_t seen[HISTORY_KEYS] = {0};
        litmus_make(number, nodes, workers, &p);
        litmus_make(number, nodes, workers, &again);
        assert_memory_equal(&p, &again, sizeof p);
        shapes[p.shape] = true;
        for (uint32_t rank = 0; rank < nodes * workers; rank++) {
            uint32_t ops = 0;
            for (uint32_t i = 0; i < p.n_steps[rank]; i++) {
                const struct litmus_step *s = &p.steps[rank][i];
                ops += s->kind == LITMUS_PULL || s->kind == LITMUS_PUSH;
                asynchronous_waits += s->kind == LITMUS_WAIT;
                assert_true(s->kind != LITMUS_WAIT || litmus_asynchronous(number));
                for (uint32_t k = 0; k < s->n_keys && s->kind == LITMUS_PUSH; k++) {
                    assert_true(s->updates[k] < HISTORY_UPDATES && !(seen[s->keys[k]] >> s->updates[k] & 1));
                    seen[s->keys[k]] |= UINT64_C(1) << s->updates[k];
                }
            }
            assert_true(ops <= LITMUS_OPS);
        }
    }
    assert_true(asynchronous_waits > 0);
    for (uint32_t shape = 0; litmus_shape_name(shape); shape++)
        assert_true(shapes[shape]);
}

int main(int argc, char **argv)
{
    static const char *const policies[] = {"single",
                                           "kv",
                                           "classic:fast_local=0",
                                           "classic",
                                           "lapse",
                                           "lapse:fast_local=0",
                                           "lapse:location_cache=1",
                                           "stale:sync=client",
                                           "stale:sync=server",
                                           "full:syncs_per_second=10000",
                                           "full"};
    enum { POLICIES = sizeof policies / sizeof *policies };
    struct CMUnitTest tests[POLICIES + 2] = {cmocka_unit_test(programs), cmocka_unit_test(weaknesses_show)};
    for (size_t i = 0; i < POLICIES; i++)
        tests[2 + i] = (struct CMUnitTest){policies[i], keeps_promises, NULL, NULL, (void *)policies[i]};
    return repeat_main(argc, argv, "litmus programs", tests, sizeof tests / sizeof *tests);
}
