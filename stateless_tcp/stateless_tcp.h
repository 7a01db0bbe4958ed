/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stateless_tcp.h - TCP that remembers nothing: each segment is answered for what it says.
 *
 *     client                                        server
 *       SYN  <mss 1460>              ---->                       its cookie is the ISS
 *                                    <----  SYN+ACK  <mss 1220>
 *       ACK                          ---->                       (silence)
 *       PSH+ACK  length, request     ---->                       is the ISS acknowledged? then
 *                                    <----  ACK                  at once,
 *                                    <----  ACK  512 octets      the response, length first,
 *                                    <----  ACK  512 octets      back to back,
 *                                    <----  FIN+ACK              and the end
 *       ACK, ACK                     ---->                       (silence)
 *       FIN+ACK                      ---->
 *                                    <----  ACK
 *
 * This is profile `classic`: the experiment of 2009 as its slides tell it, packet for packet, but
 * for two repairs. The acknowledgement of a request must prove the cookie (the experiment answered
 * anybody, and so in the name of anybody); and the ACK of the client's FIN has the sequence number
 * that comes after our own FIN (it was one too low). What it does not do, by design: repeat what
 * was lost, look at the window, answer a second request after its FIN.
 *
 *     switch (stateless_tcp_receive(&config, &keys, &packet, settled, recent, &query, train)) {
 *     case STATELESS_TCP_DROP:                  silence; the train is empty
 *     case STATELESS_TCP_SEND:                  the train is complete
 *         break;
 *     case STATELESS_TCP_QUERY:
 *         while (stateless_tcp_next(&query, &request, &request_len))
 *             stateless_tcp_send(&query, stream + query.stream_at,
 *                                respond(request, ..., stream + query.stream_at + 2), train);
 *         stateless_tcp_finish(&query, train);
 *     }
 *
 * Profile `modern` has its own page: modern.h.
 *
 * Pure: no clock, no random choice, no allocation, no state but the cache that `modern` may be
 * given. The same arguments give the same octets; with retransmissions that is what correctness
 * means here. Any thread.
 */
#ifndef STATELESS_TCP_STATELESS_TCP_H
#define STATELESS_TCP_STATELESS_TCP_H

#include "stateless_tcp/cookie.h"
#include "stateless_tcp/packet.h"
#include "stateless_tcp/recent.h"
#include "stateless_tcp/train.h"

/* Room for the responses to one segment: whoever has not yet filled half of it gets one more. */
#define STATELESS_TCP_STREAM_CAP (2u * (2u + 65535u))

/* Limits of the configuration. A segment of 512 always fits, whatever the client offered. */
#define STATELESS_TCP_MSS_MIN 536
#define STATELESS_TCP_MSS_MAX 1460
#define STATELESS_TCP_MSS_DEFAULT 1220
#define STATELESS_TCP_SEGMENT_MIN 512
#define STATELESS_TCP_SEGMENT_MAX 1220
#define STATELESS_TCP_SEGMENT_DEFAULT 512
/* With the timestamps of a modern client 1280 octets over IPv6, which every path carries. */
#define STATELESS_TCP_SEGMENT_MODERN (1280 - 40 - 20 - 12)
#define STATELESS_TCP_BURST_DEFAULT 10 /* segments, RFC 6928 */

enum stateless_tcp_profile {
    STATELESS_TCP_CLASSIC,
    STATELESS_TCP_MODERN, /* modern.h */
};

/* The same for all clients. Constant while in use. */
struct stateless_tcp_config {
    enum stateless_tcp_profile profile;
    uint16_t mss;          /* what our SYN+ACK offers */
    uint16_t segment_size; /* most payload in a segment of ours; never beyond the client's class */
    uint16_t burst;        /* modern: most segments with data at once; 1 or more */
    bool has_stale_reset;  /* modern: what cannot be served gets RST, not silence */
    bool has_fast_open;    /* modern: requests may come with the SYN (RFC 7413) */
    enum packet_checksum_policy checksum_policy;
};

/* Classic as on the slides, checksums `auto`. What only `modern` reads is set too. */
struct stateless_tcp_config stateless_tcp_config_default(void);

enum stateless_tcp_outcome {
    STATELESS_TCP_DROP,  /* stay silent */
    STATELESS_TCP_SEND,  /* the train is the answer */
    STATELESS_TCP_QUERY, /* there are requests to respond to */
};

/* What receive() found out, for the calls after it. Points into the packet and the config. */
struct stateless_tcp_query {
    const struct packet *packet;
    uint32_t seq; /* of our next octet */
    uint32_t ack; /* of the client's next octet */
    uint32_t segment_size;
    uint32_t stream_left;  /* octets that may still be sent, so that the cookie stays provable */
    const uint8_t *at;     /* requests not yet taken */
    uint32_t left;         /* octets there */
    bool is_prefix_absent; /* of the next request: its length came in a segment before */
    uint32_t bare_len;     /* and so says this */
    uint32_t stream_at;    /* where in the caller's memory the next response goes */

