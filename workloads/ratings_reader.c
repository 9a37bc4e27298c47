/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading of rating files, line by line. */
#include "workloads/ratings.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    LINE_BYTES_MAX = 4096,
    EXCERPT_MAX = 40,           /* characters of a bad line that a message shows */
    RESERVED_AT_ONCE = 1 << 20, /* cells, whatever a header promises */
};

struct reader {
    const char *path;
    FILE *file;
    uint64_t line_number;
    char line[LINE_BYTES_MAX]; /* without its end */
    struct ratings *list;
    uint64_t declared[2]; /* rows, columns; 0 = not declared */
    uint64_t seen[2];     /* greatest ids so far */
    struct pm_error *err;
};

static const char matrix_banner[] = "%%MatrixMarket";
static const char *const side_names[2] = {"row (user)", "column (item)"};

static int __attribute__((format(printf, 2, 3))) fail(struct reader *r, const char *fmt, ...)
{
    char text[PM_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    return pm_error_set(r->err, PM_E_FILE, "%s:%" PRIu64 ": %s", r->path, r->line_number, text);
}

/* The next line, without LF or CR LF. 1: there is one; 0: end of file; or an error. */
static int next_line(struct reader *r)
{
    r->line_number++;
    if (fgets(r->line, sizeof r->line, r->file) == NULL) {
        if (!ferror(r->file))
            return 0;
        return fail(r, "cannot be read: %s", strerror(errno));
    }
    size_t length = strlen(r->line);
    bool ended = length > 0 && r->line[length - 1] == '\n';
    if (!ended && !feof(r->file))
        return fail(r, "holds a zero byte or is longer than %d bytes: not a text file of ratings",
                    LINE_BYTES_MAX - 2);
    if (ended)
        length--;
    if (length > 0 && r->line[length - 1] == '\r')
        length--;
    r->line[length] = '\0';
    return 1;
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t")] == '\0';
}

/* Takes a whole number off the front of *at; too large ones become UINT64_MAX. */
static bool take_whole(const char **at, uint64_t *value)
{
    const char *p = *at;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
    }
    if (p == *at)
        return false;
    *at = p;
    *value = v;
    return true;
}

/* Takes a decimal number off the front of *at: no infinity, no hexadecimal number. */
static bool take_real(const char **at, float *value)
{
    size_t length = strspn(*at, "+-.0123456789eE");
    char *end;
    *value = strtof(*at, &end);
    if (length == 0 || end != *at + length || !isfinite(*value))
        return false;
    *at = end;
    return true;
}

