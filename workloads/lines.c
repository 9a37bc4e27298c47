/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text files line by line. */
#include "workloads/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 4096 };

FILE *lines_file(const char *path, struct pm_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        pm_error_set(err, PM_E_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    return file;
}

int lines_begin(struct lines *l, FILE *file, const char *path, const char *what, size_t most, struct pm_error *err)
{
    size_t size = most + 1 < FIRST_SIZE ? most + 1 : FIRST_SIZE;
    *l = (struct lines){.path = path, .what = what, .file = file, .size = size, .most = most, .err = err};
    l->line = malloc(l->size);
    return l->line != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
}

void lines_end(struct lines *l)
{
    free(l->line);
}

int lines_fail(struct lines *l, const char *fmt, ...)
{
    char text[PM_ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    return pm_error_set(l->err, PM_E_FILE, "%s:%" PRIu64 ": %s", l->path, l->number, text);
}

/* Doubles the room for the line, up to what is allowed. */
static bool widen(struct lines *l)
{
    size_t size = 2 * l->size < l->most + 1 ? 2 * l->size : l->most + 1;
    char *line = realloc(l->line, size);
    if (line == NULL)
        return false;
    l->line = line;
    l->size = size;
    return true;
}

int lines_next(struct lines *l)
{
    size_t length = 0;
    int c;
    l->number++;
    while ((c = getc_unlocked(l->file)) != EOF && c != '\n') {
        if (c == '\0' || length == l->most)
            return lines_fail(l, "holds a zero byte or is longer than %zu bytes: not a text file of %s", l->most, l->what);
        if (length + 1 == l->size && !widen(l))
            return pm_error_set(l->err, PM_E_MEMORY, "%s: out of memory", l->path);
        l->line[length++] = (char)c;
    }
    if (c == EOF && ferror(l->file))
        return lines_fail(l, "cannot be read: %s", strerror(errno));
    bool there = c == '\n' || length > 0;
    if (length > 0 && l->line[length - 1] == '\r')
        length--;
    l->line[length] = '\0';
    return there;
}

bool lines_blank(const char *text)
{
    return text[strspn(text, " \t")] == '\0';
}

bool lines_take_whole(const char **at, uint64_t *value)
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

bool lines_take_real(const char **at, float *value)
{
    size_t length = strspn(*at, "+-.0123456789eE");
    char *end;
    *value = strtof(*at, &end);
    if (length == 0 || end != *at + length || !isfinite(*value))
        return false;
    *at = end;
    return true;
}

bool lines_take_text(const char **at, const char *text)
{
    size_t length = strlen(text);
    if (strncmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

bool lines_take_blanks(const char **at)
{
    size_t length = strspn(*at, " \t");
    *at += length;
    return length > 0;
}
