/* SPDX-License-Identifier: GPL-3.0-or-later */
#define _GNU_SOURCE /* fmemopen of no byte */
#include "tests/damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "tests/repeat.h"

enum { RANDOM_MAX = 200, EDITS_MAX = 4, COPIED_MAX = 32 };

struct text {
    uint8_t *bytes;
    size_t n, room;
};

static uint8_t letter(const struct damage *d, struct pm_rng *rng)
{
    return pm_rng_below(rng, 4) == 0 ? (uint8_t)pm_rng_below(rng, 256) : (uint8_t)d->letters[pm_rng_below(rng, strlen(d->letters))];
}

static void insert(struct text *t, size_t at, const uint8_t *bytes, size_t n)
{
    assert_true(t->n + n <= t->room);
    memmove(t->bytes + at + n, t->bytes + at, t->n - at);
    memcpy(t->bytes + at, bytes, n);
    t->n += n;
}

static void edit(const struct damage *d, struct pm_rng *rng, struct text *t)
{
    uint8_t copied[COPIED_MAX];
    size_t at = pm_rng_below(rng, t->n + 1), n = 1 + pm_rng_below(rng, COPIED_MAX);
    n = n < t->n - at ? n : t->n - at;
    switch (pm_rng_below(rng, 8)) {
    case 0: /* a stretch is there twice */
        memcpy(copied, t->bytes + at, n);
        insert(t, pm_rng_below(rng, t->n + 1), copied, n);
        break;
    case 1: /* a stretch is missing */
        memmove(t->bytes + at, t->bytes + at + n, t->n - at - n);
        t->n -= n;
        break;
    case 2: /* the rest is missing */
        t->n = pm_rng_below(rng, 4) == 0 ? at : t->n;
        break;
    case 3:
    case 4:
        copied[0] = letter(d, rng);
        insert(t, at, copied, 1);
        break;
    default:
        if (at < t->n)
            t->bytes[at] = letter(d, rng);
    }
}

/* The next input. */
static void make(const struct damage *d, struct pm_rng *rng, struct text *t)
{
    uint64_t kind = pm_rng_below(rng, 16);
    if (kind > 1) {
        const struct damage_input *good = &d->good[pm_rng_below(rng, d->n_good)];
        memcpy(t->bytes, good->bytes, good->n);
        t->n = good->n;
        for (uint64_t edits = 1 + pm_rng_below(rng, EDITS_MAX); edits > 0; edits--)
            edit(d, rng, t);
        return;
    }
    t->n = pm_rng_below(rng, RANDOM_MAX);
    for (size_t i = 0; i < t->n; i++)
        t->bytes[i] = kind == 0 ? (uint8_t)pm_rng_below(rng, 256) : letter(d, rng);
}

/* A refusal is one line that says where. */
static bool well_said(const struct damage *d, int rc, const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            return false;
    if (rc != PM_E_FILE || d->place == NULL)
        return rc == PM_E_FILE && text[0] != '\0';
    size_t length = strlen(d->place), digits = strncmp(text, d->place, length) == 0 ? strspn(text + length, "0123456789") : 0;
    return digits > 0 && strncmp(text + length + digits, ": ", 2) == 0 && text[length + digits + 2] != '\0';
}

static int read_copy(const struct damage *d, const struct text *t, struct pm_error *err)
{
    uint8_t *copy = malloc(t->n); /* for the sanitizer to see its end */
    assert_true(copy != NULL || t->n == 0);
    if (t->n > 0)
        memcpy(copy, t->bytes, t->n);
    int rc = d->read(d->arg, copy, t->n, err);
    free(copy);
    return rc;
}

void damage_run(const struct damage *d, uint64_t rounds)
{
    struct text t = {.room = RANDOM_MAX};
    uint64_t seed = repeat_number("PM_SEED", 1), read = 0;
    struct pm_rng rng;
    rounds = repeat_number("ROUNDS", rounds);
    pm_rng_init(&rng, d->test, seed, 0, 0);
    repeat_note(seed, "", d->test);
    for (size_t i = 0; i < d->n_good; i++)
        t.room = d->good[i].n > t.room ? d->good[i].n : t.room;
    t.room += EDITS_MAX * COPIED_MAX;
    t.bytes = malloc(t.room);
    assert_non_null(t.bytes);
    for (uint64_t round = 0; round < rounds; round++) {
        struct pm_error err = {0};
        make(d, &rng, &t);
        int rc = read_copy(d, &t, &err);
        read += rc == PM_OK;
        if (rc != PM_OK && !well_said(d, rc, err.text)) {
            repeat_line(err.text, seed, "", d->test);
            fail_msg("round %d: code %d", (int)round, rc);
        }
    }
    free(t.bytes);
    assert_in_range(read, rounds / 200, rounds - rounds / 20);
}

FILE *damage_file(const uint8_t *bytes, size_t n)
{
    FILE *file = fmemopen((void *)bytes, n, "r");
    assert_non_null(file);
    return file;
}

void damage_write(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fwrite(bytes, 1, n, file) == n);
    assert_int_equal(fclose(file), 0);
}
