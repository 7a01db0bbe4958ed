/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/packet.h"

#include "test/unit/stateless_frames.h"
#include "test_main.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t request[] = "0123456789abcdefghijklmnopqrstuvw";
static const int families[] = {4, 6};

/* Parse from a block of exactly this size, so that a sanitizer sees an octet read too many. The
 * block lives until the next call. */
static enum packet_outcome parse_as(const uint8_t *frame, size_t len, bool is_checksum_unset,
                                    enum packet_checksum_policy policy, struct packet *packet)
{
    static uint8_t *block;
    free(block);
    block = malloc(len + (len == 0));
    memcpy(block, frame, len);
    return packet_parse(block, len, is_checksum_unset, policy, packet);
}

static enum packet_outcome parse(const uint8_t *frame, size_t len, struct packet *packet)
{
    return parse_as(frame, len, false, PACKET_CHECKSUM_AUTO, packet);
}

static struct frame_spec tcp_spec(int family)
{
    struct frame_spec spec = frame_spec_client(family);
    spec.flags = PACKET_PSH | PACKET_ACK;
    spec.ack = 0xfffffff0;
    spec.payload = request;
    spec.payload_len = 33;
    return spec;
}

static struct frame_spec udp_spec(int family)
{
    struct frame_spec spec = tcp_spec(family);
    spec.is_udp = true;
    return spec;
}

static enum packet_outcome build_and_parse(const struct frame_spec *spec)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    return parse(frame, frame_build(spec, frame), &packet);
}

START_TEST(tcp_fields)
{
    uint8_t frame[FRAME_CAP];
    static const uint8_t options[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2,
                                      3, 4, 5,    6,    7, 8, 1, 3,  3, 7};
    struct frame_spec spec = tcp_spec(families[_i]);
    spec.options = options;
    spec.options_len = sizeof(options);
    size_t len = frame_build(&spec, frame);
    struct packet packet;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
    ck_assert_int_eq(packet.source.family, families[_i]);
    ck_assert_mem_eq(packet.source.octets, spec.source, 16);
    ck_assert_mem_eq(packet.destination.octets, spec.destination, 16);
    ck_assert_uint_eq(packet.source_port, 40000);
    ck_assert_uint_eq(packet.destination_port, 53);
    ck_assert_uint_eq(packet.seq, 1000);
    ck_assert_uint_eq(packet.ack, 0xfffffff0);
    ck_assert_uint_eq(packet.flags, PACKET_PSH | PACKET_ACK);
    ck_assert_uint_eq(packet.window, 64240);
    ck_assert_uint_eq(packet.mss, 1460);
    ck_assert(packet.has_sack_permitted);
    ck_assert(packet.has_timestamps);
    ck_assert_uint_eq(packet.timestamp_value, 0x01020304);
    ck_assert_uint_eq(packet.timestamp_echo, 0x05060708);
    ck_assert_uint_eq(packet.payload_len, 33);
    ck_assert_mem_eq(packet.payload, request, 33);
    ck_assert_uint_eq(packet.flow_label, families[_i] == 6 ? 0x2beef : 0);
    ck_assert_uint_eq(packet.ip_len, len - PACKET_ETHERNET_HEADER_LEN);
}
END_TEST

START_TEST(udp_fields)
{
    uint8_t frame[FRAME_CAP];
    struct frame_spec spec = udp_spec(families[_i]);
    size_t len = frame_build(&spec, frame);
    struct packet packet;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_UDP);
    ck_assert_uint_eq(packet.source_port, 40000);
    ck_assert_uint_eq(packet.destination_port, 53);
    ck_assert_uint_eq(packet.payload_len, 33);
    ck_assert_mem_eq(packet.payload, request, 33);
}
END_TEST

START_TEST(every_cut_is_dropped)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    for (int is_udp = 0; is_udp < 2; is_udp++) {
        static const uint16_t tags[] = {0x88a8, 5, 0x8100, 6};
        struct frame_spec spec = is_udp ? udp_spec(families[_i]) : tcp_spec(families[_i]);
        spec.tags = tags;
        spec.tag_count = 2;
        size_t len = frame_build(&spec, frame);
        ck_assert_int_ne(parse(frame, len, &packet), PACKET_DROP);
        for (size_t cut = 0; cut < len; cut++)
            ck_assert_int_eq(parse(frame, cut, &packet), PACKET_DROP);
    }
}
END_TEST

