/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers with units. Whole numbers are computed in integers, so that what was written is what is held. */
#include "core/units.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)

static const struct pm_unit count_units[] = {
    {"k", 1, 3, 0}, {"M", 1, 6, 0}, {"G", 1, 9, 0}, {"T", 1, 12, 0}, {0}};
static const struct pm_unit no_units[] = {{0}};

static const struct pm_unit bytes_units[] = {{"B", 1, 0, 0},
                                             {"kB", 1, 3, 0},
                                             {"MB", 1, 6, 0},
                                             {"GB", 1, 9, 0},
                                             {"TB", 1, 12, 0},
                                             {"KiB", KIB, 0, 0},
                                             {"MiB", KIB *KIB, 0, 0},
                                             {"GiB", KIB *KIB *KIB, 0, 0},
                                             {"TiB", KIB *KIB *KIB *KIB, 0, 0},
                                             {0}};
static const struct pm_unit bytes_canonical[] = {{"TiB", KIB *KIB *KIB *KIB, 0, 0},
                                                 {"GiB", KIB *KIB *KIB, 0, 0},
                                                 {"MiB", KIB *KIB, 0, 0},
                                                 {"KiB", KIB, 0, 0},
                                                 {0}};

static const struct pm_unit duration_units[] = {{"ns", 1, -9, 0},
                                                {"us", 1, -6, 0},
                                                {"ms", 1, -3, 0},
                                                {"s", 1, 0, 0},
                                                {"min", 60, 0, 0},
                                                {"h", 3600, 0, 0},
                                                {0}};
static const struct pm_unit duration_canonical[] = {
    {"s", 1, 0, 0}, {"ms", 1, -3, 0}, {"us", 1, -6, 0}, {"ns", 1, -9, 0}, {0}};

static const struct pm_unit rate_units[] = {{"bps", 1, 0, 3},
                                            {"kbps", 1, 3, 3},
                                            {"Mbps", 1, 6, 3},
                                            {"Gbps", 1, 9, 3},
                                            {"Tbps", 1, 12, 3},
                                            {"Bps", 1, 0, 0},
                                            {"kBps", 1, 3, 0},
                                            {"MBps", 1, 6, 0},
                                            {"GBps", 1, 9, 0},
                                            {"TBps", 1, 12, 0},
                                            {0}};
static const struct pm_unit rate_canonical[] = {{"Tbps", 1, 12, 3}, {"Gbps", 1, 9, 3}, {"Mbps", 1, 6, 3},
                                                {"kbps", 1, 3, 3},  {"bps", 1, 0, 3},  {0}};

static const struct pm_unit flops_units[] = {{"f", 1, 0, 0},
                                             {"kf", 1, 3, 0},
                                             {"Mf", 1, 6, 0},
                                             {"Gf", 1, 9, 0},
                                             {"Tf", 1, 12, 0},
                                             {"Pf", 1, 15, 0},
                                             {0}};
static const struct pm_unit flops_canonical[] = {{"Pf", 1, 15, 0},
                                                 {"Tf", 1, 12, 0},
                                                 {"Gf", 1, 9, 0},
                                                 {"Mf", 1, 6, 0},
                                                 {"kf", 1, 3, 0},
                                                 {"f", 1, 0, 0},
                                                 {0}};

const struct pm_units pm_units_count = {count_units, no_units, "",
                                        true,        false,    "whole numbers, also with k M G T"};
const struct pm_units pm_units_bytes = {
    bytes_units, bytes_canonical, "B", false, true, "B kB MB GB TB KiB MiB GiB TiB"};
const struct pm_units pm_units_duration = {duration_units, duration_canonical, "s", false,
                                           false,          "ns us ms s min h"};
const struct pm_units pm_units_rate = {
    rate_units, rate_canonical, "Bps", false, false, "bps kbps Mbps Gbps Tbps Bps kBps MBps GBps TBps"};
const struct pm_units pm_units_flops = {flops_units, flops_canonical, "f", false, false, "f kf Mf Gf Tf Pf"};
const struct pm_units pm_units_real = {no_units, no_units, "", true, false, "decimal numbers"};

