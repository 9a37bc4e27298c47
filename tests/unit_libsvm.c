/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Examples in libsvm form: good files and hostile ones; what is held out. PM_SEED gives the seed of random files, ROUNDS how
 * many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "tests/damage.h"
#include "tests/repeat.h"
#include "tests/workload_store.h"
#include "workloads/libsvm.h"

static int read_text(const char *text, size_t length, struct examples *list, struct pm_error *err)
{
    const char *path = store_file(0, "examples", text, length);
    int rc = libsvm_read(path, list, err);
    unlink(path);
    return rc;
}

static float value_of(const struct examples *list, uint64_t i)
{
    return list->values != NULL ? list->values[i] : 1;
}

/* Each text holds (+1; 1: 0.5, 3: 1), (-1; 7: -2), (-1; nothing). */
static void spellings_of_the_same_examples(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "+1 1:0.5 3:1\n-1 7:-2\n-1\n",
        "1 1:0.5 3:1\n0 7:-2\n0\n",
        "1.0 1:5e-1 3\r\n-1.0 7:-2.0\r\n-1\r\n",
        "# head\n\n  +1\t1:.5  3:1   # tail 9:9\n-1 7:-2\n-1 #\n",
        "1 1:0.5 3:1\n0 7:-2\n0",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct examples list = {0};
        struct pm_error err = {0};
        if (read_text(texts[i], strlen(texts[i]), &list, &err) != PM_OK)
            fail_msg("%zu: %s", i, err.text);
        assert_true(list.n_rows == 3 && list.n_features == 8 && list.n_entries == 3);
        assert_true(list.labels[0] == 1 && list.labels[1] == -1 && list.labels[2] == -1);
        assert_true(list.starts[0] == 0 && list.starts[1] == 2 && list.starts[2] == 3 && list.starts[3] == 3);
        assert_true(list.features[0] == 1 && list.features[1] == 3 && list.features[2] == 7);
        assert_true(value_of(&list, 0) == 0.5f && value_of(&list, 1) == 1 && value_of(&list, 2) == -2);
        examples_free(&list);
    }
}

static void ones_take_no_room(void **state)
{
    (void)state;
    static const char ones[] = "1 0 5 9\n0 5:1 6:1.0\n", mixed[] = "1 0 5 9\n0 5:1 6:2\n";
    struct examples list = {0};
    assert_int_equal(read_text(ones, strlen(ones), &list, NULL), PM_OK);
    assert_true(list.values == NULL && list.n_entries == 5 && list.n_features == 10 && list.features[0] == 0);
    examples_free(&list);
    assert_int_equal(read_text(mixed, strlen(mixed), &list, NULL), PM_OK);
    assert_non_null(list.values);
    for (uint64_t i = 0; i < 5; i++)
        assert_true(list.values[i] == (i == 4 ? 2 : 1));
    examples_free(&list);
}

