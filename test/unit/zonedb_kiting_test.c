/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What keeps a zone from flying on after its delegation is gone: no NS of the apex unasked, a limit
 * for their TTL, zones that are withheld.
 */
#include "message.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"
#include "zonedb/respond.h"
#include "zonedb/store.h"
#include "zonedb/text_change.h"

#include <errno.h>

#define MEMORY_LEN ((size_t)1 << 20)
#define REFUSED 5
#define SIGNATURE \
    " 13 1 86400 20300101000000 20200101000000 1 child.example. AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PARENT                                                                                \
    "@ 3600 SOA ns h 1 2 3 4 300\n@ 3600 NS ns\nns A 192.0.2.1\nchild 7200 NS ns\n"           \
    "child 7200 DS 1 8 1 0000000000000000000000000000000000000000\n*.wild A 192.0.2.2\n"      \
    "wild MX 1 ns\nold DNAME new\nhost CNAME ns\nfar NS ns.far\nns.far A 192.0.2.3\nx.ent A " \
    "192.0.2.4\n"
#define CHILD                                                                             \
    "@ 86400 SOA ns h 1 2 3 4 300\n@ 86400 NS ns\n@ 86400 NS ns.example.\n@ 86400 RRSIG " \
    "NS" SIGNATURE                                                                        \
    "\n@ 86400 MX 1 ns\nns 86400 A 192.0.2.5\nwww 86400 A 192.0.2.6\n* 86400 TXT x\n"
#define OTHER "@ 60 SOA ns h 1 2 3 4 300\n@ 60 NS ns.example.\nto 60 CNAME www.child.example.\n"

static struct fixture fixture;
static struct message message;
static struct respond_policy policy;

static void setup(void)
{
    policy = respond_policy_default();
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", PARENT);
    fixture_load(&fixture, "child.example.", CHILD);
    fixture_load(&fixture, "other.", OTHER);
}

static void teardown(void)
{
    fixture_close(&fixture);
}

/* Twice, so that the second answer may be one that was kept. */
static const struct message *ask(const char *qname, unsigned type)
{
    static uint8_t request[512], first[4096], response[4096];
    const struct respond_client client = {.transport = RESPOND_TCP};
    const size_t len = request_make(request, qname, type, 1232, true, NULL, 0);
    const size_t once = respond(fixture.view, &policy, &client, request, len, first, sizeof first);
    const size_t got =
        respond(fixture.view, &policy, &client, request, len, response, sizeof response);
    ck_assert_uint_eq(once, got);
    ck_assert_mem_eq(first, response, got);
    message_parse(&message, response, got);
    return &message;
}

static bool has_ede(const struct message *m, unsigned code)
{
    return m->option_len == 6 && get16(m->options) == 15 && get16(m->options + 4) == code;
}

static void change(int (*change_with)(struct zonedb_writer *, uint32_t), uint32_t value)
{
    struct zonedb_writer *writer;
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(change_with(writer, value), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
}

static int set_state(struct zonedb_writer *writer, uint32_t state)
{
    uint8_t apex[NAME_MAX_LEN];
    name_from_text("CHILD.example.", apex);
    return zonedb_writer_zone_state(writer, apex, (enum zonedb_zone_state)state);
}

static int raise_ttl(struct zonedb_writer *writer, uint32_t ttl)
{
    uint8_t apex[NAME_MAX_LEN];
    name_from_text("child.example.", apex);
    return zonedb_writer_apex_ns_ttl(writer, apex, ttl, ttl);
}

static const char *const of_child[] = {"child.example.", "WWW.child.example.", "ns.child.example.",
                                       "x.child.example.", "a.b.www.child.example."};
static const unsigned types[] = {1, 2, 5, 6, 15, 16, 28, 46, 47, 255, 257};

static void expect_withheld(bool is_withheld)
{
    for (size_t i = 0; i < sizeof of_child / sizeof *of_child; i++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            const struct message *m = ask(of_child[i], types[t]);
            ck_assert_msg((m->rcode == REFUSED) == is_withheld, "%s %u", of_child[i], types[t]);
            ck_assert_int_eq(has_ede(m, 20), is_withheld);
            ck_assert_int_eq((m->flags & 0x0400) == 0, is_withheld);
            if (is_withheld)
                ck_assert_uint_eq(m->record_count, 0);
        }
    }
    /* An alias leads there no more, and is answered itself. */
    ck_assert_uint_eq(ask("to.other.", 1)->count[0], is_withheld ? 1 : 2);
    ck_assert_uint_eq(ask("to.other.", 1)->rcode, 0);
    /* What the parent knows of it stays the parent's. */
    ck_assert_uint_eq(ask("child.example.", 43)->count[0], 1);
    ck_assert_uint_eq(ask("ns.example.", 1)->rcode, 0);
}

