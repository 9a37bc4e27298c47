/* SPDX-License-Identifier: GPL-3.0-or-later */
#define _GNU_SOURCE /* asprintf */
#include "workloads/trace_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/trace_bytes.h"
#include "workloads/trace_file.h"

enum {
    BLOCK_BYTES = 1 << 14,      /* a block ends with the batch that reaches this */
    LAYOUT_RANK = UINT32_MAX,   /* marks of the unsorted file: not a worker but the layout; */
    ENDED_EPOCH = UINT32_MAX    /* not batches but the end of the worker's stream */
};

/* ---- streams ---- */

/* One block in one write: the kernel lets no other process's come between. */
static int write_block(int fd, struct trace_block_head head, const void *stored, struct pm_error *err)
{
    size_t n = TRACE_BLOCK_HEAD_BYTES + (size_t)head.stored_bytes;
    uint8_t *bytes = malloc(n);
    if (bytes == NULL)
        return pm_error_set(err, PM_E_MEMORY, "trace: out of memory");
    trace_put_block_head(bytes, &head);
    head.hash = trace_block_hash(bytes, stored, head.stored_bytes);
    trace_put_block_head(bytes, &head);
    memcpy(bytes + TRACE_BLOCK_HEAD_BYTES, stored, head.stored_bytes);
    errno = 0;
    ssize_t written = write(fd, bytes, n);
    free(bytes);
    if (written == (ssize_t)n)
        return PM_OK;
    return pm_error_set(err, PM_E_FILE, "trace cannot be written: %s", errno != 0 ? strerror(errno) : "no room left");
}

int trace_output_layout(int fd, const struct pm_layout *layout, struct pm_error *err)
{
    uint8_t bytes[PM_LAYOUT_RANGES_MAX * TRACE_RANGE_BYTES] = {0};
    for (uint32_t i = 0; i < layout->n_ranges; i++) {
        trace_put_u64(bytes + i * TRACE_RANGE_BYTES, layout->ranges[i].end - layout->ranges[i].first);
        trace_put_u32(bytes + i * TRACE_RANGE_BYTES + 8, layout->ranges[i].length);
    }
    uint32_t n = layout->n_ranges * TRACE_RANGE_BYTES;
    return write_block(fd, (struct trace_block_head){.rank = LAYOUT_RANK, .raw_bytes = n, .stored_bytes = n}, bytes, err);
}

void trace_stream_begin(struct trace_stream *s, int fd, uint32_t rank)
{
    *s = (struct trace_stream){.fd = fd, .rank = rank, .context = trace_context_begin()};
}

static int flush(struct trace_stream *s, struct pm_error *err)
{
    struct trace_block_head head = {.rank = s->rank,
                                    .epoch = s->epoch,
                                    .batches = s->batches,
                                    .accesses = s->accesses,
                                    .raw_bytes = (uint32_t)s->bytes.n,
                                    .stored_bytes = (uint32_t)s->bytes.n};
    if (s->batches == 0)
        return PM_OK;
    if (s->bytes.n > TRACE_BLOCK_MAX)
        return pm_error_set(err, PM_E_LIMIT, "trace: a batch of %zu bytes (allowed: %d)", s->bytes.n, TRACE_BLOCK_MAX);
    char *packed = malloc(s->bytes.n);
    if (packed == NULL)
        return pm_error_set(err, PM_E_MEMORY, "trace: out of memory");
    /* what does not become shorter stays as it is */
    int n = LZ4_compress_default((const char *)s->bytes.data, packed, (int)s->bytes.n, (int)s->bytes.n - 1);
    if (n > 0)
        head.stored_bytes = (uint32_t)n;
    int rc = write_block(s->fd, head, n > 0 ? (const void *)packed : s->bytes.data, err);
    free(packed);
    s->bytes.n = s->batches = s->accesses = 0;
    s->context = trace_context_begin();
    return rc;
}

int trace_stream_add(struct trace_stream *s, uint32_t epoch, const struct trace_batch *batch, struct pm_error *err)
{
    int rc = epoch != s->epoch ? flush(s, err) : PM_OK;
    s->epoch = epoch;
    if (rc == PM_OK)
        rc = trace_encode(&s->bytes, &s->context, batch, err);
    if (rc != PM_OK)
        return rc;
    s->batches++;
    s->accesses += batch->keys.n + batch->samples.n;
    return s->bytes.n >= BLOCK_BYTES ? flush(s, err) : PM_OK;
}

int trace_stream_end(struct trace_stream *s, struct pm_error *err)
{
    int rc = flush(s, err);
    return rc == PM_OK ? write_block(s->fd, (struct trace_block_head){.rank = s->rank, .epoch = ENDED_EPOCH}, "", err) : rc;
}

void trace_stream_free(struct trace_stream *s)
{
    free(s->bytes.data);
    s->bytes = (struct trace_bytes){0};
}

/* ---- output ---- */

static void forget(struct trace_output *o)
{
    free(o->path);
    free(o->unsorted);
    free(o->sorted);
    *o = (struct trace_output){0};
}

