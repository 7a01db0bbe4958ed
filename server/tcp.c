/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/tcp.h"

#include "server/address.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections taken from a listener before others get their turn. */
#define ACCEPT_BATCH 64
/* A DNS header; a message without one means that framing is lost. */
#define HEADER_LEN 12
/* Reads from one connection while draining: a client that never stops must not keep us. */
#define DRAIN_TURNS 64

struct tcp_connection {
    struct tcp_connection *older, *newer;
    int fd;             /* -1: closed, waits to be freed */
    uint32_t interest;  /* what epoll was asked for */
    bool is_input_over; /* the client has said all that we want to hear */
    uint64_t active_ms; /* of the last complete message, or octets taken by the client */
    uint8_t *input;     /* NULL: none */
    uint32_t input_len;
    uint8_t *output; /* NULL: none */
    uint32_t output_len;
    uint32_t output_sent;
    uint8_t address_len;
    uint8_t address[16]; /* the client's */
};

struct tcp {
    int epoll;
    struct tcp_limits limits;
    struct tcp_connection *oldest, *newest;
    struct tcp_connection *closed; /* chained by `newer` */
    unsigned count;
    size_t held;
    /* Where messages are put together; nothing lives here between calls. */
    uint8_t input[TCP_INPUT_CAP];
    uint8_t output[TCP_OUTPUT_CAP];
};

int tcp_open(int epoll, const struct tcp_limits *limits, struct tcp **tcp_out)
{
    struct tcp *tcp = calloc(1, sizeof *tcp);
    *tcp_out = tcp;
    if (tcp == NULL)
        return -ENOMEM;
    tcp->epoll = epoll;
    tcp->limits = *limits;
    return 0;
}

void tcp_set_limits(struct tcp *tcp, const struct tcp_limits *limits)
{
    tcp->limits = *limits;
}

unsigned tcp_count(const struct tcp *tcp)
{
    return tcp->count;
}

size_t tcp_held(const struct tcp *tcp)
{
    return tcp->held;
}

/* ---- the list, oldest first ---- */

static void list_remove(struct tcp *tcp, struct tcp_connection *c)
{
    *(c->older != NULL ? &c->older->newer : &tcp->oldest) = c->newer;
    *(c->newer != NULL ? &c->newer->older : &tcp->newest) = c->older;
}

static void list_append(struct tcp *tcp, struct tcp_connection *c)
{
    c->older = tcp->newest;
    c->newer = NULL;
    *(tcp->newest != NULL ? &tcp->newest->newer : &tcp->oldest) = c;
    tcp->newest = c;
}

static void connection_touch(struct tcp *tcp, struct tcp_connection *c, uint64_t now_ms)
{
    c->active_ms = now_ms;
    list_remove(tcp, c);
    list_append(tcp, c);
}

/* ---- buffers that outlive a call ---- */

/* Let *buffer hold exactly these octets (which may lie in it); none: free it. */
static bool buffer_keep(struct tcp *tcp, uint8_t **buffer, uint32_t *buffer_len,
                        const uint8_t *octets, size_t len)
{
    uint8_t *fresh = NULL;
    if (len != 0) {
        fresh = malloc(len);
        if (fresh == NULL)
            return false;
        memcpy(fresh, octets, len);
    }
    free(*buffer);
    tcp->held = tcp->held - *buffer_len + len;
    *buffer = fresh;
    *buffer_len = (uint32_t)len;
    return true;
}

static void connection_close(struct tcp *tcp, struct tcp_connection *c)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    c->fd = -1;
    buffer_keep(tcp, &c->input, &c->input_len, NULL, 0);
    buffer_keep(tcp, &c->output, &c->output_len, NULL, 0);
    list_remove(tcp, c);
    c->newer = tcp->closed;
    tcp->closed = c;
    tcp->count--;
}

void tcp_reap(struct tcp *tcp)
{
    while (tcp->closed != NULL) {
        struct tcp_connection *c = tcp->closed;
        tcp->closed = c->newer;
        free(c);
    }
}

void tcp_close(struct tcp *tcp)
{
    if (tcp == NULL)
        return;
    while (tcp->oldest != NULL)
        connection_close(tcp, tcp->oldest);
    tcp_reap(tcp);
    assert(tcp->held == 0);
    free(tcp);
}

/* ---- time ---- */

void tcp_expire(struct tcp *tcp, uint64_t now_ms)
{
    while (tcp->oldest != NULL &&
           now_ms - tcp->oldest->active_ms >= tcp->limits.idle_timeout_s * UINT64_C(1000))
        connection_close(tcp, tcp->oldest);
}

