/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The recorder of one run: a row that says `running` from the start, the run's records while they come, and
 * how it ended.
 *
 * The database is open only inside these functions, so that a backend may fork between them. What they write
 * is committed before they return; a process that is killed in between leaves a valid database in which its
 * run is `running`, and whoever opens the database next for writing marks it interrupted. One thread at a
 * time. */
#ifndef RESULTS_RECORDER_H
#define RESULTS_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/job.h"

struct results_option {
    const char *name, *value;
    bool is_default;
};

/* What is known of a run before it starts. Texts may be NULL where the column may. */
struct results_run {
    const char *name, *backend, *policy, *policy_options, *workload, *workload_options;
    uint32_t nodes, workers;
    const char *values_mode, *network, *platform;
    uint64_t seed, run_number;
    const char *version, *command_line;
    uint64_t config_hash, experiment_hash;
    bool deterministic; /* equal runs give equal rows, so that a digest of them means something */
    const struct results_option *options;
    uint32_t n_options;
};

enum results_status { RESULTS_FINISHED, RESULTS_FAILED, RESULTS_INTERRUPTED };

struct results_recorder;

/* Inserts the run as `running`. `path` and `run` are copied as far as they are needed. PM_OK, PM_E_FILE,
 * PM_E_MEMORY. */
int results_begin(const char *path, const struct results_run *run, struct results_recorder **recorder,
                  struct pm_error *err);
int64_t results_run_id(const struct results_recorder *recorder);

/* Takes one record. Records are written now and then and at the end; an error is kept for results_finish. */
void results_record(struct results_recorder *recorder, const struct pm_record *record);

/* Writes what is left and the run's end, and frees the recorder, whatever the outcome. `reason` may be NULL.
 * PM_OK, or the first error that a record or this call met: the run then stays `running` in the database, if
 * it can be read at all. */
int results_finish(struct results_recorder *recorder, enum results_status status, const char *reason,
                   double wall_s, struct pm_error *err);

#endif
