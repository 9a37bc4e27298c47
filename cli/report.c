/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab report: one HTML file that needs nothing else: per experiment the comparison and the figures that its
 * runs have data for, drawn by gnuplot as SVG. Runs nothing. */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "cli/format.h"
#include "cli/ini.h"
#include "cli/plots.h"
#include "cli/print.h"

struct report {
    struct results_db db;
    FILE *html;
    char folder[64]; /* for data and pictures while they are made */
    const char *run_ids;
    unsigned pictures;
    int code;
    struct pm_error *err;
};

static void put_text(FILE *html, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", html);
        else if (*text == '>')
            fputs("&gt;", html);
        else if (*text == '&')
            fputs("&amp;", html);
        else
            fputc(*text, html);
    }
}

static void put_cell(FILE *html, const char *kind, const char *class, const char *text)
{
    fprintf(html, "<%s%s>", kind, class);
    put_text(html, text != NULL ? text : "-");
    fprintf(html, "</%s>", kind);
}

static void put_row(FILE *html, const struct results_table *t, size_t row)
{
    char epoch[32], speedup[32], share[32], bytes[32], quality[32], metric[80];
    epoch[0] = '~';
    char *time = epoch + cli_is_extrapolated(t, row);
    cli_format_seconds(time, sizeof epoch - 1, cli_number(cli_column(t, row, "epoch_s")));
    cli_format_real(speedup, sizeof speedup, cli_number(cli_column(t, row, "speedup")));
    cli_format_percent(share, sizeof share, cli_number(cli_column(t, row, "local_share")));
    cli_format_bytes(bytes, sizeof bytes, cli_number(cli_column(t, row, "bytes_per_node")));
    cli_format_real(quality, sizeof quality, cli_number(cli_column(t, row, "quality")));
    const char *name = cli_column(t, row, "metric");
    snprintf(metric, sizeof metric, "%s %s", name != NULL ? name : "", quality);
    const char *cells[] = {epoch, speedup, share, bytes, metric};
    fputs("<tr>", html);
    put_cell(html, "td", "", cli_column(t, row, "policy"));
    for (int i = 0; i < 5; i++)
        put_cell(html, "td", " class=n", cells[i]);
    fputs("</tr>\n", html);
}

/* The policies of one experiment at one number of nodes, and `single`. */
static int put_comparison(struct report *r, const char *run_ids, const char *nodes)
{
    struct results_table t;
    int rc = results_compare(&r->db, run_ids, &t, r->err);
    if (rc != PM_OK)
        return rc;
    fprintf(r->html,
            "<h3>%s nodes</h3>\n<table><tr><th>policy<th>epoch time<th>speed-up over single node"
            "<th>local accesses<th>bytes per node<th>quality</tr>\n",
            nodes);
    for (size_t row = 0; row < t.rows; row++)
        put_row(r->html, &t, row);
    fputs("</table>\n", r->html);
    bool extrapolated = false;
    for (size_t row = 0; row < t.rows; row++)
        extrapolated = extrapolated || cli_is_extrapolated(&t, row);
    if (extrapolated)
        fprintf(r->html, "<p>%s</p>\n", cli_extrapolated_note);
    results_table_free(&t);
    return PM_OK;
}

static int put_comparisons(struct report *r, const char *experiment)
{
    struct results_table t;
    int rc = results_select(
        &r->db, &t, r->err,
        "WITH last AS (SELECT max(run_id) AS run_id, policy, nodes FROM run WHERE experiment_hash = ?1"
        "  AND status = 'finished' GROUP BY config_hash)"
        " SELECT n.nodes, (SELECT json_group_array(run_id) FROM (SELECT run_id FROM last l"
        "  WHERE l.nodes = n.nodes OR l.policy = 'single' ORDER BY l.policy <> 'single',"
        "  (SELECT avg(epoch_s) FROM epoch e WHERE e.run_id = l.run_id), run_id))"
        " FROM (SELECT DISTINCT nodes FROM last WHERE policy <> 'single' OR (SELECT count(*) FROM last) = 1) "
        "n"
        " ORDER BY n.nodes",
        "s", experiment);
    for (size_t row = 0; rc == PM_OK && row < t.rows; row++)
        rc = put_comparison(r, results_cell(&t, row, 1), results_cell(&t, row, 0));
    results_table_free(&t);
    return rc;
}

/* The picture from "<svg" on, without the head that only a file of its own may have. */
static int put_svg(struct report *r, const struct cli_plot *plot, const char *path)
{
    char *svg = cli_read_text(path, r->err);
    const char *start = svg != NULL ? strstr(svg, "<svg") : NULL;
    if (start == NULL) {
        free(svg);
        return pm_error_set(r->err, PM_E_FILE, "figure %s: gnuplot wrote no picture", plot->name);
    }
    fputs("<figure><figcaption>", r->html);
    put_text(r->html, plot->title);
    fprintf(r->html, "</figcaption>\n%s</figure>\n", start);
    free(svg);
    return PM_OK;
}

/* Too few runs for a figure are no reason to go without the rest of the report. */
static int put_refusal(struct report *r, const struct cli_plot *plot)
{
    fputs("<p>", r->html);
    put_text(r->html, plot->title);
    fputs(": these runs are too few to be drawn.</p>\n", r->html);
    *r->err = (struct pm_error){0};
    return PM_OK;
}

