/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab trace record: a run like any other, with a workload around its own that writes down what is accessed. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/format.h"
#include "cli/print.h"
#include "workloads/trace_recorder.h"

static void describe_run(const struct cli_experiment *e, char *text, size_t size)
{
    snprintf(text, size, "recorded from %s%s%s under %s, %u x %u workers, seed %s", e->job.workload->name,
             e->workload.options[0] != '\0' ? ":" : "", e->workload.options, e->label, e->job.nodes, e->job.workers,
             e->seed_text);
}

static int record(const struct cli_args *args, struct cli_experiment *e, struct trace_output *output,
                  struct cli_outcome *outcome, struct trace_totals *totals, struct pm_error *err)
{
    char origin[2 * PM_OPTION_TEXT_MAX];
    describe_run(e, origin, sizeof origin);
    e->job.workload = trace_recorder(e->job.workload, output);
    int rc = cli_execute_all(e, 1, 1, outcome);
    if (rc != PM_OK)
        return pm_error_set(err, rc, "%s", outcome->text);
    struct trace_shape shape = {.nodes = e->job.nodes, .workers = e->job.workers, .origin = origin};
    rc = trace_output_finish(output, &shape, totals, err);
    return rc == PM_OK && !cli_flag(args, "quiet") ? cli_print_runs(args, &outcome->run_id, 1, err) : rc;
}

int cli_trace_record(const struct cli_args *args)
{
    struct pm_error err = {0};
    struct cli_experiment e;
    struct trace_output output;
    struct cli_outcome outcome;
    struct trace_totals totals;
    const char *path = cli_text(args, "output");
    if (path == NULL)
        return cli_complain(PM_E_OPTION, "trace record: where to? (--output FILE)");
    int rc = cli_experiment_init(&e, args, NULL, cli_count(args, "seed"), &err);
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    rc = trace_output_begin(&output, path, &err);
    if (rc == PM_OK) {
        rc = record(args, &e, &output, &outcome, &totals, &err);
        trace_output_abandon(&output);
    }
    cli_experiment_free(&e);
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    cli_print_trace(args, path, &totals);
    return 0;
}
