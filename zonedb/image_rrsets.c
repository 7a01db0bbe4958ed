/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The RRsets of a name in an image: a block for each, and one that tells which there are.
 */
#include "zonedb/image_room.h"

#include <errno.h>

/* What the block of an RRset takes besides its name and records, and each record. */
#define RRSET_OCTETS_MORE 72
#define RR_OCTETS_MORE 12
/* From here on, a block takes the rest of its page too. */
#define RRSET_OCTETS_LARGE 1024

/* What the target of an alias is asked for. */
static const uint16_t alias_types[] = {RR_A, RR_AAAA};
#define ALIAS_TYPES (sizeof alias_types / sizeof *alias_types)
#define ALIAS_OCTETS_MORE 48

/* Signatures and proofs of non-existence are asked for by hardly anybody. */
static bool is_kept(uint16_t type)
{
    return type != RR_RRSIG && type != RR_NSEC && type != 0 && (type < 128 || type > 255);
}

static int plain_count(const struct node *node, size_t name_len, uint64_t *entries_out,
                       uint64_t *octets_out)
{
    struct rrsets rest = node->rrsets;
    struct zonedb_rrset rrset;
    uint64_t entries = 0, octets = 0, last = 0;
    int status;
    while ((status = rrsets_next(&rest, &rrset)) == 1) {
        uint64_t content = rrset.rdata_len + (uint64_t)RR_OCTETS_MORE * rrset.rr_count;
        if (is_kept(rrset.type)) {
            last = RRSET_OCTETS_MORE + name_len;
            octets += last;
            entries++;
            if (rrset.type == RR_CNAME) {
                entries += ALIAS_TYPES;
                octets += ALIAS_TYPES * (last + rrset.rdata_len + ALIAS_OCTETS_MORE);
            }
        } else if (rrset.type != RR_RRSIG) {
            last = 0;
        }
        if (last + content > IMAGE_PAGE_LEN)
            content = 0; /* in no block */
        else if (content > RRSET_OCTETS_LARGE)
            content = IMAGE_PAGE_LEN;
        octets += last != 0 ? content : 0;
    }
    bool is_in = entries > 0 && entries <= IMAGE_TYPES_MAX;
    *entries_out = is_in ? entries + 1 : 0;
    *octets_out = is_in ? octets + RRSET_OCTETS_MORE + name_len : 0;
    return status < 0 ? -EBADMSG : 0;
}

/* The parent's side of a cut has nothing else; who validates asks for it. */
static void ds_count(const struct find_zone *zone, const struct node *node, size_t name_len,
                     uint64_t *entries_out, uint64_t *octets_out)
{
    struct zonedb_rrset ds, sigs;
    if (zone->signing == ZONEDB_UNSIGNED || rrsets_find(node->rrsets, RR_DS, &ds, &sigs) != 1)
        return;
    *entries_out = 1;
    *octets_out =
        RRSET_OCTETS_MORE + name_len + ds.rdata_len + (uint64_t)RR_OCTETS_MORE * ds.rr_count;
    if (sigs.rr_count > 0)
        *octets_out += sigs.rdata_len + (uint64_t)RR_OCTETS_MORE * sigs.rr_count;
}

int image_rrsets_count(const struct find_zone *zone, const struct node *node, size_t name_len,
                       uint64_t *entries_out, uint64_t *octets_out)
{
    *entries_out = *octets_out = 0;
    if (node->place == NODE_PLAIN)
        return plain_count(node, name_len, entries_out, octets_out);
    if (node->place == NODE_CUT)
        ds_count(zone, node, name_len, entries_out, octets_out);
    return 0;
}

static int block_add(struct image *image, uint16_t type, const uint8_t *name, size_t len,
                     const struct image_draft *draft, uint64_t *place_out)
{
    uint32_t what = image_what(IMAGE_RRSET, type);
    uint64_t hash = image_name_hash(what, name, len);
    *place_out = image_block_put(image, hash, draft);
    if (*place_out == 0)
        return -ENOSPC;
    image_entry_add(image, what, hash, *place_out);
    return 0;
}

/* Does the answer for this type depend on nothing but the alias and its target? Either that is here,
 * which is noted, or in no zone of ours. */
static bool alias_has(const struct image_apex *apex, const struct zonedb_rrset *alias,
                      uint16_t type)
{
    struct rdata_cursor cursor = rdata_begin(alias);
    struct zonedb_rrset rrset;
    struct found found;
    const uint8_t *target;
    uint16_t len;
    if (rdata_next(&cursor, &target, &len) != 1 || name_len(target, len) != len)
        return false;
    enum find_outcome outcome = zonedb_find(apex->view, target, type, &found);
    return outcome == FIND_NOT_AUTHORITATIVE ||
           (outcome == FIND_NODE && found.zone.id == apex->zone->id &&
            !found.is_empty_non_terminal &&
            rrsets_find(found.node.rrsets, type, &rrset, NULL) == 1);
}

int image_rrsets_add(struct image *image, const struct image_apex *apex, const uint8_t *name,
                     size_t len, const struct node *node, struct image_draft *draft)
{
    struct rrsets rest = node->rrsets;
    struct zonedb_rrset rrset;
    uint16_t types[IMAGE_TYPES_MAX];
    uint64_t entries, octets, place;
    unsigned count = 0;
    struct zonedb_rrset alias = {.rr_count = 0};
    int rc = image_rrsets_count(apex->zone, node, len, &entries, &octets);
    if (rc != 0 || entries == 0)
        return rc;
    if (node->place == NODE_CUT) {
        image_draft_rrset(image, apex, name, len, node, RR_DS, draft);
        image->counts.rrsets++;
        return block_add(image, RR_DS, name, len, draft, &place);
    }
    while (rrsets_next(&rest, &rrset) == 1) {
        if (rrset.type == RR_CNAME)
            alias = rrset;
        if (!is_kept(rrset.type))
            continue;
        image_draft_rrset(image, apex, name, len, node, rrset.type, draft);
        rc = block_add(image, rrset.type, name, len, draft, &place);
        if (rc != 0)
            return rc;
        image_hosts_note_rrset(image, apex, name, len, &rrset, place);
        types[count++] = rrset.type;
    }
    for (unsigned i = 0; alias.rr_count > 0 && i < ALIAS_TYPES && count < IMAGE_TYPES_MAX; i++) {
        if (!alias_has(apex, &alias, alias_types[i]))
            continue;
        image_draft_rrset(image, apex, name, len, NULL, alias_types[i], draft);
        rc = block_add(image, alias_types[i], name, len, draft, &place);
        if (rc != 0)
            return rc;
        types[count++] = alias_types[i];
    }
    image_draft_types(image, apex, name, len, types, count, alias.rr_count > 0, draft);
    image->counts.rrsets += count;
    return block_add(image, 0, name, len, draft, &place);
}
