/* SPDX-License-Identifier: BSD-2-Clause
 *
 * digest.h - the CHECKSUM option's digest, for who writes one. Private to the room. Pure.
 */
#ifndef ZONEDB_DIGEST_H
#define ZONEDB_DIGEST_H

#include "zonedb/checksum.h"

/* Octets of NONCE and ALGORITHM. */
size_t digest_head_len(enum checksum_layout layout);

/* Octets of DIGEST; 0 for an unknown algorithm. */
size_t digest_len(uint16_t algorithm);

/* Fill in option data at `data`, which lies in `message` (message_len octets, complete but for
 * this): nonce, algorithm, and the digest over the message with DIGEST zero. */
void digest_fill(enum checksum_layout layout, uint8_t algorithm, const uint8_t *nonce,
                 const uint8_t *message, size_t message_len, uint8_t *data);

#endif
