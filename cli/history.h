/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Histories of operations, and the consistency levels that they keep or violate. docs/consistency.md defines the levels and
 * shows why the check is exact. Pure functions on plain data without pointers: histories lie in memory that processes share.
 *
 * Each push adds an update of its own, a power of two, to a value: what a read returns is the sum, and so names the set, of the
 * updates that it saw. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HISTORY_KEYS = 3,
    HISTORY_RANKS = 8,
    HISTORY_OPS = 128,
    HISTORY_ELEMENT_UPDATES = 24, /* powers of two that a float adds exactly */
    HISTORY_ELEMENTS = 2,
    HISTORY_UPDATES = HISTORY_ELEMENT_UPDATES * HISTORY_ELEMENTS, /* of one key */
};

/* Bit of an update that nobody made: the value is no sum of distinct updates. */
#define HISTORY_FOREIGN (UINT64_C(1) << 63)

enum history_kind { HISTORY_PULL, HISTORY_PUSH };

struct history_op {
    uint8_t kind, worker; /* worker: rank */
    uint8_t n_parts;
    uint8_t keys[HISTORY_KEYS];  /* of the parts, each once */
    uint64_t sets[HISTORY_KEYS]; /* pull: updates seen at that key; push: its one update there */
    uint32_t clock;              /* of the worker when it invoked it */
    uint64_t invoked, responded; /* order numbers, over all workers */
};

struct history {
    uint32_t n_ops, n_keys, ranks, workers_per_node;
    struct history_op ops[HISTORY_OPS]; /* those of one worker in program order */
    uint64_t final[HISTORY_KEYS];       /* main copies after the drain; what several readers do not agree on is foreign */
};

/* Each is checked by itself. Eventual to sequential: for each key alone. */
enum history_level {
    HISTORY_EVENTUAL,
    HISTORY_CLOCKED, /* PRAM, but program order counts between operations at different clocks only */
    HISTORY_PRAM,
    HISTORY_CAUSAL,
    HISTORY_SEQUENTIAL,
    HISTORY_SERIALIZABLE, /* operations on several keys as transactions */
    HISTORY_LEVELS,
};
extern const char *const history_level_names[HISTORY_LEVELS];

/* Why one operation must come before another. */
enum history_reason {
    HISTORY_PROGRAM, /* the same worker invoked it first */
    HISTORY_SEEN,    /* a push whose update the read saw */
    HISTORY_MISSED,  /* a read that did not see the push */
};

/* A witness: operation step i must come before step i + 1, and the last before the first. No steps: a read of what nobody pushed,
 * or main copies that are wrong after the drain. */
struct history_cycle {
    uint32_t n;
    struct {
        uint16_t op;
        uint8_t key, reason; /* of what leads to the next operation */
    } steps[HISTORY_OPS];
};

/* Does the history violate the level? */
bool history_violates(const struct history *h, enum history_level level);
/* The shortest part of a history that still violates the level, and its witness; false when it does not. Operations keep their
 * order, reads keep of what they saw the pushes that are left. */
bool history_shorten(const struct history *h, enum history_level level, struct history *out, struct history_cycle *cycle);

/* Set of updates that the floats of a value say; HISTORY_FOREIGN where they say none. */
uint64_t history_decode(const float values[HISTORY_ELEMENTS]);
/* The value that one update adds. */
void history_encode(uint32_t update, float values[HISTORY_ELEMENTS]);

#endif
