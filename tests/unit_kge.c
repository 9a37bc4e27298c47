/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Knowledge graph embeddings without a cluster: options, division of the work, streams, gradients, known triples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "tests/damage.h"
#include "tests/repeat.h"
#include "tests/workload_store.h"
#include "workloads/kge.h"

extern const struct pm_workload pm_workload_kge;

#define SMALL "entities=300,relations=11,triples=3000,clusters=10,test_triples=100"

static const struct pm_task cluster = {.nodes = 3, .workers = 2, .epochs = 1, .seed = 5, .with_values = true};
static const struct pm_task alone = {.nodes = 1, .workers = 1, .epochs = 1, .seed = 5, .with_values = true};

static void open_or_fail(struct store *s, const char *specification, const struct pm_task *task)
{
    struct pm_error err = {0};
    if (store_open(s, &pm_workload_kge, specification, task, &err) != PM_OK)
        fail_msg("%s: %s", specification, err.text);
}

/* ---- Options ---- */

static void expect_refusal(const char *specification, const struct pm_task *task, const char *words)
{
    struct store s;
    struct pm_error err = {0};
    assert_true(store_open(&s, &pm_workload_kge, specification, task, &err) < 0);
    if (strstr(err.text, words) == NULL)
        fail_msg("%s: \"%s\" lacks \"%s\"", specification, err.text, words);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"kge:test=x", "test= without train="},
        {"kge:valid=x", "valid= without train="},
        {"kge:train=x,triples=5", "triples= is for generated triples (allowed: without train=)"},
        {"kge:train=x,test=y,measure=valid", "measure=valid without valid="},
        {"kge:train=no/such/file", "no/such/file: cannot be opened"},
        {"kge:dim=7", "dim=7 with model=complex (allowed: even numbers"},
        {"kge:update=score,batch=2", "update=score takes one triple at a time"},
        {"kge:update=score,loss=softmax", "update=score takes one triple at a time"},
        {"kge:negatives=60000,batch=10", "1200000 negatives per batch (allowed: at most 1048576"},
        {"kge:entities=3,relations=1,triples=100", "do not fit"},
        {"kge:model=transe", "transe"},
        {"kge:value_bytes=8", "value_bytes=8 counts sizes alone, as do presets that have it (allowed: --values none, or"},
        {"kge:preset=wikidata5m", "value_bytes=8"},
        {"kge:preset=wikidata", "wikidata5m"},
        {"kge:resume=no/such/file", "no/such/file: cannot be opened"},
        {"kge:export=/dev/null/x", "/dev/null/x: cannot be made a folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refusal(cases[i][0], &cluster, cases[i][1]);
    struct pm_task none = cluster;
    none.with_values = false;
    expect_refusal("kge:export=x", &none, "export= needs values");
    expect_refusal("kge:checkpoint=x", &none, "checkpoint= needs values");
    expect_refusal("kge:resume=x", &none, "resume= needs values");
}

static void keys_and_lengths_are_those_of_the_models(void **state)
{
    (void)state;
    static const struct {
        const char *specification;
        uint64_t relation_keys;
    } cases[] = {
        {"kge:model=complex,dim=8," SMALL, 11}, {"kge:model=distmult,dim=8," SMALL, 11}, {"kge:model=rescal,dim=8," SMALL, 88}};
    for (int i = 0; i < 3; i++) {
        struct store s;
        open_or_fail(&s, cases[i].specification, &alone);
        assert_int_equal(s.model.layout.n_keys, 300 + cases[i].relation_keys);
        assert_int_equal(s.model.layout.length_uniform, 16);
        for (uint64_t k = 0; k < s.model.layout.n_floats; k++)
            assert_true(k % 16 < 8 ? fabsf(s.values[k]) < 0.1f * 1.74f : s.values[k] == 1e-6f);
        store_close(&s);
    }
}

