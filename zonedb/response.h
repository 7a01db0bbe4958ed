/* SPDX-License-Identifier: BSD-2-Clause
 *
 * response.h - writing a response. Private to the room. Pure.
 *
 *     response_begin(&r, octets, limit, &query);
 *     response_add(&r, SECTION_ANSWER, owner, &rrset, TTL_AS_STORED);
 *     ...
 *     length = edns_end(...);        counts, TC, OPT and CHECKSUM
 *
 * An RRset goes in whole or not at all. The first one that does not fit sets `is_overflow`, after
 * which every add is a no-op. Sections must be written in their order.
 *
 * Names are compressed against all names written so far (RFC 1035 4.1.4) by a list of suffixes. An
 * entry is the offset of a label that stands in the message, and the offset of the suffix behind it
 * (0: the root), so that a suffix one label longer is found by comparing one label:
 *
 *     www.example.org   suffixes  {org, 0}  {example, org}  {www, example}
 *
 * Entries are in the order of writing, so that taking back the last ones is easy, and a word holds
 * all of a label that is worth comparing first: a list of some twenty is searched faster than a
 * hash is computed. The question's own are made when the first name is to be compressed: many
 * responses have none.
 */
#ifndef ZONEDB_RESPONSE_H
#define ZONEDB_RESPONSE_H

#include "zonedb/node.h"
#include "zonedb/query.h"

/* Farthest offset that a compression pointer reaches. */
#define POINTER_MAX 0x3fff
#define SUFFIX_COUNT_MAX 192
/* Compression pointers whose places are kept. */
#define POINTER_COUNT_MAX 160
/* Records of an RRset whose targets' places are kept. */
#define TARGETS_MAX 32

enum section {
    SECTION_ANSWER,
    SECTION_AUTHORITY,
    SECTION_ADDITIONAL,
};

struct response {
    uint8_t *octets;
    size_t limit; /* octets that header, question and records may take */
    size_t len;
    size_t question_end;
    uint16_t flags;
    uint16_t rcode; /* 12 bits */
    uint16_t rr_class;
    uint16_t count[3];
    enum section section; /* of the last record */
    bool is_overflow;
    enum section overflow_section; /* of what did not fit */
    /* Where the name in each record of the last compressible RRset stands, so that the owners of
     * its hosts' addresses need not be searched for. */
    const uint8_t *targets_of;       /* RDATA of that RRset; NULL: none */
    uint16_t target_at[TARGETS_MAX]; /* 0: not known */
    size_t needed;                   /* from this limit on, more would have gone in */
    bool has_suffixes;               /* those of the question are entered */
    unsigned suffix_count;
    unsigned pointer_count;                 /* more than POINTER_COUNT_MAX: not all are kept */
    uint16_t pointer_at[POINTER_COUNT_MAX]; /* where the compression pointers stand, ascending */
    /* Offset of the suffix behind << 16, length of the label << 8, its last octet but for case. */
    uint32_t suffix_mark[SUFFIX_COUNT_MAX];
    uint16_t suffix_at[SUFFIX_COUNT_MAX]; /* offset of the label */
};

/* An owner name: where it already stands in the message, or, if `at` is 0, the name itself. */
struct owner {
    const uint8_t *name;
    uint16_t at;
};

#define TTL_AS_STORED UINT32_MAX

/* Begin with header and question of `query` (no question if it has none). */
void response_begin(struct response *response, uint8_t *octets, size_t limit,
                    const struct query *query);

/* Add an RRset, TTL at most `ttl_max`. Returns false if its octets are not well-formed (nothing is
 * added); what does not fit is told by is_overflow. */
bool response_add(struct response *response, enum section section, struct owner owner,
                  const struct zonedb_rrset *rrset, uint32_t ttl_max);

/* The same for what may be left out: no overflow is set. */
bool response_add_optional(struct response *response, enum section section, struct owner owner,
                           const struct zonedb_rrset *rrset);

/* Where the name in record `index` of an RRset that was added stands in the message; 0: not
 * known. */
uint16_t response_target(const struct response *response, const struct zonedb_rrset *rrset,
                         unsigned index);

/* Forget all records; used when the response is truncated or has failed. */
void response_clear(struct response *response);

/* Write header fields; `arcount_more` records follow that are not counted (OPT). */
void response_header_write(struct response *response, unsigned arcount_more);

#endif
