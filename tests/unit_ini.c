/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of lines `name = value`: configurations and figures. What is refused, and where; damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ini.h"
#include "cli/options.h"
#include "cli/plots.h"
#include "tests/damage.h"
#include "tests/repeat.h"

/* ---- texts ---- */

static char *text_of(const char *bytes, size_t n, struct pm_error *err)
{
    FILE *file = damage_file((const uint8_t *)bytes, n);
    char *text = cli_read_text_from(file, DAMAGE_PATH, err);
    fclose(file);
    return text;
}

static void texts_are_whole_and_without_zero_bytes(void **state)
{
    (void)state;
    static const char *const whole[] = {"", "\n", "a", "a = b\nc = d\n"};
    struct pm_error err = {0};
    for (size_t i = 0; i < 4; i++) {
        char *text = text_of(whole[i], strlen(whole[i]), &err);
        assert_non_null(text);
        assert_string_equal(text, whole[i]);
        free(text);
    }
    assert_null(text_of("a\nb\0c\n", 6, &err));
    assert_string_equal(err.text, DAMAGE_PATH ":2: a zero byte; not a text file");
    assert_null(text_of("\0", 1, &err));
    assert_string_equal(err.text, DAMAGE_PATH ":1: a zero byte; not a text file");
    assert_null(cli_read_text("tests", &err));
    assert_string_equal(err.text, "tests: Is a directory");
    assert_null(cli_read_text("no/such", &err));
    assert_string_equal(err.text, "no/such: No such file or directory");
}

/* ---- what is refused ---- */

/* Into arguments that a hundred texts share: to make them takes ten times as long as to read one. */
static int parse_config(const char *text, struct pm_error *err)
{
    static struct cli_args args;
    static unsigned turn;
    if (turn++ % 100 == 0) {
        cli_args_free(&args);
        assert_int_equal(cli_args_parse(&args, CLI_RUN, "run", 0, NULL, NULL), PM_OK);
    }
    return cli_config_parse(&args, text, DAMAGE_PATH, err);
}

static int parse_figure(const char *text, struct pm_error *err)
{
    struct cli_plot plot = {0};
    int rc = cli_plot_parse(&plot, text, DAMAGE_PATH, err);
    for (size_t i = 0; i < plot.n_options && rc == PM_OK; i++)
        assert_true(plot.options[i].n > 0 && plot.options[i].n <= CLI_PLOT_VALUES_MAX);
    assert_true(rc != PM_OK || (plot.title != NULL && plot.n_options <= CLI_PLOT_OPTIONS_MAX));
    cli_plot_close(&plot);
    return rc;
}

struct mistake {
    const char *text, *words;
};

static void expect(int (*parse)(const char *text, struct pm_error *err), const struct mistake *mistakes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pm_error err = {0};
        assert_int_equal(parse(mistakes[i].text, &err), PM_E_FILE);
        if (strncmp(err.text, DAMAGE_PATH ":", strlen(DAMAGE_PATH) + 1) != 0 ||
            strncmp(err.text + strlen(DAMAGE_PATH) + 1, mistakes[i].words, strlen(mistakes[i].words)) != 0)
            fail_msg("%zu: '%s', expected '%s'", i, err.text, mistakes[i].words);
    }
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define WORDS "1 2 3 4 5 6 7 8 9 0 "
#define THIRTY WORDS WORDS WORDS
#define NAMES "a=1\nb=1\nc=1\nd=1\ne=1\nf=1\ng=1\nh=1\n"

static void mistakes_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct mistake configs[] = {
        {"what\n", "1: neither name = value nor [section]"},
        {"nodes = 2\n[policy\n", "2: neither"},
        {"\n\nnodez = 2\n", "3: unknown option --nodez; nearest is --nodes"},
        {"nodes = none\n", "1: option \"nodes\""},
        {"nodes = 2\nconfig = x\n", "2: option \"config\" is for the command line only"},
        {"nodez = 2\n\nwhat\n", "3: neither"}, /* lines that are none go first, wherever they are */
        {"what\nnodez = 2\n", "1: neither"},
        {"nodes = 2\nname = " HUNDRED HUNDRED "\n", "2: line is longer than 198 characters"},
        {"[policies]\nname = 2\n", "2: unknown option --policies.name"},
    };
    static const struct mistake figures[] = {
        {"", "1: the file ends and has no title"},
        {"[vary]\nnodes = 1 2\n", "3: the file ends and has no title"},
        {"title = x\nwhat\n", "2: neither name = value nor [section]"},
        {"title = x\ntitel = y\n",
         "2: neither title, answers, nor one of at most 64 lines of [options], [vary] (1 to 64 values) or [policy NAME]"},
        {"title = x\n[colours]\nred = 1\n", "3: neither title, answers"},
        {"title = x\n[vary]\nnodes =\n", "3: neither title, answers"},
        {"title = x\n[vary]\nnodes = 1\nnodes = " TEN "\n nodes\n nodes\n" HUNDRED HUNDRED, "7: line is longer"},
        {"title = x\n[options]\n" NAMES NAMES NAMES NAMES NAMES NAMES NAMES NAMES "i=1\n", "67: neither"},
        {"title = x\n[vary]\na = " THIRTY "\na = " THIRTY "\na = 1 2 3 4\na = 1\n", "6: neither"},
    };
    expect(parse_config, configs, sizeof configs / sizeof configs[0]);
    expect(parse_figure, figures, sizeof figures / sizeof figures[0]);
}

/* ---- damage ---- */

struct reader {
    int (*parse)(const char *text, struct pm_error *err);
};

static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    char *text = text_of((const char *)bytes, n, err);
    int rc = text != NULL ? ((const struct reader *)arg)->parse(text, err) : PM_E_FILE;
    free(text);
    return rc;
}

static void damaged_configurations_are_read_or_refused(void **state)
{
    (void)state;
    static const char text[] = "# a comment\nnodes = 4\nworkers = 2 ; more\npolicy = kv\n[workload]\nkeys = 2k\nsteps : 7\n";
    static const struct damage_input good = {text, sizeof text - 1};
    struct reader reader = {parse_config};
    const struct damage damage = {"damaged_configurations_are_read_or_refused", &good, 1, "\n\n\r\t =:[];#0aes.", DAMAGE_PATH ":",
                                  read_damaged, &reader};
    damage_run(&damage, 30000);
}

static void damaged_figures_are_read_or_refused(void **state)
{
    (void)state;
    static const char text[] = "title = A figure\nanswers = what?\n[options]\nnodes = 4\n[vary]\npolicy = kv lapse\nworkers = 1 2\n"
                               "policy = full\n[policy full]\nbackend = sim\n";
    static const struct damage_input good = {text, sizeof text - 1};
    struct reader reader = {parse_figure};
    const struct damage damage = {"damaged_figures_are_read_or_refused", &good, 1, "\n\n\r\t =:[];#0aes.", DAMAGE_PATH ":",
                                  read_damaged, &reader};
    damage_run(&damage, 30000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_whole_and_without_zero_bytes),
        cmocka_unit_test(mistakes_are_refused_with_their_line),
        cmocka_unit_test(damaged_configurations_are_read_or_refused),
        cmocka_unit_test(damaged_figures_are_read_or_refused),
    };
    return repeat_main(argc, argv, "unit_ini", tests, sizeof tests / sizeof tests[0]);
}
