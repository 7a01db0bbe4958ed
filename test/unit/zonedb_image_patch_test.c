/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An image that follows random changes answers as respond() does of the changed zone, and as often
 * as one that is made anew.
 */
#include "template_check.h"
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/image_build.h"
#include "zonedb/image_respond.h"
#include "zonedb/image_room.h"
#include "zonedb/store.h"

#include <errno.h>

#define MEMORY_LEN ((size_t)4 << 20)
#define NAMES 60
#define GRACE_NS 1000000000u

static const uint8_t apex[] = "\7example";

struct bed {
    struct fixture fixture;
    struct respond_policy policy;
    struct image *image, *fresh;
    struct image_memory memory, fresh_memory;
    uint64_t now_ns, dice;
    uint32_t serial;
    bool is_nsec;
    unsigned patched, outdated;
    unsigned long asked, answered, answered_fresh;
};

static unsigned roll(struct bed *bed, unsigned sides)
{
    bed->dice = bed->dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(bed->dice >> 33) % sides;
}

static struct image_memory memory_make(void)
{
    struct image_memory memory = {aligned_alloc(4096, MEMORY_LEN), MEMORY_LEN};
    ck_assert_ptr_nonnull(memory.octets);
    memset(memory.octets, 0x5a, MEMORY_LEN);
    return memory;
}

static void bed_open(struct bed *bed, const char *const (*zones)[2], size_t zone_count)
{
    *bed = (struct bed){.policy = respond_policy_default(), .dice = 7, .serial = 10};
    fixture_open(&bed->fixture);
    for (size_t i = 0; i < zone_count; i++)
        fixture_load(&bed->fixture, zones[i][0], zones[i][1]);
    ck_assert_int_eq(image_open(&bed->policy, &bed->image), 0);
    ck_assert_int_eq(image_open(&bed->policy, &bed->fresh), 0);
    bed->memory = memory_make();
    bed->fresh_memory = memory_make();
    ck_assert_int_eq(image_build(bed->image, bed->memory, bed->fixture.view), 0);
}

static void bed_close(struct bed *bed)
{
    image_close(bed->image);
    image_close(bed->fresh);
    free(bed->memory.octets);
    free(bed->fresh_memory.octets);
    fixture_close(&bed->fixture);
}

/* ---- changes ---- */

/* The RRsets of one owner, put together. */
struct content {
    struct zonedb_rrset rrsets[9];
    uint8_t rdata[9][600];
    size_t count;
};

static void content_add(struct content *c, uint16_t type, uint32_t ttl, const void *rdata,
                        size_t len)
{
    bool is_new = c->count == 0 || c->rrsets[c->count - 1].type != type;
    c->count += is_new;
    struct zonedb_rrset *rrset = &c->rrsets[c->count - 1];
    uint8_t *room = c->rdata[c->count - 1];
    if (is_new)
        *rrset = (struct zonedb_rrset){.type = type, .ttl = ttl, .rdata = room};
    store_be16(room + rrset->rdata_len, (uint16_t)len);
    memcpy(room + rrset->rdata_len + 2, rdata, len);
    rrset->rdata_len += (uint32_t)len + 2;
    rrset->rr_count++;
}

static void content_name(struct content *c, uint16_t type, const char *text)
{
    uint8_t name[NAME_MAX_LEN];
    content_add(c, type, 300, name, name_from_text(text, name));
}

static void content_address(struct bed *bed, struct content *c)
{
    uint8_t address[4] = {192, 0, 2, (uint8_t)roll(bed, 256)};
    content_add(c, RR_A, 300, address, sizeof address);
}

/* The proof that its name has these types; what it says is of no interest here. */
static void content_end(struct bed *bed, struct content *c, bool is_glue)
{
    static const uint8_t nsec[] = "\1z\7example\0\0\1\x40";
    static const uint8_t sig[18 + 10] = {0, RR_NSEC, 13, 2};
    if (c->count == 0 || !bed->is_nsec || is_glue)
        return;
    content_add(c, RR_NSEC, 60, nsec, sizeof nsec - 1);
    content_add(c, RR_RRSIG, 60, sig, sizeof sig);
}

static void put(struct zonedb_writer *writer, const char *text, const struct content *c)
{
    uint8_t owner[NAME_MAX_LEN];
    name_from_text(text, owner);
    ck_assert_int_eq(zonedb_writer_change_node(writer, owner, c->rrsets, c->count), 0);
}

