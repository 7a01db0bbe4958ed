/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/raw_send.h"

#include "stateless_tcp/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FRAMED_MAX (2u + QUESTION_MESSAGE_MAX)
#define PLACES_MIN 4096u
#define PLACES_PER_CONNECTION 4 /* those that close need one too */
#define TUPLES_TRIED 64
#define BUFFERS_MAX 1024
#define SWEEP_NS 5000000
#define SWEEP_PARTS 4
#define FIN_TRIES 4
#define MSS_DEFAULT 536 /* RFC 9293 3.7.1; less is not believed */
#define ID_STEP 40503u  /* so that IDs of connections differ */

uint32_t raw_tcp_places(const struct bench_config *config)
{
    uint32_t limit = config->connections / config->threads, count = PLACES_MIN;
    while (count < limit * PLACES_PER_CONNECTION && count < 1u << 24)
        count *= 2;
    return count;
}

int raw_tcp_open(struct raw_tcp *tcp, struct worker *worker, const struct raw_path *path,
                 struct train *train, void (*flush)(void *context), void *flush_context)
{
    const struct bench_config *config = worker->config;
    *tcp = (struct raw_tcp){.worker = worker,
                            .path = path,
                            .train = train,
                            .flush = flush,
                            .flush_context = flush_context};
    tcp->limit = config->connections / config->threads;
    if (tcp->limit == 0)
        tcp->limit = 1;
    tcp->place_count = raw_tcp_places(config);
    while (tcp->place_count > path->tuples.count)
        tcp->place_count /= 2;
    for (tcp->ring_cap = 2; tcp->ring_cap < 2 * config->pipeline;)
        tcp->ring_cap *= 2;
    tcp->connections = calloc(tcp->place_count, sizeof *tcp->connections);
    tcp->queries = calloc((size_t)tcp->place_count * tcp->ring_cap, sizeof *tcp->queries);
    tcp->queue = calloc(tcp->place_count, sizeof *tcp->queue);
    tcp->listed = calloc(tcp->place_count, sizeof *tcp->listed);
    tcp->cookies = calloc(path->tuples.address_count, sizeof *tcp->cookies);
    if (tcp->connections == NULL || tcp->queries == NULL || tcp->queue == NULL ||
        tcp->listed == NULL || tcp->cookies == NULL) {
        raw_tcp_close(tcp);
        return -ENOMEM;
    }
    return 0;
}

static void give_back(struct raw_tcp *tcp, struct raw_connection *c)
{
    if (c->buffer == NULL)
        return;
    c->buffer->next_spare = tcp->spare;
    tcp->spare = c->buffer;
    c->buffer = NULL;
}

void raw_tcp_close(struct raw_tcp *tcp)
{
    for (uint32_t i = 0; tcp->connections != NULL && i < tcp->place_count; i++)
        give_back(tcp, &tcp->connections[i]);
    while (tcp->spare != NULL) {
        struct raw_buffer *next = tcp->spare->next_spare;
        free(tcp->spare);
        tcp->spare = next;
    }
    free(tcp->connections);
    free(tcp->queries);
    free(tcp->queue);
    free(tcp->listed);
    free(tcp->cookies);
    *tcp = (struct raw_tcp){0};
}

/* ---- a connection's life ---- */

static void leave(struct raw_tcp *tcp, struct raw_connection *c, enum raw_state next)
{
    tcp->busy -= c->state == RAW_SYN_SENT || c->state == RAW_OPEN;
    tcp->closing -= c->state == RAW_FIN_SENT;
    tcp->closing += next == RAW_FIN_SENT;
    c->state = (uint8_t)next;
    if (next != RAW_FREE)
        return;
    give_back(tcp, c);
    c->is_ack_due = false;
    c->unacked_segments = 0;
}

static void lose_waiting(struct raw_tcp *tcp, struct raw_connection *c)
{
    if (c->waiting > 0)
        worker_lose(tcp->worker, c->waiting);
    c->waiting = 0;
    for (uint32_t i = 0; i < tcp->ring_cap; i++)
        raw_query_at(tcp, c, i)->query.is_waiting = false;
}

