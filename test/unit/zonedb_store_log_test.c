/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a view tells of the commits before it.
 */
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/store.h"
#include "zonedb/view.h"

#include <errno.h>
#include <sys/stat.h>

static const uint8_t apex[] = "\7example";

static struct zonedb_rrset address(void)
{
    static const uint8_t rdata[] = {0, 4, 192, 0, 2, 1};
    return (struct zonedb_rrset){1, 1, 60, rdata, sizeof rdata};
}

static void setup_zone(struct fixture *f)
{
    fixture_open(f);
    fixture_load(f, "example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
}

static struct zonedb_writer *change_begin(struct fixture *f)
{
    struct zonedb_writer *writer;
    ck_assert_int_eq(zonedb_writer_begin(f->db, &writer), 0);
    ck_assert_int_ge(zonedb_writer_change_begin(writer, apex), 0);
    return writer;
}

/* One commit that changes so many owners. */
static void change(struct fixture *f, unsigned first, unsigned count)
{
    struct zonedb_writer *writer = change_begin(f);
    struct zonedb_rrset rrset = address();
    for (unsigned i = first; i < first + count; i++) {
        char text[32];
        uint8_t owner[NAME_MAX_LEN];
        snprintf(text, sizeof text, "N%u.example.", i);
        name_from_text(text, owner);
        ck_assert_int_eq(zonedb_writer_change_node(writer, owner, &rrset, 1), 0);
    }
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(f->view), 1);
}

struct told {
    char text[4096];
    unsigned count;
    int stop;
};

static int tell(void *context, uint32_t zone_id, const uint8_t *owner)
{
    struct told *told = context;
    char name[NAME_TEXT_MAX];
    ck_assert_uint_eq(zone_id, 1);
    if (told->count++ < 8) {
        strcat(told->text, owner == NULL ? "(nsec3)" : name_to_text(owner, name));
        strcat(told->text, " ");
    }
    return told->stop;
}

static int changes(struct fixture *f, uint64_t since, struct told *told)
{
    *told = (struct told){.stop = told->stop};
    return zonedb_view_changes(f->view, since, tell, told);
}

