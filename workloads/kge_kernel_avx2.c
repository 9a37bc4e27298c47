/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels for x86 processors with AVX2: 16 registers of 8 floats. */
#if defined(__x86_64__)

#pragma GCC target("avx2,fma")

#define NAME  avx2
#define LANES 8
#define ROWS  3
#define SUMS  6
#define WIDE  12

#include <stdbool.h>

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#include "workloads/kge_kernel_body.h"

#endif
