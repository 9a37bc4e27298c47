/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two directions of one connection. */
#include "real/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { VECTOR_MAX = 64, ZEROS_BYTES = 64 << 10 };

void real_list_free(struct real_list *list)
{
    struct pm_message *m = list->first, *next;
    for (; m; m = next) {
        next = m->next;
        pm_message_free(m);
    }
    list->first = list->last = NULL;
}

int real_peer_open(struct real_peer *p, uint32_t rank, int fd, int process, uint64_t credit_bytes,
                   bool with_values)
{
    memset(p, 0, sizeof *p);
    p->rank = rank;
    p->fd = fd;
    p->process = process;
    p->credit_bytes = credit_bytes;
    p->with_values = with_values;
    p->buffer = malloc(REAL_BUFFER_BYTES);
    return p->buffer ? PM_OK : PM_E_MEMORY;
}

void real_peer_close(struct real_peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    real_list_free(&p->queue);
    real_list_free(&p->unsent);
    pm_message_free(p->partial);
    free(p->buffer);
    p->partial = NULL;
    p->buffer = NULL;
}

/* ---- Sending ---- */

void real_peer_append(struct real_peer *p, struct pm_message *m)
{
    m->next = NULL;
    m->sent_bytes = 0;
    __atomic_fetch_add(&p->queued_bytes, m->wire.length_bytes, __ATOMIC_RELAXED);
    real_latch_lock(&p->queue_latch);
    real_list_append(&p->queue, m, m);
    real_latch_unlock(&p->queue_latch);
}

static bool take_queue(struct real_peer *p)
{
    real_latch_lock(&p->queue_latch);
    p->unsent = p->queue;
    p->queue.first = p->queue.last = NULL;
    real_latch_unlock(&p->queue_latch);
    return p->unsent.first != NULL;
}

/* Forgets `bytes` that were written, from the front of unsent. */
static void advance(struct real_peer *p, size_t bytes)
{
    __atomic_fetch_sub(&p->queued_bytes, bytes, __ATOMIC_RELAXED);
    while (bytes > 0) {
        struct pm_message *m = p->unsent.first;
        uint32_t rest = m->wire.length_bytes - m->sent_bytes;
        if (bytes < rest) {
            m->sent_bytes += (uint32_t)bytes;
            return;
        }
        bytes -= rest;
        p->unsent.first = m->next;
        if (!m->next)
            p->unsent.last = NULL;
        pm_message_free(m);
    }
}

/* Appends what is unwritten of a message to the vector, as far as there is room: true when that is all of it.
 */
static bool add_to_vector(struct pm_message *m, struct iovec *vector, size_t *n)
{
    static const char zeros[ZEROS_BYTES];
    uint32_t at = m->sent_bytes;
    while (at < m->wire.length_bytes && *n < VECTOR_MAX) {
        struct iovec *v = &vector[(*n)++];
        bool stored = at < m->stored_bytes;
        uint32_t rest = (stored ? m->stored_bytes : m->wire.length_bytes) - at;
        v->iov_base = stored ? (char *)&m->wire + at : (char *)(uintptr_t)zeros;
        v->iov_len = !stored && rest > ZEROS_BYTES ? ZEROS_BYTES : rest;
        at += (uint32_t)v->iov_len;
    }
    return at == m->wire.length_bytes;
}

