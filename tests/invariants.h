/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold in a whole cluster between any two events, for models of counters: every push adds one whole
 * number > 0 to all elements of a key. Reads the nodes' state; one thread. */
#ifndef PM_TESTS_INVARIANTS_H
#define PM_TESTS_INVARIANTS_H

#include "core/layout.h"
#include "memnet/memnet.h"

/* Per key: what was added by pushes that have been begun, and by those that their worker knows to be
 * complete. NULL where sums are not followed (no values). */
struct invariants {
    uint64_t n_keys;
    const double *issued, *completed;
    uint64_t *version; /* of each main copy as last seen; n_keys, zero at the start */
    uint64_t every;    /* the whole model is looked at after every so many events */
    double *found;     /* n_keys, scratch; the rest is filled here */
    uint64_t skipped;
    const struct pm_layout *layout;
};

/* Each of: one owner per key; versions never go back; completed <= main copy + unsent deltas + deltas and
 * pushes in flight <= issued; all elements of a main copy alike; each worker's accesses by kind add up to the
 * keys that it asked for. */
int invariants_check(struct invariants *v, struct memnet *net, struct pm_error *err);
/* After a drain: the sums are issued, and nothing is in flight. */
int invariants_check_quiet(struct invariants *v, struct memnet *net, struct pm_error *err);

#endif
