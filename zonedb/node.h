/* SPDX-License-Identifier: BSD-2-Clause
 *
 * node.h - what the database holds, octet by octet. Private to the room.
 *
 * All numbers are big-endian. Names are in wire format, uncompressed; "name key" as in name.h.
 *
 *   database  key                      value
 *   meta      "schema"                 4 octets: ZONEDB_SCHEMA_VERSION
 *             "next-zone-id"           4 octets: the id that the next load will use
 *             "change", 8-octet        what that commit touched: 1 octet, 1 = everything; 0 = these
 *             version                  owners: zone id, 2-octet length of name key (65535: an
 *                                      NSEC3, no key follows), name key; of the last 256 commits
 *             "ns-ttl-cap"             4 octets: the highest TTL of NS at an apex, if there is a limit
 *   zones     name key of the apex     zone record
 *   nodes     zone id, name key        block of nodes, the last of which has this key
 *   nsec3     zone id, 20-octet hash   RRsets: NSEC3 and its RRSIG
 *
 *   zone record
 *   +----+-------+--------+-------+---------+   +-------+----------+------------+------+
 *   | id | flags | loaded | nodes | records |...| flags | salt len | iterations | salt |...
 *   | 4  |   1   | number |number | number  |   |   1   |    1     |     2      |      |
 *   +----+-------+--------+-------+---------+   +-------+----------+------------+------+
 *      +--------+------+   +-------+                      if it is signed with NSEC3
 *   ...| length | next |...| block |    next: if there are more blocks, the key of the first node in
 *      | number |      |   |       |    them, behind that of the apex; block: the zone's first, from
 *      +--------+------+   +-------+    its apex on
 *
 *   number: seven bits an octet, the lowest first; the highest bit says that more octets follow
 *
 *   block: some neighbours in key order, as many as fit BLOCK_ROOM; a small zone is one block. There
 *   is a node for each owner that has records; none for empty non-terminals (the successor in key
 *   order reveals them).
 *   +-----+--------+------------+--------+--------+------+--------+-----
 *   | TTL | shared | suffix len | length | suffix | node | shared | ...     length: of the node
 *   |  4  |   1    |   number   | number |        |      |   1    |
 *   +-----+--------+------------+--------+--------+------+--------+-----
 *   The node's name key is `shared` octets of the key before it, then the suffix. Before the first
 *   one is the key of the apex.
 *
 *   node
 *   +------+------------+     place: NODE_PLAIN, NODE_CUT, NODE_DNAME, or NODE_OCCLUDED and the
 *   | place| RRsets ... |     labels of the topmost zone cut or DNAME owner above
 *   |  1   |            |
 *   +------+------------+
 *   RRset, sorted by type, each RRSIG RRset (type 46) behind the RRset that it covers
 *   +------+--------+-------+-----+--------+----------------------------------+
 *   | form |  type  | count | TTL | length | count x ( RDLENGTH 2, RDATA )    |
 *   |  1   | 1 or 2 |0 or 2 |0, 4 | number |                                  |
 *   +------+--------+-------+-----+--------+----------------------------------+
 *   form: bit 0, two octets of type; bit 1, a TTL: else it is that of the RRset before, and of the
 *   block for the first; bits 3 to 7, the count, or 0 if it does not fit
 *
 * A load writes under a new zone id, the highest so far, so that both databases are appended to;
 * the former id's content is deleted in the same transaction.
 */
#ifndef ZONEDB_NODE_H
#define ZONEDB_NODE_H

#include "zonedb/zonedb.h"

#include <assert.h>
#include <string.h>

#define ZONE_ID_LEN 4
#define NSEC3_HASH_LEN 20

/* Where a node stands. */
#define NODE_PLAIN 0u
#define NODE_CUT 1u         /* NS below the apex */
#define NODE_DNAME 2u       /* DNAME, and not a cut */
#define NODE_OCCLUDED 0x80u /* below a cut or a DNAME owner; the other bits: its labels */
/* Zone flags; the lowest two are enum zonedb_zone_state, the next two enum zonedb_signing. */
#define ZONE_STATE_MASK 3u
#define ZONE_SIGNING_SHIFT 2
#define ZONE_HAS_WILDCARD 0x10u
#define ZONE_HAS_NEXT 0x20u

/* RRset form. */
#define RRSET_HAS_WIDE_TYPE 1u
#define RRSET_HAS_TTL 2u
#define RRSET_COUNT_SHIFT 3
#define RRSET_COUNT_MAX 31

