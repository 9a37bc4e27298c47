/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of ratings - the known cells of a sparse matrix - and where they come from: files and a generator.
 *
 * A struct ratings belongs to whoever fills it; once filled any thread may read it. */
#ifndef PM_WORKLOADS_RATINGS_H
#define PM_WORKLOADS_RATINGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

#define RATINGS_SIDE_MAX (UINT64_C(1) << 31) /* most rows, most columns */

struct rating {
    uint32_t row, column; /* from 0 */
    float value;
};

/* All zero bytes are an empty list. */
struct ratings {
    uint64_t rows, columns; /* size of the matrix; every cell lies inside once the list is filled */
    uint64_t n, capacity;
    struct rating *cells;
};

/* Room for at least `capacity` cells. PM_E_MEMORY; the list is unchanged then. */
int ratings_reserve(struct ratings *list, uint64_t capacity);
/* Appends one cell. PM_E_MEMORY. */
int ratings_append(struct ratings *list, struct rating cell);
void ratings_free(struct ratings *list);

/* Reads a file into an empty list. The format is told by the content:
 *   MovieLens u.data       user TAB item TAB rating TAB time
 *   MovieLens ratings.dat  user::item::rating::time
 *   MatrixMarket           coordinate, real or integer, general
 * with numbers of rows (users) and columns (items) from 1 in the file and from 0 in the list; lines may end
 * with CR LF. list->rows and list->columns say on entry the declared size, which no id may exceed, 0 = not
 * declared; on return the size: as declared, else MatrixMarket's own, else the greatest ids. PM_E_FILE with
 * "FILE:LINE: what", PM_E_MEMORY; the list is empty again after an error. */
int ratings_read(const char *path, struct ratings *list, struct pm_error *err);
/* The same from a file that is open and stays so; its path is for messages. */
int ratings_read_from(FILE *file, const char *path, struct ratings *list, struct pm_error *err);

/* A generated matrix: rows and columns of the cells are drawn independently, each Zipf(skew) with the ranks
 * scattered over the ids; a cell drawn a second time is rejected. Values are the product of two factor
 * matrices of elements N(0, 1 / sqrt(sqrt(rank))) plus noise N(0, 0.1). Everything is a function of these
 * fields. */
struct ratings_recipe {
    uint64_t rows, columns;
    uint64_t train_cells,
        test_cells; /* test cells come from the same distribution and are no training cells */
    double skew;
    uint32_t rank; /* of the product; 0: values are left 0 */
    uint64_t seed;
};
/* Fills two empty lists. PM_E_OPTION when there are not so many cells, or they cannot be found by drawing;
 * PM_E_MEMORY. */
int ratings_generate(const struct ratings_recipe *recipe, struct ratings *train, struct ratings *test,
                     struct pm_error *err);

#endif
