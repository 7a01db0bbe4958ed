/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern.h"

#include "stateless_tcp/framing.h"

#include <assert.h>

enum {
    SEQ_MASK = (1 << MODERN_SEQ_BITS) - 1,
};

static_assert(MODERN_OFFSET_BITS + MODERN_SEQ_BITS + 1 < 32, "TSval must not pass half its range");
static_assert(MODERN_WINDOW + MODERN_REQUESTS_MAX <= 1 << MODERN_SEQ_BITS, "points are ambiguous");

struct point {
    uint32_t offset; /* in our stream */
    uint32_t seq;    /* in the client's, modulo 2^MODERN_SEQ_BITS */
    bool is_done;
};

static uint32_t point_make(uint32_t offset, uint32_t seq, bool is_done)
{
    assert(offset <= MODERN_OFFSET_MAX);
    return offset << (MODERN_SEQ_BITS + 1) | (seq & SEQ_MASK) << 1 | is_done;
}

static struct point point_read(uint32_t value)
{
    return (struct point){
        .offset = value >> (MODERN_SEQ_BITS + 1) & MODERN_OFFSET_MAX,
        .seq = value >> 1 & SEQ_MASK,
        .is_done = value & 1,
    };
}

static enum stateless_tcp_outcome reply(const struct packet *packet,
                                        const struct packet_segment *segment, struct train *train)
{
    return packet_reply_tcp(packet, segment, NULL, 0, train) ? STATELESS_TCP_SEND
                                                             : STATELESS_TCP_DROP;
}

/* Without data. `tag`: for TSval. */
static enum stateless_tcp_outcome reply_ack(const struct packet *packet, uint32_t ack,
                                            uint8_t flags, uint32_t tag, struct train *train)
{
    struct packet_segment segment = {
        .seq = packet->ack,
        .ack = ack,
        .window = MODERN_WINDOW,
        .flags = flags | PACKET_ACK,
        .has_timestamps = packet->has_timestamps,
        .timestamp_value = tag,
        .timestamp_echo = packet->timestamp_value,
    };
    return reply(packet, &segment, train);
}

/* RFC 9293 3.10.7.1: what belongs to no connection. No options (RFC 7323 3.2 allows that). */
static enum stateless_tcp_outcome reply_reset(const struct stateless_tcp_config *config,
                                              const struct packet *packet, struct train *train)
{
    struct packet_segment segment = {.seq = packet->ack, .flags = PACKET_RST};
    return config->has_stale_reset ? reply(packet, &segment, train) : STATELESS_TCP_DROP;
}

/* RFC 9293 3.10.7.2, the state LISTEN. */
static enum stateless_tcp_outcome receive_syn(const struct stateless_tcp_config *config,
                                              const struct stateless_tcp_keys *keys,
                                              const struct packet *packet, struct train *train)
{
    uint32_t headers_len =
        PACKET_TCP_HEADER_LEN +
        (packet->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN);
    uint32_t room = packet->ip_len - headers_len;
    bool has_timestamps = packet->has_timestamps && room >= PACKET_TCP_TIMESTAMPS_OPTION_LEN;
    room -= has_timestamps ? PACKET_TCP_TIMESTAMPS_OPTION_LEN : 0;
    bool has_mss = room >= PACKET_TCP_MSS_OPTION_LEN;
    room -= has_mss ? PACKET_TCP_MSS_OPTION_LEN : 0;
    struct packet_segment syn_ack = {
        .seq = has_timestamps ? cookie_make(keys, packet) : cookie_make_first(keys, packet),
        .ack = packet->seq + 1,
        .window = MODERN_WINDOW,
        .flags = PACKET_SYN | PACKET_ACK,
        .mss = has_mss ? config->mss : 0,
        .has_sack_permitted = packet->has_sack_permitted && (has_timestamps || room >= 4),
        .has_timestamps = has_timestamps,
        .timestamp_value = point_make(0, packet->seq + 1, true),
        .timestamp_echo = packet->timestamp_value,
    };
    return reply(packet, &syn_ack, train);
}

/* A message whose length came in a segment before. */
static bool is_bare_request(const uint8_t *payload, uint32_t len)
{
    return len >= REQUEST_LEN_MIN && len <= MODERN_REQUESTS_MAX && wire_load_be16(payload + 4) == 1;
}