static void long_lists_keep_every_entry(void **state)
{
    (void)state;
    enum { ROWS = 300, ENTRIES = 200 };
    static char text[ROWS * ENTRIES * 16];
    size_t n = 0;
    for (int row = 0; row < ROWS; row++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%d", row % 2);
        for (int i = 0; i < ENTRIES; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, " %d:%d", row + i, 1 + (row == ROWS / 2) * i);
        n += (size_t)snprintf(text + n, sizeof text - n, "\n");
    }
    struct examples list = {0};
    assert_int_equal(read_text(text, n, &list, NULL), PM_OK);
    assert_true(list.n_rows == ROWS && list.n_entries == ROWS * ENTRIES && list.n_features == ROWS + ENTRIES - 1);
    for (uint64_t row = 0; row < ROWS; row++) {
        assert_true(list.labels[row] == (row % 2 ? 1 : -1) && list.starts[row] == row * ENTRIES);
        for (uint64_t i = 0; i < ENTRIES; i++) {
            assert_true(list.features[row * ENTRIES + i] == row + i);
            assert_true(list.values[row * ENTRIES + i] == (row == ROWS / 2 ? (float)(1 + i) : 1));
        }
    }
    examples_free(&list);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where, *words;
    } cases[] = {
        {"", ":1: ", "holds no example"},
        {"# only words\n\n", ":3: ", "holds no example"},
        {"1\n0\n", ":3: ", "holds no feature"},
        {"1 1:1\nx 1:1\n", ":2: ", "'x 1:1' does not begin with a label (allowed: 0 and 1, or -1 and +1)"},
        {"1,1:1\n", ":1: ", "does not begin with a label"},
        {"1:1 2:1\n", ":1: ", "does not begin with a label"},
        {"nan 1:1\n", ":1: ", "does not begin with a label"},
        {"2 1:1\n", ":1: ", "label 2 (allowed: 0 and 1, or -1 and +1)"},
        {"0.5 1:1\n", ":1: ", "label 0.5 (allowed"},
        {"0 1:1\n1 1:1\n-1 1:1\n", ":3: ", "label -1 in a file with label 0 (allowed"},
        {"-1 1:1\n0 1:1\n", ":2: ", "label 0 in a file with label -1 (allowed"},
        {"1 1:1 qid:3\n", ":1: ", "'qid:3' is not 'index:value' or 'index'"},
        {"1 qid:3 1:1\n", ":1: ", "'qid:3' is not 'index:value'"},
        {"1 1:1\n1 1:\n", ":2: ", "'1:' is not"},
        {"1 :1\n", ":1: ", "':1' is not"},
        {"1 1:1:1\n", ":1: ", "'1:1:1' is not"},
        {"1 -1:1\n", ":1: ", "'-1:1' is not"},
        {"1 1.5:1\n", ":1: ", "'1.5:1' is not"},
        {"1 1:nan\n", ":1: ", "'1:nan' is not"},
        {"1 1:inf\n", ":1: ", "is not"},
        {"1 1:0x1\n", ":1: ", "is not"},
        {"1 1:1e99\n", ":1: ", "is not"},
        {"1 1 : 1\n", ":1: ", "':' is not"},
        {"1 3:1 2:1\n", ":1: ", "feature 2 after feature 3 (allowed: ascending)"},
        {"1 3:1 3:1\n", ":1: ", "feature 3 after feature 3 (allowed: ascending)"},
        {"1 2147483648:1\n", ":1: ", "feature 2147483648 is too large (allowed: at most 2147483647)"},
        {"1 99999999999999999999999999:1\n", ":1: ", "is too large"},
        {"\x7f"
         "ELF\x02\x01\x01",
         ":1: ", "does not begin with a label"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct examples list = {0};
        struct pm_error err = {0};
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &list, &err), PM_E_FILE);
        if (strstr(err.text, "-examples:") == NULL || strstr(err.text, cases[i].where) == NULL ||
            strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\" or \"%s\"", i, err.text, cases[i].where, cases[i].words);
        assert_true(list.labels == NULL && list.features == NULL && list.n_rows == 0);
    }
}

static void zero_bytes_and_endless_lines_are_refused(void **state)
{
    (void)state;
    struct examples list = {0};
    struct pm_error err = {0};
    static const char zero[] = "1 1:1\n1 2\0:1\n1 3:1\n", at_end[] = "1 1:1\n1 2\0:1";
    assert_int_equal(read_text(zero, sizeof zero - 1, &list, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":2: holds a zero byte or is longer than"));
    assert_int_equal(read_text(at_end, sizeof at_end - 1, &list, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":2: holds a zero byte or is longer than"));
    size_t length = (1 << 24) + 2;
    char *endless = malloc(length);
    memset(endless, '1', length);
    assert_int_equal(read_text(endless, length, &list, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":1: holds a zero byte or is longer than 16777216 bytes: not a text file of examples"));
    free(endless);
}

static void missing_files_and_limits(void **state)
{
    (void)state;
    struct examples list = {0};
    struct pm_error err = {0};
    assert_int_equal(libsvm_read("no/such/file", &list, &err), PM_E_FILE);
    assert_string_equal(err.text, "no/such/file: cannot be opened: No such file or directory");
    assert_int_equal(libsvm_read("tests", &list, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "tests:1: cannot be read: Is a directory"));
    static const char text[] = "1 2:1\n0 7:1\n";
    list.n_features = 8;
    assert_int_equal(read_text(text, strlen(text), &list, &err), PM_OK);
    examples_free(&list);
    list.n_features = 7;
    assert_int_equal(read_text(text, strlen(text), &list, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":2: feature 7 is too large (allowed: at most 6)"));
}

