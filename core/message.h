/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages between nodes: one fixed little-endian header, then keys, then per-kind metadata, then values.
 *
 * A struct pm_message holds its wire form contiguously (`wire` and the bytes after it), so that a socket backend writes
 * it as it is and a simulator charges `wire.length_bytes`. With `--values none` the values are counted in the length but
 * not stored; `stored_bytes` says what is really there. The object has one owner at a time: the context that builds it,
 * then the backend, then the context that handles it; whoever owns it last frees it with pm_message_free.
 *
 * Body layout, in this order, every section 4-byte aligned and keys 8-byte aligned because the header is 48 bytes:
 *   keys     n_keys x u64, but none in a REPLY, whose keys the origin knows
 *   meta     n_keys x pm_meta_bytes(wire) bytes, one array after another: u64 versions of ROUND (PM_FLAG_VERSIONS), TRANSFER
 *            and GRANT, u64 stamps of ANSWER; u32 entry numbers of indexed REPLY/ACCESS, u32 entry flags of ROUND and GRANT;
 *            u32 owners of OWNER and of what is located (but REPLY and ANSWER come from the owner); u32 counters of
 *            relocations of GRANT, OWNER and of what is located (PM_FLAG_LOCATED)
 *   values   n_floats x f32
 *   blob     the rest: doubles of a reduction, statistics, private bytes of a policy                                  */
#ifndef PM_CORE_MESSAGE_H
#define PM_CORE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/types.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire form is this machine's own byte order");

enum pm_message_kind {
    PM_MSG_ACCESS,   /* pull, push or set of keys, on its way to the owner */
    PM_MSG_REPLY,    /* answer to the origin: pulled values, or the acknowledgement of pushes */
    PM_MSG_ROUND,    /* to owners: deltas of replicas, refresh requests, "intent over" */
    PM_MSG_ANSWER,   /* to replica holders: refreshed values */
    PM_MSG_COLLECT,  /* exchange over hubs, first half: deltas to their owner; also a marker when empty */
    PM_MSG_SPREAD,   /* exchange over hubs, second half: changed main copies to every replica; also a marker */
    PM_MSG_PARTIAL,  /* exchange by all-reduce: sums of deltas of some nodes, by rising keys */
    PM_MSG_RELOCATE, /* `origin` wants to own these keys: to the home (hop 0), from there to the owner (hop 1) */
    PM_MSG_TRANSFER, /* from the old owner to the new one: values and versions */
    PM_MSG_GRANT,    /* from the old owner to a replica holder that asked for a refresh: it owns these keys now */
    PM_MSG_OWNER,    /* to homes: who owns these keys now */
    PM_MSG_CLOCK,    /* the sender's minimum clock rose to `number` */
    PM_MSG_BARRIER,  /* to node 0: all workers of the sender arrived; blob = their doubles */
    PM_MSG_RELEASE,  /* from node 0: leave the barrier; blob = sums */
    PM_MSG_WAVE,     /* drain: to node 0 a count of updates and messages, from node 0 the verdict */
    PM_MSG_STATS,    /* to node 0: counters of an epoch */
    PM_MSG_PRIVATE,  /* a policy's own; `sub` is its private kind */
    PM_MSG_HELLO,    /* backend only: never enters the core */
    PM_MSG_GOODBYE,  /* backend only */
    PM_MSG_KINDS
};

enum pm_op_kind { PM_OP_PULL, PM_OP_PUSH, PM_OP_SET, PM_OP_KINDS };

enum pm_message_flag {
    PM_FLAG_UNCHARGED = 1, /* evaluation: takes no simulated time, is in no count */
    PM_FLAG_INDEXED = 2,   /* ACCESS/REPLY name entries of the request one by one (the request was split) */
    PM_FLAG_MODEL = 4,     /* ACCESS that must read the main copy whatever the policy says */
    PM_FLAG_FILTERED = 8,  /* ACCESS/REPLY whose body is the policy's, until its filter_in has turned it back */
    PM_FLAG_VERSIONS = 16, /* ROUND: entries name the version that the replica had before its delta raised it */
    PM_FLAG_LOCATED = 32,  /* forwarded ACCESS/ROUND: the newest owner of each key that the sender has heard of, with the counter
                              of relocations that made it so; REPLY/ANSWER: the counter that made the sender the owner */
};

