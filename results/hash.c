/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every string is hashed with its length, so that no two sequences of strings look alike. */
#include "results/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "results/db.h"
#include "results/schema.h"

static void *values_start(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL)
        XXH3_64bits_reset(state);
    return state;
}

static void values_feed(void *digest, const float *values, uint64_t n)
{
    XXH3_64bits_update(digest, values, n * sizeof *values);
}

static uint64_t values_finish(void *digest)
{
    uint64_t hash = XXH3_64bits_digest(digest);
    XXH3_freeState(digest);
    return hash;
}

const struct pm_digest results_values_digest = {values_start, values_feed, values_finish};

struct results_hash {
    XXH3_state_t *state;
};

static void add_bytes(XXH3_state_t *state, const void *bytes, uint64_t length)
{
    XXH3_64bits_update(state, &length, sizeof length);
    XXH3_64bits_update(state, bytes, length);
}

struct results_hash *results_hash_new(void)
{
    struct results_hash *hash = malloc(sizeof *hash);
    if (hash == NULL)
        return NULL;
    hash->state = values_start();
    if (hash->state == NULL) {
        free(hash);
        return NULL;
    }
    return hash;
}

void results_hash_add(struct results_hash *hash, const char *name, const char *value)
{
    add_bytes(hash->state, name, strlen(name));
    add_bytes(hash->state, value, strlen(value));
}

uint64_t results_hash_finish(struct results_hash *hash)
{
    uint64_t result = values_finish(hash->state);
    free(hash);
    return result;
}

/* What is read here of anything but a regular file would be missing where it is used. */
static int check_regular(int fd, const char *path, struct pm_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
    if (S_ISREG(info.st_mode))
        return PM_OK;
    return pm_error_set(err, PM_E_FILE, "%s: %s", path, S_ISDIR(info.st_mode) ? "is a folder" : "not a regular file");
}

static int hash_bytes(int fd, const char *path, uint64_t *out, struct pm_error *err)
{
    XXH3_state_t *state = values_start();
    if (state == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
    char buffer[65536];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            XXH3_64bits_update(state, buffer, (size_t)n);
    int rc = n < 0 ? pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno)) : PM_OK;
    *out = values_finish(state);
    return rc;
}

int results_hash_file(const char *path, uint64_t *out, struct pm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
    int rc = check_regular(fd, path, err);
    if (rc == PM_OK)
        rc = hash_bytes(fd, path, out, err);
    close(fd);
    return rc;
}

/* One value of a row: its type, then its bytes. */
static void add_column(XXH3_state_t *state, sqlite3_stmt *row, int column)
{
    int type = sqlite3_column_type(row, column);
    uint8_t tag = (uint8_t)type;
    XXH3_64bits_update(state, &tag, 1);
    if (type == SQLITE_INTEGER) {
        int64_t value = sqlite3_column_int64(row, column);
        XXH3_64bits_update(state, &value, sizeof value);
    } else if (type == SQLITE_FLOAT) {
        double value = sqlite3_column_double(row, column);
        XXH3_64bits_update(state, &value, sizeof value);
    } else if (type != SQLITE_NULL) {
        const void *text = sqlite3_column_blob(row, column);
        add_bytes(state, text, (uint64_t)sqlite3_column_bytes(row, column));
    }
}

/* All columns but run_id, by their names: their order in the table depends on the layout that the database began with. */
static int select_rows(struct results_db *db, sqlite3_stmt **rows, const struct results_digested *table, int64_t run_id,
                       struct pm_error *err)
{
    sqlite3_stmt *names;
    int rc = results_prepare(db, &names, err,
                             "SELECT group_concat(name, ', ') FROM"
                             " (SELECT name FROM pragma_table_info(?) WHERE name <> 'run_id' ORDER BY name)",
                             "s", table->table);
    if (rc != PM_OK)
        return rc;
    rc = results_step(db, names, err);
    char *sql = rc != SQLITE_ROW ? NULL
                                 : sqlite3_mprintf("SELECT %s FROM %s WHERE run_id = ? ORDER BY %s",
                                                   sqlite3_column_text(names, 0), table->table, table->order);
    sqlite3_finalize(names);
    if (rc == SQLITE_ROW)
        rc = sql != NULL ? results_prepare(db, rows, err, sql, "i", run_id)
                         : pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    sqlite3_free(sql);
    return rc;
}

static int hash_table(struct results_db *db, XXH3_state_t *state, const struct results_digested *table,
                      int64_t run_id, struct pm_error *err)
{
    sqlite3_stmt *rows;
    int rc = select_rows(db, &rows, table, run_id, err);
    if (rc != PM_OK)
        return rc;
    add_bytes(state, table->table, strlen(table->table));
    for (int i = 0; i < sqlite3_column_count(rows); i++)
        add_bytes(state, sqlite3_column_name(rows, i), strlen(sqlite3_column_name(rows, i)));
    while ((rc = results_step(db, rows, err)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(rows); i++)
            add_column(state, rows, i);
    sqlite3_finalize(rows);
    return rc == SQLITE_DONE ? PM_OK : rc;
}

int results_hash_rows(struct results_db *db, int64_t run_id, uint64_t *out, struct pm_error *err)
{
    XXH3_state_t *state = values_start();
    if (state == NULL)
        return pm_error_set(err, PM_E_MEMORY, "digest of a run: out of memory");
    int rc = PM_OK;
    for (const struct results_digested *table = results_digested; table->table != NULL && rc == PM_OK;
         table++)
        rc = hash_table(db, state, table, run_id, err);
    *out = values_finish(state);
    return rc;
}

void results_hash_text(uint64_t hash, char text[17])
{
    snprintf(text, 17, "%016" PRIx64, hash);
}
