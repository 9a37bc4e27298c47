/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test programs that can repeat one failure. */
#include "tests/repeat.h"

#include <inttypes.h>
#include <stdarg.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

static const char *program = "?";
static char noted[512]; /* the line for a sudden death; empty: none */

uint64_t repeat_number(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : standard;
}

static void write_noted(void)
{
    ssize_t written = write(STDERR_FILENO, noted, strlen(noted));
    (void)written;
}

static void die(int signal_number)
{
    write_noted();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void repeat_note(uint64_t seed, const char *further, const char *test)
{
    snprintf(noted, sizeof noted, "again: PM_SEED=%" PRIu64 " %s%s%s -t %s\n", seed, further,
             *further ? " " : "", program, test);
}

int repeat_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests, size_t n)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "-t") == 0) {
        cmocka_set_test_filter(argv[2]);
    } else if (argc != 1) {
        fprintf(stderr, "%s [-t TEST]\n", argv[0]);
        return 2;
    }
    signal(SIGABRT, die);
    signal(SIGTERM, die);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(write_noted);
#endif
    return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
}

void repeat_line(const char *what, uint64_t seed, const char *further, const char *test)
{
    fprintf(stderr, "%s\nagain: PM_SEED=%" PRIu64 " %s%s%s -t %s\n", what, seed, further, *further ? " " : "",
            program, test);
}
