/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_tcp.h - a TCP client without sockets: frames in, frames out.
 *
 *      FREE -- a query --> SYN_SENT -- SYN+ACK --> OPEN -- all answered --> FIN_SENT --> FREE
 *                              |                     |
 *                              +-- RST, time out ----+--> FREE
 *
 * A connection has a tuple (raw_frame.h), and its state the place that the tuple's number says, so
 * that a frame finds it without a search. One in FIN_SENT does not count among those at a time: a
 * kernel's client, too, goes on once it has called close().
 *
 * What it does as RFC 9293 asks: acknowledges every second segment and each that ends a message at
 * the latest, each out of order at once and with SACK blocks; keeps what came out of order; sends
 * again what is not acknowledged, after a time that doubles; answers FIN with ACK also when it has
 * forgotten the connection, as TIME-WAIT would; echoes timestamps by RFC 7323 4.3; begins with
 * sequence numbers that grow with time, so that a server's TIME-WAIT takes them (RFC 6191). What it
 * does not: congestion control (requests are small), window probes, window scaling, ECN.
 *
 *     raw_tcp_open(&tcp, ...)
 *     loop: now = worker_turn()
 *           for each packet: raw_tcp_receive(&tcp, now, &packet)
 *           raw_tcp_send_due(&tcp, now)
 *     raw_tcp_close(&tcp)
 *
 * No clock, no system call but memory. One thread at a time.
 */
#ifndef TOOLS_BENCH_RAW_TCP_H
#define TOOLS_BENCH_RAW_TCP_H

#include "tools/bench/raw_frame.h"
#include "tools/bench/worker.h"

enum raw_state {
    RAW_FREE,
    RAW_SYN_SENT,
    RAW_OPEN,
    RAW_FIN_SENT,
};

struct raw_query {
    struct worker_query query;
    uint32_t seq; /* of its first octet */
};

struct raw_buffer; /* of one connection that has part of a message */

struct raw_connection {
    uint32_t tuple;
    uint8_t state; /* enum raw_state */
    uint8_t tries; /* times sent again in a row */
    bool has_timestamps, has_sack;
    bool is_queued, is_listed; /* and so stay when the place is taken anew */
    bool is_fin_received, is_ack_due;
    uint8_t unacked_segments;
    uint32_t una, next;   /* ours: not acknowledged, not sent */
    uint32_t end;         /* ours: behind all queries asked */
    uint32_t rcv;         /* the server's: next in order */
    uint32_t acked;       /* the server's: acknowledged by us last */
    uint32_t echo;        /* its timestamp to give back */
    uint16_t window, mss; /* the server's */
    uint32_t first;       /* query: the oldest not acknowledged */
    uint32_t asked;       /* queries so far */
    uint32_t waiting;     /* of them without answer */
    uint64_t deadline_ns; /* then something is sent again; UINT64_MAX: nothing is waited for */
    struct raw_buffer *buffer;
};

struct raw_cookie {
    bool is_known;
    uint8_t octets[PACKET_FAST_OPEN_COOKIE_LEN];
};

struct raw_tcp {
    struct worker *worker;
    const struct raw_path *path;
    struct train *train;          /* where frames go; the caller's */
    void (*flush)(void *context); /* empties it when it is full */
    void *flush_context;

    struct raw_connection *connections;
    struct raw_query *queries;
    uint32_t place_count, ring_cap; /* powers of two */
    uint32_t limit;                 /* connections at a time */
    uint32_t busy;                  /* of them now */
    uint32_t closing;               /* in FIN_SENT */
    uint32_t next_tuple;
    uint32_t *queue; /* connections that can take a further query, a ring */
    uint32_t queue_first, queue_len;
    uint32_t *listed; /* connections whose ACK may be due */
    uint32_t listed_len;
    uint32_t swept; /* places looked through up to here */
    uint64_t sweep_ns;
    struct raw_buffer *spare; /* buffers not in use */
    uint32_t buffer_count;
    struct raw_cookie *cookies; /* of each source address */
};

/* `worker`, `path` and `train` must outlive it. Outcomes: 0; -ENOMEM. */
int raw_tcp_open(struct raw_tcp *tcp, struct worker *worker, const struct raw_path *path,
                 struct train *train, void (*flush)(void *context), void *flush_context);
void raw_tcp_close(struct raw_tcp *tcp);

/* How many places for connections there will be: tuples beyond are of no use. */
uint32_t raw_tcp_places(const struct bench_config *config);

/* Take a packet of the server. */
void raw_tcp_receive(struct raw_tcp *tcp, uint64_t now_ns, const struct packet *packet);

/* Send the queries that are due, the ACKs that are, and what is to be sent again; give up what is
 * out of time. Call after each batch of packets. */
void raw_tcp_send_due(struct raw_tcp *tcp, uint64_t now_ns);

/* Whether a query would find a connection now. */
bool raw_tcp_has_place(const struct raw_tcp *tcp);

/* End all connections by RST, so that the server forgets them too. */
void raw_tcp_abort(struct raw_tcp *tcp, uint64_t now_ns);

/* ---- raw_stream.c: what comes in order or not ---- */

/* Octets of two messages of greatest length, so that a window always fits behind a message that has
 * begun. */
#define RAW_BUFFER_CAP (2u * (2u + 65535u))
#define RAW_AHEAD_MAX 8

struct raw_buffer {
    struct raw_buffer *next_spare;
    uint32_t seq; /* of octets[0], where a message begins */
    uint32_t len; /* octets in order */
    uint32_t ahead_count;
    struct packet_sack ahead[RAW_AHEAD_MAX]; /* what came out of order, latest first */
    uint8_t octets[RAW_BUFFER_CAP];
};

enum raw_stream_outcome {
    RAW_STREAM_IN_ORDER,     /* new octets, in order */
    RAW_STREAM_OUT_OF_ORDER, /* kept, or dropped: tell the server at once what is missing */
    RAW_STREAM_OLD,          /* nothing new: tell the server at once what is there */
};

/* A message, whole. */
typedef void raw_message(void *context, const uint8_t *message, size_t message_len);

/* Take the payload of a segment; calls `message` for each whole message. *rcv: the next octet in
 * order, moved on. *buffer: of this connection, NULL without one; `get` makes one (NULL: there is
 * none left). */
enum raw_stream_outcome raw_stream_take(uint32_t *rcv, struct raw_buffer **buffer,
                                        struct raw_buffer *(*get)(void *context), uint32_t seq,
                                        const uint8_t *payload, size_t payload_len,
                                        raw_message *message, void *context);

/* Whether nothing is left in it: it may be given back. */
bool raw_stream_is_empty(const struct raw_buffer *buffer);

#endif
