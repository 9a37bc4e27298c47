/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Knowledge graph embeddings trained by the core, on the in-memory network: under every policy, in part, and without values; their
 * evaluation against plain loops and against cases computed by hand; checkpoints and exports. */
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

#include "core/node.h"
#include "core/registry.h"
#include "core/rng.h"
#include "core/spec.h"
#include "memnet/memnet.h"
#include "tests/testload.h"
#include "tests/workload_store.h"
#include "workloads/kge.h"

extern const struct pm_workload pm_workload_kge;

#define DATA "kge:entities=200,relations=4,triples=4000,test_triples=100,clusters=10,dim=16,rate=0.1,accumulator=0.01,batch=8,"

enum { METRICS = 5 }; /* mrr, hits_at_1, hits_at_3, hits_at_10, mean_rank */

struct outcome {
    uint32_t evaluations;
    double metrics[METRICS], loss; /* the last */
    uint64_t steps;                /* of the last epoch */
};

static void take_record(void *arg, const struct pm_record *record)
{
    static const char *const names[METRICS] = {"mrr", "hits_at_1", "hits_at_3", "hits_at_10", "mean_rank"};
    struct outcome *o = arg;
    if (record->kind == PM_RECORD_EPOCH) {
        o->loss = record->u.epoch.loss;
        o->steps = record->u.epoch.steps;
    } else if (record->kind == PM_RECORD_QUALITY) {
        assert_string_equal(record->u.quality.metric, names[o->evaluations % METRICS]);
        o->metrics[o->evaluations++ % METRICS] = record->u.quality.value;
    }
}

struct plan {
    const char *policy, *specification, *options; /* options: of the policy */
    uint32_t nodes, workers, epochs;
    double fraction;
    bool without_values;
};

static const struct pm_policy *find(const char *name)
{
    for (const struct pm_policy *const *policy = pm_registry_policies; *policy != NULL; policy++)
        if (strcmp((*policy)->name, name) == 0)
            return *policy;
    fail_msg("there is no policy %s", name);
    return NULL;
}

/* Trains with seed 1; fails the test when the run fails. */
static struct outcome train(const struct plan *plan)
{
    struct testjob t;
    struct testload_shape shape = {.keys = 1, .length = 1};
    struct pm_error err = {0};
    struct pm_spec spec;
    struct pm_values options;
    struct outcome o = {0};
    assert_int_equal(testjob_init(&t, find(plan->policy), plan->options ? plan->options : "", &shape, &err), PM_OK);
    if (pm_spec_parse(plan->specification, &spec, &err) != PM_OK ||
        pm_spec_apply(&spec, pm_workload_kge.options, pm_workload_kge.presets, &options, &err) != PM_OK)
        fail_msg("%s", err.text);
    testjob_cluster(&t, plan->nodes, plan->workers);
    t.job.workload = &pm_workload_kge;
    t.job.workload_options = &options;
    t.job.epochs = plan->epochs;
    t.job.epoch_fraction = plan->fraction > 0 ? plan->fraction : 1;
    t.job.with_values = !plan->without_values;
    t.job.main = pm_train_worker;
    t.job.report = take_record;
    t.job.report_arg = &o;
    struct memnet_config config = {.seed = 1, .postpone_percent = 10};
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s, %s: %s", plan->policy, plan->specification, err.text);
    pm_spec_free(&spec);
    pm_values_free(&options);
    testjob_free(&t);
    return o;
}

/* ---- Policies ---- */

static void every_policy_learns_in_both_partitions(void **state)
{
    (void)state;
    struct plan plan = {.policy = "single", .specification = DATA "noise=0", .nodes = 1, .workers = 2, .epochs = 8};
    double alone = train(&plan).metrics[0];
    plan.nodes = 3;
    for (const struct pm_policy *const *policy = pm_registry_policies; *policy != NULL; policy++) {
        plan.policy = (*policy)->name;
        plan.specification = DATA "noise=0";
        double random = train(&plan).metrics[0];
        plan.specification = DATA "noise=0,partition=relations";
        double relations = train(&plan).metrics[0];
        print_message("%s: MRR random %.4f, relations %.4f; single %.4f\n", plan.policy, random, relations, alone);
        assert_true(alone > 0.15 && random > 0.7 * alone && relations > 0.7 * alone);
    }
}

