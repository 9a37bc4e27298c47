/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Updates that are held back until they are significant. A worker's alone. */
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "policies/bounded.h"

struct bounded_kept {
    pm_key key;
    size_t place; /* in floats */
    bool live;    /* something is held back */
};

static void *grown(void *old, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return old;
    size_t wanted = *capacity ? 2 * *capacity : 256;
    while (wanted < n)
        wanted *= 2;
    void *bigger = realloc(old, wanted * size);
    PM_ASSERT(bigger, "out of memory for updates that are held back");
    *capacity = wanted;
    return bigger;
}

static uint32_t *place_of(const struct bounded_held *h, pm_key key)
{
    size_t at = (size_t)pm_hash64(key) & (h->table_size - 1);
    while (h->table[at] && h->kept[h->table[at] - 1].key != key)
        at = (at + 1) & (h->table_size - 1);
    return &h->table[at];
}

static void grow_table(struct bounded_held *h)
{
    if (2 * (h->n + 1) <= h->table_size)
        return;
    h->table_size = h->table_size ? 2 * h->table_size : 512;
    free(h->table);
    h->table = calloc(h->table_size, sizeof *h->table);
    PM_ASSERT(h->table, "out of memory for updates that are held back");
    for (size_t i = 0; i < h->n; i++)
        *place_of(h, h->kept[i].key) = (uint32_t)i + 1;
}

static struct bounded_kept *kept_of(struct bounded_held *h, pm_key key, uint32_t length)
{
    grow_table(h);
    uint32_t *at = place_of(h, key);
    if (*at)
        return &h->kept[*at - 1];
    h->kept = grown(h->kept, &h->capacity, h->n + 1, sizeof *h->kept);
    h->floats = grown(h->floats, &h->floats_capacity, h->n_floats + length, sizeof *h->floats);
    h->kept[h->n] = (struct bounded_kept){.key = key, .place = h->n_floats};
    h->n_floats += length;
    *at = (uint32_t)++h->n;
    return &h->kept[h->n - 1];
}

bool bounded_held_pass(struct bounded_held *h, pm_key key, uint32_t length, float *update)
{
    if (h->flushing)
        return true;
    struct bounded_kept *k = kept_of(h, key, length);
    float *held = h->floats + k->place;
    bool large = false;
    for (uint32_t i = 0; i < length; i++) {
        if (k->live)
            update[i] += held[i];
        large = large || !(update[i] <= h->threshold && update[i] >= -h->threshold);
    }
    k->live = !large;
    if (!large)
        memcpy(held, update, length * sizeof *held);
    return large;
}

void bounded_held_flush(struct bounded_held *h, const struct pm_node *node,
                        void (*push)(void *arg, const pm_key *keys, size_t n, const float *updates), void *arg)
{
    pm_key *keys = malloc((h->n + 1) * sizeof *keys);
    float *updates = malloc((h->n_floats + 1) * sizeof *updates);
    PM_ASSERT(keys && updates, "out of memory for updates that were held back");
    size_t n = 0, floats = 0;
    for (size_t i = 0; i < h->n; i++) {
        const struct bounded_kept *k = &h->kept[i];
        uint32_t length = pm_key_floats(node, k->key);
        if (!k->live)
            continue;
        keys[n++] = k->key;
        memcpy(updates + floats, h->floats + k->place, length * sizeof *updates);
        floats += length;
    }
    h->n = h->n_floats = 0;
    if (h->table)
        memset(h->table, 0, h->table_size * sizeof *h->table);
    h->flushing = true;
    if (n)
        push(arg, keys, n, updates);
    h->flushing = false;
    free(keys);
    free(updates);
}

void bounded_held_fini(struct bounded_held *h)
{
    free(h->kept);
    free(h->floats);
    free(h->table);
}
