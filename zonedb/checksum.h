/* SPDX-License-Identifier: BSD-2-Clause
 *
 * checksum.h - the CHECKSUM EDNS option (draft-muks-dnsop-dns-message-checksums), for servers and
 * clients.
 *
 * Two layouts exist; a request's OPTION-LENGTH tells them apart, a response uses its request's:
 *
 *              request   NONCE  ALGORITHM  DIGEST in the response
 *     -00           18      16          2  SHA-1, 20 octets (algorithm 1)
 *     -01, -02       9       8          1  SHA-256, 32 octets (algorithm 2), or SipHash-2-4-128,
 *                                          16 octets (experimental algorithm 240; its key is the
 *                                          nonce followed by 8 octets of zero)
 *
 * SHA-256 is of -02, which was never published but as its author's working copy; -01 has SHA-1 only,
 * and a client that knows no more must take our option for absent. checksum_verify() takes any of the
 * three in both layouts.
 *
 * The digest covers the whole message from the DNS header on, with the DIGEST field zero. A signature
 * (TSIG) covers the message with its digest, and cannot be in it: the digest is that of the message
 * without the TSIG record, ARCOUNT one less. The draft does not speak of it. So every
 * altered octet is found, but one: whoever makes the option unrecognisable (its code or length, OPT's
 * type, ALGORITHM, the counts in front of it) makes it absent. A client that knows that a server
 * has CHECKSUM should take absent for bad.
 *
 * Needs nothing else of Lethe: installed as <lethe/checksum.h>, with liblethe-checksum.a, which
 * needs nettle (pkg-config lethe-checksum).
 *
 * Pure; any thread.
 */
#ifndef ZONEDB_CHECKSUM_H
#define ZONEDB_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CHECKSUM_ALGORITHM_SHA1 1
#define CHECKSUM_ALGORITHM_SHA256 2
#define CHECKSUM_ALGORITHM_SIPHASH 240

enum checksum_layout {
    CHECKSUM_LAYOUT_00,
    CHECKSUM_LAYOUT_01,
};

/* Option data (after OPTION-LENGTH) of a request in `layout`; `nonce` has 16 or 8 octets. `out` has
 * room for 18. Returns 18 or 9. */
size_t checksum_request_write(enum checksum_layout layout, const uint8_t *nonce, uint8_t *out);

enum checksum_verdict {
    CHECKSUM_GOOD,    /* one option, our nonce, the digest is right */
    CHECKSUM_BAD,     /* wrong nonce or digest: discard the message, ask again over TCP */
    CHECKSUM_ABSENT,  /* none, several, unknown algorithm or shape: no protection was given */
    CHECKSUM_FORMERR, /* the message itself cannot be parsed: discard it */
};

/* Check a received response: `message_len` octets, not modified. `code` is the option's code point.
 */
enum checksum_verdict checksum_verify(const uint8_t *message, size_t message_len, uint16_t code,
                                      enum checksum_layout layout, const uint8_t *nonce);

#ifdef __cplusplus
}
#endif

#endif
