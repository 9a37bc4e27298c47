/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test programs that can repeat one failure. */
#include "tests/repeat.h"

#include <inttypes.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *program = "?";

uint64_t repeat_number(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : standard;
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
    return _cmocka_run_group_tests(group, tests, n, NULL, NULL);
}

void repeat_line(const char *what, uint64_t seed, const char *further, const char *test)
{
    fprintf(stderr, "%s\nagain: PM_SEED=%" PRIu64 " %s%s%s -t %s\n", what, seed, further, *further ? " " : "", program,
            test);
}
