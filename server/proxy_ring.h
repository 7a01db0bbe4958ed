/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_ring.h - questions that a back end has not answered yet: a fixed number, oldest first.
 *
 *     oldest -> ... -> newest        in use, in the order in which they came
 *     free -> ... -> free            the others
 *
 * One entry is one outstanding question, with the headers of the segment that asked it: all that
 * is needed to build the train of its response. Connections are not known here. When all entries
 * are in use the oldest makes room; its client's kernel sends the request again.
 *
 * Pure; one thread at a time for each ring.
 */
#ifndef SERVER_PROXY_RING_H
#define SERVER_PROXY_RING_H

#include "server/proxy_message.h"
#include "stateless_tcp/packet.h"

/* The length may travel in front of the request (RFC 1035 4.2.2). */
#define PROXY_PAYLOAD_MAX (2 + PROXY_REQUEST_MAX)

struct proxy_question {
    struct packet packet; /* its payload is `payload`, and ends with the request */
    struct proxy_shape shape;
    uint8_t payload[PROXY_PAYLOAD_MAX];
    uint16_t request_at; /* in payload */
    uint64_t deadline_ms;
};

/* What is searched for, kept apart so that a search touches little memory. */
struct proxy_key {
    bool is_used;
    uint8_t port; /* number of the socket that asked */
    uint16_t id;
    uint32_t segment;      /* tells segments apart, mostly */
    uint32_t older, newer; /* in use: neighbours; free: `newer` is the next one */
};

struct proxy_ring {
    struct proxy_question *questions;
    struct proxy_key *keys;
    uint32_t count;
    uint32_t oldest, newest, free;
    uint64_t dropped; /* to make room */
};

/* How a question goes out: chosen at random by the caller, afresh for each. */
struct proxy_ticket {
    uint16_t id;
    uint8_t port;
    uint64_t deadline_ms; /* never before that of the question before */
};

/* Make a ring of `count` entries, 1 or more, in the caller's memory, which outlives it. */
void proxy_ring_init(struct proxy_ring *ring, struct proxy_question *questions,
                     struct proxy_key *keys, uint32_t count);

/* Enter a question. `packet`: a segment whose payload, at most PROXY_PAYLOAD_MAX octets, is the
 * request with its length or without; it is copied. `request_at`: where in the payload the request
 * begins. `shape`: of the request.
 * Returns NULL if this very request, sent again, is there already; else the ring's memory, valid
 * until the question is removed or dropped. */
struct proxy_question *proxy_ring_put(struct proxy_ring *ring, const struct packet *packet,
                                      size_t request_at, const struct proxy_shape *shape,
                                      const struct proxy_ticket *ticket);

/* The question that octets from the back end answer that came in through `port`; NULL: none. */
struct proxy_question *proxy_ring_match(const struct proxy_ring *ring, uint8_t port,
                                        const uint8_t *response, size_t response_len);

/* The oldest question, if it is overdue; else NULL. */
struct proxy_question *proxy_ring_overdue(const struct proxy_ring *ring, uint64_t now_ms);

/* Forget a question, whose memory stays as it is until the next put. */
void proxy_ring_remove(struct proxy_ring *ring, const struct proxy_question *question);

#endif