/* Doubles are two floats long each, of entities and of all rows of relations; nothing is computed otherwise. */
static void numbers_of_eight_bytes_count_twice(void **state)
{
    (void)state;
    struct pm_task none = alone;
    none.with_values = false;
    struct store s;
    for (int i = 0; i < 2; i++) {
        open_or_fail(&s, i == 0 ? "kge:model=rescal,dim=8," SMALL : "kge:model=rescal,dim=8,value_bytes=8," SMALL, &none);
        assert_int_equal(s.model.layout.n_keys, 388);
        assert_int_equal(s.model.layout.length_uniform, i == 0 ? 16 : 32);
        struct pm_batch batch = {.n_keys = 10, .n_samples = 12, .item = &(struct kge_item){.n_triples = 1}};
        assert_true(pm_workload_kge.flops(s.state, &batch) == 8 * (13.0 * 6 + 6 * 16 + 9 * 22) + 20 * 13);
        store_close(&s);
    }
}

/* What is given beside a preset counts, and what the preset says of the rest. */
static void presets_fill_what_is_not_given(void **state)
{
    (void)state;
    struct store s;
    struct pm_task none = alone;
    none.with_values = false;
    open_or_fail(&s, "kge:preset=wikidata5m,entities=500,triples=1000,relations=5,dim=10", &none);
    const struct kge_state *k = s.state;
    assert_true(k->graph.n_entities == 500 && k->dims == 10 && k->negatives == 100 && k->stepwise);
    assert_true(k->rate == 0.1869f && k->lambda_entity == 2.83e-10f && k->lambda_relation == 6.63e-6f);
    assert_int_equal(s.model.layout.length_uniform, 40);
    store_close(&s);
    open_or_fail(&s, "kge:preset=lapse-rescal,entities=500,triples=1000,dim=10", &none);
    assert_int_equal(s.model.layout.length_uniform, 40);
    store_close(&s);
    open_or_fail(&s, "kge:preset=wikidata5m,entities=500,triples=1000,relations=5,dim=10,value_bytes=4", &alone);
    assert_int_equal(s.model.layout.length_uniform, 20);
    store_close(&s);
}

/* ---- Division and streams ---- */

struct seen {
    const struct kge_state *s;
    struct store *store;
    uint32_t *times; /* per entity pair and relation: here per training triple */
    uint64_t batches, direct, sampled, localized;
    uint32_t relation_ranks[16]; /* nodes that touch each relation, as bits */
    uint32_t localized_by[16];   /* and that localize it */
};

static void see(void *arg, uint32_t rank, const struct pm_batch *batch)
{
    struct seen *x = arg;
    const struct kge_item *item = batch->item;
    const struct kge_worker *w = store_worker_state(x->store, rank);
    x->batches++;
    x->direct += batch->n_keys;
    x->sampled += batch->n_samples;
    x->localized += batch->n_localize;
    for (uint32_t i = 0; i < batch->n_localize; i++)
        x->localized_by[(batch->localize[i] - x->s->graph.n_entities) / x->s->rows] |= 1u << rank / x->s->task.workers;
    for (uint32_t i = 0; i < item->n_triples; i++) {
        struct triple t = i == 0 ? item->triple : kge_triple_at(x->s, w, item->first + i);
        x->relation_ranks[t.r] |= 1u << rank / x->s->task.workers;
        uint64_t n = graph_size(&x->s->graph, GRAPH_TRAIN), at = 0;
        while (at < n && memcmp(&x->s->graph.triples[at], &t, sizeof t) != 0)
            at++;
        assert_true(at < n);
        x->times[at]++;
    }
}

static void every_triple_is_visited_once_per_epoch(void **state)
{
    (void)state;
    static const char *const cases[] = {"kge:partition=random,batch=1," SMALL, "kge:partition=random,batch=7," SMALL,
                                        "kge:partition=relations,batch=7," SMALL,
                                        "kge:partition=relations,update=score,model=rescal,dim=3,negatives=2," SMALL};
    struct pm_task none = cluster;
    none.with_values = false;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store s;
        open_or_fail(&s, cases[i], &none);
        struct seen x = {.s = s.state, .store = &s, .times = calloc(3000, sizeof *x.times)};
        s.visit = see;
        s.visit_arg = &x;
        for (uint32_t epoch = 0; epoch < 2; epoch++) {
            store_epoch(&s, epoch, epoch * 5);
            for (int k = 0; k < 3000; k++)
                assert_int_equal(x.times[k], epoch + 1);
        }
        free(x.times);
        store_close(&s);
    }
}