const char *pm_units_result_text(enum pm_units_result result)
{
    static const char *const texts[] = {
        [PM_UNITS_OK] = "is valid",
        [PM_UNITS_NO_NUMBER] = "is not a number",
        [PM_UNITS_NEGATIVE] = "is negative",
        [PM_UNITS_NO_UNIT] = "has no unit",
        [PM_UNITS_UNKNOWN] = "has an unknown unit",
        [PM_UNITS_NOT_WHOLE] = "is not a whole number",
        [PM_UNITS_TOO_LARGE] = "is too large",
        [PM_UNITS_TOO_SMALL] = "is too small",
    };
    return texts[result];
}

/* A decimal number, digits x 10^power (and a sign); what follows it starts at `rest`. */
struct number {
    bool negative;
    bool fits; /* digits holds every significant digit; otherwise only `real` is right */
    uint64_t digits;
    int power;
    double real; /* without the sign */
    const char *rest;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Appends a digit. Zeros wait in *zeros until another digit follows, so that trailing ones cost nothing. */
static void append_digit(struct number *n, int *zeros, unsigned digit)
{
    if (digit == 0) {
        *zeros += n->digits != 0;
        return;
    }
    for (int i = 0; i <= *zeros; i++)
        if (__builtin_mul_overflow(n->digits, UINT64_C(10), &n->digits))
            n->fits = false;
    if (__builtin_add_overflow(n->digits, digit, &n->digits))
        n->fits = false;
    *zeros = 0;
}

/* Reads e or E, a sign, digits. Without digits it is no exponent: what stands there is left to the unit. */
static const char *scan_exponent(const char *c, int *power)
{
    if (*c != 'e' && *c != 'E')
        return c;
    const char *d = c + 1;
    bool negative = *d == '-';
    if (*d == '-' || *d == '+')
        d++;
    if (!is_digit(*d))
        return c;
    int value = 0;
    for (; is_digit(*d); d++)
        if (value < 10000)
            value = value * 10 + (*d - '0');
    *power += negative ? -value : value;
    return d;
}

/* Reads [-]digits[.digits][e[+-]digits] with at least one digit before the exponent. */
static enum pm_units_result scan_number(const char *text, struct number *n)
{
    *n = (struct number){.fits = true, .negative = text[0] == '-'};
    const char *begin = text + n->negative, *c = begin;
    int zeros = 0, digits = 0;
    for (; is_digit(*c); c++, digits++)
        append_digit(n, &zeros, (unsigned)(*c - '0'));
    if (*c == '.')
        for (c++; is_digit(*c); c++, digits++, n->power--)
            append_digit(n, &zeros, (unsigned)(*c - '0'));
    if (digits == 0)
        return PM_UNITS_NO_NUMBER;
    n->power += zeros;
    c = scan_exponent(c, &n->power);
    n->rest = c;

    size_t length = (size_t)(c - begin);
    char copy[PM_UNITS_NUMBER_MAX + 1];
    if (length > PM_UNITS_NUMBER_MAX)
        return PM_UNITS_NO_NUMBER;
    memcpy(copy, begin, length);
    copy[length] = '\0';
    char *end;
    n->real = strtod(copy, &end);
    return *end == '\0' ? PM_UNITS_OK : PM_UNITS_NO_NUMBER;
}

static const struct pm_unit base_unit = {"", 1, 0, 0};

/* The unit that follows a number. */
static enum pm_units_result find_unit(const struct pm_units *units, const struct number *n,
                                      const struct pm_unit **unit)
{
    *unit = &base_unit;
    if (*n->rest == '\0')
        return units->optional || n->real == 0 ? PM_UNITS_OK : PM_UNITS_NO_UNIT;
    for (*unit = units->units; (*unit)->name != NULL; ++*unit)
        if (strcmp((*unit)->name, n->rest) == 0)
            return PM_UNITS_OK;
    /* Where there are no units to choose from, the text as a whole is no number. */
    return units->units == no_units ? PM_UNITS_NO_NUMBER : PM_UNITS_UNKNOWN;
}

static double power_of_ten(int power)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    return powers[power];
}

/* number x unit in the base unit. Divides by powers of ten instead of multiplying by their inverses, which
 * are not exact: 20 us is the double nearest to 0.00002. */
static double scale(double number, const struct pm_unit *unit)
{
    double value = number * (double)unit->factor;
    value = unit->power < 0 ? value / power_of_ten(-unit->power) : value * power_of_ten(unit->power);
    return ldexp(value, -unit->halvings);
}