int tcp_timeout_ms(const struct tcp *tcp, uint64_t now_ms)
{
    if (tcp->oldest == NULL)
        return -1;
    uint64_t end_ms = tcp->oldest->active_ms + tcp->limits.idle_timeout_s * UINT64_C(1000);
    return end_ms > now_ms ? (int)(end_ms - now_ms) : 0;
}

/* ---- connections come ---- */

static bool connection_open(struct tcp *tcp, int fd, const struct sockaddr_storage *client,
                            uint64_t now_ms)
{
    struct tcp_connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c == NULL || epoll_ctl(tcp->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(c);
        close(fd);
        return false;
    }
    c->fd = fd;
    c->interest = EPOLLIN;
    c->active_ms = now_ms;
    const uint8_t *address = address_octets(client, &c->address_len);
    memcpy(c->address, address, c->address_len);
    list_append(tcp, c);
    tcp->count++;
    return true;
}

static bool is_exhausted(int problem)
{
    return problem == EMFILE || problem == ENFILE || problem == ENOBUFS || problem == ENOMEM;
}

static bool is_taken(const struct tcp *tcp, const struct sockaddr *address, bool is_for_peers)
{
    const struct tcp_limits *limits = &tcp->limits;
    struct packet_endpoint endpoint;
    if (!address_to_endpoint(address, &endpoint))
        return !is_for_peers;
    return !prefix_has(limits->denied, limits->denied_count, &endpoint.address) &&
           (!is_for_peers || prefix_has(limits->peers, limits->peer_count, &endpoint.address));
}

static void socket_reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

int tcp_accept(struct tcp *tcp, int listener, bool is_for_peers, uint64_t now_ms)
{
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage client;
        socklen_t client_len = sizeof client;
        int fd = accept4(listener, (struct sockaddr *)&client, &client_len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && !is_taken(tcp, (const struct sockaddr *)&client, is_for_peers)) {
            socket_reset(fd);
        } else if (fd >= 0) {
            while (tcp->count >= tcp->limits.connections_max)
                connection_close(tcp, tcp->oldest);
            connection_open(tcp, fd, &client, now_ms);
        } else if (is_exhausted(errno)) {
            if (tcp->oldest == NULL)
                return -EMFILE;
            connection_close(tcp, tcp->oldest);
        } else if (errno == EAGAIN) {
            return 0;
        }
        /* Anything else (ECONNABORTED, EINTR, network errors, see accept(2)) is that client's. */
    }
    return 1;
}

/* ---- messages ---- */

enum progress {
    PROGRESS_GO,    /* nothing is in the way */
    PROGRESS_STUCK, /* the client must take what it was sent first */
    PROGRESS_END,   /* the connection is gone */
};

static enum progress write_some(int fd, const uint8_t *octets, size_t len, size_t *written_out)
{
    size_t written = 0;
    enum progress progress = PROGRESS_GO;
    while (written < len && progress == PROGRESS_GO) {
        ssize_t n = send(fd, octets + written, len - written, MSG_NOSIGNAL);
        if (n >= 0)
            written += (size_t)n;
        else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
            progress = PROGRESS_STUCK;
        else if (errno != EINTR)
            progress = PROGRESS_END;
    }
    *written_out = written;
    return progress;
}

/* Send what was left over from an earlier event. */
static enum progress connection_flush(struct tcp *tcp, struct tcp_connection *c, uint64_t now_ms)
{
    size_t written;
    if (c->output == NULL)
        return PROGRESS_GO;
    enum progress progress =
        write_some(c->fd, c->output + c->output_sent, c->output_len - c->output_sent, &written);
    c->output_sent += (uint32_t)written;
    if (written != 0)
        connection_touch(tcp, c, now_ms);
    if (progress == PROGRESS_GO)
        buffer_keep(tcp, &c->output, &c->output_len, NULL, 0);
    return progress;
}

/* Put what was left over and what has come into tcp->input. */
static enum progress connection_fill(struct tcp *tcp, struct tcp_connection *c, size_t *len_out)
{
    size_t len = c->input_len;
    enum progress progress = PROGRESS_GO;
    if (len != 0)
        memcpy(tcp->input, c->input, len);
    if (!c->is_input_over && len < TCP_INPUT_CAP) {
        ssize_t n = recv(c->fd, tcp->input + len, TCP_INPUT_CAP - len, 0);
        if (n > 0)
            len += (size_t)n;
        else if (n == 0)
            c->is_input_over = true;
        else if (errno != EAGAIN && errno != EINTR)
            progress = PROGRESS_END;
    }
    *len_out = len;
    return progress;
}