static void models_and_losses_learn(void **state)
{
    (void)state;
    static const char *const cases[] = {DATA "noise=0,model=rescal", DATA "noise=0,model=rescal,update=score,batch=1",
                                        DATA "noise=0,update=score,batch=1", DATA "noise=0,loss=softmax,shared=1,negatives=20"};
    struct plan plan = {.policy = "lapse", .nodes = 2, .workers = 2, .epochs = 8};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char specification[300];
        snprintf(specification, sizeof specification, "%s", cases[i]);
        char *twice = strstr(specification, "batch=8,"); /* an option must not be given twice */
        if (strstr(twice + 8, "batch=") != NULL)
            memmove(twice, twice + 8, strlen(twice + 8) + 1);
        plan.specification = specification;
        double mrr = train(&plan).metrics[0];
        print_message("%s: MRR %.4f\n", specification, mrr);
        assert_true(mrr > 0.12);
    }
}

static void a_part_of_an_epoch_and_keys_alone(void **state)
{
    (void)state;
    struct plan plan = {.policy = "classic", .specification = DATA "noise=0", .nodes = 2, .workers = 2, .epochs = 1};
    uint64_t steps = train(&plan).steps;
    assert_int_equal(steps, 4 * 125);
    plan.without_values = true;
    struct outcome o = train(&plan);
    assert_true(o.evaluations == 0 && o.loss == 0 && o.steps == steps);
    plan.fraction = 0.2;
    assert_int_equal(train(&plan).steps, 4 * 25);
}

/* ---- Evaluation ---- */

static void equal_scores_give_the_mean_rank(void **state)
{
    (void)state;
    static const char train_text[] = "a\tr\tb\na\tr\tc\nb\tr\td\ne\tq\ta\n", test_text[] = "a\tr\td\r\n";
    char specification[600];
    snprintf(specification, sizeof specification, "kge:init=0,dim=4,train=%s,test=%s",
             store_file(0, "train", train_text, sizeof train_text - 1), store_file(1, "test", test_text, sizeof test_text - 1));
    struct plan plan = {.policy = "classic", .specification = specification, .nodes = 2, .workers = 2, .epochs = 1};
    struct outcome o = train(&plan);
    /* Five entities. Objects of (a, r): b and c are known, so d is among d, a, e: rank 2. Subjects of (r, d): b is known, so a is
     * among a, c, d, e: rank 2.5. */
    assert_true(fabs(o.metrics[0] - (1 / 2.0 + 1 / 2.5) / 2) < 1e-12);
    assert_true(o.metrics[1] == 0 && o.metrics[2] == 1 && o.metrics[3] == 1 && o.metrics[4] == 2.25);
}

/* A checkpoint with these embeddings of 1 float each, entities before relations. */
static void write_checkpoint(const char *path, const char *checkpoint_of, const float *embeddings, size_t n)
{
    struct kge_header header;
    FILE *file = fopen(checkpoint_of, "r");
    assert_non_null(file);
    assert_int_equal(fread(&header, sizeof header, 1, file), 1);
    fclose(file);
    file = fopen(path, "w");
    assert_non_null(file);
    fwrite(&header, sizeof header, 1, file);
    for (size_t i = 0; i < n; i++)
        fwrite((float[]){embeddings[i], 1}, sizeof(float), 2, file);
    assert_int_equal(fclose(file), 0);
}

