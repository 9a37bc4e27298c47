/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "workloads/trace_bytes.h"

const char trace_magic[8] = "pmtrace\n";

uint64_t trace_hash(const void *bytes, size_t n)
{
    return XXH64(bytes, n, 0);
}

uint64_t trace_block_hash(const uint8_t bytes[TRACE_BLOCK_HEAD_BYTES], const void *stored, size_t n)
{
    return XXH64(stored, n, XXH64(bytes, TRACE_BLOCK_HEAD_BYTES - sizeof(uint64_t), 0));
}

void trace_put_block_head(uint8_t bytes[TRACE_BLOCK_HEAD_BYTES], const struct trace_block_head *head)
{
    const uint32_t numbers[6] = {head->rank, head->epoch, head->batches, head->accesses, head->raw_bytes, head->stored_bytes};
    for (size_t i = 0; i < 6; i++)
        trace_put_u32(bytes + 4 * i, numbers[i]);
    trace_put_u64(bytes + 24, head->hash);
}

struct trace_block_head trace_get_block_head(const uint8_t bytes[TRACE_BLOCK_HEAD_BYTES])
{
    return (struct trace_block_head){.rank = trace_get_u32(bytes),
                                     .epoch = trace_get_u32(bytes + 4),
                                     .batches = trace_get_u32(bytes + 8),
                                     .accesses = trace_get_u32(bytes + 12),
                                     .raw_bytes = trace_get_u32(bytes + 16),
                                     .stored_bytes = trace_get_u32(bytes + 20),
                                     .hash = trace_get_u64(bytes + 24)};
}

static int fail(const struct trace_file *f, uint64_t byte, struct pm_error *err, const char *what)
{
    return pm_error_set(err, PM_E_FILE, "%s: byte %" PRIu64 ": %s", f->path, byte, what);
}

static int out_of_memory(const struct trace_file *f, struct pm_error *err)
{
    return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", f->path);
}

static int read_at(const struct trace_file *f, uint64_t offset, void *to, size_t n, struct pm_error *err)
{
    if (f->in_memory != NULL && n > f->in_memory_bytes - offset)
        return fail(f, f->in_memory_bytes, err, "the file ends here, cut off");
    if (f->in_memory != NULL) {
        memcpy(to, f->in_memory + offset, n);
        return PM_OK;
    }
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(f->fd, (char *)to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pm_error_set(err, PM_E_FILE, "%s: cannot be read: %s", f->path, strerror(errno));
        if (got == 0)
            return fail(f, offset + done, err, "the file ends here, cut off");
        done += (size_t)got;
    }
    return PM_OK;
}

/* ---- head ---- */

static int get_layout(struct trace_file *f, const uint8_t *at, uint32_t n, struct pm_error *err)
{
    for (uint32_t i = 0; i < n; i++, at += TRACE_RANGE_BYTES) {
        if (pm_layout_add(&f->layout, trace_get_u64(at), trace_get_u32(at + 8), NULL) < 0)
            return fail(f, TRACE_HEAD_BYTES + (uint64_t)i * TRACE_RANGE_BYTES, err,
                        "a range of keys that is empty or too large, or values of no length or too long");
    }
    return PM_OK;
}

static int get_head(struct trace_file *f, const uint8_t *head, uint64_t size, struct pm_error *err)
{
    f->nodes = trace_get_u32(head + 16);
    f->workers = trace_get_u32(head + 20);
    f->epochs = trace_get_u32(head + 24);
    f->bytes = trace_get_u64(head + 32);
    f->n_blocks = trace_get_u64(head + 40);
    f->batches = trace_get_u64(head + 48);
    f->accesses = trace_get_u64(head + 56);
    if (f->nodes < 1 || f->nodes > TRACE_NODES_MAX || f->workers < 1 || f->workers > TRACE_WORKERS_MAX || f->epochs < 1 ||
        f->epochs > TRACE_EPOCHS_MAX)
        return fail(f, 16, err, "nodes, workers or epochs out of range (allowed: to 4096, 256 and 1000000)");
    if (f->bytes != size)
        return pm_error_set(err, PM_E_FILE, "%s: byte 32: a trace of %" PRIu64 " bytes is expected, the file has %" PRIu64,
                            f->path, f->bytes, size);
    if (f->n_blocks < 1 || f->n_blocks > size / TRACE_BLOCK_HEAD_BYTES)
        return fail(f, 40, err, "more blocks than the file can hold, or none");
    return PM_OK;
}