enum pm_round_entry_flag {
    PM_ROUND_DELTA = 1,
    PM_ROUND_REFRESH = 2,
    PM_ROUND_OVER = 4,
    PM_ROUND_UNREADY = 8, /* with versions: the replica has no value yet */
    PM_ROUND_FLAGS = 15,
    PM_ROUND_MERGED_SHIFT = 4 /* with versions: above the flags, how many pushes are merged in the delta */
};
#define PM_ROUND_MERGED_MOST (UINT32_MAX >> PM_ROUND_MERGED_SHIFT)
enum pm_grant_entry_flag { PM_GRANT_VALUE = 1 /* else the replica's own value is that of the main copy */ };

/* Limit of one message, keys and values and header. Core splits; a larger received one is malformed. */
enum { PM_MESSAGE_BYTES_MAX = 64 << 20, PM_WIRE_BYTES = 48 };

struct pm_wire {
    uint32_t length_bytes; /* of the whole encoding, this header included */
    uint8_t kind;          /* enum pm_message_kind */
    uint8_t flags;         /* enum pm_message_flag */
    uint8_t op;            /* enum pm_op_kind of ACCESS and REPLY */
    uint8_t hop;           /* how often it was forwarded */
    uint32_t source;       /* node that sent this hop */
    uint32_t origin;       /* node whose worker asked, whose replica it is, or that wants to own; = source except in forwards */
    uint32_t n_keys;
    uint32_t n_floats;
    uint32_t request;      /* ACCESS, REPLY: the operation at the origin; CLOCK: the sender's era; ANSWER, where owners push
                              values: its place in the sequence to this node */
    uint16_t worker;       /* the worker at the origin */
    uint16_t sub;          /* private kind of PRIVATE; 1 in the last message of a COLLECT, SPREAD or step; how a filtered
                              message is to be read; otherwise 0 */
    uint64_t number;       /* need of a request, clock, number of a round, a barrier or a wave */
    uint32_t first;        /* ACCESS, REPLY: the operation's entry that the first key is (unless indexed); ROUND: its place in
                              the sender's sequence to this node; ANSWER: the last ROUND of the receiver that it knows of;
                              PARTIAL: its step in the round */
    uint32_t updates;      /* pushes merged into the deltas of this message (ROUND, COLLECT, the last PARTIAL of a step); ANSWER:
                              refreshes that it answers without a value, because the replica is as new as the main copy or is to
                              have none */
};
_Static_assert(sizeof(struct pm_wire) == PM_WIRE_BYTES, "no padding on the wire");

struct pm_message {
    struct pm_message *next; /* for whoever holds it: outbox, socket queue, inbox */
    pm_node_id destination;
    uint32_t stored_bytes; /* bytes present from `wire` on; less than length_bytes with --values none */
    uint32_t sent_bytes;   /* a socket backend's progress */
    uint32_t spare; /* a backend's own; 0 in a new message */
    struct pm_wire wire;   /* the encoding starts here and runs on behind this struct */
};
_Static_assert(offsetof(struct pm_message, wire) % 8 == 0, "keys must be 8-byte aligned");

/* What of a body to make room for. */
struct pm_shape {
    uint32_t n_keys, n_floats;
    uint32_t blob_bytes;
    bool indexed;     /* PM_FLAG_INDEXED */
    bool versions;    /* PM_FLAG_VERSIONS */
    bool located;     /* PM_FLAG_LOCATED */
    bool with_values; /* false: floats are counted, not stored */
};

/* A new message with everything in the header but numbers and routing filled in; NULL when memory is out or the limit
 * is passed. The body is uninitialised. */
struct pm_message *pm_message_new(enum pm_message_kind kind, const struct pm_shape *shape);
/* A new message with room for `length_bytes` of encoding, for a backend that has read a header off a socket. */
struct pm_message *pm_message_raw(uint32_t length_bytes);
void pm_message_free(struct pm_message *m);

