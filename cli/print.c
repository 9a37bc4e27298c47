/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs and comparisons as text. */
#include "cli/print.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"

const char *cli_column(const struct results_table *table, size_t row, const char *name)
{
    for (size_t i = 0; i < table->columns; i++)
        if (strcmp(table->names[i], name) == 0)
            return results_cell(table, row, i);
    PM_ASSERT(0, "no column %s", name);
    return NULL;
}

char *cli_json_ids(const int64_t *ids, size_t n)
{
    size_t size = 24 * n + 3, length = 0;
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    text[length++] = '[';
    for (size_t i = 0; i < n; i++)
        length +=
            (size_t)snprintf(text + length, size - length, "%s%lld", i > 0 ? "," : "", (long long)ids[i]);
    snprintf(text + length, size - length, "]");
    return text;
}

const char cli_extrapolated_note[] =
    "~ extrapolated from the part of an epoch that was run, which the bytes are of; `pmlab show RUN` has intervals";

static void print_line(const char *what, const char *text)
{
    if (text != NULL && text[0] != '\0' && strcmp(text, "-") != 0)
        printf("  %-15s %s\n", what, text);
}

/* "extrapolated from 7 % of an epoch, 95 % interval 11.9 s to 12.8 s"; empty when all epochs were whole. */
static void format_extrapolated(char *buf, size_t size, const struct results_table *t)
{
    char part[64], low[32], high[32];
    const char *epochs = cli_column(t, 0, "epochs");
    double run = cli_number(cli_column(t, 0, "epochs_run"));
    buf[0] = '\0';
    if (!(run < cli_number(epochs)))
        return;
    if (strcmp(epochs, "1") == 0) {
        cli_format_percent(part, sizeof part, run);
        snprintf(part + strlen(part), sizeof part - strlen(part), " of an epoch");
    } else {
        snprintf(part, sizeof part, "%.3g of %s epochs", run, epochs);
    }
    cli_format_seconds(low, sizeof low, cli_number(cli_column(t, 0, "epoch_low_s")));
    cli_format_seconds(high, sizeof high, cli_number(cli_column(t, 0, "epoch_high_s")));
    if (cli_column(t, 0, "epoch_low_s") != NULL)
        snprintf(buf, size, "extrapolated from %s, 95 %% interval %s to %s", part, low, high);
    else
        snprintf(buf, size, "extrapolated from %s, interval not known", part);
}

static void print_epoch_time(const struct results_table *t)
{
    char text[240], number[32], extrapolated[160];
    const char *epochs = cli_column(t, 0, "epochs");
    if (strcmp(epochs, "0") == 0)
        return;
    cli_format_seconds(number, sizeof number, cli_number(cli_column(t, 0, "epoch_s")));
    format_extrapolated(extrapolated, sizeof extrapolated, t);
    const char *comma = extrapolated[0] != '\0' ? ", " : "";
    if (strcmp(epochs, "1") != 0)
        snprintf(text, sizeof text, "%s (mean of %s%s%s)", number, epochs, comma, extrapolated);
    else if (comma[0] != '\0')
        snprintf(text, sizeof text, "%s (%s)", number, extrapolated);
    else
        snprintf(text, sizeof text, "%s", number);
    print_line("epoch time", text);
}

static void print_figures(const struct results_table *t)
{
    char text[160], number[32];
    print_epoch_time(t);
    if (cli_column(t, 0, "speedup") != NULL) {
        snprintf(text, sizeof text, "%.3g over single node", cli_number(cli_column(t, 0, "speedup")));
        print_line("speed-up", text);
    }
    if (cli_column(t, 0, "metric") != NULL) {
        cli_format_real(number, sizeof number, cli_number(cli_column(t, 0, "quality")));
        snprintf(text, sizeof text, "%s %s", cli_column(t, 0, "metric"), number);
        print_line("quality", text);
    }
    cli_format_percent(text, sizeof text, cli_number(cli_column(t, 0, "local_share")));
    print_line("local accesses", text);
    cli_format_bytes(number, sizeof number, cli_number(cli_column(t, 0, "bytes_per_node")));
    bool whole = cli_number(cli_column(t, 0, "epochs_run")) >= cli_number(cli_column(t, 0, "epochs"));
    snprintf(text, sizeof text, "%s sent per node and epoch%s", number, whole ? "" : ", of the part that was run");
    if (strcmp(number, "-") != 0)
        print_line("traffic", text);
}

