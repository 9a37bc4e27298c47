/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One option: its text parsed, checked and written again. Tables of values are in core/values.c. */
#include "core/option.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/nearest.h"
#include "core/units.h"

size_t pm_option_count(const struct pm_option *table)
{
    size_t n = 0;
    while (table != NULL && table[n].name != NULL)
        n++;
    return n;
}

int pm_option_find(const struct pm_option *table, const char *name)
{
    for (int i = 0; table != NULL && table[i].name != NULL; i++)
        if (strcmp(table[i].name, name) == 0)
            return i;
    return -1;
}

/* Units of the types that are numbers, NULL for the others. */
static const struct pm_units *units_of(enum pm_option_type type)
{
    switch (type) {
    case PM_OPT_COUNT:
        return &pm_units_count;
    case PM_OPT_BYTES:
        return &pm_units_bytes;
    case PM_OPT_DURATION:
        return &pm_units_duration;
    case PM_OPT_RATE:
        return &pm_units_rate;
    case PM_OPT_FLOPS:
        return &pm_units_flops;
    case PM_OPT_REAL:
        return &pm_units_real;
    case PM_OPT_BOOL:
    case PM_OPT_ENUM:
    case PM_OPT_PATH:
    case PM_OPT_TEXT:
        break;
    }
    return NULL;
}

static bool is_whole(enum pm_option_type type)
{
    return type == PM_OPT_COUNT || type == PM_OPT_BYTES;
}

/* Both spellings of false and true stand in pairs: even = false. */
static const char bool_choices[] = "0|1|no|yes|false|true|off|on";

const char *pm_option_allowed(const struct pm_option *option)
{
    const struct pm_units *units = units_of(option->type);
    if (units != NULL)
        return units->listed;
    if (option->type == PM_OPT_BOOL)
        return bool_choices;
    return option->type == PM_OPT_ENUM && option->choices != NULL ? option->choices : "";
}

/* Start and length of a choice in "a|b|c"; false past the last. */
static bool nth_choice(const char *choices, int index, const char **start, size_t *length)
{
    for (; index > 0; index--) {
        choices = strchr(choices, '|');
        if (choices == NULL)
            return false;
        choices++;
    }
    *start = choices;
    *length = strcspn(choices, "|");
    return true;
}

static int find_choice(const char *choices, const char *text)
{
    const char *start;
    size_t length, text_length = strlen(text);
    for (int i = 0; nth_choice(choices, i, &start, &length); i++)
        if (length == text_length && memcmp(start, text, length) == 0)
            return i;
    return -1;
}

/* The choice nearest to text, copied into buf. */
static void nearest_choice(const char *choices, const char *text, char *buf, size_t size)
{
    const char *start;
    size_t length;
    unsigned best = 0;
    for (int i = 0; nth_choice(choices, i, &start, &length); i++) {
        char choice[PM_NEAREST_LENGTH_MAX + 1];
        snprintf(choice, sizeof choice, "%.*s", (int)length, start);
        unsigned distance = pm_distance(text, choice);
        if (i == 0 || distance < best) {
            best = distance;
            snprintf(buf, size, "%s", choice);
        }
    }
}

static int parse_choice(const struct pm_option *option, const char *text, struct pm_value *out,
                        struct pm_error *err)
{
    const char *choices = pm_option_allowed(option);
    int choice = find_choice(choices, text);
    if (choice < 0) {
        char nearest[PM_NEAREST_LENGTH_MAX + 1];
        nearest_choice(choices, text, nearest, sizeof nearest);
        return pm_error_set(err, PM_E_OPTION,
                            "option \"%s\": \"%.80s\" is not allowed; nearest is \"%s\" (allowed: %s)",
                            option->name, text, nearest, choices);
    }
    out->choice = option->type == PM_OPT_BOOL ? choice & 1 : choice;
    return PM_OK;
}

static int parse_text(const struct pm_option *option, const char *text, struct pm_value *out,
                      struct pm_error *err)
{
    if (option->type == PM_OPT_PATH && text[0] == '\0')
        return pm_error_set(err, PM_E_OPTION, "option \"%s\": an empty path (allowed: the name of a file)",
                            option->name);
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return pm_error_set(err, PM_E_OPTION,
                                "option \"%s\": \"%.80s\" has a control character (allowed: one line)",
                                option->name, text);
    out->text = text;
    return PM_OK;
}

