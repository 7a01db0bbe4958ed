/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_change.h - change some records of a zone, in one transaction.
 *
 * A change is text, a line for each record, in any order:
 *
 *     ; comment
 *     - www 3600 IN A 192.0.2.1        this record goes
 *     + www 3600 IN A 192.0.2.2        this one comes
 *
 * Behind the sign stands a record as in a zone file, on one line, with an owner; relative names are
 * relative to the apex; there are no directives. All removals are made before all additions.
 * - A removed record must be there (its TTL does not matter, RFC 2136 3.4.2.4), an added one must
 *   not: a change made for another state of the zone is refused.
 * - An added record without TTL gets that of its RRset, or TEXT_TTL_DEFAULT.
 * - An added SOA takes the place of the one there is; its serial must be higher (RFC 1982). Without
 *   one the serial is raised by one.
 * - A zone signed with NSEC or NSEC3 is not signed here: what must be there, and is checked, is a
 *   new SOA; RRSIGs added for all authoritative RRsets that change; and a denial chain that is
 *   closed around each changed NSEC and NSEC3 (not that its bitmaps are right, nor that signatures
 *   verify: as in a load). A change from one kind of signing to another is a load.
 * - A ZONEMD (RFC 8976) is a digest of all of the zone. If there is one, a change must remove it; a
 *   new one is for a load.
 *
 * The zone as changed is held to the same rules as a loaded one (see text_load.h), at the names
 * that change and at those that they depend on.
 */
#ifndef ZONEDB_TEXT_CHANGE_H
#define ZONEDB_TEXT_CHANGE_H

#include "zonedb/text_load.h"

struct text_change_counts {
    uint64_t removed, added; /* records; without the SOA, where its serial is raised here */
    uint64_t owners;         /* that they stand at */
    uint64_t errors, warnings;
    uint32_t serial_before, serial_after;
    uint64_t wait_ns; /* for the database's lock */
};

/* Change zone `apex` (wire format, any case) of `db` as `file` says ("-": standard input). Nothing
 * is locked before the text has been read. No view of this process on `db` may be active. An empty
 * change changes nothing, the serial neither.
 * Outcomes: 0 visible and on disk; -EINVAL refused, the errors have been told; -ENOENT no such
 * zone; -ENOMEM; -ENOSPC/-EDQUOT/-EIO the disk; other negative errno: nothing has changed.
 * *counts_out (may be NULL) is filled in every case. */
int text_zone_change(const uint8_t *apex, const char *file, const struct text_options *options,
                     struct zonedb *db, uint64_t now_s, struct text_change_counts *counts_out);

/* The same from `text_len` octets at `text`; `name` stands for the file's in messages. */
int text_zone_change_memory(const uint8_t *apex, const char *name, const char *text,
                            size_t text_len, const struct text_options *options, struct zonedb *db,
                            uint64_t now_s, struct text_change_counts *counts_out);

#endif
