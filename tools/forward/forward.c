/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/forward/forward.h"

#include "server/address.h"
#include "server/whole.h"
#include "stateless_tcp/wire.h"
#include "tools/forward/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER_LEN = 12,
    PAYLOAD_MIN = 512,
    ID_TRIES = 64,
    BATCH = 64,
    EVENTS = 32,
    TICK_MS = 100,
    EXCHANGE_MS = 10000, /* a response later than that is a stranger's */
    /* What epoll tells of: the clients' socket, then ours by family and number, then streams. */
    TAG_CLIENTS = 0,
    TAG_SOCKETS = 1,
    FLAG_TC = 0x0200,
};

/* The address that a datagram was sent to, and the one that an answer is sent from. */
union control {
    char octets[CMSG_SPACE(sizeof(struct sockaddr_in6)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct cmsghdr align;
};

uint64_t forward_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t unix_s(void)
{
    return (uint64_t)time(NULL);
}

static int watch(const struct forward *forward, int fd, uint32_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};
    return epoll_ctl(forward->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_clients(struct forward *forward)
{
    const struct sockaddr_storage *listen = &forward->config.listen;
    int fd = socket(listen->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    forward->clients = fd;
    int on = 1, room = 4 << 20;
    bool is_v6 = listen->ss_family == AF_INET6;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (forward->config.to.ss_family == 0 &&
        (setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                    is_v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof on) != 0 ||
         setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                    is_v6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR, &on, sizeof on) != 0))
        return -errno;
    int outcome = whole_set(fd, listen->ss_family);
    if (outcome != 0)
        return outcome;
    if (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return -errno; /* :: and 0.0.0.0 are two processes' */
    if (bind(fd, (const struct sockaddr *)listen, address_len(listen)) != 0)
        return -errno;
    return watch(forward, fd, TAG_CLIENTS);
}

static int open_sockets(struct forward *forward, int family, int *sockets, uint32_t tag)
{
    for (uint32_t i = 0; i < FORWARD_SOCKETS; i++) {
        sockets[i] = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (sockets[i] < 0)
            return -errno;
        /* The kernel takes a random port for each. */
        struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
        int outcome = whole_set(sockets[i], family);
        if (outcome == 0)
            outcome = bind(sockets[i], (struct sockaddr *)&any, address_len(&any)) == 0
                          ? watch(forward, sockets[i], tag + i)
                          : -errno;
        if (outcome != 0)
            return outcome;
    }
    return 0;
}

int forward_open(struct forward *forward, const struct forward_config *config,
                 const char **reason_out)
{
    forward->config = *config;
    forward->clients = -1;
    memset(forward->sockets, 0xff, sizeof forward->sockets);
    *reason_out = "cannot begin";
    forward->epoll = epoll_create1(EPOLL_CLOEXEC);
    forward->streams = calloc(FORWARD_STREAMS, sizeof *forward->streams);
    if (forward->epoll < 0 || forward->streams == NULL)
        return forward->epoll < 0 ? -errno : -ENOMEM;
    *reason_out = "cannot listen";
    int outcome = open_clients(forward);
    if (outcome != 0)
        return outcome;
    *reason_out = "cannot open sockets to ask from";
    outcome = open_sockets(forward, AF_INET, forward->sockets[0], TAG_SOCKETS);
    if (outcome != 0)
        return outcome;
    /* Without IPv6 there are no servers to ask over it. */
    (void)open_sockets(forward, AF_INET6, forward->sockets[1], TAG_SOCKETS + FORWARD_SOCKETS);
    return 0;
}

void forward_close(struct forward *forward)
{
    for (size_t i = 0; forward->streams != NULL && i < FORWARD_STREAMS; i++)
        if (forward->streams[i].state == STREAM_CONNECTING ||
            forward->streams[i].state == STREAM_OPEN)
            close(forward->streams[i].fd);
    free(forward->streams);
    for (size_t i = 0; i < FORWARD_SOCKETS; i++)
        for (size_t family = 0; family < 2; family++)
            if (forward->sockets[family][i] >= 0)
                close(forward->sockets[family][i]);
    if (forward->clients >= 0)
        close(forward->clients);
    if (forward->epoll >= 0)
        close(forward->epoll);
}

struct exchange *forward_exchange(struct forward *forward, uint16_t id)
{
    uint16_t number = forward->of_id[id];
    struct exchange *exchange = number == 0 ? NULL : &forward->exchanges[number - 1];
    bool is_late = exchange != NULL && forward_now_ms() - exchange->begun_ms > EXCHANGE_MS;
    return is_late ? NULL : exchange;
}

static void forget(struct forward *forward, struct exchange *exchange)
{
    exchange->is_waiting = false;
    forward->of_id[exchange->id] = 0;
}

static size_t truncate_response(const struct exchange *exchange, uint8_t *response)
{
    wire_store_be16(response + 2, (uint16_t)(wire_load_be16(response + 2) | FLAG_TC));
    memset(response + 6, 0, 6);
    return exchange->shape.question_end;
}

/* As from the server that the client meant. Outcomes: 0; negative errno. */
static int send_response(const struct forward *forward, struct exchange *exchange,
                         uint8_t *response, size_t len)
{
    union control control = {0};
    struct iovec iovec = {.iov_base = response, .iov_len = len};
    struct msghdr message = {.msg_name = &exchange->client,
                             .msg_namelen = address_len(&exchange->client),
                             .msg_iov = &iovec,
                             .msg_iovlen = 1};
    if (forward->config.to.ss_family == 0) {
        message.msg_control = control.octets;
        message.msg_controllen = sizeof control.octets;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (exchange->server.ss_family == AF_INET) {
            struct in_pktinfo info = {.ipi_spec_dst =
                                          ((struct sockaddr_in *)&exchange->server)->sin_addr};
            *header = (struct cmsghdr){.cmsg_level = IPPROTO_IP,
                                       .cmsg_type = IP_PKTINFO,
                                       .cmsg_len = CMSG_LEN(sizeof info)};
            memcpy(CMSG_DATA(header), &info, sizeof info);
            message.msg_controllen = CMSG_SPACE(sizeof info);
        } else {
            struct in6_pktinfo info = {.ipi6_addr =
                                           ((struct sockaddr_in6 *)&exchange->server)->sin6_addr};
            *header = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6,
                                       .cmsg_type = IPV6_PKTINFO,
                                       .cmsg_len = CMSG_LEN(sizeof info)};
            memcpy(CMSG_DATA(header), &info, sizeof info);
            message.msg_controllen = CMSG_SPACE(sizeof info);
        }
    }
    return sendmsg(forward->clients, &message, 0) < 0 ? -errno : 0;
}

/* Tell the client. What does not fit, or would leave in fragments, is truncated. */
static void reply(struct forward *forward, struct exchange *exchange, uint8_t *response, size_t len)
{
    if (len > exchange->payload)
        len = truncate_response(exchange, response);
    wire_store_be16(response, exchange->client_id);
    /* Lost otherwise, as any datagram may be: the client asks again. */
    if (send_response(forward, exchange, response, len) == -EMSGSIZE)
        (void)send_response(forward, exchange, response, truncate_response(exchange, response));
    forget(forward, exchange);
}

static void ask_by_udp(struct forward *forward, struct exchange *exchange)
{
    bool is_v6 = exchange->server.ss_family == AF_INET6;
    int fd = forward->sockets[is_v6][exchange->socket];
    exchange->is_by_tcp = false;
    if (fd >= 0)
        (void)sendto(fd, exchange->query, exchange->len, 0,
                     (const struct sockaddr *)&exchange->server, address_len(&exchange->server));
}

void forward_tcp_failed(struct forward *forward, struct exchange *exchange)
{
    if (forward->config.is_tcp_first) {
        forward->counts.fell_back++;
        ask_by_udp(forward, exchange);
    }
}

static void ask_by_tcp(struct forward *forward, struct exchange *exchange)
{
    forward->counts.by_tcp++;
    if (!stream_ask(forward, exchange))
        forward_tcp_failed(forward, exchange);
}

void forward_answered(struct forward *forward, struct exchange *exchange, uint8_t *response,
                      size_t len)
{
    switch (
        protect_response(&forward->config.protect, &exchange->asked, unix_s(), response, &len)) {
    case PROTECT_GOOD:
        forward->counts.good++;
        break;
    case PROTECT_ABSENT:
        forward->counts.absent++;
        if (forward->config.is_absent_by_tcp && !exchange->is_by_tcp) {
            ask_by_tcp(forward, exchange);
            return;
        }
        break;
    case PROTECT_BAD:
        forward->counts.bad++;
        if (!exchange->is_by_tcp)
            ask_by_tcp(forward, exchange);
        return;
    }
    reply(forward, exchange, response, len);
}

static void take_responses(struct forward *forward, size_t number)
{
    static uint8_t response[UINT16_MAX];
    int fd = forward->sockets[number / FORWARD_SOCKETS][number % FORWARD_SOCKETS];
    for (int i = 0; i < BATCH; i++) {
        struct sockaddr_storage from;
        socklen_t from_len = sizeof from;
        ssize_t got =
            recvfrom(fd, response, sizeof response, 0, (struct sockaddr *)&from, &from_len);
        if (got < 0)
            return;
        struct exchange *exchange =
            got < HEADER_LEN ? NULL : forward_exchange(forward, wire_load_be16(response));
        if (exchange != NULL && !exchange->is_by_tcp &&
            exchange->socket == number % FORWARD_SOCKETS &&
            address_equal(&from, &exchange->server) &&
            proxy_message_matches(exchange->query, &exchange->shape, exchange->id, response,
                                  (size_t)got))
            forward_answered(forward, exchange, response, (size_t)got);
    }
}

/* Room for a question, with an ID that nobody can guess and no other waits for. NULL: none found. */
static struct exchange *exchange_begin(struct forward *forward)
{
    struct exchange *exchange = &forward->exchanges[forward->next++ % FORWARD_EXCHANGES];
    if (exchange->is_waiting) {
        forward->counts.forgotten += forward_exchange(forward, exchange->id) != NULL;
        forget(forward, exchange);
    }
    uint16_t draws[ID_TRIES + 1];
    if (getrandom(draws, sizeof draws, 0) != sizeof draws)
        return NULL;
    for (size_t i = 0; i < ID_TRIES; i++)
        if (forward->of_id[draws[i]] == 0) {
            exchange->id = draws[i];
            exchange->socket = draws[ID_TRIES] % FORWARD_SOCKETS;
            forward->of_id[exchange->id] = (uint16_t)(exchange - forward->exchanges + 1);
            exchange->is_waiting = true;
            exchange->is_by_tcp = exchange->is_again = false;
            exchange->begun_ms = forward_now_ms();
            return exchange;
        }
    return NULL;
}

static void question(struct forward *forward, const uint8_t *query, size_t len,
                     const struct sockaddr_storage *client, const struct sockaddr_storage *server)
{
    forward->counts.questions++;
    struct proxy_shape shape;
    enum proxy_verdict verdict = proxy_message_judge(query, len, &shape);
    struct exchange *exchange =
        verdict == PROXY_FORWARD || verdict == PROXY_NOTIMP ? exchange_begin(forward) : NULL;
    if (exchange == NULL ||
        getrandom(exchange->asked.nonce, PROTECT_NONCE_LEN, 0) != PROTECT_NONCE_LEN) {
        forward->counts.refused++;
        return;
    }
    exchange->client = *client;
    exchange->server = *server;
    exchange->shape = shape;
    exchange->client_id = wire_load_be16(query);
    exchange->payload = shape.opt_at != 0 ? wire_load_be16(query + shape.opt_at + 3) : 0;
    if (exchange->payload < PAYLOAD_MIN)
        exchange->payload = PAYLOAD_MIN;
    memcpy(exchange->query, query, len);
    wire_store_be16(exchange->query, exchange->id);
    exchange->len = protect_request(&forward->config.protect, &shape, unix_s(), exchange->query,
                                    len, &exchange->asked);
    if (forward->config.is_tcp_first)
        ask_by_tcp(forward, exchange);
    else
        ask_by_udp(forward, exchange);
}

/* The address that the client wrote to (ip(7), IP_RECVORIGDSTADDR). */
static bool original_server(struct msghdr *message, struct sockaddr_storage *server_out)
{
    *server_out = (struct sockaddr_storage){0};
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        size_t len = header->cmsg_len - CMSG_LEN(0);
        bool is_v4 = header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_ORIGDSTADDR;
        bool is_v6 = header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_ORIGDSTADDR;
        if ((is_v4 || is_v6) && len <= sizeof *server_out) {
            memcpy(server_out, CMSG_DATA(header), len);
            return true;
        }
    }
    return false;
}

static void take_questions(struct forward *forward)
{
    for (int i = 0; i < BATCH; i++) {
        uint8_t query[PROXY_REQUEST_MAX];
        union control control;
        struct sockaddr_storage client, server = forward->config.to;
        struct iovec iovec = {.iov_base = query, .iov_len = sizeof query};
        struct msghdr message = {.msg_name = &client,
                                 .msg_namelen = sizeof client,
                                 .msg_iov = &iovec,
                                 .msg_iovlen = 1,
                                 .msg_control = control.octets,
                                 .msg_controllen = sizeof control.octets};
        ssize_t got = recvmsg(forward->clients, &message, 0);
        if (got < 0)
            return;
        bool is_whole = (message.msg_flags & MSG_TRUNC) == 0;
        if (is_whole && (server.ss_family != 0 || original_server(&message, &server)))
            question(forward, query, (size_t)got, &client, &server);
    }
}

int forward_run(struct forward *forward, const volatile sig_atomic_t *is_ended)
{
    while (!*is_ended) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(forward->epoll, events, EVENTS, TICK_MS);
        if (count < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < count; i++) {
            uint32_t tag = events[i].data.u32;
            if (tag == TAG_CLIENTS)
                take_questions(forward);
            else if (tag >= STREAM_TAG)
                stream_work(forward, tag - STREAM_TAG, events[i].events);
            else
                take_responses(forward, tag - TAG_SOCKETS);
        }
        stream_tick(forward, forward_now_ms());
    }
    return 0;
}