/* LMDB's page of 4096 octets, less its header, holds four such entries: key, value, and what LMDB
 * needs for itself. Larger blocks fill pages better, smaller ones are searched faster. */
#define BLOCK_ROOM 510
#define BLOCK_ENTRY_LEN 10
#define BLOCK_TTL_LEN 4
#define BLOCK_SHARED_MAX 255

enum rr_type {
    RR_A = 1,
    RR_NS = 2,
    RR_MD = 3,
    RR_MF = 4,
    RR_CNAME = 5,
    RR_SOA = 6,
    RR_MB = 7,
    RR_MG = 8,
    RR_MR = 9,
    RR_PTR = 12,
    RR_MINFO = 14,
    RR_MX = 15,
    RR_TXT = 16,
    RR_AAAA = 28,
    RR_SRV = 33,
    RR_DNAME = 39,
    RR_OPT = 41,
    RR_DS = 43,
    RR_RRSIG = 46,
    RR_NSEC = 47,
    RR_DNSKEY = 48,
    RR_NSEC3 = 50,
    RR_NSEC3PARAM = 51,
    RR_SVCB = 64,
    RR_HTTPS = 65,
    RR_TSIG = 250,
    RR_IXFR = 251,
    RR_AXFR = 252,
    RR_ANY = 255,
};

enum rr_class {
    CLASS_IN = 1,
    CLASS_CH = 3,
    CLASS_ANY = 255,
};

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t load_be64(const uint8_t *p)
{
    return (uint64_t)load_be32(p) << 32 | load_be32(p + 4);
}

static inline void store_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void store_be32(uint8_t *p, uint32_t value)
{
    store_be16(p, (uint16_t)(value >> 16));
    store_be16(p + 2, (uint16_t)value);
}

static inline void store_be64(uint8_t *p, uint64_t value)
{
    store_be32(p, (uint32_t)(value >> 32));
    store_be32(p + 4, (uint32_t)value);
}

/* Take a number off the octets from *at to `end`. Returns false if there is none. */
static inline bool number_get(const uint8_t **at, const uint8_t *end, uint64_t *number_out)
{
    uint64_t number = 0;
    for (unsigned shift = 0; *at < end && shift < 63; shift += 7) {
        uint8_t octet = *(*at)++;
        number |= (uint64_t)(octet & 0x7f) << shift;
        if (octet < 0x80) {
            *number_out = number;
            return true;
        }
    }
    return false;
}

/* A run of stored RRsets. Points into the database: valid as long as the snapshot. */
struct rrsets {
    const uint8_t *at;
    size_t len;
    uint32_t ttl; /* of the next one, if it has none of its own */
};

/* A node, parsed. `rrsets` is empty for an empty non-terminal. */
struct node {
    uint8_t place;
    struct rrsets rrsets;
};

/* Octets of type, count and TTL. */
static inline size_t rrset_fixed_len(unsigned form)
{
    return 1u + (form & RRSET_HAS_WIDE_TYPE) + 2u * (form & RRSET_HAS_TTL) +
           (form >> RRSET_COUNT_SHIFT == 0 ? 2u : 0u);
}

/* Read what stands before the records of an RRset: all of rrset_out but `rdata` and `rdata_len`, the
 * number of their octets, and the TTL that holds from now on. Returns their place, NULL if the octets
 * are no RRset. Called for what rrsets_next() does not read itself. */
const uint8_t *rrset_head(const uint8_t *at, const uint8_t *end, struct zonedb_rrset *rrset_out,
                          uint32_t *ttl, uint64_t *len_out);

/* Take the first RRset off `rrsets`. Returns 1 and fills rrset_out, 0 at the end, -1 if the octets
 * are no RRsets. */
static inline int rrsets_next(struct rrsets *rrsets, struct zonedb_rrset *rrset_out)
{
    const uint8_t *at = rrsets->at, *end = at + rrsets->len;
    uint64_t len;
    if (at == end)
        return 0;
    unsigned form = at[0];
    if (end - at >= 8 && (form & RRSET_HAS_WIDE_TYPE) == 0 && form >> RRSET_COUNT_SHIFT != 0) {
        rrset_out->type = at[1];
        rrset_out->rr_count = (uint16_t)(form >> RRSET_COUNT_SHIFT);
        at += 2;
        if ((form & RRSET_HAS_TTL) != 0) {
            rrsets->ttl = load_be32(at);
            at += 4;
        }
        if (*at < 0x80)
            len = *at++;
        else if (!number_get(&at, end, &len))
            return -1;
    } else if ((at = rrset_head(at, end, rrset_out, &rrsets->ttl, &len)) == NULL) {
        return -1;
    }
    if (len > (uint64_t)(end - at))
        return -1;
    rrset_out->ttl = rrsets->ttl;
    rrset_out->rdata = at;
    rrset_out->rdata_len = (uint32_t)len;
    rrsets->at = at + len;
    rrsets->len = (size_t)(end - rrsets->at);
    return 1;
}

