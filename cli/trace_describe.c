/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab trace describe: tables for people, or the same as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/format.h"
#include "cli/trace_stats.h"

enum { DISTANCE_STEP = 4 /* buckets that a row of the table stands for */ };

/* ---- for people ---- */

/* "1 node", "2 nodes". */
static void print_number(uint64_t n, const char *what)
{
    printf("%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

/* ", 2 barriers"; nothing where there is none. */
static void print_further(uint64_t n, const char *what)
{
    if (n > 0) {
        printf(", ");
        print_number(n, what);
    }
}

static void print_lengths(const struct pm_layout *layout)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < layout->n_ranges; i++) {
        least = layout->ranges[i].length < least ? layout->ranges[i].length : least;
        most = layout->ranges[i].length > most ? layout->ranges[i].length : most;
    }
    printf("values of ");
    if (least < most)
        printf("%" PRIu32 " to ", least);
    print_number(most, "float");
}

static void print_facts(const struct trace_file *f, const struct trace_stats *s)
{
    char bytes[32];
    cli_format_bytes(bytes, sizeof bytes, (double)f->bytes);
    printf("%s: %s\n", f->path, f->origin);
    print_number(f->nodes, "node");
    printf(" x ");
    print_number(f->workers, "worker");
    print_further(f->epochs, "epoch");
    printf(", %" PRIu64 " batches of %.1f accesses", f->batches, (double)f->accesses / (double)f->batches);
    print_further(s->barriers, "barrier");
    printf(", %s", bytes);
    if (f->accesses > 0)
        printf(", %.2f bytes per access", (double)f->bytes / (double)f->accesses);
    putchar('\n');
    printf("%" PRIu64 " accesses", f->accesses);
    if (s->samples > 0)
        printf(" (%" PRIu64 " direct, %" PRIu64 " samples)", s->direct, s->samples);
    printf(" to %" PRIu64 " of %" PRIu64 " keys, ", s->keys, f->layout.n_keys);
    print_lengths(&f->layout);
    printf(", %" PRIu64 " pushes", s->pushes);
    if (s->localizes > 0)
        printf(", %" PRIu64 " keys localized", s->localizes);
    putchar('\n');
}

static void print_skew(const struct trace_stats *s, uint64_t accesses)
{
    static const char *const head[] = {"hottest of the accessed keys", "share of accesses"};
    struct cli_table t;
    printf("\nskew: Zipf exponent %.3f\n", s->zipf);
    cli_table_begin(&t, "lr", head);
    char share[32], keys[32];
    cli_format_percent(share, sizeof share, (double)s->hottest_accesses / (double)accesses);
    cli_table_row(&t, (const char *const[]){"one key", share});
    for (int i = 0; i < STATS_SHARES; i++) {
        snprintf(keys, sizeof keys, "%g %%", 100 * stats_hottest[i]);
        cli_format_percent(share, sizeof share, s->hottest[i]);
        cli_table_row(&t, (const char *const[]){keys, share});
    }
    cli_table_print(&t, stdout);
}

/* With one node, that node is the cluster. */
static void print_windows(const struct trace_file *f, const struct trace_stats *s)
{
    static const char *const head[] = {"batches of each worker", "different keys at a node", "on the cluster"};
    struct cli_table t;
    printf("\nworking set: means over windows\n");
    cli_table_begin(&t, f->nodes > 1 ? "rrr" : "rr", head);
    for (int i = 0; i < STATS_WINDOWS && s->windows[i].batches > 0; i++) {
        char batches[32], node[32], all[32];
        snprintf(batches, sizeof batches, "%" PRIu64, s->windows[i].batches);
        cli_format_count(node, sizeof node, s->windows[i].node_keys);
        cli_format_count(all, sizeof all, s->windows[i].all_keys);
        cli_table_row(&t, (const char *const[]){batches, node, all});
    }
    cli_table_print(&t, stdout);
}

static void print_distances(const struct trace_stats *s, uint64_t accesses)
{
    static const char *const head[] = {"other keys since the last access", "accesses", "up to here"};
    struct cli_table t;
    uint64_t left = accesses - s->first, sum = 0, upto = 0;
    printf("\nreuse distance at a node (up to here: what a cache of so many keys with LRU would hit)\n");
    cli_table_begin(&t, "rrr", head);
    for (int b = 0; b < STATS_DISTANCES && left > 0; b++) {
        char keys[32], share[32], all[32];
        sum += s->distances[b];
        left -= s->distances[b];
        if (b % DISTANCE_STEP != 0 && left > 0)
            continue;
        snprintf(keys, sizeof keys, b > 0 ? "below %" PRIu64 : "none", UINT64_C(1) << b);
        upto += sum;
        cli_format_percent(share, sizeof share, (double)sum / (double)accesses);
        cli_format_percent(all, sizeof all, (double)upto / (double)accesses);
        cli_table_row(&t, (const char *const[]){keys, share, all});
        sum = 0;
    }
    char first[32];
    cli_format_percent(first, sizeof first, (double)s->first / (double)accesses);
    cli_table_row(&t, (const char *const[]){"first access", first, "-"});
    cli_table_print(&t, stdout);
}

