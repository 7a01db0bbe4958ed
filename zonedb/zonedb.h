/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zonedb.h - open a zone database, look at one snapshot of it.
 *
 * A database is a directory with one LMDB environment. Any number of processes may have it open;
 * readers never wait for a writer nor a writer for readers. A `struct zonedb_view` is one snapshot:
 * what it shows does not change until zonedb_view_refresh().
 *
 *     zonedb_open(directory, ZONEDB_READ, &db, &error);
 *     zonedb_view_open(db, &view);                        one per thread
 *     for (;;) {
 *         receive a batch;
 *         zonedb_view_refresh(view);                      see what was committed meanwhile
 *         for each request: respond(view, ...);
 *         send the batch;
 *         zonedb_view_rest(view);                         before sleeping: do not pin old pages
 *     }
 *
 * System failures are negative errno values; two of them have a meaning of their own here:
 *   -EPROTO   the database was written by another version of the schema
 *   -EBADMSG  the database is damaged
 */
#ifndef ZONEDB_ZONEDB_H
#define ZONEDB_ZONEDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Schema of the database; a database of another number is refused. The layout is drawn in node.h.
 */
#define ZONEDB_SCHEMA_VERSION 2

struct zonedb;      /* an open environment; owned by who opened it; shared by threads */
struct zonedb_view; /* a snapshot; used by one thread at a time */

/* A sentence for people: what happened, to what, what to do. Always NUL-terminated. */
struct zonedb_error {
    char text[1024];
};

enum zonedb_mode {
    ZONEDB_READ,   /* must exist */
    ZONEDB_WRITE,  /* must exist */
    ZONEDB_CREATE, /* made (directory, mode 0755, and schema) when absent */
};

/* Open the database in `directory`. `db_out` is owned by the caller, until zonedb_close().
 * Outcomes: 0; -ENOENT nothing there; -EACCES; -EPROTO; -EBADMSG; -ENOMEM; -EDQUOT the disk is full;
 * other negative errno.
 * On failure *db_out is NULL and `error` (may be NULL) says what to do.
 * A process must not open the same directory twice (LMDB's locks are per process). */
int zonedb_open(const char *directory, enum zonedb_mode mode, struct zonedb **db_out,
                struct zonedb_error *error);

/* Close; every view and writer of it must be closed before. NULL is allowed. */
void zonedb_close(struct zonedb *db);

/* Open a view on the latest snapshot. Outcomes: 0; -EAGAIN too many readers (510); -ENOMEM.
 * A view has 2 MB for responses that it has rendered (template.h), touched only as they come.
 * May be called in any thread; the view may move between threads while nobody uses it. */
int zonedb_view_open(struct zonedb *db, struct zonedb_view **view_out);

/* Move to the latest snapshot. Every pointer obtained through the view dies.
 * Outcomes: 0 same snapshot as before; 1 a newer one; -ESTALE the database outgrew this process's
 * map (more than 1 TiB; see zonedb_remap()); other negative errno: the view shows nothing, and
 * respond() answers SERVFAIL, until a refresh succeeds. Costs well below a microsecond. */
int zonedb_view_refresh(struct zonedb_view *view);

/* Let go of the snapshot without closing: call before blocking for long, so that a writer can reuse
 * pages. The next call on this view must be zonedb_view_refresh() or zonedb_view_close(). */
void zonedb_view_rest(struct zonedb_view *view);

/* Number of the snapshot: grows by one with every commit. */
uint64_t zonedb_view_version(const struct zonedb_view *view);

/* When the latest commit was, in Unix time, by the data file's own clock (the first time after the
 * snapshot's, if there is a newer one already). Outcomes: 0; negative errno. Costs a system
 * call. */
int zonedb_view_committed(const struct zonedb_view *view, uint64_t *committed_s_out);

/* Close. NULL is allowed. */
void zonedb_view_close(struct zonedb_view *view);

/* After -ESTALE: map the database anew. Any thread; a view that is opened or refreshed meanwhile, in
 * another one, waits. Outcomes: 0; -EBUSY a view of this process is active, nothing is changed: have
 * all of them rest, and call again; other negative errno. */
int zonedb_remap(struct zonedb *db);

/* ---- zones ---- */

enum zonedb_signing {
    ZONEDB_UNSIGNED,
    ZONEDB_NSEC,
    ZONEDB_NSEC3,
};

enum zonedb_zone_state {
    ZONEDB_SERVING = 0,
    ZONEDB_EXPIRED = 1,
    ZONEDB_WITHHELD = 2,
};

