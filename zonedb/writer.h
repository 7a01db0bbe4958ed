/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.h - the insides of a writer: what loading (store.c) and changing (store_change.c) share.
 * Private to the room.
 */
#ifndef ZONEDB_WRITER_H
#define ZONEDB_WRITER_H

#include "zonedb/find.h"
#include "zonedb/store.h"
#include "zonedb/view.h"

/* With more, a commit says that it touched everything. */
#define WRITER_LOG_MAX ((size_t)1 << 15)

struct zonedb_writer {
    struct zonedb *db;
    MDB_txn *txn;
    MDB_cursor *nodes, *nsec3;
    /* The zone that is being written. */
    bool is_in_zone;
    uint32_t id;
    bool has_former;
    uint32_t former_id;
    uint8_t apex[NAME_MAX_LEN];
    struct find_key apex_key;
    uint64_t node_count, record_count;
    bool has_nsec3;
    bool has_wildcard;
    /* The topmost cut or DNAME that the last owner lies at or below; occluder_len 0: none. */
    uint8_t occluder[ZONE_ID_LEN + NAME_KEY_MAX];
    size_t occluder_len;
    uint8_t occluder_depth;
    /* What the commit will say that it touched; log_len 0: nothing was written. */
    size_t log_len;
    uint8_t log[WRITER_LOG_MAX];
};

/* What the node is: at or below a cut or DNAME, or the first of one itself. Owners come in
 * canonical order; the writer remembers the occluder that it is in. */
void writer_classify(struct zonedb_writer *writer, const struct find_key *key,
                     const struct zonedb_rrset *rrsets, size_t rrset_count,
                     uint8_t header_out[NODE_FIXED_LEN]);

/* Store `prefix_len` octets and the RRsets under `key`. `flags`: of mdb_cursor_put(). */
int writer_put(MDB_cursor *cursor, MDB_val key, const uint8_t *prefix, size_t prefix_len,
               const struct zonedb_rrset *rrsets, size_t rrset_count, unsigned flags);

/* The id of the zone with this key: 1 and id, and with `record_out` (may be NULL) its record;
 * 0 there is none; negative errno. */
int writer_zone_find(struct zonedb_writer *writer, struct find_key *key, uint32_t *id_out,
                     MDB_val *record_out);

/* The zone's record anew, from the apex node and what the writer has counted. */
int writer_zone_put(struct zonedb_writer *writer, uint64_t loaded_s);

/* ---- store_log.c: what the commit touches ---- */

/* Everything. */
void writer_log_all(struct zonedb_writer *writer);

/* What is told from now on, unless it is everything already. */
void writer_log_begin(struct zonedb_writer *writer);

/* An owner of the zone that is being written; some NSEC3 of it. After writer_log_begin(). */
void writer_log_node(struct zonedb_writer *writer, const struct find_key *key);
void writer_log_nsec3(struct zonedb_writer *writer);

/* Write it down, before the commit. */
int writer_log_put(struct zonedb_writer *writer);

#endif
