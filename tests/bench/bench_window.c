/* SPDX-License-Identifier: GPL-3.0-or-later */
/* adaps: how many clocks ahead of a worker intents are acted on, over the clocks per round that are expected; beside it the mean
 * that it stands above, and what finding it costs, first and again. Its columns are what docs/images/window.svg draws.
 *
 *   bench_window [QUANTILE]      (0.9999)
 *
 * Time is the thread's processor time. Exit 0: a benchmark does not judge, it prints. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policies/adaps_pace.h"

enum { REPEATED = 100000 };
#define RATE_FIRST 0.1
#define RATE_LAST  1e6
#define STEP       1.4125375446227544 /* 20 rates for a factor of 1000 */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    double quantile = argc > 1 ? atof(argv[1]) : 0.9999;
    struct pm_poisson quantiles;
    if (!(quantile >= 0.5 && quantile < 1)) {
        fprintf(stderr, "bench_window: the quantile is from 0.5 to less than 1\n");
        return 2;
    }
    pm_poisson_init(&quantiles, quantile);
    printf("# clocks per round   mean of two rounds   window   first (ns)   again (ns)\n");
    for (double rate = RATE_FIRST; rate < RATE_LAST * STEP; rate *= STEP) {
        double began = now_ns();
        pm_clock window = adaps_window(&quantiles, rate);
        double first = now_ns() - began;
        pm_clock sum = 0;
        began = now_ns();
        for (int i = 0; i < (rate < 1e4 ? REPEATED : 10); i++)
            sum += adaps_window(&quantiles, rate);
        double again = (now_ns() - began) / (rate < 1e4 ? REPEATED : 10);
        if (sum % window)
            abort(); /* it depends on nothing else */
        printf("%18.5g %20.5g %8lld %12.0f %12.0f\n", rate, 2 * rate, (long long)window, first, again);
    }
    pm_poisson_free(&quantiles);
    return EXIT_SUCCESS;
}
