/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_ring.h - questions that a back end has not answered yet: a fixed number, oldest first.
 *
 *     oldest -> ... -> newest        in use, in the order in which they came
 *     free -> ... -> free            the others
 *
 * One entry is one outstanding question, with the newest segment that has it: all that is needed to
 * build the train of its response. Connections are not known here. When all entries are in use the
 * oldest makes room; its client's kernel sends the request again.
 *
 * Pure; one thread at a time for each ring.
 */
#ifndef SERVER_PROXY_RING_H
#define SERVER_PROXY_RING_H

#include "server/proxy_message.h"
#include "stateless_tcp/packet.h"

/* As many octets of a segment as are kept: as `modern` looks at, and remembers behind that. */
#define PROXY_PAYLOAD_MAX (1536 + 2048)

#define PROXY_PORTS 16 /* sockets that ask; a power of two */

struct proxy_question {
    struct packet packet; /* its payload is `payload`, and ends with a request */
    uint8_t payload[PROXY_PAYLOAD_MAX];
    uint16_t request_at; /* in payload */
    uint16_t request_len;
    struct proxy_shape shape;
    bool is_early; /* the response waits until the client sends the request again */
    unsigned ask_count;
    uint64_t asked_ms; /* the last time */
    uint64_t deadline_ms;
};

/* What is searched for, kept apart so that a search touches little memory. */
struct proxy_key {
    bool is_used;
    uint8_t port; /* number of the socket that asked */
    uint16_t id;
    uint64_t number;       /* of the question: the same as in proxy_answers.h */
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
};

/* Make a ring of `count` entries, 1 or more, in the caller's memory, which outlives it. */
void proxy_ring_init(struct proxy_ring *ring, struct proxy_question *questions,
                     struct proxy_key *keys, uint32_t count);

/* Whether a question in flight has this ticket: then draw another, or its response could be taken
 * for that one's. */
bool proxy_ring_is_taken(const struct proxy_ring *ring, const struct proxy_ticket *ticket);

/* The question with this number; NULL: it is not in flight. */
struct proxy_question *proxy_ring_find(const struct proxy_ring *ring, uint64_t number);

/* Enter a question that is not in flight, with a ticket that is not taken; the oldest makes room if
 * it must. Returns the ring's memory, valid until the question is removed or dropped; there only
 * the deadline is set, which is never before that of the question put before. */
struct proxy_question *proxy_ring_put(struct proxy_ring *ring, uint64_t number,
                                      const struct proxy_ticket *ticket, uint64_t deadline_ms);

/* The ticket and the number of a question in flight. */
struct proxy_ticket proxy_ring_ticket(const struct proxy_ring *ring,
                                      const struct proxy_question *question);
uint64_t proxy_ring_number(const struct proxy_ring *ring, const struct proxy_question *question);

/* The question that octets from the back end answer that came in through `port`; NULL: none. */
struct proxy_question *proxy_ring_match(const struct proxy_ring *ring, uint8_t port,
                                        const uint8_t *response, size_t response_len);

/* The oldest question, if it is overdue; else NULL. */
struct proxy_question *proxy_ring_overdue(const struct proxy_ring *ring, uint64_t now_ms);

/* Forget a question, whose memory stays as it is until the next put. */
void proxy_ring_remove(struct proxy_ring *ring, const struct proxy_question *question);

#endif
