/* SPDX-License-Identifier: BSD-2-Clause
 *
 * socket.h - sockets that never wait beyond a deadline. Deadlines are of socket_clock_us().
 * Outcomes are 0, or a negative errno: -ETIMEDOUT the deadline passed.
 */
#ifndef TOOLS_QUERY_SOCKET_H
#define TOOLS_QUERY_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Microseconds that never run backwards. */
int64_t socket_clock_us(void);

/* A socket of `type` for the family of `to`, bound to `source` (NULL: to none), to be closed. */
int socket_open(int type, const struct sockaddr_storage *to, const struct sockaddr_storage *source,
                int *fd_out);

/* Connect: UDP then takes datagrams of this address and port only. */
int socket_connect(int fd, const struct sockaddr_storage *to, int64_t deadline_us);

int socket_send(int fd, const uint8_t *octets, size_t len, int64_t deadline_us);

/* One datagram of up to `cap` octets. */
int socket_receive(int fd, uint8_t *octets, size_t cap, int64_t deadline_us, size_t *len_out);

/* Exactly `len` octets of a stream. -ENODATA: it ended before the first of them, -EPIPE: after. */
int socket_read(int fd, uint8_t *octets, size_t len, int64_t deadline_us);

#endif
