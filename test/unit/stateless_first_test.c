/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a stranger's first packet draws, of every kind: nothing, or one packet that is no longer than
 * it, from user space and from the driver. Prints octets in and out.
 */
#include "stateless_tcp/modern.h"
#include "test/unit/dice.h"
#include "test/unit/driver_frames.h"
#include "test/unit/driver_front.h"
#include "test/unit/test_main.h"

#include <stdio.h>

#define FLAGS 64u

static uint8_t frame[FRAME_CAP], copy[FRAME_CAP], train_octets[TRAIN_CAP];
static struct stateless_tcp_config config;
static const uint8_t request[19] = {0, 17, 0xd5, 0, 1, 0, 0, 1, [15] = 2, [17] = 3};

/* MSS 1460, SACK permitted, Timestamps; then room for 20 octets of Fast Open. */
static uint8_t options[40] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0};

/* Octets of IP that go out, as one packet; 0: none. */
static size_t draw(size_t len)
{
    struct packet packet;
    struct stateless_tcp_query query;
    struct train train = {.octets = train_octets, .cap = sizeof train_octets};
    enum driver_counter counter;
    size_t driver_len = len;
    memcpy(copy, frame, len);
    enum driver_verdict verdict =
        driver_front(&config, &driver_keys, driver_endpoints, 2, NULL, copy, &driver_len, &counter);
    bool is_ours = packet_parse(frame, len, false, config.checksum_policy, &packet) == PACKET_TCP &&
                   packet_is_for(&packet, driver_endpoints, 2);
    if (is_ours)
        ck_assert_int_ne(
            stateless_tcp_receive(&config, &driver_keys, &packet, true, NULL, &query, &train),
            STATELESS_TCP_QUERY);
    if (train.frame_count == 0) {
        ck_assert_int_ne(verdict, DRIVER_TX);
        return 0;
    }
    size_t headers_len = PACKET_ETHERNET_HEADER_LEN + 4u * packet.vlan_count;
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_le(train.len - headers_len, packet.ip_len);
    ck_assert(verdict == DRIVER_CLIMB || (verdict == DRIVER_TX && driver_len == train.len &&
                                          memcmp(copy, train_octets, train.len) == 0));
    return train.len - headers_len;
}

static void set_up_server(unsigned index)
{
    config = driver_server(index);
    config.has_fast_open = config.profile == STATELESS_TCP_MODERN;
    config.checksum_policy = PACKET_CHECKSUM_ALWAYS;
}

static struct frame_spec stranger(int family)
{
    struct frame_spec spec = frame_spec_client(family);
    spec.flags = PACKET_SYN;
    spec.options = options;
    spec.options_len = 16;
    return spec;
}

static size_t draw_of(const struct frame_spec *spec, const char *what)
{
    size_t len = frame_build(spec, frame);
    size_t drawn = draw(len);
    if (what != NULL)
        printf("IPv%d %s: %zu in, %zu out\n", spec->family, what,
               len - PACKET_ETHERNET_HEADER_LEN - 4u * spec->tag_count, drawn);
    return drawn;
}

/* Any flags, with data or without, whatever SEG.ACK and echo claim. */
START_TEST(any_flags)
{
    for (unsigned i = 0; i < FLAGS * 400; i++) {
        struct packet packet;
        struct cookie_proof proof;
        set_up_server(i / FLAGS % 4);
        struct frame_spec spec = stranger(i / FLAGS % 8 < 4 ? 4 : 6);
        spec.flags = i % FLAGS;
        spec.ack = any();
        spec.seq = any();
        for (unsigned at = 8; at < 16; at++)
            options[at] = (uint8_t)any();
        spec.options_len = below(2) ? 16 : 4;
        spec.payload = request;
        spec.payload_len = below(2) ? sizeof request : 0;
        size_t len = frame_build(&spec, frame);
        ck_assert_int_eq(packet_parse(frame, len, false, PACKET_CHECKSUM_ALWAYS, &packet),
                         PACKET_TCP);
        bool is_lucky = config.profile == STATELESS_TCP_MODERN
                            ? modern_is_proven(&driver_keys, &packet, NULL, &proof)
                            : cookie_verify(&driver_keys, &packet, &proof);
        unsigned control = spec.flags & (PACKET_SYN | PACKET_ACK | PACKET_RST | PACKET_FIN);
        if (is_lucky && !(control & PACKET_SYN)) /* guesses: guessing_does_not_pay */
            continue;
        size_t drawn = draw(len);
        if (control != PACKET_SYN && control != PACKET_ACK && control != (PACKET_ACK | PACKET_FIN))
            ck_assert_uint_eq(drawn, 0);
    }
}
END_TEST

