/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Presets: what goes before what, what had to be given, wrong tables; and the presets of all modules. */
#define _GNU_SOURCE /* strsep */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/policy.h"
#include "core/registry.h"
#include "core/spec.h"
#include "core/workload.h"

static const struct pm_option table[] = {
    {.name = "keys", .type = PM_OPT_COUNT, .def = "1k", .min = 1, .max = 1e9},
    {.name = "hot", .type = PM_OPT_COUNT},
    {.name = "factor", .type = PM_OPT_REAL, .def = "100"},
    {.name = "preset", .type = PM_OPT_ENUM, .def = "none", .choices = "none|wide|few|idle"},
    {.name = "scheme", .type = PM_OPT_ENUM, .def = "reuse", .choices = "local|reuse"},
    {0},
};

static const struct pm_preset presets[] = {
    {.preset = "wide", .option = "keys", .text = "1M"},
    {.preset = "few", .option = "hot", .text = "9", .unless = {"factor", "scheme"}},
    {.preset = "wide", .option = "scheme", .text = "local"},
    {.preset = "wide", .option = "factor", .text = "100"},
    {0},
};

static void apply(const char *text, const struct pm_option *options, const struct pm_preset *rows, struct pm_values *values)
{
    struct pm_spec spec;
    struct pm_error err = {0};
    assert_int_equal(pm_spec_parse(text, &spec, &err), PM_OK);
    if (pm_spec_apply(&spec, options, rows, values, &err) != PM_OK)
        fail_msg("%s: %s", text, err.text);
    pm_spec_free(&spec);
}

/* The names of the options of which `is` holds. */
static const char *those(const struct pm_values *values, bool (*is)(const struct pm_values *values, const char *name))
{
    static char text[256];
    text[0] = '\0';
    for (size_t i = 0; i < values->n; i++)
        if (is(values, values->table[i].name))
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", values->table[i].name);
    return text;
}

