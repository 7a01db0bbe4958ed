/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve.h - a frame in, a train of frames out: where packets and DNS meet.
 */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/answer.h"
#include "server/restrain.h"
#include "stateless_tcp/io/io.h"
#include "stateless_tcp/prefix.h"
#include "stateless_tcp/stateless_tcp.h"

/* Room for the responses to one segment, with the lengths that TCP puts in front of them. */
#define SERVE_STREAM_CAP STATELESS_TCP_STREAM_CAP

/* Longer than a client takes to ask again for the rest of a response, but for the last attempts of
 * a dying path: until then what it holds may be of the snapshot before. */
#define SERVE_SETTLED_S 10

/* What serve_frame() needs besides the frame. Owned by the caller, who refreshes the view and
 * changes keys and endpoints between calls; one thread at a time. */
struct serve {
    struct zonedb_view *view;
    const struct respond_policy *policy;
    const struct answer_image *image; /* NULL: none */
    const struct stateless_tcp_config *tcp;
    const struct stateless_tcp_keys *keys;
    const struct packet_endpoint
        *endpoints; /* what is ours, in packet_endpoint_compare()'s order */
    size_t endpoint_count;
    const struct prefix *peers; /* whose TCP is the kernel's to answer */
    size_t peer_count;
    uint64_t now_s;            /* Unix time */
    struct restrain *restrain; /* NULL: none */
    uint64_t now_us;           /* as restrain_judge() wants it */
    uint16_t mtu;              /* no datagram of ours is longer, IP header and all; 0: unknown */
    bool is_tcp_only;          /* UDP is the kernel's, for a socket to answer */
    bool is_learning;          /* it is of interest what serve_frame() returns */
    bool is_settled;           /* the last commit was SERVE_SETTLED_S ago, or longer */
    struct recent *recent;     /* for stateless TCP; NULL: none */
    uint8_t *stream;           /* SERVE_STREAM_CAP octets to work in */
};

/* Answer one frame.
 *
 * `frame`: not modified. `train`: empty, with room of TRAIN_CAP; gets the answer, or stays empty
 * for silence. The same frame gets the same answer as long as nothing in `serve` changes; there is
 * no clock. Returns whether it is an answer over UDP that everybody gets who sends the same request,
 * now and later, as long as snapshot and policy are the same; false without `is_learning`. */
bool serve_frame(const struct serve *serve, const struct io_frame *frame, struct train *train);

#endif
