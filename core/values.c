/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of a table of options. Beside each value its canonical text is kept: comparing, hashing and
 * recording values then need no knowledge of their types. */
#include <stdlib.h>
#include <string.h>

#include "core/nearest.h"
#include "core/option.h"

/* A value with its own copy of its canonical text. */
static int store(const struct pm_option *option, const struct pm_value *parsed, struct pm_value *slot,
                 struct pm_error *err)
{
    size_t length = pm_option_format(option, parsed, NULL, 0);
    char *text = malloc(length + 1);
    if (text == NULL)
        return pm_error_set(err, PM_E_MEMORY, "option \"%s\": out of memory", option->name);
    pm_option_format(option, parsed, text, length + 1);
    free((char *)slot->text);
    *slot = *parsed;
    slot->text = text;
    return PM_OK;
}

static int check_name(const char *name, struct pm_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    size_t length = strlen(name);
    if (length == 0 || length > PM_OPTION_NAME_MAX || strspn(name, allowed) != length)
        return pm_error_set(err, PM_E_ARGUMENT,
                            "\"%.80s\" is no name for an option (allowed: 1 to %d of a-z A-Z 0-9 _ - .)",
                            name, PM_OPTION_NAME_MAX);
    return PM_OK;
}

/* Mistakes of whoever wrote row i; the writer may be a user with a policy of his own, so they get a message.
 */
static int check_row(const struct pm_option *table, size_t i, struct pm_error *err)
{
    const struct pm_option *option = &table[i];
    int rc = check_name(option->name, err);
    if (rc != PM_OK)
        return rc;
    if (option->type < PM_OPT_COUNT || option->type > PM_OPT_TEXT)
        return pm_error_set(err, PM_E_ARGUMENT, "option \"%s\" has the unknown type %d", option->name,
                            (int)option->type);
    if (option->type == PM_OPT_ENUM && (option->choices == NULL || option->choices[0] == '\0'))
        return pm_error_set(err, PM_E_ARGUMENT, "option \"%s\" is an enum without choices", option->name);
    if ((size_t)pm_option_find(table, option->name) != i)
        return pm_error_set(err, PM_E_ARGUMENT, "option \"%s\" is twice in its table", option->name);
    return PM_OK;
}

static int set_default(const struct pm_option *option, struct pm_value *slot, struct pm_error *err)
{
    if (option->def == NULL)
        return PM_OK;
    struct pm_value parsed;
    int rc = pm_option_parse(option, option->def, &parsed, err);
    if (rc != PM_OK)
        return pm_error_wrap(err, rc, "default");
    return store(option, &parsed, slot, err);
}

