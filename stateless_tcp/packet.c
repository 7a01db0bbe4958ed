/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/packet.h"

#include "stateless_tcp/checksum.h"
#include "stateless_tcp/numbers.h"
#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

enum {
    TTL = 64,
    IPV4_MORE_FRAGMENTS_OR_OFFSET = 0x3fff,
    IPV4_DONT_FRAGMENT = 0x4000,
    IPV4_VERSION_LEN = 0x4500, /* no options, no service class */

    /* Real packets have none or one; a chain of them is somebody's experiment. */
    EXTENSIONS_MAX = 4,
    EXTENSION_OCTETS_MAX = 256,
};

/* What is left to parse. Every parser checks, takes, and says what comes next, or -1. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t addresses; /* the sum of both, in 33 bits; set with them */
};

static size_t cursor_left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* Take `len` octets, or NULL when there are fewer. */
static const uint8_t *cursor_take(struct cursor *cursor, size_t len)
{
    if (cursor_left(cursor) < len)
        return NULL;
    const uint8_t *taken = cursor->at;
    cursor->at += len;
    return taken;
}

/* ---- checksums ---- */

/* Of both, whichever is whose, in 33 bits. What IPv4 leaves free is zero. */
static uint64_t sum_addresses(const struct packet *packet)
{
    const uint8_t *source = packet->source.octets, *destination = packet->destination.octets;
    uint64_t sum = checksum_add(checksum_load(source), checksum_load(destination));
    sum = checksum_add(sum, checksum_load(source + 8));
    return checksum_narrow(checksum_add(sum, checksum_load(destination + 8)));
}

/* RFC 9293 3.1, RFC 8200 8.1: the two IP versions' pseudo-headers add up alike. */
static uint64_t sum_pseudo_header(uint64_t addresses, uint8_t protocol, size_t len)
{
    return addresses + checksum_be16(protocol) + checksum_be16((uint16_t)len);
}

static inline bool is_transport_sum_good(uint64_t addresses, uint8_t protocol,
                                         const uint8_t *octets, size_t len, uint16_t field,
                                         bool is_checksum_unset, enum packet_checksum_policy policy)
{
    if (policy == PACKET_CHECKSUM_NEVER)
        return true;
    if (policy == PACKET_CHECKSUM_AUTO && is_checksum_unset)
        return true;
    uint64_t pseudo = sum_pseudo_header(addresses, protocol, len);
    if (checksum_fold(checksum_add_octets(pseudo, octets, len)) == 0xffff)
        return true;
    return policy == PACKET_CHECKSUM_AUTO && field == checksum_fold(pseudo);
}

/* ---- who may be answered ---- */

static bool is_ipv4_answerable(const uint8_t *a)
{
    /* 0/8 "this network"; 224/4 multicast; 240/4 reserved, with limited broadcast. */
    return a[0] != 0 && a[0] < 224;
}

static bool is_ipv6_answerable(const struct packet_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *a = address->octets;
    return a[0] != 0xff && !packet_address_is_any(address) && memcmp(a, mapped, 12) != 0;
}

static bool is_ipv6_loopback(const uint8_t *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return memcmp(a, one, 16) == 0;
}

static bool is_answerable(const struct packet *packet)
{
    const uint8_t *source = packet->source.octets, *destination = packet->destination.octets;
    /* The group bit: a station asks, and one station is asked. */
    if ((packet->mac_destination[0] | packet->mac_source[0]) & 1)
        return false;
    if (packet->source.family == 4)
        return is_ipv4_answerable(source) && is_ipv4_answerable(destination) &&
               (source[0] == 127) == (destination[0] == 127);
    return is_ipv6_answerable(&packet->source) && is_ipv6_answerable(&packet->destination) &&
           is_ipv6_loopback(source) == is_ipv6_loopback(destination);
}

/* ---- parse ---- */