int trace_output_open(const struct trace_output *o)
{
    return open(o->unsorted, O_WRONLY | O_APPEND | O_CLOEXEC);
}

int trace_output_begin(struct trace_output *o, const char *path, struct pm_error *err)
{
    struct stat status;
    *o = (struct trace_output){0};
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return pm_error_set(err, PM_E_FILE, "%s: not a regular file", path);
    bool named = (o->path = strdup(path)) != NULL;
    named = asprintf(&o->unsorted, "%s.%d.unsorted", path, (int)getpid()) >= 0 && named;
    named = asprintf(&o->sorted, "%s.%d.sorted", path, (int)getpid()) >= 0 && named;
    if (!named) {
        forget(o);
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
    }
    int fd = open(o->unsorted, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        pm_error_set(err, PM_E_FILE, "%s: cannot be written: %s", path, strerror(errno));
        forget(o);
        return PM_E_FILE;
    }
    close(fd);
    return PM_OK;
}

void trace_output_abandon(struct trace_output *o)
{
    if (o->path == NULL)
        return;
    unlink(o->unsorted);
    unlink(o->sorted);
    forget(o);
}

/* ---- sorting ---- */

struct sorting {
    const struct trace_output *o;
    const struct trace_shape *shape;
    struct pm_error *err;
    FILE *from, *to;
    struct trace_block *blocks; /* offsets of the unsorted file, ranks of the sorted one */
    uint64_t n, capacity, ended;
    uint32_t epochs, n_ranges;
    uint8_t ranges[PM_LAYOUT_RANGES_MAX * TRACE_RANGE_BYTES];
    struct trace_totals totals;
    uint8_t *bytes; /* room for a block */
    size_t room;
};

static int unreadable(struct sorting *s)
{
    return pm_error_set(s->err, PM_E_FILE, "%s: cannot be read back: %s", s->o->unsorted,
                        ferror(s->from) ? strerror(errno) : "it is cut off");
}

static int out_of_memory(struct sorting *s)
{
    return pm_error_set(s->err, PM_E_MEMORY, "%s: out of memory", s->o->path);
}

static int add_block(struct sorting *s, struct trace_block block)
{
    if (s->n == s->capacity) {
        uint64_t capacity = s->capacity == 0 ? 256 : 2 * s->capacity;
        struct trace_block *more = realloc(s->blocks, capacity * sizeof *more);
        if (more == NULL)
            return out_of_memory(s);
        s->blocks = more;
        s->capacity = capacity;
    }
    block.batches_before = s->n; /* keeps the order of writing among equals */
    if (s->shape->ranks != NULL)
        block.head.rank = s->shape->ranks[block.head.rank];
    s->blocks[s->n++] = block;
    s->totals.batches += block.head.batches;
    s->totals.accesses += block.head.accesses;
    s->epochs = block.head.epoch + 1 > s->epochs ? block.head.epoch + 1 : s->epochs;
    return PM_OK;
}

/* Reads head and stored bytes of the next block into s->bytes. */
static int read_block(struct sorting *s, struct trace_block_head *head)
{
    uint8_t bytes[TRACE_BLOCK_HEAD_BYTES];
    if (fread(bytes, sizeof bytes, 1, s->from) != 1)
        return unreadable(s);
    *head = trace_get_block_head(bytes);
    size_t n = TRACE_BLOCK_HEAD_BYTES + (size_t)head->stored_bytes;
    if (n > s->room) {
        free(s->bytes);
        s->bytes = malloc(n);
        s->room = s->bytes != NULL ? n : 0;
        if (s->bytes == NULL)
            return out_of_memory(s);
    }
    memcpy(s->bytes, bytes, sizeof bytes);
    if (head->stored_bytes > 0 && fread(s->bytes + sizeof bytes, head->stored_bytes, 1, s->from) != 1)
        return unreadable(s);
    if (head->hash != trace_block_hash(s->bytes, s->bytes + sizeof bytes, head->stored_bytes))
        return pm_error_set(s->err, PM_E_FILE, "%s: holds other bytes than were written", s->o->unsorted);
    return PM_OK;
}

static int list_blocks(struct sorting *s)
{
    struct stat status;
    if (fstat(fileno(s->from), &status) != 0)
        return unreadable(s);
    int rc = PM_OK;
    for (uint64_t at = 0; at < (uint64_t)status.st_size && rc == PM_OK;) {
        struct trace_block block = {.offset = at};
        rc = read_block(s, &block.head);
        if (rc != PM_OK)
            return rc;
        if (block.head.rank == LAYOUT_RANK) {
            memcpy(s->ranges, s->bytes + TRACE_BLOCK_HEAD_BYTES, block.head.stored_bytes);
            s->n_ranges = block.head.stored_bytes / TRACE_RANGE_BYTES;
        } else if (block.head.epoch == ENDED_EPOCH) {
            s->ended++;
        } else {
            rc = add_block(s, block);
        }
        at += TRACE_BLOCK_HEAD_BYTES + block.head.stored_bytes;
    }
    if (rc == PM_OK && (s->ended != (uint64_t)s->shape->nodes * s->shape->workers || s->n_ranges == 0))
        return pm_error_set(s->err, PM_E_FILE,
                            "%s: only %" PRIu64 " of %" PRIu64 " workers could write all their accesses (a full disk?)", s->o->path,
                            s->ended, (uint64_t)s->shape->nodes * s->shape->workers);
    if (rc == PM_OK && s->n == 0)
        return pm_error_set(s->err, PM_E_FILE, "%s: there was no access", s->o->path);
    return rc;
}

