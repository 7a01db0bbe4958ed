/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lethe_session.h - what subcommands that read zone text show meanwhile. Private to tools/.
 */
#ifndef TOOLS_LETHE_SESSION_H
#define TOOLS_LETHE_SESSION_H

#include "tools/lethe.h"
#include "zonedb/text_load.h"

struct session {
    const struct lethe_arguments *arguments;
    struct zonedb *db;    /* once it is open */
    bool has_bar;         /* a terminal looks on */
    bool is_phase_hidden; /* of many small zones: the bar is drawn by the caller */
    bool is_bar_drawn;
    double bar_s; /* when it was drawn last */
};

/* Seconds on a clock that only goes forward. */
double session_clock_s(void);

struct session session_begin(const struct lethe_arguments *arguments);

/* Options for reading that show messages, and progress on a terminal, through `session`. */
struct text_options session_options(struct session *session, bool is_thorough);

/* Open the database of the session, if it is not yet; NULL: told. */
struct zonedb *session_database(void *session);

/* Draw the bar if it is time; wipe it off before other output. */
void session_draw(struct session *session, const char *what, uint64_t done, uint64_t total);
void session_clear(struct session *session);

/* How many warnings were not shown, if there are such. */
void session_hidden_warnings(const struct session *session, const struct text_counts *counts);

/* Say why the database could not be written; returns EXIT_REFUSED. */
int session_fail_write(const struct session *session, const char *what, int error);

/* "s", unless there is one. */
const char *session_plural(uint64_t count);

#endif
