/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy.h"

#include <assert.h>
#include <string.h>

/* The train of a segment whose one request has the response in proxy->stream + 2. TCP remembers
 * nothing, so the segment is simply looked at again. */
static void answer(const struct proxy *proxy, const struct packet *packet, size_t response_len,
                   struct train *train)
{
    struct stateless_tcp_query query;
    const uint8_t *request;
    size_t request_len;
    switch (stateless_tcp_receive(proxy->tcp, proxy->keys, packet, false, NULL, &query, train)) {
    case STATELESS_TCP_DROP: /* the key has expired meanwhile */
    case STATELESS_TCP_SEND:
        return;
    case STATELESS_TCP_QUERY:
        if (stateless_tcp_next(&query, &request, &request_len))
            stateless_tcp_send(&query, proxy->stream, response_len, train);
        stateless_tcp_finish(&query, train);
        return;
    }
}

/* Make `packet`, which is a copy, a segment that ends with this request. */
static void end_with(struct packet *packet, const uint8_t *request, size_t request_len)
{
    size_t len = (size_t)(request - packet->payload) + request_len;
    if (len == packet->payload_len)
        return;
    packet->payload_len = (uint32_t)len;
    packet->flags &= (uint8_t)~PACKET_FIN;
}

static size_t proxy_request(const struct proxy *proxy, struct packet *packet,
                            const uint8_t *request, size_t request_len,
                            const struct proxy_ticket *ticket, uint8_t *ask, struct train *train)
{
    uint8_t *response = proxy->stream + 2;
    const struct proxy_failure malformed = {.rcode = PROXY_RCODE_FORMERR};
    const struct proxy_failure unsupported = {
        .rcode = PROXY_RCODE_NOTIMP,
        .ede = PROXY_EDE_NOT_SUPPORTED,
        .text = proxy->has_ede ? "not through this proxy" : NULL,
    };
    struct proxy_shape shape;
    end_with(packet, request, request_len);
    switch (proxy_message_judge(request, request_len, &shape)) {
    case PROXY_SILENT:
        return 0;
    case PROXY_FORMERR:
        answer(proxy, packet, proxy_message_fail(request, NULL, &malformed, response), train);
        return 0;
    case PROXY_NOTIMP:
        answer(proxy, packet, proxy_message_fail(request, &shape, &unsupported, response), train);
        return 0;
    case PROXY_FORWARD:
        if (proxy_ring_put(proxy->ring, packet, (size_t)(request - packet->payload), &shape,
                           ticket) == NULL)
            return 0;
        return proxy_message_ask(request, request_len, &shape, ticket->id, ask);
    }
    return 0;
}

size_t proxy_frame(const struct proxy *proxy, const struct io_frame *frame,
                   const struct proxy_ticket *ticket, uint8_t *ask, struct train *train)
{
    struct packet packet;
    struct stateless_tcp_query query;
    const uint8_t *request;
    size_t request_len;
    if (packet_parse(frame->octets, frame->len, frame->is_checksum_unset,
                     proxy->tcp->checksum_policy, &packet) != PACKET_TCP ||
        !packet_is_for(&packet, proxy->endpoints, proxy->endpoint_count))
        return 0;
    switch (stateless_tcp_receive(proxy->tcp, proxy->keys, &packet, false, NULL, &query, train)) {
    case STATELESS_TCP_DROP:
    case STATELESS_TCP_SEND:
        return 0;
    case STATELESS_TCP_QUERY:
        train->frame_count = train->len = 0; /* nothing is acknowledged yet */
        if (!stateless_tcp_next(&query, &request, &request_len))
            return 0;
        return proxy_request(proxy, &packet, request, request_len, ticket, ask, train);
    }
    return 0;
}

bool proxy_response(const struct proxy *proxy, uint8_t port, size_t len, struct train *train)
{
    uint8_t *response = proxy->stream + 2;
    assert(len <= PROXY_STREAM_CAP - 2);
    const struct proxy_question *question = proxy_ring_match(proxy->ring, port, response, len);
    if (question == NULL)
        return false;
    len = proxy_message_answer(question->payload + question->request_at, &question->shape,
                               proxy->has_ede, response, len);
    answer(proxy, &question->packet, len, train);
    proxy_ring_remove(proxy->ring, question);
    return true;
}

bool proxy_overdue(const struct proxy *proxy, uint64_t now_ms, struct train *train)
{
    const struct proxy_failure late = {
        .rcode = PROXY_RCODE_SERVFAIL,
        .ede = PROXY_EDE_NETWORK_ERROR,
        .text = proxy->has_ede ? "the back end does not answer" : NULL,
    };
    const struct proxy_question *question = proxy_ring_overdue(proxy->ring, now_ms);
    if (question == NULL)
        return false;
    size_t len = proxy_message_fail(question->payload + question->request_at, &question->shape,
                                    &late, proxy->stream + 2);
    answer(proxy, &question->packet, len, train);
    proxy_ring_remove(proxy->ring, question);
    return true;
}
