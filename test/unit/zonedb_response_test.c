/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writing records: what the octets are, what is compressed, and what a miss leaves behind.
 * message.h takes the responses apart; it refuses a pointer to a pointer and one that goes forward.
 */
#include "message.h"
#include "test_main.h"
#include "zonedb/response.h"

static const uint8_t address[] = {0, 4, 192, 0, 2, 1};
static uint8_t octets[65535];
static struct response r;
static struct message message;

static const uint8_t *name(const char *text)
{
    static uint8_t names[4][NAME_MAX_LEN];
    static unsigned turn;
    uint8_t *out = names[turn++ % 4];
    ck_assert_uint_gt(name_from_text(text, out), 0);
    return out;
}

static void begin(const char *qname, size_t limit)
{
    struct query query = {.id = 0x1234, .has_question = qname != NULL, .qtype = 1, .qclass = 1};
    query.qname = qname != NULL ? name(qname) : NULL;
    query.qname_len = qname != NULL ? (uint16_t)name_len(query.qname, NAME_MAX_LEN) : 0;
    response_begin(&r, octets, limit, &query);
}

static const struct message *end(void)
{
    response_header_write(&r, 0);
    message_parse(&message, octets, r.len);
    return &message;
}

static void add_owner(struct owner owner, uint16_t type, const uint8_t *rdata, size_t rdata_len)
{
    struct zonedb_rrset rrset = {type, 1, 60, rdata, (uint32_t)rdata_len};
    ck_assert(response_add(&r, SECTION_ANSWER, owner, &rrset, TTL_AS_STORED));
}

static void add(const char *owner, uint16_t type, const uint8_t *rdata, size_t rdata_len)
{
    add_owner((struct owner){name(owner), 0}, type, rdata, rdata_len);
}

/* A record of `type` with `prefix_len` octets of zero before the only name in its RDATA. */
static void add_target(const char *owner, uint16_t type, size_t prefix_len, const char *target)
{
    uint8_t rdata[2 + 6 + NAME_MAX_LEN] = {0};
    size_t len = prefix_len + name_from_text(target, rdata + 2 + prefix_len);
    store_be16(rdata, (uint16_t)len);
    add(owner, type, rdata, 2 + len);
}

/* One TXT record at the root so that the next record begins at this offset. */
static void fill_to(size_t offset)
{
    static uint8_t rdata[65535];
    ck_assert_uint_ge(offset, r.len + 11);
    size_t rdata_len = offset - r.len - 11;
    store_be16(rdata, (uint16_t)rdata_len);
    add(".", 16, rdata, 2 + rdata_len);
    ck_assert_uint_eq(r.len, offset);
}

static void expect_octets(size_t at, const char *hex)
{
    uint8_t expected[512];
    size_t len = hex_decode(hex, expected, sizeof expected);
    ck_assert_uint_eq(r.len - at, len);
    ck_assert_mem_eq(octets + at, expected, len);
}

START_TEST(test_header)
{
    static const uint8_t root[] = {0};
    struct query query = {.id = 0xfedc, .flags = 0x7fff, .has_question = true, .qname = root};
    query.qname_len = sizeof root;
    query.qtype = 0x0102;
    query.qclass = CLASS_CH;
    response_begin(&r, octets, 512, &query);
    add(".", 1, address, 6);
    response_header_write(&r, 3);
    expect_octets(0, "fedc f900 0001 0001 0000 0003 00 0102 0003"
                     "00 0001 0003 0000003c 0004 c0000201");
    begin(NULL, 12); /* FORMERR: no question, and no room for more than the header */
    response_header_write(&r, 0);
    expect_octets(0, "1234 8000 0000 0000 0000 0000");
}
END_TEST

START_TEST(test_compression)
{
    begin("www.Example.org.", 512); /* at 12, 16, 24 */
    size_t at = r.len;
    add_owner((struct owner){NULL, 12}, 1, address, 6);
    expect_octets(at, "c00c 0001 0001 0000003c 0004 c0000201");
    at = r.len; /* 49 */
    add_target("eXAMPLE.ORG.", 2, 0, "ns.example.org.");
    expect_octets(at, "c010 0002 0001 0000003c 0005 026e73 c010");
    at = r.len; /* 66; ns at 61 */
    add_target("org.", 15, 2, "a.ns.example.org.");
    expect_octets(at, "c018 000f 0001 0000003c 0006 0000 0161 c03d");
    at = r.len;
    /* Not in RDATA of newer types (RFC 3597 4), nor may later names lean on what stands there. */
    add_target("ns.example.org.", 33, 6, "b.org.");
    expect_octets(at, "c03d 0021 0001 0000003c 000d 000000000000 0162 036f7267 00");
    at = r.len;
    add_target("b.org.", 39, 0, "org.");
    expect_octets(at, "0162 c018 0027 0001 0000003c 0005 036f7267 00");
    at = r.len;
    add_target(".", 2, 0, ".");
    expect_octets(at, "00 0002 0001 0000003c 0001 00");
    at = r.len; /* a label that is another one's end or beginning, lengths alike */
    add_target("xample.org.", 5, 0, "fxample.org.");
    expect_octets(at, "0678616d706c65 c018 0005 0001 0000003c 000a 076678616d706c65 c018");
}
END_TEST

