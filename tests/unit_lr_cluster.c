/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logistic regression trained by the core, on the random in-memory network: under every policy that keeps one copy of each
 * weight, in part, and without values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "core/node.h"
#include "core/registry.h"
#include "core/spec.h"
#include "memnet/memnet.h"
#include "tests/lockstep.h"
#include "tests/testload.h"

extern const struct pm_workload pm_workload_lr;

#define DATA "lr:rows=3000,test_rows=700,features=150,nonzeros=8,truth=20,skew=0.8,l1=0.006,blocks=8"

struct outcome {
    double log_loss, auc, nonzeros, objective;
    uint64_t steps; /* of the last epoch */
};

static void take_record(void *arg, const struct pm_record *record)
{
    struct outcome *o = arg;
    if (record->kind == PM_RECORD_EPOCH)
        o->steps = record->u.epoch.steps;
    if (record->kind != PM_RECORD_QUALITY)
        return;
    const struct {
        const char *name;
        double *value;
    } metrics[] = {
        {"log_loss", &o->log_loss}, {"auc", &o->auc}, {"nonzeros", &o->nonzeros}, {"objective", &o->objective}};
    for (int i = 0; i < 4; i++)
        if (strcmp(record->u.quality.metric, metrics[i].name) == 0)
            *metrics[i].value = record->u.quality.value;
}

struct plan {
    const struct pm_policy *policy;
    const char *policy_options;
    uint32_t nodes, workers, epochs;
    double fraction;
    bool without_values;
    uint64_t seed; /* of the schedule */
};

/* Trains on examples of seed 1. */
static int train(const struct plan *plan, struct outcome *o, struct pm_error *err)
{
    struct testjob t;
    struct testload_shape shape = {.keys = 1, .length = 1};
    struct pm_spec spec;
    struct pm_values options;
    *o = (struct outcome){0};
    assert_int_equal(testjob_init(&t, plan->policy, plan->policy_options, &shape, err), PM_OK);
    assert_int_equal(pm_spec_parse(DATA, &spec, err), PM_OK);
    assert_int_equal(pm_spec_apply(&spec, pm_workload_lr.options, NULL, &options, err), PM_OK);
    testjob_cluster(&t, plan->nodes, plan->workers);
    t.job.workload = &pm_workload_lr;
    t.job.workload_options = &options;
    t.job.epochs = plan->epochs;
    t.job.epoch_fraction = plan->fraction;
    t.job.with_values = !plan->without_values;
    t.job.seed = 1;
    t.job.evaluate = PM_EVALUATE_END;
    t.job.main = pm_train_worker;
    t.job.report = take_record;
    t.job.report_arg = o;
    struct memnet_config config = {.seed = plan->seed, .postpone_percent = 10};
    int rc = memnet_run(&t.job, &config, NULL, err);
    pm_spec_free(&spec);
    pm_values_free(&options);
    testjob_free(&t);
    return rc;
}

static struct outcome train_or_fail(const struct plan *plan)
{
    struct outcome o;
    struct pm_error err = {0};
    if (train(plan, &o, &err) != PM_OK)
        fail_msg("%s:%s: %s", plan->policy->name, plan->policy_options, err.text);
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

static bool replicates(const struct pm_policy *policy)
{
    struct pm_traits traits;
    struct pm_values options;
    struct pm_error err = {0};
    assert_int_equal(pm_values_init(&options, policy->options, &err), PM_OK);
    assert_int_equal(pm_policy_traits(policy, &options, &traits, &err), PM_OK);
    pm_values_free(&options);
    return traits.replicates;
}

/* What evaluation finds is what the examples say, one by one. */
static void evaluation_agrees_with_the_examples(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("bounded"),
                        .policy_options = "delay=0",
                        .nodes = 2,
                        .workers = 2,
                        .epochs = 5,
                        .fraction = 1,
                        .seed = 1};
    struct outcome found = train_or_fail(&plan);
    struct lockstep l;
    uint64_t nonzeros;
    lockstep_open(&l, DATA, 2, 2, 0);
    lockstep_epochs(&l, 0, 5);
    lockstep_drain(&l);
    double objective = lockstep_objective(&l, NULL, &nonzeros), loss = 0, margins[700] = {0}, won = 0, pairs = 0;
    const struct lr_matrix *m = &l.state->test;
    assert_int_equal(m->n_rows, 700);
    for (uint64_t c = 0; c < m->n_columns; c++)
        for (uint64_t i = m->columns[c].first; i < m->columns[c + 1].first; i++)
            margins[m->rows[i]] += (double)l.values[m->columns[c].feature * LR_VALUE_LENGTH] * (double)lr_entry(m, i);
    for (int i = 0; i < 700; i++) {
        loss += log(1 + exp(-m->labels[i] * margins[i])) / 700;
        for (int k = 0; k < 700 && m->labels[i] > 0; k++) {
            if (m->labels[k] > 0)
                continue;
            pairs++;
            won += margins[i] > margins[k] ? 1 : margins[i] < margins[k] ? 0 : 0.5;
        }
    }
    assert_true(fabs(found.objective - objective) < 1e-5 && fabs(found.nonzeros - (double)nonzeros) <= 1);
    assert_true(fabs(found.log_loss - loss) < 1e-4 && fabs(found.auc - won / pairs) < 1e-3);
    lockstep_close(&l);
}

