/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The growing list of cells. */
#include "workloads/ratings.h"

#include <stdlib.h>

int ratings_reserve(struct ratings *list, uint64_t capacity)
{
    if (capacity <= list->capacity)
        return PM_OK;
    if (capacity > SIZE_MAX / sizeof *list->cells)
        return PM_E_MEMORY;
    struct rating *cells = realloc(list->cells, capacity * sizeof *cells);
    if (cells == NULL)
        return PM_E_MEMORY;
    list->cells = cells;
    list->capacity = capacity;
    return PM_OK;
}

int ratings_append(struct ratings *list, struct rating cell)
{
    if (list->n == list->capacity) {
        int rc = ratings_reserve(list, list->capacity + list->capacity / 2 + 1024);
        if (rc != PM_OK)
            return rc;
    }
    list->cells[list->n++] = cell;
    return PM_OK;
}

void ratings_free(struct ratings *list)
{
    free(list->cells);
    *list = (struct ratings){0};
}
