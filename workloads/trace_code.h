/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches of accesses as bytes: what the blocks of a trace file hold (docs/trace.md). */
#ifndef PM_WORKLOADS_TRACE_CODE_H
#define PM_WORKLOADS_TRACE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/types.h"

enum {
    TRACE_LIST_MAX = 1 << 22,   /* keys of one list: of one operation, too */
    TRACE_DISTRIBUTIONS_MAX = 8 /* a batch's samples come from one of these */
};
#define TRACE_FLOPS_MAX     1e18
#define TRACE_FLOPS_UNKNOWN (-1.0)
#define TRACE_NOWHERE       UINT32_MAX

struct trace_list {
    const pm_key *keys; /* anybody's */
    uint32_t n, capacity;
    pm_key *room; /* of a list that was decoded; owned */
};

/* One batch as a worker has run it. */
struct trace_batch {
    bool barrier_before;
    double flops;          /* of computing it, or TRACE_FLOPS_UNKNOWN */
    uint32_t distribution; /* of the samples */
    struct trace_list keys, samples, localize;
    struct trace_list announced; /* keys that it might push to without having pulled them */
    struct trace_list pushed;    /* keys that it did push to */
    /* Decoding fills these: where each pushed key is in keys, samples and announced, one after the other, or
     * TRACE_NOWHERE. */
    uint32_t *pushed_at;
    uint32_t pushed_at_capacity;
};
/* Frees the room of a batch that was decoded into. */
void trace_batch_free(struct trace_batch *b);

/* Bytes that grow. Adding to them cannot fail; `failed` says afterwards that memory was out. */
struct trace_bytes {
    uint8_t *data;
    size_t n, capacity;
    bool failed;
};

/* What one batch takes over from those before it in its block. */
struct trace_context {
    pm_key key;
    double flops;
};
static inline struct trace_context trace_context_begin(void)
{
    return (struct trace_context){.flops = TRACE_FLOPS_UNKNOWN};
}

/* Appends a batch. PM_OK; PM_E_LIMIT for one that the format cannot hold, with a reason; PM_E_MEMORY. */
int trace_encode(struct trace_bytes *to, struct trace_context *context, const struct trace_batch *b, struct pm_error *err);

/* Reads a batch off the front of [*at, end) into b, whose room is used again. PM_OK; PM_E_MEMORY; or PM_E_FILE, with
 * *wrong naming what was found or expected and *at where it is. All keys are below n_keys then. */
int trace_decode(const uint8_t **at, const uint8_t *end, uint64_t n_keys, struct trace_context *context,
                 struct trace_batch *b, const char **wrong);

#endif
