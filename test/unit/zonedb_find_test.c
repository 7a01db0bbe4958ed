/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every outcome of the look-up, and what is told along with it.
 */
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/find.h"
#include "zonedb/view.h"

static const char zone_text[] =
    "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ NSEC www NS SOA NSEC\n"
    "www A 192.0.2.1\nwww NSEC @ A NSEC\na.ent.deep A 192.0.2.1\n"
    "*.wild TXT w\nsub.wild A 192.0.2.1\nx.*.entwild A 192.0.2.1\n*.www.wild2 A 192.0.2.1\n"
    "cut NS ns.cut\nns.cut A 192.0.2.2\n*.cut A 192.0.2.4\ndname.cut DNAME www\n"
    "in.cut NS ns.in.cut\nns.in.cut A 192.0.2.3\n"
    "dname DNAME www\nbelow.dname A 192.0.2.5\ncut.dname NS ns.x.\n"
    "child NS ns.child\nns.child A 192.0.2.6\n";
static const char child_text[] = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.6\n"
                                 "a.b A 192.0.2.1\n";

static struct fixture fixture;
static struct found found;

static void setup(void)
{
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", zone_text);
    fixture_load(&fixture, "child.example.", child_text);
    fixture_load(&fixture, "z.child.example.", child_text);
    fixture_load(&fixture, "b.www.example.", child_text);
}

static void teardown(void)
{
    fixture_close(&fixture);
}

static enum find_outcome find(const char *text, uint16_t qtype)
{
    uint8_t name[NAME_MAX_LEN];
    ck_assert_uint_gt(name_from_text(text, name), 0);
    memset(&found, 0xa5, sizeof found);
    enum find_outcome outcome = zonedb_find(fixture.view, name, qtype, &found);
    ck_assert_int_eq(found.outcome, outcome);
    return outcome;
}

