/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Growing arrays and grouping by destination. */
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
