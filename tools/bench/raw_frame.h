/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_frame.h - frames as a client sends them, from any of many addresses and ports.
 *
 * A tuple is a source address and a source port, by one number: the address changes first.
 *
 * Every frame of a run has the same link layer, server and lengths of headers; only what differs is
 * written, and checksums are added up from sums that were made once, so that a frame costs no more
 * than its own octets.
 *
 * Pure. One thread at a time for a path.
 */
#ifndef TOOLS_BENCH_RAW_FRAME_H
#define TOOLS_BENCH_RAW_FRAME_H

#include "stateless_tcp/packet.h"
#include "stateless_tcp/prefix.h"
#include "stateless_tcp/train.h"
#include "tools/bench/tuple.h"

#define RAW_SACKS_MAX 3 /* as many as fit beside timestamps */
#define RAW_MSS 1460

/* From where and to where. */
struct raw_path {
    uint8_t mac_own[6], mac_peer[6];
    struct packet_address server;
    uint16_t server_port;
    struct prefix source;
    uint16_t port_first;
    /* Which of them are used, and which is number 0, where a run begins, is made by
     * raw_path_prepare(). */
    struct tuple_range tuples;
    uint16_t window; /* that every segment offers */

    /* made by raw_path_prepare() */
    uint8_t headers[PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN];
    uint32_t headers_len;
    uint32_t ip_sum;     /* of the IPv4 header without length and source */
    uint32_t pseudo_sum; /* of the pseudo-header without length, protocol and source */
};

/* Fill in what is made from the rest. `start`: any number; runs that differ in it begin with other
 * tuples. `tuples_max`: use no more. */
void raw_path_prepare(struct raw_path *path, uint32_t start, uint32_t tuples_max);

/* Which tuple a packet of the server is for. false: none of ours. */
bool raw_path_tuple(const struct raw_path *path, const struct packet *packet, uint32_t *tuple_out);

/* A segment of the client. */
struct raw_segment {
    uint32_t seq, ack;
    uint8_t flags;
    bool is_syn; /* with MSS and SACK-permitted */
    bool has_timestamps;
    uint32_t timestamp_value, timestamp_echo;
    bool has_fast_open;              /* option of RFC 7413, */
    const uint8_t *fast_open_cookie; /* of PACKET_FAST_OPEN_COOKIE_LEN octets; NULL: asks for one */
    uint8_t sack_count;
    struct packet_sack sacks[RAW_SACKS_MAX];
};

/* Append a segment, or a datagram, to the train. `payload_sum`: question_sum() of the payload.
 * false: the train is full, and unchanged. */
bool raw_frame_tcp(const struct raw_path *path, uint32_t tuple, const struct raw_segment *segment,
                   const uint8_t *payload, size_t payload_len, uint16_t payload_sum,
                   struct train *train);
bool raw_frame_udp(const struct raw_path *path, uint32_t tuple, const uint8_t *payload,
                   size_t payload_len, uint16_t payload_sum, struct train *train);

/* Room for a frame of `len` octets at the end of the train; NULL: there is none. */
uint8_t *raw_frame_room(struct train *train, size_t len);

#endif