static int bits(uint32_t x)
{
    return __builtin_popcount(x);
}

static void relations_belong_to_one_node_but_at_the_limits(void **state)
{
    (void)state;
    struct store s;
    open_or_fail(&s, "kge:partition=relations,model=rescal,dim=4," SMALL, &cluster);
    struct seen x = {.s = s.state, .store = &s, .times = calloc(3000, sizeof *x.times)};
    s.visit = see;
    s.visit_arg = &x;
    store_epoch(&s, 0, 3);
    int shared = 0;
    for (int r = 0; r < 11; r++) {
        shared += bits(x.relation_ranks[r]) - 1;
        assert_true(bits(x.localized_by[r]) == 1 && (x.localized_by[r] & x.relation_ranks[r]) != 0);
    }
    assert_in_range(shared, 0, 2); /* three nodes have two limits */
    assert_int_equal(x.localized, 11 * 4);
    store_epoch(&s, 1, 3);
    assert_int_equal(x.localized, 11 * 4);
    free(x.times);
    store_close(&s);
}

/* As published: 3 keys for the triple and for each of 200 negatives, a third of them sampled. */
static void one_step_per_score_pulls_its_own_keys(void **state)
{
    (void)state;
    struct store s;
    struct pm_task none = alone;
    none.with_values = false;
    open_or_fail(&s, "kge:preset=wikidata5m,dim=4," SMALL, &none);
    struct seen x = {.s = s.state, .store = &s, .times = calloc(3000, sizeof *x.times)};
    s.visit = see;
    s.visit_arg = &x;
    store_epoch(&s, 0, 0);
    assert_int_equal(x.batches, 3000);
    assert_int_equal(x.direct + x.sampled, 603 * 3000);
    assert_int_equal(x.sampled, 200 * 3000);
    free(x.times);
    store_close(&s);
}

/* ---- Gradients ---- */

enum { STEP_TRIPLES = 5 };

/* One batch of one worker, with its samples and all values in double precision. */
struct batch_fixture {
    struct store store;
    const struct kge_state *s;
    struct kge_worker *w;
    struct pm_batch batch;
    struct pm_step step;
    struct triple triples[STEP_TRIPLES];
    uint32_t n_triples;
    pm_key *samples;
    double *values;
};

static size_t place(const struct batch_fixture *f, pm_key key)
{
    return key * f->s->length;
}

static double score(const struct batch_fixture *f, pm_key subject, uint32_t relation, pm_key object)
{
    const double *s = f->values + place(f, subject), *o = f->values + place(f, object);
    const double *r = f->values + place(f, kge_relation_key(f->s, relation));
    uint32_t dims = f->s->dims, half = dims / 2;
    double sum = 0;
    for (uint32_t i = 0; i < dims; i++) {
        if (f->s->model == KGE_DISTMULT)
            sum += s[i] * r[i] * o[i];
        for (uint32_t k = 0; f->s->model == KGE_RESCAL && k < dims; k++)
            sum += s[i] * r[i * f->s->length + k] * o[k];
        if (f->s->model == KGE_COMPLEX && i < half)
            sum += (s[i] * r[i] - s[half + i] * r[half + i]) * o[i] + (s[i] * r[half + i] + s[half + i] * r[i]) * o[half + i];
    }
    return sum;
}

static double penalty(const struct batch_fixture *f, pm_key key, double lambda)
{
    const double *x = f->values + place(f, key);
    uint32_t dims = f->s->dims, half = dims / 2;
    double sum = 0;
    for (uint32_t i = 0; i < dims; i++) {
        if (f->s->norm == KGE_L2)
            sum += x[i] * x[i] / 2;
        else if (f->s->model != KGE_COMPLEX)
            sum += pow(fabs(x[i]), 3);
        else if (i < half)
            sum += pow(hypot(x[i], x[half + i]), 3);
    }
    return lambda * sum;
}

