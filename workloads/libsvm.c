/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of examples, and reading them from libsvm files line by line. */
#include "workloads/libsvm.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "workloads/lines.h"

enum { LINE_BYTES_MAX = 1 << 24 };

/* ---- the list ---- */

/* Widens an array for at least n elements; *capacity is left to the caller, who may have several arrays of it. */
static bool widen(void *array, uint64_t n, size_t bytes)
{
    void *wide = n > SIZE_MAX / bytes ? NULL : realloc(*(void **)array, n * bytes);
    if (wide == NULL)
        return false;
    *(void **)array = wide;
    return true;
}

static uint64_t more_than(uint64_t n)
{
    return n + n / 2 + 1024;
}

int examples_add_row(struct examples *list, int label)
{
    if (list->n_rows == list->rows_capacity) {
        uint64_t capacity = more_than(list->n_rows);
        if (!widen(&list->labels, capacity, sizeof *list->labels) ||
            !widen(&list->starts, capacity + 1, sizeof *list->starts))
            return PM_E_MEMORY;
        list->rows_capacity = capacity;
    }
    list->labels[list->n_rows] = label > 0 ? 1 : -1;
    list->starts[list->n_rows++] = list->n_entries;
    list->starts[list->n_rows] = list->n_entries;
    return PM_OK;
}

/* Room for one more value, when values are kept. The first one that is not 1 makes all of them. */
static bool room_for_value(struct examples *list, float value)
{
    bool first = list->values == NULL;
    if ((first && value == 1) || list->n_entries < list->values_capacity)
        return true;
    if (!widen(&list->values, list->entries_capacity, sizeof *list->values))
        return false;
    for (uint64_t i = 0; first && i < list->n_entries; i++)
        list->values[i] = 1;
    list->values_capacity = list->entries_capacity;
    return true;
}

int examples_add(struct examples *list, uint32_t feature, float value)
{
    if (list->n_entries == list->entries_capacity) {
        uint64_t capacity = more_than(list->n_entries);
        if (!widen(&list->features, capacity, sizeof *list->features))
            return PM_E_MEMORY;
        list->entries_capacity = capacity;
    }
    if (!room_for_value(list, value))
        return PM_E_MEMORY;
    list->features[list->n_entries] = feature;
    if (list->values != NULL)
        list->values[list->n_entries] = value;
    list->starts[list->n_rows] = ++list->n_entries;
    return PM_OK;
}

void examples_free(struct examples *list)
{
    free(list->labels);
    free(list->starts);
    free(list->features);
    free(list->values);
    *list = (struct examples){0};
}

static int copy_row(struct examples *to, const struct examples *from, uint64_t row)
{
    int rc = examples_add_row(to, from->labels[row]);
    for (uint64_t i = from->starts[row]; rc == PM_OK && i < from->starts[row + 1]; i++)
        rc = examples_add(to, from->features[i], from->values != NULL ? from->values[i] : 1);
    return rc;
}

int examples_hold_out(struct examples *train, struct examples *test, double share, uint64_t seed, struct pm_error *err)
{
    struct examples kept = {.n_features = train->n_features};
    test->n_features = train->n_features;
    if (train->n_rows < 2)
        return pm_error_set(err, PM_E_OPTION, "one example is too few: some are held out for the evaluation");
    int rc = PM_OK;
    for (uint64_t row = 0; row < train->n_rows && rc == PM_OK; row++) {
        bool last = row + 1 == train->n_rows;
        bool out = (double)pm_hash64_pair(seed, row) < share * 0x1p64;
        if (last && (test->n_rows == 0 || kept.n_rows == 0))
            out = test->n_rows == 0;
        rc = copy_row(out ? test : &kept, train, row);
    }
    examples_free(rc == PM_OK ? train : &kept);
    if (rc != PM_OK)
        return pm_error_set(err, rc, "held-out examples: out of memory");
    *train = kept;
    return PM_OK;
}

/* ---- the file ---- */

struct reader {
    struct lines lines;
    struct examples *list;
    uint64_t most;       /* features allowed */
    uint64_t n_features; /* greatest index so far + 1 */
    bool seen_zero, seen_minus; /* labels so far */
};

