/* SPDX-License-Identifier: BSD-2-Clause
 *
 * framing.h - DNS messages in a stream, each behind its length (RFC 1035 4.2.2). Both profiles take
 * requests out of segments by it. Pure.
 */
#ifndef STATELESS_TCP_FRAMING_H
#define STATELESS_TCP_FRAMING_H

#include "stateless_tcp/wire.h"

enum {
    LENGTH_LEN = 2,
    REQUEST_LEN_MIN = 12, /* a DNS header */
};

/* Octets of the whole request, length included, at the beginning of `len` octets; 0: there is
 * none. */
static inline uint32_t framing_request_len(const uint8_t *octets, uint32_t len)
{
    if (len < LENGTH_LEN)
        return 0;
    uint32_t request_len = wire_load_be16(octets);
    return request_len < REQUEST_LEN_MIN || request_len > len - LENGTH_LEN
               ? 0
               : LENGTH_LEN + request_len;
}

/* The same of all whole requests that follow each other there. */
static inline uint32_t framing_requests_len(const uint8_t *octets, uint32_t len)
{
    uint32_t taken = 0;
    for (uint32_t next; (next = framing_request_len(octets + taken, len - taken)) > 0;)
        taken += next;
    return taken;
}

#endif
