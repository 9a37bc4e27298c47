/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options of knowledge graph embeddings, and the presets: settings of published runs. What the defaults and the sources of the
 * presets are is in docs/kge.md. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "workloads/kge.h"
#include "workloads/value_bytes.h"

enum { DIMS_MAX = 1 << 16, NEGATIVES_MAX = 1 << 16, BATCH_MAX = 1 << 16, SAMPLES_MAX = 1 << 20, DEFAULT_CLUSTERS = 100 };

const struct pm_option kge_options[] = {
    {.name = "preset",
     .type = PM_OPT_ENUM,
     .def = "none",
     .choices = "none|fb15k-237|wikidata5m|lapse-complex|lapse-complex-large|lapse-rescal|medium",
     .help = "options of a published run, where none are given"},
    {.name = "train", .type = PM_OPT_PATH, .help = "triples to train on: subject TAB relation TAB object"},
    {.name = "valid", .type = PM_OPT_PATH, .help = "triples to choose settings by"},
    {.name = "test", .type = PM_OPT_PATH, .help = "triples to evaluate on; without valid and test: 1 % each of those to train on"},
    {.name = "measure",
     .type = PM_OPT_ENUM,
     .def = "test",
     .choices = "test|valid",
     .help = "triples to evaluate on; without test=: valid"},
    {.name = "model", .type = PM_OPT_ENUM, .def = "complex", .choices = "complex|rescal|distmult", .help = "form of the scores"},
    {.name = "dim",
     .type = PM_OPT_COUNT,
     .def = "32",
     .help = "floats of an embedding; complex: two per complex number",
     .min = 1,
     .max = DIMS_MAX},
    {.name = "negatives",
     .type = PM_OPT_COUNT,
     .def = "6",
     .help = "false objects, and as many false subjects, per triple",
     .min = 1,
     .max = NEGATIVES_MAX},
    {.name = "loss",
     .type = PM_OPT_ENUM,
     .def = "logistic",
     .choices = "logistic|softmax",
     .help = "each score by itself, or the triple's own among its negatives of each side"},
    {.name = "batch", .type = PM_OPT_COUNT, .def = "1", .help = "triples of one batch", .min = 1, .max = BATCH_MAX},
    {.name = "shared", .type = PM_OPT_BOOL, .def = "0", .help = "the triples of a batch share their negatives"},
    {.name = "update",
     .type = PM_OPT_ENUM,
     .def = "batch",
     .choices = "batch|score",
     .help = "one step per key and batch, or one per scored triple, which pulls and pushes its own keys"},
    {.name = "partition",
     .type = PM_OPT_ENUM,
     .def = "random",
     .choices = "random|relations",
     .help = "how triples are divided over nodes; relations: their keys are localized"},
    {.name = "rate", .type = PM_OPT_REAL, .def = "0.1", .help = "learning rate of AdaGrad", .min = 1e-12, .max = 1000},
    {.name = "norm",
     .type = PM_OPT_ENUM,
     .def = "l2",
     .choices = "l2|n3",
     .help = "penalty per triple: lambda / 2 x squares, or lambda x cubes of absolute values"},
    {.name = "lambda_entity", .type = PM_OPT_REAL, .def = "0", .help = "weight of the penalty, entities", .min = 0, .max = 1000},
    {.name = "lambda_relation", .type = PM_OPT_REAL, .def = "0", .help = "weight of the penalty, relations", .min = 0, .max = 1000},
    {.name = "init", .type = PM_OPT_REAL, .def = "0.1", .help = "deviation of the initial embeddings", .min = 0, .max = 1000},
    {.name = "accumulator",
     .type = PM_OPT_REAL,
     .def = "0.000001",
     .help = "initial sums of squares of AdaGrad",
     .min = 1e-12,
     .max = 1e12},
    VALUE_BYTES_OPTION,
    {.name = "entities",
     .type = PM_OPT_COUNT,
     .def = "2000",
     .help = "entities of the generated graph",
     .min = 2,
     .max = (double)GRAPH_ENTITIES_MAX},
    {.name = "relations",
     .type = PM_OPT_COUNT,
     .def = "20",
     .help = "relations of the generated graph",
     .min = 1,
     .max = (double)GRAPH_ENTITIES_MAX},
    {.name = "triples",
     .type = PM_OPT_COUNT,
     .def = "20k",
     .help = "generated triples to train on",
     .min = 1,
     .max = (double)GRAPH_TRIPLES_MAX},
    {.name = "valid_triples",
     .type = PM_OPT_COUNT,
     .help = "generated triples to choose settings by (1 % of triples)",
     .min = 1,
     .max = (double)GRAPH_TRIPLES_MAX},
    {.name = "test_triples",
     .type = PM_OPT_COUNT,
     .help = "generated triples to evaluate on (1 % of triples)",
     .min = 1,
     .max = (double)GRAPH_TRIPLES_MAX},
    {.name = "skew",
     .type = PM_OPT_REAL,
     .def = "0.8",
     .help = "Zipf exponent of generated objects",
     .min = 0,
     .max = PM_DISTRIBUTION_SKEW_MAX},
    {.name = "subject_skew",
     .type = PM_OPT_REAL,
     .def = "0.6",
     .help = "Zipf exponent of generated subjects",
     .min = 0,
     .max = PM_DISTRIBUTION_SKEW_MAX},
    {.name = "relation_skew",
     .type = PM_OPT_REAL,
     .def = "0.9",
     .help = "Zipf exponent of generated relations",
     .min = 0,
     .max = PM_DISTRIBUTION_SKEW_MAX},
    {.name = "clusters",
     .type = PM_OPT_COUNT,
     .help = "clusters of generated entities (100, or one for each entity)",
     .min = 1,
     .max = (double)GRAPH_ENTITIES_MAX},
    {.name = "noise",
     .type = PM_OPT_REAL,
     .def = "0.1",
     .help = "share of generated triples whose objects follow no rule",
     .min = 0,
     .max = 1},
    {.name = "checkpoint", .type = PM_OPT_TEXT, .help = "file to keep the model in, at each evaluation"},
    {.name = "resume", .type = PM_OPT_PATH, .help = "checkpoint to go on from"},
    {.name = "export", .type = PM_OPT_TEXT, .help = "folder for the embeddings as .npy and text, at each evaluation"},
    {.name = "isa",
     .type = PM_OPT_ENUM,
     .def = "native",
     .choices = "native|baseline",
     .help = "kernels for this processor, or those that give the same bits on every one"},
    {.name = NULL},
};

