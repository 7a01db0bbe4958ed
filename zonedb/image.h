/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image.h - zones compiled for answering: the layout, octet by octet.
 *
 * What most clients of a zone of delegations get is a referral or NXDOMAIN. Both depend on a suffix
 * of the name asked for alone (template.h tells why): on the zone cut, or on the apex. An image
 * holds all of them of a snapshot, rendered, behind a hash directory: two or three cold cache lines
 * to an answer. So it does RRsets that are asked for by their type, as far as there is room.
 * It is memory only: made of the database and thrown away; the database is the truth. Whatever an
 * image does not hold climbs: respond() answers it.
 *
 *     pages of IMAGE_PAGE_LEN octets; no block crosses from one to the next
 *     +------+--------------------------+-------------------------+---+--------+--------+---
 *     | head | some buckets of          | more buckets and blocks |...| filter | blocks |...
 *     |      | IMAGE_WAYS entries, and  |                         |   |        |        |
 *     |      | blocks of their names    |                         |   |        |        |
 *     +------+--------------------------+-------------------------+---+--------+--------+---
 *              pages of the directory                                            what found no
 *                                                                                room there
 *     entry: fingerprint (24 bits of the hash) | place (40 bits, in units of 16 octets); 0: none
 *
 *     block  | struct image_block | name | places of pointers | octets of body 0 | of body 1 |
 *            the name in wire format, lower case; the places (in order) two octets each, counted
 *            from the body's begin, at an even octet; equal bodies stand there once
 *
 * There is a block for each apex and each cut right below it, in its bucket's page as far as that
 * goes: another page costs about as much as another cache line. image_bucket(), image_bucket_page()
 * and image_bucket_at() tell where the bucket of a hash is. No two entries of a bucket, and of where it
 * goes on, have the same fingerprint; names that would climb.
 *
 * LOOK-UP. The deepest apex of the image at or above the name asked for; then the name one label
 * longer than that apex. If its bit in the filter is 0, it does not exist: for most of those that
 * do not, that is the end, at no cold cache line, as the filter is small. The directory has every
 * name of the zone of that depth, empty non-terminals and ancestors of apexes of other zones served
 * included: either a cut, whose block holds the referral, or IMAGE_PLACE_CLIMB (or a block without
 * bodies). So what is not there does not exist, and the apex's block holds the NXDOMAIN. A bucket
 * that could not take all of its names goes on elsewhere: its last entry, of fingerprint 0, has
 * IMAGE_PLACE_MORE and the place of one more bucket. Where that one is full too, IMAGE_PLACE_FULL
 * is in the last entry: what is not found there climbs.
 *
 * RRSETS. There is a block for each RRset of a name, found by the whole name and the type, of a zone
 * cut in a signed zone for DS; and one of type 0, without bodies, for each name whose RRsets are there: for types that it has not the
 * answer is the apex's body with RCODE 0, unless the name is an alias or the zone proves what is not
 * there. An alias has blocks of addresses too, with those of its target, if that is not in another
 * zone of ours. They are looked for where a name is an apex, or where the name one label longer has
 * no body, or is a cut that is asked for DS. What is not there climbs. An answer that does not fit, and has nothing but answer records,
 * is truncated to none.
 *
 * ANSWER. Header and question as they came (with the flags and counts of the body), the body, and
 * OPT if the request had one. The compression pointers in the body were written as if the
 * question's name were the block's; each is moved by as much as the question's name is longer. A
 * question whose next label is, by its octet of image_label_mark(), one of the body's labels right
 * below the suffix would be compressed better by respond(): it climbs. So does what would not fit.
 *
 * Where a block is changed, a new one is written beside it, and the entry is exchanged in one
 * store; the old one's room is used again when nobody can be reading it any more. All numbers in
 * host order, except inside bodies. Compiled for BPF and for the host alike. Pure.
 */
#ifndef ZONEDB_IMAGE_H
#define ZONEDB_IMAGE_H

#include <stdint.h>

#define IMAGE_PAGE_LEN 4096u
#define IMAGE_UNIT_LEN 16u
#define IMAGE_WAYS 8u
/* Buckets of a page of the directory, at most, as a power of two. */
#define IMAGE_BUCKET_SHIFT_MAX 6u
#define IMAGE_FINGERPRINT_SHIFT 40
#define IMAGE_PLACE_MASK ((UINT64_C(1) << IMAGE_FINGERPRINT_SHIFT) - 1)

/* Places that are no block's. */
#define IMAGE_PLACE_CLIMB 1u
#define IMAGE_PLACE_FULL 2u
#define IMAGE_PLACE_MORE (UINT64_C(1) << 39)

