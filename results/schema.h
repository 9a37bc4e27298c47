/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables and views of a database of results; docs/schema.md describes every column. Constant data. */
#ifndef RESULTS_SCHEMA_H
#define RESULTS_SCHEMA_H

/* Marks a file as ours ("pmlb"), and the version of its tables: it rises whenever they or the views change, and
 * tests/layouts gets a file of that number. */
enum { RESULTS_APPLICATION_ID = 0x706d6c62, RESULTS_VERSION = 2 };

/* Statements that make all tables and views in an empty database. */
extern const char results_schema_tables[], results_schema_views[];

/* Tables that a run's digest covers, and the columns that order their rows; the last name is NULL. */
struct results_digested {
    const char *table, *order;
};
extern const struct results_digested results_digested[];

#endif
