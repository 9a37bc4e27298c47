/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which process made a run, so that a later one can tell whether it is still there. */
#ifndef RESULTS_PROCESS_H
#define RESULTS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* When the process started, in clock ticks since the machine did; 0 when there is no such process (any more)
 * or it is a zombie. */
int64_t results_process_start(int64_t pid);
/* This machine's name; never empty. */
void results_host(char *buf, size_t size);
/* Is the process certainly gone? False for processes of other machines. */
bool results_process_gone(const char *host, int64_t pid, int64_t start);

#endif
