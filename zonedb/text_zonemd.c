/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_zonemd.c - the digest of a whole zone (RFC 8976), scheme SIMPLE.
 *
 * All records in canonical order (3.3.1), each as owner, type, class, TTL, length, RDATA in
 * canonical form; without ZONEMD at the apex and its RRSIG.
 */
#include "zonedb/text_rdata.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME_SIMPLE 1
#define HASH_SHA384 1
#define HASH_SHA512 2

struct text_digest {
    struct sha384_ctx sha384;
    struct sha512_ctx sha512;
    bool has_sha384, has_sha512;
    uint8_t buffer[NAME_MAX_LEN + 10 + TEXT_RDATA_MAX]; /* one record */
};

static void add_record(struct text_digest *digest, const uint8_t *name,
                       const struct text_record *record)
{
    const size_t rdata_len = (size_t)(record->rdata[0] << 8 | record->rdata[1]);
    uint8_t *out = digest->buffer;

    out += name_copy_lower(out, name);
    *out++ = (uint8_t)(record->type >> 8);
    *out++ = (uint8_t)record->type;
    *out++ = 0;
    *out++ = 1;
    for (int shift = 24; shift >= 0; shift -= 8)
        *out++ = (uint8_t)(record->ttl >> shift);
    *out++ = record->rdata[0];
    *out++ = record->rdata[1];
    text_rdata_canonical(record->type, record->rdata + 2, rdata_len, out);
    out += rdata_len;
    if (digest->has_sha384)
        sha384_update(&digest->sha384, (size_t)(out - digest->buffer), digest->buffer);
    if (digest->has_sha512)
        sha512_update(&digest->sha512, (size_t)(out - digest->buffer), digest->buffer);
}

static bool is_excluded(const struct text_zone *zone, const struct text_owner *owner,
                        const struct text_record *record)
{
    if (owner->key_len != zone->apex_key_len)
        return false;
    return record->type == TYPE_ZONEMD ||
           (record->type == TYPE_RRSIG && record->rdata[2] == 0 && record->rdata[3] == TYPE_ZONEMD);
}

/* Records stand with their RRSIGs behind them; here all RRSIGs of a name are one RRset of type 46,
 * whose canonical order is that of the covered types. So: types below, RRSIGs, types above. */
static void add_owner(struct text_digest *digest, const struct text_zone *zone,
                      const struct text_owner *owner)
{
    const uint8_t *name = text_owner_name(owner);

    for (int pass = -1; pass <= 1; pass++) {
        for (uint32_t i = 0; i < owner->count; i++) {
            const struct text_record *record = &zone->records[owner->first + i];
            const int order = (record->type > TYPE_RRSIG) - (record->type < TYPE_RRSIG);
            if (order == pass && !is_excluded(zone, owner, record))
                add_record(digest, name, record);
        }
    }
}

static bool is_supported(const uint8_t *zonemd)
{
    return zonemd[4] == SCHEME_SIMPLE && (zonemd[5] == HASH_SHA384 || zonemd[5] == HASH_SHA512);
}

/* RFC 8976 4: what makes this record fail; NULL: it verifies. */
static const char *find_fault(const struct text_zone *zone, const struct text_record *record,
                              const uint8_t *sha384, const uint8_t *sha512)
{
    const size_t len = (size_t)(record->rdata[0] << 8 | record->rdata[1]);
    const uint8_t *zonemd = record->rdata + 2;
    const uint32_t serial = (uint32_t)zonemd[0] << 24 | (uint32_t)zonemd[1] << 16 |
                            (uint32_t)zonemd[2] << 8 | zonemd[3];
    const bool is_384 = zonemd[5] == HASH_SHA384;
    const size_t wanted = is_384 ? SHA384_DIGEST_SIZE : SHA512_DIGEST_SIZE;

    if (serial != text_zone_serial(zone))
        return "ZONEMD is for another serial than the SOA's";
    if (len != 6 + wanted)
        return "ZONEMD digest has the wrong length for its hash algorithm";
    if (memcmp(zonemd + 6, is_384 ? sha384 : sha512, wanted) != 0)
        return "ZONEMD does not match: the zone is not what its maker published";
    return NULL;
}

static bool is_repeated(const struct text_record *records, uint32_t count, uint32_t which)
{
    for (uint32_t i = 0; i < count; i++)
        if (i != which && records[i].type == TYPE_ZONEMD &&
            memcmp(records[i].rdata + 6, records[which].rdata + 6, 2) == 0)
            return true;
    return false;
}

/* One record that verifies is enough; else the first fault is told. */
static void judge(struct text_zone *zone, const struct text_owner *apex, const uint8_t *sha384,
                  const uint8_t *sha512)
{
    const struct text_record *records = &zone->records[apex->first], *first = NULL;
    const char *first_fault = NULL;

    for (uint32_t i = 0; i < apex->count; i++) {
        const struct text_record *record = &records[i];
        if (record->type != TYPE_ZONEMD)
            continue;
        const uint8_t *zonemd = record->rdata + 2;
        const char *fault = NULL;
        if (!is_supported(zonemd)) {
            text_tell(zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                      "ZONEMD of scheme %u and hash algorithm %u is not known and not verified",
                      zonemd[4], zonemd[5]);
            continue;
        }
        fault = is_repeated(records, apex->count, i)
                    ? "several ZONEMDs of one scheme and hash algorithm"
                    : find_fault(zone, record, sha384, sha512);
        if (fault == NULL)
            zone->counts.is_zonemd_verified = true;
        else if (first_fault == NULL) {
            first_fault = fault;
            first = record;
        }
    }
    if (!zone->counts.is_zonemd_verified && first_fault != NULL)
        text_tell(zone, TEXT_ERROR, first, TEXT_AT_RDATA, "%s", first_fault);
}

int text_zonemd_begin(struct text_zone *zone)
{
    const struct text_owner *apex = &zone->owners[0];
    bool has_sha384 = false, has_sha512 = false;

    for (uint32_t i = 0; i < apex->count; i++) {
        const struct text_record *record = &zone->records[apex->first + i];
        if (record->type != TYPE_ZONEMD || record->rdata[6] != SCHEME_SIMPLE)
            continue;
        has_sha384 |= record->rdata[7] == HASH_SHA384;
        has_sha512 |= record->rdata[7] == HASH_SHA512;
    }
    if (!has_sha384 && !has_sha512)
        return 0;
    struct text_digest *digest = calloc(1, sizeof(*digest));
    if (digest == NULL)
        return -ENOMEM;
    digest->has_sha384 = has_sha384;
    digest->has_sha512 = has_sha512;
    sha384_init(&digest->sha384);
    sha512_init(&digest->sha512);
    zone->digest = digest;
    return 0;
}

void text_zonemd_add(struct text_zone *zone)
{
    for (size_t i = zone->is_continued ? 1 : 0; zone->digest != NULL && i < zone->owner_count; i++)
        add_owner(zone->digest, zone, &zone->owners[i]);
}

void text_zonemd_end(struct text_zone *zone)
{
    uint8_t sha384[SHA384_DIGEST_SIZE] = {0}, sha512[SHA512_DIGEST_SIZE] = {0};

    if (zone->digest != NULL) {
        sha384_digest(&zone->digest->sha384, sizeof(sha384), sha384);
        sha512_digest(&zone->digest->sha512, sizeof(sha512), sha512);
        free(zone->digest);
        zone->digest = NULL;
    }
    judge(zone, &zone->owners[0], sha384, sha512);
}
