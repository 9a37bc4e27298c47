/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one table of options of the command line: it feeds flags, configuration files, --help, --dump-config,
 * validation and the record of a run. Used by one thread. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/option.h"

/* Commands, as bits. */
enum {
    CLI_RUN = 1,
    CLI_COMPARE = 2,
    CLI_LIST = 4,
    CLI_SHOW = 8,
    CLI_FIGURE = 16,
    CLI_REPORT = 32,
    CLI_CONSISTENCY = 64,
    CLI_TRACE_RECORD = 128,
    CLI_TRACE_IMPORT = 256,
    CLI_TRACE_DESCRIBE = 512,
    CLI_TRACE_EXPORT = 1024,
    CLI_EXPERIMENTS = CLI_RUN | CLI_COMPARE | CLI_FIGURE | CLI_TRACE_RECORD, /* those that run experiments */
    CLI_ALL = 2047,
};

enum {
    CLI_CONFIG = 1,       /* part of an experiment's configuration: hashed and recorded */
    CLI_SIM = 2,          /* means something to backend sim only */
    CLI_REAL = 4,         /* ... real only */
    CLI_REPEATABLE = 8,   /* several values are joined by `joint` */
    CLI_IN_PLATFORM = 16, /* a platform file says it itself */
};

struct cli_option {
    struct pm_option option;
    unsigned commands, flags;
    char joint;
};

/* The table; the last row has no name. */
extern const struct cli_option cli_options[];
/* The same as a table for pm_values. */
const struct pm_option *cli_option_table(void);
/* Row of a name; NULL when there is none. */
const struct cli_option *cli_option_find(const char *name);

/* policy.NAME=VALUE and workload.NAME=VALUE, in the order in which they were given. */
struct cli_pair {
    char *name, *value;
    bool from_file;
};
struct cli_pairs {
    struct cli_pair *pairs;
    size_t n;
};

/* A command's arguments: options from the configuration file, overridden by those of the command line. */
struct cli_args {
    unsigned command; /* one bit */
    const char *command_name;
    struct pm_values values;
    struct cli_pairs policy, workload;
    const char *const *words; /* arguments that are no options */
    size_t n_words;
    bool help;
    const char *config; /* path of the configuration file, or NULL */
    bool policy_from_file, workload_from_file;
};

/* Parses argv[0..n) of a command. PM_OK; PM_E_OPTION or PM_E_LIMIT for what is wrong on the command line,
 * PM_E_FILE for what is wrong with the configuration file; nothing is left to free then. Words point into
 * argv. */
int cli_args_parse(struct cli_args *args, unsigned command, const char *name, int n, char **argv,
                   struct pm_error *err);
/* The same for arguments under others: what `base` was given by its user overrides argv, whose options count
 * as defaults. */
int cli_args_parse_onto(struct cli_args *args, const struct cli_args *base, int n, char **argv,
                        struct pm_error *err);
void cli_args_free(struct cli_args *args);

/* Sets one option by name: of the table, or policy.NAME, workload.NAME. */
int cli_args_set(struct cli_args *args, const char *name, const char *value, bool from_file,
                 struct pm_error *err);

/* The same for a line of a file: a further value of a repeatable option whose values a blank joins is added.
 */
int cli_args_add(struct cli_args *args, const char *name, const char *value, struct pm_error *err);

/* Reads a configuration file (config.c). PM_OK, or PM_E_FILE with file and line. */
int cli_config_read(struct cli_args *args, const char *path, struct pm_error *err);
/* The same of its text. */
int cli_config_parse(struct cli_args *args, const char *text, const char *path, struct pm_error *err);
/* Prints the effective configuration, which reads back as the same one (config.c). PM_OK, PM_E_LIMIT. */
int cli_config_dump(const struct cli_args *args, struct pm_error *err);

enum { CLI_TOPOLOGIES = 4 };
extern const char *const cli_topologies[];
/* Does the option mean anything to this experiment's backend and platform? */
bool cli_option_applies(const struct cli_args *args, const struct cli_option *row);
/* Is the platform a file, rather than the name of a topology? */
bool cli_platform_is_file(const struct cli_args *args);

/* Prints the help of a command on standard output (help.c). */
void cli_help(unsigned command);
/* Prints a module's options and presets, one line each (help.c). */
void cli_help_module(const struct pm_option *table, const struct pm_preset *presets);

/* Shorthands for values of the table. */
#define cli_flag(args, name)  pm_values_bool(&(args)->values, name)
#define cli_text(args, name)  pm_values_text(&(args)->values, name)
#define cli_count(args, name) pm_values_count(&(args)->values, name)
#define cli_given(args, name) pm_values_is_given(&(args)->values, name)

#endif
