/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random numbers and hashes.
 *
 * One stream per named consumer, node and worker, so that a draw added in one shifts no other. The generator
 * is xoshiro256** (D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47,
 * 2021), seeded through SplitMix64. A struct pm_rng belongs to one thread; hashes are pure functions. */
#ifndef PM_CORE_RNG_H
#define PM_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include <gsl/gsl_rng.h>

#define PM_RNG_NOBODY UINT64_MAX /* node or worker of a stream that belongs to none */

struct pm_rng {
    uint64_t s[4]; /* not all zero */
};

/* The same generator for GSL's functions; its state is a struct pm_rng. */
extern const gsl_rng_type pm_rng_type;

/* Starts the stream of (name, seed, node, worker). */
void pm_rng_init(struct pm_rng *rng, const char *name, uint64_t seed, uint64_t node, uint64_t worker);

/* A view of rng for GSL: both continue the same stream. Valid while rng stays where it is. */
static inline gsl_rng pm_rng_gsl(struct pm_rng *rng)
{
    return (gsl_rng){.type = &pm_rng_type, .state = rng};
}

/* Standard normal deviate. */
double pm_rng_normal(struct pm_rng *rng);

static inline uint64_t pm_rng_rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline uint64_t pm_rng_u64(struct pm_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = pm_rng_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = pm_rng_rotate(s[3], 45);
    return result;
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double pm_rng_real(struct pm_rng *rng)
{
    return (double)(pm_rng_u64(rng) >> 11) * 0x1p-53;
}

/* Uniform in [0, n) without bias; n > 0. Multiplies instead of dividing and draws again in the short part of
 * the range (D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29, 2019). */
static inline uint64_t pm_rng_below(struct pm_rng *rng, uint64_t n)
{
    unsigned __int128 product = (unsigned __int128)pm_rng_u64(rng) * n;
    if ((uint64_t)product < n) {
        uint64_t shortest = (0 - n) % n;
        while ((uint64_t)product < shortest)
            product = (unsigned __int128)pm_rng_u64(rng) * n;
    }
    return (uint64_t)(product >> 64);
}

/* A bijection of 64-bit integers whose output bits all depend on all input bits (the step of SplitMix64). */
static inline uint64_t pm_hash64(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Hash of an ordered pair, for example of (seed, key). */
static inline uint64_t pm_hash64_pair(uint64_t a, uint64_t b)
{
    return pm_hash64(pm_hash64(a) ^ b);
}

/* Hash of bytes, the same on every machine; not for use against an adversary. */
uint64_t pm_hash_bytes(const void *data, size_t length, uint64_t seed);

#endif
