/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels for every processor. In a file of its own because it is compiled without fused multiply-add. */
#include "workloads/mf_kernel_body.h"

static bool runs_here(void)
{
    return true;
}

static double group(const struct mf_group *g)
{
    return group_body(g);
}

static float predict(const float *row, const float *column, uint32_t rank, bool bias)
{
    return predict_body(row, column, rank, bias);
}

const struct mf_kernel mf_kernel_baseline = {"baseline", runs_here, group, predict};
