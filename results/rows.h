/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From records to rows; used by the recorder. */
#ifndef RESULTS_ROWS_H
#define RESULTS_ROWS_H

#include <stdint.h>

#include "core/error.h"
#include "core/job.h"
#include "results/db.h"

/* Inserts the rows of one record; kinds that have no table (progress, digest, backend) are programmer errors.
 */
int results_insert(struct results_db *db, int64_t run_id, const struct pm_record *record,
                   struct pm_error *err);

#endif
