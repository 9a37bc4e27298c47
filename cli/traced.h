/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --trace-keys: which keys' events are recorded. */
#ifndef CLI_TRACED_H
#define CLI_TRACED_H

#include "core/error.h"
#include "core/job.h"

/* Parses "7,20,3", "top-10" or "random-10". *keys is NULL or to be freed when the rule is not needed any more. PM_OK; PM_E_OPTION
 * with the line for the user; PM_E_MEMORY. */
int cli_traced_parse(const char *text, struct pm_traced_rule *rule, pm_key **keys, struct pm_error *err);

#endif
