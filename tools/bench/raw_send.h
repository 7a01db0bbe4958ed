/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_send.h - the segments of raw_tcp.c. For that file only.
 */
#ifndef TOOLS_BENCH_RAW_SEND_H
#define TOOLS_BENCH_RAW_SEND_H

#include "tools/bench/raw_tcp.h"

/* a is before b, as sequence numbers go (RFC 9293 3.4) */
static inline bool raw_is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline uint32_t raw_timestamp(uint64_t now_ns)
{
    return (uint32_t)(now_ns / 1000000);
}

static inline uint32_t raw_place(const struct raw_tcp *tcp, const struct raw_connection *c)
{
    return (uint32_t)(c - tcp->connections);
}

/* The query of that number on a connection. */
static inline struct raw_query *raw_query_at(const struct raw_tcp *tcp,
                                             const struct raw_connection *c, uint32_t number)
{
    return tcp->queries + (size_t)raw_place(tcp, c) * tcp->ring_cap +
           (number & (tcp->ring_cap - 1));
}

/* A segment as it is, of no connection that there is. */
void raw_send_frame(struct raw_tcp *tcp, uint32_t tuple, const struct raw_segment *segment,
                    const uint8_t *payload, size_t payload_len, uint16_t payload_sum);

/* Segments of a connection, to be sent again by its deadline where they want an ACK. */
void raw_send_syn(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns);
void raw_send_ack(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns);
void raw_send_fin(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns);
void raw_send_reset(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns);

/* Send the queries from number `from` on. */
void raw_send_queries(struct raw_tcp *tcp, struct raw_connection *c, uint32_t from,
                      uint64_t now_ns);

/* Set the deadline. */
void raw_arm(struct raw_tcp *tcp, struct raw_connection *c, uint64_t now_ns);

#define RAW_NEVER UINT64_MAX

#endif
