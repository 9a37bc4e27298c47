/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers with units, as text and as values; used by core/option.c. Pure functions over constant tables. */
#ifndef PM_CORE_UNITS_H
#define PM_CORE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PM_UNITS_NUMBER_MAX 63 /* longest number without its unit, in bytes */

/* One unit: value in the base unit = number x factor x 10^power / 2^halvings. */
struct pm_unit {
    const char *name; /* NULL ends a table */
    uint64_t factor;
    int power;
    int halvings;
};

/* A family of units. `canonical` lists, largest first, those that a canonical text may use; `base` is the
 * unit in which values are held, and is used when no other gives a whole number. */
struct pm_units {
    const struct pm_unit *units;
    const struct pm_unit *canonical;
    const char *base;
    bool optional;      /* a number without unit is in the base unit (else only 0 may lack it) */
    bool rounds;        /* whole numbers: a fraction of a larger unit is rounded to the base unit */
    const char *listed; /* the units' names, for messages */
};

extern const struct pm_units pm_units_count, pm_units_bytes, pm_units_duration, pm_units_rate, pm_units_flops,
    pm_units_real;

enum pm_units_result {
    PM_UNITS_OK,
    PM_UNITS_NO_NUMBER,
    PM_UNITS_NEGATIVE,
    PM_UNITS_NO_UNIT,
    PM_UNITS_UNKNOWN,
    PM_UNITS_NOT_WHOLE,
    PM_UNITS_TOO_LARGE,
    PM_UNITS_TOO_SMALL,
};

/* What a result says of the text, as the end of a sentence: "has no unit". */
const char *pm_units_result_text(enum pm_units_result result);

/* A whole number, exact up to 2^64 - 1. */
enum pm_units_result pm_units_parse_whole(const struct pm_units *units, const char *text, uint64_t *out);

/* A finite number that is 0 or normal; negative ones only for pm_units_real. */
enum pm_units_result pm_units_parse_real(const struct pm_units *units, const char *text, double *out);

/* Canonical texts, which parse to the same value; the length as snprintf returns it. */
size_t pm_units_format_whole(const struct pm_units *units, uint64_t value, char *buf, size_t size);
size_t pm_units_format_real(const struct pm_units *units, double value, char *buf, size_t size);

#endif
