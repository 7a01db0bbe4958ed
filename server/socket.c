/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/socket.h"

#include "server/whole.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Room for bursts, and for the answers to a batch while the device is busy. Without CAP_NET_ADMIN
 * the kernel lowers them to net.core.rmem_max and wmem_max. */
#define UDP_RECEIVE_BUFFER (4 << 20)
#define UDP_SEND_BUFFER (1 << 20)

static void socket_explain(const struct sockaddr_storage *address, int type, const char *call,
                           int problem, struct socket_error *error)
{
    char where[ADDRESS_TEXT_MAX], hint[256];
    const char *protocol = type == SOCK_DGRAM ? "UDP" : "TCP";
    unsigned port = address_port(address);
    address_to_text(address, where);
    switch (problem) {
    case EADDRINUSE:
        snprintf(hint, sizeof hint,
                 "another program has the port: stop it, or listen elsewhere; this shows it: "
                 "ss -l%spn 'sport = :%u'",
                 type == SOCK_DGRAM ? "u" : "t", port);
        break;
    case EACCES:
        snprintf(hint, sizeof hint,
                 "port %u needs the capability CAP_NET_BIND_SERVICE: start as root, or give the "
                 "service AmbientCapabilities=CAP_NET_BIND_SERVICE, or take a port above 1023",
                 port);
        break;
    case EADDRNOTAVAIL:
        snprintf(hint, sizeof hint,
                 "no interface of this machine has the address: ip address shows those that there "
                 "are");
        break;
    case EAFNOSUPPORT:
        snprintf(hint, sizeof hint, "this machine has no %s",
                 address->ss_family == AF_INET ? "IPv4" : "IPv6");
        break;
    default:
        snprintf(hint, sizeof hint, "%s: %s", call, strerror(problem));
        break;
    }
    snprintf(error->text, sizeof error->text, "cannot listen on %s over %s: %s", where, protocol,
             hint);
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* Best effort: a small buffer loses datagrams in bursts, that is all. */
static void set_buffer(int fd, int name_forced, int name, int octets)
{
    if (set_option(fd, SOL_SOCKET, name_forced, octets) != 0)
        set_option(fd, SOL_SOCKET, name, octets);
}

/* What both kinds of sockets need before bind(). */
static int socket_prepare(int fd, const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6)
        return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return 0;
}

static int socket_prepare_udp(int fd, const struct sockaddr_storage *address)
{
    bool is_any = address_is_any(address);
    if (set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
        return -1;
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, UDP_RECEIVE_BUFFER);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, UDP_SEND_BUFFER);
    if (whole_set(fd, address->ss_family) != 0)
        return -1;
    if (!is_any)
        return 0;
    return address->ss_family == AF_INET ? set_option(fd, IPPROTO_IP, IP_PKTINFO, 1)
                                         : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

/* Sockets from accept() inherit TCP_NODELAY. */
static int socket_prepare_tcp(int fd)
{
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0 ||
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
        return -1;
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

static int socket_open(const struct sockaddr_storage *address, int type, int *fd_out,
                       struct socket_error *error)
{
    const char *call = "socket";
    int fd = socket(address->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto failed;
    call = "setsockopt";
    if (socket_prepare(fd, address) != 0 ||
        (type == SOCK_DGRAM ? socket_prepare_udp(fd, address) : socket_prepare_tcp(fd)) != 0)
        goto failed;
    call = "bind";
    if (bind(fd, (const struct sockaddr *)address, address_len(address)) != 0)
        goto failed;
    call = "listen";
    if (type == SOCK_STREAM && listen(fd, SOMAXCONN) != 0)
        goto failed;
    *fd_out = fd;
    return 0;
failed:;
    int problem = errno;
    socket_explain(address, type, call, problem, error);
    if (fd >= 0)
        close(fd);
    return -problem;
}

int socket_open_udp(const struct sockaddr_storage *address, int *fd_out, struct socket_error *error)
{
    return socket_open(address, SOCK_DGRAM, fd_out, error);
}

int socket_open_tcp(const struct sockaddr_storage *address, int *fd_out, struct socket_error *error)
{
    return socket_open(address, SOCK_STREAM, fd_out, error);
}

/* SO_REUSEADDR lets TCP past connections in TIME-WAIT, not past a listener. */
static int socket_probe_one(const struct sockaddr_storage *address, int type,
                            struct socket_error *error)
{
    int outcome = 0;
    int fd = socket(address->ss_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || socket_prepare(fd, address) != 0 ||
        (type == SOCK_STREAM && set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0) ||
        bind(fd, (const struct sockaddr *)address, address_len(address)) != 0) {
        outcome = -errno;
        socket_explain(address, type, "bind", errno, error);
    }
    if (fd >= 0)
        close(fd);
    return outcome;
}

int socket_probe(const struct sockaddr_storage *address, bool has_tcp, struct socket_error *error)
{
    int outcome = socket_probe_one(address, SOCK_DGRAM, error);
    if (outcome == 0 && has_tcp)
        outcome = socket_probe_one(address, SOCK_STREAM, error);
    return outcome;
}