/* Apexes with more labels have no block. */
#define IMAGE_APEX_LABELS_MAX 8u
/* What a page has room for, but for names that are unusually long. */
#define IMAGE_BODY_MAX 4016u
#define IMAGE_POINTERS_MAX 64u
#define IMAGE_CHILDREN_MAX 8u

enum image_kind {
    IMAGE_APEX = 1,  /* bodies: NXDOMAIN */
    IMAGE_CUT = 2,   /* bodies: the referral */
    IMAGE_RRSET = 3, /* bodies: the answer with all of a type; type 0: none, see RRSETS */
};

/* What a block tells besides. */
#define IMAGE_HAS_WILDCARD 1u /* APEX: what does not exist right below it climbs */
#define IMAGE_HAS_ALIAS 2u    /* RRSET, type 0: types that are not there climb */

/* Page 0. */
struct image_head {
    uint64_t version;  /* of the snapshot that the image is equal to; 0: none, all climbs */
    uint64_t until_ns; /* CLOCK_MONOTONIC: who can't ask for the version believes it until then */
    uint32_t bucket_mask;  /* buckets, a power of two, less one */
    uint32_t apex_depths;  /* bit n: there is an apex of n labels */
    uint16_t udp_payload;  /* our limit over UDP, and what OPT tells */
    uint16_t bucket_shift; /* log2 of the buckets of a page of the directory */
    uint16_t generation;   /* another one as soon as the image is being made anew */
    uint16_t zero;
    uint32_t filter_page; /* 0: there is no filter */
    uint32_t filter_mask; /* its bits, a power of two, less one */
};

struct image_body {
    uint16_t at;  /* octets from the block's begin */
    uint16_t len; /* 0: climbs */
    uint16_t pointers_at;
    uint8_t pointer_count;
    uint8_t pointer_odd_count; /* of these, so many at odd places of the body */
    uint16_t flags;            /* AA and RCODE, as in a DNS header */
    uint16_t sum;     /* of the body (RFC 1071), in pairs from its first octet, as in memory */
    uint8_t count[3]; /* records in the sections */
    uint8_t zero;
};

struct image_block {
    uint8_t kind;
    uint8_t name_len;
    uint8_t label_count; /* without the root's */
    uint8_t flags;
    uint16_t type; /* of an RRset */
    uint8_t zeros[2];
    uint8_t children[IMAGE_CHILDREN_MAX]; /* image_label_mark() of each; 0: none */
    struct image_body body[2];            /* [0] DO clear, [1] DO set */
};

/* What a block is of, besides the name. */
static inline uint32_t image_what(enum image_kind kind, uint16_t type)
{
    return (uint32_t)kind | (uint32_t)type << 8;
}

/* The hash of a name is that of its words: eight octets each, of the wire format in lower case, as
 * read on a little-endian machine, the last one filled with zeros. Begin with image_what(). */
static inline uint64_t image_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static inline uint64_t image_bucket(uint64_t hash, uint32_t bucket_mask)
{
    return hash & bucket_mask;
}

/* The page that a bucket is in, and its octet there. */
static inline uint64_t image_bucket_page(uint64_t bucket, uint32_t bucket_shift)
{
    return 1 + (bucket >> (bucket_shift & 7));
}

static inline uint32_t image_bucket_at(uint64_t bucket, uint32_t bucket_shift)
{
    uint32_t in_page = (uint32_t)bucket & ((1u << (bucket_shift & 7)) - 1);
    return (in_page & ((1u << IMAGE_BUCKET_SHIFT_MAX) - 1)) * 8u * IMAGE_WAYS;
}

/* The bit of a hash in the filter: its page, and its place there (octet times 8 and bit). */
#define IMAGE_FILTER_PAGE_BITS (8u * IMAGE_PAGE_LEN)
static inline uint32_t image_filter_bit(uint64_t hash, uint32_t filter_mask)
{
    return (uint32_t)(hash >> 8) & filter_mask;
}

static inline uint64_t image_fingerprint(uint64_t hash)
{
    return hash >> IMAGE_FINGERPRINT_SHIFT;
}

/* Eight octets with ASCII letters in lower case, the others as they are. In a name length octets
 * are below 'A'. */
static inline uint64_t image_word_lower(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t seven = word & 0x7f * ones;
    uint64_t from_a = seven + (0x80 - 'A') * ones, above_z = seven + (0x7f - 'Z') * ones;
    return word | ((from_a ^ above_z) & ~word & 0x80 * ones) >> 2;
}

/* A label's mark: its length and its first and last octet (lower case) tell most apart. Never 0. */
static inline uint8_t image_label_mark(uint8_t len, uint8_t first, uint8_t last)
{
    uint8_t mark = (uint8_t)(len * 31u + first * 7u + last * 3u);
    return (uint8_t)(mark + (mark == 0));
}

#endif
