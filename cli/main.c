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

/* Words of the command that begin argv[0..n), or 0. */
static int words_of(const struct cli_command *command, int n, char **argv)
{
    size_t first = strcspn(command->name, " ");
    if (strlen(argv[0]) != first || strncmp(command->name, argv[0], first) != 0)
        return 0;
    if (command->name[first] == '\0')
        return 1;
    return n > 1 && strcmp(command->name + first + 1, argv[1]) == 0 ? 2 : 0;
}

/* Is the name the first of two words of a command? */
static bool is_first_word(const char *name)
{
    size_t length = strlen(name);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if (strncmp(c->name, name, length) == 0 && c->name[length] == ' ')
            return true;
    return false;
}

static int unknown_command(int n, char **argv)
{
    const char *names[32];
    char name[168];
    if (n == 1 && is_first_word(argv[0])) {
        fprintf(stderr, "pmlab: %s: which one? (pmlab %s --help)\n", argv[0], argv[0]);
        return 2;
    }
    size_t n_names = 0;
    for (const struct cli_command *c = cli_commands; c->name != NULL && n_names < 32; c++)
        names[n_names++] = c->name;
    snprintf(name, sizeof name, "%.80s%s%.80s", argv[0], is_first_word(argv[0]) ? " " : "",
             is_first_word(argv[0]) ? argv[1] : "");
    fprintf(stderr, "pmlab: unknown command \"%s\"; nearest is \"%s\"\n", name, pm_nearest(name, names, n_names));
    return 2;
}

/* pmlab trace --help: the commands that begin so. */
static int help_of_first_word(const char *name)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if (strncmp(c->name, name, strlen(name)) == 0)
            printf("usage: %s\n       %s\n", c->usage, c->summary);
    return 0;
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
        int words = words_of(command, argc - 1, argv + 1);
        if (words == 0)
            continue;
        char *line = quote_all(argc, argv);
        cli_command_line = line != NULL ? line : "";
        int status = run_command(command, argc - 1 - words, argv + 1 + words);
        free(line);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "pmlab: standard output: %m\n");
            return status != 0 ? status : 1;
        }
        return status;
    }
    if (is_first_word(argv[1]) && argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))
        return help_of_first_word(argv[1]);
    return unknown_command(argc - 1, argv + 1);
}