static void close_connection(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    if (tcp->worker->config->close == BENCH_CLOSE_RST && !c->is_fin_received) {
        raw_send_reset(tcp, c, now_ns);
        leave(tcp, c, RAW_FREE);
        return;
    }
    leave(tcp, c, RAW_FIN_SENT);
    c->tries = 0;
    raw_send_fin(tcp, c, now_ns);
}

static bool connection_has_place(const struct raw_tcp *tcp, const struct raw_connection *c)
{
    const struct bench_config *config = tcp->worker->config;
    uint32_t limit = config->queries_per_connection;
    return (c->state == RAW_SYN_SENT || c->state == RAW_OPEN) && c->waiting < config->pipeline &&
           (limit == 0 || c->asked < limit) && c->asked - c->first < tcp->ring_cap &&
           !raw_query_at(tcp, c, c->asked)->query.is_waiting &&
           c->end - c->una + FRAMED_MAX <= c->window;
}

static void enqueue(struct raw_tcp *tcp, struct raw_connection *c)
{
    if (c->is_queued || !connection_has_place(tcp, c))
        return;
    c->is_queued = true;
    tcp->queue[(tcp->queue_first + tcp->queue_len++) & (tcp->place_count - 1)] = raw_place(tcp, c);
}

/* A connection that can take a query; NULL: there is none. */
static struct raw_connection *dequeue(struct raw_tcp *tcp)
{
    while (tcp->queue_len > 0) {
        struct raw_connection *c = &tcp->connections[tcp->queue[tcp->queue_first]];
        tcp->queue_first = (tcp->queue_first + 1) & (tcp->place_count - 1);
        tcp->queue_len--;
        c->is_queued = false;
        if (connection_has_place(tcp, c)) /* still, and it may be another connection by now */
            return c;
    }
    return NULL;
}

/* Give it the queries that are due, as many as it has places for. */
static void ask(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    struct worker *worker = tcp->worker;
    do {
        struct raw_query *q = raw_query_at(tcp, c, c->asked);
        worker_take(worker, now_ns, (uint16_t)(c->asked + c->tuple * ID_STEP), &q->query);
        q->seq = c->end;
        c->end += 2u + question_len(worker->pool, q->query.question);
        c->asked++;
        c->waiting++;
    } while (connection_has_place(tcp, c) && worker_may_send(worker, now_ns));
}

/* Open one, with a query; false: no place was found. */
static bool open_connection(struct raw_tcp *tcp, uint64_t now_ns)
{
    for (unsigned i = 0; i < TUPLES_TRIED; i++) {
        uint32_t tuple = tcp->next_tuple;
        tcp->next_tuple = tuple + 1 < tcp->path->tuples.count ? tuple + 1 : 0;
        struct raw_connection *c = &tcp->connections[tuple & (tcp->place_count - 1)];
        if (c->state != RAW_FREE)
            continue;
        bool is_queued = c->is_queued, is_listed = c->is_listed;
        uint32_t iss = (uint32_t)(now_ns / 1000);
        *c = (struct raw_connection){.tuple = tuple,
                                     .state = RAW_SYN_SENT,
                                     .is_queued = is_queued,
                                     .is_listed = is_listed,
                                     .una = iss,
                                     .next = iss + 1,
                                     .end = iss + 1,
                                     .window = UINT16_MAX,
                                     .mss = MSS_DEFAULT};
        tcp->busy++;
        ask(tcp, c, now_ns);
        raw_send_syn(tcp, c, now_ns);
        enqueue(tcp, c);
        return true;
    }
    return false;
}

/* ---- receiving ---- */

struct taking {
    struct raw_tcp *tcp;
    struct raw_connection *c;
    uint64_t now_ns;
    bool is_message_whole;
};

static struct raw_buffer *get_buffer(void *context)
{
    struct raw_tcp *tcp = ((struct taking *)context)->tcp;
    struct raw_buffer *buffer = tcp->spare;
    if (buffer != NULL) {
        tcp->spare = buffer->next_spare;
        return buffer;
    }
    if (tcp->buffer_count == BUFFERS_MAX)
        return NULL;
    buffer = malloc(sizeof *buffer);
    tcp->buffer_count += buffer != NULL;
    return buffer;
}