static void ranks_against_a_case_computed_by_hand(void **state)
{
    (void)state;
    static const char train_text[] = "a\tr\tb\nc\tr\td\na\tr\te\n", test_text[] = "b\tr\tc\na\tr\td\n";
    char specification[2000], paths[2][300];
    snprintf(paths[0], sizeof paths[0], "%s", store_file(2, "checkpoint", "", 0));
    snprintf(paths[1], sizeof paths[1], "%s", store_file(3, "by-hand", "", 0));
    const char *train_path = store_file(0, "train", train_text, sizeof train_text - 1);
    const char *test_path = store_file(1, "test", test_text, sizeof test_text - 1);
    struct plan plan = {.policy = "single", .specification = specification, .nodes = 1, .workers = 2, .epochs = 1};
    snprintf(specification, sizeof specification, "kge:model=distmult,dim=1,train=%s,test=%s,checkpoint=%s", train_path, test_path,
             paths[0]);
    train(&plan);
    /* Scores are products. Of b with a, b, c, d, e: 2, 4, 1, 2, 3, so c has rank 5. Of them with c: 0.5, 1, 0.25, 0.5, 0.75, so b
     * has rank 1. Of a with them, the known b and e left out: 1, 0.5, 1, so d shares the first rank with a: 1.5. Of them with d,
     * the known c left out: 1, 2, 1, 1.5, so a shares the third rank with d: 3.5. */
    write_checkpoint(paths[1], paths[0], (float[]){1, 2, 0.5f, 1, 1.5f, 1}, 6);
    snprintf(specification, sizeof specification, "kge:model=distmult,dim=1,rate=1e-12,train=%s,test=%s,resume=%s", train_path,
             test_path, paths[1]);
    struct outcome o = train(&plan);
    assert_true(fabs(o.metrics[0] - (1 / 5.0 + 1 + 1 / 1.5 + 1 / 3.5) / 4) < 1e-12);
    assert_true(o.metrics[1] == 0.25 && o.metrics[2] == 0.5 && o.metrics[3] == 1 && o.metrics[4] == 2.75);
    unlink(paths[0]);
    unlink(paths[1]);
}

/* ---- Files ---- */

struct loaded {
    struct kge_header header;
    float *values;
};

static struct loaded load(const char *path)
{
    struct loaded x;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(&x.header, sizeof x.header, 1, file), 1);
    size_t rows = x.header.n_entities + x.header.n_relations * (x.header.model == KGE_RESCAL ? x.header.dims : 1);
    size_t n = rows * 2 * x.header.dims;
    x.values = malloc(n * sizeof *x.values);
    assert_int_equal(fread(x.values, sizeof *x.values, n, file), n);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    return x;
}

