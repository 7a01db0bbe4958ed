/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The end of a response: how long it may be, what is kept free for it, and what stands in it.
 */
#include "message.h"
#include "test_main.h"
#include "zonedb/checksum.h"
#include "zonedb/edns.h"

#define QUESTION_LEN (12u + 3u + 4u)
#define OPT_LEN 11u

static const uint8_t qname[] = "\1q";
static const uint8_t nonce[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static struct message message;

static struct query query_plain(bool has_opt)
{
    struct query query = {.id = 0x1234, .has_question = true, .qname = qname, .qname_len = 3};
    query.qtype = 1;
    query.qclass = 1;
    query.edns.is_present = has_opt;
    query.edns.payload = 1232;
    return query;
}

START_TEST(test_limit)
{
    static const struct {
        enum respond_transport transport;
        bool has_opt;
        uint16_t payload, policy;
        size_t cap, limit;
    } cases[] = {
        {RESPOND_UDP, false, 4096, 1232, 65535, 512},  {RESPOND_UDP, true, 0, 1232, 65535, 512},
        {RESPOND_UDP, true, 511, 1232, 65535, 512},    {RESPOND_UDP, true, 513, 1232, 65535, 513},
        {RESPOND_UDP, true, 1231, 1232, 65535, 1231},  {RESPOND_UDP, true, 1233, 1232, 65535, 1232},
        {RESPOND_UDP, true, 65535, 4096, 65535, 4096}, {RESPOND_UDP, true, 4096, 512, 65535, 512},
        {RESPOND_UDP, true, 4096, 4096, 700, 700},     {RESPOND_TCP, false, 0, 1232, 65535, 65535},
        {RESPOND_TCP, true, 512, 512, 65535, 65535},   {RESPOND_TCP, true, 65535, 4096, 512, 512},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct respond_policy policy = respond_policy_default();
        struct respond_client client = {.transport = cases[i].transport};
        struct query query = query_plain(cases[i].has_opt);
        policy.udp_payload = cases[i].policy;
        query.edns.payload = cases[i].payload;
        ck_assert_msg(edns_response_limit(&policy, &client, &query, cases[i].cap) == cases[i].limit,
                      "case %zu", i);
    }
}
END_TEST

START_TEST(test_reserve)
{
    struct respond_policy policy = respond_policy_default();
    policy.has_padding = true;
    struct respond_client client = {
        .transport = RESPOND_TCP, .has_keepalive = true, .keepalive_100ms = 100};
    struct query query = query_plain(false);
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), 0);
    query = query_plain(true);
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), OPT_LEN);
    query.edns.wants_padding = true;
    query.edns.wants_nsid = true;
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), OPT_LEN); /* we have no NSID */
    policy.nsid = nonce;
    policy.nsid_len = 16;
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), OPT_LEN + 20);
    query.edns.wants_keepalive = true;
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), OPT_LEN + 20 + 6);
    client.transport = RESPOND_UDP;
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), OPT_LEN + 20);
    client = (struct respond_client){.transport = RESPOND_TCP};
    ck_assert_uint_eq(edns_reserve(&policy, &client, &query), OPT_LEN + 20);
    query.edns.wants_nsid = false;
    query.edns.checksum_nonce = nonce;
    static const size_t digests[2][2] = {{16 + 2 + 20, 8 + 1 + 32}, {16 + 2 + 16, 8 + 1 + 16}};
    for (unsigned i = 0; i < 4; i++) {
        policy.has_checksum_siphash = i / 2 != 0;
        query.edns.checksum_layout = i % 2 == 0 ? CHECKSUM_LAYOUT_00 : CHECKSUM_LAYOUT_01;
        ck_assert_uint_eq(edns_reserve(&policy, &client, &query),
                          OPT_LEN + 4 + digests[i / 2][i % 2]);
    }
}
END_TEST

