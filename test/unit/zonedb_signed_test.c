/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond() asked with signatures: each is judged by a second implementation, and what is signed is
 * what the same question gets without.
 */
#include "test_main.h"
#include "tsig_second.h"
#include "zone_fixture.h"
#include "zonedb/checksum.h"
#include "zonedb/respond.h"
#include "zonedb/tsig.h"

#define NOW_S 1700000000
#define NOERROR 0
#define FORMERR 1
#define NXDOMAIN 3
#define NOTIMP 4
#define NOTAUTH 9
#define BADVERS 16
#define EDNS_COOKIE 10
#define TC 0x0200u

static const char zone_text[] = "$ORIGIN example.\n$TTL 3600\n"
                                "@ SOA ns1 host 7 3600 900 604800 300\n"
                                "@ NS ns1\nns1 A 192.0.2.1\nwww A 192.0.2.80\n"
                                "alias CNAME www\nsub NS ns.sub\nns.sub A 192.0.2.7\n";

static struct fixture fixture;
static struct message message;
static uint8_t response[65535], plain_response[65535];
static struct tsig_key keys[3];
static struct tsig_keys table = {keys, 3};
static struct respond_policy policy;

static const struct second_key second_keys[3] = {
    {".", SECOND_SHA256, (const uint8_t[32]){0}, 32},
    {"key.", SECOND_SHA256, (const uint8_t *)"secret", 6},
    {"long.", SECOND_SHA512, (const uint8_t *)"secret of it", 12},
};

static void setup(void)
{
    char *text = malloc(1 << 16);
    ck_assert_ptr_nonnull(text);
    strcpy(text, zone_text);
    for (unsigned i = 0; i < 100; i++)
        sprintf(text + strlen(text), "big TXT \"%03u%096u\"\n", i, 0);
    for (unsigned i = 0; i < 4; i++)
        sprintf(text + strlen(text), "some TXT \"%03u%096u\"\n", i, 0);
    for (unsigned i = 0; i < 8; i++)
        sprintf(text + strlen(text), "%060u CNAME %060u\n", i, i + 1);
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", text);
    free(text);
    tsig_key_set_well_known(&keys[0]);
    ck_assert(tsig_key_set(&keys[1], (const uint8_t *)"\3key", TSIG_HMAC_SHA256,
                           (const uint8_t *)"secret", 6));
    ck_assert(tsig_key_set(&keys[2], (const uint8_t *)"\4long", TSIG_HMAC_SHA512,
                           (const uint8_t *)"secret of it", 12));
    policy = respond_policy_default();
    policy.tsig = &table;
}

static void teardown(void)
{
    fixture_close(&fixture);
}

struct asked {
    size_t plain_len, len;
    uint8_t octets[1024];
    struct tsig_asked signed_by;
};

static void sign(struct asked *asked, unsigned key)
{
    asked->len = tsig_request_sign(&keys[key], NOW_S, NULL, 0, asked->octets, asked->plain_len,
                                   sizeof asked->octets, &asked->signed_by);
    ck_assert_uint_gt(asked->len, asked->plain_len);
}

static struct asked ask(const char *qname, unsigned qtype, unsigned payload, const uint8_t *opt,
                        size_t opt_len, unsigned key)
{
    struct asked asked;
    asked.plain_len = request_make(asked.octets, qname, qtype, payload, true, opt, opt_len);
    sign(&asked, key);
    return asked;
}

static size_t get_at(const struct asked *asked, enum respond_transport transport, uint64_t now_s)
{
    static const uint8_t address[4] = {192, 0, 2, 9};
    struct respond_client client = {
        .transport = transport, .now_s = now_s, .address = address, .address_len = sizeof address};
    uint8_t *request = exact_copy(asked->octets, asked->len);
    size_t len = respond(fixture.view, &policy, &client, request, asked->len, response,
                         transport == RESPOND_UDP ? 4096 : sizeof response);
    free(request);
    message_parse(&message, response, len);
    return len;
}

static size_t get(const struct asked *asked, enum respond_transport transport)
{
    return get_at(asked, transport, NOW_S);
}

