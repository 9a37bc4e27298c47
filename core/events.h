/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What becomes of traced keys at a node (core/traced.h says which they are), in the order in which it was recorded, until the
 * epoch's report takes it. Not installed. */
#ifndef PM_CORE_EVENTS_H
#define PM_CORE_EVENTS_H

#include "core/internal.h"

/* Records how things are at the start. PM_OK or PM_E_MEMORY. */
int pm_events_init(struct pm_node *node);
void pm_events_fini(struct pm_node *node);

void pm_event_of_traced(struct pm_ctx *ctx, pm_key key, enum pm_event what);
/* Under the key's latch: this has just become of it here. */
static inline void pm_event(struct pm_ctx *ctx, pm_key key, enum pm_event what)
{
    if (__builtin_expect(ctx->node->events != NULL, 0))
        pm_event_of_traced(ctx, key, what);
}

/* What was recorded since the last call; free it. */
size_t pm_events_take(struct pm_node *node, struct pm_key_event **events);

#endif
