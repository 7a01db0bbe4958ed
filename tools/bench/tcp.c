/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TCP over the kernel's sockets.
 *
 *        +--------------- answered, or lost ---------------+
 *        v                                                 |
 *      IDLE --- a query, connect() ---> CONNECTING ---> OPEN <--- further queries
 *        ^                                  |              |
 *        +------- at the next sweep ------ BROKEN <--------+
 *
 * Connections that can take a query, idle ones included, stand in a queue; the first in it gets
 * what is to be asked next. Each is known to epoll once, for edges both ways.
 */
#include "tools/bench/kernel.h"
#include "tools/bench/worker.h"

#include "stateless_tcp/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define WAIT_NS 10000000
#define SWEEP_NS 50000000
#define RECEIVE_CAP_FIRST 4096
#define RECEIVE_CAP_MAX (2 * (2 + 65535))
#define FRAMED_MAX (2 + QUESTION_MESSAGE_MAX)

enum tcp_state {
    TCP_IDLE,
    TCP_CONNECTING,
    TCP_OPEN,
    TCP_BROKEN,
};

struct tcp_connection {
    int fd;
    enum tcp_state state;
    bool is_queued;
    uint32_t asked, waiting; /* queries: of this connection so far; without answer */
    uint32_t number;         /* counts connections of this place */
    uint8_t *received;
    uint32_t received_len, received_cap;
    uint8_t *unsent; /* room for the queries of a pipeline */
    uint32_t unsent_len;
    struct worker_query *ring; /* by the low bits of the ID */
};

struct tcp {
    struct worker *worker;
    struct tcp_connection *connections;
    uint32_t count;
    uint32_t pipeline, ring_cap;
    uint32_t *queue; /* of connections, a ring */
    uint32_t queue_first, queue_len;
    struct worker_query *queries;
    uint8_t *unsent;
    int epoll_fd;
    uint64_t sweep_ns;
};

static uint32_t index_of(const struct tcp *tcp, const struct tcp_connection *c)
{
    return (uint32_t)(c - tcp->connections);
}

static bool has_place(const struct tcp *tcp, const struct tcp_connection *c)
{
    uint32_t limit = tcp->worker->config->queries_per_connection;
    switch (c->state) {
    case TCP_IDLE:
        return true;
    case TCP_CONNECTING:
    case TCP_OPEN:
        return c->waiting < tcp->pipeline && (limit == 0 || c->asked < limit) &&
               !c->ring[c->asked & (tcp->ring_cap - 1)].is_waiting &&
               c->unsent_len + FRAMED_MAX <= tcp->pipeline * FRAMED_MAX;
    case TCP_BROKEN:
        return false;
    }
    return false;
}

/* Connections that end after some queries come first, those that are open before new ones, so that
 * they are used up; all others take turns. */
static void enqueue(struct tcp *tcp, struct tcp_connection *c)
{
    if (c->is_queued || !has_place(tcp, c))
        return;
    c->is_queued = true;
    bool is_first = c->state != TCP_IDLE && tcp->worker->config->queries_per_connection != 0;
    if (is_first)
        tcp->queue_first = tcp->queue_first > 0 ? tcp->queue_first - 1 : tcp->count - 1;
    uint32_t place = is_first ? tcp->queue_first : tcp->queue_first + tcp->queue_len;
    tcp->queue[place % tcp->count] = index_of(tcp, c);
    tcp->queue_len++;
}

static struct tcp_connection *dequeue(struct tcp *tcp)
{
    struct tcp_connection *c = &tcp->connections[tcp->queue[tcp->queue_first]];
    tcp->queue_first = tcp->queue_first + 1 < tcp->count ? tcp->queue_first + 1 : 0;
    tcp->queue_len--;
    c->is_queued = false;
    return c;
}

/* End a connection; what it has not answered is lost. */
static void close_connection(struct tcp *tcp, struct tcp_connection *c, bool is_reset,
                             enum tcp_state next)
{
    if (c->fd >= 0) {
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        if (is_reset)
            setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(c->fd);
    }
    c->fd = -1;
    if (c->waiting > 0) {
        worker_lose(tcp->worker, c->waiting);
        for (uint32_t i = 0; i < tcp->ring_cap; i++)
            c->ring[i].is_waiting = false;
    }
    c->asked = c->waiting = c->received_len = c->unsent_len = 0;
    c->state = next;
    enqueue(tcp, c);
}

/* Something went wrong with it. Trying again at once would be a busy loop of failures. */
static void break_connection(struct tcp *tcp, struct tcp_connection *c)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (c->fd >= 0 && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
        tcp->worker->usage.last_error = error;
    if (c->state == TCP_CONNECTING)
        tcp->worker->tally.refused++;
    else if (c->waiting > 0)
        tcp->worker->tally.resets++;
    close_connection(tcp, c, true, TCP_BROKEN);
}