static double penalties(const struct batch_fixture *f, struct triple t)
{
    double le = (double)f->s->lambda_entity, lr = (double)f->s->lambda_relation;
    double sum = penalty(f, t.s, le) + penalty(f, t.o, le);
    for (uint32_t row = 0; row < f->s->rows; row++)
        sum += penalty(f, kge_relation_key(f->s, t.r) + row, lr);
    return sum;
}

/* The scores of one side of one triple: negatives that make the triple itself are left out. */
static double side_loss(const struct batch_fixture *f, struct triple t, const pm_key *negatives, bool tails)
{
    double own = score(f, t.s, t.r, t.o), sum = f->s->loss == KGE_SOFTMAX ? exp(own) : 0;
    for (uint32_t j = 0; j < f->s->negatives; j++) {
        pm_key s = tails ? t.s : negatives[j], o = tails ? negatives[j] : t.o;
        if (s == t.s && o == t.o)
            continue;
        double x = score(f, s, t.r, o);
        sum += f->s->loss == KGE_SOFTMAX ? exp(x) : log1p(exp(x));
    }
    return f->s->loss == KGE_SOFTMAX ? log(sum) - own : sum;
}

static double total_loss(const struct batch_fixture *f, bool with_penalties)
{
    double sum = 0;
    for (uint32_t i = 0; i < f->n_triples; i++) {
        struct triple t = f->triples[i];
        const pm_key *negatives = f->samples + (f->s->shared ? 0 : 2 * f->s->negatives * i);
        sum += side_loss(f, t, negatives, true) + side_loss(f, t, negatives + f->s->negatives, false);
        sum += f->s->loss == KGE_LOGISTIC ? log1p(exp(-score(f, t.s, t.r, t.o))) : 0;
        sum += with_penalties ? penalties(f, t) : 0;
    }
    return sum;
}

static float *gather(struct store *s, const pm_key *keys, uint32_t n)
{
    uint32_t length = s->model.layout.length_uniform;
    float *values = malloc((size_t)n * length * sizeof *values);
    for (uint32_t i = 0; i < n; i++)
        memcpy(values + (size_t)i * length, s->values + keys[i] * length, length * sizeof *values);
    return values;
}

static void compute_one_batch(struct batch_fixture *f, const char *specification)
{
    struct pm_rng rng;
    memset(f, 0, sizeof *f);
    open_or_fail(&f->store, specification, &alone);
    f->s = f->store.state;
    f->w = store_worker_state(&f->store, 0);
    f->batch.item = calloc(1, pm_workload_kge.batch_bytes);
    pm_workload_kge.epoch_begin(f->s, f->w, 0);
    assert_int_equal(pm_workload_kge.next(f->s, f->w, &f->batch), PM_OK);
    const struct kge_item *item = f->batch.item;
    f->n_triples = item->n_triples;
    for (uint32_t i = 0; i < f->n_triples; i++)
        f->triples[i] = kge_triple_at(f->s, f->w, item->first + i);
    uint32_t n_samples = f->batch.n_samples, n = f->batch.n_keys + n_samples;
    f->samples = malloc(n_samples * sizeof *f->samples);
    pm_rng_init(&rng, "unit_kge", 1, 0, 0);
    for (uint32_t i = 0; i < n_samples; i++)
        f->samples[i] = pm_rng_below(&rng, f->s->graph.n_entities);
    f->samples[0] = f->triples[0].o; /* no negative at all */
    if (f->s->negatives > 1)
        f->samples[1] = f->triples[0].s; /* also a direct key */
    f->values = malloc(f->store.model.layout.n_floats * sizeof *f->values);
    for (uint64_t i = 0; i < f->store.model.layout.n_floats; i++)
        f->values[i] = (double)f->store.values[i];
    f->step = (struct pm_step){.batch = &f->batch,
                               .samples = f->samples,
                               .values = gather(&f->store, f->batch.keys, f->batch.n_keys),
                               .sample_values = gather(&f->store, f->samples, n_samples),
                               .push_keys = malloc(n * sizeof(pm_key)),
                               .updates = malloc((size_t)n * f->s->length * sizeof(float))};
    pm_workload_kge.compute(f->s, f->w, &f->step);
    assert_int_equal(f->step.n_push, n);
}

