/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pseudorandom bijection of [0, n) in constant memory: a Feistel network over the next power of four,
 * walked until the image lies in [0, n) (J. Black, P. Rogaway, "Ciphers with arbitrary finite domains",
 * CT-RSA 2002). Constant once initialised: any thread may read it. */
#ifndef PM_CORE_PERMUTATION_H
#define PM_CORE_PERMUTATION_H

#include <stdint.h>

#define PM_PERMUTATION_ROUNDS 8 /* with 6, permutations of 8 keys were visibly uneven */
#define PM_PERMUTATION_MAX    (UINT64_C(1) << 62) /* largest n */

struct pm_permutation {
    uint64_t n;
    unsigned half_bits;
    uint64_t round_keys[PM_PERMUTATION_ROUNDS];
};

/* 1 <= n <= PM_PERMUTATION_MAX. */
void pm_permutation_init(struct pm_permutation *p, uint64_t n, uint64_t seed);

/* Image of i and its inverse; i < n. A few rounds on average, whatever n. */
uint64_t pm_permutation_apply(const struct pm_permutation *p, uint64_t i);
uint64_t pm_permutation_invert(const struct pm_permutation *p, uint64_t image);

#endif
