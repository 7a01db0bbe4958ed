/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy.h - serve.h without zones: requests that came by stateless TCP become questions over UDP,
 * and the responses to those the train which answers the requests' segment.
 *
 *     for each frame:
 *         proxy_frame(&proxy, frame, now_ms, &draws, &asks, &train);
 *         send the train; send each of `asks` through its socket
 *     for each datagram from the back end, in proxy.datagram:
 *         if (proxy_response(&proxy, port, datagram_len, now_ms, &train)) send the train
 *     while (proxy_overdue(&proxy, now_ms, &train))
 *         send the train
 *
 * A request is acknowledged with its response and not before: if the question is lost, or was
 * dropped to make room, the client's kernel sends the request again, which asks again. While its
 * question is in flight the request, sent again, only takes the place of its older self; the back
 * end is reminded PROXY_ASKS_MAX - 1 times at most, PROXY_AGAIN_MS apart, with the same ID, in case
 * that the datagram was lost.
 *
 * Of several requests in one segment all are asked. With `modern` and its cache what comes behind
 * them meanwhile is asked too, and they are answered together or, where that takes longer than
 * PROXY_GATHER_MS, each as soon as those before it are; otherwise all are answered in one train
 * when the last response is there, or as many as are ready when the client sends the segment again,
 * and what comes behind waits for the client's timer.
 *
 * THE SAME AGAIN. A back end may say something else, and something longer or shorter, when it is
 * asked again; zones do not (modern.h, the function F). Both answers in one stream would make
 * octets that nobody said: half of one response and half of the other; or, after the whole of a
 * shorter one, the tail of a longer one. That takes two evaluations of one request, and there are
 * often two: a slow back end and a client's timer that crosses the response are enough. So the
 * first response to a request at its place in a connection is remembered (proxy_answers.h), and is
 * what every later evaluation says. Where that memory fails:
 *
 *   - the octets are overwritten, the entry stands: RST, whatever the client holds.
 *   - the entry is gone too, and the client is inside the response, or SACK says that it holds
 *     later pieces: RST, as without a settled snapshot in modern.h.
 *   - the entry is gone and the client holds nothing of the response: asked anew. Left is this: the
 *     request was answered before, that answer (all of it still under way, or pieces of it there
 *     and the client without SACK) comes together with the new one. The entry must have gone
 *     meanwhile: pushed out by hundreds of thousands of later answers, or by a restart of the
 *     proxy, or because another proxy gave the first answer. So proxies that share keys may follow
 *     each other, but not take turns packet by packet as servers with the same zones may.
 *
 * Pure: time and random choices are arguments. One thread at a time.
 */
#ifndef SERVER_PROXY_H
#define SERVER_PROXY_H

#include "server/proxy_answers.h"
#include "server/proxy_ring.h"
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/stateless_tcp.h"

#define PROXY_DATAGRAM_CAP 65535
/* Requests of one segment that are looked at. */
#define PROXY_REQUESTS_MAX 32
/* How long a question waits for its response. */
#define PROXY_TIMEOUT_MS 4000
/* How often it is asked, and the least time between. */
#define PROXY_ASKS_MAX 3
#define PROXY_AGAIN_MS 1000
/* How long a response may wait for those behind it: one train acknowledges all its requests. */
#define PROXY_GATHER_MS 10

/* Owned by the caller, who changes keys and endpoints between calls. */
struct proxy {
    const struct stateless_tcp_config *tcp; /* without Fast Open */
    const struct stateless_tcp_keys *keys;
    const struct packet_endpoint *endpoints; /* what is ours */
    size_t endpoint_count;
    bool has_ede;          /* of our own; what the back end says passes */
    struct recent *recent; /* for `modern`; NULL: none */
    struct proxy_ring *ring;
    struct proxy_answers *answers;
    const uint8_t *secret; /* COOKIE_KEY_LEN octets, drawn at random for `answers` */
    uint8_t *stream;       /* STATELESS_TCP_STREAM_CAP octets to work in */
    uint8_t *datagram;     /* PROXY_DATAGRAM_CAP octets */
};

/* Random octets, drawn ahead by the caller. A ticket takes three, now and then six. */
struct proxy_draws {
    uint8_t octets[6 * PROXY_REQUESTS_MAX];
    size_t left;
};

/* What to send to the back end. */
struct proxy_asks {
    unsigned count;
    struct proxy_ask {
        uint8_t port; /* through which socket */
        uint16_t len;
        uint8_t octets[PROXY_ASK_MAX];
    } asks[PROXY_REQUESTS_MAX];
};

/* Look at one frame, at `now_ms` of a clock that never goes back. `train`: empty, with room of
 * TRAIN_CAP; gets what is to be said at once. `draws`: what is left shrinks; when it is used up
 * nothing is asked. `asks_out`: what to ask, never for a segment that does not prove the cookie. */
void proxy_frame(const struct proxy *proxy, const struct io_frame *frame, uint64_t now_ms,
                 struct proxy_draws *draws, struct proxy_asks *asks_out, struct train *train);

/* Look at a datagram of `len` octets, 0..PROXY_DATAGRAM_CAP, in proxy->datagram, which is written
 * over; it came in through socket `port`. Returns false if it answers no question of ours; else the
 * question is done and `train`, empty before, has what can be said now, which may be nothing. */
bool proxy_response(const struct proxy *proxy, uint8_t port, size_t len, uint64_t now_ms,
                    struct train *train);

/* Give up on one overdue question: SERVFAIL, as proxy_response(). False: there is none. */
bool proxy_overdue(const struct proxy *proxy, uint64_t now_ms, struct train *train);

#endif
