/* SPDX-License-Identifier: BSD-2-Clause
 *
 * server.h - the database, the sockets and the threads of one daemon, as a configuration wants
 * them.
 *
 *     server_open(config, &server, &error)      database and sockets; needs the privileges
 *     server_start(server, &error)              threads; privileges may be gone
 *     server_reload(server, config, &error)     any number of times
 *     server_close(server)                      drain, join, free
 *
 * One thread calls all of these.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "server/config.h"

struct server;

struct server_error {
    char text[1200];
};

/* Outcomes: 0 with the server, the caller's until server_close(); negative errno, `error` says what
 * failed and what to do, nothing stays open. The config is copied. */
int server_open(const struct config *config, struct server **server_out,
                struct server_error *error);

/* Run. Outcomes: 0; negative errno with `error`. */
int server_start(struct server *server, struct server_error *error);

/* Begin to make an image of the zones, if there is to be one. */
void server_begin_image(struct server *server);

/* Go over to another configuration: addresses, interfaces, policy and limits. What needs a restart
 * (database, workers, pin, user, pid-file) is kept as it is, with a warning. No query is lost at
 * addresses that stay. Outcomes: 0; negative errno with `error`: everything is as before. */
int server_reload(struct server *server, const struct config *config, struct server_error *error);

/* How many zones there are, and where they are served: one line for people. */
void server_describe(struct server *server, char *text, size_t text_cap);

/* Zones in the database now. */
uint64_t server_zone_count(struct server *server);

/* Drain and free. NULL is allowed. */
void server_close(struct server *server);

#endif