/* An array of NumPy's must have this shape and hold the first halves of the values. */
static void expect_npy(const char *folder, const char *name, const char *shape, const float *values, size_t rows, uint32_t dims)
{
    char path[700], header[128], expected[128];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
    assert_memory_equal(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    snprintf(expected, sizeof expected, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    assert_memory_equal(header + 10, expected, strlen(expected));
    assert_true(header[127] == '\n');
    for (size_t i = 0; i < rows; i++) {
        float row[64];
        assert_int_equal(fread(row, sizeof *row, dims, file), dims);
        assert_memory_equal(row, values + i * 2 * dims, dims * sizeof *row);
    }
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

/* Line `number`, from 0, of a text export: "NAME TAB NUMBER NUMBER ..." */
static void expect_line(const char *folder, const char *kind, int number, const char *name, const float *values, size_t rows,
                        uint32_t dims)
{
    char path[700], line[4000];
    snprintf(path, sizeof path, "%s/%s.txt", folder, kind);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int i = 0; i <= number; i++)
        assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_true(strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == '\t');
    const char *at = line + strlen(name);
    for (size_t i = 0; i < rows * dims; i++) {
        char *end;
        float x = strtof(at, &end);
        assert_true(end != at && x == values[i / dims * 2 * dims + i % dims]);
        at = end;
    }
    assert_string_equal(at, "\n");
}

static void exports_hold_the_model(void **state)
{
    (void)state;
    static const char train_text[] = "a\tr\tb b\nc\tq\ta\na\tq\tb b\n", test_text[] = "c\tr\ta\n";
    char specification[3000], folder[320], checkpoint[300], path[700];
    snprintf(checkpoint, sizeof checkpoint, "%s", store_file(2, "checkpoint", "", 0));
    snprintf(folder, sizeof folder, "%s-exported", checkpoint);
    for (int rescal = 0; rescal < 2; rescal++) {
        snprintf(specification, sizeof specification, "kge:model=%s,dim=3,train=%s,test=%s,checkpoint=%s,export=%s",
                 rescal ? "rescal" : "distmult", store_file(0, "train", train_text, sizeof train_text - 1),
                 store_file(1, "test", test_text, sizeof test_text - 1), checkpoint, folder);
        struct plan plan = {.policy = "classic", .specification = specification, .nodes = 2, .workers = 1, .epochs = 2};
        train(&plan);
        struct loaded x = load(checkpoint);
        assert_true(x.header.n_entities == 3 && x.header.n_relations == 2 && x.header.epochs == 2 && x.header.dims == 3);
        const float *relations = x.values + 3 * 6;
        expect_npy(folder, "entities", "3, 3", x.values, 3, 3);
        expect_npy(folder, "relations", rescal ? "2, 3, 3" : "2, 3", relations, rescal ? 6 : 2, 3);
        expect_line(folder, "entities", 1, "b b", x.values + 6, 1, 3);
        expect_line(folder, "relations", 1, "q", relations + (rescal ? 18 : 6), rescal ? 3 : 1, 3);
        free(x.values);
    }
    static const char *const files[] = {"entities.npy", "entities.txt", "relations.npy", "relations.txt"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0); /* nothing unfinished is left */
    unlink(checkpoint);
}

static double score_of(const float *s, const float *r, const float *o, uint32_t dims)
{
    double sum = 0;
    for (uint32_t i = 0, half = dims / 2; i < half; i++) {
        double s_re = (double)s[i], s_im = (double)s[half + i], r_re = (double)r[i], r_im = (double)r[half + i];
        sum += (s_re * r_re - s_im * r_im) * (double)o[i] + (s_re * r_im + s_im * r_re) * (double)o[half + i];
    }
    return sum;
}

static bool is_known(const struct graph *g, struct triple t)
{
    for (uint64_t i = 0; i < g->n; i++)
        if (g->triples[i].s == t.s && g->triples[i].r == t.r && g->triples[i].o == t.o)
            return true;
    return false;
}

static double rank_of(const struct graph *g, const struct loaded *x, struct triple t, bool tails)
{
    uint32_t dims = x->header.dims, length = 2 * dims;
    const float *r = x->values + (g->n_entities + t.r) * length;
    double own = score_of(x->values + t.s * length, r, x->values + t.o * length, dims), rank = 1;
    for (uint32_t e = 0; e < g->n_entities; e++) {
        struct triple other = {tails ? t.s : e, t.r, tails ? e : t.o};
        if (!is_known(g, other))
            rank += score_of(x->values + other.s * length, r, x->values + other.o * length, dims) > own;
    }
    return rank;
}

/* With steps that vanish, gradients do not depend on the order of updates: whoever applies each of them once comes to the same sums
 * of squares but for rounding, value by value. */
static void every_policy_applies_every_update_once(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *options;
    } cases[] = {{"classic", ""},
                 {"classic", "fast_local=0"},
                 {"kv", ""},
                 {"stale", ""},
                 {"lapse", ""},
                 {"full", ""},
                 {"full", "exchange=allreduce"},
                 {"nups", "replicate=40,sampling=independent"},
                 {"nups", "replicate=40,sampling=prelocalize"},
                 {"adaps", "sampling=independent"}};
    char specification[600], path[300];
    struct loaded first = {0};
    snprintf(path, sizeof path, "%s", store_file(0, "checkpoint", "", 0));
    snprintf(specification, sizeof specification,
             "kge:entities=200,relations=4,triples=2000,test_triples=20,clusters=10,dim=16,rate=1e-7,accumulator=1,init=0.5,"
             "checkpoint=%s",
             path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = {.policy = cases[i].policy, .specification = specification, .options = cases[i].options};
        plan.nodes = plan.workers = 2;
        plan.epochs = 1;
        train(&plan);
        struct loaded x = load(path);
        float most = 0;
        for (size_t k = 0; i > 0 && k < 204 * 32; k++) {
            float off = k % 32 >= 16 ? fabsf(x.values[k] - first.values[k]) : 0;
            most = fmaxf(most, off);
            if (off > 1e-4f * fabsf(first.values[k]))
                fail_msg("%s:%s: key %zu, place %zu is %.8g, not %.8g", cases[i].policy, cases[i].options, k / 32, k % 32,
                         (double)x.values[k], (double)first.values[k]);
        }
        print_message("%s:%s: off by at most %.2g\n", cases[i].policy, cases[i].options, (double)most);
        if (i > 0)
            free(x.values);
        else
            first = x;
    }
    free(first.values);
    unlink(path);
}

/* A graph that is more than one chunk of entities, and of which every worker ranks a part. */
static void metrics_against_plain_loops(void **state)
{
    (void)state;
    char specification[600], checkpoint[300];
    snprintf(checkpoint, sizeof checkpoint, "%s", store_file(0, "checkpoint", "", 0));
    snprintf(specification, sizeof specification,
             "kge:entities=1200,relations=4,triples=4000,test_triples=97,valid_triples=50,clusters=10,dim=10,batch=8,measure=valid,"
             "checkpoint=%s",
             checkpoint);
    struct plan plan = {.policy = "lapse", .specification = specification, .nodes = 2, .workers = 2, .epochs = 3};
    struct outcome o = train(&plan);
    struct loaded x = load(checkpoint);
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 1, .seed = 1, .with_values = true};
    struct store s;
    assert_int_equal(store_open(&s, &pm_workload_kge, specification, &task, NULL), PM_OK);
    const struct graph *g = &((const struct kge_state *)s.state)->graph;
    double sums[METRICS] = {0};
    for (uint64_t i = g->ends[GRAPH_TRAIN]; i < g->ends[GRAPH_VALID]; i++)
        for (int tails = 0; tails < 2; tails++) {
            double rank = rank_of(g, &x, g->triples[i], tails);
            sums[0] += 1 / rank;
            sums[1] += rank <= 1;
            sums[2] += rank <= 3;
            sums[3] += rank <= 10;
            sums[4] += rank;
        }
    for (int k = 0; k < METRICS; k++)
        assert_true(fabs(o.metrics[k] - sums[k] / 100) < (k == 4 ? 0.05 : 1e-3)); /* two scores may be equal but for rounding */
    store_close(&s);
    free(x.values);
    unlink(checkpoint);
}

