/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which keys of the model's distributions can be read at this node: a bit for each key of a support, kept where main copies
 * come and go and where replicas become ready or are dropped. Only for sampling that asks for it (n / 8 bytes per node and
 * distribution of n keys, and a look at each key at the start). The bits are atomic, each word on its own; they say what was
 * true a moment ago: a key that has left meanwhile is asked for like any other. */
#include "core/local.h"

#include <stdlib.h>

enum { WORD_BITS = 64 };

struct pm_local {
    const struct pm_distribution *distribution;
    uint64_t n_words;
    uint64_t *words;
};

static void change(struct pm_local *l, pm_key key, bool here)
{
    const struct pm_distribution *d = l->distribution;
    if (key < d->first || key - d->first >= d->n || (here && pm_distribution_probability(d, key) <= 0))
        return;
    uint64_t at = key - d->first, bit = UINT64_C(1) << at % WORD_BITS;
    if (here)
        __atomic_fetch_or(&l->words[at / WORD_BITS], bit, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&l->words[at / WORD_BITS], ~bit, __ATOMIC_RELAXED);
}

void pm_local_note(struct pm_node *node, pm_key key, bool here)
{
    for (uint32_t i = 0; i < node->config.model->n_distributions; i++)
        change(&node->local[i], key, here);
}

static int init_one(struct pm_node *node, struct pm_local *l, const struct pm_distribution *d)
{
    l->distribution = d;
    l->n_words = (d->n + WORD_BITS - 1) / WORD_BITS;
    l->words = calloc(l->n_words, sizeof *l->words);
    if (!l->words)
        return PM_E_MEMORY;
    for (pm_key key = d->first; key < d->first + d->n; key++)
        if (pm_owner_at_start(node, key) == node->config.id || pm_replicated_at(node, key, node->config.id))
            change(l, key, true);
    __atomic_fetch_add(&node->extra_bytes, l->n_words * sizeof *l->words, __ATOMIC_RELAXED);
    return PM_OK;
}

int pm_local_init(struct pm_node *node)
{
    const struct pm_model *model = node->config.model;
    if (node->traits.sampling.scheme != PM_SAMPLING_LOCAL || model->n_distributions == 0)
        return PM_OK;
    node->local = calloc(model->n_distributions, sizeof *node->local);
    int rc = node->local ? PM_OK : PM_E_MEMORY;
    for (uint32_t i = 0; i < model->n_distributions && rc == PM_OK; i++)
        rc = init_one(node, &node->local[i], model->distributions[i]);
    return rc;
}

void pm_local_fini(struct pm_node *node)
{
    for (uint32_t i = 0; node->local && i < node->config.model->n_distributions; i++)
        free(node->local[i].words);
    free(node->local);
}

bool pm_local_has(const struct pm_node *node, uint32_t distribution, pm_key key)
{
    const struct pm_local *l = &node->local[distribution];
    uint64_t at = key - l->distribution->first;
    return __atomic_load_n(&l->words[at / WORD_BITS], __ATOMIC_RELAXED) >> at % WORD_BITS & 1;
}

pm_key pm_local_from(const struct pm_node *node, uint32_t distribution, pm_key key)
{
    const struct pm_local *l = &node->local[distribution];
    uint64_t at = (key - l->distribution->first) / WORD_BITS, most = l->n_words + 1; /* the first one again: its low bits */
    uint64_t mask = ~UINT64_C(0) << (key - l->distribution->first) % WORD_BITS;
    for (uint64_t i = 0; i < most; i++) {
        uint64_t word = __atomic_load_n(&l->words[at], __ATOMIC_RELAXED) & mask;
        if (word)
            return l->distribution->first + at * WORD_BITS + (uint64_t)__builtin_ctzll(word);
        mask = ~UINT64_C(0);
        at = at + 1 == l->n_words ? 0 : at + 1;
    }
    return PM_KEY_NONE;
}

bool pm_key_is_here(struct pm_node *node, pm_key key)
{
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot)
        return pm_owner_at_start(node, key) == node->config.id || pm_replicated_at(node, key, node->config.id);
    pm_slot_lock(&node->slots, slot);
    bool here = slot->state == PM_SLOT_OWNED || (slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_READY));
    pm_slot_unlock(&node->slots, slot);
    return here;
}
