/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/stateless_frames.h"

#include <stdlib.h>
#include <string.h>

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] * 256 + p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static unsigned sum16(unsigned sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? p[i] * 256u : p[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static unsigned pseudo_sum(int family, const uint8_t *source, const uint8_t *destination,
                           unsigned protocol, size_t len)
{
    size_t address_len = family == 4 ? 4 : 16;
    uint8_t tail[4];
    put16(tail, protocol);
    put16(tail + 2, (unsigned)len);
    unsigned sum = sum16(0, source, address_len);
    sum = sum16(sum, destination, address_len);
    return sum16(sum, tail, 4);
}

struct frame_spec frame_spec_client(int family)
{
    struct frame_spec spec = {
        .family = family, .source_port = 40000, .destination_port = 53, .seq = 1000};
    const uint8_t v4[4] = {198, 18, 0, 0}, v6[16] = {0xfd, 0, 0x01, 0x98, 0, 0x18};
    memcpy(spec.source, family == 4 ? v4 : v6, family == 4 ? 4 : 16);
    memcpy(spec.destination, family == 4 ? v4 : v6, family == 4 ? 4 : 16);
    spec.source[family == 4 ? 3 : 15] = 2;
    spec.destination[family == 4 ? 3 : 15] = 1;
    return spec;
}

static size_t build_ip(const struct frame_spec *spec, uint8_t *at, size_t transport_len)
{
    unsigned protocol = spec->is_udp ? 17 : 6;
    if (spec->family == 4) {
        memset(at, 0, 20);
        at[0] = 0x45;
        put16(at + 2, (unsigned)(20 + transport_len));
        put16(at + 4, 0xbeef);
        at[8] = 57;
        at[9] = (uint8_t)protocol;
        memcpy(at + 12, spec->source, 4);
        memcpy(at + 16, spec->destination, 4);
        put16(at + 10, 0xffff ^ sum16(0, at, 20));
        return 20;
    }
    put32(at, 0x60000000 | 0x2beef);
    put16(at + 4, (unsigned)(spec->extensions_len + transport_len));
    at[6] = spec->extensions_len > 0 ? spec->extension_first : (uint8_t)protocol;
    at[7] = 57;
    memcpy(at + 8, spec->source, 16);
    memcpy(at + 24, spec->destination, 16);
    if (spec->extensions_len > 0)
        memcpy(at + 40, spec->extensions, spec->extensions_len);
    return 40 + spec->extensions_len;
}

static size_t build_transport(const struct frame_spec *spec, uint8_t *at)
{
    size_t header_len = spec->is_udp ? 8 : 20 + spec->options_len;
    size_t len = header_len + spec->payload_len;
    memset(at, 0, header_len);
    put16(at, spec->source_port);
    put16(at + 2, spec->destination_port);
    uint8_t *checksum = at + 6;
    if (spec->is_udp) {
        put16(at + 4, (unsigned)len);
    } else {
        put32(at + 4, spec->seq);
        put32(at + 8, spec->ack);
        at[12] = (uint8_t)(header_len * 4);
        at[13] = spec->flags;
        put16(at + 14, spec->window != 0 ? spec->window : 64240);
        checksum = at + 16;
        if (spec->options_len > 0)
            memcpy(at + 20, spec->options, spec->options_len);
    }
    if (spec->payload_len > 0)
        memcpy(at + header_len, spec->payload, spec->payload_len);
    unsigned sum =
        pseudo_sum(spec->family, spec->source, spec->destination, spec->is_udp ? 17 : 6, len);
    put16(checksum, spec->is_checksum_unset ? sum : 0xffff ^ sum16(sum, at, len));
    return len;
}

size_t frame_build(const struct frame_spec *spec, uint8_t *frame)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    memcpy(frame, macs, 12);
    uint8_t *at = frame + 12;
    for (unsigned i = 0; i < 2 * spec->tag_count; i++, at += 2)
        put16(at, spec->tags[i]);
    put16(at, spec->family == 4 ? 0x0800 : 0x86dd);
    at += 2;
    size_t transport_len = (spec->is_udp ? 8 : 20 + spec->options_len) + spec->payload_len;
    at += build_ip(spec, at, transport_len);
    at += build_transport(spec, at);
    return (size_t)(at - frame);
}

/* Where the IP header begins; 0: not a plain frame. */
static size_t ip_offset(const uint8_t *frame, size_t frame_len)
{
    size_t at = 12;
    while (at + 4 <= frame_len && (get16(frame + at) == 0x8100 || get16(frame + at) == 0x88a8))
        at += 4;
    if (at + 2 > frame_len || (get16(frame + at) != 0x0800 && get16(frame + at) != 0x86dd))
        return 0;
    return at + 2;
}

bool frame_is_sound(const uint8_t *frame, size_t frame_len)
{
    size_t ip_at = ip_offset(frame, frame_len);
    if (ip_at == 0)
        return false;
    const uint8_t *ip = frame + ip_at;
    size_t left = frame_len - ip_at;
    bool is_v4 = get16(ip - 2) == 0x0800;
    size_t header_len = is_v4 ? 20 : 40;
    if (left < header_len || ip[0] >> 4 != (is_v4 ? 4 : 6))
        return false;
    if (is_v4 && ((ip[0] & 15) != 5 || sum16(0, ip, 20) != 0xffff || get16(ip + 2) != left))
        return false;
    if (!is_v4 && get16(ip + 4) != left - 40)
        return false;
    unsigned protocol = is_v4 ? ip[9] : ip[6];
    const uint8_t *transport = ip + header_len;
    size_t len = left - header_len;
    if ((protocol == 6 && (len < 20 || (transport[12] >> 4) * 4u > len)) ||
        (protocol == 17 && (len < 8 || get16(transport + 4) != len)) ||
        (protocol != 6 && protocol != 17))
        return false;
    const uint8_t *source = is_v4 ? ip + 12 : ip + 8;
    unsigned sum = pseudo_sum(is_v4 ? 4 : 6, source, source + (is_v4 ? 4 : 16), protocol, len);
    return sum16(sum, transport, len) == 0xffff;
}

struct frame_view frame_view(const uint8_t *frame, size_t frame_len)
{
    if (!frame_is_sound(frame, frame_len))
        abort();
    size_t ip_at = ip_offset(frame, frame_len);
    const uint8_t *ip = frame + ip_at;
    bool is_v4 = ip[0] >> 4 == 4;
    const uint8_t *tcp = ip + (is_v4 ? 20 : 40);
    size_t header_len = (size_t)(tcp[12] >> 4) * 4;
    return (struct frame_view){
        .family = is_v4 ? 4 : 6,
        .ttl = is_v4 ? ip[8] : ip[7],
        .source_port = (uint16_t)get16(tcp),
        .destination_port = (uint16_t)get16(tcp + 2),
        .seq = get32(tcp + 4),
        .ack = get32(tcp + 8),
        .flags = tcp[13],
        .window = (uint16_t)get16(tcp + 14),
        .options = tcp + 20,
        .options_len = header_len - 20,
        .payload = tcp + header_len,
        .payload_len = (size_t)(frame + frame_len - tcp) - header_len,
        .ip_len = frame_len - ip_at,
    };
}