static int draw(struct report *r, const struct cli_plot *plot, const char *data, const char *svg)
{
    char script[96], *before;
    snprintf(script, sizeof script, "%s/plot.gp", r->folder);
    int rc = cli_write_text(script, plot->script, r->err);
    if (rc == PM_OK && asprintf(&before,
                                "set terminal svg size 900,420 dynamic background 'white' name 'picture%u';"
                                " set output '%s'; data = '%s'; figure_title = ''",
                                ++r->pictures, svg, data) < 0)
        rc = pm_error_set(r->err, PM_E_MEMORY, "report: out of memory");
    else if (rc == PM_OK) {
        rc = cli_gnuplot(before, script, r->err);
        free(before);
    }
    unlink(script);
    return rc;
}

static void put_figure(void *arg, const char *name)
{
    struct report *r = arg;
    struct cli_plot plot;
    char data[96], svg[96];
    size_t rows = 0;
    if (r->code != PM_OK)
        return;
    r->code = cli_plot_open(&plot, name, r->err);
    if (r->code != PM_OK)
        return;
    snprintf(data, sizeof data, "%s/data.tsv", r->folder);
    snprintf(svg, sizeof svg, "%s/plot.svg", r->folder);
    r->code = cli_plot_write_data(&plot, &r->db, r->run_ids, data, &rows, r->err);
    if (r->code == PM_OK && rows > 0) {
        r->code = draw(r, &plot, data, svg);
        if (r->code == PM_OK)
            r->code = put_svg(r, &plot, svg);
        else if (r->code == PM_E_REFUSED)
            r->code = put_refusal(r, &plot);
    }
    unlink(data);
    unlink(svg);
    cli_plot_close(&plot);
}

static int put_experiments(struct report *r)
{
    struct results_table t;
    int rc = results_select(
        &r->db, &t, r->err,
        "SELECT experiment_hash, workload || CASE workload_options WHEN '' THEN '' ELSE ':' || "
        "workload_options END,"
        " backend, workers, seed, json_group_array(run_id), max(run_id), max(network), max(platform),"
        " (SELECT count(*) FROM epoch e WHERE e.run_id = max(r.run_id))"
        " FROM (SELECT * FROM run WHERE run_id IN (SELECT max(run_id) FROM run WHERE status = 'finished'"
        "  GROUP BY config_hash)) r GROUP BY experiment_hash ORDER BY max(run_id) DESC LIMIT 20",
        "");
    if (rc == PM_OK && t.rows == 0)
        fputs("<p>No finished runs.</p>\n", r->html);
    for (size_t row = 0; rc == PM_OK && row < t.rows; row++) {
        fputs("<h2>", r->html);
        put_text(r->html, results_cell(&t, row, 1));
        fprintf(r->html, "</h2>\n<p>backend %s, %s workers per node, %s epochs, seed %s", results_cell(&t, row, 2),
                results_cell(&t, row, 3), results_cell(&t, row, 9), results_cell(&t, row, 4));
        if (results_cell(&t, row, 7) != NULL)
            fprintf(r->html, ", network model %s", results_cell(&t, row, 7));
        fputs("</p>\n", r->html);
        rc = put_comparisons(r, results_cell(&t, row, 0));
        r->run_ids = results_cell(&t, row, 5);
        r->code = rc;
        if (rc == PM_OK)
            cli_plots_visit(put_figure, r);
        rc = r->code;
    }
    results_table_free(&t);
    return rc;
}

static const char head[] =
    "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>pmlab report</title>\n<style>"
    "body{font:15px/1.45 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ccc;text-align:left}"
    ".n{text-align:right}figure{margin:1.5em 0}figcaption{font-weight:bold}svg{max-width:100%;height:auto}"
    "</style></head><body>\n<h1>pmlab report</h1>\n";

static int write_report(struct report *r, const char *path)
{
    char *partial;
    if (asprintf(&partial, "%s.partial", path) < 0)
        return pm_error_set(r->err, PM_E_MEMORY, "report: out of memory");
    r->html = fopen(partial, "we");
    int rc = r->html != NULL ? PM_OK : pm_error_set(r->err, PM_E_FILE, "%s: %s", path, strerror(errno));
    if (rc == PM_OK) {
        fputs(head, r->html);
        rc = put_experiments(r);
        fputs("</body></html>\n", r->html);
        bool bad = ferror(r->html) != 0;
        bad |= fclose(r->html) != 0;
        if (rc == PM_OK && (bad || rename(partial, path) != 0))
            rc = pm_error_set(r->err, PM_E_FILE, "%s: %s", path, strerror(errno));
        if (rc != PM_OK)
            unlink(partial);
    }
    free(partial);
    return rc;
}

int cli_report(const struct cli_args *args)
{
    struct pm_error err = {0};
    struct report r = {.folder = "/tmp/pmlab-report-XXXXXX", .err = &err};
    const char *path = cli_text(args, "output") != NULL ? cli_text(args, "output") : "report.html";
    int rc = results_open(cli_text(args, "db"), RESULTS_READ, &r.db, &err);
    if (rc != PM_OK)
        return cli_complain(rc, err.text);
    if (mkdtemp(r.folder) == NULL) {
        rc = pm_error_set(&err, PM_E_FILE, "%s: %s", r.folder, strerror(errno));
    } else {
        rc = write_report(&r, path);
        rmdir(r.folder);
    }
    results_close(&r.db);
    if (rc == PM_OK && !cli_flag(args, "quiet"))
        puts(path);
    return rc == PM_OK ? 0 : cli_complain(rc, err.text);
}