/* The published runs. */
const struct pm_preset kge_presets[] = {
    {.preset = "wikidata5m", .option = "entities", .text = "4818679"},
    {.preset = "wikidata5m", .option = "relations", .text = "828"},
    {.preset = "wikidata5m", .option = "triples", .text = "21343681"},
    {.preset = "wikidata5m", .option = "dim", .text = "500"},
    {.preset = "wikidata5m", .option = "negatives", .text = "100"},
    {.preset = "wikidata5m", .option = "update", .text = "score"},
    {.preset = "wikidata5m", .option = "rate", .text = "0.1869"},
    {.preset = "wikidata5m", .option = "lambda_entity", .text = "2.83e-10"},
    {.preset = "wikidata5m", .option = "lambda_relation", .text = "6.63e-6"},
    {.preset = "wikidata5m", .option = "value_bytes", .text = "8"},
    {.preset = "lapse-complex", .option = "entities", .text = "490598"},
    {.preset = "lapse-complex", .option = "relations", .text = "573"},
    {.preset = "lapse-complex", .option = "triples", .text = "3000000"},
    {.preset = "lapse-complex", .option = "dim", .text = "100"},
    {.preset = "lapse-complex", .option = "negatives", .text = "10"},
    {.preset = "lapse-complex", .option = "update", .text = "score"},
    {.preset = "lapse-complex", .option = "partition", .text = "relations"},
    {.preset = "lapse-complex", .option = "value_bytes", .text = "8"},
    {.preset = "lapse-complex-large", .option = "entities", .text = "490598"},
    {.preset = "lapse-complex-large", .option = "relations", .text = "573"},
    {.preset = "lapse-complex-large", .option = "triples", .text = "3000000"},
    {.preset = "lapse-complex-large", .option = "dim", .text = "4000"},
    {.preset = "lapse-complex-large", .option = "negatives", .text = "10"},
    {.preset = "lapse-complex-large", .option = "update", .text = "score"},
    {.preset = "lapse-complex-large", .option = "partition", .text = "relations"},
    {.preset = "lapse-complex-large", .option = "value_bytes", .text = "8"},
    {.preset = "lapse-rescal", .option = "entities", .text = "490598"},
    {.preset = "lapse-rescal", .option = "relations", .text = "573"},
    {.preset = "lapse-rescal", .option = "triples", .text = "3000000"},
    {.preset = "lapse-rescal", .option = "model", .text = "rescal"},
    {.preset = "lapse-rescal", .option = "dim", .text = "100"},
    {.preset = "lapse-rescal", .option = "negatives", .text = "10"},
    {.preset = "lapse-rescal", .option = "update", .text = "score"},
    {.preset = "lapse-rescal", .option = "partition", .text = "relations"},
    {.preset = "lapse-rescal", .option = "value_bytes", .text = "8"},
    {.preset = "fb15k-237", .option = "entities", .text = "14541"},
    {.preset = "fb15k-237", .option = "relations", .text = "237"},
    {.preset = "fb15k-237", .option = "triples", .text = "272115"},
    {.preset = "fb15k-237", .option = "valid_triples", .text = "17535"},
    {.preset = "fb15k-237", .option = "test_triples", .text = "20466"},
    {.preset = "fb15k-237", .option = "dim", .text = "128"},
    {.preset = "fb15k-237", .option = "negatives", .text = "300"},
    {.preset = "fb15k-237", .option = "loss", .text = "softmax"},
    {.preset = "fb15k-237", .option = "batch", .text = "256"},
    {.preset = "fb15k-237", .option = "shared", .text = "1"},
    {.preset = "fb15k-237", .option = "norm", .text = "n3"},
    {.preset = "fb15k-237", .option = "lambda_entity", .text = "0.1"},
    {.preset = "fb15k-237", .option = "lambda_relation", .text = "0.1"},
    {.preset = "medium", .option = "entities", .text = "20000"},
    {.preset = "medium", .option = "relations", .text = "50"},
    {.preset = "medium", .option = "triples", .text = "300000"},
    {.preset = "medium", .option = "dim", .text = "100"},
    {.preset = NULL},
};

