/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c - entries of the audit.
 *
 *     key    name in wire format, lower case; "default" for the others (no name begins with an octet
 *            above 63)
 *     value  version (1), flags (bit 0 policy, bit 1 withheld), policy, state, found, series: 1 octet
 *            each; series count, delegation TTL, zone id, TTL: 4 each; times of state, finding, series,
 *            loss: 8 each; parents: count 1, each family 1, port 2, address 4 or 16. Big-endian.
 */
#include "tools/audit/store.h"

#include "server/address.h"
#include "zonedb/name.h"

#include <errno.h>
#include <lmdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VERSION 1
#define FLAG_POLICY 1u
#define FLAG_WITHHELD 2u
#define MAP_OCTETS ((size_t)1 << 30)
#define FIXED_LEN (6 + 4 * 4 + 4 * 8 + 1)

static const char default_key[] = "default";

struct audit_store {
    MDB_env *env;
    MDB_dbi dbi;
};

/* ---- octets ---- */

static uint8_t *put(uint8_t *at, uint64_t value, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        at[i] = (uint8_t)(value >> 8 * (len - 1 - i));
    return at + len;
}

static uint64_t get(const uint8_t **at, unsigned len)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value = value << 8 | *(*at)++;
    return value;
}

size_t audit_entry_write(const struct audit_entry *entry, uint8_t *octets)
{
    const struct audit_record *record = &entry->record;
    uint8_t *at = octets;

    at = put(at, VERSION, 1);
    at = put(at, (entry->has_policy ? FLAG_POLICY : 0) | (entry->is_withheld ? FLAG_WITHHELD : 0),
             1);
    at = put(at, (uint64_t)entry->policy, 1);
    at = put(at, (uint64_t)record->state, 1);
    at = put(at, (uint64_t)record->found, 1);
    at = put(at, (uint64_t)record->series, 1);
    at = put(at, record->series_count, 4);
    at = put(at, record->delegation_ttl, 4);
    at = put(at, entry->cut_zone, 4);
    at = put(at, entry->ttl_uncut, 4);
    at = put(at, record->state_s, 8);
    at = put(at, record->found_s, 8);
    at = put(at, record->series_s, 8);
    at = put(at, record->gone_s, 8);
    at = put(at, entry->parent_count, 1);
    for (uint32_t i = 0; i < entry->parent_count; i++) {
        uint8_t len;
        const uint8_t *address = address_octets(&entry->parents[i], &len);
        at = put(at, len, 1);
        at = put(at, address_port(&entry->parents[i]), 2);
        memcpy(at, address, len);
        at += len;
    }
    return (size_t)(at - octets);
}

static bool read_parent(const uint8_t **at, const uint8_t *end, struct sockaddr_storage *parent)
{
    if (end - *at < 3)
        return false;
    const uint8_t len = (uint8_t)get(at, 1);
    const uint16_t port = (uint16_t)get(at, 2);
    if ((len != 4 && len != 16) || end - *at < len)
        return false;
    if (len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)parent;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, *at, 4);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)parent;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, *at, 16);
    }
    *at += len;
    return true;
}

bool audit_entry_read(const uint8_t *octets, size_t len, struct audit_entry *entry)
{
    const uint8_t *at = octets, *end = octets + len;

    *entry = (struct audit_entry){.parent_count = 0};
    if (len < FIXED_LEN || get(&at, 1) != VERSION)
        return false;
    const uint64_t flags = get(&at, 1), policy = get(&at, 1), state = get(&at, 1),
                   found = get(&at, 1), series = get(&at, 1);
    if (policy > AUDIT_WITHHOLD || state > AUDIT_UNDELEGATED || found > AUDIT_UNDELEGATED ||
        series > AUDIT_UNDELEGATED)
        return false;
    entry->has_policy = (flags & FLAG_POLICY) != 0;
    entry->is_withheld = (flags & FLAG_WITHHELD) != 0;
    entry->policy = (enum audit_policy)policy;
    entry->record.state = (enum audit_state)state;
    entry->record.found = (enum audit_state)found;
    entry->record.series = (enum audit_state)series;
    entry->record.series_count = (uint32_t)get(&at, 4);
    entry->record.delegation_ttl = (uint32_t)get(&at, 4);
    entry->cut_zone = (uint32_t)get(&at, 4);
    entry->ttl_uncut = (uint32_t)get(&at, 4);
    entry->record.state_s = get(&at, 8);
    entry->record.found_s = get(&at, 8);
    entry->record.series_s = get(&at, 8);
    entry->record.gone_s = get(&at, 8);
    const uint64_t parents = get(&at, 1);
    if (parents > AUDIT_PARENTS_MAX)
        return false;
    while (entry->parent_count < parents)
        if (!read_parent(&at, end, &entry->parents[entry->parent_count++]))
            return false;
    return at == end;
}

