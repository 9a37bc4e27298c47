/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The choice among the kernels at run time. */
#include "workloads/kge_kernel.h"

#if defined(__x86_64__)
extern const struct kge_kernel kge_kernel_avx512, kge_kernel_avx2;
const struct kge_kernel *const kge_kernels[] = {&kge_kernel_avx512, &kge_kernel_avx2, &kge_kernel_baseline, NULL};
#else
const struct kge_kernel *const kge_kernels[] = {&kge_kernel_baseline, NULL};
#endif

const struct kge_kernel *kge_kernel_choose(bool baseline)
{
    if (baseline)
        return &kge_kernel_baseline;
    const struct kge_kernel *const *kernel = kge_kernels;
    while (!(*kernel)->runs_here())
        kernel++;
    return *kernel;
}
