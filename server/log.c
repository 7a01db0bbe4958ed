/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

static bool is_journal;

/* systemd.exec(5): JOURNAL_STREAM names device and inode of the journal's socket; a stale variable
 * inherited past a redirection names another file. */
void log_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char text[64];
    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return;
    snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    is_journal = strcmp(stream, text) == 0;
}

static const char *log_prefix(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return is_journal ? SD_ERR : "lethed: error: ";
    case LOG_LEVEL_WARNING:
        return is_journal ? SD_WARNING : "lethed: warning: ";
    case LOG_LEVEL_INFO:
        break;
    }
    return is_journal ? SD_INFO : "lethed: ";
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    int used = snprintf(line, sizeof line, "%s", log_prefix(level));
    size_t len = (size_t)used;
    va_list arguments;
    va_start(arguments, format);
    used = vsnprintf(line + len, sizeof line - 1 - len, format, arguments);
    va_end(arguments);
    if (used < 0)
        return;
    len = strlen(line);
    line[len++] = '\n';
    /* Nobody to tell when standard error itself is gone. */
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored;
}
