/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policies, workloads and backends: finding them by name or file, and their options as the arguments give
 * them. */
#ifndef CLI_SPECS_H
#define CLI_SPECS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/options.h"
#include "core/backend.h"
#include "core/policy.h"
#include "core/spec.h"
#include "core/workload.h"

/* Does a name stand for a shared object? */
bool cli_name_is_file(const char *name);

/* By name, or by the path of a shared object, which stays loaded. PM_OK; PM_E_OPTION for an unknown name
 * (with the nearest), PM_E_FILE for a file that cannot be loaded or has no module in it, PM_E_ABI. */
int cli_find_policy(const char *name, const struct pm_policy **out, struct pm_error *err);
int cli_find_workload(const char *name, const struct pm_workload **out, struct pm_error *err);
/* Backend sim is a shared object next to the program or in libdir/pmlab, loaded by the first call. */
int cli_find_backend(const char *name, const struct pm_backend **out, struct pm_error *err);

/* A module with its options filled in. All zero bytes: nothing. */
struct cli_module_spec {
    struct pm_spec spec;
    struct pm_values values;
    const struct pm_policy *policy; /* one of the two */
    const struct pm_workload *workload;
    char *options; /* text of those that had to be given (pm_spec_format_values): a=1,b=2 */
};
/* The policy that the arguments name, or `spec` (not NULL: copied), with the arguments' policy.NAME=VALUE
 * added. */
int cli_policy_of(const struct cli_args *args, const struct pm_spec *spec, struct cli_module_spec *out,
                  struct pm_error *err);
int cli_workload_of(const struct cli_args *args, struct cli_module_spec *out, struct pm_error *err);
void cli_module_spec_free(struct cli_module_spec *module);

/* What the policy says of itself with these options. */
int cli_policy_traits(const struct cli_module_spec *policy, struct pm_traits *traits, struct pm_error *err);

#endif
