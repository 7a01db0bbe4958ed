/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one message says. That answers agree with other servers', for every kind of data and with
 * DNSSEC, is what the interop suite shows.
 */
#include "message.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/checksum.h"
#include "zonedb/respond.h"

static const char zone_text[] =
    "$ORIGIN example.\n$TTL 3600\n"
    "@ SOA ns1 host 7 3600 900 604800 300\n"
    "@ NS ns1\n@ NS ns2.other.\n"
    "ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\n"
    "www A 192.0.2.80\n"
    "mail MX 10 ns1\nmail MX 20 nowhere.example.\n"
    "alias CNAME www\nfar CNAME www.elsewhere.\ndangling CNAME nope\n"
    "loop1 CNAME loop2\nloop2 CNAME loop1\nself CNAME self\n"
    "a.ent.deep A 192.0.2.3\n"
    "*.wild TXT \"w\"\n*.cwild CNAME www\nsub.wild A 192.0.2.4\n"
    "x.*.ewild A 192.0.2.5\n"
    "sub NS ns.sub\nsub NS ns1.tld-sibling\nns.sub A 192.0.2.7\n"
    "tld-sibling NS ns1.tld-sibling\nns1.tld-sibling A 192.0.2.8\n"
    "secure NS ns.out.\nsecure DS 1 8 2 "
    "0000000000000000000000000000000000000000000000000000000000000000\n"
    "web HTTPS 1 .\nweb A 192.0.2.81\nwebalias HTTPS 0 .\nwebalias A 192.0.2.82\n"
    "own HTTPS 1 own\nown A 192.0.2.83\n"
    "old DNAME new\nhost.new A 192.0.2.9\n"
    "toolong DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
    "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc."
    "dddddddddddddddddddddddddddddddd."
    "example.\n";

static struct fixture fixture;
static struct message message;
static uint8_t response[65535];

struct options {
    unsigned payload; /* 0: no OPT */
    bool is_do;
    enum respond_transport transport;
    const uint8_t *opt;
    size_t opt_len;
};

/* A big RRset: `count` TXT records of 200 octets each at `name`. */
static void text_append(char *text, const char *name, unsigned count)
{
    char *at = text + strlen(text);
    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "%s TXT \"%03u%0196u\"\n", name, i, 0);
}

static void setup(void)
{
    char *text = malloc(1 << 20);
    ck_assert_ptr_nonnull(text);
    strcpy(text, zone_text);
    text_append(text, "big", 10);
    text_append(text, "huge", 400);
    for (unsigned i = 0; i < 40; i++)
        sprintf(text + strlen(text),
                "glue NS n%u.glue\nn%u.glue A 192.0.2.%u\nn%u.glue AAAA 2001:db8::%u\n", i, i, i, i,
                i);
    for (unsigned i = 0; i < 40; i++)
        sprintf(text + strlen(text), "c%u CNAME c%u\n", i, i + 1);
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", text);
    fixture_load(&fixture, "child.sub.example.",
                 "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.99\n");
    free(text);
}

static void teardown(void)
{
    fixture_close(&fixture);
}

/* Ask in exactly sized blocks, twice: the same octets must come. */
static size_t ask_raw(const struct respond_policy *policy, const struct respond_client *client,
                      const uint8_t *request, size_t request_len, size_t cap)
{
    uint8_t *in = exact_copy(request, request_len), *out = malloc(cap), *again = malloc(cap);
    ck_assert(out != NULL && again != NULL);
    size_t len = respond(fixture.view, policy, client, in, request_len, out, cap);
    ck_assert_uint_le(len, cap);
    ck_assert_uint_eq(respond(fixture.view, policy, client, in, request_len, again, cap), len);
    ck_assert_mem_eq(out, again, len);
    ck_assert_mem_eq(in, request, request_len);
    memcpy(response, out, len);
    free(in);
    free(out);
    free(again);
    return len;
}

