/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loops themselves, to be inlined into one function per instruction set (mf_kernel.c, mf_baseline.c).
 *
 * The scalar product adds in LANES independent sums and joins them pairwise, so that its order of additions
 * is the same for every vector width; the update works element by element. That needs -fno-math-errno (the
 * Makefile), or sqrtf would stay a call. */
#ifndef PM_WORKLOADS_MF_KERNEL_BODY_H
#define PM_WORKLOADS_MF_KERNEL_BODY_H

#include <math.h>
#include <string.h>

#include "workloads/mf_kernel.h"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

INLINE float dot(const float *a, const float *b, uint32_t n)
{
    lanes sum = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes x, y;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        sum += x * y;
    }
    float part[LANES];
    memcpy(part, &sum, sizeof part);
    for (uint32_t k = 0; i + k < n; k++)
        part[k] += a[i + k] * b[i + k];
    for (uint32_t half = LANES / 2; half > 0; half /= 2)
        for (uint32_t k = 0; k < half; k++)
            part[k] += part[k + half];
    return part[0];
}

INLINE float predict_body(const float *row, const float *column, uint32_t rank, bool bias)
{
    float p = dot(row, column, rank);
    return bias ? p + row[rank] + column[rank] : p;
}

/* One side of one AdaGrad step: squared gradient and step. */
#define ADAGRAD_STEP(rate, gradient, accumulator)                                                            \
    (-(rate) * (gradient) / sqrtf((accumulator) + (gradient) * (gradient)))

/* One cell: u, du belong to the row (value and update), v is the column's working copy; accumulators lie at +
 * dims. */
INLINE void step_adagrad(const struct mf_group *g, const float *restrict u, float *restrict du,
                         float *restrict v, float error)
{
    const uint32_t rank = g->rank, dims = rank + (g->bias ? 1 : 0);
    const float rate = g->rate, lambda = g->lambda;
    const float *restrict u2 = u + dims;
    float *restrict du2 = du + dims, *restrict v2 = v + dims;
#pragma GCC ivdep
    for (uint32_t i = 0; i < rank; i++) {
        float gu = lambda * u[i] - error * v[i], gv = lambda * v[i] - error * u[i];
        du[i] = ADAGRAD_STEP(rate, gu, u2[i]);
        du2[i] = gu * gu;
        v[i] += ADAGRAD_STEP(rate, gv, v2[i]);
        v2[i] += gv * gv;
    }
    if (g->bias) {
        float gu = lambda * u[rank] - error, gv = lambda * v[rank] - error;
        du[rank] = ADAGRAD_STEP(rate, gu, u2[rank]);
        du2[rank] = gu * gu;
        v[rank] += ADAGRAD_STEP(rate, gv, v2[rank]);
        v2[rank] += gv * gv;
    }
}

INLINE void step_plain(const struct mf_group *g, const float *restrict u, float *restrict du,
                       float *restrict v, float error)
{
    const uint32_t rank = g->rank;
    const float rate = g->rate, lambda = g->lambda;
#pragma GCC ivdep
    for (uint32_t i = 0; i < rank; i++) {
        float gu = lambda * u[i] - error * v[i], gv = lambda * v[i] - error * u[i];
        du[i] = -rate * gu;
        v[i] -= rate * gv;
    }
    if (g->bias) {
        float gu = lambda * u[rank] - error, gv = lambda * v[rank] - error;
        du[rank] = -rate * gu;
        v[rank] -= rate * gv;
    }
}

INLINE double group_body(const struct mf_group *g)
{
    const uint32_t length = mf_value_length(g->rank, g->bias, g->adagrad);
    float *v = g->column;
    memcpy(v, g->values, length * sizeof *v);
    double loss = 0;
    for (uint32_t c = 0; c < g->n_cells; c++) {
        const float *u = g->values + (size_t)(c + 1) * length;
        float *du = g->updates + (size_t)(c + 1) * length;
        float error = g->cells[c].value - predict_body(u, v, g->rank, g->bias);
        loss += (double)error * (double)error;
        if (g->adagrad)
            step_adagrad(g, u, du, v, error);
        else
            step_plain(g, u, du, v, error);
    }
    for (uint32_t i = 0; i < length; i++)
        g->updates[i] = v[i] - g->values[i];
    return loss;
}

#endif