static int get_origin(struct trace_file *f, const uint8_t *text, uint32_t n, struct pm_error *err)
{
    f->origin = malloc((size_t)n + 1);
    if (f->origin == NULL)
        return out_of_memory(f, err);
    for (uint32_t i = 0; i < n; i++)
        f->origin[i] = text[i] >= ' ' && text[i] < 127 ? (char)text[i] : '?';
    f->origin[n] = '\0';
    return PM_OK;
}

/* Reads what stands before the blocks; *end is where they begin. */
static int read_head(struct trace_file *f, uint64_t size, uint64_t *end, struct pm_error *err)
{
    uint8_t bytes[TRACE_HEAD_BYTES + PM_LAYOUT_RANGES_MAX * TRACE_RANGE_BYTES + TRACE_ORIGIN_MAX + sizeof(uint64_t)];
    if (size == 0)
        return fail(f, 0, err, "the file is empty");
    int rc = read_at(f, 0, bytes, size < TRACE_HEAD_BYTES ? size : TRACE_HEAD_BYTES, err);
    if (rc != PM_OK)
        return rc;
    if (size < sizeof trace_magic || memcmp(bytes, trace_magic, sizeof trace_magic) != 0)
        return fail(f, 0, err, "not a trace of pmlab (texts become one by pmlab trace import)");
    if (size < TRACE_HEAD_BYTES)
        return fail(f, size, err, "the file ends here, within the head of a trace");
    if (trace_get_u32(bytes + 8) != TRACE_VERSION)
        return pm_error_set(err, PM_E_FILE, "%s: byte 8: version %" PRIu32 " of the format (known: %d)", f->path,
                            trace_get_u32(bytes + 8), TRACE_VERSION);
    uint32_t ranges = trace_get_u32(bytes + 28), origin = trace_get_u32(bytes + 64);
    if (ranges < 1 || ranges > PM_LAYOUT_RANGES_MAX || origin > TRACE_ORIGIN_MAX || trace_get_u32(bytes + 68) != 0)
        return fail(f, 28, err, "a head with no or too many ranges of keys, or too long an origin");
    size_t n = TRACE_HEAD_BYTES + ranges * TRACE_RANGE_BYTES + origin;
    *end = n + sizeof(uint64_t);
    if (trace_get_u32(bytes + 12) != *end)
        return fail(f, 12, err, "a head of another length than its parts");
    if (size < *end)
        return fail(f, size, err, "the file ends here, within the head of a trace");
    rc = read_at(f, TRACE_HEAD_BYTES, bytes + TRACE_HEAD_BYTES, *end - TRACE_HEAD_BYTES, err);
    if (rc != PM_OK)
        return rc;
    if (trace_get_u64(bytes + n) != trace_hash(bytes, n))
        return fail(f, n, err, "the head's checksum does not match");
    rc = get_head(f, bytes, size, err);
    if (rc == PM_OK)
        rc = get_layout(f, bytes + TRACE_HEAD_BYTES, ranges, err);
    return rc == PM_OK ? get_origin(f, bytes + TRACE_HEAD_BYTES + ranges * TRACE_RANGE_BYTES, origin, err) : rc;
}

/* ---- blocks ---- */

