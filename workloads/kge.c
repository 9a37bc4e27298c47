/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kge: embeddings of knowledge graphs - ComplEx, RESCAL, DistMult - with AdaGrad and negative sampling on both sides.
 *
 * A triple is scored by a form of the embeddings of its subject, relation and object. A batch is some triples of the worker's own;
 * their keys are direct accesses, the entities of their negatives sampling accesses, uniform. Triples come from files or from the
 * generator. How the model is trained, and what the settings were chosen by, is in docs/kge.md. */
#include "workloads/kge.h"

#include <math.h>
#include <stdlib.h>

#include "core/pm.h"
#include "core/rng.h"

#define HELD_OUT_SHARE 0.01

static uint64_t named_seed(const char *name, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, name, seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    return pm_rng_u64(&rng);
}

static int read_files(struct kge_state *s, const struct pm_values *o, struct pm_error *err)
{
    const char *paths[GRAPH_PARTS] = {pm_values_text(o, "train"), pm_values_text(o, "valid"), pm_values_text(o, "test")};
    int rc = graph_read(paths, &s->graph, err);
    if (rc != PM_OK)
        return rc;
    if (paths[GRAPH_VALID] == NULL && paths[GRAPH_TEST] == NULL) {
        rc = graph_hold_out(&s->graph, HELD_OUT_SHARE, named_seed("kge.hold_out", s->task.seed), err);
        return rc == PM_OK ? PM_OK : pm_error_wrap(err, rc, "%s", paths[GRAPH_TRAIN]);
    }
    if (paths[GRAPH_TEST] == NULL)
        s->measured = GRAPH_VALID;
    return PM_OK;
}

static int set_model(struct kge_state *s, struct pm_model *model, struct pm_error *err)
{
    const struct graph *g = &s->graph;
    const uint32_t floats = s->length * s->number_floats;
    int rc = pm_layout_add(&model->layout, g->n_entities, floats, err);
    if (rc >= 0)
        rc = pm_layout_add(&model->layout, g->n_relations * s->rows, floats, err);
    if (rc >= 0)
        rc = pm_distribution_uniform(&s->negative, 0, g->n_entities, err);
    model->distributions[0] = &s->negative;
    model->n_distributions = 1;
    return rc >= 0 ? PM_OK : rc;
}

static int make_filters(struct kge_state *s, struct pm_error *err)
{
    if (!s->task.with_values)
        return PM_OK;
    int rc = kge_filter_fill(&s->tails, &s->graph, s->measured, true);
    if (rc == PM_OK)
        rc = kge_filter_fill(&s->heads, &s->graph, s->measured, false);
    return rc == PM_OK ? PM_OK : pm_error_set(err, rc, "known triples: out of memory");
}

static void kge_close(void *state)
{
    struct kge_state *s = state;
    graph_free(&s->graph);
    kge_filter_free(&s->tails);
    kge_filter_free(&s->heads);
    pm_distribution_free(&s->negative);
    free(s->by_relations);
    free(s->relation_nodes);
    free(s->export_folder);
    free(s->checkpoint);
    free(s->resumed);
}

static int kge_open(void *state, const struct pm_values *o, const struct pm_task *task, struct pm_model *model,
                    struct pm_error *err)
{
    struct kge_state *s = state;
    struct graph_recipe recipe;
    s->task = *task;
    s->ranks = task->nodes * task->workers;
    s->init_seed = named_seed("kge.init", task->seed);
    s->order_seed = named_seed("kge.order", task->seed);
    int rc = kge_take_options(s, o, &recipe, err);
    if (rc == PM_OK)
        rc = pm_values_is_set(o, "train") ? read_files(s, o, err) : graph_generate(&recipe, &s->graph, err);
    if (rc == PM_OK)
        rc = set_model(s, model, err);
    if (rc == PM_OK)
        rc = kge_divide(s, err);
    if (rc == PM_OK)
        rc = make_filters(s, err);
    if (rc == PM_OK)
        rc = kge_prepare_export(s, err);
    if (rc == PM_OK && pm_values_is_set(o, "resume"))
        rc = kge_resume(s, pm_values_text(o, "resume"), err);
    if (rc != PM_OK)
        kge_close(s);
    return rc;
}

