/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels of knowledge graph embeddings: against plain loops in double precision, against finite differences, and bit for bit
 * where that is promised. */
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
#include "workloads/kge_kernel.h"

enum { DIMS_MAX = 70, ROWS_MAX = 15, FLOATS = 2 * DIMS_MAX * ROWS_MAX };

static const struct kge_kernel *kernel; /* under test */

static void fill(float *x, size_t n, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "unit_kge_kernel", seed, n, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2 * pm_rng_real(&rng) - 1);
}

static void close_to(double found, double expected, double tolerance, const char *what, uint32_t dims, uint32_t i)
{
    if (!(fabs(found - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%s %s, dims %u, element %u: %.9g instead of %.9g", kernel->name, what, dims, i, found, expected);
}

static uint32_t next_dims(uint32_t dims)
{
    return dims + (dims < 36 ? 1 : 7);
}

/* ---- Matrices ---- */

static double plain_dot(const float *a, const float *b, uint32_t dims)
{
    double sum = 0;
    for (uint32_t i = 0; i < dims; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Also: each product has the same bits as when it is formed alone, and nothing beside the places of the results is written. */
static void products_are_right_and_independent(void **state)
{
    (void)state;
    static float a[FLOATS], b[FLOATS], out[ROWS_MAX * (ROWS_MAX + 1)];
    for (uint32_t dims = 1; dims <= DIMS_MAX; dims = next_dims(dims))
        for (uint32_t n = 1; n <= ROWS_MAX; n++) {
            uint32_t m = ROWS_MAX + 1 - n, a_stride = dims + 3, b_stride = 2 * dims;
            fill(a, FLOATS, dims);
            fill(b, FLOATS, n);
            for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
                out[i] = 77;
            kernel->scores((struct kge_rows){a, a_stride, n}, (struct kge_rows){b, b_stride, m}, dims, out, m + 1);
            for (uint32_t x = 0; x < n; x++) {
                for (uint32_t y = 0; y < m; y++) {
                    float alone, found = out[x * (m + 1) + y];
                    close_to((double)found, plain_dot(a + x * a_stride, b + y * b_stride, dims), 1e-5, "score", dims, y);
                    kernel->scores((struct kge_rows){a + x * a_stride, 0, 1}, (struct kge_rows){b + y * b_stride, 0, 1}, dims,
                                   &alone, 1);
                    assert_memory_equal(&alone, &found, sizeof alone);
                }
                assert_true(out[x * (m + 1) + m] == 77);
            }
        }
}

static void combinations_are_weighted_sums(void **state)
{
    (void)state;
    static float rows[FLOATS], weights[ROWS_MAX * ROWS_MAX], out[FLOATS];
    for (uint32_t dims = 1; dims <= DIMS_MAX; dims = next_dims(dims))
        for (uint32_t n = 1; n < ROWS_MAX; n++) {
            uint32_t m = ROWS_MAX - n, stride = dims + 1;
            fill(rows, FLOATS, dims);
            fill(weights, ROWS_MAX * ROWS_MAX, n);
            for (int transposed = 0; transposed < 2; transposed++) {
                size_t by_a = transposed ? 1 : m, by_b = transposed ? n : 1;
                for (size_t i = 0; i < FLOATS; i++)
                    out[i] = 77;
                kernel->combine(weights, by_a, by_b, n, (struct kge_rows){rows, 2 * dims, m}, dims, out, stride);
                for (uint32_t x = 0; x < n; x++) {
                    for (uint32_t i = 0; i < dims; i++) {
                        double sum = 0;
                        for (uint32_t y = 0; y < m; y++)
                            sum += (double)weights[x * by_a + y * by_b] * (double)rows[y * 2 * dims + i];
                        close_to((double)out[x * stride + i], sum, 1e-5, "combination", dims, i);
                    }
                    assert_true(out[x * stride + dims] == 77);
                }
            }
        }
}

/* Sizes that are worked on in blocks, of which the last ones are not full. */
static const struct {
    uint32_t n, m, dims;
} large[] = {{16, 9, 900}, {17, 70, 100}, {40, 33, 128}, {64, 530, 37}, {19, 7, 1100}};

enum { LARGE_FLOATS = 300000 };

static void large_products_are_right_and_independent(void **state)
{
    (void)state;
    static float a[LARGE_FLOATS], b[LARGE_FLOATS], out[64 * 531];
    fill(a, LARGE_FLOATS, 1);
    fill(b, LARGE_FLOATS, 2);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        const uint32_t n = large[i].n, m = large[i].m, dims = large[i].dims, stride = 2 * dims;
        for (size_t k = 0; k < sizeof out / sizeof out[0]; k++)
            out[k] = 77;
        kernel->scores((struct kge_rows){a, dims, n}, (struct kge_rows){b, stride, m}, dims, out, m + 1);
        for (uint32_t x = 0; x < n; x++) {
            for (uint32_t y = 0; y < m; y++) {
                float alone, found = out[x * (m + 1) + y];
                close_to((double)found, plain_dot(a + x * dims, b + y * stride, dims), 1e-5, "score", dims, y);
                kernel->scores((struct kge_rows){a + x * dims, 0, 1}, (struct kge_rows){b + y * stride, 0, 1}, dims, &alone, 1);
                assert_memory_equal(&alone, &found, sizeof alone);
            }
            assert_true(out[x * (m + 1) + m] == 77);
        }
    }
}

static void large_combinations_are_weighted_sums(void **state)
{
    (void)state;
    static float rows[LARGE_FLOATS], weights[64 * 530], out[LARGE_FLOATS];
    fill(rows, LARGE_FLOATS, 3);
    fill(weights, 64 * 530, 4);
    for (size_t i = 0; i < 2 * sizeof large / sizeof large[0]; i++) {
        const bool turned = i % 2;
        const uint32_t n = turned ? large[i / 2].m : large[i / 2].n, m = turned ? large[i / 2].n : large[i / 2].m;
        const uint32_t dims = large[i / 2].dims;
        const size_t by_a = turned ? 1 : m, by_b = turned ? n : 1, stride = dims + 1;
        for (size_t k = 0; k < LARGE_FLOATS; k++)
            out[k] = 77;
        kernel->combine(weights, by_a, by_b, n, (struct kge_rows){rows, 2 * dims, m}, dims, out, stride);
        for (uint32_t x = 0; x < n; x++) {
            for (uint32_t k = 0; k < dims; k++) {
                double sum = 0;
                for (uint32_t y = 0; y < m; y++)
                    sum += (double)weights[x * by_a + y * by_b] * (double)rows[y * 2 * dims + k];
                close_to((double)out[x * stride + k], sum, 1e-5, "combination", dims, k);
            }
            assert_true(out[x * stride + dims] == 77);
        }
    }
}

/* A sum of no rows is nothing, whatever was there. */
static void combinations_of_nothing_are_zero(void **state)
{
    (void)state;
    enum { N = 20, DIMS = 21 };
    float weight = 1, out[N * DIMS];
    for (uint32_t n = 1; n <= N; n++) {
        for (size_t i = 0; i < N * DIMS; i++)
            out[i] = 77;
        kernel->combine(&weight, 0, 0, n, (struct kge_rows){&weight, 0, 0}, DIMS, out, DIMS);
        for (size_t i = 0; i < n * DIMS; i++)
            assert_true(out[i] == 0);
    }
}

/* ---- Forms ---- */

static double score_of(enum kge_model model, const double *s, const double *r, const double *o, uint32_t dims)
{
    double sum = 0;
    uint32_t half = dims / 2;
    for (uint32_t i = 0; i < dims && model == KGE_DISTMULT; i++)
        sum += s[i] * r[i] * o[i];
    for (uint32_t i = 0; i < dims && model == KGE_RESCAL; i++)
        for (uint32_t k = 0; k < dims; k++)
            sum += s[i] * r[i * dims + k] * o[k];
    for (uint32_t i = 0; i < half && model == KGE_COMPLEX; i++)
        sum += (s[i] * r[i] - s[half + i] * r[half + i]) * o[i] + (s[i] * r[half + i] + s[half + i] * r[i]) * o[half + i];
    return sum;
}

/* Derivative of the score by x[i], which is one of s, r, o; exact up to rounding, because the score is linear in it. */
static double slope_of(enum kge_model model, double *x, double *s, double *r, double *o, uint32_t dims)
{
    double old = *x, up, down;
    *x = old + 1;
    up = score_of(model, s, r, o, dims);
    *x = old - 1;
    down = score_of(model, s, r, o, dims);
    *x = old;
    return (up - down) / 2;
}

static void forms_are_the_gradients_of_the_score(void **state)
{
    (void)state;
    enum { MOST = 40 };
    static float s[MOST], o[MOST], r[MOST * (MOST + 2)], tail[MOST], head[MOST], relation[MOST * (MOST + 2)];
    static double ds[MOST], d_o[MOST], dr[MOST * MOST];
    for (int model = 0; model < KGE_MODELS; model++)
        for (uint32_t dims = 2; dims <= MOST; dims += 2) {
            uint32_t rows = model == KGE_RESCAL ? dims : 1, stride = dims + 2;
            fill(s, MOST, dims);
            fill(o, MOST, dims + 100);
            fill(r, MOST * (MOST + 2), dims);
            for (uint32_t i = 0; i < dims; i++) {
                ds[i] = (double)s[i];
                d_o[i] = (double)o[i];
                tail[i] = head[i] = 1;
            }
            for (uint32_t i = 0; i < rows * dims; i++) {
                dr[i] = (double)r[i / dims * stride + i % dims];
                relation[i / dims * stride + i % dims] = 1;
            }
            const struct kge_form *form = &kernel->forms[model];
            form->tail(s, r, stride, dims, tail);
            form->head(r, stride, o, dims, head);
            form->relation(s, o, dims, relation, stride);
            for (uint32_t i = 0; i < dims; i++) {
                close_to((double)tail[i], 1 + slope_of(model, &d_o[i], ds, dr, d_o, dims), 1e-5, "tail", dims, i);
                close_to((double)head[i], 1 + slope_of(model, &ds[i], ds, dr, d_o, dims), 1e-5, "head", dims, i);
            }
            for (uint32_t i = 0; i < rows * dims; i++)
                close_to((double)relation[i / dims * stride + i % dims], 1 + slope_of(model, &dr[i], ds, dr, d_o, dims), 1e-5,
                         "relation", dims, i);
        }
}

/* ---- Losses, penalties, steps ---- */

static void logistic_losses_and_their_derivatives(void **state)
{
    (void)state;
    enum { N = 201 };
    float scores[N];
    for (uint32_t n = 1; n <= N; n += 25) {
        double expected = 0;
        for (uint32_t i = 0; i < n; i++) {
            scores[i] = (float)i - 100;
            expected += fmax((double)i - 100, 0) + log1p(exp(-fabs((double)i - 100)));
        }
        close_to(kernel->logistic(scores, n), expected, 1e-5, "logistic loss", n, 0);
        for (uint32_t i = 0; i < n; i++)
            close_to((double)scores[i], 1 / (1 + exp(100 - (double)i)), 1e-6, "logistic derivative", n, i);
    }
    scores[0] = -INFINITY;
    close_to(kernel->logistic(scores, 1), 0, 1e-30, "loss of a negative left out", 1, 0);
    assert_true(scores[0] >= 0 && scores[0] < 1e-30f);
}

static double softmax_loss(const double *scores, uint32_t n, double positive)
{
    double sum = exp(positive);
    for (uint32_t i = 0; i < n; i++)
        sum += exp(scores[i]);
    return log(sum) - positive;
}

static void softmax_losses_and_their_derivatives(void **state)
{
    (void)state;
    enum { N = 53 };
    static const float positives[] = {-30, 0, 2, 60};
    for (uint32_t n = 1; n <= N; n++)
        for (size_t p = 0; p < sizeof positives / sizeof positives[0]; p++) {
            float scores[N], derivative = 5;
            double exact[N], h = 1e-5;
            fill(scores, n, n);
            for (uint32_t i = 0; i < n; i++)
                exact[i] = (double)(scores[i] *= 4);
            double found = kernel->softmax(scores, n, positives[p], &derivative);
            double own = (double)positives[p];
            close_to(found, softmax_loss(exact, n, own), 1e-5, "softmax loss", n, 0);
            close_to((double)derivative - 5,
                     (softmax_loss(exact, n, own + h) - softmax_loss(exact, n, own - h)) / (2 * h), 1e-5,
                     "softmax derivative of the positive", n, 0);
            for (uint32_t i = 0; i < n; i++) {
                double old = exact[i], up, down;
                exact[i] = old + h;
                up = softmax_loss(exact, n, own);
                exact[i] = old - h;
                down = softmax_loss(exact, n, own);
                exact[i] = old;
                close_to((double)scores[i], (up - down) / (2 * h), 1e-5, "softmax derivative", n, i);
            }
        }
}

static double penalty_of(enum kge_norm norm, bool complex, const double *x, uint32_t dims)
{
    double sum = 0;
    for (uint32_t i = 0; i < dims && norm == KGE_L2; i++)
        sum += x[i] * x[i] / 2;
    for (uint32_t i = 0; i < dims && norm == KGE_N3 && !complex; i++)
        sum += pow(fabs(x[i]), 3);
    for (uint32_t i = 0; i < dims / 2 && norm == KGE_N3 && complex; i++)
        sum += pow(hypot(x[i], x[dims / 2 + i]), 3);
    return sum;
}

static void penalties_against_finite_differences(void **state)
{
    (void)state;
    enum { MOST = 40 };
    float x[MOST], gradient[MOST];
    double exact[MOST];
    const double h = 1e-5;
    for (uint32_t dims = 2; dims <= MOST; dims += 2)
        for (int how = 0; how < 4; how++) {
            enum kge_norm norm = how & 1 ? KGE_N3 : KGE_L2;
            bool complex = how & 2;
            fill(x, dims, dims);
            for (uint32_t i = 0; i < dims; i++) {
                exact[i] = (double)x[i];
                gradient[i] = 1;
            }
            kernel->penalty(norm, complex, 0.5f, x, dims, gradient);
            for (uint32_t i = 0; i < dims; i++) {
                double old = exact[i], up, down;
                exact[i] = old + h;
                up = penalty_of(norm, complex, exact, dims);
                exact[i] = old - h;
                down = penalty_of(norm, complex, exact, dims);
                exact[i] = old;
                close_to((double)gradient[i], 1 + 0.5 * (up - down) / (2 * h), 1e-5, "penalty", dims, i);
            }
        }
}

static void adagrad_steps_against_the_formula(void **state)
{
    (void)state;
    static float value[2 * DIMS_MAX + 1], update[2 * DIMS_MAX + 1], gradient[DIMS_MAX];
    for (uint32_t dims = 1; dims <= DIMS_MAX; dims = next_dims(dims)) {
        fill(value, 2 * dims, dims);
        fill(gradient, dims, dims + 1);
        for (uint32_t i = 0; i < dims; i++) {
            value[dims + i] = fabsf(value[dims + i]) + 1e-6f;
            update[i] = gradient[i];
            update[dims + i] = NAN;
        }
        gradient[0] = update[0] = 0;
        update[2 * dims] = 77;
        kernel->adagrad(value, update, dims, 0.1f);
        for (uint32_t i = 0; i < dims; i++) {
            double g = (double)gradient[i];
            close_to((double)update[i], -0.1 * g / sqrt((double)value[dims + i] + g * g), 1e-6, "step", dims, i);
            close_to((double)update[dims + i], g * g, 1e-6, "square", dims, i);
        }
        assert_true(update[2 * dims] == 77);
    }
}

/* Whatever the magnitudes that sums of squares can have; the baseline has the bits of the formula. */
static void adagrad_steps_are_as_exact_as_promised(void **state)
{
    (void)state;
    enum { N = 1000 };
    float value[2 * N], update[2 * N], gradient[N];
    for (int exponent = -12; exponent <= 12; exponent++) {
        fill(value, 2 * N, 5);
        fill(gradient, N, (uint64_t)(exponent + 100));
        for (int i = 0; i < N; i++) {
            value[N + i] = (1 + 9 * fabsf(value[N + i])) * powf(10, (float)exponent);
            update[i] = gradient[i];
        }
        kernel->adagrad(value, update, N, 0.1f);
        for (int i = 0; i < N; i++) {
            float squares = value[N + i] + gradient[i] * gradient[i], formula = -0.1f * gradient[i] / sqrtf(squares);
            double g = (double)gradient[i], exact = -(double)0.1f * g / sqrt((double)value[N + i] + g * g);
            if (!(fabs((double)update[i] - exact) <= 5e-7 * fabs(exact)))
                fail_msg("%s: %.9g instead of %.9g", kernel->name, (double)update[i], exact);
            assert_true(kernel != &kge_kernel_baseline || update[i] == formula);
        }
    }
}

static void scores_are_counted(void **state)
{
    (void)state;
    float scores[37];
    for (uint32_t i = 0; i < 37; i++)
        scores[i] = (float)(i / 2);
    scores[36] = NAN;
    uint64_t greater = 100, equal = 200;
    kernel->count(scores, 37, 10, &greater, &equal);
    assert_int_equal(greater, 100 + 14 + 1); /* 11 to 17 twice, and what is no number */
    assert_int_equal(equal, 200 + 2);
    greater = equal = 0;
    kernel->count(scores, 37, NAN, &greater, &equal);
    assert_true(greater == 37 && equal == 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_are_right_and_independent),
    cmocka_unit_test(combinations_are_weighted_sums),
    cmocka_unit_test(large_products_are_right_and_independent),
    cmocka_unit_test(large_combinations_are_weighted_sums),
    cmocka_unit_test(combinations_of_nothing_are_zero),
    cmocka_unit_test(forms_are_the_gradients_of_the_score),
    cmocka_unit_test(logistic_losses_and_their_derivatives),
    cmocka_unit_test(softmax_losses_and_their_derivatives),
    cmocka_unit_test(penalties_against_finite_differences),
    cmocka_unit_test(adagrad_steps_against_the_formula),
    cmocka_unit_test(adagrad_steps_are_as_exact_as_promised),
    cmocka_unit_test(scores_are_counted),
};

int main(void)
{
    int failed = 0;
    for (const struct kge_kernel *const *k = kge_kernels; *k != NULL; k++) {
        kernel = *k;
        if (kernel->runs_here())
            failed += cmocka_run_group_tests_name(kernel->name, tests, NULL, NULL);
        else
            print_message("kernel %s does not run on this processor\n", kernel->name);
    }
    return failed != 0 || kge_kernel_choose(true) != &kge_kernel_baseline || !kge_kernel_choose(false)->runs_here();
}
