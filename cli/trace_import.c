/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab trace import: a trace of others, as a text, becomes one of ours. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/format.h"
#include "cli/print.h"
#include "workloads/trace_text.h"

void cli_print_trace(const struct cli_args *args, const char *path, const struct trace_totals *totals)
{
    char bytes[32];
    cli_format_bytes(bytes, sizeof bytes, (double)totals->bytes);
    if (!cli_flag(args, "quiet"))
        printf("%s: %" PRIu64 " accesses in %" PRIu64 " batches, %s, %.2f bytes per access\n", path, totals->accesses,
               totals->batches, bytes, totals->accesses > 0 ? (double)totals->bytes / (double)totals->accesses : 0);
}

static int import(const struct cli_args *args, const char *text, const char *path, struct pm_error *err)
{
    static const uint64_t units_ns[] = {1000000000, 1000000, 1000, 1};
    struct trace_text t = {.header = cli_count(args, "header"),
                           .batch = (uint32_t)cli_count(args, "batch"),
                           .unit_ns = units_ns[pm_values_enum(&args->values, "time-unit")],
                           .interrupted = cli_interrupted};
    struct trace_output output;
    struct trace_text_found found;
    struct trace_totals totals;
    int rc = trace_text_columns(&t, cli_text(args, "columns"), err);
    if (rc == PM_OK)
        rc = trace_output_begin(&output, path, err);
    if (rc == PM_OK)
        rc = trace_text_import(&t, text, &output, &found, &totals, err);
    if (rc != PM_OK)
        return rc;
    if (!cli_flag(args, "quiet"))
        printf("%s: %" PRIu64 " lines, %" PRIu64 " keys, %" PRIu32 " nodes\n", text, found.lines, found.keys, found.nodes);
    cli_print_trace(args, path, &totals);
    return PM_OK;
}

int cli_trace_import(const struct cli_args *args)
{
    struct pm_error err = {0};
    if (args->n_words == 0)
        return cli_complain(PM_E_OPTION, "trace import: which text?");
    if (cli_text(args, "output") == NULL)
        return cli_complain(PM_E_OPTION, "trace import: where to? (--output FILE)");
    int rc = import(args, args->words[0], cli_text(args, "output"), &err);
    return rc == PM_OK ? 0 : cli_complain(rc, err.text);
}
