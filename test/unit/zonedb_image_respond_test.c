/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which questions an image answers, and which climb; what stands in it; zones that are in each
 * other. That its answers are respond()'s is checked here for these and by image_zones.c for whole
 * zones.
 */
#include "message.h"
#include "template_check.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"
#include "zonedb/image_room.h"

#include <errno.h>

#define MEMORY_LEN ((size_t)1 << 20)
#define ZONE                                                                                 \
    "$ORIGIN example.\n$TTL 3600\n@ SOA ns1 host 7 3600 900 604800 300\n@ NS ns1\n"          \
    "ns1 A 192.0.2.1\nold DNAME new\nx.ent A 192.0.2.2\ncut NS ns.cut\nns.cut A 192.0.2.3\n" \
    "cut DS 1 8 1 0000000000000000000000000000000000000000\nsibling NS ns.cut\nfar NS "      \
    "a.far.net.\n"                                                                           \
    "alias CNAME ns1\nabroad CNAME a.far.net.\ngone CNAME no\nloop CNAME loop\ninner CNAME " \
    "child\n"                                                                                \
    "mail MX 1 mx\nmx AAAA 2001:db8::1\nmx TXT a\nmail CAA 0 issue \"ca\"\n"                 \
    "below NS x\ndeep.er NS ns.cut\nholder NS a.far.net.\n"
#define PLAIN(NAME) "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS " NAME "\n"

static struct fixture fixture;
static struct respond_policy policy;
static struct image *image;
static struct image_memory memory;
static uint8_t response[RESPOND_MESSAGE_MAX];

static void setup(void)
{
    policy = respond_policy_default();
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", ZONE);
    fixture_load(&fixture, "child.example.", PLAIN("a.far.net.") "cut 60 NS a.far.net.\n");
    fixture_load(&fixture, "x.holder.example.", PLAIN("a.far.net."));
    fixture_load(&fixture, "wild.", PLAIN("a.far.net.") "* 60 A 192.0.2.1\ncut 60 NS a.far.net.\n");
    fixture_load(&fixture, "dname.", PLAIN("a.far.net.") "@ 60 DNAME example.\n");
    fixture_load(&fixture, "1.2.3.4.5.6.7.8.9.", PLAIN("a.far.net.") "cut 60 NS a.far.net.\n");
    memory = (struct image_memory){aligned_alloc(4096, MEMORY_LEN), MEMORY_LEN};
    ck_assert_ptr_nonnull(memory.octets);
    ck_assert_int_eq(image_open(&policy, &image), 0);
    ck_assert_int_eq(image_build(image, memory, fixture.view), 0);
}

static void teardown(void)
{
    image_close(image);
    free(memory.octets);
    fixture_close(&fixture);
}

/* The image's answer, which must be respond()'s, or 0. */
static size_t ask_octets(const uint8_t *request, size_t len, bool is_tcp, size_t cap)
{
    static uint8_t plain[RESPOND_MESSAGE_MAX];
    const struct respond_client client = {.transport = is_tcp ? RESPOND_TCP : RESPOND_UDP};
    size_t got = image_respond(memory.octets, memory.len, is_tcp, request, len, response, cap);
    if (got > 0) {
        ck_assert_uint_eq(respond_plainly(fixture.view, &policy, &client, request, len, plain, cap),
                          got);
        ck_assert_mem_eq(plain, response, got);
    }
    return got;
}

static size_t ask(const char *qname, unsigned type, unsigned payload, bool is_do)
{
    uint8_t request[512];
    size_t len = request_make(request, qname, type, payload, is_do, NULL, 0);
    return ask_octets(request, len, false, sizeof response);
}

static unsigned rcode(void)
{
    return response[3] & 15;
}

