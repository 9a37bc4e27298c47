/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The format of traces: what is written is read again, and nothing else is. PM_SEED gives the seed of random files, ROUNDS
 * how many. */
#define _GNU_SOURCE /* memfd_create */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/damage.h"
#include "tests/repeat.h"
#include "tests/tracemaker.h"
#include "workloads/keymap.h"
#include "workloads/trace_bytes.h"

static const struct tracemaker small = {
    .nodes = 2, .workers = 2, .epochs = 2, .keys = 1000, .batches = 3, .barriers = 2, .seed = 1};

/* Opens a file in memory. */
static int visit_bytes(const uint8_t *bytes, size_t n, struct trace_file *f, trace_visit visit, void *arg,
                       struct pm_error *err)
{
    static int fd = -1;
    char path[64];
    if (fd < 0)
        fd = memfd_create("damaged", MFD_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return trace_open(path, f, visit, arg, err);
}

static int open_bytes(const uint8_t *bytes, size_t n, struct trace_file *f, struct pm_error *err)
{
    return visit_bytes(bytes, n, f, NULL, NULL, err);
}

/* ---- batches ---- */

static void batches_come_back(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {21, 1000, UINT64_C(1) << 33, UINT64_MAX};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct tracemaker t = {.keys = bounds[seed % 4], .seed = seed};
        struct trace_bytes bytes = {0};
        struct trace_context context = trace_context_begin();
        for (uint32_t i = 0; i < 20; i++) {
            struct trace_batch b = tracemaker_batch(&t, 0, 0, i);
            assert_int_equal(trace_encode(&bytes, &context, &b, NULL), PM_OK);
        }
        const uint8_t *at = bytes.data;
        struct trace_batch read = {0};
        const char *wrong;
        context = trace_context_begin();
        for (uint32_t i = 0; i < 20; i++) {
            struct trace_batch b = tracemaker_batch(&t, 0, 0, i);
            assert_int_equal(trace_decode(&at, bytes.data + bytes.n, t.keys, &context, &read, &wrong), PM_OK);
            assert_true(wrong == NULL && tracemaker_same_batch(&b, &read));
        }
        assert_ptr_equal(at, bytes.data + bytes.n);
        trace_batch_free(&read);
        free(bytes.data);
    }
}

