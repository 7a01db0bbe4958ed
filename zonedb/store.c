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
        rc = mdb_cursor_open(writer->txn, db->nodes, &writer->nodes);
    if (rc == 0)
        rc = mdb_cursor_open(writer->txn, db->nsec3, &writer->nsec3);
    if (rc != 0) {
        zonedb_writer_abort(writer);
        return zonedb_errno(rc);
    }
    *writer_out = writer;
    return 0;
}

void zonedb_writer_abort(struct zonedb_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->txn != NULL)
        mdb_txn_abort(writer->txn); /* closes the cursors of a write transaction */
    free(writer);
}

int zonedb_writer_commit(struct zonedb_writer *writer)
{
    assert(!writer->is_in_zone);
    int rc = writer_log_put(writer);
    if (rc != 0) {
        zonedb_writer_abort(writer);
        return rc;
    }
    rc = mdb_txn_commit(writer->txn);
    free(writer);
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

int writer_zone_find(struct zonedb_writer *writer, struct find_key *key, uint32_t *id_out,
                     MDB_val *record_out)
{
    MDB_val k = zones_key(key), value;
    int rc = mdb_get(writer->txn, writer->db->zones, &k, &value);
    if (rc == MDB_NOTFOUND)
        return 0;
    struct find_zone zone;
    if (rc != 0 || !find_zone_parse(value.mv_data, value.mv_size, &zone))
        return rc != 0 ? zonedb_errno(rc) : -EBADMSG;
    *id_out = zone.id;
    if (record_out != NULL)
        *record_out = value;
    return 1;
}

static int next_id_take(struct zonedb_writer *writer, uint32_t *id_out)
{
    uint8_t octets[4];
    MDB_val key = {sizeof next_id_key - 1, (void *)(uintptr_t)next_id_key}, value;
    int rc = mdb_get(writer->txn, writer->db->meta, &key, &value);
    uint32_t id = 1;
    if (rc == 0 && value.mv_size == sizeof octets)
        id = load_be32(value.mv_data);
    else if (rc != MDB_NOTFOUND)
        return rc != 0 ? zonedb_errno(rc) : -EBADMSG;
    if (id == UINT32_MAX)
        return -EOVERFLOW;
    store_be32(octets, id + 1);
    value = (MDB_val){sizeof octets, octets};
    *id_out = id;
    return zonedb_errno(mdb_put(writer->txn, writer->db->meta, &key, &value, 0));
}

int zonedb_writer_zone_begin(struct zonedb_writer *writer, const uint8_t *apex)
{
    assert(!writer->is_in_zone);
    name_copy_lower(writer->apex, apex);
    find_key_set(&writer->apex_key, 0, writer->apex);
    int rc = writer_zone_find(writer, &writer->apex_key, &writer->former_id, NULL);
    if (rc < 0)
        return rc;
    writer->has_former = rc == 1;
    writer_log_all(writer);
    rc = next_id_take(writer, &writer->id);
    if (rc != 0)
        return rc;
    writer->node_count = writer->record_count = 0;
    writer->has_wildcard = writer->has_nsec3 = false;
    writer->occluder_len = 0;
    writer->is_in_zone = true;
    return 0;
}

static size_t rrsets_size(const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    size_t size = 0;
    for (size_t i = 0; i < rrset_count; i++)
        size += RRSET_FIXED_LEN + (size_t)rrsets[i].rdata_len;
    return size;
}

static void rrsets_write(uint8_t *out, const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    for (size_t i = 0; i < rrset_count; i++) {
        store_be16(out, rrsets[i].type);
        store_be16(out + 2, rrsets[i].rr_count);
        store_be32(out + 4, rrsets[i].ttl);
        store_be32(out + 8, rrsets[i].rdata_len);
        memcpy(out + RRSET_FIXED_LEN, rrsets[i].rdata, rrsets[i].rdata_len);
        out += RRSET_FIXED_LEN + rrsets[i].rdata_len;
    }
}

int writer_put(MDB_cursor *cursor, MDB_val key, const uint8_t *prefix, size_t prefix_len,
               const struct zonedb_rrset *rrsets, size_t rrset_count, unsigned flags)
{
    MDB_val value = {prefix_len + rrsets_size(rrsets, rrset_count), NULL};
    int rc = mdb_cursor_put(cursor, &key, &value, flags | MDB_RESERVE);
    if (rc != 0)
        return zonedb_errno(rc);
    if (prefix_len > 0)
        memcpy(value.mv_data, prefix, prefix_len);
    rrsets_write((uint8_t *)value.mv_data + prefix_len, rrsets, rrset_count);
    return 0;
}

/* Both databases only ever grow at their end. */
static int append(struct zonedb_writer *writer, MDB_cursor *cursor, MDB_val key,
                  const uint8_t *prefix, size_t prefix_len, const struct zonedb_rrset *rrsets,
                  size_t rrset_count)
{
    for (size_t i = 0; i < rrset_count; i++)
        writer->record_count += rrsets[i].rr_count;
    return writer_put(cursor, key, prefix, prefix_len, rrsets, rrset_count, MDB_APPEND);
}

void writer_classify(struct zonedb_writer *writer, const struct find_key *key,
                     const struct zonedb_rrset *rrsets, size_t rrset_count,
                     uint8_t header[NODE_FIXED_LEN])
{
    size_t key_len = key->end[key->label_count];
    header[0] = header[1] = 0;
    if (writer->occluder_len > 0) {
        if (key_len > writer->occluder_len &&
            memcmp(key->octets, writer->occluder, writer->occluder_len) == 0) {
            header[0] = NODE_OCCLUDED;
            header[1] = writer->occluder_depth;
            return;
        }
        writer->occluder_len = 0;
    }
    bool is_apex = key->label_count == writer->apex_key.label_count;
    for (size_t i = 0; i < rrset_count; i++) {
        if (rrsets[i].type == RR_NS && !is_apex)
            header[0] = NODE_CUT;
        else if (rrsets[i].type == RR_DNAME && header[0] == 0)
            header[0] = NODE_DNAME;
    }
    if (header[0] != 0) {
        header[1] = key->label_count;
        memcpy(writer->occluder, key->octets, key_len);
        writer->occluder_len = key_len;
        writer->occluder_depth = key->label_count;
    }
}

int zonedb_writer_node(struct zonedb_writer *writer, const uint8_t *owner,
                       const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    assert(writer->is_in_zone && rrset_count > 0);
    struct find_key key;
    find_key_set(&key, writer->id, owner);
    const struct find_key *apex = &writer->apex_key;
    size_t apex_len = (size_t)apex->end[apex->label_count] - ZONE_ID_LEN;
    size_t key_len = key.end[key.label_count];
    if (key_len - ZONE_ID_LEN < apex_len ||
        memcmp(key.octets + ZONE_ID_LEN, apex->octets + ZONE_ID_LEN, apex_len) != 0)
        return -EINVAL;
    if (writer->node_count == 0 && key_len - ZONE_ID_LEN != apex_len)
        return -EINVAL;
    uint8_t header[NODE_FIXED_LEN];
    writer_classify(writer, &key, rrsets, rrset_count, header);
    for (const uint8_t *label = owner; label[0] != 0; label += 1 + label[0])
        writer->has_wildcard |= label[0] == 1 && label[1] == '*';
    writer->node_count++;
    return append(writer, writer->nodes, (MDB_val){key_len, key.octets}, header, sizeof header,
                  rrsets, rrset_count);
}

int zonedb_writer_nsec3(struct zonedb_writer *writer, const uint8_t hash[20],
                        const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    assert(writer->is_in_zone && rrset_count > 0);
    uint8_t key[ZONE_ID_LEN + NSEC3_HASH_LEN];
    store_be32(key, writer->id);
    memcpy(key + ZONE_ID_LEN, hash, NSEC3_HASH_LEN);
    writer->has_nsec3 = true;
    return append(writer, writer->nsec3, (MDB_val){sizeof key, key}, NULL, 0, rrsets, rrset_count);
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

/* SOA and RRSIG as they stand in the apex node; their octets are contiguous there. */
static bool soa_of(struct rrsets apex, struct rrsets *soa_out, uint32_t *serial_out)
{
    struct zonedb_rrset soa, sigs;
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (rrsets_find(apex, RR_SOA, &soa, &sigs) != 1 || soa.rr_count != 1)
        return false;
    struct rdata_cursor cursor = rdata_begin(&soa);
    if (rdata_next(&cursor, &rdata, &rdata_len) != 1 || rdata_len < 22)
        return false;
    *serial_out = load_be32(rdata + rdata_len - 20);
    const uint8_t *end =
        sigs.rr_count > 0 ? sigs.rdata + sigs.rdata_len : soa.rdata + soa.rdata_len;
    soa_out->at = soa.rdata - RRSET_FIXED_LEN;
    soa_out->len = (size_t)(end - soa_out->at);
    return true;
}

static int zone_record_put(struct zonedb_writer *writer, struct rrsets apex, uint64_t loaded_s)
{
    struct rrsets soa;
    uint32_t serial;
    uint8_t param[4 + 255] = {0};
    if (!soa_of(apex, &soa, &serial))
        return -EINVAL;
    enum zonedb_signing signing = signing_of(writer, apex, param);
    size_t len = ZONE_RECORD_FIXED_LEN + param[1] + soa.len;
    uint8_t *record = calloc(1, len);
    if (record == NULL)
        return -ENOMEM;
    store_be32(record, writer->id);
    store_be32(record + 4, serial);
    record[8] = ZONEDB_SERVING;
    record[9] = (uint8_t)signing;
    record[10] = writer->has_wildcard ? ZONE_HAS_WILDCARD : 0;
    record[11] = writer->apex_key.label_count;
    store_be64(record + 12, writer->node_count);
    store_be64(record + 20, writer->record_count);
    store_be64(record + 28, loaded_s);
    memcpy(record + 36, param, 4u + param[1]);
    memcpy(record + ZONE_RECORD_FIXED_LEN + param[1], soa.at, soa.len);
    MDB_val key = zones_key(&writer->apex_key), value = {len, record};
    int rc = mdb_put(writer->txn, writer->db->zones, &key, &value, 0);
    free(record);
    return zonedb_errno(rc);
}

int writer_zone_put(struct zonedb_writer *writer, uint64_t loaded_s)
{
    struct find_key key;
    find_key_set(&key, writer->id, writer->apex);
    MDB_val k = {key.end[key.label_count], key.octets}, value;
    struct node apex;
    int rc = mdb_get(writer->txn, writer->db->nodes, &k, &value);
    if (rc == MDB_NOTFOUND)
        return -EINVAL;
    if (rc != 0 || !node_parse(value.mv_data, value.mv_size, &apex))
        return rc != 0 ? zonedb_errno(rc) : -EBADMSG;
    return zone_record_put(writer, apex.rrsets, loaded_s);
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
    uint32_t id = 0;
    find_key_set(&key, 0, apex);
    int rc = writer_zone_find(writer, &key, &id, NULL);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    writer_log_all(writer);
    MDB_val k = zones_key(&key);
    rc = zonedb_errno(mdb_del(writer->txn, writer->db->zones, &k, NULL));
    if (rc == 0)
        rc = id_remove(writer->nodes, id);
    if (rc == 0)
        rc = id_remove(writer->nsec3, id);
    return rc;
}
