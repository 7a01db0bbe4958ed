/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Opening databases and snapshots.
 *
 * The map is address space, not memory or disk: it is made so large (1 TiB) that nobody meets its
 * end. Where that much is not to be had (a limit on address space, valgrind) less is taken, and
 * both MDB_MAP_FULL (see store.h) and MDB_MAP_RESIZED (see zonedb_remap()) are dealt with.
 */
#include "zonedb/length.h"
#include "zonedb/node.h"
#include "zonedb/store.h"
#include "zonedb/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_OCTETS_MAX ((size_t)1 << 40)
#define MAP_OCTETS_MIN ((size_t)1 << 20)
#define READERS_MAX 510
#define LOCK_OCTETS (64 * (READERS_MAX + 2)) /* LMDB's, or a little more */

static const char schema_key[] = "schema";

__attribute__((format(printf, 2, 3))) static void explain(struct zonedb_error *error,
                                                          const char *format, ...)
{
    if (error == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
}

/* LMDB's own error numbers (all negative) as negative errno. */
int zonedb_errno(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return -ENOSPC;
    case MDB_MAP_RESIZED:
        return -ESTALE;
    case MDB_READERS_FULL:
        return -EAGAIN;
    case MDB_KEYEXIST:
    case MDB_BAD_VALSIZE:
        return -EINVAL;
    case MDB_VERSION_MISMATCH:
        return -EPROTO;
    case ENOSPC: /* the disk, not the map */
        return -EDQUOT;
    default:
        return rc > 0 ? -rc : -EBADMSG;
    }
}

static int explain_open(const char *directory, enum zonedb_mode mode, int rc,
                        struct zonedb_error *error)
{
    switch (rc) {
    case 0:
        break;
    case -ENOENT:
        explain(error,
                "%s: no zone database there; make one with: lethe --db %s zone load NAME FILE",
                directory, directory);
        break;
    case -EDQUOT:
        explain(error, "%s: no room on the disk; make room", directory);
        break;
    case -EACCES:
    case -EPERM:
        explain(
            error,
            "%s: permission denied; %s needs to read and write lock.mdb there%s: give all of it "
            "to the user that serves, as in: chown -R lethe %s",
            directory, mode == ZONEDB_READ ? "a reader" : "a writer",
            mode == ZONEDB_READ ? "" : ", and data.mdb", directory);
        break;
    case -EPROTO:
        explain(error,
                "%s: written by another version (this program reads schema %d); dump the zones "
                "with the "
                "program that wrote it and load them into a new database",
                directory, ZONEDB_SCHEMA_VERSION);
        break;
    case -EBADMSG:
        explain(
            error,
            "%s: data.mdb is damaged or not a zone database; load the zones into a new directory "
            "and keep this one for inspection",
            directory);
        break;
    default:
        explain(error, "%s: cannot open the zone database: %s", directory, strerror(-rc));
        break;
    }
    return rc;
}

static int explain_make(const char *directory, int rc, struct zonedb_error *error)
{
    explain(error,
            rc == -ENOENT ? "%s: cannot make the directory: %s; is the one above it there?"
                          : "%s: cannot make the directory: %s",
            directory, strerror(-rc));
    return rc;
}

/* LMDB writes to its lock file by memory, where a full disk is a SIGBUS: let there be room for it
 * first. Whatever else is wrong LMDB tells itself. */
static int lock_reserve(const char *directory, enum zonedb_mode mode)
{
    char path[PATH_MAX];
    struct stat status;
    if (snprintf(path, sizeof path, "%s/data.mdb", directory) >= (int)sizeof path ||
        (mode != ZONEDB_CREATE && stat(path, &status) != 0))
        return 0;
    snprintf(path, sizeof path, "%s/lock.mdb", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), rc = 0;
    if (fd < 0)
        return errno == ENOSPC ? -EDQUOT : 0;
    if (fallocate(fd, 0, 0, LOCK_OCTETS) != 0 && (errno == ENOSPC || errno == EDQUOT))
        rc = -EDQUOT;
    close(fd);
    return rc;
}

