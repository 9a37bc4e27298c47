/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Slots: the stores behind one interface, and the blocks that they give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/rng.h"
#include "core/slots.h"

enum { KEYS = 1000 };

static void *allocate(void *self, size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    (void)self;
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self, (void)bytes;
    free(memory);
}

static const struct pm_memory memory = {.alloc = allocate, .release = release};

struct made {
    struct pm_layout layout;
    struct pm_slots slots;
};

static struct made *make(enum pm_store store, uint32_t length, uint32_t private_bytes)
{
    struct made *m = calloc(1, sizeof *m);
    assert_int_equal(pm_layout_add(&m->layout, KEYS, length, NULL), 0);
    int rc = pm_slots_init(&m->slots, &m->layout, store, true, private_bytes, &memory, NULL, NULL);
    assert_int_equal(rc, PM_OK);
    return m;
}

static void unmake(struct made *m)
{
    pm_slots_fini(&m->slots);
    free(m);
}

static bool is_beside(const struct pm_slots *s, const struct pm_slot *slot)
{
    return pm_slot_private(s, slot) == (const void *)(slot + 1);
}

/* Owned, replica, owned again: each time a zeroed block, which is filled to its end, and no other key's is
 * touched. */
static void fill_and_give_back(struct made *m, uint32_t length, uint32_t private_bytes, bool near)
{
    size_t replica_bytes = private_bytes + sizeof(float) * (2 * length + 2);
    for (int turn = 0; turn < 3; turn++) {
        bool replica = turn == 1;
        for (pm_key key = 0; key < KEYS; key++) {
            struct pm_slot *slot = pm_slots_get(&m->slots, key);
            assert_int_equal(pm_slot_attach(&m->slots, key, slot, replica), PM_OK);
            assert_true(is_beside(&m->slots, slot) == (near && (!replica || replica_bytes <= 32)));
            char *private = pm_slot_private(&m->slots, slot);
            for (uint32_t i = 0; i < private_bytes; i++)
                assert_int_equal(private[i], 0);
            memset(private, (int)key, private_bytes);
            for (uint32_t j = 0; j < length; j++) {
                assert_true(slot->value[j] == 0);
                slot->value[j] = (float)key;
            }
            for (uint32_t j = 0; replica && j < length; j++) {
                assert_true(pm_slot_delta(&m->slots, slot, length)[j] == 0);
                pm_slot_delta(&m->slots, slot, length)[j] = (float)key + 1;
            }
        }
        for (pm_key key = 0; key < KEYS; key++) {
            struct pm_slot *slot = pm_slots_find(&m->slots, key);
            assert_int_equal(slot->state, replica ? PM_SLOT_REPLICA : PM_SLOT_OWNED);
            for (uint32_t i = 0; i < private_bytes; i++)
                assert_int_equal(((char *)pm_slot_private(&m->slots, slot))[i], (char)key);
            for (uint32_t j = 0; j < length; j++)
                assert_true(slot->value[j] == (float)key);
            for (uint32_t j = 0; replica && j < length; j++)
                assert_true(pm_slot_delta(&m->slots, slot, length)[j] == (float)key + 1);
            pm_slot_detach(&m->slots, key, slot);
            assert_int_equal(slot->state, PM_SLOT_ABSENT);
            assert_null(slot->value);
        }
    }
}

static void blocks_of(enum pm_store store, uint32_t length, uint32_t private_bytes, bool near)
{
    struct made *m = make(store, length, private_bytes);
    assert_true((pm_slots_room(&m->slots) > 0) == near);
    fill_and_give_back(m, length, private_bytes, near);
    unmake(m);
}

static void sparse_blocks(void **state)
{
    (void)state;
    blocks_of(PM_STORE_SPARSE, 4, 0, false);
    blocks_of(PM_STORE_SPARSE, 13, 5, false);
}

static void dense_blocks(void **state)
{
    (void)state;
    blocks_of(PM_STORE_DENSE, 4, 0, false);
    blocks_of(PM_STORE_DENSE, 13, 5, false);
}

static void near_blocks(void **state)
{
    (void)state;
    blocks_of(PM_STORE_NEAR, 1, 0, true);
    blocks_of(PM_STORE_NEAR, 8, 0, true);
    blocks_of(PM_STORE_NEAR, 6, 8, true);
    blocks_of(PM_STORE_NEAR, 7, 8, false); /* one float too many: as a dense store */
    blocks_of(PM_STORE_NEAR, 9, 0, false);
}