/* Numbers of nodes: each up to 4, then ranges that double. */
static void print_sharing(const struct trace_file *f, const struct trace_stats *s)
{
    static const char *const head[] = {"nodes that access a key", "keys", "share of keys", "share of accesses"};
    struct cli_table t;
    if (f->nodes == 1)
        return;
    printf("\nsharing between nodes\n");
    cli_table_begin(&t, "rrrr", head);
    for (uint32_t low = 1, high; low <= f->nodes; low = high + 1) {
        high = low <= 4 ? low : 2 * (low - 1);
        high = high < f->nodes ? high : f->nodes;
        uint64_t keys = 0, accesses = 0;
        for (uint32_t n = low; n <= high; n++) {
            keys += s->shared_keys[n - 1];
            accesses += s->shared_accesses[n - 1];
        }
        char nodes[32], number[32], share[32], of_accesses[32];
        snprintf(nodes, sizeof nodes, low == high ? "%" PRIu32 : "%" PRIu32 " to %" PRIu32, low, high);
        snprintf(number, sizeof number, "%" PRIu64, keys);
        cli_format_percent(share, sizeof share, (double)keys / (double)s->keys);
        cli_format_percent(of_accesses, sizeof of_accesses, (double)accesses / (double)f->accesses);
        cli_table_row(&t, (const char *const[]){nodes, number, share, of_accesses});
    }
    cli_table_print(&t, stdout);
}

/* ---- JSON ---- */

static void json_text(const char *name, const char *text)
{
    printf("\"%s\": \"", name);
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if ((unsigned char)*c < ' ')
            printf("\\u%04x", (unsigned)*c);
        else
            putchar(*c);
    putchar('"');
}

static void json_real(const char *name, double value)
{
    if (isfinite(value))
        printf("\"%s\": %.9g", name, value);
    else
        printf("\"%s\": null", name);
}

static void json_counts(const char *name, const uint64_t *counts, uint32_t n)
{
    printf("  \"%s\": [", name);
    for (uint32_t i = 0; i < n; i++)
        printf("%s%" PRIu64, i > 0 ? ", " : "", counts[i]);
    printf("]");
}

static void json_facts(const struct trace_file *f, const struct trace_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } facts[] = {
        {"nodes", f->nodes},       {"workers", f->workers},    {"epochs", f->epochs},   {"batches", f->batches},
        {"bytes", f->bytes},       {"keys", f->layout.n_keys}, {"accessed_keys", s->keys}, {"accesses", f->accesses},
        {"direct", s->direct},     {"samples", s->samples},    {"pushes", s->pushes},   {"localized", s->localizes},
        {"barriers", s->barriers},
    };
    printf("  ");
    json_text("file", f->path);
    printf(",\n  ");
    json_text("origin", f->origin);
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        printf(",\n  \"%s\": %" PRIu64, facts[i].name, facts[i].value);
}

static void print_json(const struct trace_file *f, const struct trace_stats *s)
{
    int last = 0;
    printf("{\n");
    json_facts(f, s);
    printf(",\n  ");
    json_real("zipf_exponent", s->zipf);
    printf(",\n  ");
    json_real("hottest_key_share", (double)s->hottest_accesses / (double)f->accesses);
    printf(",\n  \"hottest\": [");
    for (int i = 0; i < STATS_SHARES; i++) {
        printf("%s{\"keys_share\": %g, ", i > 0 ? ", " : "", stats_hottest[i]);
        json_real("accesses_share", s->hottest[i]);
        printf("}");
    }
    printf("],\n  \"working_set\": [");
    for (int i = 0; i < STATS_WINDOWS && s->windows[i].batches > 0; i++) {
        printf("%s{\"batches\": %" PRIu64 ", ", i > 0 ? ", " : "", s->windows[i].batches);
        json_real("keys_of_node", s->windows[i].node_keys);
        printf(", ");
        json_real("keys_of_cluster", s->windows[i].all_keys);
        printf("}");
    }
    for (int i = 0; i < STATS_DISTANCES; i++)
        last = s->distances[i] > 0 ? i + 1 : last;
    printf("],\n  \"first_accesses\": %" PRIu64 ",\n", s->first);
    json_counts("reuse_distance_log2", s->distances, (uint32_t)last);
    printf(",\n");
    json_counts("keys_by_nodes", s->shared_keys, f->nodes);
    printf(",\n");
    json_counts("accesses_by_nodes", s->shared_accesses, f->nodes);
    printf("\n}\n");
}

static void print_tables(const struct trace_file *f, const struct trace_stats *s)
{
    print_facts(f, s);
    if (f->accesses == 0) /* only pushes and hints */
        return;
    print_skew(s, f->accesses);
    print_windows(f, s);
    print_distances(s, f->accesses);
    print_sharing(f, s);
}

int cli_trace_describe(const struct cli_args *args)
{
    struct pm_error err = {0};
    struct trace_file f;
    struct trace_stats s;
    if (args->n_words == 0)
        return cli_complain(PM_E_OPTION, "trace describe: which trace?");
    int rc = trace_open(args->words[0], &f, NULL, NULL, &err);
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    rc = trace_stats(&f, &s, &err);
    if (rc == PM_OK) {
        if (cli_flag(args, "json"))
            print_json(&f, &s);
        else
            print_tables(&f, &s);
        trace_stats_free(&s);
    }
    trace_close(&f);
    return rc == PM_OK ? 0 : cli_complain(rc, err.text);
}
