/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A Feistel network is a bijection whatever its round function does; cycle walking keeps that on [0, n). */
#include "core/permutation.h"

#include "core/error.h"
#include "core/rng.h"

void pm_permutation_init(struct pm_permutation *p, uint64_t n, uint64_t seed)
{
    PM_ASSERT(n >= 1 && n <= PM_PERMUTATION_MAX, "n = %llu", (unsigned long long)n);
    p->n = n;
    p->half_bits = 1;
    while ((UINT64_C(1) << (2 * p->half_bits)) < n)
        p->half_bits++;
    for (unsigned r = 0; r < PM_PERMUTATION_ROUNDS; r++)
        p->round_keys[r] = pm_hash64_pair(seed, r);
}

static uint64_t mix(const struct pm_permutation *p, unsigned round, uint64_t half)
{
    return pm_hash64(p->round_keys[round] ^ half) >> (64 - p->half_bits);
}

static uint64_t encrypt(const struct pm_permutation *p, uint64_t x)
{
    uint64_t left = x >> p->half_bits, right = x & ((UINT64_C(1) << p->half_bits) - 1);
    for (unsigned r = 0; r < PM_PERMUTATION_ROUNDS; r++) {
        uint64_t next = left ^ mix(p, r, right);
        left = right;
        right = next;
    }
    return left << p->half_bits | right;
}

static uint64_t decrypt(const struct pm_permutation *p, uint64_t x)
{
    uint64_t left = x >> p->half_bits, right = x & ((UINT64_C(1) << p->half_bits) - 1);
    for (unsigned r = PM_PERMUTATION_ROUNDS; r-- > 0;) {
        uint64_t previous = right ^ mix(p, r, left);
        right = left;
        left = previous;
    }
    return left << p->half_bits | right;
}

uint64_t pm_permutation_apply(const struct pm_permutation *p, uint64_t i)
{
    PM_ASSERT(i < p->n, "%llu of %llu", (unsigned long long)i, (unsigned long long)p->n);
    do
        i = encrypt(p, i);
    while (i >= p->n);
    return i;
}

uint64_t pm_permutation_invert(const struct pm_permutation *p, uint64_t image)
{
    PM_ASSERT(image < p->n, "%llu of %llu", (unsigned long long)image, (unsigned long long)p->n);
    do
        image = decrypt(p, image);
    while (image >= p->n);
    return image;
}
