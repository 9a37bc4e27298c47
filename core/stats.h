/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Always-on statistics: plain counters, one set per context (a worker or a communicator), so that only one thread ever
 * writes a set. Other threads read them through pm_counter_read when an epoch is over; a counter is never reset, epochs
 * are differences of two snapshots. */
#ifndef PM_CORE_STATS_H
#define PM_CORE_STATS_H

#include <stdint.h>

#include "core/histogram.h"
#include "core/message.h"

/* How an access to a key was served. */
enum pm_how { PM_HOW_LOCAL, PM_HOW_REPLICA, PM_HOW_REMOTE, PM_HOW_QUEUED, PM_HOWS };

/* Filters that make messages shorter. */
enum pm_filter {
    PM_FILTER_KKT,       /* updates that change nothing are left out */
    PM_FILTER_THRESHOLD, /* updates are held back until they are large */
    PM_FILTER_KEYS,      /* lists of keys that the receiver knows, or whole ranges, are not spelt out */
    PM_FILTER_COMPRESS,
    PM_FILTERS
};
const char *pm_filter_name(enum pm_filter filter);

/* Of one filter and kind of message. */
struct pm_filter_counts {
    uint64_t messages, bytes_before, bytes_after;
};

/* Places at which parameter management costs processor time; a simulator multiplies the counts by a cost model. */
enum pm_charge_kind {
    PM_CHARGE_LOCAL,   /* keys and bytes copied or added by a worker in its own node */
    PM_CHARGE_SEND,    /* a message handed to the network */
    PM_CHARGE_RECEIVE, /* a message taken from the network */
    PM_CHARGE_SERVE,   /* keys served, applied or installed by a communicator */
    PM_CHARGE_INTENT,  /* keys of which intent was registered */
    PM_CHARGE_SCAN,    /* replicas looked at in a round */
    PM_CHARGE_WAKE,    /* a worker woken */
    PM_CHARGES
};

struct pm_charge {
    uint64_t events, keys, bytes;
};

/* Every field is a 64-bit count: the struct is added up and sent as an array of them. */
struct pm_counters {
    uint64_t reads[PM_HOWS], writes[PM_HOWS]; /* keys, samples included */
    uint64_t keys_asked[2];                   /* keys that workers asked to read, to write */
    uint64_t sample_reads, sample_writes;
    uint64_t sample_remote, sample_queued; /* sample reads by how: those that asked another node, that waited here */
    uint64_t sample_shifted;   /* samples for which another key was taken that is here (PM_SAMPLING_LOCAL) */
    uint64_t sample_postponed; /* samples that were put off because they were not here (PM_SAMPLING_POSTPONE) */
    uint64_t relocations_in, relocations_out;
    uint64_t replicas_created, replicas_dropped;
    uint64_t messages_sent, messages_received; /* to and from other nodes */
    uint64_t bytes_sent, bytes_received;
    uint64_t kind_count[PM_MSG_KINDS], kind_bytes[PM_MSG_KINDS]; /* sent */
    uint64_t updates_pushed, updates_applied; /* keys pushed by workers; pushes merged into main copies here */
    uint64_t balance_sent, balance_received;  /* messages without control kinds, to self included */
    struct pm_filter_counts filters[PM_FILTERS][2]; /* of ACCESS, of REPLY messages */
    uint64_t intents, intents_dropped; /* keys that intent was declared for; of them, those that did not find room */
    uint64_t key_events_left_out; /* events of traced keys for which there was no room */
    uint64_t rounds, steps;
    uint64_t deltas_clipped;
    uint64_t compute_ns, wait_ns, busy_ns;
    uint64_t trained_ns; /* a worker's time from its entry into an epoch to the end of the drain */
};
enum { PM_COUNTERS = sizeof(struct pm_counters) / sizeof(uint64_t) };

/* Latency histograms kept per node. All in nanoseconds but staleness in clocks. */
enum pm_quantity {
    PM_Q_PULL,             /* a pull that had to wait for another node, from issue to completion */
    PM_Q_PUSH,             /* a push that was acknowledged by another node */
    PM_Q_RELOCATION,       /* from localize to installed */
    PM_Q_STALENESS_TIME,   /* age of a replica's value when read */
    PM_Q_STALENESS_CLOCKS, /* the same in clocks */
    PM_Q_ROUND,            /* one synchronisation round */
    PM_QUANTITIES
};
const char *pm_quantity_name(enum pm_quantity q);

/* Counters have one writer; readers on other threads see some recent value. */
static inline void pm_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}
static inline uint64_t pm_counter_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}
/* sum += one set, read counter by counter. */
void pm_counters_add(struct pm_counters *sum, const struct pm_counters *one);
/* difference = later - earlier. */
void pm_counters_subtract(struct pm_counters *difference, const struct pm_counters *later,
                          const struct pm_counters *earlier);

#endif
