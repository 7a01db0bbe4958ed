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
 *   zones     name key of the apex     zone record
 *   nodes     zone id, name key        node: one per owner that has records; none for empty
 *                                      non-terminals (the successor in key order reveals them)
 *   nsec3     zone id, 20-octet hash   RRsets: NSEC3 and its RRSIG
 *
 *   zone record
 *   +----+--------+-------+---------+-------+-------+--------+---------+--------+
 *   | id | serial | state | signing | flags | depth | nodes  | records | loaded |
 *   | 4  |   4    |   1   |    1    |   1   |   1   |   8    |    8    |   8    |
 *   +----+--------+-------+---------+-------+-------+--------+---------+--------+
 *   +-------------+----------+------------+------+------------------------------+
 *   | NSEC3 flags | salt len | iterations | salt | RRsets: SOA and its RRSIG,   |
 *   |      1      |    1     |     2      |      | so that a negative response  |
 *   +-------------+----------+------------+------+ need not fetch the apex node |
 *                                                +------------------------------+
 *   node
 *   +-------+-------+----------------+
 *   | flags | depth | RRsets ...     |      depth: labels of the topmost zone cut or DNAME owner
 *   |   1   |   1   |                |      at or above this node; 0 when there is none
 *   +-------+-------+----------------+
 *   RRset, sorted by type, each RRSIG RRset (type 46) behind the RRset that it covers
 *   +------+-------+-----+----------+----------------------------------+
 *   | type | count | TTL | data len | count x ( RDLENGTH 2, RDATA )    |
 *   |  2   |   2   |  4  |    4     |                                  |
 *   +------+-------+-----+----------+----------------------------------+
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

/* Node flags. */
#define NODE_CUT 1u      /* NS below the apex */
#define NODE_DNAME 2u    /* DNAME, and not a cut */
#define NODE_OCCLUDED 4u /* below a cut or a DNAME owner */
/* Zone flags. */
#define ZONE_HAS_WILDCARD 1u

#define ZONE_RECORD_FIXED_LEN 40
#define NODE_FIXED_LEN 2
#define RRSET_FIXED_LEN 12

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

/* A run of stored RRsets. Points into the database: valid as long as the snapshot. */
struct rrsets {
    const uint8_t *at;
    size_t len;
};

/* A node, parsed. `rrsets` is empty for an empty non-terminal. */
struct node {
    uint8_t flags;
    uint8_t depth;
    struct rrsets rrsets;
};

/* Take the first RRset off `rrsets`. Returns 1 and fills rrset_out, 0 at the end, -1 if the octets
 * are no RRsets. */
static inline int rrsets_next(struct rrsets *rrsets, struct zonedb_rrset *rrset_out)
{
    if (rrsets->len == 0)
        return 0;
    if (rrsets->len < RRSET_FIXED_LEN)
        return -1;
    const uint8_t *at = rrsets->at;
    size_t left = rrsets->len - RRSET_FIXED_LEN;
    rrset_out->type = load_be16(at);
    rrset_out->rr_count = load_be16(at + 2);
    rrset_out->ttl = load_be32(at + 4);
    rrset_out->rdata_len = load_be32(at + 8);
    rrset_out->rdata = at + RRSET_FIXED_LEN;
    if (rrset_out->rdata_len > left)
        return -1;
    rrsets->at = rrset_out->rdata + rrset_out->rdata_len;
    rrsets->len = left - rrset_out->rdata_len;
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

/* Parse a stored node. Returns false if the octets are none. */
static inline bool node_parse(const uint8_t *value, size_t value_len, struct node *node_out)
{
    if (value_len < NODE_FIXED_LEN)
        return false;
    *node_out =
        (struct node){value[0], value[1], {value + NODE_FIXED_LEN, value_len - NODE_FIXED_LEN}};
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
