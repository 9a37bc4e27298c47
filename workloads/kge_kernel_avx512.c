/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels for x86 processors with AVX-512: 32 registers of 16 floats. */
#if defined(__x86_64__)

#pragma GCC target("avx512f,avx512vl,avx512dq,fma")

#define NAME  avx512
#define LANES 16
#define ROWS  6
#define SUMS  12
#define WIDE  12

#include <stdbool.h>

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("fma");
}

#include "workloads/kge_kernel_body.h"

#endif
