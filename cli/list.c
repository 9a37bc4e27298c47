/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab list: one item per line, its name first. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/plots.h"
#include "core/nearest.h"
#include "core/registry.h"

static void item(const char *name, const char *summary)
{
    printf("%-16s %s\n", name, summary);
}

static void list_policies(bool verbose)
{
    for (const struct pm_policy *const *p = pm_registry_policies; *p != NULL; p++) {
        item((*p)->name, (*p)->summary);
        if (verbose)
            cli_help_module((*p)->options, (*p)->presets);
    }
}

static void list_workloads(bool verbose)
{
    for (const struct pm_workload *const *w = pm_registry_workloads; *w != NULL; w++) {
        item((*w)->name, (*w)->summary);
        if (verbose)
            cli_help_module((*w)->options, (*w)->presets);
    }
}

static void list_backends(bool verbose)
{
    item("sim", "a cluster simulated with SimGrid, in simulated time");
    item("real", "processes on this machine, over TCP");
    (void)verbose;
}

static void list_topologies(bool verbose)
{
    item("star", "every node with a link of its own to one switch");
    item("fattree", "two levels of switches");
    item("torus", "a ring of rings");
    item("dragonfly", "groups of switches, joined with each other");
    (void)verbose;
}

static void list_figures(bool verbose)
{
    cli_plots_list(verbose);
}

static const struct {
    const char *name;
    void (*list)(bool verbose);
} kinds[] = {
    {"policies", list_policies}, {"workloads", list_workloads}, {"topologies", list_topologies},
    {"figures", list_figures},   {"backends", list_backends},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int describe(bool policy, const char *name)
{
    struct pm_error err = {0};
    const struct pm_policy *p = NULL;
    const struct pm_workload *w = NULL;
    int rc = policy ? cli_find_policy(name, &p, &err) : cli_find_workload(name, &w, &err);
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    item(policy ? p->name : w->name, policy ? p->summary : w->summary);
    cli_help_module(policy ? p->options : w->options, policy ? p->presets : w->presets);
    return 0;
}

static int unknown(const char *what)
{
    const char *names[KINDS];
    for (int i = 0; i < KINDS; i++)
        names[i] = kinds[i].name;
    fprintf(
        stderr,
        "pmlab: list: unknown \"%.80s\"; nearest is \"%s\" (allowed: policies workloads topologies figures"
        " backends, policy NAME, workload NAME)\n",
        what, pm_nearest(what, names, KINDS));
    return 2;
}

int cli_list(const struct cli_args *args)
{
    if (args->n_words == 0) {
        fprintf(stderr, "pmlab: list what? (policies workloads topologies figures backends, policy NAME, "
                        "workload NAME)\n");
        return 2;
    }
    const char *what = args->words[0];
    bool policy = strcmp(what, "policy") == 0;
    if (policy || strcmp(what, "workload") == 0) {
        if (args->n_words == 2)
            return describe(policy, args->words[1]);
        fprintf(stderr, "pmlab: list %s: a name is missing\n", what);
        return 2;
    }
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, what) == 0 && args->n_words == 1) {
            kinds[i].list(cli_flag(args, "verbose"));
            return 0;
        }
    return unknown(args->n_words > 1 ? args->words[1] : what);
}