START_TEST(test_what_is_answered)
{
    static const char *const cuts[] = {"cut.example.",     "a.b.CUT.example.", "ns.far.example.",
                                       "sibling.exAmple.", "x.below.example.", "cut.child.example.",
                                       "x.cut.wild."};
    static const char *const absent[] = {"nope.example.", "a.b.c.d.NOPE.example.",
                                         "x.child.example.", "\\000.example."};
    for (unsigned i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        ck_assert_msg(ask(cuts[i], 1, 0, false) > 0, "%s", cuts[i]);
        ck_assert_uint_eq(rcode(), 0);
        ck_assert_uint_eq(response[2] & 4, 0);
        ck_assert_msg(ask(cuts[i], 255, 1232, true) > 0, "%s", cuts[i]);
        ck_assert_uint_gt(response[9], 0);
    }
    for (unsigned i = 0; i < sizeof absent / sizeof *absent; i++) {
        ck_assert_msg(ask(absent[i], 1, 0, false) > 0, "%s", absent[i]);
        ck_assert_uint_eq(rcode(), 3);
        ck_assert_uint_eq(response[2] & 4, 4);
        ck_assert(ask(absent[i], 43, 512, true) > 0);
    }
}
END_TEST

/* Records in the answer, in the authority section, in the additional one less OPT. */
static void check_counts(unsigned answer, unsigned authority, unsigned additional)
{
    ck_assert_uint_eq(rcode(), 0);
    ck_assert_uint_eq(response[2] & 4, 4);
    ck_assert_uint_eq(response[7], answer);
    ck_assert_uint_eq(response[9], authority);
    ck_assert_uint_eq(response[11], additional);
}

