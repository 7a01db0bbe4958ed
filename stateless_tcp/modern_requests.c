/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_requests.h"

#include "stateless_tcp/framing.h"

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
        query->bare_len = framing_bare_len(payload, len);
        query->left = framing_bare_requests_len(payload, len);
        return query->left > 0;
    }
    query->point_len = before;
    if (before > len)
        return false;
    /* What is answered and there need not be read: it may be the end of a request whose beginning
     * was acknowledged (modern_tail.h). */
    if (before > 0 && query->held - point->offset <= 1) {
        query->left = before + framing_requests_len(payload + before, len - before);
        return true;
    }
    query->left = framing_requests_len(payload, len);
    if (framing_requests_len(payload, before) == before) /* what could be either is nothing */
        return query->left > 0 &&
               !(before > 0 && framing_bare_requests_len(payload, before) == before);
    query->is_prefix_absent = true;
    query->bare_len = framing_bare_len(payload, before);
    query->left = before + framing_requests_len(payload + before, len - before);
    return framing_bare_requests_len(payload, before) == before;
}
