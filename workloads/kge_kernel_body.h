/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loops themselves, to be compiled once per instruction set: the including file says LANES, floats of a vector; ROWS, whose
 * products with four others are formed together; SUMS, rows of sums that are formed together, two vectors of each; WIDE, vectors of
 * a row that is formed alone; and NAME, of the table that this file defines. Not a header of its own: no guard. */
#include "workloads/kge_kernel.h"
#include "workloads/kge_kernel_vector.h"
#include "workloads/kge_kernel_matrix.h"

static void add(float weight, const float *restrict x, uint32_t dims, float *restrict out)
{
    for (uint32_t i = 0; i < dims; i++)
        out[i] += weight * x[i];
}

#if LANES > 4
/* 1 / sqrt(x) for a normal x, within 5e-7 of it relatively: the processor's guess and one step of Newton's. */
INLINE vec inverse_root(vec x)
{
#if LANES == 16
    vec guess = (vec)_mm512_rsqrt14_ps((__m512)x);
#else
    vec guess = (vec)_mm256_rsqrt_ps((__m256)x);
#endif
    return guess * (1.5f - 0.5f * x * guess * guess);
}

INLINE vec adagrad_step(vec gradient, vec square, vec squares, float rate)
{
    return -rate * gradient * inverse_root(squares + square);
}

static void adagrad(const float *restrict value, float *restrict update, uint32_t dims, float rate)
{
    const float *restrict squares = value + dims;
    float *restrict square_updates = update + dims;
    uint32_t i = 0;
    for (; i + LANES <= dims; i += LANES) {
        vec gradient = load(update + i), square = gradient * gradient;
        store(update + i, adagrad_step(gradient, square, load(squares + i), rate));
        store(square_updates + i, square);
    }
    if (i < dims) {
        vec gradient = load_rest(update + i, dims - i), square = gradient * gradient;
        store_rest(update + i, adagrad_step(gradient, square, load_rest(squares + i, dims - i), rate), dims - i);
        store_rest(square_updates + i, square, dims - i);
    }
}
#else
/* Root and quotient as IEEE 754 has them, the same everywhere. */
static void adagrad(const float *restrict value, float *restrict update, uint32_t dims, float rate)
{
    const float *restrict squares = value + dims;
    float *restrict square_updates = update + dims;
#pragma GCC ivdep
    for (uint32_t i = 0; i < dims; i++) {
        float gradient = update[i], square = gradient * gradient;
        update[i] = -rate * gradient / sqrtf(squares[i] + square);
        square_updates[i] = square;
    }
}
#endif

static void penalty(enum kge_norm norm, bool complex, float weight, const float *restrict x, uint32_t dims,
                    float *restrict gradient)
{
    const uint32_t half = dims / 2;
    if (norm == KGE_L2) {
        add(weight, x, dims, gradient);
    } else if (complex) {
        const float *restrict im = x + half;
        float *restrict gradient_im = gradient + half;
#pragma GCC ivdep
        for (uint32_t i = 0; i < half; i++) {
            float slope = 3 * weight * sqrtf(x[i] * x[i] + im[i] * im[i]);
            gradient[i] += slope * x[i];
            gradient_im[i] += slope * im[i];
        }
    } else {
        for (uint32_t i = 0; i < dims; i++)
            gradient[i] += 3 * weight * fabsf(x[i]) * x[i];
    }
}

/* ---- Losses ---- */

static double logistic(float *scores, uint32_t n)
{
    enum { TOGETHER = 32 * LANES }; /* a factor is at most 2: a lane's product is a float, that of all lanes a double */
    const vec zero = {0};
    double loss = 0;
    for (uint32_t i = 0; i < n; i += TOGETHER) {
        uint32_t end = n - i < TOGETHER ? n : i + TOGETHER;
        vec factors = all(1), positive = zero;
        for (uint32_t k = i; k < end; k += LANES) {
            vec x = load_scores(scores + k, end - k), e = exp_negative(choose(x > zero, -x, x)), inverse = 1 / (1 + e);
            store_scores(scores + k, inverse * choose(x > zero, all(1), e), end - k);
            factors *= 1 + e;
            positive += choose(x > zero, x, zero);
        }
        double product = 1;
        for (int k = 0; k < LANES; k++)
            product *= (double)factors[k];
        loss += (double)sum(positive) + log(product);
    }
    return loss;
}

INLINE float greatest(const float *x, uint32_t n, float least)
{
    vec tops = all(least);
    for (uint32_t i = 0; i < n; i += LANES) {
        vec some = load_scores(x + i, n - i);
        tops = choose(some > tops, some, tops);
    }
    for (int k = 0; k < LANES; k++)
        least = tops[k] > least ? tops[k] : least;
    return least;
}

