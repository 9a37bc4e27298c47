/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding and reading figures. They lie in ./plots, beside the folder of the program that was built, or where
 * the installed program keeps them. */
#define _GNU_SOURCE /* asprintf */
#include "cli/plots.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ini.h"
#include "core/nearest.h"

enum { NAMES_MAX = 256, PLACES = 3 };
#define BLANKS " \t"

/* The i-th place where figures may be. */
static void place(int i, char *path, size_t size)
{
    if (i == 0) {
        snprintf(path, size, "plots");
        return;
    }
    char program[2048];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL)
        *slash = '\0';
    snprintf(path, size, i == 1 ? "%s/../plots" : "%s/../share/pmlab/plots", program);
}

static bool is_figure(const char *folder)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/figure.ini", folder);
    return access(path, R_OK) == 0;
}

static int only_figures(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Names of the first place that has figures; free each. */
static size_t all_names(char *names[NAMES_MAX])
{
    for (int i = 0; i < PLACES; i++) {
        char folder[2100], path[2400];
        struct dirent **entries;
        place(i, folder, sizeof folder);
        int found = scandir(folder, &entries, only_figures, alphasort);
        size_t n = 0;
        for (int j = 0; j < found; j++) {
            snprintf(path, sizeof path, "%s/%s", folder, entries[j]->d_name);
            if (n < NAMES_MAX && is_figure(path) && (names[n] = strdup(entries[j]->d_name)) != NULL)
                n++;
            free(entries[j]);
        }
        if (found >= 0)
            free(entries);
        if (n > 0)
            return n;
    }
    return 0;
}

void cli_plots_visit(void (*visit)(void *arg, const char *name), void *arg)
{
    char *names[NAMES_MAX];
    size_t n = all_names(names);
    for (size_t i = 0; i < n; i++) {
        visit(arg, names[i]);
        free(names[i]);
    }
}

static void list_one(void *arg, const char *name)
{
    struct cli_plot plot;
    if (cli_plot_open(&plot, name, NULL) != PM_OK)
        return;
    printf("%-20s %s\n", plot.name, plot.title);
    if (*(bool *)arg && plot.answers != NULL)
        printf("%-20s %s\n", "", plot.answers);
    cli_plot_close(&plot);
}

void cli_plots_list(bool verbose)
{
    cli_plots_visit(list_one, &verbose);
}

static struct cli_plot_option *varied(struct cli_plot *plot, const char *name)
{
    for (size_t i = 0; i < plot->n_options; i++)
        if (plot->options[i].varies && strcmp(plot->options[i].name, name) == 0)
            return &plot->options[i];
    return NULL;
}

static size_t words_of(const char *text)
{
    size_t n = 0;
    for (text += strspn(text, BLANKS); *text != '\0'; text += strspn(text, BLANKS), n++)
        text += strcspn(text, BLANKS);
    return n;
}

/* More values of an option in [vary]. */
static bool add_values(struct cli_plot_option *option, const char *value)
{
    char *text;
    if (words_of(option->text) + words_of(value) > CLI_PLOT_VALUES_MAX || asprintf(&text, "%s %s", option->text, value) < 0)
        return false;
    free(option->text);
    option->text = text;
    return true;
}

static bool add_option(struct cli_plot *plot, const char *name, const char *value, bool vary, const char *policy)
{
    struct cli_plot_option *option = vary ? varied(plot, name) : NULL;
    if (option != NULL)
        return add_values(option, value);
    if (plot->n_options == CLI_PLOT_OPTIONS_MAX || (vary && words_of(value) > CLI_PLOT_VALUES_MAX))
        return false;
    option = &plot->options[plot->n_options++];
    option->varies = vary;
    option->name = strdup(name);
    option->text = strdup(value);
    option->policy = policy != NULL ? strdup(policy) : NULL;
    return option->name != NULL && option->text != NULL && (policy == NULL || option->policy != NULL);
}

/* Cuts an option's text into its values, of which there are not too many. */
static void cut_values(struct cli_plot_option *option)
{
    if (!option->varies) {
        option->values[option->n++] = option->text;
        return;
    }
    char *rest = NULL;
    for (char *word = strtok_r(option->text, BLANKS, &rest); word != NULL; word = strtok_r(NULL, BLANKS, &rest))
        option->values[option->n++] = word;
}

static int on_line(void *user, const char *section, const char *name, const char *value)
{
    struct cli_plot *plot = user;
    if (strcmp(section, "vary") == 0 && words_of(value) == 0)
        return 0;
    if (strcmp(section, "options") == 0 || strcmp(section, "vary") == 0)
        return add_option(plot, name, value, section[0] == 'v', NULL);
    if (strncmp(section, "policy ", 7) == 0)
        return add_option(plot, name, value, false, section + 7);
    char **text = strcmp(name, "title") == 0     ? &plot->title
                  : strcmp(name, "answers") == 0 ? &plot->answers
                                                 : NULL;
    if (section[0] != '\0' || text == NULL)
        return 0;
    free(*text);
    *text = strdup(value);
    return *text != NULL;
}

static char *read_part(const struct cli_plot *plot, const char *file, struct pm_error *err)
{
    char *path;
    if (asprintf(&path, "%s/%s", plot->folder, file) < 0) {
        pm_error_set(err, PM_E_MEMORY, "figure: out of memory");
        return NULL;
    }
    char *text = cli_read_text(path, err);
    free(path);
    return text;
}

int cli_plot_parse(struct cli_plot *plot, const char *text, const char *path, struct pm_error *err)
{
    int line = 0;
    int rc = cli_ini_parse(text, path, on_line, plot, &line, err);
    if (rc != PM_OK)
        return rc;
    if (line != 0)
        return pm_error_set(err, PM_E_FILE,
                            "%s:%d: neither title, answers, nor one of at most %d lines of [options], [vary] (1 to %d values) or "
                            "[policy NAME]",
                            path, line, CLI_PLOT_OPTIONS_MAX, CLI_PLOT_VALUES_MAX);
    for (size_t i = 0; i < plot->n_options; i++)
        cut_values(&plot->options[i]);
    return plot->title != NULL ? PM_OK
                               : pm_error_set(err, PM_E_FILE, "%s:%d: the file ends and has no title", path, cli_ini_end(text));
}

static int read_ini(struct cli_plot *plot, struct pm_error *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/figure.ini", plot->folder);
    char *text = cli_read_text(path, err);
    int rc = text != NULL ? cli_plot_parse(plot, text, path, err) : PM_E_FILE;
    free(text);
    return rc;
}

static int read_parts(struct cli_plot *plot, struct pm_error *err)
{
    int rc = read_ini(plot, err);
    if (rc != PM_OK)
        return rc;
    plot->query = read_part(plot, "query.sql", err);
    if (plot->query == NULL)
        return PM_E_FILE;
    plot->script = read_part(plot, "plot.gp", err);
    return plot->script != NULL ? PM_OK : PM_E_FILE;
}

static int unknown(const char *name, struct pm_error *err)
{
    char *names[NAMES_MAX];
    size_t n = all_names(names);
    const char *nearest = pm_nearest(name, (const char *const *)names, n);
    if (nearest == NULL)
        pm_error_set(err, PM_E_FILE, "figure %s: no folder of figures was found", name);
    else
        pm_error_set(err, PM_E_OPTION, "unknown figure \"%.80s\"; nearest is \"%s\"", name, nearest);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    return nearest == NULL ? PM_E_FILE : PM_E_OPTION;
}

static int find_folder(const char *name, char *path, size_t size, struct pm_error *err)
{
    if (strchr(name, '/') != NULL) {
        snprintf(path, size, "%s", name);
        size_t length = strlen(path);
        while (length > 1 && path[length - 1] == '/')
            path[--length] = '\0';
        return is_figure(path) ? PM_OK : pm_error_set(err, PM_E_FILE, "%s/figure.ini: %m", path);
    }
    for (int i = 0; i < PLACES; i++) {
        char folder[2100];
        place(i, folder, sizeof folder);
        snprintf(path, size, "%s/%s", folder, name);
        if (is_figure(path))
            return PM_OK;
    }
    return unknown(name, err);
}

int cli_plot_open(struct cli_plot *plot, const char *name, struct pm_error *err)
{
    *plot = (struct cli_plot){0};
    char path[4096];
    int rc = find_folder(name, path, sizeof path, err);
    if (rc != PM_OK)
        return rc;
    plot->folder = strdup(path);
    plot->name = strdup(strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
    if (plot->folder == NULL || plot->name == NULL)
        rc = pm_error_set(err, PM_E_MEMORY, "figure: out of memory");
    else
        rc = read_parts(plot, err);
    if (rc != PM_OK)
        cli_plot_close(plot);
    return rc;
}

void cli_plot_close(struct cli_plot *plot)
{
    for (size_t i = 0; i < plot->n_options; i++) {
        free(plot->options[i].policy);
        free(plot->options[i].name);
        free(plot->options[i].text);
    }
    free(plot->folder);
    free(plot->name);
    free(plot->title);
    free(plot->answers);
    free(plot->query);
    free(plot->script);
    *plot = (struct cli_plot){0};
}
