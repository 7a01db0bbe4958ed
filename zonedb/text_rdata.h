/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_rdata.h - the shape of RDATA by type, its canonical form (RFC 4034 6.2). Pure.
 */
#ifndef ZONEDB_TEXT_RDATA_H
#define ZONEDB_TEXT_RDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_RDATA_MAX 65535

/* Is the RDATA well-formed for its type? Types without a known shape always are. */
bool text_rdata_is_valid(uint16_t type, const uint8_t *rdata, size_t rdata_len);

/* Types that are never data (RFC 6895 3.1). */
bool text_type_is_meta(uint16_t type);

/* Copy valid RDATA in canonical form (names of RFC 4034 6.2 as amended by RFC 6840 5.1 in lower
 * case); same length. `out` has room for rdata_len octets. */
void text_rdata_canonical(uint16_t type, const uint8_t *rdata, size_t rdata_len, uint8_t *out);

/* Canonical order (RFC 4034 6.3) of two valid RDATA: negative, 0 (the same record), positive. */
int text_rdata_compare(uint16_t type, const uint8_t *a, size_t a_len, const uint8_t *b,
                       size_t b_len);

#endif
