/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Looking at whole zones: what is told of them, in which order, and where a walk ends.
 */
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/view.h"

#include <errno.h>

#define HASH_A "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
#define HASH_B "q04jkcevqvmu85r014c7dkba38o0ji5r"

static const char plain_text[] = "@ 60 SOA a b 4294967295 2 3 4 5\n@ 60 NS ns.x.\n"
                                 "www 60 A 192.0.2.1\nwww 60 A 192.0.2.2\nwww 60 TXT t\n";
static const char nsec3_text[] =
    "$TTL 60\n@ SOA a b 7 2 3 4 5\n@ NS ns.x.\n@ NSEC3PARAM 1 0 12 aabbccdd\n"
    "*.w A 192.0.2.1\n" HASH_A " NSEC3 1 1 12 aabbccdd " HASH_B " NS\n" HASH_A
    " RRSIG NSEC3 15 1 60 20400101000000 20200101000000 1 @ AAAA\n" HASH_B
    " NSEC3 1 1 12 aabbccdd " HASH_A " A\n";
static const char nsec_text[] = "$TTL 60\n@ SOA a b 7 2 3 4 5\n@ NS ns.x.\n@ NSEC @ NS SOA NSEC\n";

static struct fixture fixture;

static void setup(void)
{
    fixture_open(&fixture);
    fixture_load(&fixture, "z.", plain_text);
    fixture_load(&fixture, "signed.", nsec3_text);
    fixture_load(&fixture, "a.signed.", plain_text);
}

static void teardown(void)
{
    fixture_close(&fixture);
}

static int get(const char *text, struct zonedb_zone *zone_out)
{
    uint8_t apex[NAME_MAX_LEN];
    ck_assert_uint_gt(name_from_text(text, apex), 0);
    return zonedb_zone_get(fixture.view, apex, zone_out);
}

START_TEST(test_get)
{
    struct zonedb_zone zone;
    uint32_t id;
    ck_assert_int_eq(get("Z.", &zone), 0);
    ck_assert(zone.apex_len == 3 && memcmp(zone.apex, "\1z", 3) == 0);
    ck_assert_uint_eq(zone.serial, 4294967295);
    ck_assert(zone.state == ZONEDB_SERVING && zone.signing == ZONEDB_UNSIGNED);
    ck_assert(!zone.has_wildcard && zone.nsec3_salt_len == 0 && zone.nsec3_iterations == 0);
    ck_assert_uint_eq(zone.node_count, 2);
    ck_assert_uint_eq(zone.record_count, 5);
    ck_assert_uint_eq(zone.loaded_s, 1700000000);
    id = zone.id;
    ck_assert_int_eq(get("signed.", &zone), 0);
    ck_assert(zone.signing == ZONEDB_NSEC3 && zone.has_wildcard && zone.nsec3_iterations == 12);
    ck_assert(zone.nsec3_salt_len == 4 && memcmp(zone.nsec3_salt, "\xaa\xbb\xcc\xdd", 4) == 0);
    fixture_load(&fixture, "z.", nsec_text);
    ck_assert_int_eq(get("z.", &zone), 0);
    ck_assert(zone.signing == ZONEDB_NSEC && zone.serial == 7 && zone.id != id);
    ck_assert_int_eq(get("www.z.", &zone), -ENOENT);
    ck_assert_int_eq(get(".", &zone), -ENOENT);
    fixture_load(&fixture, ".", plain_text);
    ck_assert_int_eq(get(".", &zone), 0);
    ck_assert(zone.apex_len == 1 && zone.apex[0] == 0);
}
END_TEST

static int next(const char *after_text, struct zonedb_zone *zone_out)
{
    uint8_t after[NAME_MAX_LEN];
    ck_assert_uint_gt(name_from_text(after_text, after), 0);
    return zonedb_zone_next(fixture.view, after, zone_out);
}

