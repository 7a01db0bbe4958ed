/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_log.c - which owners the last commits touched.
 *
 * One entry for each commit, written by the commit itself, so that there is none for what did not
 * happen. A commit without entry, as programs made that knew no log, tells nothing: everything may
 * have changed.
 */
#include "zonedb/writer.h"

#include <errno.h>

#define LOG_KEY_LEN (sizeof log_key - 1 + 8)
#define LOG_ENTRY_FIXED_LEN (ZONE_ID_LEN + 2)
/* In place of a key's length. */
#define LOG_IS_NSEC3 0xffffu

enum {
    LOG_LIST = 0,
    LOG_ALL = 1,
};

static const char log_key[] = "change";

static MDB_val log_key_of(uint64_t version, uint8_t octets[LOG_KEY_LEN])
{
    memcpy(octets, log_key, sizeof log_key - 1);
    store_be64(octets + sizeof log_key - 1, version);
    return (MDB_val){LOG_KEY_LEN, octets};
}

void writer_log_all(struct zonedb_writer *writer)
{
    writer->log_len = 1;
    writer->log[0] = LOG_ALL;
}

void writer_log_begin(struct zonedb_writer *writer)
{
    if (writer->log_len > 0)
        return;
    writer->log_len = 1;
    writer->log[0] = LOG_LIST;
}

static void log_entry(struct zonedb_writer *writer, const uint8_t *key, unsigned key_len,
                      size_t octet_count)
{
    uint8_t *at = writer->log + writer->log_len;
    if (writer->log[0] == LOG_ALL)
        return;
    if (sizeof writer->log - writer->log_len < LOG_ENTRY_FIXED_LEN + octet_count) {
        writer_log_all(writer);
        return;
    }
    store_be32(at, writer->zone.id);
    store_be16(at + ZONE_ID_LEN, (uint16_t)key_len);
    if (octet_count > 0)
        memcpy(at + LOG_ENTRY_FIXED_LEN, key, octet_count);
    writer->log_len += LOG_ENTRY_FIXED_LEN + octet_count;
}

void writer_log_node(struct zonedb_writer *writer, const struct find_key *key)
{
    size_t len = (size_t)key->end[key->label_count] - ZONE_ID_LEN;
    log_entry(writer, key->octets + ZONE_ID_LEN, (unsigned)len, len);
}

void writer_log_key(struct zonedb_writer *writer, const uint8_t *key, size_t key_len)
{
    log_entry(writer, key, (unsigned)key_len, key_len);
}

void writer_log_nsec3(struct zonedb_writer *writer)
{
    log_entry(writer, NULL, LOG_IS_NSEC3, 0);
}

/* Remove the entries from `from` on, up to but not including `end`. */
static int log_cut(MDB_cursor *meta, uint64_t from, uint64_t end)
{
    uint8_t octets[LOG_KEY_LEN];
    for (;;) {
        MDB_val key = log_key_of(from, octets), value;
        int rc = mdb_cursor_get(meta, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND)
            return 0;
        if (rc != 0)
            return zonedb_errno(rc);
        if (key.mv_size != LOG_KEY_LEN || memcmp(key.mv_data, log_key, sizeof log_key - 1) != 0 ||
            load_be64((const uint8_t *)key.mv_data + sizeof log_key - 1) >= end)
            return 0;
        rc = mdb_cursor_del(meta, 0);
        if (rc != 0)
            return zonedb_errno(rc);
    }
}

int writer_log_put(struct zonedb_writer *writer)
{
    uint8_t octets[LOG_KEY_LEN];
    MDB_cursor *meta;
    if (writer->log_len == 0)
        return 0;
    uint64_t version = mdb_txn_id(writer->txn);
    int rc = zonedb_errno(mdb_cursor_open(writer->txn, writer->db->meta, &meta));
    if (rc != 0)
        return rc;
    if (version >= ZONEDB_CHANGES_KEPT)
        rc = log_cut(meta, 0, version - ZONEDB_CHANGES_KEPT + 1);
    if (rc == 0) /* a compacted copy counts from 1 again */
        rc = log_cut(meta, version, UINT64_MAX);
    mdb_cursor_close(meta);
    if (rc != 0)
        return rc;
    MDB_val key = log_key_of(version, octets), value = {writer->log_len, writer->log};
    return zonedb_errno(mdb_put(writer->txn, writer->db->meta, &key, &value, 0));
}

/* ---- reading ---- */

static int log_visit(const uint8_t *at, size_t left, zonedb_changed *visit, void *context)
{
    while (left > 0) {
        uint8_t owner[NAME_MAX_LEN];
        if (left < LOG_ENTRY_FIXED_LEN)
            return -EBADMSG;
        uint32_t zone_id = load_be32(at);
        size_t key_len = load_be16(at + ZONE_ID_LEN);
        bool is_nsec3 = key_len == LOG_IS_NSEC3;
        at += LOG_ENTRY_FIXED_LEN;
        left -= LOG_ENTRY_FIXED_LEN;
        if (is_nsec3)
            key_len = 0;
        if (key_len > left || name_from_key(at, key_len, owner) == 0)
            return -EBADMSG;
        int stop = visit(context, zone_id, is_nsec3 ? NULL : owner);
        if (stop != 0)
            return stop;
        at += key_len;
        left -= key_len;
    }
    return 0;
}

int zonedb_view_changes(struct zonedb_view *view, uint64_t since, zonedb_changed *visit,
                        void *context)
{
    if (!view->is_active || since == 0 || since > view->version ||
        view->version - since > ZONEDB_CHANGES_KEPT)
        return ZONEDB_CHANGES_UNKNOWN;
    for (uint64_t version = since + 1; version <= view->version; version++) {
        uint8_t octets[LOG_KEY_LEN];
        MDB_val key = log_key_of(version, octets), value;
        int rc = mdb_get(view->txn, view->db->meta, &key, &value);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return zonedb_errno(rc);
        if (rc == MDB_NOTFOUND || value.mv_size == 0 || *(const uint8_t *)value.mv_data != LOG_LIST)
            return ZONEDB_CHANGES_UNKNOWN;
        rc = log_visit((const uint8_t *)value.mv_data + 1, value.mv_size - 1, visit, context);
        if (rc != 0)
            return rc;
    }
    return 0;
}