/* Next: ethertype. */
static int parse_ethernet(struct cursor *cursor, struct packet *packet)
{
    const uint8_t *header = cursor_take(cursor, PACKET_ETHERNET_HEADER_LEN);
    if (header == NULL)
        return -1;
    memcpy(packet->mac_destination, header, 6);
    memcpy(packet->mac_source, header + 6, 6);
    uint16_t type = wire_load_be16(header + 12);
    while (type == ETHERTYPE_VLAN_CUSTOMER || type == ETHERTYPE_VLAN_SERVICE) {
        const uint8_t *tag = cursor_take(cursor, 4);
        if (tag == NULL || packet->vlan_count == PACKET_VLAN_MAX)
            return -1;
        packet->vlans[packet->vlan_count++] =
            (struct packet_vlan){.protocol = type, .control = wire_load_be16(tag)};
        type = wire_load_be16(tag + 2);
    }
    return type;
}

/* Next: protocol. Ends the cursor where the packet ends; what follows is Ethernet's padding. */
static int parse_ipv4(struct cursor *cursor, enum packet_checksum_policy policy,
                      struct packet *packet)
{
    size_t left = cursor_left(cursor);
    const uint8_t *header = cursor_take(cursor, PACKET_IPV4_HEADER_LEN);
    if (header == NULL || header[0] >> 4 != 4)
        return -1;
    size_t header_len = (size_t)(header[0] & 0x0f) * 4;
    size_t total_len = wire_load_be16(header + 2);
    if (header_len < PACKET_IPV4_HEADER_LEN || total_len < header_len || total_len > left)
        return -1;
    if (policy != PACKET_CHECKSUM_NEVER &&
        checksum_fold(checksum_add_octets(0, header, header_len)) != 0xffff)
        return -1;
    if (wire_load_be16(header + 6) & IPV4_MORE_FRAGMENTS_OR_OFFSET)
        return -1;
    packet->ip_len = (uint32_t)total_len;
    packet->source.family = packet->destination.family = 4;
    memcpy(packet->source.octets, header + 12, 4);
    memcpy(packet->destination.octets, header + 16, 4);
    cursor->at = header + header_len;
    cursor->end = header + total_len;
    cursor->addresses = checksum_narrow(checksum_load(header + 12));
    return header[9];
}

/* RFC 8200 4.2: an option that we do not know and whose high bits are not 00 condemns the packet.
 * All we know is padding, whose high bits are 00. */
static bool are_ipv6_options_harmless(const uint8_t *options, size_t len)
{
    for (size_t i = 0; i < len;) {
        if (options[i] == 0) { /* Pad1 */
            i++;
            continue;
        }
        if (options[i] >> 6 != 0 || len - i < 2 || len - i - 2 < options[i + 1])
            return false;
        i += 2u + options[i + 1];
    }
    return true;
}

/* Next: protocol after the extension headers, in the order of RFC 8200 4.1. */
static int parse_ipv6_extensions(struct cursor *cursor, uint8_t next)
{
    const uint8_t *begin = cursor->at;
    for (unsigned i = 0; i <= EXTENSIONS_MAX; i++) {
        if (next != PROTOCOL_HOP_BY_HOP && next != PROTOCOL_DESTINATION && next != PROTOCOL_ROUTING)
            return next;
        if ((next == PROTOCOL_HOP_BY_HOP && i > 0) || cursor_left(cursor) < 8)
            return -1;
        size_t len = 8u + 8u * cursor->at[1];
        const uint8_t *header = cursor_take(cursor, len);
        if (header == NULL || cursor->at - begin > EXTENSION_OCTETS_MAX)
            return -1;
        /* A routing header with segments left asks us to be a router (RFC 8200 4.4). */
        if (next == PROTOCOL_ROUTING ? header[3] != 0
                                     : !are_ipv6_options_harmless(header + 2, len - 2))
            return -1;
        next = header[0];
    }
    return -1;
}