/* What the database knows of a zone, host order. */
struct zonedb_zone {
    uint8_t apex[255]; /* wire format, lower case */
    uint8_t apex_len;
    uint32_t id; /* changes with every load */
    uint32_t serial;
    enum zonedb_zone_state state;
    enum zonedb_signing signing;
    bool has_wildcard; /* some owner has "*" as its first label */
    uint8_t nsec3_flags;
    uint16_t nsec3_iterations;
    uint8_t nsec3_salt_len;
    uint8_t nsec3_salt[255];
    uint64_t node_count;
    uint64_t record_count;
    uint64_t loaded_s; /* Unix time of the commit */
};

/* The first zone whose apex sorts after `after` in canonical order (NULL: the first of all).
 * Outcomes: 0 with *zone_out filled; -ENOENT no more; -EBADMSG. */
int zonedb_zone_next(struct zonedb_view *view, const uint8_t *after, struct zonedb_zone *zone_out);

/* The zone with exactly this apex (wire format, any case). Outcomes: 0; -ENOENT; -EBADMSG. */
int zonedb_zone_get(struct zonedb_view *view, const uint8_t *apex, struct zonedb_zone *zone_out);

/* One RRset as stored. The records are at `rdata`: rr_count times a two-octet big-endian length and
 * so many octets of uncompressed RDATA, in canonical order (RFC 4034 6.3). */
struct zonedb_rrset {
    uint16_t type;
    uint16_t rr_count;
    uint32_t ttl;
    const uint8_t *rdata;
    uint32_t rdata_len; /* octets at rdata, all records with their lengths */
};

/* One RRset of the zone with exactly this apex, zone cuts and glue too. `rrset_out` is valid as long
 * as the snapshot. Outcomes: 0; -ENOENT there is no such zone, owner or type; -EBADMSG. */
int zonedb_rrset_get(struct zonedb_view *view, const uint8_t *apex, const uint8_t *owner,
                     uint16_t type, struct zonedb_rrset *rrset_out);

/* The highest TTL that NS at an apex may have here (see store.h); UINT32_MAX: any.
 * Outcomes: 0; -EBADMSG; other negative errno. */
int zonedb_ns_ttl_cap(struct zonedb_view *view, uint32_t *cap_s_out);

/* Walk everything of a zone, in canonical order of owners, NSEC3 owners last.
 * Called once per RRset (RRSIGs come as an RRset of type 46 after what they cover).
 * `owner` is in wire format; pointers are valid during the call only. A value other than 0 from
 * `visit` ends the walk and is returned. Outcomes else: 0; -ENOENT no such zone; -EBADMSG. */
typedef int zonedb_visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset);
int zonedb_zone_walk(struct zonedb_view *view, const uint8_t *apex, zonedb_visit *visit,
                     void *context);

/* Commits whose changes are told. */
#define ZONEDB_CHANGES_KEPT 256
#define ZONEDB_CHANGES_UNKNOWN 1

/* What the commits after snapshot `since` touched, up to that of the view: `visit` is called for
 * each owner that was changed, added or removed (`owner` in wire format, lower case, valid during
 * the call), or whose records are no more, or again, hidden by a zone cut above them; or with NULL
 * for NSEC3 records of the zone, maybe several times; the apex's is among them if the SOA is. A value other than 0 from `visit` ends it and is returned. Outcomes else: 0,
 * nothing but these differs; ZONEDB_CHANGES_UNKNOWN, anything may differ (a zone was loaded or
 * removed, too much changed, too long ago, or by a program that keeps no such log); -EBADMSG. */
typedef int zonedb_changed(void *context, uint32_t zone_id, const uint8_t *owner);
int zonedb_view_changes(struct zonedb_view *view, uint64_t since, zonedb_changed *visit,
                        void *context);

/* Sizes of the whole database, for `lethe zone stat`. */
struct zonedb_stat {
    uint64_t map_octets;  /* address space reserved */
    uint64_t used_octets; /* pages in use, free list excluded */
    uint64_t file_octets; /* size of the data file */
    uint64_t zone_count;
    uint64_t node_count;
    uint64_t version;      /* of the latest snapshot */
    unsigned reader_count; /* open views of all processes */
};
int zonedb_stat(struct zonedb_view *view, struct zonedb_stat *stat_out);

/* Write a compacted copy of the latest snapshot into the existing empty directory `target`, while
 * others read and write. Outcomes: 0; negative errno. */
int zonedb_copy(struct zonedb *db, const char *target);

#endif
