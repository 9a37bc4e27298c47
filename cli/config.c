/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration files: lines `name = value`; in a section [policy] or [workload] the names are that module's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ini.h"
#include "cli/options.h"
#include "cli/specs.h"

struct reading {
    struct cli_args *args;
    const char *path;
    struct pm_error *err;
    int code;
};

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    if (r->code != PM_OK)
        return 0;
    char full[2 * PM_OPTION_NAME_MAX + 2];
    if (section[0] == '\0')
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "%s.%s", section, name);
    if (strcmp(full, "config") == 0)
        r->code = pm_error_set(r->err, PM_E_OPTION, "option \"config\" is for the command line only");
    else
        r->code = cli_args_add(r->args, full, value, r->err);
    return r->code == PM_OK;
}

int cli_config_parse(struct cli_args *args, const char *text, const char *path, struct pm_error *err)
{
    struct reading reading = {args, path, err, PM_OK};
    int line = 0;
    int rc = cli_ini_parse(text, path, on_pair, &reading, &line, err);
    return rc == PM_OK && reading.code != PM_OK ? pm_error_wrap(err, PM_E_FILE, "%s:%d", path, line) : rc;
}

int cli_config_read(struct cli_args *args, const char *path, struct pm_error *err)
{
    char *text = cli_read_text(path, err);
    if (text == NULL)
        return PM_E_FILE;
    args->config = path;
    int rc = cli_config_parse(args, text, path, err);
    free(text);
    return rc;
}

static int print_line(const char *prefix, const char *name, const char *value, struct pm_error *err)
{
    if (strlen(prefix) + strlen(name) + strlen(value) + 3 > CLI_INI_LINE_MAX || strstr(value, " ;") != NULL)
        return pm_error_set(err, PM_E_LIMIT,
                            "option \"%s%s\" is too long or holds \" ;\": no line of a file can give it",
                            prefix, name);
    printf("%s%s = %s\n", prefix, name, value);
    return PM_OK;
}

/* What was not given is in force, but stands in a comment: a module may take what is given as a wish. */
static int print_module(const char *kind, const struct cli_module_spec *module, struct pm_error *err)
{
    int rc = print_line("", kind, module->spec.name, err);
    char comment[20], *prefix = comment + 2;
    snprintf(comment, sizeof comment, "; %s.", kind);
    for (size_t i = 0; i < module->values.n && rc == PM_OK; i++)
        if (module->values.values[i].set)
            rc = print_line(module->values.values[i].given ? prefix : comment, module->values.table[i].name,
                            module->values.values[i].text, err);
    return rc;
}

/* The policy of a comparison is a list, which stays one text. */
static int dump_modules(const struct cli_args *args, struct pm_error *err)
{
    struct cli_module_spec policy = {0}, workload = {0};
    int rc = PM_OK;
    if (args->command == CLI_RUN) {
        rc = cli_policy_of(args, NULL, &policy, err);
        if (rc == PM_OK)
            rc = print_module("policy", &policy, err);
    } else if (cli_given(args, "policy")) {
        rc = print_line("", "policy", cli_text(args, "policy"), err);
    }
    if (rc == PM_OK)
        rc = cli_workload_of(args, &workload, err);
    if (rc == PM_OK)
        rc = print_module("workload", &workload, err);
    cli_module_spec_free(&policy);
    cli_module_spec_free(&workload);
    return rc;
}

int cli_config_dump(const struct cli_args *args, struct pm_error *err)
{
    int rc = dump_modules(args, err);
    for (size_t i = 0; i < args->values.n && rc == PM_OK; i++) {
        const struct cli_option *row = &cli_options[i];
        const char *name = row->option.name;
        bool module = strcmp(name, "policy") == 0 || strcmp(name, "workload") == 0;
        bool about_output = row->option.type == PM_OPT_BOOL || strcmp(name, "config") == 0;
        if (!(row->commands & args->command) || !cli_option_applies(args, row) || module || about_output)
            continue;
        if (args->values.values[i].set)
            rc = print_line("", name, args->values.values[i].text, err);
    }
    return rc;
}
