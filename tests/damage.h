/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Readers of files under damaged input: good ones with a few bytes changed, put in, taken out, copied elsewhere or cut off at the
 * end; random letters; random bytes. All in memory, a million inputs in seconds; but readers of others that want a file. */
#ifndef PM_TESTS_DAMAGE_H
#define PM_TESTS_DAMAGE_H

#include <stdint.h>
#include <stdio.h>

#include "core/error.h"

#define DAMAGE_PATH "damaged" /* what readers are told that the input is called */

struct damage_input {
    const void *bytes;
    size_t n;
};

struct damage {
    const char *test; /* its name, for the line that repeats it */
    const struct damage_input *good;
    size_t n_good;
    const char *letters; /* bytes that mean something to the reader */
    const char *place;   /* where a refusal says that it is, before a number: "damaged:", "damaged: byte "; NULL: anywhere */
    /* Reads and, where that succeeds, checks and frees what was read. The bytes are a block of exactly n that it may change.
     * PM_OK or the refusal, which has to be PM_E_FILE, in one line, with its place if there is one. */
    int (*read)(void *arg, uint8_t *bytes, size_t n, struct pm_error *err);
    void *arg;
};

/* So many inputs, or what the environment variable ROUNDS says; some must be read and some refused. PM_SEED is the seed. */
void damage_run(const struct damage *d, uint64_t rounds);
/* The bytes as a file, to be read. */
FILE *damage_file(const uint8_t *bytes, size_t n);
/* Writes them into a file that has a name. */
void damage_write(const char *path, const uint8_t *bytes, size_t n);

#endif
