/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/writer.h"

#include <errno.h>
#include <stdlib.h>

static const char next_id_key[] = "next-zone-id";

int zonedb_writer_begin(struct zonedb *db, struct zonedb_writer **writer_out)
{
    assert(db->mode != ZONEDB_READ);
    *writer_out = NULL;
    struct zonedb_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return -ENOMEM;
    writer->db = db;
    int rc = mdb_txn_begin(db->env, NULL, 0, &writer->txn);
    if (rc == MDB_MAP_RESIZED && zonedb_remap(db) == 0)
        rc = mdb_txn_begin(db->env, NULL, 0, &writer->txn);
    if (rc == 0)
        rc = mdb_cursor_open(writer->txn, db->zones, &writer->zones);
    if (rc == 0)
        rc = mdb_cursor_open(writer->txn, db->nodes, &writer->nodes);
    if (rc == 0)
        rc = mdb_cursor_open(writer->txn, db->nsec3, &writer->nsec3);
    rc = rc == 0 ? writer_cap_get(writer) : zonedb_errno(rc);
    if (rc != 0) {
        zonedb_writer_abort(writer);
        return rc;
    }
    *writer_out = writer;
    return 0;
}

static void writer_free(struct zonedb_writer *writer)
{
    free(writer->builder.octets);
    free(writer->first);
    free(writer->capped);
    free(writer);
}

void zonedb_writer_abort(struct zonedb_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->txn != NULL)
        mdb_txn_abort(writer->txn); /* closes the cursors of a write transaction */
    writer_free(writer);
}

static int next_id_put(struct zonedb_writer *writer)
{
    uint8_t octets[4];
    MDB_val key = {sizeof next_id_key - 1, (void *)(uintptr_t)next_id_key};
    MDB_val value = {sizeof octets, octets};
    store_be32(octets, writer->next_id);
    return zonedb_errno(mdb_put(writer->txn, writer->db->meta, &key, &value, 0));
}

int zonedb_writer_commit(struct zonedb_writer *writer)
{
    assert(!writer->is_in_zone);
    int rc = writer_log_put(writer);
    if (rc == 0 && writer->next_id != 0)
        rc = next_id_put(writer);
    if (rc != 0) {
        zonedb_writer_abort(writer);
        return rc;
    }
    rc = mdb_txn_commit(writer->txn);
    writer_free(writer);
    return zonedb_errno(rc);
}

/* The key of a zone in `zones`; LMDB knows no empty keys, so that the root zone's is one octet 0.
 */
static MDB_val zones_key(struct find_key *key)
{
    size_t len = (size_t)key->end[key->label_count] - ZONE_ID_LEN;
    if (len == 0) {
        key->octets[ZONE_ID_LEN] = 0;
        len = 1;
    }
    return (MDB_val){len, key->octets + ZONE_ID_LEN};
}

int writer_zone_find(struct zonedb_writer *writer, struct find_key *key, struct find_zone *zone,
                     struct find_zone_counts *counts)
{
    MDB_val k = zones_key(key), value;
    int rc = mdb_cursor_get(writer->zones, &k, &value, MDB_SET);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return zonedb_errno(rc);
    return find_zone_parse(k.mv_data, k.mv_size, value.mv_data, value.mv_size, zone, counts)
               ? 1
               : -EBADMSG;
}

static int next_id_take(struct zonedb_writer *writer, uint32_t *id_out)
{
    if (writer->next_id == 0) {
        MDB_val key = {sizeof next_id_key - 1, (void *)(uintptr_t)next_id_key}, value;
        int rc = mdb_get(writer->txn, writer->db->meta, &key, &value);
        writer->next_id = 1;
        if (rc == 0 && value.mv_size == 4)
            writer->next_id = load_be32(value.mv_data);
        else if (rc != MDB_NOTFOUND)
            return rc != 0 ? zonedb_errno(rc) : -EBADMSG;
    }
    if (writer->next_id == UINT32_MAX)
        return -EOVERFLOW;
    *id_out = writer->next_id++;
    return 0;
}

