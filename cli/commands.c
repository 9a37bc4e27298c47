/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/commands.h"

const struct cli_command cli_commands[] = {
    {CLI_RUN, "run", "one run", "pmlab run [OPTION...]", cli_run, 0},
    {CLI_COMPARE, "compare", "several policies, same everything else, a table",
     "pmlab compare --policies A,B,... [OPTION...]", cli_compare, 0},
    {CLI_FIGURE, "figure", "run what a figure needs, then draw it", "pmlab figure NAME [OPTION...]",
     cli_figure, 1},
    {CLI_REPORT, "report", "one HTML file of a database", "pmlab report [OPTION...]", cli_report, 0},
    {CLI_CONSISTENCY, "consistency", "which consistency policies keep, by litmus programs, against what they promise",
     "pmlab consistency [OPTION...]", cli_consistency, 0},
    {CLI_TRACE_RECORD, "trace record", "one run, and a trace of all that it accesses",
     "pmlab trace record --output FILE [OPTION...]", cli_trace_record, 0},
    {CLI_TRACE_IMPORT, "trace import", "a trace from a text with a key, or a range of keys, in each line",
     "pmlab trace import TEXT --output FILE [OPTION...]", cli_trace_import, 1},
    {CLI_TRACE_DESCRIBE, "trace describe", "skew, working sets, reuse distances, sharing between nodes",
     "pmlab trace describe FILE [OPTION...]", cli_trace_describe, 1},
    {CLI_TRACE_EXPORT, "trace export", "a trace as a text, one access per line",
     "pmlab trace export FILE [OPTION...]", cli_trace_export, 1},
    {CLI_LIST, "list", "what there is",
     "pmlab list policies|workloads|topologies|figures|backends, or list policy|workload NAME", cli_list, 2},
    {CLI_SHOW, "show", "runs of a database, or everything about one", "pmlab show [RUN] [OPTION...]",
     cli_show, 1},
    {0},
};
