/* SPDX-License-Identifier: BSD-2-Clause
 *
 * All of Lethe in one page: octets of a frame come in, packet.h says what they are, answer.h says
 * what DNS answers, and a train of frames goes out.
 */
#include "server/serve.h"

#include "server/keys.h"

/* Where sources are looked at: whether this one is answered, and how; else it may have been asked to
 * go away. */
static bool serve_admit(const struct serve *serve, const struct packet *packet,
                        struct respond_client *client)
{
    enum restrain_verdict verdict = restrain_judge(serve->restrain, serve->policy, packet->payload,
                                                   packet->payload_len, serve->now_us, client);
    const struct shun_request request = {
        .ends = {packet->source, packet->destination},
        .source_port = packet->source_port,
        .destination_port = packet->destination_port,
        .payload = packet->payload,
        .payload_len = packet->payload_len,
        .is_over_rate = verdict != RESTRAIN_NOT,
        .now_s = serve->now_s,
        .now_us = serve->now_us,
    };
    return !shun_take(restrain_shun(serve->restrain), &request) && verdict != RESTRAIN_DROPPED;
}

/* What leaves the interface whole, as we never fragment (RFC 9715 3.1, R3). */
static size_t udp_cap(const struct serve *serve, const struct packet *packet)
{
    size_t headers_len =
        PACKET_UDP_HEADER_LEN +
        (packet->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN);
    if (serve->mtu == 0 || serve->mtu >= PACKET_UDP_PAYLOAD_MAX + headers_len)
        return PACKET_UDP_PAYLOAD_MAX;
    return serve->mtu > headers_len ? serve->mtu - headers_len : 0;
}

static size_t udp_answer(const struct serve *serve, const struct packet *packet,
                         struct respond_client *client, uint8_t *room)
{
    size_t cap = udp_cap(serve, packet);
    size_t response_cap = cap > RESPOND_UDP_PAYLOAD_MIN ? cap : RESPOND_UDP_PAYLOAD_MIN;
    size_t len = answer_request(serve->view, serve->image, serve->policy, client, packet->payload,
                                packet->payload_len, room, response_cap);
    if (len <= cap)
        return len;
    /* Less than the least that respond() is asked for: TC=1, which is hardly longer than the
     * request was. */
    client->restraint = RESPOND_TRUNCATED;
    len = answer_request(serve->view, serve->image, serve->policy, client, packet->payload,
                         packet->payload_len, room, response_cap);
    return len <= cap ? len : 0;
}

static bool serve_udp(const struct serve *serve, const struct packet *packet, struct train *train)
{
    struct respond_client client = {.transport = RESPOND_UDP,
                                    .now_s = serve->now_s,
                                    .address = packet->source.octets,
                                    .address_len = packet->source.family == 4 ? 4 : 16};
    if (serve->restrain != NULL && !serve_admit(serve, packet, &client))
        return false;
    uint8_t *room = packet_udp_room(packet, train);
    size_t len = room == NULL ? 0 : udp_answer(serve, packet, &client, room);
    if (len > 0)
        packet_reply_udp(packet, room, len, train);
    return serve->is_learning && serve->restrain == NULL && len > 0 &&
           client.restraint == RESPOND_FREELY &&
           respond_is_lasting(serve->policy, packet->payload, packet->payload_len);
}

static void serve_tcp(const struct serve *serve, const struct packet *packet, struct train *train)
{
    if (serve->restrain != NULL &&
        shun_take_segment(restrain_shun(serve->restrain), packet, serve->now_s, serve->now_us))
        return;
    /* A connection that ends with its first train has nothing to keep alive. */
    const struct respond_client client = {
        .transport = RESPOND_TCP,
        .has_keepalive = serve->tcp->profile == STATELESS_TCP_MODERN && packet->has_timestamps,
        .keepalive_100ms = KEYS_LIFE_S * 10,
        .now_s = serve->now_s,
        .address = packet->source.octets,
        .address_len = packet->source.family == 4 ? 4 : 16,
    };
    struct stateless_tcp_query query;
    const uint8_t *request;
    size_t request_len;

    switch (stateless_tcp_receive(serve->tcp, serve->keys, packet, serve->is_settled, serve->recent,
                                  &query, train)) {
    case STATELESS_TCP_DROP:
    case STATELESS_TCP_SEND:
        return;
    case STATELESS_TCP_QUERY:
        while (stateless_tcp_next(&query, &request, &request_len)) {
            uint8_t *stream = serve->stream + query.stream_at;
            size_t len = answer_request(serve->view, serve->image, serve->policy, &client, request,
                                        request_len, stream + 2, RESPOND_MESSAGE_MAX);
            stateless_tcp_send(&query, stream, len, train);
        }
        stateless_tcp_finish(&query, train);
        return;
    }
}

bool serve_frame(const struct serve *serve, const struct io_frame *frame, struct train *train)
{
    struct packet packet;
    enum packet_outcome outcome = packet_parse(frame->octets, frame->len, frame->is_checksum_unset,
                                               serve->tcp->checksum_policy, &packet);
    if (outcome == PACKET_DROP || !packet_is_for(&packet, serve->endpoints, serve->endpoint_count))
        return false;

    switch (outcome) {
    case PACKET_DROP:
        return false;
    case PACKET_UDP:
        return !serve->is_tcp_only && serve_udp(serve, &packet, train);
    case PACKET_TCP:
        if (!prefix_has(serve->peers, serve->peer_count, &packet.source))
            serve_tcp(serve, &packet, train);
        return false;
    }
    return false;
}
