/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP over the kernel's sockets, a batch at a time each way.
 *
 * A socket's queries are numbered; the number's low bits are the DNS ID and, lower still, the place
 * in a ring where the query is remembered. So an answer finds its query without a search, and those
 * that are out of time are found at the ring's tail.
 */
#include "tools/bench/kernel.h"
#include "tools/bench/worker.h"

#include "stateless_tcp/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define RECEIVE_CAP 4096
#define RING_MIN 256
#define RING_MAX 65536 /* there are no more IDs */
#define WAIT_NS 10000000

struct udp_socket {
    int fd;
    uint32_t head, tail; /* numbers: of the next query, of the oldest that may be waiting */
    struct worker_query *ring;
};

struct udp {
    struct worker *worker;
    struct udp_socket *sockets;
    uint32_t socket_count, ring_cap;
    uint32_t turn; /* which socket sends next */
    int epoll_fd;
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    uint8_t octets[BATCH][RECEIVE_CAP];
};

/* A power of two that leaves each socket room for its share, twice over. */
static uint32_t choose_ring_cap(const struct worker *worker, uint32_t socket_count)
{
    const struct bench_config *config = worker->config;
    double wanted = config->outstanding;
    if (config->rate > 0)
        wanted = config->rate / config->threads * (double)config->timeout_ns / 1e9;
    wanted = wanted / socket_count * 2 + BATCH;
    uint32_t cap = RING_MIN;
    while (cap < RING_MAX && cap < wanted)
        cap *= 2;
    return cap;
}

static bool open_socket(struct udp *udp, uint32_t index)
{
    struct udp_socket *s = &udp->sockets[index];
    s->ring = calloc(udp->ring_cap, sizeof *s->ring);
    if (s->ring == NULL) {
        worker_fail(udp->worker, -ENOMEM, "cannot remember queries");
        return false;
    }
    s->fd = kernel_socket(udp->worker, SOCK_DGRAM,
                          index * udp->worker->config->threads + udp->worker->index);
    if (s->fd < 0)
        return false;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (kernel_connect(udp->worker, s->fd) != 0 ||
        epoll_ctl(udp->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) != 0) {
        worker_fail(udp->worker, -errno, "cannot use a UDP socket");
        return false;
    }
    return true;
}

