/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One descent finds nearly everything. Keys sort canonically and a name's key is a prefix of the
 * keys below it, so that MDB_SET_RANGE on a name lands on the name itself or on its successor, and
 * one step back is its predecessor:
 *
 *     predecessor   <   qname   <   successor
 *
 * - The closest encloser is the longer of the prefixes that qname shares with the two.
 * - A successor that continues qname makes qname an empty non-terminal.
 * - A zone cut (or DNAME) above qname is an ancestor, hence sorts before it; all names between the
 *   two lie below the cut as well. So the predecessor is the cut or knows its depth.
 * - The predecessor's NSEC covers qname; if the predecessor is occluded, its cut's NSEC does.
 */
#include "zonedb/find.h"
#include "zonedb/view.h"

void find_key_set(struct find_key *key, uint32_t zone_id, const uint8_t *name)
{
    store_be32(key->octets, zone_id);
    key->label_count = (uint8_t)name_to_key_labels(name, key->octets, ZONE_ID_LEN, key->end);
}

/* How many whole labels, counted from the root, `other` shares with the key's name. Both without
 * the zone id. */
static unsigned common_depth(const struct find_key *key, const uint8_t *other, size_t other_len)
{
    const uint8_t *mine = key->octets + ZONE_ID_LEN;
    size_t mine_len = (size_t)key->end[key->label_count] - ZONE_ID_LEN;
    size_t len = mine_len < other_len ? mine_len : other_len;
    unsigned depth = 0;
    for (size_t i = 0; i < len && mine[i] == other[i]; i++)
        depth += mine[i] == 0;
    return depth;
}

bool find_zone_parse(const uint8_t *value, size_t value_len, struct find_zone *zone_out)
{
    if (value_len < ZONE_RECORD_FIXED_LEN || value_len - ZONE_RECORD_FIXED_LEN < value[37])
        return false;
    size_t soa_at = ZONE_RECORD_FIXED_LEN + (size_t)value[37];
    *zone_out = (struct find_zone){
        .id = load_be32(value),
        .state = value[8],
        .signing = value[9],
        .has_wildcard = (value[10] & ZONE_HAS_WILDCARD) != 0,
        .depth = value[11],
        .nsec3_salt_len = value[37],
        .nsec3_iterations = load_be16(value + 38),
        .nsec3_salt = value + ZONE_RECORD_FIXED_LEN,
        .soa = {value + soa_at, value_len - soa_at},
    };
    return true;
}

/* Of a zone's apex in `zones` and the one behind it: keys at or below the first and before the
 * second have no zone closer than the first. */
static bool memo_covers(const struct find_memo *memo, const struct find_key *key)
{
    const uint8_t *octets = key->octets + ZONE_ID_LEN;
    size_t len = (size_t)key->end[key->label_count] - ZONE_ID_LEN;
    if (!memo->is_set || len < memo->apex_len || memcmp(octets, memo->apex, memo->apex_len) != 0)
        return false;
    if (memo->next_len == 0)
        return true;
    size_t common = len < memo->next_len ? len : memo->next_len;
    int order = memcmp(octets, memo->next, common);
    return order < 0 || (order == 0 && len < memo->next_len);
}

/* Remember the zone that the cursor stands at. The cursor moves. */
static void memo_set(struct find_memo *memo, MDB_cursor *zones, const MDB_val *apex,
                     const struct find_zone *zone)
{
    MDB_val k = {0, NULL}, value;
    int rc = mdb_cursor_get(zones, &k, &value, MDB_NEXT);
    memo->is_set = rc == 0 || rc == MDB_NOTFOUND;
    memo->apex = apex->mv_data;
    memo->apex_len = zone->depth == 0 ? 0 : apex->mv_size; /* the root's key is the octet 0 */
    memo->next = k.mv_data;
    memo->next_len = rc == 0 ? k.mv_size : 0;
    memo->zone = *zone;
}

/* The zone with the longest apex that is the key's name, cut to `depth` labels, or an ancestor.
 * Returns 1, 0 none, -1 damaged. The cursor stands at it then. */