static void free_batch(struct batch_fixture *f)
{
    free((void *)f->step.values);
    free((void *)f->step.sample_values);
    free(f->step.push_keys);
    free(f->step.updates);
    free(f->samples);
    free(f->values);
    free(f->batch.keys);
    free(f->batch.localize);
    free(f->batch.item);
    store_close(&f->store);
}

/* With huge sums of squares AdaGrad's steps are gradients times rate / root of the sums, here `step`. */
static void check_gradients(const char *options, double step)
{
    char specification[500];
    struct batch_fixture f;
    snprintf(specification, sizeof specification,
             "kge:entities=40,relations=3,triples=60,clusters=4,test_triples=5,valid_triples=5,init=0.7,negatives=4,"
             "accumulator=1e12,rate=%g,%s",
             step * 1e6, options);
    compute_one_batch(&f, specification);
    double *gradient = calloc(f.store.model.layout.n_floats, sizeof *gradient), worst = 0;
    for (uint32_t i = 0; i < f.step.n_push; i++)
        for (uint32_t k = 0; k < f.s->dims; k++)
            gradient[place(&f, f.step.push_keys[i]) + k] -= (double)f.step.updates[(size_t)i * f.s->length + k] / step;
    for (pm_key key = 0; key < f.store.model.layout.n_keys; key++)
        for (uint32_t k = 0; k < f.s->dims; k++) {
            double *x = &f.values[place(&f, key) + k], old = *x, up, down;
            const double h = 1e-5;
            *x = old + h;
            up = total_loss(&f, true);
            *x = old - h;
            down = total_loss(&f, true);
            *x = old;
            worst = fmax(worst, fabs((up - down) / (2 * h) - gradient[place(&f, key) + k]));
        }
    if (!(worst < 2e-4))
        fail_msg("%s: gradients are off by up to %g", options, worst);
    double n = (double)graph_size(&f.s->graph, GRAPH_TRAIN);
    double losses = f.s->loss == KGE_LOGISTIC ? n * (1 + 2 * (double)f.s->negatives) : 2 * n;
    assert_true(fabs(f.step.loss * losses - total_loss(&f, false)) < 1e-4 * (1 + fabs(f.step.loss * losses)));
    free(gradient);
    free_batch(&f);
}

static void gradients_against_finite_differences(void **state)
{
    (void)state;
    static const char *const models[] = {"model=complex,dim=6", "model=complex,dim=20", "model=distmult,dim=5",
                                         "model=rescal,dim=5"};
    static const char *const ways[] = {
        "batch=1",
        "batch=5",
        "batch=5,loss=softmax",
        "batch=5,shared=1",
        "batch=5,shared=1,loss=softmax",
        "batch=1,loss=softmax,isa=baseline",
    };
    static const char *const norms[] = {"lambda_entity=0", "norm=l2,lambda_entity=0.3,lambda_relation=0.2",
                                        "norm=n3,lambda_entity=0.3,lambda_relation=0.2"};
    for (size_t m = 0; m < 4; m++)
        for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++)
            for (size_t norm = 0; norm < 3; norm++) {
                char options[200];
                snprintf(options, sizeof options, "%s,%s,%s", models[m], ways[way], norms[norm]);
                check_gradients(options, 1e-3);
                /* so small steps that each begins where the first one did */
                snprintf(options, sizeof options, "%s,update=score,%s", models[m], norms[norm]);
                check_gradients(options, 1e-6);
            }
}

/* update=score: the pushes of a batch are the way from the values as pulled to those after its steps, so that the loss falls more
 * surely than by one step. */
