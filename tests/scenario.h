/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Helpers of scenarios: checks, and the model that they run on. One worker's thread each. */
#ifndef PM_TESTS_SCENARIO_H
#define PM_TESTS_SCENARIO_H

#include <math.h>
#include <stdlib.h>

#include "core/internal.h"
#include "core/pm.h"
#include "tests/contract.h"

/* In a function with a `struct pm_worker *w` that returns a code: a condition that must hold, and a call that
 * must not fail (its value is >= 0). */
#define SCENARIO_CHECK(cond)                                                                                 \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            return scenario_failed(w, __FILE__, __LINE__, #cond, 0);                                         \
    } while (0)
#define SCENARIO_OK(call)                                                                                    \
    do {                                                                                                     \
        int64_t code_ = (call);                                                                              \
        if (code_ < 0)                                                                                       \
            return scenario_failed(w, __FILE__, __LINE__, #call, (int)(code_));                              \
    } while (0)
/* A value of a key that is not what it must be. */
#define SCENARIO_VALUE(key, element, found, expected)                                                        \
    do {                                                                                                     \
        float found_ = (found), expected_ = (expected);                                                      \
        if (memcmp(&found_, &expected_, sizeof found_) != 0)                                                 \
            return scenario_wrong_value(w, __FILE__, __LINE__, key, element, found_, expected_);             \
    } while (0)

/* Set where failures are expected: then no lines are written. */
extern bool scenario_quiet;

/* Writes the line; returns the code to return. Codes that only say that another worker failed make no line.
 */
int scenario_failed(const struct pm_worker *w, const char *file, int line, const char *what, int code);
int scenario_wrong_value(const struct pm_worker *w, const char *file, int line, pm_key key, uint32_t element,
                         float found, float expected);

static inline uint32_t scenario_ranks(const struct pm_worker *w)
{
    return w->ctx.node->config.nodes * w->ctx.node->config.workers;
}
static inline uint64_t scenario_keys(const struct pm_worker *w)
{
    return w->ctx.node->layout->n_keys;
}
static inline const struct pm_traits *scenario_traits(const struct pm_worker *w)
{
    return &w->ctx.node->traits;
}
/* Floats of these keys' values together. */
uint64_t scenario_floats(const struct pm_worker *w, const pm_key *keys, size_t n);
/* Sum of the node's counters now. */
struct pm_counters scenario_counters(const struct pm_worker *w);

/* Checks `values` of these keys: element j of key k is the initial value + add(k). */
int scenario_check_values(const struct pm_worker *w, const pm_key *keys, size_t n, const float *values,
                          float (*add)(const struct pm_worker *w, pm_key key, void *arg), void *arg);
/* Drains, reads the whole model and checks it like that; then a barrier, so that pushes may follow. */
int scenario_check_model(struct pm_worker *w, float (*add)(const struct pm_worker *w, pm_key key, void *arg),
                         void *arg);
/* add() for a model that nobody has changed. */
float scenario_nothing(const struct pm_worker *w, pm_key key, void *arg);

#endif
