/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a layout should be is read from a database in memory that is made by the schema, not kept a second time. */
#include "results/upgrade.h"

#include <stdio.h>

#include "results/query.h"
#include "results/schema.h"

static int open_model(struct results_db *model, struct pm_error *err)
{
    if (sqlite3_open(":memory:", &model->sqlite) != SQLITE_OK)
        return results_fail(model, err);
    int rc = results_exec(model, results_schema_tables, err);
    return rc == PM_OK ? results_exec(model, results_schema_views, err) : rc;
}

/* Runs an SQL text that is made as by sqlite3_mprintf: %w is a name within quotes. */
static int exec_text(struct results_db *db, char *sql, struct pm_error *err)
{
    if (sql == NULL)
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    int rc = results_exec(db, sql, err);
    sqlite3_free(sql);
    return rc;
}

/* Whether a query, a text as above, gives rows. */
static int gives_rows(struct results_db *db, char *sql, bool *any, struct pm_error *err)
{
    struct results_table rows;
    *any = false;
    if (sql == NULL)
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", db->path);
    int rc = results_select(db, &rows, err, sql, "");
    sqlite3_free(sql);
    if (rc != PM_OK)
        return rc;
    *any = rows.rows > 0;
    results_table_free(&rows);
    return PM_OK;
}

enum column { COLUMN_NAME, COLUMN_TYPE, COLUMN_DEFAULT, COLUMN_KEY, COLUMN_NEEDED };

static int add_column(struct results_db *db, const char *table, const struct results_table *columns, size_t row,
                      struct pm_error *err)
{
    const char *name = results_cell(columns, row, COLUMN_NAME), *value = results_cell(columns, row, COLUMN_DEFAULT);
    if (results_cell(columns, row, COLUMN_KEY)[0] != '0')
        return pm_error_set(err, PM_E_FILE, "database %s: table %s has rows of an earlier layout without %s, left as it is",
                            db->path, table, name);
    bool needed = value != NULL && results_cell(columns, row, COLUMN_NEEDED)[0] == '1';
    return exec_text(db,
                     sqlite3_mprintf("ALTER TABLE \"%w\" ADD COLUMN \"%w\" %s%s%s%s", table, name,
                                     results_cell(columns, row, COLUMN_TYPE), needed ? " NOT NULL" : "",
                                     value != NULL ? " DEFAULT " : "", value != NULL ? value : ""),
                     err);
}

static int add_columns(struct results_db *db, struct results_db *model, const char *table, struct pm_error *err)
{
    struct results_table columns;
    int rc = results_select(model, &columns, err,
                            "SELECT name, type, dflt_value, pk, \"notnull\" FROM pragma_table_info(?) ORDER BY cid", "s", table);
    if (rc != PM_OK)
        return rc;
    for (size_t row = 0; row < columns.rows && rc == PM_OK; row++) {
        bool there;
        rc = gives_rows(db,
                        sqlite3_mprintf("SELECT 1 FROM pragma_table_info(%Q) WHERE name = %Q", table,
                                        results_cell(&columns, row, COLUMN_NAME)),
                        &there, err);
        if (rc == PM_OK && !there)
            rc = add_column(db, table, &columns, row, err);
    }
    results_table_free(&columns);
    return rc;
}

/* A table without rows whose key has changed is made anew: columns of a key cannot be added. */
static int drop_unused(struct results_db *db, struct results_db *model, const char *table, struct pm_error *err)
{
    static const char keys[] = "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk)";
    struct results_table old = {0}, now = {0};
    int rc = results_select(db, &old, err, keys, "s", table);
    if (rc == PM_OK)
        rc = results_select(model, &now, err, keys, "s", table);
    if (rc == PM_OK && old.cells[0] != NULL && sqlite3_stricmp(old.cells[0], now.cells[0]) != 0) {
        bool used;
        rc = gives_rows(db, sqlite3_mprintf("SELECT 1 FROM \"%w\" LIMIT 1", table), &used, err);
        if (rc == PM_OK && !used)
            rc = exec_text(db, sqlite3_mprintf("DROP TABLE \"%w\"", table), err);
    }
    results_table_free(&old);
    results_table_free(&now);
    return rc;
}

enum object { OBJECT_TYPE, OBJECT_NAME, OBJECT_SQL };

/* Views follow the tables, in the order in which the schema makes them. */
static int upgrade_object(struct results_db *db, struct results_db *model, const struct results_table *objects, size_t row,
                          struct pm_error *err)
{
    const char *type = results_cell(objects, row, OBJECT_TYPE), *name = results_cell(objects, row, OBJECT_NAME);
    bool there = true;
    int rc = PM_OK;
    if (type[0] == 'v')
        rc = exec_text(db, sqlite3_mprintf("DROP VIEW IF EXISTS \"%w\"", name), err);
    else if (type[0] == 't')
        rc = drop_unused(db, model, name, err);
    if (rc == PM_OK)
        rc = gives_rows(db, sqlite3_mprintf("SELECT 1 FROM sqlite_schema WHERE type = %Q AND name = %Q", type, name), &there, err);
    if (rc == PM_OK && !there)
        return results_exec(db, results_cell(objects, row, OBJECT_SQL), err);
    return rc == PM_OK && type[0] == 't' ? add_columns(db, model, name, err) : rc;
}

static int upgrade_to(struct results_db *db, struct results_db *model, struct pm_error *err)
{
    struct results_table objects;
    int rc = results_select(model, &objects, err,
                            "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
                            " ORDER BY type = 'view', type = 'index', rowid",
                            "");
    if (rc != PM_OK)
        return rc;
    for (size_t row = 0; row < objects.rows && rc == PM_OK; row++)
        rc = upgrade_object(db, model, &objects, row, err);
    results_table_free(&objects);
    return rc;
}

int results_upgrade(struct results_db *db, struct pm_error *err)
{
    struct results_db model = {.path = db->path};
    int rc = open_model(&model, err);
    if (rc == PM_OK)
        rc = upgrade_to(db, &model, err);
    sqlite3_close_v2(model.sqlite);
    if (rc != PM_OK)
        return rc;
    char pragmas[96];
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id = %d; PRAGMA user_version = %d;", RESULTS_APPLICATION_ID,
             RESULTS_VERSION);
    return results_exec(db, pragmas, err);
}
