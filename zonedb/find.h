/* SPDX-License-Identifier: BSD-2-Clause
 *
 * find.h - where a name stands in the zones of a snapshot. Private to the room. Pure.
 */
#ifndef ZONEDB_FIND_H
#define ZONEDB_FIND_H

#include "zonedb/block.h"

/* A name as a key of `nodes`: zone id, name key; and where each label of the key ends. */
struct find_key {
    uint8_t octets[ZONE_ID_LEN + NAME_KEY_MAX];
    uint8_t label_count;
    uint16_t end[NAME_LABELS_MAX +
                 1]; /* end[d]: length in octets with the first d labels, id included */
};

/* The zone that a name was looked up in; pointers are valid as long as the snapshot. */
struct find_zone {
    uint32_t id;
    uint8_t depth;   /* labels of the apex */
    uint8_t state;   /* enum zonedb_zone_state */
    uint8_t signing; /* enum zonedb_signing */
    bool has_wildcard;
    uint8_t nsec3_flags, nsec3_salt_len;
    uint16_t nsec3_iterations;
    const uint8_t *nsec3_salt;
    struct block block;  /* from the apex on */
    const uint8_t *next; /* key of the first node that is not in `block`, behind the apex' */
    size_t next_len;     /* 0: there is none */
};

/* The zone that was found last, and the names for which it would be found again: those at or below
 * its apex that sort before `next`, the apex of the next zone (next_len 0: there is none). Both as
 * keys of `zones`; pointers are valid as long as the snapshot. */
struct find_memo {
    bool is_set;
    size_t apex_len, next_len;
    const uint8_t *apex, *next;
    struct find_zone zone;
};

/* The block that was searched last: the glue of a zone cut is where the cut is. Pointers are valid as
 * long as the snapshot. */
struct find_recent {
    bool is_set;
    uint32_t zone_id;
    struct block block;
    const uint8_t *last; /* key of its last node */
    size_t last_len;
};

enum find_outcome {
    FIND_NOT_AUTHORITATIVE, /* no zone of ours holds the name, or one that is withheld */
    FIND_NODE,              /* it exists: `node`, maybe an empty non-terminal */
    FIND_WILDCARD,          /* it does not, `node` is the source of synthesis (RFC 4592 3.3.1) */
    FIND_DELEGATION,        /* at or below the zone cut `node`, which has `node_depth` labels */
    FIND_DNAME,             /* below the DNAME owner `node`, which has `node_depth` labels */
    FIND_NO_NODE,           /* neither it nor a wildcard for it exists */
    FIND_CORRUPT,           /* the database is damaged, or the view holds no snapshot */
};

struct found {
    enum find_outcome outcome;
    struct find_key key; /* of the name that was looked up */
    struct find_zone zone;
    struct node node;
    uint8_t node_depth;
    uint8_t
        encloser_depth; /* labels of the closest encloser (RFC 4592 3.3.1), for WILDCARD, NO_NODE */
    bool is_empty_non_terminal;
    /* The NSEC-owning node at or before the name: its NSEC covers what does not exist. Set for
     * WILDCARD, NO_NODE and empty non-terminals in a zone signed with NSEC. */
    struct block_place predecessor;
};

/* Look up `qname` (valid, wire format). `qtype` matters in one way: DS is looked up in the zone
 * above the cut if we have it (RFC 4035 3.1.4.1). Outcomes: see the enum. */
enum find_outcome zonedb_find(struct zonedb_view *view, const uint8_t *qname, uint16_t qtype,
                              struct found *found_out);

/* The same for found->key, which find_key_set() has filled in. */
enum find_outcome zonedb_find_key(struct zonedb_view *view, uint16_t qtype, struct found *found);

/* Whether all names below the first `depth` labels of the name just found are surely in the zone
 * that it was found in: no apex of another zone lies there. */
bool zonedb_find_is_all_in_zone(const struct zonedb_view *view, const struct found *found,
                                unsigned depth);

/* The same within `zone` alone, which holds the name: whatever zones there are below it. */
enum find_outcome zonedb_find_in(struct zonedb_view *view, const struct find_zone *zone,
                                 const uint8_t *name, struct found *found_out);

/* The node of exactly this name in `zone`, zone cut or not, occluded or not (glue).
 * Returns 1 found, 0 not there, -1 damaged. */
int zonedb_find_exact(struct zonedb_view *view, const struct find_zone *zone, const uint8_t *name,
                      struct node *node_out);

/* The name of found->predecessor.node. Returns its length, 0 if the database is damaged. */
size_t zonedb_find_predecessor(const struct found *found, uint8_t name_out[NAME_MAX_LEN]);

/* The NSEC3 RRset whose owner's hash is `hash` or, if there is none, the one before it in the hash
 * ring, which covers it. `hash_out`: the owner's. Returns 1 matching, 0 covering, -1 there is none
 * or it is damaged. */
int zonedb_find_nsec3(struct zonedb_view *view, const struct find_zone *zone,
                      const uint8_t hash[NSEC3_HASH_LEN], struct rrsets *rrsets_out,
                      uint8_t hash_out[NSEC3_HASH_LEN]);

/* Fill in a key from a name; `zone_id` first. */
void find_key_set(struct find_key *key, uint32_t zone_id, const uint8_t *name);

/* What only lists of zones tell of a zone record. */
struct find_zone_counts {
    uint64_t loaded_s, node_count, record_count;
};

/* Parse a stored zone record; `counts_out` may be NULL. Returns false if the octets are none. */
bool find_zone_parse(const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len,
                     struct find_zone *zone_out, struct find_zone_counts *counts_out);

#endif
