/* SPDX-License-Identifier: BSD-2-Clause
 *
 * COOKIE in whole messages (RFC 7873 5.2 and 5.4), and what a client gets who must show one.
 */
#include "message.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/checksum.h"
#include "zonedb/node.h"
#include "zonedb/respond.h"

#define NOW_S UINT64_C(1559731985)
#define EDNS_COOKIE 10
#define BADCOOKIE 23u
#define TC 0x0200u
#define AA 0x0400u

static struct fixture fixture;
static struct message message;
static uint8_t response[65535];
static const uint8_t address[4] = {198, 51, 100, 100};
static const struct dns_cookie_secrets secrets = {
    1,
    {{0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf,
      0xcf}}};
static struct respond_policy policy;
static struct respond_client client;

static void setup(void)
{
    fixture_open(&fixture);
    fixture_load(&fixture, "example.",
                 "$ORIGIN example.\n@ 300 SOA ns host 7 3600 900 604800 300\n@ 300 NS ns\n"
                 "ns 300 A 192.0.2.1\nwww 300 A 192.0.2.80\n");
    policy = respond_policy_default();
    policy.cookie = &secrets;
    client = (struct respond_client){
        .transport = RESPOND_UDP, .now_s = NOW_S, .address = address, .address_len = 4};
}

static void teardown(void)
{
    fixture_close(&fixture);
}

/* `opt`: octets of OPT's RDATA, NULL: no OPT. Asked for often enough for a template to be used. */
static const struct message *ask(const uint8_t *opt, size_t opt_len)
{
    uint8_t request[1024];
    size_t len = 0, request_len = request_make(request, "www.example.", 1, opt != NULL ? 1232 : 0,
                                               false, opt, opt_len);
    uint8_t *exact = exact_copy(request, request_len);
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *block = malloc(1232);
        ck_assert_ptr_nonnull(block);
        len = respond(fixture.view, &policy, &client, exact, request_len, block, 1232);
        ck_assert(len >= 12 && (i == 0 || memcmp(block, response, len) == 0));
        memcpy(response, block, len);
        free(block);
    }
    free(exact);
    message_parse(&message, response, len);
    ck_assert_uint_eq(message.id, 0x1234);
    return &message;
}

