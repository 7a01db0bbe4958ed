/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_change.c - single owners of a zone, changed in place.
 *
 * A node is changed with its block, which is written anew; one that has grown too large becomes two.
 *
 * What a node says of its surroundings is whether it lies below a cut or DNAME, and how deep that
 * is. So an owner that becomes one, or ceases to be one, changes the places of all owners below it
 * and of no others; they follow it directly in key order.
 */
#include "zonedb/writer.h"

#include <errno.h>
#include <stdlib.h>

static bool does_occlude(uint8_t place)
{
    return place == NODE_CUT || place == NODE_DNAME;
}

/* Let the writer have a copy of the zone's first block, to change it. */
static int first_take(struct zonedb_writer *writer, const struct block *block)
{
    uint8_t *octets = malloc(block->len + 1);
    if (octets == NULL)
        return -ENOMEM;
    memcpy(octets, block->octets, block->len);
    free(writer->first);
    writer->first = octets;
    writer->first_cap = block->len + 1;
    writer->zone.block =
        (struct block){octets, block->len, writer->apex_key.octets + ZONE_ID_LEN, block->apex_len};
    writer->has_first = true;
    return 0;
}

int zonedb_writer_change_begin(struct zonedb_writer *writer, const uint8_t *apex)
{
    assert(!writer->is_in_zone);
    name_copy_lower(writer->apex, apex);
    find_key_set(&writer->apex_key, 0, writer->apex);
    int rc = writer_zone_find(writer, &writer->apex_key, &writer->zone, &writer->counts);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    struct block block = writer->zone.block;
    memcpy(writer->next, writer->zone.next, writer->zone.next_len);
    writer->zone.next = writer->next;
    rc = first_take(writer, &block);
    if (rc != 0)
        return rc;
    writer->builder.node_count = 0;
    writer->put_flags = 0;
    writer->has_former = false;
    writer->occluder_len = 0;
    writer->is_in_zone = true;
    writer_log_begin(writer);
    return writer->zone.signing;
}

/* ---- what is there ---- */

/* The node under a key, or under its first labels. Returns 1, 0 there is none, negative errno. */
static int node_get(struct zonedb_writer *writer, const struct find_key *key, unsigned depth,
                    struct node *node_out)
{
    struct block_place place;
    *node_out = (struct node){.place = NODE_PLAIN};
    int rc = writer_find(writer, key->octets, key->end[depth], &place);
    /* An apex without records is there for the sake of the block only. */
    if (rc != 0 || !place.is_exact || place.node.rrsets.len == 0)
        return rc;
    *node_out = place.node;
    return 1;
}

int zonedb_writer_change_walk(struct zonedb_writer *writer, const uint8_t *owner,
                              zonedb_visit *visit, void *context)
{
    struct find_key key;
    struct node node;
    assert(writer->is_in_zone);
    find_key_set(&key, writer->zone.id, owner);
    int rc = node_get(writer, &key, key.label_count, &node);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    return zonedb_rrsets_visit(node.rrsets, owner, visit, context);
}

static MDB_val hash_key(const struct zonedb_writer *writer, const uint8_t hash[NSEC3_HASH_LEN],
                        uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN])
{
    store_be32(octets, writer->zone.id);
    memcpy(octets + ZONE_ID_LEN, hash, NSEC3_HASH_LEN);
    return (MDB_val){ZONE_ID_LEN + NSEC3_HASH_LEN, octets};
}

int zonedb_writer_change_walk_nsec3(struct zonedb_writer *writer,
                                    const uint8_t hash[NSEC3_HASH_LEN], zonedb_visit *visit,
                                    void *context)
{
    uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN];
    MDB_val key = hash_key(writer, hash, octets), value;
    assert(writer->is_in_zone);
    int rc = mdb_cursor_get(writer->nsec3, &key, &value, MDB_SET);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? -ENOENT : zonedb_errno(rc);
    return zonedb_rrsets_visit((struct rrsets){value.mv_data, value.mv_size, 0}, hash, visit,
                               context);
}