int cli_print_summary(struct results_db *db, int64_t run_id, struct pm_error *err)
{
    struct results_table t;
    int rc = results_summary(db, run_id, &t, err);
    if (rc != PM_OK)
        return rc;
    const char *name = cli_column(&t, 0, "name"), *reason = cli_column(&t, 0, "reason");
    printf("run %s %s%s%s: %s, %s on %s, %s nodes x %s workers, seed %s%s%s\n", cli_column(&t, 0, "run_id"),
           cli_column(&t, 0, "status"), reason != NULL ? ", " : "", reason != NULL ? reason : "",
           cli_column(&t, 0, "policy"), cli_column(&t, 0, "workload"), cli_column(&t, 0, "backend"),
           cli_column(&t, 0, "nodes"), cli_column(&t, 0, "workers"), cli_column(&t, 0, "seed"),
           name != NULL ? ", " : "", name != NULL ? name : "");
    print_figures(&t);
    print_line("digest", cli_column(&t, 0, "digest"));
    print_line("values digest", cli_column(&t, 0, "values_digest"));
    char text[32];
    cli_format_seconds(text, sizeof text, cli_number(cli_column(&t, 0, "wall_s")));
    print_line("took", text);
    results_table_free(&t);
    return PM_OK;
}

static int print_json(struct results_db *db, const int64_t *run_ids, size_t n, struct pm_error *err)
{
    int rc = PM_OK;
    for (size_t i = 0; i < n && rc == PM_OK; i++) {
        char *json;
        rc = results_json_run(db, run_ids[i], &json, err);
        if (rc != PM_OK)
            return rc;
        printf("%s%s%s", n > 1 ? i == 0 ? "[" : "," : "", json, n > 1 && i + 1 == n ? "]" : "");
        free(json);
    }
    putchar('\n');
    return PM_OK;
}

int cli_print_runs(const struct cli_args *args, const int64_t *run_ids, size_t n, struct pm_error *err)
{
    struct results_db db;
    int rc = results_open(cli_text(args, "db"), RESULTS_READ, &db, err);
    if (rc != PM_OK)
        return rc;
    if (cli_flag(args, "json"))
        rc = print_json(&db, run_ids, n, err);
    else
        for (size_t i = 0; i < n && rc == PM_OK; i++)
            rc = cli_print_summary(&db, run_ids[i], err);
    results_close(&db);
    return rc;
}

bool cli_is_extrapolated(const struct results_table *t, size_t row)
{
    return strcmp(cli_column(t, row, "extrapolated"), "1") == 0;
}

/* Half the width of the 95 % interval of a mean, from the sum of squares of deviations. */
static double half_interval(double n, double squares)
{
    if (!(n > 1))
        return NAN;
    return gsl_cdf_tdist_Pinv(0.975, n - 1) * sqrt(fmax(squares, 0) / (n - 1) / n);
}

static void with_interval(char *buf, size_t size, const struct results_table *t, size_t row, const char *name,
                          void (*format)(char *, size_t, double))
{
    char spread[64], mean[32], half[32];
    snprintf(spread, sizeof spread, "%s_spread", name);
    format(mean, sizeof mean, cli_number(cli_column(t, row, name)));
    double width =
        half_interval(cli_number(cli_column(t, row, "runs")), cli_number(cli_column(t, row, spread)));
    if (isnan(width)) {
        snprintf(buf, size, "%s", mean);
        return;
    }
    format(half, sizeof half, width);
    snprintf(buf, size, "%s +- %s", mean, half);
}

static void compared_row(struct cli_table *table, const struct results_table *t, size_t row)
{
    char epoch[80], speedup[80], share[32], bytes[32], quality[120];
    epoch[0] = '~';
    char *time = epoch + cli_is_extrapolated(t, row);
    with_interval(time, sizeof epoch - 1, t, row, "epoch_s", cli_format_seconds);
    with_interval(speedup, sizeof speedup, t, row, "speedup", cli_format_real);
    cli_format_percent(share, sizeof share, cli_number(cli_column(t, row, "local_share")));
    cli_format_bytes(bytes, sizeof bytes, cli_number(cli_column(t, row, "bytes_per_node")));
    const char *metric = cli_column(t, row, "metric");
    char value[80];
    with_interval(value, sizeof value, t, row, "quality", cli_format_real);
    snprintf(quality, sizeof quality, "%s%s%s", metric != NULL ? metric : "", metric != NULL ? " " : "",
             value);
    const char *cells[] = {cli_column(t, row, "policy"), epoch, speedup, share, bytes, quality};
    cli_table_row(table, cells);
}

int cli_print_compared(struct results_db *db, const char *run_ids, FILE *out, struct pm_error *err)
{
    static const char *const head[] = {"policy",         "epoch time", "speed-up",
                                       "local accesses", "bytes/node", "quality"};
    struct results_table t;
    int rc = results_compare(db, run_ids, &t, err);
    if (rc != PM_OK)
        return rc;
    struct cli_table table;
    cli_table_begin(&table, "lrrrrl", head);
    for (size_t row = 0; row < t.rows; row++)
        compared_row(&table, &t, row);
    cli_table_print(&table, out);
    for (size_t row = 0; row < t.rows; row++)
        if (cli_is_extrapolated(&t, row)) {
            fprintf(out, "%s\n", cli_extrapolated_note);
            break;
        }
    results_table_free(&t);
    return PM_OK;
}
