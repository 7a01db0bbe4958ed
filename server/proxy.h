/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy.h - serve.h without zones: a request that came by stateless TCP becomes a question over
 * UDP, and the response to that the train which answers the request's segment.
 *
 *     for each frame:
 *         ask_len = proxy_frame(&proxy, frame, &ticket, ask, &train);
 *         send the train; if ask_len > 0, send `ask` through socket ticket.port
 *     for each datagram from the back end, in proxy.stream + 2:
 *         if (proxy_response(&proxy, port, datagram_len, &train)) send the train
 *     while (proxy_overdue(&proxy, now_ms, &train))
 *         send the train
 *
 * The request is acknowledged with its response and not before: if the question is lost, or was
 * dropped to make room, the client's kernel sends the request again, which asks again. The same
 * request again while its question is in flight asks nothing.
 *
 * Of several requests in one segment the first is answered and acknowledged; the client's kernel
 * sends the others again (where the profile ends the connection after a response, the client asks
 * them on another).
 *
 * Pure: time and random choices come in the ticket. One thread at a time.
 */
#ifndef SERVER_PROXY_H
#define SERVER_PROXY_H

#include "server/proxy_ring.h"
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/stateless_tcp.h"

/* Room that proxy_response() works in: the length, and the longest message. */
#define PROXY_STREAM_CAP (2 + 65535)

/* Owned by the caller, who changes keys and endpoints between calls. */
struct proxy {
    const struct stateless_tcp_config *tcp;
    const struct stateless_tcp_keys *keys;
    const struct packet_endpoint *endpoints; /* what is ours */
    size_t endpoint_count;
    bool has_ede; /* of our own; what the back end says passes */
    struct proxy_ring *ring;
    uint8_t *stream; /* PROXY_STREAM_CAP octets */
};

/* Look at one frame. `train`: empty, with room of TRAIN_CAP; gets what is to be said at once.
 * `ask`: PROXY_ASK_MAX octets. Returns how many of them to send to the back end; 0: nothing. Never
 * asks for a segment that does not prove the cookie. */
size_t proxy_frame(const struct proxy *proxy, const struct io_frame *frame,
                   const struct proxy_ticket *ticket, uint8_t *ask, struct train *train);

/* Look at a datagram of `len` octets, 0..65535, in proxy->stream + 2, which is written over; it
 * came in through socket `port`. Returns false if it answers no question of ours; else the question
 * is done and `train`, empty before, has the response. */
bool proxy_response(const struct proxy *proxy, uint8_t port, size_t len, struct train *train);

/* Give up on one overdue question: SERVFAIL in `train`, empty before. False: there is none. */
bool proxy_overdue(const struct proxy *proxy, uint64_t now_ms, struct train *train);

#endif