/* Octets of the whole, length-prefixed requests at the beginning of a payload, and whether one of
 * them, or the first, begins or ends at `boundary`. */
static uint32_t walk_requests(const uint8_t *payload, uint32_t len, uint32_t boundary,
                              bool *is_boundary_out)
{
    uint32_t taken = 0;
    *is_boundary_out = boundary == 0;
    for (uint32_t next; (next = framing_request_len(payload + taken, len - taken)) > 0;) {
        taken += next;
        *is_boundary_out |= taken == boundary;
    }
    return taken;
}

/* Where a message without length ends: where whole requests begin that end with the payload, as
 * clients join them. */
static uint32_t bare_request_len(const uint8_t *payload, uint32_t len)
{
    bool is_boundary;
    for (uint32_t at = REQUEST_LEN_MIN; at + LENGTH_LEN + REQUEST_LEN_MIN <= len; at++)
        if (is_bare_request(payload + at + LENGTH_LEN, len - at - LENGTH_LEN) &&
            walk_requests(payload + at, len - at, 0, &is_boundary) == len - at)
            return at;
    return len;
}

/* Find the requests in a payload, and the point among them. */
static bool find_requests(const struct packet *packet, const struct point *point,
                          struct stateless_tcp_query *query)
{
    const uint8_t *payload = packet->payload;
    uint32_t len =
        packet->payload_len < MODERN_REQUESTS_MAX ? packet->payload_len : MODERN_REQUESTS_MAX;
    uint32_t before = (point->seq - packet->seq) & SEQ_MASK;
    bool is_boundary, is_walked;
    query->at = payload;
    if (before == SEQ_MASK + 1 - LENGTH_LEN) { /* we acknowledged its length */
        query->is_prefix_absent = true;
        query->bare_len = bare_request_len(payload, len);
        query->left = len;
        return is_bare_request(payload, query->bare_len);
    }
    query->point_len = before;
    if (before > len)
        return false;
    query->left = walk_requests(payload, len, before, &is_boundary);
    if (is_boundary) /* what could be either is nothing */
        return query->left > 0 && !(before > 0 && is_bare_request(payload, before));
    query->is_prefix_absent = true;
    query->bare_len = bare_request_len(payload, before);
    query->left = before + walk_requests(payload + before, len - before, 0, &is_walked);
    return is_bare_request(payload, query->bare_len);
}

/* The client holds all up to the point, perhaps our FIN too. What is before the point is done. */
static enum stateless_tcp_outcome receive_after(const struct stateless_tcp_config *config,
                                                const struct packet *packet, bool has_fin,
                                                struct stateless_tcp_query *query,
                                                struct train *train)
{
    bool has_our_fin = query->held > query->point_offset;
    query->at += query->point_len;
    query->left -= query->point_len;
    query->ack += query->point_len;
    query->is_prefix_absent &= query->point_len == 0;
    query->point_len = 0;
    if (query->left == 0) {
        uint32_t tag = point_make(query->point_offset, query->ack, true);
        bool is_end = has_fin && query->at == packet->payload + packet->payload_len;
        return reply_ack(packet, query->ack + is_end, is_end && !has_our_fin ? PACKET_FIN : 0, tag,
                         train);
    }
    if (has_our_fin || query->point_offset > MODERN_CLOSE_AT)
        return reply_reset(config, packet, train);
    return STATELESS_TCP_QUERY;
}

static uint16_t segment_size(const struct stateless_tcp_config *config, const struct packet *packet,
                             unsigned mss_class)
{
    uint16_t options_len = packet->has_timestamps ? PACKET_TCP_TIMESTAMPS_OPTION_LEN : 0;
    uint16_t most = cookie_class_mss(mss_class) - options_len;
    return config->segment_size < most ? config->segment_size : most;
}

