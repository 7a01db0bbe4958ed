/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.h - one line on standard error: what happened, to what, what to do.
 *
 * Under systemd (standard error is the journal's socket) a line begins with its priority as
 * sd-daemon(3) wants it; elsewhere with the program's name. Any thread; a line is one write.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

enum log_level {
    LOG_LEVEL_ERROR,   /* it does not work */
    LOG_LEVEL_WARNING, /* it works, but not as asked */
    LOG_LEVEL_INFO,    /* it is so */
};

/* Look at where standard error goes. Call once, before threads; without it lines are for people. */
void log_open(void);

/* Write one line, at most 1 KiB, no newline in `format`. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
