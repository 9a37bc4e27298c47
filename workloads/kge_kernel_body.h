/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loops themselves, to be compiled once per instruction set: the including file says LANES, floats of a vector; TILE, rows
 * whose products are formed together; and NAME, of the table that this file defines. Not a header of its own: no guard.
 *
 * A scalar product adds in LANES independent sums and joins them pairwise; its order of additions does not depend on the tile. */
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <string.h>

#include "workloads/kge_kernel.h"

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));

enum { COLUMNS = 4 };

INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* The last n < LANES floats, zeros behind. */
#if defined(__AVX512F__) && LANES == 16
INLINE vec load_rest(const float *p, uint32_t n)
{
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

INLINE void store_rest(float *p, vec v, uint32_t n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#elif defined(__AVX2__) && LANES == 8
INLINE __m256i first(uint32_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE vec load_rest(const float *p, uint32_t n)
{
    return (vec)_mm256_maskload_ps(p, first(n));
}

INLINE void store_rest(float *p, vec v, uint32_t n)
{
    _mm256_maskstore_ps(p, first(n), (__m256)v);
}
#else
INLINE vec load_rest(const float *p, uint32_t n)
{
    float part[LANES] = {0};
    for (uint32_t k = 0; k < n; k++)
        part[k] = p[k];
    return load(part);
}

INLINE void store_rest(float *p, vec v, uint32_t n)
{
    float part[LANES];
    store(part, v);
    for (uint32_t k = 0; k < n; k++)
        p[k] = part[k];
}
#endif

/* Pairwise within groups of four floats, which every instruction set can do cheaply: neighbours of a, then those of b. */
INLINE vec join(vec a, vec b)
{
#if LANES == 16
    const ints even = {0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30};
#elif LANES == 8
    const ints even = {0, 2, 8, 10, 4, 6, 12, 14};
#else
    const ints even = {0, 2, 4, 6};
#endif
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 1);
}

/* Sums of the elements of four vectors. */
INLINE vec4 sums(vec a, vec b, vec c, vec d)
{
    vec joined = join(join(a, b), join(c, d));
    vec4 part[LANES / 4];
    memcpy(part, &joined, sizeof part);
    for (int half = LANES / 8; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            part[k] += part[k + half];
    return part[0];
}

INLINE float sum(vec v)
{
    return sums(v, v, v, v)[0];
}

/* `rows` lines of `columns` products each; the lines lie a_step, b_step and out_step apart: rows of a with the same rows of b
 * (b_step 0), or one row of a with several times as many rows of b (a_step 0). `rows`, `columns` and steps of 0 are constants. */
INLINE void tile(const float *a, size_t a_step, const float *b, size_t b_step, size_t b_stride, uint32_t dims, float *out,
                 size_t out_step, const int rows, const int columns)
{
    vec parts[TILE][COLUMNS] = {{{0}}};
    uint32_t i = 0;
    for (; i + LANES <= dims; i += LANES)
#pragma GCC unroll 8
        for (int x = 0; x < rows; x++) {
            vec left = load(a + (size_t)x * a_step + i);
#pragma GCC unroll 8
            for (int y = 0; y < columns; y++)
                parts[x][y] += left * load(b + (size_t)x * b_step + (size_t)y * b_stride + i);
        }
    if (i < dims)
#pragma GCC unroll 8
        for (int x = 0; x < rows; x++) {
            vec left = load_rest(a + (size_t)x * a_step + i, dims - i);
#pragma GCC unroll 8
            for (int y = 0; y < columns; y++)
                parts[x][y] += left * load_rest(b + (size_t)x * b_step + (size_t)y * b_stride + i, dims - i);
        }
#pragma GCC unroll 8
    for (int x = 0; x < rows; x++) {
        vec4 s = sums(parts[x][0], parts[x][1], parts[x][2], parts[x][3]);
        memcpy(out + (size_t)x * out_step, &s, (size_t)columns * sizeof(float));
    }
}

/* One row of a with all rows of b. */
static void scores_of_one(const float *a, struct kge_rows b, uint32_t dims, float *out)
{
    const size_t block = COLUMNS * b.stride;
    uint32_t y = 0;
    for (; y + TILE * COLUMNS <= b.n; y += TILE * COLUMNS)
        tile(a, 0, b.first + y * b.stride, block, b.stride, dims, out + y, COLUMNS, TILE, COLUMNS);
    for (; y + COLUMNS <= b.n; y += COLUMNS)
        tile(a, 0, b.first + y * b.stride, 0, b.stride, dims, out + y, 0, 1, COLUMNS);
    for (; y < b.n; y++)
        tile(a, 0, b.first + y * b.stride, 0, b.stride, dims, out + y, 0, 1, 1);
}

static void scores(struct kge_rows a, struct kge_rows b, uint32_t dims, float *out, size_t out_stride)
{
    const uint32_t tiled = a.n - a.n % TILE, columns = b.n - b.n % COLUMNS;
    for (uint32_t y = 0; y < columns; y += COLUMNS)
        for (uint32_t x = 0; x < tiled; x += TILE)
            tile(a.first + x * a.stride, a.stride, b.first + y * b.stride, 0, b.stride, dims, out + x * out_stride + y, out_stride,
                 TILE, COLUMNS);
    for (uint32_t y = columns; y < b.n; y++)
        for (uint32_t x = 0; x < tiled; x++)
            tile(a.first + x * a.stride, 0, b.first + y * b.stride, 0, b.stride, dims, out + x * out_stride + y, 0, 1, 1);
    for (uint32_t x = tiled; x < a.n; x++)
        scores_of_one(a.first + x * a.stride, b, dims, out + x * out_stride);
}

/* Columns [0, width) of `rows` rows of out, width <= 2 LANES: `rows` is a constant. */
INLINE void strip(const float *weights, size_t a_stride, size_t b_stride, struct kge_rows b, float *out, size_t out_stride,
                  const uint32_t width, const int rows)
{
    vec parts[4][2] = {{{0}}};
    for (uint32_t y = 0; y < b.n; y++) {
        const float *row = b.first + y * b.stride;
        vec low, high = {0};
        if (width == 2 * LANES) {
            low = load(row);
            high = load(row + LANES);
        } else {
            low = width == LANES ? load(row) : load_rest(row, width);
        }
#pragma GCC unroll 8
        for (int x = 0; x < rows; x++) {
            float weight = weights[(size_t)x * a_stride + y * b_stride];
            parts[x][0] += weight * low;
            parts[x][1] += weight * high;
        }
    }
#pragma GCC unroll 8
    for (int x = 0; x < rows; x++) {
        if (width == 2 * LANES) {
            store(out + (size_t)x * out_stride, parts[x][0]);
            store(out + (size_t)x * out_stride + LANES, parts[x][1]);
        } else if (width == LANES) {
            store(out + (size_t)x * out_stride, parts[x][0]);
        } else {
            store_rest(out + (size_t)x * out_stride, parts[x][0], width);
        }
    }
}

INLINE void strips(const float *weights, size_t a_stride, size_t b_stride, struct kge_rows b, uint32_t dims, float *out,
                   size_t out_stride, const int rows)
{
    uint32_t i = 0;
    for (; i + 2 * LANES <= dims; i += 2 * LANES) {
        struct kge_rows part = {b.first + i, b.stride, b.n};
        strip(weights, a_stride, b_stride, part, out + i, out_stride, 2 * LANES, rows);
    }
    if (i + LANES <= dims) {
        struct kge_rows part = {b.first + i, b.stride, b.n};
        strip(weights, a_stride, b_stride, part, out + i, out_stride, LANES, rows);
        i += LANES;
    }
    if (i < dims) {
        struct kge_rows part = {b.first + i, b.stride, b.n};
        strip(weights, a_stride, b_stride, part, out + i, out_stride, dims - i, rows);
    }
}

static void combine(const float *weights, size_t a_stride, size_t b_stride, uint32_t n, struct kge_rows b, uint32_t dims,
                    float *out, size_t out_stride)
{
    uint32_t x = 0;
    for (; x + 4 <= n; x += 4)
        strips(weights + x * a_stride, a_stride, b_stride, b, dims, out + x * out_stride, out_stride, 4);
    for (; x < n; x++)
        strips(weights + x * a_stride, a_stride, b_stride, b, dims, out + x * out_stride, out_stride, 1);
}

static void add(float weight, const float *restrict x, uint32_t dims, float *restrict out)
{
    for (uint32_t i = 0; i < dims; i++)
        out[i] += weight * x[i];
}

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

/* e^x for x <= 0, within 2e-7 of it; below -87 as at -87. */
INLINE float exp_negative(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: rounds to whole numbers */
    x = x > -87.0f ? x : -87.0f;
    float whole = x * 1.44269504f + shift - shift;
    float rest = (x - whole * 0.693145752f) - whole * 1.42860677e-6f;
    float value = 1.0f / 720;
    value = value * rest + 1.0f / 120;
    value = value * rest + 1.0f / 24;
    value = value * rest + 1.0f / 6;
    value = value * rest + 0.5f;
    value = value * rest + 1;
    value = value * rest + 1;
    int32_t bits = ((int32_t)whole + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return value * power;
}

static double logistic(float *scores, uint32_t n)
{
    enum { FACTORS = 64 }; /* each at most 2: their product is a float */
    double loss = 0;
    for (uint32_t i = 0; i < n; i += FACTORS) {
        uint32_t end = n - i < FACTORS ? n : i + FACTORS;
        float factors[FACTORS], product = 1, positive = 0;
        for (uint32_t k = i; k < end; k++) {
            float x = scores[k], e = exp_negative(-fabsf(x)), inverse = 1 / (1 + e);
            scores[k] = x > 0 ? inverse : e * inverse;
            factors[k - i] = 1 + e;
            positive += x > 0 ? x : 0;
        }
        for (uint32_t k = 0; k < end - i; k++)
            product *= factors[k];
        loss += (double)positive + log((double)product);
    }
    return loss;
}

INLINE float greatest(const float *x, uint32_t n, float least)
{
    float part[LANES];
    uint32_t i = 0;
    for (int k = 0; k < LANES; k++)
        part[k] = least;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            part[k] = x[i + (uint32_t)k] > part[k] ? x[i + (uint32_t)k] : part[k];
    for (; i < n; i++)
        part[0] = x[i] > part[0] ? x[i] : part[0];
    for (int k = 1; k < LANES; k++)
        part[0] = part[k] > part[0] ? part[k] : part[0];
    return part[0];
}

static double softmax(float *scores, uint32_t n, float positive, float *positive_gradient)
{
    float top = greatest(scores, n, positive);
    vec parts = {0};
    uint32_t i = 0;
    for (uint32_t k = 0; k < n; k++)
        scores[k] = exp_negative(scores[k] - top);
    for (; i + LANES <= n; i += LANES)
        parts += load(scores + i);
    if (i < n)
        parts += load_rest(scores + i, n - i);
    float own = exp_negative(positive - top), all = sum(parts) + own, inverse = 1 / all;
    for (uint32_t k = 0; k < n; k++)
        scores[k] *= inverse;
    *positive_gradient += own * inverse - 1;
    return log((double)all) + (double)(top - positive);
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
