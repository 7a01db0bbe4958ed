/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which questions a template serves, and when it is forgotten. That its answers are those without
 * is checked here for chosen questions and by template_zones.c for whole zones.
 */
#include "message.h"
#include "template_check.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/store.h"

#define ZONE                                                                              \
    "$ORIGIN example.\n$TTL 3600\n@ SOA ns1 host 7 3600 900 604800 300\n@ NS ns1\n"       \
    "ns1 A 192.0.2.1\nalias CNAME ns1\nold DNAME new\nx.new A 192.0.2.2\n*.wild TXT w\n"  \
    "cut NS ns.cut\ncut NS ns.other.\nns.cut A 192.0.2.3\nmany NS ns1\nmany NS ns1.cut\n" \
    "holder NS ns.cut\nns1.cut A 192.0.2.4\ndeep.er NS ns.cut\n"

#define SIGNED(TTL)                                                                             \
    "@ " TTL " SOA a.signed. b 1 2 3 4 5\n@ 60 NS a.signed.\n@ 60 NSEC a.signed. SOA NS NSEC\n" \
    "a 60 A 192.0.2.1\na 60 NSEC m.b.signed. A NSEC\nm.b 60 TXT x\n"                            \
    "m.b 60 NSEC cut.signed. TXT NSEC\ncut 60 NS ns.cut.signed.\n"                              \
    "ns.cut 60 A 192.0.2.2\ncut 60 NSEC signed. NS NSEC\n"

static struct fixture fixture;
static struct message message;
static uint8_t response[RESPOND_MESSAGE_MAX];
static struct respond_policy policy;

static void setup(void)
{
    policy = respond_policy_default();
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", ZONE);
    fixture_load(&fixture, "inner.holder.example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\n");
    fixture_load(&fixture, "signed.", SIGNED("60"));
}

static void teardown(void)
{
    fixture_close(&fixture);
}

static const struct message *ask(const char *qname, unsigned type, unsigned payload, bool is_do)
{
    uint8_t request[512];
    struct respond_client client = {.transport = RESPOND_UDP};
    size_t request_len = request_make(request, qname, type, payload, is_do, NULL, 0);
    ck_assert(templates_agree(fixture.view, &policy, &client, request, request_len, 65535));
    size_t len =
        respond(fixture.view, &policy, &client, request, request_len, response, sizeof response);
    message_parse(&message, response, len);
    return &message;
}

/* How many templates were made. */
static uint64_t kept(void)
{
    static uint64_t before;
    uint64_t head = fixture.view->templates->head, more = head - before;
    before = head;
    return more;
}

/* Ask until there is a template; from then on no question of these makes another one. */
static void one_for_all(const char *const *names, size_t count, unsigned type, bool is_do)
{
    ask(names[0], type, 1232, is_do);
    ck_assert_uint_gt(kept(), 0);
    for (size_t i = 0; i < count; i++)
        ask(names[i], type, 1232, is_do);
    ck_assert_uint_eq(kept(), 0);
}

START_TEST(test_referral)
{
    static const char *const below[] = {"cut.example.", "www.cut.example.", "a.b.c.Cut.EXAMPLE."};
    kept();
    one_for_all(below, 3, 1, false);
    one_for_all(below, 3, 1, true);
    ask("www.cut.example.", 28, 512, false); /* another type and size */
    ck_assert_uint_eq(kept(), 0);
    ck_assert_uint_eq(ask("cut.example.", 43, 1232, false)->flags & 0x0400,
                      0x0400); /* DS: parent */
    ck_assert_uint_gt(kept(), 0);
    ck_assert_uint_eq(ask("x.cut.example.", 43, 1232, false)->flags & 0x0400, 0);
    static const char *const deeper[] = {"a.deep.er.example.", "b.c.deep.er.example."};
    one_for_all(deeper, 2, 1, false);
}
END_TEST

START_TEST(test_better_compressed)
{
    /* The slow path makes the server's name a pointer into these questions. */
    ask("www.cut.example.", 1, 1232, false);
    kept();
    ask("ns.cut.example.", 1, 1232, false);
    ask("a.NS.cut.example.", 1, 1232, false);
    ck_assert_uint_eq(kept(), 0);
    /* In a view that meets such a question first no referral is made of it. */
    template_clear(fixture.view->templates);
    ask("ns.cut.example.", 1, 1232, false);
    ck_assert_uint_eq(kept(), 0);
    ask("www.cut.example.", 1, 1232, false);
    ck_assert_uint_gt(kept(), 0);
    /* The root above: names of the SOA that do not end in the apex. */
    ask("host.example.", 1, 1232, false);
    ask("x.host.example.", 1, 1232, false);
    ask("nx.example.", 1, 1232, false);
    ask("host.example.", 1, 1232, false);
}
END_TEST