static void take_message(void *context, const uint8_t *message, size_t message_len)
{
    struct taking *taking = context;
    struct raw_connection *c = taking->c;
    uint32_t number = (uint16_t)(worker_id(message, message_len) - c->tuple * ID_STEP);
    struct raw_query *q = raw_query_at(taking->tcp, c, number);
    taking->is_message_whole = true;
    c->waiting -=
        worker_receive(taking->tcp->worker, taking->now_ns, &q->query, message, message_len);
}

/* RFC 9293 3.10.7.4, fifth */
static void take_ack(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns, uint32_t ack)
{
    if (!raw_is_before(c->una, ack) || raw_is_before(c->next, ack))
        return;
    c->una = ack;
    c->tries = 0;
    while (c->first != c->asked) {
        const struct raw_query *q = raw_query_at(tcp, c, c->first);
        if (raw_is_before(ack, q->seq + 2u + question_len(tcp->worker->pool, q->query.question)))
            break;
        c->first++;
    }
    c->deadline_ns = RAW_NEVER;
    /* In FIN_SENT there is something to wait for in any case: the server's FIN. */
    if (c->una != c->next || c->state == RAW_FIN_SENT)
        raw_arm(tcp, c, now_ns);
}

static void opened(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns,
                   const struct packet *packet)
{
    uint32_t first_ack = c->una + 1;
    c->state = RAW_OPEN;
    c->rcv = packet->seq + 1;
    c->has_timestamps = packet->has_timestamps;
    c->has_sack = packet->has_sack_permitted;
    c->echo = packet->timestamp_value;
    c->window = packet->window;
    if (packet->mss > c->mss)
        c->mss = packet->mss;
    tcp->worker->tally.connections++;
    if (packet->has_fast_open_cookie) {
        struct raw_cookie *cookie = &tcp->cookies[c->tuple % tcp->path->tuples.address_count];
        memcpy(cookie->octets, packet->fast_open_cookie, sizeof cookie->octets);
        cookie->is_known = true;
    }
    take_ack(tcp, c, now_ns, packet->ack);
    tcp->worker->tally.fast_open += c->una != first_ack;
    c->next = c->una; /* what came with the SYN and was not taken goes out anew */
    if (!tcp->worker->config->is_handshake_joined || c->first == c->asked)
        raw_send_ack(tcp, c, now_ns);
    c->deadline_ns = RAW_NEVER;
    if (c->first != c->asked)
        raw_send_queries(tcp, c, c->first, now_ns);
    enqueue(tcp, c);
}

static void receive_syn_sent(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns,
                             const struct packet *packet)
{
    bool has_ack = (packet->flags & PACKET_ACK) != 0;
    bool is_ours =
        has_ack && raw_is_before(c->una, packet->ack) && !raw_is_before(c->next, packet->ack);
    if (packet->flags & PACKET_RST) {
        if (!is_ours)
            return;
        tcp->worker->tally.refused++;
        lose_waiting(tcp, c);
        leave(tcp, c, RAW_FREE);
    } else if (is_ours && packet->flags & PACKET_SYN) {
        opened(tcp, c, now_ns, packet);
    } else if (has_ack && !is_ours) {
        /* The server still has a former connection of this tuple: end that (RFC 9293 3.5.1). */
        const struct raw_segment reset = {.seq = packet->ack, .flags = PACKET_RST};
        raw_send_frame(tcp, c->tuple, &reset, NULL, 0, 0);
        c->deadline_ns = now_ns;
    }
}

static void take_payload(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns,
                         const struct packet *packet)
{
    struct taking taking = {.tcp = tcp, .c = c, .now_ns = now_ns};
    switch (raw_stream_take(&c->rcv, &c->buffer, get_buffer, packet->seq, packet->payload,
                            packet->payload_len, take_message, &taking)) {
    case RAW_STREAM_IN_ORDER:
        c->unacked_segments++;
        c->is_ack_due |= c->unacked_segments >= 2 || taking.is_message_whole;
        break;
    case RAW_STREAM_OUT_OF_ORDER:
    case RAW_STREAM_OLD:
        raw_send_ack(tcp, c, now_ns);
        break;
    }
    if (c->buffer != NULL && raw_stream_is_empty(c->buffer))
        give_back(tcp, c);
}

