/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_denial.h"
#include "zonedb/base32hex.h"

#include <errno.h>
#include <nettle/sha1.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX
#define FLAG_OPT_OUT 1

/* One NSEC3 of the zone, in order of hashes. */
struct link {
    uint8_t hash[20];
    bool has_name;
    uint32_t owner;
};

struct text_denial {
    struct text_zone *zone;
    bool has_nsec, has_nsec3;
    const uint8_t *param; /* RDATA of NSEC3PARAM */
    struct link *links;
    size_t link_count;
    size_t last; /* authoritative name before, for empty non-terminals */
};

enum text_place text_walk_enter(struct text_walk *walk, const struct text_zone *zone, size_t owner)
{
    const struct text_owner *entered = &zone->owners[owner];

    if (!entered->has_other)
        return TEXT_HASH;
    if (walk->cut != NONE && !text_key_is_below(entered, &zone->owners[walk->cut]))
        walk->cut = NONE;
    if (walk->dname != NONE && !text_key_is_below(entered, &zone->owners[walk->dname]))
        walk->dname = NONE;
    if (walk->cut != NONE || walk->dname != NONE)
        return TEXT_OCCLUDED;
    if (entered->key_len > zone->apex_key_len && text_owner_record(zone, owner, TYPE_NS) != NULL) {
        walk->cut = owner;
        return TEXT_CUT;
    }
    if (text_owner_record(zone, owner, TYPE_DNAME) != NULL)
        walk->dname = owner;
    return TEXT_AUTHORITATIVE;
}

struct text_denial *text_denial_new(struct text_zone *zone)
{
    struct text_denial *denial = calloc(1, sizeof(*denial));
    const struct text_record *param = text_owner_record(zone, 0, TYPE_NSEC3PARAM);

    if (denial == NULL)
        return NULL;
    denial->zone = zone;
    denial->last = NONE;
    denial->has_nsec = text_owner_record(zone, 0, TYPE_NSEC) != NULL;
    size_t count = 0;
    for (size_t i = 0; i < zone->owner_count; i++)
        count += zone->owners[i].has_nsec3;
    denial->links = text_array(count, sizeof(denial->links[0]));
    if (denial->links == NULL) {
        free(denial);
        return NULL;
    }
    for (size_t i = 0; i < zone->owner_count; i++) {
        if (!zone->owners[i].has_nsec3 || text_owner_record(zone, i, TYPE_NSEC3) == NULL)
            continue;
        struct link *link = &denial->links[denial->link_count++];
        *link = (struct link){.owner = (uint32_t)i};
        base32hex_decode(text_owner_name(&zone->owners[i]) + 1, link->hash);
    }
    denial->has_nsec3 = param != NULL && denial->link_count > 0;
    denial->param = param != NULL ? param->rdata + 2 : NULL;
    return denial;
}

void text_denial_free(struct text_denial *denial)
{
    if (denial == NULL)
        return;
    free(denial->links);
    free(denial);
}

/* ---- bitmaps ---- */

static bool has_bit(const uint8_t *bitmap, size_t len, uint16_t type)
{
    while (len > 0) {
        if (bitmap[0] == type >> 8)
            return (type & 0xff) / 8 < bitmap[1] &&
                   (bitmap[2 + (type & 0xff) / 8] & 0x80 >> (type & 7)) != 0;
        len -= bitmap[1] + 2U;
        bitmap += bitmap[1] + 2U;
    }
    return false;
}

static unsigned count_bits(const uint8_t *bitmap, size_t len)
{
    unsigned count = 0;

    for (; len > 0; len -= bitmap[1] + 2U, bitmap += bitmap[1] + 2U)
        for (unsigned i = 0; i < bitmap[1]; i++)
            count += (unsigned)__builtin_popcount(bitmap[2 + i]);
    return count;
}

