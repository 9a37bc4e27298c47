/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrix factorisation: options, division of the work, streams, evaluation, and that it learns. */
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
#include "tests/workload_store.h"
#include "workloads/mf.h"

extern const struct pm_workload pm_workload_mf;

static const struct pm_task cluster = {.nodes = 3, .workers = 2, .epochs = 1, .seed = 5, .with_values = true};
#define SMALL "mf:rows=400,cols=150,cells=6000,rank=6,batch=7"

static void open_or_fail(struct store *s, const char *specification, const struct pm_task *task)
{
    struct pm_error err = {0};
    if (store_open(s, &pm_workload_mf, specification, task, &err) != PM_OK)
        fail_msg("%s: %s", specification, err.text);
}

static double rmse(struct store *s)
{
    const struct mf_state *m = s->state;
    uint32_t length = s->model.layout.ranges[0].length;
    double sum = 0;
    for (uint64_t i = 0; i < m->test.n; i++) {
        float *values = malloc(2 * length * sizeof *values);
        const struct rating *cell = &m->test.cells[i];
        memcpy(values, s->values + (size_t)cell->row * length, length * sizeof *values);
        memcpy(values + length, s->values + (m->rows + cell->column) * length, length * sizeof *values);
        sum += mf_squared_errors(m, cell, 1, values);
        free(values);
    }
    return sqrt(sum / (double)m->test.n);
}

/* ---- Options ---- */

static void contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *specification, *words;
    } cases[] = {
        {"mf:test=x", "test= without train="},
        {"mf:train=x,cells=5", "cells= is for generated ratings"},
        {"mf:train=x,skew=1", "skew= is for generated ratings"},
        {"mf:train=no/such/file", "no/such/file: cannot be opened"},
        {"mf:rows=10,cols=10,cells=101", "do not fit"},
        {"mf:rank=0", "rank"},
        {"mf:order=rowwise", "order"},
        {"mf:value_bytes=8", "value_bytes=8 counts sizes alone, as do presets that have it (allowed: --values none, or"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store s;
        struct pm_error err = {0};
        assert_true(store_open(&s, &pm_workload_mf, cases[i].specification, &cluster, &err) < 0);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].specification, err.text, cases[i].words);
    }
    struct pm_task none = cluster;
    none.with_values = false;
    struct store s;
    struct pm_error err = {0};
    assert_int_equal(store_open(&s, &pm_workload_mf, "mf:bold=1", &none, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "bold=1 needs values"));
}

static void values_have_the_stated_length(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        uint32_t length;
    } cases[] = {{SMALL, 12}, {SMALL ",bias=1", 14}, {SMALL ",adagrad=0", 6}, {SMALL ",bias=1,adagrad=0", 7}};
    for (size_t i = 0; i < 4; i++) {
        struct store s;
        open_or_fail(&s, cases[i].options, &cluster);
        const struct pm_layout *layout = &s.model.layout;
        assert_true(layout->n_keys == 550 && layout->length_uniform == cases[i].length);
        assert_true(layout->ranges[0].end == 400);
        store_close(&s);
        struct pm_task none = cluster;
        none.with_values = false;
        char doubles[256];
        snprintf(doubles, sizeof doubles, "%s,value_bytes=8", cases[i].options);
        open_or_fail(&s, doubles, &none);
        assert_int_equal(layout->length_uniform, 2 * cases[i].length);
        store_close(&s);
    }
}

static void initial_values_depend_on_key_and_seed_alone(void **state)
{
    (void)state;
    struct store s, other;
    open_or_fail(&s, SMALL ",bias=1,init=0.3,accumulator=2", &cluster);
    float part[14 * 5];
    pm_workload_mf.initial(s.state, 123, 5, part);
    assert_memory_equal(part, s.values + 123 * 14, sizeof part);
    double sum = 0, squares = 0;
    for (pm_key key = 0; key < 550; key++) {
        const float *value = s.values + key * 14;
        for (int i = 0; i < 6; i++) {
            sum += (double)value[i];
            squares += (double)value[i] * (double)value[i];
        }
        assert_true(value[6] == 0);
        for (int i = 7; i < 14; i++)
            assert_true(value[i] == 2);
    }
    double deviation = 0.3 / sqrt(sqrt(6));
    assert_true(fabs(sum / 3300) < 0.1 * deviation);
    assert_true(fabs(sqrt(squares / 3300) / deviation - 1) < 0.05);
    struct pm_task task = cluster;
    task.seed = 6;
    open_or_fail(&other, SMALL ",bias=1,init=0.3,accumulator=2", &task);
    assert_memory_not_equal(s.values, other.values, 14 * sizeof *s.values);
    store_close(&s);
    store_close(&other);
}

