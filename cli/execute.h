/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running experiments: one in this process, or several of which each has a process of its own. */
#ifndef CLI_EXECUTE_H
#define CLI_EXECUTE_H

#include <stdint.h>

#include "cli/experiment.h"

struct cli_outcome {
    int64_t run_id; /* 0: it was not recorded */
    int code;       /* PM_OK or why it did not finish */
    char text[PM_ERROR_TEXT_SIZE];
};

/* Runs all of them, `jobs` at a time, with progress on standard error. Stops starting further ones after an
 * interruption. Fills outcomes[0..n); the first code that is not PM_OK. */
int cli_execute_all(const struct cli_experiment *experiments, size_t n, unsigned jobs,
                    struct cli_outcome *outcomes);

/* Exit status for a code; for interruptions that of the signal. */
int cli_exit_code(int code);
/* Prints "pmlab: text" on standard error and returns the exit status of the code. */
int cli_complain(int code, const char *text);

/* SIGINT and SIGTERM ask a run to end; a second SIGINT ends the process at once (signals.c). */
void cli_signals_install(void);
/* The signal that asked, or 0. */
int cli_interrupted(void);

#endif