/* Next: protocol. Ends the cursor where the packet ends. */
static int parse_ipv6(struct cursor *cursor, struct packet *packet)
{
    const uint8_t *header = cursor_take(cursor, PACKET_IPV6_HEADER_LEN);
    if (header == NULL || header[0] >> 4 != 6)
        return -1;
    size_t payload_len = wire_load_be16(header + 4);
    if (payload_len > cursor_left(cursor))
        return -1;
    packet->ip_len = (uint32_t)(PACKET_IPV6_HEADER_LEN + payload_len);
    packet->flow_label = wire_load_be32(header) & 0xfffff;
    packet->source.family = packet->destination.family = 6;
    memcpy(packet->source.octets, header + 8, 16);
    memcpy(packet->destination.octets, header + 24, 16);
    cursor->end = cursor->at + payload_len;
    cursor->addresses = checksum_narrow(checksum_add_octets(0, header + 8, 32));
    return parse_ipv6_extensions(cursor, header[6]);
}

static void parse_sacks(const uint8_t *value, size_t len, struct packet *packet)
{
    packet->sack_count = 0;
    for (; len >= 8 && packet->sack_count < PACKET_SACKS_MAX; value += 8, len -= 8)
        packet->sacks[packet->sack_count++] = (struct packet_sack){
            .left = wire_load_be32(value),
            .right = wire_load_be32(value + 4),
        };
}

static bool parse_tcp_options(const uint8_t *options, size_t len, struct packet *packet)
{
    for (size_t i = 0; i < len;) {
        uint8_t kind = options[i];
        if (kind == OPTION_END)
            return true;
        if (kind == OPTION_NONE) {
            i++;
            continue;
        }
        if (len - i < 2 || options[i + 1] < 2 || options[i + 1] > len - i)
            return false;
        const uint8_t *value = options + i + 2;
        uint8_t option_len = options[i + 1];
        if (kind == OPTION_MSS && option_len == 4) {
            packet->mss = wire_load_be16(value);
        } else if (kind == OPTION_SACK_PERMITTED && option_len == 2) {
            packet->has_sack_permitted = true;
        } else if (kind == OPTION_TIMESTAMPS && option_len == 10) {
            packet->has_timestamps = true;
            packet->timestamp_value = wire_load_be32(value);
            packet->timestamp_echo = wire_load_be32(value + 4);
        } else if (kind == OPTION_SACK) {
            parse_sacks(value, option_len - 2u, packet);
        } else if (kind == OPTION_FAST_OPEN) {
            packet->has_fast_open = true;
            packet->has_fast_open_cookie = option_len == 2 + PACKET_FAST_OPEN_COOKIE_LEN;
            if (packet->has_fast_open_cookie)
                memcpy(packet->fast_open_cookie, value, PACKET_FAST_OPEN_COOKIE_LEN);
        }
        i += option_len;
    }
    return true;
}

static bool parse_tcp(struct cursor *cursor, bool is_checksum_unset,
                      enum packet_checksum_policy policy, struct packet *packet)
{
    const uint8_t *header = cursor_take(cursor, PACKET_TCP_HEADER_LEN);
    if (header == NULL)
        return false;
    size_t header_len = (size_t)(header[12] >> 4) * 4;
    size_t len = (size_t)(cursor->end - header);
    if (header_len < PACKET_TCP_HEADER_LEN || header_len > len)
        return false;
    if (!is_transport_sum_good(cursor->addresses, PROTOCOL_TCP, header, len,
                               wire_load_be16(header + 16), is_checksum_unset, policy))
        return false;
    packet->source_port = wire_load_be16(header);
    packet->destination_port = wire_load_be16(header + 2);
    packet->seq = wire_load_be32(header + 4);
    packet->ack = wire_load_be32(header + 8);
    packet->flags = header[13];
    packet->window = wire_load_be16(header + 14);
    packet->payload = header + header_len;
    packet->payload_len = (uint32_t)(len - header_len);
    return parse_tcp_options(header + PACKET_TCP_HEADER_LEN, header_len - PACKET_TCP_HEADER_LEN,
                             packet);
}

