/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_place.h - a proxy that answers on port 53 of every address, for tests.
 */
#ifndef TEST_PROXY_PLACE_H
#define TEST_PROXY_PLACE_H

#include "server/proxy.h"

static const struct stateless_tcp_keys keys = {.epochs = {{1}, {2}}};
static uint8_t stream[STATELESS_TCP_STREAM_CAP], datagram[PROXY_DATAGRAM_CAP];

/* What is pointed to stays the caller's. Without a cache. */
static inline struct proxy proxy_place(const struct stateless_tcp_config *tcp,
                                       struct proxy_ring *ring, struct proxy_answers *answers,
                                       const uint8_t secret[COOKIE_KEY_LEN])
{
    static const struct packet_endpoint port_53 = {.port = 53};
    return (struct proxy){
        .tcp = tcp,
        .keys = &keys,
        .endpoints = &port_53,
        .endpoint_count = 1,
        .has_ede = true,
        .ring = ring,
        .answers = answers,
        .secret = secret,
        .stream = stream,
        .datagram = datagram,
    };
}

#endif