int zonedb_writer_zone_begin(struct zonedb_writer *writer, const uint8_t *apex)
{
    struct find_zone former;
    assert(!writer->is_in_zone);
    name_copy_lower(writer->apex, apex);
    find_key_set(&writer->apex_key, 0, writer->apex);
    int rc = writer_zone_find(writer, &writer->apex_key, &former, NULL);
    if (rc < 0)
        return rc;
    writer->has_former = rc == 1;
    writer_log_all(writer);
    writer->former_id = rc == 1 ? former.id : 0;
    writer->zone = (struct find_zone){.depth = writer->apex_key.label_count,
                                      .state = rc == 1 ? former.state : ZONEDB_SERVING};
    writer->zone.block.apex = writer->apex_key.octets + ZONE_ID_LEN;
    writer->zone.block.apex_len = (size_t)writer->apex_key.end[writer->zone.depth] - ZONE_ID_LEN;
    writer->counts = (struct find_zone_counts){0};
    rc = next_id_take(writer, &writer->zone.id);
    if (rc != 0)
        return rc;
    block_build_first(&writer->builder, writer->zone.block.apex_len);
    writer->has_nsec3 = writer->has_first = false;
    writer->put_flags = MDB_APPEND;
    writer->occluder_len = 0;
    writer->is_in_zone = true;
    return 0;
}

/* ---- blocks ---- */

/* Octets that a zone record has before its block, as a rule. */
#define ZONE_RECORD_HEAD 16

/* The zone's first block stands in its record, the others in `nodes`. */
int writer_block_end(struct zonedb_writer *writer)
{
    struct block_builder *builder = &writer->builder;
    if (builder->node_count == 0)
        return 0;
    builder->node_count = 0;
    if (writer->has_first) {
        store_be32(builder->last, writer->zone.id);
        MDB_val key = {ZONE_ID_LEN + builder->last_len, builder->last};
        MDB_val value = {builder->len, builder->octets};
        return zonedb_errno(mdb_cursor_put(writer->nodes, &key, &value, writer->put_flags));
    }
    uint8_t *octets = writer->first;
    size_t cap = writer->first_cap;
    writer->first = builder->octets;
    writer->first_cap = builder->cap;
    builder->octets = octets;
    builder->cap = cap;
    writer->zone.block.octets = writer->first;
    writer->zone.block.len = builder->len;
    writer->has_first = true;
    return 0;
}

size_t writer_block_room(const struct zonedb_writer *writer)
{
    return writer->has_first ? BLOCK_ROOM : BLOCK_ROOM - ZONE_RECORD_HEAD;
}

static int node_add(struct zonedb_writer *writer, const uint8_t *key, size_t key_len, uint8_t place,
                    const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    struct block_builder *builder = &writer->builder;
    uint8_t *octets;
    int rc = 0;
    size_t len = node_size(rrsets, rrset_count, builder->ttl);
    if (builder->node_count == 0 ||
        block_build_size(builder, key_len, len) > writer_block_room(writer)) {
        rc = writer_block_end(writer);
        block_build_next(builder, rrsets[0].ttl);
        len = node_size(rrsets, rrset_count, builder->ttl);
    }
    if (rc == 0)
        rc = block_build_add(builder, key, key_len, len, &octets);
    if (rc == 0)
        node_write(octets, place, rrsets, rrset_count, builder->ttl);
    return rc;
}

int writer_next_find(struct zonedb_writer *writer)
{
    struct block block = writer->zone.block;
    struct block_walk walk;
    uint8_t prefix[ZONE_ID_LEN];
    MDB_val k = {sizeof prefix, prefix}, value;
    store_be32(prefix, writer->zone.id);
    writer->zone.next = writer->next;
    writer->zone.next_len = 0;
    int rc = mdb_cursor_get(writer->nodes, &k, &value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND ||
        (rc == 0 && (k.mv_size < sizeof prefix || memcmp(k.mv_data, prefix, sizeof prefix) != 0)))
        return 0;
    block.octets = value.mv_data;
    block.len = value.mv_size;
    if (rc != 0 || block_walk_begin(&block, &walk) != 1 || walk.key_len <= block.apex_len)
        return rc != 0 ? zonedb_errno(rc) : -EBADMSG;
    writer->zone.next_len = walk.key_len - block.apex_len;
    memcpy(writer->next, walk.key + block.apex_len, writer->zone.next_len);
    return 0;
}

