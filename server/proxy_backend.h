/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_backend.h - the UDP sockets through which a proxy asks its back end.
 *
 * Several, each connected, so that the kernel hands over only what comes from the back end's
 * address and port to one of ours. Which of them asks, and with which ID, is drawn anew for each
 * question (RFC 5452 9.2). One thread at a time.
 */
#ifndef SERVER_PROXY_BACKEND_H
#define SERVER_PROXY_BACKEND_H

#include "server/proxy.h"
#include "stateless_tcp/io/io.h"

#include <sys/socket.h>
#include <sys/types.h>

struct proxy_backend {
    int fds[PROXY_PORTS];
};

/* Open the sockets, on ports that the kernel chooses. Needs no privilege; nothing is sent.
 * Outcomes: 0; negative errno with `error`, nothing stays open. */
int proxy_backend_open(const struct sockaddr_storage *address, struct proxy_backend *backend_out,
                       struct io_error *error);

/* Fill up `draws` if less than half is left. Outcomes: 0; negative errno: no randomness. */
int proxy_backend_draw(struct proxy_draws *draws);

/* Ask. What cannot be sent is lost, as it may be on the way. */
void proxy_backend_send(const struct proxy_backend *backend, const struct proxy_ask *ask);

/* Take one datagram, of at most `cap` octets, without waiting. Returns its length; -EAGAIN when
 * there is none; another negative errno for what the network says of an earlier question. */
ssize_t proxy_backend_receive(const struct proxy_backend *backend, uint8_t port, uint8_t *datagram,
                              size_t cap);

void proxy_backend_close(struct proxy_backend *backend);

#endif