static void steps_of_a_batch_build_on_each_other(void **state)
{
    (void)state;
    struct batch_fixture f;
    compute_one_batch(&f, "kge:entities=40,relations=3,triples=60,clusters=4,model=distmult,dim=1,init=0.5,negatives=1,rate=0.1,"
                          "accumulator=0.01,update=score");
    const struct triple t = f.triples[0];
    double r = f.values[place(&f, kge_relation_key(f.s, t.r))], s = f.values[place(&f, t.s)], o = f.values[place(&f, t.o)];
    double other = f.values[place(&f, f.samples[1])], square[2] = {0.01, 0.01};
    assert_true(t.s != t.o);
    /* the triple itself, the negative object (the object itself, so left out), the negative subject */
    double g = 1 / (1 + exp(-s * r * o)) - 1, gr = g * s * o, go = g * s * r;
    square[0] += gr * gr;
    square[1] += go * go;
    double r1 = r - 0.1 * gr / sqrt(square[0]), o1 = o - 0.1 * go / sqrt(square[1]);
    g = 1 / (1 + exp(-other * r1 * o1));
    gr = g * other * o1;
    go = g * other * r1;
    double steps[2] = {-0.1 * gr / sqrt(square[0] + gr * gr), -0.1 * go / sqrt(square[1] + go * go)};
    /* keys: s r o, s r, r o, two samples */
    assert_int_equal(f.step.n_push, 9);
    assert_true(fabs((double)f.step.updates[5 * 2] - steps[0]) < 1e-5 && fabs((double)f.step.updates[6 * 2] - steps[1]) < 1e-5);
    assert_true(fabsf(f.step.updates[3 * 2]) < 1e-30f && fabsf(f.step.updates[7 * 2]) < 1e-30f);
    free_batch(&f);
}

/* ---- Known triples ---- */

static void known_candidates_are_found(void **state)
{
    (void)state;
    struct triple triples[] = {{0, 0, 1}, {0, 0, 2}, {0, 1, 3}, {4, 0, 1}, {0, 0, 2}, {0, 0, 5}, {2, 1, 3}};
    struct graph g = {.triples = triples, .n = 7, .ends = {4, 5, 7}, .n_entities = 6, .n_relations = 2};
    struct kge_filter tails, heads;
    uint32_t n;
    assert_int_equal(kge_filter_fill(&tails, &g, GRAPH_TEST, true), PM_OK);
    assert_int_equal(kge_filter_fill(&heads, &g, GRAPH_TEST, false), PM_OK);
    const uint32_t *known = kge_filter_find(&tails, triples[5], true, &n);
    assert_true(n == 3 && known[0] == 1 && known[1] == 2 && known[2] == 5);
    known = kge_filter_find(&heads, triples[5], false, &n);
    assert_true(n == 1 && known[0] == 0);
    known = kge_filter_find(&tails, triples[6], true, &n);
    assert_true(n == 1 && known[0] == 3);
    known = kge_filter_find(&heads, triples[6], false, &n);
    assert_true(n == 2 && known[0] == 0 && known[1] == 2);
    assert_null(kge_filter_find(&heads, triples[3], false, &n));
    assert_int_equal(n, 0);
    kge_filter_free(&tails);
    kge_filter_free(&heads);
}

/* ---- checkpoints ---- */

static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    struct kge_state *s = arg;
    FILE *file = damage_file(bytes, n);
    int rc = kge_resume_from(s, file, DAMAGE_PATH, err);
    fclose(file);
    for (uint64_t i = 0; i < 7 * s->length && rc == PM_OK; i++)
        assert_true(isfinite(s->resumed[i]) && (i % s->length < s->dims || s->resumed[i] >= 0));
    free(s->resumed);
    s->resumed = NULL;
    return rc;
}

struct checkpoint {
    struct kge_header header;
    float values[7][4];
};

