/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/trace_replay.h"

#include <stdlib.h>

/* The first of `many` that belongs to number i of `few`. */
static uint32_t share_begin(uint32_t i, uint32_t many, uint32_t few)
{
    return (uint32_t)(((uint64_t)i * many + few - 1) / few);
}

int trace_replay_begin(struct trace_replay *r, const struct trace_file *file, uint32_t rank, uint32_t ranks)
{
    uint32_t recorded = file->nodes * file->workers;
    *r = (struct trace_replay){.file = file, .rank = rank, .ranks = ranks, .n = 1, .parts = 1};
    if (ranks <= recorded) {
        r->first = share_begin(rank, recorded, ranks);
        r->n = share_begin(rank + 1, recorded, ranks) - r->first;
    } else {
        r->first = (uint32_t)((uint64_t)rank * recorded / ranks);
        r->part = rank - share_begin(r->first, ranks, recorded);
        r->parts = share_begin(r->first + 1, ranks, recorded) - share_begin(r->first, ranks, recorded);
    }
    r->cursors = calloc(r->n, sizeof *r->cursors);
    r->left = calloc(r->n, sizeof *r->left);
    if (r->cursors != NULL && r->left != NULL)
        return PM_OK;
    trace_replay_free(r);
    return PM_E_MEMORY;
}

void trace_replay_free(struct trace_replay *r)
{
    for (uint32_t i = 0; i < r->n && r->cursors != NULL; i++)
        trace_cursor_free(&r->cursors[i]);
    free(r->cursors);
    free(r->left);
    *r = (struct trace_replay){0};
}

/* Batches of a recorded worker in a segment. */
static uint64_t recorded_in(const struct trace_replay *r, uint64_t segment, uint32_t worker)
{
    const struct trace_epoch *e = r->epoch;
    uint64_t begin = segment > 0 ? e->barriers[segment - 1] : 0;
    if (segment < e->n_barriers)
        return e->barriers[segment] - begin;
    return trace_batches(r->file, worker, r->epoch_number) - begin;
}

/* Batches of this worker in a segment of which recorded worker has n. */
static uint64_t part_of(const struct trace_replay *r, uint64_t n)
{
    return n > r->part ? (n - r->part + r->parts - 1) / r->parts : 0;
}

/* Batches of the worker of the replay that has most in a segment. */
static uint64_t most_in(const struct trace_replay *r, uint64_t segment)
{
    const struct trace_epoch *e = r->epoch;
    uint64_t recorded = r->file->nodes * r->file->workers;
    uint64_t begin = segment > 0 ? e->barriers[segment - 1] : 0;
    uint64_t n = (segment < e->n_barriers ? e->barriers[segment] : e->most) - begin;
    if (r->ranks <= recorded)
        return n * ((recorded + r->ranks - 1) / r->ranks);
    uint64_t fewest = r->ranks / recorded;
    return (n + fewest - 1) / fewest;
}

static uint64_t due_in(const struct trace_replay *r, uint64_t segment)
{
    if (r->epoch->n_barriers > 0)
        return most_in(r, segment);
    uint64_t n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += part_of(r, recorded_in(r, segment, r->first + i));
    return n;
}

static void enter_segment(struct trace_replay *r, uint64_t segment)
{
    r->segment = segment;
    r->given = 0;
    r->due = due_in(r, segment);
    r->turn = 0;
    for (uint32_t i = 0; i < r->n; i++)
        r->left[i] = recorded_in(r, segment, r->first + i);
}

uint64_t trace_replay_epoch(struct trace_replay *r, uint32_t epoch)
{
    uint64_t n = 0;
    r->epoch_number = epoch % r->file->epochs;
    r->epoch = &r->file->by_epoch[r->epoch_number];
    for (uint32_t i = 0; i < r->n; i++)
        trace_seek(&r->cursors[i], r->file, r->first + i, r->epoch_number);
    for (uint64_t segment = 0; segment <= r->epoch->n_barriers; segment++)
        n += due_in(r, segment);
    enter_segment(r, 0);
    return n;
}

/* Reads the next batch of a recorded worker in the segment. */
static int read_one(struct trace_replay *r, uint32_t i)
{
    r->left[i]--;
    int rc = trace_next(&r->cursors[i], NULL);
    return rc == 1 ? PM_OK : rc == 0 ? PM_E_FILE : rc;
}

/* ... of the several that this worker replays, in turns. */
static int take_turn(struct trace_replay *r, const struct trace_batch **batch)
{
    for (uint32_t tried = 0; tried < r->n; tried++) {
        uint32_t i = r->turn;
        r->turn = (r->turn + 1) % r->n;
        if (r->left[i] == 0)
            continue;
        *batch = &r->cursors[i].batch;
        return read_one(r, i);
    }
    return PM_OK;
}

/* ... of the one that several workers share: those of the others are passed over. */
static int take_part(struct trace_replay *r, const struct trace_batch **batch)
{
    uint64_t all = recorded_in(r, r->segment, r->first), wanted = r->part + r->given * r->parts;
    int rc = PM_OK;
    while (r->left[0] > 0 && all - r->left[0] < wanted && rc == PM_OK)
        rc = read_one(r, 0);
    if (rc != PM_OK || r->left[0] == 0)
        return rc;
    *batch = &r->cursors[0].batch;
    return read_one(r, 0);
}

int trace_replay_next(struct trace_replay *r, const struct trace_batch **batch, bool *barrier)
{
    int rc = PM_OK;
    *batch = NULL;
    *barrier = false;
    while (r->given == r->due && r->segment < r->epoch->n_barriers && rc == PM_OK) {
        while (r->parts > 1 && r->left[0] > 0 && rc == PM_OK)
            rc = read_one(r, 0);
        enter_segment(r, r->segment + 1);
        *barrier = true;
    }
    if (rc == PM_OK)
        rc = r->parts > 1 ? take_part(r, batch) : take_turn(r, batch);
    r->given++;
    return rc;
}