static bool parse_udp(struct cursor *cursor, bool is_checksum_unset,
                      enum packet_checksum_policy policy, struct packet *packet)
{
    size_t left = cursor_left(cursor);
    const uint8_t *header = cursor_take(cursor, PACKET_UDP_HEADER_LEN);
    if (header == NULL)
        return false;
    size_t len = wire_load_be16(header + 4);
    if (len < PACKET_UDP_HEADER_LEN || len > left)
        return false;
    uint16_t sum = wire_load_be16(header + 6);
    /* Zero means "not computed" over IPv4 (RFC 768), and is forbidden over IPv6 (RFC 8200 8.1). */
    bool is_sum_good = packet->source.family == 4;
    if (sum != 0)
        is_sum_good = is_transport_sum_good(cursor->addresses, PROTOCOL_UDP, header, len, sum,
                                            is_checksum_unset, policy);
    if (!is_sum_good)
        return false;
    packet->source_port = wire_load_be16(header);
    packet->destination_port = wire_load_be16(header + 2);
    packet->payload = header + PACKET_UDP_HEADER_LEN;
    packet->payload_len = (uint32_t)(len - PACKET_UDP_HEADER_LEN);
    return true;
}

enum packet_outcome packet_parse(const uint8_t *frame, size_t frame_len, bool is_checksum_unset,
                                 enum packet_checksum_policy policy, struct packet *packet_out)
{
    struct cursor cursor = {.at = frame, .end = frame + frame_len};
    *packet_out = (struct packet){0};
    int ethertype = parse_ethernet(&cursor, packet_out);
    int protocol = -1;
    if (ethertype == ETHERTYPE_IPV4)
        protocol = parse_ipv4(&cursor, policy, packet_out);
    else if (ethertype == ETHERTYPE_IPV6)
        protocol = parse_ipv6(&cursor, packet_out);

    enum packet_outcome outcome = PACKET_DROP;
    if (protocol == PROTOCOL_TCP && parse_tcp(&cursor, is_checksum_unset, policy, packet_out))
        outcome = PACKET_TCP;
    else if (protocol == PROTOCOL_UDP && parse_udp(&cursor, is_checksum_unset, policy, packet_out))
        outcome = PACKET_UDP;
    if (outcome == PACKET_DROP || packet_out->source_port == 0 || !is_answerable(packet_out))
        return PACKET_DROP;
    return outcome;
}

/* ---- what is ours ---- */

/* By port, family and address, the latter as numbers of this machine: any order will do. */
static bool is_behind(const struct packet_endpoint *endpoint, const struct packet_address *address,
                      uint16_t port)
{
    if (endpoint->port != port)
        return endpoint->port > port;
    if (endpoint->address.family != address->family)
        return endpoint->address.family > address->family;
    uint64_t a[2], b[2];
    memcpy(a, endpoint->address.octets, sizeof(a));
    memcpy(b, address->octets, sizeof(b));
    return a[0] != b[0] ? a[0] > b[0] : a[1] > b[1];
}

int packet_endpoint_compare(const void *a, const void *b)
{
    const struct packet_endpoint *x = a, *y = b;
    return is_behind(x, &y->address, y->port) - is_behind(y, &x->address, x->port);
}

static inline bool has_endpoint(const struct packet_endpoint *endpoints, size_t endpoint_count,
                                const struct packet_address *address, uint16_t port)
{
    if (endpoint_count == 0 || port < endpoints[0].port ||
        port > endpoints[endpoint_count - 1].port)
        return false;
    while (endpoint_count > 1) { /* it is among so many, or is not there */
        size_t half = endpoint_count / 2;
        if (!is_behind(&endpoints[half], address, port))
            endpoints += half;
        endpoint_count -= half;
    }
    return endpoints->port == port &&
           (endpoints->address.family == 0 || packet_address_equal(&endpoints->address, address));
}

bool packet_is_for(const struct packet *packet, const struct packet_endpoint *endpoints,
                   size_t endpoint_count)
{
    return has_endpoint(endpoints, endpoint_count, &packet->destination,
                        packet->destination_port) &&
           !has_endpoint(endpoints, endpoint_count, &packet->source, packet->source_port);
}

/* ---- build ---- */

