/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One descent finds nearly everything. Keys sort canonically and a name's key is a prefix of the
 * keys below it, so that a name's place in its block is at the name itself or between two nodes:
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

/* How many whole labels, counted from the root, there are in the first `len` octets of the key,
 * zone id not counted. */
static unsigned depth_within(const struct find_key *key, size_t len)
{
    unsigned depth = 0;
    while (depth < key->label_count && key->end[depth + 1] <= len + ZONE_ID_LEN)
        depth++;
    return depth;
}

/* How many whole labels, counted from the root, `other` shares with the key's name. */
static unsigned common_depth(const struct find_key *key, const uint8_t *other, size_t other_len)
{
    size_t len = (size_t)key->end[key->label_count] - ZONE_ID_LEN;
    return depth_within(key, block_common(key->octets + ZONE_ID_LEN, len, other, other_len));
}

bool find_zone_parse(const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len,
                     struct find_zone *zone, struct find_zone_counts *counts)
{
    static const uint8_t no_salt[4] = {0};
    const uint8_t *at = value + 5, *end = value + value_len, *param = no_salt;
    uint64_t loaded_s, node_count, record_count;
    bool is_root = key_len == 1 && key[0] == 0;
    unsigned depth = 0;
    if (value_len < 5 || !number_get(&at, end, &loaded_s) || !number_get(&at, end, &node_count) ||
        !number_get(&at, end, &record_count))
        return false;
    for (size_t i = 0; i < key_len && !is_root; i++)
        depth += key[i] == 0;
    uint8_t flags = value[4], signing = flags >> ZONE_SIGNING_SHIFT & 3u;
    if (signing == ZONEDB_NSEC3) {
        param = at;
        if (end - at < 4 || end - at - 4 < at[1])
            return false;
        at += 4 + at[1];
    }
    uint64_t next_len = 0;
    if ((flags & ZONE_HAS_NEXT) != 0 &&
        (!number_get(&at, end, &next_len) || next_len > (uint64_t)(end - at) ||
         next_len + key_len > NAME_KEY_MAX))
        return false;
    *zone = (struct find_zone){
        .id = load_be32(value),
        .state = flags & ZONE_STATE_MASK,
        .signing = signing,
        .has_wildcard = (flags & ZONE_HAS_WILDCARD) != 0,
        .depth = (uint8_t)depth,
        .nsec3_flags = param[0],
        .nsec3_salt_len = param[1],
        .nsec3_iterations = load_be16(param + 2),
        .nsec3_salt = param + 4,
        .block = {at + next_len, (size_t)(end - at) - next_len, key, is_root ? 0 : key_len},
        .next = at,
        .next_len = next_len,
    };
    if (counts != NULL)
        *counts = (struct find_zone_counts){loaded_s, node_count, record_count};
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
        return find_zone_parse(k.mv_data, k.mv_size, value.mv_data, value.mv_size, zone_out, NULL)
                   ? 1
                   : -1;
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

static bool key_is_in_zone(const uint8_t *key, const MDB_val *k)
{
    return k->mv_size >= ZONE_ID_LEN && memcmp(k->mv_data, key, ZONE_ID_LEN) == 0;
}

/* Find a key in the zone's first block, all nodes before `next`. */
static int place_in_first(const struct find_zone *zone, const uint8_t *name, size_t name_len,
                          struct block_place *place)
{
    size_t apex_len = zone->block.apex_len;
    if (block_find(&zone->block, name, name_len, place) != 1)
        return -1;
    if (zone->next_len > 0 && !place->is_exact && !place->has_next) {
        place->has_next = true;
        place->next_common = apex_len + block_common(name + apex_len, name_len - apex_len,
                                                     zone->next, zone->next_len);
    }
    return 1;
}

/* Between two blocks: behind the last node of the one that the cursor is moved back to. */
static int place_in_former(MDB_cursor *nodes, bool is_at_end, const struct find_zone *zone,
                           const uint8_t *key, size_t key_len, struct block_place *place)
{
    struct block block = zone->block;
    MDB_val k, value;
    int rc = mdb_cursor_get(nodes, &k, &value, is_at_end ? MDB_LAST : MDB_PREV);
    if (rc != 0 || !key_is_in_zone(key, &k))
        return -1;
    block.octets = value.mv_data;
    block.len = value.mv_size;
    return block_find(&block, key + ZONE_ID_LEN, key_len - ZONE_ID_LEN, place) == 1 ? 1 : -1;
}

static bool recent_covers(const struct find_recent *recent, const struct find_zone *zone,
                          const uint8_t *name, size_t name_len)
{
    return recent != NULL && recent->is_set && recent->zone_id == zone->id &&
           block_key_compare(name, name_len, recent->last, recent->last_len) <= 0;
}

int find_place(MDB_cursor *nodes, struct find_recent *recent, const struct find_zone *zone,
               const uint8_t *key, size_t key_len, struct block_place *place)
{
    const uint8_t *name = key + ZONE_ID_LEN;
    size_t name_len = key_len - ZONE_ID_LEN, apex_len = zone->block.apex_len;
    MDB_val k = {key_len, (void *)(uintptr_t)key}, value;
    if (name_len < apex_len)
        return -1;
    if (zone->next_len == 0 ||
        block_key_compare(name + apex_len, name_len - apex_len, zone->next, zone->next_len) < 0)
        return place_in_first(zone, name, name_len, place);
    if (recent_covers(recent, zone, name, name_len) &&
        block_find(&recent->block, name, name_len, place) == 1)
        return 1;
    int rc = mdb_cursor_get(nodes, &k, &value, MDB_SET_RANGE);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return -1;
    if (rc == MDB_NOTFOUND || !key_is_in_zone(key, &k)) {
        return place_in_former(nodes, rc == MDB_NOTFOUND, zone, key, key_len, place);
    }
    struct block block = {value.mv_data, value.mv_size, zone->block.apex, apex_len};
    int status = block_find(&block, name, name_len, place);
    if (status == 0) {
        size_t next_common = place->next_common;
        status = place_in_former(nodes, false, zone, key, key_len, place);
        place->has_next = true;
        place->next_common = next_common;
    } else if (recent != NULL) {
        *recent =
            (struct find_recent){status == 1, zone->id, block,
                                 (const uint8_t *)k.mv_data + ZONE_ID_LEN, k.mv_size - ZONE_ID_LEN};
    }
    return status;
}

/* Exactly the key's first `depth` labels. Returns 1, 0, -1. */
static int node_at(struct zonedb_view *view, const struct find_zone *zone,
                   const struct find_key *key, unsigned depth, struct node *node_out)
{
    struct block_place place;
    if (find_place(view->nodes, &view->recent, zone, key->octets, key->end[depth], &place) != 1)
        return -1;
    *node_out = place.node;
    return place.is_exact;
}

static enum find_outcome occluder_outcome(const struct found *found)
{
    if (found->node.place == NODE_CUT)
        return FIND_DELEGATION;
    return found->node.place == NODE_DNAME ? FIND_DNAME : FIND_CORRUPT;
}

/* The name lies below the cut or DNAME at `depth`: fetch that node. */
static enum find_outcome occluder(struct zonedb_view *view, unsigned depth, struct found *found)
{
    if (depth > found->key.label_count || depth < found->zone.depth ||
        node_at(view, &found->zone, &found->key, depth, &found->node) != 1)
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
    struct block_place place;
    size_t len = found->key.end[found->encloser_depth];
    memcpy(wildcard, found->key.octets, len);
    wildcard[len++] = '*';
    wildcard[len++] = 0;
    if (find_place(view->nodes, &view->recent, &found->zone, wildcard, len, &place) != 1)
        return FIND_CORRUPT;
    found->node_depth = (uint8_t)(found->encloser_depth + 1);
    if (place.is_exact) {
        found->node = place.node;
        return FIND_WILDCARD;
    }
    if (!place.has_next || place.next_common < len - ZONE_ID_LEN)
        return FIND_NO_NODE;
    /* It exists as an empty non-terminal only. */
    found->node = (struct node){.place = NODE_PLAIN};
    found->is_empty_non_terminal = true;
    return FIND_WILDCARD;
}

/* Remember whose NSEC covers the name: the predecessor's, or its occluder's. */
static bool predecessor_set(struct zonedb_view *view, struct found *found)
{
    const struct block_place *place = &found->predecessor;
    if (found->zone.signing != ZONEDB_NSEC || (place->node.place & NODE_OCCLUDED) == 0)
        return true;
    uint8_t key[ZONE_ID_LEN + NAME_KEY_MAX];
    size_t len = ZONE_ID_LEN, key_len = ZONE_ID_LEN + block_place_key(place, key + ZONE_ID_LEN);
    store_be32(key, found->zone.id);
    for (unsigned left = place->node.place & ~NODE_OCCLUDED; left > 0 && len < key_len; len++)
        left -= key[len] == 0;
    return len >= found->zone.block.apex_len + ZONE_ID_LEN &&
           find_place(view->nodes, &view->recent, &found->zone, key, len, &found->predecessor) ==
               1 &&
           found->predecessor.is_exact;
}

size_t zonedb_find_predecessor(const struct found *found, uint8_t name[NAME_MAX_LEN])
{
    uint8_t key[NAME_KEY_MAX];
    size_t len = block_place_key(&found->predecessor, key);
    return len < found->zone.block.apex_len ? 0 : name_from_key(key, len, name);
}

static enum find_outcome node_outcome(struct zonedb_view *view, struct found *found)
{
    if ((found->node.place & NODE_OCCLUDED) != 0)
        return occluder(view, found->node.place & ~NODE_OCCLUDED, found);
    found->node_depth = found->key.label_count;
    return found->node.place == NODE_CUT ? FIND_DELEGATION : FIND_NODE;
}

/* The name has no node: the neighbours tell the rest. */
static enum find_outcome between(struct zonedb_view *view, struct found *found)
{
    const struct block_place *place = &found->predecessor;
    const struct find_key *key = &found->key;
    unsigned common = depth_within(key, place->node_common);
    unsigned successor_depth = place->has_next ? depth_within(key, place->next_common) : 0;
    if ((place->node.place & NODE_OCCLUDED) != 0) {
        unsigned depth = place->node.place & ~NODE_OCCLUDED;
        if (common >= depth)
            return occluder(view, depth, found);
    } else if (place->node.place != NODE_PLAIN && place->is_node_above) {
        found->node = place->node; /* it is the cut itself */
        found->node_depth = (uint8_t)common;
        return occluder_outcome(found);
    }
    found->encloser_depth = (uint8_t)(common > successor_depth ? common : successor_depth);
    found->node_depth = key->label_count;
    found->is_empty_non_terminal = successor_depth == key->label_count;
    if (!predecessor_set(view, found))
        return FIND_CORRUPT;
    if (found->is_empty_non_terminal) {
        found->node = (struct node){.place = NODE_PLAIN};
        return FIND_NODE;
    }
    return synthesis(view, found);
}

static enum find_outcome find_in_zone(struct zonedb_view *view, struct found *found)
{
    const struct find_key *key = &found->key;
    struct block_place *place = &found->predecessor;
    if (find_place(view->nodes, &view->recent, &found->zone, key->octets,
                   key->end[key->label_count], place) != 1)
        return FIND_CORRUPT;
    if (!place->is_exact)
        return between(view, found);
    found->node = place->node;
    return node_outcome(view, found);
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
        if (zone_above(view->zones, key, key->label_count - 1u, &parent, &apex) == 1 &&
            parent.state != ZONEDB_WITHHELD)
            found->zone = parent;
    }
    if (status == 0 || (status == 1 && found->zone.state == ZONEDB_WITHHELD)) {
        found->outcome = FIND_NOT_AUTHORITATIVE;
        return found->outcome;
    }
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
    struct block_place place;
    store_be32(octets, zone->id);
    size_t len = ZONE_ID_LEN + name_to_key(name, octets + ZONE_ID_LEN);
    if (find_place(view->nodes, &view->recent, zone, octets, len, &place) != 1)
        return -1;
    *node_out = place.node;
    return place.is_exact;
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
    *rrsets_out = (struct rrsets){value.mv_data, value.mv_size, 0};
    return is_match;
}
