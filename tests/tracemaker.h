/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small traces for tests, in files of TMPDIR. */
#ifndef PM_TESTS_TRACEMAKER_H
#define PM_TESTS_TRACEMAKER_H

#include "core/rng.h"
#include "workloads/trace_file.h"
#include "workloads/trace_writer.h"

struct tracemaker {
    uint32_t nodes, workers, epochs;
    uint64_t keys;
    uint32_t batches;  /* of each worker and epoch */
    uint32_t barriers; /* 0: none; else before each batch whose number it divides, but the first */
    uint64_t seed;
};

/* A batch that is a function of seed, rank, epoch and number; its lists are static until the next call. */
struct trace_batch tracemaker_batch(const struct tracemaker *t, uint32_t rank, uint32_t epoch, uint32_t number);
/* Writes all of them, workers in turns; 20 keys of 3 floats and the rest of 5. Fails the test if that fails. */
void tracemaker_write(const struct tracemaker *t, const char *path);

/* A name in TMPDIR for this program (static, one at a time per slot 0..3). */
const char *tracemaker_path(int slot);
/* The bytes of a file; free them. */
uint8_t *tracemaker_bytes(const char *path, size_t *n);
/* Makes the checksums and the length of the file right again, as far as its blocks can be followed. */
void tracemaker_seal(uint8_t *bytes, size_t n);

bool tracemaker_same_list(const struct trace_list *a, const struct trace_list *b);
bool tracemaker_same_batch(const struct trace_batch *a, const struct trace_batch *b);

#endif