START_TEST(test_withheld)
{
    struct zonedb_zone zone;
    uint8_t apex[NAME_MAX_LEN];
    name_from_text("child.example.", apex);
    expect_withheld(false);
    change(set_state, ZONEDB_WITHHELD);
    expect_withheld(true);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex, &zone), 0);
    ck_assert_int_eq(zone.state, ZONEDB_WITHHELD);
    /* Neither a load nor a change brings it back. */
    fixture_load(&fixture, "child.example.", CHILD);
    expect_withheld(true);
    change(raise_ttl, 7777);
    expect_withheld(true);
    change(set_state, ZONEDB_SERVING);
    expect_withheld(false);
    ck_assert_uint_eq(ask("child.example.", 2)->record[0].ttl, 7777);
}
END_TEST

/* The DS of a zone below one that is withheld: nobody else than the child is left to ask. */
START_TEST(test_withheld_parent)
{
    struct zonedb_writer *writer;
    uint8_t apex[NAME_MAX_LEN];
    name_from_text("example.", apex);
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_state(writer, apex, ZONEDB_WITHHELD), 0);
    name_from_text("nothing.", apex);
    ck_assert_int_eq(zonedb_writer_zone_state(writer, apex, ZONEDB_WITHHELD), -ENOENT);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    ck_assert_uint_eq(ask("ns.example.", 1)->rcode, REFUSED);
    ck_assert_uint_eq(ask("child.example.", 43)->rcode, 0);
    ck_assert_uint_eq(ask("www.child.example.", 1)->rcode, 0);
}
END_TEST

/* An image has nothing of a zone that is withheld, from the commit on. */
START_TEST(test_withheld_image)
{
    struct image_memory memory = {aligned_alloc(4096, MEMORY_LEN), MEMORY_LEN};
    struct image *image;
    uint8_t request[512], response[4096];
    ck_assert_ptr_nonnull(memory.octets);
    ck_assert_int_eq(image_open(&policy, &image), 0);
    ck_assert_int_eq(image_build(image, memory, fixture.view), 0);
    for (unsigned round = 0; round < 2; round++) {
        change(set_state, round == 0 ? ZONEDB_WITHHELD : ZONEDB_SERVING);
        ck_assert_int_eq(image_patch(image, fixture.view, 1, 0), IMAGE_OUTDATED);
        ck_assert_int_eq(image_build(image, memory, fixture.view), 0);
        for (size_t i = 0; i < sizeof of_child / sizeof *of_child && round == 0; i++) {
            const size_t len = request_make(request, of_child[i], 1, 1232, false, NULL, 0);
            ck_assert_uint_eq(image_respond(memory.octets, memory.len, false, request, len,
                                            response, sizeof response),
                              0);
        }
    }
    image_close(image);
    free(memory.octets);
}
END_TEST

/* Of all that can be answered, NS of an apex are in what asks for them only. */
START_TEST(test_never_unasked)
{
    static const char *const names[] = {
        "example.",     "ns.example.",      "nope.example.",  "x.wild.example.", "wild.example.",
        "old.example.", "x.y.old.example.", "host.example.",  "far.example.",    "x.far.example.",
        "ent.example.", "x.ent.example.",   "child.example.", "to.other.",       "other."};
    for (size_t i = 0; i < sizeof names / sizeof *names + sizeof of_child / sizeof *of_child; i++) {
        const size_t count = sizeof names / sizeof *names;
        const char *name = i < count ? names[i] : of_child[i - count];
        for (unsigned type = 1; type <= 300; type++) {
            const struct message *m = ask(name, type);
            for (unsigned r = 0; r < m->record_count; r++) {
                const bool is_apex = strcmp(m->record[r].owner, "example.") == 0 ||
                                     strcmp(m->record[r].owner, "child.example.") == 0 ||
                                     strcmp(m->record[r].owner, "other.") == 0;
                ck_assert_msg(m->record[r].type != 2 || !is_apex || type == 2 || type == 255,
                              "%s %u", name, type);
            }
        }
    }
}
END_TEST

