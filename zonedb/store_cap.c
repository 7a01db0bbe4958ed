/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_cap.c - the TTL of the NS records by which a zone speaks of itself.
 *
 * Caches that prefer them to the delegation in the zone above keep asking here, after a move too, for
 * as long as these TTLs are renewed. What is in the database is what is answered on every path: so the
 * limit is put there. RRSIGs hold for lower TTLs as well (RFC 4034 3.1.4, RFC 4035 5.3.3).
 */
#include "zonedb/writer.h"

#include <errno.h>
#include <stdlib.h>

static const char cap_key[] = "ns-ttl-cap";

static MDB_val key_of_cap(void)
{
    return (MDB_val){sizeof cap_key - 1, (void *)(uintptr_t)cap_key};
}

static int cap_read(MDB_txn *txn, MDB_dbi meta, uint32_t *cap_s_out)
{
    MDB_val key = key_of_cap(), value;
    int rc = mdb_get(txn, meta, &key, &value);
    *cap_s_out = UINT32_MAX;
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0 || value.mv_size != 4)
        return rc != 0 ? zonedb_errno(rc) : -EBADMSG;
    *cap_s_out = load_be32(value.mv_data);
    return 0;
}

int zonedb_ns_ttl_cap(struct zonedb_view *view, uint32_t *cap_s_out)
{
    if (!view->is_active)
        return -EBADMSG;
    return cap_read(view->txn, view->db->meta, cap_s_out);
}

int writer_cap_get(struct zonedb_writer *writer)
{
    return cap_read(writer->txn, writer->db->meta, &writer->ns_ttl_cap);
}

static bool is_of_servers(const struct zonedb_rrset *rrset)
{
    return rrset->type == RR_NS || (rrset->type == RR_RRSIG && rrset->rdata_len >= 4 &&
                                    load_be16(rrset->rdata + 2) == RR_NS);
}

static struct zonedb_rrset *copy_of(struct zonedb_writer *writer, const struct zonedb_rrset *rrsets,
                                    size_t count)
{
    if (count > writer->capped_cap) {
        struct zonedb_rrset *grown = reallocarray(writer->capped, count, sizeof *grown);
        if (grown == NULL)
            return NULL;
        writer->capped = grown;
        writer->capped_cap = count;
    }
    memcpy(writer->capped, rrsets, count * sizeof *rrsets);
    return writer->capped;
}

const struct zonedb_rrset *writer_cap(struct zonedb_writer *writer,
                                      const struct zonedb_rrset *rrsets, size_t rrset_count)
{
    struct zonedb_rrset *copy = NULL;
    for (size_t i = 0; i < rrset_count; i++) {
        if (!is_of_servers(&rrsets[i]) || rrsets[i].ttl <= writer->ns_ttl_cap)
            continue;
        if (copy == NULL && (copy = copy_of(writer, rrsets, rrset_count)) == NULL)
            return NULL;
        copy[i].ttl = writer->ns_ttl_cap;
    }
    return copy != NULL ? copy : rrsets;
}

/* ---- of what is there already ---- */

/* RRsets of an apex, out of the database. */
struct apex {
    uint32_t ttl_min, ttl_max;
    bool is_changed;
    struct zonedb_rrset *rrsets;
    uint8_t **octets;
    size_t count;
};

static int apex_visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct apex *apex = context;
    (void)owner;
    struct zonedb_rrset *rrsets = reallocarray(apex->rrsets, apex->count + 1, sizeof *apex->rrsets);
    if (rrsets == NULL)
        return -ENOMEM;
    apex->rrsets = rrsets;
    uint8_t **octets = reallocarray(apex->octets, apex->count + 1, sizeof *apex->octets);
    if (octets == NULL)
        return -ENOMEM;
    apex->octets = octets;
    struct zonedb_rrset *own = &rrsets[apex->count];
    *own = *rrset;
    octets[apex->count] = malloc(rrset->rdata_len + 1u);
    if (octets[apex->count] == NULL)
        return -ENOMEM;
    memcpy(octets[apex->count], rrset->rdata, rrset->rdata_len);
    own->rdata = octets[apex->count++];
    if (is_of_servers(own)) {
        own->ttl = own->ttl < apex->ttl_min ? apex->ttl_min : own->ttl;
        own->ttl = own->ttl > apex->ttl_max ? apex->ttl_max : own->ttl;
        apex->is_changed |= own->ttl != rrset->ttl;
    }
    return 0;
}

int zonedb_writer_apex_ns_ttl(struct zonedb_writer *writer, const uint8_t *name, uint32_t ttl_min,
                              uint32_t ttl_max)
{
    struct apex apex = {.ttl_min = ttl_min, .ttl_max = ttl_max};
    int rc = zonedb_writer_change_begin(writer, name);
    if (rc < 0)
        return rc;
    uint64_t loaded_s = writer->counts.loaded_s;
    rc = zonedb_writer_change_walk(writer, name, apex_visit, &apex);
    if (rc == 0 && apex.is_changed)
        rc = zonedb_writer_change_node(writer, name, apex.rrsets, apex.count);
    if (rc == 0)
        rc = zonedb_writer_change_end(writer, loaded_s);
    writer->is_in_zone = false;
    for (size_t i = 0; i < apex.count; i++)
        free(apex.octets[i]);
    free(apex.octets);
    free(apex.rrsets);
    return rc;
}

/* The name of the zone behind that of `name`, or of the first one (length 0). 1; 0; negative. */
static int zone_after(struct zonedb_writer *writer, uint8_t name[NAME_MAX_LEN], bool is_first)
{
    static const uint8_t root_key[1] = {0};
    uint8_t octets[NAME_KEY_MAX + 1];
    MDB_val key = {0, octets}, value;
    int rc;
    if (is_first) {
        rc = mdb_cursor_get(writer->zones, &key, &value, MDB_FIRST);
    } else {
        size_t len = name_to_key(name, octets);
        if (len == 0)
            memcpy(octets, root_key, len = sizeof root_key);
        key.mv_size = len;
        rc = mdb_cursor_get(writer->zones, &key, &value, MDB_SET_KEY);
        if (rc == 0)
            rc = mdb_cursor_get(writer->zones, &key, &value, MDB_NEXT);
    }
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
    bool is_root = key.mv_size == 1 && *(const uint8_t *)key.mv_data == 0;
    return name_from_key(key.mv_data, is_root ? 0 : key.mv_size, name) > 0 ? 1 : -EBADMSG;
}

int zonedb_writer_ns_ttl_cap(struct zonedb_writer *writer, uint32_t cap_s)
{
    uint8_t octets[4], name[NAME_MAX_LEN];
    MDB_val key = key_of_cap(), value = {sizeof octets, octets};
    assert(!writer->is_in_zone);
    store_be32(octets, cap_s);
    int rc = cap_s == UINT32_MAX ? mdb_del(writer->txn, writer->db->meta, &key, NULL)
                                 : mdb_put(writer->txn, writer->db->meta, &key, &value, 0);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return zonedb_errno(rc);
    writer->ns_ttl_cap = cap_s;
    rc = cap_s == UINT32_MAX ? 0 : zone_after(writer, name, true);
    while (rc == 1) {
        rc = zonedb_writer_apex_ns_ttl(writer, name, 0, cap_s);
        if (rc == 0)
            rc = zone_after(writer, name, false);
    }
    return rc;
}
