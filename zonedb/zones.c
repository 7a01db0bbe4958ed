/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Looking at whole zones: list, walk, measure.
 */
#include "zonedb/base32hex.h"
#include "zonedb/find.h"
#include "zonedb/view.h"

#include <errno.h>
#include <sys/stat.h>

static const uint8_t root_key[1] = {0};

static MDB_val key_of_apex(const struct find_key *key)
{
    if (key->label_count == 0)
        return (MDB_val){sizeof root_key, (void *)(uintptr_t)root_key};
    return (MDB_val){(size_t)key->end[key->label_count] - ZONE_ID_LEN,
                     (void *)(uintptr_t)(key->octets + ZONE_ID_LEN)};
}

static bool serial_of(const struct find_zone *zone, uint32_t *serial_out)
{
    struct node apex;
    struct zonedb_rrset soa;
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (!block_first(&zone->block, &apex) || rrsets_find(apex.rrsets, RR_SOA, &soa, NULL) != 1)
        return false;
    struct rdata_cursor cursor = rdata_begin(&soa);
    if (rdata_next(&cursor, &rdata, &rdata_len) != 1 || rdata_len < 22)
        return false;
    *serial_out = load_be32(rdata + rdata_len - 20);
    return true;
}

static int zone_fill(const MDB_val *key, const MDB_val *value, struct zonedb_zone *zone_out)
{
    struct find_zone zone;
    struct find_zone_counts counts;
    if (!find_zone_parse(key->mv_data, key->mv_size, value->mv_data, value->mv_size, &zone,
                         &counts) ||
        !serial_of(&zone, &zone_out->serial))
        return -EBADMSG;
    size_t apex_len = name_from_key(zone.block.apex, zone.block.apex_len, zone_out->apex);
    if (apex_len == 0)
        return -EBADMSG;
    zone_out->apex_len = (uint8_t)apex_len;
    zone_out->id = zone.id;
    zone_out->state = (enum zonedb_zone_state)zone.state;
    zone_out->signing = (enum zonedb_signing)zone.signing;
    zone_out->has_wildcard = zone.has_wildcard;
    zone_out->node_count = counts.node_count;
    zone_out->record_count = counts.record_count;
    zone_out->loaded_s = counts.loaded_s;
    zone_out->nsec3_flags = zone.nsec3_flags;
    zone_out->nsec3_iterations = zone.nsec3_iterations;
    zone_out->nsec3_salt_len = zone.nsec3_salt_len;
    memcpy(zone_out->nsec3_salt, zone.nsec3_salt, zone.nsec3_salt_len);
    return 0;
}

int zonedb_zone_next(struct zonedb_view *view, const uint8_t *after, struct zonedb_zone *zone_out)
{
    MDB_val key = {0, NULL}, value;
    int rc;
    if (!view->is_active)
        return -EBADMSG;
    if (after == NULL) {
        rc = mdb_cursor_get(view->zones, &key, &value, MDB_FIRST);
    } else {
        struct find_key find_key;
        find_key_set(&find_key, 0, after);
        MDB_val want = key_of_apex(&find_key);
        key = want;
        rc = mdb_cursor_get(view->zones, &key, &value, MDB_SET_RANGE);
        if (rc == 0 && key.mv_size == want.mv_size &&
            memcmp(key.mv_data, want.mv_data, want.mv_size) == 0)
            rc = mdb_cursor_get(view->zones, &key, &value, MDB_NEXT);
    }
    return rc != 0 ? zonedb_errno(rc) : zone_fill(&key, &value, zone_out);
}

static int zone_get(struct zonedb_view *view, const uint8_t *apex, MDB_val *key_out,
                    MDB_val *value_out)
{
    struct find_key find_key;
    if (!view->is_active)
        return -EBADMSG;
    find_key_set(&find_key, 0, apex);
    *key_out = key_of_apex(&find_key);
    return zonedb_errno(mdb_cursor_get(view->zones, key_out, value_out, MDB_SET_KEY));
}

int zonedb_zone_get(struct zonedb_view *view, const uint8_t *apex, struct zonedb_zone *zone_out)
{
    MDB_val key, value;
    int rc = zone_get(view, apex, &key, &value);
    return rc != 0 ? rc : zone_fill(&key, &value, zone_out);
}

int zonedb_rrset_get(struct zonedb_view *view, const uint8_t *apex, const uint8_t *owner,
                     uint16_t type, struct zonedb_rrset *rrset_out)
{
    struct find_zone zone;
    struct node node;
    MDB_val key, value;
    int rc = zone_get(view, apex, &key, &value);
    if (rc != 0 || !name_is_at_or_below(owner, apex))
        return rc != 0 ? rc : -ENOENT;
    if (!find_zone_parse(key.mv_data, key.mv_size, value.mv_data, value.mv_size, &zone, NULL))
        return -EBADMSG;
    int status = zonedb_find_exact(view, &zone, owner, &node);
    if (status == 1)
        status = rrsets_find(node.rrsets, type, rrset_out, NULL);
    return status == 1 ? 0 : status == 0 ? -ENOENT : -EBADMSG;
}

int zonedb_rrsets_visit(struct rrsets rrsets, const uint8_t *owner, zonedb_visit *visit,
                        void *context)
{
    struct zonedb_rrset rrset;
    int status;
    while ((status = rrsets_next(&rrsets, &rrset)) == 1) {
        int stop = visit(context, owner, &rrset);
        if (stop != 0)
            return stop;
    }
    return status == 0 ? 0 : -EBADMSG;
}

