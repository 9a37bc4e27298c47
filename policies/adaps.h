/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What adaps keeps with each main copy: a bit for every node that is interested in the key. */
#ifndef PM_POLICIES_ADAPS_H
#define PM_POLICIES_ADAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"

enum { ADAPS_NODES_PER_WORD = 64 };

static inline uint32_t adaps_words(uint32_t nodes)
{
    return (nodes + ADAPS_NODES_PER_WORD - 1) / ADAPS_NODES_PER_WORD;
}

static inline uint64_t adaps_bit(pm_node_id node)
{
    return UINT64_C(1) << node % ADAPS_NODES_PER_WORD;
}

static inline bool adaps_is_interested(const uint64_t *words, pm_node_id node)
{
    return words[node / ADAPS_NODES_PER_WORD] & adaps_bit(node);
}

#endif
