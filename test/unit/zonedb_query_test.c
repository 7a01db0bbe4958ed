/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request says, and what of it is refused. Every request lies in a block of its exact size.
 */
#include "test_main.h"
#include "zonedb/node.h"
#include "zonedb/query.h"

#define QUESTION "00 0001 0001 "
#define OPT "00 0029 04d0 0000 0000 "
#define RECORD "0001 0001 00000e10 0004 c0000201"

static uint8_t octets[2048];
static uint8_t *block; /* the request of the query that was parsed last */
static size_t block_len;

static enum query_outcome parse_octets(const struct respond_policy *policy, size_t len,
                                       struct query *query_out)
{
    free(block);
    block = exact_copy(octets, len);
    block_len = len;
    return query_parse(policy, block, len, query_out);
}

static enum query_outcome parse(const struct respond_policy *policy, const char *hex,
                                struct query *query_out)
{
    return parse_octets(policy, hex_decode(hex, octets, sizeof octets), query_out);
}

static void teardown(void)
{
    free(block);
    block = NULL;
}

struct request_case {
    const char *what, *hex;
    enum query_outcome outcome;
    bool has_question, has_opt;
};

static void cases_run(const struct respond_policy *policy, const struct request_case *cases,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct query query = {.id = 0};
        enum query_outcome outcome = parse(policy, cases[i].hex, &query);
        ck_assert_msg(outcome == cases[i].outcome, "%s: outcome %d", cases[i].what, (int)outcome);
        if (outcome == QUERY_SILENT)
            continue;
        ck_assert_msg(query.id == 0x1234, "%s: ID", cases[i].what);
        ck_assert_msg(query.has_question == cases[i].has_question, "%s: question", cases[i].what);
        ck_assert_msg(query.edns.is_present == cases[i].has_opt, "%s: OPT", cases[i].what);
    }
}

