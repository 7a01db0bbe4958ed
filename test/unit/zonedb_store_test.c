/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Opening, writing and growing databases, and what is said when that cannot be.
 */
#include "test_main.h"
#include "zone_fixture.h"
#include "zonedb/store.h"
#include "zonedb/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct fixture fixture;

static void setup(void)
{
    fixture_open(&fixture);
    fixture_load(&fixture, "example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
}

static void teardown(void)
{
    fixture_close(&fixture);
}

static const uint8_t apex[] = "\7example";
static const uint8_t soa_rdata[] = "\0\27\0\1b\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";

static struct zonedb_rrset soa(void)
{
    return (struct zonedb_rrset){6, 1, 60, soa_rdata, 2 + 23 + 1};
}

/* Close the fixture's database; it is opened again by the test, or damaged first. */
static void database_close(void)
{
    zonedb_view_close(fixture.view);
    zonedb_close(fixture.db);
    fixture.view = NULL;
    fixture.db = NULL;
}

static void expect_refusal(int expected, const char *said)
{
    struct zonedb_error error = {""};
    struct zonedb *db;
    int rc = zonedb_open(fixture.directory, ZONEDB_READ, &db, &error);
    ck_assert_msg(rc == expected, "%d: %s", rc, error.text);
    ck_assert_ptr_null(db);
    ck_assert_msg(strstr(error.text, said) != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, fixture.directory) != NULL, "%s", error.text);
}

static int data_open(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", fixture.directory);
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(test_nothing_there)
{
    struct zonedb_error error;
    struct zonedb *db;
    ck_assert_int_eq(zonedb_open("/nonexistent/db", ZONEDB_READ, &db, &error), -ENOENT);
    ck_assert_msg(strstr(error.text, "lethe --db /nonexistent/db zone load") != NULL, "%s",
                  error.text);
}
END_TEST

START_TEST(test_cut_off)
{
    database_close();
    int fd = data_open();
    ck_assert_int_eq(ftruncate(fd, lseek(fd, 0, SEEK_END) - 4096), 0);
    close(fd);
    expect_refusal(-EBADMSG, "damaged");
}
END_TEST

START_TEST(test_garbage)
{
    database_close();
    int fd = data_open();
    uint8_t garbage[8192];
    memset(garbage, 0x5a, sizeof garbage);
    ck_assert_int_eq(pwrite(fd, garbage, sizeof garbage, 0), sizeof garbage);
    close(fd);
    expect_refusal(-EBADMSG, "damaged");
}
END_TEST

START_TEST(test_other_version)
{
    static const uint8_t version[4] = {0, 0, 0, ZONEDB_SCHEMA_VERSION + 1};
    MDB_txn *txn;
    MDB_val key = {6, (void *)(uintptr_t) "schema"}, value = {4, (void *)(uintptr_t)version};
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(mdb_txn_begin(fixture.db->env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_put(txn, fixture.db->meta, &key, &value, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    database_close();
    expect_refusal(-EPROTO, "another version");
}
END_TEST

START_TEST(test_someone_elses_database)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    char path[96];
    database_close();
    snprintf(path, sizeof path, "%s/data.mdb", fixture.directory);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 2), 0);
    ck_assert_int_eq(mdb_env_open(env, fixture.directory, 0, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, "other", MDB_CREATE, &dbi), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    expect_refusal(-EBADMSG, "not a zone database");
}
END_TEST

START_TEST(test_order_and_bounds)
{
    struct zonedb_writer *writer;
    struct zonedb_rrset rrset = soa();
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_begin(writer, apex), 0);
    /* The apex comes first. */
    ck_assert_int_eq(zonedb_writer_node(writer, (const uint8_t *)"\1a\7example", &rrset, 1),
                     -EINVAL);
    ck_assert_int_eq(zonedb_writer_node(writer, apex, &rrset, 1), 0);
    ck_assert_int_eq(zonedb_writer_node(writer, (const uint8_t *)"\1b\7example", &rrset, 1), 0);
    ck_assert_int_eq(zonedb_writer_node(writer, (const uint8_t *)"\1B\7example", &rrset, 1),
                     -EINVAL);
    ck_assert_int_eq(zonedb_writer_node(writer, (const uint8_t *)"\1a\7example", &rrset, 1),
                     -EINVAL);
    ck_assert_int_eq(zonedb_writer_node(writer, (const uint8_t *)"\1c\7examplf", &rrset, 1),
                     -EINVAL);
    zonedb_writer_abort(writer);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 0); /* nothing has changed */
}
END_TEST

