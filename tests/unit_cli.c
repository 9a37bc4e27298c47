/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line's table of options beside those of the backends, arguments, configuration files, number
 * formats. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/format.h"
#include "cli/options.h"
#include "cli/specs.h"
#include "real/backend.h"

/* Every option of a backend is a row of the command line, of the same type, default and choices, for that
 * backend. */
static void compare_table(const struct pm_option *table, unsigned flag)
{
    for (const struct pm_option *option = table; option->name != NULL; option++) {
        const struct cli_option *row = cli_option_find(option->name);
        if (row == NULL)
            fail_msg("the command line has no option %s", option->name);
        assert_int_equal(row->option.type, option->type);
        assert_true(row->flags & flag);
        if ((option->def == NULL) != (row->option.def == NULL))
            fail_msg("option %s has a default in one table only", option->name);
        if (option->def != NULL)
            assert_string_equal(row->option.def, option->def);
        if (option->choices != NULL)
            assert_string_equal(row->option.choices, option->choices);
    }
    for (const struct cli_option *row = cli_options; row->option.name != NULL; row++)
        if ((row->flags & flag) && pm_option_find(table, row->option.name) < 0)
            fail_msg("the backend has no option %s", row->option.name);
}

static void options_of_backends(void **state)
{
    (void)state;
    compare_table(pm_backend_real.options, CLI_REAL);
    const char *path = getenv("PMLAB_SIM");
    if (path == NULL)
        skip();
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL)
        fail_msg("%s", dlerror());
    const struct pm_backend *sim = dlsym(library, "pm_backend_sim");
    assert_non_null(sim);
    compare_table(sim->options, CLI_SIM);
}

static void table_is_sound(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_values values;
    if (pm_values_init(&values, cli_option_table(), &err) != PM_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < values.n; i++) {
        assert_non_null(values.table[i].help);
        assert_true(cli_options[i].commands != 0);
    }
    pm_values_free(&values);
}

static int parse(struct cli_args *args, unsigned command, const char *words, struct pm_error *err)
{
    static char copy[512];
    char *argv[32], *rest = NULL;
    int n = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    return cli_args_parse(args, command, "test", n, argv, err);
}

static void arguments(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct cli_args args;
    assert_int_equal(
        parse(&args, CLI_RUN, "--nodes 8 --workers=3 --json --policy kv --policy.x 1 --nodes 9", &err),
        PM_OK);
    assert_int_equal(cli_count(&args, "nodes"), 9);
    assert_int_equal(cli_count(&args, "workers"), 3);
    assert_true(cli_flag(&args, "json"));
    assert_false(cli_flag(&args, "quiet"));
    assert_int_equal(args.policy.n, 1);
    assert_string_equal(args.policy.pairs[0].name, "x");
    cli_args_free(&args);

    assert_int_equal(parse(&args, CLI_RUN, "--policy kv --policy full --sim-cfg a:b --sim-cfg c:d", &err),
                     PM_OK);
    assert_string_equal(cli_text(&args, "policy"), "full");
    assert_string_equal(cli_text(&args, "sim-cfg"), "a:b c:d");
    cli_args_free(&args);

    assert_int_equal(parse(&args, CLI_COMPARE, "--policy kv --policy full", &err), PM_OK);
    assert_string_equal(cli_text(&args, "policy"), "kv,full");
    cli_args_free(&args);

    assert_int_equal(parse(&args, CLI_SHOW, "7 -- --json", &err), PM_OK);
    assert_int_equal(args.n_words, 2);
    assert_string_equal(args.words[1], "--json");
    cli_args_free(&args);

    assert_int_equal(parse(&args, CLI_SHOW, "--policy.x 1", &err), PM_E_OPTION);
    assert_int_equal(parse(&args, CLI_RUN, "--json=maybe", &err), PM_E_OPTION);
}

static void modules(void **state)
{
    (void)state;
    assert_true(cli_name_is_file("./x"));
    assert_true(cli_name_is_file("x.so"));
    assert_false(cli_name_is_file(".so"));
    assert_false(cli_name_is_file("classic"));
    struct pm_error err = {0};
    struct cli_args args;
    struct cli_module_spec policy;
    struct pm_traits traits;
    assert_int_equal(parse(&args, CLI_RUN, "--policy single", &err), PM_OK);
    assert_int_equal(cli_policy_of(&args, NULL, &policy, &err), PM_OK);
    assert_int_equal(cli_policy_traits(&policy, &traits, &err), PM_OK);
    assert_int_equal(traits.max_nodes, 1);
    assert_string_equal(policy.options, "");
    cli_module_spec_free(&policy);
    cli_args_free(&args);
    assert_int_equal(parse(&args, CLI_RUN, "--policy classic:fast_local=1 --policy.fast_local no", &err),
                     PM_OK);
    assert_int_equal(cli_policy_of(&args, NULL, &policy, &err), PM_OK);
    assert_string_equal(policy.options, "fast_local=0");
    cli_module_spec_free(&policy);
    cli_args_free(&args);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        void (*format)(char *, size_t, double);
        double value;
        const char *text;
    } cases[] = {
        {cli_format_seconds, 0, "0 s"},          {cli_format_seconds, 1.5e-6, "1.5 us"},
        {cli_format_seconds, 0.0744, "74.4 ms"}, {cli_format_seconds, 3.456, "3.46 s"},
        {cli_format_seconds, 125, "125 s"},      {cli_format_bytes, 0, "0 B"},
        {cli_format_bytes, 999, "999 B"},        {cli_format_bytes, 1000, "1.00 kB"},
        {cli_format_bytes, 3.22e6, "3.22 MB"},   {cli_format_bytes, 999950, "1.00 MB"},
        {cli_format_count, 12345, "12.3 k"},     {cli_format_percent, 0.25, "25.0 %"},
        {cli_format_real, 0.98765, "0.9877"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        cases[i].format(text, sizeof text, cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_backends),
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(arguments),
        cmocka_unit_test(modules),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
