/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The model in files: checkpoints, which training goes on from, and exports for other programs. A file is written under another
 * name and then renamed, so that there is never half of one. The formats are in docs/kge.md. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/pm.h"
#include "core/rng.h"
#include "workloads/kge.h"

enum { READ_KEYS = 256 };

static const char magic[8] = {'p', 'm', 'l', 'a', 'b', 'k', 'g', '1'};

static uint64_t hash_of_graph(const struct graph *g)
{
    uint64_t names = pm_hash_bytes(g->entities.text, g->entities.length, g->n_relations);
    return pm_hash_bytes(g->triples, g->ends[GRAPH_TRAIN] * sizeof *g->triples, names);
}

struct kge_header kge_header(const struct kge_state *s, uint32_t epochs)
{
    struct kge_header h = {.model = s->model,
                           .dims = s->dims,
                           .epochs = epochs,
                           .n_entities = s->graph.n_entities,
                           .n_relations = s->graph.n_relations,
                           .graph = hash_of_graph(&s->graph)};
    memcpy(h.magic, magic, sizeof magic);
    return h;
}

static uint64_t keys_of(const struct kge_state *s)
{
    return kge_relation_key(s, (uint32_t)s->graph.n_relations);
}

static int wrong_at(const char *path, uint64_t byte, const char *what, struct pm_error *err)
{
    return pm_error_set(err, PM_E_FILE, "%s: byte %" PRIu64 ": %s", path, byte, what);
}

static int read_header(const struct kge_state *s, FILE *file, const char *path, struct kge_header *found, struct pm_error *err)
{
    const struct kge_header own = kge_header(s, 0);
    size_t n = fread(found, 1, sizeof *found, file);
    if (ferror(file))
        return pm_error_set(err, PM_E_FILE, "%s: cannot be read: %s", path, strerror(errno));
    if (n < sizeof magic || memcmp(found->magic, magic, sizeof magic) != 0)
        return wrong_at(path, 0, "not a checkpoint of kge (they begin with pmlabkg1; checkpoint=FILE writes one)", err);
    if (n < sizeof *found)
        return wrong_at(path, n, "the file ends here, within the head of a checkpoint", err);
    if (found->model != own.model || found->dims != own.dims || found->zero != 0 || found->n_entities != own.n_entities ||
        found->n_relations != own.n_relations || found->graph != own.graph)
        return pm_error_set(err, PM_E_FILE,
                            "%s: byte 8: a checkpoint of another model or other training triples: dim=%" PRIu32 ", %" PRIu64
                            " entities, %" PRIu64 " relations (here: dim=%" PRIu32 ", %" PRIu64 ", %" PRIu64 ")",
                            path, found->dims, found->n_entities, found->n_relations, own.dims, own.n_entities, own.n_relations);
    return PM_OK;
}

/* Embeddings are numbers, sums of squares not negative. */
static int check_values(const struct kge_state *s, size_t n, const char *path, struct pm_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(s->resumed[i]) || (i % s->length >= s->dims && s->resumed[i] < 0))
            return wrong_at(path, sizeof(struct kge_header) + i * sizeof *s->resumed,
                            "a value that is no finite number, or a sum of squares below 0", err);
    return PM_OK;
}