static int zone_above(MDB_cursor *zones, const struct find_key *key, unsigned depth,
                      struct find_zone *zone_out, MDB_val *apex_out)
{
    static const uint8_t root_key[1] = {0};
    for (;;) {
        /* LMDB knows no empty keys: the root zone's is one octet 0, which is no other name's key.
         */
        MDB_val k = {(size_t)key->end[depth] - ZONE_ID_LEN,
                     (void *)(uintptr_t)(key->octets + ZONE_ID_LEN)};
        if (depth == 0)
            k = (MDB_val){sizeof root_key, (void *)(uintptr_t)root_key};
        MDB_val want = k, value;
        int rc = mdb_cursor_get(zones, &k, &value, MDB_SET_RANGE);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return -1;
        bool is_exact =
            rc == 0 && k.mv_size == want.mv_size && memcmp(k.mv_data, want.mv_data, k.mv_size) == 0;
        if (!is_exact) {
            if (depth == 0)
                return 0;
            rc = mdb_cursor_get(zones, &k, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
            if (rc == MDB_NOTFOUND)
                return 0;
            if (rc != 0)
                return -1;
            unsigned common = common_depth(key, k.mv_data, k.mv_size);
            bool is_ancestor = key->end[common] - ZONE_ID_LEN == (int)k.mv_size && common > 0;
            if (!is_ancestor) {
                depth = common < depth ? common : depth - 1;
                continue;
            }
        }
        *apex_out = k;
        return find_zone_parse(value.mv_data, value.mv_size, zone_out) ? 1 : -1;
    }
}

/* The zone for the key's whole name. */
static int zone_of(struct zonedb_view *view, const struct find_key *key, struct find_zone *zone_out)
{
    struct find_memo *memo = &view->memo;
    if (memo_covers(memo, key)) {
        *zone_out = memo->zone;
        return 1;
    }
    MDB_val apex;
    int status = zone_above(view->zones, key, key->label_count, zone_out, &apex);
    if (status == 1 && zone_out->depth <= key->label_count)
        memo_set(memo, view->zones, &apex, zone_out);
    return status;
}

/* Exactly the key's first `depth` labels. Returns 1, 0, -1. */
static int node_at(MDB_cursor *nodes, const struct find_key *key, unsigned depth,
                   struct node *node_out)
{
    MDB_val k = {key->end[depth], (void *)(uintptr_t)key->octets}, value;
    int rc = mdb_cursor_get(nodes, &k, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 && node_parse(value.mv_data, value.mv_size, node_out) ? 1 : -1;
}

static bool key_is_in_zone(const struct find_key *key, const MDB_val *k)
{
    return k->mv_size >= ZONE_ID_LEN && memcmp(k->mv_data, key->octets, ZONE_ID_LEN) == 0;
}

static enum find_outcome occluder_outcome(const struct found *found)
{
    if ((found->node.flags & NODE_CUT) != 0)
        return FIND_DELEGATION;
    return (found->node.flags & NODE_DNAME) != 0 ? FIND_DNAME : FIND_CORRUPT;
}

/* The name lies at or below the cut or DNAME at `depth`: fetch that node. */
static enum find_outcome occluder(struct zonedb_view *view, unsigned depth, struct found *found)
{
    if (depth > found->key.label_count ||
        node_at(view->nodes, &found->key, depth, &found->node) != 1)
        return FIND_CORRUPT;
    found->node_depth = (uint8_t)depth;
    return occluder_outcome(found);
}

/* The name does not exist and nothing above it hides it: is there a wildcard for it? */
static enum find_outcome synthesis(struct zonedb_view *view, struct found *found)
{
    if (!found->zone.has_wildcard)
        return FIND_NO_NODE;
    /* "*" below the closest encloser, as a key: that prefix, '*', 0. It fits: the name itself is
     * at least as long. */
    uint8_t wildcard[ZONE_ID_LEN + NAME_KEY_MAX];
    size_t len = found->key.end[found->encloser_depth];
    memcpy(wildcard, found->key.octets, len);
    wildcard[len++] = '*';
    wildcard[len++] = 0;
    MDB_val k = {len, wildcard}, value;
    int rc = mdb_cursor_get(view->nodes, &k, &value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return FIND_NO_NODE;
    if (rc != 0)
        return FIND_CORRUPT;
    if (k.mv_size < len || memcmp(k.mv_data, wildcard, len) != 0)
        return FIND_NO_NODE;
    found->node_depth = (uint8_t)(found->encloser_depth + 1);
    if (k.mv_size > len) { /* the wildcard exists as an empty non-terminal only */
        found->node = (struct node){.flags = 0};
        found->is_empty_non_terminal = true;
        return FIND_WILDCARD;
    }
    return node_parse(value.mv_data, value.mv_size, &found->node) ? FIND_WILDCARD : FIND_CORRUPT;
}

/* Remember whose NSEC covers the name: the predecessor's, or its occluder's. */
static bool predecessor_set(struct zonedb_view *view, const MDB_val *k, struct node node,
                            struct found *found)
{
    found->predecessor_key = k->mv_data;
    found->predecessor_key_len = (uint16_t)k->mv_size;
    found->predecessor = node;
    if (found->zone.signing != ZONEDB_NSEC || (node.flags & NODE_OCCLUDED) == 0)
        return true;
    size_t len = ZONE_ID_LEN;
    for (unsigned depth = 0; depth < node.depth && len < k->mv_size; len++)
        depth += ((const uint8_t *)k->mv_data)[len] == 0;
    MDB_val cut = {len, k->mv_data}, value;
    if (mdb_cursor_get(view->nodes, &cut, &value, MDB_SET_KEY) != 0 ||
        !node_parse(value.mv_data, value.mv_size, &found->predecessor))
        return false;
    found->predecessor_key = cut.mv_data;
    found->predecessor_key_len = (uint16_t)cut.mv_size;
    return true;
}

static enum find_outcome node_outcome(struct zonedb_view *view, struct found *found)
{
    if ((found->node.flags & NODE_OCCLUDED) != 0)
        return occluder(view, found->node.depth, found);
    found->node_depth = found->key.label_count;
    return (found->node.flags & NODE_CUT) != 0 ? FIND_DELEGATION : FIND_NODE;
}

/* The name has no node: the neighbours tell the rest. `successor_depth`: labels shared with it. */
static enum find_outcome between(struct zonedb_view *view, unsigned successor_depth,
                                 const MDB_val *predecessor_key, const MDB_val *predecessor_value,
                                 struct found *found)
{
    struct node predecessor;
    if (!node_parse(predecessor_value->mv_data, predecessor_value->mv_size, &predecessor))
        return FIND_CORRUPT;
    unsigned common =
        common_depth(&found->key, (const uint8_t *)predecessor_key->mv_data + ZONE_ID_LEN,
                     predecessor_key->mv_size - ZONE_ID_LEN);
    if (predecessor.flags != 0 && common >= predecessor.depth) {
        if ((predecessor.flags & NODE_OCCLUDED) != 0)
            return occluder(view, predecessor.depth, found);
        found->node = predecessor; /* it is the cut itself */
        found->node_depth = predecessor.depth;
        return occluder_outcome(found);
    }
    found->encloser_depth = (uint8_t)(common > successor_depth ? common : successor_depth);
    found->node_depth = found->key.label_count;
    found->is_empty_non_terminal = successor_depth == found->key.label_count;
    if (!predecessor_set(view, predecessor_key, predecessor, found))
        return FIND_CORRUPT;
    if (found->is_empty_non_terminal) {
        found->node = (struct node){.flags = 0};
        return FIND_NODE;
    }
    return synthesis(view, found);
}

static enum find_outcome find_in_zone(struct zonedb_view *view, struct found *found)
{
    const struct find_key *key = &found->key;
    size_t key_len = key->end[key->label_count];
    MDB_val k = {key_len, (void *)(uintptr_t)key->octets}, value;
    int rc = mdb_cursor_get(view->nodes, &k, &value, MDB_SET_RANGE);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return FIND_CORRUPT;
    unsigned successor_depth = 0;
    if (rc == 0 && key_is_in_zone(key, &k)) {
        if (k.mv_size == key_len && memcmp(k.mv_data, key->octets, key_len) == 0)
            return node_parse(value.mv_data, value.mv_size, &found->node)
                       ? node_outcome(view, found)
                       : FIND_CORRUPT;
        successor_depth =
            common_depth(key, (const uint8_t *)k.mv_data + ZONE_ID_LEN, k.mv_size - ZONE_ID_LEN);
    }
    rc = mdb_cursor_get(view->nodes, &k, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
    if (rc != 0 || !key_is_in_zone(key, &k))
        return FIND_CORRUPT; /* a zone has an apex node, and it sorts before all its names */
    return between(view, successor_depth, &k, &value, found);
}

enum find_outcome zonedb_find_key(struct zonedb_view *view, uint16_t qtype, struct found *found)
{
    struct find_key *key = &found->key;
    found->outcome = FIND_CORRUPT;
    found->is_empty_non_terminal = false;
    if (!view->is_active)
        return FIND_CORRUPT;
    int status = zone_of(view, key, &found->zone);
    if (status == 1 && qtype == RR_DS && found->zone.depth == key->label_count &&
        key->label_count > 0) {
        /* Asked at a child's apex: the parent side answers, if it is ours too. */
        struct find_zone parent;
        MDB_val apex;
        if (zone_above(view->zones, key, key->label_count - 1u, &parent, &apex) == 1)
            found->zone = parent;
    }
    if (status == 0)
        found->outcome = FIND_NOT_AUTHORITATIVE;
    if (status != 1 || found->zone.depth > key->label_count)
        return found->outcome;
    store_be32(key->octets, found->zone.id);
    found->outcome = find_in_zone(view, found);
    return found->outcome;
}

enum find_outcome zonedb_find(struct zonedb_view *view, const uint8_t *qname, uint16_t qtype,
                              struct found *found_out)
{
    find_key_set(&found_out->key, 0, qname);
    return zonedb_find_key(view, qtype, found_out);
}

bool zonedb_find_is_all_in_zone(const struct zonedb_view *view, const struct found *found,
                                unsigned depth)
{
    /* The next zone sorts behind the name; if it were below that suffix, it would begin with it. */
    const struct find_memo *memo = &view->memo;
    size_t len = (size_t)found->key.end[depth] - ZONE_ID_LEN;
    return memo_covers(memo, &found->key) && memo->zone.id == found->zone.id &&
           (memo->next_len < len || memcmp(memo->next, found->key.octets + ZONE_ID_LEN, len) != 0);
}

enum find_outcome zonedb_find_in(struct zonedb_view *view, const struct find_zone *zone,
                                 const uint8_t *name, struct found *found_out)
{
    found_out->zone = *zone;
    found_out->is_empty_non_terminal = false;
    find_key_set(&found_out->key, zone->id, name);
    assert(view->is_active && zone->depth <= found_out->key.label_count);
    found_out->outcome = find_in_zone(view, found_out);
    return found_out->outcome;
}

int zonedb_find_exact(struct zonedb_view *view, const struct find_zone *zone, const uint8_t *name,
                      struct node *node_out)
{
    uint8_t octets[ZONE_ID_LEN + NAME_KEY_MAX];
    store_be32(octets, zone->id);
    MDB_val k = {ZONE_ID_LEN + name_to_key(name, octets + ZONE_ID_LEN), octets}, value;
    int rc = mdb_cursor_get(view->nodes, &k, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 && node_parse(value.mv_data, value.mv_size, node_out) ? 1 : -1;
}

int zonedb_find_nsec3(struct zonedb_view *view, const struct find_zone *zone,
                      const uint8_t hash[NSEC3_HASH_LEN], struct rrsets *rrsets_out,
                      uint8_t hash_out[NSEC3_HASH_LEN])
{
    uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN];
    store_be32(octets, zone->id);
    memcpy(octets + ZONE_ID_LEN, hash, NSEC3_HASH_LEN);
    MDB_val k = {sizeof octets, octets}, value;
    int rc = mdb_cursor_get(view->nsec3, &k, &value, MDB_SET_RANGE);
    bool is_match =
        rc == 0 && k.mv_size == sizeof octets && memcmp(k.mv_data, octets, sizeof octets) == 0;
    if (!is_match) {
        rc = mdb_cursor_get(view->nsec3, &k, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
        if (rc != 0 || k.mv_size != sizeof octets || memcmp(k.mv_data, octets, ZONE_ID_LEN) != 0) {
            /* Before the first hash of the zone: the ring closes with its last. */
            store_be32(octets, zone->id + 1);
            memset(octets + ZONE_ID_LEN, 0, NSEC3_HASH_LEN);
            k = (MDB_val){sizeof octets, octets};
            rc = mdb_cursor_get(view->nsec3, &k, &value, MDB_SET_RANGE);
            rc = mdb_cursor_get(view->nsec3, &k, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
            if (rc != 0 || k.mv_size != sizeof octets || load_be32(k.mv_data) != zone->id)
                return -1;
        }
    }
    memcpy(hash_out, (const uint8_t *)k.mv_data + ZONE_ID_LEN, NSEC3_HASH_LEN);
    *rrsets_out = (struct rrsets){value.mv_data, value.mv_size};
    return is_match;
}