static void list_ack(struct raw_tcp *tcp, struct raw_connection *c)
{
    if (c->is_listed || !c->is_ack_due)
        return;
    c->is_listed = true;
    tcp->listed[tcp->listed_len++] = raw_place(tcp, c);
}

/* What follows from all that a segment has changed. */
static void go_on(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    uint32_t limit = tcp->worker->config->queries_per_connection;
    if (c->state == RAW_OPEN && c->is_fin_received) {
        tcp->worker->tally.resets += c->waiting > 0;
        lose_waiting(tcp, c);
        close_connection(tcp, c, now_ns);
    } else if (c->state == RAW_OPEN && limit != 0 && c->asked >= limit && c->waiting == 0) {
        close_connection(tcp, c, now_ns);
    } else if (c->state == RAW_FIN_SENT && c->is_fin_received && c->una == c->next) {
        if (c->is_ack_due)
            raw_send_ack(tcp, c, now_ns);
        leave(tcp, c, RAW_FREE);
    } else {
        enqueue(tcp, c);
    }
    list_ack(tcp, c);
}

static void receive_open(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns,
                         const struct packet *packet)
{
    if (packet->flags & PACKET_RST) {
        if (packet->seq - c->rcv > tcp->path->window)
            return;
        tcp->worker->tally.resets += c->waiting > 0;
        lose_waiting(tcp, c);
        leave(tcp, c, RAW_FREE);
        return;
    }
    if (packet->flags & PACKET_SYN) { /* it has not seen that we have its SYN+ACK */
        raw_send_ack(tcp, c, now_ns);
        return;
    }
    if (!(packet->flags & PACKET_ACK))
        return;
    /* RFC 7323 4.3 */
    if (packet->has_timestamps && !raw_is_before(packet->timestamp_value, c->echo) &&
        !raw_is_before(c->acked, packet->seq))
        c->echo = packet->timestamp_value;
    take_ack(tcp, c, now_ns, packet->ack);
    c->window = packet->window;
    if (packet->payload_len > 0)
        take_payload(tcp, c, now_ns, packet);
    if (packet->flags & PACKET_FIN) {
        uint32_t seq = packet->seq + packet->payload_len;
        if (!c->is_fin_received && seq == c->rcv) {
            c->is_fin_received = true;
            c->rcv++;
        }
        c->is_ack_due = true;
    }
    go_on(tcp, c, now_ns);
}

/* A segment for a connection that is over, or never was. */
static void receive_stray(struct raw_tcp *tcp, uint32_t tuple, uint64_t now_ns,
                          const struct packet *packet)
{
    if (packet->flags & PACKET_RST || !(packet->flags & PACKET_ACK))
        return;
    struct raw_segment segment = {.seq = packet->ack, .flags = PACKET_RST};
    if (packet->flags & PACKET_FIN) { /* our ACK of it was lost (RFC 9293 3.10.7.4, eighth) */
        segment.flags = PACKET_ACK;
        segment.ack = packet->seq + packet->payload_len + 1;
        segment.has_timestamps = packet->has_timestamps;
        segment.timestamp_value = raw_timestamp(now_ns);
        segment.timestamp_echo = packet->timestamp_value;
    } else if (packet->payload_len == 0 && !(packet->flags & PACKET_SYN)) {
        return;
    }
    raw_send_frame(tcp, tuple, &segment, NULL, 0, 0);
}

void raw_tcp_receive(struct raw_tcp *tcp, uint64_t now_ns, const struct packet *packet)
{
    uint32_t tuple;
    if (!raw_path_tuple(tcp->path, packet, &tuple))
        return;
    struct raw_connection *c = &tcp->connections[tuple & (tcp->place_count - 1)];
    tcp->worker->tally.segments_received++;
    if (c->state == RAW_FREE || c->tuple != tuple)
        receive_stray(tcp, tuple, now_ns, packet);
    else if (c->state == RAW_SYN_SENT)
        receive_syn_sent(tcp, c, now_ns, packet);
    else
        receive_open(tcp, c, now_ns, packet);
}

/* ---- time ---- */

