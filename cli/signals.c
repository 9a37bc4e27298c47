/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signals that ask for an orderly end. */
#include <signal.h>
#include <string.h>

#include "cli/execute.h"

static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    asked = number;
}

void cli_signals_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = (int)SA_RESETHAND; /* the second one has its default effect */
    sigaction(SIGINT, &action, NULL);
    action.sa_flags = 0;
    sigaction(SIGTERM, &action, NULL);
}

int cli_interrupted(void)
{
    return asked;
}