START_TEST(test_rrsets)
{
    static const struct {
        const char *name;
        unsigned type, answer, additional;
    } cases[] = {
        {"example.", RR_SOA, 1, 0},
        {"eXAMPLe.", RR_NS, 1, 1},
        {"ns1.example.", RR_A, 1, 0},
        {"NS1.example.", RR_AAAA, 0, 0},
        {"example.", RR_A, 0, 0},
        {"mail.example.", RR_MX, 1, 1},
        {"mail.example.", 257, 1, 0},
        {"mail.example.", 256, 0, 0},
        {"MX.example.", RR_TXT, 1, 0},
        {"mx.example.", RR_A, 0, 0},
        {"x.ent.example.", RR_A, 1, 0},
        {"x.ent.example.", RR_MX, 0, 0},
        {"alias.example.", RR_CNAME, 1, 0},
        {"child.example.", RR_NS, 1, 0},
        {"wild.", RR_MX, 0, 0},
        {"Alias.example.", RR_A, 2, 0},
        {"abroad.example.", RR_A, 1, 0},
        {"abroad.example.", RR_AAAA, 1, 0},
        {"inner.example.", RR_CNAME, 1, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_there = cases[i].answer > 0;
        for (unsigned is_do = 0; is_do < 2; is_do++) {
            /* A name that would be compressed otherwise than in NXDOMAIN climbs. */
            if (ask(cases[i].name, cases[i].type, 1232, is_do) == 0)
                ck_assert_msg(!is_there && i == 3, "%s %u", cases[i].name, cases[i].type);
            else
                check_counts(cases[i].answer, !is_there, cases[i].additional + 1);
        }
        if (is_there) {
            ck_assert_uint_gt(ask(cases[i].name, cases[i].type, 0, false), 0);
            check_counts(cases[i].answer, 0, cases[i].additional);
        }
    }
    ck_assert_uint_eq(ask("alias.example.", RR_AAAA, 0, false), 0);
    ck_assert_uint_eq(ask("alias.example.", RR_TXT, 0, false), 0);
    static const unsigned climbing[] = {RR_RRSIG, RR_NSEC, RR_ANY, RR_DS, 0, 200};
    for (unsigned i = 0; i < sizeof climbing / sizeof *climbing; i++) {
        ck_assert_uint_eq(ask("mail.example.", climbing[i], 0, false), 0);
        ck_assert_uint_eq(ask("example.", climbing[i], 0, false), 0);
    }
}
END_TEST

/* Over UDP what is longer than the limit is truncated; in a page there is room for so much. */
START_TEST(test_long_rrsets)
{
    static char text[40000];
    for (unsigned strings = 1; strings <= 40; strings++) {
        char *at = text + sprintf(text, "%shost 60 TXT", PLAIN("a.far.net."));
        for (unsigned i = 0; i < strings; i++)
            at += sprintf(at, " %0*u", 99, i);
        sprintf(at, "\n");
        fixture_load(&fixture, "long.", text);
        ck_assert_int_eq(image_build(image, memory, fixture.view), 0);
        uint8_t request[512];
        size_t len = request_make(request, "host.long.", RR_TXT, 1232, false, NULL, 0);
        size_t whole = len + 12 + 100 * strings;
        bool is_in = whole - len + 11 + sizeof(struct image_block) + 12 <= IMAGE_PAGE_LEN;
        if (strings != 39)
            ck_assert_uint_eq(ask_octets(request, len, true, sizeof response), is_in ? whole : 0);
        size_t got = ask_octets(request, len, false, sizeof response);
        ck_assert(strings == 39 || got == (whole <= 1232 ? whole : is_in ? len : 0));
        ck_assert(got == 0 || (response[2] & 2) == (whole > 1232 ? 2 : 0));
    }
    ck_assert_uint_gt(ask("host.long.", RR_A, 0, false), 0);
}
END_TEST

/* Names below an apex that is in the way are of that zone, whatever the one above has there. */
START_TEST(test_rrsets_of_zones_in_each_other)
{
    fixture_load(&fixture, "outer.",
                 PLAIN("a.far.net.") "a.b 60 A 192.0.2.1\nb.x 60 A 192.0.2.1\n"
                                     "b 60 A 192.0.2.2\n");
    fixture_load(&fixture, "a.b.outer.", PLAIN("a.far.net.") "c 60 A 192.0.2.3\n");
    ck_assert_int_eq(image_build(image, memory, fixture.view), 0);
    ck_assert_uint_gt(ask("b.x.outer.", RR_A, 0, false), 0);
    check_counts(1, 0, 0);
    ck_assert_uint_gt(ask("a.b.outer.", RR_A, 0, false), 0);
    check_counts(0, 1, 0);
    ck_assert_uint_gt(ask("c.a.b.outer.", RR_A, 0, false), 0);
    check_counts(1, 0, 0);
    ck_assert_uint_eq(ask("b.outer.", RR_A, 0, false), 0);
}
END_TEST

START_TEST(test_what_climbs)
{
    static const char *const names[] = {
        /* Below a name that exists, empty, or nothing of ours. */
        "x.ns1.example.", "x.old.example.", "ent.example.", "y.ent.example.", "x.deep.er.example.",
        "deep.er.example.", "other.", ".", "old.example.", "gone.example.", "loop.example.",
        "inner.example.",
        /* Another zone is at or below the cut. */
        "holder.example.", "a.holder.example.", "a.x.y.holder.example.",
        /* Wildcards; a DNAME for all; too deep an apex. */
        "nope.wild.", "*.wild.", "x.dname.", "dname.", "cut.1.2.3.4.5.6.7.8.9.",
        "x.1.2.3.4.5.6.7.8.9."};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(ask(names[i], 1, 0, false) == 0, "%s", names[i]);
    ck_assert_uint_eq(ask("cut.example.", 43, 1232, true), 0); /* DS is the parent's */
    ck_assert_uint_gt(ask("x.cut.example.", 43, 1232, true), 0);
    ck_assert_uint_eq(ask("ns.cut.example.", 1, 0, false), 0); /* would be compressed better */
    for (unsigned type = 128; type < 255; type++)
        ck_assert_uint_eq(ask("x.cut.example.", type, 1232, true), 0);
}
END_TEST

START_TEST(test_header_must_be_usual)
{
    static const struct {
        unsigned at, value, is_answered;
    } headers[] = {{2, 0x00, 1}, {2, 0x01, 1}, {3, 0x20, 1}, {3, 0x10, 1}, {3, 0x30, 1},
                   {2, 0x80, 0}, {2, 0x02, 0}, {2, 0x04, 0}, {2, 0x08, 0}, {2, 0x40, 0},
                   {3, 0x80, 0}, {3, 0x40, 0}, {3, 0x01, 0}, {5, 0, 0},    {5, 2, 0},
                   {4, 1, 0},    {7, 1, 0},    {9, 1, 0},    {11, 2, 0},   {11, 0, 0},
                   {10, 1, 0},   {6, 1, 0},    {8, 1, 0}};
    for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++) {
        uint8_t request[512];
        size_t len = request_make(request, "x.cut.example.", 1, 1232, false, NULL, 0);
        request[headers[i].at] = (uint8_t)headers[i].value;
        bool is_answered = ask_octets(request, len, i % 2 == 0, sizeof response) > 0;
        ck_assert_msg(is_answered == headers[i].is_answered, "octet %u is %x", headers[i].at,
                      headers[i].value);
    }
}
END_TEST