int writer_find(struct zonedb_writer *writer, const uint8_t *key, size_t key_len,
                struct block_place *place)
{
    int rc = 0;
    if (writer->builder.node_count > 0) {
        rc = writer_block_end(writer);
        if (rc == 0)
            rc = writer_next_find(writer);
    }
    if (rc != 0)
        return rc;
    return find_place(writer->nodes, NULL, &writer->zone, key, key_len, place) == 1 ? 0 : -EBADMSG;
}

/* ---- nodes ---- */

uint8_t writer_classify(struct zonedb_writer *writer, const uint8_t *key, size_t key_len,
                        bool has_servers, bool has_dname)
{
    if (writer->occluder_len > 0) {
        if (key_len > writer->occluder_len &&
            memcmp(key, writer->occluder, writer->occluder_len) == 0)
            return (uint8_t)(NODE_OCCLUDED | writer->occluder_depth);
        writer->occluder_len = 0;
    }
    bool is_cut = has_servers && key_len > writer->zone.block.apex_len;
    if (!is_cut && !has_dname)
        return NODE_PLAIN;
    memcpy(writer->occluder, key, key_len);
    writer->occluder_len = key_len;
    writer->occluder_depth = 0;
    for (size_t i = 0; i < key_len; i++)
        writer->occluder_depth = (uint8_t)(writer->occluder_depth + (key[i] == 0));
    return is_cut ? NODE_CUT : NODE_DNAME;
}

uint8_t writer_classify_new(struct zonedb_writer *writer, const struct find_key *key,
                            const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    bool has_servers = false, has_dname = false;
    for (size_t i = 0; i < rrset_count; i++) {
        has_servers |= rrsets[i].type == RR_NS;
        has_dname |= rrsets[i].type == RR_DNAME;
    }
    return writer_classify(writer, key->octets + ZONE_ID_LEN,
                           (size_t)key->end[key->label_count] - ZONE_ID_LEN, has_servers,
                           has_dname);
}

void writer_see_wildcard(struct zonedb_writer *writer, const uint8_t *owner)
{
    for (const uint8_t *label = owner; label[0] != 0; label += 1 + label[0])
        writer->zone.has_wildcard |= label[0] == 1 && label[1] == '*';
}

static void count(struct zonedb_writer *writer, const struct zonedb_rrset *rrsets,
                  size_t rrset_count)
{
    for (size_t i = 0; i < rrset_count; i++)
        writer->counts.record_count += rrsets[i].rr_count;
}

int zonedb_writer_node(struct zonedb_writer *writer, const uint8_t *owner,
                       const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    assert(writer->is_in_zone && rrset_count > 0);
    struct find_key key;
    find_key_set(&key, writer->zone.id, owner);
    const struct find_key *apex = &writer->apex_key;
    size_t apex_len = (size_t)apex->end[apex->label_count] - ZONE_ID_LEN;
    size_t key_len = (size_t)key.end[key.label_count] - ZONE_ID_LEN;
    if (key_len < apex_len ||
        memcmp(key.octets + ZONE_ID_LEN, apex->octets + ZONE_ID_LEN, apex_len) != 0)
        return -EINVAL;
    if (writer->counts.node_count == 0 && key_len != apex_len)
        return -EINVAL;
    if (key_len == apex_len && (rrsets = writer_cap(writer, rrsets, rrset_count)) == NULL)
        return -ENOMEM;
    writer_see_wildcard(writer, owner);
    writer->counts.node_count++;
    count(writer, rrsets, rrset_count);
    return node_add(writer, key.octets + ZONE_ID_LEN, key_len,
                    writer_classify_new(writer, &key, rrsets, rrset_count), rrsets, rrset_count);
}