/* Find the RRset of `type` and the RRSIGs behind it (rr_count 0 when there are none; sigs_out may
 * be NULL). For RRSIGs themselves walk with rrsets_next(). Returns 1 found, 0 not, -1 no RRsets. */
static inline int rrsets_find(struct rrsets rrsets, uint16_t type, struct zonedb_rrset *rrset_out,
                              struct zonedb_rrset *sigs_out)
{
    int status;
    while ((status = rrsets_next(&rrsets, rrset_out)) == 1) {
        if (rrset_out->type != type)
            continue;
        if (sigs_out != NULL) {
            struct zonedb_rrset next;
            *sigs_out = (struct zonedb_rrset){.rr_count = 0};
            if (rrsets_next(&rrsets, &next) == 1 && next.type == RR_RRSIG && next.rdata_len >= 4 &&
                load_be16(next.rdata + 2) == type)
                *sigs_out = next;
        }
        return 1;
    }
    return status;
}

/* Records of an RRset, one after the other. */
struct rdata_cursor {
    const uint8_t *at;
    size_t len;
    unsigned rr_left;
};

static inline struct rdata_cursor rdata_begin(const struct zonedb_rrset *rrset)
{
    return (struct rdata_cursor){rrset->rdata, rrset->rdata_len, rrset->rr_count};
}

/* Returns 1 and the next RDATA, 0 at the end, -1 if the octets are no records. */
static inline int rdata_next(struct rdata_cursor *cursor, const uint8_t **rdata_out,
                             uint16_t *rdata_len_out)
{
    if (cursor->rr_left == 0)
        return cursor->len == 0 ? 0 : -1;
    if (cursor->len < 2)
        return -1;
    uint16_t rdata_len = load_be16(cursor->at);
    if (rdata_len > cursor->len - 2)
        return -1;
    *rdata_out = cursor->at + 2;
    *rdata_len_out = rdata_len;
    cursor->at += 2u + rdata_len;
    cursor->len -= 2u + rdata_len;
    cursor->rr_left--;
    return 1;
}

/* Parse a stored node; `ttl`: its block's. Returns false if the octets are none. */
static inline bool node_parse(const uint8_t *octets, size_t len, uint32_t ttl,
                              struct node *node_out)
{
    if (len < 1)
        return false;
    *node_out = (struct node){octets[0], {octets + 1, len - 1, ttl}};
    return true;
}

/* Where names stand in the RDATA of a type, as far as a server must know: `prefix_len` octets, then
 * `name_count` names, then `suffix_len` octets (or anything, when it is RDATA_REST). */
#define RDATA_REST 0xff
struct rdata_shape {
    uint8_t prefix_len;
    uint8_t name_count;
    uint8_t suffix_len;
    bool is_compressible; /* RFC 3597 4: only the types of RFC 1035 */
};

/* The shape of a type's RDATA; name_count 0 for types whose RDATA holds no name of interest. */
static inline struct rdata_shape rdata_shape(uint16_t type)
{
    switch (type) {
    case RR_NS:
    case RR_MD:
    case RR_MF:
    case RR_CNAME:
    case RR_MB:
    case RR_MG:
    case RR_MR:
    case RR_PTR:
        return (struct rdata_shape){0, 1, 0, true};
    case RR_SOA:
        return (struct rdata_shape){0, 2, 20, true};
    case RR_MINFO:
        return (struct rdata_shape){0, 2, 0, true};
    case RR_MX:
        return (struct rdata_shape){2, 1, 0, true};
    case RR_SRV:
        return (struct rdata_shape){6, 1, 0, false};
    case RR_DNAME:
        return (struct rdata_shape){0, 1, 0, false};
    case RR_SVCB:
    case RR_HTTPS:
        return (struct rdata_shape){2, 1, RDATA_REST, false};
    default:
        return (struct rdata_shape){0, 0, RDATA_REST, false};
    }
}

#endif