/* Pushed keys that are some of the batch's own say which. */
static void places_of_pushed_keys(void **state)
{
    (void)state;
    static const pm_key keys[] = {5, 6}, samples[] = {7, 5}, announced[] = {9};
    static const struct {
        pm_key pushed[5];
        uint32_t n, at[5];
    } cases[] = {
        {{5, 6, 7, 5, 9}, 5, {0, 1, 2, 3, 4}},
        {{6, 5, 9}, 3, {1, 3, 4}},
        {{7, 6}, 2, {TRACE_NOWHERE, TRACE_NOWHERE}},
        {{0}, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace_batch b = {.flops = 1, .keys = {keys, 2, 0, NULL}, .samples = {samples, 2, 0, NULL},
                                .announced = {announced, 1, 0, NULL}, .pushed = {cases[i].pushed, cases[i].n, 0, NULL}};
        struct trace_bytes bytes = {0};
        struct trace_context context = trace_context_begin();
        struct trace_batch read = {0};
        const char *wrong;
        assert_int_equal(trace_encode(&bytes, &context, &b, NULL), PM_OK);
        const uint8_t *at = bytes.data;
        assert_int_equal(trace_decode(&at, bytes.data + bytes.n, 10, &context, &read, &wrong), PM_OK);
        assert_true(tracemaker_same_list(&read.pushed, &b.pushed));
        for (uint32_t k = 0; k < cases[i].n; k++)
            assert_int_equal(read.pushed_at[k], cases[i].at[k]);
        trace_batch_free(&read);
        free(bytes.data);
    }
}

static void what_the_format_cannot_hold(void **state)
{
    (void)state;
    static const pm_key key = 1;
    const struct trace_batch bad[] = {
        {.flops = 1e19}, {.flops = -2}, {.flops = __builtin_nan("")},
        {.keys = {&key, TRACE_LIST_MAX + 1, 0, NULL}},
        {.keys = {&key, TRACE_LIST_MAX / 2, 0, NULL}, .announced = {&key, TRACE_LIST_MAX / 2 + 1, 0, NULL}},
        {.samples = {&key, 1, 0, NULL}, .distribution = 8},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct trace_bytes bytes = {0};
        struct trace_context context = trace_context_begin();
        struct pm_error err = {0};
        assert_int_equal(trace_encode(&bytes, &context, &bad[i], &err), PM_E_LIMIT);
        assert_non_null(strstr(err.text, "(allowed: "));
        free(bytes.data);
    }
}

/* Random bytes decode to batches within bounds, or to a reason. */
static void random_bytes_decode_or_not(void **state)
{
    (void)state;
    uint64_t seed = repeat_number("PM_SEED", 1), rounds = repeat_number("ROUNDS", 50000), good = 0;
    struct pm_rng rng;
    struct trace_batch b = {0};
    pm_rng_init(&rng, "unit_trace.bytes", seed, 0, 0);
    repeat_note(seed, "", "random_bytes_decode_or_not");
    for (uint64_t round = 0; round < rounds; round++) {
        uint8_t bytes[64];
        size_t n = 1 + pm_rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(pm_rng_below(&rng, 2) ? pm_rng_below(&rng, 8) : pm_rng_below(&rng, 256));
        uint8_t *copy = malloc(n); /* for the sanitizer to see its end */
        memcpy(copy, bytes, n);
        const uint8_t *at = copy;
        const char *wrong = NULL;
        struct trace_context context = trace_context_begin();
        int rc = PM_OK;
        while (at < copy + n && (rc = trace_decode(&at, copy + n, 100, &context, &b, &wrong)) == PM_OK) {
            good++;
            assert_true(b.flops == TRACE_FLOPS_UNKNOWN || (b.flops >= 0 && b.flops <= TRACE_FLOPS_MAX));
            assert_true(b.pushed.n <= b.keys.n + b.samples.n + b.announced.n);
            for (uint32_t i = 0; i < b.pushed.n; i++)
                assert_true(b.pushed.keys[i] < 100);
        }
        assert_true(rc == PM_OK ? wrong == NULL : rc == PM_E_FILE && wrong != NULL && at <= copy + n);
        free(copy);
    }
    trace_batch_free(&b);
    assert_true(good > rounds / 20);
}

/* ---- files ---- */

static void compare_file(const struct tracemaker *t, const char *path)
{
    struct pm_error err = {0};
    struct trace_file f;
    struct trace_cursor c = {0};
    uint64_t accesses = 0;
    if (trace_open(path, &f, NULL, NULL, &err) != PM_OK)
        fail_msg("%s", err.text);
    assert_true(f.nodes == t->nodes && f.workers == t->workers && f.epochs == t->epochs);
    assert_string_equal(f.origin, "made for a test");
    assert_true(f.layout.n_keys == t->keys && f.layout.n_ranges == 2 && pm_layout_length(&f.layout, 19) == 3 &&
                pm_layout_length(&f.layout, 20) == 5);
    for (uint32_t rank = 0; rank < t->nodes * t->workers; rank++)
        for (uint32_t epoch = 0; epoch < t->epochs; epoch++) {
            assert_int_equal(trace_batches(&f, rank, epoch), t->batches);
            trace_seek(&c, &f, rank, epoch);
            for (uint32_t i = 0; i < t->batches; i++) {
                struct trace_batch b = tracemaker_batch(t, rank, epoch, i);
                assert_int_equal(trace_next(&c, &err), 1);
                assert_true(tracemaker_same_batch(&b, &c.batch));
                accesses += b.keys.n + b.samples.n;
            }
            assert_int_equal(trace_next(&c, &err), 0);
        }
    assert_true(f.accesses == accesses && f.batches == (uint64_t)t->nodes * t->workers * t->epochs * t->batches);
    trace_cursor_free(&c);
    trace_close(&f);
}

static void files_come_back(void **state)
{
    (void)state;
    static const struct tracemaker cases[] = {
        {.nodes = 2, .workers = 2, .epochs = 2, .keys = 1000, .batches = 3, .barriers = 2},
        {.nodes = 1, .workers = 1, .epochs = 1, .keys = 21, .batches = 1},
        {.nodes = 3, .workers = 1, .epochs = 3, .keys = UINT64_C(1) << 40, .batches = 2000}, /* several blocks each */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tracemaker_write(&cases[i], tracemaker_path(0));
        compare_file(&cases[i], tracemaker_path(0));
        unlink(tracemaker_path(0));
    }
}

/* Long lists of neighbours are packed to a fraction; uniform keys take hardly more than their bits. */
static void traces_are_small(void **state)
{
    (void)state;
    enum { KEYS = 3000000, BATCHES = 10000, PER_BATCH = 10 };
    struct trace_output output;
    struct trace_totals totals;
    struct pm_layout layout = {0};
    struct trace_stream stream;
    struct pm_rng rng;
    struct trace_shape shape = {.nodes = 1, .workers = 1, .origin = ""};
    static pm_key all[KEYS];
    for (pm_key key = 0; key < KEYS; key++)
        all[key] = key;
    pm_rng_init(&rng, "unit_trace.small", 1, 0, 0);
    assert_int_equal(trace_output_begin(&output, tracemaker_path(0), NULL), PM_OK);
    int fd = trace_output_open(&output);
    trace_stream_begin(&stream, fd, 0);
    for (int i = 0; i < BATCHES; i++) {
        pm_key keys[PER_BATCH];
        for (int k = 0; k < PER_BATCH; k++)
            keys[k] = pm_rng_below(&rng, KEYS);
        struct trace_batch b = {.flops = 1e6, .keys = {keys, PER_BATCH, 0, NULL}, .pushed = {keys, PER_BATCH, 0, NULL}};
        if (i == 0)
            b.localize = (struct trace_list){all, KEYS, 0, NULL};
        assert_int_equal(trace_stream_add(&stream, 0, &b, NULL), PM_OK);
    }
    assert_true(pm_layout_add(&layout, KEYS, 1, NULL) >= 0);
    assert_int_equal(trace_output_layout(fd, &layout, NULL), PM_OK);
    assert_int_equal(trace_stream_end(&stream, NULL), PM_OK);
    trace_stream_free(&stream);
    close(fd);
    assert_int_equal(trace_output_finish(&output, &shape, &totals, NULL), PM_OK);
    assert_true(totals.accesses == BATCHES * PER_BATCH && totals.batches == BATCHES);
    assert_in_range(totals.bytes, totals.accesses * 22 / 8, totals.accesses * 33 / 10); /* 2^22 > KEYS > 2^21 */
    unlink(tracemaker_path(0));
}

/* ---- damage ---- */

static void every_truncation_and_every_flip_is_refused(void **state)
{
    (void)state;
    size_t n;
    tracemaker_write(&small, tracemaker_path(0));
    uint8_t *bytes = tracemaker_bytes(tracemaker_path(0), &n);
    struct trace_file f;
    unlink(tracemaker_path(0));
    assert_int_equal(open_bytes(bytes, n, &f, NULL), PM_OK);
    trace_close(&f);
    for (size_t i = 0; i < n; i++) {
        struct pm_error err = {0};
        assert_int_equal(open_bytes(bytes, i, &f, &err), PM_E_FILE);
        assert_non_null(strstr(err.text, ": byte "));
        for (int bit = 0; bit < 8; bit += 7) {
            bytes[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(open_bytes(bytes, n, &f, &err), PM_E_FILE);
            assert_non_null(strstr(err.text, ": byte "));
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    bytes = realloc(bytes, n + 1);
    bytes[n] = 0;
    assert_int_equal(open_bytes(bytes, n + 1, &f, NULL), PM_E_FILE);
    free(bytes);
}

static int use_all(void *arg, uint32_t rank, uint32_t epoch, const struct trace_batch *b)
{
    uint64_t *sum = arg;
    for (uint32_t i = 0; i < b->pushed.n; i++)
        *sum += b->pushed.keys[i] + rank + epoch;
    return PM_OK;
}

static int read_sealed(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    struct trace_file f;
    tracemaker_seal(bytes, n);
    int rc = trace_open_bytes(bytes, n, DAMAGE_PATH, &f, use_all, arg, err);
    if (rc == PM_OK)
        trace_close(&f);
    return rc;
}

/* Damage that comes with right checksums: a file within its own bounds, or refused with the byte. */
static void sealed_damage_is_read_or_refused(void **state)
{
    (void)state;
    static const char letters[] = {1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, (char)255, 0};
    uint64_t sum = 0;
    struct damage_input good;
    tracemaker_write(&small, tracemaker_path(0));
    uint8_t *bytes = tracemaker_bytes(tracemaker_path(0), &good.n);
    good.bytes = bytes;
    unlink(tracemaker_path(0));
    const struct damage damage = {"sealed_damage_is_read_or_refused", &good, 1, letters, DAMAGE_PATH ": byte ", read_sealed, &sum};
    damage_run(&damage, 30000);
    free(bytes);
}

static void foreign_files_are_refused(void **state)
{
    (void)state;
    struct trace_file f;
    struct pm_error err = {0};
    assert_int_equal(trace_open("no/such", &f, NULL, NULL, &err), PM_E_FILE);
    assert_string_equal(err.text, "no/such: cannot be opened: No such file or directory");
    assert_int_equal(trace_open("tests", &f, NULL, NULL, &err), PM_E_FILE);
    assert_string_equal(err.text, "tests: not a regular file");
    assert_int_equal(open_bytes((const uint8_t *)"", 0, &f, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "byte 0: the file is empty"));
    assert_int_equal(open_bytes((const uint8_t *)"12\n13\n14\n", 9, &f, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "byte 0: not a trace of pmlab"));
    assert_int_equal(open_bytes((const uint8_t *)"12", 2, &f, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "byte 0: not a trace of pmlab"));
}

/* Changes 4 bytes, with right checksums, and expects this refusal. */
static void refuse_field(const uint8_t *good, size_t n, size_t at, uint32_t value, const char *words)
{
    struct trace_file f;
    struct pm_error err = {0};
    uint8_t *bytes = malloc(n);
    memcpy(bytes, good, n);
    trace_put_u32(bytes + at, value);
    if (at != 32)
        tracemaker_seal(bytes, n);
    assert_int_equal(open_bytes(bytes, n, &f, &err), PM_E_FILE);
    if (strstr(err.text, words) == NULL)
        fail_msg("byte %zu: \"%s\" lacks \"%s\"", at, err.text, words);
    free(bytes);
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    size_t n;
    tracemaker_write(&small, tracemaker_path(0));
    uint8_t *good = tracemaker_bytes(tracemaker_path(0), &n);
    unlink(tracemaker_path(0));
    size_t block = trace_get_u32(good + 12), second = block + TRACE_BLOCK_HEAD_BYTES + trace_get_u32(good + block + 20);
    const struct {
        size_t at;
        uint32_t value;
        const char *words;
    } cases[] = {
        {8, 2, "byte 8: version 2 of the format (known: 1)"},
        {12, 104, "byte 12: a head of another length"},
        {16, 0, "byte 16: nodes, workers or epochs out of range"},
        {20, 257, "byte 16: nodes, workers or epochs out of range"},
        {24, 0, "byte 16: nodes, workers or epochs out of range"},
        {28, 17, "byte 28: a head with no or too many ranges"},
        {32, 1, "the head's checksum"},
        {40, 0, "byte 40: more blocks"},
        {40, 3, "bytes behind the last block"},
        {48, 7, "byte 48: other numbers of batches"},
        {56, 7, "byte 48: other numbers of batches or accesses"},
        {TRACE_HEAD_BYTES, 0, "byte 72: a range of keys"},
        {TRACE_HEAD_BYTES + 24, 0, "byte 88: a range of keys"},
        {block, 4, "a worker or an epoch that the trace does not have"},
        {block, 3, "not in the order of workers"},
        {block + 4, 2, "a worker or an epoch that the trace does not have"},
        {block + 4, 1, "fewer barriers than other workers have"},
        {second + 4, 0, "fewer barriers than other workers have"},
        {block + 8, 2, "more bytes, or other accesses"},
        {block + 8, 0, "impossible lengths"},
        {block + 12, 1, "more bytes, or other accesses"},
        {block + 16, 1, "impossible lengths"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse_field(good, n, cases[i].at, cases[i].value, cases[i].words);
    free(good);
}

/* Two workers of three batches in an epoch; masks say before which of them there are barriers. An empty mask of 8: no batch. */
static int open_with_barriers(unsigned one, unsigned other, struct trace_file *f, struct pm_error *err)
{
    static const pm_key key = 3;
    const unsigned masks[2] = {one, other};
    struct trace_output output;
    struct trace_totals totals;
    struct pm_layout layout = {0};
    struct trace_shape shape = {.nodes = 2, .workers = 1, .origin = ""};
    assert_int_equal(trace_output_begin(&output, tracemaker_path(0), NULL), PM_OK);
    int fd = trace_output_open(&output);
    for (uint32_t rank = 0; rank < 2; rank++) {
        struct trace_stream stream;
        trace_stream_begin(&stream, fd, rank);
        for (unsigned i = 0; i < 3 && masks[rank] < 8; i++) {
            struct trace_batch b = {.flops = 1, .barrier_before = masks[rank] >> i & 1, .keys = {&key, 1, 0, NULL}};
            assert_int_equal(trace_stream_add(&stream, 0, &b, NULL), PM_OK);
        }
        assert_int_equal(trace_stream_end(&stream, NULL), PM_OK);
        trace_stream_free(&stream);
    }
    assert_true(pm_layout_add(&layout, 4, 1, NULL) >= 0);
    assert_int_equal(trace_output_layout(fd, &layout, NULL), PM_OK);
    close(fd);
    assert_int_equal(trace_output_finish(&output, &shape, &totals, NULL), PM_OK);
    int rc = trace_open(tracemaker_path(0), f, NULL, NULL, err);
    unlink(tracemaker_path(0));
    return rc;
}

static void barriers_of_workers_must_agree(void **state)
{
    (void)state;
    static const struct {
        unsigned one, other;
        const char *words; /* NULL: fine */
    } cases[] = {
        {0, 0, NULL},
        {5, 5, NULL},
        {0, 8, NULL},
        {2, 4, "a barrier at a batch where other workers have none"},
        {0, 4, "a barrier at a batch where other workers have none"},
        {6, 2, "fewer barriers than other workers have"},
        {2, 8, "an epoch with barriers in which some workers have no batch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace_file f;
        struct pm_error err = {0};
        int rc = open_with_barriers(cases[i].one, cases[i].other, &f, &err);
        assert_int_equal(rc, cases[i].words != NULL ? PM_E_FILE : PM_OK);
        if (rc == PM_OK)
            trace_close(&f);
        else if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].words);
    }
}

/* ---- writing ---- */

static unsigned files_like(const char *path)
{
    char folder[600];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    const char *name = strrchr(path, '/') + 1;
    DIR *d = opendir(folder);
    unsigned n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += strncmp(e->d_name, name, strlen(name)) == 0;
    closedir(d);
    return n;
}

/* What was there under the name stays until a whole trace takes its place, and nothing else is left. */
static void half_a_trace_takes_no_name(void **state)
{
    (void)state;
    const char *path = tracemaker_path(1);
    struct trace_output output;
    struct trace_stream stream;
    struct trace_totals totals;
    struct pm_error err = {0};
    struct trace_shape shape = {.nodes = 1, .workers = 2, .origin = ""};
    struct trace_batch b = tracemaker_batch(&small, 0, 0, 0);
    tracemaker_write(&small, path);
    for (int abandon = 0; abandon < 2; abandon++) {
        assert_int_equal(trace_output_begin(&output, path, &err), PM_OK);
        assert_int_equal(files_like(path), 2);
        int fd = trace_output_open(&output);
        trace_stream_begin(&stream, fd, 0);
        assert_int_equal(trace_stream_add(&stream, 0, &b, &err), PM_OK);
        assert_int_equal(trace_stream_end(&stream, &err), PM_OK);
        assert_int_equal(trace_output_layout(fd, &(struct pm_layout){.n_ranges = 1, .ranges = {{0, 1000, 1, 0}}}, &err), PM_OK);
        trace_stream_free(&stream);
        close(fd);
        if (abandon)
            trace_output_abandon(&output);
        else
            assert_int_equal(trace_output_finish(&output, &shape, &totals, &err), PM_E_FILE);
        assert_int_equal(files_like(path), 1);
        compare_file(&small, path);
    }
    assert_non_null(strstr(err.text, "only 1 of 2 workers could write all their accesses"));
    unlink(path);
    assert_int_equal(trace_output_begin(&output, "no/such/folder/t", &err), PM_E_FILE);
    assert_string_equal(err.text, "no/such/folder/t: cannot be written: No such file or directory");
    assert_int_equal(trace_output_begin(&output, "tests", &err), PM_E_FILE);
}

static void full_disks_are_noticed(void **state)
{
    (void)state;
    struct trace_stream stream;
    struct pm_error err = {0};
    struct trace_batch b = tracemaker_batch(&small, 0, 0, 0);
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0)
        skip();
    trace_stream_begin(&stream, fd, 0);
    assert_int_equal(trace_stream_add(&stream, 0, &b, &err), PM_OK);
    assert_int_equal(trace_stream_end(&stream, &err), PM_E_FILE);
    assert_string_equal(err.text, "trace cannot be written: No space left on device");
    trace_stream_free(&stream);
    close(fd);
}

/* ---- key map ---- */

static void keys_are_numbered_by_appearance(void **state)
{
    (void)state;
    struct keymap map = {0};
    for (uint64_t i = 0; i < 100000; i++)
        assert_int_equal(keymap_add(&map, pm_hash64(i % 70000)), i % 70000);
    assert_int_equal(map.n, 70000);
    for (uint64_t i = 0; i < map.n; i++)
        assert_true(map.keys[i] == pm_hash64(i));
    assert_int_equal(keymap_add(&map, 0), pm_hash64(0) == 0 ? 0 : 70000);
    keymap_free(&map);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_come_back),
        cmocka_unit_test(places_of_pushed_keys),
        cmocka_unit_test(what_the_format_cannot_hold),
        cmocka_unit_test(random_bytes_decode_or_not),
        cmocka_unit_test(files_come_back),
        cmocka_unit_test(traces_are_small),
        cmocka_unit_test(every_truncation_and_every_flip_is_refused),
        cmocka_unit_test(sealed_damage_is_read_or_refused),
        cmocka_unit_test(foreign_files_are_refused),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(barriers_of_workers_must_agree),
        cmocka_unit_test(half_a_trace_takes_no_name),
        cmocka_unit_test(full_disks_are_noticed),
        cmocka_unit_test(keys_are_numbered_by_appearance),
    };
    return repeat_main(argc, argv, "unit_trace", tests, sizeof tests / sizeof tests[0]);
}
