/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The transport of one node: connections to all other nodes, the agents (threads) that use them, and the
 * node's failure.
 *
 * Who receives, and why so. A blocking remote pull should cost what a ping-pong costs: one wake-up here, one
 * there. So the thread that waits for a reply has to be the one that the kernel wakes for it, and no other
 * thread may be woken too:
 *   - Every agent sleeps in an epoll set of its own. All sets hold all connections, edge-triggered and
 * EPOLLEXCLUSIVE: what arrives wakes the first set in the order of registration in which a thread sleeps now.
 * Workers' sets are registered before the communicator's. So a worker that is blocked receives, and is woken
 * once; when none is, the communicator.
 *   - A set in which nobody slept notes the connection as well; when its thread next goes to sleep, the
 * kernel finds nothing to read there and drops the note. That costs no wake-up and no system call.
 *   - Of two threads that were woken for one connection the second leaves a mark (real/turn.h) and goes away.
 *     It then naps for a moment, that is, sleeps without listening: while one thread receives in a steady
 *     stream, no second one is woken for each message. Tokens end a nap.
 *   - One who handles a message that completes another's operation writes that thread's eventfd, if it sleeps
 * (real/sleeper.h). No thread hands a "leader" role to another, and nobody waits for a lock.
 *   - A blocked worker that has been served leaves what its socket may still hold to the communicator
 * (`leftovers`). EPOLLEXCLUSIVE cannot be combined with EPOLLRDHUP, so an end of stream that comes together
 * with the last bytes is seen by the communicator's sweep (real_transport_sweep, once a second), not at once.
 * Only the first REAL_RECEIVERS_MAX workers receive: the kernel walks the sets of a connection for each
 * arrival.
 *
 * Replies to the messages of one read are delivered together, so that they leave in one system call.
 *
 * Protection: agents[i] belongs to its thread, but real_wake; peers: see real/peer.h; inbox by its latch;
 * counts are atomic; failure by its mutex, `failed` is atomic and set after it. */
#ifndef PM_REAL_TRANSPORT_H
#define PM_REAL_TRANSPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/message.h"
#include "real/peer.h"
#include "real/sleeper.h"

struct pm_ctx;
struct real_link;

enum { REAL_RECEIVERS_MAX = 16 };

/* What a HELLO or GOODBYE after the roll call says (wire.sub). */
enum { REAL_SUB_READY = 1 };

struct real_agent {
    struct real_sleeper sleeper;
    struct pm_ctx *ctx; /* handed through to handle and deliver */
    uint32_t receiving; /* runs the receive step: what it delivers must not wait for credit; atomic */
    bool communicator;
    bool redundant;   /* was woken last for connections that others were busy with, and for nothing else */
    int64_t woke_ns;  /* communicator: when its last sleep ended */
    uint64_t handled; /* messages; atomic */
} __attribute__((aligned(64)));

struct real_transport_config {
    uint32_t rank, nodes, workers;
    bool with_values;
    uint64_t credit_bytes;
    int64_t spin_ns;
    /* Handles a message, which it owns; PM_OK or an error with its reason. On the thread of an agent. */
    int (*handle)(void *arg, struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
    /* Sends what handling messages on this context has produced. */
    void (*deliver)(void *arg, struct pm_ctx *ctx);
    void *arg;
};

struct real_transport {
    struct real_transport_config config;
    struct real_peer *peers;   /* by rank; peers[rank].fd is -1 */
    struct real_agent *agents; /* the workers', then the communicator's */
    struct real_agent *communicator;
    uint32_t inbox_latch;
    struct real_list inbox;           /* messages to this node itself */
    uint32_t leftovers;               /* some connection may hold bytes that no event will report */
    uint32_t ready, goodbyes, closed; /* peers that said so */
    int failed;                       /* PM_OK or the code of the failure */
    pthread_mutex_t failure_mutex;
    struct pm_error failure;
    bool failure_is_loss; /* a connection was lost: somebody else may know why */
};

/* Takes over the connections links[0..nodes) (by rank; the own entry is ignored). PM_OK, PM_E_MEMORY,
 * PM_E_LIMIT; afterwards real_transport_close must be called in any case. */
int real_transport_open(struct real_transport *t, const struct real_transport_config *config,
                        const struct real_link *links, struct pm_error *err);
void real_transport_close(struct real_transport *t);

/* Takes ownership of a list of messages, linked by `next`, and sends them in order. Any agent. Does not
 * block. True when the queue of a peer that was sent to is over its credit. */
bool real_transport_send(struct real_transport *t, struct pm_message *first);
/* Sends a HELLO (`sub` = REAL_SUB_READY) or GOODBYE to every peer. */
int real_transport_say(struct real_transport *t, enum pm_message_kind kind, uint16_t sub);
/* Waits until no peer's queue is over its credit, or the node has failed. Workers outside the receive step.
 */
void real_transport_wait_credit(struct real_transport *t);
/* True when nothing is queued to any peer. */
bool real_transport_flushed(const struct real_transport *t);
/* Closes the sending direction of every connection. */
void real_transport_shutdown(struct real_transport *t);

/* Sleeps for events, a token or timeout_ns and handles what has arrived on the agent's own context, self
 * messages too if it is the communicator. True when there was a token before or after; it is taken. */
bool real_transport_receive(struct real_transport *t, struct real_agent *agent, int64_t timeout_ns);
/* Reads every connection, whether or not an event was reported. Communicator. */
void real_transport_sweep(struct real_transport *t);

/* Ends the node: the first failure counts. Wakes every agent. `loss`: a connection was lost. Any thread. */
int real_transport_fail(struct real_transport *t, bool loss, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* After a failure: waits until no other agent handles a message, and none will any more. Outside the receive
 * step. */
void real_transport_wait_quiet(const struct real_transport *t, const struct real_agent *self);
static inline int real_transport_failed(const struct real_transport *t)
{
    return __atomic_load_n(&t->failed, __ATOMIC_ACQUIRE);
}

#endif
