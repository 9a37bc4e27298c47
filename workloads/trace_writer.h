/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing of trace files.
 *
 * Workers, who may be threads of several processes, append blocks as they fill to one unsorted file beside the one that is
 * asked for; when all is over it is sorted by worker and takes its name. Until then there is nothing of that name, or what
 * was there before. Errors are PM_E_FILE, PM_E_MEMORY or PM_E_LIMIT. */
#ifndef PM_WORKLOADS_TRACE_WRITER_H
#define PM_WORKLOADS_TRACE_WRITER_H

#include "core/layout.h"
#include "workloads/trace_code.h"

struct trace_output {
    char *path;     /* what is asked for */
    char *unsorted; /* blocks as they come */
    char *sorted;   /* to be renamed */
};

/* What the file will say of itself. */
struct trace_shape {
    uint32_t nodes, workers;
    const char *origin;    /* what it was made from */
    const uint32_t *ranks; /* final rank of each stream's; NULL: the same */
};

struct trace_totals {
    uint64_t batches, accesses, bytes;
};

/* Creates the unsorted file. To be ended by one of the two below after success. */
int trace_output_begin(struct trace_output *o, const char *path, struct pm_error *err);
/* Makes the trace, of which all streams have ended; in any case nothing else is left. */
int trace_output_finish(struct trace_output *o, const struct trace_shape *shape, struct trace_totals *totals,
                        struct pm_error *err);
void trace_output_abandon(struct trace_output *o);

/* A descriptor to append with, one per process; -1 with errno. */
int trace_output_open(const struct trace_output *o);
/* Says which keys there are: once per output. */
int trace_output_layout(int fd, const struct pm_layout *layout, struct pm_error *err);

/* Batches of one worker, in order. Belongs to one thread. */
struct trace_stream {
    int fd;
    uint32_t rank, epoch, batches, accesses; /* the last two: in the block that is being filled */
    struct trace_context context;
    struct trace_bytes bytes;
};
void trace_stream_begin(struct trace_stream *s, int fd, uint32_t rank);
int trace_stream_add(struct trace_stream *s, uint32_t epoch, const struct trace_batch *batch, struct pm_error *err);
/* Writes the rest and says that this worker's stream is whole. Frees nothing. */
int trace_stream_end(struct trace_stream *s, struct pm_error *err);
void trace_stream_free(struct trace_stream *s);

#endif
