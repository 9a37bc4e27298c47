/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading of rating files, line by line. */
#include "workloads/ratings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "workloads/lines.h"

enum {
    LINE_BYTES_MAX = 4096,
    RESERVED_AT_ONCE = 1 << 20, /* cells, whatever a header promises */
};

struct reader {
    struct lines lines;
    struct ratings *list;
    uint64_t declared[2]; /* rows, columns; 0 = not declared */
    uint64_t seen[2];     /* greatest ids so far */
};

static const char matrix_banner[] = "%%MatrixMarket";
static const char *const side_names[2] = {"row (user)", "column (item)"};

static int check_id(struct reader *r, int side, uint64_t id)
{
    if (id == 0)
        return lines_fail(&r->lines, "%s number 0 (numbers start at 1)", side_names[side]);
    if (r->declared[side] > 0 && id > r->declared[side])
        return lines_fail(&r->lines, "%s number %" PRIu64 " is beyond the declared %" PRIu64, side_names[side], id,
                          r->declared[side]);
    if (id > RATINGS_SIDE_MAX)
        return lines_fail(&r->lines, "%s number %" PRIu64 " is too large (allowed: at most %" PRIu64 ")", side_names[side],
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
        return pm_error_set(r->lines.err, PM_E_MEMORY, "%s: out of memory after %" PRIu64 " ratings", r->lines.path,
                            r->list->n);
    return PM_OK;
}

/* Parses the current line and all that follow: user, item, rating, time. */
static int read_movielens(struct reader *r, const char *separator)
{
    const char *shown = separator[0] == '\t' ? " TAB " : separator;
    for (int more = 1; more != 0; more = lines_next(&r->lines)) {
        if (more < 0)
            return more;
        if (lines_blank(r->lines.line))
            continue;
        const char *at = r->lines.line;
        uint64_t ids[2], time;
        float value;
        if (!lines_take_whole(&at, &ids[0]) || !lines_take_text(&at, separator) || !lines_take_whole(&at, &ids[1]) ||
            !lines_take_text(&at, separator) || !lines_take_real(&at, &value) || !lines_take_text(&at, separator) ||
            !lines_take_whole(&at, &time) || !lines_blank(at))
            return lines_fail(&r->lines, "'%.*s' is not 'user%sitem%srating%stime'", LINES_EXCERPT_MAX, r->lines.line,
                              shown, shown, shown);
        int rc = add_cell(r, ids, value);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

static int check_matrix_header(struct reader *r)
{
    char object[16], layout[16], field[16], symmetry[16], rest[2];
    int n = sscanf(r->lines.line + strlen(matrix_banner), " %15s %15s %15s %15s %1s", object, layout, field,
                   symmetry, rest);
    if (n != 4 || strcasecmp(object, "matrix") != 0 || strcasecmp(layout, "coordinate") != 0 ||
        (strcasecmp(field, "real") != 0 && strcasecmp(field, "integer") != 0) ||
        strcasecmp(symmetry, "general") != 0)
        return lines_fail(
            &r->lines, "'%.*s' is not supported (allowed: %%%%MatrixMarket matrix coordinate real|integer general)",
            2 * LINES_EXCERPT_MAX, r->lines.line);
    return PM_OK;
}

/* The first line that is neither comment nor blank: rows, columns, entries. */
static int read_matrix_size(struct reader *r, uint64_t size[3])
{
    int more;
    do {
        more = lines_next(&r->lines);
    } while (more > 0 && (r->lines.line[0] == '%' || lines_blank(r->lines.line)));
    if (more < 0)
        return more;
    if (more == 0)
        return lines_fail(&r->lines, "the file ends before the line 'rows columns entries'");
    const char *at = r->lines.line;
    lines_take_blanks(&at);
    if (!lines_take_whole(&at, &size[0]) || !lines_take_blanks(&at) || !lines_take_whole(&at, &size[1]) ||
        !lines_take_blanks(&at) || !lines_take_whole(&at, &size[2]) || !lines_blank(at))
        return lines_fail(&r->lines, "'%.*s' is not 'rows columns entries'", LINES_EXCERPT_MAX, r->lines.line);
    for (int side = 0; side < 2; side++) {
        uint64_t limit = r->declared[side] > 0 ? r->declared[side] : RATINGS_SIDE_MAX;
        if (size[side] == 0 || size[side] > limit)
            return lines_fail(&r->lines, "a matrix of %" PRIu64 " x %" PRIu64 " (allowed: 1 to %" PRIu64 " %s numbers)",
                              size[0], size[1], limit, side_names[side]);
    }
    return PM_OK;
}

static int read_matrix_entry(struct reader *r)
{
    const char *at = r->lines.line;
    uint64_t ids[2];
    float value;
    lines_take_blanks(&at);
    if (!lines_take_whole(&at, &ids[0]) || !lines_take_blanks(&at) || !lines_take_whole(&at, &ids[1]) ||
        !lines_take_blanks(&at) || !lines_take_real(&at, &value) || !lines_blank(at))
        return lines_fail(&r->lines, "'%.*s' is not 'row column value'", LINES_EXCERPT_MAX, r->lines.line);
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
        return pm_error_set(r->lines.err, PM_E_MEMORY, "%s: out of memory", r->lines.path);
    int more;
    while ((more = lines_next(&r->lines)) > 0) {
        if (r->lines.line[0] == '%' || lines_blank(r->lines.line))
            continue;
        if (r->list->n == size[2])
            return lines_fail(&r->lines, "more entries than the announced %" PRIu64, size[2]);
        rc = read_matrix_entry(r);
        if (rc != PM_OK)
            return rc;
    }
    if (more == 0 && r->list->n < size[2])
        return lines_fail(&r->lines, "the file ends after %" PRIu64 " of %" PRIu64 " entries", r->list->n, size[2]);
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
        more = lines_next(&r->lines);
    } while (more > 0 && lines_blank(r->lines.line));
    if (more < 0)
        return more;
    if (more == 0)
        return lines_fail(&r->lines, "the file is empty");
    if (strncasecmp(r->lines.line, matrix_banner, strlen(matrix_banner)) == 0)
        return read_matrix(r);
    if (strstr(r->lines.line, "::") != NULL)
        return read_movielens(r, "::");
    if (strchr(r->lines.line, '\t') != NULL)
        return read_movielens(r, "\t");
    return lines_fail(&r->lines,
                      "'%.*s' begins no known format (allowed: user TAB item TAB rating TAB time, "
                      "user::item::rating::time, %%%%MatrixMarket)",
                      LINES_EXCERPT_MAX, r->lines.line);
}

int ratings_read_from(FILE *file, const char *path, struct ratings *list, struct pm_error *err)
{
    struct reader r = {.list = list, .declared = {list->rows, list->columns}};
    int rc = lines_begin(&r.lines, file, path, "ratings", LINE_BYTES_MAX, err);
    if (rc != PM_OK)
        return rc;
    rc = read_all(&r);
    if (rc == PM_OK && list->n == 0)
        rc = lines_fail(&r.lines, "the file holds no rating");
    lines_end(&r.lines);
    if (rc != PM_OK) {
        ratings_free(list);
        return rc;
    }
    list->rows = r.declared[0] > 0 ? r.declared[0] : r.seen[0];
    list->columns = r.declared[1] > 0 ? r.declared[1] : r.seen[1];
    return PM_OK;
}

int ratings_read(const char *path, struct ratings *list, struct pm_error *err)
{
    FILE *file = lines_file(path, err);
    if (file == NULL)
        return PM_E_FILE;
    int rc = ratings_read_from(file, path, list, err);
    fclose(file);
    return rc;
}