START_TEST(test_rest_must_be_usual)
{
    uint8_t request[512];
    size_t len = request_make(request, "x.cut.example.", 1, 1232, false, NULL, 0);
    size_t opt = len - 11;
    static const struct {
        unsigned at, value, is_answered;
    } octets[] = {{0, 1, 0}, {1, 1, 0},    {2, 40, 0}, {3, 0, 1}, {5, 1, 1}, /* extended RCODE */
                  {6, 1, 0}, {7, 0x80, 1}, {8, 1, 1},  {9, 1, 0}, {10, 1, 0}};
    for (unsigned i = 0; i < sizeof octets / sizeof *octets; i++) {
        uint8_t changed[512];
        memcpy(changed, request, len);
        changed[opt + octets[i].at] = (uint8_t)octets[i].value;
        bool is_answered = ask_octets(changed, len, false, sizeof response) > 0;
        ck_assert_msg(is_answered == octets[i].is_answered, "octet %u is %x", octets[i].at,
                      octets[i].value);
    }
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_uint_eq(ask_octets(request, cut, false, sizeof response), 0);
    ck_assert_uint_eq(ask_octets(request, len + 1, false, sizeof response), 0);
    request[opt - 1] = 3; /* class */
    ck_assert_uint_eq(ask_octets(request, len, false, sizeof response), 0);
    request[opt - 1] = 1;
    request[12] = 0xc0; /* a pointer for a name */
    ck_assert_uint_eq(ask_octets(request, len, false, sizeof response), 0);
    uint8_t with_option[512];
    static const uint8_t nsid[] = {0, 3, 0, 0};
    len = request_make(with_option, "x.cut.example.", 1, 1232, false, nsid, sizeof nsid);
    ck_assert_uint_eq(ask_octets(with_option, len, false, sizeof response), 0);
}
END_TEST

START_TEST(test_names_of_all_lengths)
{
    char text[NAME_TEXT_MAX];
    for (unsigned labels = 0; labels <= 120; labels++) {
        char *at = text;
        for (unsigned i = 0; i < labels; i++)
            at += sprintf(at, "a.");
        sprintf(at, "cut.example.");
        ck_assert_uint_gt(ask(text, 1, 0, false), 0);
        sprintf(at, "xyz.example.");
        ck_assert_uint_gt(ask(text, 1, 512, true), 0);
    }
}
END_TEST

START_TEST(test_limits)
{
    uint8_t request[512];
    size_t len = request_make(request, "x.cut.example.", 1, 0, false, NULL, 0);
    size_t full = ask_octets(request, len, true, sizeof response);
    ck_assert_uint_gt(full, len);
    /* As if the limit were that small: what does not fit climbs. */
    ck_assert_uint_eq(image_respond(memory.octets, memory.len, true, request, len, response, full),
                      full);
    ck_assert_uint_eq(
        image_respond(memory.octets, memory.len, true, request, len, response, full - 1), 0);
}
END_TEST

START_TEST(test_only_while_it_is_of_a_snapshot)
{
    struct image_head *head = memory.octets;
    uint64_t version = image_version(memory.octets);
    ck_assert_uint_eq(version, zonedb_view_version(fixture.view));
    head->version = 0;
    ck_assert_uint_eq(ask("x.cut.example.", 1, 0, false), 0);
    head->version = version;
    ck_assert_uint_gt(ask("x.cut.example.", 1, 0, false), 0);
    for (size_t len = 0; len < 2 * IMAGE_PAGE_LEN; len += 1000) {
        uint8_t request[512];
        size_t request_len = request_make(request, "x.cut.example.", 1, 0, false, NULL, 0);
        ck_assert_uint_eq(image_respond(memory.octets, len, false, request, request_len, response,
                                        sizeof response),
                          0);
    }
}
END_TEST