static int check_block(const struct trace_file *f, uint64_t i, struct pm_error *err)
{
    const struct trace_block *b = &f->blocks[i], *before = i > 0 ? b - 1 : NULL;
    const struct trace_block_head *h = &b->head;
    if (h->rank >= f->nodes * f->workers || h->epoch >= f->epochs)
        return fail(f, b->offset, err, "a block of a worker or an epoch that the trace does not have");
    if (before != NULL && (h->rank < before->head.rank || (h->rank == before->head.rank && h->epoch < before->head.epoch)))
        return fail(f, b->offset, err, "blocks that are not in the order of workers and epochs");
    if (h->raw_bytes > TRACE_BLOCK_MAX || h->stored_bytes > h->raw_bytes || h->batches > h->raw_bytes || h->batches == 0 ||
        h->raw_bytes / TRACE_LZ4_RATIO_MAX > h->stored_bytes)
        return fail(f, b->offset, err, "a block of impossible lengths");
    if (h->stored_bytes > f->bytes - b->offset - TRACE_BLOCK_HEAD_BYTES)
        return fail(f, b->offset, err, "a block that is longer than the rest of the file");
    return PM_OK;
}

static int read_block_heads(struct trace_file *f, uint64_t at, struct pm_error *err)
{
    f->blocks = malloc(f->n_blocks * sizeof *f->blocks);
    if (f->blocks == NULL)
        return out_of_memory(f, err);
    for (uint64_t i = 0; i < f->n_blocks; i++) {
        uint8_t bytes[TRACE_BLOCK_HEAD_BYTES];
        struct trace_block *b = &f->blocks[i];
        int rc = read_at(f, at, bytes, sizeof bytes, err);
        if (rc != PM_OK)
            return rc;
        *b = (struct trace_block){.offset = at, .head = trace_get_block_head(bytes)};
        rc = check_block(f, i, err);
        if (rc != PM_OK)
            return rc;
        if (i > 0 && b[-1].head.rank == b->head.rank && b[-1].head.epoch == b->head.epoch)
            b->batches_before = b[-1].batches_before + b[-1].head.batches;
        at += TRACE_BLOCK_HEAD_BYTES + b->head.stored_bytes;
    }
    return at == f->bytes ? PM_OK : fail(f, at, err, "bytes behind the last block");
}

