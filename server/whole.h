/* SPDX-License-Identifier: BSD-2-Clause
 *
 * whole.h - UDP sockets whose datagrams leave whole or not at all.
 */
#ifndef SERVER_WHOLE_H
#define SERVER_WHOLE_H

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Have the socket, of AF_INET or AF_INET6, send nothing in fragments: what is too long for the interface
 * is refused, with EMSGSIZE. What ICMP says of a path's MTU is neither believed nor kept, since anybody
 * could say so. Linux sets DF only for sockets that do believe it, so over IPv4 DF is clear, and
 * routers may make fragments of what is longer than the path's MTU (RFC 9715 3.1, R2). Outcomes: 0;
 * negative errno. */
static inline int whole_set(int fd, int family)
{
    int value = family == AF_INET ? IP_PMTUDISC_INTERFACE : IPV6_PMTUDISC_INTERFACE;
    int outcome = family == AF_INET
                      ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value)
                      : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof value);
    return outcome == 0 ? 0 : -errno;
}

#endif