/* Options of one way of getting triples that are given together with the other way. */
static int check_sources(const struct pm_values *o, struct pm_error *err)
{
    static const char *const generator_only[] = {"entities", "relations",    "triples",       "valid_triples", "test_triples",
                                                 "skew",     "subject_skew", "relation_skew", "clusters",      "noise"};
    if (!pm_values_is_set(o, "train")) {
        if (!pm_values_is_set(o, "valid") && !pm_values_is_set(o, "test"))
            return PM_OK;
        return pm_error_set(err, PM_E_OPTION, "%s= without train= (allowed: with train=, or neither)",
                            pm_values_is_set(o, "valid") ? "valid" : "test");
    }
    for (size_t i = 0; i < sizeof generator_only / sizeof generator_only[0]; i++)
        if (pm_values_is_given(o, generator_only[i]))
            return pm_error_set(err, PM_E_OPTION, "%s= is for generated triples (allowed: without train=)", generator_only[i]);
    if (pm_values_enum(o, "measure") == 1 && pm_values_is_set(o, "test") && !pm_values_is_set(o, "valid"))
        return pm_error_set(err, PM_E_OPTION, "measure=valid without valid= (allowed: with valid=, or without test=)");
    return PM_OK;
}

static int check_training(const struct kge_state *s, struct pm_error *err)
{
    if (s->model == KGE_COMPLEX && s->dims % 2 != 0)
        return pm_error_set(err, PM_E_OPTION, "dim=%u with model=complex (allowed: even numbers, two floats per complex number)",
                            s->dims);
    if (s->stepwise && (s->batch > 1 || s->loss == KGE_SOFTMAX || s->shared))
        return pm_error_set(err, PM_E_OPTION, "update=score takes one triple at a time (allowed: batch=1,loss=logistic,shared=0)");
    uint64_t samples = 2 * (uint64_t)s->negatives * (s->shared ? 1 : s->batch);
    if (samples > SAMPLES_MAX)
        return pm_error_set(err, PM_E_OPTION,
                            "%llu negatives per batch (allowed: at most %d; 2 x negatives, x batch with shared=0)",
                            (unsigned long long)samples, SAMPLES_MAX);
    return PM_OK;
}