static double softmax(float *scores, uint32_t n, float positive, float *positive_gradient)
{
    const float top = greatest(scores, n, positive), own = exp_negative(all(positive - top))[0];
    vec parts = {0};
    for (uint32_t i = 0; i < n; i += LANES) {
        vec e = exp_negative(load_scores(scores + i, n - i) - top);
        store_scores(scores + i, e, n - i);
        parts += e;
    }
    float total = sum(parts) + own, inverse = 1 / total;
    for (uint32_t k = 0; k < n; k++)
        scores[k] *= inverse;
    *positive_gradient += own * inverse - 1;
    return log((double)total) + (double)(top - positive);
}

static void count(const float *scores, uint32_t n, float target, uint64_t *greater, uint64_t *equal)
{
    uint32_t more = 0, same = 0;
    for (uint32_t i = 0; i < n; i++) {
        more += !(scores[i] <= target);
        same += scores[i] == target;
    }
    *greater += more;
    *equal += same;
}

/* ---- ComplEx: the real part of sum of s r conj(o) ---- */

static void complex_tail(const float *s, const float *r, size_t stride, uint32_t dims, float *out)
{
    (void)stride;
    const uint32_t half = dims / 2;
    const float *restrict s_im = s + half, *restrict r_im = r + half;
    float *restrict out_im = out + half;
#pragma GCC ivdep
    for (uint32_t i = 0; i < half; i++) {
        out[i] += s[i] * r[i] - s_im[i] * r_im[i];
        out_im[i] += s[i] * r_im[i] + s_im[i] * r[i];
    }
}

/* conj(a) b */
INLINE void conjugate_product(const float *a, const float *b, uint32_t dims, float *out)
{
    const uint32_t half = dims / 2;
    const float *restrict a_im = a + half, *restrict b_im = b + half;
    float *restrict out_im = out + half;
#pragma GCC ivdep
    for (uint32_t i = 0; i < half; i++) {
        out[i] += a[i] * b[i] + a_im[i] * b_im[i];
        out_im[i] += a[i] * b_im[i] - a_im[i] * b[i];
    }
}

static void complex_head(const float *r, size_t stride, const float *o, uint32_t dims, float *out)
{
    (void)stride;
    conjugate_product(r, o, dims, out);
}

static void complex_relation(const float *s, const float *o, uint32_t dims, float *out, size_t stride)
{
    (void)stride;
    conjugate_product(s, o, dims, out);
}

/* ---- DistMult: sum of s r o ---- */

INLINE void product(const float *a, const float *b, uint32_t dims, float *out)
{
#pragma GCC ivdep
    for (uint32_t i = 0; i < dims; i++)
        out[i] += a[i] * b[i];
}

static void distmult_tail(const float *s, const float *r, size_t stride, uint32_t dims, float *out)
{
    (void)stride;
    product(s, r, dims, out);
}

static void distmult_head(const float *r, size_t stride, const float *o, uint32_t dims, float *out)
{
    (void)stride;
    product(r, o, dims, out);
}

static void distmult_relation(const float *s, const float *o, uint32_t dims, float *out, size_t stride)
{
    (void)stride;
    product(s, o, dims, out);
}

/* ---- RESCAL: s R o ---- */

static void rescal_tail(const float *s, const float *r, size_t stride, uint32_t dims, float *out)
{
    for (uint32_t i = 0; i < dims; i++)
        add(s[i], r + i * stride, dims, out);
}

static void rescal_head(const float *r, size_t stride, const float *o, uint32_t dims, float *out)
{
    for (uint32_t i = 0; i < dims; i++) {
        vec parts = {0};
        uint32_t k = 0;
        for (; k + LANES <= dims; k += LANES)
            parts += load(r + i * stride + k) * load(o + k);
        if (k < dims)
            parts += load_rest(r + i * stride + k, dims - k) * load_rest(o + k, dims - k);
        out[i] += sum(parts);
    }
}

static void rescal_relation(const float *s, const float *o, uint32_t dims, float *out, size_t stride)
{
    for (uint32_t i = 0; i < dims; i++)
        add(s[i], o, dims, out + i * stride);
}

#define TEXT(name)   #name
#define QUOTE(name)  TEXT(name)
#define JOINED(a, b) a##b
#define TABLE(name)  JOINED(kge_kernel_, name)

const struct kge_kernel TABLE(NAME) = {
    .name = QUOTE(NAME),
    .runs_here = runs_here,
    .forms = {[KGE_COMPLEX] = {complex_tail, complex_head, complex_relation},
              [KGE_RESCAL] = {rescal_tail, rescal_head, rescal_relation},
              [KGE_DISTMULT] = {distmult_tail, distmult_head, distmult_relation}},
    .scores = scores,
    .combine = combine,
    .add = add,
    .adagrad = adagrad,
    .penalty = penalty,
    .logistic = logistic,
    .softmax = softmax,
    .count = count,
};