START_TEST(padding_is_ignored)
{
    uint8_t frame[FRAME_CAP];
    struct frame_spec spec = tcp_spec(families[_i]);
    spec.payload_len = 0;
    size_t len = frame_build(&spec, frame);
    memset(frame + len, 0xaa, 46);
    struct packet packet;
    ck_assert_int_eq(parse(frame, len + 46, &packet), PACKET_TCP);
    ck_assert_uint_eq(packet.payload_len, 0);
}
END_TEST

START_TEST(vlan_tags)
{
    uint8_t frame[FRAME_CAP], octets[256];
    static const uint16_t tags[] = {0x88a8, 0x2005, 0x8100, 0xe006, 0x8100, 7};
    struct frame_spec spec = tcp_spec(families[_i]);
    spec.tags = tags;
    for (spec.tag_count = 0; spec.tag_count <= PACKET_VLAN_MAX; spec.tag_count++) {
        size_t len = frame_build(&spec, frame);
        struct packet packet;
        ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
        ck_assert_uint_eq(packet.vlan_count, spec.tag_count);
        struct train train = {.octets = octets, .cap = sizeof(octets)};
        struct packet_segment segment = {.flags = PACKET_ACK};
        ck_assert(packet_reply_tcp(&packet, &segment, NULL, 0, &train));
        ck_assert(frame_is_sound(octets, train.len));
        /* The same tags, and then the same ethertype. */
        ck_assert_mem_eq(octets + 12, frame + 12, 4 * spec.tag_count + 2);
    }
    ck_assert_int_eq(build_and_parse(&spec), PACKET_DROP); /* three */
}
END_TEST

START_TEST(checksum_policies)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    for (int is_udp = 0; is_udp < 2; is_udp++) {
        struct frame_spec spec = is_udp ? udp_spec(families[_i]) : tcp_spec(families[_i]);
        enum packet_outcome good = is_udp ? PACKET_UDP : PACKET_TCP;
        spec.is_checksum_unset = true;
        size_t len = frame_build(&spec, frame);
        ck_assert_int_eq(parse_as(frame, len, false, PACKET_CHECKSUM_AUTO, &packet), good);
        ck_assert_int_eq(parse_as(frame, len, false, PACKET_CHECKSUM_NEVER, &packet), good);
        ck_assert_int_eq(parse_as(frame, len, true, PACKET_CHECKSUM_ALWAYS, &packet), PACKET_DROP);

        spec.is_checksum_unset = false;
        len = frame_build(&spec, frame);
        ck_assert_int_eq(parse_as(frame, len, false, PACKET_CHECKSUM_ALWAYS, &packet), good);
        frame[len - 1] ^= 1;
        ck_assert_int_eq(parse_as(frame, len, false, PACKET_CHECKSUM_ALWAYS, &packet), PACKET_DROP);
        ck_assert_int_eq(parse_as(frame, len, false, PACKET_CHECKSUM_AUTO, &packet), PACKET_DROP);
        ck_assert_int_eq(parse_as(frame, len, true, PACKET_CHECKSUM_AUTO, &packet), good);
        ck_assert_int_eq(parse_as(frame, len, false, PACKET_CHECKSUM_NEVER, &packet), good);
    }
}
END_TEST

START_TEST(every_flipped_bit_is_seen)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    struct frame_spec spec = tcp_spec(families[_i]);
    spec.payload_len = 31; /* odd */
    size_t len = frame_build(&spec, frame);
    /* From the addresses on; IPv6 does not cover what stands before them. */
    size_t from = PACKET_ETHERNET_HEADER_LEN + (families[_i] == 4 ? 0 : 8);
    for (size_t bit = from * 8; bit < len * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert_int_eq(parse(frame, len, &packet), PACKET_DROP);
        frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
}
END_TEST

START_TEST(udp_without_checksum)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    for (unsigned i = 0; i < 2; i++) {
        struct frame_spec spec = udp_spec(families[i]);
        size_t len = frame_build(&spec, frame);
        memset(frame + len - 33 - 2, 0, 2);
        ck_assert_int_eq(parse(frame, len, &packet), families[i] == 4 ? PACKET_UDP : PACKET_DROP);
    }
}
END_TEST