static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    (void)arg;
    struct examples list = {0};
    FILE *file = damage_file(bytes, n);
    int rc = libsvm_read_from(file, DAMAGE_PATH, &list, err);
    fclose(file);
    for (uint64_t row = 0; row < list.n_rows; row++)
        for (uint64_t i = list.starts[row]; i < list.starts[row + 1]; i++)
            assert_true(list.features[i] < list.n_features && isfinite(value_of(&list, i)) &&
                        (i == list.starts[row] || list.features[i - 1] < list.features[i]));
    examples_free(&list);
    return rc;
}

/* Read as a list that fits its own sizes, or refused with the line. */
static void damaged_files_are_read_or_refused(void **state)
{
    (void)state;
    static const char text[] = "+1 1:0.5 3:1 17\n-1 7:-2.5e1 # none\n+1 4:1\n-1 2:3 5:8\n", other[] = "0 0:1 9:2\n1\n1 2 3\n";
    static const struct damage_input good[] = {{text, sizeof text - 1}, {other, sizeof other - 1}};
    static const struct damage damage = {"damaged_files_are_read_or_refused", good, 2, "0123456789 \t\r\n:.-+e#",
                                         DAMAGE_PATH ":", read_damaged, NULL};
    damage_run(&damage, 30000);
}

static void some_examples_are_held_out(void **state)
{
    (void)state;
    enum { ROWS = 5000 };
    struct examples all = {.n_features = ROWS}, test = {0};
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_int_equal(examples_add_row(&all, row % 3 == 0), PM_OK);
        assert_int_equal(examples_add(&all, row, (float)row), PM_OK);
    }
    assert_int_equal(examples_hold_out(&all, &test, 0.1, 7, NULL), PM_OK);
    assert_true(all.n_rows + test.n_rows == ROWS && test.n_features == ROWS && all.n_features == ROWS);
    assert_in_range(test.n_rows, ROWS / 10 - 100, ROWS / 10 + 100);
    const struct examples *lists[] = {&all, &test};
    static uint8_t seen[ROWS];
    for (int l = 0; l < 2; l++) {
        for (uint64_t row = 0; row < lists[l]->n_rows; row++) {
            uint32_t feature = lists[l]->features[lists[l]->starts[row]];
            assert_true(lists[l]->starts[row + 1] == row + 1 && value_of(lists[l], row) == (float)feature);
            assert_true(lists[l]->labels[row] == (feature % 3 == 0 ? 1 : -1) && !seen[feature]++);
        }
    }
    examples_free(&all);
    examples_free(&test);

    for (double share = 0; share <= 1; share += 0.5) {
        for (int row = 0; row < 2; row++)
            assert_int_equal(examples_add_row(&all, row), PM_OK);
        assert_int_equal(examples_hold_out(&all, &test, share, 7, NULL), PM_OK);
        assert_true(all.n_rows == 1 && test.n_rows == 1);
        examples_free(&all);
        examples_free(&test);
    }
    struct pm_error err = {0};
    assert_int_equal(examples_add_row(&all, 1), PM_OK);
    assert_int_equal(examples_hold_out(&all, &test, 0.1, 7, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "one example is too few"));
    examples_free(&all);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_of_the_same_examples),
        cmocka_unit_test(ones_take_no_room),
        cmocka_unit_test(long_lists_keep_every_entry),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
        cmocka_unit_test(zero_bytes_and_endless_lines_are_refused),
        cmocka_unit_test(missing_files_and_limits),
        cmocka_unit_test(damaged_files_are_read_or_refused),
        cmocka_unit_test(some_examples_are_held_out),
    };
    return repeat_main(argc, argv, "libsvm", tests, sizeof tests / sizeof *tests);
}
