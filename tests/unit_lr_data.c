/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The examples of logistic regression: where each entry lies, and the generator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "tests/workload_store.h"
#include "workloads/lr.h"

/* Sum over all entries of something that tells row, feature and value apart. */
static double fingerprint_of(const struct examples *list)
{
    double sum = 0;
    for (uint64_t row = 0; row < list->n_rows; row++)
        for (uint64_t i = list->starts[row]; i < list->starts[row + 1]; i++)
            sum += (double)(pm_hash64_pair(row, list->features[i]) >> 40) *
                   (double)(list->values != NULL ? list->values[i] : 1);
    return sum;
}

static void every_entry_is_with_its_rank_block_and_feature(void **state)
{
    (void)state;
    static const char text[] = "1 0:2 3:3 4:1\n0 1:7\n1 0:4 4:2 9:5\n1 9:6\n0\n1 2:1 3:1\n0 0:8 9:-1\n";
    for (uint32_t ranks = 1; ranks <= 9; ranks += 4) {
        struct examples list = {0};
        const char *path = store_file(0, "arranged", text, sizeof text - 1);
        assert_int_equal(libsvm_read(path, &list, NULL), PM_OK);
        unlink(path);
        double before = fingerprint_of(&list), after = 0;
        uint64_t n_rows = list.n_rows, n_entries = list.n_entries, entries = 0;
        struct lr_state s = {.n_keys = list.n_features, .blocks = 3, .width = 2};
        struct lr_matrix m = {.ranks = ranks, .blocks = 3};
        uint32_t holders[10] = {0}, counted[10] = {0};
        assert_int_equal(lr_matrix_fill(&m, &list, &s, holders), PM_OK);
        for (uint32_t rank = 0; rank < ranks; rank++) {
            for (uint32_t block = 0; block < 3; block++) {
                for (uint64_t c = lr_bucket(&m, rank, block); c < lr_bucket(&m, rank, block + 1); c++) {
                    uint32_t feature = m.columns[c].feature;
                    assert_int_equal(lr_block_of(&s, feature), block);
                    assert_true(c == lr_bucket(&m, rank, block) || m.columns[c - 1].feature < feature);
                    assert_true(m.columns[c].first < m.columns[c + 1].first);
                    counted[feature]++;
                    for (uint64_t i = m.columns[c].first; i < m.columns[c + 1].first; i++, entries++) {
                        assert_true(m.rows[i] < lr_rows_of(&m, rank));
                        uint64_t row = (uint64_t)m.rows[i] * ranks + rank;
                        after += (double)(pm_hash64_pair(row, feature) >> 40) * (double)lr_entry(&m, i);
                    }
                }
            }
        }
        assert_true(m.n_rows == n_rows && entries == n_entries && before == after);
        assert_memory_equal(holders, counted, sizeof holders);
        lr_matrix_free(&m);
    }
}

static void generated_examples_repeat_and_are_distinct(void **state)
{
    (void)state;
    struct lr_recipe recipe = {
        .train_rows = 3000, .test_rows = 100, .features = 400, .nonzeros = 12, .truth = 30, .skew = 1.1, .seed = 7};
    struct examples train = {0}, test = {0}, again = {0}, other = {0};
    assert_int_equal(lr_generate(&recipe, &train, &test, NULL), PM_OK);
    assert_true(train.n_rows == 3000 && test.n_rows == 100 && train.n_entries == 36000 && train.n_features == 400);
    assert_null(train.values);
    for (uint64_t row = 0; row < train.n_rows; row++)
        for (uint64_t i = train.starts[row] + 1; i < train.starts[row + 1]; i++)
            assert_true(train.features[i - 1] < train.features[i] && train.features[i] < 400);
    assert_int_equal(lr_generate(&recipe, &again, &other, NULL), PM_OK);
    assert_memory_equal(train.features, again.features, train.n_entries * sizeof *train.features);
    assert_memory_equal(train.labels, again.labels, train.n_rows);
    assert_memory_equal(test.features, other.features, test.n_entries * sizeof *test.features);
    examples_free(&again);
    examples_free(&other);
    recipe.seed = 8;
    assert_int_equal(lr_generate(&recipe, &again, &other, NULL), PM_OK);
    assert_memory_not_equal(train.features, again.features, train.n_entries * sizeof *train.features);
    examples_free(&again);
    examples_free(&other);
    examples_free(&train);
    examples_free(&test);
}

/* How often the r-th most frequent feature occurs when every row has one feature, and how many labels are turned over when
 * nothing else decides them. */
static void generated_features_have_their_skew(void **state)
{
    (void)state;
    enum { ROWS = 100000, FEATURES = 1000 };
    struct lr_recipe recipe = {.train_rows = ROWS, .features = FEATURES, .nonzeros = 1, .skew = 1, .seed = 3};
    struct examples train = {0}, test = {0};
    static uint32_t counts[FEATURES];
    double total = 0, first_tenth = 0, positive = 0;
    assert_int_equal(lr_generate(&recipe, &train, &test, NULL), PM_OK);
    for (uint64_t i = 0; i < ROWS; i++) {
        counts[train.features[i]]++;
        positive += train.labels[i] > 0;
    }
    assert_true(fabs(positive / ROWS - 0.5) < 0.01); /* no truth: all margins are 0 */
    for (int r = 1; r <= FEATURES; r++)
        total += 1.0 / r;
    for (int f = 0; f < FEATURES / 10; f++)
        first_tenth += counts[f];
    assert_true(first_tenth < ROWS / 2); /* popular ones are scattered */
    for (int r = 1; r <= 20; r++) {
        int best = 0;
        for (int f = 0; f < FEATURES; f++)
            best = counts[f] > counts[best] ? f : best;
        double expected = ROWS / (r * total);
        assert_true(fabs(counts[best] - expected) < 5 * sqrt(expected) + 20);
        counts[best] = 0;
    }
    examples_free(&train);
    examples_free(&test);
}

static void noise_turns_labels_over(void **state)
{
    (void)state;
    struct lr_recipe recipe = {
        .train_rows = 20000, .features = 50, .nonzeros = 5, .truth = 50, .skew = 0.5, .noise = 0.1, .seed = 3};
    struct examples noisy = {0}, clean = {0}, test = {0};
    assert_int_equal(lr_generate(&recipe, &noisy, &test, NULL), PM_OK);
    recipe.noise = 0;
    assert_int_equal(lr_generate(&recipe, &clean, &test, NULL), PM_OK);
    double turned = 0;
    for (uint64_t row = 0; row < 20000; row++)
        turned += noisy.labels[row] != clean.labels[row];
    assert_true(fabs(turned / 20000 - 0.1) < 0.01);
    double positive = 0;
    for (uint64_t row = 0; row < 20000; row++)
        positive += clean.labels[row] > 0;
    assert_true(fabs(positive / 20000 - 0.5) < 0.1);
    examples_free(&noisy);
    examples_free(&clean);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_with_its_rank_block_and_feature),
        cmocka_unit_test(generated_examples_repeat_and_are_distinct),
        cmocka_unit_test(generated_features_have_their_skew),
        cmocka_unit_test(noise_turns_labels_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
