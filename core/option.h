/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Typed options: one table feeds the command line, configuration files, help, validation and a run's record.
 *
 * Tables are constants. A struct pm_values belongs to whoever fills it; once filled it may be read by any
 * thread. Numbers are read and written with the decimal point: LC_NUMERIC must be that of the C locale. */
#ifndef PM_CORE_OPTION_H
#define PM_CORE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define PM_OPTION_TEXT_MAX 4096 /* longest value, in bytes */
#define PM_OPTION_NAME_MAX 63   /* longest option name, in bytes */
#define PM_PRESET_OPTION   "preset"
#define PM_PRESET_UNLESS_MAX 2

enum pm_option_type {
    PM_OPT_COUNT = 1, /* whole number; suffix k M G T = powers of ten; 1e6 and 1.5M are whole, too */
    PM_OPT_BYTES,     /* B kB MB GB TB KiB MiB GiB TiB */
    PM_OPT_DURATION,  /* ns us ms s min h */
    PM_OPT_RATE,      /* bps kbps Mbps Gbps Tbps (bits), Bps kBps MBps GBps TBps (bytes); held in bytes/s */
    PM_OPT_FLOPS,     /* f kf Mf Gf Tf Pf, per second */
    PM_OPT_REAL,
    PM_OPT_BOOL, /* 0 1 no yes false true off on */
    PM_OPT_ENUM, /* one of choices */
    PM_OPT_PATH, /* a file; not empty, not opened here */
    PM_OPT_TEXT,
};

/* One row; a table ends with a row whose name is NULL. */
struct pm_option {
    const char *name; /* of a-z A-Z 0-9 _ - . */
    enum pm_option_type type;
    const char *def;     /* text of the default; NULL: unset until somebody sets it */
    const char *help;    /* one line */
    const char *choices; /* PM_OPT_ENUM: "a|b|c" */
    /* Bounds in the unit held (bytes, seconds, bytes per second). Both 0: none. Otherwise value >= min, and
     * value <= max where max > min. */
    double min, max;
};

/* One setting of a preset: where the table's enum "preset" has this value and the user has not given the option, its value is
 * `text`. A table of presets ends with a row whose preset is NULL. */
struct pm_preset {
    const char *preset, *option, *text;
    const char *unless[PM_PRESET_UNLESS_MAX]; /* other options beside which, when given, the setting does not count */
};

/* One parsed value; which members hold it depends on the type. An unset value has set = false and zeros. */
struct pm_value {
    bool set;
    bool given;       /* by the user, even when equal to the default */
    bool preset;      /* by a preset; then not given */
    bool overrules;   /* given, and a setting of the preset does not count because of it */
    int choice;       /* ENUM: index in choices; BOOL: 0 or 1 */
    uint64_t whole;   /* COUNT, BYTES */
    int64_t ns;       /* DURATION, rounded to nanoseconds */
    double real;      /* REAL; DURATION in s; RATE in bytes/s; FLOPS per s; also COUNT and BYTES, rounded */
    const char *text; /* PATH, TEXT; in struct pm_values the canonical text of every type, owned */
};

/* Values of one table, row by row. Free with pm_values_free. */
struct pm_values {
    const struct pm_option *table;
    size_t n;
    struct pm_value *values;
};

/* Rows of a table; NULL counts as the empty table. */
size_t pm_option_count(const struct pm_option *table);

/* Row of a name, or -1. */
int pm_option_find(const struct pm_option *table, const char *name);

/* Parses text as a value of this option; out->text then points into `text`. PM_E_OPTION with one line that
 * names the option, the text and what is allowed; PM_E_LIMIT for an overlong text. */
int pm_option_parse(const struct pm_option *option, const char *text, struct pm_value *out,
                    struct pm_error *err);

/* Canonical text of a set value: equal values have equal texts, and parsing the text gives the value again.
 * Returns the length as snprintf does. */
size_t pm_option_format(const struct pm_option *option, const struct pm_value *value, char *buf, size_t size);

/* Allowed units or values of this option's type, for messages and help; "" where there is nothing to list. */
const char *pm_option_allowed(const struct pm_option *option);

/* Fills values with the table's defaults. PM_E_OPTION or PM_E_ARGUMENT when the table itself is wrong (a bad
 * default, a name twice, an enum without choices), PM_E_MEMORY; nothing is left to free then. */
int pm_values_init(struct pm_values *values, const struct pm_option *table, struct pm_error *err);
void pm_values_free(struct pm_values *values);

/* Sets one option by name. An unknown name (PM_E_OPTION) is answered with the nearest one; after any error
 * the former value stands. */
int pm_values_set(struct pm_values *values, const char *name, const char *text, struct pm_error *err);

/* Sets what the preset that is chosen says of options that are not given: to be called once, when all that the user gave is set.
 * NULL counts as the empty table. PM_E_ARGUMENT when the table is wrong, PM_E_MEMORY; the caller frees the values then, too. */
int pm_values_take_preset(struct pm_values *values, const struct pm_preset *presets, struct pm_error *err);

/* Accessors. A name that the table does not have, or of another type, is a programmer error (assertion).
 * Unset values read as 0, false, -1 (enum), NULL (text). */
uint64_t pm_values_count(const struct pm_values *values, const char *name);
uint64_t pm_values_bytes(const struct pm_values *values, const char *name);
int64_t pm_values_ns(const struct pm_values *values, const char *name);
double pm_values_real(const struct pm_values *values, const char *name); /* REAL, DURATION, RATE, FLOPS */
bool pm_values_bool(const struct pm_values *values, const char *name);
int pm_values_enum(const struct pm_values *values, const char *name);
const char *pm_values_text(const struct pm_values *values, const char *name); /* PATH, TEXT, ENUM */

/* Canonical text of any type, NULL while unset. */
const char *pm_values_canonical(const struct pm_values *values, const char *name);
bool pm_values_is_set(const struct pm_values *values, const char *name);
bool pm_values_is_given(const struct pm_values *values, const char *name);
/* Equals the default, and the preset, if one is chosen, says nothing of it. */
bool pm_values_is_default(const struct pm_values *values, const char *name);

#endif
