/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which keys of the model's distributions can be read at a node. Not installed. */
#ifndef PM_CORE_LOCAL_H
#define PM_CORE_LOCAL_H

#include "core/internal.h"

/* PM_OK or PM_E_MEMORY; does nothing unless the scheme of sampling wants to know. */
int pm_local_init(struct pm_node *node);
void pm_local_fini(struct pm_node *node);
void pm_local_note(struct pm_node *node, pm_key key, bool here);
/* Under the latch of the key's slot: its main copy has come or its replica is ready; it has been given away or dropped. */
static inline void pm_key_came(struct pm_node *node, pm_key key)
{
    if (node->local)
        pm_local_note(node, key, true);
}
static inline void pm_key_went(struct pm_node *node, pm_key key)
{
    if (node->local)
        pm_local_note(node, key, false);
}
/* Can a key of the distribution's support be read here? */
bool pm_local_has(const struct pm_node *node, uint32_t distribution, pm_key key);
/* The first key of the support, from `key` on and round, that can be read here; PM_KEY_NONE if none can. */
pm_key pm_local_from(const struct pm_node *node, uint32_t distribution, pm_key key);
/* Can the key be read here now? Takes its latch. */
bool pm_key_is_here(struct pm_node *node, pm_key key);

#endif