static void send_queries(struct tcp *tcp, struct tcp_connection *c)
{
    if (c->unsent_len == 0)
        return;
    ssize_t sent = send(c->fd, c->unsent, c->unsent_len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != EINPROGRESS) {
        break_connection(tcp, c);
        return;
    }
    if (sent <= 0)
        return;
    c->unsent_len -= (uint32_t)sent;
    memmove(c->unsent, c->unsent + sent, c->unsent_len);
}

static void count_fast_open(struct tcp *tcp, const struct tcp_connection *c)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        tcp->worker->tally.fast_open += (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

static void connected(struct tcp *tcp, struct tcp_connection *c)
{
    c->state = TCP_OPEN;
    tcp->worker->tally.connections++;
    send_queries(tcp, c);
}

static void open_connection(struct tcp *tcp, struct tcp_connection *c)
{
    struct worker *worker = tcp->worker;
    const int on = 1;
    c->fd = kernel_socket(worker, SOCK_STREAM,
                          (c->number++ * tcp->count + index_of(tcp, c)) * worker->config->threads +
                              worker->index);
    if (c->fd < 0) {
        close_connection(tcp, c, false, TCP_BROKEN);
        return;
    }
    c->state = TCP_CONNECTING;
    if (worker->config->has_fast_open)
        setsockopt(c->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
    bool is_connected = kernel_connect(worker, c->fd) == 0;
    if (!is_connected && errno == EADDRNOTAVAIL) { /* not the server's fault */
        worker->tally.no_port++;
        close_connection(tcp, c, false, TCP_BROKEN);
        return;
    }
    if (!is_connected && errno != EINPROGRESS) {
        worker->usage.last_error = errno;
        break_connection(tcp, c);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u32 = index_of(tcp, c)};
    if (epoll_ctl(tcp->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        break_connection(tcp, c);
    else if (is_connected)
        connected(tcp, c);
}

/* Give a connection the queries that are due, as many as it has places for. */
static void ask(struct tcp *tcp, struct tcp_connection *c, uint64_t now_ns)
{
    struct worker *worker = tcp->worker;
    do {
        uint16_t id = (uint16_t)c->asked;
        struct worker_query *q = &c->ring[c->asked++ & (tcp->ring_cap - 1)];
        worker_take(worker, now_ns, id, q);
        c->waiting++;
        uint8_t *at = c->unsent + c->unsent_len;
        uint16_t len = worker_copy(worker, q, at + 2);
        wire_store_be16(at, len);
        c->unsent_len += 2u + len;
    } while (has_place(tcp, c) && worker_may_send(worker, now_ns));
}

static void send_due(struct tcp *tcp, uint64_t now_ns)
{
    struct worker *worker = tcp->worker;
    /* Connections that are opened and refused meanwhile do not come back before the next sweep, so
     * this ends. */
    while (tcp->queue_len > 0 && worker->result == 0 && worker_may_send(worker, now_ns)) {
        struct tcp_connection *c = dequeue(tcp);
        if (c->state == TCP_IDLE)
            open_connection(tcp, c);
        if (!has_place(tcp, c))
            continue;
        ask(tcp, c, now_ns);
        if (c->state == TCP_OPEN)
            send_queries(tcp, c);
        enqueue(tcp, c);
    }
    if (tcp->queue_len == 0)
        worker_hold(worker, now_ns);
}

/* Take the whole messages out of what was received. */
static void take_messages(struct tcp *tcp, struct tcp_connection *c, uint64_t now_ns)
{
    uint32_t at = 0;
    while (c->received_len - at >= 2) {
        uint32_t len = wire_load_be16(c->received + at);
        if (c->received_len - at - 2 < len)
            break;
        const uint8_t *message = c->received + at + 2;
        uint32_t place = worker_id(message, len) & (tcp->ring_cap - 1);
        c->waiting -= worker_receive(tcp->worker, now_ns, &c->ring[place], message, len);
        at += 2 + len;
    }
    c->received_len -= at;
    if (at > 0 && c->received_len > 0)
        memmove(c->received, c->received + at, c->received_len);
}

static bool grow_received(struct tcp_connection *c)
{
    if (c->received_len < c->received_cap)
        return true;
    uint32_t cap = c->received_cap == 0 ? RECEIVE_CAP_FIRST : RECEIVE_CAP_MAX;
    uint8_t *larger = realloc(c->received, cap);
    if (larger == NULL)
        return false;
    c->received = larger;
    c->received_cap = cap;
    return true;
}

static void receive(struct tcp *tcp, struct tcp_connection *c, uint64_t now_ns)
{
    uint32_t limit = tcp->worker->config->queries_per_connection;
    bool is_more = true;
    while (is_more) {
        if (!grow_received(c)) {
            break_connection(tcp, c);
            return;
        }
        uint32_t room = c->received_cap - c->received_len;
        ssize_t len = recv(c->fd, c->received + c->received_len, room, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len == 0 || (len < 0 && errno != EAGAIN)) {
            if (len < 0)
                tcp->worker->usage.last_error = errno;
            if (c->waiting > 0)
                break_connection(tcp, c);
            else
                close_connection(tcp, c, false, TCP_IDLE);
            return;
        }
        if (len < 0)
            break;
        is_more = (uint32_t)len == room;
        c->received_len += (uint32_t)len;
        take_messages(tcp, c, now_ns);
    }
    if (limit != 0 && c->asked >= limit && c->waiting == 0) {
        if (tcp->worker->config->has_fast_open)
            count_fast_open(tcp, c);
        close_connection(tcp, c, tcp->worker->config->close == BENCH_CLOSE_RST, TCP_IDLE);
        return;
    }
    enqueue(tcp, c);
}

static void handle_event(struct tcp *tcp, const struct epoll_event *event, uint64_t now_ns)
{
    struct tcp_connection *c = &tcp->connections[event->data.u32];
    if (c->state == TCP_CONNECTING) {
        if (event->events & (EPOLLERR | EPOLLHUP))
            break_connection(tcp, c);
        else if (event->events & EPOLLOUT)
            connected(tcp, c);
    } else if (c->state == TCP_OPEN && event->events & EPOLLOUT) {
        send_queries(tcp, c);
    }
    if (c->state == TCP_OPEN && event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        receive(tcp, c, now_ns);
}

static bool is_late(const struct tcp *tcp, const struct tcp_connection *c, uint64_t now_ns)
{
    for (uint32_t i = 0; c->waiting > 0 && i < tcp->ring_cap; i++)
        if (c->ring[i].is_waiting && c->ring[i].due_ns + tcp->worker->config->timeout_ns <= now_ns)
            return true;
    return false;
}

/* Give up what is out of time, and let those try again that were refused. */
static void sweep(struct tcp *tcp, uint64_t now_ns)
{
    if (now_ns < tcp->sweep_ns)
        return;
    tcp->sweep_ns = now_ns + SWEEP_NS;
    for (uint32_t i = 0; i < tcp->count; i++) {
        struct tcp_connection *c = &tcp->connections[i];
        if (c->state == TCP_BROKEN) {
            c->state = TCP_IDLE;
            enqueue(tcp, c);
        } else if (is_late(tcp, c, now_ns)) {
            tcp->worker->tally.refused += c->state == TCP_CONNECTING;
            close_connection(tcp, c, true, TCP_IDLE);
        }
    }
}

static bool tcp_open(struct tcp *tcp)
{
    const struct bench_config *config = tcp->worker->config;
    uint32_t share = config->connections / config->threads;
    tcp->count = share > 0 ? share : 1;
    tcp->pipeline = config->pipeline;
    /* twice as many places, since answers may come out of order (RFC 7766 7) */
    for (tcp->ring_cap = 1; tcp->ring_cap < tcp->pipeline * 2;)
        tcp->ring_cap *= 2;
    tcp->connections = calloc(tcp->count, sizeof *tcp->connections);
    tcp->queue = calloc(tcp->count, sizeof *tcp->queue);
    tcp->queries = calloc((size_t)tcp->count * tcp->ring_cap, sizeof *tcp->queries);
    tcp->unsent = calloc((size_t)tcp->count * tcp->pipeline, FRAMED_MAX);
    tcp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (tcp->connections == NULL || tcp->queue == NULL || tcp->queries == NULL ||
        tcp->unsent == NULL || tcp->epoll_fd < 0) {
        worker_fail(tcp->worker, -ENOMEM, "cannot begin");
        return false;
    }
    for (uint32_t i = 0; i < tcp->count; i++) {
        struct tcp_connection *c = &tcp->connections[i];
        c->fd = -1;
        c->ring = tcp->queries + (size_t)i * tcp->ring_cap;
        c->unsent = tcp->unsent + (size_t)i * tcp->pipeline * FRAMED_MAX;
        enqueue(tcp, c);
    }
    return true;
}

static void tcp_close(struct tcp *tcp)
{
    for (uint32_t i = 0; tcp->connections != NULL && i < tcp->count; i++) {
        if (tcp->connections[i].fd >= 0)
            close(tcp->connections[i].fd);
        free(tcp->connections[i].received);
    }
    if (tcp->epoll_fd >= 0)
        close(tcp->epoll_fd);
    free(tcp->connections);
    free(tcp->queue);
    free(tcp->queries);
    free(tcp->unsent);
}

void tcp_run(struct worker *worker)
{
    struct tcp tcp = {.worker = worker, .epoll_fd = -1};
    struct epoll_event events[EVENTS];
    worker_begin(worker);
    if (tcp_open(&tcp)) {
        worker_begin(worker);
        uint64_t now_ns = worker_turn(worker);
        send_due(&tcp, now_ns);
        while (worker->result == 0 &&
               (!worker_is_done_sending(worker, now_ns) || worker->outstanding > 0)) {
            uint64_t wait_ns = worker_patience_ns(worker, now_ns, tcp.queue_len > 0, WAIT_NS);
            int count = kernel_wait(tcp.epoll_fd, events, EVENTS, wait_ns);
            now_ns = worker_turn(worker);
            for (int i = 0; i < count; i++)
                handle_event(&tcp, &events[i], now_ns);
            sweep(&tcp, now_ns);
            send_due(&tcp, now_ns);
        }
    }
    tcp_close(&tcp);
    worker_finish(worker, 0);
}
