/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading of files of triples, line by line. */
#include "workloads/graph.h"

#include <inttypes.h>
#include <string.h>

#include "workloads/lines.h"

enum { LINE_BYTES_MAX = 65536 };

/* Cuts the line into exactly three fields that are not empty; lengths are those of the fields. */
static bool cut(const char *line, const char *fields[3], size_t lengths[3])
{
    for (int i = 0; i < 3; i++) {
        fields[i] = line;
        lengths[i] = strcspn(line, "\t");
        line += lengths[i];
        if (lengths[i] == 0 || (*line == '\t') != (i < 2))
            return false;
        line += i < 2;
    }
    return true;
}

static int add_triple(struct lines *l, struct graph *g)
{
    const char *fields[3];
    size_t lengths[3];
    if (!cut(l->line, fields, lengths))
        return lines_fail(l, "'%.*s' is not 'subject TAB relation TAB object'", LINES_EXCERPT_MAX, l->line);
    if (g->n == GRAPH_TRIPLES_MAX || g->entities.n + 2 > GRAPH_ENTITIES_MAX)
        return lines_fail(l, "too many triples or entities (allowed: %" PRIu64 " and %" PRIu64 ")", GRAPH_TRIPLES_MAX,
                          GRAPH_ENTITIES_MAX);
    int64_t s = names_number(&g->entities, fields[0], lengths[0]);
    int64_t r = names_number(&g->relations, fields[1], lengths[1]);
    int64_t o = names_number(&g->entities, fields[2], lengths[2]);
    uint64_t room = g->n < g->capacity ? g->capacity : g->n + g->n / 2 + 1024;
    if (s < 0 || r < 0 || o < 0 || graph_reserve(g, room) != PM_OK)
        return pm_error_set(l->err, PM_E_MEMORY, "%s: out of memory after %" PRIu64 " triples", l->path, g->n);
    g->triples[g->n++] = (struct triple){.s = (uint32_t)s, .r = (uint32_t)r, .o = (uint32_t)o};
    return PM_OK;
}

static int read_part(FILE *file, const char *path, struct graph *g, struct pm_error *err)
{
    struct lines l;
    uint64_t before = g->n;
    int rc = lines_begin(&l, file, path, "triples", LINE_BYTES_MAX, err), more = 0;
    if (rc != PM_OK)
        return rc;
    while (rc == PM_OK && (more = lines_next(&l)) > 0)
        if (!lines_blank(l.line))
            rc = add_triple(&l, g);
    if (rc == PM_OK && more < 0)
        rc = more;
    if (rc == PM_OK && g->n == before)
        rc = lines_fail(&l, "the file holds no triple");
    lines_end(&l);
    return rc;
}

int graph_read_from(FILE *const files[GRAPH_PARTS], const char *const paths[GRAPH_PARTS], struct graph *g, struct pm_error *err)
{
    int rc = PM_OK;
    for (int part = 0; part < GRAPH_PARTS && rc == PM_OK; part++) {
        if (files[part] != NULL)
            rc = read_part(files[part], paths[part], g, err);
        g->ends[part] = g->n;
    }
    g->n_entities = g->entities.n;
    g->n_relations = g->relations.n;
    if (rc != PM_OK)
        graph_free(g);
    return rc;
}

int graph_read(const char *const paths[GRAPH_PARTS], struct graph *g, struct pm_error *err)
{
    FILE *files[GRAPH_PARTS] = {NULL};
    int rc = PM_OK;
    for (int part = 0; part < GRAPH_PARTS && rc == PM_OK; part++)
        if (paths[part] != NULL && (files[part] = lines_file(paths[part], err)) == NULL)
            rc = PM_E_FILE;
    if (rc == PM_OK)
        rc = graph_read_from(files, paths, g, err);
    for (int part = 0; part < GRAPH_PARTS; part++)
        if (files[part] != NULL)
            fclose(files[part]);
    return rc;
}
