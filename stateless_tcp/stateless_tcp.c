/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/stateless_tcp.h"

#include "stateless_tcp/framing.h"
#include "stateless_tcp/modern.h"

#include <assert.h>

enum {
    WINDOW = 65535, /* we take a request whole or not at all: never less */
};

struct stateless_tcp_config stateless_tcp_config_default(void)
{
    return (struct stateless_tcp_config){
        .profile = STATELESS_TCP_CLASSIC,
        .mss = STATELESS_TCP_MSS_DEFAULT,
        .segment_size = STATELESS_TCP_SEGMENT_DEFAULT,
        .burst = STATELESS_TCP_BURST_DEFAULT,
        .has_stale_reset = true,
        .checksum_policy = PACKET_CHECKSUM_AUTO,
    };
}

/* RFC 9293 3.10.7.2, the state LISTEN. The one answer that needs no proof, so it must not be larger
 * than what it answers. */
static enum stateless_tcp_outcome receive_syn(const struct stateless_tcp_config *config,
                                              const struct stateless_tcp_keys *keys,
                                              const struct packet *packet, struct train *train)
{
    uint32_t ip_header_len =
        packet->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN;
    uint32_t len = ip_header_len + PACKET_TCP_HEADER_LEN + PACKET_TCP_MSS_OPTION_LEN;
    struct packet_segment syn_ack = {
        .seq = cookie_make(keys, packet),
        .ack = packet->seq + 1,
        .window = WINDOW,
        .flags = PACKET_SYN | PACKET_ACK,
        .mss = len <= packet->ip_len ? config->mss : 0,
    };
    return packet_reply_tcp(packet, &syn_ack, NULL, 0, train) ? STATELESS_TCP_SEND
                                                              : STATELESS_TCP_DROP;
}

static enum stateless_tcp_outcome send_ack(const struct packet *packet, uint32_t ack,
                                           struct train *train)
{
    struct packet_segment segment = {
        .seq = packet->ack, .ack = ack, .window = WINDOW, .flags = PACKET_ACK};
    return packet_reply_tcp(packet, &segment, NULL, 0, train) ? STATELESS_TCP_SEND
                                                              : STATELESS_TCP_DROP;
}

/* Find the requests in a payload. Returns how many of its octets they are; 0: there is none. */
static uint32_t find_requests(const uint8_t *payload, uint32_t len, bool *is_prefix_absent_out)
{
    uint32_t whole_len = framing_requests_len(payload, len);
    *is_prefix_absent_out = whole_len < len && framing_bare_len(payload, len) == len;
    return *is_prefix_absent_out ? len : whole_len;
}

/* `classic`: a segment with data, the requests in it acknowledged at once. */
static enum stateless_tcp_outcome receive_data(const struct stateless_tcp_config *config,
                                               const struct packet *packet,
                                               const struct cookie_proof *proof,
                                               struct stateless_tcp_query *query_out,
                                               struct train *train)
{
    bool has_fin = packet->flags & PACKET_FIN;
    if (packet->payload_len == LENGTH_LEN && !has_fin)
        return send_ack(packet, packet->seq + LENGTH_LEN, train);

    bool is_prefix_absent;
    uint32_t taken = find_requests(packet->payload, packet->payload_len, &is_prefix_absent);
    if (taken == 0)
        return STATELESS_TCP_DROP;

    uint16_t segment_max = cookie_class_mss(proof->mss_class);
    uint32_t stream_max = COOKIE_OFFSET_MAX - 1; /* its FIN takes the last number */
    *query_out = (struct stateless_tcp_query){
        .config = config,
        .packet = packet,
        .seq = packet->ack,
        .ack = packet->seq + taken + (has_fin && taken == packet->payload_len),
        .segment_size = config->segment_size < segment_max ? config->segment_size : segment_max,
        .stream_left = proof->offset < stream_max ? stream_max - proof->offset : 0,
        .at = packet->payload,
        .left = taken,
        .is_prefix_absent = is_prefix_absent,
        .bare_len = taken,
    };
    if (send_ack(packet, query_out->ack, train) == STATELESS_TCP_DROP)
        return STATELESS_TCP_DROP;
    return STATELESS_TCP_QUERY;
}

enum stateless_tcp_outcome stateless_tcp_receive(const struct stateless_tcp_config *config,
                                                 const struct stateless_tcp_keys *keys,
                                                 const struct packet *packet, bool is_settled,
                                                 struct recent *recent,
                                                 struct stateless_tcp_query *query_out,
                                                 struct train *train)
{
    assert(config->segment_size >= STATELESS_TCP_SEGMENT_MIN &&
           config->segment_size <= STATELESS_TCP_SEGMENT_MAX);
    assert(train->frame_count == 0 && train->len == 0);

