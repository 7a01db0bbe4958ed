/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Zones of many blocks, changed name by name, beside a plain list of the names: after each commit
 * a walk meets the same nodes, and every name is found where the list has it.
 */
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/store.h"
#include "zonedb/view.h"

#include <errno.h>

#define NAMES 600
#define COMMITS 40
#define CHANGES 30
#define RDATA_MAX 5000

struct item {
    uint8_t name[NAME_MAX_LEN];
    uint8_t key[NAME_KEY_MAX];
    size_t key_len;
    bool is_there, is_cut;
    unsigned size; /* of its TXT, or octets in the name of its server */
    uint32_t ttl;
};

static const uint8_t apex[] = "\7example";
static struct fixture fixture;
static struct item items[NAMES];
static uint64_t dice_state = 20261122;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice_state >> 33) % sides;
}

/* ---- the list ---- */

static int key_order(const struct item *a, const struct item *b)
{
    return block_key_compare(a->key, a->key_len, b->key, b->key_len);
}

static int item_order(const void *a, const void *b)
{
    return key_order(a, b);
}

/* One to three labels of few letters, so that names lie below each other; now and then a long one,
 * and octets that keys escape. */
static void name_make(uint8_t name[NAME_MAX_LEN])
{
    static const uint8_t letters[] = {'a', 'b', 'k', 'z', 0, 1, '-', 0xff};
    size_t len = 0;
    for (unsigned labels = 1 + dice(3); labels > 0; labels--) {
        unsigned octets = dice(40) == 0 ? 60 : 1 + dice(3);
        name[len++] = (uint8_t)octets;
        for (; octets > 0; octets--)
            name[len++] = letters[dice(sizeof letters)];
    }
    memcpy(name + len, apex, sizeof apex);
}

static void items_make(void)
{
    for (size_t i = 1; i < NAMES; i++) {
        name_make(items[i].name);
        items[i].key_len = name_to_key(items[i].name, items[i].key);
    }
    memcpy(items[0].name, apex, sizeof apex);
    items[0].key_len = name_to_key(apex, items[0].key);
    items[0].is_there = true;
    qsort(items, NAMES, sizeof *items, item_order);
    for (size_t i = NAMES - 1; i > 0; i--) /* the same name again: one is never there */
        if (key_order(&items[i - 1], &items[i]) == 0)
            items[i].key_len = 0;
}

static bool is_below(const struct item *item, const struct item *above)
{
    return item->key_len > above->key_len && memcmp(item->key, above->key, above->key_len) == 0;
}

/* The topmost cut at or above; NULL. */
static const struct item *cut_of(const struct item *item)
{
    for (const struct item *above = items + 1; above < items + NAMES; above++)
        if (above->is_there && above->is_cut && (above == item || is_below(item, above)))
            return above;
    return NULL;
}

/* ---- what is stored for an item ---- */

static size_t rrsets_make(const struct item *item, uint8_t rdata[RDATA_MAX + 64],
                          struct zonedb_rrset rrsets[2])
{
    size_t count = 0;
    if (item == items) { /* root server, root person, five numbers */
        memset(rdata, 0, 24);
        rdata[1] = 22;
        rrsets[count++] = (struct zonedb_rrset){RR_SOA, 1, item->ttl, rdata, 24};
        rdata += 24;
    }
    if (item->is_cut) {
        memcpy(rdata, "\0\1\0", 3);
        rrsets[count++] = (struct zonedb_rrset){RR_NS, 1, item->ttl, rdata, 3};
        rdata += 3;
    }
    store_be16(rdata, (uint16_t)item->size);
    memset(rdata + 2, 'x', item->size);
    rrsets[count++] = (struct zonedb_rrset){RR_TXT, 1, item->ttl / 2, rdata, item->size + 2};
    return count;
}

static void item_dice(struct item *item)
{
    item->size = dice(50) == 0 ? 1 + dice(RDATA_MAX) : 1 + dice(60);
    item->ttl = dice(4) == 0 ? dice(100) : 60;
    item->is_cut = item != items && dice(6) == 0;
}

