/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Is a file as long as its snapshot needs? A short file that is sound comes about as it does in
 * life, by pages that are taken and given back within one transaction; then it is damaged.
 */
#include "test_main.h"
#include "zonedb/length.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB's file format, see length.c. */
#define PAGE_HEADER 16
#define FREE_ROOT_AT (PAGE_HEADER + 24 + 40)
/* Octets taken and given back: the list of their pages fits into a leaf, or needs its own page. */
#define FEW 400000u
#define MANY 8000000u

static char directory[64], path[96];
static uint8_t *whole; /* the file as LMDB has left it */
static size_t whole_len, page_size;
static MDB_envinfo info;

static MDB_env *env_open(unsigned flags)
{
    MDB_env *env;
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_mapsize(env, 64 << 20), 0);
    ck_assert_int_eq(mdb_env_open(env, directory, MDB_NOLOCK | flags, 0600), 0);
    return env;
}

static void setup(void)
{
    MDB_stat stat_env;
    strcpy(directory, "/tmp/lethe-test-XXXXXX");
    MUST(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    MDB_env *env = env_open(0);
    ck_assert_int_eq(mdb_env_stat(env, &stat_env), 0);
    page_size = stat_env.ms_psize;
    mdb_env_close(env);
}

static void teardown(void)
{
    free(whole);
    whole = NULL;
    unlink(path);
    rmdir(directory);
}

/* One transaction: put a value (len 0: none), remove it. */
static void change(MDB_env *env, const char *key_text, size_t len, bool is_removed)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {strlen(key_text), (void *)(uintptr_t)key_text};
    MDB_val value = {len, calloc(1, len + 1)};
    MUST(value.mv_data != NULL);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    if (len > 0)
        ck_assert_int_eq(mdb_put(txn, dbi, &key, &value, 0), 0);
    if (is_removed)
        ck_assert_int_eq(mdb_del(txn, dbi, &key, NULL), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    free(value.mv_data);
}

static void whole_read(void)
{
    struct stat file;
    int fd = open(path, O_RDONLY);
    ck_assert(fd >= 0 && fstat(fd, &file) == 0);
    whole_len = (size_t)file.st_size;
    whole = malloc(whole_len);
    ck_assert_ptr_nonnull(whole);
    ck_assert_int_eq(read(fd, whole, whole_len), (ssize_t)whole_len);
    close(fd);
}

/* A file of few pages whose snapshot counts many more. */
static void short_file_make(size_t taken)
{
    MDB_env *env = env_open(0);
    change(env, "space", 300000, false); /* leaves pages that the free list itself can use */
    change(env, "space", 0, true);
    change(env, "kept", 10000, false);
    change(env, "taken", taken, true);
    ck_assert_int_eq(mdb_env_info(env, &info), 0);
    mdb_env_close(env);
    whole_read();
    ck_assert_uint_lt(whole_len / page_size, info.me_last_pgno / 2);
}

/* The file is these octets of `whole`, whatever was tried before. */
static void file_write(size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, whole, len), (ssize_t)len);
    close(fd);
}

static int check(void)
{
    MDB_env *env = env_open(MDB_RDONLY);
    int rc = zonedb_length_check(env);
    mdb_env_close(env);
    return rc;
}

