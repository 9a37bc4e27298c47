/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One line on standard error, when that is a terminal: what runs, percent, speed, time left. Used by one
 * thread. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_progress {
    bool shown;  /* there is a terminal to write to */
    bool colour; /* NO_COLOR is not set */
    const char *unit; /* of speed: "batches" */
    int width;   /* of the line that is there now */
    double started_s, written_s;
};

/* `quiet`: nothing is ever shown. */
void cli_progress_begin(struct cli_progress *p, bool quiet);
/* share in [0, 1] of the work; `per_s` units per second (of a worker), 0 when unknown. Writes ten times a
 * second at most. */
void cli_progress_show(struct cli_progress *p, const char *label, double share, double per_s);
/* Clears the line. */
void cli_progress_end(struct cli_progress *p);

#endif
