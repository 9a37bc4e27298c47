/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab figure: runs what is not in the database yet, writes data and script, draws.
 *
 * A figure's runs are all combinations of the values in [vary], each with the [options], those of its policy, and then with
 * what the user's command line says. Runs are the same when their config_hash is. */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/ini.h"
#include "cli/plots.h"
#include "cli/print.h"
#include "results/hash.h"

enum { RUNS_MAX = 4096 };

struct figure {
    const struct cli_args *args;
    struct cli_plot plot;
    struct cli_args *run_args; /* of each experiment */
    struct cli_experiment *experiments;
    size_t n;
    int64_t *run_ids; /* 0: not in the database */
};

static size_t combinations(const struct cli_plot *plot)
{
    size_t n = 1;
    for (size_t i = 0; i < plot->n_options && n <= RUNS_MAX; i++)
        n *= plot->options[i].n;
    return n;
}

static const char *value_in(const struct cli_plot *plot, size_t combination, const char *name)
{
    for (size_t i = 0; i < plot->n_options; i++) {
        const struct cli_plot_option *option = &plot->options[i];
        if (strcmp(option->name, name) == 0)
            return option->values[combination % option->n];
        combination /= option->n;
    }
    return "";
}

static bool is_for(const struct cli_plot_option *option, const char *policy)
{
    return option->policy == NULL ||
           (strlen(option->policy) == strcspn(policy, ":") && strncmp(option->policy, policy, strlen(option->policy)) == 0);
}

/* The options of one combination as arguments; free each. */
static size_t arguments_of(const struct cli_plot *plot, size_t combination, char **argv)
{
    size_t n = 0;
    const char *policy = value_in(plot, combination, "policy");
    for (size_t i = 0; i < plot->n_options; i++) {
        const struct cli_plot_option *option = &plot->options[i];
        const char *value = option->values[combination % option->n];
        combination /= option->n;
        if (is_for(option, policy) && asprintf(&argv[n], "--%s=%s", option->name, value) >= 0)
            n++;
    }
    return n;
}

static bool is_known(const struct figure *f, uint64_t config_hash)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->experiments[i].config_hash == config_hash)
            return true;
    return false;
}

/* Adds an experiment unless an equal one is there. */
static int add(struct figure *f, size_t combination, uint64_t repetition, struct pm_error *err)
{
    char *argv[CLI_PLOT_OPTIONS_MAX];
    struct cli_args *args = &f->run_args[f->n];
    struct cli_experiment *e = &f->experiments[f->n];
    size_t n = arguments_of(&f->plot, combination, argv);
    int rc = cli_args_parse_onto(args, f->args, (int)n, argv, err);
    if (rc == PM_E_OPTION)
        rc = pm_error_wrap(err, PM_E_FILE, "%s/figure.ini", f->plot.folder);
    if (rc == PM_OK) {
        rc = cli_experiment_init(e, args, NULL, cli_count(args, "seed") + repetition, err);
        if (rc != PM_OK) {
            cli_args_free(args);
        } else if (is_known(f, e->config_hash)) {
            cli_experiment_free(e);
            cli_args_free(args);
        } else {
            f->n++;
        }
    }
    for (size_t i = 0; i < n; i++)
        free(argv[i]);
    return rc;
}

static int build(struct figure *f, struct pm_error *err)
{
    size_t n = combinations(&f->plot), repeat = cli_count(f->args, "repeat");
    if (n * repeat > RUNS_MAX)
        return pm_error_set(err, PM_E_LIMIT, "figure %s: more than %d runs", f->plot.name, RUNS_MAX);
    f->run_args = calloc(n * repeat, sizeof *f->run_args);
    f->experiments = calloc(n * repeat, sizeof *f->experiments);
    f->run_ids = calloc(n * repeat, sizeof *f->run_ids);
    if (f->run_args == NULL || f->experiments == NULL || f->run_ids == NULL)
        return pm_error_set(err, PM_E_MEMORY, "figure %s: out of memory", f->plot.name);
    int rc = PM_OK;
    for (size_t i = 0; i < n && rc == PM_OK; i++)
        for (size_t r = 0; r < repeat && rc == PM_OK; r++)
            rc = add(f, i, r, err);
    return rc;
}

/* Fills run_ids with the latest finished run of each configuration. */
static int look_up(struct figure *f, struct pm_error *err)
{
    struct results_db db;
    int rc = results_open(cli_text(f->args, "db"), RESULTS_WRITE, &db, err);
    for (size_t i = 0; i < f->n && rc == PM_OK; i++) {
        char hash[17];
        struct results_table t;
        results_hash_text(f->experiments[i].config_hash, hash);
        rc = results_select(&db, &t, err,
                            "SELECT max(run_id) FROM run WHERE config_hash = ? AND status = 'finished'", "s",
                            hash);
        if (rc == PM_OK) {
            const char *id = results_cell(&t, 0, 0);
            f->run_ids[i] = id != NULL ? strtoll(id, NULL, 10) : 0;
            results_table_free(&t);
        }
    }
    results_close(&db);
    return rc;
}

