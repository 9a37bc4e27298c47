/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels of matrix factorisation: against finite differences of the loss, against each other, and bit
 * for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "workloads/mf_kernel.h"

enum { RANK_MAX = 70, CELLS_MAX = 9, FLOATS_MAX = 2 * (RANK_MAX + 1) * (CELLS_MAX + 1) };

/* A group with random values. */
struct fixture {
    struct mf_group group;
    struct mf_cell cells[CELLS_MAX];
    float values[FLOATS_MAX], updates[FLOATS_MAX], column[2 * (RANK_MAX + 1)];
    uint32_t dims, length;
};

static void fill(struct fixture *f, uint32_t rank, uint32_t n_cells, bool bias, bool adagrad, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_mf_kernel", seed, rank, n_cells);
    f->dims = rank + bias;
    f->length = mf_value_length(rank, bias, adagrad);
    for (uint32_t i = 0; i < f->length * (n_cells + 1); i++) {
        bool accumulator = i % f->length >= f->dims;
        f->values[i] = (float)(accumulator ? 0.5 + pm_rng_real(&rng) : pm_rng_real(&rng) - 0.5);
        f->updates[i] = NAN;
    }
    for (uint32_t c = 0; c < n_cells; c++)
        f->cells[c] = (struct mf_cell){.row = c, .value = (float)(4 * pm_rng_real(&rng) - 2)};
    f->group = (struct mf_group){.cells = f->cells,
                                 .n_cells = n_cells,
                                 .rank = rank,
                                 .bias = bias,
                                 .adagrad = adagrad,
                                 .rate = 0.125f,
                                 .lambda = 0.0625f,
                                 .values = f->values,
                                 .updates = f->updates,
                                 .column = f->column};
}

/* Loss of one cell: (error^2 + lambda (|u|^2 + |v|^2)) / 2, u and v with their biases. */
static double cell_loss(const double *u, const double *v, uint32_t rank, bool bias, double lambda,
                        double value)
{
    double prediction = bias ? u[rank] + v[rank] : 0, norms = 0;
    for (uint32_t i = 0; i < rank; i++)
        prediction += u[i] * v[i];
    for (uint32_t i = 0; i < rank + bias; i++)
        norms += u[i] * u[i] + v[i] * v[i];
    return ((value - prediction) * (value - prediction) + lambda * norms) / 2;
}

/* Gradient of cell_loss with respect to both sides by central differences: exact up to rounding, the loss
 * being quadratic in each element. */
static void differentiate(const struct fixture *f, double *gradient)
{
    double sides[2][RANK_MAX + 1];
    for (uint32_t i = 0; i < f->dims; i++) {
        sides[0][i] = (double)f->values[f->length + i]; /* row */
        sides[1][i] = (double)f->values[i];             /* column */
    }
    const double h = 1e-3;
    for (uint32_t i = 0; i < 2 * f->dims; i++) {
        double *x = &sides[i / f->dims][i % f->dims], old = *x, loss[2];
        for (int k = 0; k < 2; k++) {
            *x = old + (k ? h : -h);
            loss[k] = cell_loss(sides[0], sides[1], f->group.rank, f->group.bias, (double)f->group.lambda,
                                (double)f->cells[0].value);
        }
        *x = old;
        gradient[i] = (loss[1] - loss[0]) / (2 * h);
    }
}

static void close_to(double found, double expected, const char *what, uint32_t rank, uint32_t i)
{
    if (!(fabs(found - expected) <= 2e-6 + 1e-5 * fabs(expected)))
        fail_msg("%s, rank %u, element %u: %.9g instead of %.9g", what, rank, i, found, expected);
}

static void steps_follow_the_gradient(void **state)
{
    (void)state;
    static struct fixture f;
    double gradient[2 * (RANK_MAX + 1)];
    for (uint32_t rank = 1; rank <= RANK_MAX; rank += rank < 20 ? 1 : 10) {
        for (int bias = 0; bias < 2; bias++) {
            for (int adagrad = 0; adagrad < 2; adagrad++) {
                fill(&f, rank, 1, bias, adagrad, 1);
                differentiate(&f, gradient);
                mf_kernel_baseline.group(&f.group);
                for (uint32_t i = 0; i < 2 * f.dims; i++) {
                    uint32_t at = i < f.dims ? f.length + i : i - f.dims;
                    double g = gradient[i], step = (double)f.group.rate;
                    if (adagrad) {
                        step /= sqrt((double)f.values[at + f.dims] + g * g);
                        close_to((double)f.updates[at + f.dims], g * g, "square", rank, i);
                    }
                    close_to((double)f.updates[at], -step * g, "step", rank, i);
                }
            }
        }
    }
}

