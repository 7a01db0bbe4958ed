/* SPDX-License-Identifier: BSD-2-Clause
 *
 * view.h - the insides of an open database and of a snapshot. Private to the room.
 */
#ifndef ZONEDB_VIEW_H
#define ZONEDB_VIEW_H

#include "zonedb/find.h"
#include "zonedb/template.h"
#include "zonedb/zonedb.h"

#include <lmdb.h>
#include <stdatomic.h>

struct zonedb {
    MDB_env *env;
    MDB_dbi meta, zones, nodes, nsec3;
    enum zonedb_mode mode;
    unsigned map_count; /* how often the map may have moved */
    /* Snapshots held by this process, all of which point into the map; DB_IS_MOVING: it is being
     * mapped anew, and whoever wants one waits. */
    atomic_int holder_count;
};

struct zonedb_view {
    struct zonedb *db;
    MDB_txn *txn;
    MDB_cursor *zones, *nodes, *nsec3;
    uint64_t version;
    bool is_holder; /* counted in holder_count */
    bool is_active; /* a snapshot is held; false: cursors must not be used */
    struct find_memo memo;
    struct find_recent recent;
    struct template_cache *templates; /* of this snapshot, in this map; NULL: none are kept */
    unsigned map_count;
};

/* LMDB's outcome as 0 or a negative errno. */
int zonedb_errno(int rc);

/* Where a key, with zone id, stands in its zone: as block_find(), but among all blocks. `recent` may
 * be NULL. Returns 1, -1 damaged. */
int find_place(MDB_cursor *nodes, struct find_recent *recent, const struct find_zone *zone,
               const uint8_t *key, size_t key_len, struct block_place *place_out);

/* Show each node of a zone to `visit`, in key order, keys without zone id. Returns 0; what `visit`
 * returned to end it; negative errno. */
typedef int find_visit(void *context, const uint8_t *key, size_t key_len, const struct node *node);
int find_walk(MDB_cursor *nodes, const struct find_zone *zone, find_visit *visit, void *context);

/* Show each of the RRsets to `visit`, as one of `owner`. Returns 0; what `visit` returned to end it;
 * -EBADMSG, they are none. */
int zonedb_rrsets_visit(struct rrsets rrsets, const uint8_t *owner, zonedb_visit *visit,
                        void *context);

#endif
