/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_tinydns_line.h - lines of a tinydns-data file into records. Private to the text files.
 */
#ifndef ZONEDB_TEXT_TINYDNS_LINE_H
#define ZONEDB_TEXT_TINYDNS_LINE_H

#include "zonedb/text_zone.h"

/* Add the records of all lines of the first file of `source`, which is in memory. What is wrong with
 * lines is told. Each record's offset is that of its line. Outcomes: 0; -ENOMEM; -EOVERFLOW. */
int text_tinydns_lines(struct text_zone *source, uint32_t serial, uint64_t now_s);

#endif