static void write_all(void)
{
    struct zonedb_writer *writer;
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_begin(writer, apex), 0);
    for (const struct item *item = items; item < items + NAMES; item++) {
        struct zonedb_rrset rrsets[3];
        static uint8_t rdata[RDATA_MAX + 64];
        if (item->is_there)
            ck_assert_int_eq(
                zonedb_writer_node(writer, item->name, rrsets, rrsets_make(item, rdata, rrsets)),
                0);
    }
    ck_assert_int_eq(zonedb_writer_zone_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
}

static void change_some(unsigned growth)
{
    struct zonedb_writer *writer;
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_change_begin(writer, apex), ZONEDB_UNSIGNED);
    for (unsigned change = 0; change < CHANGES; change++) {
        struct zonedb_rrset rrsets[3];
        static uint8_t rdata[RDATA_MAX + 64];
        struct item *item = &items[dice(20) == 0 ? 0 : dice(NAMES)];
        if (item->key_len == 0)
            continue;
        item_dice(item);
        item->is_there = item == items || dice(10) < growth;
        size_t count = item->is_there ? rrsets_make(item, rdata, rrsets) : 0;
        if (item == items && dice(2) == 0) /* gone for a moment */
            ck_assert_int_eq(zonedb_writer_change_node(writer, apex, NULL, 0), 0);
        ck_assert_int_eq(zonedb_writer_change_node(writer, item->name, rrsets, count), 0);
    }
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
}

/* ---- comparing ---- */

struct walk {
    size_t at, rrset;
    struct zonedb_rrset rrsets[3];
    size_t rrset_count;
    uint8_t rdata[RDATA_MAX + 64];
};

static int walk_visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct walk *walk = context;
    if (walk->rrset == walk->rrset_count) {
        do
            walk->at++;
        while (walk->at < NAMES && !items[walk->at].is_there);
        ck_assert_uint_lt(walk->at, NAMES);
        walk->rrset_count = rrsets_make(&items[walk->at], walk->rdata, walk->rrsets);
        walk->rrset = 0;
    }
    const struct zonedb_rrset *wanted = &walk->rrsets[walk->rrset++];
    ck_assert(name_equal(owner, items[walk->at].name));
    ck_assert(rrset->type == wanted->type && rrset->ttl == wanted->ttl &&
              rrset->rr_count == wanted->rr_count && rrset->rdata_len == wanted->rdata_len &&
              memcmp(rrset->rdata, wanted->rdata, rrset->rdata_len) == 0);
    return 0;
}

static void compare_walk(void)
{
    static struct walk walk;
    struct zonedb_zone zone;
    uint64_t nodes = 0, records = 0;
    walk = (struct walk){.at = SIZE_MAX};
    ck_assert_int_eq(zonedb_zone_walk(fixture.view, apex, walk_visit, &walk), 0);
    ck_assert_uint_eq(walk.rrset, walk.rrset_count);
    for (size_t i = 0; i < NAMES; i++) {
        nodes += items[i].is_there;
        records += items[i].is_there ? 1u + (i == 0) + items[i].is_cut : 0;
        ck_assert(i <= walk.at || !items[i].is_there);
    }
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex, &zone), 0);
    ck_assert_uint_eq(zone.node_count, nodes);
    ck_assert_uint_eq(zone.record_count, records);
}

static void compare_no_node(const struct item *item, const struct found *found)
{
    const struct item *before = items;
    uint8_t name[NAME_MAX_LEN];
    size_t common = 0;
    for (const struct item *other = items; other < items + NAMES; other++) {
        if (!other->is_there)
            continue;
        size_t same = block_common(other->key, other->key_len, item->key, item->key_len);
        common = same > common ? same : common;
        before = key_order(other, item) < 0 ? other : before;
    }
    unsigned depth = 0;
    for (size_t i = 0; i < common; i++)
        depth += item->key[i] == 0;
    bool is_above = common == item->key_len; /* of a name that is there */
    ck_assert_int_eq(found->outcome, is_above ? FIND_NODE : FIND_NO_NODE);
    ck_assert(found->is_empty_non_terminal == is_above);
    ck_assert(is_above || found->encloser_depth == depth);
    ck_assert_uint_gt(zonedb_find_predecessor(found, name), 0);
    ck_assert(name_equal(name, before->name));
}

