/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cached locations of keys, where keys are localized: see core/location.c. Not installed. */
#ifndef PM_CORE_LOCATION_H
#define PM_CORE_LOCATION_H

#include "core/internal.h"

/* Under the latch of an absent slot of another home: that node is the owner, as far as is known. To be trimmed soon. */
void pm_location_keep(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id owner);
/* Under the latch of a slot of another home: its location is not known, or means nothing any more. */
void pm_location_drop(struct pm_node *node, struct pm_slot *slot);
/* Outside latches: forgets the oldest locations while there are too many, and slots that have nothing else. In a sparse store
 * these slots are gone. */
void pm_locations_trim(struct pm_ctx *ctx);
void pm_locations_fini(struct pm_locations *l);

#endif
