/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and checking a database. It is ours when application_id says so; an empty one becomes ours, one of an earlier
 * layout gets the present one. */
#include "results/db.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/process.h"
#include "results/schema.h"
#include "results/upgrade.h"

enum { LOCK_WAIT_MS = 20000 };

int results_fail(struct results_db *db, struct pm_error *err)
{
    int code = db->sqlite != NULL ? sqlite3_errcode(db->sqlite) : SQLITE_NOMEM;
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return pm_error_set(err, PM_E_FILE, "database %s: locked by another process", db->path);
    case SQLITE_READONLY:
        return pm_error_set(err, PM_E_FILE, "database %s: read-only", db->path);
    case SQLITE_NOTADB:
        return pm_error_set(err, PM_E_FILE, "database %s: not an SQLite database", db->path);
    case SQLITE_CORRUPT:
        return pm_error_set(err, PM_E_FILE, "database %s: damaged (%s)", db->path,
                            sqlite3_errmsg(db->sqlite));
    default:
        return pm_error_set(err, PM_E_FILE, "database %s: %s", db->path, sqlite3_errmsg(db->sqlite));
    }
}

int results_exec(struct results_db *db, const char *sql, struct pm_error *err)
{
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK ? PM_OK : results_fail(db, err);
}

/* Bytes of the UTF-8 character that begins at s, 0 when none does. */
static int character(const unsigned char *s)
{
    int n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 4;
    if (s[0] > 0xf4 || (s[0] >= 0x80 && s[0] < 0xc2))
        return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf4 && s[1] >= 0x90);
    return overlong || beyond ? 0 : n;
}

/* Binds a text; bytes that are no UTF-8 become '?', so that JSON made of it is well formed. */
static int bind_text(sqlite3_stmt *statement, int i, const char *text)
{
    if (text == NULL)
        return sqlite3_bind_null(statement, i);
    char *copy = sqlite3_mprintf("%s", text);
    if (copy == NULL)
        return SQLITE_NOMEM;
    for (unsigned char *c = (unsigned char *)copy; *c != '\0';) {
        int n = character(c);
        if (n == 0)
            *c = '?';
        c += n == 0 ? 1 : n;
    }
    return sqlite3_bind_text(statement, i, copy, -1, sqlite3_free);
}

static int bind_all(sqlite3_stmt *statement, const char *types, va_list args)
{
    int rc = SQLITE_OK;
    for (int i = 1; *types != '\0' && rc == SQLITE_OK; i++, types++) {
        if (*types == 'i') {
            rc = sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
        } else if (*types == 'd') {
            double value = va_arg(args, double);
            rc = isfinite(value) ? sqlite3_bind_double(statement, i, value) : sqlite3_bind_null(statement, i);
        } else {
            PM_ASSERT(*types == 's');
            rc = bind_text(statement, i, va_arg(args, const char *));
        }
    }
    return rc;
}

int results_bind(struct results_db *db, sqlite3_stmt *statement, struct pm_error *err, const char *types,
                 va_list args)
{
    return bind_all(statement, types, args) == SQLITE_OK ? PM_OK : results_fail(db, err);
}

static int prepare(struct results_db *db, sqlite3_stmt **statement, struct pm_error *err, const char *sql,
                   const char *types, va_list args)
{
    *statement = NULL;
    if (sqlite3_prepare_v2(db->sqlite, sql, -1, statement, NULL) != SQLITE_OK ||
        bind_all(*statement, types, args) != SQLITE_OK) {
        int rc = results_fail(db, err);
        sqlite3_finalize(*statement);
        *statement = NULL;
        return rc;
    }
    return PM_OK;
}

int results_prepare(struct results_db *db, sqlite3_stmt **statement, struct pm_error *err, const char *sql,
                    const char *types, ...)
{
    va_list args;
    va_start(args, types);
    int rc = prepare(db, statement, err, sql, types, args);
    va_end(args);
    return rc;
}