/* A delegation of one of several kinds, or with kind 5 and above something else. */
static void name_change(struct bed *bed, struct zonedb_writer *writer, unsigned number,
                        unsigned kind)
{
    static const uint8_t ds[4 + 4] = {1, 2, 13, 2};
    struct content c = {.count = 0}, below = {.count = 0};
    char name[64], host[80];
    snprintf(name, sizeof name, number == 0 ? "*.example." : "n%u.example.", number);
    snprintf(host, sizeof host, "ns.%s", name);
    if (kind == 0 || kind == 1) {
        content_name(&c, RR_NS, "ns1.elsewhere.net.");
        content_name(&c, RR_NS, kind == 0 ? "ns2.elsewhere.net." : "ns.n3.example.");
    } else if (kind == 2 || kind == 3) {
        content_name(&c, RR_NS, host);
        content_address(bed, &below);
    } else if (kind == 4) {
        content_name(&c, RR_NS, "a.servers.example.");
    } else if (kind == 5) {
        content_address(bed, &c);
    } else if (kind == 6) {
        content_address(bed, &below); /* an empty non-terminal */
    } else if (kind == 7) {
        content_name(&c, RR_DNAME, "target.example.");
    } else if (kind == 8 && roll(bed, 2) == 0) {
        static const char *const targets[] = {"a.servers.example.", "n5.example.", "n7.example.",
                                              "x.y.n11.example.",   "n8.example.", "far.net."};
        content_name(&c, RR_CNAME, targets[roll(bed, 6)]);
    } else if (kind == 9) { /* answers with the addresses of others, or its own */
        static const char *const hosts[] = {"\0\12\1a\7servers\7example", "\0\12\2ns\2n3\7example",
                                            "\0\12\2n5\7example", "\0\12\2n7\7example"};
        static const size_t lens[] = {21, 17, 14, 14};
        unsigned which = roll(bed, 4);
        content_address(bed, &c);
        content_add(&c, RR_MX, 300, hosts[which], lens[which]);
        content_add(&c, RR_TXT, 300, "\1a", 2);
    }
    if (kind == 3 || kind == 1)
        content_add(&c, RR_DS, 300, ds, sizeof ds);
    content_end(bed, &c, false);
    content_end(bed, &below, kind < 5);
    put(writer, name, &c);
    put(writer, host, &below);
}

/* Names deeper down, and what hides them. */
static void deep_change(struct bed *bed, struct zonedb_writer *writer)
{
    unsigned number = 10 + roll(bed, 5), kind = roll(bed, 6);
    struct content c = {.count = 0}, below = {.count = 0};
    char name[64], host[80];
    snprintf(name, sizeof name, "y.n%u.example.", number);
    snprintf(host, sizeof host, "x.%s", name);
    if (kind == 0)
        content_name(&c, RR_NS, "ns1.elsewhere.net.");
    else if (kind == 1)
        content_name(&c, RR_DNAME, "target.example.");
    else if (kind < 4)
        content_address(bed, &c);
    content_end(bed, &c, false);
    put(writer, name, &c);
    if (roll(bed, 2) == 0) {
        content_address(bed, &below);
        content_end(bed, &below, kind < 2);
        put(writer, host, &below);
    }
}

static int apex_copy(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct content *c = context;
    (void)owner;
    c->rrsets[c->count] = *rrset;
    ck_assert_uint_le(rrset->rdata_len, sizeof c->rdata[0]);
    memcpy(c->rdata[c->count], rrset->rdata, rrset->rdata_len);
    c->rrsets[c->count].rdata = c->rdata[c->count];
    c->count++;
    return 0;
}

/* One more in the serial. */
static void apex_change(struct bed *bed, struct zonedb_writer *writer)
{
    struct content c = {.count = 0};
    ck_assert_int_eq(zonedb_writer_change_walk(writer, apex, apex_copy, &c), 0);
    for (size_t i = 0; i < c.count; i++)
        if (c.rrsets[i].type == RR_SOA)
            store_be32(c.rdata[i] + c.rrsets[i].rdata_len - 20, ++bed->serial);
    ck_assert_int_eq(zonedb_writer_change_node(writer, apex, c.rrsets, c.count), 0);
}

