/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.h - the insides of a writer: what loading (store.c) and changing (store_change.c) share.
 * Private to the room.
 */
#ifndef ZONEDB_WRITER_H
#define ZONEDB_WRITER_H

#include "zonedb/block_build.h"
#include "zonedb/find.h"
#include "zonedb/store.h"
#include "zonedb/view.h"

/* With more, a commit says that it touched everything. */
#define WRITER_LOG_MAX ((size_t)1 << 15)

struct zonedb_writer {
    struct zonedb *db;
    MDB_txn *txn;
    MDB_cursor *zones, *nodes, *nsec3;
    uint32_t next_id; /* 0: not asked for yet */
    /* The zone that is being written. Its first block is kept here until its record is written. */
    bool is_in_zone;
    bool has_former;
    uint32_t former_id;
    uint8_t apex[NAME_MAX_LEN];
    struct find_key apex_key;
    struct find_zone zone;
    struct find_zone_counts counts;
    bool has_nsec3;
    bool has_first; /* the next block is not the zone's first */
    uint8_t *first;
    size_t first_cap;
    uint8_t next[NAME_KEY_MAX]; /* of `zone` */
    struct block_builder builder;
    unsigned put_flags; /* of blocks */
    /* The topmost cut or DNAME that the last owner lies at or below; occluder_len 0: none. */
    uint8_t occluder[NAME_KEY_MAX];
    size_t occluder_len;
    uint8_t occluder_depth;
    /* The TTL that NS at an apex may have; UINT32_MAX: any. */
    uint32_t ns_ttl_cap;
    struct zonedb_rrset *capped;
    size_t capped_cap;
    /* What the commit will say that it touched; log_len 0: nothing was written. */
    size_t log_len;
    uint8_t log[WRITER_LOG_MAX];
};

/* ---- blocks ---- */

/* End the block that is being built. 0; -ENOSPC; other negative errno. */
int writer_block_end(struct zonedb_writer *writer);

/* Know anew which node is the first that is not in the zone's first block. 0; negative errno. */
int writer_next_find(struct zonedb_writer *writer);

/* Octets that it may have. */
size_t writer_block_room(const struct zonedb_writer *writer);

/* Find a key, which is with zone id, in the zone as it has been written so far. What is found is
 * valid until the next write. 0; negative errno. */
int writer_find(struct zonedb_writer *writer, const uint8_t *key, size_t key_len,
                struct block_place *place_out);

/* ---- nodes ---- */

/* The place of a node (see node.h): at or below a cut or DNAME, or the first of one itself. Owners
 * come in canonical order; the writer remembers the occluder that it is in. `key`: without id. */
uint8_t writer_classify(struct zonedb_writer *writer, const uint8_t *key, size_t key_len,
                        bool has_servers, bool has_dname);
uint8_t writer_classify_new(struct zonedb_writer *writer, const struct find_key *key,
                            const struct zonedb_rrset *rrsets, size_t rrset_count);

/* If the owner is a wildcard or below one, the zone has one. */
void writer_see_wildcard(struct zonedb_writer *writer, const uint8_t *owner);

/* Store RRsets under a key of `nsec3`. `flags`: of mdb_cursor_put(). */
int writer_nsec3_put(struct zonedb_writer *writer, MDB_val key, const struct zonedb_rrset *rrsets,
                     size_t rrset_count, unsigned flags);

/* ---- zones ---- */

/* The zone with this key: 1, and pointers into the database, valid until the next write; 0 there is
 * none; negative errno. */
int writer_zone_find(struct zonedb_writer *writer, struct find_key *key, struct find_zone *zone_out,
                     struct find_zone_counts *counts_out);

/* The zone's record anew, from its first block and what the writer has counted. */
int writer_zone_put(struct zonedb_writer *writer, uint64_t loaded_s);

/* ---- store_cap.c: the TTL of NS at an apex ---- */

/* What the database allows. 0; negative errno. */
int writer_cap_get(struct zonedb_writer *writer);

/* The RRsets of an apex, with the TTL of NS and its RRSIGs cut to what is allowed: `rrsets` itself, or
 * a copy that is valid until the next call; NULL: no memory. */
const struct zonedb_rrset *writer_cap(struct zonedb_writer *writer,
                                      const struct zonedb_rrset *rrsets, size_t rrset_count);

/* ---- store_log.c: what the commit touches ---- */

/* Everything. */
void writer_log_all(struct zonedb_writer *writer);

/* What is told from now on, unless it is everything already. */
void writer_log_begin(struct zonedb_writer *writer);

/* An owner of the zone that is being written, also by its key without id; some NSEC3 of it. After
 * writer_log_begin(). */
void writer_log_node(struct zonedb_writer *writer, const struct find_key *key);
void writer_log_key(struct zonedb_writer *writer, const uint8_t *key, size_t key_len);
void writer_log_nsec3(struct zonedb_writer *writer);

/* Write it down, before the commit. */
int writer_log_put(struct zonedb_writer *writer);

#endif
