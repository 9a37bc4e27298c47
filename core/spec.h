/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications of policies and workloads: NAME[:option=value,...].
 *
 * NAME ends at the first ':' after the last '/' that stands before the options, so that a path with ':' in a
 * folder's name needs no escape and an option's value may be a path: in "./a:b/mine.so:file=x/y" NAME is
 * "./a:b/mine.so". Escapes: "\," "\:" "\\"; any other backslash is an error. In a value only ',' and '\' need
 * one. A struct pm_spec owns its strings; free it with pm_spec_free. */
#ifndef PM_CORE_SPEC_H
#define PM_CORE_SPEC_H

#include <stddef.h>

#include "core/error.h"
#include "core/option.h"

#define PM_SPEC_LENGTH_MAX 65536 /* longest specification or list, in bytes */

struct pm_spec_pair {
    char *name, *value; /* without escapes */
};

struct pm_spec {
    char *name;
    size_t n;
    struct pm_spec_pair *pairs;
};

/* Parses one specification. PM_E_OPTION, PM_E_LIMIT, PM_E_MEMORY; nothing is left to free after an error. */
int pm_spec_parse(const char *text, struct pm_spec *out, struct pm_error *err);
void pm_spec_free(struct pm_spec *spec);

/* Parses "SPEC,SPEC,..." where an item a=b belongs to the specification before it: "lapse,nups:x=1,y=2" names
 * two. *out is an array of *n specifications; free with pm_spec_list_free. Errors as above. */
int pm_spec_list_parse(const char *text, struct pm_spec **out, size_t *n, struct pm_error *err);
void pm_spec_list_free(struct pm_spec *specs, size_t n);

/* Fills an uninitialised `values` with the table's defaults, then the specification's pairs, then what the preset says that they
 * choose; presets = NULL: none, or not yet. The message starts with the specification's name. Nothing is left to free after an
 * error. */
int pm_spec_apply(const struct pm_spec *spec, const struct pm_option *table, const struct pm_preset *presets,
                  struct pm_values *values, struct pm_error *err);

/* Text that parses to the same specification. Returns the length as snprintf does. */
size_t pm_spec_format(const struct pm_spec *spec, char *buf, size_t size);

/* Canonical specification of a name and values in the table's order: those that are set, or (all = false)
 * only those that had to be given: neither defaults nor what the preset says. Returns the length as snprintf does. */
size_t pm_spec_format_values(const char *name, const struct pm_values *values, bool all, char *buf,
                             size_t size);

#endif