static void compare_finds(void)
{
    for (const struct item *item = items; item < items + NAMES; item++) {
        struct found found;
        if (item->key_len == 0)
            continue;
        zonedb_find(fixture.view, item->name, RR_A, &found);
        const struct item *cut = cut_of(item);
        if (cut != NULL) {
            ck_assert_int_eq(found.outcome, FIND_DELEGATION);
            ck_assert_uint_eq(found.node_depth, name_label_count(cut->name));
        } else if (item->is_there) {
            ck_assert_int_eq(found.outcome, FIND_NODE);
            ck_assert(!found.is_empty_non_terminal);
        } else {
            compare_no_node(item, &found);
        }
        struct node node;
        ck_assert_int_eq(zonedb_find_exact(fixture.view, &found.zone, item->name, &node),
                         item->is_there);
    }
}

static void compare(void)
{
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    compare_walk();
    compare_finds();
}

/* ---- the tests ---- */

static void setup(void)
{
    fixture_open(&fixture);
    items_make();
}

static void teardown(void)
{
    fixture_close(&fixture);
}

START_TEST(test_loaded)
{
    for (unsigned share = 0; share <= 10; share++) {
        for (struct item *item = items; item < items + NAMES; item++) {
            item_dice(item);
            item->is_there = item == items || (item->key_len > 0 && dice(10) < share);
        }
        zonedb_view_rest(fixture.view);
        write_all();
        compare();
    }
}
END_TEST

/* It grows from nothing, shrinks to next to nothing, and grows again. */
START_TEST(test_changed)
{
    item_dice(items);
    zonedb_view_rest(fixture.view);
    write_all();
    compare();
    for (unsigned commit = 0; commit < COMMITS; commit++) {
        zonedb_view_rest(fixture.view);
        change_some(commit < COMMITS / 2 ? 9 : commit < COMMITS * 3 / 4 ? 0 : 10);
        compare();
    }
}
END_TEST

/* More records than the count in an RRset's head, types that need two octets, no TTL in common. */
START_TEST(test_any_rrset)
{
    static uint8_t rdata[4 * 1000];
    struct zonedb_rrset rrsets[4];
    struct zonedb_writer *writer;
    struct find_zone zone;
    struct node node;
    item_dice(items);
    zonedb_view_rest(fixture.view);
    write_all();
    for (size_t i = 0; i < sizeof rdata; i += 4)
        memcpy(rdata + i, "\0\2ab", 4);
    rrsets[0] = (struct zonedb_rrset){255, 31, 0, rdata, 4 * 31};
    rrsets[1] = (struct zonedb_rrset){256, 32, UINT32_MAX, rdata, 4 * 32};
    rrsets[2] = (struct zonedb_rrset){32769, 1000, UINT32_MAX, rdata, 4 * 1000};
    rrsets[3] = (struct zonedb_rrset){65534, 1, 60, rdata, 4};
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_change_begin(writer, apex), 0);
    const uint8_t *name = (const uint8_t *)"\1n\7example";
    ck_assert_int_eq(zonedb_writer_change_node(writer, name, rrsets, 4), 0);
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    struct found found;
    ck_assert_int_eq(zonedb_find(fixture.view, name, RR_A, &found), FIND_NODE);
    zone = found.zone;
    ck_assert_int_eq(zonedb_find_exact(fixture.view, &zone, name, &node), 1);
    for (size_t i = 0; i < 4; i++) {
        struct zonedb_rrset rrset;
        ck_assert_int_eq(rrsets_next(&node.rrsets, &rrset), 1);
        ck_assert(rrset.type == rrsets[i].type && rrset.ttl == rrsets[i].ttl &&
                  rrset.rr_count == rrsets[i].rr_count && rrset.rdata_len == rrsets[i].rdata_len);
        ck_assert_int_eq(memcmp(rrset.rdata, rdata, rrset.rdata_len), 0);
    }
    ck_assert_uint_eq(node.rrsets.len, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_loaded, test_changed, test_any_rrset};
    return test_run("block", tests, sizeof tests / sizeof *tests, setup, teardown);
}
