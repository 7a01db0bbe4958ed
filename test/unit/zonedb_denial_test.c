/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which NSEC and NSEC3 records go out as proof. The NSEC3 zone has the names, salt and iterations
 * of RFC 5155 Appendix A, so that hashes and the proofs of its Appendix B are known from elsewhere.
 */
#include "message.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/answer.h"
#include "zonedb/store.h"

#define SIG " 15 1 60 20400101000000 20200101000000 1 "

static const char nsec_text[] = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns.x.\n"
                                "@ NSEC cut NS SOA RRSIG NSEC\n@ RRSIG NSEC" SIG "nsec. AAAA\n"
                                "cut NS ns.cut\ncut NSEC x.ent NS NSEC\nns.cut A 192.0.2.1\n"
                                "x.ent A 192.0.2.1\nx.ent NSEC *.wild A NSEC\n"
                                "*.wild TXT w\n*.wild NSEC x.*.zent TXT NSEC\n"
                                "x.*.zent A 192.0.2.1\nx.*.zent NSEC @ A NSEC\n";

#define NSEC3(hash, next) hash " NSEC3 1 1 12 aabbccdd " next " A\n"
#define EXAMPLE "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
#define NS1 "2t7b4g4vsa5smi47k61mv5bv1a22bojr"
#define X_Y_W "2vptu5timamqttgl4luu9kg21e0aor3s"
#define A "35mthgpgcu1qg68fab165klnsnk3dpvl"
#define X_W "b4um86eghhds6nea196smvmlo4ors995"
#define AI "gjeqe526plbf1g8mklp59enfd789njgi"
#define Y_W "ji6neoaepv8b5o6k4ev33abha8ht9fgc"
#define W "k8udemvp1j2f7eg6jebps17vp3n8i58h"
#define NS2 "q04jkcevqvmu85r014c7dkba38o0ji5r"
#define WILD_W "r53bq7cc2uvmubfu5ocmm6pers9tk9en"
#define XX "t644ebqk9bibcna874givr6joj62mlhv"

/* Opt-out: c and d.e are insecure delegations without NSEC3, and so is e without one. */
static const char nsec3_text[] =
    "$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\n@ NS ns2\n@ NSEC3PARAM 1 0 12 aabbccdd\n"
    "a NS ns.x.\nai A 192.0.2.1\nc NS ns.x.\nd.e NS ns.x.\nns1 A 192.0.2.1\nns2 A 192.0.2.1\n"
    "*.w MX 1 ai\nx.w MX 1 xx\nx.y.w MX 1 xx\nxx A 192.0.2.1\n" NSEC3(EXAMPLE, NS1) EXAMPLE
    " RRSIG NSEC3" SIG "example. AAAA\n" NSEC3(NS1, X_Y_W) NSEC3(X_Y_W, A) NSEC3(A, X_W)
        NSEC3(X_W, AI) NSEC3(AI, Y_W) NSEC3(Y_W, W) NSEC3(W, NS2) NSEC3(NS2, WILD_W)
            NSEC3(WILD_W, XX) NSEC3(XX, EXAMPLE);

typedef void denial(struct answer *answer, const struct subject *subject,
                    const struct found *found);

static struct fixture fixture;
static struct message message;
static bool is_corrupt;

static void setup(void)
{
    fixture_open(&fixture);
    fixture_load(&fixture, "nsec.", nsec_text);
    fixture_load(&fixture, "example.", nsec3_text);
    fixture_load(&fixture, "plain.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a.x.\n*.w 60 TXT w\n");
}

static void teardown(void)
{
    fixture_close(&fixture);
}

