/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/format.h"

#include <math.h>
#include <stdlib.h>

/* Value with three to four digits and a prefix. */
static void scaled(char *buf, size_t size, double value, const char *unit)
{
    static const char *const prefixes[] = {"n", "u", "m", "", "k", "M", "G", "T", "P"};
    int step = 3;
    double v = fabs(value);
    while (v >= 999.95 && step < 8) {
        v /= 1000;
        step++;
    }
    int precision = v < 9.9995 ? 2 : v < 99.995 ? 1 : 0;
    if (v == floor(v) && step == 3)
        precision = 0;
    snprintf(buf, size, "%s%.*f%s%s%s", value < 0 ? "-" : "", precision, v, unit[0] || step != 3 ? " " : "",
             prefixes[step], unit);
}

void cli_format_seconds(char *buf, size_t size, double s)
{
    if (isnan(s))
        snprintf(buf, size, "-");
    else if (s >= 60)
        snprintf(buf, size, "%.0f s", s);
    else if (s >= 1 || s == 0)
        snprintf(buf, size, "%.3g s", s);
    else if (s >= 1e-3)
        snprintf(buf, size, "%.3g ms", s * 1e3);
    else
        snprintf(buf, size, "%.3g us", s * 1e6);
}

void cli_format_bytes(char *buf, size_t size, double bytes)
{
    if (isnan(bytes))
        snprintf(buf, size, "-");
    else
        scaled(buf, size, bytes, "B");
}

void cli_format_count(char *buf, size_t size, double count)
{
    if (isnan(count))
        snprintf(buf, size, "-");
    else
        scaled(buf, size, count, "");
}

void cli_format_percent(char *buf, size_t size, double share)
{
    if (isnan(share))
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%.1f %%", 100 * share);
}

void cli_format_real(char *buf, size_t size, double value)
{
    if (isnan(value))
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%.4g", value);
}

double cli_number(const char *text)
{
    return text != NULL ? strtod(text, NULL) : NAN;
}
