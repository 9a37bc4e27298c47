/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making, measuring and checking messages. */
#include "core/message.h"

#include <stdlib.h>

#include "core/error.h"

static const char *const kind_names[PM_MSG_KINDS] = {
    [PM_MSG_ACCESS] = "access",   [PM_MSG_REPLY] = "reply",     [PM_MSG_ROUND] = "round",
    [PM_MSG_ANSWER] = "answer",   [PM_MSG_COLLECT] = "collect", [PM_MSG_SPREAD] = "spread",
    [PM_MSG_PARTIAL] = "partial",
    [PM_MSG_RELOCATE] = "relocate", [PM_MSG_TRANSFER] = "transfer",
    [PM_MSG_GRANT] = "grant",     [PM_MSG_OWNER] = "owner",
    [PM_MSG_CLOCK] = "clock",     [PM_MSG_BARRIER] = "barrier", [PM_MSG_RELEASE] = "release",
    [PM_MSG_WAVE] = "wave",       [PM_MSG_STATS] = "stats",     [PM_MSG_PRIVATE] = "private",
    [PM_MSG_HELLO] = "hello",     [PM_MSG_GOODBYE] = "goodbye",
};

const char *pm_message_kind_name(enum pm_message_kind kind)
{
    return (unsigned)kind < PM_MSG_KINDS ? kind_names[kind] : "unknown";
}

uint64_t pm_body_bytes(const struct pm_wire *w)
{
    uint64_t per_key = (uint64_t)pm_key_bytes(w) + pm_meta_bytes(w);
    return PM_WIRE_BYTES + w->n_keys * per_key + 4ull * w->n_floats;
}

struct pm_message *pm_message_raw(uint32_t length_bytes)
{
    if (length_bytes < PM_WIRE_BYTES || length_bytes > PM_MESSAGE_BYTES_MAX)
        return NULL;
    struct pm_message *m = malloc(offsetof(struct pm_message, wire) + length_bytes);
    if (!m)
        return NULL;
    m->next = NULL;
    m->destination = PM_NODE_NONE;
    m->stored_bytes = length_bytes;
    m->sent_bytes = 0;
    m->spare = 0;
    return m;
}

struct pm_message *pm_message_new(enum pm_message_kind kind, const struct pm_shape *shape)
{
    struct pm_wire w = {.kind = (uint8_t)kind,
                        .flags = (uint8_t)((shape->indexed ? PM_FLAG_INDEXED : 0) | (shape->versions ? PM_FLAG_VERSIONS : 0) |
                                           (shape->located ? PM_FLAG_LOCATED : 0)),
                        .n_keys = shape->n_keys,
                        .n_floats = shape->n_floats};
    uint64_t length = pm_body_bytes(&w) + shape->blob_bytes;
    if (length > PM_MESSAGE_BYTES_MAX)
        return NULL;
    w.length_bytes = (uint32_t)length;
    uint32_t stored = w.length_bytes - (shape->with_values ? 0 : 4 * shape->n_floats);
    struct pm_message *m = pm_message_raw(stored);
    if (m)
        m->wire = w;
    return m;
}

void pm_message_free(struct pm_message *m)
{
    free(m);
}

/* Which kinds may carry keys, floats, a blob. */
static bool has_keys(uint8_t kind)
{
    return kind <= PM_MSG_OWNER;
}
static bool has_blob(uint8_t kind)
{
    return kind >= PM_MSG_BARRIER;
}

int pm_message_check(const struct pm_message *m, uint32_t received_bytes, bool with_values)
{
    const struct pm_wire *w = &m->wire;
    if (received_bytes < PM_WIRE_BYTES || w->kind >= PM_MSG_KINDS || w->length_bytes > PM_MESSAGE_BYTES_MAX)
        return PM_E_MESSAGE;
    uint8_t known = PM_FLAG_UNCHARGED;
    if (w->kind == PM_MSG_ACCESS || w->kind == PM_MSG_REPLY)
        known |= PM_FLAG_INDEXED | PM_FLAG_MODEL | PM_FLAG_FILTERED | PM_FLAG_LOCATED;
    else if (w->kind == PM_MSG_ROUND)
        known |= PM_FLAG_VERSIONS | PM_FLAG_LOCATED;
    else if (w->kind == PM_MSG_ANSWER)
        known |= PM_FLAG_LOCATED;
    if (w->flags & ~known)
        return PM_E_MESSAGE;
    if (!has_keys(w->kind) && (w->n_keys || w->n_floats))
        return PM_E_MESSAGE;
    uint64_t unstored = with_values ? 0 : 4ull * w->n_floats;
    bool free_form = w->flags & PM_FLAG_FILTERED;
    uint64_t body = free_form ? PM_WIRE_BYTES + unstored : pm_body_bytes(w);
    if (has_blob(w->kind) || free_form ? w->length_bytes < body : w->length_bytes != body)
        return PM_E_MESSAGE;
    uint64_t expected = w->length_bytes - unstored;
    return received_bytes == expected ? PM_OK : PM_E_MESSAGE;
}
