/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications NAME[:option=value,...] and lists of them. PM_SEED gives the seed of random ones, ROUNDS how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "core/spec.h"
#include "tests/repeat.h"

/* "name|option=value|..." of a parsed specification. */
static const char *shown(const struct pm_spec *spec)
{
    static char text[1024];
    int length = snprintf(text, sizeof text, "%s", spec->name);
    for (size_t i = 0; i < spec->n; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "|%s=%s", spec->pairs[i].name,
                           spec->pairs[i].value);
    return text;
}

static void specs_are_parsed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"lapse", "lapse"},
        {"nups:replicas=1k,ahead=2", "nups|replicas=1k|ahead=2"},
        {"mf:train=data/a.csv,rank=4", "mf|train=data/a.csv|rank=4"},
        {"mf:train=/a:b/c.csv", "mf|train=/a:b/c.csv"},
        {"./mine.so", "./mine.so"},
        {"./mine.so:bound=3", "./mine.so|bound=3"},
        {"./a:b/mine.so", "./a:b/mine.so"},
        {"./a:b/mine.so:file=x/y:z", "./a:b/mine.so|file=x/y:z"},
        {"./a=b/mine.so:opt=v", "./a=b/mine.so|opt=v"},
        {"./a=b/mine.so", "./a=b/mine.so"},
        {"./a\\,b/m\\:ine.so:o=v", "./a,b/m:ine.so|o=v"},
        {"n:o=a\\,b\\:c\\\\d", "n|o=a,b:c\\d"},
        {"n:o=", "n|o="},
        {"n:o=a=b", "n|o=a=b"},
        {"n\\\\:o=v", "n\\|o=v"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_spec spec;
        struct pm_error err = {0};
        if (pm_spec_parse(cases[i][0], &spec, &err) != PM_OK)
            fail_msg("%s: %s", cases[i][0], err.text);
        assert_string_equal(shown(&spec), cases[i][1]);
        char text[256];
        pm_spec_format(&spec, text, sizeof text);
        struct pm_spec again;
        assert_int_equal(pm_spec_parse(text, &again, &err), PM_OK);
        assert_string_equal(shown(&again), cases[i][1]);
        pm_spec_free(&again);
        pm_spec_free(&spec);
    }
}

static void bad_specs_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "a name is missing"},
        {":a=1", "a name is missing"},
        {"n:", "n: \"\" is no option (allowed: option=value)"},
        {"n:a", "n: \"a\" is no option"},
        {"n:a=1,", "n: \"\" is no option"},
        {"n:a=1,,b=2", "n: \"\" is no option"},
        {"n:=1", "n: a name must stand before \"=\""},
        {"n:a=1,a=2", "n: option \"a\" is given twice"},
        {"n:a=\\x", "stray backslash (allowed: \\, \\: \\\\)"},
        {"n:a=b\\", "stray backslash"},
        {"n\\", "stray backslash"},
        {"a,b", "one name is wanted here, not a list"},
        {"a,x=1", "one name is wanted here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_spec spec;
        struct pm_error err = {0};
        assert_int_equal(pm_spec_parse(cases[i][0], &spec, &err), PM_E_OPTION);
        if (strstr(err.text, cases[i][1]) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i][0], err.text, cases[i][1]);
        assert_null(spec.name);
        assert_null(spec.pairs);
    }
}

static void limits_are_named(void **state)
{
    (void)state;
    size_t size = PM_SPEC_LENGTH_MAX + 2;
    char *text = malloc(size);
    memset(text, 'x', size);
    text[size - 1] = '\0';
    struct pm_spec spec, *specs;
    size_t n;
    struct pm_error err = {0};
    assert_int_equal(pm_spec_parse(text, &spec, &err), PM_E_LIMIT);
    assert_non_null(strstr(err.text, "65537 bytes (allowed: at most 65536)"));
    assert_int_equal(pm_spec_list_parse(text, &specs, &n, &err), PM_E_LIMIT);
    int length = snprintf(text, size, "n:a=0");
    for (int i = 0; i < 300; i++)
        length += snprintf(text + length, size - (size_t)length, ",a%d=0", i);
    assert_int_equal(pm_spec_parse(text, &spec, &err), PM_E_LIMIT);
    assert_string_equal(err.text, "n: more than 256 options");
    free(text);
}