/* RFC 4034 4.1.2, RFC 5155 3.2.1: at a cut, only what the parent is authoritative for, and NS. */
static bool is_in_bitmap(uint16_t type, enum text_place place)
{
    if (type == TYPE_NSEC3)
        return false;
    return place != TEXT_CUT || type == TYPE_NS || type == TYPE_DS || type == TYPE_NSEC ||
           type == TYPE_RRSIG;
}

/* RRSIGs of glue or of an NSEC3 at the same name do not count. */
static bool is_counted(const struct zonedb_rrset *rrset, enum text_place place)
{
    return is_in_bitmap(text_covered_type(rrset), place);
}

static void check_bitmap(struct text_denial *denial, const struct text_record *record,
                         size_t skipped, const struct text_node *node, enum text_place place)
{
    const uint8_t *bitmap = record->rdata + 2 + skipped;
    const size_t len = (size_t)(record->rdata[0] << 8 | record->rdata[1]) - skipped;
    unsigned count = 0;
    bool has_rrsig = false;
    char name[24];

    for (size_t i = 0; node != NULL && i < node->rrset_count; i++) {
        const uint16_t type = node->rrsets[i].type;
        if (!is_counted(&node->rrsets[i], place) || (type == TYPE_RRSIG && has_rrsig))
            continue;
        has_rrsig |= type == TYPE_RRSIG;
        count++;
        if (!has_bit(bitmap, len, type)) {
            text_tell(denial->zone, TEXT_ERROR, record, TEXT_AT_RDATA, "the type bitmap misses %s",
                      text_type_name(type, name, sizeof(name)));
            return;
        }
    }
    if (count_bits(bitmap, len) != count)
        text_tell(denial->zone, TEXT_ERROR, record, TEXT_AT_RDATA,
                  "the type bitmap has %u types, the name has %u", count_bits(bitmap, len), count);
}

/* ---- NSEC ---- */

static void check_nsec(struct text_denial *denial, size_t owner, const struct text_node *node,
                       enum text_place place)
{
    const struct text_zone *zone = denial->zone;
    const struct text_record *nsec = text_owner_record(zone, owner, TYPE_NSEC);
    const struct text_record *first = &zone->records[zone->owners[owner].first];

    if (place == TEXT_OCCLUDED) {
        if (nsec != NULL)
            text_tell(denial->zone, TEXT_ERROR, nsec, TEXT_AT_OWNER,
                      "NSEC at a name that is not authoritative");
        return;
    }
    if (nsec == NULL) {
        text_tell(denial->zone, TEXT_ERROR, first, TEXT_AT_OWNER, "the name has no NSEC");
        return;
    }
    check_bitmap(denial, nsec, name_len(nsec->rdata + 2, NAME_MAX_LEN), node, place);
}

/* ---- NSEC3 ---- */

static void hash_name(const struct text_denial *denial, const uint8_t *name, size_t len,
                      uint8_t hash[20])
{
    const unsigned iterations = (unsigned)(denial->param[2] << 8 | denial->param[3]);
    const uint8_t *salt = denial->param + 5;
    const size_t salt_len = denial->param[4];
    struct sha1_ctx sha1;

    sha1_init(&sha1);
    for (unsigned i = 0;; i++) {
        sha1_update(&sha1, i == 0 ? len : 20, i == 0 ? name : hash);
        sha1_update(&sha1, salt_len, salt);
        sha1_digest(&sha1, 20, hash);
        if (i == iterations)
            return;
    }
}