static void ratings_are_held_out(void **state)
{
    (void)state;
    struct ratings train = {.rows = 1000, .columns = 1000}, test = {0};
    for (uint32_t i = 0; i < 20000; i++)
        ratings_append(&train, (struct rating){i / 20, i % 1000, (float)i});
    assert_int_equal(mf_data_hold_out(&train, &test, 0.05, 1, NULL), PM_OK);
    assert_true(train.n + test.n == 20000 && test.n > 850 && test.n < 1150 && test.rows == 1000);
    double sum = 0;
    for (uint64_t i = 0; i < train.n; i++)
        sum += (double)train.cells[i].value;
    for (uint64_t i = 0; i < test.n; i++)
        sum += (double)test.cells[i].value;
    assert_true(sum == 19999.0 * 20000 / 2);
    ratings_free(&train);
    ratings_free(&test);
    /* At least one on either side. */
    for (double share = 0; share <= 1; share++) {
        for (uint32_t i = 0; i < 2; i++)
            ratings_append(&train, (struct rating){i, i, 1});
        assert_int_equal(mf_data_hold_out(&train, &test, share, 1, NULL), PM_OK);
        assert_true(train.n == 1 && test.n == 1);
        ratings_free(&train);
        ratings_free(&test);
    }
    ratings_append(&train, (struct rating){0, 0, 1});
    assert_int_equal(mf_data_hold_out(&train, &test, 0.05, 1, NULL), PM_E_OPTION);
    ratings_free(&train);
}

/* ---- Division of the work ---- */

/* What an epoch touched. */
struct visits {
    const struct mf_state *m;
    uint8_t *cells;       /* times */
    int32_t *row_owner;   /* rank, -1: nobody yet */
    uint64_t *column_use; /* who used the column last: step x ranks + rank + 1 */
    uint64_t *steps;      /* per rank: barriers passed, over all epochs */
    uint64_t keys, localized, batches;
    uint64_t hash; /* of all keys in order, of rank 1 */
};

static void visit(void *arg, uint32_t rank, const struct pm_batch *batch)
{
    struct visits *v = arg;
    const struct mf_item *item = batch->item;
    assert_true(batch->n_keys == (item->n_cells > 0 ? item->n_cells + 1 : 0));
    v->batches++;
    v->keys += batch->n_keys;
    v->localized += batch->n_localize;
    if (rank == 1)
        v->hash = pm_hash_bytes(batch->keys, batch->n_keys * sizeof *batch->keys, v->hash);
    v->steps[rank] += batch->barrier_before;
    for (uint32_t i = 0; i < item->n_cells; i++) {
        v->cells[item->first_cell + i]++;
        uint32_t row = v->m->cells[item->first_cell + i].row;
        assert_true(batch->keys[i + 1] == row);
        assert_true(v->row_owner[row] == -1 || v->row_owner[row] == (int32_t)rank);
        v->row_owner[row] = (int32_t)rank;
    }
    if (!v->m->blocked || item->n_cells == 0)
        return;
    /* Between two barriers a column has one user. */
    uint64_t *use = &v->column_use[batch->keys[0] - v->m->rows],
             now = v->steps[rank] * v->m->ranks + rank + 1;
    assert_true(*use == now || (*use + v->m->ranks - 1) / v->m->ranks <= v->steps[rank]);
    *use = now;
}

static void start_visits(struct visits *v, struct store *s)
{
    *v = (struct visits){.m = s->state};
    v->cells = calloc(v->m->n_cells, 1);
    v->row_owner = malloc(v->m->rows * sizeof *v->row_owner);
    v->column_use = calloc(v->m->columns, sizeof *v->column_use);
    v->steps = calloc(v->m->ranks, sizeof *v->steps);
    for (uint64_t r = 0; r < v->m->rows; r++)
        v->row_owner[r] = -1;
    s->visit = visit;
    s->visit_arg = v;
}

/* The end of an epoch is a barrier as well. */
static void end_epoch(struct visits *v)
{
    for (uint32_t r = 0; r < v->m->ranks; r++)
        v->steps[r]++;
}

