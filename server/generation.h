/* SPDX-License-Identifier: BSD-2-Clause
 *
 * generation.h - one configuration of a running server, and all that follows from it: keys,
 * policies, sockets, the image, stateless TCP. A reload opens the next one beside the former, and
 * takes over from it what stays the same. Private to the server.
 *
 * One thread calls all of these.
 */
#ifndef SERVER_GENERATION_H
#define SERVER_GENERATION_H

#include "server/imager.h"
#include "server/park.h"
#include "server/server.h"
#include "server/tsig_keys.h"
#include "server/worker.h"

/* UDP, or a TCP listener, at one address: a socket of each worker. */
struct endpoint {
    struct sockaddr_storage address;
    bool is_tcp;
    bool is_for_peers;    /* TCP: of the transfer peers alone */
    unsigned given_count; /* of them, those that their workers own by now */
    int fd[CONFIG_WORKERS_MAX];
};

#define ENDPOINTS_MAX (2 * CONFIG_LISTEN_MAX)
/* One configuration and what follows from it. Workers use `settings`, whose policy uses the texts
 * of `config`: a generation stays where it is until the next one is in use everywhere. */
struct generation {
    struct config config;
    struct tsig_key_list tsig_list;
    struct tsig_keys tsig;
    struct worker_settings settings;
    struct dns_cookie_secrets cookie;
    struct restrain *restrain; /* NULL: there is nobody to restrain */
    struct imager *imager;     /* NULL: none is wanted, or can be had */
    struct stateless_set *stateless;
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count;
};

/* What all generations of a server share. */
struct generation_place {
    struct zonedb *db; /* NULL: a proxy */
    struct park *park;
    unsigned worker_count;
};

/* Open what `config`, which is copied, wants; from `former` (NULL: there is none) is taken what
 * stays the same. Nothing runs yet. Outcomes: 0 with the generation, the caller's until
 * generation_drop() or generation_free(); negative errno, `error` says what failed and what to do,
 * and everything is as before. */
int generation_open(const struct generation_place *place, const struct config *config,
                    struct generation *former, struct generation **generation_out,
                    struct server_error *error);

/* Where it listens so; NULL: it does not, or there is no generation. */
struct endpoint *generation_endpoint(struct generation *generation,
                                     const struct sockaddr_storage *address, bool is_tcp);

/* The socket of worker `w`. */
struct worker_socket generation_socket(const struct endpoint *endpoint, unsigned w);

/* Say what its policies have counted, and close them. */
void generation_close_restrain(struct generation *generation);

/* Free it, whose sockets, image and stateless TCP are another's by now, or closed. */
void generation_free(struct generation *generation);

/* The same, and close the sockets that no worker owns. */
void generation_drop(struct generation *generation);

/* Write what failed, as printf does. Returns `outcome`. */
__attribute__((format(printf, 3, 4))) int generation_refuse(struct server_error *error, int outcome,
                                                            const char *format, ...);

#endif
