/* SPDX-License-Identifier: BSD-2-Clause
 *
 * judge.h - what the answer of a parent's server says of a delegation. Pure, but for memory.
 */
#ifndef TOOLS_AUDIT_JUDGE_H
#define TOOLS_AUDIT_JUDGE_H

#include "tools/audit/state.h"
#include "zonedb/zonedb.h"

#include <stddef.h>

#define AUDIT_WHY_MAX 400
/* Names of servers that are remembered of a delegation. */
#define AUDIT_NAMES_MAX 32

/* What the zone says of itself. */
struct audit_zone {
    uint8_t apex[255];
    struct zonedb_rrset servers; /* NS at the apex */
    struct zonedb_rrset keys;    /* DNSKEY; rr_count 0: none */
};

enum audit_verdict {
    AUDIT_VERDICT_FOUND,   /* `found` says what */
    AUDIT_VERDICT_ABOVE,   /* a referral to a zone between: ask there; `cut` is its name */
    AUDIT_VERDICT_USELESS, /* nothing that tells of the cut */
};

struct audit_names {
    unsigned count;
    uint8_t of[AUDIT_NAMES_MAX][255]; /* wire format */
};

struct audit_answer {
    enum audit_verdict verdict;
    enum audit_state found;
    uint32_t ttl;               /* of the parent's NS; 0: none */
    uint8_t cut[255];           /* of ABOVE */
    struct audit_names servers; /* that the parent delegates to */
    char why[AUDIT_WHY_MAX];    /* for people */
};

/* Judge the response to the question for the zone's NS, without recursion and with DO. `octets`: a
 * message of 12 to 65535 octets, which may mean harm. `above`: the zone that the server was asked as
 * an authority of (wire format; NULL: any above the zone). */
void audit_judge(const struct audit_zone *zone, const uint8_t *above, const uint8_t *octets,
                 size_t len, struct audit_answer *answer_out);

/* The same of the NS and DS that a zone above has of the cut in our own database; `ds` may be NULL. */
void audit_judge_own(const struct audit_zone *zone, const struct zonedb_rrset *servers,
                     const struct zonedb_rrset *ds, struct audit_answer *answer_out);

/* Is this one whole uncompressed name? RDATA of no octets is none. */
bool audit_is_name(const uint8_t *octets, size_t len);

/* Fits a DS (RFC 4034 5.1.4) one of the zone's keys? 1; 0; -1: its digest is of an unknown type. */
int audit_ds_fits(const struct audit_zone *zone, const uint8_t *ds, size_t ds_len);

#endif
