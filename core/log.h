/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logs of updates, one per worker. Not installed. */
#ifndef PM_CORE_LOG_H
#define PM_CORE_LOG_H

#include "core/internal.h"

/* NULL: out of memory. */
struct pm_log *pm_log_new(uint32_t length_max);
void pm_log_free(struct pm_log *log);
/* Under the slot's latch: one push of the log's worker at a replica. */
void pm_log_push(struct pm_node *node, struct pm_log *log, pm_key key, const float *update);
/* Under the slot's latch: value += all that the logs of this node's workers hold of the key. */
void pm_logs_add(struct pm_node *node, pm_key key, float *value);
/* Outside any latch: ships the logs of all workers. */
void pm_logs_ship(struct pm_ctx *ctx);
/* Modelled bytes of what the log holds. */
uint64_t pm_log_bytes(const struct pm_log *log);

#endif
