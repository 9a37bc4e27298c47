/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A turn: one thread at a time does a piece of work, and nobody waits for it.
 *
 * Who finds the turn taken leaves a mark and goes away; who has the turn looks for the mark before it gives
 * the turn back and then does the work once more. So whatever made the second thread come (an event that is
 * reported once, a message that was queued) is seen by the first. Any thread may call; the words are atomic.
 * Also here: a latch for a few instructions, and waiting on a word. */
#ifndef PM_REAL_TURN_H
#define PM_REAL_TURN_H

#include <linux/futex.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct real_turn {
    uint32_t word;
};

enum { REAL_TURN_FREE, REAL_TURN_TAKEN, REAL_TURN_AGAIN };

/* True: the caller has the turn and must give it back. False: whoever has it will go round once more. */
static inline bool real_turn_take(struct real_turn *turn)
{
    uint32_t old = __atomic_load_n(&turn->word, __ATOMIC_RELAXED);
    for (;;) {
        uint32_t next = old == REAL_TURN_FREE ? REAL_TURN_TAKEN : REAL_TURN_AGAIN;
        if (__atomic_compare_exchange_n(&turn->word, &old, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return next == REAL_TURN_TAKEN;
    }
}

/* True: given back. False: somebody came meanwhile; the caller still has the turn and must do the work again.
 */
static inline bool real_turn_give(struct real_turn *turn)
{
    uint32_t old = REAL_TURN_TAKEN;
    if (__atomic_compare_exchange_n(&turn->word, &old, REAL_TURN_FREE, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
        return true;
    __atomic_exchange_n(&turn->word, REAL_TURN_TAKEN, __ATOMIC_ACQ_REL);
    return false;
}

static inline void real_latch_lock(uint32_t *word)
{
    while (__atomic_exchange_n(word, 1u, __ATOMIC_ACQUIRE))
        sched_yield();
}

static inline void real_latch_unlock(uint32_t *word)
{
    __atomic_store_n(word, 0u, __ATOMIC_RELEASE);
}

/* Sleeps while *word is `value`, at most timeout_ns; may return early. */
static inline void real_word_wait(uint32_t *word, uint32_t value, int64_t timeout_ns)
{
    struct timespec limit = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &limit, NULL, 0);
}

static inline void real_word_wake_all(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

#endif