static bool udp_open(struct udp *udp)
{
    const struct bench_config *config = udp->worker->config;
    uint32_t share = config->connections / config->threads;
    udp->socket_count = share > 0 ? share : 1;
    udp->ring_cap = choose_ring_cap(udp->worker, udp->socket_count);
    udp->sockets = calloc(udp->socket_count, sizeof *udp->sockets);
    udp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (udp->sockets == NULL || udp->epoll_fd < 0) {
        worker_fail(udp->worker, -ENOMEM, "cannot begin");
        return false;
    }
    for (uint32_t i = 0; i < udp->socket_count; i++)
        udp->sockets[i].fd = -1;
    for (uint32_t i = 0; i < udp->socket_count; i++)
        if (!open_socket(udp, i))
            return false;
    for (unsigned i = 0; i < BATCH; i++) {
        udp->parts[i].iov_base = udp->octets[i];
        udp->messages[i].msg_hdr.msg_iov = &udp->parts[i];
        udp->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return true;
}

static uint64_t udp_close(struct udp *udp)
{
    uint64_t drops = 0;
    for (uint32_t i = 0; udp->sockets != NULL && i < udp->socket_count; i++) {
        if (udp->sockets[i].fd >= 0) {
            drops += kernel_drops(udp->sockets[i].fd);
            close(udp->sockets[i].fd);
        }
        free(udp->sockets[i].ring);
    }
    if (udp->epoll_fd >= 0)
        close(udp->epoll_fd);
    free(udp->sockets);
    return drops;
}

/* How many queries there is a place for, on any socket. */
static uint32_t places(const struct udp *udp)
{
    const struct bench_config *config = udp->worker->config;
    uint64_t limit = (uint64_t)udp->socket_count * udp->ring_cap;
    if (config->rate <= 0) {
        limit = config->outstanding / config->threads;
        if (limit == 0)
            limit = 1;
    }
    return udp->worker->outstanding < limit ? (uint32_t)(limit - udp->worker->outstanding) : 0;
}

/* Send up to `count` queries that are due from one socket. Returns how many. */
static uint32_t send_batch(struct udp *udp, struct udp_socket *s, uint32_t count, uint64_t now_ns)
{
    struct worker *worker = udp->worker;
    uint32_t made = 0;
    if (count > BATCH)
        count = BATCH;
    while (made < count && s->head - s->tail < udp->ring_cap && worker_may_send(worker, now_ns)) {
        uint16_t id = (uint16_t)s->head;
        struct worker_query *q = &s->ring[s->head++ & (udp->ring_cap - 1)];
        worker_take(worker, now_ns, id, q);
        udp->parts[made].iov_len = worker_copy(worker, q, udp->octets[made]);
        made++;
    }
    /* What the kernel refuses is lost as it might be on the wire: it will time out. An error may be
     * an earlier packet's (ICMP) and is then gone at the next call. */
    for (uint32_t sent = 0; sent < made;) {
        int outcome = sendmmsg(s->fd, udp->messages + sent, made - sent, 0);
        if (outcome < 0 && errno == EINTR)
            continue;
        if (outcome < 0)
            worker->usage.last_error = errno;
        sent += outcome > 0 ? (uint32_t)outcome : 1;
    }
    return made;
}

static void send_due(struct udp *udp, uint64_t now_ns)
{
    uint32_t left = places(udp), idle = 0;
    while (left > 0 && idle < udp->socket_count && worker_may_send(udp->worker, now_ns)) {
        uint32_t sent = send_batch(udp, &udp->sockets[udp->turn], left, now_ns);
        udp->turn = udp->turn + 1 < udp->socket_count ? udp->turn + 1 : 0;
        left -= sent;
        idle = sent > 0 ? 0 : idle + 1;
    }
    if (left == 0 || idle == udp->socket_count)
        worker_hold(udp->worker, now_ns);
}

static void receive_batches(struct udp *udp, struct udp_socket *s, uint64_t now_ns)
{
    int count;
    do {
        for (unsigned i = 0; i < BATCH; i++)
            udp->parts[i].iov_len = RECEIVE_CAP;
        count = recvmmsg(s->fd, udp->messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            const uint8_t *octets = udp->octets[i];
            size_t len = udp->messages[i].msg_len;
            uint32_t place = worker_id(octets, len) & (udp->ring_cap - 1);
            worker_receive(udp->worker, now_ns, &s->ring[place], octets, len);
        }
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            udp->worker->usage.last_error = errno;
    } while (count == BATCH);
}

/* Give up what is out of time. */
static void sweep(struct udp *udp, uint64_t now_ns)
{
    uint64_t timeout_ns = udp->worker->config->timeout_ns;
    for (uint32_t i = 0; i < udp->socket_count; i++) {
        struct udp_socket *s = &udp->sockets[i];
        for (; s->tail != s->head; s->tail++) {
            struct worker_query *q = &s->ring[s->tail & (udp->ring_cap - 1)];
            if (q->is_waiting && q->due_ns + timeout_ns > now_ns)
                break;
            if (q->is_waiting)
                worker_lose(udp->worker, 1);
            q->is_waiting = false;
        }
    }
}

static void turn(struct udp *udp, uint64_t now_ns)
{
    struct epoll_event events[BATCH];
    uint64_t wait_ns = worker_patience_ns(udp->worker, now_ns, places(udp) > 0, WAIT_NS);
    int count = kernel_wait(udp->epoll_fd, events, BATCH, wait_ns);
    now_ns = worker_turn(udp->worker);
    for (int i = 0; i < count; i++)
        receive_batches(udp, &udp->sockets[events[i].data.u32], now_ns);
    sweep(udp, now_ns);
    send_due(udp, now_ns);
}

void udp_run(struct worker *worker)
{
    struct udp *udp = calloc(1, sizeof *udp);
    uint64_t drops = 0;
    worker_begin(worker);
    if (udp == NULL) {
        worker_fail(worker, -ENOMEM, "cannot begin");
    } else {
        udp->worker = worker;
        if (udp_open(udp)) {
            worker_begin(worker);
            uint64_t now_ns = worker_turn(worker);
            send_due(udp, now_ns);
            while (!worker_is_done_sending(worker, now_ns) || worker->outstanding > 0) {
                turn(udp, now_ns);
                now_ns = worker_turn(worker);
            }
        }
        drops = udp_close(udp);
        free(udp);
    }
    worker_finish(worker, drops);
}
