/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ROUND and ANSWER messages in the making. A context's own; see core/scratch.h. Not installed. */
#ifndef PM_CORE_BUILDER_H
#define PM_CORE_BUILDER_H

#include <stdlib.h>

#include "core/internal.h"
#include "core/scratch.h"

/* The open message of this kind to a node, begun if there is none or if it is full or has another need (ANSWER: another
 * place in the sequence that it includes), or holds a refresh request that what is to come must not share a place with.
 * A ROUND takes the next place in the sequence to that node when it is begun, so it must be delivered: deliver does. The
 * pointer is valid until the next call. */
struct pm_builder *pm_builder_for(struct pm_ctx *ctx, enum pm_message_kind kind, pm_node_id to, uint64_t need,
                                  bool after_refresh);
/* Appends a key with its metadata and, if has_values, its values (NULL with --values none). */
void pm_builder_add(struct pm_ctx *ctx, struct pm_builder *b, pm_key key, uint64_t meta, const float *values,
                    bool has_values);

#endif
