/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"

void cli_table_begin(struct cli_table *t, const char *alignment, const char *const *head)
{
    *t = (struct cli_table){.columns = strlen(alignment), .alignment = alignment};
    cli_table_row(t, head);
}

void cli_table_row(struct cli_table *t, const char *const *cells)
{
    char **more = realloc(t->cells, (t->rows + 1) * t->columns * sizeof *more);
    if (more == NULL) {
        t->failed = true;
        return;
    }
    t->cells = more;
    for (size_t i = 0; i < t->columns; i++) {
        char *copy = strdup(cells[i] != NULL ? cells[i] : "-");
        t->failed |= copy == NULL;
        t->cells[t->rows * t->columns + i] = copy;
    }
    t->rows++;
}

static int width_of(const struct cli_table *t, size_t column)
{
    size_t width = 0;
    for (size_t row = 0; row < t->rows; row++) {
        size_t length = strlen(t->cells[row * t->columns + column]);
        width = length > width ? length : width;
    }
    return (int)width;
}

static void print_row(const struct cli_table *t, const int *widths, size_t row, FILE *out)
{
    for (size_t i = 0; i < t->columns; i++) {
        const char *cell = t->cells[row * t->columns + i];
        const char *gap = i == 0 ? "" : "  ";
        if (t->alignment[i] == 'r')
            fprintf(out, "%s%*s", gap, widths[i], cell);
        else
            fprintf(out, "%s%-*s", gap, i + 1 < t->columns ? widths[i] : 0, cell);
    }
    fputc('\n', out);
}

void cli_table_print(struct cli_table *t, FILE *out)
{
    int *widths = calloc(t->columns, sizeof *widths);
    if (!t->failed && widths != NULL) {
        for (size_t i = 0; i < t->columns; i++)
            widths[i] = width_of(t, i);
        for (size_t row = 0; row < t->rows; row++)
            print_row(t, widths, row, out);
    }
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(widths);
    *t = (struct cli_table){0};
}