static void kge_initial(const void *state, pm_key first, uint64_t n, float *values)
{
    const struct kge_state *s = state;
    if (s->resumed != NULL) {
        const float *stored = s->resumed + first * s->length;
        for (uint64_t i = 0; i < n * s->length; i++)
            values[i] = stored[i];
        return;
    }
    /* Uniform in [-width, width] has the deviation width / sqrt(3). */
    float scale = s->init * sqrtf(3) * 0x1p-23f;
    for (pm_key key = first; key < first + n; key++) {
        uint64_t seed = pm_hash64_pair(s->init_seed, key);
        for (uint32_t i = 0; i < s->dims; i++)
            *values++ = scale * (float)((int64_t)(pm_hash64(seed + i) >> 40) - (1 << 23));
        for (uint32_t i = 0; i < s->dims; i++)
            *values++ = s->accumulator;
    }
}

static int kge_begin(const void *state, void *ws, uint32_t rank)
{
    const struct kge_state *s = state;
    struct kge_worker *w = ws;
    w->rank = rank;
    if (kge_slots_init(&w->stream.slots, s->batch) != PM_OK)
        return PM_E_MEMORY;
    if (!s->task.with_values || kge_trainer_init(s, w) == PM_OK)
        return PM_OK;
    kge_slots_free(&w->stream.slots);
    return PM_E_MEMORY;
}

static void kge_end(const void *state, void *ws)
{
    const struct kge_state *s = state;
    struct kge_worker *w = ws;
    kge_slots_free(&w->stream.slots);
    if (s->task.with_values)
        kge_trainer_free(w);
}

static void kge_epoch_end(const void *state, void *ws, uint32_t epoch, double loss)
{
    (void)state;
    (void)loss;
    struct kge_worker *w = ws;
    w->epochs = epoch + 1;
}

/* `by` accesses more of each of some keys, as far as they are among those asked about. */
static void count(pm_key key, uint32_t rows, double by, pm_key first, uint64_t n, double *out)
{
    for (uint32_t row = 0; row < rows; row++)
        if (key + row >= first && key + row - first < n)
            out[key + row - first] += by;
}

/* Accesses of an epoch: each triple is one of its subject, relation and object, with update=score one per step (that several
 * triples of a batch have a key in common is not considered); negatives are spread over all entities. */
static void kge_frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    const struct kge_state *s = state;
    const double sampled = 2 * s->negatives, n_entities = (double)s->graph.n_entities;
    const uint64_t n_triples = graph_size(&s->graph, GRAPH_TRAIN);
    const uint64_t sets = s->shared ? (n_triples + s->batch - 1) / s->batch : n_triples;
    const double per_entity = s->stepwise ? 1 + s->negatives : 1, per_relation = s->stepwise ? 1 + sampled : 1;
    for (uint64_t i = 0; i < n; i++)
        out[i] = first + i < s->graph.n_entities ? (double)sets * sampled / n_entities : 0;
    for (uint64_t i = 0; i < n_triples; i++) {
        const struct triple *t = &s->graph.triples[i];
        count(t->s, 1, per_entity, first, n, out);
        count(kge_relation_key(s, t->r), s->rows, per_relation, first, n, out);
        if (t->o != t->s || s->stepwise)
            count(t->o, 1, per_entity, first, n, out);
    }
}

const struct pm_workload pm_workload_kge = {
    .abi = PM_WORKLOAD_ABI,
    .name = "kge",
    .summary = "embeddings of knowledge graphs: ComplEx, RESCAL, DistMult with AdaGrad and negative sampling",
    .options = kge_options,
    .presets = kge_presets,
    .state_bytes = sizeof(struct kge_state),
    .worker_bytes = sizeof(struct kge_worker),
    .batch_bytes = sizeof(struct kge_item),
    .default_ahead = 1000,
    .open = kge_open,
    .close = kge_close,
    .initial = kge_initial,
    .begin = kge_begin,
    .end = kge_end,
    .epoch_begin = kge_epoch_begin,
    .next = kge_next,
    .compute = kge_compute,
    .flops = kge_flops,
    .epoch_end = kge_epoch_end,
    .evaluate = kge_evaluate,
    .frequency = kge_frequency,
};