START_TEST(test_whole)
{
    ck_assert_int_eq(check(), 0); /* nothing was ever committed */
    MDB_env *env = env_open(0);
    change(env, "kept", 100000, false);
    ck_assert_int_eq(zonedb_length_check(env), 0);
    change(env, "kept", 0, true);
    ck_assert_int_eq(zonedb_length_check(env), 0);
    mdb_env_close(env);
    ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(test_short_and_sound)
{
    short_file_make(FEW);
    ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(test_short_and_sound_with_a_long_list)
{
    short_file_make(MANY);
    ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(test_cut_off)
{
    MDB_env *env = env_open(0);
    change(env, "kept", 100000, false); /* no page is free */
    mdb_env_close(env);
    whole_read();
    for (size_t len = 2 * page_size; len < whole_len; len += page_size / 2) {
        file_write(len);
        ck_assert_int_eq(check(), -EBADMSG);
    }
    file_write(whole_len);
    ck_assert_int_eq(check(), 0);
}
END_TEST

/* What is said to be sound can be read: a page that is missing would end this process. */
START_TEST(test_short_and_cut_off)
{
    unsigned refused = 0;
    short_file_make(FEW);
    for (size_t len = whole_len - page_size; len >= 2 * page_size; len -= page_size) {
        MDB_txn *txn;
        MDB_dbi dbi;
        MDB_val key = {4, (void *)(uintptr_t) "kept"}, value;
        file_write(len);
        int rc = check();
        ck_assert(rc == 0 || rc == -EBADMSG);
        refused += rc != 0;
        if (rc != 0)
            continue;
        MDB_env *env = env_open(MDB_RDONLY);
        ck_assert_int_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
        ck_assert_int_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        ck_assert_int_eq(mdb_get(txn, dbi, &key, &value), 0);
        for (size_t i = 0; i < value.mv_size; i++)
            ck_assert_uint_eq(((const uint8_t *)value.mv_data)[i], 0);
        mdb_txn_abort(txn);
        mdb_env_close(env);
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_int_eq(check(), -EBADMSG); /* two pages are left */
}
END_TEST

/* ---- the free list ---- */

static uint16_t get16(size_t at)
{
    uint16_t value;
    memcpy(&value, whole + at, sizeof value);
    return value;
}

static size_t root_at(void) /* where its root's number stands */
{
    return (info.me_last_txnid & 1) * page_size + FREE_ROOT_AT;
}

static size_t root_page(void)
{
    uint64_t root;
    memcpy(&root, whole + root_at(), sizeof root);
    ck_assert_uint_lt(root, whole_len / page_size);
    return (size_t)root * page_size;
}

/* With so many octets at `at` replaced, the file is refused. */
static void expect_refusal(const char *what, size_t at, uint64_t value, size_t len)
{
    uint8_t saved[8];
    memcpy(saved, whole + at, len);
    memcpy(whole + at, &value, len);
    file_write(whole_len);
    int rc = check();
    ck_assert_msg(rc == -EBADMSG, "%s: %d", what, rc);
    memcpy(whole + at, saved, len);
}

START_TEST(test_damaged_list)
{
    short_file_make(FEW);
    size_t page = root_page(), node = page + get16(page + PAGE_HEADER);
    size_t list = node + 8 + get16(node + 6);
    expect_refusal("no list", root_at(), UINT64_MAX, 8);
    expect_refusal("root beyond the end", root_at(), whole_len / page_size, 8);
    expect_refusal("root far away", root_at(), UINT64_MAX / page_size + 1, 8);
    expect_refusal("neither branch nor leaf", page + 10, 0x10, 2);
    expect_refusal("a branch of itself", page + 10, 0x01, 2);
    expect_refusal("no nodes", page + 12, PAGE_HEADER, 2);
    expect_refusal("lower bound within the header", page + 12, PAGE_HEADER - 2, 2);
    expect_refusal("lower bound beyond the page", page + 12, page_size + 2, 2);
    expect_refusal("node in the header", page + PAGE_HEADER, PAGE_HEADER - 2, 2);
    expect_refusal("node beyond the page", page + PAGE_HEADER, page_size - 7, 2);
    expect_refusal("key beyond the page", node + 6, page_size, 2);
    expect_refusal("data beyond the page", node, page_size, 2);
    expect_refusal("data far beyond the page", node + 2, 0xffff, 2);
    expect_refusal("data too short", node, 7, 2);
    expect_refusal("more pages than data", list, page_size, 8);
    expect_refusal("very many pages", list, UINT64_MAX / 8 + 1, 8);
    file_write(whole_len);
    ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(test_damaged_long_list)
{
    short_file_make(MANY);
    size_t page = root_page(), node = page + get16(page + PAGE_HEADER);
    for (size_t i = PAGE_HEADER; (get16(node + 4) & 1) == 0; i += 2) {
        ck_assert_uint_lt(i, get16(page + 12));
        node = page + get16(page + i);
    }
    size_t data = node + 8 + get16(node + 6);
    expect_refusal("page beyond the end", data, whole_len / page_size, 8);
    expect_refusal("page far away", data, UINT64_MAX / page_size + 1, 8);
    expect_refusal("longer than the file", node + 2, 0xffff, 2);
    expect_refusal("not beyond the page", node + 4, 0, 2);
    file_write(whole_len);
    ck_assert_int_eq(check(), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_whole,
                                  test_short_and_sound,
                                  test_short_and_sound_with_a_long_list,
                                  test_cut_off,
                                  test_short_and_cut_off,
                                  test_damaged_list,
                                  test_damaged_long_list};
    return test_run("length", tests, sizeof tests / sizeof *tests, setup, teardown);
}
