/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From argv to values. The configuration file is applied first wherever --config stands, then the command
 * line. */
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "core/nearest.h"

static bool is_switch(const struct pm_option *option)
{
    return option->type == PM_OPT_BOOL;
}

static int unknown(unsigned command, const char *name, struct pm_error *err)
{
    const char *candidates[128];
    size_t n = 0;
    for (const struct cli_option *row = cli_options; row->option.name != NULL && n < 128; row++)
        if (row->commands & command)
            candidates[n++] = row->option.name;
    const char *nearest = pm_nearest(name, candidates, n);
    return pm_error_set(err, PM_E_OPTION, "unknown option --%.80s%s%s", name,
                        nearest ? "; nearest is --" : "", nearest ? nearest : "");
}

static void pairs_clear(struct cli_pairs *pairs, bool from_file_only)
{
    size_t kept = 0;
    for (size_t i = 0; i < pairs->n; i++) {
        if (from_file_only && !pairs->pairs[i].from_file) {
            pairs->pairs[kept++] = pairs->pairs[i];
            continue;
        }
        free(pairs->pairs[i].name);
        free(pairs->pairs[i].value);
    }
    pairs->n = kept;
}

static int pairs_add(struct cli_pairs *pairs, const char *name, const char *value, bool from_file,
                     struct pm_error *err)
{
    struct cli_pair *more = realloc(pairs->pairs, (pairs->n + 1) * sizeof *more);
    if (more == NULL)
        return pm_error_set(err, PM_E_MEMORY, "option %s: out of memory", name);
    pairs->pairs = more;
    more[pairs->n] = (struct cli_pair){strdup(name), strdup(value), from_file};
    if (more[pairs->n].name == NULL || more[pairs->n].value == NULL)
        return pm_error_set(err, PM_E_MEMORY, "option %s: out of memory", name);
    pairs->n++;
    return PM_OK;
}

/* Joins a further value of a repeatable option to those before it. */
static int append(struct cli_args *args, const struct cli_option *row, const char *value,
                  struct pm_error *err)
{
    const char *before = cli_text(args, row->option.name);
    size_t size = strlen(before) + strlen(value) + 2;
    char *joined = malloc(size);
    if (joined == NULL)
        return pm_error_set(err, PM_E_MEMORY, "option --%s: out of memory", row->option.name);
    size_t length = strlen(before);
    memcpy(joined, before, length);
    joined[length] = row->joint;
    memcpy(joined + length + 1, value, strlen(value) + 1);
    int rc = pm_values_set(&args->values, row->option.name, joined, err);
    free(joined);
    return rc;
}

int cli_args_set(struct cli_args *args, const char *name, const char *value, bool from_file,
                 struct pm_error *err)
{
    if (strncmp(name, "policy.", 7) == 0 && name[7] != '\0')
        return pairs_add(&args->policy, name + 7, value, from_file, err);
    if (strncmp(name, "workload.", 9) == 0 && name[9] != '\0')
        return pairs_add(&args->workload, name + 9, value, from_file, err);
    const struct cli_option *row = cli_option_find(name);
    if (row == NULL)
        return unknown(args->command, name, err);
    /* Options of another policy or workload make no sense for the one named later. */
    if (!from_file && strcmp(name, "policy") == 0)
        pairs_clear(&args->policy, true);
    if (!from_file && strcmp(name, "workload") == 0)
        pairs_clear(&args->workload, true);
    if (strcmp(name, "policy") == 0)
        args->policy_from_file = from_file;
    if (strcmp(name, "workload") == 0)
        args->workload_from_file = from_file;
    return pm_values_set(&args->values, name, value, err);
}

int cli_args_add(struct cli_args *args, const char *name, const char *value, struct pm_error *err)
{
    const struct cli_option *row = cli_option_find(name);
    bool joins = row != NULL && (row->flags & CLI_REPEATABLE) && row->joint == ' ' && cli_given(args, name);
    return joins ? append(args, row, value, err) : cli_args_set(args, name, value, true, err);
}

/* One option of the command line as it stands there. */
struct setting {
    const struct cli_option *row; /* NULL: policy.NAME or workload.NAME */
    const char *name, *value;
    char *owned;
};

static int split(const struct cli_args *args, struct setting *s, const char *arg, const char *next,
                 bool *used_next, struct pm_error *err)
{
    *used_next = false;
    const char *equals = strchr(arg, '=');
    s->owned = equals != NULL ? strndup(arg, (size_t)(equals - arg)) : strdup(arg);
    if (s->owned == NULL)
        return pm_error_set(err, PM_E_MEMORY, "option --%s: out of memory", arg);
    s->name = s->owned;
    s->value = equals != NULL ? equals + 1 : NULL;
    bool inner = (strncmp(s->name, "policy.", 7) == 0 || strncmp(s->name, "workload.", 9) == 0) &&
                 (args->command & CLI_EXPERIMENTS);
    s->row = inner ? NULL : cli_option_find(s->name);
    if (!inner && s->row == NULL)
        return unknown(args->command, s->name, err);
    if (!inner && !(s->row->commands & args->command))
        return pm_error_set(err, PM_E_OPTION, "pmlab %s has no option --%s", args->command_name, s->name);
    if (s->value == NULL && !inner && is_switch(&s->row->option))
        s->value = "1";
    if (s->value != NULL)
        return PM_OK;
    if (next == NULL)
        return pm_error_set(err, PM_E_OPTION, "option --%s needs a value", s->name);
    s->value = next;
    *used_next = true;
    return PM_OK;
}

