/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/forward/stream.h"

#include "server/address.h"
#include "stateless_tcp/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void watch(struct forward *forward, struct stream *stream)
{
    bool has_to_write = stream->state == STREAM_CONNECTING || stream->out_len > 0;
    struct epoll_event event = {
        .events = EPOLLIN | (has_to_write ? EPOLLOUT : 0u),
        .data.u32 = STREAM_TAG + (uint32_t)(stream - forward->streams),
    };
    (void)epoll_ctl(forward->epoll, EPOLL_CTL_MOD, stream->fd, &event);
}

/* Close it; whoever waits on it is asked on a new connection once, if this one had been open (the
 * server may have closed it for idleness, RFC 7766 6.2.4), or is told. */
static void end(struct forward *forward, struct stream *stream)
{
    bool was_open = stream->state == STREAM_OPEN;
    uint16_t number = (uint16_t)(stream - forward->streams);
    close(stream->fd);
    stream->out_len = stream->in_len = 0;
    stream->state = was_open ? STREAM_FREE : STREAM_RESTING;
    stream->until_ms = forward_now_ms() + STREAM_REST_MS;
    for (size_t i = 0; i < FORWARD_EXCHANGES; i++) {
        struct exchange *exchange = &forward->exchanges[i];
        if (!exchange->is_waiting || !exchange->is_by_tcp || exchange->stream != number)
            continue;
        bool is_first = was_open && !exchange->is_again;
        exchange->is_again = true;
        exchange->is_by_tcp = false;
        if (!is_first || !stream_ask(forward, exchange))
            forward_tcp_failed(forward, exchange);
    }
}

/* Write what there is. False: the connection is at its end. */
static bool flush(struct stream *stream)
{
    while (stream->out_len > 0) {
        ssize_t sent = send(stream->fd, stream->out, stream->out_len, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        stream->out_len -= (size_t)sent;
        memmove(stream->out, stream->out + sent, stream->out_len);
    }
    return true;
}

static bool begin(struct forward *forward, struct stream *stream,
                  const struct sockaddr_storage *server)
{
    int fd = socket(server->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *stream = (struct stream){.state = STREAM_CONNECTING,
                              .fd = fd,
                              .until_ms = forward_now_ms() + STREAM_CONNECT_MS,
                              .server = *server};
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT,
        .data.u32 = STREAM_TAG + (uint32_t)(stream - forward->streams),
    };
    if ((connect(fd, (const struct sockaddr *)server, address_len(server)) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(forward->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        stream->state = STREAM_RESTING;
        stream->until_ms = forward_now_ms() + STREAM_REST_MS;
        return false;
    }
    return true;
}

/* The server's stream; else one that is free, or the one that has been idle longest. */
static struct stream *stream_of(struct forward *forward, const struct sockaddr_storage *server)
{
    struct stream *found = &forward->streams[0];
    for (size_t i = 0; i < FORWARD_STREAMS; i++) {
        struct stream *stream = &forward->streams[i];
        if (stream->state != STREAM_FREE && address_equal(&stream->server, server))
            return stream;
        if (found->state != STREAM_FREE &&
            (stream->state == STREAM_FREE || stream->used_ms < found->used_ms))
            found = stream;
    }
    if (found->state == STREAM_CONNECTING || found->state == STREAM_OPEN)
        end(forward, found);
    found->state = STREAM_FREE;
    return found;
}

bool stream_ask(struct forward *forward, struct exchange *exchange)
{
    struct stream *stream = stream_of(forward, &exchange->server);
    uint64_t now_ms = forward_now_ms();
    if (stream->state == STREAM_RESTING && now_ms < stream->until_ms)
        return false;
    if ((stream->state == STREAM_RESTING || stream->state == STREAM_FREE) &&
        !begin(forward, stream, &exchange->server))
        return false;
    if (STREAM_ASK_MAX - stream->out_len < 2 + exchange->len)
        return false;
    wire_store_be16(stream->out + stream->out_len, (uint16_t)exchange->len);
    memcpy(stream->out + stream->out_len + 2, exchange->query, exchange->len);
    stream->out_len += 2 + exchange->len;
    stream->used_ms = now_ms;
    exchange->is_by_tcp = true;
    exchange->stream = (uint16_t)(stream - forward->streams);
    /* Not flushed if the end of the connection is near: stream_work() sees to that. */
    if (stream->state == STREAM_OPEN)
        (void)flush(stream);
    watch(forward, stream);
    return true;
}

/* Hand over every whole response. */
static void deliver(struct forward *forward, struct stream *stream)
{
    size_t at = 0;
    while (stream->in_len - at >= 2) {
        size_t len = wire_load_be16(stream->in + at);
        if (stream->in_len - at - 2 < len)
            break;
        uint8_t *response = stream->in + at + 2;
        at += 2 + len;
        struct exchange *exchange =
            len >= 2 ? forward_exchange(forward, wire_load_be16(response)) : NULL;
        if (exchange != NULL && exchange->is_by_tcp &&
            exchange->stream == (uint16_t)(stream - forward->streams) &&
            proxy_message_matches(exchange->query, &exchange->shape, exchange->id, response, len))
            forward_answered(forward, exchange, response, len);
    }
    stream->in_len -= at;
    memmove(stream->in, stream->in + at, stream->in_len);
}

/* False: the connection is at its end. */
static bool take(struct forward *forward, struct stream *stream)
{
    while (true) {
        ssize_t got =
            recv(stream->fd, stream->in + stream->in_len, sizeof stream->in - stream->in_len, 0);
        if (got == 0)
            return false;
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        stream->in_len += (size_t)got;
        deliver(forward, stream);
    }
}

void stream_work(struct forward *forward, size_t number, uint32_t events)
{
    struct stream *stream = &forward->streams[number];
    if (stream->state != STREAM_CONNECTING && stream->state != STREAM_OPEN)
        return;
    bool is_alive = true;
    if (stream->state == STREAM_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        (void)getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        is_alive = error == 0;
        if (is_alive)
            stream->state = STREAM_OPEN;
    }
    if (is_alive && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        is_alive = take(forward, stream);
    if (is_alive)
        is_alive = flush(stream);
    if (is_alive)
        watch(forward, stream);
    else
        end(forward, stream);
}

void stream_tick(struct forward *forward, uint64_t now_ms)
{
    for (size_t i = 0; i < FORWARD_STREAMS; i++) {
        struct stream *stream = &forward->streams[i];
        if (stream->state == STREAM_CONNECTING && now_ms >= stream->until_ms)
            end(forward, stream);
    }
}
