/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_change.c - single owners of a zone, changed in place.
 *
 * What a node says of its surroundings is whether it lies below a cut or DNAME, and how deep that
 * is. So an owner that becomes one, or ceases to be one, changes the headers of all owners below it
 * and of no others; they follow it directly in key order.
 */
#include "zonedb/writer.h"

#include <errno.h>
#include <stdlib.h>

#define OCCLUDES (NODE_CUT | NODE_DNAME)

int zonedb_writer_change_begin(struct zonedb_writer *writer, const uint8_t *apex)
{
    struct find_zone zone;
    MDB_val record;
    assert(!writer->is_in_zone);
    name_copy_lower(writer->apex, apex);
    find_key_set(&writer->apex_key, 0, writer->apex);
    int rc = writer_zone_find(writer, &writer->apex_key, &writer->id, &record);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    const uint8_t *octets = record.mv_data;
    if (!find_zone_parse(octets, record.mv_size, &zone))
        return -EBADMSG;
    writer->has_former = false;
    writer->node_count = load_be64(octets + 12);
    writer->record_count = load_be64(octets + 20);
    writer->has_wildcard = zone.has_wildcard;
    writer->occluder_len = 0;
    writer->is_in_zone = true;
    writer_log_begin(writer);
    return zone.signing;
}

/* ---- what is there ---- */

/* The node under a key, or under its first labels. Returns 1, 0 there is none, negative errno. */
static int node_get(struct zonedb_writer *writer, const struct find_key *key, unsigned depth,
                    struct node *node_out)
{
    MDB_val k = {key->end[depth], (void *)(uintptr_t)key->octets}, value;
    int rc = mdb_cursor_get(writer->nodes, &k, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return zonedb_errno(rc);
    return node_parse(value.mv_data, value.mv_size, node_out) ? 1 : -EBADMSG;
}

int zonedb_writer_change_walk(struct zonedb_writer *writer, const uint8_t *owner,
                              zonedb_visit *visit, void *context)
{
    struct find_key key;
    struct node node = {.flags = 0};
    assert(writer->is_in_zone);
    find_key_set(&key, writer->id, owner);
    int rc = node_get(writer, &key, key.label_count, &node);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    return zonedb_rrsets_visit(node.rrsets, owner, visit, context);
}

static MDB_val hash_key(const struct zonedb_writer *writer, const uint8_t hash[NSEC3_HASH_LEN],
                        uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN])
{
    store_be32(octets, writer->id);
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
    return zonedb_rrsets_visit((struct rrsets){value.mv_data, value.mv_size}, hash, visit, context);
}

/* ---- neighbours in a denial chain ---- */

/* Move to the node before or after the one that the cursor stands on, which must be the zone's.
 * Returns 1, 0 there is none, negative errno. */
static int step(struct zonedb_writer *writer, MDB_cursor *cursor, MDB_cursor_op op, MDB_val *k,
                MDB_val *value)
{
    uint8_t prefix[ZONE_ID_LEN];
    store_be32(prefix, writer->id);
    int rc = mdb_cursor_get(cursor, k, value, op);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
    return k->mv_size >= ZONE_ID_LEN && memcmp(k->mv_data, prefix, sizeof prefix) == 0;
}

/* To the first entry at or after the key, or to the last before it; in a ring. */
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

/* The zone's first key, or one behind all of them. */
static MDB_val ring_end(const struct zonedb_writer *writer, bool is_first,
                        uint8_t octets[ZONE_ID_LEN + 1])
{
    store_be32(octets, is_first ? writer->id : writer->id + 1);
    return (MDB_val){ZONE_ID_LEN, octets};
}

static bool nsec_of(const MDB_val *k, const MDB_val *value, struct zonedb_near *near_out)
{
    struct zonedb_rrset nsec;
    struct node node = {.flags = 0};
    if (!node_parse(value->mv_data, value->mv_size, &node) ||
        rrsets_find(node.rrsets, RR_NSEC, &nsec, NULL) != 1 || nsec.rdata_len < 2 ||
        name_len(nsec.rdata + 2, nsec.rdata_len - 2u) == 0)
        return false;
    memcpy(near_out->next, nsec.rdata + 2, name_len(nsec.rdata + 2, nsec.rdata_len - 2u));
    return name_from_key((const uint8_t *)k->mv_data + ZONE_ID_LEN, k->mv_size - ZONE_ID_LEN,
                         near_out->owner) != 0;
}

