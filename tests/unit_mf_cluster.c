/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrix factorisation trained by the core, on the in-memory network: under every policy, in both orders, in
 * part, and without values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node.h"
#include "core/registry.h"
#include "core/spec.h"
#include "memnet/memnet.h"
#include "tests/testload.h"
#include "tests/workload_store.h"
#include "workloads/mf.h"

extern const struct pm_workload pm_workload_mf;

#define DATA "mf:rows=300,cols=100,cells=6000,test_cells=500,skew=0.5,rank=4,lambda=0.02,rate=0.2,batch=16"

struct outcome {
    uint32_t evaluations;
    double rmse, loss; /* the last */
    uint64_t steps;    /* of the last epoch */
};

static void take_record(void *arg, const struct pm_record *record)
{
    struct outcome *o = arg;
    if (record->kind == PM_RECORD_EPOCH) {
        o->loss = record->u.epoch.loss;
        o->steps = record->u.epoch.steps;
    } else if (record->kind == PM_RECORD_QUALITY) {
        assert_string_equal(record->u.quality.metric, "rmse");
        o->rmse = record->u.quality.value;
        o->evaluations++;
    }
}

struct plan {
    const struct pm_policy *policy;
    const char *specification;
    uint32_t nodes, workers, epochs;
    double fraction;
    bool without_values;
};

/* Trains with seed 1; fails the test when the run fails. */
static struct outcome train(const struct plan *plan)
{
    struct testjob t;
    struct testload_shape shape = {.keys = 1, .length = 1};
    struct pm_error err = {0};
    struct pm_spec spec;
    struct pm_values options;
    struct outcome o = {0};
    assert_int_equal(testjob_init(&t, plan->policy, "", &shape, &err), PM_OK);
    assert_int_equal(pm_spec_parse(plan->specification, &spec, &err), PM_OK);
    assert_int_equal(pm_spec_apply(&spec, pm_workload_mf.options, NULL, &options, &err), PM_OK);
    testjob_cluster(&t, plan->nodes, plan->workers);
    t.job.workload = &pm_workload_mf;
    t.job.workload_options = &options;
    t.job.epochs = plan->epochs;
    t.job.epoch_fraction = plan->fraction;
    t.job.with_values = !plan->without_values;
    t.job.main = pm_train_worker;
    t.job.report = take_record;
    t.job.report_arg = &o;
    struct memnet_config config = {.seed = 1, .postpone_percent = 10};
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s, %s: %s", plan->policy->name, plan->specification, err.text);
    pm_spec_free(&spec);
    pm_values_free(&options);
    testjob_free(&t);
    return o;
}

static const struct pm_policy *find(const char *name)
{
    for (const struct pm_policy *const *policy = pm_registry_policies; *policy != NULL; policy++)
        if (strcmp((*policy)->name, name) == 0)
            return *policy;
    fail_msg("there is no policy %s", name);
    return NULL;
}

/* The same training and evaluation, on one array. */
static void one_worker_trains_the_same_model(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("single"),
                        .specification = DATA,
                        .nodes = 1,
                        .workers = 1,
                        .epochs = 2,
                        .fraction = 1};
    struct outcome found = train(&plan);
    struct pm_task task = {.nodes = 1, .workers = 1, .epochs = 2, .seed = 1, .with_values = true};
    struct store s;
    assert_int_equal(store_open(&s, &pm_workload_mf, DATA, &task, NULL), PM_OK);
    store_epoch(&s, 0, 0);
    store_epoch(&s, 1, 0);
    const struct mf_state *m = s.state;
    double sum = 0;
    for (uint64_t i = 0; i < m->test.n; i++) {
        float values[16];
        memcpy(values, s.values + m->test.cells[i].row * 8, 8 * sizeof *values);
        memcpy(values + 8, s.values + (m->rows + m->test.cells[i].column) * 8, 8 * sizeof *values);
        sum += mf_squared_errors(m, &m->test.cells[i], 1, values);
    }
    assert_int_equal(found.evaluations, 1);
    assert_true(fabs(found.rmse - sqrt(sum / (double)m->test.n)) < 1e-12);
    assert_true(fabs(found.loss - s.loss) < 1e-12);
    store_close(&s);
}

static void every_policy_learns_in_both_orders(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("single"),
                        .specification = DATA,
                        .nodes = 1,
                        .workers = 2,
                        .epochs = 8,
                        .fraction = 1};
    double alone = train(&plan).rmse, rotated = -1;
    plan.nodes = 3;
    for (const struct pm_policy *const *policy = pm_registry_policies; *policy != NULL; policy++) {
        plan.policy = *policy;
        plan.specification = DATA;
        double columnwise = train(&plan).rmse;
        plan.specification = DATA ",order=blocks";
        double blocks = train(&plan).rmse;
        print_message("%s: RMSE columnwise %.4f, blocks %.4f; single %.4f\n", (*policy)->name, columnwise,
                      blocks, alone);
        /* Nobody else touches a worker's rows and block between two barriers: how keys are managed is of no
         * account. */
        if (strcmp((*policy)->name, "single") != 0) {
            assert_true(rotated < 0 || fabs(blocks - rotated) < 1e-4);
            rotated = blocks;
        }
        assert_true(alone < 0.5 && fabs(columnwise - alone) < 0.05 && fabs(blocks - alone) < 0.05);
    }
}

/* With blocks all workers must stop at the same barrier. */
static void a_part_of_an_epoch_ends(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("classic"), .nodes = 3, .workers = 2, .epochs = 2, .fraction = 1};
    static const char *const orders[] = {DATA, DATA ",order=blocks"};
    for (int i = 0; i < 2; i++) {
        plan.specification = orders[i];
        plan.fraction = 1;
        uint64_t all = train(&plan).steps;
        for (plan.fraction = 0.1; plan.fraction < 1; plan.fraction += 0.3) {
            double steps = (double)train(&plan).steps;
            assert_true(fabs(steps / (double)all - plan.fraction) < 0.01 + 6.0 / (double)all);
        }
    }
}

static void keys_alone_are_enough(void **state)
{
    (void)state;
    struct plan plan = {
        .policy = find("full"), .specification = DATA, .nodes = 2, .workers = 2, .epochs = 1, .fraction = 1};
    uint64_t steps = train(&plan).steps;
    plan.without_values = true;
    struct outcome o = train(&plan);
    assert_true(o.evaluations == 0 && o.loss == 0 && o.steps == steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_trains_the_same_model),
        cmocka_unit_test(every_policy_learns_in_both_orders),
        cmocka_unit_test(a_part_of_an_epoch_ends),
        cmocka_unit_test(keys_alone_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