START_TEST(test_no_soa)
{
    struct zonedb_writer *writer;
    struct zonedb_rrset rrset = soa();
    rrset.type = 16;
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_begin(writer, apex), 0);
    ck_assert_int_eq(zonedb_writer_node(writer, apex, &rrset, 1), 0);
    ck_assert_int_eq(zonedb_writer_zone_end(writer, 0), -EINVAL);
    zonedb_writer_abort(writer);
}
END_TEST

START_TEST(test_replace_and_remove_leave_nothing)
{
    struct zonedb_stat before, after;
    struct zonedb_zone zone;
    struct zonedb_writer *writer;
    char *text = malloc(1 << 20), *at = text;
    ck_assert_int_eq(zonedb_stat(fixture.view, &before), 0);
    at += sprintf(at, "@ 60 SOA a b 2 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
    for (unsigned i = 0; i < 20000; i++)
        at += sprintf(at, "n%u 60 A 192.0.2.1\n", i);
    fixture_load(&fixture, "example.", text);
    fixture_load(&fixture, "other.", text);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex, &zone), 0);
    ck_assert_uint_eq(zone.serial, 2);
    ck_assert_uint_eq(zone.node_count, 20002);
    ck_assert_uint_eq(zone.record_count, 20003);
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    ck_assert_int_eq(zonedb_writer_zone_remove(writer, (const uint8_t *)"\5other"), 0);
    ck_assert_int_eq(zonedb_writer_zone_remove(writer, (const uint8_t *)"\5other"), -ENOENT);
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    fixture_load(&fixture, "example.", "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
    ck_assert_int_eq(zonedb_stat(fixture.view, &after), 0);
    ck_assert_uint_eq(after.zone_count, 1);
    ck_assert_uint_eq(after.node_count, before.node_count);
    ck_assert_uint_eq(after.used_octets, before.used_octets);
    free(text);
}
END_TEST

START_TEST(test_views_keep_their_snapshot)
{
    struct zonedb_view *old;
    struct zonedb_zone zone;
    ck_assert_int_eq(zonedb_view_open(fixture.db, &old), 0);
    fixture_load(&fixture, "example.", "@ 60 SOA a b 9 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
    ck_assert_int_eq(zonedb_zone_get(old, apex, &zone), 0);
    ck_assert_uint_eq(zone.serial, 1);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex, &zone), 0);
    ck_assert_uint_eq(zone.serial, 9);
    ck_assert_int_eq(zonedb_view_refresh(old), 1);
    ck_assert_int_eq(zonedb_zone_get(old, apex, &zone), 0);
    ck_assert_uint_eq(zone.serial, 9);
    ck_assert_uint_eq(zonedb_view_version(old), zonedb_view_version(fixture.view));
    zonedb_view_close(old);
}
END_TEST

START_TEST(test_zone_list_is_in_order)
{
    static const char *const order[] = {".", "com.", "a.com.", "example.", "z.example."};
    struct zonedb_zone zone;
    const uint8_t *after = NULL;
    uint8_t last[NAME_MAX_LEN];
    char text[NAME_TEXT_MAX];
    for (int i = 4; i >= 0; i--)
        fixture_load(&fixture, order[i], "@ 60 SOA . . 1 2 3 4 5\n@ 60 NS ns.nowhere.\n");
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(zonedb_zone_next(fixture.view, after, &zone), 0);
        ck_assert_str_eq(name_to_text(zone.apex, text), order[i]);
        memcpy(last, zone.apex, sizeof last);
        after = last;
    }
    ck_assert_int_eq(zonedb_zone_next(fixture.view, after, &zone), -ENOENT);
}
END_TEST