static int take_label(struct reader *r, const char **at, int *label)
{
    const char *text = *at;
    float value;
    if (!lines_take_real(at, &value) || (**at != '\0' && **at != ' ' && **at != '\t'))
        return lines_fail(&r->lines, "'%.*s' does not begin with a label (allowed: 0 and 1, or -1 and +1)",
                          LINES_EXCERPT_MAX, text);
    if (value != 0 && value != 1 && value != -1)
        return lines_fail(&r->lines, "label %g (allowed: 0 and 1, or -1 and +1)", (double)value);
    r->seen_zero = r->seen_zero || value == 0;
    r->seen_minus = r->seen_minus || value == -1;
    if (r->seen_zero && r->seen_minus)
        return lines_fail(&r->lines, "label %g in a file with label %d (allowed: 0 and 1, or -1 and +1)", (double)value,
                          value == 0 ? -1 : 0);
    *label = value > 0 ? 1 : -1;
    return PM_OK;
}

/* `index:value` or `index`. */
static int take_entry(struct reader *r, const char **at, uint64_t *index, float *value)
{
    const char *text = *at;
    *value = 1;
    bool good = lines_take_whole(at, index) && (!lines_take_text(at, ":") || lines_take_real(at, value));
    if (!good || (**at != '\0' && **at != ' ' && **at != '\t'))
        return lines_fail(&r->lines, "'%.*s' is not 'index:value' or 'index'",
                          (int)(strcspn(text, " \t") < LINES_EXCERPT_MAX ? strcspn(text, " \t") : LINES_EXCERPT_MAX), text);
    if (*index >= r->most)
        return lines_fail(&r->lines, "feature %" PRIu64 " is too large (allowed: at most %" PRIu64 ")", *index,
                          r->most - 1);
    return PM_OK;
}

static int add_entry(struct reader *r, uint64_t index, float value, uint64_t first)
{
    const struct examples *list = r->list;
    if (index >= r->n_features)
        r->n_features = index + 1;
    if (list->n_entries > first && index <= list->features[list->n_entries - 1])
        return lines_fail(&r->lines, "feature %" PRIu64 " after feature %" PRIu32 " (allowed: ascending)", index,
                          list->features[list->n_entries - 1]);
    if (examples_add(r->list, (uint32_t)index, value) == PM_OK)
        return PM_OK;
    return pm_error_set(r->lines.err, PM_E_MEMORY, "%s: out of memory after %" PRIu64 " entries", r->lines.path,
                        list->n_entries);
}

static int read_example(struct reader *r)
{
    const char *at = r->lines.line;
    int label = 0;
    lines_take_blanks(&at);
    int rc = take_label(r, &at, &label);
    if (rc == PM_OK && r->list->n_rows == EXAMPLES_FEATURES_MAX)
        rc = lines_fail(&r->lines, "too many examples (allowed: at most %" PRIu64 ")", EXAMPLES_FEATURES_MAX);
    if (rc == PM_OK && examples_add_row(r->list, label) != PM_OK)
        rc = pm_error_set(r->lines.err, PM_E_MEMORY, "%s: out of memory after %" PRIu64 " examples", r->lines.path,
                          r->list->n_rows);
    uint64_t first = r->list->n_entries;
    while (rc == PM_OK && lines_take_blanks(&at) && *at != '\0') {
        uint64_t index;
        float value;
        rc = take_entry(r, &at, &index, &value);
        if (rc == PM_OK)
            rc = add_entry(r, index, value, first);
    }
    return rc;
}

static int read_all(struct reader *r)
{
    int more;
    while ((more = lines_next(&r->lines)) > 0) {
        char *comment = strchr(r->lines.line, '#');
        if (comment != NULL)
            *comment = '\0';
        if (lines_blank(r->lines.line))
            continue;
        int rc = read_example(r);
        if (rc != PM_OK)
            return rc;
    }
    if (more == 0 && r->list->n_rows == 0)
        return lines_fail(&r->lines, "the file holds no example");
    return more;
}

int libsvm_read_from(FILE *file, const char *path, struct examples *list, struct pm_error *err)
{
    struct reader r = {.list = list, .most = list->n_features > 0 ? list->n_features : EXAMPLES_FEATURES_MAX};
    int rc = lines_begin(&r.lines, file, path, "examples", LINE_BYTES_MAX, err);
    if (rc != PM_OK)
        return rc;
    rc = read_all(&r);
    if (rc == PM_OK && r.n_features == 0)
        rc = lines_fail(&r.lines, "the file holds no feature");
    lines_end(&r.lines);
    if (rc != PM_OK) {
        examples_free(list);
        return rc;
    }
    list->n_features = r.n_features;
    return PM_OK;
}

int libsvm_read(const char *path, struct examples *list, struct pm_error *err)
{
    FILE *file = lines_file(path, err);
    if (file == NULL)
        return PM_E_FILE;
    int rc = libsvm_read_from(file, path, list, err);
    fclose(file);
    return rc;
}
