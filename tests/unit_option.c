/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Typed options: units, bounds, messages, canonical texts, nearest names, and a fuzz of the parser. PM_SEED gives the
 * seed of random texts and numbers, ROUNDS how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/nearest.h"
#include "core/option.h"
#include "core/rng.h"
#include "tests/repeat.h"

static struct pm_option option_of(enum pm_option_type type)
{
    return (struct pm_option){.name = "opt", .type = type, .help = "tested", .choices = "red|green|blue"};
}

/* Parses, formats, parses what was formatted, and compares. */
static struct pm_value round_trip(enum pm_option_type type, const char *text, const char *canonical)
{
    struct pm_option option = option_of(type);
    struct pm_value value, again;
    struct pm_error err = {0};
    char first[PM_OPTION_TEXT_MAX + 1], second[PM_OPTION_TEXT_MAX + 1];
    if (pm_option_parse(&option, text, &value, &err) != PM_OK)
        fail_msg("\"%s\": %s", text, err.text);
    assert_true(value.set);
    size_t length = pm_option_format(&option, &value, first, sizeof first);
    assert_int_equal(length, strlen(first));
    if (canonical != NULL)
        assert_string_equal(first, canonical);
    if (pm_option_parse(&option, first, &again, &err) != PM_OK)
        fail_msg("\"%s\" -> \"%s\": %s", text, first, err.text);
    pm_option_format(&option, &again, second, sizeof second);
    assert_string_equal(first, second);
    bool same = value.choice == again.choice && value.whole == again.whole && value.ns == again.ns &&
                memcmp(&value.real, &again.real, sizeof value.real) == 0;
    if (!same)
        fail_msg("\"%s\" -> \"%s\" is another value", text, first);
    return value;
}

/* The text is refused with one line that contains `words`. */
static void refused(enum pm_option_type type, const char *text, const char *words)
{
    struct pm_option option = option_of(type);
    struct pm_value value;
    struct pm_error err = {0};
    int rc = pm_option_parse(&option, text, &value, &err);
    if (rc != PM_E_OPTION)
        fail_msg("\"%s\" is not refused", text);
    if (strstr(err.text, words) == NULL || strstr(err.text, "\"opt\"") == NULL ||
        strchr(err.text, '\n') != NULL)
        fail_msg("\"%s\": \"%s\" lacks \"%s\"", text, err.text, words);
    assert_false(value.set);
}

