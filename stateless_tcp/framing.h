/* SPDX-License-Identifier: BSD-2-Clause
 *
 * framing.h - DNS messages in a stream, each behind its length (RFC 1035 4.2.2). Both profiles take
 * requests out of segments by it. Pure.
 *
 * A length may come in a segment of its own, and is forgotten when the message comes. Then the
 * message alone says how long it is; a piece of one, and octets from the midst of one, do not look
 * so, and are waited for.
 */
#ifndef STATELESS_TCP_FRAMING_H
#define STATELESS_TCP_FRAMING_H

#include "stateless_tcp/wire.h"

enum {
    LENGTH_LEN = 2,
    REQUEST_LEN_MIN = 12, /* a DNS header */
    BARE_RECORDS_MAX = 2, /* OPT and TSIG */
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

/* Where the name that begins at `at` ends, `len` or more if it is not whole. */
static inline uint32_t framing_name_end(const uint8_t *octets, uint32_t len, uint32_t at)
{
    while (at < len && octets[at] != 0) {
        if (octets[at] >= 0xc0)
            return at + 2;
        at += 1u + octets[at];
    }
    return at + 1;
}

/* Octets of a whole request without length at the beginning of `len` octets: a header, one
 * question, no answer, no authority, BARE_RECORDS_MAX records more; 0: there is none. */
static inline uint32_t framing_bare_len(const uint8_t *octets, uint32_t len)
{
    if (len < REQUEST_LEN_MIN || wire_load_be16(octets + 4) != 1 ||
        wire_load_be32(octets + 6) != 0 || wire_load_be16(octets + 10) > BARE_RECORDS_MAX)
        return 0;
    uint32_t at = framing_name_end(octets, len, REQUEST_LEN_MIN) + 4; /* type, class */
    for (uint32_t left = wire_load_be16(octets + 10); left > 0; left--) {
        at = framing_name_end(octets, len, at) + 10; /* type, class, TTL, length */
        if (at > len)
            return 0;
        at += wire_load_be16(octets + at - 2);
    }
    return at <= len ? at : 0;
}

/* The same of it and all whole requests, with length, that follow. */
static inline uint32_t framing_bare_requests_len(const uint8_t *octets, uint32_t len)
{
    uint32_t bare_len = framing_bare_len(octets, len);
    return bare_len == 0 ? 0 : bare_len + framing_requests_len(octets + bare_len, len - bare_len);
}

#endif