static struct zonedb_writer *commit_begin(struct bed *bed)
{
    struct zonedb_writer *writer;
    ck_assert_int_eq(zonedb_writer_begin(bed->fixture.db, &writer), 0);
    ck_assert_int_ge(zonedb_writer_change_begin(writer, apex), 0);
    return writer;
}

static void commit_end(struct bed *bed, struct zonedb_writer *writer)
{
    if (roll(bed, 3) > 0)
        apex_change(bed, writer);
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(bed->fixture.view), 1);
}

static void change_some(struct bed *bed)
{
    struct zonedb_writer *writer = commit_begin(bed);
    for (unsigned i = roll(bed, 5); i > 0; i--) {
        /* Most are delegations; the wildcard comes and goes. */
        unsigned number = 1 + roll(bed, NAMES - 1), kind = roll(bed, 10);
        if (roll(bed, 20) == 0)
            number = 0;
        if (number == 3 && roll(bed, 2) > 0)
            continue; /* others name its host */
        if (kind >= 5 && kind < 9 && roll(bed, 4) > 0)
            kind = kind % 2 == 0 ? 2 : 8;
        name_change(bed, writer, number, kind);
    }
    if (roll(bed, 3) == 0)
        deep_change(bed, writer);
    if (roll(bed, 4) == 0) { /* the address of a host that many name */
        struct content c = {.count = 0};
        content_address(bed, &c);
        content_end(bed, &c, false);
        put(writer, "a.servers.example.", &c);
    }
    commit_end(bed, writer);
}

/* ---- questions ---- */

static size_t ask(const struct bed *bed, const struct image_memory *memory, const uint8_t *request,
                  size_t len, uint8_t *response)
{
    (void)bed;
    return image_respond(memory->octets, memory->len, false, request, len, response, 65535);
}

static void check_question(struct bed *bed, const char *prefix, unsigned number, uint16_t type,
                           bool is_do)
{
    static const struct respond_client client = {.transport = RESPOND_UDP};
    static uint8_t plain[RESPOND_MESSAGE_MAX], response[RESPOND_MESSAGE_MAX];
    uint8_t request[300] = {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1}, opt[11] = {0, 0, 41, 4, 0xd0};
    char text[80];
    if (number == 0)
        snprintf(text, sizeof text, "%s", prefix);
    else
        snprintf(text, sizeof text, "%sn%u.example.", prefix, number);
    size_t len = 12 + name_from_text(text, request + 12);
    store_be16(request + len, type);
    store_be16(request + len + 2, CLASS_IN);
    opt[7] = is_do ? 0x80 : 0;
    memcpy(request + len + 4, opt, sizeof opt);
    len += 4 + sizeof opt;
    size_t plain_len = respond_plainly(bed->fixture.view, &bed->policy, &client, request, len,
                                       plain, sizeof plain);
    size_t got = ask(bed, &bed->memory, request, len, response);
    ck_assert_msg(got == 0 || (got == plain_len && memcmp(plain, response, got) == 0),
                  "%s type %u do %d: not as respond()", text, type, is_do);
    bed->asked++;
    bed->answered += got > 0;
    got = ask(bed, &bed->fresh_memory, request, len, response);
    ck_assert(got == 0 || (got == plain_len && memcmp(plain, response, got) == 0));
    bed->answered_fresh += got > 0;
}

static void check_all(struct bed *bed)
{
    ck_assert_int_eq(image_build(bed->fresh, bed->fresh_memory, bed->fixture.view), 0);
    ck_assert_uint_eq(image_version(bed->memory.octets), zonedb_view_version(bed->fixture.view));
    for (unsigned number = 1; number < NAMES + 10; number++) {
        check_question(bed, "", number, RR_A, false);
        check_question(bed, "ns.", number, RR_A, true);
        check_question(bed, "a.b.", number, RR_TXT, false);
        check_question(bed, "", number, RR_DS, number % 2 == 0);
        check_question(bed, "", number, number % 3 == 0 ? RR_TXT : RR_MX, number % 2 == 0);
        check_question(bed, "y.", number, RR_A, number % 3 == 0);
        check_question(bed, "x.y.", number, number % 4 == 0 ? RR_NS : RR_A, number % 5 == 0);
    }
    static const char *const others[] = {"example.", "a.servers.example.", "servers.example.",
                                         "*.example.", "ns.n3.example."};
    static const uint16_t types[] = {RR_A, RR_NS, RR_SOA, RR_MX, RR_NSEC};
    for (unsigned i = 0; i < 25; i++) {
        check_question(bed, others[i / 5], 0, types[i % 5], false);
        check_question(bed, others[i / 5], 0, types[i % 5], true);
    }
}

