/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw.h - a worker that answers TCP from captured frames on one interface, the kernel kept away.
 *
 *     raw_worker_open(&config, &worker, &error);     privileged
 *     raw_worker_run(worker, policy, &stop);         its thread, as often as needed
 *     raw_worker_close(worker);
 *
 * Between two runs capture and guard stay up and frames wait in the ring.
 *
 * Where the backend can share an interface several workers serve it: the first is opened, says by
 * raw_worker_count() how many there can be, the others are opened with its help; it is closed last.
 */
#ifndef SERVER_RAW_H
#define SERVER_RAW_H

#include "server/answer.h"
#include "server/keys.h"
#include "server/restrain.h"
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/prefix.h"
#include "stateless_tcp/stateless_tcp.h"

#include <stdatomic.h>
#include <sys/socket.h>

/* One address that is served statelessly on an interface. The unspecified address means all of its
 * family that the interface has, and follows changes. */
struct raw_address {
    struct sockaddr_storage address; /* with port */
};

/* What is pointed to is copied, but for `db`, which must outlive the worker. */
struct raw_config {
    const char *interface;
    const char *io;                 /* backend, by its name (io.h); NULL: the best that opens */
    bool has_driver;                /* a program in the driver answers what needs no request */
    bool has_hot;                   /* and UDP requests that came before */
    bool has_image;                 /* and what is in the image of the zones */
    bool is_restrained;             /* each request over UDP is for raw_worker_run() to judge */
    void (*warn)(const char *text); /* what the operator should know, from the worker's thread */
    const struct raw_address *addresses;
    size_t address_count;       /* 1 or more */
    const struct prefix *peers; /* whose TCP is left to the kernel */
    size_t peer_count;
    bool has_udp; /* answered too, and taken away from the kernel but for fragments */
    struct zonedb *db;
    const struct sockaddr_storage *proxy; /* a back end, asked instead of `db`; NULL: none */
    const struct stateless_tcp_config *tcp;
    size_t
        recent_size; /* octets for the cache of recent.h; 0: none, else RECENT_SIZE_MIN or more */
    const struct keys_secret *secret; /* cookie keys come from it and the clock */
    unsigned linger_s;                /* the guard stays so long after the process has ended */
    unsigned worker_count;            /* threads wanted on the interface, 1 or more */
    unsigned worker;                  /* which of them this is, from 0 */
    struct raw_worker *first;         /* of the same configuration, open; NULL: this is it */
};

struct raw_worker;

/* Open the capture and, for the first worker of an interface, put up the kernel guard. Needs
 * CAP_NET_RAW and CAP_NET_ADMIN; afterwards neither.
 * Outcomes: 0; -EADDRNOTAVAIL an address that no interface of the host has, so that nobody would
 * answer ARP or neighbour discovery for it, or an IPv4 address on a loopback interface whose
 * accept_local (and for 127/8 route_localnet) is off, so that the kernel would drop the answers;
 * other negative errno; `error` says what failed and what to do. */
int raw_worker_open(const struct raw_config *config, struct raw_worker **worker_out,
                    struct io_error *error);

/* Answer until *stop is true (seen within RAW_STOP_MS), in the calling thread. `policy`: constant
 * meanwhile; `image`: NULL, there is none; `restrain`, NULL: none, must outlive the worker or its next
 * run. The worker's view is at rest when this returns.
 * Outcomes: 0 stopped; -ESTALE the database outgrew this process's map: call zonedb_remap() while
 * all views of the process are at rest, then run again; -ENODEV the interface is gone; -ECHILD the
 * guard is gone, since somebody killed the process that keeps it; other
 * negative errno. An interface that is only down is waited for. */
#define RAW_STOP_MS 100
int raw_worker_run(struct raw_worker *worker, const struct respond_policy *policy,
                   const struct answer_image *image, struct restrain *restrain,
                   const atomic_bool *stop);

/* Before a close, when no worker of the interface runs: let the kernel have what comes from now on;
 * then, each worker, answer what was captured before until_us (Unix time) and waits: the kernel's
 * sockets never saw that. A proxy's clients ask again. */
void raw_worker_unguard(struct raw_worker *first);
void raw_worker_drain(struct raw_worker *worker, const struct respond_policy *policy,
                      uint64_t until_us);

/* Before the first run: forget what was captured twice, so that there is room. */
void raw_worker_discard(struct raw_worker *worker);

/* Before the first run: leave what was captured before from_us to who was there before. Without
 * this call it is what came before the guard. */
void raw_worker_begin(struct raw_worker *worker, uint64_t from_us);

/* How many workers there are to be on the interface, 1 up to what was wanted. */
unsigned raw_worker_count(const struct raw_worker *worker);

/* Frames for us that were lost because they came too fast, since the capture was opened. */
void raw_worker_count_lost(const struct raw_worker *worker, struct io_lost *lost_out);

/* What a program in the interface's driver has done, since the process began. */
void raw_worker_count_answered(const struct raw_worker *worker, struct io_answered *answered_out);

/* The name of the backend that carries the frames, and why it is not a better one, for people; "":
 * it is the best, or the one asked for. */
const char *raw_worker_backend(const struct raw_worker *worker);
const char *raw_worker_note(const struct raw_worker *worker);

/* Close, take the guard down. NULL is allowed. */
void raw_worker_close(struct raw_worker *worker);

/* Close because the process is about to end: the guard lingers. NULL is allowed. */
void raw_worker_leave(struct raw_worker *worker);

#endif
