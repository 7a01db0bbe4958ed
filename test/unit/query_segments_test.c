/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments as they come off a packet socket: a connection, and whatever else may come.
 */
#include "dice.h"
#include "test_main.h"
#include "tools/query/segments.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct segments segments;

static struct sockaddr_storage address4(const char *text, uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&address;
    in4->sin_family = AF_INET;
    in4->sin_port = htons(port);
    ck_assert_int_eq(inet_pton(AF_INET, text, &in4->sin_addr), 1);
    return address;
}

static void begin(void)
{
    memset(&segments, 0, sizeof segments);
    segments.fd = -1;
    segments.client = address4("198.18.0.2", 40000);
    segments.server = address4("198.18.0.1", 53);
}

static void take(const char *hex, int interface, int64_t time_us)
{
    uint8_t packet[256];
    size_t len = hex_decode(hex, packet, sizeof packet);
    uint8_t *exact = exact_copy(packet, len);
    segments_take(&segments, exact, len, interface, time_us);
    free(exact);
}

#define CLIENT_TO_SERVER "c6120002 c6120001 9c40 0035"
#define SERVER_TO_CLIENT "c6120001 c6120002 0035 9c40"
#define IP(total) "4500" total "0000 4000 4006 0000"
/* ISN 0x1005; MSS 1460, SACK permitted, TS 7/0 */
#define SYN                                                   \
    IP("0038")                                                \
    CLIENT_TO_SERVER "00001005 00000000 9002 faf0 0000 0000 " \
                     "020405b4 0402 080a 00000007 00000000"
/* TS val: response 0, octet 0x1006 mod 4096 = 6, done */
#define SYN_ACK(value)                                        \
    IP("0034")                                                \
    SERVER_TO_CLIENT "a0000000 00001006 8012 0a00 0000 0000 " \
                     "0101 080a" value "00000007"
/* 100 octets from octet 1 on; TS val: response ends at 100, octet 6 + 40, not done */
#define RESPONSE                                              \
    IP("0098")                                                \
    SERVER_TO_CLIENT "a0000001 0000102e 8018 0a00 0000 0000 " \
                     "0101 080a 000c805c 00000007"

START_TEST(test_connection)
{
    begin();
    take(SYN, 3, 1000);
    take(SYN_ACK("0000000d"), 3, 1100);
    take(RESPONSE, 3, 1250);
    take(RESPONSE, 4, 1260); /* seen again elsewhere */
    ck_assert_uint_eq(segments.count, 3);
    const struct segment *s = segments.list;
    ck_assert(s[0].is_ours && s[0].seq == 0 && s[0].ack == 0 && s[0].len == 0 && s[0].mss == 1460);
    ck_assert(s[0].has_timestamps && s[0].timestamp == 7 && s[0].has_sack_permitted);
    ck_assert(!s[1].is_ours && s[1].seq == 0 && s[1].ack == 1 && s[1].time_us == 100);
    ck_assert(segments.is_stateless);
    ck_assert(s[2].seq == 1 && s[2].ack == 41 && s[2].len == 100 && s[2].window == 2560);
    struct segment_point point = segments_point(&segments, s[2].timestamp);
    ck_assert(point.response_end == 100 && point.request_next == 41 && !point.is_done);
}
END_TEST

START_TEST(test_server_with_state)
{
    begin();
    take(SYN, 1, 0);
    take(SYN_ACK("12345678"), 1, 1);
    ck_assert(segments.has_server_isn && !segments.is_stateless);
}
END_TEST

START_TEST(test_others)
{
    begin();
    take("4500 0028 0000 4000 4006 0000 c6120002 c6120001 9c41 0035 00000000 00000000 5002 faf0"
         "0000 0000",
         1, 0);
    take("4500 0028 0000 4000 4006 0000 c6120003 c6120001 9c40 0035 00000000 00000000 5002 faf0"
         "0000 0000",
         1, 0);
    take("4500 0028 0000 4000 4011 0000 c6120002 c6120001 9c40 0035 00000000 00000000 5002 faf0"
         "0000 0000",
         1, 0);
    ck_assert_uint_eq(segments.count, 0);
}
END_TEST

/* Cut anywhere, any octet altered: within bounds, and never more than there is. */
START_TEST(test_damaged)
{
    static const char *const packets[] = {SYN, SYN_ACK("0000000d"), RESPONSE};
    uint8_t whole[3][256], packet[256];
    size_t whole_len[3];
    for (size_t i = 0; i < 3; i++)
        whole_len[i] = hex_decode(packets[i], whole[i], sizeof whole[i]);
    dice_begin(7);
    begin();
    for (size_t i = 0; i < 3 * 20000; i++) {
        size_t len = whole_len[i % 3];
        memcpy(packet, whole[i % 3], len);
        for (uint32_t edits = below(3); edits > 0; edits--)
            packet[below((uint32_t)len)] = (uint8_t)any();
        len = below(4) == 0 ? below((uint32_t)len + 1) : len;
        uint8_t *exact = exact_copy(packet, len);
        segments_take(&segments, exact, len, 1, (int64_t)i);
        free(exact);
        MUST(segments.count == 0 || segments.list[segments.count - 1].len < 65536);
    }
    ck_assert_uint_eq(segments.count, SEGMENTS_MAX);
    ck_assert_uint_gt(segments.lost, 0);
}
END_TEST

TEST_MAIN("query_segments", test_connection, test_server_with_state, test_others, test_damaged)
