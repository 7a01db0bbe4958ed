/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_load.h - zone text (RFC 1035 5, RFC 3597) into the database.
 *
 *     text_zone_read(apex, "example.zone", &options, &zone);    parse, sort, check: no lock is held
 *     text_zone_check(zone, now_s);                             optional: DNSSEC, see text_check.h
 *     text_zone_store(zone, db, now_s);                         one write transaction
 *     text_zone_free(zone);
 *
 * All that is wrong is told through options.message, with file, line and column; nothing is printed
 * here. A zone of which one error was told is never stored.
 *
 * Errors (the zone is refused):
 *   syntax; $INCLUDE that cannot be read, includes itself, or is nested deeper than
 *   TEXT_INCLUDE_DEPTH; names outside of the zone; a class other than IN; meta types (OPT and
 *   128-255, RFC 6895 3.1); TTL above 2^31-1 (RFC 2181 8); malformed RDATA of a known type, also in
 *   the generic form of RFC 3597; no SOA, several SOAs, a SOA below the apex; no NS at the apex;
 *   CNAME beside other data (RFC 2181 10.1), several CNAMEs or DNAMEs at a name; NSEC3 that is not
 *   a base32hex SHA-1 hash right below the apex, or not of the parameters in NSEC3PARAM; a broken
 *   NSEC or NSEC3 chain; a ZONEMD that does not match (RFC 8976).
 *   DEVIATES from servers that skip out-of-zone data with a warning: such data is a typing error
 *   more often than not, and what is served should be what is in the file.
 * Warnings (loaded all the same):
 *   TTLs that differ within an RRset (the lowest is taken, RFC 2181 5.2); an in-domain name server
 *   without address; data below a DNAME (RFC 6672 2.4); an RRSIG that covers nothing (left out);
 *   ZONEMD of an unknown scheme or hash; NSEC3PARAM at an apex too long for NSEC3 owners.
 * Records that occur twice (RFC 2181 5) are taken once.
 *
 * Threads: a text_zone belongs to one thread at a time; there is no other state.
 */
#ifndef ZONEDB_TEXT_LOAD_H
#define ZONEDB_TEXT_LOAD_H

#include "zonedb/zonedb.h"

#define TEXT_INCLUDE_DEPTH 16
/* Errors told of one zone; reading ends after so many. */
#define TEXT_ERRORS_MAX 20
/* Warnings told of one zone; further ones are only counted. */
#define TEXT_WARNINGS_MAX 20
/* TTL of records without one in a file without $TTL. */
#define TEXT_TTL_DEFAULT 3600

/* Memory for records before they are spilled. */
#define TEXT_MEMORY_DEFAULT ((size_t)256 << 20)

enum text_severity {
    TEXT_ERROR,
    TEXT_WARNING,
};

/* One message. Strings are valid during the call only. */
struct text_message {
    enum text_severity severity;
    const char *file;
    uint64_t line;   /* from 1; 0: the message is about the file as a whole */
    uint64_t column; /* from 1, in octets */
    const char *text;
};

enum text_phase {
    TEXT_READING,   /* done and total in octets of the file (total 0: not known) */
    TEXT_CHECKING,  /* in owners */
    TEXT_VERIFYING, /* in owners: signatures */
    TEXT_WRITING,   /* in owners */
};

/* What reads text. It takes longer to set up than a small zone to read. */
struct text_scanner;

/* NULL: no memory. */
struct text_scanner *text_scanner_new(void);

/* NULL is allowed. */
void text_scanner_free(struct text_scanner *scanner);

struct text_options {
    void (*message)(void *context, const struct text_message *message); /* may be NULL */
    void (*progress)(void *context, enum text_phase phase, uint64_t done, uint64_t total);
    /* Of a change that was made: a delegation has lost all of the name servers that it had, whose NS had
     * this TTL; `is_gone`: it has no others either. NULL: not to be told. */
    void (*moved)(void *context, const uint8_t *cut, uint32_t ttl, bool is_gone);
    void *context;
    const char *spill_directory; /* where records go that memory_octets do not hold; NULL: nowhere,
                                    all are held */
    /* Called when a zone whose text is in canonical order outgrows memory: the database that
     * text_zone_store() will be given, so that it is written while the text is read, and locked so
     * long; NULL: it is not to be. */
    struct zonedb *(*database)(void *context);
    struct text_scanner *scanner; /* used for this zone, and then free for another; NULL: one of its
                                     own */
    size_t memory_octets;         /* for records, with a spill_directory; 0: TEXT_MEMORY_DEFAULT */
    bool is_thorough; /* also the warnings that cost look-ups: targets that are CNAMEs, occluded
                         data, sibling name servers without address */
};

struct text_counts {
    uint64_t octets;     /* text read, all files */
    uint64_t records;    /* without those that occur twice */
    uint64_t duplicates; /* left out */
    uint64_t owners;
    uint64_t errors;
    uint64_t warnings;
    uint64_t signatures; /* RRSIGs verified by text_zone_check() */
    bool is_zonemd_verified;
};

struct text_zone;

/* Read and check zone `apex` (wire format, any case) from `file` ("-": standard input).
 * Outcomes: 0 with *zone_out, owned by the caller until text_zone_free(); -EINVAL refused, the
 * errors have been told; -ENOMEM. *counts_out (may be NULL) is filled in every case. */
int text_zone_read(const uint8_t *apex, const char *file, const struct text_options *options,
                   struct text_zone **zone_out, struct text_counts *counts_out);

/* Same from `text_len` octets at `text`, which must stay until text_zone_free(). $INCLUDE is an
 * error here. `name` stands for the file's name in messages. */
int text_zone_read_memory(const uint8_t *apex, const char *name, const char *text, size_t text_len,
                          const struct text_options *options, struct text_zone **zone_out,
                          struct text_counts *counts_out);

/* Write the zone in place of the one that the database has under this apex: all or nothing, readers
 * see the one or the other. Waits for another writer to end. No view of this process on `db` may be
 * active (the map may have to grow). `loaded_s`: the Unix time to record.
 * Of a zone that was spilled, the rules are tried here: -EINVAL refused, the errors have been told.
 * Outcomes else: 0; -ENOSPC/-EDQUOT/-EIO the disk; other negative errno: nothing has changed. */
int text_zone_store(struct text_zone *zone, struct zonedb *db, uint64_t loaded_s);

/* The same for several zones in one transaction: readers see all of them at once. Of zones with the
 * same apex the last one stays. */
int text_zones_store(struct text_zone *const *zones, size_t count, struct zonedb *db,
                     uint64_t loaded_s);

/* What has been counted so far. Valid as long as the zone. */
const struct text_counts *text_zone_counts(const struct text_zone *zone);

/* Its apex: wire format, lower case. Valid as long as the zone. */
const uint8_t *text_zone_apex(const struct text_zone *zone);

/* Serial of the SOA. */
uint32_t text_zone_serial(const struct text_zone *zone);

/* NULL is allowed. */
void text_zone_free(struct text_zone *zone);

#endif