static int apply(struct cli_args *args, const struct setting *settings, size_t n, struct pm_error *err)
{
    int rc = PM_OK;
    for (size_t i = 0; i < n && rc == PM_OK; i++) {
        const struct setting *s = &settings[i];
        bool again = false; /* given on this command line before */
        for (size_t j = 0; j < i; j++)
            again |= s->row != NULL && settings[j].row == s->row;
        bool joins = s->row != NULL && (s->row->flags & CLI_REPEATABLE) && again;
        if (joins && strcmp(s->name, "policy") == 0 && !(args->command & (CLI_COMPARE | CLI_CONSISTENCY)))
            joins = false; /* one run has one policy: the last one given */
        rc = joins ? append(args, s->row, s->value, err) : cli_args_set(args, s->name, s->value, false, err);
    }
    return rc;
}

/* Takes argv apart: settings, words, help. */
static int collect(struct cli_args *args, int n, char **argv, struct setting *settings, size_t *n_settings,
                   struct pm_error *err)
{
    const char **words = calloc((size_t)n + 1, sizeof *words);
    if (words == NULL)
        return pm_error_set(err, PM_E_MEMORY, "arguments: out of memory");
    args->words = words;
    bool only_words = false;
    for (int i = 0; i < n; i++) {
        const char *arg = argv[i];
        if (only_words || arg[0] != '-' || arg[1] == '\0') {
            words[args->n_words++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            only_words = true;
        } else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            args->help = true;
        } else if (arg[1] != '-') {
            return pm_error_set(err, PM_E_OPTION, "unknown option %.80s; options begin with --", arg);
        } else {
            bool used_next;
            int rc = split(args, &settings[(*n_settings)++], arg + 2, i + 1 < n ? argv[i + 1] : NULL,
                           &used_next, err);
            if (rc != PM_OK)
                return rc;
            i += used_next;
        }
    }
    return PM_OK;
}

static int parse(struct cli_args *args, int n, char **argv, struct setting *settings, size_t *n_settings,
                 struct pm_error *err)
{
    int rc = collect(args, n, argv, settings, n_settings, err);
    for (size_t i = 0; i < *n_settings && rc == PM_OK; i++)
        if (settings[i].row != NULL && strcmp(settings[i].name, "config") == 0)
            rc = cli_config_read(args, settings[i].value, err);
    return rc == PM_OK ? apply(args, settings, *n_settings, err) : rc;
}

int cli_args_parse(struct cli_args *args, unsigned command, const char *name, int n, char **argv,
                   struct pm_error *err)
{
    *args = (struct cli_args){.command = command, .command_name = name};
    int rc = pm_values_init(&args->values, cli_option_table(), err);
    if (rc != PM_OK)
        return rc;
    struct setting *settings = calloc((size_t)n + 1, sizeof *settings);
    size_t n_settings = 0;
    if (settings == NULL)
        rc = pm_error_set(err, PM_E_MEMORY, "arguments: out of memory");
    else
        rc = parse(args, n, argv, settings, &n_settings, err);
    for (size_t i = 0; i < n_settings; i++)
        free(settings[i].owned);
    free(settings);
    if (rc != PM_OK)
        cli_args_free(args);
    return rc;
}

static int copy_pairs(struct cli_pairs *to, const struct cli_pairs *from, struct pm_error *err)
{
    int rc = PM_OK;
    for (size_t i = 0; i < from->n && rc == PM_OK; i++)
        rc = pairs_add(to, from->pairs[i].name, from->pairs[i].value, false, err);
    return rc;
}

int cli_args_parse_onto(struct cli_args *args, const struct cli_args *base, int n, char **argv,
                        struct pm_error *err)
{
    int rc = cli_args_parse(args, base->command, base->command_name, n, argv, err);
    if (rc != PM_OK)
        return rc;
    for (size_t i = 0; i < args->values.n; i++)
        args->values.values[i].given = false;
    for (size_t i = 0; i < args->policy.n; i++)
        args->policy.pairs[i].from_file = true;
    for (size_t i = 0; i < args->workload.n; i++)
        args->workload.pairs[i].from_file = true;
    for (size_t i = 0; i < base->values.n && rc == PM_OK; i++)
        if (base->values.values[i].given)
            rc = cli_args_set(args, cli_options[i].option.name, base->values.values[i].text, false, err);
    if (rc == PM_OK)
        rc = copy_pairs(&args->policy, &base->policy, err);
    if (rc == PM_OK)
        rc = copy_pairs(&args->workload, &base->workload, err);
    if (rc != PM_OK)
        cli_args_free(args);
    return rc;
}

void cli_args_free(struct cli_args *args)
{
    pm_values_free(&args->values);
    pairs_clear(&args->policy, false);
    pairs_clear(&args->workload, false);
    free(args->policy.pairs);
    free(args->workload.pairs);
    free((void *)args->words);
    *args = (struct cli_args){0};
}
