/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's accounts: counters, modelled memory, and what must add up at the end. */
#include <stdio.h>

#include "core/internal.h"
#include "core/log.h"

void pm_node_counters(const struct pm_node *node, struct pm_counters *sum)
{
    *sum = (struct pm_counters){0};
    for (uint32_t i = 0; i < node->config.workers; i++)
        pm_counters_add(sum, &node->workers[i].ctx.counters);
    pm_counters_add(sum, &node->communicator.counters);
}

uint64_t pm_node_memory_bytes(const struct pm_node *node)
{
    uint64_t dropped = __atomic_load_n(&node->dropped_bytes, __ATOMIC_ACQUIRE); /* first: none that was not made before */
    uint64_t made = __atomic_load_n(&node->extra_bytes, __ATOMIC_RELAXED), intents = 0, logs = 0;
    for (uint32_t i = 0; i < node->config.workers; i++) {
        intents += pm_intents_bytes(node->workers[i].intents);
        logs += node->traits.worker_logs ? pm_log_bytes(node->workers[i].log) : 0;
    }
    return node->base_bytes + made - dropped + intents + logs +
           (node->queue.n_waiters + __atomic_load_n(&node->arrivals.n, __ATOMIC_RELAXED)) * sizeof(struct pm_waiter) +
           __atomic_load_n(&node->queue.deferred_bytes, __ATOMIC_RELAXED) +
           __atomic_load_n(&node->exchange.reduce.bytes, __ATOMIC_RELAXED);
}

static int check_reads(const struct pm_counters *c, struct pm_error *err)
{
    const uint64_t *of[2] = {c->reads, c->writes};
    for (int i = 0; i < 2; i++) {
        uint64_t sum = 0;
        for (int h = 0; h < PM_HOWS; h++)
            sum += of[i][h];
        if (sum != c->keys_asked[i])
            return pm_error_set(err, PM_E_INTERNAL, "%s: local + replica + remote + queued = %llu, keys asked for = %llu",
                                i ? "writes" : "reads", (unsigned long long)sum,
                                (unsigned long long)c->keys_asked[i]);
    }
    return PM_OK;
}

int pm_node_check_accounts(const struct pm_node *node, struct pm_error *err)
{
    struct pm_counters sum;
    pm_node_counters(node, &sum);
    int rc = check_reads(&sum, err);
    for (uint32_t i = 0; rc == PM_OK && i < node->config.workers; i++) {
        uint32_t open = __atomic_load_n(&node->workers[i].requests->outstanding, __ATOMIC_ACQUIRE);
        if (open)
            rc = pm_error_set(err, PM_E_INTERNAL, "worker %u has %u operations that were never answered", i, open);
    }
    if (rc == PM_OK && (node->queue.n_waiters || node->queue.n_deferred))
        rc = pm_error_set(err, PM_E_INTERNAL, "%llu operations and %llu requests still wait",
                          (unsigned long long)node->queue.n_waiters, (unsigned long long)node->queue.n_deferred);
    if (rc == PM_OK && node->arrivals.n)
        rc = pm_error_set(err, PM_E_INTERNAL, "%llu operations still wait for keys on their way here",
                          (unsigned long long)node->arrivals.n);
    for (uint32_t i = 0; rc == PM_OK && i < node->config.workers; i++)
        if (node->workers[i].order->n)
            rc = pm_error_set(err, PM_E_INTERNAL, "worker %u still keeps the order of %u keys", i, node->workers[i].order->n);
    return rc == PM_OK ? PM_OK : pm_error_wrap(err, rc, "node %u", node->config.id);
}

size_t pm_node_describe_waits(const struct pm_node *node, char *text, size_t size)
{
    size_t at = 0;
    for (uint32_t i = 0; i < node->config.workers && at < size; i++) {
        const struct pm_worker *w = &node->workers[i];
        uint32_t open = __atomic_load_n(&w->requests->outstanding, __ATOMIC_ACQUIRE);
        const char *why = __atomic_load_n(&w->in_collective, __ATOMIC_ACQUIRE) ? "others at a barrier or drain"
                          : __atomic_load_n(&w->clock_held, __ATOMIC_ACQUIRE)  ? "slower workers' clocks"
                          : open                                               ? "answers"
                                                                               : NULL;
        if (why)
            at += (size_t)snprintf(text + at, size - at, "%snode %u worker %u (clock %lld, %u open operations) waits for %s",
                                   at ? "; " : "", node->config.id, i, (long long)pm_worker_clock(w), open, why);
    }
    return at < size ? at : size - 1;
}

const float *pm_node_owned_value(struct pm_node *node, pm_key key)
{
    struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot && pm_slot_make(node, key, &slot) != PM_OK)
        return NULL;
    return slot && slot->state == PM_SLOT_OWNED ? slot->value : NULL;
}