int pm_values_init(struct pm_values *values, const struct pm_option *table, struct pm_error *err)
{
    size_t n = pm_option_count(table);
    *values = (struct pm_values){.table = table, .n = n};
    values->values = calloc(n + 1, sizeof *values->values);
    if (values->values == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%zu options: out of memory", n);
    int rc = PM_OK;
    for (size_t i = 0; i < n && rc == PM_OK; i++) {
        rc = check_row(table, i, err);
        if (rc == PM_OK)
            rc = set_default(&table[i], &values->values[i], err);
    }
    if (rc != PM_OK)
        pm_values_free(values);
    return rc;
}

void pm_values_free(struct pm_values *values)
{
    for (size_t i = 0; values->values != NULL && i < values->n; i++)
        free((char *)values->values[i].text);
    free(values->values);
    *values = (struct pm_values){0};
}

static int unknown_option(const struct pm_values *values, const char *name, struct pm_error *err)
{
    if (values->n == 0)
        return pm_error_set(err, PM_E_OPTION, "unknown option \"%.80s\": there are no options here", name);
    const char *nearest = NULL;
    unsigned best = 0;
    char listed[320] = "";
    size_t length = 0;
    for (size_t i = 0; i < values->n; i++) {
        const char *candidate = values->table[i].name;
        unsigned distance = pm_distance(name, candidate);
        if (nearest == NULL || distance < best) {
            nearest = candidate;
            best = distance;
        }
        size_t size = strlen(candidate);
        if (length + size + 2 < sizeof listed) {
            listed[length] = ' ';
            memcpy(listed + length + 1, candidate, size + 1);
        }
        length += size + 1;
    }
    /* A long table is not listed: help does that. */
    if (length + 1 >= sizeof listed)
        return pm_error_set(err, PM_E_OPTION, "unknown option \"%.80s\"; nearest is \"%s\"", name, nearest);
    return pm_error_set(err, PM_E_OPTION, "unknown option \"%.80s\"; nearest is \"%s\" (allowed:%s)", name,
                        nearest, listed);
}

int pm_values_set(struct pm_values *values, const char *name, const char *text, struct pm_error *err)
{
    int row = pm_option_find(values->table, name);
    if (row < 0)
        return unknown_option(values, name, err);
    struct pm_value parsed;
    int rc = pm_option_parse(&values->table[row], text, &parsed, err);
    if (rc != PM_OK)
        return rc;
    parsed.given = true;
    return store(&values->table[row], &parsed, &values->values[row], err);
}

/* Row of a name that the caller's own table has. */
static size_t row_of(const struct pm_values *values, const char *name)
{
    int row = pm_option_find(values->table, name);
    PM_ASSERT(row >= 0, "the table has no option \"%s\"", name);
    return (size_t)row;
}

#define TYPE(type) (1u << (type))

static const struct pm_value *value_of(const struct pm_values *values, const char *name, unsigned types)
{
    size_t row = row_of(values, name);
    PM_ASSERT((types & TYPE(values->table[row].type)) != 0, "option \"%s\" has another type", name);
    return &values->values[row];
}

uint64_t pm_values_count(const struct pm_values *values, const char *name)
{
    return value_of(values, name, TYPE(PM_OPT_COUNT))->whole;
}

uint64_t pm_values_bytes(const struct pm_values *values, const char *name)
{
    return value_of(values, name, TYPE(PM_OPT_BYTES))->whole;
}

int64_t pm_values_ns(const struct pm_values *values, const char *name)
{
    return value_of(values, name, TYPE(PM_OPT_DURATION))->ns;
}

double pm_values_real(const struct pm_values *values, const char *name)
{
    unsigned types = TYPE(PM_OPT_REAL) | TYPE(PM_OPT_DURATION) | TYPE(PM_OPT_RATE) | TYPE(PM_OPT_FLOPS);
    return value_of(values, name, types)->real;
}

bool pm_values_bool(const struct pm_values *values, const char *name)
{
    return value_of(values, name, TYPE(PM_OPT_BOOL))->choice != 0;
}

int pm_values_enum(const struct pm_values *values, const char *name)
{
    const struct pm_value *value = value_of(values, name, TYPE(PM_OPT_ENUM));
    return value->set ? value->choice : -1;
}

const char *pm_values_text(const struct pm_values *values, const char *name)
{
    return value_of(values, name, TYPE(PM_OPT_PATH) | TYPE(PM_OPT_TEXT) | TYPE(PM_OPT_ENUM))->text;
}

const char *pm_values_canonical(const struct pm_values *values, const char *name)
{
    return values->values[row_of(values, name)].text;
}

bool pm_values_is_set(const struct pm_values *values, const char *name)
{
    return values->values[row_of(values, name)].set;
}

bool pm_values_is_given(const struct pm_values *values, const char *name)
{
    return values->values[row_of(values, name)].given;
}

bool pm_values_is_default(const struct pm_values *values, const char *name)
{
    size_t row = row_of(values, name);
    const struct pm_option *option = &values->table[row];
    const struct pm_value *value = &values->values[row];
    if (value->preset || value->overrules)
        return false;
    if (!value->set || option->def == NULL)
        return value->set == (option->def != NULL);
    struct pm_value def;
    int rc = pm_option_parse(option, option->def, &def, NULL);
    PM_ASSERT(rc == PM_OK, "option \"%s\": its default was valid before", name);
    char text[PM_OPTION_TEXT_MAX + 1];
    pm_option_format(option, &def, text, sizeof text);
    return strcmp(text, value->text) == 0;
}