int writer_nsec3_put(struct zonedb_writer *writer, MDB_val key, const struct zonedb_rrset *rrsets,
                     size_t rrset_count, unsigned flags)
{
    /* There is no RRset before the first: it has a TTL of its own, or 0. */
    MDB_val value = {rrsets_size(rrsets, rrset_count, 0), NULL};
    int rc = mdb_cursor_put(writer->nsec3, &key, &value, flags | MDB_RESERVE);
    if (rc == 0)
        rrsets_write(value.mv_data, rrsets, rrset_count, 0);
    return zonedb_errno(rc);
}

int zonedb_writer_nsec3(struct zonedb_writer *writer, const uint8_t hash[20],
                        const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    assert(writer->is_in_zone && rrset_count > 0);
    uint8_t key[ZONE_ID_LEN + NSEC3_HASH_LEN];
    store_be32(key, writer->zone.id);
    memcpy(key + ZONE_ID_LEN, hash, NSEC3_HASH_LEN);
    writer->has_nsec3 = true;
    count(writer, rrsets, rrset_count);
    return writer_nsec3_put(writer, (MDB_val){sizeof key, key}, rrsets, rrset_count, MDB_APPEND);
}

/* Delete all entries whose key begins with the zone id. */
static int id_remove(MDB_cursor *cursor, uint32_t id)
{
    uint8_t prefix[ZONE_ID_LEN];
    store_be32(prefix, id);
    MDB_val key = {sizeof prefix, prefix}, value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && memcmp(key.mv_data, prefix, sizeof prefix) == 0) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
}

/* How the zone is signed, told by its apex (RFC 5155 4.1.2: only NSEC3PARAM with flags 0 counts).
 */
static enum zonedb_signing signing_of(const struct zonedb_writer *writer, struct rrsets apex,
                                      uint8_t *param_out)
{
    struct zonedb_rrset rrset;
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (writer->has_nsec3 && rrsets_find(apex, RR_NSEC3PARAM, &rrset, NULL) == 1) {
        struct rdata_cursor cursor = rdata_begin(&rrset);
        while (rdata_next(&cursor, &rdata, &rdata_len) == 1) {
            if (rdata_len >= 5 && rdata_len == 5 + rdata[4] && rdata[0] == 1 && rdata[1] == 0) {
                param_out[0] = rdata[1];
                param_out[1] = rdata[4];
                memcpy(param_out + 2, rdata + 2, 2);
                memcpy(param_out + 4, rdata + 5, rdata[4]);
                return ZONEDB_NSEC3;
            }
        }
    }
    return rrsets_find(apex, RR_NSEC, &rrset, NULL) == 1 ? ZONEDB_NSEC : ZONEDB_UNSIGNED;
}

static bool has_soa(struct rrsets apex)
{
    struct zonedb_rrset soa;
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (rrsets_find(apex, RR_SOA, &soa, NULL) != 1 || soa.rr_count != 1)
        return false;
    struct rdata_cursor cursor = rdata_begin(&soa);
    return rdata_next(&cursor, &rdata, &rdata_len) == 1 && rdata_len >= 22;
}

/* All of the record that stands before the block. Returns its length. */
static size_t record_head(const struct zonedb_writer *writer, struct rrsets apex, uint64_t loaded_s,
                          uint8_t *head)
{
    uint8_t param[4 + 255];
    enum zonedb_signing signing = signing_of(writer, apex, param);
    uint8_t *out = head + 5;
    store_be32(head, writer->zone.id);
    head[4] = (uint8_t)(writer->zone.state | (unsigned)signing << ZONE_SIGNING_SHIFT |
                        (writer->zone.has_wildcard ? ZONE_HAS_WILDCARD : 0) |
                        (writer->zone.next_len > 0 ? ZONE_HAS_NEXT : 0));
    out += number_put(out, loaded_s);
    out += number_put(out, writer->counts.node_count);
    out += number_put(out, writer->counts.record_count);
    if (signing == ZONEDB_NSEC3) {
        memcpy(out, param, 4u + param[1]);
        out += 4 + param[1];
    }
    if (writer->zone.next_len > 0) {
        out += number_put(out, writer->zone.next_len);
        memcpy(out, writer->next, writer->zone.next_len);
        out += writer->zone.next_len;
    }
    return (size_t)(out - head);
}

