/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Damerau-Levenshtein distance in its restricted form: neighbours that were swapped are not edited again. */
#include "core/nearest.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c;
}

static unsigned replace_cost(char a, char b)
{
    if (a == b)
        return 0;
    return lower(a) == lower(b) ? 1 : 2;
}

unsigned pm_distance(const char *a, const char *b)
{
    size_t a_length = strnlen(a, PM_NEAREST_LENGTH_MAX);
    size_t b_length = strnlen(b, PM_NEAREST_LENGTH_MAX);
    /* Row i holds the distances of the first i bytes of a from every start of b; three rows are alive. */
    unsigned rows[3][PM_NEAREST_LENGTH_MAX + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (unsigned)(2 * j);
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)(2 * i);
        for (size_t j = 1; j <= b_length; j++) {
            unsigned best = above[j - 1] + replace_cost(a[i - 1], b[j - 1]);
            best = min2(best, min2(above[j], row[j - 1]) + 2);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && a[i - 1] != a[i - 2])
                best = min2(best, two_above[j - 2] + 2);
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *pm_nearest(const char *name, const char *const *candidates, size_t n)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    for (size_t i = 0; i < n; i++) {
        if (candidates[i] == NULL)
            continue;
        unsigned distance = pm_distance(name, candidates[i]);
        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
