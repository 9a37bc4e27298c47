/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The nearest valid name, for messages about unknown ones. Pure functions. */
#ifndef PM_CORE_NEAREST_H
#define PM_CORE_NEAREST_H

#include <stddef.h>

#define PM_NEAREST_LENGTH_MAX 64 /* names are compared on this many leading bytes */

/* Damerau-Levenshtein distance (insert, delete, replace, swap neighbours) that also counts a difference of
 * letter case as half an edit. In half edits. */
unsigned pm_distance(const char *a, const char *b);

/* The candidate nearest to name, the first of equally near ones; NULL entries are skipped; NULL when there is
 * none. */
const char *pm_nearest(const char *name, const char *const *candidates, size_t n);

#endif
