/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/fault.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char last_words[1024];

static void on_fault(int number)
{
    (void)number; /* the default action follows: SA_RESETHAND, and what failed is tried again */
    ssize_t ignored = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)ignored;
}

void zonedb_fault_explain(const char *program, const char *directory)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT};
    struct sigaction ours = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND}, before;

    snprintf(last_words, sizeof last_words,
             "%s: stopped by a fault with the database in %.600s open: its data.mdb is damaged, or "
             "this is a defect of the program; load the zones into a new directory and keep this "
             "one for inspection\n",
             program, directory);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &ours, NULL);
}
