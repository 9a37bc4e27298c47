/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vectors of LANES floats, part of kge_kernel_body.h. Not a header of its own: no guard. */
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));

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

/* In pieces: some processors take a dozen cycles for a store with a mask. */
INLINE void store_rest(float *p, vec v, uint32_t n)
{
    vec4 part = (vec4)_mm256_castps256_ps128((__m256)v);
    if (n & 4) {
        memcpy(p, &part, sizeof part);
        part = (vec4)_mm256_extractf128_ps((__m256)v, 1);
        p += 4;
    }
    if (n & 2) {
        memcpy(p, &part, 2 * sizeof *p);
        part = (vec4)_mm_movehl_ps((__m128)part, (__m128)part);
        p += 2;
    }
    if (n & 1)
        *p = part[0];
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

INLINE vec all(float x)
{
    return (vec){0} + x;
}

/* yes where the condition holds, no elsewhere. */
INLINE vec choose(ints condition, vec yes, vec no)
{
    return (vec)((condition & (ints)yes) | (~condition & (ints)no));
}

/* n floats, at most LANES; if they are fewer, -infinity behind. */
INLINE vec load_scores(const float *p, uint32_t n)
{
    ints place;
    for (int k = 0; k < LANES; k++)
        place[k] = k;
    return n >= LANES ? load(p) : choose(place < (int32_t)n, load_rest(p, n), all(-INFINITY));
}

INLINE void store_scores(float *p, vec v, uint32_t n)
{
    if (n >= LANES)
        store(p, v);
    else
        store_rest(p, v, n);
}

/* e^x for x <= 0, within 2e-7 of it; as at -87 what is below and what is no number. */
INLINE vec exp_negative(vec x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: rounds to whole numbers */
    x = choose(x > -87.0f, x, all(-87.0f));
    vec whole = x * 1.44269504f + shift - shift;
    vec rest = (x - whole * 0.693145752f) - whole * 1.42860677e-6f;
    vec value = rest * (1.0f / 720) + 1.0f / 120;
    value = value * rest + 1.0f / 24;
    value = value * rest + 1.0f / 6;
    value = value * rest + 0.5f;
    value = value * rest + 1;
    value = value * rest + 1;
    ints power = (__builtin_convertvector(whole, ints) + 127) << 23;
    return value * (vec)power;
}
