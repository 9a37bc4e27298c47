/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The subcommands. Each gets its parsed arguments, prints on standard output, and returns the exit status
 * after it has said what was wrong in one line on standard error. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

int cli_run(const struct cli_args *args);
int cli_compare(const struct cli_args *args);
int cli_list(const struct cli_args *args);
int cli_show(const struct cli_args *args);
int cli_figure(const struct cli_args *args);
int cli_report(const struct cli_args *args);
int cli_consistency(const struct cli_args *args);
int cli_trace_record(const struct cli_args *args);
int cli_trace_import(const struct cli_args *args);
int cli_trace_describe(const struct cli_args *args);
int cli_trace_export(const struct cli_args *args);

struct cli_command {
    unsigned bit;
    const char *name; /* of one word or two */
    const char *summary, *usage;
    int (*run)(const struct cli_args *args);
    size_t words_max; /* arguments that are no options */
};
/* In the order of the help; the last one has no name (commands.c). */
extern const struct cli_command cli_commands[];

#endif
