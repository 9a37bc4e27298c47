/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who replays what: the recorded workers' batches, dealt to the workers of the replay.
 *
 * With as many workers as were recorded, in all, each replays one. With fewer, neighbours in rank share: one worker takes the
 * batches of several in turns. With more, the batches of one are dealt in turns to several. Epoch e is recorded epoch e
 * modulo their number. Where epochs have barriers, workers with fewer batches before one get empty ones, so that barriers
 * stay at the same batches of all. */
#ifndef PM_WORKLOADS_TRACE_REPLAY_H
#define PM_WORKLOADS_TRACE_REPLAY_H

#include "workloads/trace_file.h"

struct trace_replay {
    const struct trace_file *file;
    uint32_t rank, ranks;   /* of the replay */
    uint32_t first, n;      /* recorded workers [first, first + n) */
    uint32_t part, parts;   /* of the one recorded worker: batches part, part + parts, ... of each segment */
    struct trace_cursor *cursors;
    uint64_t *left;         /* batches of each recorded worker in the current segment that are not read yet */
    const struct trace_epoch *epoch;
    uint32_t epoch_number;  /* as recorded */
    uint64_t segment;       /* number of barriers passed */
    uint64_t given, due;    /* batches of the segment */
    uint32_t turn;
};

/* All zero bytes may be freed. PM_E_MEMORY. */
int trace_replay_begin(struct trace_replay *r, const struct trace_file *file, uint32_t rank, uint32_t ranks);
void trace_replay_free(struct trace_replay *r);
/* Starts an epoch; returns the number of batches. */
uint64_t trace_replay_epoch(struct trace_replay *r, uint32_t epoch);
/* The next batch of the epoch, valid until the next call; *batch NULL: an empty one. *barrier: one comes before it. PM_OK,
 * or an error when the file has changed since it was opened. */
int trace_replay_next(struct trace_replay *r, const struct trace_batch **batch, bool *barrier);

#endif
