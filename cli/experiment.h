/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One experiment: what the arguments say, as a job for a backend and as a row for the database. */
#ifndef CLI_EXPERIMENT_H
#define CLI_EXPERIMENT_H

#include <stdint.h>

#include "cli/specs.h"
#include "core/job.h"
#include "results/recorder.h"

struct cli_experiment {
    const struct cli_args *args; /* outlives it */
    const struct pm_backend *backend;
    struct pm_values backend_values;
    struct cli_module_spec policy, workload;
    struct pm_job job; /* points into the rest */
    char *label;       /* policy with the options that differ from their defaults */
    pm_key *traced_keys; /* those of job.traced, or NULL */
    char seed_text[24];
    uint64_t config_hash, experiment_hash;
    struct results_option *options;
    char **option_names; /* owned names of `options` */
    uint32_t n_options;
};

/* Builds an experiment; `policy` NULL is the one of --policy. Loads the backend. PM_OK; PM_E_OPTION,
 * PM_E_LIMIT (usage), PM_E_FILE, PM_E_ABI (files), PM_E_MEMORY; nothing is left to free then. */
int cli_experiment_init(struct cli_experiment *e, const struct cli_args *args, const struct pm_spec *policy,
                        uint64_t seed, struct pm_error *err);
void cli_experiment_free(struct cli_experiment *e);

/* What the database is told before it starts; points into the experiment. */
struct results_run cli_experiment_row(const struct cli_experiment *e);

/* Rows of the options' record and both hashes (describe.c). */
int cli_experiment_describe(struct cli_experiment *e, struct pm_error *err);

/* The command line that this process was started with, quoted for a shell; set by main. */
extern const char *cli_command_line;

#endif
