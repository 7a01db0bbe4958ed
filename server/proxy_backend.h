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

#include "server/proxy_ring.h"
#include "stateless_tcp/io/io.h"

#include <sys/socket.h>
#include <sys/types.h>

#define PROXY_BACKEND_PORTS 16 /* a power of two */

/* How long a question waits for its response. */
#define PROXY_BACKEND_TIMEOUT_MS 4000

struct proxy_backend {
    int fds[PROXY_BACKEND_PORTS];
    uint8_t random[192]; /* drawn ahead; a multiple of three */
    size_t random_left;
};

/* Open the sockets, on ports that the kernel chooses. Needs no privilege; nothing is sent.
 * Outcomes: 0; negative errno with `error`, nothing stays open. */
int proxy_backend_open(const struct sockaddr_storage *address, struct proxy_backend *backend_out,
                       struct io_error *error);

/* Draw ID and socket for a question that is asked at `now_ms` of the caller's clock.
 * Outcomes: 0; negative errno: no randomness, ask nothing. */
int proxy_backend_ticket(struct proxy_backend *backend, uint64_t now_ms,
                         struct proxy_ticket *ticket_out);

/* Ask. What cannot be sent is lost, as it may be on the way. */
void proxy_backend_send(const struct proxy_backend *backend, uint8_t port, const uint8_t *ask,
                        size_t ask_len);

/* Take one datagram, of at most `cap` octets, without waiting. Returns its length; -EAGAIN when
 * there is none; another negative errno for what the network says of an earlier question. */
ssize_t proxy_backend_receive(const struct proxy_backend *backend, uint8_t port, uint8_t *datagram,
                              size_t cap);

void proxy_backend_close(struct proxy_backend *backend);

#endif