/* Make the IPv4 header's checksum right again. */
static void mend_ipv4(uint8_t *frame)
{
    uint8_t *ip = frame + PACKET_ETHERNET_HEADER_LEN;
    memset(ip + 10, 0, 2);
    unsigned sum = 0;
    for (unsigned i = 0; i < 20; i += 2)
        sum += ip[i] * 256u + ip[i + 1];
    sum = ~((sum & 0xffff) + (sum >> 16));
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
}

START_TEST(ipv4_fragments_are_dropped)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    struct frame_spec spec = tcp_spec(4);
    size_t len = frame_build(&spec, frame);
    frame[20] = 0x40; /* DF alone is none */
    mend_ipv4(frame);
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
    frame[20] = 0x20; /* more to come */
    mend_ipv4(frame);
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_DROP);
    frame[20] = 0x00; /* the last one */
    frame[21] = 0x01;
    mend_ipv4(frame);
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_DROP);
}
END_TEST

/* Next header of the last one is TCP. */
static const struct {
    uint8_t first;
    uint8_t octets[48];
    size_t len;
    enum packet_outcome outcome;
} extension_cases[] = {
    {0, {6, 0, 1, 4, 0, 0, 0, 0}, 8, PACKET_TCP},                /* hop-by-hop, PadN */
    {0, {6, 0, 5, 2, 0, 0, 1, 0}, 8, PACKET_TCP},                /* hop-by-hop, router alert */
    {60, {6, 0, 0, 0, 0, 0, 0, 0}, 8, PACKET_TCP},               /* destination, Pad1 */
    {60, {6, 0, 0x40, 0, 1, 2, 0, 0}, 8, PACKET_DROP},           /* unknown: discard */
    {60, {6, 0, 1, 5, 0, 0, 0, 0}, 8, PACKET_DROP},              /* option too long */
    {60, {6, 0, 0, 0, 0, 0, 0, 1}, 8, PACKET_DROP},              /* option cut */
    {43, {6, 0, 0, 0, 0, 0, 0, 0}, 8, PACKET_TCP},               /* routing, done */
    {43, {6, 0, 0, 1, 0, 0, 0, 0}, 8, PACKET_DROP},              /* routing, a segment left */
    {44, {6, 0, 0, 0, 0, 0, 0, 0}, 8, PACKET_DROP},              /* fragment */
    {51, {6, 0, 0, 0, 0, 0, 0, 0}, 8, PACKET_DROP},              /* authentication */
    {59, {6, 0, 1, 4, 0, 0, 0, 0}, 8, PACKET_DROP},              /* no next header */
    {60, {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16, PACKET_DROP}, /* hop-by-hop not first */
    {60, {6, 9, 1, 4, 0, 0, 0, 0}, 8, PACKET_DROP},              /* longer than the packet */
    {0, {43, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1, 4}, 24, PACKET_TCP},
    {60,
     {60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4},
     32,
     PACKET_TCP}, /* four */
    {60,
     {60, 0, 1, 4, 0, 0, 0,  0, 60, 0, 1, 4, 0, 0, 0, 0, 60, 0,
      1,  4, 0, 0, 0, 0, 60, 0, 1,  4, 0, 0, 0, 0, 6, 0, 1,  4},
     40,
     PACKET_DROP}, /* five */
};

START_TEST(ipv6_extensions)
{
    struct frame_spec spec = tcp_spec(6);
    spec.extensions = extension_cases[_i].octets;
    spec.extensions_len = extension_cases[_i].len;
    spec.extension_first = extension_cases[_i].first;
    ck_assert_int_eq(build_and_parse(&spec), extension_cases[_i].outcome);
}
END_TEST

START_TEST(ipv6_extensions_are_bounded)
{
    static uint8_t octets[8 + 8 * 40];
    for (unsigned units = 31; units < 41; units++) {
        struct frame_spec spec = tcp_spec(6);
        octets[0] = 6;
        octets[1] = (uint8_t)units;
        spec.extensions = octets;
        spec.extensions_len = 8 + 8 * units;
        spec.extension_first = 60;
        ck_assert_int_eq(build_and_parse(&spec), units == 31 ? PACKET_TCP : PACKET_DROP);
    }
}
END_TEST

static const struct {
    int family;
    uint8_t source[16], destination[16];
    bool is_answerable;
} address_cases[] = {
    {4, {127, 0, 0, 1}, {127, 0, 0, 2}, true},
    {4, {127, 0, 0, 1}, {198, 18, 0, 1}, false},
    {4, {198, 18, 0, 2}, {127, 0, 0, 1}, false},
    {4, {0, 0, 0, 0}, {198, 18, 0, 1}, false},
    {4, {0, 1, 2, 3}, {198, 18, 0, 1}, false},
    {4, {224, 0, 0, 1}, {198, 18, 0, 1}, false},
    {4, {240, 0, 0, 1}, {198, 18, 0, 1}, false},
    {4, {255, 255, 255, 255}, {198, 18, 0, 1}, false},
    {4, {198, 18, 0, 2}, {239, 1, 1, 1}, false},
    {4, {198, 18, 0, 2}, {255, 255, 255, 255}, false},
    {6, {[15] = 1}, {[15] = 1}, true},
    {6, {[15] = 1}, {0xfd, [15] = 1}, false},
    {6, {0xfe, 0x80, [15] = 2}, {0xfe, 0x80, [15] = 1}, true},
    {6, {0}, {0xfd, [15] = 1}, false},
    {6, {0xff, 2, [15] = 1}, {0xfd, [15] = 1}, false},
    {6, {0xfd, [15] = 2}, {0xff, 2, [15] = 1}, false},
    {6, {[10] = 0xff, 0xff, 198, 18, 0, 2}, {0xfd, [15] = 1}, false},
};

START_TEST(only_stations_are_answered)
{
    for (int is_udp = 0; is_udp < 2; is_udp++) {
        int family = address_cases[_i].family;
        struct frame_spec spec = is_udp ? udp_spec(family) : tcp_spec(family);
        memcpy(spec.source, address_cases[_i].source, 16);
        memcpy(spec.destination, address_cases[_i].destination, 16);
        ck_assert_int_eq(build_and_parse(&spec) != PACKET_DROP, address_cases[_i].is_answerable);
    }
}
END_TEST

START_TEST(group_macs_and_port_zero)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    struct frame_spec spec = tcp_spec(families[_i]);
    size_t len = frame_build(&spec, frame);
    frame[0] |= 1;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_DROP);
    frame[0] &= 0xfe;
    frame[6] |= 1;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_DROP);
    frame[6] &= 0xfe;
    memset(frame, 0, 12); /* loopback has none */
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
    spec.source_port = 0;
    ck_assert_int_eq(build_and_parse(&spec), PACKET_DROP);
}
END_TEST