    switch (config->profile) {
    case STATELESS_TCP_CLASSIC:
        break;
    case STATELESS_TCP_MODERN:
        return modern_receive(config, keys, packet, is_settled, recent, query_out, train);
    }
    unsigned flags = packet->flags & (PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN);
    if (flags == PACKET_SYN)
        return receive_syn(config, keys, packet, train);
    if ((flags & (PACKET_SYN | PACKET_ACK | PACKET_RST)) != PACKET_ACK)
        return STATELESS_TCP_DROP;
    if (packet->payload_len == 0 && !(flags & PACKET_FIN))
        return STATELESS_TCP_DROP;

    struct cookie_proof proof;
    if (!cookie_verify(keys, packet, &proof))
        return STATELESS_TCP_DROP;
    if (packet->payload_len == 0)
        return send_ack(packet, packet->seq + 1, train); /* of the client's FIN */
    return receive_data(config, packet, &proof, query_out, train);
}

bool stateless_tcp_next(struct stateless_tcp_query *query, const uint8_t **request_out,
                        size_t *request_len_out)
{
    if (query->left == 0)
        return false;
    uint32_t prefix_len = query->is_prefix_absent ? 0 : LENGTH_LEN;
    uint32_t request_len = query->is_prefix_absent ? query->bare_len : wire_load_be16(query->at);
    assert(prefix_len + request_len <= query->left);
    *request_out = query->at + prefix_len;
    *request_len_out = request_len;
    query->at += prefix_len + request_len;
    query->left -= prefix_len + request_len;
    query->is_prefix_absent = false; /* more only with theirs */
    return true;
}

/* Whether so much more stream, and the FIN after it, fit. */
static bool has_room(const struct stateless_tcp_query *query, uint32_t stream_len,
                     const struct train *train)
{
    uint32_t frames = (stream_len + query->segment_size - 1) / query->segment_size + 1;
    return stream_len <= query->stream_left && frames <= TRAIN_FRAMES_MAX - train->frame_count &&
           stream_len + frames * PACKET_HEADERS_MAX <= train->cap - train->len;
}

void stateless_tcp_send(struct stateless_tcp_query *query, uint8_t *stream, size_t response_len,
                        struct train *train)
{
    assert(response_len <= UINT16_MAX);
    switch (query->config->profile) {
    case STATELESS_TCP_CLASSIC:
        break;
    case STATELESS_TCP_MODERN:
        modern_send(query, stream, response_len);
        return;
    }
    if (response_len == 0)
        return;
    uint32_t stream_len = LENGTH_LEN + (uint32_t)response_len;
    if (!has_room(query, stream_len, train)) {
        query->left = 0;
        return;
    }
    wire_store_be16(stream, (uint16_t)response_len);
    query->stream_left -= stream_len;
    for (uint32_t sent = 0; sent < stream_len;) {
        uint32_t rest = stream_len - sent;
        uint32_t len = rest < query->segment_size ? rest : query->segment_size;
        /* No PSH: the slides have none here, and no client has been seen to wait for it. */
        struct packet_segment segment = {
            .seq = query->seq, .ack = query->ack, .window = WINDOW, .flags = PACKET_ACK};
        bool is_sent = packet_reply_tcp(query->packet, &segment, stream + sent, len, train);
        assert(is_sent);
        (void)is_sent;
        query->seq += len;
        sent += len;
    }
}

void stateless_tcp_finish(struct stateless_tcp_query *query, struct train *train)
{
    switch (query->config->profile) {
    case STATELESS_TCP_CLASSIC:
        break;
    case STATELESS_TCP_MODERN:
        modern_finish(query, train);
        return;
    }
    if (query->seq == query->packet->ack) { /* no response at all */
        train->frame_count = train->len = 0;
        return;
    }
    struct packet_segment fin = {
        .seq = query->seq, .ack = query->ack, .window = WINDOW, .flags = PACKET_FIN | PACKET_ACK};
    bool is_sent = packet_reply_tcp(query->packet, &fin, NULL, 0, train);
    assert(is_sent);
    (void)is_sent;
}

uint32_t stateless_tcp_answered(const struct stateless_tcp_query *query)
{
    const struct recent_entry *entry = recent_find(query->recent, query->connection);
    uint32_t len = entry != NULL ? entry->seq_end - query->packet->seq : 0;
    return len < query->packet->payload_len ? len : 0;
}

void stateless_tcp_wait(const struct stateless_tcp_query *query, const struct packet *packet,
                        struct train *train)
{
    train->frame_count = train->len = 0;
    switch (query->config->profile) {
    case STATELESS_TCP_CLASSIC:
        return;
    case STATELESS_TCP_MODERN:
        modern_wait(query, packet, train);
        return;
    }
}
