/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables and views as they are now, in a database that is empty or of an earlier layout. */
#ifndef RESULTS_UPGRADE_H
#define RESULTS_UPGRADE_H

#include "core/error.h"
#include "results/db.h"

/* Makes tables, indexes and views that are missing, adds missing columns and makes our views anew; marks the database as
 * ours, of the present version. Rows stay as they are: a column that is added has its default in them, NULL where it has
 * none. Within the caller's transaction, in which it may fail half-way. */
int results_upgrade(struct results_db *db, struct pm_error *err);

#endif