static int walk_block(const struct block *block, find_visit *visit, void *context)
{
    struct block_walk walk;
    int status = block_walk_begin(block, &walk);
    for (; status == 1; status = block_walk_next(&walk)) {
        int stop = visit(context, walk.key, walk.key_len, &walk.node);
        if (stop != 0)
            return stop;
    }
    return status < 0 ? -EBADMSG : 0;
}

int find_walk(MDB_cursor *nodes, const struct find_zone *zone, find_visit *visit, void *context)
{
    uint8_t prefix[ZONE_ID_LEN];
    struct block block = zone->block;
    store_be32(prefix, zone->id);
    MDB_val key = {sizeof prefix, prefix}, value;
    int stop = walk_block(&block, visit, context);
    if (stop != 0 || zone->next_len == 0)
        return stop;
    int rc = mdb_cursor_get(nodes, &key, &value, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(nodes, &key, &value, MDB_NEXT)) {
        if (key.mv_size < ZONE_ID_LEN || memcmp(key.mv_data, prefix, sizeof prefix) != 0)
            return 0;
        block.octets = value.mv_data;
        block.len = value.mv_size;
        stop = walk_block(&block, visit, context);
        if (stop != 0)
            return stop;
    }
    return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
}

struct rrset_visit {
    zonedb_visit *visit;
    void *context;
};

static int node_visit(void *context, const uint8_t *key, size_t key_len, const struct node *node)
{
    const struct rrset_visit *inner = context;
    uint8_t owner[NAME_MAX_LEN];
    if (name_from_key(key, key_len, owner) == 0)
        return -EBADMSG;
    return zonedb_rrsets_visit(node->rrsets, owner, inner->visit, inner->context);
}

static int walk_nsec3(MDB_cursor *nsec3, const struct zonedb_zone *zone, zonedb_visit *visit,
                      void *context)
{
    uint8_t prefix[ZONE_ID_LEN], owner[1 + BASE32HEX_HASH_LEN + NAME_MAX_LEN];
    store_be32(prefix, zone->id);
    owner[0] = BASE32HEX_HASH_LEN;
    memcpy(owner + 1 + BASE32HEX_HASH_LEN, zone->apex, zone->apex_len);
    MDB_val key = {sizeof prefix, prefix}, value;
    int rc = mdb_cursor_get(nsec3, &key, &value, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(nsec3, &key, &value, MDB_NEXT)) {
        if (key.mv_size != ZONE_ID_LEN + NSEC3_HASH_LEN ||
            memcmp(key.mv_data, prefix, sizeof prefix) != 0)
            return 0;
        base32hex_encode((const uint8_t *)key.mv_data + ZONE_ID_LEN, owner + 1);
        int stop = zonedb_rrsets_visit((struct rrsets){value.mv_data, value.mv_size, 0}, owner,
                                       visit, context);
        if (stop != 0)
            return stop;
    }
    return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
}

int zonedb_zone_walk(struct zonedb_view *view, const uint8_t *apex, zonedb_visit *visit,
                     void *context)
{
    struct zonedb_zone known;
    struct find_zone zone;
    MDB_val key, value;
    int rc = zone_get(view, apex, &key, &value);
    if (rc == 0)
        rc = zone_fill(&key, &value, &known);
    if (rc != 0)
        return rc;
    find_zone_parse(key.mv_data, key.mv_size, value.mv_data, value.mv_size, &zone, NULL);
    struct rrset_visit inner = {visit, context};
    rc = find_walk(view->nodes, &zone, node_visit, &inner);
    if (rc == 0)
        rc = walk_nsec3(view->nsec3, &known, visit, context);
    return rc;
}

static uint64_t pages_of(const MDB_stat *stat)
{
    return stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

/* Of all zones. Outcome: of LMDB. */
static int count_nodes(struct zonedb_view *view, uint64_t *count_out)
{
    struct find_zone zone;
    struct find_zone_counts counts;
    MDB_val key, value;
    *count_out = 0;
    int rc = mdb_cursor_get(view->zones, &key, &value, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(view->zones, &key, &value, MDB_NEXT)) {
        if (!find_zone_parse(key.mv_data, key.mv_size, value.mv_data, value.mv_size, &zone,
                             &counts))
            return MDB_CORRUPTED;
        *count_out += counts.node_count;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int zonedb_stat(struct zonedb_view *view, struct zonedb_stat *stat_out)
{
    struct zonedb *db = view->db;
    MDB_envinfo info;
    MDB_stat zones, nodes, nsec3, meta;
    struct stat file;
    uint64_t node_count;
    int fd;
    if (!view->is_active)
        return -EBADMSG;
    int rc = mdb_env_info(db->env, &info);
    if (rc == 0)
        rc = mdb_stat(view->txn, db->zones, &zones);
    if (rc == 0)
        rc = mdb_stat(view->txn, db->nodes, &nodes);
    if (rc == 0)
        rc = mdb_stat(view->txn, db->nsec3, &nsec3);
    if (rc == 0)
        rc = mdb_stat(view->txn, db->meta, &meta);
    if (rc == 0)
        rc = mdb_env_get_fd(db->env, &fd);
    if (rc == 0)
        rc = count_nodes(view, &node_count);
    if (rc != 0)
        return zonedb_errno(rc);
    if (fstat(fd, &file) != 0)
        return -errno;
    *stat_out = (struct zonedb_stat){
        .map_octets = info.me_mapsize,
        .used_octets = (pages_of(&zones) + pages_of(&nodes) + pages_of(&nsec3) + pages_of(&meta)) *
                       nodes.ms_psize,
        .file_octets = (uint64_t)file.st_size,
        .zone_count = zones.ms_entries,
        .node_count = node_count,
        .version = info.me_last_txnid,
        .reader_count = info.me_numreaders,
    };
    return 0;
}
