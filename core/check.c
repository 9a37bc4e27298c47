/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks of received messages that need the node's layout. */
#include "core/internal.h"
#include "core/versions.h"


int pm_bad(struct pm_error *err, const struct pm_message *m, const char *field)
{
    return pm_error_set(err, PM_E_MESSAGE, "%s message from node %u: field %s is out of bounds",
                        pm_message_kind_name(m->wire.kind), m->wire.source, field);
}

/* What an answer says of each key besides its value, at most. */
static uint64_t answered_bytes(const struct pm_node *node)
{
    return pm_replies_located(node) ? 8 : 4;
}

/* What a request says more of each key when it is put off or passed on in parts. */
static uint64_t grown_bytes(const struct pm_node *node)
{
    const bool parts = node->traits.relocates || node->policy->route || node->policy->serve;
    return node->traits.grants ? 12 : parts ? 4 : 0;
}

int pm_check_keys(const struct pm_node *node, struct pm_message *m, bool pull, struct pm_error *err)
{
    const pm_key *keys = pm_message_keys(m);
    uint64_t floats = 0;
    for (uint32_t i = 0; i < m->wire.n_keys; i++) {
        if (keys[i] >= node->layout->n_keys)
            return pm_bad(err, m, "key");
        floats += pm_length(node, keys[i]);
    }
    if (m->wire.n_floats != (pull ? 0 : floats))
        return pm_bad(err, m, "n_floats");
    if (pull && PM_WIRE_BYTES + answered_bytes(node) * m->wire.n_keys + 4 * floats > PM_MESSAGE_BYTES_MAX)
        return pm_bad(err, m, "n_keys (the answer would be too long)");
    if (m->wire.kind == PM_MSG_ACCESS && m->wire.length_bytes + grown_bytes(node) * m->wire.n_keys > PM_MESSAGE_BYTES_MAX)
        return pm_bad(err, m, "n_keys (too long to be passed on)");
    return PM_OK;
}
