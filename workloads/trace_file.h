/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Trace files: the accesses of every worker of a run, batch by batch. docs/trace.md describes them byte by byte.
 *
 * A file that could be opened has been read and checked to its last byte; a struct trace_file is constant then, and any
 * thread may read it. A cursor belongs to one thread. Errors are PM_E_FILE with "FILE: byte N: what", or PM_E_MEMORY. */
#ifndef PM_WORKLOADS_TRACE_FILE_H
#define PM_WORKLOADS_TRACE_FILE_H

#include "core/layout.h"
#include "workloads/trace_code.h"

enum {
    TRACE_VERSION = 1,
    TRACE_HEAD_BYTES = 72, /* then the ranges, the origin, a checksum */
    TRACE_RANGE_BYTES = 16,
    TRACE_BLOCK_HEAD_BYTES = 32,
    TRACE_NODES_MAX = 4096,
    TRACE_WORKERS_MAX = 256, /* per node */
    TRACE_EPOCHS_MAX = 1000000,
    TRACE_ORIGIN_MAX = 4096,      /* bytes */
    TRACE_BLOCK_MAX = 1 << 28,    /* bytes of a block, unpacked */
    TRACE_LZ4_RATIO_MAX = 255,    /* more than it can reach */
};
extern const char trace_magic[8];

/* The head of a block, as it is in the file but for its byte order. */
struct trace_block_head {
    uint32_t rank, epoch, batches, accesses, raw_bytes, stored_bytes;
    uint64_t hash; /* of the six numbers and the stored bytes */
};
void trace_put_block_head(uint8_t bytes[TRACE_BLOCK_HEAD_BYTES], const struct trace_block_head *head);
struct trace_block_head trace_get_block_head(const uint8_t bytes[TRACE_BLOCK_HEAD_BYTES]);
uint64_t trace_block_hash(const uint8_t bytes[TRACE_BLOCK_HEAD_BYTES], const void *stored, size_t n);
uint64_t trace_hash(const void *bytes, size_t n);

struct trace_block {
    uint64_t offset;         /* of its head */
    uint64_t batches_before; /* of its worker in its epoch */
    struct trace_block_head head;
};

struct trace_epoch {
    uint64_t *barriers; /* the batches that have one before them, the same for all workers */
    uint64_t n_barriers;
    uint64_t most; /* batches of the worker that has most */
    uint32_t workers; /* that have batches */
};

struct trace_file {
    char *path, *origin;
    int fd;
    const uint8_t *in_memory; /* NULL: the file is read through fd */
    size_t in_memory_bytes;
    uint32_t nodes, workers, epochs;
    struct pm_layout layout;
    uint64_t bytes, n_blocks, batches, accesses; /* as the head says, and then: */
    uint64_t batches_found, accesses_found;
    struct trace_block *blocks; /* by rank, then by epoch */
    struct trace_epoch *by_epoch;
};

/* Shows a batch while a file is opened; not PM_OK ends that. */
typedef int (*trace_visit)(void *arg, uint32_t rank, uint32_t epoch, const struct trace_batch *batch);

/* Opens and checks. `visit` sees all batches, by rank, then by epoch; it may be NULL. */
int trace_open(const char *path, struct trace_file *file, trace_visit visit, void *arg, struct pm_error *err);
/* The same of bytes in memory that stay there; the path is for messages. */
int trace_open_bytes(const uint8_t *bytes, size_t n, const char *path, struct trace_file *file, trace_visit visit, void *arg,
                     struct pm_error *err);
void trace_close(struct trace_file *file);
/* Batches of a worker in an epoch. */
uint64_t trace_batches(const struct trace_file *file, uint32_t rank, uint32_t epoch);

struct trace_cursor {
    const struct trace_file *file;
    uint64_t block, end; /* the next one, and the one behind the last */
    uint8_t *raw;        /* of the current block */
    size_t raw_capacity;
    const uint8_t *at, *raw_end;
    uint32_t left;     /* batches of the current block */
    uint32_t accesses; /* of those that were read */
    struct trace_context context;
    struct trace_batch batch;
};
/* All zero bytes are a cursor that may be freed. Sets it before a worker's first batch of an epoch. */
void trace_seek(struct trace_cursor *c, const struct trace_file *file, uint32_t rank, uint32_t epoch);
/* The next batch into c->batch. 1; 0: there is none; or an error. */
int trace_next(struct trace_cursor *c, struct pm_error *err);
void trace_cursor_free(struct trace_cursor *c);

#endif
