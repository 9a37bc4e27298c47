/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sparse logistic regression: the state that its files share, and the step at the owner.
 *
 * struct lr_state is filled by lr_open and read-only afterwards. struct lr_worker is one worker's alone; the loader's part
 * (lr_stream.c) and the trainer's part (lr_train.c) of it do not touch each other, because the loader runs ahead.
 *
 * Keys are features; with bias=1 one more, the last, that every example has. Blocks are sets of features that are worked on
 * together: neighbouring keys, but in up to LR_STRIPES_MAX stripes each, so that every node owns a part of every block when
 * keys are placed by ranges. */
#ifndef PM_WORKLOADS_LR_H
#define PM_WORKLOADS_LR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/permutation.h"
#include "core/workload.h"
#include "workloads/libsvm.h"

enum {
    LR_VALUE_LENGTH = 2,
    LR_STRIPES_MAX = 64,
    LR_LAG_MAX = 1000,
    LR_LAG_UNBOUNDED = 4, /* when nothing says how far workers run ahead of the owners */
    LR_READ_KEYS_MAX = 4096, /* keys that evaluation reads at once */
    LR_NOTHING = UINT32_MAX, /* no block */
};

/* A generated task: examples have `nonzeros` distinct features, drawn Zipf(skew) with the ranks scattered over the
 * features, all of value 1. A true model has `truth` non-zero weights N(0, 1), on features drawn by the same distribution,
 * and a bias that makes the mean margin 0, so that about half of the examples are positive; an example's label is 1 with the
 * probability that the model gives, and then with probability `noise` turned over. Everything is a function of these
 * fields. */
struct lr_recipe {
    uint64_t train_rows, test_rows, features;
    uint32_t nonzeros, truth;
    double skew, noise;
    uint64_t seed;
};
/* lr_generator.c: fills two empty lists. PM_E_OPTION when there are not so many features, or they cannot be found by
 * drawing; PM_E_MEMORY. */
int lr_generate(const struct lr_recipe *recipe, struct examples *train, struct examples *test, struct pm_error *err);

/* Entries of one feature in one rank's rows: from `first` to the next column's first. */
struct lr_column {
    uint64_t first;
    uint32_t feature;
};

/* Examples by rank, block, feature, row. Row i belongs to rank i mod ranks, where it has the number i / ranks. */
struct lr_matrix {
    uint32_t ranks, blocks;
    uint64_t n_rows, n_columns;
    struct lr_column *columns; /* and one more, which ends the last */
    uint64_t *buckets;         /* [rank * blocks + block]: first column; and one more at the end */
    uint32_t *rows;            /* of each entry, the rank's own number */
    float *values;             /* NULL: all are 1 */
    int8_t *labels;            /* of all rows, as in the examples */
};

struct lr_state {
    struct pm_task task;
    uint32_t ranks, lag;
    uint32_t blocks, passes; /* an epoch visits each block `passes` times */
    uint64_t width; /* keys of a stripe */
    bool random, bound, bias;
    uint32_t recheck; /* most visits for which a zero weight is left alone */
    double rate, l1, l2, trust;
    uint64_t order_seed;
    uint64_t n_keys;
    struct lr_matrix train, test; /* test: one rank, one block */
    uint32_t *holders;            /* per key: ranks in whose rows it occurs */
};

/* What a batch carries. */
struct lr_item {
    uint32_t learnt, worked; /* block whose weights it pulls, or LR_NOTHING; block to which it pushes */
    uint64_t visit;          /* number of the batch in its epoch */
    double flops;
};

struct lr_worker {
    uint32_t rank;
    struct { /* the loader's */
        struct pm_permutation order; /* of the present pass */
        uint64_t first_pass, visit;  /* passes before the epoch; visits in it */
        uint32_t *recent; /* ring of the last `lag` blocks */
        uint64_t n_recent;
    } stream;
    uint64_t n_rows;      /* of its own */
    double *margins;      /* per row: weights times features, as far as this worker has heard */
    float *slopes;        /* per row: derivative of its loss by the margin */
    float *curvatures;    /* per row: second derivative, or a bound of it */
    uint8_t *fresh;       /* per row: slope and curvature are those of the margin */
    double *reach;        /* per row: sum of the absolute values in the blocks worked on and not yet learnt */
    float *known;         /* per column: weight as it was pulled last */
    uint8_t *left_out;    /* per column: see lr_train.c */
};

/* lr_data.c. Takes the examples (freed here) apart by rank, block and feature. PM_E_MEMORY. */
int lr_matrix_fill(struct lr_matrix *m, struct examples *list, const struct lr_state *s, uint32_t *holders);
void lr_matrix_free(struct lr_matrix *m);

static inline uint32_t lr_block_of(const struct lr_state *s, pm_key key)
{
    return (uint32_t)(key / s->width % s->blocks);
}

static inline uint64_t lr_rows_of(const struct lr_matrix *m, uint32_t rank)
{
    return (m->n_rows + m->ranks - 1 - rank) / m->ranks;
}

static inline int lr_label(const struct lr_matrix *m, uint32_t rank, uint64_t row)
{
    return m->labels[row * m->ranks + rank];
}

static inline float lr_entry(const struct lr_matrix *m, uint64_t i)
{
    return m->values != NULL ? m->values[i] : 1;
}

/* First column of a rank's block; that of the next block ends it. */
static inline uint64_t lr_bucket(const struct lr_matrix *m, uint32_t rank, uint32_t block)
{
    return m->buckets[(uint64_t)rank * m->blocks + block];
}

/* lr_stream.c: the loader. */
uint64_t lr_epoch_begin(const void *state, void *ws, uint32_t epoch);
int lr_next(const void *state, void *ws, struct pm_batch *batch);

/* lr_train.c: the trainer, and the update function at the owner. */
void lr_compute(const void *state, void *ws, struct pm_step *step);
void lr_apply(const void *state, pm_key key, uint32_t length, float *value, const float *update);
/* Logarithmic loss of one example whose label times margin is given. */
double lr_loss(double agreement);

/* lr_evaluate.c */
int lr_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out);
/* Area under the ROC curve of n scores: the share of pairs (positive, negative) in which the positive one has the greater
 * score, ties counted half. Sorts scores; labels are > 0 or not. NAN when one of the classes is missing. */
struct lr_score {
    double margin;
    int label;
};
double lr_auc(struct lr_score *scores, uint64_t n);

#endif
