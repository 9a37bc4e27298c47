/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replicas with versions (versions.c), and ownership that is granted to them (grant.c), for core's own files. Not installed. */
#ifndef PM_CORE_VERSIONS_H
#define PM_CORE_VERSIONS_H

#include "core/internal.h"

/* ---- ownership by grants (grant.c) ---- */
/* Next hop by what has been heard. The slot is not owned here. */
pm_node_id pm_owner_hop(const struct pm_node *node, pm_key key, const struct pm_slot *slot, uint32_t hop);
/* Under the latch: somebody says that this node owns the key since that relocation of it. True when that is this node itself and
 * the main copy is on its way here. `owner` may be anything. */
bool pm_owner_hear(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id owner, uint32_t counter);
/* Under the latch of a slot whose main copy is on its way here: keeps the ACCESS or ROUND of this key alone until then. */
void pm_park(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, struct pm_message *m);
/* Under the latch of an owned slot: makes that node, whose refresh was just handled, the owner. same: its replica lacks nothing. */
void pm_grant_key(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id to, bool same);
int pm_handle_grant(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
int pm_handle_owner(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);

/* Do replies say which relocation made their sender the owner? */
static inline bool pm_replies_located(const struct pm_node *node)
{
    return node->traits.grants && node->traits.location_cache;
}

/* ---- replicas with versions (versions.c) ---- */
/* Under the latch of a replica: appends its entry to the message for its owner, with the delta if it has one. */
void pm_versions_ship(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint32_t flags);
/* So many refreshes of this node were answered. */
void pm_refreshes_answered(struct pm_ctx *ctx, uint64_t n);
/* Does a replica of this key wait for an answer? *ready: and has it a value? */
bool pm_awaits_answer(const struct pm_node *node, pm_key key, bool *ready);
int pm_handle_versioned_round(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
int pm_handle_versioned_answer(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
/* A worker reads a replica with a version, under its latch: how old it is. */
void pm_fresh_versioned(struct pm_ctx *ctx, struct pm_worker *worker, pm_key key, const struct pm_slot *slot);

#endif