static int env_open(const char *directory, enum zonedb_mode mode, MDB_env **env_out)
{
    unsigned flags = MDB_NOTLS | (mode == ZONEDB_READ ? MDB_RDONLY : 0);
    for (size_t map = MAP_OCTETS_MAX; map >= MAP_OCTETS_MIN; map /= 4) {
        MDB_env *env;
        int rc = mdb_env_create(&env);
        if (rc != 0)
            return -rc;
        if ((rc = mdb_env_set_mapsize(env, map)) == 0 && (rc = mdb_env_set_maxdbs(env, 8)) == 0 &&
            (rc = mdb_env_set_maxreaders(env, READERS_MAX)) == 0)
            rc = mdb_env_open(env, directory, flags, 0644);
        if (rc == 0) {
            *env_out = env;
            return 0;
        }
        mdb_env_close(env);
        /* valgrind refuses a map that is too large for it as invalid. */
        if (rc != ENOMEM && rc != EINVAL)
            return zonedb_errno(rc);
    }
    return -ENOMEM;
}

static int schema_check(struct zonedb *db, MDB_txn *txn, bool may_create)
{
    uint8_t version[4];
    MDB_val key = {sizeof schema_key - 1, (void *)(uintptr_t)schema_key}, value;
    int rc = mdb_get(txn, db->meta, &key, &value);
    if (rc == MDB_NOTFOUND && may_create) {
        store_be32(version, ZONEDB_SCHEMA_VERSION);
        value = (MDB_val){sizeof version, version};
        return zonedb_errno(mdb_put(txn, db->meta, &key, &value, 0));
    }
    if (rc == MDB_NOTFOUND || (rc == 0 && value.mv_size != sizeof version))
        return -EBADMSG;
    if (rc != 0)
        return zonedb_errno(rc);
    return load_be32(value.mv_data) == ZONEDB_SCHEMA_VERSION ? 0 : -EPROTO;
}

/* LMDB's own order, octets and then length, without a call and eight octets at a step: a look-up
 * compares some twenty keys, most of which differ in the second eight, behind zone id and apex. */
static int nodes_compare(const MDB_val *a, const MDB_val *b)
{
    const uint8_t *x = a->mv_data, *y = b->mv_data;
    size_t left = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    for (; left >= 8; left -= 8, x += 8, y += 8) {
        uint64_t p = load_be64(x), q = load_be64(y);
        if (p != q)
            return p < q ? -1 : 1;
    }
    for (; left > 0; left--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return (a->mv_size > b->mv_size) - (a->mv_size < b->mv_size);
}

static int dbis_open(struct zonedb *db)
{
    bool may_create = db->mode == ZONEDB_CREATE;
    unsigned create = may_create ? MDB_CREATE : 0;
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, may_create ? 0 : MDB_RDONLY, &txn);
    if (rc != 0)
        return zonedb_errno(rc);
    rc = mdb_dbi_open(txn, "meta", create, &db->meta);
    if (rc == 0 && (rc = schema_check(db, txn, may_create)) != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    if (rc == 0)
        rc = mdb_dbi_open(txn, "zones", create, &db->zones);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "nodes", create, &db->nodes);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "nsec3", create, &db->nsec3);
    if (rc == 0)
        rc = mdb_set_compare(txn, db->nodes, nodes_compare);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc == MDB_NOTFOUND ? -EBADMSG : zonedb_errno(rc);
    }
    return zonedb_errno(mdb_txn_commit(txn));
}

int zonedb_open(const char *directory, enum zonedb_mode mode, struct zonedb **db_out,
                struct zonedb_error *error)
{
    *db_out = NULL;
    if (mode == ZONEDB_CREATE && mkdir(directory, 0755) != 0 && errno != EEXIST)
        return explain_make(directory, -errno, error);
    struct zonedb *db = calloc(1, sizeof *db);
    if (db == NULL)
        return explain_open(directory, mode, -ENOMEM, error);
    db->mode = mode;
    int rc = lock_reserve(directory, mode);
    if (rc == 0)
        rc = env_open(directory, mode, &db->env);
    if (rc == 0) {
        int dead;
        mdb_reader_check(db->env, &dead);
        rc = zonedb_length_check(db->env);
    }
    if (rc == 0)
        rc = dbis_open(db);
    if (rc != 0) {
        zonedb_close(db);
        return explain_open(directory, mode, rc, error);
    }
    *db_out = db;
    return 0;
}

void zonedb_close(struct zonedb *db)
{
    if (db == NULL)
        return;
    if (db->env != NULL)
        mdb_env_close(db->env);
    free(db);
}

enum {
    DB_IS_MOVING = -1,
};

/* To be called before the map is read. It moves while nobody holds it, for microseconds. */
static void map_hold(struct zonedb_view *view)
{
    if (view->is_holder)
        return;
    int count = atomic_load(&view->db->holder_count);
    do {
        while (count == DB_IS_MOVING) {
            sched_yield();
            count = atomic_load(&view->db->holder_count);
        }
    } while (!atomic_compare_exchange_weak(&view->db->holder_count, &count, count + 1));
    view->is_holder = true;
}

