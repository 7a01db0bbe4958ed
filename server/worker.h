/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.h - one thread that answers UDP and kernel TCP from its own sockets and its own view.
 *
 *     worker_open(...)          sockets are handed over, nothing runs
 *     worker_start(...)         the thread runs
 *     worker_apply(...)         other settings and sockets, while it runs
 *     worker_stop(...)          drain
 *     worker_close(...)         wait for its end, free
 *
 * All functions are for the thread that opened the worker, but worker_wake(): any thread.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "server/config.h"
#include "server/park.h"
#include "server/tcp.h"

/* How long a worker goes on after worker_stop() for clients that do not take their responses. */
#define WORKER_DRAIN_MS 5000

struct worker_socket {
    int fd;
    bool is_tcp;       /* a listener */
    bool is_for_peers; /* a listener that takes none but struct tcp_limits' peers */
};

/* What a worker works with; constant while it is in use, the caller's. */
struct worker_settings {
    struct respond_policy policy;
    const struct answer_image *image; /* NULL: none */
    struct restrain *restrain;        /* NULL: none */
    struct tcp_limits tcp;
};

struct worker;

/* Outcomes: 0; negative errno. `park` and `db` outlive the worker, `settings` until another is
 * applied. `cpu`: to run on; negative: any. */
int worker_open(struct zonedb *db, struct park *park, const struct worker_settings *settings,
                int cpu, struct worker **worker_out);

/* Give it a socket; the worker closes it in the end, also on failure. Before worker_start() or, in
 * worker_apply()'s time, never. Outcomes: 0; negative errno. */
int worker_add_socket(struct worker *worker, struct worker_socket socket);

/* Outcomes: 0; negative errno: no thread. */
int worker_start(struct worker *worker);

/* Have the thread use `settings`, serve `add` too (those that it has already it only takes note of,
 * as they are now), serve what waits at the descriptors `remove` a
 * last time and close them. When this returns nothing of the old settings is in use any more. */
void worker_apply(struct worker *worker, const struct worker_settings *settings,
                  const struct worker_socket *add, size_t add_count, const int *remove,
                  size_t remove_count);

/* Have the thread look at park_is_asked(). */
void worker_wake(struct worker *worker);

/* Ask the thread to drain and end: no new connection, what has arrived is answered. */
void worker_stop(struct worker *worker);

/* Wait for the end, close everything. NULL is allowed. */
void worker_close(struct worker *worker);

#endif