static void lists_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *shown[4];
    } cases[] = {
        {"lapse", 1, {"lapse"}},
        {"classic,lapse,nups", 3, {"classic", "lapse", "nups"}},
        {"lapse,nups:x=1,y=2", 2, {"lapse", "nups|x=1|y=2"}},
        {"lapse,ahead=2,nups", 2, {"lapse|ahead=2", "nups"}},
        {"nups:x=a:b,nups:x=2", 2, {"nups|x=a:b", "nups|x=2"}},
        {"lapse,file=/a:b/c,nups", 2, {"lapse|file=/a:b/c", "nups"}},
        {"./a=b/mine.so,x=1", 1, {"./a=b/mine.so|x=1"}},
        {"n:x=1\\,2,y=3", 1, {"n|x=1,2|y=3"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_spec *specs;
        size_t n;
        struct pm_error err = {0};
        if (pm_spec_list_parse(cases[i].text, &specs, &n, &err) != PM_OK)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(n, cases[i].n);
        for (size_t j = 0; j < n; j++)
            assert_string_equal(shown(&specs[j]), cases[i].shown[j]);
        pm_spec_list_free(specs, n);
    }
    static const char *const bad[][2] = {{"", "a name is missing"},
                                         {"a,,b", "a name is missing"},
                                         {"a,", "a name is missing"},
                                         {"x=1,lapse", "\"x=1\": no name stands before this option"},
                                         {"a,x=1,x=2", "a: option \"x\" is given twice"},
                                         {"a,b:c", "b: \"c\" is no option"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pm_spec *specs;
        size_t n;
        struct pm_error err = {0};
        assert_int_equal(pm_spec_list_parse(bad[i][0], &specs, &n, &err), PM_E_OPTION);
        if (strstr(err.text, bad[i][1]) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", bad[i][0], err.text, bad[i][1]);
        assert_null(specs);
        assert_int_equal(n, 0);
    }
}

static const struct pm_option table[] = {
    {"keys", PM_OPT_COUNT, "1k", "number of keys", NULL, 1, 1e12},
    {"file", PM_OPT_PATH, NULL, "data", NULL, 0, 0},
    {"label", PM_OPT_TEXT, "", "free text", NULL, 0, 0},
    {"wait", PM_OPT_DURATION, "1s", "how long", NULL, 0, 0},
    {0},
};

static void specs_are_applied(void **state)
{
    (void)state;
    struct pm_spec spec;
    struct pm_values values;
    struct pm_error err = {0};
    assert_int_equal(pm_spec_parse("zipf:keys=1M,file=a\\,b:c,label=x\\\\y", &spec, &err), PM_OK);
    assert_int_equal(pm_spec_apply(&spec, table, NULL, &values, &err), PM_OK);
    assert_true(pm_values_count(&values, "keys") == 1000000);
    assert_string_equal(pm_values_text(&values, "file"), "a,b:c");
    assert_string_equal(pm_values_text(&values, "label"), "x\\y");
    char text[128], small[8];
    size_t length = pm_spec_format_values("zipf", &values, true, text, sizeof text);
    assert_string_equal(text, "zipf:keys=1000000,file=a\\,b:c,label=x\\\\y,wait=1s");
    assert_int_equal(length, strlen(text));
    assert_int_equal(pm_spec_format_values("zipf", &values, true, small, sizeof small), length);
    assert_string_equal(small, "zipf:ke");
    assert_int_equal(pm_spec_format_values("zipf", &values, true, NULL, 0), length);
    pm_spec_format_values("zipf", &values, false, text, sizeof text);
    assert_string_equal(text, "zipf:keys=1000000,file=a\\,b:c,label=x\\\\y");
    pm_values_free(&values);
    pm_spec_free(&spec);

    assert_int_equal(pm_spec_parse("zipf:kyes=1", &spec, &err), PM_OK);
    assert_int_equal(pm_spec_apply(&spec, table, NULL, &values, &err), PM_E_OPTION);
    assert_string_equal(err.text,
                        "zipf: unknown option \"kyes\"; nearest is \"keys\" (allowed: keys file label wait)");
    assert_null(values.values);
    pm_spec_free(&spec);
}

static char *random_text(struct pm_rng *rng, const char *letters, size_t least)
{
    static char texts[8][16];
    static unsigned next;
    char *text = texts[next++ % 8];
    size_t n = least + pm_rng_below(rng, 8);
    for (size_t i = 0; i < n; i++)
        text[i] = letters[pm_rng_below(rng, strlen(letters))];
    text[n] = '\0';
    return text;
}

/* What is formatted parses to the same names and values, whatever characters they hold. */
static void random_specs_round_trip(void **state)
{
    (void)state;
    struct pm_rng rng;
    uint64_t seed = repeat_number("PM_SEED", 1), rounds = repeat_number("ROUNDS", 50000);
    pm_rng_init(&rng, "unit_spec", seed, 0, 0);
    repeat_note(seed, "", "random_specs_round_trip");
    for (uint64_t round = 0; round < rounds; round++) {
        struct pm_spec_pair pairs[3];
        struct pm_spec spec = {
            .name = random_text(&rng, "ab/:,\\=.", 1), .n = pm_rng_below(&rng, 4), .pairs = pairs};
        const char *const names[] = {"x", "y.z", "a-1"};
        for (size_t i = 0; i < spec.n; i++)
            pairs[i] = (struct pm_spec_pair){(char *)names[i], random_text(&rng, "ab/:,\\= ", 0)};
        char text[256], expected[1024];
        pm_spec_format(&spec, text, sizeof text);
        snprintf(expected, sizeof expected, "%s", shown(&spec));
        struct pm_spec again;
        struct pm_error err = {0};
        if (pm_spec_parse(text, &again, &err) != PM_OK || strcmp(shown(&again), expected) != 0) {
            repeat_line("a specification is not what was formatted", seed, "", "random_specs_round_trip");
            fail_msg("\"%s\" is not \"%s\" (%s)", text, expected, err.text);
        }
        pm_spec_free(&again);
    }
}

/* Random texts neither crash nor leak, and what is accepted can be formatted and parsed again. */
static void random_texts(void **state)
{
    (void)state;
    struct pm_rng rng;
    uint64_t seed = repeat_number("PM_SEED", 2), rounds = repeat_number("ROUNDS", 100000), accepted = 0;
    pm_rng_init(&rng, "unit_spec", seed, 0, 0);
    repeat_note(seed, "", "random_texts");
    for (uint64_t round = 0; round < rounds; round++) {
        char text[17];
        size_t length = pm_rng_below(&rng, 16);
        for (size_t i = 0; i < length; i++)
            text[i] = "ab/:,\\=\n\xff"[pm_rng_below(&rng, 9)];
        text[length] = '\0';
        struct pm_spec *specs;
        size_t n;
        struct pm_error err = {0};
        int rc = pm_spec_list_parse(text, &specs, &n, &err);
        if (rc != PM_OK && (rc != PM_E_OPTION || err.text[0] == '\0' || strchr(err.text, '\n') != NULL)) {
            repeat_line("a refusal is not one line", seed, "", "random_texts");
            fail_msg("\"%s\": %d, \"%s\"", text, rc, err.text);
        }
        accepted += rc == PM_OK;
        for (size_t i = 0; rc == PM_OK && i < n; i++) {
            char formatted[64];
            struct pm_spec again;
            pm_spec_format(&specs[i], formatted, sizeof formatted);
            if (pm_spec_parse(formatted, &again, &err) != PM_OK) {
                repeat_line(err.text, seed, "", "random_texts");
                fail_msg("\"%s\": \"%s\"", text, formatted);
            }
            assert_string_equal(again.name, specs[i].name);
            assert_int_equal(again.n, specs[i].n);
            pm_spec_free(&again);
        }
        pm_spec_list_free(specs, n);
    }
    assert_in_range(accepted, rounds / 100, rounds - rounds / 100);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_are_parsed),  cmocka_unit_test(bad_specs_are_refused),
        cmocka_unit_test(limits_are_named),  cmocka_unit_test(lists_are_parsed),
        cmocka_unit_test(specs_are_applied), cmocka_unit_test(random_specs_round_trip),
        cmocka_unit_test(random_texts),
    };
    return repeat_main(argc, argv, "specifications", tests, sizeof tests / sizeof *tests);
}