static ssize_t write_vector(struct real_peer *p)
{
    struct iovec vector[VECTOR_MAX];
    size_t n = 0;
    for (struct pm_message *m = p->unsent.first; m && n < VECTOR_MAX; m = m->next)
        if (!add_to_vector(m, vector, &n))
            break;
    struct msghdr header = {.msg_iov = vector, .msg_iovlen = n};
    ssize_t written;
    do
        written = sendmsg(p->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (written < 0 && errno == EINTR);
    return written;
}

/* With the send turn. `stuck` is cleared before the queue is looked at and set only while something is left:
 * who finds it set may rely on a report of the socket that comes later. */
static void write_all(struct real_peer *p)
{
    __atomic_store_n(&p->stuck, 0u, __ATOMIC_SEQ_CST);
    while (p->unsent.first || take_queue(p)) {
        if (__atomic_load_n(&p->broken, __ATOMIC_RELAXED)) {
            uint64_t dropped = 0;
            for (struct pm_message *m = p->unsent.first; m; m = m->next)
                dropped += m->wire.length_bytes - m->sent_bytes;
            advance(p, dropped);
            continue;
        }
        ssize_t written = write_vector(p);
        if (written >= 0) {
            advance(p, (size_t)written);
        } else if (errno == EAGAIN) {
            __atomic_store_n(&p->stuck, 1u, __ATOMIC_SEQ_CST);
            return;
        } else {
            /* The read side finds out what has happened and whether that matters. */
            __atomic_store_n(&p->broken, 1u, __ATOMIC_RELAXED);
        }
    }
}

void real_peer_flush(struct real_peer *p)
{
    if (__atomic_load_n(&p->stuck, __ATOMIC_SEQ_CST) || !real_turn_take(&p->send_turn))
        return;
    do
        write_all(p);
    while (!real_turn_give(&p->send_turn));
    if (__atomic_load_n(&p->credit_waiters, __ATOMIC_SEQ_CST) &&
        __atomic_load_n(&p->queued_bytes, __ATOMIC_SEQ_CST) <= p->credit_bytes / 2) {
        __atomic_fetch_add(&p->credit_word, 1u, __ATOMIC_SEQ_CST);
        real_word_wake_all(&p->credit_word);
    }
}

void real_peer_unstick(struct real_peer *p)
{
    __atomic_store_n(&p->stuck, 0u, __ATOMIC_SEQ_CST);
    real_peer_flush(p);
}

bool real_peer_wait_credit(struct real_peer *p, int64_t timeout_ns)
{
    __atomic_fetch_add(&p->credit_waiters, 1u, __ATOMIC_SEQ_CST);
    uint32_t word = __atomic_load_n(&p->credit_word, __ATOMIC_SEQ_CST);
    bool enough = __atomic_load_n(&p->queued_bytes, __ATOMIC_SEQ_CST) <= p->credit_bytes / 2;
    if (!enough)
        real_word_wait(&p->credit_word, word, timeout_ns);
    __atomic_fetch_sub(&p->credit_waiters, 1u, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&p->queued_bytes, __ATOMIC_SEQ_CST) <= p->credit_bytes / 2;
}

/* ---- Receiving ---- */

/* Header fields that must be right before a byte of the body is believed. */
static int check_header(const struct real_peer *p, const struct pm_wire *w, struct pm_error *err)
{
    if (w->length_bytes < PM_WIRE_BYTES || w->length_bytes > PM_MESSAGE_BYTES_MAX)
        return pm_error_set(err, PM_E_MESSAGE, "length_bytes %u is outside %d to %d", w->length_bytes,
                            PM_WIRE_BYTES, PM_MESSAGE_BYTES_MAX);
    if (w->kind >= PM_MSG_KINDS)
        return pm_error_set(err, PM_E_MESSAGE, "kind %u is unknown", w->kind);
    if (w->source != p->rank)
        return pm_error_set(err, PM_E_MESSAGE, "source %u is not the sender", w->source);
    return PM_OK;
}

struct taker {
    const struct real_peer *peer;
    int (*take)(void *arg, struct pm_message *m, struct pm_error *err);
    void *arg;
    struct pm_error *err;
};

static int take_whole(struct pm_message *m, const struct taker *to)
{
    uint64_t unstored = to->peer->with_values ? 0 : 4ull * m->wire.n_floats;
    m->stored_bytes = unstored <= m->wire.length_bytes ? m->wire.length_bytes - (uint32_t)unstored : 0;
    if (pm_message_check(m, m->stored_bytes, to->peer->with_values) == PM_OK)
        return to->take(to->arg, m, to->err);
    struct pm_wire w = m->wire;
    pm_message_free(m);
    return pm_error_set(to->err, PM_E_MESSAGE,
                        "length_bytes %u does not fit kind %s with flags %u, n_keys %u, n_floats %u",
                        w.length_bytes, pm_message_kind_name(w.kind), w.flags, w.n_keys, w.n_floats);
}

/* Takes the messages out of the buffer; of the last one, which may be incomplete, what there is. */
static int parse(struct real_peer *p, const struct taker *to)
{
    size_t at = 0;
    while (p->have - at >= PM_WIRE_BYTES) {
        struct pm_wire w;
        memcpy(&w, p->buffer + at, sizeof w);
        int rc = check_header(p, &w, to->err);
        if (rc != PM_OK)
            return rc;
        struct pm_message *m = pm_message_raw(w.length_bytes);
        if (!m)
            return pm_error_set(to->err, PM_E_MEMORY, "out of memory for a message of %u bytes",
                                w.length_bytes);
        size_t there = p->have - at;
        uint32_t part = there < w.length_bytes ? (uint32_t)there : w.length_bytes;
        memcpy(&m->wire, p->buffer + at, part);
        at += part;
        if (part < w.length_bytes) {
            p->partial = m;
            p->partial_have = part;
        } else if ((rc = take_whole(m, to)) != PM_OK) {
            return rc;
        }
    }
    p->have -= at;
    memmove(p->buffer, p->buffer + at, p->have);
    return PM_OK;
}

/* Sorts `got` new bytes into the message that is under way and the buffer. */
static int accept_bytes(struct real_peer *p, size_t got, const struct taker *to)
{
    struct pm_message *m = p->partial;
    if (m) {
        size_t rest = m->wire.length_bytes - p->partial_have;
        size_t part = got < rest ? got : rest;
        p->partial_have += (uint32_t)part;
        got -= part;
        if (part == rest) {
            p->partial = NULL;
            int rc = take_whole(m, to);
            if (rc != PM_OK)
                return rc;
        }
    }
    p->have += got;
    return parse(p, to);
}

enum real_read real_peer_read(struct real_peer *p,
                              int (*take)(void *arg, struct pm_message *m, struct pm_error *err), void *arg,
                              struct pm_error *err)
{
    struct iovec vector[2];
    int n = 0;
    size_t room = 0;
    if (p->partial) {
        vector[n].iov_base = (char *)&p->partial->wire + p->partial_have;
        vector[n].iov_len = p->partial->wire.length_bytes - p->partial_have;
        room = vector[n++].iov_len;
    }
    vector[n].iov_base = p->buffer + p->have;
    vector[n].iov_len = REAL_BUFFER_BYTES - p->have;
    room += vector[n++].iov_len;
    ssize_t got;
    do
        got = readv(p->fd, vector, n);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return REAL_READ_END;
    if (got < 0)
        return errno == EAGAIN ? REAL_READ_ALL : REAL_READ_FAILED;
    const struct taker to = {p, take, arg, err};
    if (accept_bytes(p, (size_t)got, &to) != PM_OK)
        return REAL_READ_BAD;
    return (size_t)got < room ? REAL_READ_ALL : REAL_READ_MORE;
}