int results_step(struct results_db *db, sqlite3_stmt *statement, struct pm_error *err)
{
    int rc = sqlite3_step(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? rc : results_fail(db, err);
}

int results_run_statement(struct results_db *db, struct pm_error *err, const char *sql, const char *types,
                          ...)
{
    sqlite3_stmt *statement;
    va_list args;
    va_start(args, types);
    int rc = prepare(db, &statement, err, sql, types, args);
    va_end(args);
    if (rc != PM_OK)
        return rc;
    do
        rc = results_step(db, statement, err);
    while (rc == SQLITE_ROW);
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? PM_OK : rc;
}

/* Value of a statement that gives one number. */
static int number(struct results_db *db, const char *sql, int64_t *out, struct pm_error *err)
{
    sqlite3_stmt *statement;
    int rc = results_prepare(db, &statement, err, sql, "");
    if (rc != PM_OK)
        return rc;
    rc = results_step(db, statement, err);
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return rc < 0 ? rc : PM_OK;
}

/* What a database that can be ours holds. */
enum layout { LAYOUT_NONE, LAYOUT_EARLIER, LAYOUT_PRESENT };

static int check_layout(struct results_db *db, enum layout *layout, struct pm_error *err)
{
    int64_t id, version, objects;
    int rc = number(db, "PRAGMA application_id", &id, err);
    if (rc == PM_OK)
        rc = number(db, "PRAGMA user_version", &version, err);
    if (rc == PM_OK)
        rc = number(db, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc != PM_OK)
        return rc;
    *layout = id == 0 && version == 0 && objects == 0 ? LAYOUT_NONE
              : version < RESULTS_VERSION             ? LAYOUT_EARLIER
                                                      : LAYOUT_PRESENT;
    if (*layout == LAYOUT_NONE)
        return PM_OK;
    if (id != RESULTS_APPLICATION_ID)
        return pm_error_set(err, PM_E_FILE, "database %s: not made by pmlab, left as it is", db->path);
    if (version > RESULTS_VERSION)
        return pm_error_set(err, PM_E_FILE,
                            "database %s: made by a later pmlab (tables of version %lld, known is %d)",
                            db->path, (long long)version, RESULTS_VERSION);
    return PM_OK;
}

/* The switch to WAL asks for the file alone and does not wait by itself. */
static int switch_to_wal(struct results_db *db, struct pm_error *err)
{
    for (int waited_ms = 0;; waited_ms += 10) {
        int rc = sqlite3_exec(db->sqlite, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            return PM_OK;
        if (((rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED) || waited_ms >= LOCK_WAIT_MS)
            return results_fail(db, err);
        sqlite3_sleep(10);
    }
}

/* Gives the database the present layout, wholly or not at all. */
static int upgrade(struct results_db *db, struct pm_error *err)
{
    int rc = results_exec(db, "BEGIN IMMEDIATE", err);
    if (rc != PM_OK)
        return rc;
    enum layout layout; /* another process may have been first */
    rc = check_layout(db, &layout, err);
    if (rc == PM_OK && layout != LAYOUT_PRESENT)
        rc = results_upgrade(db, err);
    if (rc == PM_OK)
        rc = results_exec(db, "COMMIT", err);
    if (rc != PM_OK)
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* Goes on with a copy in memory of a database that cannot be written. */
static int copy_to_memory(struct results_db *db, struct pm_error *err)
{
    sqlite3 *copy;
    if (sqlite3_open(":memory:", &copy) != SQLITE_OK) {
        sqlite3_close(copy);
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    }
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", db->sqlite, "main");
    int stepped = backup != NULL ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
    sqlite3_backup_finish(backup);
    struct results_db old = *db;
    db->sqlite = copy;
    if (stepped != SQLITE_DONE)
        results_fail(db, err);
    sqlite3_close(old.sqlite);
    return stepped == SQLITE_DONE ? PM_OK : PM_E_FILE;
}

/* SQL function process_gone(host, pid, start). */
static void process_gone(sqlite3_context *context, int n, sqlite3_value **args)
{
    (void)n;
    const char *host = (const char *)sqlite3_value_text(args[0]);
    sqlite3_result_int(context, host != NULL && results_process_gone(host, sqlite3_value_int64(args[1]),
                                                                     sqlite3_value_int64(args[2])));
}

static const char mark_interrupted[] =
    "UPDATE run SET status = 'interrupted', reason = 'process ' || pid || ' is gone'"
    " WHERE status = 'running' AND process_gone(host, pid, process_start)";

static int check_file(const char *path, enum results_mode mode, struct pm_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        if (errno == ENOENT && mode == RESULTS_WRITE)
            return PM_OK;
        return pm_error_set(err, PM_E_FILE, "database %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(info.st_mode))
        return pm_error_set(err, PM_E_FILE, "database %s: not a file", path);
    if (access(path, R_OK) != 0 || (mode == RESULTS_WRITE && access(path, W_OK) != 0))
        return pm_error_set(err, PM_E_FILE, "database %s: %s", path,
                            errno == EACCES && mode == RESULTS_WRITE ? "read-only" : strerror(errno));
    return PM_OK;
}

/* Opens for reading; a database in WAL mode on a medium that cannot be written is read as it stands. */
static int open_to_read(struct results_db *db, const char *file)
{
    /* Where it may, SQLite removes the files beside a database in WAL mode when it closes it. */
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(file, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db->sqlite, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
    if ((rc & 0xff) != SQLITE_CANTOPEN && (rc & 0xff) != SQLITE_READONLY)
        return rc;
    char *uri = sqlite3_mprintf("file:%s?immutable=1", file);
    if (uri == NULL || strpbrk(file, "?#%") != NULL) {
        sqlite3_free(uri);
        return rc;
    }
    sqlite3_close(db->sqlite);
    rc = sqlite3_open_v2(uri, &db->sqlite, flags | SQLITE_OPEN_URI, NULL);
    sqlite3_free(uri);
    return rc;
}

static int open_checked(struct results_db *db, enum results_mode mode, struct pm_error *err)
{
    /* A leading "./" keeps names such as :memory: what they are: files. */
    char *file = sqlite3_mprintf("%s%s", db->path[0] == '/' ? "" : "./", db->path);
    if (file == NULL)
        return results_fail(db, err);
    int rc;
    if (mode == RESULTS_READ)
        rc = open_to_read(db, file);
    else
        rc = sqlite3_open_v2(file, &db->sqlite,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_free(file);
    if (rc != SQLITE_OK)
        return results_fail(db, err);
    sqlite3_busy_timeout(db->sqlite, LOCK_WAIT_MS);
    enum layout layout;
    rc = check_layout(db, &layout, err);
    if (rc == PM_OK && layout == LAYOUT_NONE && mode == RESULTS_READ)
        return pm_error_set(err, PM_E_FILE, "database %s: empty, not made by pmlab", db->path);
    if (rc == PM_OK && layout == LAYOUT_NONE)
        rc = switch_to_wal(db, err);
    if (rc == PM_OK && layout == LAYOUT_EARLIER && sqlite3_db_readonly(db->sqlite, "main"))
        rc = copy_to_memory(db, err);
    if (rc == PM_OK && layout != LAYOUT_PRESENT)
        rc = upgrade(db, err);
    if (rc == PM_OK && sqlite3_create_function(db->sqlite, "process_gone", 3, SQLITE_UTF8, NULL, process_gone, NULL,
                                               NULL) != SQLITE_OK)
        rc = results_fail(db, err);
    if (rc == PM_OK)
        rc = results_exec(db, "PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL", err);
    if (rc == PM_OK && mode == RESULTS_WRITE)
        rc = results_exec(db, mark_interrupted, err);
    return rc;
}

int results_open(const char *path, enum results_mode mode, struct results_db *db, struct pm_error *err)
{
    *db = (struct results_db){0};
    int rc = check_file(path, mode, err);
    if (rc != PM_OK)
        return rc;
    db->path = strdup(path);
    if (db->path == NULL)
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", path);
    rc = open_checked(db, mode, err);
    if (rc != PM_OK)
        results_close(db);
    return rc;
}

void results_close(struct results_db *db)
{
    if (db->sqlite != NULL)
        sqlite3_close_v2(db->sqlite);
    free(db->path);
    *db = (struct results_db){0};
}