/* ---- the database ---- */

static int error_of(int rc)
{
    if (rc == 0)
        return 0;
    if (rc == MDB_NOTFOUND)
        return -ENOENT;
    if (rc == MDB_MAP_FULL)
        return -ENOSPC;
    return rc > 0 ? -rc : -EBADMSG;
}

static int open_dbi(struct audit_store *store, bool is_writing)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, is_writing ? 0 : MDB_RDONLY, &txn);

    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &store->dbi);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

int audit_store_open(const char *directory, bool is_writing, struct audit_store **store_out)
{
    struct audit_store *store = calloc(1, sizeof(*store));
    char path[4096];

    *store_out = NULL;
    if (store == NULL)
        return -ENOMEM;
    int rc =
        snprintf(path, sizeof(path), "%s/audit", directory) < (int)sizeof(path) ? 0 : ENAMETOOLONG;
    if (rc == 0 && is_writing && mkdir(path, 0755) != 0 && errno != EEXIST)
        rc = errno;
    if (rc == 0)
        rc = mdb_env_create(&store->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(store->env, MAP_OCTETS);
    if (rc == 0)
        rc = mdb_env_open(store->env, path, is_writing ? 0 : MDB_RDONLY, 0644);
    if (rc == 0)
        rc = open_dbi(store, is_writing);
    if (rc != 0) {
        audit_store_close(store);
        return error_of(rc);
    }
    *store_out = store;
    return 0;
}

void audit_store_close(struct audit_store *store)
{
    if (store == NULL)
        return;
    if (store->env != NULL)
        mdb_env_close(store->env);
    free(store);
}

static MDB_val key_of(const uint8_t *apex, uint8_t octets[NAME_MAX_LEN])
{
    if (apex == NULL)
        return (MDB_val){sizeof(default_key) - 1, (void *)(uintptr_t)default_key};
    return (MDB_val){name_copy_lower(octets, apex), octets};
}

static int entry_get(const struct audit_store *store, MDB_txn *txn, const uint8_t *apex,
                     struct audit_entry *entry)
{
    uint8_t octets[NAME_MAX_LEN];
    MDB_val key = key_of(apex, octets), value;
    const int rc = mdb_get(txn, store->dbi, &key, &value);

    *entry = (struct audit_entry){.parent_count = 0};
    if (rc == 0 && !audit_entry_read(value.mv_data, value.mv_size, entry))
        return MDB_CORRUPTED;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int entry_put(const struct audit_store *store, MDB_txn *txn, const uint8_t *apex,
                     const struct audit_entry *entry)
{
    uint8_t octets[NAME_MAX_LEN], written[AUDIT_ENTRY_MAX];
    MDB_val key = key_of(apex, octets), value = {audit_entry_write(entry, written), written};

    return mdb_put(txn, store->dbi, &key, &value, 0);
}

static int end(MDB_txn *txn, int rc)
{
    if (rc == 0)
        return error_of(mdb_txn_commit(txn));
    mdb_txn_abort(txn);
    return error_of(rc);
}

int audit_store_get(struct audit_store *store, const uint8_t *apex, struct audit_entry *entry)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return error_of(rc);
    rc = entry_get(store, txn, apex, entry);
    mdb_txn_abort(txn);
    return error_of(rc);
}

int audit_store_put(struct audit_store *store, const uint8_t *apex, const struct audit_entry *entry)
{
    MDB_txn *txn;
    const int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

    return rc != 0 ? error_of(rc) : end(txn, entry_put(store, txn, apex, entry));
}

int audit_store_note(struct audit_store *store, const struct audit_note *notes, size_t count)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

    if (rc != 0)
        return error_of(rc);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct audit_entry entry;
        rc = entry_get(store, txn, notes[i].apex, &entry);
        entry.record = notes[i].entry.record;
        entry.is_withheld = notes[i].entry.is_withheld;
        entry.cut_zone = notes[i].entry.cut_zone;
        entry.ttl_uncut = notes[i].entry.ttl_uncut;
        if (rc == 0)
            rc = entry_put(store, txn, notes[i].apex, &entry);
    }
    return end(txn, rc);
}
