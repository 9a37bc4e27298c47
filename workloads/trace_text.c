/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/trace_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/keymap.h"
#include "workloads/lines.h"
#include "workloads/trace_file.h"

enum {
    LINE_BYTES_MAX = 1 << 16,
    COUNT_MAX = 1 << 20, /* keys of one line */
    ASK_EVERY = 1024,    /* lines after which the caller may interrupt */
};

static const char *const column_names[] = {"-", "key", "count", "node", "time"};

/* Accesses of one node, which has one worker. */
struct source {
    struct trace_stream stream;
    pm_key *keys; /* of the batch that is being filled */
    uint32_t n;
    int64_t first_ns, last_ns; /* of the batch; of the node */
};

struct importer {
    const struct trace_text *t;
    struct lines lines;
    int fd;
    struct keymap keys, nodes;
    struct source *sources; /* by number of the node */
    uint64_t n_sources, sources_capacity, n_lines;
    bool timed;
};

struct access {
    uint64_t key, count, node;
    int64_t time_ns;
};

/* ---- columns ---- */

static int column_of(const char *name, size_t length)
{
    for (int i = 0; i < (int)(sizeof column_names / sizeof column_names[0]); i++)
        if (strlen(column_names[i]) == length && strncmp(column_names[i], name, length) == 0)
            return i;
    return -1;
}

int trace_text_columns(struct trace_text *t, const char *text, struct pm_error *err)
{
    unsigned seen = 0;
    t->n_columns = 0;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        int column = column_of(at, length);
        if (column < 0 || (column != TRACE_SKIP && (seen >> column & 1)) || t->n_columns == TRACE_COLUMNS_MAX)
            return pm_error_set(err, PM_E_OPTION,
                                "columns \"%.80s\": \"%.*s\" (allowed: at most %d of key, count, node, time, -; each but - once)",
                                text, length < 80 ? (int)length : 80, at, TRACE_COLUMNS_MAX);
        t->columns[t->n_columns++] = (enum trace_column)column;
        seen |= 1u << column;
        at += length;
        if (*at == '\0')
            break;
    }
    if (seen >> TRACE_KEY & 1)
        return PM_OK;
    return pm_error_set(err, PM_E_OPTION, "columns \"%.80s\" have no key", text);
}

static bool has_column(const struct trace_text *t, enum trace_column column)
{
    for (uint32_t i = 0; i < t->n_columns; i++)
        if (t->columns[i] == column)
            return true;
    return false;
}

/* ---- fields ---- */

static bool ends_field(char c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == ',' || c == ';';
}

static unsigned digit_of(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned)((c | 32) - 'a') + 10 : 99;
}

/* A whole number below 2^64, hexadecimal after 0x, and nothing else in the field. */
static bool take_number(const char **at, uint64_t *value)
{
    bool hex = (*at)[0] == '0' && ((*at)[1] | 32) == 'x';
    unsigned base = hex ? 16 : 10;
    const char *p = *at + (hex ? 2 : 0), *first = p;
    uint64_t v = 0;
    for (; digit_of(*p) < base; p++)
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit_of(*p), &v))
            return false;
    if (p == first || !ends_field(*p))
        return false;
    *at = p;
    *value = v;
    return true;
}

/* A decimal number with perhaps a fraction, in nanoseconds; digits beyond them are cut off. */
static bool take_time(const char **at, uint64_t unit_ns, int64_t *ns)
{
    const char *p = *at;
    uint64_t whole = 0, fraction = 0, unit = unit_ns;
    for (; digit_of(*p) < 10; p++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, digit_of(*p), &whole))
            return false;
    if (p == *at)
        return false;
    if (*p == '.')
        for (p++; digit_of(*p) < 10; p++) {
            unit /= 10;
            fraction += digit_of(*p) * unit;
        }
    if (!ends_field(*p) || __builtin_mul_overflow(whole, unit_ns, &whole) || whole > INT64_MAX - fraction)
        return false;
    *at = p;
    *ns = (int64_t)(whole + fraction);
    return true;
}

static bool take_field(const char **at, enum trace_column column, const struct trace_text *t, struct access *a)
{
    switch (column) {
    case TRACE_KEY:
        return take_number(at, &a->key);
    case TRACE_COUNT:
        return take_number(at, &a->count);
    case TRACE_NODE:
        return take_number(at, &a->node);
    case TRACE_TIME:
        return take_time(at, t->unit_ns, &a->time_ns);
    default:
        while (!ends_field(**at))
            ++*at;
        return true;
    }
}

/* What is between two fields: blanks, or one separator with blanks around it. */
static bool take_separator(const char **at)
{
    size_t blanks = strspn(*at, " ");
    *at += blanks;
    if (**at == '\0' || (blanks == 0 && !ends_field(**at)))
        return false;
    if (ends_field(**at))
        ++*at;
    *at += strspn(*at, " ");
    return true;
}