/* The number in the base unit, rounded once when its digits fit: 5.12 ns is the double nearest to 5.12e-9. */
static double real_of(const struct number *n, const struct pm_unit *unit)
{
    uint64_t digits;
    if (!n->fits || __builtin_mul_overflow(n->digits, unit->factor, &digits))
        return scale(n->real, unit);
    char text[48];
    snprintf(text, sizeof text, "%" PRIu64 "e%d", digits, n->power + unit->power);
    return ldexp(strtod(text, NULL), -unit->halvings);
}

/* digits x factor x 10^power as a whole number. */
static enum pm_units_result whole_exactly(const struct number *n, const struct pm_unit *unit, uint64_t *out)
{
    uint64_t value = n->digits;
    int power = n->power + unit->power;
    if (!n->fits || __builtin_mul_overflow(value, unit->factor, &value))
        return n->power < 0 ? PM_UNITS_NOT_WHOLE : PM_UNITS_TOO_LARGE;
    for (; power < 0 && value % 10 == 0; power++)
        value /= 10;
    if (power < 0)
        return PM_UNITS_NOT_WHOLE;
    for (; power > 0; power--)
        if (__builtin_mul_overflow(value, UINT64_C(10), &value))
            return PM_UNITS_TOO_LARGE;
    *out = value;
    return PM_UNITS_OK;
}

enum pm_units_result pm_units_parse_whole(const struct pm_units *units, const char *text, uint64_t *out)
{
    struct number n;
    const struct pm_unit *unit;
    enum pm_units_result result = scan_number(text, &n);
    if (result == PM_UNITS_OK)
        result = find_unit(units, &n, &unit);
    if (result != PM_UNITS_OK)
        return result;
    *out = 0;
    if (n.fits && n.digits == 0)
        return PM_UNITS_OK;
    if (n.negative)
        return PM_UNITS_NEGATIVE;
    result = whole_exactly(&n, unit, out);
    bool larger_unit = unit->factor > 1 || unit->power > 0;
    if (result != PM_UNITS_NOT_WHOLE || !units->rounds || !larger_unit)
        return result;
    double rounded = floor(real_of(&n, unit) + 0.5);
    if (!(rounded < 0x1p64))
        return PM_UNITS_TOO_LARGE;
    if (rounded == 0)
        return PM_UNITS_TOO_SMALL;
    *out = (uint64_t)rounded;
    return PM_UNITS_OK;
}

enum pm_units_result pm_units_parse_real(const struct pm_units *units, const char *text, double *out)
{
    struct number n;
    const struct pm_unit *unit;
    enum pm_units_result result = scan_number(text, &n);
    if (result == PM_UNITS_OK)
        result = find_unit(units, &n, &unit);
    if (result != PM_UNITS_OK)
        return result;
    *out = 0;
    if (n.fits && n.digits == 0)
        return PM_UNITS_OK;
    if (n.negative && units != &pm_units_real)
        return PM_UNITS_NEGATIVE;
    double value = real_of(&n, unit);
    if (!isfinite(value))
        return PM_UNITS_TOO_LARGE;
    if (value < DBL_MIN)
        return PM_UNITS_TOO_SMALL;
    *out = n.negative ? -value : value;
    return PM_UNITS_OK;
}

size_t pm_units_format_whole(const struct pm_units *units, uint64_t value, char *buf, size_t size)
{
    for (const struct pm_unit *unit = units->canonical; unit->name != NULL; unit++)
        if (value != 0 && value % unit->factor == 0)
            return (size_t)snprintf(buf, size, "%" PRIu64 "%s", value / unit->factor, unit->name);
    return (size_t)snprintf(buf, size, "%" PRIu64 "%s", value, units->base);
}

/* The shortest decimal that reads back as the same value; 200 rather than 2e+02. */
static size_t format_shortest(const char *unit, double value, char *buf, size_t size)
{
    char number[40];
    for (int digits = 1; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        bool plain = strchr(number, 'e') == NULL || fabs(value) < 1 || fabs(value) >= 1e15;
        if (plain && strtod(number, NULL) == value)
            break;
    }
    return (size_t)snprintf(buf, size, "%s%s", number, unit);
}

size_t pm_units_format_real(const struct pm_units *units, double value, char *buf, size_t size)
{
    for (const struct pm_unit *unit = units->canonical; unit->name != NULL; unit++) {
        double count = floor(value / scale(1, unit) + 0.5);
        if (count >= 1 && count <= 0x1p53 && scale(count, unit) == value)
            return (size_t)snprintf(buf, size, "%.0f%s", count, unit->name);
    }
    return format_shortest(units->base, value, buf, size);
}