/* The response is signed for this request by that key, and says this of it. */
static void expect_signed(const struct asked *asked, size_t len, unsigned key, unsigned error)
{
    struct second prior, found;
    struct tsig tsig;
    ck_assert(second_find(asked->octets, asked->len, &prior));
    ck_assert(second_find(response, len, &found));
    ck_assert(second_is_signed(&second_keys[key], response, &found, &prior));
    ck_assert_uint_eq(get16(found.rest + 2), error);
    ck_assert_int_eq(tsig_response_verify(&asked->signed_by, response, len, NOW_S, &tsig),
                     error == 0 ? TSIG_ANSWER_GOOD : TSIG_ANSWER_REFUSED);
}

START_TEST(test_what_is_signed_is_what_is_answered)
{
    static const struct {
        const char *qname;
        unsigned qtype, rcode;
    } cases[] = {{"www.example.", 1, NOERROR},   {"alias.example.", 1, NOERROR},
                 {"x.sub.example.", 1, NOERROR}, {"nope.example.", 1, NXDOMAIN},
                 {"www.example.", 28, NOERROR},  {"big.example.", 16, NOERROR},
                 {"elsewhere.", 1, 5},           {"example.", 252, 5}};
    struct respond_client client = {.transport = RESPOND_TCP};
    for (unsigned i = 0; i < 3 * sizeof cases / sizeof *cases; i++) {
        unsigned c = i / 3, key = i % 3;
        struct asked asked =
            ask(cases[c].qname, cases[c].qtype, c % 2 == 0 ? 1232 : 0, NULL, 0, key);
        size_t len = get(&asked, RESPOND_TCP);
        ck_assert_uint_eq(message.rcode, cases[c].rcode);
        expect_signed(&asked, len, key, 0);
        /* The same without. */
        asked.octets[11]--;
        size_t plain_len = respond(fixture.view, &policy, &client, asked.octets, asked.plain_len,
                                   plain_response, sizeof plain_response);
        plain_response[11]++;
        ck_assert_uint_lt(plain_len, len);
        ck_assert_mem_eq(response, plain_response, plain_len);
        struct second found;
        ck_assert(second_find(response, len, &found) && found.at == plain_len);
    }
}
END_TEST

START_TEST(test_time_changes_nothing_within_its_limits)
{
    struct asked asked = ask("big.example.", 16, 1232, NULL, 0, 1);
    uint8_t *first = malloc(sizeof response);
    ck_assert_ptr_nonnull(first);
    size_t len = get(&asked, RESPOND_TCP);
    memcpy(first, response, len);
    for (uint64_t now_s = NOW_S - 300; now_s <= NOW_S + 300; now_s += 25) {
        ck_assert_uint_eq(get_at(&asked, RESPOND_TCP, now_s), len);
        ck_assert_mem_eq(response, first, len);
    }
    free(first);
    for (uint64_t now_s = NOW_S - 301; now_s <= NOW_S + 301; now_s += 602) {
        len = get_at(&asked, RESPOND_TCP, now_s);
        ck_assert_uint_eq(message.rcode, NOTAUTH);
        ck_assert(message.count[0] == 0 && message.count[1] == 0 && message.count[2] == 2);
        expect_signed(&asked, len, 1, TSIG_BADTIME);
    }
}
END_TEST

/* The client's fudge decides; a BADTIME response has it, others have ours (RFC 8945 5.2.3). */
START_TEST(test_fudge_of_the_client)
{
    struct asked asked = ask("www.example.", 1, 1232, NULL, 0, 1);
    struct second at, found;
    uint8_t mac[64];
    ck_assert(second_find(asked.octets, asked.len, &at));
    asked.octets[at.times + 6 - asked.octets] = 0;
    asked.octets[at.times + 7 - asked.octets] = 9;
    second_mac(&second_keys[1], asked.octets, &at, NULL, mac);
    memcpy(asked.octets + (at.mac - asked.octets), mac, at.mac_len);
    memcpy(asked.signed_by.mac, mac, at.mac_len);
    for (int by = -10; by <= 10; by++) {
        bool is_late = by == -10 || by == 10;
        size_t len = get_at(&asked, RESPOND_UDP, (uint64_t)(NOW_S + by));
        ck_assert_uint_eq(message.rcode, is_late ? NOTAUTH : NOERROR);
        expect_signed(&asked, len, 1, is_late ? TSIG_BADTIME : 0);
        ck_assert(second_find(response, len, &found));
        ck_assert_uint_eq(get16(found.times + 6), is_late ? 9 : TSIG_FUDGE_S);
    }
}
END_TEST