START_TEST(test_owners_are_told_in_order_of_commits)
{
    struct fixture f;
    struct told told = {.stop = 0};
    struct zonedb_rrset rrset = address();
    static const uint8_t hash[20] = {1};
    setup_zone(&f);
    uint64_t loaded = zonedb_view_version(f.view);
    ck_assert_int_eq(changes(&f, loaded, &told), 0);
    ck_assert_uint_eq(told.count, 0);
    change(&f, 1, 2);
    struct zonedb_writer *writer = change_begin(&f);
    ck_assert_int_eq(zonedb_writer_change_node(writer, apex, NULL, 0), 0);
    ck_assert_int_eq(zonedb_writer_change_nsec3(writer, hash, &rrset, 1), 0);
    zonedb_writer_abort(writer); /* never happened */
    writer = change_begin(&f);
    ck_assert_int_eq(zonedb_writer_change_node(writer, (const uint8_t *)"\2N1\7exAmple", NULL, 0),
                     0);
    ck_assert_int_eq(zonedb_writer_change_nsec3(writer, hash, &rrset, 1), 0);
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(f.view), 1);
    ck_assert_int_eq(changes(&f, loaded, &told), 0);
    ck_assert_str_eq(told.text, "n1.example. n2.example. n1.example. (nsec3) ");
    ck_assert_int_eq(changes(&f, loaded + 1, &told), 0);
    ck_assert_str_eq(told.text, "n1.example. (nsec3) ");
    ck_assert_int_eq(changes(&f, loaded + 2, &told), 0);
    ck_assert_uint_eq(told.count, 0);
    told.stop = -7;
    ck_assert_int_eq(changes(&f, loaded, &told), -7);
    ck_assert_uint_eq(told.count, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(test_loads_and_removals_touch_everything)
{
    struct fixture f;
    struct told told = {.stop = 0};
    struct zonedb_writer *writer;
    setup_zone(&f);
    uint64_t loaded = zonedb_view_version(f.view);
    ck_assert_int_eq(changes(&f, 0, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&f, loaded - 1, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&f, loaded + 1, &told), ZONEDB_CHANGES_UNKNOWN); /* not yet */
    fixture_load(&f, "other.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
    change(&f, 1, 1);
    ck_assert_int_eq(changes(&f, loaded, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&f, loaded + 1, &told), 0);
    ck_assert_int_eq(zonedb_writer_begin(f.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_remove(writer, (const uint8_t *)"\5other"), 0);
    ck_assert_int_ge(zonedb_writer_change_begin(writer, apex), 0);
    ck_assert_int_eq(zonedb_writer_change_end(writer, 1), 0);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(f.view), 1);
    ck_assert_int_eq(changes(&f, loaded + 2, &told), ZONEDB_CHANGES_UNKNOWN);
    fixture_close(&f);
}
END_TEST

START_TEST(test_too_much_is_everything)
{
    struct fixture f;
    struct told told = {.stop = 0};
    setup_zone(&f);
    uint64_t loaded = zonedb_view_version(f.view);
    change(&f, 0, 1000);
    ck_assert_int_eq(changes(&f, loaded, &told), 0);
    ck_assert_uint_eq(told.count, 1000);
    change(&f, 0, 4000);
    ck_assert_int_eq(changes(&f, loaded + 1, &told), ZONEDB_CHANGES_UNKNOWN);
    fixture_close(&f);
}
END_TEST

static size_t entries_of_meta(struct fixture *f)
{
    MDB_stat stat;
    ck_assert_int_eq(mdb_stat(f->view->txn, f->db->meta, &stat), 0);
    return stat.ms_entries;
}

START_TEST(test_the_last_commits_are_kept)
{
    struct fixture f;
    struct told told = {.stop = 0};
    setup_zone(&f);
    uint64_t loaded = zonedb_view_version(f.view);
    for (unsigned i = 0; i < ZONEDB_CHANGES_KEPT; i++)
        change(&f, i, 1);
    ck_assert_int_eq(changes(&f, loaded, &told), 0);
    ck_assert_uint_eq(told.count, ZONEDB_CHANGES_KEPT);
    size_t before = entries_of_meta(&f);
    for (unsigned i = 0; i < 10; i++)
        change(&f, i, 1);
    ck_assert_int_eq(changes(&f, loaded, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&f, loaded + 10, &told), 0);
    ck_assert_uint_eq(told.count, ZONEDB_CHANGES_KEPT);
    ck_assert_uint_le(entries_of_meta(&f), before);
    fixture_close(&f);
}
END_TEST

/* What a program does that knows no log; or, with a value, what damage does. */
static void foreign_commit(struct fixture *f, const char *value)
{
    MDB_txn *txn;
    uint8_t octets[14] = "change";
    zonedb_view_rest(f->view);
    ck_assert_int_eq(mdb_txn_begin(f->db->env, NULL, 0, &txn), 0);
    store_be64(octets + 6, mdb_txn_id(txn));
    MDB_val k = {value == NULL ? 3 : sizeof octets, octets},
            v = {value == NULL ? 0 : strlen(value + 1) + 1, (void *)(uintptr_t)value};
    ck_assert_int_eq(mdb_put(txn, f->db->meta, &k, &v, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    ck_assert_int_eq(zonedb_view_refresh(f->view), 1);
}

START_TEST(test_a_commit_without_log_is_everything)
{
    struct fixture f;
    struct told told = {.stop = 0};
    setup_zone(&f);
    uint64_t loaded = zonedb_view_version(f.view);
    change(&f, 1, 1);
    foreign_commit(&f, NULL);
    change(&f, 2, 1);
    ck_assert_int_eq(changes(&f, loaded, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&f, loaded + 1, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&f, loaded + 2, &told), 0);
    ck_assert_str_eq(told.text, "n2.example. ");
    fixture_close(&f);
}
END_TEST

START_TEST(test_damage_is_told)
{
    /* Cut off in the fixed part, or in the key. */
    static const char *const values[] = {"\0abc", "\0aaaaaaa"};
    struct fixture f;
    struct told told = {.stop = 0};
    setup_zone(&f);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = zonedb_view_version(f.view);
        foreign_commit(&f, values[i]);
        ck_assert_int_eq(changes(&f, before, &told), -EBADMSG);
        ck_assert_uint_eq(told.count, 0);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(test_a_copy_counts_anew)
{
    struct fixture f, copy;
    struct told told = {.stop = 0};
    struct zonedb_error error;
    setup_zone(&f);
    for (unsigned i = 0; i < 10; i++)
        change(&f, i, 1);
    strcpy(copy.directory, "/tmp/lethe-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copy.directory));
    ck_assert_int_eq(zonedb_copy(f.db, copy.directory), 0);
    ck_assert_int_eq(zonedb_open(copy.directory, ZONEDB_WRITE, &copy.db, &error), 0);
    ck_assert_int_eq(zonedb_view_open(copy.db, &copy.view), 0);
    uint64_t first = zonedb_view_version(copy.view);
    ck_assert_uint_lt(first, zonedb_view_version(f.view));
    change(&copy, 100, 1);
    foreign_commit(&copy, NULL); /* must not meet what another count left behind */
    ck_assert_int_eq(changes(&copy, first, &told), ZONEDB_CHANGES_UNKNOWN);
    ck_assert_int_eq(changes(&copy, first + 1, &told), ZONEDB_CHANGES_UNKNOWN);
    fixture_close(&copy);
    fixture_close(&f);
}
END_TEST

TEST_MAIN("zonedb_store_log", test_owners_are_told_in_order_of_commits,
          test_loads_and_removals_touch_everything, test_too_much_is_everything,
          test_the_last_commits_are_kept, test_a_commit_without_log_is_everything,
          test_damage_is_told, test_a_copy_counts_anew)
