/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels for every processor, compiled without fused multiply-add (the Makefile tells by the file's name). */
#define NAME  baseline
#define LANES 4
#define ROWS  2
#define SUMS  4
#define WIDE  4

#include <stdbool.h>

static bool runs_here(void)
{
    return true;
}

#include "workloads/kge_kernel_body.h"
