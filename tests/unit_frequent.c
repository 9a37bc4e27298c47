/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which keys are replicated because they are accessed most: the rule, what workloads say of themselves, and the published
 * count of hot columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/frequent.h"
#include "core/node.h"
#include "tests/testload.h"
#include "tests/workload_store.h"
#include "workloads/mf.h"

extern const struct pm_policy pm_policy_nups;
extern const struct pm_workload pm_workload_kge, pm_workload_mf, pm_workload_zipf;

/* ---- the rule ---------------------------------------------------------------------------------------- */

/* A workload whose state is the expected accesses of its keys. */
static void as_given(const void *state, pm_key first, uint64_t n, double *out)
{
    memcpy(out, (const double *)state + first, n * sizeof *out);
}

static struct pm_frequent *find(const double *expected, const struct pm_model *model, const struct pm_frequent_rule *rule)
{
    const struct pm_workload workload = {.name = "given", .frequency = as_given};
    struct pm_frequent *f;
    struct pm_error err = {0};
    assert_int_equal(pm_frequent_find(&workload, expected, model, rule, &f, &err), PM_OK);
    return f;
}

/* Finds exactly these keys, "0 5 7 ". */
static void finds(const double *expected, const struct pm_model *model, struct pm_frequent_rule rule, const char *keys)
{
    char found[256] = "";
    rule.on = true;
    struct pm_frequent *f = find(expected, model, &rule);
    uint64_t n = 0;
    for (pm_key key = 0; key < model->layout.n_keys + 100; key++)
        if (pm_frequent_has(f, key)) {
            snprintf(found + strlen(found), sizeof found - strlen(found), "%d ", (int)key);
            n++;
        }
    assert_string_equal(found, keys);
    assert_true(f ? f->n == n && n > 0 : n == 0);
    free(f);
}

#define FACTOR(x) {.count = PM_FREQUENT_BY_FACTOR, .factor = (x), .scale = 1}
#define SCALED(x, y) {.count = PM_FREQUENT_BY_FACTOR, .factor = (x), .scale = (y)}

static void keys_above_a_multiple_of_the_mean(void **state)
{
    (void)state;
    static const double expected[] = {1, 9, 2, 0, 9, 6, 1, 4}; /* mean 4 */
    struct pm_model model = {.layout = {.n_keys = 8}};
    finds(expected, &model, (struct pm_frequent_rule)FACTOR(2), "1 4 ");
    finds(expected, &model, (struct pm_frequent_rule)FACTOR(1), "1 4 5 "); /* 4 is not more than the mean */
    finds(expected, &model, (struct pm_frequent_rule)FACTOR(0), "0 1 2 4 5 6 7 ");
    finds(expected, &model, (struct pm_frequent_rule)FACTOR(2.25), "");
    finds(expected, &model, (struct pm_frequent_rule)SCALED(2, 1.5), "1 4 5 ");
    finds(expected, &model, (struct pm_frequent_rule)SCALED(2, 0.5), "1 "); /* of two alike the first */
    finds(expected, &model, (struct pm_frequent_rule)SCALED(2, 0.2), "");
    finds(expected, &model, (struct pm_frequent_rule)SCALED(2, 100), "0 1 2 3 4 5 6 7 ");
}

static void so_many_keys(void **state)
{
    (void)state;
    static const double expected[] = {1, 9, 2, 0, 9, 6, 1, 4};
    struct pm_model model = {.layout = {.n_keys = 8}};
    finds(expected, &model, (struct pm_frequent_rule){.count = 0}, "");
    finds(expected, &model, (struct pm_frequent_rule){.count = 3}, "1 4 5 ");
    finds(expected, &model, (struct pm_frequent_rule){.count = 6}, "0 1 2 4 5 7 ");
    finds(expected, &model, (struct pm_frequent_rule){.count = 1000}, "0 1 2 3 4 5 6 7 ");
}

