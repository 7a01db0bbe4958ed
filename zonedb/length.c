/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A file shorter than its highest page number asks for may be sound all the same: a page that is
 * taken and given back within one transaction is counted and never written. So the file is whole if
 * every page beyond its end is in the free list. The list is itself a tree in the file, and may be
 * what is cut off; it is read here with pread(), by LMDB's file format (the same since 0.9.0):
 *
 *     page   number (8), unused (2), flags (2), lower bound (2), upper bound (2);
 *            then the offsets (2 each) of (lower - 16) / 2 nodes
 *     node   size or child, low to high (2, 2, 2: also flags), key length (2), key, data
 *     meta   page 0 or 1; behind the page header: magic, version (4 each), address, map size (8
 *            each), the trees of free pages and of databases (48 each, the root last), last page,
 *            transaction
 *     list   key: transaction; data: how many, then so many page numbers (8 each); a list that is
 *            too long for a leaf stands behind the header of a page of its own, whose number is
 *            the data
 */
#include "zonedb/length.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_HEADER 16
#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define NODE_HEADER 8
#define NODE_BIG 0x01
#define FREE_ROOT_OFFSET (PAGE_HEADER + 24 + 40)
#define DEPTH_MAX 32
#define TRIES 8

struct walk {
    int fd;
    size_t page_size;
    uint64_t first, last; /* the pages that are missing */
    uint64_t missing_count;
    uint8_t *seen;
};

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value); /* LMDB files are in the byte order of the machine */
    return value;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int read_at(const struct walk *walk, uint64_t offset, uint8_t *out, size_t len)
{
    if (offset > walk->first * walk->page_size || len > walk->first * walk->page_size - offset)
        return -EBADMSG;
    ssize_t got = pread(walk->fd, out, len, (off_t)offset);
    if (got < 0)
        return -errno;
    return (size_t)got == len ? 0 : -EBADMSG;
}

static int take_list(struct walk *walk, const uint8_t *list, size_t len)
{
    if (len < 8 || get64(list) > len / 8 - 1)
        return -EBADMSG;
    for (uint64_t i = 1; i <= get64(list); i++) {
        uint64_t page = get64(list + 8 * i);
        if (page < walk->first || page > walk->last || walk->seen[page - walk->first])
            continue;
        walk->seen[page - walk->first] = 1;
        walk->missing_count--;
    }
    return 0;
}

static int take_big_list(struct walk *walk, uint64_t page, size_t len)
{
    if (page >= walk->first || len > walk->first * walk->page_size)
        return -EBADMSG;
    uint8_t *list = malloc(len > 0 ? len : 1);
    if (list == NULL)
        return -ENOMEM;
    int rc = read_at(walk, page * walk->page_size + PAGE_HEADER, list, len);
    if (rc == 0)
        rc = take_list(walk, list, len);
    free(list);
    return rc;
}

static int take_leaf(struct walk *walk, const uint8_t *page, size_t at)
{
    const uint8_t *node = page + at;
    size_t len = (size_t)get16(node) | (size_t)get16(node + 2) << 16;
    size_t data = at + NODE_HEADER + get16(node + 6);
    bool is_big = (get16(node + 4) & NODE_BIG) != 0;
    if (data + (is_big ? 8 : len) > walk->page_size)
        return -EBADMSG;
    return is_big ? take_big_list(walk, get64(page + data), len)
                  : take_list(walk, page + data, len);
}

static int take_page(struct walk *walk, uint64_t number, unsigned depth)
{
    if (number >= walk->first || depth > DEPTH_MAX)
        return -EBADMSG;
    uint8_t *page = malloc(walk->page_size);
    if (page == NULL)
        return -ENOMEM;
    int rc = read_at(walk, number * walk->page_size, page, walk->page_size);
    uint16_t flags = rc == 0 ? get16(page + 10) : 0;
    size_t lower = rc == 0 ? get16(page + 12) : PAGE_HEADER;
    if (rc == 0 && ((flags & (PAGE_BRANCH | PAGE_LEAF)) == 0 || lower < PAGE_HEADER ||
                    lower > walk->page_size))
        rc = -EBADMSG;
    for (size_t i = PAGE_HEADER; i + 1 < lower && rc == 0; i += 2) {
        size_t at = get16(page + i);
        if (at < PAGE_HEADER || at + NODE_HEADER > walk->page_size) {
            rc = -EBADMSG;
        } else if ((flags & PAGE_LEAF) != 0) {
            rc = take_leaf(walk, page, at);
        } else {
            const uint8_t *node = page + at;
            rc = take_page(walk,
                           (uint64_t)get16(node) | (uint64_t)get16(node + 2) << 16 |
                               (uint64_t)get16(node + 4) << 32,
                           depth + 1);
        }
    }
    free(page);
    return rc;
}

/* The file is short: is all that is missing free? */
static int short_check(struct walk *walk, size_t transaction)
{
    uint8_t root[8];
    uint64_t meta = (transaction & 1) * walk->page_size; /* metas take turns */
    if (walk->first < 2)
        return -EBADMSG;
    walk->missing_count = walk->last - walk->first + 1;
    walk->seen = calloc(walk->missing_count, 1);
    if (walk->seen == NULL)
        return -ENOMEM;
    int rc = read_at(walk, meta + FREE_ROOT_OFFSET, root, sizeof root);
    if (rc == 0 && get64(root) != UINT64_MAX) /* else the list is empty */
        rc = take_page(walk, get64(root), 0);
    free(walk->seen);
    return rc == 0 && walk->missing_count > 0 ? -EBADMSG : rc;
}

int zonedb_length_check(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat stat_env;
    struct walk walk;
    if (mdb_env_get_fd(env, &walk.fd) != 0 || mdb_env_stat(env, &stat_env) != 0)
        return -EBADMSG;
    walk.page_size = stat_env.ms_psize;
    /* Numbers of one snapshot are wanted: again if another process commits in between. If a writer
     * was killed in the last step of its commit, they stay apart until the next commit; then the
     * file has what both snapshots need, as it is synced before that step. */
    for (unsigned i = 0; i < TRIES; i++) {
        struct stat file;
        MDB_txn *txn;
        int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
        if (rc != 0)
            return rc == MDB_READERS_FULL ? -EAGAIN : rc > 0 ? -rc : -EBADMSG;
        rc = mdb_env_info(env, &info) != 0 ? -EBADMSG : fstat(walk.fd, &file) != 0 ? -errno : 0;
        size_t transaction = mdb_txn_id(txn);
        bool is_same = rc == 0 && transaction == info.me_last_txnid;
        if (is_same) {
            walk.first = (uint64_t)file.st_size / walk.page_size;
            walk.last = info.me_last_pgno;
            if (transaction > 0 && walk.first <= walk.last)
                rc = short_check(&walk, transaction);
        }
        mdb_txn_abort(txn);
        if (is_same || rc != 0)
            return rc;
    }
    return 0;
}