START_TEST(test_many_zones)
{
    /* As many as an operator of small zones has in one database. */
    enum { ZONES = 14000 };
    struct zonedb_writer *writer;
    struct zonedb_rrset rrset = soa();
    struct zonedb_stat stat;
    struct zonedb_zone zone;
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_writer_begin(fixture.db, &writer), 0);
    for (unsigned i = 0; i < ZONES; i++) {
        char text[32];
        uint8_t name[NAME_MAX_LEN];
        snprintf(text, sizeof text, "z%u.example.", i);
        name_from_text(text, name);
        ck_assert_int_eq(zonedb_writer_zone_begin(writer, name), 0);
        ck_assert_int_eq(zonedb_writer_node(writer, name, &rrset, 1), 0);
        ck_assert_int_eq(zonedb_writer_zone_end(writer, 1), 0);
    }
    ck_assert_int_eq(zonedb_writer_commit(writer), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    ck_assert_int_eq(zonedb_stat(fixture.view, &stat), 0);
    ck_assert_uint_eq(stat.zone_count, ZONES + 1);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, (const uint8_t *)"\6z13999\7example", &zone), 0);
    unsigned listed = 0;
    uint8_t last[NAME_MAX_LEN];
    for (const uint8_t *after = NULL; zonedb_zone_next(fixture.view, after, &zone) == 0;
         after = last) {
        memcpy(last, zone.apex, sizeof last);
        listed++;
    }
    ck_assert_uint_eq(listed, ZONES + 1);
}
END_TEST

/* ---- a map that is too small; the limit on address space brings it about ---- */

#ifdef __SANITIZE_ADDRESS__
#define CAN_LIMIT_ADDRESS_SPACE false /* the sanitizer's shadow needs all of it */
#else
#define CAN_LIMIT_ADDRESS_SPACE true
#endif

static char *big_zone(void)
{
    char *text = malloc(8 << 20), *at = text;
    at += sprintf(at, "@ 60 SOA a b 2 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n");
    for (unsigned i = 0; i < 30000; i++)
        at += sprintf(at, "n%u 60 TXT \"%0120u\"\n", i, i);
    return text;
}

/* Open the fixture's database again, with at most `room` octets of map. */
static void database_open_small(rlim_t room)
{
    struct rlimit limit;
    struct zonedb_error error;
    MDB_envinfo info;
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    ck_assert(statm != NULL && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    struct rlimit small = {(rlim_t)pages * 4096 + room, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &small), 0);
    ck_assert_msg(zonedb_open(fixture.directory, ZONEDB_WRITE, &fixture.db, &error) == 0, "%s",
                  error.text);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ck_assert_int_eq(mdb_env_info(fixture.db->env, &info), 0);
    ck_assert_uint_le(info.me_mapsize, room);
    ck_assert_int_eq(zonedb_view_open(fixture.db, &fixture.view), 0);
}

START_TEST(test_map_grows_under_a_writer)
{
    struct zonedb_zone zone;
    if (!CAN_LIMIT_ADDRESS_SPACE)
        return;
    database_close();
    database_open_small(9 << 20);
    char *text = big_zone();
    fixture_load(&fixture, "example.", text);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex, &zone), 0);
    ck_assert_uint_eq(zone.node_count, 30002);
    free(text);
}
END_TEST

