/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab run: one run, or one per seed. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/print.h"

static int build(const struct cli_args *args, struct cli_experiment *experiments, size_t n, size_t *built,
                 struct pm_error *err)
{
    int rc = PM_OK;
    for (*built = 0; *built < n && rc == PM_OK; *built += rc == PM_OK)
        rc = cli_experiment_init(&experiments[*built], args, NULL, cli_count(args, "seed") + *built, err);
    return rc;
}

/* Says what came out of the finished runs (as JSON: of all that were recorded); then the first complaint. */
static int report(const struct cli_args *args, const struct cli_outcome *outcomes, size_t n, int code)
{
    struct pm_error err = {0};
    int64_t ids[n];
    size_t recorded = 0;
    const char *text = NULL;
    for (size_t i = 0; i < n; i++) {
        if (outcomes[i].run_id != 0 && (outcomes[i].code == PM_OK || cli_flag(args, "json")))
            ids[recorded++] = outcomes[i].run_id;
        if (outcomes[i].code == code && text == NULL)
            text = outcomes[i].text;
    }
    if (recorded > 0 && !(cli_flag(args, "quiet") && !cli_flag(args, "json"))) {
        int rc = cli_print_runs(args, ids, recorded, &err);
        if (rc != PM_OK && code == PM_OK)
            return cli_complain(rc, err.text);
    }
    return code == PM_OK ? 0 : cli_complain(code, text != NULL ? text : "");
}

int cli_run(const struct cli_args *args)
{
    struct pm_error err = {0};
    if (cli_flag(args, "dump-config")) {
        int rc = cli_config_dump(args, &err);
        return rc == PM_OK ? 0 : cli_complain(rc, err.text);
    }
    size_t n = cli_count(args, "repeat"), built = 0;
    struct cli_experiment *experiments = calloc(n, sizeof *experiments);
    struct cli_outcome *outcomes = calloc(n, sizeof *outcomes);
    int status;
    if (experiments == NULL || outcomes == NULL) {
        status = cli_complain(PM_E_MEMORY, "");
    } else {
        int rc = build(args, experiments, n, &built, &err);
        if (rc != PM_OK)
            status = cli_complain(rc, err.text);
        else
            status = report(args, outcomes, n, cli_execute_all(experiments, n, 1, outcomes));
    }
    for (size_t i = 0; i < built; i++)
        cli_experiment_free(&experiments[i]);
    free(experiments);
    free(outcomes);
    return status;
}