START_TEST(test_records_of_one_owner)
{
    static const uint8_t rdata[] = {0, 3, 1, 'a', 0, 0, 3, 1, 'b', 0, 0, 3, 1, 'a', 0};
    struct zonedb_rrset rrset = {2, 3, 700, rdata, sizeof rdata};
    begin("q.", 512);
    size_t at = r.len;
    ck_assert(response_add(&r, SECTION_AUTHORITY, (struct owner){name("z.q."), 0}, &rrset, 600));
    expect_octets(at, "017a c00c 0002 0001 00000258 0003 0161 00"
                      "c013 0002 0001 00000258 0003 0162 00"
                      "c013 0002 0001 00000258 0002 c021");
    at = r.len;
    ck_assert(response_add(&r, SECTION_AUTHORITY, (struct owner){name("z.q."), 0}, &rrset, 800));
    expect_octets(at, "c013 0002 0001 000002bc 0002 c021"
                      "c013 0002 0001 000002bc 0002 c030"
                      "c013 0002 0001 000002bc 0002 c021");
    at = r.len;
    rrset = (struct zonedb_rrset){2, 2, 5, rdata, 10};
    ck_assert(response_add(&r, SECTION_ADDITIONAL, (struct owner){name("."), 0}, &rrset, 0));
    expect_octets(at, "00 0002 0001 00000000 0002 c021 00 0002 0001 00000000 0002 c030");
    end();
    ck_assert(message.count[0] == 0 && message.count[1] == 6 && message.count[2] == 2);
}
END_TEST

/* A label at `offset` may be pointed to exactly as long as 14 bits reach it. */
START_TEST(test_farthest_pointer)
{
    for (size_t offset = 16380; offset < 16390; offset++) {
        static const uint8_t two[] = {0, 4, 192, 0, 2, 1, 0, 4, 192, 0, 2, 2};
        struct zonedb_rrset rrset = {1, 2, 60, two, sizeof two};
        bool is_near = offset <= 16383;
        begin(".", 65535);
        fill_to(offset);
        ck_assert(response_add(&r, SECTION_ANSWER, (struct owner){name("ab."), 0}, &rrset, 60));
        ck_assert_uint_eq(r.len - offset, 4 + 14 + (is_near ? 2 : 4) + 14);
        add("c.ab.", 1, address, 6);
        ck_assert_uint_eq(r.len - offset, 4 + 14 + (is_near ? 2 + 14 + 4 : 4 + 14 + 6) + 14);
        ck_assert_str_eq(end()->record[2].owner, "ab.");
        ck_assert_str_eq(message.record[3].owner, "c.ab.");
    }
    begin(".", 65535);
    fill_to(16382);
    add("a.bc.", 1, address, 6); /* a at 16382 within reach, bc at 16384 beyond it */
    add("a.bc.", 1, address, 6);
    ck_assert_uint_eq(r.len - 16382, 2u * (6 + 14));
    ck_assert_str_eq(end()->record[2].owner, "a.bc.");
}
END_TEST

/* As much as a message holds: names of many shapes, most of them beyond a pointer's reach. */
START_TEST(test_full_message)
{
    char owner[64], target[64];
    unsigned count = 0;
    begin("example.", 65535);
    for (; !r.is_overflow; count++) {
        sprintf(owner, "h%u.z%u.example.", count, count % 50);
        sprintf(target, "t%u.z%u.example.", count % 300, count % 7);
        add_target(owner, 2, 0, target);
    }
    ck_assert_uint_gt(r.len, 65535 - 64);
    const struct message *m = end();
    ck_assert_uint_eq(m->record_count, count - 1);
    ck_assert_uint_gt(count, 1500);
    for (unsigned i = 0; i < m->record_count; i++) {
        char text[NAME_TEXT_MAX];
        size_t at = (size_t)(m->record[i].rdata - octets);
        sprintf(owner, "h%u.z%u.example.", i, i % 50);
        sprintf(target, "t%u.z%u.example.", i % 300, i % 7);
        ck_assert_str_eq(m->record[i].owner, owner);
        message_name(octets, r.len, &at, text);
        ck_assert_str_eq(text, target);
    }
}
END_TEST

