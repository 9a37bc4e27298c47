/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text files line by line, and numbers off the front of a text: what the readers of data files share.
 *
 * A struct lines belongs to one thread. Errors are PM_E_FILE with "FILE:LINE: what", or PM_E_MEMORY. */
#ifndef PM_WORKLOADS_LINES_H
#define PM_WORKLOADS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

enum { LINES_EXCERPT_MAX = 40 }; /* characters of a bad line that a message shows */

struct lines {
    const char *path, *what; /* what: "ratings", as in "not a text file of ratings" */
    FILE *file;
    uint64_t number;  /* of the current line, from 1 */
    char *line;       /* without LF or CR LF; valid until the next call */
    size_t size, most; /* bytes of room; of the longest line allowed, without its LF */
    struct pm_error *err;
};

/* Opens a file to be read; NULL with err filled in. */
FILE *lines_file(const char *path, struct pm_error *err);
/* Begins to read a file that is open and stays so; its path is for messages. Lines longer than `most` bytes will be refused.
 * PM_E_MEMORY. To be ended after success only. */
int lines_begin(struct lines *l, FILE *file, const char *path, const char *what, size_t most, struct pm_error *err);
void lines_end(struct lines *l);
/* The next line. 1: there is one; 0: end of the file, with l->number one beyond the last; or an error. */
int lines_next(struct lines *l);
/* An error at the current line; returns PM_E_FILE. */
int lines_fail(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool lines_blank(const char *text);

/* Each takes something off the front of *at, or leaves it where it is and returns false. */
/* A whole number; too large ones become UINT64_MAX. */
bool lines_take_whole(const char **at, uint64_t *value);
/* A decimal number that a float can hold: no infinity, no hexadecimal number. */
bool lines_take_real(const char **at, float *value);
bool lines_take_text(const char **at, const char *text);
/* Blanks and tabulators, at least one. */
bool lines_take_blanks(const char **at);

#endif