static void end_visits(struct visits *v)
{
    free(v->cells);
    free(v->row_owner);
    free(v->column_use);
    free(v->steps);
}

static void every_cell_is_visited_once(const char *specification, const struct pm_task *task)
{
    struct store s;
    struct visits v;
    open_or_fail(&s, specification, task);
    start_visits(&v, &s);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        v.localized = 0;
        store_epoch(&s, epoch, epoch * 10);
        end_epoch(&v);
        for (uint64_t i = 0; i < v.m->n_cells; i++)
            assert_int_equal(v.cells[i], epoch + 1);
        assert_true(s.barriers == (v.m->blocked ? 2 * v.m->ranks - 1 : 0));
        /* Rows once, at the start; every column once per node and epoch, and the first block of each node at
         * the start. */
        uint64_t rows = epoch == 0 ? v.m->rows : 0, columns = v.m->blocked ? task->nodes * v.m->columns : 0;
        if (task->nodes == 1)
            assert_true(v.localized == 0);
        else if (epoch > 0)
            assert_true(v.localized == columns);
        else
            assert_true(v.localized >= rows + columns && v.localized <= rows + columns + v.m->columns);
    }
    end_visits(&v);
    store_close(&s);
}

static void cells_are_divided_among_the_workers(void **state)
{
    (void)state;
    static const struct pm_task tasks[] = {
        {.nodes = 1, .workers = 1, .epochs = 1, .seed = 1, .with_values = true},
        {.nodes = 1, .workers = 3, .epochs = 1, .seed = 2, .with_values = true},
        {.nodes = 4, .workers = 2, .epochs = 1, .seed = 3, .with_values = true},
        {.nodes = 3, .workers = 3, .epochs = 1, .seed = 4, .with_values = false},
        {.nodes = 40,
         .workers = 2,
         .epochs = 1,
         .seed = 5,
         .with_values = true}, /* more blocks than columns */
    };
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        every_cell_is_visited_once(SMALL ",order=columnwise", &tasks[i]);
        every_cell_is_visited_once(SMALL ",order=blocks", &tasks[i]);
        every_cell_is_visited_once("mf:rows=60,cols=3,cells=20,test_cells=1,rank=2,order=blocks", &tasks[i]);
    }
}

static void work_is_balanced(void **state)
{
    (void)state;
    struct store s;
    open_or_fail(&s, "mf:rows=20000,cols=2000,cells=200k,rank=1", &cluster);
    const struct mf_state *m = s.state;
    uint64_t counts[6] = {0};
    for (uint64_t i = 0; i < m->n_cells; i++) {
        uint32_t rank = 0;
        while (m->cells[i].row >= m->row_ends[rank])
            rank++;
        counts[rank]++;
    }
    for (int r = 0; r < 6; r++)
        assert_true(fabs((double)counts[r] / (200000.0 / 6) - 1) < 0.03);
    store_close(&s);
}

/* A block stays at a node until all its workers have had it; and the next one is idle while it does. */
static void blocks_rotate(void **state)
{
    (void)state;
    for (uint32_t nodes = 1; nodes <= 5; nodes++) {
        for (uint32_t workers = 1; workers <= 4; workers++) {
            uint32_t ranks = nodes * workers, blocks = 2 * ranks;
            struct mf_state m = {.task = {.nodes = nodes, .workers = workers},
                                 .ranks = ranks,
                                 .blocked = true,
                                 .n_blocks = blocks};
            for (uint32_t rank = 0; rank < ranks; rank++) {
                uint64_t seen = 0;
                for (uint32_t step = 0; step < blocks; step++) {
                    uint32_t block = mf_block_at(&m, rank, step);
                    assert_true(block < blocks && !(seen >> block & 1));
                    seen |= UINT64_C(1) << block;
                    assert_true(block / workers == mf_block_at(&m, rank, step / workers * workers) / workers);
                    uint32_t next = mf_block_at(&m, rank, (step + workers) % blocks);
                    for (uint32_t other = 0; other < ranks; other++) {
                        assert_true(other == rank || mf_block_at(&m, other, step) != block);
                        assert_true(mf_block_at(&m, other, step) / workers != next / workers);
                    }
                }
            }
        }
    }
}

/* ---- Streams ---- */

