/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layouts: ranges of keys with a value length each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/layout.h"

static void one_range_is_uniform(void **state)
{
    (void)state;
    struct pm_layout layout = {0};
    assert_int_equal(pm_layout_add(&layout, 1000, 16, NULL), 0);
    assert_true(layout.n_keys == 1000 && layout.n_floats == 16000);
    assert_true(layout.length_uniform == 16 && layout.length_max == 16);
    assert_int_equal(pm_layout_length(&layout, 0), 16);
    assert_int_equal(pm_layout_length(&layout, 999), 16);
    assert_true(pm_layout_offset(&layout, 1000) == 16000);
    assert_int_equal(pm_layout_range_of(&layout, 999), 0);
}

static void ranges_may_differ(void **state)
{
    (void)state;
    struct pm_layout layout = {0};
    static const uint32_t lengths[] = {4, 100, 1, 100};
    static const uint64_t keys[] = {10, 1, 5, 3};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pm_layout_add(&layout, keys[i], lengths[i], NULL), i);
    assert_true(layout.n_keys == 19 && layout.n_floats == 445);
    assert_true(layout.length_uniform == 0 && layout.length_max == 100);
    uint64_t offset = 0;
    pm_key key = 0;
    for (uint32_t r = 0; r < 4; r++) {
        assert_true(layout.ranges[r].first == key && layout.ranges[r].end == key + keys[r]);
        for (uint64_t i = 0; i < keys[r]; i++, key++) {
            assert_int_equal(pm_layout_range_of(&layout, key), r);
            assert_int_equal(pm_layout_length(&layout, key), lengths[r]);
            assert_true(pm_layout_offset(&layout, key) == offset);
            offset += lengths[r];
        }
    }
    assert_true(pm_layout_offset(&layout, key) == offset);
}

static void equal_neighbours_stay_ranges_and_uniform(void **state)
{
    (void)state;
    struct pm_layout layout = {0};
    pm_layout_add(&layout, 3, 8, NULL);
    assert_int_equal(pm_layout_add(&layout, 2, 8, NULL), 1);
    assert_true(layout.n_ranges == 2 && layout.length_uniform == 8);
    assert_int_equal(pm_layout_range_of(&layout, 2), 0);
    assert_int_equal(pm_layout_range_of(&layout, 3), 1);
    pm_layout_add(&layout, 1, 9, NULL);
    assert_int_equal(layout.length_uniform, 0);
    pm_layout_add(&layout, 1, 8, NULL); /* does not make it uniform again */
    assert_int_equal(layout.length_uniform, 0);
    assert_int_equal(pm_layout_length(&layout, 5), 9);
}

static void refused(struct pm_layout *layout, uint64_t n_keys, uint32_t length, int code, const char *words)
{
    struct pm_layout before = *layout;
    struct pm_error err = {0};
    assert_int_equal(pm_layout_add(layout, n_keys, length, &err), code);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    assert_memory_equal(&before, layout, sizeof before);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct pm_layout layout;
    memset(&layout, 0, sizeof layout);
    refused(&layout, 0, 4, PM_E_ARGUMENT, "0 keys (allowed: at least 1)");
    refused(&layout, 4, 0, PM_E_LENGTH, "0 floats (allowed: at least 1)");
    refused(&layout, 1, PM_LAYOUT_LENGTH_MAX + 1, PM_E_LIMIT, "16777201 floats (allowed: at most 16777200)");
    refused(&layout, UINT64_MAX, 1, PM_E_LIMIT, "18446744073709551615 more values");
    refused(&layout, PM_LAYOUT_FLOATS_MAX + 1, 1, PM_E_LIMIT, "0 are taken");
    assert_int_equal(pm_layout_add(&layout, PM_LAYOUT_FLOATS_MAX / 4, 4, NULL), 0);
    refused(&layout, 1, 1, PM_E_LIMIT, "1125899906842624 are taken");
    memset(&layout, 0, sizeof layout);
    for (int i = 0; i < PM_LAYOUT_RANGES_MAX; i++)
        assert_int_equal(pm_layout_add(&layout, 1, PM_LAYOUT_LENGTH_MAX, NULL), i);
    refused(&layout, 1, 1, PM_E_LIMIT, "17 ranges of keys (allowed: at most 16)");
    assert_int_equal(pm_layout_length(&layout, PM_LAYOUT_RANGES_MAX - 1), PM_LAYOUT_LENGTH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range_is_uniform),
        cmocka_unit_test(ranges_may_differ),
        cmocka_unit_test(equal_neighbours_stay_ranges_and_uniform),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