static const struct {
    uint8_t octets[8];
    enum packet_outcome outcome;
    uint16_t mss;
} option_cases[] = {
    {{2, 4, 5, 0xb4, 1, 1, 1, 1}, PACKET_TCP, 1460}, {{1, 1, 1, 1, 2, 4, 2, 0x18}, PACKET_TCP, 536},
    {{0, 2, 4, 5, 0xb4, 0, 0, 0}, PACKET_TCP, 0},  /* after the end */
    {{2, 3, 5, 1, 1, 1, 1, 1}, PACKET_TCP, 0},     /* not an MSS */
    {{254, 8, 1, 2, 3, 4, 5, 6}, PACKET_TCP, 0},   /* unknown */
    {{2, 0, 5, 0xb4, 1, 1, 1, 1}, PACKET_DROP, 0}, /* would never end */
    {{2, 1, 5, 0xb4, 1, 1, 1, 1}, PACKET_DROP, 0}, /* within itself */
    {{254, 9, 1, 2, 3, 4, 5, 6}, PACKET_DROP, 0},  /* beyond the header */
    {{1, 1, 1, 1, 1, 1, 1, 2}, PACKET_DROP, 0},    /* no length */
    {{1, 1, 1, 1, 1, 2, 4, 5}, PACKET_DROP, 0},    /* cut */
};

START_TEST(tcp_options)
{
    uint8_t frame[FRAME_CAP];
    struct frame_spec spec = tcp_spec(4);
    spec.options = option_cases[_i].octets;
    spec.options_len = 8;
    struct packet packet;
    ck_assert_int_eq(parse(frame, frame_build(&spec, frame), &packet), option_cases[_i].outcome);
    if (option_cases[_i].outcome == PACKET_TCP)
        ck_assert_uint_eq(packet.mss, option_cases[_i].mss);
}
END_TEST

