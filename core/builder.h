/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ROUND, ANSWER, RELOCATE, TRANSFER, GRANT and OWNER messages in the making, and those ACCESS and REPLY messages whose entries
 * turn up one by one. A context's own; see core/scratch.h. Not installed. */
#ifndef PM_CORE_BUILDER_H
#define PM_CORE_BUILDER_H

#include <stdlib.h>

#include "core/internal.h"
#include "core/scratch.h"

/* What an entry asks of the message that it goes into. */
struct pm_entry_place {
    enum pm_message_kind kind;
    pm_node_id to;
    uint64_t need; /* the same for all entries. ROUND: number, with traits.versions pm_origin_need; ANSWER: place in the sequence
                      that it includes; RELOCATE: pm_origin_need; ACCESS, REPLY: number of the operation; others: 0 */
    struct pm_op_name name; /* ACCESS, REPLY: all entries are of this operation; others: zero */
    uint32_t not_before; /* ROUND: not in a message with an earlier place than this */
    bool after_refresh; /* ROUND: not in a message with refresh requests */
    bool located;       /* ROUND, ANSWER: entries say who owns their keys */
    uint32_t floats; /* that the entry may have, counted */
    uint32_t back;   /* that its answer may have: entries whose answers fill a message are not in one themselves, so that their
                        owner serves some while others are on their way, and holds no more at a time than a message */
};

/* Whose wish it is, and how often it was passed on. */
static inline uint64_t pm_origin_need(pm_node_id origin, uint32_t hop)
{
    return (uint64_t)hop << 32 | origin;
}

/* The open message for such an entry, begun if there is none or if it does not suit or has no room left. A
 * ROUND takes the next place in the sequence to that node when it is begun, so it must be delivered:
 * deliver does. The pointer is valid until the next call. */
struct pm_builder *pm_builder_for(struct pm_ctx *ctx, const struct pm_entry_place *place);
/* Is there such an open message, with room for the entry? */
bool pm_builder_has_room(const struct pm_ctx *ctx, const struct pm_entry_place *place);
/* Appends a key with its metadata and, if has_values, its values (NULL with --values none, or if the caller writes them to where
 * the result points, before the next call). */
float *pm_builder_add(struct pm_ctx *ctx, struct pm_builder *b, pm_key key, const struct pm_entry_meta *meta, const float *values,
                      bool has_values);

#endif
