/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/packet.h"

#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_VLAN_CUSTOMER = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_VLAN_SERVICE = 0x88a8,

    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_DESTINATION = 60,

    /* TCP options (RFC 9293 3.2, RFC 2018, RFC 7323, RFC 7413) */
    OPTION_END = 0,
    OPTION_NONE = 1,
    OPTION_MSS = 2,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMPS = 8,
    OPTION_FAST_OPEN = 34,

    TTL = 64,
    IPV4_MORE_FRAGMENTS_OR_OFFSET = 0x3fff,
    IPV4_DONT_FRAGMENT = 0x4000,

    /* Real packets have none or one; a chain of them is somebody's experiment. */
    EXTENSIONS_MAX = 4,
    EXTENSION_OCTETS_MAX = 256,
};

/* What is left to parse. Every parser checks, takes, and says what comes next, or -1. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
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

/* ---- checksums (RFC 1071) ---- */

/* The sum does not care for octet order as long as it is kept: add in the machine's, four octets
 * at a time, and turn the folded result at the end. Every piece but the last is of even length. */
static uint64_t sum_add(uint64_t sum, const uint8_t *octets, size_t len)
{
    uint32_t word;
    for (; len >= sizeof(word); octets += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, octets, sizeof(word));
        sum += word;
    }
    uint8_t tail[sizeof(word)] = {0};
    memcpy(tail, octets, len);
    memcpy(&word, tail, sizeof(word));
    return sum + word;
}

static uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    uint16_t folded = (uint16_t)sum;
    uint8_t octets[2];
    memcpy(octets, &folded, 2);
    return wire_load_be16(octets);
}

static size_t address_len(uint8_t family)
{
    return family == 4 ? 4 : 16;
}

/* RFC 9293 3.1, RFC 8200 8.1: the two IP versions' pseudo-headers add up alike. */
static uint64_t sum_pseudo_header(const struct packet_address *source,
                                  const struct packet_address *destination, uint8_t protocol,
                                  size_t len)
{
    uint8_t tail[8] = {0};
    wire_store_be32(tail, (uint32_t)len);
    tail[7] = protocol;
    uint64_t sum = sum_add(0, source->octets, address_len(source->family));
    sum = sum_add(sum, destination->octets, address_len(destination->family));
    return sum_add(sum, tail, sizeof(tail));
}

static bool is_transport_sum_good(const struct packet *packet, uint8_t protocol,
                                  const uint8_t *octets, size_t len, uint16_t field,
                                  bool is_checksum_unset, enum packet_checksum_policy policy)
{
    if (policy == PACKET_CHECKSUM_NEVER)
        return true;
    if (policy == PACKET_CHECKSUM_AUTO && is_checksum_unset)
        return true;
    uint64_t pseudo = sum_pseudo_header(&packet->source, &packet->destination, protocol, len);
    if (sum_fold(sum_add(pseudo, octets, len)) == 0xffff)
        return true;
    return policy == PACKET_CHECKSUM_AUTO && field == sum_fold(pseudo);
}

/* ---- who may be answered ---- */

static bool is_ipv4_answerable(const uint8_t *a)
{
    /* 0/8 "this network"; 224/4 multicast; 240/4 reserved, with limited broadcast. */
    return a[0] != 0 && a[0] < 224;
}