START_TEST(bad_lengths)
{
    uint8_t frame[FRAME_CAP];
    struct packet packet;
    struct frame_spec spec = tcp_spec(4);
    size_t len = frame_build(&spec, frame);
    for (unsigned words = 0; words < 16; words++) { /* IP header length */
        frame[14] = (uint8_t)(0x40 | words);
        mend_ipv4(frame);
        if (words != 5)
            ck_assert_int_eq(parse_as(frame, len, true, PACKET_CHECKSUM_AUTO, &packet),
                             PACKET_DROP);
    }
    frame_build(&spec, frame);
    for (unsigned words = 0; words < 16; words++) { /* data offset */
        frame[14 + 20 + 12] = (uint8_t)(words << 4);
        enum packet_outcome outcome = parse_as(frame, len, true, PACKET_CHECKSUM_AUTO, &packet);
        if (words < 5 || 4 * words > 20 + 33)
            ck_assert_int_eq(outcome, PACKET_DROP);
    }
    spec = udp_spec(4);
    len = frame_build(&spec, frame);
    for (unsigned udp_len = 0; udp_len < 60; udp_len++) {
        frame[14 + 20 + 5] = (uint8_t)udp_len;
        enum packet_outcome outcome = parse_as(frame, len, true, PACKET_CHECKSUM_AUTO, &packet);
        ck_assert_int_eq(outcome != PACKET_DROP, udp_len >= 8 && udp_len <= 8 + 33);
    }
}
END_TEST

START_TEST(replies_mirror)
{
    uint8_t frame[FRAME_CAP], octets[512];
    struct frame_spec spec = tcp_spec(families[_i]);
    size_t len = frame_build(&spec, frame);
    struct packet packet, back;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
    struct train train = {.octets = octets, .cap = sizeof(octets)};
    struct packet_segment segment = {
        .seq = 77, .ack = 88, .window = 99, .flags = PACKET_SYN | PACKET_ACK, .mss = 1220};
    ck_assert(packet_reply_tcp(&packet, &segment, request, 33, &train));
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(train.frame_len[0], train.len);
    ck_assert(frame_is_sound(octets, train.len));
    ck_assert_mem_eq(octets, frame + 6, 6);
    ck_assert_mem_eq(octets + 6, frame, 6);

    ck_assert_int_eq(parse(octets, train.len, &back), PACKET_TCP);
    ck_assert_mem_eq(&back.source, &packet.destination, sizeof(back.source));
    ck_assert_mem_eq(&back.destination, &packet.source, sizeof(back.source));
    ck_assert_uint_eq(back.source_port, 53);
    ck_assert_uint_eq(back.destination_port, 40000);
    ck_assert_uint_eq(back.seq, 77);
    ck_assert_uint_eq(back.ack, 88);
    ck_assert_uint_eq(back.window, 99);
    ck_assert_uint_eq(back.mss, 1220);
    ck_assert_uint_eq(back.flags, PACKET_SYN | PACKET_ACK);
    ck_assert_uint_eq(back.flow_label, packet.flow_label);
    ck_assert_mem_eq(back.payload, request, 33);
    ck_assert_uint_eq(frame_view(octets, train.len).ttl, 64);
    if (families[_i] == 4) {
        static const uint8_t id_and_df[4] = {0, 0, 0x40, 0};
        ck_assert_mem_eq(octets + 14 + 4, id_and_df, 4);
    }
}
END_TEST

START_TEST(udp_replies)
{
    uint8_t frame[FRAME_CAP], octets[2048], payload[PACKET_UDP_PAYLOAD_MAX];
    struct frame_spec spec = udp_spec(families[_i]);
    size_t len = frame_build(&spec, frame);
    struct packet packet;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_UDP);
    /* Among these payloads is one whose sum is zero, which has to be sent as 0xffff. */
    unsigned all_ones = 0;
    size_t checksum_at = 14 + (families[_i] == 4 ? 20u : 40u) + 6;
    for (unsigned value = 0; value <= 0xffff; value++) {
        uint8_t pair[2] = {(uint8_t)(value >> 8), (uint8_t)value};
        struct train train = {.octets = octets, .cap = sizeof(octets)};
        ck_assert(packet_reply_udp(&packet, pair, 2, &train));
        ck_assert(frame_is_sound(octets, train.len));
        ck_assert(octets[checksum_at] != 0 || octets[checksum_at + 1] != 0);
        all_ones += octets[checksum_at] == 0xff && octets[checksum_at + 1] == 0xff;
    }
    ck_assert_uint_ge(all_ones, 1);
    struct train train = {.octets = octets, .cap = sizeof(octets)};
    memset(payload, 0x5a, sizeof(payload));
    ck_assert(packet_reply_udp(&packet, payload, sizeof(payload), &train));
    ck_assert(frame_is_sound(octets, train.len));
    ck_assert_uint_le(train.len, 1514);
}
END_TEST