/* ---- what others, who read it themselves, rely on ---- */

static const struct image_block *block_of(enum image_kind kind, const char *text)
{
    uint8_t name[NAME_MAX_LEN];
    size_t len = name_from_text(text, name);
    uint64_t *entry = image_entry_find(image, kind, name, len);
    return entry == NULL ? NULL : image_block_of(image, *entry & IMAGE_PLACE_MASK);
}

static void check_body(const struct image_block *block, unsigned is_do)
{
    const struct image_body *body = &block->body[is_do];
    const uint8_t *octets = (const uint8_t *)block;
    uint32_t sum = 0;
    unsigned odd = 0, last = 0;
    ck_assert_uint_gt(body->len, 0);
    ck_assert_uint_eq(body->pointers_at % 2, 0);
    for (unsigned i = 0; i < body->len; i += 2) {
        uint8_t pair[2] = {octets[body->at + i], i + 1u < body->len ? octets[body->at + i + 1] : 0};
        uint16_t word;
        memcpy(&word, pair, 2);
        sum += word;
    }
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    ck_assert_uint_eq(sum, body->sum);
    for (unsigned i = 0; i < body->pointer_count; i++) {
        uint16_t at;
        memcpy(&at, octets + body->pointers_at + 2 * i, sizeof at);
        ck_assert(i == 0 || at > last);
        last = at;
        odd += at % 2;
        ck_assert_uint_ge(octets[body->at + at], 0xc0);
    }
    ck_assert_uint_eq(odd, body->pointer_odd_count);
}

START_TEST(test_layout)
{
    const struct image_block *cut = block_of(IMAGE_CUT, "cut.example."),
                             *apex = block_of(IMAGE_APEX, "example."),
                             *wild = block_of(IMAGE_APEX, "wild.");
    const struct image_head *head = memory.octets;
    ck_assert(cut != NULL && apex != NULL && wild != NULL);
    for (unsigned is_do = 0; is_do < 2; is_do++) {
        check_body(cut, is_do);
        check_body(apex, is_do);
        check_body(block_of(IMAGE_CUT, "far.example."), is_do);
    }
    ck_assert_uint_eq(cut->body[0].at,
                      cut->body[1].at); /* the zone is not signed: they are equal */
    ck_assert_uint_eq(cut->body[0].flags, 0);
    ck_assert_uint_eq(cut->body[0].count[1], 1);
    ck_assert_uint_eq(cut->body[0].count[2], 1);
    ck_assert_uint_eq(cut->label_count, 2);
    ck_assert_uint_eq(cut->name_len, 13);
    ck_assert_mem_eq(cut + 1, "\3cut\7example", 13);
    ck_assert_uint_eq(cut->children[0], image_label_mark(2, 'n', 's'));
    ck_assert_uint_eq(cut->children[1], 0);
    ck_assert_uint_eq(apex->body[0].flags, 0x0403);
    ck_assert_uint_eq(apex->flags, 0);
    ck_assert_uint_eq(wild->flags, IMAGE_HAS_WILDCARD);
    ck_assert_uint_eq(head->apex_depths, 1u << 1 | 1u << 2 | 1u << 3);
    ck_assert_uint_eq(head->udp_payload, policy.udp_payload);
    ck_assert_ptr_null(block_of(IMAGE_APEX, "dname."));
    ck_assert_ptr_null(block_of(IMAGE_CUT, "nope.example."));
    ck_assert_uint_eq(image_count(image).zones, 4);
    ck_assert_uint_eq(image_count(image).zones_out, 2);
}
END_TEST

/* ---- buckets ---- */

/* A hash with this fingerprint, in the bucket that `name` is looked up in, with its bit. */
static uint64_t hash_beside(const char *text, uint64_t fingerprint)
{
    uint8_t name[NAME_MAX_LEN];
    uint64_t hash = image_name_hash(IMAGE_CUT, name, name_from_text(text, name));
    return fingerprint << IMAGE_FINGERPRINT_SHIFT | (hash & IMAGE_PLACE_MASK);
}

