/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_tinydns.h - zones from a data file of tinydns-data.
 *
 * One file holds many zones: each name of a "." or "Z" line is the apex of one. A record is of the
 * zone whose apex is its owner or the closest above it. Lines, fields, escapes (\ooo) and defaults
 * are those of tinydns-data: TTLs of 259200 (NS), 2560 (SOA) and 86400; a SOA's serial is the time of
 * the file's last change; x without dot is x.ns.FQDN or x.mx.FQDN; text is cut into strings of 127
 * octets.
 *
 * What differs, because a zone is not a list of records:
 * - Time stamps are judged once, at `now_s`. A record out of its time is left out, one that will be
 *   has a TTL that ends with it (at most 3600, as tinydns sends it): both are warnings.
 * - A record for some clients only (a location) is an error; "%" lines alone do no harm.
 * - The first SOA of a name counts; another one of a "Z" line is a warning.
 * - A zone within another one of the file has its NS, and addresses of name servers in it, there as
 *   well: that is its delegation.
 * - A wildcard does not hold below names that exist (RFC 4592 3.3.1); tinydns answers with it there.
 *   One warning a zone.
 * - Malformed addresses, numbers and names are errors, where tinydns-data guesses.
 * - Records in no zone of the file are a warning, but for the PTRs of "=" lines and the addresses of
 *   name and mail servers. tinydns does not answer with them either.
 * All rules of text_load.h hold for each zone. One error anywhere refuses the file.
 */
#ifndef ZONEDB_TEXT_TINYDNS_H
#define ZONEDB_TEXT_TINYDNS_H

#include "zonedb/text_load.h"

/* The zones of one file. */
struct text_tinydns;

/* Read and check the zones of `file` ("-": standard input), or only the one with apex `apex` (wire
 * format, any case; NULL: all). `now_s`: Unix time. Of `options` message, progress, context and
 * is_thorough are used. Outcomes: 0 with *set_out, the caller's until text_tinydns_free(); -EINVAL
 * refused, the errors have been told; -ENOMEM. *counts_out (may be NULL) sums up in every case. */
int text_tinydns_read(const char *file, const uint8_t *apex, uint64_t now_s,
                      const struct text_options *options, struct text_tinydns **set_out,
                      struct text_counts *counts_out);

/* Same from `text_len` octets at `text`, which must stay until text_tinydns_free(); `name` stands for
 * the file's in messages, `serial` for its time. */
int text_tinydns_read_memory(const char *name, const char *text, size_t text_len, uint32_t serial,
                             const uint8_t *apex, uint64_t now_s,
                             const struct text_options *options, struct text_tinydns **set_out,
                             struct text_counts *counts_out);

/* The zones, in canonical order of their apexes, for text_zones_store(). Owned by the set. */
struct text_zone *const *text_tinydns_zones(const struct text_tinydns *set, size_t *count_out);

/* NULL is allowed. */
void text_tinydns_free(struct text_tinydns *set);

#endif
