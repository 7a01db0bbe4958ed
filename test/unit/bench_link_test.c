/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_bed.h"

static struct train train;
static uint8_t train_octets[TRAIN_CAP];
static struct bed *bed;

static void begin(int family)
{
    bed = bed_begin(BENCH_RAW_UDP, family);
    bed_open(bed);
    train = (struct train){.octets = train_octets, .cap = sizeof train_octets};
}

static void one_frame_is(const char *hex)
{
    uint8_t expected[128];
    size_t len = hex_decode(hex, expected, sizeof expected);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(train.len, len);
    ck_assert_mem_eq(train_octets, expected, len);
    train.len = train.frame_count = 0;
}

/* Returns whether it was a question. */
static bool answer(const char *hex)
{
    uint8_t frame[128];
    size_t len = hex_decode(hex, frame, sizeof frame);
    uint8_t *copy = exact_copy(frame, len);
    bool is_question = raw_link_answer(&bed->path, copy, len, &train);
    free(copy);
    return is_question;
}

START_TEST(arp_is_answered)
{
    begin(4);
    ck_assert(answer("ffffffffffff 020000000001 0806 0001080006040001"
                     "020000000001 c6120001 000000000000 c6124003"));
    one_frame_is("020000000001 020000000002 0806 0001080006040002"
                 "020000000002 c6124003 020000000001 c6120001");
    /* not ours: the network's own address, and another network's */
    ck_assert(answer("ffffffffffff 020000000001 0806 0001080006040001"
                     "020000000001 c6120001 000000000000 c6124000"));
    ck_assert(answer("ffffffffffff 020000000001 0806 0001080006040001"
                     "020000000001 c6120001 000000000000 c6120002"));
    ck_assert_uint_eq(train.frame_count, 0);
    bed_end(bed);
}
END_TEST

START_TEST(arp_is_asked_and_learnt)
{
    uint8_t frame[128], mac[6], expected[6] = {2, 0, 0, 0, 0, 1};
    begin(4);
    raw_link_ask(&bed->path, &bed->path.server, &train);
    one_frame_is("ffffffffffff 020000000002 0806 0001080006040001"
                 "020000000002 c6124001 000000000000 c6120001");
    size_t len = hex_decode("020000000002 020000000001 0806 0001080006040002"
                            "020000000001 c6120001 020000000002 c6124001",
                            frame, sizeof frame);
    ck_assert(raw_link_learn(frame, len, &bed->path.server, mac));
    ck_assert_mem_eq(mac, expected, 6);
    ck_assert(!raw_link_learn(frame, len - 1, &bed->path.server, mac));
    frame[31] ^= 1;
    ck_assert(!raw_link_learn(frame, len, &bed->path.server, mac));
    bed_end(bed);
}
END_TEST

/* From fd00:198:18::1, for fd00:198:18:40::3. */
#define SOLICITATION                                                                       \
    "3333ff000003 020000000001 86dd 60000000 0020 3a ff fd000198001800000000000000000001"  \
    "ff0200000000000000000001ff000003 8700 0000 00000000 fd000198001800400000000000000003" \
    "0101020000000001"

START_TEST(solicitations_are_answered)
{
    begin(6);
    ck_assert(answer(SOLICITATION));
    /* the checksum is of another program (RFC 8200 8.1) */
    one_frame_is("020000000001 020000000002 86dd 60000000 0020 3a ff"
                 "fd000198001800400000000000000003 fd000198001800000000000000000001"
                 "8800 1708 60000000 fd000198001800400000000000000003 0201020000000002");
    bed_end(bed);
}
END_TEST

START_TEST(solicitations_are_sent_and_their_answers_learnt)
{
    uint8_t frame[128], mac[6];
    const uint8_t own[6] = {2, 0, 0, 0, 0, 1}, told[6] = {2, 0, 0, 0, 0, 9};
    begin(6);
    raw_link_ask(&bed->path, &bed->path.server, &train);
    ck_assert_uint_eq(train.frame_count, 1);
    ck_assert_uint_eq(train_octets[0], 0x33);
    ck_assert_uint_eq(train_octets[54], 135);
    size_t len = hex_decode("020000000002 020000000001 86dd 60000000 0020 3a ff"
                            "fd000198001800000000000000000001 fd000198001800400000000000000001"
                            "8800 0000 60000000 fd000198001800000000000000000001 0201020000000009",
                            frame, sizeof frame);
    ck_assert(raw_link_learn(frame, len, &bed->path.server, mac));
    ck_assert_mem_eq(mac, told, 6);
    /* without the option, or with one of no length: who sent it */
    ck_assert(raw_link_learn(frame, len - 8, &bed->path.server, mac));
    ck_assert_mem_eq(mac, own, 6);
    frame[len - 7] = 0;
    ck_assert(raw_link_learn(frame, len, &bed->path.server, mac));
    ck_assert_mem_eq(mac, own, 6);
    frame[21] = 254; /* hop limit: it has passed a router */
    ck_assert(!raw_link_learn(frame, len, &bed->path.server, mac));
    bed_end(bed);
}
END_TEST