/* Opens a workload, and makes a checkpoint of its model. */
static struct checkpoint begin_with_checkpoint(struct store *s)
{
    struct checkpoint c = {.header = {.magic = "pmlabkg1", .dims = 2, .epochs = 3, .n_entities = 5, .n_relations = 2}};
    for (int i = 0; i < 28; i++)
        c.values[i / 4][i % 4] = (i % 4 < 2 ? i % 3 - 1.0f : 2.0f) / 8;
    open_or_fail(s, "kge:entities=5,relations=2,triples=6,clusters=1,test_triples=1,valid_triples=1,dim=2", &alone);
    c.header.graph = kge_header(s->state, 0).graph;
    return c;
}

/* Reads n bytes; "" or how it is refused. */
static const char *read_checkpoint(struct store *s, const struct checkpoint *c, size_t n)
{
    static struct pm_error err;
    uint8_t bytes[sizeof *c + 1] = {0};
    memcpy(bytes, c, sizeof *c);
    err = (struct pm_error){0};
    int rc = read_damaged(s->state, bytes, n, &err);
    assert_int_equal(rc, err.code);
    return err.text;
}

static void checkpoints_are_checked(void **state)
{
    (void)state;
    struct store s;
    struct checkpoint good = begin_with_checkpoint(&s), bad = good;
    assert_string_equal(read_checkpoint(&s, &good, sizeof good), "");
    assert_int_equal(((struct kge_state *)s.state)->epochs_before, 3);
#define AT(byte) DAMAGE_PATH ": byte " #byte ": "
    static const char begins[] = AT(0) "not a checkpoint of kge (they begin with pmlabkg1; checkpoint=FILE writes one)";
    assert_string_equal(read_checkpoint(&s, &good, 0), begins);
    assert_string_equal(read_checkpoint(&s, &good, 7), begins);
    assert_string_equal(read_checkpoint(&s, &good, 47), AT(47) "the file ends here, within the head of a checkpoint");
    assert_string_equal(read_checkpoint(&s, &good, 150), AT(150) "the file ends here, a checkpoint of 160 bytes is expected");
    assert_string_equal(read_checkpoint(&s, &good, 161), AT(160) "bytes behind the last value");
    bad.header.graph++;
    assert_string_equal(read_checkpoint(&s, &bad, sizeof bad),
                        AT(8) "a checkpoint of another model or other training triples: dim=2, 5 entities, 2 relations "
                              "(here: dim=2, 5, 2)");
    bad = good;
    bad.values[1][3] = -1;
    static const char wrong[] = AT(76) "a value that is no finite number, or a sum of squares below 0";
    assert_string_equal(read_checkpoint(&s, &bad, sizeof bad), wrong);
    bad.values[1][3] = INFINITY;
    assert_string_equal(read_checkpoint(&s, &bad, sizeof bad), wrong);
#undef AT
    store_close(&s);
}

/* Read as finite values, or refused with the byte. */
static void damaged_checkpoints_are_read_or_refused(void **state)
{
    (void)state;
    struct store s;
    const struct checkpoint good = begin_with_checkpoint(&s);
    const struct damage_input input = {&good, sizeof good};
    const struct damage damage = {"damaged_checkpoints_are_read_or_refused", &input, 1, "\x01\x80\xff\x7f", DAMAGE_PATH ": byte ",
                                  read_damaged, s.state};
    damage_run(&damage, 30000);
    store_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(keys_and_lengths_are_those_of_the_models),
        cmocka_unit_test(numbers_of_eight_bytes_count_twice),
        cmocka_unit_test(presets_fill_what_is_not_given),
        cmocka_unit_test(every_triple_is_visited_once_per_epoch),
        cmocka_unit_test(relations_belong_to_one_node_but_at_the_limits),
        cmocka_unit_test(one_step_per_score_pulls_its_own_keys),
        cmocka_unit_test(gradients_against_finite_differences),
        cmocka_unit_test(steps_of_a_batch_build_on_each_other),
        cmocka_unit_test(known_candidates_are_found),
        cmocka_unit_test(checkpoints_are_checked),
        cmocka_unit_test(damaged_checkpoints_are_read_or_refused),
    };
    return repeat_main(argc, argv, "unit_kge", tests, sizeof tests / sizeof tests[0]);
}