/* End a response that has nothing but its question; in a block of exactly `limit` octets. */
static size_t end(const struct respond_policy *policy, const struct respond_client *client,
                  const struct query *query, size_t limit, uint16_t rcode, uint16_t ede)
{
    static uint8_t octets[65535];
    struct response r;
    uint8_t *block = malloc(limit);
    ck_assert_ptr_nonnull(block);
    memset(block, 0xa5, limit);
    response_begin(&r, block, limit - edns_reserve(policy, client, query), query);
    r.rcode = rcode;
    size_t len = edns_end(&r, policy, client, query, limit, ede);
    ck_assert_uint_le(len, limit);
    memcpy(octets, block, len);
    free(block);
    message_parse(&message, octets, len);
    if (query->edns.checksum_nonce != NULL)
        ck_assert_int_eq(
            checksum_verify(octets, len, policy->checksum_code, query->edns.checksum_layout, nonce),
            CHECKSUM_GOOD);
    return len;
}

/* The codes of the options in their order, as text. */
static const char *options_text(void)
{
    static char text[128];
    size_t len = 0;
    text[0] = '\0';
    for (unsigned at = 0; at < message.option_len; at += 4 + get16(message.options + at + 2)) {
        ck_assert_uint_le(at + 4 + get16(message.options + at + 2), message.option_len);
        len += (size_t)snprintf(text + len, sizeof text - len, "%u ", get16(message.options + at));
    }
    return text;
}

START_TEST(test_opt)
{
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    struct query query = query_plain(false);
    ck_assert_uint_eq(end(&policy, &client, &query, 512, RCODE_REFUSED, 20), QUESTION_LEN);
    ck_assert(!message.has_opt && message.rcode == 5);
    query = query_plain(true);
    ck_assert_uint_eq(end(&policy, &client, &query, 512, RCODE_BADVERS, 0), QUESTION_LEN + OPT_LEN);
    ck_assert(message.has_opt && message.rcode == 16 && message.opt_flags == 0);
    ck_assert(message.opt_payload == 1232 && message.opt_version == 0 && message.option_len == 0);
    policy.udp_payload = 4096;
    query.edns.is_do = true;
    query.edns.version = 1; /* ours is sent, not theirs */
    end(&policy, &client, &query, 512, RCODE_NOERROR, 0);
    ck_assert(message.opt_payload == 4096 && message.opt_flags == 0x8000 &&
              message.opt_version == 0);
}
END_TEST

static struct query query_all(void)
{
    struct query query = query_plain(true);
    query.edns.wants_nsid = query.edns.wants_keepalive = query.edns.wants_padding = true;
    query.edns.checksum_nonce = nonce;
    query.edns.checksum_layout = CHECKSUM_LAYOUT_01;
    return query;
}

START_TEST(test_options_in_order)
{
    struct respond_policy policy = respond_policy_default();
    policy.has_padding = true;
    struct respond_client client = {
        .transport = RESPOND_TCP, .has_keepalive = true, .keepalive_100ms = 0x1234};
    struct query query = query_all();
    unsigned len;
    policy.nsid = (const uint8_t *)"node";
    policy.nsid_len = 4;
    ck_assert_uint_eq(end(&policy, &client, &query, 65535, RCODE_REFUSED, 20), 468);
    ck_assert_str_eq(options_text(), "3 11 15 12 65002 ");
    ck_assert_mem_eq(message_option(&message, 3, &len), "node", 4);
    ck_assert_mem_eq(message_option(&message, 11, &len), "\x12\x34", 2);
    ck_assert_mem_eq(message_option(&message, 15, &len), "\0\x14", 2);
    const uint8_t *padding = message_option(&message, 12, &len);
    for (unsigned i = 0; i < len; i++)
        ck_assert_uint_eq(padding[i], 0);
    /* Over UDP neither keepalive (RFC 7828 3.3.1) nor padding. */
    client.transport = RESPOND_UDP;
    end(&policy, &client, &query, 65535, RCODE_REFUSED, 20);
    ck_assert_str_eq(options_text(), "3 15 65002 ");
    client.transport = RESPOND_TCP;
    policy.has_keepalive = policy.has_padding = policy.has_ede = false;
    end(&policy, &client, &query, 65535, RCODE_REFUSED, 20);
    ck_assert_str_eq(options_text(), "3 65002 ");
    query = query_plain(true); /* nothing was asked for */
    end(&policy, &client, &query, 65535, RCODE_NOERROR, 0);
    ck_assert_uint_eq(message.option_len, 0);
}
END_TEST