START_TEST(test_header_and_question)
{
    static const struct request_case cases[] = {
        {"nothing", "", QUERY_SILENT, false, false},
        {"a header less one octet", "1234 0100 0001 0000 0000 00", QUERY_SILENT, false, false},
        {"a response", "1234 8100 0001 0000 0000 0000" QUESTION, QUERY_SILENT, false, false},
        {"a response of opcode 15", "1234 f800 0001 0000 0000 0000", QUERY_SILENT, false, false},
        {"opcode NOTIFY", "1234 2000 0001 0000 0000 0000" QUESTION, QUERY_NOTIMP, false, false},
        {"opcode 15, malformed", "1234 7800 ffff ffff ffff ffff 41", QUERY_NOTIMP, false, false},
        {"a header only", "1234 0100 0000 0000 0000 0000", QUERY_FORMERR, false, false},
        {"no question, OPT", "1234 0100 0000 0000 0000 0001" OPT "0000", QUERY_FORMERR, false,
         false},
        {"two questions", "1234 0100 0002 0000 0000 0000" QUESTION QUESTION, QUERY_FORMERR, false,
         false},
        {"a question promised", "1234 0100 0001 0000 0000 0000", QUERY_FORMERR, false, false},
        {"a question", "1234 0100 0001 0000 0000 0000" QUESTION, QUERY_OK, true, false},
        {"all other flags", "1234 07ff 0001 0000 0000 0000" QUESTION, QUERY_OK, true, false},
        {"name cut off", "1234 0100 0001 0000 0000 0000 03 6162", QUERY_FORMERR, false, false},
        {"root label missing", "1234 0100 0001 0000 0000 0000 01 61", QUERY_FORMERR, false, false},
        {"class cut off", "1234 0100 0001 0000 0000 0000 00 0001 00", QUERY_FORMERR, false, false},
        {"a pointer to itself", "1234 0100 0001 0000 0000 0000 c00c 0001 0001", QUERY_FORMERR,
         false, false},
        {"a pointer behind a label", "1234 0100 0001 0000 0000 0000 0161 c000 0001 0001",
         QUERY_FORMERR, false, false},
        {"label type 01", "1234 0100 0001 0000 0000 0000 4161 00 0001 0001", QUERY_FORMERR, false,
         false},
        {"label type 10", "1234 0100 0001 0000 0000 0000 8061 00 0001 0001", QUERY_FORMERR, false,
         false},
        {"an octet more", "1234 0100 0001 0000 0000 0000" QUESTION "00", QUERY_FORMERR, true,
         false},
    };
    struct respond_policy policy = respond_policy_default();
    cases_run(&policy, cases, sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(test_records)
{
    static const struct request_case cases[] = {
        {"counts without records", "1234 0100 0001 ffff ffff ffff" QUESTION, QUERY_FORMERR, true,
         false},
        {"a record in the answer", "1234 0100 0001 0001 0000 0000" QUESTION "00" RECORD, QUERY_OK,
         true, false},
        {"owner is a pointer", "1234 0100 0001 0000 0001 0000" QUESTION "c00c" RECORD, QUERY_OK,
         true, false},
        {"owner ends in a pointer", "1234 0100 0001 0000 0000 0001" QUESTION "0161c00c" RECORD,
         QUERY_OK, true, false},
        {"owner's pointer cut off", "1234 0100 0001 0000 0000 0001" QUESTION "c0", QUERY_FORMERR,
         true, false},
        {"owner's label type 10", "1234 0100 0001 0000 0000 0001" QUESTION "8061 00" RECORD,
         QUERY_FORMERR, true, false},
        {"owner's label type 01", "1234 0100 0001 0000 0000 0001" QUESTION "4061 00" RECORD,
         QUERY_FORMERR, true, false},
        {"RDATA cut off",
         "1234 0100 0001 0000 0000 0001" QUESTION "00 0001 0001 00000000 0004 c000", QUERY_FORMERR,
         true, false},
        {"RDLENGTH cut off", "1234 0100 0001 0000 0000 0001" QUESTION "00 0001 0001 00000000 00",
         QUERY_FORMERR, true, false},
        {"an OPT", "1234 0100 0001 0000 0000 0001" QUESTION OPT "0000", QUERY_OK, true, true},
        {"an OPT that is not counted", "1234 0100 0001 0000 0000 0000" QUESTION OPT "0000",
         QUERY_FORMERR, true, false},
        {"an OPT behind another", "1234 0100 0001 0000 0000 0002" QUESTION "00" RECORD OPT "0000",
         QUERY_OK, true, true},
        {"an OPT and an octet", "1234 0100 0001 0000 0000 0001" QUESTION OPT "0000 00",
         QUERY_FORMERR, true, true},
        {"two OPTs", "1234 0100 0001 0000 0000 0002" QUESTION OPT "0000" OPT "0000", QUERY_FORMERR,
         true, true},
        {"an OPT in the answer", "1234 0100 0001 0001 0000 0000" QUESTION OPT "0000", QUERY_FORMERR,
         true, false},
        {"an OPT in the authority", "1234 0100 0001 0000 0001 0000" QUESTION OPT "0000",
         QUERY_FORMERR, true, false},
        {"an OPT below the root", "1234 0100 0001 0000 0000 0001" QUESTION "0161" OPT "0000",
         QUERY_FORMERR, true, false},
        {"an OPT at a pointer",
         "1234 0100 0001 0000 0000 0001" QUESTION "c00c 0029 04d0 00000000 0000", QUERY_FORMERR,
         true, false},
        {"an option's head cut off", "1234 0100 0001 0000 0000 0001" QUESTION OPT "0003 000300",
         QUERY_FORMERR, true, true},
        {"an option longer than OPT",
         "1234 0100 0001 0000 0000 0001" QUESTION OPT "0005 0003000200", QUERY_FORMERR, true, true},
        {"EDNS version 1", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 0000",
         QUERY_BADVERS, true, true},
        {"whose options differ",
         "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00ff0000 0001 00", QUERY_BADVERS,
         true, true},
        {"and an octet", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 0000 00",
         QUERY_FORMERR, true, true},
    };
    static const struct request_case without_edns[] = {
        {"an OPT", "1234 0100 0001 0000 0000 0001" QUESTION OPT "0000", QUERY_OK, true, false},
        {"two OPTs", "1234 0100 0001 0000 0001 0001" QUESTION OPT "0000" OPT "0000", QUERY_OK, true,
         false},
        {"version 1", "1234 0100 0001 0000 0000 0001" QUESTION "00 0029 04d0 00010000 0000",
         QUERY_OK, true, false},
        {"cut off", "1234 0100 0001 0000 0000 0001" QUESTION OPT "0001", QUERY_FORMERR, true,
         false},
    };
    struct respond_policy policy = respond_policy_default();
    cases_run(&policy, cases, sizeof cases / sizeof *cases);
    policy.has_edns = false;
    cases_run(&policy, without_edns, sizeof without_edns / sizeof *without_edns);
}
END_TEST

START_TEST(test_fields)
{
    struct respond_policy policy = respond_policy_default();
    struct query query;
    ck_assert_int_eq(parse(&policy,
                           "1234 0110 0001 0000 0000 0001 0141 00 0041 0003"
                           "00 0029 0200 0100 8000 0016"
                           "fde9 0001 ff  0003 0000  000b 0002 0001  000c 0003 000000",
                           &query),
                     QUERY_OK);
    ck_assert_uint_eq(query.flags, 0x0110);
    ck_assert_ptr_eq(query.qname, block + HEADER_LEN);
    ck_assert_uint_eq(query.qname_len, 3);
    ck_assert_uint_eq(query.qname[1], 'A'); /* case as asked */
    ck_assert_uint_eq(query.qtype, 65);
    ck_assert_uint_eq(query.qclass, 3);
    ck_assert_uint_eq(query.edns.payload, 512);
    ck_assert_uint_eq(query.edns.version, 0);
    ck_assert(query.edns.is_do && query.edns.wants_nsid && query.edns.wants_keepalive &&
              query.edns.wants_padding);
    ck_assert_ptr_null(query.edns.checksum_nonce);
    /* All of the other EDNS flags, the extended RCODE, no option. */
    ck_assert_int_eq(parse(&policy,
                           "1234 0000 0001 0000 0000 0001" QUESTION "00 0029 ffff ff00 7fff 0000",
                           &query),
                     QUERY_OK);
    ck_assert_uint_eq(query.edns.payload, 65535);
    ck_assert(!query.edns.is_do && !query.edns.wants_nsid && !query.edns.wants_keepalive &&
              !query.edns.wants_padding);
}
END_TEST

/* A request whose question (or, if `is_owner`, an A record's owner) has a name of so many octets.
 */
static enum query_outcome long_name_parse(size_t name_len, bool is_owner)
{
    struct respond_policy policy = respond_policy_default();
    struct query query;
    memset(octets, 0, sizeof octets);
    octets[5] = 1;
    octets[11] = is_owner;
    size_t at = HEADER_LEN;
    if (is_owner)
        at += hex_decode(QUESTION, octets + at, 5);
    size_t left = name_len - 1;
    while (left > 0) {
        size_t label = left > 64 ? 62 : left - 1;
        octets[at] = (uint8_t)label;
        memset(octets + at + 1, 'x', label);
        at += 1 + label;
        left -= 1 + label;
    }
    octets[at++] = 0;
    at += hex_decode(is_owner ? RECORD : "0001 0001", octets + at, 32);
    return parse_octets(&policy, at, &query);
}

START_TEST(test_longest_names)
{
    for (unsigned is_owner = 0; is_owner < 2; is_owner++) {
        ck_assert_int_eq(long_name_parse(254, is_owner), QUERY_OK);
        ck_assert_int_eq(long_name_parse(255, is_owner), QUERY_OK);
        ck_assert_int_eq(long_name_parse(256, is_owner), QUERY_FORMERR);
        ck_assert_int_eq(long_name_parse(400, is_owner), QUERY_FORMERR);
    }
}
END_TEST

/* A request with CHECKSUM options of these lengths, the last octet of the first `fill`. */
static enum query_outcome checksum_parse(const struct respond_policy *policy, unsigned first_len,
                                         unsigned second_len, uint8_t fill, struct query *query_out)
{
    const unsigned lens[] = {first_len, second_len};
    memset(octets, 0, sizeof octets);
    size_t at = hex_decode("1234 0000 0001 0000 0000 0001" QUESTION OPT "0000", octets, 64);
    size_t opt_at = at;
    for (unsigned i = 0; i < 2 && lens[i] > 0; i++) {
        store_be16(octets + at, policy->checksum_code);
        store_be16(octets + at + 2, (uint16_t)lens[i]);
        memset(octets + at + 4, 0, lens[i]);
        at += 4 + lens[i];
    }
    octets[opt_at + 3 + first_len] = fill;
    store_be16(octets + opt_at - 2, (uint16_t)(at - opt_at));
    return parse_octets(policy, at, query_out);
}

START_TEST(test_checksum)
{
    struct respond_policy policy = respond_policy_default();
    struct query query;
    ck_assert_int_eq(checksum_parse(&policy, 9, 0, 0, &query), QUERY_OK);
    ck_assert_ptr_eq(query.edns.checksum_nonce, block + block_len - 9);
    ck_assert_int_eq(query.edns.checksum_layout, CHECKSUM_LAYOUT_01);
    ck_assert_int_eq(checksum_parse(&policy, 18, 0, 0, &query), QUERY_OK);
    ck_assert_ptr_eq(query.edns.checksum_nonce, block + block_len - 18);
    ck_assert_int_eq(query.edns.checksum_layout, CHECKSUM_LAYOUT_00);
    for (unsigned len = 1; len < 40; len++)
        if (len != 9 && len != 18)
            ck_assert_int_eq(checksum_parse(&policy, len, 0, 0, &query), QUERY_FORMERR);
    /* ALGORITHM not 0: as if absent, but a second option stays an error. */
    ck_assert_int_eq(checksum_parse(&policy, 9, 0, 1, &query), QUERY_OK);
    ck_assert_ptr_null(query.edns.checksum_nonce);
    ck_assert_int_eq(checksum_parse(&policy, 18, 0, 1, &query), QUERY_OK);
    ck_assert_ptr_null(query.edns.checksum_nonce);
    ck_assert_int_eq(checksum_parse(&policy, 9, 9, 0, &query), QUERY_FORMERR);
    ck_assert_int_eq(checksum_parse(&policy, 9, 18, 1, &query), QUERY_FORMERR);
    policy.has_checksum = false;
    ck_assert_int_eq(checksum_parse(&policy, 10, 10, 0, &query), QUERY_OK);
    ck_assert_ptr_null(query.edns.checksum_nonce);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_header_and_question, test_records, test_fields,
                                  test_longest_names, test_checksum};
    return test_run("query", tests, sizeof tests / sizeof *tests, NULL, teardown);
}