static int run_missing(struct figure *f, struct pm_error *err)
{
    int rc = look_up(f, err);
    if (rc != PM_OK)
        return rc;
    struct cli_experiment *missing = calloc(f->n, sizeof *missing);
    struct cli_outcome *outcomes = calloc(f->n, sizeof *outcomes);
    size_t n = 0;
    if (missing == NULL || outcomes == NULL)
        rc = pm_error_set(err, PM_E_MEMORY, "figure %s: out of memory", f->plot.name);
    for (size_t i = 0; i < f->n && rc == PM_OK; i++)
        if (f->run_ids[i] == 0)
            missing[n++] = f->experiments[i];
    if (n > 0 && rc == PM_OK)
        rc = cli_execute_all(missing, n, (unsigned)cli_count(f->args, "jobs"), outcomes);
    for (size_t i = 0; i < n && rc != PM_OK; i++)
        if (outcomes[i].code == rc) {
            pm_error_set(err, rc, "%.100s: %s", missing[i].label, outcomes[i].text);
            break;
        }
    free(missing);
    free(outcomes);
    return rc == PM_OK ? look_up(f, err) : rc;
}

/* gnuplot commands that choose a terminal and name the figure's data. */
static char *commands(const char *terminal, const char *output, const char *data)
{
    char *text;
    int n = output != NULL
                ? asprintf(&text, "set terminal %s; set output '%s'; data = '%s'", terminal, output, data)
                : asprintf(&text, "set terminal %s; data = '%s'", terminal, data);
    return n < 0 ? NULL : text;
}

static int draw_one(const char *terminal, const char *output, const char *data, const char *script,
                    struct pm_error *err)
{
    char *before = commands(terminal, output, data);
    if (before == NULL)
        return pm_error_set(err, PM_E_MEMORY, "figure: out of memory");
    int rc = cli_gnuplot(before, script, err);
    free(before);
    return rc == PM_E_REFUSED ? pm_error_set(err, PM_E_FILE, "%s", err->text) : rc;
}

/* The script as it is kept beside its data: gnuplot FILE draws it in a window. */
static int write_script(const struct cli_plot *plot, const char *path, struct pm_error *err)
{
    char *text;
    if (asprintf(&text, "# %s\nif (!exists('data')) data = '%s.tsv'\nfigure_title = \"%s\"\n%s", plot->title,
                 plot->name, plot->title, plot->script) < 0)
        return pm_error_set(err, PM_E_MEMORY, "figure: out of memory");
    int rc = cli_write_text(path, text, err);
    free(text);
    return rc;
}

static int draw(const struct cli_args *args, const struct cli_plot *plot, const char *folder,
                struct pm_error *err)
{
    char data[4200], script[4200], svg[4200], png[4200];
    snprintf(data, sizeof data, "%s/%s.tsv", folder, plot->name);
    snprintf(script, sizeof script, "%s/%s.gp", folder, plot->name);
    snprintf(svg, sizeof svg, "%s/%s.svg", folder, plot->name);
    snprintf(png, sizeof png, "%s/%s.png", folder, plot->name);
    int rc = write_script(plot, script, err);
    if (rc == PM_OK && pm_values_enum(&args->values, "terminal") == 1)
        return draw_one("dumb size 100,32", NULL, data, script, err);
    if (rc == PM_OK)
        rc = draw_one("svg size 900,420 dynamic background 'white'", svg, data, script, err);
    if (rc == PM_OK)
        rc = draw_one("pngcairo size 900,420 background 'white'", png, data, script, err);
    if (rc == PM_OK && !cli_flag(args, "quiet"))
        printf("%s\n%s\n%s\n%s\n", svg, png, data, script);
    return rc;
}

static int write_and_draw(struct figure *f, struct pm_error *err)
{
    const char *given = cli_text(f->args, "output"), *folder = given != NULL ? given : "figures";
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return pm_error_set(err, PM_E_FILE, "%s: %s", folder, strerror(errno));
    char path[4200], *ids = cli_json_ids(f->run_ids, f->n);
    snprintf(path, sizeof path, "%s/%s.tsv", folder, f->plot.name);
    if (ids == NULL)
        return pm_error_set(err, PM_E_MEMORY, "figure: out of memory");
    struct results_db db;
    size_t rows = 0;
    int rc = results_open(cli_text(f->args, "db"), RESULTS_READ, &db, err);
    if (rc == PM_OK) {
        rc = cli_plot_write_data(&f->plot, &db, ids, path, &rows, err);
        results_close(&db);
    }
    free(ids);
    if (rc == PM_OK && rows == 0)
        return pm_error_set(err, PM_E_FILE, "figure %s: its runs have no data for it", f->plot.name);
    return rc == PM_OK ? draw(f->args, &f->plot, folder, err) : rc;
}

int cli_figure(const struct cli_args *args)
{
    struct pm_error err = {0};
    struct figure f = {.args = args};
    if (args->n_words == 0)
        return cli_complain(PM_E_OPTION, "figure: which one? (pmlab list figures)");
    int rc = cli_plot_open(&f.plot, args->words[0], &err);
    if (rc == PM_OK)
        rc = build(&f, &err);
    if (rc == PM_OK)
        rc = run_missing(&f, &err);
    if (rc == PM_OK)
        rc = write_and_draw(&f, &err);
    for (size_t i = 0; i < f.n; i++) {
        cli_experiment_free(&f.experiments[i]);
        cli_args_free(&f.run_args[i]);
    }
    free(f.run_args);
    free(f.experiments);
    free(f.run_ids);
    cli_plot_close(&f.plot);
    return rc == PM_OK ? 0 : cli_complain(rc, err.text);
}
