/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Number of the line that a place of the text is in. */
static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

char *cli_read_text_from(FILE *file, const char *path, struct pm_error *err)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t n = getdelim(&text, &size, '\0', file);
    if (n < 0 && (ferror(file) || text == NULL)) {
        pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
    } else if (n > 0 && text[n - 1] == '\0') {
        pm_error_set(err, PM_E_FILE, "%s:%d: a zero byte; not a text file", path, line_of(text, text + n));
    } else {
        text[n > 0 ? n : 0] = '\0'; /* nothing is written for an empty file */
        return text;
    }
    free(text);
    return NULL;
}

char *cli_read_text(const char *path, struct pm_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = cli_read_text_from(file, path, err);
    fclose(file);
    return text;
}

int cli_write_text(const char *path, const char *text, struct pm_error *err)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
    bool bad = fputs(text, file) < 0;
    bad |= fclose(file) != 0;
    return bad ? pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno)) : PM_OK;
}

/* The number of the first line that is too long, or 0. */
static int long_line(const char *text)
{
    for (int line = 1; *text != '\0'; line++) {
        size_t length = strcspn(text, "\n");
        if (length > CLI_INI_LINE_MAX)
            return line;
        text += length + (text[length] != '\0');
    }
    return 0;
}

static int accept(void *arg, const char *section, const char *name, const char *value)
{
    (void)arg, (void)section, (void)name, (void)value;
    return 1;
}

int cli_ini_parse(const char *text, const char *path, cli_ini_visit visit, void *arg, int *refused, struct pm_error *err)
{
    int line = long_line(text);
    if (line != 0)
        return pm_error_set(err, PM_E_FILE, "%s:%d: line is longer than %d characters", path, line, CLI_INI_LINE_MAX);
    line = ini_parse_string(text, accept, NULL);
    if (line < 0)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
    if (line > 0)
        return pm_error_set(err, PM_E_FILE, "%s:%d: neither name = value nor [section]", path, line);
    *refused = ini_parse_string(text, visit, arg);
    return PM_OK;
}

int cli_ini_end(const char *text)
{
    return line_of(text, text + strlen(text));
}