static uint64_t stream_hash(const char *specification, uint32_t ahead, uint64_t seed, uint64_t *values_hash)
{
    struct store s;
    struct visits v;
    struct pm_task task = cluster;
    task.seed = seed;
    open_or_fail(&s, specification, &task);
    start_visits(&v, &s);
    for (uint32_t epoch = 0; epoch < 2; epoch++)
        store_epoch(&s, epoch, ahead);
    end_epoch(&v);
    *values_hash = pm_hash_bytes(s.values, s.model.layout.n_floats * sizeof *s.values, 0);
    end_visits(&v);
    store_close(&s);
    return v.hash;
}

static void streams_do_not_depend_on_look_ahead(void **state)
{
    (void)state;
    static const char *const orders[] = {SMALL, SMALL ",order=blocks", SMALL ",bold=1,bias=1"};
    for (size_t i = 0; i < 3; i++) {
        uint64_t values, values_ahead, other_values;
        uint64_t keys = stream_hash(orders[i], 0, 5, &values);
        assert_true(stream_hash(orders[i], 1000, 5, &values_ahead) == keys && values_ahead == values);
        assert_true(stream_hash(orders[i], 0, 6, &other_values) != keys && other_values != values);
    }
}

/* A file that holds a cell twice: both are trained on, in batches of their own, so that no batch has a row
 * twice. */
static void cells_given_twice_are_in_different_batches(void **state)
{
    (void)state;
    static const char text[] = "1\t1\t5\t9\n2\t1\t3\t9\n1\t1\t1\t9\n2\t2\t2\t9\n";
    char specification[600];
    const char *path = store_file(0, "train", text, strlen(text));
    snprintf(specification, sizeof specification, "mf:train=%s,test=%s,rank=2", path, path);
    struct store s;
    struct visits v;
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 1, .seed = 1, .with_values = true};
    open_or_fail(&s, specification, &task);
    unlink(path);
    start_visits(&v, &s);
    store_epoch(&s, 0, 0);
    assert_true(v.batches == 3 && v.keys == 4 + 3 && v.m->n_cells == 4);
    end_visits(&v);
    store_close(&s);
}

/* ---- Evaluation and learning ---- */

static void rmse_of_a_small_case(void **state)
{
    (void)state;
    static const char train[] = "1\t1\t1\t9\n2\t2\t3\t9\n"; /* mean 2 */
    static const char test[] = "1\t2\t4\t9\n2\t1\t1\t9\n";
    char specification[1200];
    snprintf(specification, sizeof specification, "mf:train=%s,test=%s,rank=2,bias=1,adagrad=0",
             store_file(0, "train", train, strlen(train)), store_file(1, "test", test, strlen(test)));
    struct store s;
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 1, .seed = 1, .with_values = true};
    open_or_fail(&s, specification, &task);
    static const float values[] = {
        1,    2,  0.5f,  /* row 1, its bias */
        -1,   0,  0.25f, /* row 2 */
        3,    1,  -0.5f, /* column 1 */
        0.5f, -1, 1,     /* column 2 */
    };
    memcpy(s.values, values, sizeof values);
    /* (1, 2): 2 + 0.5 - 2 + 0.5 + 1 = 2, error 2. (2, 1): 2 - 3 + 0.25 - 0.5 = -1.25, error 2.25. */
    assert_true(fabs(rmse(&s) - sqrt((4 + 5.0625) / 2)) < 1e-12);
    store_close(&s);
    unlink(store_file(0, "train", "", 0));
    unlink(store_file(1, "test", "", 0));
}

/* The loss of the first epochs falls, and so does the error on cells that were not trained on. */
static void learns(const char *specification, uint32_t epochs, double expected)
{
    struct store s;
    open_or_fail(&s, specification, &cluster);
    double before = rmse(&s), loss = 1e9;
    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        store_epoch(&s, epoch, 0);
        assert_true(s.loss < loss);
        loss = s.loss;
    }
    double after = rmse(&s);
    print_message("%s: test RMSE %.4f, after %u epochs %.4f\n", specification, before, epochs, after);
    assert_true(after < expected && before > 0.9);
    store_close(&s);
}

static void it_learns(void **state)
{
    (void)state;
#define DENSE "mf:rows=500,cols=200,cells=20k,test_cells=1000,skew=0.5,rank=4,lambda=0.02"
    learns(DENSE ",rate=0.2", 15, 0.35);
    learns(DENSE ",rate=0.2,order=blocks", 15, 0.35);
    learns(DENSE ",rate=0.2,bias=1,isa=baseline", 15, 0.4);
    learns(DENSE ",rate=0.05,adagrad=0,init=0.5", 15, 0.4);
}

