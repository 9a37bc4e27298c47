/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrix factorisation: the state that its files share.
 *
 * struct mf_state is filled by mf_open and read-only afterwards. struct mf_worker is one worker's alone; the
 * loader's part (mf_stream.c) and the trainer's part (mf.c) of it do not touch each other, because the loader
 * runs ahead.
 *
 * Keys: rows [0, rows), then columns [rows, rows + columns). Ranks own contiguous ranges of rows with about
 * the same number of training cells; blocks are contiguous ranges of columns, likewise. */
#ifndef PM_WORKLOADS_MF_H
#define PM_WORKLOADS_MF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/permutation.h"
#include "core/workload.h"
#include "workloads/mf_kernel.h"
#include "workloads/ratings.h"

enum { MF_HINTS_MAX = 4 };

/* Cells of one column that belong to one rank: from `first` to the next segment's first. No row occurs twice.
 */
struct mf_segment {
    uint64_t first;
    uint32_t column;
};

struct mf_state {
    struct pm_task task;
    uint32_t ranks;
    uint32_t rank; /* of the factorisation */
    bool bias, adagrad, bold, blocked;
    uint32_t batch_cells;   /* most cells of one batch */
    uint32_t number_floats; /* floats that a number of a value counts in the layout; 1 with values */
    float rate, lambda, init, accumulator;
    uint64_t init_seed, stream_seed;
    const struct mf_kernel *kernel;

    uint64_t rows, columns;
    float mean;          /* of the training ratings */
    struct ratings test; /* values as in the file */

    struct mf_cell *cells; /* training cells by rank, column, row */
    uint64_t n_cells;
    struct mf_segment *segments; /* and one more, which ends the last */
    uint64_t n_segments;
    uint32_t n_blocks;      /* 1 when not blocked */
    uint64_t *row_ends;     /* per rank: end of its rows */
    uint64_t *block_ends;   /* per block: end of its columns */
    uint64_t *share_starts; /* [rank * n_blocks + block]: first segment; and one more at the end */
    uint64_t *batches;      /* per rank: batches of one epoch */
    uint64_t
        *step_batches; /* blocked, per step: batches, the same at every rank; the last ones may be empty */
};

/* Keys [first, end) of which a hint has to be given. */
struct mf_hint {
    pm_key first, end;
};

struct mf_worker {
    uint32_t rank;
    struct { /* the loader's */
        uint32_t epoch;
        uint32_t step;                /* block of this epoch, counted in the order of the visits */
        struct pm_permutation order;  /* of the block's segments */
        uint64_t share, n, visited;   /* its first segment; how many; how many were begun */
        uint32_t column;              /* of the current segment */
        uint64_t next_cell, end_cell; /* what is left of it */
        uint64_t left;                /* batches of this step that are still to come */
        uint32_t n_hints;
        struct mf_hint hints[MF_HINTS_MAX];
    } stream;
    float *column;                 /* scratch for the kernel */
    float *values;                 /* scratch for evaluation */
    double rate_factor, last_loss; /* bold driver; last_loss < 0: none yet */
};

/* What a batch carries: a group of cells, perhaps none. */
struct mf_item {
    uint64_t first_cell;
    uint32_t n_cells;
};

/* mf_data.c: takes the training cells (freed here) into the state's arrays; subtracts their mean.
 * PM_E_MEMORY. */
int mf_data_arrange(struct mf_state *s, struct ratings *train);
void mf_data_free(struct mf_state *s);
/* Moves about `share` of the cells, at least one, to `test`: which ones is a function of the seed and of the
 * cell's place in the matrix. PM_E_OPTION when nothing would be left, PM_E_MEMORY. */
int mf_data_hold_out(struct ratings *train, struct ratings *test, double share, uint64_t seed,
                     struct pm_error *err);

/* mf.c: sum of squared errors of the predictions for n cells; values holds each cell's row's value, then its
 * column's. */
double mf_squared_errors(const struct mf_state *s, const struct rating *cells, uint64_t n,
                         const float *values);

/* mf_stream.c: the loader. */
uint64_t mf_epoch_begin(const void *state, void *ws, uint32_t epoch);
int mf_next(const void *state, void *ws, struct pm_batch *batch);
/* Block that a rank visits in a step of an epoch; steps are [0, n_blocks). */
uint32_t mf_block_at(const struct mf_state *s, uint32_t rank, uint32_t step);

#endif
