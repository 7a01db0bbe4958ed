/* SPDX-License-Identifier: BSD-2-Clause
 *
 * respond() on arbitrary requests, over a zone that has some of everything. The first octet of the
 * input chooses transport, limits and policy; the rest is the request.
 */
#include "../unit/message.h"
#include "../unit/template_check.h"
#include "../unit/zone_fixture.h"
#include "fuzz.h"
#include "zonedb/respond.h"

static const char zone_text[] =
    "$ORIGIN example.\n$TTL 3600\n"
    "@ SOA ns1 host 7 3600 900 604800 300\n@ NS ns1\n@ NS ns2\n"
    "ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nns2 A 192.0.2.2\n"
    "mail MX 10 ns1\nalias CNAME ns1\nloop CNAME loop2\nloop2 CNAME loop\n"
    "*.wild TXT w\n*.cwild CNAME x.wild\na.ent A 192.0.2.3\n"
    "sub NS ns.sub\nns.sub A 192.0.2.4\nsub DS 1 8 1 0000000000000000000000000000000000000000\n"
    "old DNAME new\ngrow DNAME a.grow2\ngrow2 DNAME b.grow\nsvc SVCB 1 ns1 alpn=h2\n"
    "srv SRV 1 2 3 ns2\nodd TYPE65280 \\# 3 010203\n"
    "big TXT "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

static struct fixture fixture;
static struct message message;
static uint8_t again[RESPOND_MESSAGE_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fixture_open(&fixture);
    fixture_unlink(&fixture);
    fixture_load(&fixture, "example.", zone_text);
    fixture_load(&fixture, "signed.",
                 "@ 60 SOA a.signed. b 1 2 3 4 5\n@ 60 NS a.signed.\n"
                 "@ 60 NSEC *.signed. SOA NS NSEC\n* 60 TXT x\n* 60 NSEC a.signed. TXT NSEC\n"
                 "a 60 A 192.0.2.1\na 60 NSEC cut.signed. A NSEC\n"
                 "cut 60 NS ns.cut.signed.\nns.cut 60 A 192.0.2.2\ncut 60 NSEC signed. NS NSEC\n");
    return 0;
}

static const struct dns_cookie_secrets secrets = {2, {{1}, {2}}};
static const uint8_t address[4] = {192, 0, 2, 1};

static struct respond_policy policy_of(uint8_t choice)
{
    struct respond_policy policy = respond_policy_default();
    policy.udp_payload = choice & 1 ? 512 : 4096;
    policy.has_edns = (choice & 2) == 0;
    policy.is_any_full = (choice & 4) != 0;
    policy.has_checksum_siphash = (choice & 8) != 0;
    policy.is_minimal = (choice & 32) != 0;
    policy.cookie = choice & 128 ? NULL : &secrets;
    if (choice & 16) {
        policy.nsid = (const uint8_t *)"fuzz";
        policy.nsid_len = 4;
        policy.chaos_version = policy.chaos_id = "fuzz";
    }
    return policy;
}

static void check(const uint8_t *request, size_t request_len, const uint8_t *response, size_t len,
                  size_t limit)
{
    MUST(len <= limit);
    if (len == 0) {
        MUST(request_len < 12 || (request[2] & 0x80) != 0);
        return;
    }
    message_parse(&message, response, len);
    MUST((response[2] & 0x80) != 0 && memcmp(response, request, 2) == 0);
    if (get16(response + 4) == 1) {
        size_t question_len = name_len(request + 12, request_len - 12) + 4;
        MUST(question_len > 4 && memcmp(response + 12, request + 12, question_len) == 0);
    }
    MUST((message.flags & 0x0200) == 0 || message.record_count == 0);
}

/* The request with a label more before its name, if it has a question whose name has room for it.
 * Returns its length or 0. */
static size_t deeper(uint8_t *out, const uint8_t *request, size_t request_len)
{
    if (request_len < 12 || name_len(request + 12, request_len - 12) == 0)
        return 0;
    memcpy(out, request, 12);
    memcpy(out + 12, "\2ns", 3);
    memcpy(out + 15, request + 12, request_len - 12);
    return request_len + 3;
}

/* What was asked before must not tell: cold, warm by the same question, by one below and above. */
static void check_templates(const struct respond_policy *policy,
                            const struct respond_client *client, const uint8_t *request,
                            size_t request_len, size_t cap)
{
    uint8_t *below = malloc(request_len + 3);
    MUST(below != NULL);
    size_t below_len = deeper(below, request, request_len);
    template_clear(fixture.view->templates);
    for (unsigned i = 0; i < 2; i++) {
        MUST(templates_agree(fixture.view, policy, client, request, request_len, cap));
        MUST(templates_agree(fixture.view, policy, client, below, below_len, cap));
        template_clear(fixture.view->templates);
        MUST(templates_agree(fixture.view, policy, client, below, below_len, cap));
        MUST(templates_agree(fixture.view, policy, client, request, request_len, cap));
    }
    free(below);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct respond_policy policy = policy_of(data[0]);
    struct respond_client client = {.transport = data[0] & 32 ? RESPOND_TCP : RESPOND_UDP,
                                    .has_keepalive = true,
                                    .keepalive_100ms = 100,
                                    .now_s = 1559731985,
                                    .address = address,
                                    .address_len = 4};
    size_t cap = data[0] & 64 ? 512 : RESPOND_MESSAGE_MAX, request_len = size - 1;
    uint8_t *request = exact_copy(data + 1, request_len), *response = malloc(cap);
    MUST(response != NULL);
    size_t len = respond(fixture.view, &policy, &client, request, request_len, response, cap);
    check(request, request_len, response, len,
          client.transport == RESPOND_UDP && policy.udp_payload < cap ? policy.udp_payload : cap);
    MUST(memcmp(request, data + 1, request_len) == 0);
    MUST(respond(fixture.view, &policy, &client, request, request_len, again, cap) == len);
    MUST(memcmp(again, response, len) == 0);
    check_templates(&policy, &client, request, request_len, cap);
    /* A response is no request: two servers must not talk to each other. */
    MUST(len == 0 || respond(fixture.view, &policy, &client, response, len, again, cap) == 0);
    free(request);
    free(response);
    return 0;
}
