/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Help out of the tables. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

enum { HELP_COLUMN = 32 };

static const char *placeholder(const struct pm_option *option)
{
    switch (option->type) {
    case PM_OPT_COUNT:
        return "N";
    case PM_OPT_BYTES:
        return "BYTES";
    case PM_OPT_DURATION:
        return "TIME";
    case PM_OPT_RATE:
        return "RATE";
    case PM_OPT_FLOPS:
        return "FLOPS";
    case PM_OPT_REAL:
        return "X";
    case PM_OPT_BOOL:
        return "0|1";
    case PM_OPT_ENUM:
        return option->choices;
    case PM_OPT_PATH:
        return "FILE";
    default:
        return "TEXT";
    }
}

static void print_option(const struct pm_option *option, const char *prefix, bool with_value)
{
    int width = printf("  %s%s%s%s", prefix, option->name, with_value ? prefix[0] == '-' ? " " : "=" : "",
                       with_value ? placeholder(option) : "");
    printf("%*s  %s", width < HELP_COLUMN ? HELP_COLUMN - width : 0, "", option->help);
    if (option->def != NULL && with_value)
        printf(" (%s)", option->def);
    putchar('\n');
}

/* One setting, with the options beside which it does not count. */
static void print_setting(const struct pm_preset *row, bool first)
{
    printf("%s%s=%s", first ? "" : ",", row->option, row->text);
    for (int i = 0; i < PM_PRESET_UNLESS_MAX && row->unless[i] != NULL; i++)
        printf("%s%s", i == 0 ? " (unless " : " or ", row->unless[i]);
    if (row->unless[0] != NULL)
        printf(" is given)");
}

/* One line for the preset of this row and all that it sets, if the row is the first of it. */
static void print_preset(const struct pm_preset *presets, const struct pm_preset *row)
{
    for (const struct pm_preset *before = presets; before < row; before++)
        if (strcmp(before->preset, row->preset) == 0)
            return;
    int width = printf("  " PM_PRESET_OPTION "=%s", row->preset);
    printf("%*s  ", width < HELP_COLUMN ? HELP_COLUMN - width : 0, "");
    for (const struct pm_preset *later = row; later->preset != NULL; later++)
        if (strcmp(later->preset, row->preset) == 0)
            print_setting(later, later == row);
    putchar('\n');
}

void cli_help_module(const struct pm_option *table, const struct pm_preset *presets)
{
    for (const struct pm_option *option = table; option != NULL && option->name != NULL; option++)
        print_option(option, "", true);
    for (const struct pm_preset *row = presets; row != NULL && row->preset != NULL; row++)
        print_preset(presets, row);
}

static void print_rows(unsigned command, unsigned flags)
{
    const unsigned backends = CLI_SIM | CLI_REAL;
    for (const struct cli_option *row = cli_options; row->option.name != NULL; row++)
        if ((row->commands & command) && (row->flags & backends) == flags)
            print_option(&row->option, "--", row->option.type != PM_OPT_BOOL);
}

static bool has_rows(unsigned command, unsigned flag)
{
    for (const struct cli_option *row = cli_options; row->option.name != NULL; row++)
        if ((row->commands & command) && (row->flags & flag))
            return true;
    return false;
}

static void help_overview(void)
{
    printf("pmlab: ways of managing parameters, compared on simulated and real clusters\n\n");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        printf("  pmlab %-15s %s\n", c->name, c->summary);
    printf("\npmlab COMMAND --help lists its options; pmlab --version.\n");
}

void cli_help(unsigned command)
{
    if (command == 0) {
        help_overview();
        return;
    }
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if (c->bit == command)
            printf("usage: %s\n%s\n\n", c->usage, c->summary);
    print_rows(command, 0);
    if (has_rows(command, CLI_SIM)) {
        printf("\nwith --backend sim:\n");
        print_rows(command, CLI_SIM);
    }
    if (has_rows(command, CLI_REAL)) {
        printf("\nwith --backend real:\n");
        print_rows(command, CLI_REAL);
    }
    if (command == CLI_CONSISTENCY)
        printf("\nWithout --policy: those whose consistency is known, with the options that it depends on, and all others.\n"
               "Without --jobs: as many processes as there are processor cores.\n"
               "Exit status: 0 as promised; 1 a promise is broken, or without --policy a weakness was not found; 2 usage;\n"
               "130 and 143 interrupted.\n");
    if (command & CLI_EXPERIMENTS)
        printf(
            "\nUnits: counts k M G; bytes B kB KiB ...; times ns us ms s min h; rates bps Gbps Bps GBps ...; "
            "f kf Mf Gf.\n"
            "Options of a policy or workload: in its specification, or --policy.NAME VALUE, --workload.NAME "
            "VALUE.\n"
            "Exit status: 0 done, 1 run failed, 2 usage, 3 a file, 5 a peer or the network, 6 no progress,\n"
            "130 and 143 interrupted.\n");
}