/* What depends on the servers only is made of one cut and serves the others. */
START_TEST(test_servers)
{
    char text[2048] = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nhost 60 NS ns.host\nns.host 60 A "
                      "192.0.2.1\nfar.off 60 NS ns.host\nhost2 60 NS ns.host\nns 60 A 192.0.2.1\n"
                      "x.y 60 NS z.y\nw.y 60 NS z.y\nz.y 60 A 192.0.2.9\nself 60 NS self\n"
                      "selfish 60 NS self\n";
    for (unsigned i = 0; i < 9; i++)
        sprintf(text + strlen(text), "n%u 60 NS ns.host\nn%u 60 NS o.ut.\nm%u 5%u NS ns.host\n", i,
                i, i, i % 2);
    fixture_load(&fixture, "tld.", text);
    struct template_cache *templates = fixture.view->templates;
    for (unsigned i = 0; i < 9; i++) {
        uint8_t request[512];
        struct respond_client client = {.transport = RESPOND_UDP};
        char name[32];
        sprintf(name, "a.N%u.tld.", i);
        size_t len = request_make(request, name, 1, 1232, false, NULL, 0);
        uint64_t head = templates->head;
        respond(fixture.view, &policy, &client, request, len, response, sizeof response);
        /* The first is noted, the second kept, the others are served. */
        ck_assert((templates->head > head) == (i == 1));
        ck_assert_uint_eq(ask(name, 1, 1232, false)->count[1], 2);
        ck_assert_uint_eq(message.count[2], 2); /* an address and OPT */
        kept();
        sprintf(name, "m%u.tld.", i); /* the same but for the TTL */
        ck_assert_uint_eq(ask(name, 1, 1232, true)->record[0].ttl, 50 + i % 2);
    }
    static const char *const others[] = {
        "host.tld.",  "a.host.tld.", "far.off.tld.", "q.host2.tld.",   "x.y.tld.", "w.y.tld.",
        "a.x.y.tld.", "self.tld.",   "selfish.tld.", "b.selfish.tld.", "n1.tld.",  "ns.host.tld."};
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            ask(others[(i * (round + 1)) % 12], 1 + 42 * (round == 1), round == 2 ? 0 : 512, false);
        template_clear(templates);
    }
}
END_TEST

START_TEST(test_zone_below_cut)
{
    kept();
    ask("inner.holder.example.", 6, 1232, false);
    ask("a.inner.holder.example.", 6, 1232, false);
    /* Not for all below: one zone there is ours. */
    ck_assert_uint_eq(ask("www.holder.example.", 1, 1232, false)->count[0], 0);
    ck_assert_uint_eq(ask("inner.holder.example.", 2, 1232, false)->count[0], 1);
    ck_assert_uint_eq(ask("b.inner.holder.example.", 1, 1232, false)->rcode, 3);
}
END_TEST

START_TEST(test_negative)
{
    static const char *const names[] = {"nx.example.", "a.nx.example.", "Zz.Example.",
                                        "q.b.a.nx.example."};
    kept();
    one_for_all(names, 4, 1, false);
    one_for_all(names, 4, 1, true); /* an unsigned zone */
    ck_assert_uint_eq(ask("nx.example.", 1, 1232, false)->rcode, 3);
    ck_assert_uint_eq(ask("er.example.", 1, 1232, false)->rcode, 0); /* empty non-terminal */
    /* Between the same NSEC owners, below the same name or not. */
    static const char *const gap[] = {"ab.signed.", "x.ac.signed."};
    static const char *const elsewhere[] = {"x.a.signed.", "y.a.signed.", "a.b.signed.",
                                            "z.b.signed.", "d.signed."};
    kept();
    one_for_all(gap, 2, 1, true);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        ck_assert_uint_eq(ask(elsewhere[i], 1, 1232, true)->rcode, 3);
}
END_TEST

START_TEST(test_exact)
{
    static const struct {
        const char *name;
        unsigned type;
    } questions[] = {
        {"ns1.example.", 1},
        {"ns1.example.", 28},
        {"alias.example.", 1},
        {"Alias.example.", 28},
        {"x.wild.example.", 1},
        {"x.wild.example.", 16},
        {"example.", 255},
        {"example.", 6},
        {"elsewhere.", 1},
        {"new.example.", 1},
        {".", 2},
        {"cut.example.", 43},
        {"x.wild.example.", 255},
        {"a.signed.", 46},
        {"wild.example.", 1},
    };
    for (unsigned round = 0; round < 2; round++) {
        kept();
        for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
            policy.is_any_full = false;
            ask(questions[i].name, questions[i].type, 0, false);
            policy.is_minimal = true;
            ask(questions[i].name, questions[i].type, 0, false);
            policy.is_minimal = false;
            policy.is_any_full = true;
            ask(questions[i].name, questions[i].type, 1232, false);
            ask(questions[i].name, questions[i].type, 1232, true);
        }
        ck_assert((kept() > 0) == (round == 0));
    }
    /* The alias that a DNAME makes has the question's letters. */
    ask("x.old.example.", 1, 1232, false);
    ask("X.old.example.", 1, 1232, false);
    ck_assert_uint_eq(kept(), 0);
}
END_TEST

