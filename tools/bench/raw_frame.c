/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/raw_frame.h"

#include "stateless_tcp/numbers.h"
#include "stateless_tcp/wire.h"
#include "tools/bench/question.h"
#include "tools/bench/source.h"

#include <string.h>

enum {
    OPTIONS_MAX = 40,
    TTL = 64,
};

static uint16_t fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)(sum + (sum >> 16));
}

static size_t address_octets(const struct raw_path *path)
{
    return path->server.family == 4 ? 4 : 16;
}

void raw_path_prepare(struct raw_path *path, uint32_t start, uint32_t tuples_max)
{
    uint64_t tuples = (uint64_t)path->tuples.address_count * path->tuples.port_count;
    path->tuples.count = tuples < tuples_max ? (uint32_t)tuples : tuples_max;
    path->tuples.first = (uint32_t)(start % tuples);
    uint8_t *at = path->headers;
    memset(at, 0, sizeof path->headers);
    memcpy(at, path->mac_peer, 6);
    memcpy(at + 6, path->mac_own, 6);
    at += PACKET_ETHERNET_HEADER_LEN;
    if (path->server.family == 4) {
        wire_store_be16(at - 2, ETHERTYPE_IPV4);
        at[0] = 0x45;
        at[6] = 0x40; /* do not fragment */
        at[8] = TTL;
        memcpy(at + 16, path->server.octets, 4);
        path->ip_sum = question_sum(at, PACKET_IPV4_HEADER_LEN);
        path->headers_len = PACKET_ETHERNET_HEADER_LEN + PACKET_IPV4_HEADER_LEN;
    } else {
        wire_store_be16(at - 2, ETHERTYPE_IPV6);
        at[0] = 0x60;
        at[7] = TTL;
        memcpy(at + 24, path->server.octets, 16);
        path->headers_len = PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN;
    }
    path->pseudo_sum = question_sum(path->server.octets, address_octets(path));
}

/* The address and port of a tuple's number. */
static uint16_t tuple_source(const struct raw_path *path, uint32_t tuple,
                             struct packet_address *address_out)
{
    uint32_t port, number;
    tuple_place(&path->tuples, tuple, &port, &number);
    *address_out = source_address(&path->source, number);
    return (uint16_t)(path->port_first + port);
}

bool raw_path_tuple(const struct raw_path *path, const struct packet *packet, uint32_t *tuple_out)
{
    uint32_t number;
    uint32_t port = packet->destination_port - (uint32_t)path->port_first;
    if (packet->source_port != path->server_port ||
        memcmp(packet->source.octets, path->server.octets, 16) != 0 ||
        packet->source.family != path->server.family || port >= path->tuples.port_count ||
        !source_number(&path->source, &packet->destination, &number) ||
        number >= path->tuples.address_count)
        return false;
    return tuple_number(&path->tuples, port, number, tuple_out);
}

uint8_t *raw_frame_room(struct train *train, size_t len)
{
    if (train->frame_count == TRAIN_FRAMES_MAX || train->cap - train->len < len)
        return NULL;
    uint8_t *at = train->octets + train->len;
    train->frame_len[train->frame_count++] = (uint16_t)len;
    train->len += (uint32_t)len;
    return at;
}

/* Link and IP header of a frame with `len` octets of TCP or UDP, which begin at what is returned;
 * *sum_out: of their pseudo-header. */
static uint8_t *frame_begin(const struct raw_path *path, const struct packet_address *source,
                            uint8_t protocol, size_t len, struct train *train, uint32_t *sum_out)
{
    uint8_t *frame = raw_frame_room(train, path->headers_len + len);
    if (frame == NULL)
        return NULL;
    memcpy(frame, path->headers, path->headers_len);
    uint8_t *ip = frame + PACKET_ETHERNET_HEADER_LEN;
    uint32_t source_sum = question_sum(source->octets, address_octets(path));
    if (path->server.family == 4) {
        uint16_t total_len = (uint16_t)(PACKET_IPV4_HEADER_LEN + len);
        wire_store_be16(ip + 2, total_len);
        ip[9] = protocol;
        wire_store_be16(ip + 10, (uint16_t)~fold(path->ip_sum + total_len + protocol + source_sum));
        memcpy(ip + 12, source->octets, 4);
    } else {
        wire_store_be16(ip + 4, (uint16_t)len);
        ip[6] = protocol;
        memcpy(ip + 8, source->octets, 16);
    }
    *sum_out = path->pseudo_sum + source_sum + protocol + (uint32_t)len;
    return frame + path->headers_len;
}

