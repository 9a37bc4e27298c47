/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What several commands print out of the database. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stddef.h>
#include <stdio.h>
#include <stdint.h>

#include "cli/options.h"
#include "results/query.h"

/* A summary of each run; with --json an object, or an array of objects when there are several. */
int cli_print_runs(const struct cli_args *args, const int64_t *run_ids, size_t n, struct pm_error *err);
/* The short summary of one run, as `run` and `show` begin. */
int cli_print_summary(struct results_db *db, int64_t run_id, struct pm_error *err);
/* The table of a comparison. */
int cli_print_compared(struct results_db *db, const char *run_ids, FILE *out, struct pm_error *err);
/* Whether that row of a comparison has an epoch time that was extrapolated; such are marked with a ~, and this line
 * explains it. */
bool cli_is_extrapolated(const struct results_table *table, size_t row);
extern const char cli_extrapolated_note[];
/* Numbers as a JSON array; free it. NULL: out of memory. */
char *cli_json_ids(const int64_t *ids, size_t n);

struct trace_totals;
/* A line about a trace that was made, unless --quiet (trace_import.c). */
void cli_print_trace(const struct cli_args *args, const char *path, const struct trace_totals *totals);

/* Column of a table by its name; a name that is not there is a programmer error. */
const char *cli_column(const struct results_table *table, size_t row, const char *name);

#endif
