/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers for people to read, and tables of texts. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* "1.23 ms", "2.5 MB", "12.3k", "45.6 %", "0.9134"; "-" for NaN. */
void cli_format_seconds(char *buf, size_t size, double seconds);
void cli_format_bytes(char *buf, size_t size, double bytes);
void cli_format_count(char *buf, size_t size, double count);
void cli_format_percent(char *buf, size_t size, double share);
void cli_format_real(char *buf, size_t size, double value);
/* The number in a text; NaN for NULL. */
double cli_number(const char *text);

/* A table that grows row by row; its first row is the head (table.c). */
struct cli_table {
    size_t columns, rows;
    const char *alignment; /* a letter per column: l or r */
    char **cells;
    bool failed; /* memory is out: nothing will be printed */
};
void cli_table_begin(struct cli_table *t, const char *alignment, const char *const *head);
/* Adds a row of `columns` texts, which are copied; NULL prints as "-". */
void cli_table_row(struct cli_table *t, const char *const *cells);
/* Prints with columns two blanks apart and frees the table. */
void cli_table_print(struct cli_table *t, FILE *out);

#endif
