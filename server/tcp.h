/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.h - DNS over the kernel's TCP (RFC 7766): many connections, one thread, no waiting.
 *
 * A connection that waits for its client holds one small struct. Buffers exist only while a message
 * is incomplete or a client does not take its responses; then nothing more is read from it, so that
 * what one client can make us hold is bounded:
 *
 *     input    TCP_INPUT_CAP octets: what one read returned, at most one message longer
 *     output   one response beyond TCP_OUTPUT_HIGH octets
 *
 * Connections stand in one list in the order of their last complete message. Its end is closed when
 * it is idle for too long, when there are too many, and when descriptors run out.
 *
 * One struct tcp per worker, used by its thread alone. Times are milliseconds of one clock.
 */
#ifndef SERVER_TCP_H
#define SERVER_TCP_H

#include "server/answer.h"
#include "stateless_tcp/prefix.h"

#include <stdbool.h>
#include <stdint.h>

#define TCP_PREFIX_LEN 2
#define TCP_MESSAGE_CAP (TCP_PREFIX_LEN + RESPOND_MESSAGE_MAX)
#define TCP_INPUT_CAP (TCP_MESSAGE_CAP + 16384)
#define TCP_OUTPUT_HIGH 16384
#define TCP_OUTPUT_CAP (TCP_OUTPUT_HIGH + TCP_MESSAGE_CAP)

struct tcp;
struct tcp_connection;

struct tcp_limits {
    unsigned connections_max;
    unsigned idle_timeout_s;    /* also what edns-tcp-keepalive announces (RFC 7828) */
    const struct prefix *peers; /* whom listeners for peers take */
    size_t peer_count;
    const struct prefix *denied; /* whom none take */
    size_t denied_count;
};

/* How to answer now. The view is refreshed by the caller. */
struct tcp_context {
    struct zonedb_view *view;
    const struct respond_policy *policy;
    const struct answer_image *image; /* NULL: none */
    uint64_t now_ms;
    uint64_t now_s; /* Unix time */
};

/* `epoll` gets the connections, with their struct tcp_connection as data; it must outlive the
 * struct tcp. Outcomes: 0; -ENOMEM. */
int tcp_open(int epoll, const struct tcp_limits *limits, struct tcp **tcp_out);

/* Close all connections. NULL is allowed. */
void tcp_close(struct tcp *tcp);

/* New limits, from now on. */
void tcp_set_limits(struct tcp *tcp, const struct tcp_limits *limits);

/* Take what waits at a listener, a limited number at a time; what comes from the
 * denied is reset at once; `is_for_peers`: and what comes from anybody but peers. Outcomes: 0 nothing waits; 1 more may
 * wait; -EMFILE descriptors or memory ran out and there is no connection to close: do not ask again
 * for a while. */
int tcp_accept(struct tcp *tcp, int listener, bool is_for_peers, uint64_t now_ms);

/* epoll has an event for a connection. It may be closed then; its memory stays until
 * tcp_reap(). An event for one that was closed in between is passed over. */
void tcp_event(struct tcp *tcp, struct tcp_connection *connection,
               const struct tcp_context *context);

/* Free what was closed. Call when no event that epoll returned is left. */
void tcp_reap(struct tcp *tcp);

/* Close what was idle for too long. */
void tcp_expire(struct tcp *tcp, uint64_t now_ms);

/* Milliseconds until tcp_expire() has work; -1: no connection. */
int tcp_timeout_ms(const struct tcp *tcp, uint64_t now_ms);

/* The end: answer what has arrived, close every connection that has taken its responses. Returns
 * the number of those that have not; their events go on. */
unsigned tcp_drain(struct tcp *tcp, const struct tcp_context *context);

/* Connections open. */
unsigned tcp_count(const struct tcp *tcp);

/* Octets of buffers that connections hold now, both ways. */
size_t tcp_held(const struct tcp *tcp);

#endif