/* ---- neighbours in a denial chain ---- */

/* Move to the entry before or after the one that the cursor stands on, which must be the zone's.
 * Returns 1, 0 there is none, negative errno. */
static int step(struct zonedb_writer *writer, MDB_cursor *cursor, MDB_cursor_op op, MDB_val *k,
                MDB_val *value)
{
    uint8_t prefix[ZONE_ID_LEN];
    store_be32(prefix, writer->zone.id);
    int rc = mdb_cursor_get(cursor, k, value, op);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
    return k->mv_size >= ZONE_ID_LEN && memcmp(k->mv_data, prefix, sizeof prefix) == 0;
}

/* To the first entry behind the key, or to the last before it. */
static int seek(struct zonedb_writer *writer, MDB_cursor *cursor, MDB_val key, bool is_after,
                MDB_val *k, MDB_val *value)
{
    *k = key;
    int rc = mdb_cursor_get(cursor, k, value, MDB_SET_RANGE);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return zonedb_errno(rc);
    if (!is_after)
        return step(writer, cursor, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV, k, value);
    if (rc == 0 && k->mv_size == key.mv_size && memcmp(k->mv_data, key.mv_data, key.mv_size) == 0)
        return step(writer, cursor, MDB_NEXT, k, value);
    return rc == MDB_NOTFOUND ? 0 : step(writer, cursor, MDB_GET_CURRENT, k, value);
}

/* A key before all of the zone's that have more than its id, or one behind all of them. */
static MDB_val ring_end(const struct zonedb_writer *writer, bool is_first,
                        uint8_t octets[ZONE_ID_LEN + 1])
{
    store_be32(octets, is_first ? writer->zone.id : writer->zone.id + 1);
    return (MDB_val){ZONE_ID_LEN, octets};
}

static bool nsec_of(const struct node *node, const uint8_t *key, size_t key_len,
                    struct zonedb_near *near_out)
{
    struct zonedb_rrset nsec;
    if (rrsets_find(node->rrsets, RR_NSEC, &nsec, NULL) != 1 || nsec.rdata_len < 2 ||
        name_len(nsec.rdata + 2, nsec.rdata_len - 2u) == 0)
        return false;
    memcpy(near_out->next, nsec.rdata + 2, name_len(nsec.rdata + 2, nsec.rdata_len - 2u));
    return name_from_key(key, key_len, near_out->owner) != 0;
}

/* In one block: the first NSEC behind the key, or the last before it; no key: of all. */
static int near_in_block(const struct block *block, const MDB_val *bound, bool is_after,
                         struct zonedb_near *near_out)
{
    struct block_walk walk;
    bool has_one = false;
    int status = block_walk_begin(block, &walk);
    for (; status == 1; status = block_walk_next(&walk)) {
        int order = bound == NULL
                        ? 0
                        : block_key_compare(walk.key, walk.key_len, bound->mv_data, bound->mv_size);
        if (bound != NULL && !is_after && order >= 0)
            break;
        if (bound != NULL && is_after && order <= 0)
            continue;
        has_one |= nsec_of(&walk.node, walk.key, walk.key_len, near_out);
        if (has_one && is_after)
            break;
    }
    return status < 0 ? -EBADMSG : has_one;
}

/* The key of a stored block, with zone id: that of its last node. */
static int block_key(const struct zonedb_writer *writer, const struct block *block,
                     uint8_t key[ZONE_ID_LEN + NAME_KEY_MAX], MDB_val *key_out)
{
    struct block_walk walk;
    int status = block_walk_begin(block, &walk);
    while (status == 1)
        status = block_walk_next(&walk);
    if (status < 0)
        return -EBADMSG;
    store_be32(key, writer->zone.id);
    memcpy(key + ZONE_ID_LEN, walk.key, walk.key_len);
    *key_out = (MDB_val){ZONE_ID_LEN + walk.key_len, key};
    return 0;
}

