/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab compare: the same experiment under several policies, and under `single` as the baseline. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/print.h"
#include "core/registry.h"

static const char baseline[] = "single";

static bool has_policy(const struct pm_spec *specs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(specs[i].name, name) == 0)
            return true;
    return false;
}

/* The list that the arguments give, or every policy of this program. */
static int named_policies(const struct cli_args *args, struct pm_spec **specs, size_t *n,
                          struct pm_error *err)
{
    if (cli_given(args, "policies") && cli_given(args, "policy"))
        return pm_error_set(err, PM_E_OPTION, "give --policies or --policy, not both");
    if (cli_given(args, "policies"))
        return pm_spec_list_parse(cli_text(args, "policies"), specs, n, err);
    if (cli_given(args, "policy"))
        return pm_spec_list_parse(cli_text(args, "policy"), specs, n, err);
    char list[PM_OPTION_TEXT_MAX] = "";
    size_t length = 0;
    for (const struct pm_policy *const *p = pm_registry_policies; *p != NULL && length < sizeof list; p++)
        length +=
            (size_t)snprintf(list + length, sizeof list - length, "%s%s", length ? "," : "", (*p)->name);
    return pm_spec_list_parse(list, specs, n, err);
}

struct comparison {
    struct cli_experiment *experiments;
    struct cli_outcome *outcomes;
    size_t n, room;
};

static int add(struct comparison *c, const struct cli_args *args, const struct pm_spec *spec,
               struct pm_error *err)
{
    for (uint64_t i = 0; i < cli_count(args, "repeat"); i++) {
        PM_ASSERT(c->n < c->room);
        int rc = cli_experiment_init(&c->experiments[c->n], args, spec, cli_count(args, "seed") + i, err);
        if (rc != PM_OK)
            return rc;
        c->n++;
    }
    return PM_OK;
}

static int build(struct comparison *c, const struct cli_args *args, const struct pm_spec *specs, size_t n,
                 struct pm_error *err)
{
    const struct pm_policy *single;
    bool add_single = !has_policy(specs, n, baseline) && cli_find_policy(baseline, &single, NULL) == PM_OK;
    c->room = (n + add_single) * cli_count(args, "repeat");
    c->experiments = calloc(c->room, sizeof *c->experiments);
    c->outcomes = calloc(c->room, sizeof *c->outcomes);
    if (c->experiments == NULL || c->outcomes == NULL)
        return pm_error_set(err, PM_E_MEMORY, "comparison: out of memory");
    int rc = PM_OK;
    if (add_single) {
        char name[] = "single";
        struct pm_spec spec = {.name = name};
        rc = add(c, args, &spec, err);
    }
    for (size_t i = 0; i < n && rc == PM_OK; i++)
        rc = add(c, args, &specs[i], err);
    return rc;
}

static int print(const struct cli_args *args, const struct comparison *c, struct pm_error *err)
{
    int64_t *ids = calloc(c->n, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; ids != NULL && i < c->n; i++)
        if (c->outcomes[i].run_id != 0)
            ids[n++] = c->outcomes[i].run_id;
    char *list = ids != NULL ? cli_json_ids(ids, n) : NULL, *json = NULL;
    free(ids);
    if (list == NULL)
        return pm_error_set(err, PM_E_MEMORY, "comparison: out of memory");
    struct results_db db;
    int rc = n > 0 ? results_open(cli_text(args, "db"), RESULTS_READ, &db, err) : PM_E_FILE;
    if (rc == PM_OK) {
        if (cli_flag(args, "json"))
            rc = results_json_compare(&db, list, &json, err);
        else if (!cli_flag(args, "quiet"))
            rc = cli_print_compared(&db, list, stdout, err);
        if (json != NULL)
            puts(json);
        results_close(&db);
    }
    free(json);
    free(list);
    return rc;
}

/* Bad input and interruptions are the same thing for every policy, though they may be worded with other
 * numbers. */
static bool is_same(const struct cli_outcome *a, const struct cli_outcome *b)
{
    if (a->code != b->code)
        return false;
    bool common =
        a->code == PM_E_OPTION || a->code == PM_E_FILE || a->code == PM_E_ABI || a->code == PM_E_INTERRUPTED;
    return common || strcmp(a->text, b->text) == 0;
}

/* One line for each different failure. */
static int complain(const struct comparison *c)
{
    int status = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct cli_outcome *outcome = &c->outcomes[i];
        bool said = outcome->code == PM_OK;
        for (size_t j = 0; j < i && !said; j++)
            said = is_same(&c->outcomes[j], outcome);
        if (said)
            continue;
        char text[PM_ERROR_TEXT_SIZE + 128];
        snprintf(text, sizeof text, "%.100s: %s", c->experiments[i].label, outcome->text);
        int one = cli_complain(outcome->code, text);
        status = status == 0 ? one : status;
    }
    return status;
}

static int compare(const struct cli_args *args, struct comparison *c)
{
    struct pm_error err = {0};
    struct pm_spec *specs = NULL;
    size_t n = 0;
    int rc = named_policies(args, &specs, &n, &err);
    if (rc == PM_OK) {
        rc = build(c, args, specs, n, &err);
        pm_spec_list_free(specs, n);
    }
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    rc = cli_execute_all(c->experiments, c->n, (unsigned)cli_count(args, "jobs"), c->outcomes);
    int printed = print(args, c, &err);
    if (rc == PM_OK && printed != PM_OK)
        return cli_complain(printed, err.text);
    return complain(c);
}

int cli_compare(const struct cli_args *args)
{
    struct pm_error err = {0};
    if (cli_flag(args, "dump-config")) {
        int rc = cli_config_dump(args, &err);
        return rc == PM_OK ? 0 : cli_complain(rc, err.text);
    }
    struct comparison c = {0};
    int status = compare(args, &c);
    for (size_t i = 0; i < c.n; i++)
        cli_experiment_free(&c.experiments[i]);
    free(c.experiments);
    free(c.outcomes);
    return status;
}
