/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of options. A backend's own options are rows here, too: the simulator is a shared object that is
 * loaded only when it is used, and help and validation must not wait for it. */
#include "cli/options.h"

#include <string.h>

#include "core/node.h"

/* clang-format off */
#define EXP CLI_EXPERIMENTS
const struct cli_option cli_options[] = {
    {{"config", PM_OPT_PATH, NULL,
      "read options from this file: name = value, [sections] allowed", NULL, 0, 0},
     EXP, 0, 0},
    {{"dump-config", PM_OPT_BOOL, "0",
      "print the effective configuration as such a file and stop", NULL, 0, 0},
     EXP & ~CLI_TRACE_RECORD, 0, 0},
    {{"backend", PM_OPT_ENUM, "sim",
      "simulated cluster, or real processes over TCP", "sim|real", 0, 0},
     EXP, CLI_CONFIG, 0},
    {{"policy", PM_OPT_TEXT, "classic",
      "how parameters are managed: NAME[:option=value,...] or a .so", NULL, 0, 0},
     EXP | CLI_CONSISTENCY, CLI_REPEATABLE, ','},
    {{"policies", PM_OPT_TEXT, NULL,
      "policies to compare: A,B,... each with its options behind it", NULL, 0, 0},
     CLI_COMPARE, CLI_REPEATABLE, ','},
    {{"workload", PM_OPT_TEXT, "zipf",
      "what is trained: NAME[:option=value,...] or a .so", NULL, 0, 0},
     EXP, 0, 0},
    {{"nodes", PM_OPT_COUNT, "4",
      "nodes of the cluster", NULL, 1, PM_NODES_MAX},
     EXP, 0, 0},
    {{"workers", PM_OPT_COUNT, "2",
      "workers per node", NULL, 1, PM_WAKES_MAX},
     EXP, 0, 0},
    {{"platform", PM_OPT_TEXT, "star",
      "topology (pmlab list topologies) or SimGrid XML file", NULL, 0, 0},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"bandwidth", PM_OPT_RATE, "10Gbps",
      "per node and direction", NULL, 1, 1e18},
     EXP, CLI_CONFIG | CLI_SIM | CLI_IN_PLATFORM, 0},
    {{"latency", PM_OPT_DURATION, "20us",
      "one way between two nodes", NULL, 0, 1e6},
     EXP, CLI_CONFIG | CLI_SIM | CLI_IN_PLATFORM, 0},
    {{"speed", PM_OPT_FLOPS, "1Gf",
      "effective speed of a core", NULL, 1, 1e24},
     EXP, CLI_CONFIG | CLI_SIM | CLI_IN_PLATFORM, 0},
    {{"speeds", PM_OPT_TEXT, "",
      "of the first nodes where they differ: A,B,...", NULL, 0, 0},
     EXP, CLI_CONFIG | CLI_SIM | CLI_IN_PLATFORM, 0},
    {{"slow-share", PM_OPT_REAL, "0",
      "share of steps, drawn at random, that are slow", NULL, 0, 1},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"slow-factor", PM_OPT_REAL, "4",
      "how many times as long a slow step takes on average", NULL, 1, 1e6},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"cores", PM_OPT_COUNT, NULL,
      "cores per node; unset: workers + communicators", NULL, 1, 1e6},
     EXP, CLI_CONFIG | CLI_SIM | CLI_IN_PLATFORM, 0},
    {{"memory", PM_OPT_BYTES, "128GiB",
      "memory per node; a run that needs more fails", NULL, 1, 1e18},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"network", PM_OPT_ENUM, "flow",
      "network model", "flow|queue", 0, 0},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"cost", PM_OPT_PATH, NULL,
      "file of the cost model; none: management costs no time", NULL, 0, 0},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"charge-cap", PM_OPT_DURATION, "10us",
      "a worker's charges become time when they pass this", NULL, 0, 3600},
     EXP, CLI_CONFIG | CLI_SIM, 0},
    {{"sim-cfg", PM_OPT_TEXT, NULL,
      "setting passed to SimGrid, item:value; repeatable", NULL, 0, 0},
     EXP, CLI_CONFIG | CLI_SIM | CLI_REPEATABLE, ' '},
    {{"port-range", PM_OPT_TEXT, "",
      "ports to listen on, FIRST-LAST; empty: the kernel's choice", NULL, 0, 0},
     EXP, CLI_CONFIG | CLI_REAL, 0},
    {{"join-timeout", PM_OPT_DURATION, "30s",
      "how long the roll call waits for missing nodes", NULL, 0.01, 86400},
     EXP, CLI_CONFIG | CLI_REAL, 0},
    {{"send-buffer", PM_OPT_BYTES, "64MiB",
      "bytes queued to a node before workers that send to it wait", NULL, 1, 1e18},
     EXP, CLI_CONFIG | CLI_REAL, 0},
    {{"socket-buffer", PM_OPT_BYTES, "0B",
      "send and receive buffer of a socket; 0: the kernel's choice", NULL, 0, 1 << 30},
     EXP, CLI_CONFIG | CLI_REAL, 0},
    {{"spin", PM_OPT_DURATION, "0s",
      "how long a waiting thread polls before it sleeps", NULL, 0, 1},
     EXP, CLI_CONFIG | CLI_REAL, 0},
    {{"watchdog", PM_OPT_DURATION, "60s",
      "ends a run in which nothing has moved for so long; 0: never", NULL, 0, 1e9},
     EXP, CLI_CONFIG | CLI_REAL, 0},
    {{"values", PM_OPT_ENUM, "full",
      "compute with values, or carry only their sizes", "full|none", 0, 0},
     EXP, CLI_CONFIG, 0},
    {{"epochs", PM_OPT_COUNT, "1",
      "passes over the data", NULL, 1, 1e6},
     EXP, CLI_CONFIG, 0},
    {{"epoch-fraction", PM_OPT_REAL, "1",
      "share of each epoch's batches that is run", NULL, 1e-9, 1},
     EXP, CLI_CONFIG, 0},
    {{"time-budget", PM_OPT_DURATION, NULL,
      "stop training when the backend's clock has run so long", NULL, 1e-9, 9e9},
     EXP, CLI_CONFIG, 0},
    {{"seed", PM_OPT_COUNT, "1",
      "seed of everything random", NULL, 0, 9e18},
     EXP | CLI_CONSISTENCY, CLI_CONFIG, 0},
    {{"run-number", PM_OPT_COUNT, "1",
      "tells repetitions of one configuration apart", NULL, 0, 9e18},
     EXP, CLI_CONFIG, 0},
    {{"repeat", PM_OPT_COUNT, "1",
      "runs with so many seeds, counting up from --seed", NULL, 1, 10000},
     EXP & ~CLI_TRACE_RECORD, 0, 0},
    {{"isa", PM_OPT_ENUM, "native",
      "kernels for this processor, or equal results on every one", "native|baseline", 0, 0},
     EXP, CLI_CONFIG, 0},
    {{"evaluate", PM_OPT_TEXT, "every",
      "evaluate after every epoch, every N-th, or at the end: every|N|end", NULL, 0, 0},
     EXP, CLI_CONFIG, 0},
    {{"ahead", PM_OPT_COUNT, NULL,
      "batches by which intents and pulls may be early; unset: the workload's", NULL, 0, 1e9},
     EXP, CLI_CONFIG, 0},
    {{"trace-keys", PM_OPT_TEXT, NULL,
      "keys whose events are recorded: K,L,... or top-N or random-N", NULL, 0, 0},
     EXP, CLI_CONFIG, 0},
    {{"max-message", PM_OPT_BYTES, "1MiB",
      "longest message before it is split", NULL, 1024, PM_MAX_MESSAGE_MOST},
     EXP, CLI_CONFIG, 0},
    {{"db", PM_OPT_PATH, "./pmlab.db",
      "database of results", NULL, 0, 0},
     EXP | CLI_SHOW | CLI_REPORT, 0, 0},
    {{"name", PM_OPT_TEXT, NULL,
      "label of the runs", NULL, 0, 0},
     EXP, 0, 0},
    {{"jobs", PM_OPT_COUNT, "1",
      "simulated runs at a time", NULL, 1, 1024},
     CLI_COMPARE | CLI_FIGURE | CLI_CONSISTENCY, 0, 0},
    {{"backends", PM_OPT_TEXT, "memnet,sim,real",
      "where litmus programs run: some of memnet, sim, real", NULL, 0, 0},
     CLI_CONSISTENCY, 0, 0},
    {{"schedules", PM_OPT_COUNT, "10000",
      "of each policy on memnet, sync and async; fewer on the others", NULL, 1, 500000},
     CLI_CONSISTENCY, 0, 0},
    {{"replay", PM_OPT_COUNT, NULL,
      "run this one schedule of one policy again and print its history", NULL, 0, 9e18},
     CLI_CONSISTENCY, 0, 0},
    {{"terminal", PM_OPT_ENUM, "files",
      "pictures as files, or drawn as text", "files|dumb", 0, 0},
     CLI_FIGURE, 0, 0},
    {{"output", PM_OPT_PATH, NULL,
      "folder of a figure (figures), file of a report (report.html), a trace or a text", NULL, 0, 0},
     CLI_FIGURE | CLI_REPORT | CLI_TRACE_RECORD | CLI_TRACE_IMPORT | CLI_TRACE_EXPORT, 0, 0},
    {{"columns", PM_OPT_TEXT, "key",
      "of a line, separated by commas: key, count, node, time; - for another", NULL, 0, 0},
     CLI_TRACE_IMPORT, 0, 0},
    {{"header", PM_OPT_COUNT, "0",
      "lines at the head that are passed over", NULL, 0, 1e9},
     CLI_TRACE_IMPORT, 0, 0},
    {{"batch", PM_OPT_COUNT, "10",
      "accesses of a node that make up a batch", NULL, 1, 1e6},
     CLI_TRACE_IMPORT, 0, 0},
    {{"time-unit", PM_OPT_ENUM, "s",
      "of the times", "s|ms|us|ns", 0, 0},
     CLI_TRACE_IMPORT, 0, 0},
    {{"json", PM_OPT_BOOL, "0",
      "print JSON", NULL, 0, 0},
     CLI_RUN | CLI_COMPARE | CLI_SHOW | CLI_CONSISTENCY | CLI_TRACE_DESCRIBE, 0, 0},
    {{"quiet", PM_OPT_BOOL, "0",
      "no progress and no summary", NULL, 0, 0},
     EXP | CLI_REPORT | CLI_CONSISTENCY | CLI_TRACE_IMPORT, 0, 0},
    {{"verbose", PM_OPT_BOOL, "0",
      "say more", NULL, 0, 0},
     EXP | CLI_LIST | CLI_SHOW, 0, 0},
    {{NULL, 0, NULL, NULL, NULL, 0, 0}, 0, 0, 0},
};
/* clang-format on */

enum { ROWS = sizeof cli_options / sizeof cli_options[0] };

const struct pm_option *cli_option_table(void)
{
    static struct pm_option table[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        table[i] = cli_options[i].option;
    return table;
}

const struct cli_option *cli_option_find(const char *name)
{
    for (const struct cli_option *row = cli_options; row->option.name != NULL; row++)
        if (strcmp(row->option.name, name) == 0)
            return row;
    return NULL;
}

const char *const cli_topologies[] = {"star", "fattree", "torus", "dragonfly"};

bool cli_platform_is_file(const struct cli_args *args)
{
    for (int i = 0; i < CLI_TOPOLOGIES; i++)
        if (strcmp(cli_text(args, "platform"), cli_topologies[i]) == 0)
            return false;
    return true;
}

bool cli_option_applies(const struct cli_args *args, const struct cli_option *row)
{
    unsigned other = pm_values_enum(&args->values, "backend") == 0 ? CLI_REAL : CLI_SIM;
    if (row->flags & other)
        return false;
    return !(row->flags & CLI_IN_PLATFORM) || cli_given(args, row->option.name) ||
           !cli_platform_is_file(args);
}