/* Over UDP the record is part of what must fit. */
START_TEST(test_room)
{
    unsigned truncated = 0;
    for (unsigned payload = 512; payload <= 700; payload++) {
        struct asked asked = ask("some.example.", 16, payload, NULL, 0, payload % 3);
        size_t len = get(&asked, RESPOND_UDP);
        ck_assert_uint_le(len, payload);
        expect_signed(&asked, len, payload % 3, 0);
        bool is_truncated = (message.flags & TC) != 0;
        truncated += is_truncated;
        ck_assert_uint_eq(message.count[0], is_truncated ? 0 : 4);
        ck_assert_uint_eq(message.count[2], 2);
        /* It is not truncated for nothing: unsigned it is longer than what is left. */
        struct respond_client client = {.transport = RESPOND_TCP};
        asked.octets[11]--;
        size_t plain_len = respond(fixture.view, &policy, &client, asked.octets, asked.plain_len,
                                   plain_response, sizeof plain_response);
        struct second found;
        ck_assert(second_find(response, len, &found));
        ck_assert(is_truncated == (plain_len + (len - found.at) > payload));
    }
    ck_assert(truncated > 0 && truncated < 189);
}
END_TEST

/* RFC 8945 5.3: what is truncated for the signature says nothing but that. */
START_TEST(test_truncated_nxdomain)
{
    char qname[80];
    sprintf(qname, "%060u.example.", 0);
    struct asked asked = ask(qname, 1, 512, NULL, 0, 1);
    size_t len = get(&asked, RESPOND_TCP);
    ck_assert(message.rcode == NXDOMAIN && message.count[0] == 8);
    expect_signed(&asked, len, 1, 0);
    len = get(&asked, RESPOND_UDP);
    ck_assert(message.rcode == NOERROR && (message.flags & TC) != 0);
    ck_assert(message.count[0] == 0 && message.count[1] == 0 && message.count[2] == 2);
    expect_signed(&asked, len, 1, 0);
}
END_TEST

/* What is not understood, or malformed, is refused with a signature, if its own can be read; and what
 * is wrong with that is said first (RFC 8945 5.2). */
START_TEST(test_signed_refusals)
{
    static const uint8_t short_cookie[] = {0, EDNS_COOKIE, 0, 5, 1, 2, 3, 4, 5};
    static const struct dns_cookie_secrets cookie = {.count = 1};
    const uint8_t address[4] = {192, 0, 2, 9};
    for (unsigned i = 0; i < 4; i++) {
        struct asked asked;
        asked.plain_len = request_make(asked.octets, "www.example.", 1, 1232, false, short_cookie,
                                       i == 2 ? sizeof short_cookie : 0);
        if (i < 2)
            asked.octets[2] |= (uint8_t)((i == 0 ? 4 : 5) << 3); /* NOTIFY, UPDATE */
        if (i == 3) {                                            /* twice the question */
            size_t question_len = 13 + 4;
            memmove(asked.octets + 12 + question_len, asked.octets + 12, asked.plain_len - 12);
            asked.octets[5] = 2;
            asked.plain_len += question_len;
        }
        policy.cookie = i == 2 ? &cookie : NULL;
        unsigned rcode = i < 2 ? NOTIMP : FORMERR;
        sign(&asked, 1);
        struct respond_client client = {
            .now_s = NOW_S, .address = address, .address_len = sizeof address};
        uint8_t *request = exact_copy(asked.octets, asked.len);
        size_t len = respond(fixture.view, &policy, &client, request, asked.len, response, 1232);
        message_parse(&message, response, len);
        ck_assert_uint_eq(message.rcode, rcode);
        expect_signed(&asked, len, 1, 0);
        ck_assert(!respond_is_lasting(&policy, request, asked.len));
        request[asked.len - 7] ^= 1; /* the MAC */
        len = respond(fixture.view, &policy, &client, request, asked.len, response, 1232);
        message_parse(&message, response, len);
        struct second found;
        ck_assert(second_find(response, len, &found));
        ck_assert(message.rcode == NOTAUTH && found.mac_len == 0);
        ck_assert_uint_eq(get16(found.rest + 2), TSIG_BADSIG);
        /* Without the record. */
        request[11]--;
        len = respond(fixture.view, &policy, &client, request, asked.plain_len, response, 1232);
        message_parse(&message, response, len);
        ck_assert(message.rcode == rcode && !second_find(response, len, &found));
        ck_assert(respond_is_lasting(&policy, request, asked.plain_len));
        free(request);
    }
}
END_TEST