static void map_release(struct zonedb_view *view)
{
    if (view->is_holder)
        atomic_fetch_sub(&view->db->holder_count, 1);
    view->is_holder = false;
}

/* Map as many octets, 0: as the file says. */
static int map_anew(struct zonedb *db, size_t octets)
{
    int nobody = 0;
    if (!atomic_compare_exchange_strong(&db->holder_count, &nobody, DB_IS_MOVING))
        return -EBUSY;
    db->map_count++;
    int rc = mdb_env_set_mapsize(db->env, octets);
    atomic_store(&db->holder_count, 0);
    return zonedb_errno(rc);
}

int zonedb_view_open(struct zonedb *db, struct zonedb_view **view_out)
{
    *view_out = NULL;
    struct zonedb_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return -ENOMEM;
    view->db = db;
    map_hold(view);
    view->map_count = db->map_count;
    view->templates = calloc(1, sizeof *view->templates);
    int rc =
        view->templates == NULL ? ENOMEM : mdb_txn_begin(db->env, NULL, MDB_RDONLY, &view->txn);
    if (rc == 0)
        rc = mdb_cursor_open(view->txn, db->zones, &view->zones);
    if (rc == 0)
        rc = mdb_cursor_open(view->txn, db->nodes, &view->nodes);
    if (rc == 0)
        rc = mdb_cursor_open(view->txn, db->nsec3, &view->nsec3);
    if (rc != 0) {
        zonedb_view_close(view);
        return zonedb_errno(rc);
    }
    view->is_active = true;
    view->version = mdb_txn_id(view->txn);
    *view_out = view;
    return 0;
}

void zonedb_view_rest(struct zonedb_view *view)
{
    if (view->is_active)
        mdb_txn_reset(view->txn);
    map_release(view);
    view->is_active = false;
    view->memo.is_set = view->recent.is_set = false;
}

int zonedb_view_refresh(struct zonedb_view *view)
{
    if (view->is_active) {
        MDB_envinfo info;
        if (mdb_env_info(view->db->env, &info) == 0 && info.me_last_txnid == view->version)
            return 0;
    }
    zonedb_view_rest(view);
    map_hold(view);
    int rc = mdb_txn_renew(view->txn);
    if (rc != 0) {
        map_release(view);
        return zonedb_errno(rc);
    }
    if ((rc = mdb_cursor_renew(view->txn, view->zones)) != 0 ||
        (rc = mdb_cursor_renew(view->txn, view->nodes)) != 0 ||
        (rc = mdb_cursor_renew(view->txn, view->nsec3)) != 0) {
        mdb_txn_reset(view->txn);
        map_release(view);
        return zonedb_errno(rc);
    }
    view->is_active = true;
    uint64_t version = mdb_txn_id(view->txn);
    bool is_newer = version != view->version;
    if (view->templates != NULL && (is_newer || view->map_count != view->db->map_count))
        template_clear(view->templates);
    view->version = version;
    view->map_count = view->db->map_count;
    return is_newer;
}

int zonedb_view_committed(const struct zonedb_view *view, uint64_t *committed_s_out)
{
    int fd;
    struct stat status;
    int rc = mdb_env_get_fd(view->db->env, &fd);
    if (rc != 0)
        return zonedb_errno(rc);
    if (fstat(fd, &status) != 0)
        return -errno;
    *committed_s_out = (uint64_t)status.st_mtim.tv_sec;
    return 0;
}

uint64_t zonedb_view_version(const struct zonedb_view *view)
{
    return view->version;
}

void zonedb_view_close(struct zonedb_view *view)
{
    if (view == NULL)
        return;
    if (view->zones != NULL)
        mdb_cursor_close(view->zones);
    if (view->nodes != NULL)
        mdb_cursor_close(view->nodes);
    if (view->nsec3 != NULL)
        mdb_cursor_close(view->nsec3);
    if (view->txn != NULL)
        mdb_txn_abort(view->txn);
    map_release(view);
    free(view->templates);
    free(view);
}

int zonedb_remap(struct zonedb *db)
{
    return map_anew(db, 0);
}

int zonedb_grow(struct zonedb *db)
{
    MDB_envinfo info;
    int rc = mdb_env_info(db->env, &info);
    return rc == 0 ? map_anew(db, info.me_mapsize * 2) : zonedb_errno(rc);
}

int zonedb_copy(struct zonedb *db, const char *target)
{
    return zonedb_errno(mdb_env_copy2(db->env, target, MDB_CP_COMPACT));
}