static void expect_ttl(unsigned ns, unsigned rrsig)
{
    for (unsigned type = 2; type <= 255; type += 253) {
        const struct message *m = ask("child.example.", type);
        for (unsigned r = 0; r < m->record_count; r++) {
            if (m->record[r].section != 0)
                continue;
            if (m->record[r].type == 2)
                ck_assert_uint_eq(m->record[r].ttl, ns);
            else if (m->record[r].type == 46)
                ck_assert_uint_eq(m->record[r].ttl, rrsig);
            else
                ck_assert_uint_eq(m->record[r].ttl, 86400);
        }
    }
    ck_assert_uint_eq(ask("child.example.", 2)->record[0].ttl, ns);
    ck_assert_uint_eq(ask("child.example.", 15)->record[0].ttl, 86400);
}

START_TEST(test_cap)
{
    static const char line[] = "+ @ 50000 NS ns2.example.\n- @ NS ns.example.\n"
                               "+ @ 86400 SOA ns h 9 2 3 4 300\n";
    uint8_t apex[NAME_MAX_LEN];
    uint32_t cap;
    expect_ttl(86400, 86400);
    change(zonedb_writer_ns_ttl_cap, 600);
    ck_assert_int_eq(zonedb_ns_ttl_cap(fixture.view, &cap), 0);
    ck_assert_uint_eq(cap, 600);
    expect_ttl(600, 600);
    ck_assert_uint_eq(ask("example.", 2)->record[0].ttl, 600);
    ck_assert_uint_eq(ask("other.", 2)->record[0].ttl, 60);
    /* Delegations are not spoken of. */
    ck_assert_uint_eq(ask("x.far.example.", 1)->record[0].ttl, 3600);
    /* It holds for what comes later. */
    fixture_load(&fixture, "child.example.", CHILD);
    expect_ttl(600, 600);
    name_from_text("child.example.", apex);
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(text_zone_change_memory(apex, "change", line, sizeof line - 1, NULL,
                                             fixture.db, 1700000000, NULL),
                     0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    expect_ttl(600, 600);
    change(zonedb_writer_ns_ttl_cap, UINT32_MAX);
    ck_assert_int_eq(zonedb_ns_ttl_cap(fixture.view, &cap), 0);
    ck_assert_uint_eq(cap, UINT32_MAX);
    expect_ttl(600, 600);
    fixture_load(&fixture, "child.example.", CHILD);
    expect_ttl(86400, 86400);
}
END_TEST

START_TEST(test_rrset_get)
{
    uint8_t apex[NAME_MAX_LEN], owner[NAME_MAX_LEN];
    struct zonedb_rrset rrset;
    name_from_text("example.", apex);
    name_from_text("child.EXAMPLE.", owner);
    ck_assert_int_eq(zonedb_rrset_get(fixture.view, apex, owner, 2, &rrset), 0);
    ck_assert_uint_eq(rrset.ttl, 7200);
    ck_assert_uint_eq(rrset.rr_count, 1);
    ck_assert_int_eq(zonedb_rrset_get(fixture.view, apex, owner, 1, &rrset), -ENOENT);
    ck_assert_int_eq(zonedb_rrset_get(fixture.view, owner, apex, 2, &rrset), -ENOENT);
    name_from_text("www.child.example.", owner);
    ck_assert_int_eq(zonedb_rrset_get(fixture.view, apex, owner, 1, &rrset), -ENOENT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_withheld, test_withheld_parent, test_withheld_image, test_never_unasked,
        test_cap,      test_rrset_get};
    return test_run("zonedb_kiting", tests, sizeof tests / sizeof *tests, setup, teardown);
}