static void every_policy_with_one_copy_trains_the_model(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("single"),
                        .policy_options = "",
                        .nodes = 1,
                        .workers = 1,
                        .epochs = 15,
                        .fraction = 1,
                        .seed = 1};
    struct outcome alone = train_or_fail(&plan);
    print_message("alone: log loss %.4f, AUC %.4f, %.0f weights\n", alone.log_loss, alone.auc, alone.nonzeros);
    assert_true(alone.auc > 0.65 && alone.nonzeros > 5 && alone.nonzeros < 100);
    plan.nodes = 3;
    plan.workers = 2;
    for (const struct pm_policy *const *policy = pm_registry_policies; *policy != NULL; policy++) {
        plan.policy = *policy;
        if (replicates(plan.policy)) {
            struct outcome o;
            struct pm_error err = {0};
            assert_int_equal(train(&plan, &o, &err), PM_E_REFUSED);
            assert_non_null(strstr(err.text, "workload lr has an update function at the owner"));
            continue;
        }
        for (plan.seed = 1; plan.seed <= 2; plan.seed++) {
            struct outcome o = train_or_fail(&plan);
            print_message("%s: log loss %.4f, AUC %.4f, %.0f weights, objective %.5f; alone %.4f, %.4f, %.0f, %.5f\n",
                          plan.policy->name, o.log_loss, o.auc, o.nonzeros, o.objective, alone.log_loss, alone.auc,
                          alone.nonzeros, alone.objective);
            assert_true(fabs(o.log_loss - alone.log_loss) < 0.01 && fabs(o.auc - alone.auc) < 0.02);
            assert_true(fabs(o.objective - alone.objective) < 0.005 && o.nonzeros < 2 * alone.nonzeros);
        }
    }
}

/* What a KKT filter leaves out changes little; what is left goes with its own keys. */
static void negligible_updates_are_left_out(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("bounded"),
                        .policy_options = "delay=0",
                        .nodes = 2,
                        .workers = 2,
                        .epochs = 15,
                        .fraction = 1,
                        .seed = 1};
    struct outcome all = train_or_fail(&plan);
    plan.policy_options = "delay=0,kkt=1";
    struct outcome some = train_or_fail(&plan);
    print_message("objective %.6f with %.0f weights, without filter %.6f with %.0f\n", some.objective, some.nonzeros,
                  all.objective, all.nonzeros);
    assert_true(some.objective != all.objective && fabs(some.objective - all.objective) < 1e-3);
    assert_true(fabs(some.nonzeros - all.nonzeros) <= 3);
}

static uint64_t announced;

static void count_announced(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n,
                            pm_clock start, pm_clock end)
{
    (void)ctx;
    (void)state;
    (void)worker;
    (void)keys;
    announced += start < end ? n : 0;
}

/* In two epochs a worker pushes to its features twice and pulls all but the last block's twice. */
static void pulls_and_pushes_are_announced(void **state)
{
    (void)state;
    struct pm_policy curious = *find("classic");
    curious.hint = count_announced;
    struct plan plan = {
        .policy = &curious, .policy_options = "", .nodes = 2, .workers = 2, .epochs = 2, .fraction = 1, .seed = 1};
    train_or_fail(&plan);
    struct lockstep l;
    lockstep_open(&l, DATA, 2, 2, 0);
    uint64_t once = l.state->train.n_columns;
    lockstep_close(&l);
    assert_true(announced > 3 * once && announced < 4 * once);
}

static void a_part_of_an_epoch_ends(void **state)
{
    (void)state;
    struct plan plan = {.policy = find("classic"),
                        .policy_options = "",
                        .nodes = 2,
                        .workers = 2,
                        .epochs = 3,
                        .fraction = 0.5,
                        .seed = 1};
    assert_int_equal(train_or_fail(&plan).steps, 4 * 4);
}

static void keys_alone_are_enough(void **state)
{
    (void)state;
    static const char *const policies[] = {"classic", "lapse", "bounded"};
    for (int i = 0; i < 3; i++) {
        struct plan plan = {.policy = find(policies[i]),
                            .policy_options = "",
                            .nodes = 2,
                            .workers = 2,
                            .epochs = 2,
                            .fraction = 1,
                            .without_values = true,
                            .seed = 1};
        struct outcome o = train_or_fail(&plan);
        assert_true(o.steps == 8 * 4 && o.log_loss == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_agrees_with_the_examples),
        cmocka_unit_test(every_policy_with_one_copy_trains_the_model),
        cmocka_unit_test(negligible_updates_are_left_out),
        cmocka_unit_test(pulls_and_pushes_are_announced),
        cmocka_unit_test(a_part_of_an_epoch_ends),
        cmocka_unit_test(keys_alone_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
