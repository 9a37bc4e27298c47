/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parsing and writing of NAME[:option=value,...] and of lists of such specifications. */
#include "core/spec.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 256 /* options of one specification */

static int out_of_memory(struct pm_error *err)
{
    return pm_error_set(err, PM_E_MEMORY, "specification: out of memory");
}

/* First c in [text, end) that no backslash escapes, or end. */
static const char *find_plain(const char *text, const char *end, char c)
{
    for (; text < end && *text != c; text++)
        if (*text == '\\' && text + 1 < end)
            text++;
    return text;
}

/* Copies [begin, end) without escapes. */
static int unescape(const char *begin, const char *end, char **out, struct pm_error *err)
{
    char *copy = malloc((size_t)(end - begin) + 1), *to = copy;
    if (copy == NULL)
        return out_of_memory(err);
    for (const char *from = begin; from < end; from++) {
        if (*from == '\\') {
            from++;
            if (from == end || (*from != ',' && *from != ':' && *from != '\\')) {
                free(copy);
                return pm_error_set(err, PM_E_OPTION, "\"%.*s\": stray backslash (allowed: \\, \\: \\\\)",
                                    (int)(end - begin), begin);
            }
        }
        *to++ = *from;
    }
    *to = '\0';
    *out = copy;
    return PM_OK;
}

/* The ':' that ends the name, or end: the first one after the last '/' before the options. A '=' shows that
 * options have begun, unless no such ':' stands before it. */
static const char *name_end(const char *text, const char *end)
{
    const char *colon = NULL;
    for (const char *c = text; c < end; c++) {
        if (*c == '\\')
            c++;
        else if (*c == '/')
            colon = NULL;
        else if (*c == ':' && colon == NULL)
            colon = c;
        else if (*c == '=' && colon != NULL)
            break;
    }
    return colon != NULL ? colon : end;
}

/* Is this item of a list an option of the specification before it? */
static bool is_pair(const char *text, const char *end)
{
    const char *equals = find_plain(text, end, '=');
    return equals < end && find_plain(text, equals, ':') == equals && find_plain(text, equals, '/') == equals;
}

static int check_pair_name(const struct pm_spec *spec, const char *name, struct pm_error *err)
{
    if (name[0] == '\0')
        return pm_error_set(err, PM_E_OPTION, "%.80s: a name must stand before \"=\" (allowed: option=value)",
                            spec->name);
    for (size_t i = 0; i < spec->n; i++)
        if (strcmp(spec->pairs[i].name, name) == 0)
            return pm_error_set(err, PM_E_OPTION, "%.80s: option \"%.80s\" is given twice", spec->name, name);
    if (spec->n == PAIRS_MAX)
        return pm_error_set(err, PM_E_LIMIT, "%.80s: more than %d options", spec->name, PAIRS_MAX);
    return PM_OK;
}

/* Appends the pair in [text, end). */
static int add_pair(struct pm_spec *spec, const char *text, const char *end, struct pm_error *err)
{
    const char *equals = find_plain(text, end, '=');
    if (equals == end)
        return pm_error_set(err, PM_E_OPTION, "%.80s: \"%.*s\" is no option (allowed: option=value)",
                            spec->name, end - text > 80 ? 80 : (int)(end - text), text);
    struct pm_spec_pair *pairs = realloc(spec->pairs, (spec->n + 1) * sizeof *pairs);
    if (pairs == NULL)
        return out_of_memory(err);
    spec->pairs = pairs;
    struct pm_spec_pair pair = {NULL, NULL};
    int rc = unescape(text, equals, &pair.name, err);
    if (rc == PM_OK)
        rc = check_pair_name(spec, pair.name, err);
    if (rc == PM_OK)
        rc = unescape(equals + 1, end, &pair.value, err);
    if (rc != PM_OK) {
        free(pair.name);
        return rc;
    }
    spec->pairs[spec->n++] = pair;
    return PM_OK;
}

/* The name in [text, end), which must not hold a plain ','. */
static int parse_name(const char *text, const char *end, struct pm_spec *out, struct pm_error *err)
{
    if (text == end)
        return pm_error_set(err, PM_E_OPTION, "a name is missing (allowed: NAME[:option=value,...])");
    if (find_plain(text, end, ',') < end)
        return pm_error_set(err, PM_E_OPTION,
                            "\"%.*s\": one name is wanted here, not a list; write \"\\,\" for a comma",
                            (int)(end - text), text);
    return unescape(text, end, &out->name, err);
}

/* Parses the specification in [text, end). */
static int parse(const char *text, const char *end, struct pm_spec *out, struct pm_error *err)
{
    *out = (struct pm_spec){0};
    const char *colon = name_end(text, end);
    int rc = parse_name(text, colon, out, err);
    while (rc == PM_OK && colon < end) {
        const char *item = colon + 1;
        colon = find_plain(item, end, ',');
        rc = add_pair(out, item, colon, err);
    }
    if (rc != PM_OK)
        pm_spec_free(out);
    return rc;
}