START_TEST(test_map_outgrown_by_another_process)
{
    struct zonedb_zone zone;
    if (!CAN_LIMIT_ADDRESS_SPACE)
        return;
    database_close();
    pid_t child = fork();
    if (child == 0) {
        struct fixture writer = fixture;
        char *text = big_zone();
        usleep(200000);
        if (zonedb_open(writer.directory, ZONEDB_WRITE, &writer.db, NULL) != 0 ||
            zonedb_view_open(writer.db, &writer.view) != 0)
            _exit(1);
        fixture_load(&writer, "example.", text);
        _exit(0);
    }
    database_open_small(9 << 20);
    zonedb_view_rest(fixture.view);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), -ESTALE);
    ck_assert_int_eq(zonedb_remap(fixture.db), 0);
    ck_assert_int_eq(zonedb_view_refresh(fixture.view), 1);
    ck_assert_int_eq(zonedb_zone_get(fixture.view, apex, &zone), 0);
    ck_assert_uint_eq(zone.node_count, 30002);
}
END_TEST

/* The ground is not pulled from under a view, whoever has it. */
START_TEST(test_map_stays_under_views)
{
    struct zonedb_view *view;
    struct zonedb_stat stat;
    ck_assert_int_eq(zonedb_remap(fixture.db), -EBUSY); /* the fixture's */
    ck_assert_int_eq(zonedb_grow(fixture.db), -EBUSY);
    ck_assert_int_eq(zonedb_stat(fixture.view, &stat), 0);
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(zonedb_remap(fixture.db), 0);
    ck_assert_int_eq(zonedb_view_open(fixture.db, &view), 0); /* active from the beginning */
    ck_assert_int_eq(zonedb_remap(fixture.db), -EBUSY);
    zonedb_view_rest(view);
    zonedb_view_rest(view);
    ck_assert_int_eq(zonedb_remap(fixture.db), 0);
    ck_assert_int_ge(zonedb_view_refresh(view), 0);
    ck_assert_int_eq(zonedb_view_refresh(view), 0);
    ck_assert_int_eq(zonedb_remap(fixture.db), -EBUSY);
    zonedb_view_close(view);
    ck_assert_int_eq(zonedb_remap(fixture.db), 0);
    ck_assert_int_ge(zonedb_view_refresh(fixture.view), 0);
    ck_assert_int_eq(zonedb_stat(fixture.view, &stat), 0);
}
END_TEST

static void *look_for_ever(void *argument)
{
    atomic_bool *is_over = argument;
    struct zonedb_view *view;
    struct zonedb_stat stat;
    while (!atomic_load(is_over)) {
        if (zonedb_view_open(fixture.db, &view) != 0 || zonedb_stat(view, &stat) != 0)
            return is_over; /* shows nothing */
        zonedb_view_rest(view);
        if (zonedb_view_refresh(view) < 0 || zonedb_stat(view, &stat) != 0)
            return is_over; /* refreshed, shows nothing */
        zonedb_view_close(view);
    }
    return NULL;
}

START_TEST(test_map_moves_between_views_of_another_thread)
{
    static atomic_bool is_over;
    pthread_t thread;
    void *problem;
    unsigned moved = 0;
    zonedb_view_rest(fixture.view);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_for_ever, &is_over), 0);
    while (moved < 20) {
        int outcome = zonedb_remap(fixture.db);
        ck_assert(outcome == 0 || outcome == -EBUSY);
        moved += outcome == 0;
        sched_yield();
    }
    atomic_store(&is_over, true);
    ck_assert_int_eq(pthread_join(thread, &problem), 0);
    ck_assert_ptr_null(problem);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_nothing_there,
                                  test_cut_off,
                                  test_garbage,
                                  test_other_version,
                                  test_someone_elses_database,
                                  test_order_and_bounds,
                                  test_no_soa,
                                  test_replace_and_remove_leave_nothing,
                                  test_views_keep_their_snapshot,
                                  test_zone_list_is_in_order,
                                  test_many_zones,
                                  test_map_grows_under_a_writer,
                                  test_map_outgrown_by_another_process,
                                  test_map_stays_under_views,
                                  test_map_moves_between_views_of_another_thread};
    return test_run("store", tests, sizeof tests / sizeof *tests, setup, teardown);
}