static void given_then_preset_then_default(void **state)
{
    (void)state;
    static const struct {
        const char *text, *all, *told, *given, *defaults;
    } cases[] = {
        {"m", "m:keys=1000,factor=100,preset=none,scheme=reuse", "m", "", "keys hot factor preset scheme "},
        {"m:preset=none", "m:keys=1000,factor=100,preset=none,scheme=reuse", "m", "preset ", "keys hot factor preset scheme "},
        {"m:preset=idle", "m:keys=1000,factor=100,preset=idle,scheme=reuse", "m:preset=idle", "preset ", "keys hot factor scheme "},
        {"m:preset=wide", "m:keys=1000000,factor=100,preset=wide,scheme=local", "m:preset=wide", "preset ", "hot "},
        {"m:keys=7,preset=wide", "m:keys=7,factor=100,preset=wide,scheme=local", "m:keys=7,preset=wide", "keys preset ", "hot "},
        {"m:preset=wide,keys=1000", "m:keys=1000,factor=100,preset=wide,scheme=local", "m:keys=1000,preset=wide", "keys preset ",
         "hot "},
        {"m:preset=wide,keys=1e6", "m:keys=1000000,factor=100,preset=wide,scheme=local", "m:keys=1000000,preset=wide",
         "keys preset ", "hot "},
        {"m:preset=few", "m:keys=1000,hot=9,factor=100,preset=few,scheme=reuse", "m:preset=few", "preset ", "keys factor scheme "},
        {"m:preset=few,hot=3", "m:keys=1000,hot=3,factor=100,preset=few,scheme=reuse", "m:hot=3,preset=few", "hot preset ",
         "keys factor scheme "},
        {"m:preset=few,factor=100", "m:keys=1000,factor=100,preset=few,scheme=reuse", "m:factor=100,preset=few", "factor preset ",
         "keys hot scheme "},
        {"m:preset=few,scheme=local", "m:keys=1000,factor=100,preset=few,scheme=local", "m:preset=few,scheme=local",
         "preset scheme ", "keys hot factor "},
        {"m:preset=few,keys=1000", "m:keys=1000,hot=9,factor=100,preset=few,scheme=reuse", "m:preset=few", "keys preset ",
         "keys factor scheme "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_values values;
        char text[256];
        apply(cases[i].text, table, presets, &values);
        pm_spec_format_values("m", &values, true, text, sizeof text);
        assert_string_equal(text, cases[i].all);
        pm_spec_format_values("m", &values, false, text, sizeof text);
        assert_string_equal(text, cases[i].told);
        assert_string_equal(those(&values, pm_values_is_given), cases[i].given);
        assert_string_equal(those(&values, pm_values_is_default), cases[i].defaults);
        pm_values_free(&values);
    }
}

/* What had to be given says all: each option not given, given as its default, and given otherwise, beside each preset. */
static void what_is_told_means_the_same(void **state)
{
    (void)state;
    static const char *const parts[][4] = {{"", "keys=5,", "keys=1000,", "keys=1000000,"}, {"", "hot=2,", "hot=9,", ""},
                                           {"", "factor=100,", "factor=3,", ""}, {"", "scheme=local,", "scheme=reuse,", ""},
                                           {"none", "wide", "few", "idle"}};
    for (unsigned mix = 0; mix < 1 << 10; mix++) {
        char text[256], all[256], told[256], again[256];
        struct pm_values values;
        snprintf(text, sizeof text, "m:%s%s%s%spreset=%s", parts[0][mix & 3], parts[1][mix >> 2 & 3], parts[2][mix >> 4 & 3],
                 parts[3][mix >> 6 & 3], parts[4][mix >> 8 & 3]);
        apply(text, table, presets, &values);
        pm_spec_format_values("m", &values, true, all, sizeof all);
        pm_spec_format_values("m", &values, false, told, sizeof told);
        pm_values_free(&values);
        apply(told, table, presets, &values);
        pm_spec_format_values("m", &values, true, again, sizeof again);
        pm_values_free(&values);
        if (strcmp(all, again) != 0)
            fail_msg("%s is told as %s: %s, not %s", text, told, again, all);
    }
}

static void refused(const struct pm_option *options, const struct pm_preset *rows, const char *words)
{
    struct pm_spec spec;
    struct pm_values values;
    struct pm_error err = {0};
    assert_int_equal(pm_spec_parse("m", &spec, &err), PM_OK);
    assert_int_equal(pm_spec_apply(&spec, options, rows, &values, &err), PM_E_ARGUMENT);
    assert_null(values.values);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    pm_spec_free(&spec);
}

/* Whatever preset is chosen. */
static void wrong_tables_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct pm_preset row;
        const char *words;
    } cases[] = {
        {{.preset = "wider", .option = "keys", .text = "1"}, "m: preset \"wider\" is no choice of option \"preset\""},
        {{.preset = "wide", .option = "key", .text = "1"}, "preset \"wide\" names \"key\", which is no option for it"},
        {{.preset = "wide", .option = "preset", .text = "few"}, "names \"preset\""},
        {{.preset = "wide", .option = "hot", .text = "1", .unless = {"keys", "x"}}, "names \"x\""},
        {{.preset = "wide", .option = "hot", .text = "1", .unless = {"preset"}}, "names \"preset\""},
        {{.preset = "few", .option = "keys", .text = "0"}, "preset \"few\": option \"keys\": \"0\" is out of range"},
        {{.preset = "few", .option = "scheme", .text = "late"}, "preset \"few\": option \"scheme\": \"late\" is not allowed"},
        {{.preset = "wide", .option = "keys", .text = "1"}, "preset \"wide\" sets \"keys\" twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_preset rows[] = {presets[0], presets[1], cases[i].row, {0}};
        refused(table, rows, cases[i].words);
    }
    refused(&table[4], presets, "no enum \"preset\" to choose one");
    refused(NULL, presets, "no enum \"preset\"");
    struct pm_values values;
    static const struct pm_preset none[] = {{0}};
    apply("m", NULL, none, &values);
    pm_values_free(&values);
}

/* Every choice but the default sets something. */
static void check_module(const char *name, const struct pm_option *options, const struct pm_preset *rows, unsigned *choices)
{
    int chooser = pm_option_find(options, PM_PRESET_OPTION);
    if (chooser < 0) {
        assert_null(rows);
        return;
    }
    char listed[512], text[600], *rest = listed;
    snprintf(listed, sizeof listed, "%s", options[chooser].choices);
    for (const char *choice; (choice = strsep(&rest, "|")) != NULL; ++*choices) {
        struct pm_values values;
        size_t settings = 0;
        snprintf(text, sizeof text, "%s:preset=%s", name, choice);
        apply(text, options, rows, &values);
        for (size_t i = 0; i < values.n; i++)
            settings += values.values[i].preset;
        if ((settings == 0) != (strcmp(choice, options[chooser].def) == 0))
            fail_msg("%s:preset=%s sets %zu options", name, choice, settings);
        pm_values_free(&values);
    }
}

static void presets_of_all_modules_are_sound(void **state)
{
    (void)state;
    unsigned choices = 0;
    for (const struct pm_policy *const *p = pm_registry_policies; *p != NULL; p++)
        check_module((*p)->name, (*p)->options, (*p)->presets, &choices);
    for (const struct pm_workload *const *w = pm_registry_workloads; *w != NULL; w++)
        check_module((*w)->name, (*w)->options, (*w)->presets, &choices);
    assert_true(choices > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_then_preset_then_default),
        cmocka_unit_test(what_is_told_means_the_same),
        cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(presets_of_all_modules_are_sound),
    };
    return cmocka_run_group_tests_name("presets", tests, NULL, NULL);
}
