/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stateless.h - the threads that answer TCP without state: one for each interface.
 *
 * A set is opened for a configuration; for the next one a new set takes over from the old what has
 * not changed, so that no frame is lost there.
 *
 * All functions are for the thread that opened the set, but stateless_wake(): any thread.
 */
#ifndef SERVER_STATELESS_H
#define SERVER_STATELESS_H

#include "server/answer.h"
#include "server/config.h"
#include "server/park.h"
#include "server/restrain.h"

struct stateless_set;

/* What requests are answered by. */
struct stateless_answers {
    const struct respond_policy *policy;
    const struct answer_image *image; /* NULL: none */
    struct restrain *restrain;        /* NULL: none */
};

struct stateless_error {
    char text[1024];
};

/* Open capture and guard on every interface that `config` needs. `former`: the set in use, whose
 * members are used again where interface, addresses and TCP settings are the same; NULL: none.
 * What `answers` points to outlives the set. `db`, NULL with a back end, and `park` outlive
 * everything.
 * Outcomes: 0; negative errno with `error`, `former` is as before. */
int stateless_open(const struct config *config, struct zonedb *db, struct park *park,
                   const struct stateless_answers *answers, struct stateless_set *former,
                   struct stateless_set **set_out, struct stateless_error *error);

/* Undo stateless_open(): `former` is in use as before. NULL is allowed for both. */
void stateless_abandon(struct stateless_set *set, struct stateless_set *former);

/* Run all of a set, by its policy. `former` as for stateless_open(), halted: what the set did not
 * take over of it is closed, and it is freed. Outcomes: 0; negative errno: some have no thread. */
int stateless_start(struct stateless_set *set, struct stateless_set *former);

/* End the threads, keep captures and guards up: frames wait meanwhile. NULL is allowed. */
void stateless_halt(struct stateless_set *set);

/* Have every thread look at park_is_asked(). NULL is allowed. */
void stateless_wake(struct stateless_set *set);

/* End threads, close, free, because the process ends: guards linger if clients may meet the same
 * secret again. NULL is allowed. */
void stateless_close(struct stateless_set *set);

/* Interfaces served. NULL is allowed. */
size_t stateless_count(const struct stateless_set *set);

/* The interface that serves this address, for people; "" if there is none. */
const char *stateless_interface(const struct stateless_set *set,
                                const struct sockaddr_storage *address);

#endif
