/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cost model: what parameter management costs in processor time, as constants per kind of charge. */
#include "sim/sim.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 512 };

static const char *const kind_names[PM_CHARGES] = {
    [PM_CHARGE_LOCAL] = "local", [PM_CHARGE_SEND] = "send",     [PM_CHARGE_RECEIVE] = "receive",
    [PM_CHARGE_SERVE] = "serve", [PM_CHARGE_INTENT] = "intent", [PM_CHARGE_SCAN] = "scan",
    [PM_CHARGE_WAKE] = "wake",
};

/* What a server core of the 2020s with kernel TCP takes, to one significant digit: a random access that
 * misses the cache and an uncontended latch (15 ns per key of a batch), copying and adding at 10 GB/s, a
 * system call and the protocol stack with its copies at 5 GB/s per message, a futex wake. A file from
 * measurements on the machine in question replaces all of them. */
void sim_cost_default(struct sim_cost *cost)
{
    *cost = (struct sim_cost){.of = {
                                  [PM_CHARGE_LOCAL] = {20, 15, 0.1},
                                  [PM_CHARGE_SEND] = {1500, 0, 0.2},
                                  [PM_CHARGE_RECEIVE] = {1500, 0, 0.2},
                                  [PM_CHARGE_SERVE] = {50, 30, 0.1},
                                  [PM_CHARGE_INTENT] = {50, 20, 0},
                                  [PM_CHARGE_SCAN] = {50, 5, 0.1},
                                  [PM_CHARGE_WAKE] = {2000, 0, 0},
                              }};
}

double sim_cost_take(const struct sim_cost *cost, struct pm_charge charges[PM_CHARGES])
{
    double ns = 0;
    for (int k = 0; k < PM_CHARGES; k++) {
        struct pm_charge *c = &charges[k];
        if (c->events + c->keys + c->bytes == 0)
            continue;
        ns += (double)c->events * cost->of[k].event_ns + (double)c->keys * cost->of[k].key_ns +
              (double)c->bytes * cost->of[k].byte_ns;
        *c = (struct pm_charge){0};
    }
    return ns;
}

static int find_kind(const char *name)
{
    for (int k = 0; k < PM_CHARGES; k++)
        if (strcmp(kind_names[k], name) == 0)
            return k;
    return -1;
}

static int refuse(struct pm_error *err, const char *path, unsigned line, const char *what)
{
    return pm_error_set(err, PM_E_FILE,
                        "%s:%u: %s; a line is `kind events_ns keys_ns bytes_ns`, kinds are "
                        "local send receive serve intent scan wake",
                        path, line, what);
}

/* One line without its comment. */
static int parse_line(const char *path, unsigned line, char *text, struct sim_cost *cost, unsigned *seen,
                      struct pm_error *err)
{
    char *rest = NULL;
    char *name = strtok_r(text, " \t\r\n", &rest);
    if (name == NULL)
        return PM_OK;
    int kind = find_kind(name);
    if (kind < 0)
        return refuse(err, path, line, "unknown kind of cost");
    if (*seen & (1u << kind))
        return refuse(err, path, line, "this kind has been given before");
    *seen |= 1u << kind;
    double numbers[3];
    for (int i = 0; i < 3; i++) {
        char *word = strtok_r(NULL, " \t\r\n", &rest), *end = NULL;
        if (word == NULL)
            return refuse(err, path, line, "three numbers are wanted");
        numbers[i] = strtod(word, &end);
        if (*end != '\0' || !isfinite(numbers[i]) || numbers[i] < 0 || numbers[i] > 1e12)
            return refuse(err, path, line, "not a number of nanoseconds from 0 to 1e12");
    }
    if (strtok_r(NULL, " \t\r\n", &rest) != NULL)
        return refuse(err, path, line, "more than three numbers");
    cost->of[kind].event_ns = numbers[0];
    cost->of[kind].key_ns = numbers[1];
    cost->of[kind].byte_ns = numbers[2];
    return PM_OK;
}

int sim_cost_read_from(FILE *file, const char *path, struct sim_cost *cost, struct pm_error *err)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    unsigned line = 1, seen = 0;
    int rc = PM_OK;
    *cost = (struct sim_cost){0};
    for (; rc == PM_OK && (n = getline(&text, &room, file)) >= 0; line++) {
        if (n > LINE_MOST || strlen(text) != (size_t)n) {
            rc = refuse(err, path, line, "the line is too long or holds a zero byte");
        } else {
            text[strcspn(text, "#")] = '\0';
            rc = parse_line(path, line, text, cost, &seen, err);
        }
    }
    free(text);
    if (rc == PM_OK && ferror(file))
        return pm_error_set(err, PM_E_FILE, "cost model '%s': %s", path, strerror(errno));
    for (int k = 0; k < PM_CHARGES && rc == PM_OK; k++)
        if (!(seen & (1u << k)))
            rc = pm_error_set(err, PM_E_FILE, "%s:%u: the file ends and has no line `%s`", path, line, kind_names[k]);
    return rc;
}

int sim_cost_read(const char *path, struct sim_cost *cost, struct pm_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return pm_error_set(err, PM_E_FILE, "cost model '%s': %s", path, strerror(errno));
    int rc = sim_cost_read_from(file, path, cost, err);
    fclose(file);
    return rc;
}
