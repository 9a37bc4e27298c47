/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copying and adding short vectors of floats: lengths of 4 to some hundred, where a call of memcpy would
 * cost more than the copy. Four floats at a time, unaligned; no two arguments overlap. */
#ifndef PM_CORE_VECTOR_H
#define PM_CORE_VECTOR_H

#include <stdint.h>

typedef float pm_vec4 __attribute__((vector_size(16), aligned(4), may_alias));

static inline void pm_vector_copy(float *restrict to, const float *restrict from, uint32_t n)
{
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        *(pm_vec4 *)(void *)(to + i) = *(const pm_vec4 *)(const void *)(from + i);
    for (; i < n; i++)
        to[i] = from[i];
}

static inline void pm_vector_add(float *restrict to, const float *restrict update, uint32_t n)
{
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        *(pm_vec4 *)(void *)(to + i) += *(const pm_vec4 *)(const void *)(update + i);
    for (; i < n; i++)
        to[i] += update[i];
}

static inline void pm_vector_zero(float *to, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = 0;
}

#endif
