/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parameters of a batch, each once: AdaGrad takes one step per parameter and batch. */
#include <stdlib.h>

#include "core/rng.h"
#include "workloads/kge.h"

int kge_slots_init(struct kge_slots *slots, uint32_t triples)
{
    uint32_t places = 8;
    while (places < 6 * triples)
        places *= 2;
    *slots = (struct kge_slots){.mask = places - 1};
    slots->list = malloc(3 * (size_t)triples * sizeof *slots->list);
    slots->places = calloc(places, sizeof *slots->places);
    slots->triples = malloc(triples * sizeof *slots->triples);
    slots->slots = malloc(triples * sizeof *slots->slots);
    if (slots->list != NULL && slots->places != NULL && slots->triples != NULL && slots->slots != NULL)
        return PM_OK;
    kge_slots_free(slots);
    return PM_E_MEMORY;
}

void kge_slots_free(struct kge_slots *slots)
{
    free(slots->list);
    free(slots->places);
    free(slots->triples);
    free(slots->slots);
    *slots = (struct kge_slots){0};
}

static uint32_t slot_of(struct kge_slots *slots, pm_key key, uint32_t rows, bool relation)
{
    uint32_t at = (uint32_t)pm_hash64(key) & slots->mask;
    for (; slots->places[at] != 0; at = (at + 1) & slots->mask) {
        struct kge_slot *slot = &slots->list[slots->places[at] - 1];
        if (slot->key == key) {
            slot->count++;
            return slots->places[at] - 1;
        }
    }
    slots->list[slots->n++] = (struct kge_slot){.key = key, .first = slots->n_keys, .count = 1, .relation = relation};
    slots->n_keys += rows;
    slots->places[at] = slots->n;
    return slots->n - 1;
}

/* In the reverse order of their taking, so that none is passed over that is free by now. */
static void free_places(struct kge_slots *slots)
{
    for (uint32_t i = slots->n; i-- > 0;) {
        uint32_t at = (uint32_t)pm_hash64(slots->list[i].key) & slots->mask;
        while (slots->places[at] != i + 1)
            at = (at + 1) & slots->mask;
        slots->places[at] = 0;
    }
}

void kge_slots_fill(const struct kge_state *s, const struct kge_worker *w, const struct kge_item *item, struct kge_slots *slots)
{
    slots->n = slots->n_keys = 0;
    slots->n_triples = item->n_triples;
    for (uint32_t i = 0; i < item->n_triples; i++) {
        struct triple t = slots->triples[i] = i == 0 ? item->triple : kge_triple_at(s, w, item->first + i);
        slots->slots[i].s = slot_of(slots, t.s, 1, false);
        slots->slots[i].r = slot_of(slots, kge_relation_key(s, t.r), s->rows, true);
        slots->slots[i].o = slot_of(slots, t.o, 1, false);
    }
    free_places(slots);
}

void kge_slots_keys(const struct kge_state *s, const struct kge_slots *slots, pm_key *keys)
{
    for (uint32_t i = 0; i < slots->n; i++)
        for (uint32_t row = 0; row < (slots->list[i].relation ? s->rows : 1); row++)
            *keys++ = slots->list[i].key + row;
}
