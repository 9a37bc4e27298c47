/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From arguments to a job. */
#define _GNU_SOURCE /* asprintf */
#include "cli/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/traced.h"
#include "core/nearest.h"
#include "core/node.h"
#include "core/registry.h"
#include "results/hash.h"

const char *cli_command_line = "";

/* An option that only the other backend knows, given by the user, is a misunderstanding. */
static int check_backend_options(const struct cli_args *args, struct pm_error *err)
{
    const char *backend = cli_text(args, "backend");
    unsigned other = strcmp(backend, "sim") == 0 ? CLI_REAL : CLI_SIM;
    for (size_t i = 0; i < args->values.n; i++)
        if ((cli_options[i].flags & other) && args->values.values[i].given)
            return pm_error_set(err, PM_E_OPTION, "option --%s means nothing to --backend %s",
                                cli_options[i].option.name, backend);
    return PM_OK;
}

/* A name that can only be a misspelt topology is told apart from a file that is missing. */
static int check_platform(const struct cli_args *args, struct pm_error *err)
{
    const char *platform = cli_text(args, "platform");
    if (!cli_platform_is_file(args) || access(platform, R_OK) == 0)
        return PM_OK;
    if (strpbrk(platform, "/.") != NULL)
        return pm_error_set(err, PM_E_FILE, "platform %s: %m", platform);
    return pm_error_set(err, PM_E_OPTION,
                        "unknown platform \"%.80s\"; nearest is \"%s\" (or the path of a file)", platform,
                        pm_nearest(platform, cli_topologies, CLI_TOPOLOGIES));
}

static int set_evaluate(struct pm_job *job, const char *text, struct pm_error *err)
{
    static const struct pm_option number = {"evaluate", PM_OPT_COUNT, NULL, "", NULL, 1, 1e6};
    struct pm_value value;
    if (strcmp(text, "every") == 0)
        job->evaluate = PM_EVALUATE_EVERY;
    else if (strcmp(text, "end") == 0)
        job->evaluate = PM_EVALUATE_END;
    else if (pm_option_parse(&number, text, &value, err) == PM_OK) {
        job->evaluate = PM_EVALUATE_N;
        job->evaluate_n = (uint32_t)value.whole;
    } else {
        return pm_error_set(err, PM_E_OPTION,
                            "option \"evaluate\": \"%.80s\" (allowed: every, end, a number of epochs)", text);
    }
    return PM_OK;
}

static int set_job(struct cli_experiment *e, uint64_t seed, struct pm_error *err)
{
    const struct cli_args *args = e->args;
    struct pm_traits traits;
    int rc = cli_policy_traits(&e->policy, &traits, err);
    if (rc != PM_OK)
        return rc;
    uint64_t nodes = cli_count(args, "nodes");
    if (traits.max_nodes != 0 && nodes > traits.max_nodes)
        nodes = traits.max_nodes;
    e->job = (struct pm_job){
        .policy = e->policy.policy,
        .policy_options = &e->policy.values,
        .workload = e->workload.workload,
        .workload_options = &e->workload.values,
        .nodes = (uint32_t)nodes,
        .workers = (uint32_t)cli_count(args, "workers"),
        .epochs = (uint32_t)cli_count(args, "epochs"),
        .epoch_fraction = pm_values_real(&args->values, "epoch-fraction"),
        .time_budget_ns = pm_values_ns(&args->values, "time-budget"),
        .seed = seed,
        .with_values = pm_values_enum(&args->values, "values") == 0,
        .ahead = pm_values_is_set(&args->values, "ahead") ? (int64_t)cli_count(args, "ahead") : -1,
        .max_message = (uint32_t)pm_values_bytes(&args->values, "max-message"),
        .main = pm_train_worker,
    };
    e->job.digest = e->job.with_values ? &results_values_digest : NULL;
    if (!e->job.with_values && e->workload.workload->needs_values)
        return pm_error_set(err, PM_E_OPTION, "workload %s cannot run with --values none",
                            e->workload.workload->name);
    rc = set_evaluate(&e->job, cli_text(args, "evaluate"), err);
    if (rc == PM_OK && pm_values_is_set(&args->values, "trace-keys"))
        rc = cli_traced_parse(cli_text(args, "trace-keys"), &e->job.traced, &e->traced_keys, err);
    return rc;
}

