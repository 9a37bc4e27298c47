/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold in a whole cluster between any two events, for models of counters: every push adds one whole
 * number > 0 to all elements of a key. Reads the nodes' state; one thread. */
#ifndef PM_TESTS_INVARIANTS_H
#define PM_TESTS_INVARIANTS_H

#include "core/layout.h"
#include "memnet/memnet.h"

/* What is found of one key in the whole cluster. */
struct tally {
    uint32_t owners, transfers; /* nodes that own it; messages that carry its main copy */
    pm_node_id holder;          /* that node, or where the message goes */
    uint64_t version;
    double found; /* added to its main copy, or on its way there */
    double waits; /* of pushes that wait at some node */
    /* copies of one state (exchange by all-reduce): it, where the newest result is installed, and where the one before is */
    bool has_common[2];
    double common[2];
};

struct invariants {
    uint64_t n_keys, n_counters; /* the last keys are no counters: their sums are not followed */
    /* Per counter: what was added by pushes that have been begun, and by those that their worker knows to be complete.
     * NULL where sums are not followed (no values). */
    const double *issued, *completed;
    uint64_t every; /* the whole model is looked at after every so many events, touched keys after each */
    uint32_t nodes;
    uint64_t skipped;
    uint64_t sealed; /* pushes in flight that only their receiver can read: sums of the keys are not known then */
    /* per key */
    uint64_t *version; /* of its main copy as last seen */
    struct tally *tallies;
    bool *touched, *looked_at;
    pm_key *touched_keys, *all_keys;
    uint64_t n_touched;
    /* per key and node */
    uint8_t *asked;   /* how many requests of this node for the key are under way or noted, or carry it there */
    pm_node_id *next; /* who gets it from this node */
    const struct pm_layout *layout;
    struct memnet *net;
    uint64_t newest; /* exchange whose result is installed somewhere */
};

/* Fills the rest of v. PM_OK or PM_E_MEMORY. */
int invariants_init(struct invariants *v, uint32_t nodes);
void invariants_fini(struct invariants *v);

/* Something happens to these keys during this event. */
void invariants_touch(struct invariants *v, const pm_key *keys, size_t n);
void invariants_touch_message(struct invariants *v, struct pm_message *m);

/* After an event, each of: one owner per key, or one message that carries it; every node at which a key is arriving has
 * asked for it once, and nobody else; from owner to owner the chain of those who get it ends with the one that the home
 * names; versions never go back; completed <= main copy + unsent deltas + deltas and pushes in flight, and together with
 * the pushes that wait they are what was issued; all elements of a main copy alike; each worker's accesses by kind add up
 * to the keys that it asked for. */
int invariants_check(struct invariants *v, struct memnet *net, struct pm_error *err);
/* After a drain: the sums are issued, nothing is in flight, nothing waits, no key is arriving, homes agree with owners. */
int invariants_check_quiet(struct invariants *v, struct memnet *net, struct pm_error *err);

#endif
