/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/answer.h"
#include "zonedb/base32hex.h"

#include <nettle/sha1.h>

/* ---- NSEC ---- */

static void nsec_add(struct answer *a, struct owner owner, const struct node *node)
{
    struct zonedb_rrset nsec, sigs;
    int status = rrsets_find(node->rrsets, RR_NSEC, &nsec, &sigs);
    if (status == 1)
        answer_add(a, SECTION_AUTHORITY, owner, &nsec, &sigs, TTL_AS_STORED);
    else
        a->is_corrupt |= status < 0;
}

/* The NSEC at or before the name that was looked up. */
static void nsec_add_covering(struct answer *a, const struct found *found)
{
    uint8_t owner[NAME_MAX_LEN];
    if (zonedb_find_predecessor(found, owner) == 0) {
        a->is_corrupt = true;
        return;
    }
    nsec_add(a, (struct owner){owner, 0}, &found->predecessor.node);
}

/* "*" below `encloser`, which has a name of at least one label more below it: it fits. */
static void wildcard_name(const uint8_t *encloser, uint8_t out[NAME_MAX_LEN])
{
    out[0] = 1;
    out[1] = '*';
    name_copy_lower(out + 2, encloser);
}

/* Names are given by the number of labels of the subject that they have, 0 being the root. */
static const uint8_t *name_of_depth(const struct subject *subject, const struct found *found,
                                    unsigned depth)
{
    return name_skip(subject->name, found->key.label_count - depth);
}

static void nsec_no_name(struct answer *a, const struct subject *subject, const struct found *found)
{
    uint8_t wildcard[NAME_MAX_LEN];
    struct found none;
    nsec_add_covering(a, found);
    wildcard_name(name_of_depth(subject, found, found->encloser_depth), wildcard);
    if (zonedb_find_in(a->view, &found->zone, wildcard, &none) == FIND_NO_NODE)
        nsec_add_covering(a, &none);
    else
        a->is_corrupt = true;
}

/* The source of synthesis exists, maybe as an empty non-terminal, without the type. */
static void nsec_wildcard_no_data(struct answer *a, const struct subject *subject,
                                  const struct found *found)
{
    uint8_t wildcard[NAME_MAX_LEN];
    struct found source;
    nsec_add_covering(a, found);
    wildcard_name(name_of_depth(subject, found, found->encloser_depth), wildcard);
    if (!found->is_empty_non_terminal)
        nsec_add(a, (struct owner){wildcard, 0}, &found->node);
    else if (zonedb_find_in(a->view, &found->zone, wildcard, &source) == FIND_NODE)
        nsec_add_covering(a, &source);
    else
        a->is_corrupt = true;
}

/* ---- NSEC3 ---- */

/* RFC 5155 5: H(x || salt), and that again `iterations` times. */
static void nsec3_hash(const struct find_zone *zone, const uint8_t *name,
                       uint8_t hash[NSEC3_HASH_LEN])
{
    uint8_t lower[NAME_MAX_LEN];
    size_t len = name_copy_lower(lower, name);
    struct sha1_ctx sha;
    sha1_init(&sha);
    sha1_update(&sha, len, lower);
    sha1_update(&sha, zone->nsec3_salt_len, zone->nsec3_salt);
    sha1_digest(&sha, NSEC3_HASH_LEN, hash);
    for (unsigned i = 0; i < zone->nsec3_iterations; i++) {
        sha1_update(&sha, NSEC3_HASH_LEN, hash);
        sha1_update(&sha, zone->nsec3_salt_len, zone->nsec3_salt);
        sha1_digest(&sha, NSEC3_HASH_LEN, hash);
    }
}

static void nsec3_add(struct answer *a, const uint8_t *apex, const uint8_t hash[NSEC3_HASH_LEN],
                      struct rrsets rrsets)
{
    uint8_t owner[1 + BASE32HEX_HASH_LEN + NAME_MAX_LEN];
    struct zonedb_rrset nsec3, sigs;
    owner[0] = BASE32HEX_HASH_LEN;
    base32hex_encode(hash, owner + 1);
    size_t len = 1u + BASE32HEX_HASH_LEN + name_copy_lower(owner + 1 + BASE32HEX_HASH_LEN, apex);
    /* An apex of 223 octets or more leaves no room for the hash: such a zone has no NSEC3 names. */
    if (len > NAME_MAX_LEN || rrsets_find(rrsets, RR_NSEC3, &nsec3, &sigs) != 1) {
        a->is_corrupt = true;
        return;
    }
    answer_add(a, SECTION_AUTHORITY, (struct owner){owner, 0}, &nsec3, &sigs, TTL_AS_STORED);
}

/* Add the NSEC3 that matches or covers a name. `must_match`: only if it matches. Returns whether it
 * matched. */