static int check_files(const struct kge_state *s, const struct pm_values *o, struct pm_error *err)
{
    static const char *const with_values[] = {"export", "checkpoint", "resume"};
    for (size_t i = 0; i < sizeof with_values / sizeof with_values[0]; i++)
        if (!s->task.with_values && pm_values_is_set(o, with_values[i]))
            return pm_error_set(err, PM_E_OPTION, "%s= needs values (allowed: without --values none)", with_values[i]);
    return PM_OK;
}

static void take_recipe(const struct pm_values *o, uint64_t seed, struct graph_recipe *recipe)
{
    uint64_t n = pm_values_count(o, "triples"), entities = pm_values_count(o, "entities"), some = (n + 99) / 100;
    *recipe = (struct graph_recipe){
        .entities = entities,
        .relations = pm_values_count(o, "relations"),
        .sizes = {[GRAPH_TRAIN] = n,
                  [GRAPH_VALID] = pm_values_is_set(o, "valid_triples") ? pm_values_count(o, "valid_triples") : some,
                  [GRAPH_TEST] = pm_values_is_set(o, "test_triples") ? pm_values_count(o, "test_triples") : some},
        .subject_skew = pm_values_real(o, "subject_skew"),
        .relation_skew = pm_values_real(o, "relation_skew"),
        .skew = pm_values_real(o, "skew"),
        .clusters = pm_values_is_set(o, "clusters") ? pm_values_count(o, "clusters")
                    : entities < DEFAULT_CLUSTERS   ? entities
                                                    : DEFAULT_CLUSTERS,
        .noise = pm_values_real(o, "noise"),
        .seed = seed,
    };
}

static int keep_path(const struct pm_values *o, const char *name, char **path, struct pm_error *err)
{
    if (!pm_values_is_set(o, name))
        return PM_OK;
    size_t length = strlen(pm_values_text(o, name));
    if (length == 0 || length > KGE_PATH_MAX)
        return pm_error_set(err, PM_E_OPTION, "%s= has %zu bytes (allowed: a path of 1 to %d)", name, length, KGE_PATH_MAX);
    *path = strdup(pm_values_text(o, name));
    return *path != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "%s=: out of memory", name);
}

static void take_numbers(struct kge_state *s, const struct pm_values *o)
{
    s->model = (enum kge_model)pm_values_enum(o, "model");
    s->loss = (enum kge_loss)pm_values_enum(o, "loss");
    s->norm = (enum kge_norm)pm_values_enum(o, "norm");
    s->dims = (uint32_t)pm_values_count(o, "dim");
    s->rows = s->model == KGE_RESCAL ? s->dims : 1;
    s->length = 2 * s->dims;
    s->negatives = (uint32_t)pm_values_count(o, "negatives");
    s->batch = (uint32_t)pm_values_count(o, "batch");
    s->shared = pm_values_bool(o, "shared");
    s->stepwise = pm_values_enum(o, "update") == 1;
    s->by_relation = pm_values_enum(o, "partition") == 1;
    s->rate = (float)pm_values_real(o, "rate");
    s->lambda_entity = (float)pm_values_real(o, "lambda_entity");
    s->lambda_relation = (float)pm_values_real(o, "lambda_relation");
    s->init = (float)pm_values_real(o, "init");
    s->accumulator = (float)pm_values_real(o, "accumulator");
    s->kernel = kge_kernel_choose(pm_values_enum(o, "isa") == 1);
    s->form = &s->kernel->forms[s->model];
    s->measured = pm_values_enum(o, "measure") == 0 ? GRAPH_TEST : GRAPH_VALID;
}

int kge_take_options(struct kge_state *s, const struct pm_values *o, struct graph_recipe *recipe, struct pm_error *err)
{
    take_numbers(s, o);
    take_recipe(o, s->task.seed, recipe);
    int rc = keep_path(o, "export", &s->export_folder, err);
    if (rc == PM_OK)
        rc = keep_path(o, "checkpoint", &s->checkpoint, err);
    if (rc == PM_OK)
        rc = value_bytes_take(o, s->task.with_values, &s->number_floats, err);
    if (rc == PM_OK)
        rc = check_sources(o, err);
    if (rc == PM_OK)
        rc = check_files(s, o, err);
    if (rc == PM_OK)
        rc = check_training(s, err);
    return rc;
}