static enum stateless_tcp_outcome
receive_data(const struct stateless_tcp_config *config, const struct packet *packet,
             const struct cookie_proof *proof, const struct point *point, bool is_settled,
             struct stateless_tcp_query *query, struct train *train)
{
    bool has_fin = packet->flags & PACKET_FIN;
    bool is_after = proof->offset == point->offset;
    if (packet->payload_len == LENGTH_LEN && !has_fin) {
        /* A length that travels alone; its ACK may acknowledge nothing else that is open. */
        if (!is_after || ((point->seq - packet->seq) & SEQ_MASK) != 0)
            return STATELESS_TCP_DROP;
        return reply_ack(packet, packet->seq + LENGTH_LEN, 0, packet->timestamp_echo, train);
    }
    *query = (struct stateless_tcp_query){
        .config = config,
        .packet = packet,
        .ack = packet->seq,
        .segment_size = segment_size(config, packet, proof->mss_class),
        .held = proof->offset,
        .point_offset = point->offset,
        .is_closing = !packet->has_timestamps,
    };
    if (!find_requests(packet, point, query))
        return has_fin && query->point_len == 0 ? reply_reset(config, packet, train)
                                                : STATELESS_TCP_DROP;
    query->is_half_closed =
        has_fin && query->at + query->left == packet->payload + packet->payload_len;
    enum stateless_tcp_outcome outcome = STATELESS_TCP_QUERY;
    /* One more than the point is our FIN, if all the requests are before it: the first octet of a
     * response never arrives alone. */
    if (is_after || (packet->has_timestamps && proof->offset == point->offset + 1))
        outcome = receive_after(config, packet, has_fin, query, train);
    else if (query->point_len == 0 && proof->offset < point->offset)
        return STATELESS_TCP_DROP; /* sent ahead of a response that is not there yet */
    else if (!is_settled)
        return reply_reset(config, packet, train);
    query->requests = query->at;
    query->start = query->point_offset;
    query->is_start_known = query->point_len == 0;
    return outcome;
}

/* A FIN alone. It may be acknowledged only if everything before it is answered and there. */
static enum stateless_tcp_outcome receive_fin(const struct stateless_tcp_config *config,
                                              const struct packet *packet, uint32_t held,
                                              const struct point *point, struct train *train)
{
    uint32_t behind = (packet->seq - point->seq) & SEQ_MASK;
    if (behind == LENGTH_LEN) /* a length, and nothing after it */
        return reply_reset(config, packet, train);
    if (behind != 0 || (held != point->offset && held != point->offset + 1))
        return STATELESS_TCP_DROP;
    return reply_ack(packet, packet->seq + 1, held == point->offset ? PACKET_FIN : 0,
                     point_make(point->offset, point->seq, true), train);
}

/* Neither data nor FIN: the completion ACK. */
static enum stateless_tcp_outcome receive_ack(const struct packet *packet, uint32_t held,
                                              const struct point *point, struct train *train)
{
    uint32_t behind = (packet->seq - point->seq) & SEQ_MASK;
    bool has_our_fin = held == point->offset + 1;
    if (point->is_done || behind > MODERN_WINDOW || (held != point->offset && !has_our_fin))
        return STATELESS_TCP_DROP;
    /* With our FIN came the answer to the client's. */
    uint32_t ack = packet->seq - (has_our_fin && behind == 1 ? 0 : behind);
    return reply_ack(packet, ack, 0, point_make(point->offset, point->seq, true), train);
}

static bool is_proven(const struct stateless_tcp_keys *keys, const struct packet *packet,
                      struct cookie_proof *proof, struct point *point_out)
{
    if (packet->has_timestamps) {
        *point_out = point_read(packet->timestamp_echo);
        return cookie_verify_within(keys, packet, MODERN_OFFSET_MAX, proof);
    }
    /* The client's stream begins here, or did so with the length of what is here. */
    for (uint32_t behind = 0; behind <= LENGTH_LEN; behind += LENGTH_LEN) {
        *point_out = (struct point){.seq = (packet->seq - behind) & SEQ_MASK, .is_done = true};
        if (cookie_verify_first(keys, packet, packet->seq - behind - 1,
                                STATELESS_TCP_STREAM_CAP + 1, proof))
            return true;
    }
    return false;
}

enum stateless_tcp_outcome modern_receive(const struct stateless_tcp_config *config,
                                          const struct stateless_tcp_keys *keys,
                                          const struct packet *packet, bool is_settled,
                                          struct stateless_tcp_query *query_out,
                                          struct train *train)
{
    assert(config->burst >= 1 && config->burst <= TRAIN_FRAMES_MAX);
    unsigned flags = packet->flags & (PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN);
    if (flags == PACKET_SYN)
        return receive_syn(config, keys, packet, train);
    if ((flags & (PACKET_SYN | PACKET_ACK | PACKET_RST)) != PACKET_ACK)
        return STATELESS_TCP_DROP;
    bool is_pure_ack = packet->payload_len == 0 && !(flags & PACKET_FIN);
    if (is_pure_ack && (!packet->has_timestamps || point_read(packet->timestamp_echo).is_done))
        return STATELESS_TCP_DROP; /* the most frequent case, and the cheapest */