static int bad_line(struct importer *in, uint32_t column)
{
    char form[256];
    size_t n = 0;
    for (uint32_t i = 0; i < in->t->n_columns && n < sizeof form; i++)
        n += (size_t)snprintf(form + n, sizeof form - n, "%s%s", i > 0 ? " " : "", column_names[in->t->columns[i]]);
    static const char *const kinds[] = {"any text", "a whole number below 2^64", "a whole number from 1 to 1048576",
                                        "a whole number below 2^64", "a number of time units below 2^63 ns"};
    if (column == in->t->n_columns)
        return lines_fail(&in->lines, "'%.*s' has more fields than '%s' (separated by blanks, or one TAB, comma or semicolon)",
                          LINES_EXCERPT_MAX, in->lines.line, form);
    return lines_fail(&in->lines, "'%.*s' is not '%s': %s has to be %s", LINES_EXCERPT_MAX, in->lines.line, form,
                      column_names[in->t->columns[column]], kinds[in->t->columns[column]]);
}

static int parse_line(struct importer *in, struct access *a)
{
    const char *at = in->lines.line + strspn(in->lines.line, " ");
    *a = (struct access){.count = 1};
    for (uint32_t i = 0; i < in->t->n_columns; i++)
        if ((i > 0 && !take_separator(&at)) || !take_field(&at, in->t->columns[i], in->t, a))
            return bad_line(in, i);
    if (!lines_blank(at))
        return bad_line(in, in->t->n_columns);
    for (uint32_t i = 0; i < in->t->n_columns; i++)
        if (in->t->columns[i] == TRACE_COUNT && (a->count < 1 || a->count > COUNT_MAX))
            return bad_line(in, i);
    if (a->key > UINT64_MAX - (a->count - 1))
        return lines_fail(&in->lines, "a range of %" PRIu64 " keys from %" PRIu64 " ends beyond 2^64", a->count, a->key);
    return PM_OK;
}

/* ---- batches ---- */

static int out_of_memory(struct importer *in)
{
    return pm_error_set(in->lines.err, PM_E_MEMORY, "%s: out of memory", in->lines.path);
}

/* The time until the next batch, at one operation per nanosecond, is what computing this one takes. */
static int end_batch(struct importer *in, struct source *s, int64_t next_ns)
{
    if (s->n == 0)
        return PM_OK;
    struct trace_list keys = {.keys = s->keys, .n = s->n};
    double flops = in->timed ? (double)(next_ns - s->first_ns) : TRACE_FLOPS_UNKNOWN;
    struct trace_batch batch = {.flops = flops <= TRACE_FLOPS_MAX ? flops : TRACE_FLOPS_MAX, .keys = keys, .pushed = keys};
    s->n = 0;
    return trace_stream_add(&s->stream, 0, &batch, in->lines.err);
}

static int new_source(struct importer *in)
{
    uint64_t number = in->nodes.n - 1;
    if (number == TRACE_NODES_MAX)
        return lines_fail(&in->lines, "more than %d different nodes", TRACE_NODES_MAX);
    if (number >= in->sources_capacity) {
        uint64_t capacity = 2 * in->sources_capacity + 4;
        struct source *more = realloc(in->sources, capacity * sizeof *more);
        if (more == NULL)
            return out_of_memory(in);
        in->sources = more;
        in->sources_capacity = capacity;
    }
    struct source *s = &in->sources[number];
    *s = (struct source){.keys = malloc(in->t->batch * sizeof *s->keys)};
    trace_stream_begin(&s->stream, in->fd, (uint32_t)number);
    in->n_sources++;
    return s->keys != NULL ? PM_OK : out_of_memory(in);
}

static int add_access(struct importer *in, const struct access *a)
{
    uint64_t known = in->nodes.n, number = keymap_add(&in->nodes, a->node);
    if (number == KEYMAP_NONE)
        return out_of_memory(in);
    int rc = in->nodes.n > known ? new_source(in) : PM_OK;
    if (rc != PM_OK)
        return rc;
    struct source *s = &in->sources[number];
    if (a->time_ns < s->last_ns)
        return lines_fail(&in->lines, "time goes back by %" PRId64 " ns (allowed: times of a node in ascending order)",
                          s->last_ns - a->time_ns);
    s->last_ns = a->time_ns;
    for (uint64_t i = 0; i < a->count && rc == PM_OK; i++) {
        if (s->n == in->t->batch)
            rc = end_batch(in, s, a->time_ns);
        if (s->n == 0)
            s->first_ns = a->time_ns;
        pm_key key = keymap_add(&in->keys, a->key + i);
        if (key == KEYMAP_NONE)
            return out_of_memory(in);
        s->keys[s->n++] = key;
    }
    return rc;
}