int writer_zone_put(struct zonedb_writer *writer, uint64_t loaded_s)
{
    struct node apex;
    uint8_t head[5 + 3 * 10 + 4 + 255 + 10 + NAME_KEY_MAX];
    int rc = writer_block_end(writer);
    if (rc == 0)
        rc = writer_next_find(writer);
    if (rc != 0)
        return rc;
    if (!writer->has_first)
        return -EINVAL;
    if (!block_first(&writer->zone.block, &apex))
        return -EBADMSG;
    if (!has_soa(apex.rrsets))
        return -EINVAL;
    size_t head_len = record_head(writer, apex.rrsets, loaded_s, head);
    MDB_val key = zones_key(&writer->apex_key), value = {head_len + writer->zone.block.len, NULL};
    /* Zones that come in order are appended: no page is split, all are full. */
    rc = mdb_cursor_put(writer->zones, &key, &value, MDB_RESERVE | MDB_APPEND);
    if (rc == MDB_KEYEXIST)
        rc = mdb_cursor_put(writer->zones, &key, &value, MDB_RESERVE);
    if (rc != 0)
        return zonedb_errno(rc);
    memcpy(value.mv_data, head, head_len);
    memcpy((uint8_t *)value.mv_data + head_len, writer->first, writer->zone.block.len);
    return 0;
}

int zonedb_writer_zone_end(struct zonedb_writer *writer, uint64_t loaded_s)
{
    assert(writer->is_in_zone);
    writer->is_in_zone = false;
    int rc = writer_zone_put(writer, loaded_s);
    if (rc == 0 && writer->has_former) {
        rc = id_remove(writer->nodes, writer->former_id);
        if (rc == 0)
            rc = id_remove(writer->nsec3, writer->former_id);
    }
    return rc;
}

int zonedb_writer_zone_remove(struct zonedb_writer *writer, const uint8_t *apex)
{
    assert(!writer->is_in_zone);
    struct find_key key;
    struct find_zone zone;
    find_key_set(&key, 0, apex);
    int rc = writer_zone_find(writer, &key, &zone, NULL);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    writer_log_all(writer);
    MDB_val k = zones_key(&key);
    rc = zonedb_errno(mdb_del(writer->txn, writer->db->zones, &k, NULL));
    if (rc == 0)
        rc = id_remove(writer->nodes, zone.id);
    if (rc == 0)
        rc = id_remove(writer->nsec3, zone.id);
    return rc;
}

int zonedb_writer_zone_state(struct zonedb_writer *writer, const uint8_t *apex,
                             enum zonedb_zone_state state)
{
    assert(!writer->is_in_zone);
    struct find_key key;
    struct find_zone zone;
    find_key_set(&key, 0, apex);
    int rc = writer_zone_find(writer, &key, &zone, NULL);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    if (zone.state == state)
        return 0;
    MDB_val k = zones_key(&key), value;
    rc = mdb_get(writer->txn, writer->db->zones, &k, &value);
    uint8_t *copy = rc == 0 ? malloc(value.mv_size) : NULL;
    if (copy == NULL)
        return rc == 0 ? -ENOMEM : zonedb_errno(rc);
    memcpy(copy, value.mv_data, value.mv_size);
    copy[4] = (uint8_t)((copy[4] & ~ZONE_STATE_MASK) | (unsigned)state);
    value.mv_data = copy;
    writer_log_all(writer);
    rc = mdb_put(writer->txn, writer->db->zones, &k, &value, 0);
    free(copy);
    return zonedb_errno(rc);
}
