/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of consistency, and histories in words. */
#include "cli/consistency.h"

#include <inttypes.h>
#include <string.h>

#include "cli/format.h"

static const char key_names[HISTORY_KEYS + 1] = "xyz";

bool consistency_promised(const struct consistency_row *row, int mode, enum history_level level)
{
    static const enum pm_consistency of_level[HISTORY_LEVELS] = {PM_EVENTUAL,   PM_PRAM, PM_PRAM, PM_CAUSAL,
                                                                 PM_SEQUENTIAL, PM_SEQUENTIAL + 1};
    if (mode == 0 && level == HISTORY_CLOCKED && row->traits.promise_clocked >= PM_PRAM)
        return true;
    return (mode ? row->traits.promise_async : row->traits.promise_sync) >= of_level[level];
}

/* ---- histories ---- */

/* Updates by the order of their pushes: a, b, ..., z, a1, ... */
static void name_update(const struct history *h, uint32_t key, uint64_t update, char *name, size_t size)
{
    uint32_t index = 0;
    for (uint32_t i = 0; i < h->n_ops; i++)
        for (uint32_t p = 0; p < h->ops[i].n_parts && h->ops[i].kind == HISTORY_PUSH; p++, index++)
            if (h->ops[i].keys[p] == key && h->ops[i].sets[p] == update) {
                snprintf(name, size, "%c", (char)('a' + index % 26));
                if (index >= 26)
                    snprintf(name + 1, size - 1, "%" PRIu32, index / 26);
                return;
            }
    snprintf(name, size, "?");
}

static size_t print_set(const struct history *h, uint32_t key, uint64_t set, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "{");
    for (uint32_t bit = 0; bit < 64; bit++) {
        char name[16];
        if (!(set >> bit & 1))
            continue;
        name_update(h, key, UINT64_C(1) << bit, name, sizeof name);
        if (n < size)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n > 1 ? " " : "", name);
    }
    return n < size ? n + (size_t)snprintf(text + n, size - n, "}") : n;
}

/* "push x += a", "pull x: {a b}". */
static void op_text(const struct history *h, const struct history_op *op, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, op->kind == HISTORY_PUSH ? "push" : "pull");
    for (uint32_t p = 0; p < op->n_parts && n < size; p++) {
        const char *comma = p > 0 ? "," : "";
        char name[16];
        if (op->kind == HISTORY_PUSH) {
            name_update(h, op->keys[p], op->sets[p], name, sizeof name);
            n += (size_t)snprintf(text + n, size - n, "%s %c += %s", comma, key_names[op->keys[p]], name);
        } else {
            n += (size_t)snprintf(text + n, size - n, "%s %c: ", comma, key_names[op->keys[p]]);
            if (n < size)
                n += print_set(h, op->keys[p], op->sets[p], text + n, size - n);
        }
    }
}

void consistency_print_history(const struct history *h, FILE *out)
{
    char text[1024];
    for (uint32_t i = 0; i < h->n_ops; i++) {
        const struct history_op *op = &h->ops[i];
        op_text(h, op, text, sizeof text);
        fprintf(out, "  worker %u (node %u) clock %u  %-28s [%" PRIu64 ", %" PRIu64 "]\n", op->worker,
                op->worker / h->workers_per_node, op->clock, text, op->invoked, op->responded);
    }
}

/* Main copies that are not the sum of what was pushed. */
static void print_final(const struct history *h, FILE *out)
{
    char text[1024];
    for (uint32_t key = 0; key < h->n_keys; key++) {
        uint64_t all = 0;
        for (uint32_t i = 0; i < h->n_ops; i++)
            for (uint32_t p = 0; p < h->ops[i].n_parts && h->ops[i].kind == HISTORY_PUSH; p++)
                all |= h->ops[i].keys[p] == key ? h->ops[i].sets[p] : 0;
        if (h->final[key] == all)
            continue;
        print_set(h, key, h->final[key], text, sizeof text);
        fprintf(out, "  after the drain            %c: %s\n", key_names[key], text);
    }
}

void consistency_print_finding(const struct history *h, const struct history_cycle *cycle, FILE *out)
{
    static const char *const reasons[] = {"in program order", "which was seen", "which it missed"};
    char text[1024];
    consistency_print_history(h, out);
    if (cycle->n == 0) {
        print_final(h, out);
        return;
    }
    fprintf(out, "  so ");
    for (uint32_t i = 0; i < cycle->n; i++) {
        uint32_t next = cycle->steps[(i + 1) % cycle->n].op;
        op_text(h, &h->ops[cycle->steps[i].op], text, sizeof text);
        if (i == 0)
            fprintf(out, "[%s]", text);
        op_text(h, &h->ops[next], text, sizeof text);
        fprintf(out, " comes before [%s] (%s)%s", text, reasons[cycle->steps[i].reason], i + 1 < cycle->n ? "," : "\n");
    }
}

/* ---- the table ---- */

static void cell_text(const struct consistency_row *row, const struct consistency_result *r, int mode,
                      enum history_level level, char *text, size_t size)
{
    bool promised = consistency_promised(row, mode, level), found = r->findings[mode][level].times > 0;
    if (found)
        snprintf(text, size, promised ? "BROKEN" : "no");
    else
        snprintf(text, size, "%s (%" PRIu64 ")", promised ? "yes" : "not found", r->schedules[mode]);
}