/* Others are neither chosen nor part of the mean. */
static void among_candidates_only(void **state)
{
    (void)state;
    static const double expected[] = {100, 100, 1, 1, 4, 100};
    struct pm_model model = {.layout = {.n_keys = 6}, .first_candidate = 2, .n_candidates = 3};
    finds(expected, &model, (struct pm_frequent_rule)FACTOR(1.5), "4 ");
    finds(expected, &model, (struct pm_frequent_rule){.count = 2}, "2 4 ");
    finds(expected, &model, (struct pm_frequent_rule){.count = 9}, "2 3 4 ");
}

/* What a workload does not know: refused when it was asked for, else no keys. */
static void unknown_frequencies(void **state)
{
    (void)state;
    const struct pm_workload workload = {.name = "mute"};
    struct pm_model model = {.layout = {.n_keys = 6}};
    struct pm_frequent_rule rule = {.on = true, .count = 2};
    struct pm_frequent *f;
    struct pm_error err = {0};
    assert_int_equal(pm_frequent_find(&workload, NULL, &model, &rule, &f, &err), PM_OK);
    assert_null(f);
    rule.asked = true;
    assert_int_equal(pm_frequent_find(&workload, NULL, &model, &rule, &f, &err), PM_E_REFUSED);
    assert_non_null(strstr(err.text, "workload mute does not say"));
    rule.count = 0;
    assert_int_equal(pm_frequent_find(&workload, NULL, &model, &rule, &f, &err), PM_OK);
    assert_null(f);
    rule = (struct pm_frequent_rule){.on = false, .asked = true, .count = 2};
    assert_int_equal(pm_frequent_find(&workload, NULL, &model, &rule, &f, &err), PM_OK);
    assert_null(f);
}

/* ---- the published count ----------------------------------------------------------------------------- */

/* Ranks that are taken to be alike: one each below EACH, then as many as a hundredth of the first. */
enum { EACH = 1500, BINS_MAX = 4000 };
struct bin {
    double n, share; /* ranks; probability of one */
};

static uint32_t make_bins(double skew, uint64_t n, struct bin *bins, uint32_t *bin_of_rank)
{
    uint32_t n_bins = 0;
    double total = 0;
    for (uint64_t first = 1; first <= n; n_bins++) {
        uint64_t end = first < EACH ? first + 1 : first + first / 100;
        end = end > n + 1 ? n + 1 : end;
        assert_true(n_bins < BINS_MAX);
        bins[n_bins] = (struct bin){(double)(end - first), pow((double)(first + end - 1) / 2, -skew)};
        total += bins[n_bins].n * bins[n_bins].share;
        for (; first < end; first++)
            if (bin_of_rank)
                bin_of_rank[first - 1] = n_bins;
    }
    for (uint32_t i = 0; i < n_bins; i++)
        bins[i].share /= total;
    return n_bins;
}

/* Different rows that so many draws have found in one column, and in all. */
static double in_column(const struct bin *rows, uint32_t n_rows, double draws)
{
    double sum = 0;
    for (uint32_t r = 0; r < n_rows; r++)
        sum -= rows[r].n * expm1(-draws * rows[r].share);
    return sum;
}

static double in_all(const struct bin *rows, uint32_t n_rows, const struct bin *columns, uint32_t n_columns, double draws)
{
    double sum = 0;
    for (uint32_t c = 0; c < n_columns; c++)
        sum += columns[c].n * in_column(rows, n_rows, draws * columns[c].share);
    return sum;
}

/* Task zipf11: 10M x 1M, rows and columns Zipf(1.1), 1e9 cells, those drawn twice rejected: 756 columns have more than 100
 * times the mean (published: 755), and 29.5 % of the cells. From the generator's expectation. */
