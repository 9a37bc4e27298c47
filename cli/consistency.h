/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the parts of pmlab consistency: what is measured (consistency.c), the schedules (consistency_run.c), the processes that
 * run them (consistency_pool.c) and the table (consistency_print.c). */
#ifndef CLI_CONSISTENCY_H
#define CLI_CONSISTENCY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/history.h"
#include "cli/litmus.h"
#include "cli/options.h"
#include "cli/specs.h"
#include "core/policy.h"

enum consistency_backend { ON_MEMNET, ON_SIM, ON_REAL, CONSISTENCY_BACKENDS };
extern const char *const consistency_backend_names[CONSISTENCY_BACKENDS];

/* Synchronous and asynchronous operations; also the parity of a schedule's number. */
enum { CONSISTENCY_MODES = 2 };
extern const char *const consistency_mode_names[CONSISTENCY_MODES];

/* One policy with its options. */
struct consistency_row {
    struct cli_module_spec policy;
    struct pm_traits traits;
    char *label;   /* its specification */
    bool may_hide; /* promises little and need not show that it keeps no more */
};

/* What was found of a violation of one level. */
struct consistency_finding {
    uint64_t times; /* schedules that violated it */
    uint64_t number;
    uint32_t backend;
    struct history shortest;
    struct history_cycle cycle;
};

/* Schedules of one row on one backend, and what came of them. Plain data in shared memory. */
struct consistency_unit {
    uint32_t row, backend;
    uint64_t first, n; /* numbers of the schedules: first + 2 i + mode, i < n */
    uint64_t done;     /* atomic: schedules run so far, both modes */
    uint64_t at;       /* atomic: number of the schedule that runs now */
    uint64_t schedules[CONSISTENCY_MODES];
    struct consistency_finding findings[CONSISTENCY_MODES][HISTORY_LEVELS];
    bool ended;
    int code; /* PM_OK, or why a run failed, with its text */
    char text[PM_ERROR_TEXT_SIZE];
};

/* Rounds of one job on a backend; schedules come in whole jobs. */
uint32_t consistency_rounds(enum consistency_backend backend);
/* Runs the job that the schedule `number` belongs to and leaves its rounds on the board, made for at least as many. PM_OK or why
 * it failed. */
int consistency_run_job(const struct consistency_row *row, enum consistency_backend backend, uint64_t number,
                        struct litmus_board *board, struct pm_error *err);
/* Number of the first schedule of the job that a schedule belongs to. */
uint64_t consistency_job_of(enum consistency_backend backend, uint64_t number);
/* Says in words what the number makes of the backend's settings. */
void consistency_describe(const struct consistency_row *row, enum consistency_backend backend, uint64_t number, FILE *out);
/* Runs the unit's schedules and checks their histories, until they end, one fails or the command is interrupted. */
void consistency_run_unit(const struct consistency_row *row, struct consistency_unit *unit);
/* Notes a finding when it is shorter than the one there is. */
void consistency_merge(struct consistency_finding *to, const struct consistency_finding *from);

/* Runs units, `jobs` at a time, each in a process of its own. PM_OK, or the first failure. */
int consistency_run_units(const struct consistency_row *rows, struct consistency_unit *units, size_t n, unsigned jobs,
                          bool quiet, struct pm_error *err);

/* Does the policy promise the level? */
bool consistency_promised(const struct consistency_row *row, int mode, enum history_level level);

/* Results of one row over all backends. */
struct consistency_result {
    uint64_t schedules[CONSISTENCY_MODES];
    struct consistency_finding findings[CONSISTENCY_MODES][HISTORY_LEVELS];
};
void consistency_print(const struct consistency_row *rows, const struct consistency_result *results, size_t n, FILE *out);
void consistency_print_json(const struct consistency_row *rows, const struct consistency_result *results, size_t n, FILE *out);
/* A whole history, operation by operation. */
void consistency_print_history(const struct history *h, FILE *out);
/* A shortened one with its reason. */
void consistency_print_finding(const struct history *h, const struct history_cycle *cycle, FILE *out);

#endif