static void counts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
        const char *canonical;
    } cases[] = {
        {"0", 0, "0"},
        {"-0", 0, "0"},
        {"007", 7, "7"},
        {"12k", 12000, "12000"},
        {"1e6", 1000000, "1000000"},
        {"1E+6", 1000000, "1000000"},
        {"1.5M", 1500000, "1500000"},
        {".5k", 500, "500"},
        {"2.", 2, "2"},
        {"1e3k", 1000000, "1000000"},
        {"2500e-2", 25, "25"},
        {"1.000000000000000000000000000000", 1, "1"},
        {"3G", 3000000000, "3000000000"},
        {"1T", 1000000000000, "1000000000000"},
        {"9007199254740993", 9007199254740993, "9007199254740993"}, /* no double */
        {"18446744073709551615", UINT64_MAX, "18446744073709551615"},
        {"18446744073709551.615k", UINT64_MAX, "18446744073709551615"},
        {"0e99999999999", 0, "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(round_trip(PM_OPT_COUNT, cases[i].text, cases[i].canonical).whole == cases[i].value);
    static const char *const too_large[] = {
        "18446744073709551616", "1e20",      "18446744073709551616k",
        "1e99999999999",        "20000000T", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof too_large / sizeof *too_large; i++)
        refused(PM_OPT_COUNT, too_large[i], "is too large");
    static const char *const no_number[] = {"",   " ",  "k", "nan", "inf", "+1",
                                            " 1", "e6", ".", "-",   "--1", "x"};
    for (size_t i = 0; i < sizeof no_number / sizeof *no_number; i++)
        refused(PM_OPT_COUNT, no_number[i], "is not a number (allowed: whole numbers");
    static const char *const unknown[] = {"1 ", "1x",  "0x10", "1kk",   "1K", "1m",
                                          "1e", "1e+", "1,5",  "1.2.3", "1-1"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        refused(PM_OPT_COUNT, unknown[i], "has an unknown unit (allowed: whole numbers, also with k M G T)");
    refused(PM_OPT_COUNT, "-1", "\"-1\" is negative");
    refused(PM_OPT_COUNT, "1.5", "is not a whole number");
    refused(PM_OPT_COUNT, "1.2345k", "is not a whole number");
    refused(PM_OPT_COUNT, "1e-3", "is not a whole number");
}

static void bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
        const char *canonical;
    } cases[] = {
        {"0", 0, "0B"},
        {"1B", 1, "1B"},
        {"1kB", 1000, "1000B"},
        {"64kB", 64000, "64000B"},
        {"1024B", 1024, "1KiB"},
        {"128GiB", UINT64_C(128) << 30, "128GiB"},
        {"1.5GiB", UINT64_C(3) << 29, "1536MiB"},
        {"0.5KiB", 512, "512B"},
        {"0.3GiB", 322122547, "322122547B"}, /* rounded from 322122547.2 */
        {"1TB", 1000000000000, "976562500KiB"},
        {"1TiB", UINT64_C(1) << 40, "1TiB"},
        {"2MB", 2000000, "2000000B"},
        {"18446744073709551615B", UINT64_MAX, "18446744073709551615B"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(round_trip(PM_OPT_BYTES, cases[i].text, cases[i].canonical).whole == cases[i].value);
    refused(PM_OPT_BYTES, "65536", "has no unit (allowed: B kB MB GB TB KiB MiB GiB TiB)");
    refused(PM_OPT_BYTES, "1KB", "has an unknown unit (allowed: B kB");
    refused(PM_OPT_BYTES, "16777216TiB", "is too large");
    refused(PM_OPT_BYTES, "16777215.9999999999999999999TiB", "is too large");
    refused(PM_OPT_BYTES, "1.5B", "is not a whole number");
    refused(PM_OPT_BYTES, "0.0001KiB", "is too small");
    refused(PM_OPT_BYTES, "-1GiB", "is negative");
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
        double s;
        const char *canonical;
    } cases[] = {
        {"20us", 20000, 20e-6, "20us"},
        {"0", 0, 0, "0s"},
        {"0.0", 0, 0, "0s"},
        {"1.5ms", 1500000, 1.5e-3, "1500us"},
        {"60s", INT64_C(60000000000), 60, "60s"},
        {"1min", INT64_C(60000000000), 60, "60s"},
        {"2h", INT64_C(7200000000000), 7200, "7200s"},
        {"0.1s", 100000000, 0.1, "100ms"},
        {"5.12ns", 5, 5.12e-9, "5.12e-09s"},
        {"0.5ns", 1, 0.5e-9, "5e-10s"},
        {"1e3us", 1000000, 1e-3, "1ms"},
        {"123456789ns", 123456789, 0.123456789, "123456789ns"},
        {"1000000s", INT64_C(1000000000000000), 1e6, "1000000s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_value value = round_trip(PM_OPT_DURATION, cases[i].text, cases[i].canonical);
        assert_true(value.ns == cases[i].ns);
        assert_true(value.real == cases[i].s);
    }
    /* The same time in other units is the same value. */
    round_trip(PM_OPT_DURATION, "0.0123456ms", "1.23456e-05s");
    round_trip(PM_OPT_DURATION, "12.3456us", "1.23456e-05s");
    round_trip(PM_OPT_DURATION, "12345.6ns", "1.23456e-05s");
    round_trip(PM_OPT_DURATION, "0.1h", "360s");
    refused(PM_OPT_DURATION, "20", "\"20\" has no unit (allowed: ns us ms s min h)");
    refused(PM_OPT_DURATION, "20parsec", "\"20parsec\" has an unknown unit (allowed: ns us ms s min h)");
    refused(PM_OPT_DURATION, "20 us", "has an unknown unit");
    refused(PM_OPT_DURATION, "-1s", "is negative");
    round_trip(PM_OPT_DURATION, "9223372036s", "9223372036s");
    refused(PM_OPT_DURATION, "9223372037s", "is too large"); /* more than 2^63 ns */
    refused(PM_OPT_DURATION, "1e308h", "is too large");
    refused(PM_OPT_DURATION, "1e-305ns", "is too small");
    refused(PM_OPT_DURATION, "nan", "is not a number");
    refused(PM_OPT_DURATION, "us", "is not a number");
}

static void rates_and_flops(void **state)
{
    (void)state;
    assert_true(round_trip(PM_OPT_RATE, "10Gbps", "10Gbps").real == 1.25e9);
    assert_true(round_trip(PM_OPT_RATE, "1GBps", "8Gbps").real == 1e9);
    assert_true(round_trip(PM_OPT_RATE, "12.5Gbps", "12500Mbps").real == 1.5625e9);
    assert_true(round_trip(PM_OPT_RATE, "1bps", "1bps").real == 0.125);
    assert_true(round_trip(PM_OPT_RATE, "0", "0Bps").real == 0);
    assert_true(round_trip(PM_OPT_RATE, "0.3Bps", "0.3Bps").real == 0.3);
    assert_true(round_trip(PM_OPT_RATE, "2TBps", "16Tbps").real == 2e12);
    refused(PM_OPT_RATE, "10", "has no unit (allowed: bps kbps Mbps Gbps Tbps Bps kBps MBps GBps TBps)");
    refused(PM_OPT_RATE, "10Gb", "has an unknown unit");
    refused(PM_OPT_RATE, "-10Gbps", "is negative");
    assert_true(round_trip(PM_OPT_FLOPS, "1Gf", "1Gf").real == 1e9);
    assert_true(round_trip(PM_OPT_FLOPS, "2.5Tf", "2500Gf").real == 2.5e12);
    assert_true(round_trip(PM_OPT_FLOPS, "0.1f", "0.1f").real == 0.1);
    refused(PM_OPT_FLOPS, "1G", "has an unknown unit (allowed: f kf Mf Gf Tf Pf)");
    refused(PM_OPT_FLOPS, "1e400f", "is too large");
}

static void reals(void **state)
{
    (void)state;
    assert_true(round_trip(PM_OPT_REAL, "0.1", "0.1").real == 0.1);
    assert_true(round_trip(PM_OPT_REAL, "-2.50", "-2.5").real == -2.5);
    assert_true(round_trip(PM_OPT_REAL, "1e-3", "0.001").real == 1e-3);
    assert_false(signbit(round_trip(PM_OPT_REAL, "-0.0", "0").real));
    assert_true(round_trip(PM_OPT_REAL, "0.1000000000000000055", "0.1").real == 0.1);
    assert_true(round_trip(PM_OPT_REAL, "1.7976931348623157e308", NULL).real == 1.7976931348623157e308);
    assert_true(round_trip(PM_OPT_REAL, "2.2250738585072014e-308", NULL).real > 0);
    refused(PM_OPT_REAL, "1e309", "is too large");
    refused(PM_OPT_REAL, "-1e309", "is too large");
    refused(PM_OPT_REAL, "1e-320", "is too small");
    static const char *const no_number[] = {"nan", "inf", "-inf", "0x1p3", "1k", "1.0 ", "one", "", "1e5e5"};
    for (size_t i = 0; i < sizeof no_number / sizeof *no_number; i++)
        refused(PM_OPT_REAL, no_number[i], "is not a number (allowed: decimal numbers)");
    char zeros[200];
    memset(zeros, '0', sizeof zeros - 1);
    zeros[sizeof zeros - 1] = '\0';
    refused(PM_OPT_REAL, zeros, "is not a number");
}

static void bools_and_enums(void **state)
{
    (void)state;
    static const char *const no[] = {"0", "no", "false", "off"}, *const yes[] = {"1", "yes", "true", "on"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(round_trip(PM_OPT_BOOL, no[i], "0").choice, 0);
        assert_int_equal(round_trip(PM_OPT_BOOL, yes[i], "1").choice, 1);
    }
    refused(PM_OPT_BOOL, "ture", "nearest is \"true\" (allowed: 0|1|no|yes|false|true|off|on)");
    refused(PM_OPT_BOOL, "2", "is not allowed");
    refused(PM_OPT_BOOL, "", "is not allowed");
    refused(PM_OPT_BOOL, "0|1", "is not allowed");
    assert_int_equal(round_trip(PM_OPT_ENUM, "red", "red").choice, 0);
    assert_int_equal(round_trip(PM_OPT_ENUM, "blue", "blue").choice, 2);
    refused(PM_OPT_ENUM, "gren", "\"gren\" is not allowed; nearest is \"green\" (allowed: red|green|blue)");
    refused(PM_OPT_ENUM, "re", "nearest is \"red\"");
    refused(PM_OPT_ENUM, "redd", "nearest is \"red\"");
    refused(PM_OPT_ENUM, "Red", "nearest is \"red\"");
}

static void texts_and_paths(void **state)
{
    (void)state;
    assert_string_equal(round_trip(PM_OPT_TEXT, "a, b:c\\d", "a, b:c\\d").text, "a, b:c\\d");
    round_trip(PM_OPT_TEXT, "", "");
    round_trip(PM_OPT_PATH, "data/\xc3\xa9.csv", "data/\xc3\xa9.csv");
    refused(PM_OPT_PATH, "", "an empty path");
    refused(PM_OPT_TEXT, "a\nb", "has a control character");
    char longest[PM_OPTION_TEXT_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[PM_OPTION_TEXT_MAX + 1] = '\0';
    struct pm_option option = option_of(PM_OPT_TEXT);
    struct pm_value value;
    struct pm_error err = {0};
    assert_int_equal(pm_option_parse(&option, longest, &value, &err), PM_E_LIMIT);
    assert_non_null(strstr(err.text, "4097 bytes (allowed: at most 4096)"));
    longest[PM_OPTION_TEXT_MAX] = '\0';
    round_trip(PM_OPT_TEXT, longest, longest);
}

static void expect_bounds(const struct pm_option *option, const char *text, const char *words)
{
    struct pm_value value;
    struct pm_error err = {0};
    int rc = pm_option_parse(option, text, &value, &err);
    assert_int_equal(rc, words == NULL ? PM_OK : PM_E_OPTION);
    if (words != NULL)
        assert_non_null(strstr(err.text, words));
}

static void bounds(void **state)
{
    (void)state;
    struct pm_option nodes = {.name = "nodes", .type = PM_OPT_COUNT, .min = 1, .max = 4096};
    expect_bounds(&nodes, "1", NULL);
    expect_bounds(&nodes, "4096", NULL);
    expect_bounds(&nodes, "0", "\"0\" is out of range (allowed: 1 to 4096)");
    expect_bounds(&nodes, "4097", "allowed: 1 to 4096");
    struct pm_option latency = {.name = "latency", .type = PM_OPT_DURATION, .min = 1e-6};
    expect_bounds(&latency, "1us", NULL);
    expect_bounds(&latency, "100h", NULL);
    expect_bounds(&latency, "1ns", "allowed: at least 1us");
    struct pm_option share = {.name = "share", .type = PM_OPT_REAL, .min = -1, .max = 1};
    expect_bounds(&share, "-1", NULL);
    expect_bounds(&share, "1.01", "allowed: -1 to 1");
    struct pm_option positive = {.name = "rate", .type = PM_OPT_REAL, .min = 0, .max = INFINITY};
    expect_bounds(&positive, "1e300", NULL);
    expect_bounds(&positive, "-1", "allowed: at least 0");
    struct pm_option below = {.name = "log", .type = PM_OPT_REAL, .min = -5, .max = 0};
    expect_bounds(&below, "0", NULL);
    expect_bounds(&below, "1", "allowed: -5 to 0");
    struct pm_option memory = {.name = "memory", .type = PM_OPT_BYTES, .min = 1024, .max = 4096};
    expect_bounds(&memory, "1B", "allowed: 1KiB to 4KiB");
}

static const struct pm_option table[] = {
    {"keys", PM_OPT_COUNT, "1k", "number of keys", NULL, 1, 1e12},
    {"latency", PM_OPT_DURATION, "20us", "one way", NULL, 0, 0},
    {"bandwidth", PM_OPT_RATE, "10Gbps", "per node", NULL, 0, 0},
    {"speed", PM_OPT_FLOPS, "1Gf", "per core", NULL, 0, 0},
    {"memory", PM_OPT_BYTES, "64KiB", "per node", NULL, 0, 0},
    {"skew", PM_OPT_REAL, "1.1", "Zipf", NULL, 0, 20},
    {"bias", PM_OPT_BOOL, "no", "add a bias", NULL, 0, 0},
    {"order", PM_OPT_ENUM, "blocks", "order of cells", "columnwise|blocks", 0, 0},
    {"train", PM_OPT_PATH, NULL, "data file", NULL, 0, 0},
    {"label", PM_OPT_TEXT, "", "free text", NULL, 0, 0},
    {"mode", PM_OPT_ENUM, NULL, "has no default", "a|b", 0, 0},
    {0},
};

static void values_have_defaults(void **state)
{
    (void)state;
    struct pm_values v;
    assert_int_equal(pm_values_init(&v, table, NULL), PM_OK);
    assert_true(pm_values_count(&v, "keys") == 1000);
    assert_true(pm_values_ns(&v, "latency") == 20000);
    assert_true(pm_values_real(&v, "latency") == 20e-6);
    assert_true(pm_values_real(&v, "bandwidth") == 1.25e9);
    assert_true(pm_values_real(&v, "speed") == 1e9);
    assert_true(pm_values_bytes(&v, "memory") == 65536);
    assert_true(pm_values_real(&v, "skew") == 1.1);
    assert_false(pm_values_bool(&v, "bias"));
    assert_int_equal(pm_values_enum(&v, "order"), 1);
    assert_string_equal(pm_values_text(&v, "order"), "blocks");
    assert_null(pm_values_text(&v, "train"));
    assert_false(pm_values_is_set(&v, "train"));
    assert_string_equal(pm_values_text(&v, "label"), "");
    assert_int_equal(pm_values_enum(&v, "mode"), -1);
    for (size_t i = 0; i < v.n; i++) {
        assert_true(pm_values_is_default(&v, table[i].name));
        assert_false(pm_values_is_given(&v, table[i].name));
    }
    pm_values_free(&v);
    pm_values_free(&v); /* again does nothing */
    assert_int_equal(pm_values_init(&v, NULL, NULL), PM_OK);
    struct pm_error err = {0};
    assert_int_equal(pm_values_set(&v, "x", "1", &err), PM_E_OPTION);
    assert_string_equal(err.text, "unknown option \"x\": there are no options here");
    pm_values_free(&v);
}

static void values_are_set_by_name(void **state)
{
    (void)state;
    struct pm_values v;
    struct pm_error err = {0};
    assert_int_equal(pm_values_init(&v, table, &err), PM_OK);
    assert_int_equal(pm_values_set(&v, "keys", "1e6", &err), PM_OK);
    assert_true(pm_values_is_given(&v, "keys") && !pm_values_is_default(&v, "keys"));
    assert_string_equal(pm_values_canonical(&v, "keys"), "1000000");
    assert_int_equal(pm_values_set(&v, "train", "a/b.csv", &err), PM_OK);
    assert_false(pm_values_is_default(&v, "train"));
    assert_int_equal(pm_values_set(&v, "latency", "0.02ms", &err), PM_OK); /* the default in other words */
    assert_true(pm_values_is_given(&v, "latency") && pm_values_is_default(&v, "latency"));

    assert_int_equal(pm_values_set(&v, "keys", "0", &err), PM_E_OPTION);
    assert_int_equal(pm_values_set(&v, "keys", "many", &err), PM_E_OPTION);
    assert_true(pm_values_count(&v, "keys") == 1000000); /* the former value stands */

    assert_int_equal(pm_values_set(&v, "train", "c.csv", &err), PM_OK);
    assert_string_equal(pm_values_text(&v, "train"), "c.csv");
    pm_values_free(&v);
}

static void unknown_names_get_the_nearest(void **state)
{
    (void)state;
    struct pm_values v;
    struct pm_error err = {0};
    assert_int_equal(pm_values_init(&v, table, &err), PM_OK);
    assert_int_equal(pm_values_set(&v, "skwe", "1", &err), PM_E_OPTION);
    assert_string_equal(err.text,
                        "unknown option \"skwe\"; nearest is \"skew\" (allowed: keys latency bandwidth speed "
                        "memory skew bias order train label mode)");
    assert_int_equal(pm_values_set(&v, "", "1", &err), PM_E_OPTION);
    char name[3000];
    memset(name, 'k', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(pm_values_set(&v, name, "1", &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "nearest is"));
    pm_values_free(&v);

    /* A table that is too long to be listed. */
    static struct pm_option long_table[101];
    static char names[100][16];
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "option-%d", i);
        long_table[i] = (struct pm_option){.name = names[i], .type = PM_OPT_COUNT, .def = "0"};
    }
    assert_int_equal(pm_values_init(&v, long_table, &err), PM_OK);
    assert_int_equal(pm_values_set(&v, "optoin-42", "1", &err), PM_E_OPTION);
    assert_string_equal(err.text, "unknown option \"optoin-42\"; nearest is \"option-42\"");
    pm_values_free(&v);
}

static void bad_table(const struct pm_option *bad, int code, const char *words)
{
    struct pm_values v;
    struct pm_error err = {0};
    assert_int_equal(pm_values_init(&v, bad, &err), code);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    assert_null(v.values);
}

static void wrong_tables_are_refused(void **state)
{
    (void)state;
    const struct pm_option twice[] = {
        {.name = "a", .type = PM_OPT_COUNT}, {.name = "a", .type = PM_OPT_REAL}, {0}};
    bad_table(twice, PM_E_ARGUMENT, "\"a\" is twice");
    const struct pm_option name[] = {{.name = "a=b", .type = PM_OPT_COUNT}, {0}};
    bad_table(name, PM_E_ARGUMENT, "\"a=b\" is no name");
    const struct pm_option empty[] = {{.name = "", .type = PM_OPT_COUNT}, {0}};
    bad_table(empty, PM_E_ARGUMENT, "is no name");
    const struct pm_option type[] = {{.name = "a", .type = (enum pm_option_type)77}, {0}};
    bad_table(type, PM_E_ARGUMENT, "unknown type 77");
    const struct pm_option untyped[] = {{.name = "a"}, {0}};
    bad_table(untyped, PM_E_ARGUMENT, "unknown type 0");
    const struct pm_option choices[] = {{.name = "a", .type = PM_OPT_ENUM}, {0}};
    bad_table(choices, PM_E_ARGUMENT, "enum without choices");
    const struct pm_option def[] = {{.name = "a", .type = PM_OPT_COUNT, .def = "1"},
                                    {.name = "b", .type = PM_OPT_DURATION, .def = "20"},
                                    {0}};
    bad_table(def, PM_E_OPTION, "default: option \"b\": \"20\" has no unit");
}

static void nearest_names(void **state)
{
    (void)state;
    assert_int_equal(pm_distance("", ""), 0);
    assert_int_equal(pm_distance("abc", "abc"), 0);
    assert_int_equal(pm_distance("", "abc"), 6);
    assert_int_equal(pm_distance("abc", ""), 6);
    assert_int_equal(pm_distance("kitten", "sitting"), 6);
    assert_int_equal(pm_distance("lapse", "lpase"), 2); /* neighbours swapped */
    assert_int_equal(pm_distance("ca", "abc"), 6);      /* the restricted form */
    assert_int_equal(pm_distance("Lapse", "lapse"), 1);
    assert_int_equal(pm_distance("aa", "aa"), 0);
    const char *const names[] = {"classic", NULL, "lapse", "nups", "adaps"};
    assert_string_equal(pm_nearest("lpase", names, 5), "lapse");
    assert_string_equal(pm_nearest("NuPS", names, 5), "nups");
    assert_string_equal(pm_nearest("adap", names, 5), "adaps");
    assert_string_equal(pm_nearest("", names, 5), "nups"); /* the shortest */
    const char *const equal[] = {"ab", "ac"};
    assert_string_equal(pm_nearest("ad", equal, 2), "ab"); /* the first */
    assert_null(pm_nearest("x", names, 0));
    assert_null(pm_nearest("x", names + 1, 1));
}

/* Random texts made of pieces that matter to the parser, and random bytes: no crash, every refusal is one
 * line that names the option, everything accepted survives its canonical text. */
static void random_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {"0",    "1",     "9",   "25",   ".",    "e",   "E", "-",   "+",
                                         "k",    "M",     "us",  "min",  "Gbps", "GiB", "f", "inf", "nan",
                                         "0x",   " ",     "e-3", "e300", "h",    "s",   "B", "TB",  "Pf",
                                         "true", "green", "000", "99",   "bps",  "e18"};
    struct pm_rng rng;
    uint64_t seed = repeat_number("PM_SEED", 1), rounds = repeat_number("ROUNDS", 200000), accepted = 0;
    pm_rng_init(&rng, "unit_option", seed, 0, 0);
    repeat_note(seed, "", "random_texts");
    for (uint64_t round = 0; round < rounds; round++) {
        char text[128] = "";
        size_t n = pm_rng_below(&rng, 7), length = 0;
        for (size_t i = 0; i < n; i++) {
            char byte[2] = {(char)(1 + pm_rng_below(&rng, 255)), '\0'};
            const char *piece = pieces[pm_rng_below(&rng, sizeof pieces / sizeof *pieces)];
            piece = pm_rng_below(&rng, 16) == 0 ? byte : piece;
            length += (size_t)snprintf(text + length, sizeof text - length, "%s", piece);
        }
        struct pm_option option = option_of((enum pm_option_type)(1 + pm_rng_below(&rng, PM_OPT_TEXT)));
        struct pm_value value;
        struct pm_error err = {0};
        int rc = pm_option_parse(&option, text, &value, &err);
        if (rc == PM_OK) {
            round_trip(option.type, text, NULL);
            accepted++;
        } else if (rc != PM_E_OPTION || strchr(err.text, '\n') != NULL ||
                   strstr(err.text, "allowed") == NULL) {
            repeat_line(err.text, seed, "", "random_texts");
            fail_msg("type %d, \"%s\": code %d, \"%s\"", (int)option.type, text, rc, err.text);
        }
    }
    assert_in_range(accepted, rounds / 20, rounds - rounds / 20);
}

/* Doubles of all magnitudes survive their canonical text in every unit. */
static void random_numbers(void **state)
{
    (void)state;
    static const enum pm_option_type types[] = {PM_OPT_DURATION, PM_OPT_RATE, PM_OPT_FLOPS, PM_OPT_REAL};
    static const char *const units[][4] = {
        {"ns", "us", "s", "h"}, {"bps", "Gbps", "kBps", "TBps"}, {"f", "Mf", "Gf", "Pf"}, {"", "", "", ""}};
    struct pm_rng rng;
    uint64_t seed = repeat_number("PM_SEED", 2), rounds = repeat_number("ROUNDS", 100000);
    pm_rng_init(&rng, "unit_option", seed, 0, 0);
    repeat_note(seed, "", "random_numbers");
    for (uint64_t round = 0; round < rounds; round++) {
        size_t type = pm_rng_below(&rng, 4);
        double number = ldexp(pm_rng_real(&rng) + 0.5, (int)pm_rng_below(&rng, 40) - 20);
        int digits = 1 + (int)pm_rng_below(&rng, 17);
        char text[64];
        snprintf(text, sizeof text, "%.*g%s", digits, number, units[type][pm_rng_below(&rng, 4)]);
        round_trip(types[type], text, NULL);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(bytes),
        cmocka_unit_test(durations),
        cmocka_unit_test(rates_and_flops),
        cmocka_unit_test(reals),
        cmocka_unit_test(bools_and_enums),
        cmocka_unit_test(texts_and_paths),
        cmocka_unit_test(bounds),
        cmocka_unit_test(values_have_defaults),
        cmocka_unit_test(values_are_set_by_name),
        cmocka_unit_test(unknown_names_get_the_nearest),
        cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(random_numbers),
    };
    return repeat_main(argc, argv, "options", tests, sizeof tests / sizeof *tests);
}