    struct cookie_proof proof;
    struct point point;
    if (!is_proven(keys, packet, &proof, &point))
        return is_pure_ack ? STATELESS_TCP_DROP : reply_reset(config, packet, train);
    if (is_pure_ack)
        return receive_ack(packet, proof.offset, &point, train);
    if (packet->payload_len == 0)
        return receive_fin(config, packet, proof.offset, &point, train);
    return receive_data(config, packet, &proof, &point, is_settled, query_out, train);
}

void modern_send(struct stateless_tcp_query *query, uint8_t *stream, size_t response_len)
{
    if (response_len == 0) {
        query->left = 0;
        return;
    }
    wire_store_be16(stream, (uint16_t)response_len);
    query->stream = stream - query->stream_at;
    query->stream_at += LENGTH_LEN + (uint32_t)response_len;
    query->answered_len = (uint32_t)(query->at - query->requests);
    if (query->answered_len == query->point_len) {
        query->start = query->point_offset - query->stream_at; /* may wrap; finish() finds out */
        query->is_start_known = true;
    }
    bool is_full = query->stream_at > STATELESS_TCP_STREAM_CAP / 2;
    /* Before the point there is no end: it would not be there. */
    if (query->is_start_known && query->start + query->stream_at > MODERN_CLOSE_AT)
        query->is_closing = is_full = true;
    if (is_full)
        query->left = 0;
}

/* The segments from `sent` on. */
static void send_segments(const struct stateless_tcp_query *query, uint32_t sent, uint32_t ack_done,
                          uint32_t end, bool has_fin, struct train *train)
{
    const struct packet *packet = query->packet;
    uint32_t window = packet->window, rest = query->stream_at - sent;
    bool is_single = rest <= query->segment_size && rest <= window;
    struct packet_segment segment = {
        .seq = packet->ack,
        .ack = is_single ? ack_done : query->ack,
        .window = MODERN_WINDOW,
        .flags = PACKET_ACK,
        .has_timestamps = packet->has_timestamps,
        .timestamp_value = point_make(end, query->ack + query->answered_len, is_single),
        .timestamp_echo = packet->timestamp_value,
    };
    for (unsigned i = 0; i < query->config->burst && rest > 0 && window > 0; i++) {
        uint32_t len = rest < query->segment_size ? rest : query->segment_size;
        if (len > window && i > 0) /* RFC 9293 3.8.6.2.1: no silly pieces */
            break;
        len = len < window ? len : window;
        if (len == 1 && rest > 1) /* one octet more than a point must be a FIN */
            break;
        if (len == rest)
            segment.flags |= has_fin ? PACKET_PSH | PACKET_FIN : PACKET_PSH;
        if (!packet_reply_tcp(packet, &segment, query->stream + sent, len, train))
            break;
        segment.seq += len;
        sent += len;
        rest -= len;
        window -= len;
    }
}

void modern_finish(struct stateless_tcp_query *query, struct train *train)
{
    const struct packet *packet = query->packet;
    bool is_all = query->answered_len > 0 &&
                  query->requests + query->answered_len == packet->payload + packet->payload_len;
    bool is_half_closed = query->is_half_closed && is_all;
    bool has_fin = query->is_closing || is_half_closed;
    uint32_t held_here = query->held - query->start; /* of these responses */
    uint32_t end = query->start + query->stream_at;
    /* No response, or not the responses of which the client holds a part. */
    if (query->stream_at == 0 || !query->is_start_known || query->start > MODERN_OFFSET_MAX ||
        end > MODERN_OFFSET_MAX || held_here > query->stream_at + has_fin) {
        reply_reset(query->config, packet, train);
        return;
    }
    uint32_t ack_done = query->ack + query->answered_len + is_half_closed;
    if (held_here < query->stream_at) {
        send_segments(query, held_here, ack_done, end, has_fin, train);
        return;
    }
    reply_ack(packet, ack_done, has_fin && held_here == query->stream_at ? PACKET_FIN : 0,
              point_make(end, query->ack + query->answered_len, true), train);
}