START_TEST(test_next)
{
    static const struct {
        const char *after, *expected; /* NULL: no more */
    } cases[] = {
        {".", "signed."},
        {"a.", "signed."},
        {"signed.", "a.signed."},
        {"0.signed.", "a.signed."},
        {"A.Signed.", "z."},
        {"x.a.signed.", "z."},
        {"y.", "z."},
        {"z.", NULL},
        {"a.z.", NULL},
    };
    struct zonedb_zone zone;
    char text[NAME_TEXT_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = next(cases[i].after, &zone);
        ck_assert_msg(rc == (cases[i].expected == NULL ? -ENOENT : 0), "%s: %d", cases[i].after,
                      rc);
        if (rc == 0)
            ck_assert_str_eq(name_to_text(zone.apex, text), cases[i].expected);
    }
    fixture_load(&fixture, ".", plain_text);
    ck_assert_int_eq(zonedb_zone_next(fixture.view, NULL, &zone), 0);
    ck_assert_uint_eq(zone.apex_len, 1);
    ck_assert_int_eq(next(".", &zone), 0);
    ck_assert_str_eq(name_to_text(zone.apex, text), "signed.");
}
END_TEST

struct walk {
    char text[4096];
    unsigned stop_after;
};

static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct walk *walk = context;
    char name[NAME_TEXT_MAX];
    size_t len = strlen(walk->text);
    ck_assert_uint_gt(name_len(owner, NAME_MAX_LEN), 0);
    snprintf(walk->text + len, sizeof walk->text - len, "%s %u x %u\n", name_to_text(owner, name),
             rrset->type, rrset->rr_count);
    return --walk->stop_after == 0 ? 77 : 0;
}

static int walk_zone(const char *apex_text, unsigned stop_after, struct walk *walk)
{
    uint8_t apex[NAME_MAX_LEN];
    ck_assert_uint_gt(name_from_text(apex_text, apex), 0);
    *walk = (struct walk){.stop_after = stop_after};
    return zonedb_zone_walk(fixture.view, apex, visit, walk);
}

START_TEST(test_walk)
{
    struct walk walk;
    /* Its own nodes only, though those of other zones stand right before and behind. */
    ck_assert_int_eq(walk_zone("Z.", 99, &walk), 0);
    ck_assert_str_eq(walk.text, "z. 2 x 1\nz. 6 x 1\nwww.z. 1 x 2\nwww.z. 16 x 1\n");
    ck_assert_int_eq(walk_zone("signed.", 99, &walk), 0);
    ck_assert_str_eq(walk.text,
                     "signed. 2 x 1\nsigned. 6 x 1\nsigned. 51 x 1\n*.w.signed. 1 x 1\n" HASH_A
                     ".signed. 50 x 1\n" HASH_A ".signed. 46 x 1\n" HASH_B ".signed. 50 x 1\n");
    ck_assert_int_eq(walk_zone("www.z.", 99, &walk), -ENOENT);
    ck_assert_str_eq(walk.text, "");
    for (unsigned stop_after = 1; stop_after <= 7; stop_after++) {
        ck_assert_int_eq(walk_zone("signed.", stop_after, &walk), 77);
        ck_assert_uint_eq(walk.stop_after, 0);
    }
    ck_assert_int_eq(walk_zone("signed.", 8, &walk), 0);
}
END_TEST

