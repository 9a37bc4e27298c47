/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For benchmarks: quantiles, and the limits that figures are printed beside. What cannot be measured ends the program. */
#ifndef PM_TESTS_MEASURE_H
#define PM_TESTS_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts the values. */
double measure_quantile(double *values, uint32_t n, double q);
/* Binds this thread and this process's first one, which is a node's communicator, to a core. */
void measure_pin(uint32_t core);
/* Blocking exchanges between two processes over loopback TCP, `out` bytes there and `back` bytes back: microseconds of each of n,
 * after a tenth as many to warm up. pinned: each process has a core of its own. */
void measure_ping_pong(double *us, uint32_t n, size_t out, size_t back, bool pinned);
/* Bytes per second from one process to another over loopback TCP, in chunks of 1 MiB. */
double measure_stream(uint64_t bytes);
/* Bytes per second that memcpy copies between two buffers too large for caches. */
double measure_copy(void);

#endif