/* The proof for a name as text, a line per record; its look-up must have this outcome. */
static const char *prove(denial *deny, const char *text, enum find_outcome outcome, bool is_do)
{
    static char records[4096];
    static uint8_t octets[65535];
    uint8_t name[NAME_MAX_LEN];
    struct respond_policy policy = respond_policy_default();
    struct query query = {.has_question = true, .qname = name, .qtype = 99, .qclass = 1};
    struct response r;
    const uint8_t *added[ADDED_MAX];
    struct answer a = {
        .view = fixture.view, .policy = &policy, .query = &query, .response = &r, .added = added};
    struct found found;
    query.edns.is_do = is_do;
    query.qname_len = (uint16_t)name_from_text(text, name);
    ck_assert_uint_gt(query.qname_len, 0);
    response_begin(&r, octets, sizeof octets, &query);
    ck_assert_msg(zonedb_find(fixture.view, name, 99, &found) == outcome, "%s: outcome %d", text,
                  (int)found.outcome);
    deny(&a, &(struct subject){name, HEADER_LEN}, &found);
    is_corrupt = a.is_corrupt;
    response_header_write(&r, 0);
    message_parse(&message, octets, r.len);
    return message_text(&message, records, sizeof records);
}

struct proof {
    denial *deny;
    const char *name;
    enum find_outcome outcome;
    const char *records;
};

static void proofs_run(const struct proof *proofs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *records = prove(proofs[i].deny, proofs[i].name, proofs[i].outcome, true);
        ck_assert_msg(strcmp(records, proofs[i].records) == 0, "%zu, %s:\n%s", i, proofs[i].name,
                      records);
        ck_assert_msg(!is_corrupt, "%zu, %s", i, proofs[i].name);
        ck_assert_str_eq(prove(proofs[i].deny, proofs[i].name, proofs[i].outcome, false), "");
    }
}

START_TEST(test_nsec)
{
    static const struct proof proofs[] = {
        /* The name and the wildcard, each covered; one record that does both goes out once. */
        {denial_no_name, "0.nsec.", FIND_NO_NODE, "ns/47 nsec.\nns/46 nsec.\n"},
        {denial_no_name, "d.nsec.", FIND_NO_NODE, "ns/47 cut.nsec.\nns/47 nsec.\nns/46 nsec.\n"},
        {denial_no_name, "zz.nsec.", FIND_NO_NODE,
         "ns/47 x.*.zent.nsec.\nns/47 nsec.\nns/46 nsec.\n"},
        {denial_no_name, "q.x.ent.nsec.", FIND_NO_NODE, "ns/47 x.ent.nsec.\n"},
        {denial_no_name, "q.ent.nsec.", FIND_NO_NODE, "ns/47 cut.nsec.\n"},
        {denial_no_data, "X.ent.nsec.", FIND_NODE, "ns/47 X.ent.nsec.\n"},
        {denial_no_data, "nsec.", FIND_NODE, "ns/47 nsec.\nns/46 nsec.\n"},
        {denial_no_data, "ent.nsec.", FIND_NODE, "ns/47 cut.nsec.\n"},
        {denial_no_data, "!.wild.nsec.", FIND_WILDCARD, "ns/47 x.ent.nsec.\nns/47 *.wild.nsec.\n"},
        {denial_no_data, "q.r.wild.nsec.", FIND_WILDCARD, "ns/47 *.wild.nsec.\n"},
        {denial_no_data, "q.zent.nsec.", FIND_WILDCARD,
         "ns/47 x.*.zent.nsec.\nns/47 *.wild.nsec.\n"},
        {denial_no_closer, "!.wild.nsec.", FIND_WILDCARD, "ns/47 x.ent.nsec.\n"},
        {denial_no_closer, "q.wild.nsec.", FIND_WILDCARD, "ns/47 *.wild.nsec.\n"},
        {denial_no_ds, "cut.nsec.", FIND_DELEGATION, "ns/47 cut.nsec.\n"},
        {denial_no_ds, "q.r.cut.nsec.", FIND_DELEGATION, "ns/47 cut.nsec.\n"},
    };
    proofs_run(proofs, sizeof proofs / sizeof *proofs);
}
END_TEST

#define APEX "ns/50 " EXAMPLE ".example.\nns/46 " EXAMPLE ".example.\n"
#define NS(hash) "ns/50 " hash ".example.\n"