static void raw_put(MDB_dbi dbi, const void *key, size_t key_len, const char *value,
                    size_t value_len)
{
    MDB_txn *txn;
    MDB_val k = {key_len, (void *)(uintptr_t)key}, v = {value_len, (void *)(uintptr_t)value};
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(mdb_txn_begin(fixture.db->env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
}

/* Put this in place of the record of zone z., from the octet `at` of what there was. */
static void record_change(size_t at, const char *octets, size_t len)
{
    char record[256];
    MDB_val key = {2, (void *)(uintptr_t) "z"}, value;
    ck_assert_int_eq(mdb_cursor_get(fixture.view->zones, &key, &value, MDB_SET), 0);
    ck_assert_uint_le(at + len, sizeof record);
    ck_assert_uint_le(at, value.mv_size);
    memcpy(record, value.mv_data, at);
    memcpy(record + at, octets, len);
    raw_put(fixture.db->zones, "z", 2, record, at + len);
}

START_TEST(test_damaged)
{
    static const char junk[64] = {0};
    struct zonedb_zone zone;
    struct walk walk;
    uint8_t key[24] = {0};
    MDB_val k = {2, (void *)(uintptr_t) "z"}, value;
    ck_assert_int_eq(mdb_cursor_get(fixture.view->zones, &k, &value, MDB_SET), 0);
    char record[256];
    const size_t record_len = value.mv_size;
    ck_assert_uint_le(record_len, sizeof record);
    memcpy(record, value.mv_data, record_len);
    /* Half a node, behind the apex; the key of no name; half an RRset. */
    const size_t www = value.mv_size - 1 - 2 - (2 + 2) - 1 - (3 + 2 * 6) - (3 + 2 + 2);
    record_change(www, junk, 1);
    ck_assert_int_eq(walk_zone("z.", 99, &walk), -EBADMSG);
    ck_assert_str_eq(walk.text, "z. 2 x 1\nz. 6 x 1\n");
    record_change(www, "\2\1\1q", 5);
    ck_assert_int_eq(walk_zone("z.", 99, &walk), -EBADMSG);
    record_change(www, "\3\2\1q", 5);
    ck_assert_int_eq(walk_zone("z.", 99, &walk), -EBADMSG);
    record_change(www, "\2\2\2q\0\0", 7);
    ck_assert_int_eq(walk_zone("z.", 99, &walk), -EBADMSG);
    record_change(www, "\2\2\1q\0", 6);
    ck_assert_int_eq(walk_zone("z.", 99, &walk), 0);
    ck_assert_int_eq(get("signed.", &zone), 0);
    key[3] = (uint8_t)zone.id;
    raw_put(fixture.db->nsec3, key, 24, "\x08\x32\5", 3);
    ck_assert_int_eq(walk_zone("signed.", 99, &walk), -EBADMSG);
    raw_put(fixture.db->zones, "z", 2, junk, 39);
    ck_assert_int_eq(get("z.", &zone), -EBADMSG);
    ck_assert_int_eq(next("y.", &zone), -EBADMSG);
    record_change(0, junk, 8);
    ck_assert_int_eq(get("z.", &zone), -EBADMSG);
    raw_put(fixture.db->zones, "y", 1, record, record_len); /* a label without its end */
    ck_assert_int_eq(next("x.", &zone), -EBADMSG);
}
END_TEST

START_TEST(test_stat)
{
    struct zonedb_stat before, after;
    struct zonedb_view *other;
    ck_assert_int_eq(zonedb_stat(fixture.view, &before), 0);
    ck_assert_uint_eq(before.zone_count, 3);
    ck_assert_uint_eq(before.node_count, 2 + 2 + 2);
    ck_assert_uint_eq(before.version, zonedb_view_version(fixture.view));
    ck_assert_uint_eq(before.used_octets % 4096, 0);
    ck_assert_uint_ge(before.file_octets, before.used_octets);
    ck_assert_uint_ge(before.map_octets, before.file_octets);
    fixture_load(&fixture, "y.", plain_text);
    ck_assert_int_eq(zonedb_view_open(fixture.db, &other), 0);
    ck_assert_int_eq(zonedb_stat(fixture.view, &after), 0);
    ck_assert_uint_eq(after.zone_count, 4);
    ck_assert_uint_eq(after.node_count, 8);
    ck_assert_uint_eq(after.version, before.version + 1);
    ck_assert_uint_eq(after.reader_count, before.reader_count + 1);
    zonedb_view_close(other);
}
END_TEST

START_TEST(test_view_at_rest)
{
    struct zonedb_zone zone;
    struct zonedb_stat stat;
    struct walk walk;
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(get("z.", &zone), -EBADMSG);
    ck_assert_int_eq(zonedb_zone_next(fixture.view, NULL, &zone), -EBADMSG);
    ck_assert_int_eq(walk_zone("z.", 99, &walk), -EBADMSG);
    ck_assert_int_eq(zonedb_stat(fixture.view, &stat), -EBADMSG);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_get,     test_next, test_walk,
                                  test_damaged, test_stat, test_view_at_rest};
    return test_run("zones", tests, sizeof tests / sizeof *tests, setup, teardown);
}