START_TEST(test_snapshot)
{
    ck_assert_uint_eq(ask("nx.signed.", 1, 1232, false)->record[0].ttl, 5);
    ck_assert_uint_eq(ask("ns1.example.", 1, 1232, false)->count[0], 1);
    ck_assert_uint_gt(ask("a.cut.example.", 1, 1232, false)->count[1], 0);
    fixture_load(&fixture, "signed.", SIGNED("3"));
    fixture_load(&fixture, "example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\n");
    ck_assert_uint_eq(ask("nx.signed.", 1, 1232, false)->record[0].ttl, 3);
    ck_assert_uint_eq(ask("ns1.example.", 1, 1232, false)->rcode, 3);
    ck_assert_uint_eq(ask("a.cut.example.", 1, 1232, false)->rcode, 3);
    /* The same snapshot after a rest: kept. After the map may have moved: forgotten. */
    kept();
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 0);
    ask("nx.signed.", 1, 1232, false);
    ck_assert_uint_eq(kept(), 0);
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_grow(fixture.db), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 0);
    ask("nx.signed.", 1, 1232, false);
    ck_assert_uint_gt(kept(), 0);
    /* No snapshot: nothing is known. */
    zonedb_view_rest(fixture.view);
    ck_assert_uint_eq(ask("nx.signed.", 1, 1232, false)->rcode, 2);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 0);
}
END_TEST

START_TEST(test_room)
{
    char *text = malloc(1 << 20), *at = text;
    ck_assert_ptr_nonnull(text);
    at += sprintf(at, "$ORIGIN big.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n");
    for (unsigned i = 0; i < 13; i++)
        at +=
            sprintf(at,
                    "own NS n%u.own\nn%u.own A 192.0.2.1\nn%u.own AAAA 2001:db8::1\n"
                    "other NS n%u.sibling\nn%u.sibling A 192.0.2.1\nn%u.sibling AAAA 2001:db8::1\n"
                    "text TXT \"%080u\"\n",
                    i, i, i, i, i, i, i);
    fixture_load(&fixture, "big.", text);
    free(text);
    unsigned truncated = 0, short_of = 0, whole = 0;
    for (unsigned payload = 512; payload < 1400; payload += 7) {
        policy.udp_payload = 1400;
        truncated += (ask("www.own.big.", 1, payload, false)->flags & 0x0200) != 0;
        truncated += (ask("a.b.own.big.", 1, payload, false)->flags & 0x0200) != 0;
        whole += ask("q.other.big.", 1, payload, false)->count[2] > 26;
        short_of += ask("other.big.", 1, payload, true)->count[2] < 26;
        ask("text.big.", 16, payload, false);
    }
    ck_assert(truncated > 0 && short_of > 0 && whole > 0);
}
END_TEST

/* Far more than the ring holds. */
START_TEST(test_ring)
{
    char *text = malloc(1 << 21), *at = text, name[32];
    ck_assert_ptr_nonnull(text);
    at += sprintf(at, "$ORIGIN big.\n$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n");
    for (unsigned i = 0; i < 1500; i++)
        for (unsigned j = 0; j < 12; j++)
            at += sprintf(at, "n%u TXT \"%u%060u\"\n", i, j, i);
    fixture_load(&fixture, "big.", text);
    free(text);
    for (unsigned i = 0; i < 6000; i++) {
        policy.is_any_full = i / 1500 % 2 == 0;
        sprintf(name, "n%u.big.", i * 7 % 1500);
        ask(name, 16, 1232, i < 3000);
    }
    ck_assert_uint_gt(fixture.view->templates->head, 2 * TEMPLATE_RING_UNITS);
}
END_TEST

/* What is in the ring is what is said: a template is used, not only made. */
START_TEST(test_is_used)
{
    ask("www.cut.example.", 1, 1232, false);
    ck_assert_uint_eq(message.record[0].ttl, 3600);
    uint8_t *ring = (uint8_t *)fixture.view->templates->ring, ttl[4] = {0, 0, 0x0e, 0x10};
    uint8_t *found = memmem(ring, 8 * TEMPLATE_RING_UNITS, ttl, sizeof ttl);
    ck_assert_ptr_nonnull(found);
    found[3] = 0x11;
    uint8_t request[512];
    struct respond_client client = {.transport = RESPOND_UDP};
    size_t request_len = request_make(request, "q.cut.example.", 1, 1232, false, NULL, 0);
    size_t len =
        respond(fixture.view, &policy, &client, request, request_len, response, sizeof response);
    message_parse(&message, response, len);
    ck_assert_uint_eq(message.record[0].ttl, 3601);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_referral, test_better_compressed, test_servers, test_zone_below_cut, test_negative,
        test_exact,    test_snapshot,          test_room,    test_ring,           test_is_used};
    return test_run("template", tests, sizeof tests / sizeof *tests, setup, teardown);
}