/* Send output[0..*used], keep what does not go; *used becomes 0. */
static enum progress connection_write(struct tcp *tcp, struct tcp_connection *c, size_t *used)
{
    size_t written;
    enum progress progress = write_some(c->fd, tcp->output, *used, &written);
    if (progress == PROGRESS_STUCK) {
        c->output_sent = 0;
        if (!buffer_keep(tcp, &c->output, &c->output_len, tcp->output + written, *used - written))
            progress = PROGRESS_END;
    }
    *used = 0;
    return progress;
}

/* Answer the complete messages of tcp->input[0..len]; *taken_out is how many octets they were. */
static enum progress connection_answer(struct tcp *tcp, struct tcp_connection *c,
                                       const struct tcp_context *context, size_t len,
                                       size_t *taken_out)
{
    const struct respond_client client = {.transport = RESPOND_TCP,
                                          .has_keepalive = true,
                                          .keepalive_100ms =
                                              (uint16_t)(tcp->limits.idle_timeout_s * 10),
                                          .now_s = context->now_s,
                                          .address = c->address,
                                          .address_len = c->address_len};
    enum progress progress = PROGRESS_GO;
    size_t at = 0, used = 0;
    while (progress == PROGRESS_GO && len - at >= TCP_PREFIX_LEN) {
        size_t request_len = (size_t)tcp->input[at] << 8 | tcp->input[at + 1];
        if (request_len < HEADER_LEN) {
            c->is_input_over = true;
            at = len;
            break;
        }
        if (len - at - TCP_PREFIX_LEN < request_len)
            break;
        uint8_t *out = tcp->output + used;
        size_t response_len = answer_request(context->view, context->image, context->policy,
                                             &client, tcp->input + at + TCP_PREFIX_LEN, request_len,
                                             out + TCP_PREFIX_LEN, RESPOND_MESSAGE_MAX);
        at += TCP_PREFIX_LEN + request_len;
        if (response_len != 0) {
            out[0] = (uint8_t)(response_len >> 8);
            out[1] = (uint8_t)response_len;
            used += TCP_PREFIX_LEN + response_len;
        }
        if (used >= TCP_OUTPUT_HIGH)
            progress = connection_write(tcp, c, &used);
    }
    if (progress == PROGRESS_GO && used != 0)
        progress = connection_write(tcp, c, &used);
    if (at != 0)
        connection_touch(tcp, c, context->now_ms);
    *taken_out = at;
    return progress;
}

static enum progress connection_progress(struct tcp *tcp, struct tcp_connection *c,
                                         const struct tcp_context *context)
{
    size_t len, taken;
    enum progress progress = connection_flush(tcp, c, context->now_ms);
    if (progress != PROGRESS_GO)
        return progress;
    progress = connection_fill(tcp, c, &len);
    if (progress == PROGRESS_END)
        return progress;
    progress = connection_answer(tcp, c, context, len, &taken);
    if (progress == PROGRESS_END)
        return progress;
    /* The client has half-closed and has all its responses: the rest of a message is nothing. */
    if (progress == PROGRESS_GO && c->is_input_over)
        return PROGRESS_END;
    if (!buffer_keep(tcp, &c->input, &c->input_len, tcp->input + taken, len - taken))
        return PROGRESS_END;
    return progress;
}

void tcp_event(struct tcp *tcp, struct tcp_connection *c, const struct tcp_context *context)
{
    if (c->fd < 0)
        return;
    enum progress progress = connection_progress(tcp, c, context);
    struct epoll_event event = {.events = progress == PROGRESS_STUCK ? EPOLLOUT : EPOLLIN,
                                .data.ptr = c};
    if (progress != PROGRESS_END && event.events != c->interest) {
        if (epoll_ctl(tcp->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0)
            progress = PROGRESS_END;
        c->interest = event.events;
    }
    if (progress == PROGRESS_END)
        connection_close(tcp, c);
}

/* Whether more has arrived than one read takes. */
static bool connection_has_more(const struct tcp_connection *c)
{
    uint8_t octet;
    return recv(c->fd, &octet, 1, MSG_PEEK) > 0;
}

unsigned tcp_drain(struct tcp *tcp, const struct tcp_context *context)
{
    struct tcp_connection *last = tcp->newest;
    bool is_last = last == NULL;
    /* tcp_event() may move a connection to the end: stop after the one that was last. */
    for (struct tcp_connection *c = tcp->oldest, *next; !is_last; c = next) {
        next = c->newer;
        is_last = c == last;
        unsigned turns = 0;
        do
            tcp_event(tcp, c, context);
        while (c->fd >= 0 && c->output == NULL && ++turns < DRAIN_TURNS && connection_has_more(c));
        if (c->fd >= 0 && c->output == NULL)
            connection_close(tcp, c);
    }
    return tcp->count;
}
