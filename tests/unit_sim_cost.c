/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cost models in memory: what a file can hold that a text cannot, and damage. Other mistakes are in unit_sim_failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "sim/sim.h"
#include "tests/damage.h"
#include "tests/repeat.h"

static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    (void)arg;
    struct sim_cost cost;
    FILE *file = damage_file(bytes, n);
    int rc = sim_cost_read_from(file, DAMAGE_PATH, &cost, err);
    fclose(file);
    for (int k = 0; k < PM_CHARGES && rc == PM_OK; k++)
        assert_true(isfinite(cost.of[k].event_ns) && cost.of[k].event_ns >= 0 && cost.of[k].key_ns >= 0 && cost.of[k].byte_ns >= 0);
    return rc;
}

static void lines_are_texts(void **state)
{
    (void)state;
    static uint8_t zero[] = "local 1 2 3\nsend 1 2 3\0 4\n";
    struct pm_error err = {0};
    assert_int_equal(read_damaged(NULL, zero, sizeof zero - 1, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, DAMAGE_PATH ":2: the line is too long or holds a zero byte; a line is `kind events_ns"));
    static uint8_t none[] = "local 1 2 3\n# the last\n";
    assert_int_equal(read_damaged(NULL, none, sizeof none - 1, &err), PM_E_FILE);
    assert_string_equal(err.text, DAMAGE_PATH ":3: the file ends and has no line `send`");
}

static void damaged_cost_models_are_read_or_refused(void **state)
{
    (void)state;
    static const char text[] = "# ns\nlocal 20 15 0.1\nsend 1500 0 0.2\nreceive 1500 0 2e-1 # more\nserve 50 30 0.1\n\n"
                               "intent 50 20 0\nscan 50 5 0.1\nwake 2000 0 0\n";
    static const struct damage_input good = {text, sizeof text - 1};
    static const struct damage damage = {"damaged_cost_models_are_read_or_refused", &good, 1, "0123456789 \t\r\n.-+e#lsw",
                                         DAMAGE_PATH ":", read_damaged, NULL};
    damage_run(&damage, 30000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_texts),
        cmocka_unit_test(damaged_cost_models_are_read_or_refused),
    };
    return repeat_main(argc, argv, "unit_sim_cost", tests, sizeof tests / sizeof tests[0]);
}