START_TEST(test_suffix_table_full)
{
    char owner[16];
    begin("q.", 65535);
    for (unsigned i = 1; i < SUFFIX_COUNT_MAX + 50; i++) {
        sprintf(owner, "n%u.q.", i);
        add(owner, 1, address, 6);
    }
    ck_assert_uint_eq(r.suffix_count, SUFFIX_COUNT_MAX);
    for (unsigned i = 1; i < SUFFIX_COUNT_MAX + 50; i++) {
        size_t before = r.len;
        size_t owner_len = i < SUFFIX_COUNT_MAX ? 0 : (size_t)sprintf(owner, "n%u", i) + 1;
        sprintf(owner, "N%u.q.", i);
        add(owner, 1, address, 6);
        ck_assert_uint_eq(r.len - before, owner_len + 2 + 14);
    }
    const struct message *m = end();
    for (unsigned i = 0; i < m->record_count; i++) {
        sprintf(owner, "n%u.q.", i % (SUFFIX_COUNT_MAX + 49) + 1);
        ck_assert_int_eq(strcasecmp(m->record[i].owner, owner), 0);
    }
}
END_TEST

/* What did not fit is forgotten, names included: later ones must not point to where they stood. */
START_TEST(test_roll_back)
{
    uint8_t rdata[400] = {0x01, 0x8e};
    struct zonedb_rrset big = {16, 1, 60, rdata, sizeof rdata};
    char owner[32];
    begin("q.", 400);
    add("kept.q.", 1, address, 6);
    for (unsigned i = 0; i < 100; i++) {
        size_t before = r.len;
        sprintf(owner, "g%u.gone.q.", i);
        ck_assert(
            response_add_optional(&r, SECTION_ADDITIONAL, (struct owner){name(owner), 0}, &big));
        ck_assert(!r.is_overflow && r.len == before);
    }
    size_t at = r.len;
    add("g1.gone.q.", 1, address, 6); /* still in the answer: the section has not moved on */
    add("kept.q.", 1, address, 6);
    ck_assert_uint_eq(r.len - at, 3 + 5 + 2 + 14 + 2 + 14);
    const struct message *m = end();
    ck_assert_uint_eq(m->count[0], 3);
    ck_assert_str_eq(m->record[1].owner, "g1.gone.q.");
    ck_assert_str_eq(m->record[2].owner, "kept.q.");
    /* A required one is told, and nothing is added from then on. */
    at = r.len;
    add("x.q.", 16, rdata, sizeof rdata);
    ck_assert(r.is_overflow);
    add("kept.q.", 1, address, 6);
    ck_assert_uint_eq(r.len, at);
    response_clear(&r);
    r.is_overflow = false;
    add("kept.q.", 1, address, 6);
    ck_assert_uint_eq(r.len, 12 + 3 + 4 + 5 + 2 + 14);
    ck_assert_uint_eq(end()->count[0], 1);
    ck_assert_str_eq(m->record[0].owner, "kept.q.");
}
END_TEST

START_TEST(test_malformed_rrsets)
{
    static const struct {
        uint16_t type, rr_count;
        const char *hex;
    } cases[] = {
        {1, 1, ""},
        {1, 1, "0004 c00002"},
        {1, 1, "0004 c0000201 00"},
        {1, 2, "0004 c0000201"},
        {2, 1, "0000"},
        {2, 1, "0002 c00c"},
        {2, 1, "0002 00 00"},
        {15, 1, "0001 00"},
        {15, 1, "0002 0000"},
        {6, 1, "0015 00 00000000 00000000 00000000 00000000 00000000"},
        {14, 1, "0003 00 00 00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t rdata[64];
        size_t len = hex_decode(cases[i].hex, rdata, sizeof rdata);
        uint8_t *block = exact_copy(rdata, len);
        struct zonedb_rrset rrset = {cases[i].type, cases[i].rr_count, 60, block, (uint32_t)len};
        begin("q.", 512);
        ck_assert_msg(
            !response_add(&r, SECTION_ANSWER, (struct owner){name("gone.q."), 0}, &rrset, 60),
            "case %zu", i);
        ck_assert(!r.is_overflow && r.len == 19);
        add("gone.q.", 1, address, 6);
        ck_assert_uint_eq(r.len, 19 + 5 + 2 + 14);
        ck_assert_str_eq(end()->record[0].owner, "gone.q.");
        free(block);
    }
}
END_TEST

TEST_MAIN("response", test_header, test_compression, test_records_of_one_owner,
          test_farthest_pointer, test_full_message, test_suffix_table_full, test_roll_back,
          test_malformed_rrsets)
