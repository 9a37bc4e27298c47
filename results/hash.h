/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hashes (XXH3, 64 bits) of configurations, files, final values and a run's rows. A hash state belongs to one
 * thread. */
#ifndef RESULTS_HASH_H
#define RESULTS_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/job.h"

struct results_db;

/* The values' hash for pm_job.digest: of the floats' bytes in key order, however they are cut into feeds. */
extern const struct pm_digest results_values_digest;

/* A hash of pairs name = value; adding the same pairs in the same order gives the same hash. */
struct results_hash;
struct results_hash *results_hash_new(void); /* NULL: out of memory */
void results_hash_add(struct results_hash *hash, const char *name, const char *value);
uint64_t results_hash_finish(struct results_hash *hash); /* frees it */

/* Hash of a file's bytes. PM_OK; PM_E_FILE with a line that names the file and why it cannot be read. */
int results_hash_file(const char *path, uint64_t *out, struct pm_error *err);

/* Hash of the run's rows in epoch, node_epoch, message, latency, quality and key_event, in key order, without
 * run_id: names of tables and columns, types and values. The same however the database came by its layout. */
int results_hash_rows(struct results_db *db, int64_t run_id, uint64_t *out, struct pm_error *err);

/* 16 hexadecimal digits and a zero byte. */
void results_hash_text(uint64_t hash, char text[17]);

#endif