/* Whatever the room beyond what is reserved: EDE first, padding with what is then left. */
START_TEST(test_room)
{
    struct respond_policy policy = respond_policy_default();
    policy.has_padding = true;
    struct respond_client client = {.transport = RESPOND_TCP};
    for (unsigned has_checksum = 0; has_checksum < 2; has_checksum++) {
        struct query query = query_plain(true);
        query.edns.checksum_layout = CHECKSUM_LAYOUT_00;
        query.edns.checksum_nonce = has_checksum ? nonce : NULL;
        size_t least = QUESTION_LEN + edns_reserve(&policy, &client, &query);
        for (unsigned room = 0; room < 9; room++) {
            bool has_ede = room >= 6;
            query.edns.wants_padding = false;
            ck_assert_uint_eq(end(&policy, &client, &query, least + room, 0, 20),
                              least + (has_ede ? 6 : 0));
            ck_assert_int_eq(strstr(options_text(), "15 ") != NULL, has_ede);
            query.edns.wants_padding = true;
            bool has_padding = room - (has_ede ? 6 : 0) >= 4;
            ck_assert_uint_eq(end(&policy, &client, &query, least + room, 0, 20),
                              has_padding ? least + room : least + (has_ede ? 6 : 0));
            ck_assert_int_eq(strstr(options_text(), "12 ") != NULL, has_padding);
        }
    }
}
END_TEST

/* Padding ends on a multiple of 468 octets, CHECKSUM included, wherever the message ends without
 * it. The length is varied by an NSID. */
START_TEST(test_padding_block)
{
    static uint8_t nsid[128];
    static uint8_t octets[2048];
    struct respond_policy policy = respond_policy_default();
    policy.has_padding = true;
    struct respond_client client = {.transport = RESPOND_TCP};
    struct query query = query_plain(true);
    query.edns.wants_padding = query.edns.wants_nsid = true;
    policy.nsid = nsid;
    for (unsigned i = 0; i < 256; i++) {
        static uint8_t rdata[300];
        struct response r;
        query.edns.checksum_nonce = i & 1 ? nonce : NULL;
        query.edns.checksum_layout = CHECKSUM_LAYOUT_01;
        policy.nsid_len = (uint16_t)(i / 2);
        size_t least = edns_reserve(&policy, &client, &query) + 4;
        response_begin(&r, octets, sizeof octets - least + 4, &query);
        store_be16(rdata, 298);
        struct zonedb_rrset text = {16, 1, 0, rdata, 300};
        ck_assert(response_add(&r, SECTION_ANSWER, (struct owner){qname, 12}, &text, 0));
        least += r.len;
        size_t len = edns_end(&r, &policy, &client, &query, sizeof octets, 0);
        ck_assert_uint_eq(len, least <= 468 ? 468 : 936);
        message_parse(&message, octets, len);
    }
}
END_TEST

START_TEST(test_truncated)
{
    static uint8_t octets[512], rdata[600];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    struct query query = query_all();
    struct response r;
    store_be16(rdata, 598);
    struct zonedb_rrset big = {16, 1, 0, rdata, 600}, small = {1, 1, 0, nonce + 7, 6};
    static const uint8_t address[] = {0, 4, 192, 0, 2, 1};
    small.rdata = address;
    response_begin(&r, octets, 512 - edns_reserve(&policy, &client, &query), &query);
    ck_assert(response_add(&r, SECTION_ANSWER, (struct owner){qname, 12}, &small, 0));
    ck_assert(response_add(&r, SECTION_AUTHORITY, (struct owner){qname, 12}, &big, 0));
    size_t len = edns_end(&r, &policy, &client, &query, 512, 0);
    message_parse(&message, octets, len);
    ck_assert_uint_eq(message.flags & 0x0200, 0x0200);
    ck_assert_uint_eq(message.record_count, 0);
    ck_assert_str_eq(message.qname, "q.");
    ck_assert_str_eq(options_text(), "65002 ");
    ck_assert_int_eq(checksum_verify(octets, len, 65002, CHECKSUM_LAYOUT_01, nonce), CHECKSUM_GOOD);
}
END_TEST

TEST_MAIN("edns", test_limit, test_reserve, test_opt, test_options_in_order, test_room,
          test_padding_block, test_truncated)