static const struct message *ask_policy(const struct respond_policy *policy, const char *qname,
                                        unsigned qtype, struct options o)
{
    uint8_t request[1024];
    struct respond_client client = {.transport = o.transport};
    size_t request_len = request_make(request, qname, qtype, o.payload, o.is_do, o.opt, o.opt_len);
    size_t len = ask_raw(policy, &client, request, request_len, sizeof response);
    ck_assert_uint_ge(len, 12);
    message_parse(&message, response, len);
    ck_assert_uint_eq(message.id, 0x1234);
    ck_assert_str_eq(message.qname, qname);
    return &message;
}

static const struct message *ask(const char *qname, unsigned qtype, struct options o)
{
    struct respond_policy policy = respond_policy_default();
    return ask_policy(&policy, qname, qtype, o);
}

#define QR_RD 0x8100u
#define AA 0x0400u
#define TC 0x0200u

START_TEST(test_answers)
{
    static const struct {
        const char *qname;
        unsigned qtype, rcode, flags;
        const char *records;
    } cases[] = {
        {"www.example.", 1, 0, AA, "an/1 www.example.\n"},
        {"WWW.eXample.", 1, 0, AA, "an/1 WWW.eXample.\n"},
        {"www.example.", 28, 0, AA, "ns/6 example.\n"},
        {"nope.example.", 1, 3, AA, "ns/6 example.\n"},
        {"deep.example.", 1, 0, AA, "ns/6 example.\n"},
        {"ent.deep.example.", 1, 0, AA, "ns/6 example.\n"},
        {"b.ent.deep.example.", 1, 3, AA, "ns/6 example.\n"},
        {"mail.example.", 15, 0, AA,
         "an/15 mail.example.\nan/15 mail.example.\nar/1 ns1.example.\nar/28 ns1.example.\n"},
        {"example.", 2, 0, AA,
         "an/2 example.\nan/2 example.\nar/1 ns1.example.\nar/28 ns1.example.\n"},
        {"alias.example.", 1, 0, AA, "an/5 alias.example.\nan/1 www.example.\n"},
        {"alias.example.", 5, 0, AA, "an/5 alias.example.\n"},
        {"alias.example.", 28, 0, AA, "an/5 alias.example.\nns/6 example.\n"},
        {"far.example.", 1, 0, AA, "an/5 far.example.\n"},
        {"dangling.example.", 1, 3, AA, "an/5 dangling.example.\nns/6 example.\n"},
        {"loop1.example.", 1, 0, AA, "an/5 loop1.example.\nan/5 loop2.example.\n"},
        {"self.example.", 1, 0, AA, "an/5 self.example.\n"},
        {"x.wild.example.", 16, 0, AA, "an/16 x.wild.example.\n"},
        {"x.y.wild.example.", 16, 0, AA, "an/16 x.y.wild.example.\n"},
        {"x.wild.example.", 1, 0, AA, "ns/6 example.\n"},
        {"*.wild.example.", 16, 0, AA, "an/16 *.wild.example.\n"},
        {"x.sub.wild.example.", 16, 3, AA, "ns/6 example.\n"},
        {"x.cwild.example.", 1, 0, AA, "an/5 x.cwild.example.\nan/1 www.example.\n"},
        {"y.ewild.example.", 1, 0, AA, "ns/6 example.\n"},
        {"sub.example.", 2, 0, 0,
         "ns/2 sub.example.\nns/2 sub.example.\nar/1 ns.sub.example.\nar/1 "
         "ns1.tld-sibling.example.\n"},
        {"ns.sub.example.", 1, 0, 0,
         "ns/2 sub.example.\nns/2 sub.example.\nar/1 ns.sub.example.\nar/1 "
         "ns1.tld-sibling.example.\n"},
        {"web.example.", 65, 0, AA, "an/65 web.example.\nar/1 web.example.\n"},
        {"own.example.", 65, 0, AA, "an/65 own.example.\nar/1 own.example.\n"},
        {"webalias.example.", 65, 0, AA, "an/65 webalias.example.\n"},
        {"secure.example.", 43, 0, AA, "an/43 secure.example.\n"},
        {"sub.example.", 43, 0, AA, "ns/6 example.\n"},
        {"child.sub.example.", 1, 0, AA, "ns/6 child.sub.example.\n"},
        {"ns.child.sub.example.", 1, 0, AA, "an/1 ns.child.sub.example.\n"},
        {"host.old.example.", 1, 0, AA,
         "an/39 old.example.\nan/5 host.old.example.\nan/1 host.new.example.\n"},
        {"old.example.", 39, 0, AA, "an/39 old.example.\n"},
        {"old.example.", 1, 0, AA, "ns/6 example.\n"},
        {"nope.old.example.", 1, 3, AA,
         "an/39 old.example.\nan/5 nope.old.example.\nns/6 example.\n"},
        {"elsewhere.", 1, 5, 0, ""},
        {".", 2, 5, 0, ""},
        {"example.", 252, 5, 0, ""},
        {"example.", 251, 5, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[4096];
        const struct message *m =
            ask(cases[i].qname, cases[i].qtype, (struct options){.payload = 0});
        ck_assert_msg(m->rcode == cases[i].rcode, "%s %u: rcode %u", cases[i].qname, cases[i].qtype,
                      m->rcode);
        ck_assert_msg(m->flags == (QR_RD | cases[i].flags), "%s %u: flags %04x", cases[i].qname,
                      cases[i].qtype, m->flags);
        message_text(m, text, sizeof text);
        ck_assert_msg(strcmp(text, cases[i].records) == 0, "%s %u:\n%s", cases[i].qname,
                      cases[i].qtype, text);
    }
}
END_TEST

START_TEST(test_negative_ttl)
{
    /* RFC 2308 5: the SOA's TTL is 3600, its MINIMUM 300. */
    const struct message *m = ask("nope.example.", 1, (struct options){.payload = 0});
    ck_assert_uint_eq(m->record[0].ttl, 300);
}
END_TEST

START_TEST(test_chain_is_bounded)
{
    const struct message *m = ask("c0.example.", 1, (struct options){.transport = RESPOND_TCP});
    ck_assert_uint_eq(m->rcode, 0);
    ck_assert_uint_eq(m->count[0], 16);
}
END_TEST

START_TEST(test_dname_too_long)
{
    char qname[NAME_TEXT_MAX];
    memset(qname, 'q', 60);
    strcpy(qname + 60, ".toolong.example.");
    const struct message *m = ask(qname, 1, (struct options){.payload = 0});
    ck_assert_uint_eq(m->rcode, 6); /* YXDOMAIN, RFC 6672 2.2 */
    ck_assert_uint_eq(m->count[0], 1);
    ck_assert_uint_eq(m->record[0].type, 39);
}
END_TEST

START_TEST(test_truncation)
{
    const struct message *m = ask("big.example.", 16, (struct options){.payload = 0});
    ck_assert_uint_eq(m->flags, QR_RD | AA | TC);
    ck_assert_uint_eq(m->record_count, 0);
    m = ask("big.example.", 16, (struct options){.payload = 4096});
    ck_assert_msg(m->flags & TC, "1232 is our limit");
    ck_assert(m->has_opt);
    m = ask("big.example.", 16, (struct options){.transport = RESPOND_TCP});
    ck_assert_uint_eq(m->flags, QR_RD | AA);
    ck_assert_uint_eq(m->count[0], 10);
    struct respond_policy policy = respond_policy_default();
    policy.udp_payload = 4096;
    m = ask_policy(&policy, "big.example.", 16, (struct options){.payload = 4096});
    ck_assert_uint_eq(m->count[0], 10);
    m = ask_policy(&policy, "big.example.", 16, (struct options){.payload = 1400});
    ck_assert(m->flags & TC);
}
END_TEST

START_TEST(test_more_than_a_message_holds)
{
    const struct message *m = ask("huge.example.", 16, (struct options){.transport = RESPOND_TCP});
    ck_assert_uint_eq(m->flags, QR_RD | AA | TC);
    ck_assert_uint_eq(m->record_count, 0);
}
END_TEST

START_TEST(test_in_domain_glue_or_tc)
{
    /* RFC 9471 3.1. */
    const struct message *m = ask("x.glue.example.", 1, (struct options){.payload = 1232});
    ck_assert_uint_eq(m->flags, QR_RD | TC);
    m = ask("x.glue.example.", 1, (struct options){.transport = RESPOND_TCP});
    ck_assert_uint_eq(m->flags, QR_RD);
    ck_assert_uint_eq(m->count[1], 40);
    ck_assert_uint_eq(m->count[2], 80);
}
END_TEST

START_TEST(test_every_size_limit)
{
    /* Whatever the limit: within it, well-formed, and TC exactly when records are missing. */
    struct respond_policy policy = respond_policy_default();
    for (unsigned limit = 512; limit <= 4096; limit += 7) {
        policy.udp_payload = (uint16_t)limit;
        const struct message *m = ask_policy(&policy, "x.glue.example.", 1,
                                             (struct options){.payload = 4096, .is_do = true});
        ck_assert_uint_le(m->len, limit);
        ck_assert(((m->flags & TC) != 0) == (m->count[1] == 0));
        ck_assert(m->has_opt && m->opt_flags == 0x8000);
    }
}
END_TEST

START_TEST(test_any)
{
    const struct message *m = ask("example.", 255, (struct options){.transport = RESPOND_TCP});
    char text[4096];
    unsigned type = m->record[0].type;
    for (unsigned i = 0; i < m->record_count; i++)
        ck_assert_uint_eq(m->record[i].type, type); /* one RRset, RFC 8482 4.1 */
    struct respond_policy policy = respond_policy_default();
    policy.is_any_full = true;
    m = ask_policy(&policy, "ns1.example.", 255, (struct options){.payload = 0});
    ck_assert_str_eq(message_text(m, text, sizeof text), "an/1 ns1.example.\nan/28 ns1.example.\n");
}
END_TEST

START_TEST(test_minimal)
{
    const struct options by_tcp = {.transport = RESPOND_TCP};
    struct respond_policy policy = respond_policy_default();
    char full[4096], text[4096];
    policy.is_minimal = true;
    const struct message *m = ask_policy(&policy, "mail.example.", 15, by_tcp);
    ck_assert_str_eq(message_text(m, text, sizeof text),
                     "an/15 mail.example.\nan/15 mail.example.\n");
    /* Without its glue nobody follows a referral. */
    message_text(ask("x.glue.example.", 1, by_tcp), full, sizeof full);
    m = ask_policy(&policy, "x.glue.example.", 1, by_tcp);
    ck_assert_str_eq(message_text(m, text, sizeof text), full);
    ck_assert_ptr_nonnull(strstr(full, "ar/1 "));
}
END_TEST

START_TEST(test_edns)
{
    const struct message *m =
        ask("www.example.", 1, (struct options){.payload = 4096, .is_do = true});
    ck_assert(m->has_opt && m->opt_payload == 1232 && m->opt_flags == 0x8000 &&
              m->opt_version == 0);
    m = ask("www.example.", 1, (struct options){.payload = 100});
    ck_assert(m->has_opt && m->opt_flags == 0);
    m = ask("www.example.", 1, (struct options){.payload = 0});
    ck_assert(!m->has_opt);
    struct respond_policy policy = respond_policy_default();
    policy.has_edns = false;
    m = ask_policy(&policy, "www.example.", 1, (struct options){.payload = 4096});
    ck_assert(!m->has_opt && m->rcode == 0);
}
END_TEST

START_TEST(test_options)
{
    struct respond_policy policy = respond_policy_default();
    static const uint8_t unknown_nsid[] = {0xfd, 0xe9, 0, 2, 1, 2, 0, 3, 0, 0};
    unsigned len = 0;
    const struct message *m = ask_policy(
        &policy, "www.example.", 1, (struct options){1232, false, RESPOND_UDP, unknown_nsid, 10});
    ck_assert_uint_eq(m->option_len, 0);
    policy.nsid = (const uint8_t *)"lethe-1";
    policy.nsid_len = 7;
    m = ask_policy(&policy, "www.example.", 1,
                   (struct options){1232, false, RESPOND_UDP, unknown_nsid, 10});
    const uint8_t *nsid = message_option(m, 3, &len);
    ck_assert(nsid != NULL && len == 7 && memcmp(nsid, "lethe-1", 7) == 0);
    m = ask("elsewhere.", 1, (struct options){.payload = 1232});
    const uint8_t *ede = message_option(m, 15, &len);
    ck_assert(ede != NULL && len == 2 && get16(ede) == 20);
}
END_TEST

START_TEST(test_keepalive_and_padding)
{
    static const uint8_t options[] = {0, 11, 0, 0, 0, 12, 0, 0};
    uint8_t request[512];
    unsigned len = 0;
    struct respond_policy policy = respond_policy_default();
    ck_assert(!policy.has_padding); /* RFC 7830 6 */
    policy.has_padding = true;
    struct respond_client client = {
        .transport = RESPOND_TCP, .has_keepalive = true, .keepalive_100ms = 100};
    size_t request_len =
        request_make(request, "www.example.", 1, 1232, false, options, sizeof options);
    message_parse(&message, response, ask_raw(&policy, &client, request, request_len, 65535));
    const uint8_t *keepalive = message_option(&message, 11, &len);
    ck_assert(keepalive != NULL && len == 2 && get16(keepalive) == 100);
    ck_assert_uint_eq(message.len, 468);
    client.transport = RESPOND_UDP;
    message_parse(&message, response, ask_raw(&policy, &client, request, request_len, 65535));
    ck_assert_uint_eq(message.option_len, 0);
    client.transport = RESPOND_TCP;
    policy.has_keepalive = policy.has_padding = false;
    message_parse(&message, response, ask_raw(&policy, &client, request, request_len, 65535));
    ck_assert_uint_eq(message.option_len, 0);
    policy.has_ede = false;
    ck_assert_uint_eq(
        ask_policy(&policy, "elsewhere.", 1, (struct options){.payload = 1232})->option_len, 0);
}
END_TEST

static const struct message *ask_octets(const char *hex, size_t *len_out)
{
    uint8_t request[512];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    size_t request_len = hex_decode(hex, request, sizeof request);
    *len_out = ask_raw(&policy, &client, request, request_len, 4096);
    if (*len_out > 0)
        message_parse(&message, response, *len_out);
    return &message;
}

START_TEST(test_malformed)
{
    static const struct {
        const char *what, *hex;
        unsigned rcode; /* 999: silence */
    } cases[] = {
        {"nothing", "", 999},
        {"half a header", "123401000001", 999},
        {"a response", "123481000001000000000000 00 0001 0001", 999},
        {"no question", "123401000000000000000000", 1},
        {"two questions", "123401000002000000000000 00 0001 0001 00 0001 0001", 1},
        {"question cut off", "123401000001000000000000 07 6578", 1},
        {"question without class", "123401000001000000000000 00 0001", 1},
        {"compressed question", "123401000001000000000000 c00c 0001 0001", 1},
        {"label type 01", "123401000001000000000000 41 00 0001 0001", 1},
        {"trailing junk", "123401000001000000000000 00 0001 0001 00", 1},
        {"NOTIFY", "123421000001000000000000 00 0006 0001", 4},
        {"UPDATE", "123429000001000000000000 00 0006 0001", 4},
        {"opcode 15", "123479000001000000000000 00 0006 0001", 4},
        {"record cut off", "123401000001000000000001 00 0001 0001 00 0029 04d0 00", 1},
        {"two OPTs",
         "123401000001000000000002 00 0001 0001 00 0029 04d0 00000000 0000 00 0029 04d0 00000000 "
         "0000",
         1},
        {"OPT not at the root",
         "123401000001000000000001 00 0001 0001 0161 00 0029 04d0 00000000 0000", 1},
        {"OPT in authority", "123401000001000000010000 00 0001 0001 00 0029 04d0 00000000 0000", 1},
        {"option cut off",
         "123401000001000000000001 00 0001 0001 00 0029 04d0 00000000 0003 0003 00", 1},
        {"option longer than OPT",
         "123401000001000000000001 00 0001 0001 00 0029 04d0 00000000 0005 0003 0002 00", 1},
        {"EDNS version 1", "123401000001000000000001 00 0001 0001 00 0029 04d0 00010000 0000", 16},
        {"class HS", "123401000001000000000000 00 0001 0004", 5},
        {"class ANY", "123401000001000000000000 00 0001 00ff", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len;
        const struct message *m = ask_octets(cases[i].hex, &len);
        if (cases[i].rcode == 999)
            ck_assert_msg(len == 0, "%s", cases[i].what);
        else
            ck_assert_msg(len >= 12 && m->rcode == cases[i].rcode && m->id == 0x1234, "%s: %u",
                          cases[i].what, m->rcode);
    }
}
END_TEST

START_TEST(test_chaos)
{
    uint8_t request[128];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    size_t len = request_make(request, "vErsion.bind.", 16, 0, false, NULL, 0);
    request[len - 1] = 3;
    message_parse(&message, response, ask_raw(&policy, &client, request, len, 512));
    ck_assert_uint_eq(message.rcode, 5);
    policy.chaos_version = "lethe";
    message_parse(&message, response, ask_raw(&policy, &client, request, len, 512));
    ck_assert_uint_eq(message.rcode, 0);
    ck_assert_uint_eq(message.count[0], 1);
    ck_assert_uint_eq(message.record[0].class_, 3);
    ck_assert_mem_eq(message.record[0].rdata, "\5lethe", 6);
}
END_TEST

/* ---- CHECKSUM ---- */

START_TEST(test_checksum_vector)
{
    /* The database of the vector: example.com A 192.0.2.1. */
    uint8_t request[128], expected[512];
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = RESPOND_UDP};
    fixture_load(&fixture, "example.com.",
                 "@ 3600 SOA a b 1 2 3 4 5\n@ 3600 NS a\na 3600 A 192.0.2.1\n@ 3600 A 192.0.2.1\n");
    size_t request_len = hex_decode("123400000001000000000001076578616d706c6503636f6d00000100010000"
                                    "2904d000000000000dfdea0009000102030405060700",
                                    request, sizeof request);
    size_t expected_len = hex_decode(
        "123484000001000100000001076578616d706c6503636f6d0000010001c00c0001000100000e100004"
        "c000020100002904d000000000002dfdea0029000102030405060702d41ab1cd906a9529d1753b51ed"
        "e4b8faa5a8a0de7fb8dd25bf8df6a9a9d94ddb",
        expected, sizeof expected);
    for (unsigned transport = 0; transport < 2; transport++) {
        client.transport = transport == 0 ? RESPOND_UDP : RESPOND_TCP;
        ck_assert_uint_eq(ask_raw(&policy, &client, request, request_len, 4096), expected_len);
        ck_assert_mem_eq(response, expected, expected_len);
    }
}
END_TEST

static void checksum_try(const struct respond_policy *policy, const char *qname,
                         enum checksum_layout layout, enum respond_transport transport)
{
    uint8_t option[4 + 18] = {0xfd, 0xea}, nonce[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    size_t len = checksum_request_write(layout, nonce, option + 4);
    option[3] = (uint8_t)len;
    const struct message *m =
        ask_policy(policy, qname, 16, (struct options){1232, true, transport, option, 4 + len});
    ck_assert_int_eq(checksum_verify(response, m->len, 65002, layout, nonce), CHECKSUM_GOOD);
    /* Somebody's altered octet, wherever it is, is noticed. */
    for (size_t i = 0; i < m->len; i += 1 + m->len / 97) {
        response[i] ^= 0x40;
        ck_assert_int_ne(checksum_verify(response, m->len, 65002, layout, nonce), CHECKSUM_GOOD);
        response[i] ^= 0x40;
    }
}

START_TEST(test_checksum_everywhere)
{
    static const char *const qnames[] = {"big.example.", "nope.example.", "elsewhere.",
                                         "x.glue.example.", "x.wild.example."};
    struct respond_policy policy = respond_policy_default();
    for (unsigned round = 0; round < 8; round++) {
        policy.has_checksum_siphash = (round & 1) != 0;
        for (size_t i = 0; i < sizeof qnames / sizeof *qnames; i++)
            checksum_try(&policy, qnames[i], round & 2 ? CHECKSUM_LAYOUT_00 : CHECKSUM_LAYOUT_01,
                         round & 4 ? RESPOND_TCP : RESPOND_UDP);
    }
}
END_TEST

START_TEST(test_checksum_rules)
{
    uint8_t option[64] = {0xfd, 0xea, 0, 9};
    unsigned len = 0;
    const struct message *m;
    option[12] = 2; /* ALGORITHM must be 0 in a request, else the option is ignored */
    m = ask("www.example.", 1, (struct options){1232, false, RESPOND_UDP, option, 13});
    ck_assert(m->rcode == 0 && message_option(m, 65002, &len) == NULL);
    option[12] = 0;
    memcpy(option + 13, option, 13); /* twice */
    m = ask("www.example.", 1, (struct options){1232, false, RESPOND_UDP, option, 26});
    ck_assert_uint_eq(m->rcode, 1);
    option[3] = 10; /* a length that is no layout's */
    m = ask("www.example.", 1, (struct options){1232, false, RESPOND_UDP, option, 14});
    ck_assert_uint_eq(m->rcode, 1);
    option[3] = 9;
    struct respond_policy policy = respond_policy_default();
    policy.has_checksum = false;
    m = ask_policy(&policy, "www.example.", 1,
                   (struct options){1232, false, RESPOND_UDP, option, 26});
    ck_assert(m->rcode == 0 && m->option_len == 0);
}
END_TEST

/* Proofs come from the zone that answers, though a zone of ours has the wildcard's name. */
START_TEST(test_zones_named_like_wildcards)
{
    static const char child[] = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n";
    const struct options with_do = {.payload = 1232, .is_do = true};
    char text[4096];
    fixture_load(&fixture, "nsec.",
                 "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n@ 60 NSEC ns NS SOA NSEC\n"
                 "ns 60 A 192.0.2.1\nns 60 NSEC x.*.w A NSEC\n"
                 "x.*.w 60 A 192.0.2.1\nx.*.w 60 NSEC a.w A NSEC\n"
                 "a.w 60 A 192.0.2.1\na.w 60 NSEC @ A NSEC\n");
    fixture_load(&fixture, "*.nsec.", child);
    fixture_load(&fixture, "*.w.nsec.", child);
    message_text(ask("zz.nsec.", 1, with_do), text, sizeof text);
    ck_assert_str_eq(text, "ns/6 nsec.\nns/47 a.w.nsec.\nns/47 nsec.\n");
    ck_assert_uint_eq(message.rcode, 3);
    message_text(ask("zz.w.nsec.", 1, with_do), text, sizeof text);
    ck_assert_str_eq(text, "ns/6 nsec.\nns/47 a.w.nsec.\nns/47 ns.nsec.\n");
    ck_assert_uint_eq(message.rcode, 0);
}
END_TEST

START_TEST(test_view_at_rest_is_servfail)
{
    zonedb_view_rest(fixture.view);
    const struct message *m = ask("www.example.", 1, (struct options){.payload = 0});
    ck_assert_uint_eq(m->rcode, 2);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 0);
    m = ask("www.example.", 1, (struct options){.payload = 0});
    ck_assert_uint_eq(m->rcode, 0);
}
END_TEST

START_TEST(test_replaced_zone)
{
    fixture_load(&fixture, "example.", "@ 60 SOA a b 8 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
    const struct message *m = ask("www.example.", 1, (struct options){.payload = 0});
    ck_assert_uint_eq(m->rcode, 3);
    m = ask("ns.child.sub.example.", 1, (struct options){.payload = 0});
    ck_assert_uint_eq(m->count[0], 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_answers,
                                  test_negative_ttl,
                                  test_chain_is_bounded,
                                  test_dname_too_long,
                                  test_truncation,
                                  test_more_than_a_message_holds,
                                  test_in_domain_glue_or_tc,
                                  test_every_size_limit,
                                  test_any,
                                  test_minimal,
                                  test_edns,
                                  test_options,
                                  test_keepalive_and_padding,
                                  test_malformed,
                                  test_chaos,
                                  test_checksum_vector,
                                  test_checksum_everywhere,
                                  test_checksum_rules,
                                  test_zones_named_like_wildcards,
                                  test_view_at_rest_is_servfail,
                                  test_replaced_zone};
    return test_run("respond", tests, sizeof tests / sizeof *tests, setup, teardown);
}