/* The block before or after one, in the ring of the zone's blocks. */
static int ring_step(struct zonedb_writer *writer, struct block *block, bool is_after)
{
    uint8_t octets[ZONE_ID_LEN + NAME_KEY_MAX];
    MDB_val key, k, value;
    int rc = 0;
    if (block->octets == writer->first)
        key = ring_end(writer, is_after, octets);
    else
        rc = block_key(writer, block, octets, &key);
    if (rc == 0 && writer->zone.next_len > 0)
        rc = seek(writer, writer->nodes, key, is_after, &k, &value);
    *block = writer->zone.block;
    if (rc == 1) {
        block->octets = value.mv_data;
        block->len = value.mv_size;
    }
    return rc < 0 ? rc : 0;
}

int zonedb_writer_change_near(struct zonedb_writer *writer, const uint8_t *owner, bool is_after,
                              struct zonedb_near *near_out)
{
    struct find_key key;
    struct block_place place;
    find_key_set(&key, writer->zone.id, owner);
    MDB_val bound = {(size_t)key.end[key.label_count] - ZONE_ID_LEN, key.octets + ZONE_ID_LEN};
    int rc = writer_find(writer, key.octets, key.end[key.label_count], &place);
    if (rc != 0)
        return rc;
    struct block block = place.block;
    const uint8_t *begin = block.octets;
    rc = near_in_block(&block, &bound, is_after, near_out);
    do {
        if (rc == 0)
            rc = ring_step(writer, &block, is_after);
        if (rc == 0)
            rc = near_in_block(&block, NULL, is_after, near_out);
    } while (rc == 0 && block.octets != begin);
    return rc;
}

static bool nsec3_of(const MDB_val *k, const MDB_val *value, struct zonedb_near *near_out)
{
    struct zonedb_rrset nsec3;
    const uint8_t *rdata;
    uint16_t rdata_len;
    struct rrsets rrsets = {value->mv_data, value->mv_size, 0};
    if (k->mv_size != ZONE_ID_LEN + NSEC3_HASH_LEN ||
        rrsets_find(rrsets, RR_NSEC3, &nsec3, NULL) != 1)
        return false;
    struct rdata_cursor cursor = rdata_begin(&nsec3);
    if (rdata_next(&cursor, &rdata, &rdata_len) != 1 || rdata_len < 6 ||
        rdata_len < 6 + rdata[4] + NSEC3_HASH_LEN)
        return false;
    memcpy(near_out->next, rdata + 6 + rdata[4], NSEC3_HASH_LEN);
    memcpy(near_out->owner, (const uint8_t *)k->mv_data + ZONE_ID_LEN, NSEC3_HASH_LEN);
    return true;
}