static bool nsec3_of(const MDB_val *k, const MDB_val *value, struct zonedb_near *near_out)
{
    struct zonedb_rrset nsec3;
    const uint8_t *rdata;
    uint16_t rdata_len;
    struct rrsets rrsets = {value->mv_data, value->mv_size};
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

static int near_find(struct zonedb_writer *writer, bool is_nsec3, MDB_val key, bool is_after,
                     struct zonedb_near *near_out)
{
    MDB_cursor *cursor = is_nsec3 ? writer->nsec3 : writer->nodes;
    uint8_t end[ZONE_ID_LEN + 1];
    MDB_val k, value;
    for (unsigned round = 0; round < 2; round++, key = ring_end(writer, is_after, end)) {
        int rc = seek(writer, cursor, key, is_after, &k, &value);
        for (; rc == 1; rc = step(writer, cursor, is_after ? MDB_NEXT : MDB_PREV, &k, &value))
            if ((is_nsec3 ? nsec3_of : nsec_of)(&k, &value, near_out))
                return 1;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int zonedb_writer_change_near(struct zonedb_writer *writer, const uint8_t *owner, bool is_after,
                              struct zonedb_near *near_out)
{
    struct find_key key;
    find_key_set(&key, writer->id, owner);
    return near_find(writer, false, (MDB_val){key.end[key.label_count], key.octets}, is_after,
                     near_out);
}

int zonedb_writer_change_near_nsec3(struct zonedb_writer *writer,
                                    const uint8_t hash[NSEC3_HASH_LEN], bool is_after,
                                    struct zonedb_near *near_out)
{
    uint8_t octets[ZONE_ID_LEN + NSEC3_HASH_LEN];
    return near_find(writer, true, hash_key(writer, hash, octets), is_after, near_out);
}

/* ---- what it becomes ---- */

static uint64_t records_of(struct rrsets rrsets)
{
    struct zonedb_rrset rrset;
    uint64_t count = 0;
    while (rrsets_next(&rrsets, &rrset) == 1)
        count += rrset.rr_count;
    return count;
}

/* Let the writer stand in the occluder above the key, if there is one: the topmost, which no other
 * occludes. */
static int occluder_find(struct zonedb_writer *writer, const struct find_key *key)
{
    struct node node = {.flags = 0};
    writer->occluder_len = 0;
    for (unsigned depth = writer->apex_key.label_count; depth < key->label_count; depth++) {
        int rc = node_get(writer, key, depth, &node);
        if (rc < 0)
            return rc;
        if (rc == 0 || (node.flags & OCCLUDES) == 0)
            continue;
        writer->occluder_len = key->end[depth];
        writer->occluder_depth = (uint8_t)depth;
        memcpy(writer->occluder, key->octets, writer->occluder_len);
        break;
    }
    return 0;
}

/* RRsets of a stored node into an array, grown as needed. Returns how many, or a negative errno. */
static int rrsets_list(struct rrsets rrsets, struct zonedb_rrset **list, size_t *cap)
{
    struct zonedb_rrset rrset;
    size_t count = 0;
    int status;
    while ((status = rrsets_next(&rrsets, &rrset)) == 1) {
        if (count == *cap) {
            size_t wanted = *cap == 0 ? 16 : *cap * 2;
            void *grown = reallocarray(*list, wanted, sizeof **list);
            if (grown == NULL)
                return -ENOMEM;
            *list = grown;
            *cap = wanted;
        }
        (*list)[count++] = rrset;
    }
    return status == 0 ? (int)count : -EBADMSG;
}

/* The cursor stands on a node: give it the header that it should have. The copy is needed, as the
 * old value must not be read while it is replaced. */
static int header_update(struct zonedb_writer *writer, const MDB_val *k, const MDB_val *value,
                         struct zonedb_rrset **list, size_t *cap)
{
    struct find_key key;
    struct node node = {.flags = 0};
    uint8_t name[NAME_MAX_LEN], header[NODE_FIXED_LEN];
    if (name_from_key((const uint8_t *)k->mv_data + ZONE_ID_LEN, k->mv_size - ZONE_ID_LEN, name) ==
            0 ||
        !node_parse(value->mv_data, value->mv_size, &node))
        return -EBADMSG;
    find_key_set(&key, writer->id, name);
    int count = rrsets_list(node.rrsets, list, cap);
    if (count < 0)
        return count;
    writer_classify(writer, &key, *list, (size_t)count, header);
    if (header[0] == node.flags && header[1] == node.depth)
        return 0;
    uint8_t *copy = malloc(value->mv_size);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, value->mv_data, value->mv_size);
    memcpy(copy, header, sizeof header);
    MDB_val same = {key.end[key.label_count], key.octets}, changed = {value->mv_size, copy};
    int rc = mdb_cursor_put(writer->nodes, &same, &changed, MDB_CURRENT);
    free(copy);
    return zonedb_errno(rc);
}

/* All nodes below the key, in order; the writer stands at the key. */
static int subtree_update(struct zonedb_writer *writer, const struct find_key *key)
{
    size_t len = key->end[key->label_count], cap = 0;
    struct zonedb_rrset *list = NULL;
    MDB_val k = {len, (void *)(uintptr_t)key->octets}, value;
    int rc = mdb_cursor_get(writer->nodes, &k, &value, MDB_SET_RANGE);
    if (rc == 0 && k.mv_size == len && memcmp(k.mv_data, key->octets, len) == 0)
        rc = mdb_cursor_get(writer->nodes, &k, &value, MDB_NEXT);
    while (rc == 0 && k.mv_size > len && memcmp(k.mv_data, key->octets, len) == 0) {
        int error = header_update(writer, &k, &value, &list, &cap);
        if (error != 0) {
            free(list);
            return error;
        }
        rc = mdb_cursor_get(writer->nodes, &k, &value, MDB_NEXT);
    }
    free(list);
    return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
}

/* Take the entry under the cursor away, or put another in its place. */
static int replace(MDB_cursor *cursor, MDB_val key, bool is_there, const uint8_t *prefix,
                   size_t prefix_len, const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    MDB_val k = key, value;
    if (rrset_count > 0)
        return writer_put(cursor, key, prefix, prefix_len, rrsets, rrset_count, 0);
    if (!is_there)
        return 0;
    int rc = mdb_cursor_get(cursor, &k, &value, MDB_SET);
    return zonedb_errno(rc != 0 ? rc : mdb_cursor_del(cursor, 0));
}

static void count_records(struct zonedb_writer *writer, struct rrsets former,
                          const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    writer->record_count -= records_of(former);
    for (size_t i = 0; i < rrset_count; i++)
        writer->record_count += rrsets[i].rr_count;
}

int zonedb_writer_change_node(struct zonedb_writer *writer, const uint8_t *owner,
                              const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    struct find_key key;
    struct node former = {.flags = 0};
    uint8_t header[NODE_FIXED_LEN] = {0};
    assert(writer->is_in_zone);
    if (!name_is_at_or_below(owner, writer->apex))
        return -EINVAL;
    find_key_set(&key, writer->id, owner);
    writer_log_node(writer, &key);
    int was_there = node_get(writer, &key, key.label_count, &former);
    if (was_there < 0)
        return was_there;
    int rc = occluder_find(writer, &key);
    if (rc != 0)
        return rc;
    count_records(writer, former.rrsets, rrsets, rrset_count);
    writer->node_count = writer->node_count + (rrset_count > 0) - (was_there == 1);
    if (rrset_count > 0)
        writer_classify(writer, &key, rrsets, rrset_count, header);
    for (const uint8_t *label = owner; label[0] != 0 && rrset_count > 0; label += 1 + label[0])
        writer->has_wildcard |= label[0] == 1 && label[1] == '*';
    rc = replace(writer->nodes, (MDB_val){key.end[key.label_count], key.octets}, was_there == 1,
                 header, sizeof header, rrsets, rrset_count);
    /* A cut that becomes a DNAME occludes the same names. */
    bool did_occlude = (former.flags & OCCLUDES) != 0, does_occlude = (header[0] & OCCLUDES) != 0;
    return rc == 0 && did_occlude != does_occlude ? subtree_update(writer, &key) : rc;
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
    if (was_there)
        count_records(writer, (struct rrsets){value.mv_data, value.mv_size}, NULL, 0);
    count_records(writer, (struct rrsets){NULL, 0}, rrsets, rrset_count);
    return replace(writer->nsec3, key, was_there, NULL, 0, rrsets, rrset_count);
}

int zonedb_writer_change_end(struct zonedb_writer *writer, uint64_t loaded_s)
{
    uint8_t prefix[ZONE_ID_LEN];
    MDB_val key = {sizeof prefix, prefix}, value;
    assert(writer->is_in_zone);
    writer->is_in_zone = false;
    store_be32(prefix, writer->id);
    int rc = mdb_cursor_get(writer->nsec3, &key, &value, MDB_SET_RANGE);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return zonedb_errno(rc);
    writer->has_nsec3 = rc == 0 && memcmp(key.mv_data, prefix, sizeof prefix) == 0;
    return writer_zone_put(writer, loaded_s);
}