START_TEST(test_refusals)
{
    static const uint8_t other_mac[] = {TSIG_BADSIG}, other_name[] = {TSIG_BADKEY};
    struct second found;
    for (unsigned i = 0; i < 2; i++) {
        struct asked asked = ask("big.example.", 16, 1232, NULL, 0, 1);
        asked.octets[i == 0 ? asked.len - 7 : asked.plain_len + 1] ^= 1;
        size_t len = get(&asked, RESPOND_UDP);
        ck_assert_uint_eq(message.rcode, NOTAUTH);
        ck_assert(message.count[0] == 0 && message.count[1] == 0 && message.count[2] == 2);
        ck_assert_str_eq(message.qname, "big.example.");
        ck_assert(second_find(response, len, &found));
        ck_assert_uint_eq(found.mac_len, 0);
        ck_assert_uint_eq(get16(found.rest + 2), (i == 0 ? other_mac : other_name)[0]);
        ck_assert_uint_lt(len, asked.len); /* nothing for who asks in another's name */
    }
    policy.tsig = NULL;
    struct asked asked = ask("www.example.", 1, 0, NULL, 0, 1);
    size_t len = get(&asked, RESPOND_UDP);
    ck_assert_uint_eq(message.rcode, NOTAUTH);
    ck_assert(second_find(response, len, &found));
    ck_assert_uint_eq(get16(found.rest + 2), TSIG_BADKEY);
}
END_TEST

static void expect_formerr(const struct asked *asked)
{
    get(asked, RESPOND_UDP);
    ck_assert_uint_eq(message.rcode, FORMERR);
    for (unsigned i = 0; i < message.record_count; i++)
        ck_assert_uint_ne(message.record[i].type, 250);
}

START_TEST(test_wrong_places)
{
    static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
    /* Before OPT. */
    struct asked asked = ask("www.example.", 1, 0, NULL, 0, 1);
    memcpy(asked.octets + asked.len, opt, sizeof opt);
    asked.octets[11]++;
    asked.len += sizeof opt;
    expect_formerr(&asked);
    /* Twice, each right on its own. */
    asked = ask("www.example.", 1, 0, NULL, 0, 1);
    asked.plain_len = asked.len;
    sign(&asked, 1);
    expect_formerr(&asked);
    /* In the answer, and in the authority section. */
    for (unsigned section = 7; section <= 9; section += 2) {
        asked = ask("www.example.", 1, 0, NULL, 0, 1);
        asked.octets[11] = 0;
        asked.octets[section] = 1;
        expect_formerr(&asked);
    }
    /* Class and TTL; RDATA with an octet more. */
    for (size_t at = 5 + 2; at < 5 + 8; at++) {
        asked = ask("www.example.", 1, 0, NULL, 0, 1);
        asked.octets[asked.plain_len + at] ^= 1;
        expect_formerr(&asked);
    }
    asked = ask("www.example.", 1, 0, NULL, 0, 1);
    asked.octets[asked.plain_len + 5 + 9]++;
    asked.octets[asked.len++] = 0;
    expect_formerr(&asked);
}
END_TEST

/* Names as long as they get: what is signed fits in 512 octets, with OPT but without its options;
 * what is not signed may have to go without the record. */