/* A bound as the user would write it. */
static void format_bound(const struct pm_option *option, double bound, char *buf, size_t size)
{
    if (is_whole(option->type))
        pm_units_format_whole(units_of(option->type), (uint64_t)bound, buf, size);
    else
        pm_units_format_real(units_of(option->type), bound, buf, size);
}

static int check_bounds(const struct pm_option *option, const char *text, const struct pm_value *value,
                        struct pm_error *err)
{
    if (option->min == 0 && option->max == 0)
        return PM_OK;
    bool has_max = option->max > option->min;
    if (value->real >= option->min && (!has_max || value->real <= option->max))
        return PM_OK;
    char min[48], max[48];
    format_bound(option, option->min, min, sizeof min);
    if (!has_max || isinf(option->max))
        return pm_error_set(err, PM_E_OPTION,
                            "option \"%s\": \"%.80s\" is out of range (allowed: at least %s)", option->name,
                            text, min);
    format_bound(option, option->max, max, sizeof max);
    return pm_error_set(err, PM_E_OPTION, "option \"%s\": \"%.80s\" is out of range (allowed: %s to %s)",
                        option->name, text, min, max);
}

static int parse_number(const struct pm_option *option, const char *text, struct pm_value *out,
                        struct pm_error *err)
{
    const struct pm_units *units = units_of(option->type);
    enum pm_units_result result;
    if (is_whole(option->type)) {
        result = pm_units_parse_whole(units, text, &out->whole);
        out->real = (double)out->whole;
    } else {
        result = pm_units_parse_real(units, text, &out->real);
    }
    if (result == PM_UNITS_OK && option->type == PM_OPT_DURATION) {
        double ns = floor(out->real * 1e9 + 0.5);
        if (ns < 0x1p63)
            out->ns = (int64_t)ns;
        else
            result = PM_UNITS_TOO_LARGE;
    }
    if (result != PM_UNITS_OK)
        return pm_error_set(err, PM_E_OPTION, "option \"%s\": \"%.80s\" %s (allowed: %s)", option->name, text,
                            pm_units_result_text(result), units->listed);
    return check_bounds(option, text, out, err);
}

int pm_option_parse(const struct pm_option *option, const char *text, struct pm_value *out,
                    struct pm_error *err)
{
    *out = (struct pm_value){0};
    size_t length = strnlen(text, PM_OPTION_TEXT_MAX + 1);
    if (length > PM_OPTION_TEXT_MAX)
        return pm_error_set(err, PM_E_LIMIT, "option \"%s\": the value has %zu bytes (allowed: at most %d)",
                            option->name, strlen(text), PM_OPTION_TEXT_MAX);
    int rc;
    if (units_of(option->type) != NULL)
        rc = parse_number(option, text, out, err);
    else if (option->type == PM_OPT_BOOL || option->type == PM_OPT_ENUM)
        rc = parse_choice(option, text, out, err);
    else
        rc = parse_text(option, text, out, err);
    if (rc != PM_OK)
        *out = (struct pm_value){0};
    else
        out->set = true;
    return rc;
}

size_t pm_option_format(const struct pm_option *option, const struct pm_value *value, char *buf, size_t size)
{
    PM_ASSERT(value->set, "option \"%s\"", option->name);
    if (is_whole(option->type))
        return pm_units_format_whole(units_of(option->type), value->whole, buf, size);
    if (units_of(option->type) != NULL)
        return pm_units_format_real(units_of(option->type), value->real, buf, size);
    if (option->type == PM_OPT_PATH || option->type == PM_OPT_TEXT)
        return (size_t)snprintf(buf, size, "%s", value->text);
    const char *start;
    size_t length;
    bool found = nth_choice(pm_option_allowed(option), value->choice, &start, &length);
    PM_ASSERT(found, "option \"%s\" has no choice %d", option->name, value->choice);
    return (size_t)snprintf(buf, size, "%.*s", (int)length, start);
}