START_TEST(test_nsec3)
{
    static const struct proof proofs[] = {
        /* Closest encloser, next closer name, wildcard (RFC 5155 B.1). */
        {denial_no_name, "a.c.x.w.example.", FIND_NO_NODE, NS(X_W) APEX NS(A)},
        {denial_no_name, "A.C.X.W.example.", FIND_NO_NODE, NS(X_W) APEX NS(A)},
        /* B.2, B.2.1, and the apex. */
        {denial_no_data, "ns1.example.", FIND_NODE, NS(NS1)},
        {denial_no_data, "y.w.example.", FIND_NODE, NS(Y_W)},
        {denial_no_data, "example.", FIND_NODE, APEX},
        /* B.3: no DS, with opt-out and, for a, with an NSEC3 of its own. */
        {denial_no_ds, "mc.c.example.", FIND_DELEGATION, APEX NS(A)},
        {denial_no_ds, "c.example.", FIND_DELEGATION, APEX NS(A)},
        {denial_no_ds, "x.a.example.", FIND_DELEGATION, NS(A)},
        {denial_no_data, "c.example.", FIND_DELEGATION, APEX NS(A)}, /* QTYPE DS */
        /* B.4, B.5. */
        {denial_no_closer, "a.z.w.example.", FIND_WILDCARD, NS(NS2)},
        {denial_no_data, "a.z.w.example.", FIND_WILDCARD, NS(W) NS(NS2) NS(WILD_W)},
        /* e exists only above an insecure delegation: H(e) = nu74..., H(*) = jhsv... */
        {denial_no_data, "e.example.", FIND_NODE, APEX NS(W)},
        {denial_no_name, "q.e.example.", FIND_NO_NODE, APEX NS(W) NS(AI)},
        {denial_no_ds, "d.e.example.", FIND_DELEGATION, APEX NS(W)},
    };
    proofs_run(proofs, sizeof proofs / sizeof *proofs);
}
END_TEST

START_TEST(test_unsigned)
{
    ck_assert_str_eq(prove(denial_no_name, "x.plain.", FIND_NO_NODE, true), "");
    ck_assert_str_eq(prove(denial_no_data, "plain.", FIND_NODE, true), "");
    ck_assert_str_eq(prove(denial_no_closer, "x.w.plain.", FIND_WILDCARD, true), "");
    ck_assert(!is_corrupt);
}
END_TEST

/* A zone with NSEC3PARAM and one NSEC3, which covers all, under an apex of so many octets. */
static void long_zone_write(const uint8_t *apex)
{
    static const uint8_t soa_rdata[24] = {0, 22}, param[] = {0, 5, 1, 0, 0, 0, 0};
    static const uint8_t nsec3[] = "\0\33\1\0\0\0\0\24"
                                   "aaaaaaaaaaaaaaaaaaaa\0";
    static const uint8_t hash[20] = {1};
    struct zonedb_rrset apex_rrsets[] = {{6, 1, 60, soa_rdata, 24}, {51, 1, 60, param, 7}};
    struct zonedb_rrset rrset = {50, 1, 60, nsec3, 2 + 27};
    struct zonedb_writer *writer;
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_begin(writer, apex), 0);
    ck_assert_int_eq(zonedb_writer_node(writer, apex, apex_rrsets, 2), 0);
    ck_assert_int_eq(zonedb_writer_nsec3(writer, hash, &rrset, 1), 0);
    ck_assert_int_eq(zonedb_writer_zone_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
}

/* An owner of an NSEC3 is 33 octets longer than the apex. */
START_TEST(test_longest_apex)
{
    for (unsigned apex_len = 222; apex_len <= 223; apex_len++) {
        uint8_t apex[NAME_MAX_LEN] = {0};
        char text[NAME_TEXT_MAX] = "x.";
        for (unsigned at = 0; at < apex_len - 1; at += 1u + apex[at]) {
            apex[at] = (uint8_t)(apex_len - 2 - at > 50 ? 48 : apex_len - 2 - at);
            memset(apex + at + 1, 'l', apex[at]);
        }
        ck_assert_uint_eq(name_len(apex, sizeof apex), apex_len);
        long_zone_write(apex);
        name_to_text(apex, text + 2);
        prove(denial_no_name, text, FIND_NO_NODE, true);
        ck_assert_uint_eq(message.record_count, apex_len == 222);
        ck_assert_int_eq(is_corrupt, apex_len > 222);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_nsec, test_nsec3, test_unsigned, test_longest_apex};
    return test_run("denial", tests, sizeof tests / sizeof *tests, setup, teardown);
}
