/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab COMMAND: finds the command, parses its arguments, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "core/nearest.h"
#include "core/registry.h"

/* The command line as a shell would take it again; NULL when out of memory. */
static char *quote_all(int n, char **argv)
{
    size_t size = 1;
    for (int i = 0; i < n; i++)
        size += 4 * strlen(argv[i]) + 3;
    char *text = malloc(size), *to = text;
    if (text == NULL)
        return NULL;
    for (int i = 0; i < n; i++) {
        bool plain = argv[i][0] != '\0' && strpbrk(argv[i], " \t\n\"'\\$`|&;<>()*?[]{}~#!") == NULL;
        to += snprintf(to, 3, "%s%s", i > 0 ? " " : "", plain ? "" : "'");
        for (const char *c = argv[i]; *c != '\0'; c++)
            to += *c == '\'' ? snprintf(to, 5, "'\\''") : snprintf(to, 2, "%c", *c);
        to += snprintf(to, 2, "%s", plain ? "" : "'");
    }
    return text;
}

static int unknown_command(const char *name)
{
    const char *names[16];
    size_t n = 0;
    for (const struct cli_command *c = cli_commands; c->name != NULL && n < 16; c++)
        names[n++] = c->name;
    fprintf(stderr, "pmlab: unknown command \"%.80s\"; nearest is \"%s\"\n", name,
            pm_nearest(name, names, n));
    return 2;
}

static int run_command(const struct cli_command *command, int n, char **argv)
{
    struct pm_error err = {0};
    struct cli_args args;
    int rc = cli_args_parse(&args, command->bit, command->name, n, argv, &err);
    if (rc != PM_OK)
        return cli_complain(rc == PM_E_FILE ? PM_E_FILE : PM_E_OPTION, err.text);
    int status;
    if (args.help) {
        cli_help(command->bit);
        status = 0;
    } else if (args.n_words > command->words_max) {
        fprintf(stderr, "pmlab: unexpected argument \"%.80s\"; usage: %s\n", args.words[command->words_max],
                command->usage);
        status = 2;
    } else {
        cli_signals_install();
        status = command->run(&args);
    }
    cli_args_free(&args);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        cli_help(0);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("pmlab %s\n", pm_version);
        return 0;
    }
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(command->name, argv[1]) != 0)
            continue;
        char *line = quote_all(argc, argv);
        cli_command_line = line != NULL ? line : "";
        int status = run_command(command, argc - 2, argv + 2);
        free(line);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "pmlab: standard output: %m\n");
            return status != 0 ? status : 1;
        }
        return status;
    }
    return unknown_command(argv[1]);
}
