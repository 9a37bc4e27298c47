/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A figure's data out of the database, and gnuplot. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/plots.h"
#include "results/query.h"

extern char **environ;

/* A text as gnuplot reads it between double quotes. */
static void write_quoted(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++)
        fputc(*text == '"' || *text == '\t' ? '\'' : *text, file);
    fputs("\"\n", file);
}

static int write_blocks(FILE *file, const struct results_table *t)
{
    fputs("#", file);
    for (size_t i = 0; i < t->columns; i++)
        fprintf(file, "%s%s", i > 0 ? "\t" : " ", t->names[i]);
    fputc('\n', file);
    for (size_t row = 0; row < t->rows; row++) {
        const char *series = results_cell(t, row, 0);
        if (row == 0 || strcmp(series, results_cell(t, row - 1, 0)) != 0) {
            fputs(row > 0 ? "\n\n" : "", file);
            write_quoted(file, series);
        }
        for (size_t i = 1; i < t->columns; i++) {
            const char *cell = results_cell(t, row, i);
            fprintf(file, "%s%s", i > 1 ? "\t" : "", cell != NULL ? cell : "NaN");
        }
        fputc('\n', file);
    }
    return ferror(file) ? -1 : 0;
}

int cli_plot_write_data(const struct cli_plot *plot, struct results_db *db, const char *run_ids,
                        const char *path, size_t *rows, struct pm_error *err)
{
    struct results_table t;
    int rc = results_exec(db, "PRAGMA temp_store = MEMORY; DROP TABLE IF EXISTS temp.figure_run", err);
    if (rc == PM_OK)
        rc = results_run_statement(db, err,
                                   "CREATE TEMP TABLE figure_run AS SELECT value AS run_id FROM json_each(?)",
                                   "s", run_ids);
    if (rc == PM_OK)
        rc = results_select(db, &t, err, plot->query, "");
    if (rc != PM_OK)
        return pm_error_wrap(err, rc, "figure %s", plot->name);
    for (size_t row = 0; row < t.rows; row++)
        if (results_cell(&t, row, 0) == NULL)
            rc = pm_error_set(err, PM_E_FILE, "figure %s: its query gives a series without name", plot->name);
    *rows = t.rows;
    FILE *file = rc == PM_OK ? fopen(path, "we") : NULL;
    if (rc == PM_OK && (file == NULL || write_blocks(file, &t) != 0))
        rc = pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
    if (file != NULL && fclose(file) != 0 && rc == PM_OK)
        rc = pm_error_set(err, PM_E_FILE, "%s: %s", path, strerror(errno));
    results_table_free(&t);
    return rc;
}

/* The last line of what gnuplot said that is not empty. */
static void last_line(char *text, char *line, size_t size)
{
    char *rest = NULL;
    line[0] = '\0';
    for (char *word = strtok_r(text, "\n", &rest); word != NULL; word = strtok_r(NULL, "\n", &rest))
        if (word[strspn(word, " ^\t")] != '\0')
            snprintf(line, size, "%s", word);
}

/* Reads to the end of the stream; what does not fit is dropped. */
static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    char spill[256];
    for (;;) {
        bool full = length + 1 >= size;
        ssize_t n = read(fd, full ? spill : text + length, full ? sizeof spill : size - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += full ? 0 : (size_t)n;
    }
    text[length] = '\0';
}

int cli_gnuplot(const char *before, const char *script, struct pm_error *err)
{
    int said[2];
    if (pipe(said) != 0)
        return pm_error_set(err, PM_E_FILE, "gnuplot: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, said[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, said[0]);
    char *argv[] = {"gnuplot", "-e", (char *)before, (char *)script, NULL};
    pid_t pid;
    fflush(stdout);
    int failed = posix_spawnp(&pid, "gnuplot", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(said[1]);
    char text[8192], line[300];
    if (failed == 0)
        read_all(said[0], text, sizeof text);
    close(said[0]);
    if (failed != 0)
        return pm_error_set(err, PM_E_FILE, "gnuplot: %s (package gnuplot-nox)", strerror(failed));
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return PM_OK;
    last_line(text, line, sizeof line);
    return pm_error_set(err, PM_E_REFUSED, "gnuplot %s: %s", script, line[0] != '\0' ? line : "failed");
}
