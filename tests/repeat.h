/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test programs that can repeat one failure: `-t NAME` runs only that test, and environment variables give
 * the seed and the size of random runs. */
#ifndef PM_TESTS_REPEAT_H
#define PM_TESTS_REPEAT_H

#include <stddef.h>
#include <stdint.h>

struct CMUnitTest;

/* ThreadSanitizer takes a millisecond for each coroutine: random tests do this many times less then. */
#ifdef __SANITIZE_THREAD__
enum { REPEAT_SHARE = 10 };
#else
enum { REPEAT_SHARE = 1 };
#endif

/* A whole number from the environment, or the default. */
uint64_t repeat_number(const char *name, uint64_t standard);

/* Runs the tests, or that of `-t NAME`; the exit code of main. */
int repeat_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests, size_t n);

/* What is about to run: should the process be killed in it (a failed assertion, a sanitizer, a time limit),
 * its line is written. The strings stay where they are. */
void repeat_note(uint64_t seed, const char *further, const char *test);

/* Writes the line that repeats a failed run: PM_SEED=... PROGRAM -t TEST, preceded by what went wrong. */
void repeat_line(const char *what, uint64_t seed, const char *further, const char *test);

#endif
