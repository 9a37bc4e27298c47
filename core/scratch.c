/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Growing arrays, grouping by destination, gathering of repeated keys. */
#include "core/scratch.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"

enum { END = -1 };

struct pm_scratch *pm_scratch_new(uint32_t nodes)
{
    struct pm_scratch *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->head = malloc(nodes * sizeof *s->head);
    s->tail = malloc(nodes * sizeof *s->tail);
    s->touched = malloc(nodes * sizeof *s->touched);
    if (!s->head || !s->tail || !s->touched) {
        pm_scratch_free(s);
        return NULL;
    }
    memset(s->head, END, nodes * sizeof *s->head);
    return s;
}

void pm_scratch_free(struct pm_scratch *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->builders_capacity; i++) {
        free(s->builders[i].keys);
        free(s->builders[i].meta);
        free(s->builders[i].floats);
    }
    free(s->builders);
    free(s->sorted);
    free(s->misses);
    free(s->gathered);
    free(s->next);
    free(s->head);
    free(s->tail);
    free(s->touched);
    free(s->range);
    free(s->answered);
    free(s->intents);
    free(s->intent_ends);
    free(s);
}

int pm_grow(void *array, size_t *capacity, size_t n, size_t size)
{
    if (n <= *capacity)
        return PM_OK;
    size_t wanted = *capacity ? *capacity : 64;
    while (wanted < n)
        wanted *= 2;
    void *old;
    memcpy(&old, array, sizeof old);
    void *bigger = realloc(old, wanted * size);
    if (!bigger)
        return PM_E_MEMORY;
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return PM_OK;
}

int pm_misses_gather(struct pm_scratch *s, uint32_t n)
{
    int rc = pm_grow(&s->gathered, &s->gathered_capacity, s->misses_capacity, sizeof *s->gathered);
    if (rc != PM_OK)
        return rc;
    struct pm_miss *from = s->misses, *to = s->gathered;
    uint32_t done = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t at = i; at != PM_NO_MISS && from[at].key != PM_KEY_NONE; at = from[at].later) {
            to[done++] = from[at];
            from[at].key = PM_KEY_NONE;
        }
    size_t capacity = s->misses_capacity;
    s->misses = to;
    s->misses_capacity = s->gathered_capacity;
    s->gathered = from;
    s->gathered_capacity = capacity;
    return PM_OK;
}

int pm_group_reserve(struct pm_scratch *s, size_t n)
{
    return pm_grow(&s->next, &s->next_capacity, n, sizeof *s->next);
}

void pm_group_add(struct pm_scratch *s, uint32_t i, pm_node_id to)
{
    s->next[i] = (uint32_t)END;
    if (s->head[to] == (uint32_t)END) {
        s->head[to] = i;
        s->touched[s->n_touched++] = to;
    } else {
        s->next[s->tail[to]] = i;
    }
    s->tail[to] = i;
}

void pm_group_clear(struct pm_scratch *s)
{
    for (uint32_t i = 0; i < s->n_touched; i++)
        s->head[s->touched[i]] = (uint32_t)END;
    s->n_touched = 0;
}
