/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels for particular instruction sets, and the choice among them at run time. Written out instead of
 * target_clones so that tests can run each one, and because resolvers of clones run too early for sanitizers.
 */
#include "workloads/mf_kernel_body.h"

#if defined(__x86_64__)

/* Defines the kernel `name` of this instruction set; `here` says whether the processor has it. */
#define KERNEL(name, isa, here)                                                                              \
    static bool name##_here(void)                                                                            \
    {                                                                                                        \
        return here;                                                                                         \
    }                                                                                                        \
    static double __attribute__((target(isa))) name##_group(const struct mf_group *g)                        \
    {                                                                                                        \
        return group_body(g);                                                                                \
    }                                                                                                        \
    static float __attribute__((target(isa)))                                                                \
    name##_predict(const float *row, const float *column, uint32_t rank, bool bias)                          \
    {                                                                                                        \
        return predict_body(row, column, rank, bias);                                                        \
    }                                                                                                        \
    static const struct mf_kernel name = {#name, name##_here, name##_group, name##_predict};

KERNEL(avx512, "avx512f,fma", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))
KERNEL(avx2, "avx2,fma", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))

const struct mf_kernel *const mf_kernels[] = {&avx512, &avx2, &mf_kernel_baseline, NULL};

#else

const struct mf_kernel *const mf_kernels[] = {&mf_kernel_baseline, NULL};

#endif

const struct mf_kernel *mf_kernel_choose(bool baseline)
{
    if (baseline)
        return &mf_kernel_baseline;
    const struct mf_kernel *const *kernel = mf_kernels;
    while (!(*kernel)->runs_here())
        kernel++;
    return *kernel;
}