static void the_loss_is_the_squared_error_before_each_step(void **state)
{
    (void)state;
    static struct fixture f;
    /* rank 1, no bias, rate 0.5, lambda 0, plain: v = 2; rows 1 and 3; ratings 5 and 4. */
    f.cells[0].value = 5;
    f.cells[1].value = 4;
    f.values[0] = 2;
    f.values[1] = 1;
    f.values[2] = 3;
    f.group = (struct mf_group){.cells = f.cells,
                                .n_cells = 2,
                                .rank = 1,
                                .rate = 0.5f,
                                .values = f.values,
                                .updates = f.updates,
                                .column = f.column};
    for (const struct mf_kernel *const *k = mf_kernels; *k != NULL; k++) {
        if (!(*k)->runs_here())
            continue;
        /* First cell: error 3, u = 1 + 0.5 3 2 = 4, v = 2 + 0.5 3 1 = 3.5. Second: prediction 10.5, error
         * -6.5, u = 3 - 0.5 6.5 3.5 = -8.375, v = 3.5 - 0.5 6.5 3 = -6.25. */
        assert_true((*k)->group(&f.group) == 9 + 42.25);
        assert_true(f.updates[0] == -8.25f && f.updates[1] == 3 && f.updates[2] == -11.375f);
    }
}

/* The same sums, element by element, in the order that the baseline promises. */
static float reference_predict(const float *u, const float *v, uint32_t rank, bool bias)
{
    float part[16] = {0};
    for (uint32_t i = 0; i < rank; i++) {
        volatile float product = u[i] * v[i];
        part[i % 16] += product;
    }
    for (int half = 8; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            part[k] += part[k + half];
    return bias ? part[0] + u[rank] + v[rank] : part[0];
}

static float reference_step(const struct mf_group *g, float gradient, float accumulator)
{
    volatile float square = gradient * gradient, step = -g->rate * gradient;
    return g->adagrad ? step / sqrtf(accumulator + square) : step;
}

static void reference_group(const struct fixture *f, float *updates)
{
    const struct mf_group *g = &f->group;
    float v[2 * (RANK_MAX + 1)];
    memcpy(v, f->values, f->length * sizeof *v);
    for (uint32_t c = 0; c < g->n_cells; c++) {
        const float *u = f->values + (c + 1) * f->length;
        float *du = updates + (c + 1) * f->length;
        float error = f->cells[c].value - reference_predict(u, v, g->rank, g->bias);
        for (uint32_t i = 0; i < f->dims; i++) {
            volatile float lu = g->lambda * u[i], lv = g->lambda * v[i];
            volatile float eu = i < g->rank ? error * u[i] : error, ev = i < g->rank ? error * v[i] : error;
            float gu = lu - ev, gv = lv - eu;
            du[i] = reference_step(g, gu, g->adagrad ? u[f->dims + i] : 0);
            v[i] += reference_step(g, gv, g->adagrad ? v[f->dims + i] : 0);
            if (g->adagrad) {
                volatile float square = gv * gv;
                du[f->dims + i] = gu * gu;
                v[f->dims + i] += square;
            }
        }
    }
    for (uint32_t i = 0; i < f->length; i++)
        updates[i] = v[i] - f->values[i];
}

static void the_baseline_is_exact(void **state)
{
    (void)state;
    static struct fixture f;
    static float expected[FLOATS_MAX];
    for (uint32_t rank = 1; rank <= RANK_MAX; rank++) {
        for (int mode = 0; mode < 4; mode++) {
            fill(&f, rank, CELLS_MAX, mode & 1, mode & 2, 2);
            reference_group(&f, expected);
            mf_kernel_baseline.group(&f.group);
            for (uint32_t i = 0; i < f.length * (CELLS_MAX + 1); i++)
                if (f.updates[i] != expected[i])
                    fail_msg("rank %u, mode %d, float %u: %.9g instead of %.9g", rank, mode, i,
                             (double)f.updates[i], (double)expected[i]);
        }
    }
}

/* Multiply-add without the rounding between makes a difference of a few units in the last place. */
static void all_kernels_agree(void **state)
{
    (void)state;
    static struct fixture f, g;
    int ran = 0;
    for (const struct mf_kernel *const *k = mf_kernels; *k != NULL; k++) {
        if (!(*k)->runs_here()) {
            print_message("kernel %s does not run on this processor\n", (*k)->name);
            continue;
        }
        ran++;
        for (uint32_t rank = 1; rank <= RANK_MAX; rank++) {
            for (int mode = 0; mode < 4; mode++) {
                fill(&f, rank, CELLS_MAX, mode & 1, mode & 2, 3);
                fill(&g, rank, CELLS_MAX, mode & 1, mode & 2, 3);
                double loss = (*k)->group(&f.group), expected = mf_kernel_baseline.group(&g.group);
                close_to(loss, expected, (*k)->name, rank, 0);
                for (uint32_t i = 0; i < f.length * (CELLS_MAX + 1); i++)
                    close_to((double)f.updates[i], (double)g.updates[i], (*k)->name, rank, i);
                close_to((double)(*k)->predict(f.values, f.values + f.length, rank, mode & 1),
                         (double)mf_kernel_baseline.predict(f.values, f.values + f.length, rank, mode & 1),
                         (*k)->name, rank, 0);
            }
        }
    }
    print_message("%d kernels compared; this processor's is %s\n", ran, mf_kernel_choose(false)->name);
    assert_true(ran >= 1);
    assert_ptr_equal(mf_kernel_choose(true), &mf_kernel_baseline);
    assert_true(mf_kernel_choose(false)->runs_here());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_the_gradient),
        cmocka_unit_test(the_loss_is_the_squared_error_before_each_step),
        cmocka_unit_test(the_baseline_is_exact),
        cmocka_unit_test(all_kernels_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
