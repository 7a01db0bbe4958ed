/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_dump.h - a zone of the database as zone text.
 */
#ifndef ZONEDB_TEXT_DUMP_H
#define ZONEDB_TEXT_DUMP_H

#include "zonedb/zonedb.h"

/* Take `text_len` octets of text, whole lines. Returns 0; negative errno: the dump ends and returns
 * it. */
typedef int text_dump_write(void *context, const char *text, size_t text_len);

/* Write zone `apex` (wire format, any case) as text: absolute names, a TTL and class on each line,
 * the SOA first, then names in canonical order, NSEC3 owners last, RRSIGs behind what they cover.
 * Loading it gives the same content again: each line has been read back and compared before it is
 * written; what the type's own format cannot express is written in the form of RFC 3597.
 * The view must not be refreshed meanwhile. Outcomes: 0; -ENOENT no such zone; -EBADMSG the
 * database is damaged; -ENOMEM; what `write` returned. */
int text_dump(struct zonedb_view *view, const uint8_t *apex, text_dump_write *write, void *context);

#endif
