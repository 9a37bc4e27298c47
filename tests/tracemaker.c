/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/tracemaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/trace_bytes.h"

enum { LIST_MAX = 12, FIRST_KEYS = 20 };

static struct trace_list make_list(struct pm_rng *rng, uint64_t keys, pm_key *room)
{
    uint32_t n = (uint32_t)pm_rng_below(rng, LIST_MAX + 1);
    bool ascending = pm_rng_below(rng, 2) == 0;
    for (uint32_t i = 0; i < n; i++)
        room[i] = ascending && i > 0 ? (room[i - 1] + pm_rng_below(rng, 3)) % keys : pm_rng_below(rng, keys);
    return (struct trace_list){.keys = room, .n = n};
}

/* All that is known before, or some of it in order, or the last two keys the other way round, or nothing. */
static struct trace_list make_pushed(struct pm_rng *rng, const struct trace_batch *b, pm_key *room)
{
    uint64_t kind = pm_rng_below(rng, 4);
    uint32_t n = 0;
    const struct trace_list *const lists[] = {&b->keys, &b->samples, &b->announced};
    for (size_t l = 0; l < 3 && kind > 0; l++)
        for (uint32_t i = 0; i < lists[l]->n; i++)
            if (kind != 2 || pm_rng_below(rng, 2) == 0)
                room[n++] = lists[l]->keys[i];
    if (kind == 3 && n > 1) {
        pm_key last = room[n - 1];
        room[n - 1] = room[n - 2];
        room[n - 2] = last;
    }
    return (struct trace_list){.keys = room, .n = n};
}

struct trace_batch tracemaker_batch(const struct tracemaker *t, uint32_t rank, uint32_t epoch, uint32_t number)
{
    static pm_key rooms[4][LIST_MAX], pushed[3 * LIST_MAX];
    struct pm_rng rng;
    pm_rng_init(&rng, "tracemaker", pm_hash64_pair(pm_hash64_pair(t->seed, epoch), number), rank, 0);
    struct trace_batch b = {.flops = (double)pm_rng_below(&rng, 3) * 1.5e6, .distribution = (uint32_t)pm_rng_below(&rng, 8)};
    b.barrier_before = t->barriers > 0 && number > 0 && number % t->barriers == 0;
    b.keys = make_list(&rng, t->keys, rooms[0]);
    struct trace_list *const optional[] = {&b.samples, &b.localize, &b.announced};
    for (size_t i = 0; i < 3; i++)
        if (pm_rng_below(&rng, 2) == 0)
            *optional[i] = make_list(&rng, t->keys, rooms[i + 1]);
    b.pushed = make_pushed(&rng, &b, pushed);
    return b;
}

static void must(int rc, const struct pm_error *err)
{
    if (rc < 0)
        fail_msg("%s", err->text);
}

void tracemaker_write(const struct tracemaker *t, const char *path)
{
    struct pm_error err = {0};
    struct trace_output output;
    struct pm_layout layout = {0};
    uint32_t ranks = t->nodes * t->workers;
    struct trace_stream *streams = calloc(ranks, sizeof *streams);
    must(trace_output_begin(&output, path, &err), &err);
    int fd = trace_output_open(&output);
    for (uint32_t r = 0; r < ranks; r++)
        trace_stream_begin(&streams[r], fd, r);
    for (uint32_t epoch = 0; epoch < t->epochs; epoch++)
        for (uint32_t i = 0; i < t->batches; i++)
            for (uint32_t r = ranks; r-- > 0;) {
                struct trace_batch b = tracemaker_batch(t, r, epoch, i);
                must(trace_stream_add(&streams[r], epoch, &b, &err), &err);
            }
    must(pm_layout_add(&layout, FIRST_KEYS, 3, &err), &err);
    must(pm_layout_add(&layout, t->keys - FIRST_KEYS, 5, &err), &err);
    must(trace_output_layout(fd, &layout, &err), &err);
    for (uint32_t r = 0; r < ranks; r++) {
        must(trace_stream_end(&streams[r], &err), &err);
        trace_stream_free(&streams[r]);
    }
    close(fd);
    struct trace_totals totals;
    struct trace_shape shape = {.nodes = t->nodes, .workers = t->workers, .origin = "made for a test"};
    must(trace_output_finish(&output, &shape, &totals, &err), &err);
    free(streams);
}

const char *tracemaker_path(int slot)
{
    static char paths[4][600];
    const char *folder = getenv("TMPDIR");
    snprintf(paths[slot], sizeof paths[slot], "%s/%d-%d.trace", folder != NULL ? folder : "/tmp", (int)getpid(), slot);
    return paths[slot];
}

uint8_t *tracemaker_bytes(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*n);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

void tracemaker_seal(uint8_t *bytes, size_t n)
{
    size_t head = n >= TRACE_HEAD_BYTES ? trace_get_u32(bytes + 12) : n + 1;
    if (head > n || head < TRACE_HEAD_BYTES + 8)
        return;
    trace_put_u64(bytes + 32, n);
    trace_put_u64(bytes + head - 8, trace_hash(bytes, head - 8));
    for (size_t at = head; at + TRACE_BLOCK_HEAD_BYTES <= n;) {
        struct trace_block_head h = trace_get_block_head(bytes + at);
        if (h.stored_bytes > n - at - TRACE_BLOCK_HEAD_BYTES)
            break;
        h.hash = trace_block_hash(bytes + at, bytes + at + TRACE_BLOCK_HEAD_BYTES, h.stored_bytes);
        trace_put_block_head(bytes + at, &h);
        at += TRACE_BLOCK_HEAD_BYTES + h.stored_bytes;
    }
}

bool tracemaker_same_list(const struct trace_list *a, const struct trace_list *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->keys, b->keys, a->n * sizeof *a->keys) == 0);
}

bool tracemaker_same_batch(const struct trace_batch *a, const struct trace_batch *b)
{
    return a->barrier_before == b->barrier_before && a->flops == b->flops &&
           (a->samples.n == 0 || a->distribution == b->distribution) && tracemaker_same_list(&a->keys, &b->keys) &&
           tracemaker_same_list(&a->samples, &b->samples) && tracemaker_same_list(&a->localize, &b->localize) &&
           tracemaker_same_list(&a->announced, &b->announced) && tracemaker_same_list(&a->pushed, &b->pushed);
}
