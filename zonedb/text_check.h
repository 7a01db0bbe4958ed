/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_check.h - what can be verified of a signed zone without private keys.
 */
#ifndef ZONEDB_TEXT_CHECK_H
#define ZONEDB_TEXT_CHECK_H

#include "zonedb/text_load.h"

/* Check a zone that has been read: if it has DNSKEYs at the apex, each authoritative RRset has an
 * RRSIG, each RRSIG is well-formed for its place (RFC 4035 2.2) and verifies with a DNSKEY of the
 * zone, each name has its NSEC or NSEC3 (opt-out respected, RFC 5155 7.1) with the right bitmap, DS
 * digests have the length of their type. Signatures that are not valid at `now_s` (Unix time) are
 * warnings. Algorithms that can be verified: 5, 7, 8, 10, 13, 14, 15 (RSA, ECDSA, Ed25519); others
 * are a warning each time that they are met first.
 * Outcomes: 0; -EINVAL errors have been told; -ENOMEM. */
int text_zone_check(struct text_zone *zone, uint64_t now_s);

#endif