/* As lethed does. */
static void follow(struct bed *bed)
{
    bed->now_ns += GRACE_NS / 10;
    int rc = image_patch(bed->image, bed->fixture.view, bed->now_ns, GRACE_NS);
    ck_assert_msg(rc == 0 || rc == IMAGE_OUTDATED, "%d", rc);
    if (rc == IMAGE_OUTDATED) {
        ck_assert_uint_eq(image_version(bed->memory.octets), 0);
        ck_assert_int_eq(image_build(bed->image, bed->memory, bed->fixture.view), 0);
    }
    bed->patched += rc == 0;
    bed->outdated += rc != 0;
}

static const char *const zones_of_random[][2] = {
    {"example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a.servers\na.servers 60 A 192.0.2.1\n"
                 "n1 60 NS ns.n1\nns.n1 60 A 192.0.2.1\nn9 60 NS ns.n9\nns.n9 60 A 192.0.2.9\n"},
    {"n8.example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns.elsewhere.net.\n"},
    {"x.y.n9.example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns.elsewhere.net.\n"},
};

static void random_changes(bool is_nsec)
{
    struct bed bed;
    bed_open(&bed, zones_of_random, 3);
    bed.is_nsec = is_nsec;
    if (is_nsec) {
        static const uint8_t nsec[] = "\1n\7example\0\0\1\x40";
        struct content c = {.count = 0};
        struct zonedb_writer *writer = commit_begin(&bed);
        ck_assert_int_eq(zonedb_writer_change_walk(writer, apex, apex_copy, &c), 0);
        content_add(&c, RR_NSEC, 60, nsec, sizeof nsec - 1);
        ck_assert_int_eq(zonedb_writer_change_node(writer, apex, c.rrsets, c.count), 0);
        commit_end(&bed, writer);
        follow(&bed);
        ck_assert_uint_eq(bed.outdated, 1); /* how it is signed has changed */
    }
    size_t used = 0;
    for (unsigned i = 0; i < 400; i++) {
        change_some(&bed);
        if (roll(&bed, 3) == 0)
            continue; /* several commits at once */
        follow(&bed);
        if (i >= 100 && used == 0)
            used = image_used(bed.image);
        check_all(&bed);
    }
    printf("%u patched, %u outdated; %lu asked, %lu answered, %lu when made anew\n", bed.patched,
           bed.outdated, bed.asked, bed.answered, bed.answered_fresh);
    ck_assert_uint_gt(bed.patched, 3 * bed.outdated);
    ck_assert_uint_eq(bed.outdated, is_nsec);
    ck_assert_uint_gt(bed.answered * 4, bed.asked);
    ck_assert_uint_gt(bed.answered * 10, bed.answered_fresh * 8);
    ck_assert_uint_le(image_used(bed.image), 3 * used); /* room is used again */
    bed_close(&bed);
}

START_TEST(test_random_changes)
{
    random_changes(false);
}
END_TEST

START_TEST(test_random_changes_signed)
{
    random_changes(true);
}
END_TEST

/* Change one delegation so often, the clock going on by `step_ns`; returns what room that took. */
static size_t change_often(uint64_t step_ns)
{
    struct bed bed;
    bed_open(&bed, zones_of_random, 3);
    size_t before = image_used(bed.image);
    for (unsigned i = 0; i < 200; i++) {
        struct zonedb_writer *writer = commit_begin(&bed);
        name_change(&bed, writer, 5, 2);
        commit_end(&bed, writer);
        bed.now_ns += step_ns;
        ck_assert_int_eq(image_patch(bed.image, bed.fixture.view, bed.now_ns, GRACE_NS), 0);
    }
    size_t after = image_used(bed.image);
    bed_close(&bed);
    return after - before;
}

START_TEST(test_room_is_used_again_after_the_grace)
{
    ck_assert_uint_gt(change_often(GRACE_NS / 1000), 200 * 128);
    ck_assert_uint_eq(change_often(GRACE_NS), 0);
}
END_TEST