/* No octet of a frame is read that is not there, and nothing that is cut is answered. */
START_TEST(cut_frames)
{
    uint8_t frame[128];
    for (int family = 4; family <= 6; family += 2) {
        begin(family);
        size_t len = family == 4 ? hex_decode("ffffffffffff 020000000001 0806 0001080006040001"
                                              "020000000001 c6120001 000000000000 c6124003",
                                              frame, sizeof frame)
                                 : hex_decode(SOLICITATION, frame, sizeof frame) - 8;
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t mac[6], *copy = exact_copy(frame, cut);
            ck_assert(!raw_link_answer(&bed->path, copy, cut, &train));
            ck_assert(!raw_link_learn(copy, cut, &bed->path.server, mac));
            free(copy);
        }
        bed_end(bed);
    }
}
END_TEST

/* Each number has an address of its own, which tells the number. */
START_TEST(sources_are_numbered)
{
    static const struct {
        uint8_t family, len;
        uint32_t count;
    } prefixes[] = {{4, 32, 1},     {4, 31, 2},  {4, 30, 2},  {4, 24, 254},   {4, 16, 65534},
                    {4, 15, 65536}, {6, 128, 1}, {6, 127, 2}, {6, 64, 65536}, {6, 120, 255}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        struct prefix prefix = {.address = {.family = prefixes[i].family, .octets = {198, 18}},
                                .len = prefixes[i].len};
        struct packet_address before = {.family = 0};
        uint32_t number;
        ck_assert_uint_eq(source_count(&prefix), prefixes[i].count);
        for (uint32_t n = 0; n < prefixes[i].count; n++) {
            struct packet_address address = source_address(&prefix, n);
            ck_assert(prefix_has(&prefix, 1, &address));
            ck_assert_int_ne(memcmp(&address, &before, sizeof address), 0);
            ck_assert(source_number(&prefix, &address, &number));
            ck_assert_uint_eq(number, n);
            before = address;
        }
        ck_assert_int_eq(source_number(&prefix, &prefix.address, &number),
                         prefixes[i].len >= (prefix.address.family == 4 ? 31 : 127));
    }
}
END_TEST

/* Each tuple has frames of its own, and an answer to them tells the tuple. */
START_TEST(tuples_are_numbered)
{
    for (int family = 4; family <= 6; family += 2) {
        begin(family);
        for (uint32_t tuple = 0; tuple < bed->path.tuples.count; tuple += 3) {
            const uint8_t payload[] = {1, 2, 3};
            struct packet packet, reply = {.source_port = 53};
            uint32_t found;
            train.len = train.frame_count = 0;
            ck_assert(
                raw_frame_udp(&bed->path, tuple, payload, 3, question_sum(payload, 3), &train));
            ck_assert(frame_is_sound(train_octets, train.len));
            ck_assert_int_eq(
                packet_parse(train_octets, train.len, false, PACKET_CHECKSUM_ALWAYS, &packet),
                PACKET_UDP);
            reply.source = packet.destination;
            reply.destination = packet.source;
            reply.destination_port = packet.source_port;
            ck_assert(raw_path_tuple(&bed->path, &reply, &found));
            ck_assert_uint_eq(found, tuple);
            reply.source_port = 54;
            ck_assert(!raw_path_tuple(&bed->path, &reply, &found));
        }
        bed_end(bed);
    }
}
END_TEST

TEST_MAIN("bench/link", arp_is_answered, arp_is_asked_and_learnt, solicitations_are_answered,
          solicitations_are_sent_and_their_answers_learnt, cut_frames, sources_are_numbered,
          tuples_are_numbered)