/* The link of this hash, else the one before it, round the ring. */
static struct link *find_link(const struct text_denial *denial, const uint8_t hash[20],
                              bool *is_match_out)
{
    size_t low = 0, high = denial->link_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (memcmp(denial->links[middle].hash, hash, 20) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct link *link = &denial->links[(low == 0 ? denial->link_count : low) - 1];
    *is_match_out = memcmp(link->hash, hash, 20) == 0;
    return link;
}

/* RFC 5155 7.1: with opt-out, an insecure delegation may lack its NSEC3, and so may an empty
 * non-terminal that only leads to such. Looks at the owners from `owner` on that are at or below
 * `key`. */
static bool may_opt_out(const struct text_zone *zone, size_t owner, const uint8_t *key,
                        size_t key_len)
{
    struct text_walk walk = {NONE, NONE};

    for (size_t i = owner; i < zone->owner_count; i++) {
        const struct text_owner *below = &zone->owners[i];
        if (below->key_len < key_len || memcmp(below->key, key, key_len) != 0)
            break;
        const enum text_place place = text_walk_enter(&walk, zone, i);
        if (place == TEXT_AUTHORITATIVE ||
            (place == TEXT_CUT && text_owner_record(zone, i, TYPE_DS) != NULL))
            return false;
    }
    return true;
}

/* `node` NULL: an empty non-terminal above `owner`. */
static void check_nsec3(struct text_denial *denial, size_t owner, const uint8_t *name,
                        const struct text_node *node, enum text_place place)
{
    const struct text_zone *zone = denial->zone;
    const struct text_record *first = &zone->records[zone->owners[owner].first];
    const size_t len = name_len(name, NAME_MAX_LEN);
    uint8_t hash[20], key[NAME_KEY_MAX];
    char text[NAME_TEXT_MAX];
    bool is_match;

    hash_name(denial, name, len, hash);
    struct link *link = find_link(denial, hash, &is_match);
    const struct text_record *nsec3 = text_owner_record(zone, link->owner, TYPE_NSEC3);
    if (is_match) {
        link->has_name = true;
        const size_t skipped = 5U + nsec3->rdata[6] + 1U + 20U;
        check_bitmap(denial, nsec3, skipped, node, place);
        return;
    }
    const size_t key_len = name_to_key(name, key);
    if ((nsec3->rdata[3] & FLAG_OPT_OUT) == 0 || !may_opt_out(zone, owner, key, key_len))
        text_tell(denial->zone, TEXT_ERROR, first, TEXT_AT_OWNER, "no NSEC3 matches %s%s",
                  name_to_text(name, text), node == NULL ? " (an empty non-terminal)" : "");
}

/* Ends of labels in the key are names above; those that the authoritative name before is not below,
 * and that are not the owner, are empty non-terminals. */
static void check_empty_non_terminals(struct text_denial *denial, size_t owner)
{
    const struct text_zone *zone = denial->zone;
    const struct text_owner *here = &zone->owners[owner];
    const struct text_owner *last = denial->last == NONE ? NULL : &zone->owners[denial->last];

    for (size_t end = zone->apex_key_len + 1; end < here->key_len; end++) {
        uint8_t name[NAME_MAX_LEN];
        if (here->key[end - 1] != 0 || last == NULL ||
            (last->key_len >= end && memcmp(last->key, here->key, end) == 0))
            continue;
        if (name_from_key(here->key, end, name) > 0)
            check_nsec3(denial, owner, name, NULL, TEXT_AUTHORITATIVE);
    }
}

int text_denial_owner(struct text_denial *denial, size_t owner, const struct text_node *node,
                      enum text_place place)
{
    if (place == TEXT_HASH)
        return 0;
    if (denial->has_nsec) {
        check_nsec(denial, owner, node, place);
    } else if (denial->has_nsec3 && place != TEXT_OCCLUDED) {
        check_empty_non_terminals(denial, owner);
        check_nsec3(denial, owner, node->name, node, place);
        denial->last = owner;
    } else if (!denial->has_nsec3 && owner == 0) {
        text_tell(denial->zone, TEXT_ERROR, text_owner_record(denial->zone, 0, TYPE_DNSKEY),
                  TEXT_AT_OWNER, "a zone with DNSKEY has neither NSEC nor NSEC3");
    }
    return 0;
}

void text_denial_end(struct text_denial *denial)
{
    for (size_t i = 0; i < denial->link_count && denial->has_nsec3; i++)
        if (!denial->links[i].has_name)
            text_tell(denial->zone, TEXT_ERROR,
                      text_owner_record(denial->zone, denial->links[i].owner, TYPE_NSEC3),
                      TEXT_AT_OWNER, "the NSEC3 belongs to no name of the zone");
}