/* What one commit does to a patch; the image is made anew then. */
static int outcome(struct bed *bed, const char *owner, uint16_t type, bool is_nsec3)
{
    struct content c = {.count = 0};
    struct zonedb_writer *writer = commit_begin(bed);
    if (type == RR_NS || type == RR_DNAME)
        content_name(&c, type, "ns.n20.example.");
    else
        content_address(bed, &c);
    if (is_nsec3)
        ck_assert_int_eq(
            zonedb_writer_change_nsec3(writer, (const uint8_t[20]){5}, c.rrsets, c.count), 0);
    else
        put(writer, owner, &c);
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(bed->fixture.view), 1);
    int rc = image_patch(bed->image, bed->fixture.view, 0, GRACE_NS);
    if (rc != 0) {
        ck_assert_uint_eq(image_version(bed->memory.octets), 0);
        ck_assert_int_eq(image_patch(bed->image, bed->fixture.view, 0, GRACE_NS), IMAGE_OUTDATED);
        ck_assert_int_eq(image_build(bed->image, bed->memory, bed->fixture.view), 0);
    }
    ck_assert_uint_eq(image_version(bed->memory.octets), zonedb_view_version(bed->fixture.view));
    return rc;
}

static const char *const zones_of_outcomes[][2] = {
    {"example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a.servers\na.servers 60 A 192.0.2.1\n"
                 "n1 60 NS a.Servers\n"},
    {"other.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\n@ 60 DNAME x.\na 60 NS b\n"},
};

START_TEST(test_outcomes)
{
    struct bed bed;
    bed_open(&bed, zones_of_outcomes, 2);
    ck_assert_uint_eq(image_count(bed.image).zones, 1);
    ck_assert_uint_eq(image_count(bed.image).zones_out, 1);
    ck_assert_uint_eq(image_count(bed.image).delegations, 1);
    ck_assert_int_eq(image_patch(bed.image, bed.fixture.view, 0, GRACE_NS), 0); /* nothing to do */
    ck_assert_int_eq(outcome(&bed, "n2.example.", RR_NS, false), 0);
    ck_assert_int_eq(outcome(&bed, "b.servers.example.", RR_A, false), 0);
    ck_assert_int_eq(outcome(&bed, "A.servers.example.", RR_A, false), 0);
    ck_assert_int_eq(outcome(&bed, "ns.n20.example.", RR_A, false), 0);
    check_all(&bed);
    ck_assert_uint_eq(bed.answered, bed.answered_fresh);
    ck_assert_int_eq(outcome(&bed, NULL, RR_A, true), 0); /* the zone has no NSEC3PARAM */
    fixture_load(&bed.fixture, "new.", zones_of_outcomes[0][1]);
    ck_assert_int_eq(image_patch(bed.image, bed.fixture.view, 0, GRACE_NS), IMAGE_OUTDATED);
    bed_close(&bed);
}
END_TEST

/* Several hosts at once, each named by delegations of others. */
static int hosts_change(struct bed *bed, unsigned count)
{
    struct zonedb_writer *writer = commit_begin(bed);
    struct content c = {.count = 0};
    content_address(bed, &c);
    for (unsigned i = 0; i < count; i++) {
        char host[64];
        snprintf(host, sizeof host, "h%u.servers.example.", i);
        put(writer, host, &c);
    }
    commit_end(bed, writer);
    return image_patch(bed->image, bed->fixture.view, 0, GRACE_NS);
}

START_TEST(test_hosts)
{
    struct bed bed;
    bed_open(&bed, zones_of_outcomes, 2);
    for (unsigned round = 0; round < 40; round++) {
        struct zonedb_writer *writer = commit_begin(&bed);
        for (unsigned i = 0; i < NAMES; i++) {
            struct content c = {.count = 0};
            char name[64], host[64];
            snprintf(name, sizeof name, "n%u.example.", i);
            snprintf(host, sizeof host, "h%u.servers.example.", (i + round) % 20);
            content_name(&c, RR_NS, host);
            put(writer, name, &c);
        }
        commit_end(&bed, writer);
        ck_assert_int_eq(image_patch(bed.image, bed.fixture.view, bed.now_ns++, 1), 0);
        ck_assert_int_eq(hosts_change(&bed, 16), 0);
        check_all(&bed);
        ck_assert_uint_eq(bed.answered, bed.answered_fresh);
    }
    ck_assert_int_eq(hosts_change(&bed, 17), IMAGE_OUTDATED);
    bed_close(&bed);
}
END_TEST