static void slots_keep_apart(void **state)
{
    (void)state;
    const enum pm_store stores[] = {PM_STORE_SPARSE, PM_STORE_DENSE, PM_STORE_NEAR};
    for (int i = 0; i < 3; i++) {
        struct made *m = make(stores[i], 4, 0);
        struct pm_slot *first = pm_slots_get(&m->slots, 0);
        for (pm_key key = 0; key < KEYS; key++) {
            struct pm_slot *slot = pm_slots_get(&m->slots, key);
            assert_int_equal(slot->location, PM_NODE_NONE);
            slot->location = (pm_node_id)key;
        }
        assert_ptr_equal(first, pm_slots_find(&m->slots, 0));
        for (pm_key key = 0; key < KEYS; key++)
            assert_int_equal(pm_slots_find(&m->slots, key)->location, key);
        unmake(m);
    }
}

static void note(void *arg, pm_key key, struct pm_slot *slot)
{
    pm_key *last = arg;
    assert_int_equal(slot->state, PM_SLOT_OWNED);
    assert_int_equal(key, *last + 3);
    *last = key;
}

static void visits_in_order(void **state)
{
    (void)state;
    const enum pm_store stores[] = {PM_STORE_SPARSE, PM_STORE_DENSE, PM_STORE_NEAR};
    for (int i = 0; i < 3; i++) {
        struct made *m = make(stores[i], 4, 0);
        for (pm_key key = 3; key < KEYS; key += 3)
            assert_int_equal(pm_slot_attach(&m->slots, key, pm_slots_get(&m->slots, key), false), PM_OK);
        pm_key last = 0;
        pm_slots_visit(&m->slots, note, &last);
        assert_int_equal(last, KEYS - 1);
        unmake(m);
    }
}

static void an_unknown_key_of_a_sparse_store(void **state)
{
    (void)state;
    struct made *m = make(PM_STORE_SPARSE, 4, 0);
    assert_null(pm_slots_find(&m->slots, 7));
    assert_non_null(pm_slots_get(&m->slots, 7));
    assert_non_null(pm_slots_find(&m->slots, 7));
    assert_null(pm_slots_find(&m->slots, 8));
    unmake(m);
}

/* Keys come and go in no order: those that are there keep their slots, the others are unknown, and come back empty to a place
 * that another has left. */
static void keys_are_forgotten(void **state)
{
    (void)state;
    enum { STEPS = 60000, MOST_AT_ONCE = 700 };
    struct made *m = make(PM_STORE_SPARSE, 4, 0);
    struct pm_slot *slot_of[KEYS] = {0}, *places[KEYS];
    uint32_t n = 0, n_places = 0;
    struct pm_rng rng;
    pm_rng_init(&rng, "forget", 1, 0, 0);
    for (int step = 0; step < STEPS; step++) {
        pm_key key = pm_rng_below(&rng, KEYS);
        struct pm_slot *found = pm_slots_find(&m->slots, key);
        assert_ptr_equal(found, slot_of[key]);
        if (found) {
            assert_int_equal(found->location, key);
            pm_slots_forget(&m->slots, key);
            slot_of[key] = NULL;
            n--;
        } else if (n < MOST_AT_ONCE) {
            struct pm_slot *slot = slot_of[key] = pm_slots_get(&m->slots, key);
            assert_true(slot && slot->state == PM_SLOT_ABSENT && slot->location == PM_NODE_NONE && !slot->value);
            slot->location = (pm_node_id)key;
            n++;
            uint32_t p = 0;
            while (p < n_places && places[p] != slot)
                p++;
            if (p == n_places)
                places[n_places++] = slot;
        }
    }
    assert_true(n_places <= MOST_AT_ONCE);
    unmake(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_blocks),    cmocka_unit_test(dense_blocks),
        cmocka_unit_test(near_blocks),      cmocka_unit_test(slots_keep_apart),
        cmocka_unit_test(visits_in_order), cmocka_unit_test(an_unknown_key_of_a_sparse_store),
        cmocka_unit_test(keys_are_forgotten),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