START_TEST(test_a_full_bucket_goes_on_elsewhere)
{
    unsigned added = 0;
    size_t used = image_used(image);
    for (; added < IMAGE_WAYS; added++) {
        ck_assert_uint_gt(ask("nope.example.", 1, 0, false), 0);
        image_entry_add(image, IMAGE_CUT, hash_beside("nope.example.", 1 + added),
                        IMAGE_PLACE_CLIMB);
    }
    ck_assert_uint_le(image_used(image), used + IMAGE_PAGE_LEN);
    /* It holds twice as many, less one; then what is not found may have found no room. */
    while (ask("nope.example.", 1, 0, false) > 0) {
        image_entry_add(image, IMAGE_CUT, hash_beside("nope.example.", 1 + added),
                        IMAGE_PLACE_CLIMB);
        ck_assert_uint_le(++added, 2 * IMAGE_WAYS);
    }
    ck_assert_uint_ge(added, 2 * IMAGE_WAYS - 4);
    /* What was in it is found all the same, and so is what comes then. */
    for (unsigned i = 0; i < IMAGE_WAYS; i++)
        image_entry_add(image, IMAGE_CUT, hash_beside("cut.example.", 1 + i), IMAGE_PLACE_CLIMB);
    ck_assert_uint_gt(ask("cut.example.", 1, 0, false), 0);
    uint8_t name[NAME_MAX_LEN];
    size_t len = name_from_text("cut.example.", name);
    uint64_t *entry = image_entry_find(image, IMAGE_CUT, name, len);
    ck_assert_ptr_nonnull(entry);
    uint64_t place = *entry & IMAGE_PLACE_MASK;
    image_entry_set(entry, 0);
    image_entry_add(image, IMAGE_CUT, image_name_hash(IMAGE_CUT, name, len), place);
    ck_assert_uint_gt(ask("cut.example.", 1, 0, false), 0);
}
END_TEST

START_TEST(test_where_a_bucket_goes_on_lies_within)
{
    uint8_t name[NAME_MAX_LEN], request[512];
    size_t len = request_make(request, "cut.example.", 1, 0, false, NULL, 0);
    uint64_t hash = image_name_hash(IMAGE_CUT, name, name_from_text("cut.example.", name));
    uint64_t *bucket =
        (uint64_t *)memory.octets +
        IMAGE_PAGE_LEN / 8 * image_bucket_page(hash & image->bucket_mask, image->bucket_shift) +
        image_bucket_at(hash & image->bucket_mask, image->bucket_shift) / 8;
    const uint64_t places[] = {memory.len / IMAGE_UNIT_LEN - 3, IMAGE_PLACE_MORE - 1};
    memset(bucket, 0, 8u * IMAGE_WAYS);
    memset((uint8_t *)memory.octets + (places[0] - 1) * IMAGE_UNIT_LEN, 0, 8u * IMAGE_WAYS);
    for (unsigned i = 0; i < 2; i++) {
        bucket[IMAGE_WAYS - 1] = IMAGE_PLACE_MORE | places[i];
        ck_assert_uint_eq(image_respond(memory.octets, memory.len, false, request, len, response,
                                        sizeof response),
                          0);
    }
    bucket[IMAGE_WAYS - 1] = IMAGE_PLACE_MORE | (places[0] - 1); /* an empty one */
    ck_assert_uint_gt(
        image_respond(memory.octets, memory.len, false, request, len, response, sizeof response),
        0);
    bucket[IMAGE_WAYS - 1] = /* to itself: there is an end */
        IMAGE_PLACE_MORE |
        (uint64_t)((uint8_t *)bucket - (uint8_t *)memory.octets) / IMAGE_UNIT_LEN;
    ck_assert_uint_eq(
        image_respond(memory.octets, memory.len, false, request, len, response, sizeof response),
        0);
}
END_TEST

