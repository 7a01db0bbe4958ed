/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_requests.h"

#include "stateless_tcp/framing.h"

/* A message whose length came in a segment before: one question, no answer, no authority, OPT and
 * TSIG at most. Octets from the midst of a request do not look so. */
static bool is_bare_request(const uint8_t *payload, uint32_t len)
{
    return len >= REQUEST_LEN_MIN && len <= MODERN_REQUESTS_MAX &&
           wire_load_be16(payload + 4) == 1 && wire_load_be32(payload + 6) == 0 &&
           wire_load_be16(payload + 10) <= 2;
}

/* Where a message without length ends: where whole requests begin that end with the payload, as
 * clients join them. */
static uint32_t bare_request_len(const uint8_t *payload, uint32_t len)
{
    for (uint32_t at = REQUEST_LEN_MIN; at + LENGTH_LEN + REQUEST_LEN_MIN <= len; at++)
        if (is_bare_request(payload + at + LENGTH_LEN, len - at - LENGTH_LEN) &&
            framing_requests_len(payload + at, len - at) == len - at)
            return at;
    return len;
}

bool modern_requests_find(const struct packet *packet, const struct point *point,
                          struct stateless_tcp_query *query)
{
    const uint8_t *payload = packet->payload;
    uint32_t len =
        packet->payload_len < MODERN_REQUESTS_MAX ? packet->payload_len : MODERN_REQUESTS_MAX;
    uint32_t before = (point->seq - packet->seq) & MODERN_SEQ_MASK;
    query->at = payload;
    if (before == MODERN_SEQ_MASK + 1 - LENGTH_LEN) { /* we acknowledged its length */
        query->is_prefix_absent = true;
        query->bare_len = bare_request_len(payload, len);
        query->left = len;
        return is_bare_request(payload, query->bare_len);
    }
    query->point_len = before;
    if (before > len)
        return false;
    query->left = framing_requests_len(payload, len);
    if (framing_requests_len(payload, before) == before) /* what could be either is nothing */
        return query->left > 0 && !(before > 0 && is_bare_request(payload, before));
    query->is_prefix_absent = true;
    query->bare_len = bare_request_len(payload, before);
    query->left = before + framing_requests_len(payload + before, len - before);
    return is_bare_request(payload, query->bare_len);
}