START_TEST(full_trains)
{
    uint8_t frame[FRAME_CAP], octets[20000];
    struct frame_spec spec = tcp_spec(families[_i]);
    size_t len = frame_build(&spec, frame);
    struct packet packet;
    ck_assert_int_eq(parse(frame, len, &packet), PACKET_TCP);
    struct packet_segment segment = {.flags = PACKET_ACK};
    uint32_t frame_len = (uint32_t)len - 33;

    struct train train = {.octets = octets, .cap = 3 * frame_len - 1};
    ck_assert(packet_reply_tcp(&packet, &segment, NULL, 0, &train));
    ck_assert(packet_reply_tcp(&packet, &segment, NULL, 0, &train));
    ck_assert(!packet_reply_tcp(&packet, &segment, NULL, 0, &train));
    ck_assert_uint_eq(train.frame_count, 2);
    ck_assert_uint_eq(train.len, 2 * frame_len);

    train = (struct train){.octets = octets, .cap = sizeof(octets)};
    while (packet_reply_tcp(&packet, &segment, NULL, 0, &train))
        ;
    ck_assert_uint_eq(train.frame_count, TRAIN_FRAMES_MAX);
    ck_assert_uint_eq(train.len, TRAIN_FRAMES_MAX * frame_len);
}
END_TEST

/* A payload that is made in its place is the same packet. */
START_TEST(udp_in_place)
{
    uint8_t frame[FRAME_CAP];
    struct frame_spec spec = tcp_spec(families[_i]);
    struct packet packet;
    spec.is_udp = true;
    ck_assert_int_eq(parse(frame, frame_build(&spec, frame), &packet), PACKET_UDP);
    static uint8_t octets[2][1600];
    struct train trains[2] = {{.octets = octets[0], .cap = 1600},
                              {.octets = octets[1], .cap = 1600}};
    uint8_t *room = packet_udp_room(&packet, &trains[1]);
    ck_assert_ptr_nonnull(room);
    for (unsigned i = 0; i < 99; i++)
        room[i] = (uint8_t)(i * 7);
    uint8_t copy[99];
    memcpy(copy, room, sizeof copy);
    ck_assert(packet_reply_udp(&packet, copy, sizeof copy, &trains[0]));
    ck_assert(packet_reply_udp(&packet, room, sizeof copy, &trains[1]));
    ck_assert_uint_eq(trains[0].len, trains[1].len);
    ck_assert_mem_eq(octets[0], octets[1], trains[0].len);
    ck_assert(frame_is_sound(octets[1], trains[1].len));
    ck_assert_ptr_null(packet_udp_room(&packet, &trains[1])); /* not enough left */
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("stateless_tcp/packet");
    TCase *tcase = tcase_create("packet");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, tcp_fields, 0, 2);
    tcase_add_loop_test(tcase, udp_fields, 0, 2);
    tcase_add_loop_test(tcase, every_cut_is_dropped, 0, 2);
    tcase_add_loop_test(tcase, padding_is_ignored, 0, 2);
    tcase_add_loop_test(tcase, vlan_tags, 0, 2);
    tcase_add_loop_test(tcase, checksum_policies, 0, 2);
    tcase_add_loop_test(tcase, every_flipped_bit_is_seen, 0, 2);
    tcase_add_test(tcase, udp_without_checksum);
    tcase_add_test(tcase, ipv4_fragments_are_dropped);
    tcase_add_loop_test(tcase, ipv6_extensions, 0, COUNT(extension_cases));
    tcase_add_test(tcase, ipv6_extensions_are_bounded);
    tcase_add_loop_test(tcase, only_stations_are_answered, 0, COUNT(address_cases));
    tcase_add_loop_test(tcase, group_macs_and_port_zero, 0, 2);
    tcase_add_loop_test(tcase, tcp_options, 0, COUNT(option_cases));
    tcase_add_test(tcase, bad_lengths);
    tcase_add_loop_test(tcase, replies_mirror, 0, 2);
    tcase_add_loop_test(tcase, udp_replies, 0, 2);
    tcase_add_loop_test(tcase, full_trains, 0, 2);
    tcase_add_loop_test(tcase, udp_in_place, 0, 2);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}