/* Bytes of a key and of metadata per key for this kind and these flags. */
static inline uint32_t pm_key_bytes(const struct pm_wire *w)
{
    return w->kind == PM_MSG_REPLY ? 0 : (uint32_t)sizeof(pm_key);
}
static inline uint32_t pm_located_bytes(const struct pm_wire *w)
{
    bool from_owner = w->kind == PM_MSG_REPLY || w->kind == PM_MSG_ANSWER;
    return !(w->flags & PM_FLAG_LOCATED) ? 0 : from_owner ? 4 : 8;
}
static inline uint32_t pm_meta_bytes(const struct pm_wire *w)
{
    switch (w->kind) {
    case PM_MSG_ACCESS:
    case PM_MSG_REPLY:
        return (w->flags & PM_FLAG_INDEXED ? 4 : 0) + pm_located_bytes(w);
    case PM_MSG_ROUND:
        return (w->flags & PM_FLAG_VERSIONS ? 12 : 4) + pm_located_bytes(w);
    case PM_MSG_ANSWER:
        return 8 + pm_located_bytes(w);
    case PM_MSG_TRANSFER:
    case PM_MSG_OWNER:
        return 8;
    case PM_MSG_GRANT:
        return 16;
    default:
        return 0;
    }
}
/* Length that the header's counts imply without the blob, or 0 when they overflow the limit. */
uint64_t pm_body_bytes(const struct pm_wire *w);

/* Checks all that can be checked without a node: kind, flags, lengths, limits. `received_bytes` is what arrived.
 * PM_OK or PM_E_MESSAGE. (Keys, workers and requests are checked by the node, pm_node_receive.) */
int pm_message_check(const struct pm_message *m, uint32_t received_bytes, bool with_values);

const char *pm_message_kind_name(enum pm_message_kind kind);

/* Kinds that serve the tool rather than parameter management (barriers, waves, statistics): delivered and charged like
 * others, but left out of the balance of messages sent and received that drain compares. */
static inline bool pm_message_is_control(uint8_t kind)
{
    return kind == PM_MSG_BARRIER || kind == PM_MSG_RELEASE || kind == PM_MSG_WAVE || kind == PM_MSG_STATS;
}

static inline pm_key *pm_message_keys(struct pm_message *m)
{
    return (pm_key *)(void *)((char *)&m->wire + PM_WIRE_BYTES);
}
static inline void *pm_message_meta(struct pm_message *m)
{
    return (char *)&m->wire + PM_WIRE_BYTES + (size_t)pm_key_bytes(&m->wire) * m->wire.n_keys;
}
/* Parts of the metadata, for kinds and flags that have them. */
static inline uint32_t *pm_entry_flags(struct pm_message *m) /* of ROUND, GRANT */
{
    bool versions = m->wire.kind == PM_MSG_GRANT || (m->wire.flags & PM_FLAG_VERSIONS);
    return (uint32_t *)(void *)((char *)pm_message_meta(m) + (versions ? (size_t)8 * m->wire.n_keys : 0));
}
static inline uint32_t *pm_entry_counters(struct pm_message *m) /* of GRANT, OWNER and what is located */
{
    return (uint32_t *)(void *)((char *)pm_message_meta(m) + (size_t)(pm_meta_bytes(&m->wire) - 4) * m->wire.n_keys);
}
static inline pm_node_id *pm_entry_owners(struct pm_message *m) /* of OWNER and located ACCESS and ROUND */
{
    return (pm_node_id *)(void *)((char *)pm_message_meta(m) + (size_t)(pm_meta_bytes(&m->wire) - 8) * m->wire.n_keys);
}
static inline float *pm_message_values(struct pm_message *m)
{
    return (float *)(void *)((char *)pm_message_meta(m) + (size_t)pm_meta_bytes(&m->wire) * m->wire.n_keys);
}
/* Only for messages without floats (reductions, statistics, private ones). */
static inline void *pm_message_blob(struct pm_message *m)
{
    return pm_message_values(m);
}

#endif