static void send_again(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    if (c->state == RAW_FIN_SENT && (c->tries == FIN_TRIES || c->una == c->next)) {
        raw_send_reset(tcp, c, now_ns);
        leave(tcp, c, RAW_FREE);
        return;
    }
    c->tries++;
    raw_arm(tcp, c, now_ns);
    tcp->worker->tally.retransmissions++;
    if (c->state == RAW_SYN_SENT) {
        raw_send_syn(tcp, c, now_ns);
        return;
    }
    raw_send_queries(tcp, c, c->first, now_ns);
    if (c->state == RAW_FIN_SENT)
        raw_send_fin(tcp, c, now_ns);
}

static bool is_late(const struct raw_tcp *tcp, const struct raw_connection *c, uint64_t now_ns)
{
    for (uint32_t i = 0; c->waiting > 0 && i < tcp->ring_cap; i++) {
        const struct raw_query *q = raw_query_at(tcp, c, i);
        if (q->query.is_waiting && q->query.due_ns + tcp->worker->config->timeout_ns <= now_ns)
            return true;
    }
    return false;
}

static void look_at(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns)
{
    if (c->state == RAW_FREE)
        return;
    if (is_late(tcp, c, now_ns)) {
        tcp->worker->tally.refused += c->state == RAW_SYN_SENT;
        if (c->state != RAW_SYN_SENT)
            raw_send_reset(tcp, c, now_ns);
        lose_waiting(tcp, c);
        leave(tcp, c, RAW_FREE);
        return;
    }
    if (c->deadline_ns <= now_ns)
        send_again(tcp, c, now_ns);
    else if (c->unacked_segments > 0)
        raw_send_ack(tcp, c, now_ns); /* delayed long enough (RFC 9293 3.8.6.3) */
}

static void sweep(struct raw_tcp *tcp, uint64_t now_ns)
{
    if (now_ns < tcp->sweep_ns)
        return;
    tcp->sweep_ns = now_ns + SWEEP_NS;
    for (uint32_t i = 0; i < tcp->place_count / SWEEP_PARTS + 1; i++) {
        look_at(tcp, &tcp->connections[tcp->swept], now_ns);
        tcp->swept = (tcp->swept + 1) & (tcp->place_count - 1);
    }
}

/* Send one or more of the queries that are due; false: there is no place for one. */
static bool send_some(struct raw_tcp *tcp, uint64_t now_ns)
{
    bool is_room = tcp->busy < tcp->limit;
    /* Connections that stay open are all opened first; else those that are open are used up. */
    if (is_room && tcp->worker->config->queries_per_connection == 0 && open_connection(tcp, now_ns))
        return true;
    struct raw_connection *c = dequeue(tcp);
    if (c == NULL)
        return is_room && open_connection(tcp, now_ns);
    uint32_t from = c->asked;
    ask(tcp, c, now_ns);
    if (c->state == RAW_OPEN)
        raw_send_queries(tcp, c, from, now_ns);
    enqueue(tcp, c);
    return true;
}

void raw_tcp_send_due(struct raw_tcp *tcp, uint64_t now_ns)
{
    sweep(tcp, now_ns);
    while (worker_may_send(tcp->worker, now_ns)) {
        if (!send_some(tcp, now_ns)) {
            worker_hold(tcp->worker, now_ns);
            break;
        }
    }
    for (uint32_t i = 0; i < tcp->listed_len; i++) {
        struct raw_connection *c = &tcp->connections[tcp->listed[i]];
        c->is_listed = false;
        if (c->is_ack_due)
            raw_send_ack(tcp, c, now_ns);
    }
    tcp->listed_len = 0;
}

bool raw_tcp_has_place(const struct raw_tcp *tcp)
{
    return tcp->busy < tcp->limit || tcp->queue_len > 0;
}

void raw_tcp_abort(struct raw_tcp *tcp, uint64_t now_ns)
{
    for (uint32_t i = 0; i < tcp->place_count; i++) {
        struct raw_connection *c = &tcp->connections[i];
        if (c->state == RAW_FREE)
            continue;
        if (c->state != RAW_SYN_SENT)
            raw_send_reset(tcp, c, now_ns);
        lose_waiting(tcp, c);
        leave(tcp, c, RAW_FREE);
    }
}