static void the_bold_driver_follows_the_loss(void **state)
{
    (void)state;
    struct store s;
    open_or_fail(&s, SMALL ",bold=1", &cluster);
    const struct mf_worker *w = store_worker_state(&s, 0);
    static const double losses[] = {5, 4, 3, 3.5, 3.5, 1};
    static const double factors[] = {
        1, 1.05, 1.05 * 1.05, 1.05 * 1.05 / 2, 1.05 * 1.05 / 4, 1.05 * 1.05 * 1.05 / 4};
    for (uint32_t epoch = 0; epoch < 6; epoch++) {
        pm_workload_mf.epoch_end(s.state, store_worker_state(&s, 0), epoch, losses[epoch]);
        assert_true(fabs(w->rate_factor - factors[epoch]) < 1e-12);
    }
    store_close(&s);
}

static void without_values_only_keys_are_made(void **state)
{
    (void)state;
    struct store s;
    struct visits v;
    struct pm_task task = cluster;
    task.with_values = false;
    open_or_fail(&s, SMALL, &task);
    start_visits(&v, &s);
    store_epoch(&s, 0, 3);
    assert_true(v.keys > 6000 && s.loss == 0);
    end_visits(&v);
    store_close(&s);
}

/* The file from the archive, unpacked for this test; NULL when there is no archive, or nothing that unpacks
 * it. */
static const char *movielens_file(int slot, const char *name)
{
    static const char archive[] = "../shared/data/ml-100k.tar.xz";
    if (access(archive, R_OK) != 0)
        return NULL;
    char command[256];
    snprintf(command, sizeof command, "tar xJOf %s ml-100k/%s", archive, name);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char *text = malloc(1 << 23);
    size_t length = fread(text, 1, 1 << 23, pipe);
    const char *path = pclose(pipe) == 0 ? store_file(slot, name, text, length) : NULL;
    free(text);
    return path;
}

static void movielens(const char *options, const struct pm_task *task, double *found)
{
    char specification[1300];
    const char *train = movielens_file(0, "u1.base"), *test = movielens_file(1, "u1.test");
    snprintf(specification, sizeof specification, "mf:train=%s,test=%s,%s", train, test, options);
    struct store s;
    open_or_fail(&s, specification, task);
    unlink(train);
    unlink(test);
    for (uint32_t epoch = 0; epoch < 12; epoch++)
        store_epoch(&s, epoch, 0);
    *found = rmse(&s);
    print_message("MovieLens-100K u1, %s, %u workers: test RMSE %.4f\n", options, s.ranks, *found);
    store_close(&s);
}

static void movielens_reaches_its_target(void **state)
{
    (void)state;
    if (movielens_file(0, "u1.base") == NULL || movielens_file(1, "u1.test") == NULL) {
        print_message("SKIPPED: there is no ../shared/data/ml-100k.tar.xz that can be unpacked\n");
        skip();
    }
    struct pm_task one = {.nodes = 1, .workers = 1, .epochs = 12, .seed = 1, .with_values = true};
    struct pm_task eight = {.nodes = 4, .workers = 2, .epochs = 12, .seed = 1, .with_values = true};
    static const char *const options[] = {"rank=20", "rank=20,bias=1", "rank=20,bias=1,order=blocks"};
    for (size_t i = 0; i < 3; i++) {
        double alone, together;
        movielens(options[i], &one, &alone);
        movielens(options[i], &eight, &together);
        assert_true(alone <= 0.95 && fabs(alone - together) < 0.01);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(values_have_the_stated_length),
        cmocka_unit_test(initial_values_depend_on_key_and_seed_alone),
        cmocka_unit_test(ratings_are_held_out),
        cmocka_unit_test(cells_are_divided_among_the_workers),
        cmocka_unit_test(work_is_balanced),
        cmocka_unit_test(blocks_rotate),
        cmocka_unit_test(streams_do_not_depend_on_look_ahead),
        cmocka_unit_test(cells_given_twice_are_in_different_batches),
        cmocka_unit_test(rmse_of_a_small_case),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(the_bold_driver_follows_the_loss),
        cmocka_unit_test(without_values_only_keys_are_made),
        cmocka_unit_test(movielens_reaches_its_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
