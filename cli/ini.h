/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of files, and those that have lines `name = value` and [section]. Used by one thread. */
#ifndef CLI_INI_H
#define CLI_INI_H

#include <stdio.h>

#include "core/error.h"

/* inih as Debian builds it cuts longer lines into pieces without a word. */
enum { CLI_INI_LINE_MAX = 198 };

/* Whole file as a text; NULL with err filled in, also when it holds a zero byte. The second is of a file that is open and stays
 * so; its path is for messages. */
char *cli_read_text(const char *path, struct pm_error *err);
char *cli_read_text_from(FILE *file, const char *path, struct pm_error *err);
int cli_write_text(const char *path, const char *text, struct pm_error *err);

/* Not 0: goes on; 0: refuses the line. */
typedef int (*cli_ini_visit)(void *arg, const char *section, const char *name, const char *value);
/* Visits the lines of a text. PM_OK, with the number of the first line that was refused, or 0, in *refused; PM_E_FILE with file and
 * line when one is too long or neither `name = value` nor [section]: none is visited then. */
int cli_ini_parse(const char *text, const char *path, cli_ini_visit visit, void *arg, int *refused, struct pm_error *err);
/* Lines of the text, and one: where something is missing. */
int cli_ini_end(const char *text);

#endif