/* The first block of this worker and epoch or of one behind it. */
static uint64_t first_block(const struct trace_file *f, uint32_t rank, uint32_t epoch)
{
    uint64_t low = 0, high = f->n_blocks;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct trace_block_head *h = &f->blocks[middle].head;
        if (h->rank < rank || (h->rank == rank && h->epoch < epoch))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t trace_batches(const struct trace_file *f, uint32_t rank, uint32_t epoch)
{
    uint64_t first = first_block(f, rank, epoch), end = first_block(f, rank, epoch + 1);
    return first == end ? 0 : f->blocks[end - 1].batches_before + f->blocks[end - 1].head.batches;
}

/* ---- cursors ---- */

static int unpack(struct trace_cursor *c, const uint8_t *stored, const struct trace_block_head *h)
{
    if (h->stored_bytes == h->raw_bytes) {
        memcpy(c->raw, stored, h->raw_bytes);
        return PM_OK;
    }
    int n = LZ4_decompress_safe((const char *)stored, (char *)c->raw, (int)h->stored_bytes, (int)h->raw_bytes);
    return n == (int)h->raw_bytes ? PM_OK : PM_E_FILE;
}

static int load_bytes(struct trace_cursor *c, const struct trace_block *b, uint8_t *bytes, struct pm_error *err)
{
    const struct trace_file *f = c->file;
    int rc = read_at(f, b->offset, bytes, TRACE_BLOCK_HEAD_BYTES + (size_t)b->head.stored_bytes, err);
    if (rc != PM_OK)
        return rc;
    /* the head has not changed since the file was opened, nor then what it is the checksum of */
    if (trace_get_u64(bytes + TRACE_BLOCK_HEAD_BYTES - sizeof(uint64_t)) != b->head.hash ||
        b->head.hash != trace_block_hash(bytes, bytes + TRACE_BLOCK_HEAD_BYTES, b->head.stored_bytes))
        return fail(f, b->offset, err, "a block whose checksum does not match");
    if (unpack(c, bytes + TRACE_BLOCK_HEAD_BYTES, &b->head) != PM_OK)
        return fail(f, b->offset, err, "a block that LZ4 cannot unpack");
    return PM_OK;
}

static int load(struct trace_cursor *c, struct pm_error *err)
{
    const struct trace_block *b = &c->file->blocks[c->block++];
    if (b->head.raw_bytes > c->raw_capacity) {
        free(c->raw);
        c->raw = malloc(b->head.raw_bytes);
        c->raw_capacity = c->raw != NULL ? b->head.raw_bytes : 0;
    }
    uint8_t *bytes = malloc(TRACE_BLOCK_HEAD_BYTES + (size_t)b->head.stored_bytes);
    int rc = bytes == NULL || c->raw == NULL ? out_of_memory(c->file, err) : load_bytes(c, b, bytes, err);
    free(bytes);
    c->at = c->raw;
    c->raw_end = rc == PM_OK ? c->raw + b->head.raw_bytes : c->raw;
    c->left = rc == PM_OK ? b->head.batches : 0;
    c->accesses = 0;
    c->context = trace_context_begin();
    return rc;
}

void trace_seek(struct trace_cursor *c, const struct trace_file *file, uint32_t rank, uint32_t epoch)
{
    c->file = file;
    c->block = first_block(file, rank, epoch);
    c->end = first_block(file, rank, epoch + 1);
    c->left = 0;
}

static int decode(struct trace_cursor *c, struct pm_error *err)
{
    const struct trace_block *b = &c->file->blocks[c->block - 1];
    const char *wrong;
    int rc = trace_decode(&c->at, c->raw_end, c->file->layout.n_keys, &c->context, &c->batch, &wrong);
    if (rc == PM_E_MEMORY)
        return out_of_memory(c->file, err);
    c->left--;
    c->accesses += c->batch.keys.n + c->batch.samples.n;
    if (rc == PM_OK && c->left == 0 && (c->at != c->raw_end || c->accesses != b->head.accesses))
        wrong = "more bytes, or other accesses, than the block's head says";
    if (wrong == NULL)
        return 1;
    c->block = c->end;
    c->left = 0;
    return pm_error_set(err, PM_E_FILE, "%s: byte %" PRIu64 ": block of worker %" PRIu32 ", unpacked byte %zu: %s",
                        c->file->path, b->offset, b->head.rank, (size_t)(c->at - c->raw), wrong);
}

int trace_next(struct trace_cursor *c, struct pm_error *err)
{
    if (c->left == 0) {
        if (c->block == c->end)
            return 0;
        int rc = load(c, err);
        if (rc != PM_OK)
            return rc;
    }
    return decode(c, err);
}

void trace_cursor_free(struct trace_cursor *c)
{
    free(c->raw);
    trace_batch_free(&c->batch);
    *c = (struct trace_cursor){0};
}

/* ---- opening ---- */

/* Barriers must come at the same batches of all workers, or a replay would wait for ever. The first worker that has batches
 * in an epoch says where. */
static int check_barrier(struct trace_file *f, struct trace_epoch *e, uint64_t seen, uint64_t batch, uint64_t offset,
                         struct pm_error *err)
{
    if (e->workers > 0)
        return seen < e->n_barriers && e->barriers[seen] == batch
                   ? PM_OK
                   : fail(f, offset, err, "a barrier at a batch where other workers have none");
    uint64_t *more = realloc(e->barriers, (e->n_barriers + 1) * sizeof *more);
    if (more == NULL)
        return out_of_memory(f, err);
    e->barriers = more;
    e->barriers[e->n_barriers++] = batch;
    return PM_OK;
}

/* All batches of one worker in one epoch, of which the cursor stands before the first. */
static int check_share(struct trace_file *f, struct trace_cursor *c, trace_visit visit, void *arg, struct pm_error *err)
{
    const struct trace_block *first = &f->blocks[c->block];
    struct trace_epoch *e = &f->by_epoch[first->head.epoch];
    uint64_t batch = 0, barriers = 0;
    int rc;
    while ((rc = trace_next(c, err)) == 1) {
        f->accesses_found += c->batch.keys.n + c->batch.samples.n;
        rc = c->batch.barrier_before ? check_barrier(f, e, barriers++, batch, first->offset, err) : PM_OK;
        if (rc == PM_OK && visit != NULL)
            rc = visit(arg, first->head.rank, first->head.epoch, &c->batch);
        if (rc != PM_OK)
            return rc;
        batch++;
    }
    if (rc == PM_OK && barriers != e->n_barriers)
        rc = fail(f, first->offset, err, "fewer barriers than other workers have");
    f->batches_found += batch;
    e->most = batch > e->most ? batch : e->most;
    e->workers++;
    return rc;
}

static int check_blocks(struct trace_file *f, trace_visit visit, void *arg, struct pm_error *err)
{
    struct trace_cursor c = {0};
    f->by_epoch = calloc(f->epochs, sizeof *f->by_epoch);
    int rc = f->by_epoch != NULL ? PM_OK : out_of_memory(f, err);
    for (uint64_t i = 0; i < f->n_blocks && rc == PM_OK; i = c.end) {
        trace_seek(&c, f, f->blocks[i].head.rank, f->blocks[i].head.epoch);
        rc = check_share(f, &c, visit, arg, err);
    }
    trace_cursor_free(&c);
    for (uint32_t e = 0; e < f->epochs && rc == PM_OK; e++)
        if (f->by_epoch[e].n_barriers > 0 && f->by_epoch[e].workers < f->nodes * f->workers)
            rc = fail(f, f->bytes, err, "an epoch with barriers in which some workers have no batch");
    if (rc == PM_OK && (f->batches_found != f->batches || f->accesses_found != f->accesses))
        rc = fail(f, 48, err, "other numbers of batches or accesses than the blocks hold");
    return rc;
}

static int read_all(struct trace_file *file, uint64_t size, trace_visit visit, void *arg, struct pm_error *err)
{
    uint64_t end = 0;
    int rc = read_head(file, size, &end, err);
    if (rc == PM_OK)
        rc = read_block_heads(file, end, err);
    return rc == PM_OK ? check_blocks(file, visit, arg, err) : rc;
}

int trace_open(const char *path, struct trace_file *file, trace_visit visit, void *arg, struct pm_error *err)
{
    struct stat status;
    *file = (struct trace_file){.path = strdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    int rc = file->path != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
    if (rc == PM_OK && (file->fd < 0 || fstat(file->fd, &status) != 0))
        rc = pm_error_set(err, PM_E_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    else if (rc == PM_OK && !S_ISREG(status.st_mode))
        rc = pm_error_set(err, PM_E_FILE, "%s: not a regular file", path);
    if (rc == PM_OK)
        rc = read_all(file, (uint64_t)status.st_size, visit, arg, err);
    if (rc != PM_OK)
        trace_close(file);
    return rc;
}

int trace_open_bytes(const uint8_t *bytes, size_t n, const char *path, struct trace_file *file, trace_visit visit, void *arg,
                     struct pm_error *err)
{
    *file = (struct trace_file){.path = strdup(path), .fd = -1, .in_memory = bytes, .in_memory_bytes = n};
    int rc = file->path != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
    if (rc == PM_OK)
        rc = read_all(file, n, visit, arg, err);
    if (rc != PM_OK)
        trace_close(file);
    return rc;
}

void trace_close(struct trace_file *file)
{
    for (uint32_t e = 0; e < file->epochs && file->by_epoch != NULL; e++)
        free(file->by_epoch[e].barriers);
    free(file->by_epoch);
    free(file->blocks);
    free(file->origin);
    free(file->path);
    if (file->fd >= 0)
        close(file->fd);
    *file = (struct trace_file){.fd = -1};
}