START_TEST(every_kind_of_syn)
{
    static const uint16_t mss[] = {0, 1, 64, 536, 65535};
    static const uint16_t tags[] = {0x88a8, 7, 0x8100, 9};
    static const uint8_t padding[8] = {6, 0, 1, 4, 0xc0, 0xc0, 0xc0, 0xc0}; /* is not looked into */
    static const uint8_t junk[1200];
    int family = _i % 2 ? 6 : 4;
    set_up_server(_i / 2 ? 3 : 0);
    struct frame_spec spec = stranger(family);
    for (size_t i = 0; i < sizeof mss / sizeof *mss; i++) {
        options[2] = (uint8_t)(mss[i] >> 8);
        options[3] = (uint8_t)mss[i];
        ck_assert_uint_gt(draw_of(&spec, "SYN"), 0);
    }
    for (unsigned len = 0; len <= 16; len += 4) {
        spec.options_len = len; /* cut in the midst of Timestamps: malformed */
        draw_of(&spec, "SYN with fewer options");
    }
    /* Fast Open: asks for a cookie; has a wrong one; one of another length. */
    static const uint8_t wishes[][2] = {{2, 4}, {10, 12}, {18, 20}};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        memset(options + 16, 1, 24);
        options[16] = 34;
        options[17] = wishes[i][0];
        spec.options_len = 16u + wishes[i][1];
        for (unsigned has_data = 0; has_data < 2; has_data++) {
            spec.payload = request;
            spec.payload_len = has_data ? sizeof request : 0;
            ck_assert_uint_gt(draw_of(&spec, "SYN, Fast Open"), 0);
        }
    }
    spec.options_len = 40; /* all that a header holds */
    ck_assert_uint_gt(draw_of(&spec, "SYN, 40 octets of options"), 0);
    spec.payload = junk;
    spec.payload_len = sizeof junk;
    ck_assert_uint_le(draw_of(&spec, "SYN, 1,200 octets of data"), 88);
    spec.payload_len = 0;
    spec.tags = tags;
    spec.tag_count = 2;
    ck_assert_uint_gt(draw_of(&spec, "SYN, two VLAN tags"), 0);
    spec.tag_count = 0;
    if (family == 4)
        return;
    spec.extensions = padding;
    spec.extensions_len = sizeof padding;
    spec.extension_first = 60;
    ck_assert_uint_gt(draw_of(&spec, "SYN behind destination options"), 0);
}
END_TEST

/* A cookie of Fast Open proves an address; but without Timestamps nothing could come of it. */
START_TEST(fast_open_without_timestamps)
{
    struct packet packet;
    uint8_t with_cookie[16] = {2, 4, 5, 180, 34, 10, [14] = 1, [15] = 1};
    set_up_server(0);
    struct frame_spec spec = stranger(4);
    ck_assert_int_eq(
        packet_parse(frame, frame_build(&spec, frame), false, PACKET_CHECKSUM_ALWAYS, &packet),
        PACKET_TCP);
    cookie_make_fast_open(&driver_keys, &packet, with_cookie + 6);
    spec.options = with_cookie;
    spec.options_len = sizeof with_cookie;
    spec.payload = request;
    spec.payload_len = sizeof request;
    ck_assert_uint_gt(draw_of(&spec, "SYN, good cookie, no Timestamps"), 0);
}
END_TEST

/* Nobody, everybody, and ourselves. */
START_TEST(silence)
{
    static const uint8_t sources[][4] = {{0, 0, 0, 0},   {255, 255, 255, 255}, {224, 0, 0, 1},
                                         {239, 1, 1, 1}, {127, 0, 0, 1},       {240, 0, 0, 1},
                                         {198, 18, 0, 1}};
    set_up_server(0);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct frame_spec spec = stranger(4);
        memcpy(spec.source, sources[i], 4);
        spec.source_port = i == 6 ? 53 : 40000; /* our own address and port */
        ck_assert_uint_eq(draw_of(&spec, "SYN from nobody"), 0);
        spec = stranger(4);
        memcpy(spec.destination, sources[i], 4);
        spec.destination_port = i == 6 ? 54 : 53;
        ck_assert_uint_eq(draw_of(&spec, "SYN to nobody"), 0);
    }
    struct frame_spec spec = stranger(6);
    memset(spec.source, 0, 16);
    spec.source[0] = 0xff;
    ck_assert_uint_eq(draw_of(&spec, "SYN from a group"), 0);
    spec = stranger(4);
    spec.source_port = 0;
    ck_assert_uint_eq(draw_of(&spec, "SYN from port 0"), 0);
    spec = stranger(4);
    size_t len = frame_build(&spec, frame);
    for (unsigned group = 0; group < 2; group++) {
        frame[6 * group] ^= 1;
        ck_assert_uint_eq(draw(len), 0);
        frame[6 * group] ^= 1;
    }
    for (size_t at = PACKET_ETHERNET_HEADER_LEN; at < len; at++) { /* checksums */
        frame[at] ^= 0x10;
        ck_assert_uint_eq(draw(len), 0);
        frame[at] ^= 0x10;
    }
    config.checksum_policy = PACKET_CHECKSUM_NEVER;
    for (unsigned bit = 0; bit < 14; bit++) { /* fragments */
        frame[20 + (bit < 8)] ^= (uint8_t)(1u << bit % 8);
        ck_assert_uint_eq(draw(len), 0);
        frame[20 + (bit < 8)] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stateless_tcp/first packets");
    TCase *tcase = tcase_create("first");
    tcase_add_test(tcase, any_flags);
    tcase_add_loop_test(tcase, every_kind_of_syn, 0, 4);
    tcase_add_test(tcase, fast_open_without_timestamps);
    tcase_add_test(tcase, silence);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}