START_TEST(test_what_climbs_by_its_fingerprint_stays)
{
    struct bed bed;
    bed_open(&bed, zones_of_outcomes, 2);
    check_question(&bed, "x.", 50, RR_A, false);
    ck_assert_uint_eq(bed.answered, 1);
    /* Another name with the fingerprint of the apex. */
    image_entry_add(bed.image, IMAGE_APEX, image_name_hash(IMAGE_APEX, apex, sizeof apex), 4711);
    struct zonedb_writer *writer = commit_begin(&bed);
    apex_change(&bed, writer);
    commit_end(&bed, writer);
    ck_assert_int_eq(image_patch(bed.image, bed.fixture.view, 0, GRACE_NS), 0);
    check_question(&bed, "x.", 50, RR_A, false);
    ck_assert_uint_eq(bed.answered, 1);
    bed_close(&bed);
}
END_TEST

START_TEST(test_no_room)
{
    struct bed bed;
    bed_open(&bed, zones_of_outcomes, 2);
    struct image_memory small = {bed.memory.octets, image_used(bed.image)};
    ck_assert_int_eq(image_build(bed.image, small, bed.fixture.view), 0);
    int rc = 0;
    for (unsigned i = 0; i < 200 && rc == 0; i++)
        rc = outcome(&bed, "n2.example.", i % 2 == 0 ? RR_NS : RR_A, false);
    ck_assert_int_eq(rc, IMAGE_OUTDATED);
    /* It does not go back to memory that it had to leave. */
    small = (struct image_memory){aligned_alloc(4096, 4096), 4096};
    ck_assert_ptr_nonnull(small.octets);
    ck_assert_int_eq(image_build(bed.image, small, bed.fixture.view), -ENOSPC);
    free(small.octets);
    ck_assert_uint_eq(image_used(bed.image), 0);
    ck_assert_int_eq(image_move(bed.image, bed.fresh_memory), -ENOSPC);
    ck_assert_int_eq(image_patch(bed.image, bed.fixture.view, 0, GRACE_NS), IMAGE_OUTDATED);
    image_close(bed.image);
    ck_assert_int_eq(image_open(&bed.policy, &bed.image), 0);
    ck_assert_int_eq(image_build(bed.image, bed.memory, bed.fixture.view), 0);
    bed_close(&bed);
}
END_TEST

START_TEST(test_move_and_stop)
{
    struct bed bed;
    bed_open(&bed, zones_of_random, 3);
    size_t used = image_used(bed.image);
    ck_assert_int_eq(image_move(bed.image, (struct image_memory){bed.fresh_memory.octets, 4096}),
                     -ENOSPC);
    ck_assert_uint_ne(image_version(bed.memory.octets), 0);
    ck_assert_int_eq(image_move(bed.image, bed.fresh_memory), 0);
    ck_assert_uint_eq(image_version(bed.memory.octets), 0);
    ck_assert_uint_eq(image_used(bed.image), used);
    struct image_memory first = bed.memory;
    bed.memory = bed.fresh_memory;
    bed.fresh_memory = first;
    change_some(&bed);
    follow(&bed);
    check_all(&bed);
    ck_assert_uint_eq(bed.patched, 1);
    ck_assert_uint_gt(bed.answered * 4, bed.asked);
    atomic_bool stop = true;
    image_set_stop(bed.image, &stop);
    ck_assert_int_eq(image_build(bed.image, bed.memory, bed.fixture.view), -ECANCELED);
    ck_assert_uint_eq(image_version(bed.memory.octets), 0);
    stop = false;
    ck_assert_int_eq(image_build(bed.image, bed.memory, bed.fixture.view), 0);
    bed_close(&bed);
}
END_TEST

TEST_MAIN("zonedb_image_patch", test_random_changes, test_random_changes_signed,
          test_room_is_used_again_after_the_grace, test_outcomes, test_hosts,
          test_what_climbs_by_its_fingerprint_stays, test_no_room, test_move_and_stop)
