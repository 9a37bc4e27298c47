/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policies and workloads with their options, as the arguments give them. */
#include "cli/specs.h"

#include <stdlib.h>
#include <string.h>

#include "core/node.h"

/* Text of the options that had to be given. */
static char *differing(const char *name, const struct pm_values *values)
{
    size_t length = pm_spec_format_values(name, values, false, NULL, 0);
    char *text = malloc(length + 1);
    if (text == NULL)
        return NULL;
    pm_spec_format_values(name, values, false, text, length + 1);
    /* The name, in which characters may have been escaped, ends where a specification without options does.
     */
    struct pm_values none = {0};
    size_t skip = pm_spec_format_values(name, &none, false, NULL, 0);
    skip += text[skip] == ':';
    memmove(text, text + skip, length - skip + 1);
    return text;
}

static int copy_spec(const struct pm_spec *from, struct pm_spec *to, struct pm_error *err)
{
    size_t length = pm_spec_format(from, NULL, 0);
    char *text = malloc(length + 1);
    if (text == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", from->name);
    pm_spec_format(from, text, length + 1);
    int rc = pm_spec_parse(text, to, err);
    free(text);
    return rc;
}

/* What is wrong in the configuration file is wrong with a file. */
static int blame(const struct cli_args *args, bool from_file, int rc, struct pm_error *err)
{
    if (rc != PM_E_OPTION || !from_file || args->config == NULL)
        return rc;
    return pm_error_wrap(err, PM_E_FILE, "%s", args->config);
}

static int fill(const struct cli_args *args, struct cli_module_spec *out, const struct pm_option *table,
                const struct cli_pairs *pairs, struct pm_error *err)
{
    int rc = pm_spec_apply(&out->spec, table, NULL, &out->values, err);
    for (size_t i = 0; i < pairs->n && rc == PM_OK; i++) {
        rc = pm_values_set(&out->values, pairs->pairs[i].name, pairs->pairs[i].value, err);
        if (rc != PM_OK)
            rc = blame(args, pairs->pairs[i].from_file, pm_error_wrap(err, rc, "%s", out->spec.name), err);
    }
    return rc;
}

static int finish(struct cli_module_spec *out, const char *name, const struct pm_preset *presets, struct pm_error *err)
{
    int rc = pm_values_take_preset(&out->values, presets, err);
    if (rc != PM_OK)
        return pm_error_wrap(err, rc, "%s", out->spec.name);
    out->options = differing(name, &out->values);
    return out->options != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "%s: out of memory", name);
}

int cli_policy_of(const struct cli_args *args, const struct pm_spec *spec, struct cli_module_spec *out,
                  struct pm_error *err)
{
    *out = (struct cli_module_spec){0};
    int rc = spec != NULL ? copy_spec(spec, &out->spec, err)
                          : pm_spec_parse(cli_text(args, "policy"), &out->spec, err);
    if (rc == PM_OK)
        rc = cli_find_policy(out->spec.name, &out->policy, err);
    rc = blame(args, args->policy_from_file, rc, err);
    if (rc == PM_OK)
        rc = fill(args, out, out->policy->options, &args->policy, err);
    if (rc == PM_OK)
        rc = finish(out, out->policy->name, out->policy->presets, err);
    if (rc != PM_OK)
        cli_module_spec_free(out);
    return rc;
}

int cli_workload_of(const struct cli_args *args, struct cli_module_spec *out, struct pm_error *err)
{
    *out = (struct cli_module_spec){0};
    int rc = pm_spec_parse(cli_text(args, "workload"), &out->spec, err);
    if (rc == PM_OK)
        rc = cli_find_workload(out->spec.name, &out->workload, err);
    rc = blame(args, args->workload_from_file, rc, err);
    if (rc == PM_OK)
        rc = fill(args, out, out->workload->options, &args->workload, err);
    /* A workload with kernels of several instruction sets has an option of this name. */
    if (rc == PM_OK && pm_option_find(out->workload->options, "isa") >= 0 &&
        !pm_values_is_given(&out->values, "isa"))
        rc = pm_values_set(&out->values, "isa", cli_text(args, "isa"), err);
    if (rc == PM_OK)
        rc = finish(out, out->workload->name, out->workload->presets, err);
    if (rc != PM_OK)
        cli_module_spec_free(out);
    return rc;
}

void cli_module_spec_free(struct cli_module_spec *module)
{
    pm_spec_free(&module->spec);
    pm_values_free(&module->values);
    free(module->options);
    *module = (struct cli_module_spec){0};
}

int cli_policy_traits(const struct cli_module_spec *policy, struct pm_traits *traits, struct pm_error *err)
{
    return pm_policy_traits(policy->policy, &policy->values, traits, err);
}
