/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers any numbers by their first appearance: 0, 1, 2, ... A hash table that grows; belongs to one thread. All zero
 * bytes are an empty map. */
#ifndef PM_WORKLOADS_KEYMAP_H
#define PM_WORKLOADS_KEYMAP_H

#include <stdint.h>

#define KEYMAP_NONE UINT64_MAX

struct keymap {
    uint64_t n;
    uint64_t *keys;   /* by number */
    uint64_t *places; /* open addressing: number + 1; 0 = free */
    uint64_t size;    /* of places, a power of two; half of it is the room of keys */
};

/* The number of a key, which is added if it is new (and then is n - 1); KEYMAP_NONE when out of memory, with nothing
 * changed. */
uint64_t keymap_add(struct keymap *map, uint64_t key);
void keymap_free(struct keymap *map);

#endif
