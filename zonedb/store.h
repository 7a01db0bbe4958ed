/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h - write a zone database.
 *
 * One writer at a time in all processes: zonedb_writer_begin() waits for the one before. All that a
 * writer does becomes visible at once at commit, or never.
 *
 *     zonedb_writer_begin(db, &writer);
 *     zonedb_writer_zone_begin(writer, apex);
 *     for each owner in canonical order (RFC 4034 6.1), apex first:
 *         zonedb_writer_node(writer, owner, rrsets, rrset_count);
 *     for each NSEC3 owner in order of its hash:
 *         zonedb_writer_nsec3(writer, hash, rrsets, rrset_count);
 *     zonedb_writer_zone_end(writer, loaded_s);
 *     zonedb_writer_commit(writer);
 *
 * Every call may say -ENOSPC: the map is full. zonedb_writer_commit() and _abort() both end the
 * writer; after -ENOSPC abort, call zonedb_grow() (no view of this process may be active) and write
 * again from the start. -EDQUOT/-EIO: the disk. Nothing of an ended or killed writer is visible.
 */
#ifndef ZONEDB_STORE_H
#define ZONEDB_STORE_H

#include "zonedb/zonedb.h"

struct zonedb_writer;

/* Wait for the writer's lock and begin. Outcomes: 0; negative errno. One thread only. */
int zonedb_writer_begin(struct zonedb *db, struct zonedb_writer **writer_out);

/* Begin to write zone `apex` (wire format, any case), in place of the one there may be. */
int zonedb_writer_zone_begin(struct zonedb_writer *writer, const uint8_t *apex);

/* Add one owner with all its RRsets. Zone cuts, DNAMEs and what they occlude are recognised here.
 * `owner`: wire format, any case, at or below the apex, after the one before it in canonical order.
 * `rrsets`: rrset_count >= 1 of them, RRSIGs (type 46) right after the RRset that they cover;
 * records as described at struct zonedb_rrset. Copied; free to reuse after the call.
 * Outcomes: 0; -EINVAL out of order or out of zone; -ENOSPC; -ENOMEM; other negative errno. */
int zonedb_writer_node(struct zonedb_writer *writer, const uint8_t *owner,
                       const struct zonedb_rrset *rrsets, size_t rrset_count);

/* Add the NSEC3 RRset (and its RRSIG) whose owner's first label decodes to `hash`. */
int zonedb_writer_nsec3(struct zonedb_writer *writer, const uint8_t hash[20],
                        const struct zonedb_rrset *rrsets, size_t rrset_count);

/* End the zone: write its record, remove the former content.
 * Outcomes: 0; -EINVAL no SOA at the apex; -ENOSPC; other negative errno. */
int zonedb_writer_zone_end(struct zonedb_writer *writer, uint64_t loaded_s);

/* ---- a change in place: some owners of a zone, the others as they are ----
 *
 *     zonedb_writer_change_begin(writer, apex);
 *     for some owners, in any order:
 *         zonedb_writer_change_walk(writer, owner, visit, context);
 *         zonedb_writer_change_node(writer, owner, rrsets, rrset_count);
 *     zonedb_writer_change_end(writer, loaded_s);
 *     zonedb_writer_commit(writer);
 */

/* Begin to change zone `apex` (wire format, any case). Outcomes: how it is signed (enum
 * zonedb_signing, 0 and above); -ENOENT no such zone; other negative errno. */
int zonedb_writer_change_begin(struct zonedb_writer *writer, const uint8_t *apex);

/* Visit the RRsets of one owner as they are now, this change's doings included. Pointers are valid
 * during the call of `visit`, which must not write. Outcomes: 0; -ENOENT no such owner; what
 * `visit` returned; other negative errno. */
int zonedb_writer_change_walk(struct zonedb_writer *writer, const uint8_t *owner,
                              zonedb_visit *visit, void *context);

/* The same for the NSEC3 RRset of a hash; `visit` gets the hash as the owner. */
int zonedb_writer_change_walk_nsec3(struct zonedb_writer *writer, const uint8_t hash[20],
                                    zonedb_visit *visit, void *context);

/* Put these RRsets in place of all that the owner has, as in zonedb_writer_node(); none: remove the
 * owner. The names below it are told if it becomes, or ceases to be, a zone cut or DNAME: that
 * costs a write for each of them. `rrsets` must not point into the database.
 * Outcomes: 0; -EINVAL out of zone; -ENOSPC; -ENOMEM; other negative errno. */
int zonedb_writer_change_node(struct zonedb_writer *writer, const uint8_t *owner,
                              const struct zonedb_rrset *rrsets, size_t rrset_count);

/* The same for the NSEC3 RRset (and RRSIG) of a hash. */
int zonedb_writer_change_nsec3(struct zonedb_writer *writer, const uint8_t hash[20],
                               const struct zonedb_rrset *rrsets, size_t rrset_count);

/* One link of a denial chain: names in wire format, or for NSEC3 hashes of 20 octets. */
struct zonedb_near {
    uint8_t owner[255];
    uint8_t next[255];
};

/* The NSEC that is nearest before `owner`, or after it, in the ring of the zone's names; that of
 * `owner` itself only if there is no other. Outcomes: 1; 0 the zone has none; negative errno. */
int zonedb_writer_change_near(struct zonedb_writer *writer, const uint8_t *owner, bool is_after,
                              struct zonedb_near *near_out);

/* The same for NSEC3. */
int zonedb_writer_change_near_nsec3(struct zonedb_writer *writer, const uint8_t hash[20],
                                    bool is_after, struct zonedb_near *near_out);

/* End the change: write the zone's record. That a wildcard was there is not forgotten when the last
 * one is removed. Outcomes: as zonedb_writer_zone_end(). */
int zonedb_writer_change_end(struct zonedb_writer *writer, uint64_t loaded_s);

/* Remove a zone. Outcomes: 0; -ENOENT; -ENOSPC; other negative errno. */
int zonedb_writer_zone_remove(struct zonedb_writer *writer, const uint8_t *apex);

/* Serve a zone, or withhold it: then respond() answers as if it were not there, on every path. Loads
 * and changes leave the state as it is. Outcomes: 0; -ENOENT; -ENOSPC; other negative errno. */
int zonedb_writer_zone_state(struct zonedb_writer *writer, const uint8_t *apex,
                             enum zonedb_zone_state state);

/* Give the NS RRset at the apex of a zone, and its RRSIGs, the TTL nearest to the one that it has
 * between `ttl_min` and `ttl_max`. Outcomes: 0; -ENOENT no such zone; -ENOSPC; other negative
 * errno. */
int zonedb_writer_apex_ns_ttl(struct zonedb_writer *writer, const uint8_t *apex, uint32_t ttl_min,
                              uint32_t ttl_max);

/* From now on, no NS RRset at an apex gets into the database with a TTL above `cap_s`; those that are
 * there are cut. UINT32_MAX: any TTL, those that were cut stay as they are.
 * Outcomes: 0; -ENOSPC; other negative errno. */
int zonedb_writer_ns_ttl_cap(struct zonedb_writer *writer, uint32_t cap_s);

/* Make it all visible, on disk (synced) when this returns. Ends the writer in every case. */
int zonedb_writer_commit(struct zonedb_writer *writer);

/* Forget it all. Ends the writer. NULL is allowed. */
void zonedb_writer_abort(struct zonedb_writer *writer);

/* Double the map. No writer of this process may be active. Outcomes as of zonedb_remap(). */
int zonedb_grow(struct zonedb *db);

#endif
