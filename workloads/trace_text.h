/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Traces of others, as lines of text: a key, or a range of keys by start and count, perhaps with node and time. */
#ifndef PM_WORKLOADS_TRACE_TEXT_H
#define PM_WORKLOADS_TRACE_TEXT_H

#include <stdio.h>

#include "workloads/trace_writer.h"

enum { TRACE_COLUMNS_MAX = 64, TRACE_TEXT_LENGTH = 16 /* floats of a key */ };

enum trace_column { TRACE_SKIP, TRACE_KEY, TRACE_COUNT, TRACE_NODE, TRACE_TIME };

struct trace_text {
    enum trace_column columns[TRACE_COLUMNS_MAX];
    uint32_t n_columns;
    uint64_t header;  /* lines at the head that are passed over */
    uint32_t batch;   /* accesses of a batch */
    uint64_t unit_ns; /* of times */
    int (*interrupted)(void); /* asked now and then; not 0 ends the import with PM_E_INTERRUPTED. May be NULL */
};

struct trace_text_found {
    uint64_t lines, keys; /* lines with accesses; different keys */
    uint32_t nodes;
};

/* Sets columns by a text such as "time,-,node,key". PM_E_OPTION. */
int trace_text_columns(struct trace_text *t, const char *text, struct pm_error *err);
/* Reads the file into the output, of which nothing is left after an error: PM_E_FILE with file and line. */
int trace_text_import(const struct trace_text *t, const char *path, struct trace_output *output,
                      struct trace_text_found *found, struct trace_totals *totals, struct pm_error *err);
/* The reading of that alone, from a file that is open and stays so: streams of blocks into fd. The path is for messages. */
int trace_text_read_from(const struct trace_text *t, FILE *file, const char *path, int fd, struct trace_text_found *found,
                         struct pm_error *err);

#endif