static uint8_t *put_ethernet(uint8_t *at, const struct packet *packet)
{
    memcpy(at, packet->mac_source, 6);
    memcpy(at + 6, packet->mac_destination, 6);
    at += 12;
    for (unsigned i = 0; i < packet->vlan_count; i++, at += 4) {
        wire_store_be16(at, packet->vlans[i].protocol);
        wire_store_be16(at + 2, packet->vlans[i].control);
    }
    wire_store_be16(at, packet->source.family == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    return at + 2;
}

/* `addresses`: their sum. */
static uint8_t *put_ipv4(uint8_t *at, const struct packet *packet, uint64_t addresses,
                         uint8_t protocol, size_t len)
{
    uint16_t total_len = (uint16_t)(PACKET_IPV4_HEADER_LEN + len);
    uint16_t ttl_protocol = (uint16_t)(TTL << 8 | protocol);
    uint64_t sum = addresses + checksum_be16(IPV4_VERSION_LEN) + checksum_be16(total_len) +
                   checksum_be16(IPV4_DONT_FRAGMENT) + checksum_be16(ttl_protocol);
    wire_store_be32(at, (uint32_t)IPV4_VERSION_LEN << 16 | total_len);
    wire_store_be32(at + 4, IPV4_DONT_FRAGMENT);
    wire_store_be16(at + 8, ttl_protocol);
    wire_store_be16(at + 10, (uint16_t)~checksum_fold(sum));
    memcpy(at + 12, packet->destination.octets, 4);
    memcpy(at + 16, packet->source.octets, 4);
    return at + PACKET_IPV4_HEADER_LEN;
}

static uint8_t *put_ipv6(uint8_t *at, const struct packet *packet, uint8_t protocol, size_t len)
{
    wire_store_be32(at, 6u << 28 | packet->flow_label);
    wire_store_be32(at + 4, (uint32_t)len << 16 | (uint32_t)protocol << 8 | TTL);
    memcpy(at + 8, packet->destination.octets, 16);
    memcpy(at + 24, packet->source.octets, 16);
    return at + PACKET_IPV6_HEADER_LEN;
}

/* What is written, and its sum: reading it again would wait for it. */
struct writer {
    uint8_t *at;
    uint64_t sum;
};

static void put_be32(struct writer *writer, uint32_t value)
{
    uint32_t word = htobe32(value);
    memcpy(writer->at, &word, sizeof(word));
    writer->at += sizeof(word);
    writer->sum += word;
}

/* Of Ethernet and IP. */
static size_t headers_len(const struct packet *packet)
{
    return PACKET_ETHERNET_HEADER_LEN + 4u * packet->vlan_count +
           (packet->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN);
}

/* Room for a frame whose transport part has `len` octets, its Ethernet and IP headers written.
 * Returns where the transport part begins; NULL: no room. `addresses`: their sum. */
static uint8_t *frame_begin(const struct packet *packet, uint64_t addresses, uint8_t protocol,
                            size_t len, struct train *train)
{
    size_t frame_len = headers_len(packet) + len;
    assert(frame_len <= UINT16_MAX);
    if (train->frame_count == TRAIN_FRAMES_MAX || train->cap - train->len < frame_len)
        return NULL;
    uint8_t *at = put_ethernet(train->octets + train->len, packet);
    train->frame_len[train->frame_count++] = (uint16_t)frame_len;
    train->len += (uint32_t)frame_len;
    return packet->source.family == 4 ? put_ipv4(at, packet, addresses, protocol, len)
                                      : put_ipv6(at, packet, protocol, len);
}

/* The payload behind the header that was written. Returns the checksum of both. */
static inline uint16_t put_payload(struct writer *writer, const uint8_t *payload,
                                   size_t payload_len)
{
    if (payload_len > 0 && payload != writer->at)
        memcpy(writer->at, payload, payload_len);
    return (uint16_t)~checksum_fold(checksum_add_octets(writer->sum, payload, payload_len));
}

static size_t options_len(const struct packet_segment *segment)
{
    size_t len = segment->mss ? PACKET_TCP_MSS_OPTION_LEN : 0;
    len += segment->fast_open_cookie != NULL ? PACKET_TCP_FAST_OPEN_OPTION_LEN : 0;
    if (segment->has_timestamps)
        return len + PACKET_TCP_TIMESTAMPS_OPTION_LEN;
    return len + (segment->has_sack_permitted ? 4u : 0u);
}

/* SACK-permitted sits where the padding in front of Timestamps or behind nothing would be. */
static void put_options(struct writer *writer, const struct packet_segment *segment)
{
    const uint32_t padding = OPTION_NONE << 8 | OPTION_NONE;
    const uint32_t sack = segment->has_sack_permitted ? OPTION_SACK_PERMITTED << 8 | 2 : padding;
    if (segment->mss)
        put_be32(writer,
                 (uint32_t)OPTION_MSS << 24 | PACKET_TCP_MSS_OPTION_LEN << 16 | segment->mss);
    if (segment->fast_open_cookie != NULL) {
        const uint8_t *cookie = segment->fast_open_cookie;
        put_be32(writer, padding << 16 | OPTION_FAST_OPEN << 8 | (2 + PACKET_FAST_OPEN_COOKIE_LEN));
        put_be32(writer, wire_load_be32(cookie));
        put_be32(writer, wire_load_be32(cookie + 4));
    }
    if (segment->has_timestamps) {
        put_be32(writer, sack << 16 | OPTION_TIMESTAMPS << 8 | 10);
        put_be32(writer, segment->timestamp_value);
        put_be32(writer, segment->timestamp_echo);
    } else if (segment->has_sack_permitted) {
        put_be32(writer, sack << 16 | padding);
    }
}

bool packet_reply_tcp(const struct packet *packet, const struct packet_segment *segment,
                      const uint8_t *payload, size_t payload_len, struct train *train)
{
    size_t header_len = PACKET_TCP_HEADER_LEN + options_len(segment);
    size_t len = header_len + payload_len;
    uint64_t addresses = sum_addresses(packet);
    uint8_t *at = frame_begin(packet, addresses, PROTOCOL_TCP, len, train);
    if (at == NULL)
        return false;
    struct writer writer = {at, sum_pseudo_header(addresses, PROTOCOL_TCP, len)};
    put_be32(&writer, (uint32_t)packet->destination_port << 16 | packet->source_port);
    put_be32(&writer, segment->seq);
    put_be32(&writer, segment->ack);
    put_be32(&writer,
             (uint32_t)header_len / 4 << 28 | (uint32_t)segment->flags << 16 | segment->window);
    put_be32(&writer, 0);
    put_options(&writer, segment);
    wire_store_be16(at + 16, put_payload(&writer, payload, payload_len));
    return true;
}

uint8_t *packet_udp_room(const struct packet *packet, struct train *train)
{
    size_t before = headers_len(packet) + PACKET_UDP_HEADER_LEN;
    return train->cap - train->len < before + PACKET_UDP_PAYLOAD_MAX
               ? NULL
               : train->octets + train->len + before;
}

bool packet_reply_udp(const struct packet *packet, const uint8_t *payload, size_t payload_len,
                      struct train *train)
{
    assert(payload_len <= PACKET_UDP_PAYLOAD_MAX);
    size_t len = PACKET_UDP_HEADER_LEN + payload_len;
    uint64_t addresses = sum_addresses(packet);
    uint8_t *at = frame_begin(packet, addresses, PROTOCOL_UDP, len, train);
    if (at == NULL)
        return false;
    struct writer writer = {at, sum_pseudo_header(addresses, PROTOCOL_UDP, len)};
    put_be32(&writer, (uint32_t)packet->destination_port << 16 | packet->source_port);
    put_be32(&writer, (uint32_t)len << 16);
    uint16_t sum = put_payload(&writer, payload, payload_len);
    /* RFC 768: a computed zero is sent as all ones, since zero says "not computed". */
    wire_store_be16(at + 6, sum == 0 ? 0xffff : sum);
    return true;
}
