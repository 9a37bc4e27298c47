/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/traced.h"

#include <stdlib.h>
#include <string.h>

#include "core/option.h"

static int refuse(const char *text, struct pm_error *err)
{
    return pm_error_set(err, PM_E_OPTION,
                        "option \"trace-keys\": \"%.80s\" (allowed: keys as K,L,..., top-N, random-N, N from 1 to %d)", text,
                        PM_TRACED_MAX);
}

static bool whole(const char *text, double min, double max, uint64_t *out)
{
    const struct pm_option option = {"trace-keys", PM_OPT_COUNT, NULL, "", NULL, min, max};
    struct pm_value value;
    if (pm_option_parse(&option, text, &value, NULL) != PM_OK)
        return false;
    *out = value.whole;
    return true;
}

static int parse_list(const char *text, struct pm_traced_rule *rule, pm_key **keys, struct pm_error *err)
{
    char *copy = strdup(text), *rest = copy;
    size_t n = 1;
    for (const char *c = text; *c; c++)
        n += *c == ',';
    *keys = malloc(n * sizeof **keys);
    int rc = copy && *keys ? PM_OK : pm_error_set(err, PM_E_MEMORY, "out of memory");
    for (size_t i = 0; rc == PM_OK && i < n; i++)
        if (!whole(strsep(&rest, ","), 0, 9e18, &(*keys)[i]))
            rc = refuse(text, err);
    free(copy);
    *rule = (struct pm_traced_rule){.choice = PM_TRACED_LIST, .n = n, .keys = *keys};
    return rc;
}

int cli_traced_parse(const char *text, struct pm_traced_rule *rule, pm_key **keys, struct pm_error *err)
{
    static const char top[] = "top-", random[] = "random-";
    *keys = NULL;
    *rule = (struct pm_traced_rule){0};
    if (strncmp(text, top, sizeof top - 1) == 0) {
        rule->choice = PM_TRACED_TOP;
        return whole(text + sizeof top - 1, 1, PM_TRACED_MAX, &rule->n) ? PM_OK : refuse(text, err);
    }
    if (strncmp(text, random, sizeof random - 1) == 0) {
        rule->choice = PM_TRACED_RANDOM;
        return whole(text + sizeof random - 1, 1, PM_TRACED_MAX, &rule->n) ? PM_OK : refuse(text, err);
    }
    int rc = parse_list(text, rule, keys, err);
    if (rc != PM_OK) {
        free(*keys);
        *keys = NULL;
    }
    return rc;
}
