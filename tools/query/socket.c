/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/query/socket.h"

#include "server/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

int64_t socket_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int wait_for(int fd, short events, int64_t deadline_us)
{
    for (;;) {
        int64_t left_us = deadline_us - socket_clock_us();
        if (left_us <= 0)
            return -ETIMEDOUT;
        struct pollfd watched = {.fd = fd, .events = events};
        int ready = poll(&watched, 1, (int)((left_us + 999) / 1000));
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
    }
}

int socket_open(int type, const struct sockaddr_storage *to, const struct sockaddr_storage *source,
                int *fd_out)
{
    int fd = socket(to->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return -errno;
    /* The length and the message go in one segment anyway; further requests shall not wait. */
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (source != NULL && bind(fd, (const struct sockaddr *)source, address_len(source)) != 0) {
        int outcome = -errno;
        close(fd);
        return outcome;
    }
    *fd_out = fd;
    return 0;
}

int socket_connect(int fd, const struct sockaddr_storage *to, int64_t deadline_us)
{
    if (connect(fd, (const struct sockaddr *)to, address_len(to)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    int outcome = wait_for(fd, POLLOUT, deadline_us), fault = 0;
    socklen_t len = sizeof fault;
    if (outcome == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len) == 0)
        outcome = -fault;
    return outcome;
}

int socket_send(int fd, const uint8_t *octets, size_t len, int64_t deadline_us)
{
    while (len > 0) {
        ssize_t sent = send(fd, octets, len, MSG_NOSIGNAL);
        if (sent > 0) {
            octets += sent;
            len -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int outcome = wait_for(fd, POLLOUT, deadline_us);
            if (outcome != 0)
                return outcome;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int socket_receive(int fd, uint8_t *octets, size_t cap, int64_t deadline_us, size_t *len_out)
{
    for (;;) {
        int outcome = wait_for(fd, POLLIN, deadline_us);
        if (outcome != 0)
            return outcome;
        ssize_t len = recv(fd, octets, cap, 0);
        if (len >= 0) {
            *len_out = (size_t)len;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
}

int socket_read(int fd, uint8_t *octets, size_t len, int64_t deadline_us)
{
    size_t got = 0, more = 0; /* compilers do not see that it is set for 0 */
    while (got < len) {
        int outcome = socket_receive(fd, octets + got, len - got, deadline_us, &more);
        if (outcome != 0)
            return outcome;
        if (more == 0)
            return got == 0 ? -ENODATA : -EPIPE;
        got += more;
    }
    return 0;
}
