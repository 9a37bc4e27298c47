/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run's record of options and its two hashes. config_hash covers all that decides the outcome: backend,
 * policy, workload, their options, nodes, workers, seed, run number, and the contents of every file; not the
 * files' paths, the database, labels, or how many runs go on at a time. experiment_hash leaves out policy and
 * nodes: runs that share it are ways of doing the same thing. */
#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/experiment.h"
#include "results/hash.h"

struct hashes {
    struct results_hash *config, *experiment;
};

static void add(struct hashes *h, bool experiment, const char *prefix, const char *name, const char *value)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    results_hash_add(h->config, full, value);
    if (experiment)
        results_hash_add(h->experiment, full, value);
}

/* A file counts by its content. */
static int add_file(struct hashes *h, bool experiment, const char *prefix, const char *name, const char *path,
                    struct pm_error *err)
{
    uint64_t hash;
    char text[17];
    int rc = results_hash_file(path, &hash, err);
    if (rc != PM_OK)
        return pm_error_wrap(err, rc, "option \"%s%s\"", prefix, name);
    results_hash_text(hash, text);
    add(h, experiment, prefix, name, text);
    return PM_OK;
}

static int record(struct cli_experiment *e, const char *prefix, const char *name, const char *value,
                  bool is_default, struct pm_error *err)
{
    uint32_t n = e->n_options;
    if (asprintf(&e->option_names[n], "%s%s", prefix, name) < 0)
        return pm_error_set(err, PM_E_MEMORY, "experiment: out of memory");
    e->options[n] = (struct results_option){e->option_names[n], value, is_default};
    e->n_options++;
    return PM_OK;
}

static int describe_module(struct cli_experiment *e, struct hashes *h, const char *prefix, bool experiment,
                           const struct cli_module_spec *module, struct pm_error *err)
{
    int rc = PM_OK;
    for (size_t i = 0; i < module->values.n && rc == PM_OK; i++) {
        const struct pm_value *value = &module->values.values[i];
        const struct pm_option *option = &module->values.table[i];
        if (!value->set)
            continue;
        if (option->type == PM_OPT_PATH)
            rc = add_file(h, experiment, prefix, option->name, value->text, err);
        else
            add(h, experiment, prefix, option->name, value->text);
        if (rc == PM_OK)
            rc = record(e, prefix, option->name, value->text,
                        pm_values_is_default(&module->values, option->name), err);
    }
    return rc;
}

/* The name of a module counts, and the content of the file that it came from. */
static int describe_name(struct hashes *h, const char *kind, bool experiment, const char *name,
                         const char *given, struct pm_error *err)
{
    add(h, experiment, "", kind, name);
    return cli_name_is_file(given) ? add_file(h, experiment, kind, ".so", given, err) : PM_OK;
}

static bool names_file(const struct cli_args *args, const struct cli_option *row, const char *value)
{
    if (strcmp(row->option.name, "platform") == 0)
        return cli_platform_is_file(args);
    return row->option.type == PM_OPT_PATH && strcmp(value, "none") != 0;
}

static int describe_options(struct cli_experiment *e, struct hashes *h, struct pm_error *err)
{
    const struct pm_values *values = &e->args->values;
    int rc = PM_OK;
    for (size_t i = 0; i < values->n && rc == PM_OK; i++) {
        const struct cli_option *row = &cli_options[i];
        const char *name = row->option.name, *value = values->values[i].text;
        if (!(row->flags & CLI_CONFIG) || !cli_option_applies(e->args, row) || !values->values[i].set)
            continue;
        bool is_seed = strcmp(name, "seed") == 0;
        if (is_seed)
            value = e->seed_text;
        if (names_file(e->args, row, value))
            rc = add_file(h, true, "", name, value, err);
        else
            add(h, true, "", name, value);
        if (rc == PM_OK)
            rc = record(e, "", name, value, is_seed ? e->job.seed == 1 : pm_values_is_default(values, name),
                        err);
    }
    return rc;
}

static int describe(struct cli_experiment *e, struct hashes *h, struct pm_error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%u", e->job.nodes);
    add(h, false, "", "nodes", number);
    snprintf(number, sizeof number, "%u", e->job.workers);
    add(h, true, "", "workers", number);
    int rc = describe_name(h, "policy", false, e->job.policy->name, e->policy.spec.name, err);
    if (rc == PM_OK)
        rc = describe_name(h, "workload", true, e->job.workload->name, e->workload.spec.name, err);
    if (rc == PM_OK)
        rc = describe_module(e, h, "policy.", false, &e->policy, err);
    if (rc == PM_OK)
        rc = describe_module(e, h, "workload.", true, &e->workload, err);
    if (rc == PM_OK)
        rc = describe_options(e, h, err);
    return rc;
}

int cli_experiment_describe(struct cli_experiment *e, struct pm_error *err)
{
    size_t room = e->policy.values.n + e->workload.values.n + e->args->values.n;
    e->options = calloc(room + 1, sizeof *e->options);
    e->option_names = calloc(room + 1, sizeof *e->option_names);
    struct hashes hashes = {results_hash_new(), results_hash_new()};
    int rc = PM_E_MEMORY;
    if (e->options == NULL || e->option_names == NULL || hashes.config == NULL || hashes.experiment == NULL)
        pm_error_set(err, rc, "experiment: out of memory");
    else
        rc = describe(e, &hashes, err);
    if (hashes.config != NULL)
        e->config_hash = results_hash_finish(hashes.config);
    if (hashes.experiment != NULL)
        e->experiment_hash = results_hash_finish(hashes.experiment);
    return rc;
}
