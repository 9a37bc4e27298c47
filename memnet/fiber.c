/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coroutines on ucontext, with a guard page below each stack. A context switch of ucontext asks the operating system for the
 * signal mask: only the first one into a coroutine is of that sort, the others are jumps. */
#undef _FORTIFY_SOURCE /* its longjmp refuses other stacks */
#include "memnet/fiber.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { JUMPS = 0 }; /* sanitizers take a jump for an unwinding of the same stack */
#else
enum { JUMPS = 1 };
#endif

enum { GUARD_BYTES = 4096, STACK_BYTES = 512 << 10 };

struct fiber {
    ucontext_t context, caller;
    jmp_buf own_jump, caller_jump;
    void (*body)(void *arg);
    void *arg;
    char *memory; /* guard, then stack */
    bool started, ended;
    void *own_fake_stack, *caller_fake_stack; /* AddressSanitizer's */
    const void *caller_stack;
    size_t caller_stack_bytes;
    void *own_thread, *caller_thread; /* ThreadSanitizer's */
};

#ifdef __SANITIZE_ADDRESS__
static void leave_caller(struct fiber *f)
{
    __sanitizer_start_switch_fiber(&f->caller_fake_stack, f->memory + GUARD_BYTES, STACK_BYTES);
}
static void arrive_caller(struct fiber *f)
{
    __sanitizer_finish_switch_fiber(f->caller_fake_stack, NULL, NULL);
}
static void leave_own(struct fiber *f)
{
    __sanitizer_start_switch_fiber(f->ended ? NULL : &f->own_fake_stack, f->caller_stack,
                                   f->caller_stack_bytes);
}
static void arrive_own(struct fiber *f)
{
    __sanitizer_finish_switch_fiber(f->own_fake_stack, &f->caller_stack, &f->caller_stack_bytes);
}
#elif defined(__SANITIZE_THREAD__)
static void leave_caller(struct fiber *f)
{
    f->caller_thread = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->own_thread, 0);
}
static void arrive_caller(struct fiber *f)
{
    (void)f;
}
static void leave_own(struct fiber *f)
{
    __tsan_switch_to_fiber(f->caller_thread, 0);
}
static void arrive_own(struct fiber *f)
{
    (void)f;
}
#else
static void leave_caller(struct fiber *f)
{
    (void)f;
}
static void arrive_caller(struct fiber *f)
{
    (void)f;
}
static void leave_own(struct fiber *f)
{
    (void)f;
}
static void arrive_own(struct fiber *f)
{
    (void)f;
}
#endif

/* Goes on at `to`; comes back when somebody jumps to `from`. */
static __attribute__((noinline)) void jump(jmp_buf from, jmp_buf to)
{
    if (_setjmp(from) == 0)
        _longjmp(to, 1);
}

static __attribute__((noinline)) void enter(struct fiber *f)
{
    if (_setjmp(f->caller_jump) == 0)
        setcontext(&f->context);
}

/* makecontext passes ints only: the pointer comes in two halves. */
static void entry(unsigned high, unsigned low)
{
    struct fiber *f = (struct fiber *)(((uintptr_t)high << 32) | low);
    arrive_own(f);
    f->body(f->arg);
    f->ended = true;
    leave_own(f);
    if (JUMPS)
        _longjmp(f->caller_jump, 1);
    setcontext(&f->caller);
    PM_ASSERT(false, "setcontext returned");
}

static void prepare(struct fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->memory + GUARD_BYTES;
    f->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&f->context, (void (*)(void))entry, 2, (unsigned)((uintptr_t)f >> 32),
                (unsigned)(uintptr_t)f);
#ifdef __SANITIZE_THREAD__
    f->own_thread = __tsan_create_fiber(0);
#endif
}

/* ---- stacks, of which some are kept: small runs would spend half their time in getting them ---- */

enum { KEPT_MAX = JUMPS ? 64 : 0 }; /* sanitizers remember what was on a stack */
static char *kept[KEPT_MAX + 1];
static int n_kept;

static char *stack_new(void)
{
    if (n_kept > 0)
        return kept[--n_kept];
    char *memory =
        mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (mprotect(memory, GUARD_BYTES, PROT_NONE) == 0)
        return memory;
    munmap(memory, GUARD_BYTES + STACK_BYTES);
    return NULL;
}

static void stack_free(char *memory)
{
    if (n_kept < KEPT_MAX)
        kept[n_kept++] = memory;
    else
        munmap(memory, GUARD_BYTES + STACK_BYTES);
}

struct fiber *fiber_new(void (*body)(void *arg), void *arg)
{
    struct fiber *f = calloc(1, sizeof *f);
    char *memory = f ? stack_new() : NULL;
    if (!memory) {
        free(f);
        return NULL;
    }
    f->body = body;
    f->arg = arg;
    f->memory = memory;
    prepare(f);
    return f;
}

void fiber_resume(struct fiber *f)
{
    PM_ASSERT(!f->ended);
    bool first = !f->started;
    f->started = true;
    leave_caller(f);
    if (!JUMPS)
        swapcontext(&f->caller, &f->context);
    else if (first)
        enter(f);
    else
        jump(f->caller_jump, f->own_jump);
    arrive_caller(f);
}

void fiber_yield(struct fiber *f)
{
    leave_own(f);
    if (JUMPS)
        jump(f->own_jump, f->caller_jump);
    else
        swapcontext(&f->context, &f->caller);
    arrive_own(f);
}

bool fiber_ended(const struct fiber *f)
{
    return f->ended;
}

void fiber_free(struct fiber *f)
{
    if (!f)
        return;
    PM_ASSERT(f->ended || !f->started);
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(f->own_thread);
#endif
    stack_free(f->memory);
    free(f);
}