static const struct message *ask_cookie(const uint8_t *cookie, size_t len)
{
    uint8_t opt[4 + 64] = {0, EDNS_COOKIE, (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(opt + 4, cookie, len);
    return ask(opt, 4 + len);
}

/* The cookie of the response: one that is good for the client. */
static const uint8_t *cookie_of(const struct message *m)
{
    unsigned len = 0;
    const uint8_t *cookie = message_option(m, EDNS_COOKIE, &len);
    const struct dns_cookie_client asker = {client.address, client.address_len, client.now_s};
    ck_assert(cookie != NULL && len == DNS_COOKIE_LEN);
    ck_assert(dns_cookie_is_good(&secrets, &asker, cookie, len));
    return cookie;
}

static const uint8_t asked[DNS_COOKIE_CLIENT_LEN] = {0x24, 0x64, 0xc4, 0xab,
                                                     0xcf, 0x10, 0xc9, 0x57};
/* Of another client's address. */
static const uint8_t strange[DNS_COOKIE_LEN] = {0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57,
                                                1,    0,    0,    0,    0x5c, 0xf7, 0x9f, 0x11,
                                                1,    2,    3,    4,    5,    6,    7,    8};

START_TEST(test_a_cookie_for_who_asks)
{
    uint8_t good[DNS_COOKIE_LEN];
    unsigned len;
    const struct message *m = ask_cookie(asked, sizeof asked);
    ck_assert(m->rcode == 0 && m->count[0] == 1 && (m->flags & AA) != 0);
    memcpy(good, cookie_of(m), sizeof good);
    ck_assert_mem_eq(good, asked, sizeof asked);
    m = ask_cookie(good, sizeof good);
    ck_assert(m->rcode == 0 && m->count[0] == 1);
    ck_assert_mem_eq(cookie_of(m), good, sizeof good);
    /* As if the server's part were not there (RFC 7873 5.2.4). */
    m = ask_cookie(strange, sizeof strange);
    ck_assert(m->rcode == 0 && m->count[0] == 1);
    ck_assert_mem_eq(cookie_of(m), good, sizeof good);
    m = ask((const uint8_t *)"", 0);
    ck_assert(m->has_opt && message_option(m, EDNS_COOKIE, &len) == NULL);
    ck_assert(!ask(NULL, 0)->has_opt);
    policy.cookie = NULL;
    m = ask_cookie(good, 9);
    ck_assert(m->rcode == 0 && m->option_len == 0 && m->count[0] == 1);
}
END_TEST

START_TEST(test_every_length)
{
    uint8_t octets[64];
    unsigned option_len;
    memset(octets, 7, sizeof octets);
    for (size_t len = 0; len <= 44; len++) {
        const struct message *m = ask_cookie(octets, len);
        bool is_allowed = len == 8 || (len >= 16 && len <= 40);
        ck_assert_msg(m->rcode == (is_allowed ? 0 : 1), "%zu", len);
        ck_assert(m->has_opt);
        ck_assert((message_option(m, EDNS_COOKIE, &option_len) != NULL) == is_allowed);
    }
    /* The first one counts, and no other (RFC 7873 5.2). */
    uint8_t two[24] = {0, EDNS_COOKIE, 0, 8, [12] = 0, EDNS_COOKIE, 0, 3};
    memcpy(two + 4, asked, 8);
    ck_assert_uint_eq(ask(two, 19)->rcode, 0);
    ck_assert_mem_eq(cookie_of(&message), asked, 8);
}
END_TEST

START_TEST(test_who_must_show_one)
{
    uint8_t good[DNS_COOKIE_LEN];
    client.restraint = RESPOND_WITH_COOKIE;
    const struct message *m = ask_cookie(asked, sizeof asked);
    ck_assert(m->rcode == BADCOOKIE && m->record_count == 0 && (m->flags & (TC | AA)) == 0);
    memcpy(good, cookie_of(m), sizeof good);
    ck_assert_uint_eq(ask_cookie(strange, sizeof strange)->rcode, BADCOOKIE);
    m = ask_cookie(good, sizeof good);
    ck_assert(m->rcode == 0 && m->count[0] == 1);
    m = ask(NULL, 0);
    ck_assert(m->rcode == 0 && m->record_count == 0 && (m->flags & TC) != 0);
    m = ask((const uint8_t *)"", 0);
    ck_assert(m->rcode == 0 && m->record_count == 0 && (m->flags & TC) != 0);
    client.restraint = RESPOND_TRUNCATED;
    m = ask_cookie(good, sizeof good);
    ck_assert(m->rcode == 0 && m->record_count == 0 && (m->flags & TC) != 0);
    cookie_of(m);
}
END_TEST

/* Whoever may be another's victim gets no more octets than were sent in its name, whatever these asked
 * for: but for the server's part of a cookie. */
START_TEST(test_no_longer_than_the_request)
{
    static const uint8_t nsid[128] = {1}, nonce[16] = {2};
    static const enum respond_restraint restraints[] = {RESPOND_WITH_COOKIE, RESPOND_TRUNCATED};
    policy.nsid = nsid;
    policy.nsid_len = sizeof nsid;
    for (unsigned i = 0; i < 2 * 2 * 2 * 3; i++) {
        enum checksum_layout layout = i & 1 ? CHECKSUM_LAYOUT_01 : CHECKSUM_LAYOUT_00;
        uint8_t request[256], opt[64] = {0, 3, 0, 0, 0xfd, 0xea};
        size_t data_len = checksum_request_write(layout, nonce, opt + 8), opt_len = 8 + data_len;
        unsigned len, response_len;
        opt[7] = (uint8_t)data_len;
        if (i & 2) {
            memcpy(opt + opt_len, (const uint8_t[]){0, EDNS_COOKIE, 0, sizeof asked}, 4);
            memcpy(opt + opt_len + 4, asked, sizeof asked);
            opt_len += 4 + sizeof asked;
        }
        client.restraint = RESPOND_FREELY;
        ck_assert_ptr_nonnull(message_option(ask(opt, opt_len), 3, &len));
        size_t request_len = request_make(request, "www.example.", 1, 1232, false, opt, opt_len);
        client.restraint = restraints[i >> 2 & 1];
        request[2] |= (uint8_t)(i / 8 == 1 ? 0x20 : 0); /* NOTIMP */
        request[5] = (uint8_t)(i / 8 == 2 ? 2 : 1);     /* FORMERR */
        response_len = (unsigned)respond(fixture.view, &policy, &client, request, request_len,
                                         response, sizeof response);
        ck_assert_msg(response_len <= request_len + (i & 2 ? 16 : 0), "%u: %u", i, response_len);
    }
}
END_TEST

/* RFC 7873 5.4: no question, but a cookie. */
START_TEST(test_only_a_cookie)
{
    uint8_t request[12 + 11 + 4 + DNS_COOKIE_LEN] = {0x12, 0x34, 0, 0, 0,  0,  0,  0,    0,
                                                     0,    0,    1, 0, 0,  41, 4,  0xd0, 0,
                                                     0,    0,    0, 0, 12, 0,  10, 0,    8};
    size_t at = 27, len;
    memcpy(request + at, asked, 8);
    len = respond(fixture.view, &policy, &client, request, at + 8, response, sizeof response);
    message_parse(&message, response, len);
    ck_assert(message.rcode == 0 && message.record_count == 0 && get16(response + 4) == 0);
    uint8_t good[DNS_COOKIE_LEN];
    memcpy(good, cookie_of(&message), sizeof good);
    request[22] = 4 + DNS_COOKIE_LEN;
    request[26] = DNS_COOKIE_LEN;
    memcpy(request + at, good, sizeof good);
    len =
        respond(fixture.view, &policy, &client, request, sizeof request, response, sizeof response);
    message_parse(&message, response, len);
    ck_assert_uint_eq(message.rcode, 0);
    memcpy(request + at, strange, sizeof strange);
    len =
        respond(fixture.view, &policy, &client, request, sizeof request, response, sizeof response);
    message_parse(&message, response, len);
    ck_assert_uint_eq(message.rcode, BADCOOKIE);
    ck_assert_mem_eq(cookie_of(&message), good, sizeof good);
    /* Without COOKIE, or where it is not served, a message without question is none. */
    request[24] = 11;
    respond(fixture.view, &policy, &client, request, sizeof request, response, sizeof response);
    ck_assert_uint_eq(response[3] & 15, 1);
    request[24] = 10;
    policy.cookie = NULL;
    respond(fixture.view, &policy, &client, request, sizeof request, response, sizeof response);
    ck_assert_uint_eq(response[3] & 15, 1);
}
END_TEST

/* Over TCP a response may be made again, some seconds later: with the same octets. */
START_TEST(test_same_octets_over_tcp)
{
    uint8_t first[DNS_COOKIE_LEN];
    client.transport = RESPOND_TCP;
    client.now_s = NOW_S - NOW_S % 256;
    memcpy(first, cookie_of(ask_cookie(asked, sizeof asked)), sizeof first);
    client.now_s += 255;
    ck_assert_mem_eq(cookie_of(ask_cookie(asked, sizeof asked)), first, sizeof first);
    client.transport = RESPOND_UDP;
    ck_assert_mem_ne(cookie_of(ask_cookie(asked, sizeof asked)), first, sizeof first);
}
END_TEST

START_TEST(test_what_the_server_asks_itself)
{
    uint8_t request[512], opt[4 + DNS_COOKIE_LEN] = {0, EDNS_COOKIE, 0, DNS_COOKIE_LEN};
    memcpy(opt + 4, cookie_of(ask_cookie(asked, sizeof asked)), DNS_COOKIE_LEN);
    size_t len = request_make(request, "www.example.", 1, 1232, false, opt, sizeof opt);
    ck_assert(respond_has_cookie(&policy, &client, request, len));
    ck_assert(!respond_is_lasting(&policy, request, len));
    for (size_t i = 0; i < len; i++) {
        uint8_t *cut = exact_copy(request, i);
        ck_assert(!respond_has_cookie(&policy, &client, cut, i));
        free(cut);
    }
    request[len - 1] ^= 1;
    ck_assert(!respond_has_cookie(&policy, &client, request, len));
    len = request_make(request, "www.example.", 1, 1232, false, NULL, 0);
    ck_assert(!respond_has_cookie(&policy, &client, request, len));
    ck_assert(respond_is_lasting(&policy, request, len));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_a_cookie_for_who_asks,      test_every_length,  test_who_must_show_one,
        test_no_longer_than_the_request, test_only_a_cookie, test_same_octets_over_tcp,
        test_what_the_server_asks_itself};
    return test_run("admit", tests, sizeof tests / sizeof *tests, setup, teardown);
}
