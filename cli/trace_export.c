/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab trace export: a line per key that a batch reads, samples, localizes or pushes to. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "workloads/trace_file.h"

struct place {
    FILE *to;
    uint32_t node, worker, epoch;
    uint64_t batch;
};

static void put_list(const struct place *p, const char *what, const struct trace_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        fprintf(p->to, "%" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu64 " %s %" PRIu64 "\n", p->node, p->worker, p->epoch,
                p->batch, what, list->keys[i]);
}

static int put_worker(const struct trace_file *f, struct trace_cursor *c, struct place *p, struct pm_error *err)
{
    int rc;
    trace_seek(c, f, p->node * f->workers + p->worker, p->epoch);
    for (p->batch = 0; (rc = trace_next(c, err)) == 1; p->batch++) {
        put_list(p, "localize", &c->batch.localize);
        put_list(p, "read", &c->batch.keys);
        put_list(p, "sample", &c->batch.samples);
        put_list(p, "push", &c->batch.pushed);
    }
    return rc;
}

static int put_all(const struct trace_file *f, FILE *to, struct pm_error *err)
{
    struct trace_cursor c = {0};
    int rc = PM_OK;
    fprintf(to, "# node worker epoch batch what key\n");
    for (uint64_t i = 0; i < f->n_blocks && rc == PM_OK && cli_interrupted() == 0; i = c.end) {
        const struct trace_block_head *h = &f->blocks[i].head;
        struct place p = {to, h->rank / f->workers, h->rank % f->workers, h->epoch, 0};
        rc = put_worker(f, &c, &p, err);
    }
    trace_cursor_free(&c);
    return rc == PM_OK && cli_interrupted() != 0 ? pm_error_set(err, PM_E_INTERRUPTED, "interrupted") : rc;
}

/* Into a file of another name, which becomes the output when it is whole. */
static int put_file(const struct trace_file *f, const char *path, struct pm_error *err)
{
    char partial[4200];
    if (snprintf(partial, sizeof partial, "%s.partial", path) >= (int)sizeof partial)
        return pm_error_set(err, PM_E_FILE, "%.80s...: too long a name", path);
    FILE *to = fopen(partial, "we");
    if (to == NULL)
        return pm_error_set(err, PM_E_FILE, "%s: cannot be written: %s", path, strerror(errno));
    int rc = put_all(f, to, err);
    bool failed = ferror(to) != 0;
    failed |= fclose(to) != 0;
    if (rc == PM_OK && (failed || rename(partial, path) != 0))
        rc = pm_error_set(err, PM_E_FILE, "%s: cannot be written: %s", path, strerror(errno));
    if (rc != PM_OK)
        remove(partial);
    return rc;
}

int cli_trace_export(const struct cli_args *args)
{
    struct pm_error err = {0};
    struct trace_file f;
    if (args->n_words == 0)
        return cli_complain(PM_E_OPTION, "trace export: which trace?");
    int rc = trace_open(args->words[0], &f, NULL, NULL, &err);
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    rc = cli_text(args, "output") != NULL ? put_file(&f, cli_text(args, "output"), &err) : put_all(&f, stdout, &err);
    trace_close(&f);
    return rc == PM_OK ? 0 : cli_complain(rc, err.text);
}