static void print_table(const struct consistency_row *rows, const struct consistency_result *results, size_t n, FILE *out)
{
    struct cli_table table;
    char cells[HISTORY_LEVELS][48];
    const char *row[HISTORY_LEVELS + 2] = {"policy", "operations"};
    memcpy(row + 2, history_level_names, sizeof history_level_names);
    cli_table_begin(&table, "llllllll", row);
    for (size_t i = 0; i < n; i++)
        for (int mode = 0; mode < CONSISTENCY_MODES; mode++) {
            row[0] = rows[i].label;
            row[1] = consistency_mode_names[mode];
            for (enum history_level level = 0; level < HISTORY_LEVELS; level++) {
                cell_text(&rows[i], &results[i], mode, level, cells[level], sizeof cells[level]);
                row[2 + level] = cells[level];
            }
            cli_table_row(&table, row);
        }
    cli_table_print(&table, out);
}

static bool same_finding(const struct consistency_finding *a, const struct consistency_finding *b)
{
    return a->times && b->times && a->number == b->number && a->backend == b->backend &&
           memcmp(&a->shortest, &b->shortest, sizeof a->shortest) == 0;
}

/* A history that violates several levels is printed once, for all of them. */
static void print_findings(const struct consistency_row *row, const struct consistency_result *r, int mode, FILE *out)
{
    const struct consistency_finding *findings = r->findings[mode];
    for (enum history_level level = 0; level < HISTORY_LEVELS; level++) {
        const struct consistency_finding *f = &findings[level];
        if (f->times == 0 || (level > 0 && same_finding(f, &findings[level - 1])))
            continue;
        fprintf(out, "\n%s, %s: not %s (%" PRIu64 " of %" PRIu64 " schedules", row->label, consistency_mode_names[mode],
                history_level_names[level], f->times, r->schedules[mode]);
        for (enum history_level l = level + 1; l < HISTORY_LEVELS && same_finding(f, &findings[l]); l++)
            fprintf(out, ", %s %" PRIu64, history_level_names[l], findings[l].times);
        fprintf(out, "), on %s\n", consistency_backend_names[f->backend]);
        consistency_print_finding(&f->shortest, &f->cycle, out);
        if (f->backend != ON_REAL)
            fprintf(out, "  repeat: pmlab consistency --policy %s --backends %s --replay %" PRIu64 "\n", row->label,
                    consistency_backend_names[f->backend], f->number);
    }
}

void consistency_print(const struct consistency_row *rows, const struct consistency_result *results, size_t n, FILE *out)
{
    print_table(rows, results, n, out);
    fprintf(out, "yes: promised, and not violated in so many schedules; no: not promised, violated below; not found: not "
                 "promised, not violated\n");
    for (size_t i = 0; i < n; i++)
        for (int mode = 0; mode < CONSISTENCY_MODES; mode++)
            print_findings(&rows[i], &results[i], mode, out);
}

/* ---- JSON ---- */

static void json_text(const char *text, FILE *out)
{
    putc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            putc('\\', out);
        if ((unsigned char)*c < ' ')
            fprintf(out, "\\u%04x", *c);
        else
            putc(*c, out);
    }
    putc('"', out);
}

static void json_history(const struct history *h, FILE *out)
{
    char text[1024];
    for (uint32_t i = 0; i < h->n_ops; i++) {
        const struct history_op *op = &h->ops[i];
        op_text(h, op, text, sizeof text);
        fprintf(out, "%s{\"worker\":%u,\"node\":%u,\"operation\":", i > 0 ? "," : "", op->worker,
                op->worker / h->workers_per_node);
        json_text(text, out);
        fprintf(out, ",\"clock\":%u,\"invoked\":%" PRIu64 ",\"responded\":%" PRIu64 "}", op->clock, op->invoked, op->responded);
    }
}

void consistency_print_json(const struct consistency_row *rows, const struct consistency_result *results, size_t n, FILE *out)
{
    const char *comma = "";
    fprintf(out, "[");
    for (size_t i = 0; i < n * CONSISTENCY_MODES * HISTORY_LEVELS; i++, comma = ",\n") {
        size_t r = i / (CONSISTENCY_MODES * HISTORY_LEVELS);
        int mode = (int)(i / HISTORY_LEVELS % CONSISTENCY_MODES);
        enum history_level level = (enum history_level)(i % HISTORY_LEVELS);
        const struct consistency_finding *f = &results[r].findings[mode][level];
        fprintf(out, "%s{\"policy\":", comma);
        json_text(rows[r].label, out);
        fprintf(out, ",\"operations\":\"%s\",\"level\":\"%s\",\"promised\":%s,\"schedules\":%" PRIu64 ",\"violations\":%" PRIu64,
                consistency_mode_names[mode], history_level_names[level],
                consistency_promised(&rows[r], mode, level) ? "true" : "false", results[r].schedules[mode], f->times);
        if (f->times) {
            fprintf(out, ",\"backend\":\"%s\",\"number\":%" PRIu64 ",\"history\":[", consistency_backend_names[f->backend],
                    f->number);
            json_history(&f->shortest, out);
            fprintf(out, "]");
        }
        fprintf(out, "}");
    }
    fprintf(out, "]\n");
}
