/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Overwrites its own line with carriage returns and blanks; colour only where it is wanted. */
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/format.h"

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void cli_progress_begin(struct cli_progress *p, bool quiet)
{
    const char *no_colour = getenv("NO_COLOR");
    *p = (struct cli_progress){.shown = !quiet && isatty(STDERR_FILENO),
                               .colour = no_colour == NULL || no_colour[0] == '\0',
                               .unit = "batches",
                               .started_s = now_s()};
}

void cli_progress_show(struct cli_progress *p, const char *label, double share, double per_s)
{
    double now = now_s();
    if (!p->shown || now - p->written_s < 0.1)
        return;
    p->written_s = now;
    char left[32] = "?", speed[32], line[160];
    double spent = now - p->started_s;
    if (share > 0)
        cli_format_seconds(left, sizeof left, spent / share * (1 - share));
    cli_format_count(speed, sizeof speed, per_s);
    snprintf(line, sizeof line, "%3.0f %%  %s %s/s  %s left", 100 * share, speed, p->unit, left);
    int width = fprintf(stderr, p->colour ? "\r\033[1m%.40s\033[0m  %s" : "\r%.40s  %s", label, line);
    width -= p->colour ? 9 : 1;
    fprintf(stderr, "%*s", width < p->width ? p->width - width : 0, "");
    p->width = width;
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->width == 0)
        return;
    fprintf(stderr, "\r%*s\r", p->width, "");
    fflush(stderr);
    p->width = 0;
}