static void hot_columns_of_zipf11(void **state)
{
    (void)state;
    enum { COLUMNS = 1000000, ROWS = 10000000 };
    const double cells = 1e9;
    static struct bin rows[BINS_MAX], columns[BINS_MAX];
    static double per_bin[BINS_MAX];
    uint32_t *bin_of = malloc(COLUMNS * sizeof *bin_of);
    double *expected = malloc(COLUMNS * sizeof *expected);
    assert_true(bin_of && expected);
    uint32_t n_rows = make_bins(1.1, ROWS, rows, NULL), n_columns = make_bins(1.1, COLUMNS, columns, bin_of);
    double few = cells, many = 100 * cells;
    assert_true(in_all(rows, n_rows, columns, n_columns, many) > cells);
    while (many / few > 1.0001) {
        double draws = sqrt(few * many);
        bool enough = in_all(rows, n_rows, columns, n_columns, draws) > cells;
        *(enough ? &many : &few) = draws;
    }
    for (uint32_t c = 0; c < n_columns; c++)
        per_bin[c] = in_column(rows, n_rows, many * columns[c].share);
    for (uint64_t c = 0; c < COLUMNS; c++)
        expected[c] = per_bin[bin_of[c]];
    struct pm_model model = {.layout = {.n_keys = COLUMNS}};
    struct pm_frequent_rule rule = {.on = true, .count = PM_FREQUENT_BY_FACTOR, .factor = 100, .scale = 1};
    struct pm_frequent *f = find(expected, &model, &rule);
    double hot = 0, all = 0;
    for (pm_key c = 0; c < COLUMNS; c++) {
        hot += pm_frequent_has(f, c) ? expected[c] : 0;
        all += expected[c];
    }
    assert_int_equal(f->n, 756);
    assert_true(fabs(hot / all - 0.295) < 0.0005);
    free(f);
    free(bin_of);
    free(expected);
}

/* ---- what workloads say ------------------------------------------------------------------------------ */

static const struct pm_task task = {.nodes = 2, .workers = 2, .epochs = 1, .seed = 3, .with_values = true};

static double *ask(struct store *s, pm_key first, uint64_t n)
{
    double *out = malloc(n * sizeof *out);
    assert_non_null(out);
    s->workload->frequency(s->state, first, n, out);
    return out;
}

static void visit(void *arg, uint32_t rank, const struct pm_batch *batch)
{
    (void)rank;
    for (uint32_t i = 0; i < batch->n_keys; i++)
        ((double *)arg)[batch->keys[i]]++;
}

/* zipf: accesses per step; samples are spread over all keys. */
static void of_zipf(void **state)
{
    (void)state;
    struct store s;
    struct pm_error err = {0};
    double counts[200] = {0}, sum = 0, chi = 0;
    assert_int_equal(store_open(&s, &pm_workload_zipf, "zipf:keys=200,length=1,sampling=0.4,steps=5000", &task, &err), PM_OK);
    s.visit = visit;
    s.visit_arg = counts;
    store_epoch(&s, 0, 0);
    double *all = ask(&s, 0, 200), *part = ask(&s, 50, 100);
    for (pm_key key = 0; key < 200; key++) {
        double direct = (all[key] - 4 / 200.0) * 4 * 5000; /* of all workers; 4 of 10 keys are samples */
        sum += all[key];
        chi += (counts[key] - direct) * (counts[key] - direct) / direct;
    }
    assert_true(fabs(sum - 10) < 1e-9);
    assert_true(chi > 100 && chi < 320); /* 199 degrees of freedom */
    assert_memory_equal(part, all + 50, 100 * sizeof *part);
    free(all);
    free(part);
    store_close(&s);
}

/* mf: training cells of each column, which are the candidates, and of each row. */
static void of_mf(void **state)
{
    (void)state;
    for (int blocks = 0; blocks < 2; blocks++) {
        struct store s;
        struct pm_error err = {0};
        assert_int_equal(store_open(&s, &pm_workload_mf,
                                    blocks ? "mf:rows=60,cols=40,cells=700,rank=1,order=blocks,batch=1"
                                           : "mf:rows=60,cols=40,cells=700,rank=1,batch=1",
                                    &task, &err),
                         PM_OK);
        double counts[100] = {0}, *all = ask(&s, 0, 100), *part = ask(&s, 30, 50);
        assert_true(s.model.first_candidate == 60 && s.model.n_candidates == 40);
        s.visit = visit;
        s.visit_arg = counts;
        store_epoch(&s, 0, 0);
        assert_memory_equal(all, counts, sizeof counts); /* a cell is a batch, and an access to its row and its column */
        assert_memory_equal(part, counts + 30, 50 * sizeof *part);
        free(all);
        free(part);
        store_close(&s);
    }
}