static void training_goes_on_from_a_checkpoint(void **state)
{
    (void)state;
    char specification[900], checkpoint[300], bad[300];
    snprintf(checkpoint, sizeof checkpoint, "%s", store_file(0, "checkpoint", "", 0));
    snprintf(bad, sizeof bad, "%s", store_file(1, "bad", "pmlabkg", 7));
    snprintf(specification, sizeof specification, DATA "noise=0,checkpoint=%s", checkpoint);
    struct plan plan = {.policy = "classic", .specification = specification, .nodes = 2, .workers = 1, .epochs = 4};
    struct outcome before = train(&plan);
    snprintf(specification, sizeof specification,
             "kge:entities=200,relations=4,triples=4000,test_triples=100,clusters=10,dim=16,"
             "batch=8,noise=0,rate=1e-9,resume=%s",
             checkpoint);
    plan.epochs = 1;
    struct outcome after = train(&plan);
    assert_true(fabs(before.metrics[0] - after.metrics[0]) < 1e-3);
    snprintf(specification, sizeof specification, DATA "noise=0,resume=%s,checkpoint=%s", checkpoint, checkpoint);
    plan.epochs = 3;
    after = train(&plan);
    assert_true(after.loss < before.loss);
    struct loaded x = load(checkpoint);
    assert_int_equal(x.header.epochs, 7);
    free(x.values);
    static const char *const others[] = {"dim=18", "dim=16,model=distmult", "dim=16,noise=0.5"};
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 1, .seed = 1, .with_values = true};
    for (int i = 0; i < 5; i++) {
        struct store s;
        struct pm_error err = {0};
        if (i == 4)
            assert_int_equal(truncate(checkpoint, 5000), 0);
        snprintf(specification, sizeof specification,
                 "kge:entities=200,relations=4,triples=4000,test_triples=100,clusters=10,%s,resume=%s",
                 i < 3 ? others[i] : "dim=16,noise=0", i == 3 ? bad : checkpoint);
        assert_int_equal(store_open(&s, &pm_workload_kge, specification, &task, &err), PM_E_FILE);
        if (strstr(err.text, i == 3   ? ": byte 0: not a checkpoint of kge"
                             : i == 4 ? ": byte 5000: the file ends here, a checkpoint of"
                                      : ": byte 8: a checkpoint of another model") == NULL)
            fail_msg("%d: %s", i, err.text);
    }
    unlink(checkpoint);
    unlink(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_policy_learns_in_both_partitions),
        cmocka_unit_test(models_and_losses_learn),
        cmocka_unit_test(a_part_of_an_epoch_and_keys_alone),
        cmocka_unit_test(equal_scores_give_the_mean_rank),
        cmocka_unit_test(ranks_against_a_case_computed_by_hand),
        cmocka_unit_test(exports_hold_the_model),
        cmocka_unit_test(every_policy_applies_every_update_once),
        cmocka_unit_test(metrics_against_plain_loops),
        cmocka_unit_test(training_goes_on_from_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