static int check_length(const char *text, size_t *length, struct pm_error *err)
{
    *length = strlen(text);
    if (*length > PM_SPEC_LENGTH_MAX)
        return pm_error_set(err, PM_E_LIMIT, "specification of %zu bytes (allowed: at most %d)", *length,
                            PM_SPEC_LENGTH_MAX);
    return PM_OK;
}

int pm_spec_parse(const char *text, struct pm_spec *out, struct pm_error *err)
{
    size_t length;
    *out = (struct pm_spec){0};
    int rc = check_length(text, &length, err);
    return rc != PM_OK ? rc : parse(text, text + length, out, err);
}

void pm_spec_free(struct pm_spec *spec)
{
    for (size_t i = 0; i < spec->n; i++) {
        free(spec->pairs[i].name);
        free(spec->pairs[i].value);
    }
    free(spec->pairs);
    free(spec->name);
    *spec = (struct pm_spec){0};
}

/* Adds the item in [text, end) to the list. */
static int add_item(struct pm_spec **specs, size_t *n, const char *text, const char *end,
                    struct pm_error *err)
{
    if (is_pair(text, end)) {
        if (*n == 0)
            return pm_error_set(err, PM_E_OPTION, "\"%.*s\": no name stands before this option",
                                (int)(end - text), text);
        return add_pair(&(*specs)[*n - 1], text, end, err);
    }
    struct pm_spec *grown = realloc(*specs, (*n + 1) * sizeof *grown);
    if (grown == NULL)
        return out_of_memory(err);
    *specs = grown;
    int rc = parse(text, end, &grown[*n], err);
    *n += rc == PM_OK;
    return rc;
}

int pm_spec_list_parse(const char *text, struct pm_spec **out, size_t *n, struct pm_error *err)
{
    *out = NULL;
    *n = 0;
    size_t length;
    int rc = check_length(text, &length, err);
    if (rc != PM_OK)
        return rc;
    struct pm_spec *specs = NULL;
    const char *end = text + length, *item = text;
    for (;;) {
        const char *comma = find_plain(item, end, ',');
        rc = add_item(&specs, n, item, comma, err);
        if (rc != PM_OK || comma == end)
            break;
        item = comma + 1;
    }
    if (rc == PM_OK) {
        *out = specs;
    } else {
        pm_spec_list_free(specs, *n);
        *n = 0;
    }
    return rc;
}

void pm_spec_list_free(struct pm_spec *specs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pm_spec_free(&specs[i]);
    free(specs);
}

int pm_spec_apply(const struct pm_spec *spec, const struct pm_option *table, const struct pm_preset *presets,
                  struct pm_values *values, struct pm_error *err)
{
    int rc = pm_values_init(values, table, err);
    if (rc != PM_OK)
        return pm_error_wrap(err, rc, "%.80s", spec->name);
    for (size_t i = 0; i < spec->n && rc == PM_OK; i++)
        rc = pm_values_set(values, spec->pairs[i].name, spec->pairs[i].value, err);
    if (rc == PM_OK)
        rc = pm_values_take_preset(values, presets, err);
    if (rc != PM_OK) {
        pm_values_free(values);
        return pm_error_wrap(err, rc, "%.80s", spec->name);
    }
    return PM_OK;
}

/* Text that is written as far as there is room and counted beyond, as snprintf does. */
struct writer {
    char *buf;
    size_t size, length;
};

static void put(struct writer *w, char c)
{
    if (w->length + 1 < w->size)
        w->buf[w->length] = c;
    w->length++;
}

static void put_escaped(struct writer *w, const char *text, const char *escaped)
{
    for (; *text != '\0'; text++) {
        if (strchr(escaped, *text) != NULL)
            put(w, '\\');
        put(w, *text);
    }
}

static void put_pair(struct writer *w, bool first, const char *name, const char *value)
{
    put(w, first ? ':' : ',');
    put_escaped(w, name, ",:\\");
    put(w, '=');
    put_escaped(w, value, ",\\");
}

static size_t finish(struct writer *w)
{
    if (w->size > 0)
        w->buf[w->length < w->size ? w->length : w->size - 1] = '\0';
    return w->length;
}

size_t pm_spec_format(const struct pm_spec *spec, char *buf, size_t size)
{
    struct writer w = {buf, size, 0};
    put_escaped(&w, spec->name, ",:\\");
    for (size_t i = 0; i < spec->n; i++)
        put_pair(&w, i == 0, spec->pairs[i].name, spec->pairs[i].value);
    return finish(&w);
}

size_t pm_spec_format_values(const char *name, const struct pm_values *values, bool all, char *buf,
                             size_t size)
{
    struct writer w = {buf, size, 0};
    put_escaped(&w, name, ",:\\");
    bool first = true;
    for (size_t i = 0; i < values->n; i++) {
        const char *option = values->table[i].name;
        bool implied = values->values[i].preset || pm_values_is_default(values, option);
        if (!pm_values_is_set(values, option) || (!all && implied))
            continue;
        put_pair(&w, first, option, pm_values_canonical(values, option));
        first = false;
    }
    return finish(&w);
}