/* Returns the length of the options, a multiple of four. */
static size_t put_options(const struct raw_segment *segment, uint8_t *options)
{
    uint8_t *at = options;
    if (segment->is_syn) {
        *at++ = OPTION_MSS;
        *at++ = 4;
        wire_store_be16(at, RAW_MSS);
        at += 2;
    }
    if (segment->is_syn || segment->has_timestamps) {
        *at++ = segment->is_syn ? OPTION_SACK_PERMITTED : OPTION_NONE;
        *at++ = segment->is_syn ? 2 : OPTION_NONE;
        *at++ = segment->has_timestamps ? OPTION_TIMESTAMPS : OPTION_NONE;
        *at++ = segment->has_timestamps ? 10 : OPTION_NONE;
    }
    if (segment->has_timestamps) {
        wire_store_be32(at, segment->timestamp_value);
        wire_store_be32(at + 4, segment->timestamp_echo);
        at += 8;
    }
    if (segment->has_fast_open) {
        size_t cookie_len = segment->fast_open_cookie != NULL ? PACKET_FAST_OPEN_COOKIE_LEN : 0;
        *at++ = OPTION_NONE;
        *at++ = OPTION_NONE;
        *at++ = OPTION_FAST_OPEN;
        *at++ = (uint8_t)(2 + cookie_len);
        if (cookie_len > 0)
            memcpy(at, segment->fast_open_cookie, cookie_len);
        at += cookie_len;
        /* As long as kernels' SYNs, which have window scaling: a server that answers a SYN with no
         * more octets than it has (Lethe) finds room for the cookie. */
        for (unsigned i = 0; i < 4 && cookie_len == 0; i++)
            *at++ = OPTION_NONE;
    }
    if (segment->sack_count > 0) {
        *at++ = OPTION_NONE;
        *at++ = OPTION_NONE;
        *at++ = OPTION_SACK;
        *at++ = (uint8_t)(2 + 8 * segment->sack_count);
        for (unsigned i = 0; i < segment->sack_count; i++, at += 8) {
            wire_store_be32(at, segment->sacks[i].left);
            wire_store_be32(at + 4, segment->sacks[i].right);
        }
    }
    return (size_t)(at - options);
}

bool raw_frame_tcp(const struct raw_path *path, uint32_t tuple, const struct raw_segment *segment,
                   const uint8_t *payload, size_t payload_len, uint16_t payload_sum,
                   struct train *train)
{
    uint8_t options[OPTIONS_MAX];
    size_t header_len = PACKET_TCP_HEADER_LEN + put_options(segment, options);
    struct packet_address source;
    uint16_t port = tuple_source(path, tuple, &source);
    uint32_t sum;
    uint8_t *at = frame_begin(path, &source, PROTOCOL_TCP, header_len + payload_len, train, &sum);
    if (at == NULL)
        return false;
    wire_store_be16(at, port);
    wire_store_be16(at + 2, path->server_port);
    wire_store_be32(at + 4, segment->seq);
    wire_store_be32(at + 8, segment->ack);
    at[12] = (uint8_t)(header_len / 4 << 4);
    at[13] = segment->flags;
    wire_store_be16(at + 14, path->window);
    wire_store_be32(at + 16, 0);
    memcpy(at + PACKET_TCP_HEADER_LEN, options, header_len - PACKET_TCP_HEADER_LEN);
    if (payload_len > 0)
        memcpy(at + header_len, payload, payload_len);
    wire_store_be16(at + 16, (uint16_t)~fold(sum + question_sum(at, header_len) + payload_sum));
    return true;
}

bool raw_frame_udp(const struct raw_path *path, uint32_t tuple, const uint8_t *payload,
                   size_t payload_len, uint16_t payload_sum, struct train *train)
{
    struct packet_address source;
    uint16_t port = tuple_source(path, tuple, &source);
    uint32_t sum;
    size_t len = PACKET_UDP_HEADER_LEN + payload_len;
    uint8_t *at = frame_begin(path, &source, PROTOCOL_UDP, len, train, &sum);
    if (at == NULL)
        return false;
    wire_store_be16(at, port);
    wire_store_be16(at + 2, path->server_port);
    wire_store_be16(at + 4, (uint16_t)len);
    memcpy(at + PACKET_UDP_HEADER_LEN, payload, payload_len);
    uint16_t checksum =
        (uint16_t)~fold(sum + port + path->server_port + (uint32_t)len + payload_sum);
    /* RFC 768: zero says "not computed" */
    wire_store_be16(at + 6, checksum == 0 ? 0xffff : checksum);
    return true;
}
