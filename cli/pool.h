/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between running one experiment (execute.c) and many (pool.c). */
#ifndef CLI_POOL_H
#define CLI_POOL_H

#include "cli/execute.h"

/* Where the progress of one run goes. */
struct cli_sink {
    void (*show)(void *arg, double share, double per_s);
    void *arg;
};

/* Runs and records one experiment in this process. */
int cli_execute_into(const struct cli_experiment *e, const struct cli_sink *sink,
                     struct cli_outcome *outcome);

#endif
