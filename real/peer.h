/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One connection to another node: a queue of messages to send, and a buffer of bytes received.
 *
 * Sending. Every message goes through the queue; who appended then tries to get the send turn and writes what
 * there is, itself, with one vectored call: an idle connection is written to by the worker that sends. What
 * the socket does not take stays with the connection, first in order, `stuck` is set, and the communicator
 * goes on when epoll reports room (edge-triggered; the kernel reports because a write failed before). While
 * stuck, senders only append. Order follows from the queue: a message is in it before the call that sends it
 * returns.
 *
 * Receiving. Who has the receive turn reads and handles, so that a peer's messages are handled one at a time
 * and in order. A message that is in the buffer as a whole is copied out of it; of one that is not, the rest
 * is read in place.
 *
 * Protection: queue by its latch; unsent by the send turn; buffer, have, partial, partial_have by the receive
 * turn; queued_bytes, stuck, credit_word, credit_waiters, goodbye, closed are atomic; fd, rank, process are
 * constant.      */
#ifndef PM_REAL_PEER_H
#define PM_REAL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/message.h"
#include "real/turn.h"

enum { REAL_BUFFER_BYTES = 256 << 10 };

struct real_list {
    struct pm_message *first, *last;
};

struct real_peer {
    uint32_t rank;
    int fd;      /* -1: this node itself */
    int process; /* its process number, for messages to the user */
    bool with_values;
    uint64_t credit_bytes;

    struct real_turn send_turn __attribute__((aligned(64)));
    uint32_t stuck;
    struct real_list unsent; /* taken from the queue; the first perhaps partly written */
    uint32_t queue_latch;
    struct real_list queue;
    uint64_t queued_bytes; /* in queue and unsent */
    uint32_t credit_word, credit_waiters;
    uint32_t broken; /* writing failed: what is queued is thrown away */

    struct real_turn receive_turn __attribute__((aligned(64)));
    char *buffer;
    size_t have;
    struct pm_message *partial;
    uint32_t partial_have;
    uint32_t ready, goodbye, closed; /* it said READY, GOODBYE, closed its side */
};

static inline void real_list_append(struct real_list *list, struct pm_message *first, struct pm_message *last)
{
    if (list->last)
        list->last->next = first;
    else
        list->first = first;
    list->last = last;
}
void real_list_free(struct real_list *list);

/* PM_OK or PM_E_MEMORY. Without values, zeros travel in their place. The connection must be non-blocking; it
 * is the peer's from now on. */
int real_peer_open(struct real_peer *p, uint32_t rank, int fd, int process, uint64_t credit_bytes,
                   bool with_values);
void real_peer_close(struct real_peer *p);

/* Takes ownership of a message. Any thread. */
void real_peer_append(struct real_peer *p, struct pm_message *m);
/* Writes what is queued, unless somebody else is at it or the socket is full. Any thread. */
void real_peer_flush(struct real_peer *p);
/* The socket has room again. Communicator. */
void real_peer_unstick(struct real_peer *p);

static inline bool real_peer_over_credit(const struct real_peer *p)
{
    return __atomic_load_n(&p->queued_bytes, __ATOMIC_RELAXED) > p->credit_bytes;
}
/* Waits up to timeout_ns for the queue to fall to half the credit; true when it has. A worker that starts
 * operations. */
bool real_peer_wait_credit(struct real_peer *p, int64_t timeout_ns);

enum real_read {
    REAL_READ_ALL,    /* the socket is empty for now */
    REAL_READ_MORE,   /* there may be more */
    REAL_READ_END,    /* the peer closed its side */
    REAL_READ_FAILED, /* errno says why */
    REAL_READ_BAD,    /* a malformed message, or a refusal of `take`: err says why */
};

/* With the receive turn: reads once and calls take(arg, m, err) for each whole message, which owns it and
 * returns PM_OK or an error. */
enum real_read real_peer_read(struct real_peer *p,
                              int (*take)(void *arg, struct pm_message *m, struct pm_error *err), void *arg,
                              struct pm_error *err);

#endif
