/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the child dies instead of saying how its run ended: one line and a code out of what it left behind. */
#include "sim/sim.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool sim_last_words_read(struct sim_last_words *words, int fd)
{
    size_t room = sizeof words->text - 1 - words->n;
    if (room < sizeof words->text / 2) {
        /* Keep the later half. */
        size_t keep = words->n / 2;
        memmove(words->text, words->text + words->n - keep, keep);
        words->n = keep;
        room = sizeof words->text - 1 - words->n;
    }
    ssize_t got = read(fd, words->text + words->n, room);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    words->n += (size_t)got;
    words->text[words->n] = '\0';
    return got > 0;
}

/* Skips what is before the sentence in "[12.0] file.cpp:95: [category/CRITICAL] Uncaught exception std::x:
 * sentence". */
static const char *skip_prefixes(const char *line)
{
    const char *mark = strstr(line, "/CRITICAL] ");
    if (mark == NULL)
        mark = strstr(line, "/ERROR] ");
    if (mark != NULL)
        line = strchr(mark, ' ') + 1;
    static const char uncaught[] = "Uncaught exception ";
    if (strncmp(line, uncaught, sizeof uncaught - 1) == 0) {
        const char *colon = strstr(line, ": ");
        line = colon != NULL ? colon + 2 : line;
    }
    return line;
}

/* How likely a line is to tell the reason; 0: never. */
static int weight(const char *line)
{
    if (strstr(line, "assertion failed") != NULL || strstr(line, "Sanitizer: ") != NULL ||
        strstr(line, "runtime error: ") != NULL)
        return 4;
    if (strstr(line, "/CRITICAL] ") != NULL)
        return 3;
    if (strstr(line, "/ERROR] ") != NULL)
        return 2;
    return line[0] != '\0' && !isspace((unsigned char)line[0]) ? 1 : 0;
}

void sim_last_words_sentence(const struct sim_last_words *words, bool died, char *sentence, size_t size)
{
    char best[PM_ERROR_TEXT_SIZE] = "", line[PM_ERROR_TEXT_SIZE];
    int best_weight = 0;
    for (const char *at = words->text; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line - 1), at);
        int w = weight(line);
        if (!died && w > 1) /* on the way to an orderly end only what the run itself wrote is of interest */
            w = 0;
        if (w > best_weight) { /* the first of equals */
            best_weight = w;
            memcpy(best, line, sizeof best);
        }
        at += length + (at[length] == '\n');
    }
    snprintf(sentence, size, "%s", skip_prefixes(best));
    size_t n = strlen(sentence);
    while (n > 0 && (isspace((unsigned char)sentence[n - 1]) || sentence[n - 1] == '.'))
        sentence[--n] = '\0';
}

static void describe_status(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == 9)
        snprintf(text, size, "was killed (signal 9; was this machine out of memory?)");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "died of signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
}

int sim_death_explain(const struct sim_settings *settings, const struct sim_box *box, int status,
                      const struct sim_last_words *words, struct pm_error *err)
{
    char sentence[PM_ERROR_TEXT_SIZE], how[80];
    sim_last_words_sentence(words, true, sentence, sizeof sentence);
    describe_status(status, how, sizeof how);
    const char *why = sentence[0] != '\0' ? sentence : how;
    const char *cfg = settings->sim_cfg;
    enum sim_phase phase = box->phase;
    /* A platform of our own making cannot be at fault while it is loaded. */
    if (phase == SIM_PHASE_PLATFORM && !settings->from_file && cfg != NULL)
        phase = SIM_PHASE_CONFIG;
    if (phase == SIM_PHASE_CONFIG && cfg != NULL)
        return pm_error_set(err, PM_E_OPTION, "--sim-cfg '%s': SimGrid says: %s", cfg, why);
    if (phase == SIM_PHASE_PLATFORM && settings->from_file)
        return pm_error_set(err, PM_E_FILE, "platform file '%s': %s", settings->platform, why);
    if (phase == SIM_PHASE_ROUTE && settings->from_file)
        return pm_error_set(err, PM_E_FILE, "platform file '%s': no route %s", settings->platform,
                            box->detail);
    return pm_error_set(err, PM_E_INTERNAL, "the simulation %s%s%s", how, sentence[0] != '\0' ? ": " : "",
                        sentence);
}
