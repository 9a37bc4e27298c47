/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of keys by their hash, the least recently used forgotten first. */
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "policies/bounded.h"

uint64_t bounded_list_hash(const pm_key *keys, uint32_t n)
{
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++)
        hash = (hash ^ keys[i]) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
    return pm_hash64(hash);
}

static void forget(struct bounded_lists *l, struct bounded_list *list)
{
    l->n_keys -= list->n;
    free(list->keys);
    *list = (struct bounded_list){0};
}

/* Position of the hash, or the capacity. */
static uint32_t position(const struct bounded_lists *l, uint64_t hash)
{
    uint32_t i = 0;
    while (i < l->capacity && !(l->lists[i].keys && l->lists[i].hash == hash))
        i++;
    return i;
}

/* A free place, and room for n keys. */
static struct bounded_list *make_room(struct bounded_lists *l, uint32_t n)
{
    for (;;) {
        struct bounded_list *unused = NULL, *oldest = NULL;
        for (uint32_t i = 0; i < l->capacity; i++) {
            struct bounded_list *list = &l->lists[i];
            if (!list->keys)
                unused = unused ? unused : list;
            else if (!oldest || list->used < oldest->used)
                oldest = list;
        }
        if (unused && l->n_keys + n <= BOUNDED_LISTED_KEYS_MAX)
            return unused;
        forget(l, oldest);
    }
}

static bool make_lists(struct bounded_lists *l)
{
    if (!l->lists)
        l->lists = calloc(l->capacity, sizeof *l->lists);
    PM_ASSERT(l->lists, "out of memory for %u lists of keys", l->capacity);
    return l->capacity > 0;
}

bool bounded_lists_use(struct bounded_lists *l, const pm_key *keys, uint32_t n, uint64_t *hash)
{
    *hash = bounded_list_hash(keys, n);
    if (n > BOUNDED_LISTED_KEYS_MAX / 4 || !make_lists(l))
        return false;
    uint32_t at = position(l, *hash);
    struct bounded_list *list = at < l->capacity ? &l->lists[at] : NULL;
    l->tick++;
    if (list && list->n == n && memcmp(list->keys, keys, n * sizeof *keys) == 0) {
        list->used = l->tick;
        return true;
    }
    if (list)
        forget(l, list); /* another list of the same hash */
    list = make_room(l, n);
    *list = (struct bounded_list){.hash = *hash, .used = l->tick, .n = n, .keys = malloc(n * sizeof *keys)};
    PM_ASSERT(list->keys, "out of memory for a list of %u keys", n);
    memcpy(list->keys, keys, n * sizeof *keys);
    l->n_keys += n;
    return false;
}

const struct bounded_list *bounded_lists_find(struct bounded_lists *l, uint64_t hash, bool touch)
{
    uint32_t at = l->lists ? position(l, hash) : l->capacity;
    if (at == l->capacity)
        return NULL;
    if (touch)
        l->lists[at].used = ++l->tick;
    return &l->lists[at];
}

void bounded_lists_fini(struct bounded_lists *l)
{
    for (uint32_t i = 0; l->lists && i < l->capacity; i++)
        free(l->lists[i].keys);
    free(l->lists);
    l->lists = NULL;
}
