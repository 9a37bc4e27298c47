/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes are told apart by number and start time, because numbers are used again. */
#include "results/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int64_t results_process_start(int64_t pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    /* The second field is the command's name in parentheses and may hold anything. */
    const char *field = strrchr(line, ')');
    char state = 0;
    int64_t start = 0;
    if (field == NULL ||
        sscanf(field + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNd64, &state,
               &start) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : start;
}

void results_host(char *buf, size_t size)
{
    if (gethostname(buf, size) != 0 || buf[0] == '\0')
        snprintf(buf, size, "localhost");
    buf[size - 1] = '\0';
}

bool results_process_gone(const char *host, int64_t pid, int64_t start)
{
    char here[256];
    results_host(here, sizeof here);
    return strcmp(here, host) == 0 && results_process_start(pid) != start;
}