static bool is_ipv6_answerable(const uint8_t *a)
{
    static const uint8_t zeros[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    return a[0] != 0xff && memcmp(a, zeros, 16) != 0 && memcmp(a, mapped, 12) != 0;
}

static bool is_loopback(const struct packet_address *address)
{
    static const uint8_t one[16] = {[15] = 1};
    return address->family == 4 ? address->octets[0] == 127 : memcmp(address->octets, one, 16) == 0;
}

static bool is_answerable(const struct packet *packet)
{
    /* The group bit: a station asks, and one station is asked. */
    if ((packet->mac_destination[0] | packet->mac_source[0]) & 1)
        return false;
    bool (*is_family_answerable)(const uint8_t *) =
        packet->source.family == 4 ? is_ipv4_answerable : is_ipv6_answerable;
    return is_family_answerable(packet->source.octets) &&
           is_family_answerable(packet->destination.octets) &&
           is_loopback(&packet->source) == is_loopback(&packet->destination);
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
    if (policy != PACKET_CHECKSUM_NEVER && sum_fold(sum_add(0, header, header_len)) != 0xffff)
        return -1;
    if (wire_load_be16(header + 6) & IPV4_MORE_FRAGMENTS_OR_OFFSET)
        return -1;
    packet->ip_len = (uint32_t)total_len;
    packet->source.family = packet->destination.family = 4;
    memcpy(packet->source.octets, header + 12, 4);
    memcpy(packet->destination.octets, header + 16, 4);
    cursor->at = header + header_len;
    cursor->end = header + total_len;
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
    if (!is_transport_sum_good(packet, PROTOCOL_TCP, header, len, wire_load_be16(header + 16),
                               is_checksum_unset, policy))
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
        is_sum_good = is_transport_sum_good(packet, PROTOCOL_UDP, header, len, sum,
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
    struct cursor cursor = {frame, frame + frame_len};
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

static bool is_endpoint(const struct packet_endpoint *endpoint,
                        const struct packet_address *address, uint16_t port)
{
    if (endpoint->port != port)
        return false;
    return endpoint->address.family == 0 || packet_address_equal(&endpoint->address, address);
}

bool packet_is_for(const struct packet *packet, const struct packet_endpoint *endpoints,
                   size_t endpoint_count)
{
    bool is_to_us = false;
    for (size_t i = 0; i < endpoint_count; i++) {
        if (is_endpoint(&endpoints[i], &packet->source, packet->source_port))
            return false;
        is_to_us |= is_endpoint(&endpoints[i], &packet->destination, packet->destination_port);
    }
    return is_to_us;
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

static uint8_t *put_ipv4(uint8_t *at, const struct packet *packet, uint8_t protocol, size_t len)
{
    memset(at, 0, PACKET_IPV4_HEADER_LEN);
    at[0] = 0x45;
    wire_store_be16(at + 2, (uint16_t)(PACKET_IPV4_HEADER_LEN + len));
    wire_store_be16(at + 6, IPV4_DONT_FRAGMENT);
    at[8] = TTL;
    at[9] = protocol;
    memcpy(at + 12, packet->destination.octets, 4);
    memcpy(at + 16, packet->source.octets, 4);
    wire_store_be16(at + 10, (uint16_t)~sum_fold(sum_add(0, at, PACKET_IPV4_HEADER_LEN)));
    return at + PACKET_IPV4_HEADER_LEN;
}

static uint8_t *put_ipv6(uint8_t *at, const struct packet *packet, uint8_t protocol, size_t len)
{
    wire_store_be32(at, 6u << 28 | packet->flow_label);
    wire_store_be16(at + 4, (uint16_t)len);
    at[6] = protocol;
    at[7] = TTL;
    memcpy(at + 8, packet->destination.octets, 16);
    memcpy(at + 24, packet->source.octets, 16);
    return at + PACKET_IPV6_HEADER_LEN;
}

/* Room for a frame whose transport part has `len` octets, its Ethernet and IP headers written.
 * Returns where the transport part begins; NULL: no room. */
static uint8_t *frame_begin(const struct packet *packet, uint8_t protocol, size_t len,
                            struct train *train)
{
    size_t ip_header_len =
        packet->source.family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN;
    size_t frame_len = PACKET_ETHERNET_HEADER_LEN + 4u * packet->vlan_count + ip_header_len + len;
    assert(ip_header_len + len <= UINT16_MAX - PACKET_HEADERS_MAX);
    if (train->frame_count == TRAIN_FRAMES_MAX || train->cap - train->len < frame_len)
        return NULL;
    uint8_t *at = put_ethernet(train->octets + train->len, packet);
    train->frame_len[train->frame_count++] = (uint16_t)frame_len;
    train->len += (uint32_t)frame_len;
    return packet->source.family == 4 ? put_ipv4(at, packet, protocol, len)
                                      : put_ipv6(at, packet, protocol, len);
}

static uint16_t transport_checksum(const struct packet *packet, uint8_t protocol,
                                   const uint8_t *octets, size_t len)
{
    uint64_t sum = sum_pseudo_header(&packet->destination, &packet->source, protocol, len);
    return (uint16_t)~sum_fold(sum_add(sum, octets, len));
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
static void put_options(uint8_t *at, const struct packet_segment *segment)
{
    if (segment->mss) {
        at[0] = OPTION_MSS;
        at[1] = PACKET_TCP_MSS_OPTION_LEN;
        wire_store_be16(at + 2, segment->mss);
        at += PACKET_TCP_MSS_OPTION_LEN;
    }
    if (segment->fast_open_cookie != NULL) {
        at[0] = at[1] = OPTION_NONE;
        at[2] = OPTION_FAST_OPEN;
        at[3] = 2 + PACKET_FAST_OPEN_COOKIE_LEN;
        memcpy(at + 4, segment->fast_open_cookie, PACKET_FAST_OPEN_COOKIE_LEN);
        at += PACKET_TCP_FAST_OPEN_OPTION_LEN;
    }
    if (segment->has_timestamps || segment->has_sack_permitted) {
        at[0] = segment->has_sack_permitted ? OPTION_SACK_PERMITTED : OPTION_NONE;
        at[1] = segment->has_sack_permitted ? 2 : OPTION_NONE;
    }
    if (segment->has_timestamps) {
        at[2] = OPTION_TIMESTAMPS;
        at[3] = 10;
        wire_store_be32(at + 4, segment->timestamp_value);
        wire_store_be32(at + 8, segment->timestamp_echo);
    } else if (segment->has_sack_permitted) {
        at[2] = at[3] = OPTION_NONE;
    }
}

bool packet_reply_tcp(const struct packet *packet, const struct packet_segment *segment,
                      const uint8_t *payload, size_t payload_len, struct train *train)
{
    size_t header_len = PACKET_TCP_HEADER_LEN + options_len(segment);
    uint8_t *at = frame_begin(packet, PROTOCOL_TCP, header_len + payload_len, train);
    if (at == NULL)
        return false;
    memset(at, 0, header_len);
    wire_store_be16(at, packet->destination_port);
    wire_store_be16(at + 2, packet->source_port);
    wire_store_be32(at + 4, segment->seq);
    wire_store_be32(at + 8, segment->ack);
    at[12] = (uint8_t)(header_len / 4 << 4);
    at[13] = segment->flags;
    wire_store_be16(at + 14, segment->window);
    put_options(at + PACKET_TCP_HEADER_LEN, segment);
    if (payload_len > 0)
        memcpy(at + header_len, payload, payload_len);
    wire_store_be16(at + 16,
                    transport_checksum(packet, PROTOCOL_TCP, at, header_len + payload_len));
    return true;
}

bool packet_reply_udp(const struct packet *packet, const uint8_t *payload, size_t payload_len,
                      struct train *train)
{
    assert(payload_len <= PACKET_UDP_PAYLOAD_MAX);
    size_t len = PACKET_UDP_HEADER_LEN + payload_len;
    uint8_t *at = frame_begin(packet, PROTOCOL_UDP, len, train);
    if (at == NULL)
        return false;
    wire_store_be16(at, packet->destination_port);
    wire_store_be16(at + 2, packet->source_port);
    wire_store_be16(at + 4, (uint16_t)len);
    wire_store_be16(at + 6, 0);
    if (payload_len > 0)
        memcpy(at + PACKET_UDP_HEADER_LEN, payload, payload_len);
    uint16_t sum = transport_checksum(packet, PROTOCOL_UDP, at, len);
    /* RFC 768: a computed zero is sent as all ones, since zero says "not computed". */
    wire_store_be16(at + 6, sum == 0 ? 0xffff : sum);
    return true;
}
