/* SPDX-License-Identifier: BSD-2-Clause
 *
 * park.h - bring all threads to a halt at once, do one thing, let them go.
 *
 * Needed when the database outgrew this process's map: mapping anew pulls the ground from under
 * every view, so all of them must be at rest.
 *
 *     each member, between batches:
 *         if (park_is_asked(&park)) {
 *             let go of the view;
 *             park_wait(&park);
 *         }
 *     the one that finds the need:
 *         park_ask(&park);                   wakes the others; then as above
 *
 * All functions but park_open() and park_close(): any thread.
 */
#ifndef SERVER_PARK_H
#define SERVER_PARK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What to do while all stand still, in the thread that came last. */
typedef void park_act(void *context);
/* Make every member look at park_is_asked() soon. Called in the thread that asks. */
typedef void park_wake(void *context);

struct park {
    pthread_mutex_t lock;
    pthread_cond_t is_over;
    unsigned member_count, waiting_count;
    unsigned long round; /* halts that are over */
    atomic_bool is_asked;
    park_act *act;
    park_wake *wake;
    void *context;
};

/* The park may not move in memory until park_close(). */
void park_open(struct park *park, park_act *act, park_wake *wake, void *context);
void park_close(struct park *park);

/* A thread will look at park_is_asked() from now on, until park_leave(). The latter may be what the
 * others were waiting for: act() runs in it then. */
void park_join(struct park *park);
void park_leave(struct park *park);

/* Ask all members to wait. */
void park_ask(struct park *park);
bool park_is_asked(const struct park *park);

/* Members: wait until all are here and act() is done. Returns at once when nobody asked. */
void park_wait(struct park *park);

#endif
