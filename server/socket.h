/* SPDX-License-Identifier: BSD-2-Clause
 *
 * socket.h - open the sockets that queries come in by.
 *
 * Each worker has sockets of its own for each address; SO_REUSEPORT lets the kernel spread queries
 * and connections over them. Because it would also let a second daemon of the same user in,
 * unnoticed, socket_probe() asks first whether the address is free.
 */
#ifndef SERVER_SOCKET_H
#define SERVER_SOCKET_H

#include "server/address.h"

#include <stdbool.h>

struct socket_error {
    char text[512];
};

/* Whether nobody listens at the address over UDP and, if `has_tcp`, TCP. Outcomes: 0; negative
 * errno with `error` saying which address, why and what to do. */
int socket_probe(const struct sockaddr_storage *address, bool has_tcp, struct socket_error *error);

/* A bound, non-blocking UDP socket that sends nothing in fragments (EMSGSIZE instead), neither sets DF
 * nor believes ICMP about path MTUs (IP_PMTUDISC_INTERFACE), and that tells the destination address of each datagram when it is bound to
 * 0.0.0.0 or ::. Outcomes: 0 with the descriptor, the caller's to close; negative errno with
 * `error` as above. */
int socket_open_udp(const struct sockaddr_storage *address, int *fd_out,
                    struct socket_error *error);

/* A listening, non-blocking TCP socket with TCP_NODELAY for what it accepts. Outcomes: as above. */
int socket_open_tcp(const struct sockaddr_storage *address, int *fd_out,
                    struct socket_error *error);

#endif
