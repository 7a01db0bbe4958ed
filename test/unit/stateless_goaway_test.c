/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/goaway.h"
#include "test_main.h"

static const struct goaway_keys keys = {{{1}, {2}}}, later = {{{3}, {1}}}, other = {{{4}, {5}}};
static const uint8_t payload[300] = {0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w'};

static struct packet_address address_of(uint8_t family, const char *hex)
{
    struct packet_address address = {.family = family};
    hex_decode(hex, address.octets, sizeof address.octets);
    return address;
}

static struct goaway_ends ends_of(uint8_t family)
{
    if (family == 4)
        return (struct goaway_ends){address_of(4, "c6120002"), address_of(4, "c6120001")};
    return (struct goaway_ends){address_of(6, "fd000198 00180000 00000000 00000002"),
                                address_of(6, "fd000198 00180000 00000000 00000001")};
}

static struct goaway_ends turned(struct goaway_ends ends)
{
    return (struct goaway_ends){ends.destination, ends.source};
}

static struct goaway_packet udp_packet(uint8_t family, size_t payload_len)
{
    struct goaway_packet packet;
    const struct goaway_ends ends = ends_of(family);
    ck_assert(goaway_packet_udp(&ends, 40000, 53, payload, payload_len, &packet));
    return packet;
}

/* The three messages of an exchange. */
struct exchange {
    struct goaway_ends there, back;
    uint8_t goaway[GOAWAY_MESSAGE_MAX], block[GOAWAY_MESSAGE_MAX], reply[GOAWAY_MESSAGE_MAX];
    size_t goaway_len, block_len, reply_len;
};

static struct exchange exchange_of(uint8_t family, size_t payload_len)
{
    struct exchange e = {.there = ends_of(family), .back = turned(ends_of(family))};
    const struct goaway_packet packet = udp_packet(family, payload_len);
    e.goaway_len = goaway_make(&keys, &packet, e.goaway);
    ck_assert_uint_gt(e.goaway_len, 0);
    e.block_len = goaway_make_block(&e.back, e.goaway, e.goaway_len, 0x0102030405060708, e.block);
    e.reply_len = goaway_make_reply(&e.there, e.block, e.block_len, GOAWAY_SOURCE, e.reply);
    return e;
}

static bool takes(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                  struct goaway_message *message)
{
    uint8_t *copy = exact_copy(octets, len);
    bool is_taken = goaway_read(ends, copy, len, message);
    free(copy);
    return is_taken;
}

/* Octet by octet, as the header draws it; the checksum was added by hand. */
START_TEST(test_layout)
{
    uint8_t want[GOAWAY_MESSAGE_MAX], got[GOAWAY_MESSAGE_MAX];
    const struct goaway_packet packet = udp_packet(4, 36);
    size_t len = goaway_make(&keys, &packet, got);
    ck_assert_uint_eq(len, 16 + 20 + 8);
    /* What the checksum and the nonce are is not known here; all else is. */
    size_t want_len = hex_decode("fd00 0000 01000000 0000000000000000"
                                 "4500 0040 0000 0000 0011 0000 c6120002 c6120001"
                                 "9c40 0035 002c 0000",
                                 want, sizeof want);
    ck_assert_uint_eq(want_len, len);
    memcpy(want + 2, got + 2, 2);
    memcpy(want + 8, got + 8, 8);
    memcpy(want + 42, got + 42, 2);
    ck_assert_mem_eq(got, want, len);
    /* UDP: 0xc612 0x0002 0xc612 0x0001 0x0011 0x002c | 0x9c40 0x0035 0x002c | payload. */
    uint32_t sum = 0xc612 + 2 + 0xc612 + 1 + 0x11 + 0x2c + 0x9c40 + 0x35 + 0x2c + 0xabcd + 0x0100 +
                   1 + 0x0377 + 0x7777;
    sum = (sum & 0xffff) + (sum >> 16);
    ck_assert_uint_eq((unsigned)(got[42] << 8 | got[43]), 0xffff - sum);
    uint32_t icmp = 0;
    for (size_t i = 0; i < len; i += 2)
        icmp += (uint32_t)(got[i] << 8 | got[i + 1]);
    ck_assert_uint_eq((icmp & 0xffff) + (icmp >> 16), 0xffff);
}
END_TEST

/* Never longer than what it answers, and nothing where the ports have no room. */
START_TEST(test_never_larger)
{
    for (unsigned family = 4; family <= 6; family += 2)
        for (size_t len = 0; len < sizeof payload; len++) {
            uint8_t message[GOAWAY_MESSAGE_MAX];
            const struct goaway_packet packet = udp_packet((uint8_t)family, len);
            size_t header = family == 4 ? 20 : 40, made = goaway_make(&keys, &packet, message);
            if (packet.ip_len < (family == 4 ? 48 : 68)) {
                ck_assert_uint_eq(made, 0);
                continue;
            }
            size_t quoted_header = packet.ip_len < (family == 4 ? 64 : 104) ? 4 : header;
            size_t room = packet.ip_len - header - quoted_header - 16;
            size_t quoted = room < 8 + len ? room : 8 + len;
            ck_assert_uint_eq(message[6], quoted_header == 4);
            ck_assert_uint_eq(made, 16 + quoted_header + (quoted < 64 ? quoted : 64));
            ck_assert_uint_le(header + made, packet.ip_len);
            const struct exchange e = exchange_of((uint8_t)family, len);
            ck_assert_uint_le(e.reply_len, e.block_len);
        }
}
END_TEST

START_TEST(test_exchange)
{
    for (unsigned family = 4; family <= 6; family += 2)
        for (size_t len = 20; len < 140; len++) {
            const struct exchange e = exchange_of((uint8_t)family, len);
            struct goaway_message m;
            ck_assert(takes(&e.back, e.goaway, e.goaway_len, &m));
            ck_assert_int_eq(m.kind, GOAWAY_GOAWAY);
            ck_assert_uint_eq(m.unwanted.source_port, 40000);
            ck_assert_uint_eq(m.unwanted.destination_port, 53);
            ck_assert_uint_eq(m.unwanted.protocol, 17);
            uint64_t nonce = m.nonce;
            ck_assert(takes(&e.there, e.block, e.block_len, &m));
            ck_assert_int_eq(m.kind, GOAWAY_BLOCK);
            ck_assert(m.nonce == 0x0102030405060708 && m.quoted_nonce == nonce);
            ck_assert(goaway_is_ours(&keys, &m) && goaway_is_ours(&later, &m));
            ck_assert(!goaway_is_ours(&other, &m));
            m.unwanted.source_port ^= 1;
            ck_assert(!goaway_is_ours(&keys, &m));
            ck_assert(takes(&e.back, e.reply, e.reply_len, &m));
            ck_assert_int_eq(m.kind, GOAWAY_REPLY);
            ck_assert_int_eq(m.code, GOAWAY_SOURCE);
            ck_assert(m.nonce == 0x0102030405060708);
            ck_assert_mem_eq(m.quoted, e.block, m.quoted_len);
        }
}
END_TEST

static void must_refuse_all_but(const struct goaway_ends *ends, const uint8_t *octets, size_t len)
{
    struct goaway_message m;
    uint8_t altered[GOAWAY_MESSAGE_MAX + 1] = {0};
    memcpy(altered, octets, len);
    ck_assert(takes(ends, altered, len, &m));
    for (size_t bit = 0; bit < 8 * len; bit++) {
        altered[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert(!takes(ends, altered, len, &m));
        altered[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        ck_assert(!takes(ends, altered, cut, &m));
    ck_assert(!takes(ends, altered, len + 1, &m));
    /* With a short header the addresses are its own, which ICMP has no checksum of for IPv4, and no
     * order of in that for IPv6. */
    struct goaway_ends elsewhere[2] = {turned(*ends), *ends};
    elsewhere[1].source.octets[3] ^= 1;
    for (size_t i = 0; i < 2; i++)
        if (takes(&elsewhere[i], altered, len, &m)) {
            ck_assert(altered[6] == 1 && (i == 0 || ends->source.family == 4));
            ck_assert(packet_address_equal(&m.unwanted.ends.destination, &elsewhere[i].source));
        }
}

START_TEST(test_one_bit)
{
    for (unsigned family = 4; family <= 6; family += 2)
        for (size_t len = 20; len < 140; len += 11) {
            const struct exchange e = exchange_of((uint8_t)family, len);
            must_refuse_all_but(&e.back, e.goaway, e.goaway_len);
            must_refuse_all_but(&e.there, e.block, e.block_len);
            must_refuse_all_but(&e.back, e.reply, e.reply_len);
        }
}
END_TEST

/* The same, with the checksum made right again: fields that have one value only. */
START_TEST(test_fields)
{
    /* where, by what it is changed; in a GoAway of IPv4 */
    static const struct {
        unsigned at;
        uint8_t by;
    } changes[] = {
        {1, 1},   /* code */
        {4, 3},   /* version */
        {5, 1},   /* block code */
        {6, 1},   /* form */
        {6, 2},   /* neither form */
        {7, 1},   /* reserved */
        {16, 1},  /* header length of what is quoted */
        {16, 32}, /* its version */
        {18, 1},  /* length: 256 more, of which more would be quoted */
        {22, 32}, /* a fragment */
        {25, 16}, /* protocol: about ICMP */
        {25, 17}, /* and about nothing */
        {28, 1},  /* source: somebody else's packet */
        {32, 1},  /* destination: sent to somebody else */
        {41, 1},  /* length of the UDP datagram */
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct goaway_message m;
        struct exchange e = exchange_of(4, 50);
        uint8_t *at = &e.goaway[changes[i].at];
        int before = *at;
        *at ^= changes[i].by;
        /* RFC 1624, equation 3 */
        unsigned shift = changes[i].at % 2 == 0 ? 8 : 0;
        uint32_t sum = (uint32_t)(uint16_t) ~(e.goaway[2] << 8 | e.goaway[3]);
        sum += (uint32_t)(uint16_t) ~((unsigned)before << shift) + ((uint32_t)*at << shift);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        e.goaway[2] = (uint8_t)(~sum >> 8);
        e.goaway[3] = (uint8_t)~sum;
        uint32_t all = 0;
        for (size_t o = 0; o < e.goaway_len; o++)
            all += (uint32_t)e.goaway[o] << (o % 2 == 0 ? 8 : 0);
        all = (all & 0xffff) + (all >> 16);
        ck_assert_uint_eq((all & 0xffff) + (all >> 16), 0xffff);
        ck_assert_msg(!takes(&e.back, e.goaway, e.goaway_len, &m), "change %zu", i);
    }
}
END_TEST

/* Nobody is told who cannot be one host that sent it. */
START_TEST(test_addresses)
{
    static const struct {
        uint8_t family;
        const char *source, *destination;
    } bad[] = {
        {4, "00000000", "c6120001"},
        {4, "c6120002", "ffffffff"},
        {4, "e0000001", "c6120001"},
        {4, "c6120002", "efff0001"},
        {4, "f0000001", "c6120001"},
        {4, "c6120001", "c6120001"},
        {4, "7f000001", "c6120001"},
        {4, "c6120002", "7f000001"},
        {4, "00000005", "c6120001"},
        {6, "00000000000000000000000000000000", "fd000198001800000000000000000001"},
        {6, "fd000198001800000000000000000001", "ff020000000000000000000000000001"},
        {6, "ff020000000000000000000000000001", "fd000198001800000000000000000001"},
        {6, "00000000000000000000000000000001", "fd000198001800000000000000000001"},
        {6, "00000000000000000000ffffc6120002", "fd000198001800000000000000000001"},
        {6, "fd000198001800000000000000000001", "fd000198001800000000000000000001"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct goaway_packet packet;
        uint8_t message[GOAWAY_MESSAGE_MAX];
        const struct goaway_ends ends = {address_of(bad[i].family, bad[i].source),
                                         address_of(bad[i].family, bad[i].destination)};
        ck_assert(!goaway_ends_are_good(&ends));
        ck_assert(goaway_packet_udp(&ends, 1, 2, payload, 100, &packet));
        ck_assert_msg(goaway_make(&keys, &packet, message) == 0, "pair %zu", i);
    }
    const struct goaway_ends mixed = {ends_of(4).source, ends_of(6).destination};
    struct goaway_packet packet;
    ck_assert(!goaway_packet_udp(&mixed, 1, 2, payload, 100, &packet));
    const struct goaway_ends local = {address_of(4, "7f000001"), address_of(4, "7f000002")};
    ck_assert(goaway_ends_are_good(&local));
}
END_TEST

/* About errors, and about messages of ours, there is no packet to be made. */
START_TEST(test_segments)
{
    const struct goaway_ends ends = ends_of(4);
    struct goaway_packet packet;
    uint8_t segment[80] = {0x9c, 0x40, 0, 53, 1, 2, 3, 4, [16] = 0xaa, [17] = 0xbb};
    ck_assert(!goaway_packet_tcp(&ends, segment, 19, 19, &packet));
    ck_assert(!goaway_packet_tcp(&ends, segment, 40, 80, &packet));
    ck_assert(!goaway_packet_tcp(&ends, segment, 80, 70, &packet));
    ck_assert(!goaway_packet_tcp(&ends, segment, 80, 65530, &packet));
    ck_assert(goaway_packet_tcp(&ends, segment, 64, 80, &packet));
    ck_assert_uint_eq(packet.octets_len, 64);
    ck_assert_uint_eq(packet.octets[16] | packet.octets[17], 0);
    uint8_t message[GOAWAY_MESSAGE_MAX];
    struct goaway_message m;
    const struct goaway_ends back = turned(ends);
    size_t len = goaway_make(&keys, &packet, message);
    ck_assert(len > 0 && takes(&back, message, len, &m));
    ck_assert_uint_eq(m.unwanted.protocol, 6);
}
END_TEST

/* The SYN that Linux sends has no room for a whole header: 20 octets of it are quoted all the same. */
START_TEST(test_syn)
{
    uint8_t syn[40] = {0x9c, 0x40, 0, 53, 1, 2, 3, 4, [12] = 0xa0, 2, [16] = 0xaa, [17] = 0xbb};
    for (unsigned family = 4; family <= 6; family += 2) {
        const struct goaway_ends ends = ends_of((uint8_t)family), back = turned(ends);
        struct goaway_packet packet;
        struct goaway_message m;
        uint8_t goaway[GOAWAY_MESSAGE_MAX], block[GOAWAY_MESSAGE_MAX], reply[GOAWAY_MESSAGE_MAX];
        ck_assert(goaway_packet_tcp(&ends, syn, sizeof syn, sizeof syn, &packet));
        size_t len = goaway_make(&keys, &packet, goaway);
        ck_assert_uint_eq(len, 16 + 4 + 20);
        ck_assert(takes(&back, goaway, len, &m) && m.unwanted.octets_len == 20);
        ck_assert_mem_eq(m.unwanted.octets, packet.octets, 20);
        ck_assert(m.unwanted.protocol == 6 && m.unwanted.ip_len == packet.ip_len);
        must_refuse_all_but(&back, goaway, len);
        size_t block_len = goaway_make_block(&back, goaway, len, 5, block);
        ck_assert(takes(&ends, block, block_len, &m) && goaway_is_ours(&keys, &m));
        must_refuse_all_but(&ends, block, block_len);
        size_t reply_len = goaway_make_reply(&ends, block, block_len, GOAWAY_HOST, reply);
        ck_assert_uint_eq(reply_len, block_len);
        must_refuse_all_but(&back, reply, reply_len);
        /* A pure ACK with timestamps, a bare SYN: too short, or just long enough. */
        ck_assert(goaway_packet_tcp(&ends, syn, 32, 32, &packet));
        ck_assert_uint_eq(goaway_make(&keys, &packet, goaway), 32);
        ck_assert(goaway_packet_tcp(&ends, syn, 24, 24, &packet));
        ck_assert_uint_eq(goaway_make(&keys, &packet, goaway), 0);
    }
}
END_TEST

/* A UDP checksum of zero would say that there is none (RFC 768). */
START_TEST(test_zero_checksum)
{
    const struct goaway_ends ends = ends_of(4);
    struct goaway_packet packet;
    bool is_seen = false;
    for (unsigned i = 0; i < 0x10000; i++) {
        const uint8_t two[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        ck_assert(goaway_packet_udp(&ends, 40000, 53, two, 2, &packet));
        ck_assert_uint_ne(packet.octets[6] | packet.octets[7], 0);
        is_seen |= packet.octets[6] == 0xff && packet.octets[7] == 0xff;
    }
    ck_assert(is_seen);
}
END_TEST

START_TEST(test_open_packet)
{
    uint8_t octets[64];
    const uint8_t *at;
    uint8_t protocol;
    size_t captured_len, len;
    struct goaway_ends ends;
    size_t size = hex_decode("4500 0020 0000 4000 4011 aea5 c6120002 c6120001 9c40 0035 000c 0000"
                             "61626364 0000",
                             octets, sizeof octets);
    ck_assert(goaway_open_packet(octets, size, &ends, &protocol, &at, &captured_len, &len));
    ck_assert(protocol == 17 && at == octets + 20 && captured_len == 12 && len == 12);
    const struct goaway_ends want = ends_of(4);
    ck_assert(packet_address_equal(&ends.source, &want.source));
    ck_assert(goaway_open_packet(octets, 26, &ends, &protocol, &at, &captured_len, &len));
    ck_assert(captured_len == 6 && len == 12);
    static const uint8_t damages[] = {0, 1, 3, 6, 10};
    for (size_t i = 0; i < sizeof damages; i++) {
        octets[damages[i]] ^= 0x21;
        ck_assert(!goaway_open_packet(octets, size, &ends, &protocol, &at, &captured_len, &len));
        octets[damages[i]] ^= 0x21;
    }
    for (size_t cut = 0; cut < 20; cut++)
        ck_assert(!goaway_open_packet(octets, cut, &ends, &protocol, &at, &captured_len, &len));
}
END_TEST

TEST_MAIN("stateless_goaway", test_layout, test_never_larger, test_exchange, test_one_bit,
          test_fields, test_addresses, test_segments, test_syn, test_zero_checksum,
          test_open_packet)
