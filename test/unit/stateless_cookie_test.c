/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/cookie.h"
#include "stateless_tcp/siphash.h"
#include "test_main.h"

#include <stdlib.h>
#include <string.h>

static const struct stateless_tcp_keys keys = {
    .epochs = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, {98}}};

static struct packet client_packet(uint8_t family)
{
    struct packet packet = {
        .source = {.family = family, .octets = {198, 18, 0, 2}},
        .destination = {.family = family, .octets = {198, 18, 0, 1}},
        .source_port = 40000,
        .destination_port = 53,
        .mss = 1460,
    };
    return packet;
}

START_TEST(classes)
{
    static const struct {
        uint16_t mss, class_mss;
    } cases[] = {{0, 536},     {1, 536},     {536, 536},   {1219, 536},  {1220, 1220},
                 {1439, 1220}, {1440, 1440}, {1460, 1440}, {65535, 1440}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_uint_eq(cookie_class_mss(cookie_class(cases[i].mss)), cases[i].class_mss);
}
END_TEST

/* The drawing in the header, written out a second time. */
START_TEST(input_is_as_documented)
{
    struct packet packet = client_packet(4);
    const uint8_t input[38] = {4, 198, 18, 0, 2, [17] = 198, 18, 0, 1, [33] = 0x9c, 0x40, 0, 53, 0};
    uint32_t hash = (uint32_t)siphash_2_4_64(keys.epochs[0], input, sizeof(input));
    ck_assert_uint_eq(cookie_make(&keys, &packet), 1u << 31 | 2u << 29 | (hash & 0x1fffffff));
}
END_TEST

START_TEST(offsets_are_bounded)
{
    static const uint16_t mss[] = {0, 1220, 1460};
    struct packet packet = client_packet(_i % 2 ? 6 : 4);
    packet.mss = mss[_i / 2];
    uint32_t iss = cookie_make(&keys, &packet);
    static const uint32_t offsets[] = {0, 1, 1000, COOKIE_OFFSET_MAX - 1, COOKIE_OFFSET_MAX};
    struct cookie_proof proof;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        struct packet segment = packet;
        segment.mss = 0; /* options are in the SYN only */
        segment.ack = iss + 1 + offsets[i];
        ck_assert(cookie_verify(&keys, &segment, &proof));
        ck_assert_uint_eq(proof.offset, offsets[i]);
        ck_assert_uint_eq(proof.mss_class, cookie_class(mss[_i / 2]));
    }
    packet.ack = iss;
    ck_assert(!cookie_verify(&keys, &packet, &proof));
    packet.ack = iss + 1 + COOKIE_OFFSET_MAX + 1;
    ck_assert(!cookie_verify(&keys, &packet, &proof));
}
END_TEST

START_TEST(everything_is_bound)
{
    struct packet packet = client_packet(4);
    packet.ack = cookie_make(&keys, &packet) + 1;
    struct cookie_proof proof;
    ck_assert(cookie_verify(&keys, &packet, &proof));
    for (unsigned i = 0; i < 16; i++) {
        struct packet other = packet;
        other.source.octets[i] ^= 1;
        ck_assert(!cookie_verify(&keys, &other, &proof));
        other = packet;
        other.destination.octets[i] ^= 1;
        ck_assert(!cookie_verify(&keys, &other, &proof));
    }
    struct packet other = packet;
    other.source_port ^= 1;
    ck_assert(!cookie_verify(&keys, &other, &proof));
    other = packet;
    other.destination_port ^= 1;
    ck_assert(!cookie_verify(&keys, &other, &proof));
    other = packet;
    other.source.family = 6;
    ck_assert(!cookie_verify(&keys, &other, &proof));
    /* The segment's own numbers are not: they change. */
    other = packet;
    other.seq ^= 1;
    ck_assert(cookie_verify(&keys, &other, &proof));
}
END_TEST

