/* SPDX-License-Identifier: BSD-2-Clause
 *
 * template.h - responses that were rendered once and serve again. Private to the room. Pure.
 *
 * What follows the question in a response depends on a suffix of the name asked for and on little
 * else. Every name below a zone cut gets the same referral; only the compression pointers differ,
 * all by as much as the questions differ in length:
 *
 *     header | w w w .|e x a m p l e . o r g . A IN | body of 120 octets       | OPT
 *              12      16      \_______suffix_______/ 33     pointers 16, 48, 16
 *     header | a . b . c .|e x a m p l e . o r g . A IN | the same body        | OPT
 *              12          18                             35 pointers 18, 50, 18
 *
 *     kind      suffix                             serves
 *     EXACT     the whole name                     the same type asked for again
 *     REFERRAL  the zone cut                       all names below it
 *     NEGATIVE  the apex; with an NSEC proof, the  all names without node (and with the same
 *               closest encloser                   NSEC before them)
 *     SERVERS   the apex                           all cuts with the same NS records, none of
 *                                                  which is below the cut
 *
 * (For SERVERS the records' owner, the cut, is a pointer of its own kind.)
 *
 * The slow path would compress better if a name of the body began like the question's next label
 * (ns1.example.org in a referral, asked for ns1.example.org). The body's labels that stand right
 * below the suffix are therefore kept too, and such a question is not served.
 *
 * So a template's response is the slow path's, octet for octet. Where something did not fit, it is
 * used only where the same would not fit again. Templates hold copies, no pointers into the
 * snapshot, and all are forgotten when the snapshot changes: nothing in the database can drift from
 * what it was made of.
 *
 * The memory is of constant size and belongs to the view: a ring to which templates are appended,
 * overwriting the oldest, and an index of where each begins.
 */
#ifndef ZONEDB_TEMPLATE_H
#define ZONEDB_TEMPLATE_H

#include "zonedb/name.h"
#include "zonedb/response.h"

/* Suffixes with more labels are not looked for. */
#define TEMPLATE_DEPTH_MAX 8
#define TEMPLATE_BODY_MAX 4096
#define TEMPLATE_CHILDREN_MAX 32

#define TEMPLATE_RING_UNITS ((size_t)1 << 18) /* of 8 octets */
#define TEMPLATE_BUCKETS 2048
#define TEMPLATE_WAYS 4

enum template_kind {
    TEMPLATE_NONE, /* not to be kept */
    TEMPLATE_EXACT,
    TEMPLATE_REFERRAL,
    TEMPLATE_NEGATIVE,
    TEMPLATE_SERVERS,
};

/* What a response depends on besides its suffix. */
struct template_use {
    enum template_kind kind;
    unsigned depth; /* labels of the suffix */
    uint64_t of; /* EXACT: type and policy; NEGATIVE: which NSEC, 0 if there is none; SERVERS: hash
                       of TTL and content */
    bool is_do;
    unsigned cut_depth;     /* SERVERS: labels of the zone cut */
    const uint8_t *content; /* SERVERS: the records of the NS RRset as stored */
    size_t content_len;
};

/* The name asked for, in lower case, and the hash of each of its suffixes, the root's first. */
struct template_name {
    unsigned label_count;
    size_t len;
    uint64_t hash[TEMPLATE_DEPTH_MAX + 1];
    uint8_t label_at[NAME_LABELS_MAX + 1];
    uint8_t lower[NAME_MAX_LEN + 8]; /* the last are room to read in words */
};

struct template_cache {
    uint64_t head;       /* where the next one begins: units written so far */
    uint64_t floor;      /* those that begin before are forgotten */
    unsigned cut_depths; /* bit n: there may be referrals with suffixes of n labels */
    uint64_t index[TEMPLATE_BUCKETS][TEMPLATE_WAYS];
    uint16_t seen[TEMPLATE_BUCKETS][TEMPLATE_WAYS]; /* asked for once; it is kept the second time */
    uint64_t ring[TEMPLATE_RING_UNITS];
};

/* Forget all templates. */
void template_clear(struct template_cache *cache);

/* `qname`: valid, `len` octets long. */
void template_name_set(struct template_name *name_out, const uint8_t *qname, size_t len);

/* Write a kept response behind the question. Returns false, with nothing written, if there is none,
 * or none that would be as the slow path's. `ede_out` as in struct answer. */
bool template_write(const struct template_cache *cache, const struct template_name *name,
                    const struct template_use *use, struct response *response, uint16_t *ede_out);

/* The same for whatever the question itself tells: a zone cut at or above its name, or, as `exact`
 * says, the name. */
bool template_answer(const struct template_cache *cache, const struct template_name *name,
                     const struct template_use *exact, uint16_t qtype, struct response *response,
                     uint16_t *ede_out);

/* What depends on the NS RRset `servers` of a zone cut, as it stands in its node, and the apex of
 * `depth` labels. */
struct template_use template_use_servers(unsigned depth, unsigned cut_depth, bool is_do,
                                         const struct zonedb_rrset *servers);

/* Was a response of this use wanted before? It was, from now on. */
bool template_seen(struct template_cache *cache, const struct template_name *name,
                   const struct template_use *use);

/* Keep what stands in `response`, complete but for OPT, if it can serve again and its like was
 * asked for before. */
void template_keep(struct template_cache *cache, const struct template_name *name,
                   const struct template_use *use, const struct response *response, uint16_t ede);

#endif
