/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Presets: rows of a module's table that give values to options which the user has not given. */
#include <string.h>

#include "core/option.h"

/* The n-th option that overrules the row when it is given: its own one, then those of `unless`; NULL past the last. */
static const char *overruler(const struct pm_preset *row, int n)
{
    if (n == 0)
        return row->option;
    return n <= PM_PRESET_UNLESS_MAX ? row->unless[n - 1] : NULL;
}

static int check_names(const struct pm_option *table, const struct pm_preset *row, struct pm_error *err)
{
    int chooser = pm_option_find(table, PM_PRESET_OPTION);
    struct pm_value value;
    if (chooser < 0 || table[chooser].type != PM_OPT_ENUM)
        return pm_error_set(err, PM_E_ARGUMENT, "there are presets, but no enum \"%s\" to choose one", PM_PRESET_OPTION);
    if (pm_option_parse(&table[chooser], row->preset, &value, NULL) != PM_OK)
        return pm_error_set(err, PM_E_ARGUMENT, "preset \"%s\" is no choice of option \"%s\"", row->preset, PM_PRESET_OPTION);
    for (int n = 0; overruler(row, n) != NULL; n++)
        if (strcmp(overruler(row, n), PM_PRESET_OPTION) == 0 || pm_option_find(table, overruler(row, n)) < 0)
            return pm_error_set(err, PM_E_ARGUMENT, "preset \"%s\" names \"%s\", which is no option for it", row->preset,
                                overruler(row, n));
    return PM_OK;
}

/* Mistakes of whoever wrote row i. As with options that may be a user, who gets a message. */
static int check_row(const struct pm_option *table, const struct pm_preset *presets, size_t i, struct pm_error *err)
{
    const struct pm_preset *row = &presets[i];
    int rc = check_names(table, row, err);
    if (rc != PM_OK)
        return rc;
    struct pm_value value;
    rc = pm_option_parse(&table[pm_option_find(table, row->option)], row->text, &value, err);
    if (rc != PM_OK)
        return pm_error_wrap(err, PM_E_ARGUMENT, "preset \"%s\"", row->preset);
    for (size_t before = 0; before < i; before++)
        if (strcmp(presets[before].preset, row->preset) == 0 && strcmp(presets[before].option, row->option) == 0)
            return pm_error_set(err, PM_E_ARGUMENT, "preset \"%s\" sets \"%s\" twice", row->preset, row->option);
    return PM_OK;
}

static struct pm_value *value_of(struct pm_values *values, const char *name)
{
    return &values->values[pm_option_find(values->table, name)];
}

/* Has the user given something that goes before this row? Marks all that does. */
static bool is_overruled(struct pm_values *values, const struct pm_preset *row)
{
    bool overruled = false;
    for (int n = 0; overruler(row, n) != NULL; n++) {
        struct pm_value *value = value_of(values, overruler(row, n));
        if (value->given)
            value->overrules = overruled = true;
    }
    return overruled;
}

static int take_row(struct pm_values *values, const struct pm_preset *row, struct pm_error *err)
{
    if (is_overruled(values, row))
        return PM_OK;
    int rc = pm_values_set(values, row->option, row->text, err);
    if (rc != PM_OK)
        return rc;
    struct pm_value *value = value_of(values, row->option);
    value->given = false;
    value->preset = true;
    return PM_OK;
}

int pm_values_take_preset(struct pm_values *values, const struct pm_preset *presets, struct pm_error *err)
{
    int rc = PM_OK;
    for (size_t i = 0; presets != NULL && presets[i].preset != NULL && rc == PM_OK; i++)
        rc = check_row(values->table, presets, i, err);
    if (rc != PM_OK || presets == NULL || presets[0].preset == NULL)
        return rc;
    const struct pm_value *chosen = value_of(values, PM_PRESET_OPTION);
    for (size_t i = 0; chosen->set && presets[i].preset != NULL && rc == PM_OK; i++)
        if (strcmp(presets[i].preset, chosen->text) == 0)
            rc = take_row(values, &presets[i], err);
    return rc;
}
