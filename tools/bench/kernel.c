/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/kernel.h"

#include "server/address.h"
#include "tools/bench/source.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_OCTETS (4 * 1024 * 1024)

static int bind_source(const struct worker *worker, int fd, uint32_t number)
{
    const struct bench_config *config = worker->config;
    const int on = 1;
    struct packet_address address =
        source_address(&config->source, number % source_count(&config->source));
    /* The port is chosen at connect(), so that many connections can share one. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (address.family == 4) {
        struct sockaddr_in in4 = {.sin_family = AF_INET};
        memcpy(&in4.sin_addr, address.octets, 4);
        return bind(fd, (struct sockaddr *)&in4, sizeof in4);
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, address.octets, 16);
    /* IPv4 takes what a local route says is the host's, IPv6 only addresses that are told it. */
    setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&in6, sizeof in6);
}

int kernel_socket(struct worker *worker, int type, uint32_t number)
{
    const struct bench_config *config = worker->config;
    const int on = 1, buffer_octets = BUFFER_OCTETS;
    int fd = socket(config->server.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        worker_fail(worker, -errno,
                    errno == EMFILE ? "too few file descriptors for so many connections (-c); "
                                      "\"ulimit -n\" raises the limit"
                                    : "cannot open a socket");
        return -1;
    }
    if (type == SOCK_DGRAM) {
        /* forced where that is permitted; else as much as may be had */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_octets, sizeof buffer_octets) != 0)
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_octets, sizeof buffer_octets);
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_octets, sizeof buffer_octets) != 0)
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_octets, sizeof buffer_octets);
    } else {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (config->has_source && bind_source(worker, fd, number) != 0) {
        worker_fail(
            worker, -errno,
            "cannot ask from an address of --source; it must be an address of this host "
            "(\"ip address add\", or for many of them \"ip route add local PREFIX dev lo\")");
        close(fd);
        return -1;
    }
    return fd;
}

int kernel_connect(const struct worker *worker, int fd)
{
    const struct sockaddr_storage *server = &worker->config->server;
    return connect(fd, (const struct sockaddr *)server, address_len(server));
}

uint64_t kernel_drops(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof memory;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) != 0)
        return 0;
    return memory[SK_MEMINFO_DROPS];
}

int kernel_wait(int epoll_fd, struct epoll_event *events, int event_cap, uint64_t wait_ns)
{
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(epoll_fd, events, event_cap, &wait, NULL);
    return count > 0 ? count : 0;
}