static bool nsec3_add_for(struct answer *a, const struct find_zone *zone, const uint8_t *apex,
                          const uint8_t *name, bool must_match)
{
    uint8_t hash[NSEC3_HASH_LEN], owner_hash[NSEC3_HASH_LEN];
    struct rrsets rrsets;
    nsec3_hash(zone, name, hash);
    int status = zonedb_find_nsec3(a->view, zone, hash, &rrsets, owner_hash);
    if (status < 0)
        a->is_corrupt = true;
    if (status == 1 || (status == 0 && !must_match))
        nsec3_add(a, apex, owner_hash, rrsets);
    return status == 1;
}

/* RFC 5155 7.2.1, for the name of `name_depth` labels: the closest encloser that has an NSEC3, and
 * that the name one label longer has none. With opt-out the tree's closest encloser, `depth`, may
 * have none: its ancestors are tried. Returns the depth of the closest encloser proven. */
static unsigned nsec3_closest_encloser(struct answer *a, const struct subject *subject,
                                       const struct found *found, unsigned name_depth,
                                       unsigned depth)
{
    const uint8_t *apex = name_of_depth(subject, found, found->zone.depth);
    while (!nsec3_add_for(a, &found->zone, apex, name_of_depth(subject, found, depth), true) &&
           depth > found->zone.depth)
        depth--;
    if (depth < name_depth)
        nsec3_add_for(a, &found->zone, apex, name_of_depth(subject, found, depth + 1), false);
    return depth;
}

/* The name of `depth` labels exists in the tree; with opt-out it may have no NSEC3 all the same
 * (RFC 5155 7.1, 7.2.4, 7.2.7). */
static void nsec3_exists(struct answer *a, const struct subject *subject, const struct found *found,
                         unsigned depth)
{
    const uint8_t *apex = name_of_depth(subject, found, found->zone.depth);
    if (!nsec3_add_for(a, &found->zone, apex, name_of_depth(subject, found, depth), true) &&
        depth > found->zone.depth)
        nsec3_closest_encloser(a, subject, found, depth, depth - 1);
}

/* The NSEC3 that matches or covers "*" below the encloser of `encloser_depth` labels. */
static void nsec3_wildcard(struct answer *a, const struct subject *subject,
                           const struct found *found, unsigned encloser_depth)
{
    uint8_t wildcard[NAME_MAX_LEN];
    wildcard_name(name_of_depth(subject, found, encloser_depth), wildcard);
    nsec3_add_for(a, &found->zone, name_of_depth(subject, found, found->zone.depth), wildcard,
                  false);
}

/* ---- the four cases ---- */

void denial_no_name(struct answer *a, const struct subject *subject, const struct found *found)
{
    if (!a->query->edns.is_do)
        return;
    if (found->zone.signing == ZONEDB_NSEC) {
        nsec_no_name(a, subject, found);
    } else if (found->zone.signing == ZONEDB_NSEC3) {
        unsigned depth = nsec3_closest_encloser(a, subject, found, found->key.label_count,
                                                found->encloser_depth);
        nsec3_wildcard(a, subject, found, depth);
    }
}

void denial_no_data(struct answer *a, const struct subject *subject, const struct found *found)
{
    if (!a->query->edns.is_do)
        return;
    if (found->zone.signing == ZONEDB_NSEC) {
        if (found->outcome == FIND_WILDCARD)
            nsec_wildcard_no_data(a, subject, found);
        else if (found->is_empty_non_terminal)
            nsec_add_covering(a, found);
        else
            nsec_add(a, answer_owner(subject, 0), &found->node);
    } else if (found->zone.signing == ZONEDB_NSEC3) {
        if (found->outcome == FIND_WILDCARD) {
            unsigned depth = nsec3_closest_encloser(a, subject, found, found->key.label_count,
                                                    found->encloser_depth);
            nsec3_wildcard(a, subject, found, depth);
        } else {
            nsec3_exists(a, subject, found, found->key.label_count);
        }
    }
}

void denial_no_closer(struct answer *a, const struct subject *subject, const struct found *found)
{
    if (!a->query->edns.is_do)
        return;
    if (found->zone.signing == ZONEDB_NSEC)
        nsec_add_covering(a, found);
    else if (found->zone.signing == ZONEDB_NSEC3)
        nsec3_add_for(a, &found->zone, name_of_depth(subject, found, found->zone.depth),
                      name_of_depth(subject, found, found->encloser_depth + 1u), false);
}

void denial_no_ds(struct answer *a, const struct subject *subject, const struct found *found)
{
    if (!a->query->edns.is_do)
        return;
    unsigned depth = found->node_depth;
    if (found->zone.signing == ZONEDB_NSEC)
        nsec_add(a, answer_owner(subject, found->key.label_count - depth), &found->node);
    else if (found->zone.signing == ZONEDB_NSEC3)
        nsec3_exists(a, subject, found, depth);
}