    /* modern only */
    const struct stateless_tcp_config *config;
    const struct stateless_tcp_keys *keys; /* with a SYN only */
    struct recent *recent;
    uint64_t connection;     /* cookie_proof.connection */
    uint32_t base;           /* the number of our first octet */
    uint32_t request_seq;    /* of the client's first octet in `requests` */
    const uint8_t *stream;   /* the responses so far, stream_at octets */
    const uint8_t *requests; /* the first of them */
    uint32_t answered_len;   /* octets of requests whose responses are there */
    uint32_t held;           /* octets of our stream that the client holds */
    uint32_t point_offset;   /* a request boundary whose place in our stream is known, */
    uint32_t point_len;      /* and how many octets of the requests are before it */
    uint32_t start;          /* place of the first response in our stream, once known */
    bool is_start_known;
    bool is_ahead;       /* responses before these are still on their way */
    bool is_closing;     /* our FIN ends what is sent */
    bool is_half_closed; /* the client's FIN is behind the requests */
    bool is_fast_open;   /* they came with the SYN */
    bool is_repair;      /* they were answered before, up to point_offset, by others */
    /* `packet`, where the beginning of its first request came before it; else undefined. The last
     * member, so that the others can be cleared without it. */
    struct packet joined;
};

/* Look at one segment, already parsed and sent to an address that is ours.
 *
 * `is_settled`: responses have been the same for so long that the client cannot hold half of an
 *   older one. If not, `modern` does not resume inside a response (`classic` never does).
 * `recent`: for `modern`, and where there are several threads each has its own; NULL: none. It is
 *   the one thing here that remembers, and nothing depends on it but speed (recent.h).
 * `packet` and its frame stay valid until stateless_tcp_finish(). `train` is empty, with room of
 * TRAIN_CAP.
 * DROP: what shows no proof of address, or wants no answer: pure ACKs, RST, SYN+ACK, pieces
 *   of a request that was split (the client's kernel will join them when it sends them again).
 * SEND: a SYN gets its SYN+ACK (never a larger packet than the SYN: one without options gets none
 *   back; data with it is not acknowledged, so it comes again); a FIN its ACK; a length that
 *   travels without its message (some clients write it separately) its ACK.
 * QUERY: take requests with stateless_tcp_next(). In `classic` the train already begins with the
 *   ACK of the request. */
enum stateless_tcp_outcome stateless_tcp_receive(const struct stateless_tcp_config *config,
                                                 const struct stateless_tcp_keys *keys,
                                                 const struct packet *packet, bool is_settled,
                                                 struct recent *recent,
                                                 struct stateless_tcp_query *query_out,
                                                 struct train *train);

/* The next request of the segment (RFC 7766 6.2.1.1 allows several), without its length.
 * Returns false when there is none left. The request is in the frame's memory. */
bool stateless_tcp_next(struct stateless_tcp_query *query, const uint8_t **request_out,
                        size_t *request_len_out);

/* Append the response to the request taken last.
 *
 * `stream`: the caller's memory of STATELESS_TCP_STREAM_CAP octets plus query->stream_at; there two
 * octets of room, which this call fills with the length (RFC 1035 4.2.2), then response_len octets,
 * 0..65535. 0: no response, nothing is appended. `modern` reads them in stateless_tcp_finish().
 * A response that finds no room after those before it ends the connection's answers: the client,
 * reading end of stream instead, asks again. */
void stateless_tcp_send(struct stateless_tcp_query *query, uint8_t *stream, size_t response_len,
                        struct train *train);

/* Complete the train. `classic`: FIN in a segment of its own; if nothing was responded at all the
 * train becomes empty: silence. `modern`: everything. */
void stateless_tcp_finish(struct stateless_tcp_query *query, struct train *train);

/* Octets at the beginning of query->packet's data whose requests the cache knows to be answered;
 * the caller of stateless_tcp_wait() may leave them out when it looks at the rest again. */
uint32_t stateless_tcp_answered(const struct stateless_tcp_query *query);

/* Instead of finish(): the requests, none of which was responded to, are answered later, by looking
 * at a copy of query->packet again. `packet`: what was received. In `modern` with a cache, what
 * comes next is read behind them. The train: empty but for the ACK that a `packet` without data
 * wants. */
void stateless_tcp_wait(const struct stateless_tcp_query *query, const struct packet *packet,
                        struct train *train);

#endif
