/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/keymap.h"

#include <stdlib.h>

#include "core/rng.h"

enum { FIRST_SIZE = 1024 };

/* Where the key is, or the free place where it belongs. */
static uint64_t place_of(const struct keymap *map, uint64_t key)
{
    uint64_t place = pm_hash64(key) & (map->size - 1);
    while (map->places[place] != 0 && map->keys[map->places[place] - 1] != key)
        place = (place + 1) & (map->size - 1);
    return place;
}

static int widen(struct keymap *map)
{
    uint64_t size = map->size == 0 ? FIRST_SIZE : 2 * map->size;
    uint64_t *keys = realloc(map->keys, size / 2 * sizeof *keys);
    if (keys == NULL)
        return -1;
    map->keys = keys;
    uint64_t *places = calloc(size, sizeof *places);
    if (places == NULL)
        return -1;
    free(map->places);
    map->places = places;
    map->size = size;
    for (uint64_t i = 0; i < map->n; i++)
        places[place_of(map, keys[i])] = i + 1;
    return 0;
}

uint64_t keymap_add(struct keymap *map, uint64_t key)
{
    if (map->n == map->size / 2 && widen(map) != 0)
        return KEYMAP_NONE;
    uint64_t place = place_of(map, key);
    if (map->places[place] == 0) {
        map->keys[map->n++] = key;
        map->places[place] = map->n;
    }
    return map->places[place] - 1;
}

void keymap_free(struct keymap *map)
{
    free(map->keys);
    free(map->places);
    *map = (struct keymap){0};
}