START_TEST(test_what_the_filter_has_not_does_not_exist)
{
    struct image_head *head = memory.octets;
    uint8_t *filter = (uint8_t *)memory.octets + head->filter_page * IMAGE_PAGE_LEN;
    ck_assert_uint_gt(ask("cut.example.", 1, 0, false), 0);
    ck_assert_uint_eq(rcode(), 0);
    ck_assert_uint_eq(ask("ent.example.", 1, 0, false), 0);
    /* As if they did not exist. */
    memset(filter, 0, head->filter_mask / 8 + 1);
    static const char *const names[] = {"cut.example.", "ent.example."};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t request[512];
        size_t len = request_make(request, names[i], 1, 0, false, NULL, 0);
        ck_assert_uint_gt(image_respond(memory.octets, memory.len, false, request, len, response,
                                        sizeof response),
                          0);
        ck_assert_uint_eq(rcode(), 3);
    }
    head->filter_page = 0; /* without one, all are looked for */
    ck_assert_uint_gt(ask("cut.example.", 1, 0, false), 0);
    ck_assert_uint_eq(ask("ent.example.", 1, 0, false), 0);
    head->filter_page = UINT32_MAX; /* no page of the image */
    ck_assert_uint_eq(ask("cut.example.", 1, 0, false), 0);
}
END_TEST

START_TEST(test_the_same_fingerprint_climbs)
{
    uint8_t name[NAME_MAX_LEN];
    size_t len = name_from_text("cut.example.", name);
    uint64_t fingerprint = image_fingerprint(image_name_hash(IMAGE_CUT, name, len));
    ck_assert_uint_gt(ask("cut.example.", 1, 0, false), 0);
    image_entry_add(image, IMAGE_CUT, hash_beside("cut.example.", fingerprint), 4711);
    ck_assert_uint_eq(ask("cut.example.", 1, 0, false), 0);
    ck_assert_uint_gt(ask("far.example.", 1, 0, false), 0);
}
END_TEST

START_TEST(test_zones_without_room_climb)
{
    /* So many delegations that they are most of what there is. */
    char *text = malloc(1 << 20), *at = text;
    at += sprintf(at, "%s", PLAIN("a.far.net."));
    for (unsigned i = 0; i < 2000; i++)
        at += sprintf(at, "n%u 60 NS a.far.net.\n", i);
    fixture_load(&fixture, "large.", text);
    free(text);
    ck_assert_int_eq(image_build(image, memory, fixture.view), 0);
    ck_assert_uint_eq(image_count(image).zones_out, 2);
    ck_assert_uint_gt(ask("n1.large.", 1, 0, false), 0);
    size_t used = image_used(image);
    unsigned large = 0, out = 0;
    for (size_t len = used; len >= 8 * IMAGE_PAGE_LEN; len -= 3 * IMAGE_PAGE_LEN) {
        struct image_memory small = {memory.octets, len};
        int rc = image_build(image, small, fixture.view);
        ck_assert_msg(rc == 0 || rc == -ENOSPC, "%d", rc);
        if (rc != 0)
            continue;
        ck_assert_uint_le(image_used(image), len);
        bool has_large = ask("n1.large.", 1, 0, false) > 0;
        ck_assert(has_large || image_count(image).zones_out > 2);
        ck_assert(ask("cut.example.", 1, 0, false) > 0);
        ck_assert_uint_eq(ask("nope.large.", 1, 0, false) > 0, has_large);
        large += has_large;
        out += !has_large;
    }
    ck_assert(large > 0 && out > 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_what_is_answered,
                                  test_rrsets,
                                  test_long_rrsets,
                                  test_rrsets_of_zones_in_each_other,
                                  test_what_climbs,
                                  test_header_must_be_usual,
                                  test_rest_must_be_usual,
                                  test_names_of_all_lengths,
                                  test_limits,
                                  test_only_while_it_is_of_a_snapshot,
                                  test_layout,
                                  test_a_full_bucket_goes_on_elsewhere,
                                  test_where_a_bucket_goes_on_lies_within,
                                  test_what_the_filter_has_not_does_not_exist,
                                  test_the_same_fingerprint_climbs,
                                  test_zones_without_room_climb};
    return test_run("zonedb_image_respond", tests, sizeof tests / sizeof *tests, setup, teardown);
}