static bool take_text(const char **at, const char *text)
{
    size_t length = strlen(text);
    if (strncmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

static bool take_blanks(const char **at)
{
    size_t length = strspn(*at, " \t");
    *at += length;
    return length > 0;
}

static int check_id(struct reader *r, int side, uint64_t id)
{
    if (id == 0)
        return fail(r, "%s number 0 (numbers start at 1)", side_names[side]);
    if (r->declared[side] > 0 && id > r->declared[side])
        return fail(r, "%s number %" PRIu64 " is beyond the declared %" PRIu64, side_names[side], id,
                    r->declared[side]);
    if (id > RATINGS_SIDE_MAX)
        return fail(r, "%s number %" PRIu64 " is too large (allowed: at most %" PRIu64 ")", side_names[side],
                    id, RATINGS_SIDE_MAX);
    if (id > r->seen[side])
        r->seen[side] = id;
    return PM_OK;
}

static int add_cell(struct reader *r, const uint64_t ids[2], float value)
{
    for (int side = 0; side < 2; side++) {
        int rc = check_id(r, side, ids[side]);
        if (rc != PM_OK)
            return rc;
    }
    struct rating cell = {.row = (uint32_t)(ids[0] - 1), .column = (uint32_t)(ids[1] - 1), .value = value};
    if (ratings_append(r->list, cell) != PM_OK)
        return pm_error_set(r->err, PM_E_MEMORY, "%s: out of memory after %" PRIu64 " ratings", r->path,
                            r->list->n);
    return PM_OK;
}

/* Parses the current line and all that follow: user, item, rating, time. */
static int read_movielens(struct reader *r, const char *separator)
{
    const char *shown = separator[0] == '\t' ? " TAB " : separator;
    for (int more = 1; more != 0; more = next_line(r)) {
        if (more < 0)
            return more;
        if (is_blank(r->line))
            continue;
        const char *at = r->line;
        uint64_t ids[2], time;
        float value;
        if (!take_whole(&at, &ids[0]) || !take_text(&at, separator) || !take_whole(&at, &ids[1]) ||
            !take_text(&at, separator) || !take_real(&at, &value) || !take_text(&at, separator) ||
            !take_whole(&at, &time) || !is_blank(at))
            return fail(r, "'%.*s' is not 'user%sitem%srating%stime'", EXCERPT_MAX, r->line, shown, shown,
                        shown);
        int rc = add_cell(r, ids, value);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

static int check_matrix_header(struct reader *r)
{
    char object[16], layout[16], field[16], symmetry[16], rest[2];
    int n = sscanf(r->line + strlen(matrix_banner), " %15s %15s %15s %15s %1s", object, layout, field,
                   symmetry, rest);
    if (n != 4 || strcasecmp(object, "matrix") != 0 || strcasecmp(layout, "coordinate") != 0 ||
        (strcasecmp(field, "real") != 0 && strcasecmp(field, "integer") != 0) ||
        strcasecmp(symmetry, "general") != 0)
        return fail(
            r, "'%.*s' is not supported (allowed: %%%%MatrixMarket matrix coordinate real|integer general)",
            2 * EXCERPT_MAX, r->line);
    return PM_OK;
}

/* The first line that is neither comment nor blank: rows, columns, entries. */
static int read_matrix_size(struct reader *r, uint64_t size[3])
{
    int more;
    do {
        more = next_line(r);
    } while (more > 0 && (r->line[0] == '%' || is_blank(r->line)));
    if (more < 0)
        return more;
    if (more == 0)
        return fail(r, "the file ends before the line 'rows columns entries'");
    const char *at = r->line;
    take_blanks(&at);
    if (!take_whole(&at, &size[0]) || !take_blanks(&at) || !take_whole(&at, &size[1]) || !take_blanks(&at) ||
        !take_whole(&at, &size[2]) || !is_blank(at))
        return fail(r, "'%.*s' is not 'rows columns entries'", EXCERPT_MAX, r->line);
    for (int side = 0; side < 2; side++) {
        uint64_t limit = r->declared[side] > 0 ? r->declared[side] : RATINGS_SIDE_MAX;
        if (size[side] == 0 || size[side] > limit)
            return fail(r, "a matrix of %" PRIu64 " x %" PRIu64 " (allowed: 1 to %" PRIu64 " %s numbers)",
                        size[0], size[1], limit, side_names[side]);
    }
    return PM_OK;
}

static int read_matrix_entry(struct reader *r)
{
    const char *at = r->line;
    uint64_t ids[2];
    float value;
    take_blanks(&at);
    if (!take_whole(&at, &ids[0]) || !take_blanks(&at) || !take_whole(&at, &ids[1]) || !take_blanks(&at) ||
        !take_real(&at, &value) || !is_blank(at))
        return fail(r, "'%.*s' is not 'row column value'", EXCERPT_MAX, r->line);
    return add_cell(r, ids, value);
}

static int read_matrix(struct reader *r)
{
    uint64_t size[3] = {0, 0, 0};
    int rc = check_matrix_header(r);
    if (rc == PM_OK)
        rc = read_matrix_size(r, size);
    if (rc != PM_OK)
        return rc;
    uint64_t from_user[2] = {r->declared[0], r->declared[1]};
    r->declared[0] = size[0];
    r->declared[1] = size[1];
    if (ratings_reserve(r->list, size[2] < RESERVED_AT_ONCE ? size[2] : RESERVED_AT_ONCE) != PM_OK)
        return pm_error_set(r->err, PM_E_MEMORY, "%s: out of memory", r->path);
    int more;
    while ((more = next_line(r)) > 0) {
        if (r->line[0] == '%' || is_blank(r->line))
            continue;
        if (r->list->n == size[2])
            return fail(r, "more entries than the announced %" PRIu64, size[2]);
        rc = read_matrix_entry(r);
        if (rc != PM_OK)
            return rc;
    }
    if (more == 0 && r->list->n < size[2])
        return fail(r, "the file ends after %" PRIu64 " of %" PRIu64 " entries", r->list->n, size[2]);
    for (int side = 0; side < 2; side++)
        if (from_user[side] > 0)
            r->declared[side] = from_user[side];
    return more;
}

/* Tells the format by the first line that is not blank. */
static int read_all(struct reader *r)
{
    int more;
    do {
        more = next_line(r);
    } while (more > 0 && is_blank(r->line));
    if (more < 0)
        return more;
    if (more == 0)
        return fail(r, "the file is empty");
    if (strncasecmp(r->line, matrix_banner, strlen(matrix_banner)) == 0)
        return read_matrix(r);
    if (strstr(r->line, "::") != NULL)
        return read_movielens(r, "::");
    if (strchr(r->line, '\t') != NULL)
        return read_movielens(r, "\t");
    return fail(r,
                "'%.*s' begins no known format (allowed: user TAB item TAB rating TAB time, "
                "user::item::rating::time, %%%%MatrixMarket)",
                EXCERPT_MAX, r->line);
}

int ratings_read(const char *path, struct ratings *list, struct pm_error *err)
{
    struct reader r = {.path = path, .list = list, .declared = {list->rows, list->columns}, .err = err};
    r.file = fopen(path, "r");
    if (r.file == NULL)
        return pm_error_set(err, PM_E_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    int rc = read_all(&r);
    fclose(r.file);
    if (rc == PM_OK && list->n == 0)
        rc = fail(&r, "the file holds no rating");
    if (rc != PM_OK) {
        ratings_free(list);
        return rc;
    }
    list->rows = r.declared[0] > 0 ? r.declared[0] : r.seen[0];
    list->columns = r.declared[1] > 0 ? r.declared[1] : r.seen[1];
    return PM_OK;
}
