/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stochastic gradient descent over one group of cells: the inner loops of matrix factorisation, in versions
 * for several instruction sets.
 *
 * A group is some cells of one column, all of different rows. A parameter value is `rank` factors, with bias
 * one element more, and with AdaGrad as many accumulators of squared gradients behind them. Kernels touch
 * nothing but what the group points to: any thread may run them. */
#ifndef PM_WORKLOADS_MF_KERNEL_H
#define PM_WORKLOADS_MF_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct mf_cell {
    uint32_t row;
    float value; /* less the mean rating */
};

struct mf_group {
    const struct mf_cell *cells;
    uint32_t n_cells, rank;
    bool bias, adagrad;
    float rate, lambda;
    const float *values; /* the column's, then each cell's row's */
    float *updates;      /* to fill, in the same order: new value minus old */
    float *column;       /* scratch for one value */
};

struct mf_kernel {
    const char *name;
    bool (*runs_here)(void);
    /* Goes through the cells in order, each row's update from the column as the cells before have left it.
     * Returns the sum of squared errors before each cell's step. */
    double (*group)(const struct mf_group *g);
    /* Prediction for one cell, less the mean rating. */
    float (*predict)(const float *row, const float *column, uint32_t rank, bool bias);
};

/* Fastest first; the last one, baseline, runs everywhere and gives the same bits everywhere. Ends with NULL.
 */
extern const struct mf_kernel *const mf_kernels[];
extern const struct mf_kernel mf_kernel_baseline;

/* The first kernel that runs on this processor, or the baseline. */
const struct mf_kernel *mf_kernel_choose(bool baseline);

/* Floats of one parameter value. */
static inline uint32_t mf_value_length(uint32_t rank, bool bias, bool adagrad)
{
    return (rank + (bias ? 1 : 0)) * (adagrad ? 2 : 1);
}

#endif
