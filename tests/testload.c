/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The workload for tests, and jobs around it. */
#include "tests/testload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/node.h"
#include "core/spec.h"

struct state {
    struct pm_layout layout;
    struct pm_distribution uniform, zipf;
};

static const struct pm_option options[] = {
    {.name = "keys", .type = PM_OPT_COUNT, .def = "64", .help = "keys of the first range", .min = 1},
    {.name = "length", .type = PM_OPT_COUNT, .def = "4", .help = "floats of each of them", .min = 1},
    {.name = "more-keys", .type = PM_OPT_COUNT, .def = "0", .help = "keys of the second range"},
    {.name = "more-length", .type = PM_OPT_COUNT, .def = "1", .help = "floats of each of them", .min = 1},
    {.name = NULL},
};

float testload_initial(pm_key key, uint32_t element)
{
    return (float)((key * 7 + element * 3) % 101);
}

static int open_testload(void *arg, const struct pm_values *values, const struct pm_task *task,
                         struct pm_model *model, struct pm_error *err)
{
    struct state *s = arg;
    (void)task;
    int code = pm_layout_add(&s->layout, pm_values_count(values, "keys"),
                             (uint32_t)pm_values_count(values, "length"), err);
    if (code >= 0 && pm_values_count(values, "more-keys"))
        code = pm_layout_add(&s->layout, pm_values_count(values, "more-keys"),
                             (uint32_t)pm_values_count(values, "more-length"), err);
    if (code < 0)
        return code;
    code = pm_distribution_uniform(&s->uniform, 0, s->layout.n_keys, err);
    if (code == PM_OK)
        code = pm_distribution_zipf(&s->zipf, 0, s->layout.n_keys, 1.0, err);
    model->layout = s->layout;
    model->distributions[TESTLOAD_UNIFORM] = &s->uniform;
    model->distributions[TESTLOAD_ZIPF] = &s->zipf;
    model->n_distributions = 2;
    return code;
}

static void close_testload(void *arg)
{
    struct state *s = arg;
    pm_distribution_free(&s->uniform);
    pm_distribution_free(&s->zipf);
}

static void initial(const void *arg, pm_key first, uint64_t n, float *values)
{
    const struct state *s = arg;
    for (pm_key key = first; key < first + n; key++)
        for (uint32_t j = 0; j < pm_layout_length(&s->layout, key); j++)
            *values++ = testload_initial(key, j);
}

static int begin(const void *state, void *ws, uint32_t rank)
{
    (void)state;
    (void)ws;
    (void)rank;
    return PM_OK;
}

static void end(const void *state, void *ws)
{
    (void)state;
    (void)ws;
}

static uint64_t epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    (void)state;
    (void)ws;
    (void)epoch;
    return 0;
}

static int next(const void *state, void *ws, struct pm_batch *batch)
{
    (void)state;
    (void)ws;
    (void)batch;
    return PM_OK;
}

static void compute(const void *state, void *ws, struct pm_step *step)
{
    (void)state;
    (void)ws;
    step->n_push = 0;
}

static double flops(const void *state, const struct pm_batch *batch)
{
    (void)state;
    (void)batch;
    return 1;
}

/* Every fourth key, from the end on, as the rest are accessed less and less. */
static void frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    (void)state;
    for (uint64_t i = 0; i < n; i++)
        out[i] = (first + i) % 4 == 3 ? 1000 + (double)(first + i) : 1000 / (double)(first + i + 1);
}

const struct pm_workload testload = {
    .abi = PM_WORKLOAD_ABI,
    .name = "testload",
    .summary = "small whole numbers for tests",
    .options = options,
    .state_bytes = sizeof(struct state),
    .worker_bytes = 8,
    .batch_bytes = 8,
    .open = open_testload,
    .close = close_testload,
    .initial = initial,
    .begin = begin,
    .end = end,
    .epoch_begin = epoch_begin,
    .next = next,
    .compute = compute,
    .flops = flops,
    .frequency = frequency,
};

static int set_shape(struct pm_values *values, const struct testload_shape *shape, struct pm_error *err)
{
    char text[32];
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"keys", shape->keys},
                {"length", shape->length},
                {"more-keys", shape->more_keys},
                {"more-length", shape->more_keys ? shape->more_length : 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "%" PRIu64, rows[i].value);
        int code = pm_values_set(values, rows[i].name, text, err);
        if (code != PM_OK)
            return code;
    }
    return PM_OK;
}

static int set_policy_options(struct pm_values *values, const struct pm_policy *policy, const char *text,
                              struct pm_error *err)
{
    char spec_text[512];
    struct pm_spec spec;
    snprintf(spec_text, sizeof spec_text, "%s%s%s", policy->name, *text ? ":" : "", text);
    int code = pm_spec_parse(spec_text, &spec, err);
    if (code != PM_OK)
        return code;
    code = pm_spec_apply(&spec, policy->options, policy->presets, values, err);
    pm_spec_free(&spec);
    return code;
}

static void report_nothing(void *arg, const struct pm_record *record)
{
    (void)arg;
    (void)record;
}

int testjob_init(struct testjob *t, const struct pm_policy *policy, const char *policy_options,
                 const struct testload_shape *shape, struct pm_error *err)
{
    memset(t, 0, sizeof *t);
    int code = pm_values_init(&t->workload_options, testload.options, err);
    if (code != PM_OK)
        return code;
    code = set_shape(&t->workload_options, shape, err);
    if (code == PM_OK)
        code = set_policy_options(&t->policy_options, policy, policy_options, err);
    if (code != PM_OK) {
        pm_values_free(&t->workload_options);
        return code;
    }
    t->job = (struct pm_job){
        .policy = policy,
        .policy_options = &t->policy_options,
        .workload = &testload,
        .workload_options = &t->workload_options,
        .nodes = 2,
        .workers = 1,
        .epochs = 1,
        .epoch_fraction = 1,
        .seed = 1,
        .with_values = true,
        .evaluate = PM_EVALUATE_END,
        .ahead = -1,
        .report = report_nothing,
    };
    return PM_OK;
}

void testjob_free(struct testjob *t)
{
    pm_values_free(&t->policy_options);
    pm_values_free(&t->workload_options);
}

void testjob_cluster(struct testjob *t, uint32_t nodes, uint32_t workers)
{
    struct pm_traits traits;
    int code = pm_policy_traits(t->job.policy, &t->policy_options, &traits, NULL);
    PM_ASSERT(code == PM_OK);
    t->job.nodes = traits.max_nodes && traits.max_nodes < nodes ? traits.max_nodes : nodes;
    t->job.workers = workers;
}