/* kge: entities, with their share of the negatives, and rows of relations. */
static void of_kge(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        double sampled; /* accesses of an epoch */
    } cases[] = {
        {"batch=1,dim=4", 2 * 3 * 900},
        {"batch=1,model=rescal,dim=2", 2 * 3 * 900},
        {"update=score,dim=4", 2 * 3 * 900},
        {"update=score,model=rescal,dim=3", 2 * 3 * 900},
        {"shared=1,batch=90,dim=4", 2 * 3 * 10},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct store s;
        struct pm_error err = {0};
        char text[160];
        snprintf(text, sizeof text, "kge:entities=100,relations=5,triples=900,clusters=10,negatives=3,%s", cases[c].options);
        if (store_open(&s, &pm_workload_kge, text, &task, &err) != PM_OK)
            fail_msg("%s", err.text);
        uint64_t n = s.model.layout.n_keys;
        double counts[120] = {0}, sum = 0, *all = ask(&s, 0, n), *part = ask(&s, 95, 6);
        assert_true(n <= 120 && s.model.n_candidates == 0);
        s.visit = visit;
        s.visit_arg = counts;
        store_epoch(&s, 0, 0);
        for (pm_key key = 0; key < n; key++) {
            double direct = all[key] - (key < 100 ? cases[c].sampled / 100 : 0);
            /* batches in which several triples name a key count once in the stream */
            assert_true(c == 4 ? direct >= counts[key] : fabs(direct - counts[key]) < 1e-6);
            sum += direct;
        }
        assert_true(c != 4 || (sum > 2600 && sum <= 2700)); /* fewer by one for each triple of an entity with itself */
        assert_memory_equal(part, all + 95, 6 * sizeof *part);
        free(all);
        free(part);
        store_close(&s);
    }
}

/* ---- opening a job ----------------------------------------------------------------------------------- */

/* Memory at the start is that of the main copies and of the replicas, and the model knows which they are. */
static void a_job_counts_replicas(void **state)
{
    (void)state;
    static const struct testload_shape shape = {.keys = 50, .length = 3, .more_keys = 30, .more_length = 7};
    uint64_t bytes[2] = {0};
    for (int with = 0; with < 2; with++) {
        struct testjob t;
        struct pm_opened o;
        struct pm_error err = {0};
        assert_int_equal(testjob_init(&t, &pm_policy_nups, with ? "replicate=20" : "replicate=0", &shape, &err), PM_OK);
        testjob_cluster(&t, 4, 1);
        assert_int_equal(pm_job_open(&t.job, &o, &err), PM_OK);
        for (int i = 0; i < 4; i++)
            bytes[with] += o.census[i];
        for (pm_key key = 0; key < 80; key++) /* every fourth is hot */
            assert_true(pm_frequent_has(o.model.frequent, key) == (with && key % 4 == 3));
        pm_job_close(&t.job, &o);
        testjob_free(&t);
    }
    const struct pm_slots shape_of_slots = {0};
    uint64_t one = pm_slot_model_bytes(&shape_of_slots, 3, true), other = pm_slot_model_bytes(&shape_of_slots, 7, true);
    assert_int_equal(bytes[1] - bytes[0], 3 * (12 * one + 8 * other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_above_a_multiple_of_the_mean),
        cmocka_unit_test(so_many_keys),
        cmocka_unit_test(among_candidates_only),
        cmocka_unit_test(unknown_frequencies),
        cmocka_unit_test(hot_columns_of_zipf11),
        cmocka_unit_test(of_zipf),
        cmocka_unit_test(of_mf),
        cmocka_unit_test(of_kge),
        cmocka_unit_test(a_job_counts_replicas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
