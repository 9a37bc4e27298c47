/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Seeding of random streams, their face towards GSL, and the hash of bytes. */
#include "core/rng.h"

#include <string.h>

#include <gsl/gsl_randist.h>

/* Four steps of SplitMix64: a bijection of the seed in every word, so never all four zero. */
static void fill_state(struct pm_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        rng->s[i] = pm_hash64(seed);
        seed += UINT64_C(0x9e3779b97f4a7c15);
    }
}

void pm_rng_init(struct pm_rng *rng, const char *name, uint64_t seed, uint64_t node, uint64_t worker)
{
    uint64_t h = pm_hash_bytes(name, strlen(name), seed);
    h = pm_hash64_pair(h, node);
    fill_state(rng, pm_hash64_pair(h, worker));
}

static void gsl_set(void *state, unsigned long seed)
{
    fill_state(state, seed);
}

static unsigned long gsl_get(void *state)
{
    return pm_rng_u64(state);
}

static double gsl_get_double(void *state)
{
    return pm_rng_real(state);
}

_Static_assert(sizeof(unsigned long) == sizeof(uint64_t), "GSL hands numbers on as unsigned long");

const gsl_rng_type pm_rng_type = {
    .name = "pm_xoshiro256starstar",
    .max = UINT64_MAX,
    .min = 0,
    .size = sizeof(struct pm_rng),
    .set = gsl_set,
    .get = gsl_get,
    .get_double = gsl_get_double,
};

double pm_rng_normal(struct pm_rng *rng)
{
    gsl_rng view = pm_rng_gsl(rng);
    return gsl_ran_gaussian_ziggurat(&view, 1);
}

/* Up to eight bytes as a little-endian number. */
static uint64_t load(const unsigned char *bytes, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

uint64_t pm_hash_bytes(const void *data, size_t length, uint64_t seed)
{
    const unsigned char *bytes = data;
    /* The length goes in first: data that differ only in zeros at the end differ in it. */
    uint64_t h = pm_hash64_pair(seed, length);
    size_t i = 0;
    for (; i + 8 <= length; i += 8)
        h = pm_hash64_pair(h, load(bytes + i, 8));
    return i < length ? pm_hash64_pair(h, load(bytes + i, length - i)) : h;
}