START_TEST(test_longest_names)
{
    static const uint8_t options[] = {0, 3,           0, 0, 0xfd, 0xea, 0,  18, 1,  2,  3,  4, 5,
                                      6, 7,           8, 9, 10,   11,   12, 13, 14, 15, 16, 0, 0,
                                      0, EDNS_COOKIE, 0, 8, 1,    2,    3,  4,  5,  6,  7,  8};
    static const struct dns_cookie_secrets cookie = {.count = 1};
    policy.cookie = &cookie;
    char qname[1024];
    uint8_t name[NAME_MAX_LEN] = {63};
    static const uint8_t nsid[128] = {1};
    policy.nsid = nsid;
    policy.nsid_len = sizeof nsid;
    sprintf(qname, "%063d.%063d.%063d.%053d.example.", 1, 2, 3, 4);
    memset(name + 1, 'z', 63);
    name[64] = TSIG_KEY_NAME_MAX - 66;
    memset(name + 65, 'z', TSIG_KEY_NAME_MAX - 66);
    ck_assert(tsig_key_set(&keys[2], name, TSIG_HMAC_SHA512, (const uint8_t *)"secret of it", 12));
    char text[NAME_TEXT_MAX];
    struct second_key second = second_keys[2];
    second.name = name_to_text(name, text);
    for (unsigned by = 0; by <= 301; by += 301) {
        struct second prior, found;
        struct asked asked = ask(qname, 1, 512, options, sizeof options, 2);
        ck_assert_uint_gt(asked.plain_len, 12 + 255 + 4);
        size_t len = get_at(&asked, RESPOND_UDP, NOW_S + by);
        ck_assert_uint_le(len, 512);
        ck_assert(message.has_opt && message.option_len == 0);
        ck_assert(second_find(asked.octets, asked.len, &prior));
        ck_assert(second_find(response, len, &found));
        ck_assert(second_is_signed(&second, response, &found, &prior));
        ck_assert_uint_eq(get16(found.rest + 2), by == 0 ? 0 : TSIG_BADTIME);
    }
    /* A key that is not ours, with a name and an algorithm of 255 octets. */
    struct asked asked;
    asked.plain_len = request_make(asked.octets, qname, 1, 512, true, options, sizeof options);
    uint8_t *p = asked.octets + asked.plain_len, wire[NAME_MAX_LEN];
    ck_assert_uint_eq(name_from_text(qname, wire), 255);
    memcpy(p, wire, 255);
    memcpy(p + 255, "\0\372\0\377\0\0\0\0\1\17", 10); /* RDLENGTH 271 */
    memcpy(p + 265, wire, 255);
    memset(p + 520, 0, 16);
    asked.len = asked.plain_len + 536;
    asked.octets[11]++;
    size_t len = get(&asked, RESPOND_UDP);
    ck_assert_uint_le(len, 512);
    ck_assert_uint_eq(message.rcode, NOTAUTH);
    ck_assert_uint_eq(message.count[2], 1);
    len = get(&asked, RESPOND_TCP);
    ck_assert_uint_eq(message.rcode, NOTAUTH);
    struct second found;
    ck_assert(second_find(response, len, &found));
    ck_assert_uint_eq(get16(found.rest + 2), TSIG_BADKEY);
    ck_assert_uint_eq(found.name_len, 255);
}
END_TEST

START_TEST(test_with_options)
{
    /* NSID, CHECKSUM (-00), padding. */
    static const uint8_t options[] = {0, 3, 0,  0,  0xfd, 0xea, 0,  18, 1,  2, 3, 4, 5,  6, 7,
                                      8, 9, 10, 11, 12,   13,   14, 15, 16, 0, 0, 0, 12, 0, 0};
    policy.nsid = (const uint8_t *)"node";
    policy.nsid_len = 4;
    policy.has_padding = true;
    struct asked asked = ask("www.example.", 1, 1232, options, sizeof options, 1);
    size_t len = get(&asked, RESPOND_TCP);
    expect_signed(&asked, len, 1, 0);
    struct second found;
    ck_assert(second_find(response, len, &found));
    ck_assert_uint_eq(found.at, 468);
    /* The digest is of the message without the record. */
    response[11]--;
    ck_assert_int_eq(checksum_verify(response, found.at, RESPOND_CHECKSUM_CODE_DEFAULT,
                                     CHECKSUM_LAYOUT_00, options + 8),
                     CHECKSUM_GOOD);
    /* Another version of EDNS is told so, signed. */
    asked.plain_len = request_make(asked.octets, "www.example.", 1, 1232, false, NULL, 0);
    asked.octets[asked.plain_len - 5] = 1;
    sign(&asked, 1);
    len = get(&asked, RESPOND_UDP);
    ck_assert_uint_eq(message.rcode, BADVERS);
    expect_signed(&asked, len, 1, 0);
}
END_TEST

START_TEST(test_what_lasts)
{
    struct asked asked = ask("www.example.", 1, 1232, NULL, 0, 1);
    ck_assert(!respond_is_lasting(&policy, asked.octets, asked.len));
    asked.octets[11]--;
    ck_assert(respond_is_lasting(&policy, asked.octets, asked.plain_len));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_what_is_signed_is_what_is_answered,
                                  test_time_changes_nothing_within_its_limits,
                                  test_fudge_of_the_client,
                                  test_room,
                                  test_truncated_nxdomain,
                                  test_signed_refusals,
                                  test_refusals,
                                  test_wrong_places,
                                  test_longest_names,
                                  test_with_options,
                                  test_what_lasts};
    return test_run("zonedb_signed", tests, sizeof tests / sizeof *tests, setup, teardown);
}
