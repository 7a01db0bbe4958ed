/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.h - have the delegations of zones looked after, by `lethe audit` as a child now and then.
 *
 * The child asks others and waits for them, and writes to the database: none of that is for a process
 * that answers. It has this one's user, and none of its capabilities unless that user is root.
 *
 * One thread, which has SIGCHLD blocked:
 *
 *     audit_begin(&audit, config);
 *     for (;;) {
 *         wait for a signal, at most audit_wait_s(&audit, now_s);
 *         audit_turn(&audit, now_s);
 *     }
 *     audit_end(&audit);
 */
#ifndef SERVER_AUDIT_H
#define SERVER_AUDIT_H

#include "server/config.h"

#include <sys/types.h>

struct audit {
    char program[PATH_MAX], database[PATH_MAX], hints[PATH_MAX];
    unsigned interval_s; /* 0: never */
    unsigned findings, spread_s;
    pid_t child;     /* 0: none */
    uint64_t next_s; /* when the next one is due; 0: at once */
};

/* Do as `config` says from now on; also again, with other settings, while a child runs. The first time
 * *audit must be zeroes. */
void audit_begin(struct audit *audit, const struct config *config);

/* How long to wait, at most, for something else than SIGCHLD; UINT64_MAX: for ever. `now_s`: a clock
 * that never goes back. */
uint64_t audit_wait_s(const struct audit *audit, uint64_t now_s);

/* Take notice of a child that has ended; start one if it is time. What goes wrong is logged. */
void audit_turn(struct audit *audit, uint64_t now_s);

/* End a child that runs, and wait for it. */
void audit_end(struct audit *audit);

#endif
