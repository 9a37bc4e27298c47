/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Labelled examples with sparse features, and the text format in which such data are exchanged.
 *
 * A struct examples belongs to whoever fills it; once filled any thread may read it. */
#ifndef PM_WORKLOADS_LIBSVM_H
#define PM_WORKLOADS_LIBSVM_H

#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

#define EXAMPLES_FEATURES_MAX (UINT64_C(1) << 31) /* most features, most examples */

/* All zero bytes are an empty list. Row i has the entries [starts[i], starts[i + 1]), features ascending. */
struct examples {
    uint64_t n_rows, n_features, n_entries;
    int8_t *labels; /* -1 or 1 */
    uint64_t *starts;
    uint32_t *features;
    float *values; /* NULL: all are 1 */
    uint64_t rows_capacity, entries_capacity, values_capacity;
};

/* Begins a new last row. PM_E_MEMORY; nothing is changed then. */
int examples_add_row(struct examples *list, int label);
/* Adds an entry to the last row. PM_E_MEMORY; nothing is changed then. */
int examples_add(struct examples *list, uint32_t feature, float value);
void examples_free(struct examples *list);

/* Moves about `share` of the rows, at least one, to the empty list `test`: which ones is a function of the seed and of
 * the row's number. PM_E_OPTION when nothing would be left, PM_E_MEMORY. */
int examples_hold_out(struct examples *train, struct examples *test, double share, uint64_t seed, struct pm_error *err);

/* Reads a file into an empty list: one example per line,
 *   label index:value index:value ...       # comment
 * with labels 0 and 1, or -1 and +1 (0 becomes -1); indices ascending within the line; a value that is left out, with its
 * colon, is 1. Indices are taken as they are: those of a file that counts from 1 leave feature 0 without entries, and files
 * that count from 0 are read, too. list->n_features says on entry how many features there may be at most, 0 = any number;
 * on return it is the greatest index + 1. PM_E_FILE with "FILE:LINE: what", PM_E_MEMORY; the list is empty again after an
 * error. */
int libsvm_read(const char *path, struct examples *list, struct pm_error *err);
/* The same from a file that is open and stays so; its path is for messages. */
int libsvm_read_from(FILE *file, const char *path, struct examples *list, struct pm_error *err);

#endif
