/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queries: their rows as a table of texts, or one JSON text written by SQLite. */
#ifndef RESULTS_QUERY_H
#define RESULTS_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "results/db.h"

/* Rows of texts, NULL where the database has NULL. Free with results_table_free. */
struct results_table {
    size_t columns, rows, capacity;
    char **names;
    char **cells; /* rows x columns */
};

/* Runs a query; parameters as in results_prepare. Nothing is left to free after an error. */
int results_select(struct results_db *db, struct results_table *out, struct pm_error *err, const char *sql,
                   const char *types, ...);
void results_table_free(struct results_table *table);
static inline const char *results_cell(const struct results_table *table, size_t row, size_t column)
{
    return table->cells[row * table->columns + column];
}

/* All runs, newest last: run, started_at, status, backend, policy, workload, shape, epoch_s, quality, name.
 */
int results_list_runs(struct results_db *db, struct results_table *out, struct pm_error *err);
/* The sum of one run, one row: see query.c for the columns. PM_E_OPTION when there is no such run. */
int results_summary(struct results_db *db, int64_t run_id, struct results_table *out, struct pm_error *err);
/* The means over the runs of each policy with its options, in the order of their first run; run_ids is a JSON
 * array of numbers. Columns: policy, runs, epoch_s, speedup, local_share, bytes_per_node, metric, quality,
 * extrapolated (1 when an epoch was not run whole) and, for intervals, the sums of squares of deviations of
 * epoch_s, speedup and quality. */
int results_compare(struct results_db *db, const char *run_ids, struct results_table *out,
                    struct pm_error *err);

/* JSON texts (free with free): an array of all runs; everything about one run; the rows of results_compare.
 */
int results_json_runs(struct results_db *db, char **out, struct pm_error *err);
int results_json_run(struct results_db *db, int64_t run_id, char **out, struct pm_error *err);
int results_json_compare(struct results_db *db, const char *run_ids, char **out, struct pm_error *err);

#endif
