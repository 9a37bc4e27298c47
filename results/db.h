/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Databases of results: opening them, and statements with their errors as one line of text.
 *
 * A connection belongs to the thread that opened it and must be closed before the process forks. Every
 * failure of the database is PM_E_FILE with a line that names the file. */
#ifndef RESULTS_DB_H
#define RESULTS_DB_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>

#include "core/error.h"

struct results_db {
    sqlite3 *sqlite;
    char *path;
};

enum results_mode {
    RESULTS_READ,  /* the file must exist; nothing is written, unless its layout is an earlier one */
    RESULTS_WRITE, /* makes file and tables when there are none; marks runs whose process is gone as
                      interrupted */
};

/* Opens and checks a database. PM_OK, or PM_E_FILE (missing, unreadable, read-only, locked, damaged, foreign,
 * or of a later version), PM_E_MEMORY; nothing is left open then. Waits up to 20 s for another process's
 * lock. */
int results_open(const char *path, enum results_mode mode, struct results_db *db, struct pm_error *err);
void results_close(struct results_db *db);

/* Runs statements without results. */
int results_exec(struct results_db *db, const char *sql, struct pm_error *err);
/* Prepares a statement and binds its parameters: `types` has a letter for each of i (int64_t), d (double; not
 * finite becomes NULL), s (const char *, copied; NULL becomes NULL). Finalize it with sqlite3_finalize. */
int results_prepare(struct results_db *db, sqlite3_stmt **statement, struct pm_error *err, const char *sql,
                    const char *types, ...);
/* Binds parameters to a statement that was prepared without. */
int results_bind(struct results_db *db, sqlite3_stmt *statement, struct pm_error *err, const char *types,
                 va_list args);
/* One step: SQLITE_ROW (100), SQLITE_DONE (101), or a negative error code with text. */
int results_step(struct results_db *db, sqlite3_stmt *statement, struct pm_error *err);
/* Prepares, runs and finalizes a statement that gives no rows. */
int results_run_statement(struct results_db *db, struct pm_error *err, const char *sql, const char *types,
                          ...);
/* Fills err with what SQLite said last and returns PM_E_FILE. */
int results_fail(struct results_db *db, struct pm_error *err);

#endif
