/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Error texts and the end of the process after a failed assertion. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pm_strerror(int code)
{
    switch (code) {
#define PM_ERROR_CASE(name, value, text) \
    case name:                           \
        return text;
        PM_ERROR_CODES(PM_ERROR_CASE)
#undef PM_ERROR_CASE
    }
    return "unknown error";
}

/* Makes one line of what snprintf wrote (or wanted to write: length) into text, and shows where it was cut.
 */
static void finish_text(char *text, size_t size, int length)
{
    if (length < 0)
        text[0] = '\0';
    else if ((size_t)length >= size)
        memcpy(text + size - 4, "...", 4);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

int pm_error_set(struct pm_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    /* In a buffer of its own first: an argument may be err->text. */
    char text[PM_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    finish_text(text, sizeof text, length);
    err->code = code;
    memcpy(err->text, text, sizeof text);
    return code;
}

int pm_error_wrap(struct pm_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    char context[PM_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    finish_text(context, sizeof context, length);
    const char *inner = err->code != PM_OK && err->text[0] != '\0' ? err->text : pm_strerror(code);
    return pm_error_set(err, code, "%s: %s", context, inner);
}

void pm_assert_failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
    char text[PM_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    finish_text(text, sizeof text, length);
    dprintf(2, "pmlab: %s:%d: assertion failed: %s;%s\n", file, line, cond, text);
    abort();
}
