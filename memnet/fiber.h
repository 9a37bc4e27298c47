/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coroutines for protocol tests: each has its own stack and runs until it yields. Everything happens on the
 * one thread that made it. Sanitizers are told of each switch. */
#ifndef PM_FIBER_H
#define PM_FIBER_H

#include <stdbool.h>

struct fiber;

/* A coroutine that will run body(arg) when first resumed; NULL when memory is out. */
struct fiber *fiber_new(void (*body)(void *arg), void *arg);
/* Runs it until it yields or its body returns. Not from inside itself; not after its end. */
void fiber_resume(struct fiber *fiber);
/* From inside: back to who resumed it. */
void fiber_yield(struct fiber *fiber);
bool fiber_ended(const struct fiber *fiber);
/* Only one that has ended or was never resumed: nothing on its stack is cleaned up. */
void fiber_free(struct fiber *fiber);

#endif
