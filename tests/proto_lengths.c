/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Very long values, and the longest that there may be: every kind of message holds one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "core/registry.h"
#include "tests/memnet.h"
#include "tests/repeat.h"
#include "tests/testload.h"

static int run(struct testjob *t, struct pm_error *err)
{
    const struct memnet_config config = {.seed = 1, .dense = true};
    return memnet_run(&t->job, &config, NULL, err);
}

/* Pulls and pushes all keys, one by one and together. */
static int pull_and_push(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = PM_OK;
    for (pm_key key = 0; key < 4 && rc == PM_OK; key++) {
        pm_ticket pushed = pm_push(w, &key, 1, NULL), pulled = pm_pull(w, &key, 1, NULL);
        rc = pushed < 0 ? (int)pushed : pulled < 0 ? (int)pulled : pm_wait_all(w);
    }
    pm_ticket all = rc == PM_OK ? pm_pull_range(w, 0, 4, NULL) : rc;
    rc = all < 0 ? (int)all : pm_wait(w, all);
    return rc == PM_OK ? pm_drain(w) : rc;
}

static void longest_values(void **state)
{
    const struct pm_policy *policy = *state;
    const struct testload_shape shape = {.keys = 4, .length = PM_LAYOUT_LENGTH_MAX};
    struct testjob t;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, policy, "", &shape, &err), PM_OK);
    testjob_cluster(&t, 2, 2);
    t.job.with_values = false;
    t.job.main = pull_and_push;
    if (run(&t, &err) != PM_OK)
        fail_msg("%s", err.text);
    t.job.max_message = PM_MAX_MESSAGE_MOST + 1u;
    assert_int_equal(run(&t, &err), PM_E_LIMIT);
    testjob_free(&t);
}

/* ---- the digest of values of a whole model ---- */

struct digest {
    uint64_t floats, longest;
};
static struct digest last;

static void *start_digest(void)
{
    return calloc(1, sizeof(struct digest));
}

static void feed_digest(void *digest, const float *values, uint64_t n)
{
    struct digest *d = digest;
    d->floats += n;
    d->longest = n > d->longest ? n : d->longest;
    assert_true(values[0] == (float)(int)values[0]);
}

static uint64_t finish_digest(void *digest)
{
    last = *(struct digest *)digest;
    free(digest);
    return last.floats;
}

/* Takes the memory of some values, however many keys there are. */
static void digest_of_long_values(void **state)
{
    (void)state;
    enum { LENGTH = 4 << 20 };
    static const struct pm_digest digest = {start_digest, feed_digest, finish_digest};
    const struct testload_shape shape = {.keys = 3, .length = LENGTH};
    struct testjob t;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, pm_registry_policies[0], "", &shape, &err), PM_OK);
    t.job.main = pm_train_worker;
    t.job.digest = &digest;
    if (run(&t, &err) != PM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(last.floats, 3ull * LENGTH);
    assert_int_equal(last.longest, LENGTH);
    testjob_free(&t);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[16] = {cmocka_unit_test(digest_of_long_values)};
    size_t n = 1;
    for (size_t i = 0; pm_registry_policies[i] && n < 16; i++)
        tests[n++] = (struct CMUnitTest){pm_registry_policies[i]->name, longest_values, NULL, NULL,
                                         (void *)(uintptr_t)pm_registry_policies[i]};
    return repeat_main(argc, argv, "lengths", tests, n);
}
