/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Figures: a folder with figure.ini (title, runs), query.sql (their data) and plot.gp (their picture). Used
 * by one thread.
 *
 * figure.ini has the lines `title` and `answers`, and sections: [options] of all runs; [vary], every combination of whose
 * values, divided by blanks, is a run; [policy NAME], options of that policy's runs alone. Of two lines for one option the later
 * one counts, except in [vary], where values of several lines add up; what the user's command line says counts more. */
#ifndef CLI_PLOTS_H
#define CLI_PLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "results/db.h"

enum { CLI_PLOT_OPTIONS_MAX = 64, CLI_PLOT_VALUES_MAX = 64 };

/* One line of [options], [vary] or [policy NAME]: name and its values, of which only [vary] has several. */
struct cli_plot_option {
    char *policy; /* bare name of the policy that it is for; NULL: all */
    char *name;
    char *text; /* the values, cut apart */
    bool varies;
    const char *values[CLI_PLOT_VALUES_MAX];
    size_t n;
};

struct cli_plot {
    char *folder, *name; /* name: last part of the folder */
    char *title, *answers;
    char *query, *script; /* contents of query.sql and plot.gp */
    struct cli_plot_option options[CLI_PLOT_OPTIONS_MAX];
    size_t n_options;
};

/* Prints all figures: name, title, and with verbose what each answers to. */
void cli_plots_list(bool verbose);
/* Finds and reads a figure by name, or by the path of its folder. PM_OK; PM_E_OPTION for an unknown name,
 * PM_E_FILE. */
int cli_plot_open(struct cli_plot *plot, const char *name, struct pm_error *err);
void cli_plot_close(struct cli_plot *plot);
/* Reads the text of a figure.ini into a plot that is all zero bytes or has a folder, to be closed also after an error. PM_OK, or
 * PM_E_FILE with path and line. */
int cli_plot_parse(struct cli_plot *plot, const char *text, const char *path, struct pm_error *err);
/* Calls `visit` with the name of each figure, in the order of names. */
void cli_plots_visit(void (*visit)(void *arg, const char *name), void *arg);

/* Writes the figure's data over these runs (a JSON array of numbers) to `path`: a block per series, which is
 * the first column, headed by its name, two blank lines in between. *rows is how many there were. */
int cli_plot_write_data(const struct cli_plot *plot, struct results_db *db, const char *run_ids,
                        const char *path, size_t *rows, struct pm_error *err);

/* Draws `script` (a file) with gnuplot after the commands `before`. PM_OK; PM_E_FILE when there is no
 * gnuplot; PM_E_REFUSED with what it said when it cannot draw that. */
int cli_gnuplot(const char *before, const char *script, struct pm_error *err);

#endif