START_TEST(test_outcomes)
{
    static const struct {
        const char *name;
        enum find_outcome outcome;
        unsigned zone_depth, node_depth;
        int encloser_depth; /* -1: not told */
        bool is_empty_non_terminal;
    } cases[] = {
        {"other.", FIND_NOT_AUTHORITATIVE, 0, 0, -1, false},
        {".", FIND_NOT_AUTHORITATIVE, 0, 0, -1, false},
        {"www.examples.", FIND_NOT_AUTHORITATIVE, 0, 0, -1, false},
        {"example.", FIND_NODE, 1, 1, -1, false},
        {"wWw.EXAMPLE.", FIND_NODE, 1, 2, -1, false},
        {"deep.example.", FIND_NODE, 1, 2, -1, true},
        {"ent.deep.example.", FIND_NODE, 1, 3, -1, true},
        {"*.entwild.example.", FIND_NODE, 1, 3, -1, true},
        {"*.wild.example.", FIND_NODE, 1, 3, -1, false},
        /* The closest encloser: told by the successor, the predecessor, neither. */
        {"9.ent.deep.example.", FIND_NO_NODE, 1, 4, 3, false},
        {"b.ent.deep.example.", FIND_NO_NODE, 1, 4, 3, false},
        {"x.y.a.ent.deep.example.", FIND_NO_NODE, 1, 6, 4, false},
        {"zzz.example.", FIND_NO_NODE, 1, 2, 1, false},
        {"x.sub.wild.example.", FIND_NO_NODE, 1, 4, 3, false}, /* sub blocks the wildcard */
        {"x.wild2.example.", FIND_NO_NODE, 1, 3, 2, false},
        {"x.wild.example.", FIND_WILDCARD, 1, 3, 2, false},
        {"x.*.wild.example.", FIND_NO_NODE, 1, 4, 3, false}, /* RFC 4592 2.2.1 */
        {"x.entwild.example.", FIND_WILDCARD, 1, 3, 2, true},
        {"cut.example.", FIND_DELEGATION, 1, 2, -1, false},
        {"nope.cut.example.", FIND_DELEGATION, 1, 2, -1, false}, /* not its wildcard */
        {"in.cut.example.", FIND_DELEGATION, 1, 2, -1, false},
        {"x.in.cut.example.", FIND_DELEGATION, 1, 2, -1, false}, /* the topmost cut */
        {"x.dname.cut.example.", FIND_DELEGATION, 1, 2, -1, false},
        {"cuts.example.", FIND_NO_NODE, 1, 2, 1, false},
        {"dname.example.", FIND_NODE, 1, 2, -1, false},
        {"x.dname.example.", FIND_DNAME, 1, 2, -1, false},
        {"below.dname.example.", FIND_DNAME, 1, 2, -1, false},
        {"x.cut.dname.example.", FIND_DNAME, 1, 2, -1, false},
        /* The longest apex that we have. */
        {"child.example.", FIND_NODE, 2, 2, -1, false},
        {"ns.child.example.", FIND_NODE, 2, 3, -1, false},
        {"b.child.example.", FIND_NODE, 2, 3, -1, true},
        {"zz.child.example.", FIND_NO_NODE, 2, 3, 2, false},
        {"z.child.example.", FIND_NODE, 3, 3, -1, false},
        /* A zone in between that is no ancestor. */
        {"c.www.example.", FIND_NO_NODE, 1, 3, 2, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum find_outcome outcome = find(cases[i].name, RR_A);
        ck_assert_msg(outcome == cases[i].outcome, "%s: %d", cases[i].name, (int)outcome);
        if (outcome == FIND_NOT_AUTHORITATIVE)
            continue;
        ck_assert_msg(found.zone.depth == cases[i].zone_depth, "%s: zone", cases[i].name);
        ck_assert_msg(outcome == FIND_NO_NODE || found.node_depth == cases[i].node_depth,
                      "%s: node at %u", cases[i].name, found.node_depth);
        ck_assert_msg(found.is_empty_non_terminal == cases[i].is_empty_non_terminal, "%s: ENT",
                      cases[i].name);
        ck_assert_msg(cases[i].encloser_depth < 0 ||
                          found.encloser_depth == cases[i].encloser_depth,
                      "%s: encloser at %u", cases[i].name, found.encloser_depth);
    }
}
END_TEST

static bool has_type(const struct node *node, uint16_t type)
{
    struct zonedb_rrset rrset;
    return rrsets_find(node->rrsets, type, &rrset, NULL) == 1;
}

START_TEST(test_nodes)
{
    find("www.example.", RR_A);
    ck_assert(has_type(&found.node, RR_A));
    find("x.y.wild.example.", RR_A);
    ck_assert(has_type(&found.node, RR_TXT));
    find("x.in.cut.example.", RR_A);
    ck_assert(has_type(&found.node, RR_NS) && found.node.place == NODE_CUT);
    find("x.cut.dname.example.", RR_A);
    ck_assert(has_type(&found.node, RR_DNAME));
    find("deep.example.", RR_A);
    ck_assert_uint_eq(found.node.rrsets.len, 0);
}
END_TEST

START_TEST(test_ds_is_asked_above_the_cut)
{
    ck_assert_int_eq(find("child.example.", RR_DS), FIND_DELEGATION);
    ck_assert(found.zone.depth == 1 && found.node_depth == 2);
    ck_assert_int_eq(find("child.example.", RR_NS), FIND_NODE);
    ck_assert_uint_eq(found.zone.depth, 2);
    ck_assert_int_eq(find("ns.child.example.", RR_DS), FIND_NODE);
    ck_assert_uint_eq(found.zone.depth, 2);
    ck_assert_int_eq(find("z.child.example.", RR_DS), FIND_NO_NODE); /* no NS in the zone above */
    ck_assert_int_eq(find("example.", RR_DS), FIND_NODE);            /* we have none above */
    ck_assert_uint_eq(found.zone.depth, 1);
    fixture_load(&fixture, ".", "@ 60 SOA . . 1 2 3 4 5\n@ 60 NS ns.example.\n");
    ck_assert_int_eq(find("example.", RR_DS), FIND_NO_NODE);
    ck_assert_uint_eq(found.zone.depth, 0);
    ck_assert_int_eq(find(".", RR_DS), FIND_NODE);
    ck_assert_int_eq(find("other.", RR_A), FIND_NO_NODE);
    ck_assert_uint_eq(found.encloser_depth, 0);
    ck_assert_int_eq(find("www.example.", RR_A), FIND_NODE);
    ck_assert_uint_eq(found.zone.depth, 1);
}
END_TEST

static void expect_predecessor(const char *name, const char *expected)
{
    uint8_t owner[NAME_MAX_LEN];
    char text[NAME_TEXT_MAX];
    find(name, RR_A);
    ck_assert_uint_gt(zonedb_find_predecessor(&found, owner), 0);
    ck_assert_str_eq(name_to_text(owner, text), expected);
    ck_assert_uint_eq(found.predecessor.node.place & NODE_OCCLUDED, 0);
}

START_TEST(test_predecessor)
{
    expect_predecessor("0.example.", "example.");
    expect_predecessor("zzz.example.", "www.example.");
    expect_predecessor("b.ent.deep.example.", "a.ent.deep.example.");
    expect_predecessor("x.wild.example.", "sub.wild.example.");
    /* Whose predecessor is hidden by a cut or a DNAME: that one's NSEC covers. */
    expect_predecessor("cuts.example.", "cut.example.");
    expect_predecessor("ent.deep.example.", "cut.example.");
    expect_predecessor("cu.example.", "child.example.");
    expect_predecessor("e.example.", "dname.example.");
}
END_TEST

static void expect_exact(const char *text, int expected, uint16_t type)
{
    uint8_t name[NAME_MAX_LEN];
    struct node node;
    name_from_text(text, name);
    ck_assert_int_eq(zonedb_find_exact(fixture.view, &found.zone, name, &node), expected);
    if (expected == 1)
        ck_assert(has_type(&node, type));
}

START_TEST(test_exact_and_in)
{
    static const uint8_t child[] = "\2ns\5child\7example";
    ck_assert_int_eq(find("www.example.", RR_A), FIND_NODE);
    struct find_zone zone = found.zone;
    expect_exact("NS.cut.example.", 1, RR_A); /* glue */
    expect_exact("ns.child.example.", 1, RR_A);
    expect_exact("b.child.example.", 0, 0); /* in the child only */
    expect_exact("deep.example.", 0, 0);
    expect_exact("x.wild.example.", 0, 0);
    ck_assert_int_eq(zonedb_find_in(fixture.view, &zone, child, &found), FIND_DELEGATION);
    ck_assert_uint_eq(found.zone.id, zone.id);
}
END_TEST

/* Put octets (value NULL: remove) behind the back of the writer. */
static void raw_put(MDB_dbi dbi, const uint8_t *key, size_t key_len, const char *value,
                    size_t value_len)
{
    MDB_txn *txn;
    MDB_val k = {key_len, (void *)(uintptr_t)key}, v = {value_len, (void *)(uintptr_t)value};
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(mdb_txn_begin(fixture.db->env, NULL, 0, &txn), 0);
    ck_assert_int_eq(value == NULL ? mdb_del(txn, dbi, &k, NULL) : mdb_put(txn, dbi, &k, &v, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
}

/* A copy of the value that these octets are in, and its key. */
static MDB_val value_copy(MDB_dbi dbi, const uint8_t *octets, uint8_t *key_out, size_t *key_len_out)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    ck_assert_int_eq(mdb_cursor_open(fixture.view->txn, dbi, &cursor), 0);
    do
        ck_assert_int_eq(mdb_cursor_get(cursor, &key, &value, MDB_NEXT), 0);
    while (octets < (uint8_t *)value.mv_data || octets >= (uint8_t *)value.mv_data + value.mv_size);
    mdb_cursor_close(cursor);
    memcpy(key_out, key.mv_data, key.mv_size);
    *key_len_out = key.mv_size;
    MDB_val copy = {value.mv_size, malloc(value.mv_size)};
    ck_assert_ptr_nonnull(copy.mv_data);
    memcpy(copy.mv_data, value.mv_data, value.mv_size);
    return copy;
}

/* Let a node stand elsewhere, or (place < 0) be the last, and cut off by so many octets. */
static void node_damage(const char *name, int place, size_t cut)
{
    uint8_t key[ZONE_ID_LEN + NAME_KEY_MAX];
    size_t key_len;
    fixture_load(&fixture, "example.", zone_text);
    ck_assert_int_eq(find(name, RR_A), FIND_NODE);
    const struct block *block = &found.predecessor.block;
    size_t back = (size_t)(block->octets + block->len - found.node.rrsets.at);
    bool is_first = block->octets == found.zone.block.octets;
    MDB_dbi dbi = is_first ? fixture.db->zones : fixture.db->nodes;
    MDB_val value = value_copy(dbi, found.node.rrsets.at, key, &key_len);
    uint8_t *octets = value.mv_data;
    if (place >= 0)
        octets[value.mv_size - back - 1] = (uint8_t)place;
    else
        value.mv_size -= back - found.node.rrsets.len + cut;
    raw_put(dbi, key, key_len, value.mv_data, value.mv_size);
    free(octets);
}

START_TEST(test_damaged_nodes)
{
    /* Hidden by what does not hide, or is not above. */
    node_damage("a.ent.deep.example.", NODE_OCCLUDED | 9, 0);
    ck_assert_int_eq(find("a.ent.deep.example.", RR_A), FIND_CORRUPT);
    ck_assert_int_eq(find("b.ent.deep.example.", RR_A), FIND_NO_NODE);
    node_damage("a.ent.deep.example.", NODE_OCCLUDED | 3, 0);
    ck_assert_int_eq(find("a.ent.deep.example.", RR_A), FIND_CORRUPT);
    ck_assert_int_eq(find("b.ent.deep.example.", RR_A), FIND_CORRUPT);
    node_damage("a.ent.deep.example.", NODE_OCCLUDED, 0);
    ck_assert_int_eq(find("a.ent.deep.example.", RR_A), FIND_CORRUPT);
    node_damage("dname.example.", NODE_OCCLUDED | 1, 0);
    ck_assert_int_eq(find("dname.example.", RR_A), FIND_CORRUPT);
    ck_assert_int_eq(find("x.dname.example.", RR_A), FIND_CORRUPT);
    /* Cut off; what is before it is there. */
    for (size_t cut = 1; cut < 10; cut++) {
        node_damage("www.example.", -1, cut);
        ck_assert_int_eq(find("www.example.", RR_A), FIND_CORRUPT);
        ck_assert_int_eq(find("x.www.example.", RR_A), FIND_CORRUPT);
        ck_assert_int_eq(find("example.", RR_A), FIND_NODE);
        ck_assert_int_eq(find("sub.wild.example.", RR_A), FIND_NODE);
    }
}
END_TEST

/* Find www.example. in any octets. */
static void expect_damaged(const char *octets, size_t len)
{
    raw_put(fixture.db->zones, (const uint8_t *)"example", sizeof "example", octets, len);
    ck_assert_int_eq(find("www.example.", RR_A), FIND_CORRUPT);
    ck_assert_int_eq(find("example.", RR_A), FIND_CORRUPT);
}

START_TEST(test_damaged_zones)
{
    char record[40] = {0};
    expect_damaged(record, 1);
    expect_damaged(record, 4);
    expect_damaged(record, 7);  /* no room for three numbers */
    expect_damaged(record, 8);  /* no block */
    expect_damaged(record, 12); /* no node in it */
    record[12] = 8;
    expect_damaged(record, 15); /* of no octets */
    memset(record + 5, 0x80, 30);
    expect_damaged(record, 35); /* a number without end */
    memset(record + 5, 0, 30);
    record[4] = (char)(ZONEDB_NSEC3 << ZONE_SIGNING_SHIFT);
    record[9] = 100; /* a salt that is not there */
    expect_damaged(record, 40);
    record[4] = ZONE_HAS_NEXT;
    record[8] = 100; /* a name that is not there */
    expect_damaged(record, 40);
    ck_assert_int_eq(find("ns.child.example.", RR_A), FIND_NODE);
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(find("ns.child.example.", RR_A), FIND_CORRUPT);
}
END_TEST

/* The ring of a zone closes within the zone, whatever stands before and behind it. */
START_TEST(test_nsec3_ring)
{
    static const struct {
        uint8_t zone, hash;
        int status;
        uint8_t owner;
    } cases[] = {
        {100, 0x10, 1, 0x10}, {100, 0x20, 1, 0x20}, {100, 0x15, 0, 0x10}, {100, 0x05, 0, 0x20},
        {100, 0xff, 0, 0x20}, {103, 0x00, 0, 0x30}, {103, 0xff, 0, 0x30}, {103, 0x30, 1, 0x30},
        {99, 0x10, -1, 0},    {101, 0x10, -1, 0},   {102, 0xff, -1, 0},   {104, 0x00, -1, 0},
    };
    static const uint8_t owners[][2] = {{100, 0x10}, {100, 0x20}, {103, 0x30}};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t key[ZONE_ID_LEN + NSEC3_HASH_LEN] = {0, 0, 0, owners[i][0], owners[i][1]};
        raw_put(fixture.db->nsec3, key, sizeof key, (const char *)&owners[i][1], 1);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct find_zone zone = {.id = cases[i].zone};
        uint8_t hash[NSEC3_HASH_LEN] = {cases[i].hash}, owner[NSEC3_HASH_LEN];
        struct rrsets rrsets;
        int status = zonedb_find_nsec3(fixture.view, &zone, hash, &rrsets, owner);
        ck_assert_msg(status == cases[i].status, "case %zu: %d", i, status);
        if (status >= 0)
            ck_assert_msg(owner[0] == cases[i].owner && rrsets.at[0] == owner[0], "case %zu", i);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_outcomes,      test_nodes,        test_ds_is_asked_above_the_cut,
        test_predecessor,   test_exact_and_in, test_damaged_nodes,
        test_damaged_zones, test_nsec3_ring};
    return test_run("find", tests, sizeof tests / sizeof *tests, setup, teardown);
}
