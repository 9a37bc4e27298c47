/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Litmus programs: a few operations of several workers on a few keys, made from a number, and their run, which records a history.
 *
 * A board holds the programs of one job and what its workers record. It lies in memory that processes share: each worker writes its
 * own log alone, and the caller reads them when the backend has returned. */
#ifndef CLI_LITMUS_H
#define CLI_LITMUS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/history.h"
#include "core/job.h"
#include "core/workload.h"

enum { LITMUS_STEPS = 48, LITMUS_OPS = HISTORY_OPS / HISTORY_RANKS };

enum litmus_kind {
    LITMUS_PULL,
    LITMUS_PUSH,
    LITMUS_WAIT,     /* amount 0: for everything; 1: for the last operation */
    LITMUS_LOCALIZE,
    LITMUS_INTENT,   /* from `amount` clocks ahead, for two clocks */
    LITMUS_CLOCK,
    LITMUS_PAUSE,    /* amount: ns */
};

struct litmus_step {
    uint8_t kind, n_keys;
    uint8_t keys[HISTORY_KEYS], updates[HISTORY_KEYS];
    uint32_t amount;
};

struct litmus_program {
    uint64_t number; /* its parity: odd means asynchronous operations */
    uint32_t nodes, workers;
    uint32_t shape;
    uint32_t clocks; /* that every worker has at the end, when padded */
    uint32_t n_steps[HISTORY_RANKS];
    struct litmus_step steps[HISTORY_RANKS][LITMUS_STEPS];
};

/* Makes the program of a number for a cluster of nodes x workers <= HISTORY_RANKS. */
void litmus_make(uint64_t number, uint32_t nodes, uint32_t workers, struct litmus_program *program);
/* NULL: there are not so many. */
const char *litmus_shape_name(uint32_t shape);
static inline bool litmus_asynchronous(uint64_t number)
{
    return number & 1;
}

struct litmus_log {
    uint32_t n_ops;
    struct history_op ops[LITMUS_OPS];
    uint64_t final[HISTORY_KEYS];
    bool complete; /* the worker has come to the end of the program */
};

struct litmus_round {
    struct litmus_program program;
    struct litmus_log logs[HISTORY_RANKS];
};

struct litmus_board {
    uint64_t order;    /* atomic: order numbers of invocations and responses */
    uint32_t n_rounds; /* run one after the other, with a drain between */
    uint32_t gap;      /* keys between two keys of an operation, to give others time between them */
    bool sleeps;       /* pauses are real time */
    struct litmus_round rounds[];
};

/* A board of so many rounds, zeroed; NULL when memory is out. */
struct litmus_board *litmus_board_new(uint32_t n_rounds);
void litmus_board_free(struct litmus_board *board, uint32_t n_rounds);

/* job->main; arg: the board, whose programs and settings are filled in. */
int litmus_main(struct pm_worker *worker, void *board);
/* The model: enough keys for LITMUS_SLOTS programs, and `gap` more. */
extern const struct pm_workload litmus_workload;

/* The history of a round that is complete. */
void litmus_history(const struct litmus_round *round, struct history *h);

#endif