static int by_worker(const void *one, const void *other)
{
    const struct trace_block *a = one, *b = other;
    if (a->head.rank != b->head.rank)
        return a->head.rank < b->head.rank ? -1 : 1;
    return a->batches_before < b->batches_before ? -1 : 1;
}

static int put(struct sorting *s, const void *bytes, size_t n)
{
    if (n > 0 && fwrite(bytes, n, 1, s->to) != 1)
        return pm_error_set(s->err, PM_E_FILE, "%s: cannot be written: %s", s->o->path, strerror(errno));
    s->totals.bytes += n;
    return PM_OK;
}

static int put_head(struct sorting *s)
{
    uint8_t bytes[TRACE_HEAD_BYTES + sizeof s->ranges + TRACE_ORIGIN_MAX + sizeof(uint64_t)] = {0};
    size_t origin = strnlen(s->shape->origin, TRACE_ORIGIN_MAX), ranges = s->n_ranges * TRACE_RANGE_BYTES;
    size_t n = TRACE_HEAD_BYTES + ranges + origin;
    uint64_t all = n + sizeof(uint64_t);
    for (uint64_t i = 0; i < s->n; i++)
        all += TRACE_BLOCK_HEAD_BYTES + s->blocks[i].head.stored_bytes;
    const uint32_t numbers[] = {TRACE_VERSION, (uint32_t)(n + sizeof(uint64_t)), s->shape->nodes, s->shape->workers,
                                s->epochs, s->n_ranges};
    const uint64_t large[] = {all, s->n, s->totals.batches, s->totals.accesses};
    memcpy(bytes, trace_magic, sizeof trace_magic);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        trace_put_u32(bytes + 8 + 4 * i, numbers[i]);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        trace_put_u64(bytes + 32 + 8 * i, large[i]);
    trace_put_u32(bytes + 64, (uint32_t)origin);
    memcpy(bytes + TRACE_HEAD_BYTES, s->ranges, ranges);
    memcpy(bytes + TRACE_HEAD_BYTES + ranges, s->shape->origin, origin);
    trace_put_u64(bytes + n, trace_hash(bytes, n));
    return put(s, bytes, n + sizeof(uint64_t));
}

static int put_block(struct sorting *s, const struct trace_block *block)
{
    struct trace_block_head head;
    if (fseeko(s->from, (off_t)block->offset, SEEK_SET) != 0)
        return unreadable(s);
    int rc = read_block(s, &head);
    if (rc != PM_OK)
        return rc;
    head.rank = block->head.rank;
    trace_put_block_head(s->bytes, &head);
    head.hash = trace_block_hash(s->bytes, s->bytes + TRACE_BLOCK_HEAD_BYTES, head.stored_bytes);
    trace_put_block_head(s->bytes, &head);
    return put(s, s->bytes, TRACE_BLOCK_HEAD_BYTES + (size_t)head.stored_bytes);
}

static int sort(struct sorting *s)
{
    int rc = list_blocks(s);
    if (rc != PM_OK)
        return rc;
    qsort(s->blocks, s->n, sizeof *s->blocks, by_worker);
    rc = put_head(s);
    for (uint64_t i = 0; i < s->n && rc == PM_OK; i++)
        rc = put_block(s, &s->blocks[i]);
    if (rc == PM_OK && (fflush(s->to) != 0 || fsync(fileno(s->to)) != 0 || rename(s->o->sorted, s->o->path) != 0))
        rc = pm_error_set(s->err, PM_E_FILE, "%s: cannot be written: %s", s->o->path, strerror(errno));
    return rc;
}

int trace_output_finish(struct trace_output *o, const struct trace_shape *shape, struct trace_totals *totals,
                        struct pm_error *err)
{
    struct sorting s = {.o = o, .shape = shape, .err = err};
    s.from = fopen(o->unsorted, "re");
    s.to = fopen(o->sorted, "we");
    int rc = s.from != NULL && s.to != NULL
                 ? sort(&s)
                 : pm_error_set(err, PM_E_FILE, "%s: cannot be written: %s", o->path, strerror(errno));
    if (s.from != NULL)
        fclose(s.from);
    if (s.to != NULL)
        fclose(s.to);
    free(s.blocks);
    free(s.bytes);
    *totals = s.totals;
    trace_output_abandon(o);
    return rc;
}
