/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts the blocks of memory of the program whose source includes this, one source per program: what the library says of
 * memory in use includes its caches. With sanitizers, which look for leaks themselves, nothing is counted. One thread. */
#ifndef PM_TESTS_BLOCKS_H
#define PM_TESTS_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const int64_t blocks_live, blocks_taken;
#else
static int64_t blocks_live, blocks_taken; /* there now; taken or moved so far */

/* The allocator's entry points. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

static void *blocks_note(void *memory)
{
    blocks_live += memory != NULL;
    blocks_taken += memory != NULL;
    return memory;
}

void *malloc(size_t bytes)
{
    return blocks_note(__libc_malloc(bytes));
}

void *calloc(size_t n, size_t bytes)
{
    return blocks_note(__libc_calloc(n, bytes));
}

void *realloc(void *memory, size_t bytes)
{
    bool had = memory != NULL;
    void *moved = blocks_note(__libc_realloc(memory, bytes));
    blocks_live -= had && (moved != NULL || bytes == 0);
    return moved;
}

void free(void *memory)
{
    blocks_live -= memory != NULL;
    __libc_free(memory);
}
#endif

#endif
