/* SPDX-License-Identifier: BSD-2-Clause
 *
 * request.h - the octets of a request, and which responses are its own. Pure; any thread.
 */
#ifndef TOOLS_QUERY_REQUEST_H
#define TOOLS_QUERY_REQUEST_H

#include "tools/query/plan.h"

#define MESSAGE_MAX 65535
#define HEADER_LEN 12

/* What must not be guessed from outside: fresh for each request. */
struct request_dice {
    uint16_t id;
    uint8_t cookie[8];
    uint8_t nonce[16];     /* of CHECKSUM */
    uint8_t tsig_nonce[8]; /* of the well-known key */
};

/* Write the request of a plan. `dice` takes the identifier and the cookie of the plan, where it has
 * any. `tail_len`: octets that will be added behind it (TSIG), so that padding can count them.
 * `request` has room for MESSAGE_MAX. Returns its length. */
size_t request_make(const struct plan *plan, struct request_dice *dice, size_t tail_len,
                    uint8_t *request);

enum request_match {
    REQUEST_MATCH_OURS,
    REQUEST_MATCH_SHORT,    /* less than a header */
    REQUEST_MATCH_ID,       /* another identifier */
    REQUEST_MATCH_QUERY,    /* not a response, or of another opcode */
    REQUEST_MATCH_QUESTION, /* another question, or a cut one */
};

/* Whether a message is the response to a request (RFC 5452 9.1). One without any question is, if
 * its rcode says why. `response`: any octets. */
enum request_match request_match(const uint8_t *request, size_t request_len,
                                 const uint8_t *response, size_t response_len);

/* The same in words, for those that are not. */
const char *request_match_text(enum request_match match);

/* Octets to number, network order. */
static inline uint16_t octets_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t octets_be32(const uint8_t *p)
{
    return (uint32_t)octets_be16(p) << 16 | octets_be16(p + 2);
}

static inline void octets_put_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

#endif