START_TEST(epochs)
{
    struct stateless_tcp_keys before = keys, after, later;
    memcpy(after.epochs[1], before.epochs[0], COOKIE_KEY_LEN);
    memset(after.epochs[0], 6, COOKIE_KEY_LEN);
    memcpy(later.epochs[1], after.epochs[0], COOKIE_KEY_LEN);
    memset(later.epochs[0], 7, COOKIE_KEY_LEN);
    struct packet packet = client_packet(6);
    packet.ack = cookie_make(&before, &packet) + 1;
    struct cookie_proof proof;
    ck_assert(cookie_verify(&before, &packet, &proof));
    ck_assert(cookie_verify(&after, &packet, &proof));
    ck_assert(!cookie_verify(&later, &packet, &proof));
}
END_TEST

/* No connection is ever taken for another, however long its stream, whatever its class and epoch,
 * even where the hash is near its end. */
START_TEST(candidates_never_overlap)
{
    struct stateless_tcp_keys next = keys;
    memcpy(next.epochs[1], keys.epochs[0], COOKIE_KEY_LEN);
    next.epochs[0][0] = 8;
    struct packet packet = client_packet(4);
    struct cookie_proof proof;
    unsigned near_end = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        static const uint16_t msss[] = {0, 1220, 1460};
        packet.source.octets[1] = (uint8_t)(i >> 16);
        packet.source_port = (uint16_t)i;
        packet.mss = msss[i % 3];
        uint32_t offset = i * 42949 % COOKIE_STREAM_MAX;
        packet.ack = cookie_make(&keys, &packet) + 1 + offset;
        near_end += (packet.ack & 0x1fffffff) < offset % COOKIE_STREAM_MAX;
        for (unsigned j = 0; j < 2; j++) {
            ck_assert(cookie_read(j ? &next : &keys, &packet, &proof));
            ck_assert_uint_eq(proof.offset, offset);
            ck_assert_uint_eq(proof.mss_class, i % 3);
        }
    }
    ck_assert_uint_gt(near_end, 0);
}
END_TEST

/* The bound that the header states, from the constants that are used. */
START_TEST(spoofing_never_pays)
{
    double chance = (COOKIE_OFFSET_MAX + 1.0) / COOKIE_STREAM_MAX;
    ck_assert_uint_eq((unsigned)(1 / chance), 8191);
    double request_min =
        PACKET_ETHERNET_HEADER_LEN + PACKET_IPV4_HEADER_LEN + PACKET_TCP_HEADER_LEN + 2 + 12 + 5;
    double amplification = chance * TRAIN_CAP / request_min;
    ck_assert_double_lt(amplification, 1);
    ck_assert_double_lt(chance * TRAIN_CAP, 12);
}
END_TEST

/* And as it is: guesses against a fixed connection, every 8191st number of the whole space. */
START_TEST(blind_guesses)
{
    struct packet packet = client_packet(4);
    struct cookie_proof proof;
    unsigned tries = 0, hits = 0;
    for (uint64_t ack = 0; ack < 4294967296; ack += 8191, tries++) {
        packet.ack = (uint32_t)ack;
        hits += cookie_verify(&keys, &packet, &proof);
    }
    /* Each of the six windows is 65,539 wide: eight or nine of these steps. */
    ck_assert_uint_ge(tries, 524288);
    ck_assert_uint_ge(hits, 1);
    ck_assert_uint_le(hits, 6 * 9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stateless_tcp/cookie");
    TCase *tcase = tcase_create("cookie");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, classes);
    tcase_add_test(tcase, input_is_as_documented);
    tcase_add_loop_test(tcase, offsets_are_bounded, 0, 6);
    tcase_add_test(tcase, everything_is_bound);
    tcase_add_test(tcase, epochs);
    tcase_add_test(tcase, candidates_never_overlap);
    tcase_add_test(tcase, spoofing_never_pays);
    tcase_add_test(tcase, blind_guesses);
    suite_add_tcase(suite, tcase);
    return test_suite_run(suite);
}