/* Hands every option that the backend knows by name on to it. */
static int set_backend_values(struct cli_experiment *e, struct pm_error *err)
{
    const struct pm_values *from = &e->args->values;
    int rc = pm_values_init(&e->backend_values, e->backend->options, err);
    for (size_t i = 0; i < e->backend_values.n && rc == PM_OK; i++) {
        const char *name = e->backend_values.table[i].name;
        if (pm_option_find(from->table, name) < 0 || !pm_values_is_set(from, name))
            continue;
        rc = pm_values_set(&e->backend_values, name, pm_values_canonical(from, name), err);
        e->backend_values.values[i].given = pm_values_is_given(from, name);
    }
    return rc;
}

static int build(struct cli_experiment *e, const struct pm_spec *policy, uint64_t seed, struct pm_error *err)
{
    const struct cli_args *args = e->args;
    bool sim = pm_values_enum(&args->values, "backend") == 0;
    int rc = check_backend_options(args, err);
    if (rc == PM_OK)
        rc = cli_policy_of(args, policy, &e->policy, err);
    if (rc == PM_OK)
        rc = cli_workload_of(args, &e->workload, err);
    if (rc == PM_OK && sim)
        rc = check_platform(args, err);
    if (rc == PM_OK)
        rc = set_job(e, seed, err);
    if (rc == PM_OK)
        rc = cli_find_backend(cli_text(args, "backend"), &e->backend, err);
    if (rc == PM_OK)
        rc = set_backend_values(e, err);
    if (rc == PM_OK)
        rc = cli_experiment_describe(e, err);
    return rc;
}

int cli_experiment_init(struct cli_experiment *e, const struct cli_args *args, const struct pm_spec *policy,
                        uint64_t seed, struct pm_error *err)
{
    *e = (struct cli_experiment){.args = args};
    snprintf(e->seed_text, sizeof e->seed_text, "%llu", (unsigned long long)seed);
    int rc = build(e, policy, seed, err);
    if (rc == PM_OK && asprintf(&e->label, "%s%s%s", e->job.policy->name, e->policy.options[0] ? ":" : "",
                                e->policy.options) < 0) {
        e->label = NULL;
        rc = pm_error_set(err, PM_E_MEMORY, "experiment: out of memory");
    }
    if (rc != PM_OK)
        cli_experiment_free(e);
    return rc;
}

void cli_experiment_free(struct cli_experiment *e)
{
    pm_values_free(&e->backend_values);
    cli_module_spec_free(&e->policy);
    cli_module_spec_free(&e->workload);
    for (uint32_t i = 0; i < e->n_options; i++)
        free(e->option_names[i]);
    free(e->traced_keys);
    free(e->option_names);
    free(e->options);
    free(e->label);
    *e = (struct cli_experiment){0};
}

struct results_run cli_experiment_row(const struct cli_experiment *e)
{
    const struct cli_args *args = e->args;
    bool sim = pm_values_enum(&args->values, "backend") == 0;
    return (struct results_run){
        .name = cli_text(args, "name"),
        .backend = e->backend->name,
        .policy = e->job.policy->name,
        .policy_options = e->policy.options,
        .workload = e->job.workload->name,
        .workload_options = e->workload.options,
        .nodes = e->job.nodes,
        .workers = e->job.workers,
        .values_mode = cli_text(args, "values"),
        .network = sim ? cli_text(args, "network") : NULL,
        .platform = sim ? cli_text(args, "platform") : NULL,
        .seed = e->job.seed,
        .run_number = cli_count(args, "run-number"),
        .version = pm_version,
        .command_line = cli_command_line,
        .config_hash = e->config_hash,
        .experiment_hash = e->experiment_hash,
        .deterministic = sim,
        .options = e->options,
        .n_options = e->n_options,
    };
}
