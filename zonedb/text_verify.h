/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_verify.h - DNSSEC signatures against the DNSKEYs of the zone. Private to the text files.
 */
#ifndef ZONEDB_TEXT_VERIFY_H
#define ZONEDB_TEXT_VERIFY_H

#include "zonedb/zonedb.h"

struct text_keys;

enum text_verdict {
    TEXT_SIGNATURE_GOOD,
    TEXT_SIGNATURE_BAD,
    TEXT_SIGNATURE_NO_KEY,  /* no DNSKEY of this tag and algorithm */
    TEXT_SIGNATURE_UNKNOWN, /* an algorithm that is not known here */
};

/* Take the keys of a DNSKEY RRset, which must stay. NULL: no memory. Owned by the caller. */
struct text_keys *text_keys_new(const struct zonedb_rrset *dnskeys);
void text_keys_free(struct text_keys *keys);

/* Verify one RRSIG (valid RDATA) of `rrset` at `owner` (lower case), RFC 4034 3.1.8.1. Validity
 * period, signer and labels are not looked at. Returns the verdict or -ENOMEM. */
int text_verify(struct text_keys *keys, const uint8_t *owner, const struct zonedb_rrset *rrset,
                const uint8_t *rrsig, size_t rrsig_len);

#endif