int zonedb_writer_change_near_nsec3(struct zonedb_writer *writer,
                                    const uint8_t hash[NSEC3_HASH_LEN], bool is_after,
                                    struct zonedb_near *near_out)
{
    uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN], end[ZONE_ID_LEN + 1];
    MDB_val key = hash_key(writer, hash, octets), k, value;
    for (unsigned round = 0; round < 2; round++, key = ring_end(writer, is_after, end)) {
        int rc = seek(writer, writer->nsec3, key, is_after, &k, &value);
        for (; rc == 1;
             rc = step(writer, writer->nsec3, is_after ? MDB_NEXT : MDB_PREV, &k, &value))
            if (nsec3_of(&k, &value, near_out))
                return 1;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- who is below ---- */

/* Let the writer stand in the occluder above the key, if there is one: the topmost, which no other
 * occludes. */
static int occluder_find(struct zonedb_writer *writer, const struct find_key *key)
{
    struct node node;
    writer->occluder_len = 0;
    for (unsigned depth = writer->zone.depth; depth < key->label_count; depth++) {
        int rc = node_get(writer, key, depth, &node);
        if (rc < 0)
            return rc;
        if (rc == 0 || !does_occlude(node.place))
            continue;
        writer->occluder_len = (size_t)key->end[depth] - ZONE_ID_LEN;
        writer->occluder_depth = (uint8_t)depth;
        memcpy(writer->occluder, key->octets + ZONE_ID_LEN, writer->occluder_len);
        break;
    }
    return 0;
}

/* The nodes of a block that lie below a key, in order, get the place that they should have. The
 * octets are ours. Returns 1 if any was changed, 0, negative errno. */
static int places_update(struct zonedb_writer *writer, const struct block *block, uint8_t *octets,
                         const uint8_t *above, size_t above_len)
{
    struct block_walk walk;
    struct zonedb_rrset rrset;
    int has_changed = 0, status = block_walk_begin(block, &walk);
    for (; status == 1; status = block_walk_next(&walk)) {
        if (walk.key_len <= above_len || memcmp(walk.key, above, above_len) != 0)
            continue;
        bool has_servers = rrsets_find(walk.node.rrsets, RR_NS, &rrset, NULL) == 1;
        bool has_dname = rrsets_find(walk.node.rrsets, RR_DNAME, &rrset, NULL) == 1;
        uint8_t place = writer_classify(writer, walk.key, walk.key_len, has_servers, has_dname);
        if (place != walk.node.place)
            writer_log_key(writer, walk.key, walk.key_len);
        has_changed |= place != walk.node.place;
        octets[walk.stored - block->octets] = place;
    }
    return status < 0 ? -EBADMSG : has_changed;
}

/* The same for the block that the cursor stands on. */
static int stored_update(struct zonedb_writer *writer, MDB_val k, MDB_val value,
                         const uint8_t *above, size_t above_len)
{
    struct block block = writer->zone.block;
    uint8_t key[ZONE_ID_LEN + NAME_KEY_MAX];
    MDB_val copy = {value.mv_size, malloc(value.mv_size + 1)}, same = {k.mv_size, key};
    if (copy.mv_data == NULL)
        return -ENOMEM;
    /* The old value must not be read while it is replaced. */
    memcpy(copy.mv_data, value.mv_data, value.mv_size);
    memcpy(key, k.mv_data, k.mv_size);
    block.octets = value.mv_data;
    block.len = value.mv_size;
    int rc = places_update(writer, &block, copy.mv_data, above, above_len);
    if (rc == 1)
        rc = zonedb_errno(mdb_cursor_put(writer->nodes, &same, &copy, MDB_CURRENT));
    free(copy.mv_data);
    return rc;
}

/* All nodes below the key, in order; the writer stands at the key. The last block with some of them
 * is the one whose key is not below. */
static int subtree_update(struct zonedb_writer *writer, const struct find_key *key)
{
    size_t len = key->end[key->label_count];
    const uint8_t *above = key->octets + ZONE_ID_LEN;
    MDB_val k = {len, (void *)(uintptr_t)key->octets}, value;
    bool is_below = writer->zone.next_len > 0;
    int rc = places_update(writer, &writer->zone.block, writer->first, above, len - ZONE_ID_LEN);
    if (rc < 0)
        return rc;
    rc = is_below ? mdb_cursor_get(writer->nodes, &k, &value, MDB_SET_RANGE) : 0;
    while (rc == 0 && is_below && k.mv_size >= ZONE_ID_LEN &&
           memcmp(k.mv_data, key->octets, ZONE_ID_LEN) == 0) {
        is_below = k.mv_size >= len && memcmp(k.mv_data, key->octets, len) == 0;
        rc = stored_update(writer, k, value, above, len - ZONE_ID_LEN);
        if (rc < 0)
            return rc;
        rc = mdb_cursor_get(writer->nodes, &k, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
}

/* ---- a block anew ---- */

/* One node with what it becomes: no RRsets, it goes. */
struct replacement {
    const uint8_t *key; /* without id */
    size_t key_len;
    uint8_t place;
    const struct zonedb_rrset *rrsets;
    size_t rrset_count;
    uint32_t ttl; /* of the block */
    size_t room;  /* of each block that it becomes */
};

static int stored_add(struct zonedb_writer *writer, const struct replacement *new,
                      const uint8_t *key, size_t key_len, size_t len, uint8_t **octets_out)
{
    struct block_builder *builder = &writer->builder;
    int rc = 0;
    if (builder->node_count > 0 && block_build_size(builder, key_len, len) > new->room)
        rc = writer_block_end(writer);
    if (builder->node_count == 0)
        block_build_next(builder, new->ttl);
    return rc != 0 ? rc : block_build_add(builder, key, key_len, len, octets_out);
}

static int replacement_add(struct zonedb_writer *writer, const struct replacement *new)
{
    uint8_t *octets;
    size_t len = node_size(new->rrsets, new->rrset_count, new->ttl);
    int rc = stored_add(writer, new, new->key, new->key_len, len, &octets);
    if (rc == 0)
        node_write(octets, new->place, new->rrsets, new->rrset_count, new->ttl);
    return rc;
}

/* All nodes of `old`, which is no part of the database, and the new one. */
static int block_write(struct zonedb_writer *writer, const struct block *old,
                       const struct replacement *new)
{
    struct block_walk walk;
    uint8_t *octets;
    /* A zone's first block begins with its apex, be it without records. */
    bool is_due = new->rrset_count > 0 || new->key_len == writer->zone.block.apex_len;
    int rc = 0, status = block_walk_begin(old, &walk);
    for (; rc == 0 && status == 1; status = block_walk_next(&walk)) {
        int order = block_key_compare(walk.key, walk.key_len, new->key, new->key_len);
        if (is_due && order >= 0) {
            rc = replacement_add(writer, new);
            is_due = false;
        }
        if (rc == 0 && order != 0) {
            rc = stored_add(writer, new, walk.key, walk.key_len, walk.stored_len, &octets);
            if (rc == 0)
                memcpy(octets, walk.stored, walk.stored_len);
        }
    }
    if (rc == 0 && status == 0 && is_due)
        rc = replacement_add(writer, new);
    if (rc == 0)
        rc = status < 0 ? -EBADMSG : writer_block_end(writer);
    return rc;
}

/* Take the block out of the database if it will have another key. */
static int block_make_way(struct zonedb_writer *writer, const struct block *old,
                          const struct replacement *new)
{
    uint8_t octets[ZONE_ID_LEN + NAME_KEY_MAX];
    MDB_val key, value;
    int rc = block_key(writer, old, octets, &key);
    if (rc != 0)
        return rc;
    int order =
        block_key_compare(new->key, new->key_len, octets + ZONE_ID_LEN, key.mv_size - ZONE_ID_LEN);
    if (order < 0 || (order == 0 && new->rrset_count > 0))
        return 0;
    rc = mdb_cursor_get(writer->nodes, &key, &value, MDB_SET);
    return zonedb_errno(rc != 0 ? rc : mdb_cursor_del(writer->nodes, 0));
}

/* Put a node in place of the one that there may be; both are of the block of `place`. */
static int node_replace(struct zonedb_writer *writer, const struct block_place *place,
                        struct replacement *new)
{
    struct block old = place->block;
    bool is_first = old.octets == writer->first;
    if (!place->is_exact && new->rrset_count == 0)
        return 0;
    uint8_t *copy = malloc(old.len);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, old.octets, old.len);
    old.octets = copy;
    new->ttl = load_be32(copy);
    new->room = writer_block_room(writer);
    size_t size = BLOCK_ENTRY_LEN + ZONE_ID_LEN + old.len + 2 * new->key_len +
                  node_size(new->rrsets, new->rrset_count, new->ttl);
    if (size > new->room) /* it may become two: both get room */
        new->room = size / 2 + BLOCK_ENTRY_LEN < new->room ? size / 2 + BLOCK_ENTRY_LEN : new->room;
    int rc = is_first ? 0 : block_make_way(writer, &old, new);
    writer->has_first = !is_first;
    block_build_first(&writer->builder, old.apex_len);
    if (rc == 0)
        rc = block_write(writer, &old, new);
    free(copy);
    return rc == 0 ? writer_next_find(writer) : rc;
}

/* ---- what it becomes ---- */

static void count_records(struct zonedb_writer *writer, struct rrsets former,
                          const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    struct zonedb_rrset rrset;
    while (rrsets_next(&former, &rrset) == 1)
        writer->counts.record_count -= rrset.rr_count;
    for (size_t i = 0; i < rrset_count; i++)
        writer->counts.record_count += rrsets[i].rr_count;
}

int zonedb_writer_change_node(struct zonedb_writer *writer, const uint8_t *owner,
                              const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    struct find_key key;
    struct block_place place;
    assert(writer->is_in_zone);
    if (!name_is_at_or_below(owner, writer->apex))
        return -EINVAL;
    if (name_equal(owner, writer->apex) &&
        (rrsets = writer_cap(writer, rrsets, rrset_count)) == NULL && rrset_count > 0)
        return -ENOMEM;
    find_key_set(&key, writer->zone.id, owner);
    writer_log_node(writer, &key);
    int rc = occluder_find(writer, &key);
    if (rc == 0)
        rc = writer_find(writer, key.octets, key.end[key.label_count], &place);
    if (rc != 0)
        return rc;
    bool was_there = place.is_exact && place.node.rrsets.len > 0;
    bool did_occlude = was_there && does_occlude(place.node.place);
    struct replacement new = {
        .key = key.octets + ZONE_ID_LEN,
        .key_len = (size_t)key.end[key.label_count] - ZONE_ID_LEN,
        .place = NODE_PLAIN,
        .rrsets = rrsets,
        .rrset_count = rrset_count,
    };
    count_records(writer, was_there ? place.node.rrsets : (struct rrsets){0}, rrsets, rrset_count);
    writer->counts.node_count += (uint64_t)(rrset_count > 0) - was_there;
    if (rrset_count > 0) {
        new.place = writer_classify_new(writer, &key, rrsets, rrset_count);
        writer_see_wildcard(writer, owner);
    }
    rc = node_replace(writer, &place, &new);
    /* A cut that becomes a DNAME occludes the same names. */
    return rc == 0 && did_occlude != does_occlude(new.place) ? subtree_update(writer, &key) : rc;
}

int zonedb_writer_change_nsec3(struct zonedb_writer *writer, const uint8_t hash[NSEC3_HASH_LEN],
                               const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN];
    MDB_val key = hash_key(writer, hash, octets), k = key, value = {0, NULL};
    assert(writer->is_in_zone);
    writer_log_nsec3(writer);
    int rc = mdb_cursor_get(writer->nsec3, &k, &value, MDB_SET);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return zonedb_errno(rc);
    bool was_there = rc == 0;
    count_records(writer, (struct rrsets){value.mv_data, value.mv_size, 0}, rrsets, rrset_count);
    if (rrset_count > 0)
        return writer_nsec3_put(writer, key, rrsets, rrset_count, 0);
    return was_there ? zonedb_errno(mdb_cursor_del(writer->nsec3, 0)) : 0;
}

int zonedb_writer_change_end(struct zonedb_writer *writer, uint64_t loaded_s)
{
    uint8_t prefix[ZONE_ID_LEN];
    MDB_val key = {sizeof prefix, prefix}, value;
    assert(writer->is_in_zone);
    writer->is_in_zone = false;
    store_be32(prefix, writer->zone.id);
    int rc = mdb_cursor_get(writer->nsec3, &key, &value, MDB_SET_RANGE);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return zonedb_errno(rc);
    writer->has_nsec3 = rc == 0 && memcmp(key.mv_data, prefix, sizeof prefix) == 0;
    return writer_zone_put(writer, loaded_s);
}