static int read_values(struct kge_state *s, FILE *file, const char *path, struct pm_error *err)
{
    size_t n = keys_of(s) * s->length;
    s->resumed = malloc(n * sizeof *s->resumed);
    if (s->resumed == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", path);
    size_t bytes = fread(s->resumed, 1, n * sizeof *s->resumed, file);
    if (bytes < n * sizeof *s->resumed && ferror(file))
        return pm_error_set(err, PM_E_FILE, "%s: cannot be read: %s", path, strerror(errno));
    if (bytes < n * sizeof *s->resumed)
        return pm_error_set(err, PM_E_FILE, "%s: byte %zu: the file ends here, a checkpoint of %zu bytes is expected", path,
                            sizeof(struct kge_header) + bytes, sizeof(struct kge_header) + n * sizeof *s->resumed);
    if (fgetc(file) != EOF)
        return wrong_at(path, sizeof(struct kge_header) + bytes, "bytes behind the last value", err);
    return check_values(s, n, path, err);
}

int kge_resume_from(struct kge_state *s, FILE *file, const char *path, struct pm_error *err)
{
    struct kge_header found;
    int rc = read_header(s, file, path, &found, err);
    if (rc != PM_OK)
        return rc;
    s->epochs_before = found.epochs;
    return read_values(s, file, path, err);
}

int kge_resume(struct kge_state *s, const char *path, struct pm_error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return pm_error_set(err, PM_E_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    int rc = kge_resume_from(s, file, path, err);
    fclose(file);
    return rc;
}

int kge_prepare_export(const struct kge_state *s, struct pm_error *err)
{
    struct stat there;
    if (s->export_folder == NULL || (stat(s->export_folder, &there) == 0 && S_ISDIR(there.st_mode)) ||
        mkdir(s->export_folder, 0777) == 0)
        return PM_OK;
    return pm_error_set(err, PM_E_FILE, "%s: cannot be made a folder: %s", s->export_folder, strerror(errno));
}

/* ---- Writing ---- */

struct output {
    const struct kge_state *s;
    struct pm_worker *worker;
    const char *path;
    char unfinished[KGE_PATH_MAX + KGE_SUFFIX_MAX];
    FILE *file;
};

static int cannot_write(const struct output *x)
{
    return pm_worker_fail(x->worker, PM_E_FILE, "%s: cannot be written: %s", x->path, strerror(errno));
}

static int begin(struct output *x, const char *path)
{
    x->path = path;
    snprintf(x->unfinished, sizeof x->unfinished, "%s.unfinished", path);
    x->file = fopen(x->unfinished, "w");
    return x->file != NULL ? PM_OK : cannot_write(x);
}

static int finish(struct output *x, int rc)
{
    bool bad = ferror(x->file) != 0;
    bad |= fclose(x->file) != 0;
    if (rc == PM_OK && (bad || rename(x->unfinished, x->path) != 0))
        rc = cannot_write(x);
    if (rc != PM_OK)
        remove(x->unfinished);
    return rc;
}

/* Calls `write` with the values of keys [first, first + n) in order, some at a time. */
static int each_value(struct output *x, pm_key first, uint64_t n,
                      void (*write)(struct output *x, pm_key first, uint32_t n, const float *values))
{
    pm_key keys[READ_KEYS];
    float *values = malloc((size_t)READ_KEYS * x->s->length * sizeof *values);
    int rc = values != NULL ? PM_OK : PM_E_MEMORY;
    for (uint64_t at = 0; at < n && rc == PM_OK; at += READ_KEYS) {
        uint32_t some = n - at < READ_KEYS ? (uint32_t)(n - at) : READ_KEYS;
        for (uint32_t i = 0; i < some; i++)
            keys[i] = first + at + i;
        rc = pm_read_model(x->worker, keys, some, values);
        if (rc == PM_OK)
            write(x, first + at, some, values);
    }
    free(values);
    return rc;
}

static void write_all(struct output *x, pm_key first, uint32_t n, const float *values)
{
    (void)first;
    fwrite(values, x->s->length * sizeof *values, n, x->file);
}

static void write_embeddings(struct output *x, pm_key first, uint32_t n, const float *values)
{
    (void)first;
    for (uint32_t i = 0; i < n; i++)
        fwrite(values + (size_t)i * x->s->length, sizeof *values, x->s->dims, x->file);
}

static void write_name(struct output *x, const struct names *names, uint64_t number)
{
    if (names->n > 0)
        fputs(names_text(names, number), x->file);
    else
        fprintf(x->file, "%" PRIu64, number);
}

/* One line per entity or relation: its name, a tabulator, numbers. */
static void write_text(struct output *x, pm_key first, uint32_t n, const float *values)
{
    const struct kge_state *s = x->s;
    for (uint32_t i = 0; i < n; i++) {
        pm_key key = first + i;
        bool entity = key < s->graph.n_entities;
        uint64_t row = entity ? 0 : (key - s->graph.n_entities) % s->rows;
        if (row == 0)
            write_name(x, entity ? &s->graph.entities : &s->graph.relations, entity ? key : (key - s->graph.n_entities) / s->rows);
        for (uint32_t k = 0; k < s->dims; k++)
            fprintf(x->file, "%c%.9g", row == 0 && k == 0 ? '\t' : ' ', (double)values[(size_t)i * s->length + k]);
        if (entity || row + 1 == s->rows)
            fputc('\n', x->file);
    }
}

/* NumPy's header, version 1.0: padded with blanks so that the data begin at a multiple of 64. */
static void write_npy_header(struct output *x, const char *shape)
{
    char text[256];
    int length = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", shape);
    int padded = (10 + length + 1 + 63) / 64 * 64 - 10;
    fwrite("\x93NUMPY\x01", 1, 7, x->file);
    fputc(0, x->file);
    fputc(padded & 255, x->file);
    fputc(padded >> 8, x->file);
    fprintf(x->file, "%s%*s\n", text, padded - length - 1, "");
}

/* One kind of parameters in both formats. */
static int export_kind(struct output *x, const char *kind, pm_key first, uint64_t n, const char *shape)
{
    char path[KGE_PATH_MAX + KGE_SUFFIX_MAX / 2];
    snprintf(path, sizeof path, "%s/%s.npy", x->s->export_folder, kind);
    int rc = begin(x, path);
    if (rc != PM_OK)
        return rc;
    write_npy_header(x, shape);
    rc = finish(x, each_value(x, first, n, write_embeddings));
    if (rc != PM_OK)
        return rc;
    snprintf(path, sizeof path, "%s/%s.txt", x->s->export_folder, kind);
    rc = begin(x, path);
    return rc == PM_OK ? finish(x, each_value(x, first, n, write_text)) : rc;
}

static int export_model(struct output *x)
{
    const struct kge_state *s = x->s;
    const struct graph *g = &s->graph;
    char shape[64];
    snprintf(shape, sizeof shape, "%" PRIu64 ", %" PRIu32, g->n_entities, s->dims);
    int rc = export_kind(x, "entities", 0, g->n_entities, shape);
    if (s->model == KGE_RESCAL)
        snprintf(shape, sizeof shape, "%" PRIu64 ", %" PRIu32 ", %" PRIu32, g->n_relations, s->dims, s->dims);
    else
        snprintf(shape, sizeof shape, "%" PRIu64 ", %" PRIu32, g->n_relations, s->dims);
    return rc == PM_OK ? export_kind(x, "relations", g->n_entities, g->n_relations * s->rows, shape) : rc;
}

static int write_checkpoint(struct output *x, uint32_t epochs)
{
    struct kge_header h = kge_header(x->s, epochs);
    int rc = begin(x, x->s->checkpoint);
    if (rc != PM_OK)
        return rc;
    fwrite(&h, sizeof h, 1, x->file);
    return finish(x, each_value(x, 0, keys_of(x->s), write_all));
}

int kge_write(const struct kge_state *s, const struct kge_worker *w, struct pm_worker *worker)
{
    struct output x = {.s = s, .worker = worker};
    int rc = s->checkpoint != NULL ? write_checkpoint(&x, s->epochs_before + w->epochs) : PM_OK;
    return rc == PM_OK && s->export_folder != NULL ? export_model(&x) : rc;
}