static int read_lines(struct importer *in)
{
    int more;
    while ((more = lines_next(&in->lines)) > 0) {
        struct access a;
        if (in->lines.number % ASK_EVERY == 0 && in->t->interrupted != NULL && in->t->interrupted() != 0)
            return pm_error_set(in->lines.err, PM_E_INTERRUPTED, "interrupted");
        const char *text = in->lines.line + strspn(in->lines.line, " \t");
        if (in->lines.number <= in->t->header || *text == '\0' || *text == '#')
            continue;
        int rc = parse_line(in, &a);
        if (rc == PM_OK)
            rc = add_access(in, &a);
        if (rc != PM_OK)
            return rc;
        in->n_lines++;
    }
    return more == 0 && in->n_lines == 0 ? lines_fail(&in->lines, "the file holds no access") : more;
}

/* ---- the whole ---- */

struct numbered {
    uint64_t node;
    uint32_t number;
};

static int by_node(const void *one, const void *other)
{
    const struct numbered *a = one, *b = other;
    return a->node < b->node ? -1 : a->node > b->node;
}

/* Nodes become 0, 1, ... in ascending order of what the file calls them. */
static uint32_t *sort_nodes(const struct importer *in)
{
    struct numbered *sorted = malloc(in->nodes.n * sizeof *sorted);
    uint32_t *ranks = malloc(in->nodes.n * sizeof *ranks);
    if (sorted == NULL || ranks == NULL) {
        free(sorted);
        free(ranks);
        return NULL;
    }
    for (uint32_t i = 0; i < in->nodes.n; i++)
        sorted[i] = (struct numbered){in->nodes.keys[i], i};
    qsort(sorted, in->nodes.n, sizeof *sorted, by_node);
    for (uint32_t i = 0; i < in->nodes.n; i++)
        ranks[sorted[i].number] = i;
    free(sorted);
    return ranks;
}

static int write_rest(struct importer *in)
{
    struct pm_layout layout = {0};
    int rc = pm_layout_add(&layout, in->keys.n, TRACE_TEXT_LENGTH, in->lines.err);
    if (rc >= 0)
        rc = trace_output_layout(in->fd, &layout, in->lines.err);
    for (uint64_t i = 0; i < in->nodes.n && rc == PM_OK; i++) {
        rc = end_batch(in, &in->sources[i], in->sources[i].last_ns);
        if (rc == PM_OK)
            rc = trace_stream_end(&in->sources[i].stream, in->lines.err);
    }
    return rc;
}

static int finish(struct importer *in, struct trace_output *output, struct trace_totals *totals)
{
    char origin[TRACE_ORIGIN_MAX];
    uint32_t *ranks = sort_nodes(in);
    if (ranks == NULL)
        return out_of_memory(in);
    const char *name = strrchr(in->lines.path, '/');
    snprintf(origin, sizeof origin, "imported from %s", name != NULL ? name + 1 : in->lines.path);
    struct trace_shape shape = {.nodes = (uint32_t)in->nodes.n, .workers = 1, .origin = origin, .ranks = ranks};
    int rc = trace_output_finish(output, &shape, totals, in->lines.err);
    free(ranks);
    return rc;
}

static int read_all(struct importer *in, FILE *file, const char *path, struct pm_error *err)
{
    in->timed = has_column(in->t, TRACE_TIME);
    int rc = lines_begin(&in->lines, file, path, "accesses", LINE_BYTES_MAX, err);
    if (rc != PM_OK)
        return rc;
    rc = read_lines(in);
    if (rc == PM_OK)
        rc = write_rest(in);
    lines_end(&in->lines);
    return rc;
}

static struct trace_text_found importer_free(struct importer *in)
{
    struct trace_text_found found = {.lines = in->n_lines, .keys = in->keys.n, .nodes = (uint32_t)in->nodes.n};
    for (uint64_t i = 0; i < in->n_sources; i++) {
        trace_stream_free(&in->sources[i].stream);
        free(in->sources[i].keys);
    }
    free(in->sources);
    keymap_free(&in->keys);
    keymap_free(&in->nodes);
    return found;
}

int trace_text_read_from(const struct trace_text *t, FILE *file, const char *path, int fd, struct trace_text_found *found,
                         struct pm_error *err)
{
    struct importer in = {.t = t, .fd = fd};
    int rc = read_all(&in, file, path, err);
    *found = importer_free(&in);
    return rc;
}

static int import(struct importer *in, FILE *file, const char *path, struct trace_output *output, struct trace_totals *totals,
                  struct pm_error *err)
{
    in->fd = trace_output_open(output);
    if (in->fd < 0)
        return pm_error_set(err, PM_E_FILE, "%s: cannot be written: %m", output->path);
    int rc = read_all(in, file, path, err);
    close(in->fd);
    return rc == PM_OK ? finish(in, output, totals) : rc;
}

int trace_text_import(const struct trace_text *t, const char *path, struct trace_output *output,
                      struct trace_text_found *found, struct trace_totals *totals, struct pm_error *err)
{
    struct importer in = {.t = t};
    FILE *file = lines_file(path, err);
    int rc = file != NULL ? import(&in, file, path, output, totals, err) : PM_E_FILE;
    if (file != NULL)
        fclose(file);
    *found = importer_free(&in);
    trace_output_abandon(output);
    return rc;
}
