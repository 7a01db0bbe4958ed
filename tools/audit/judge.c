/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/audit/judge.h"

#include "tools/query/received.h"
#include "zonedb/name.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

enum {
    TYPE_NS = 2,
    TYPE_SOA = 6,
    TYPE_DS = 43,
    RCODE_NOERROR = 0,
    RCODE_NXDOMAIN = 3,
};

/* ---- the zone's own records ---- */

/* The next record of an RRset; `at` is 0 first. */
static bool rdata_next(const struct zonedb_rrset *rrset, size_t *at, const uint8_t **rdata_out,
                       size_t *len_out)
{
    if (rrset->rr_count == 0 || rrset->rdata_len - *at < 2 || *at > rrset->rdata_len)
        return false;
    *len_out = (size_t)(rrset->rdata[*at] << 8 | rrset->rdata[*at + 1]);
    *rdata_out = rrset->rdata + *at + 2;
    if (*len_out > rrset->rdata_len - *at - 2)
        return false;
    *at += 2 + *len_out;
    return true;
}

bool audit_is_name(const uint8_t *octets, size_t len)
{
    return len > 0 && name_len(octets, len) == len;
}

static bool has_server(const struct zonedb_rrset *servers, const uint8_t *name)
{
    const uint8_t *rdata;
    size_t at = 0, len;

    while (rdata_next(servers, &at, &rdata, &len))
        if (audit_is_name(rdata, len) && name_equal(rdata, name))
            return true;
    return false;
}

/* RFC 4034 appendix B. */
static unsigned key_tag(const uint8_t *key, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)key[i] << 8 : key[i];
    return (sum + (sum >> 16)) & 0xffff;
}

/* Returns the digest's length; 0: unknown type. */
static size_t digest_of(uint8_t type, const uint8_t *owner, const uint8_t *key, size_t len,
                        uint8_t digest[SHA384_DIGEST_SIZE])
{
    uint8_t lower[NAME_MAX_LEN];
    const size_t owner_len = name_copy_lower(lower, owner);
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha512_ctx sha384;

    switch (type) {
    case 1:
        sha1_init(&sha1);
        sha1_update(&sha1, owner_len, lower);
        sha1_update(&sha1, len, key);
        sha1_digest(&sha1, SHA1_DIGEST_SIZE, digest);
        return SHA1_DIGEST_SIZE;
    case 2:
        sha256_init(&sha256);
        sha256_update(&sha256, owner_len, lower);
        sha256_update(&sha256, len, key);
        sha256_digest(&sha256, SHA256_DIGEST_SIZE, digest);
        return SHA256_DIGEST_SIZE;
    case 4:
        sha384_init(&sha384);
        sha384_update(&sha384, owner_len, lower);
        sha384_update(&sha384, len, key);
        sha384_digest(&sha384, SHA384_DIGEST_SIZE, digest);
        return SHA384_DIGEST_SIZE;
    default:
        return 0;
    }
}

int audit_ds_fits(const struct audit_zone *zone, const uint8_t *ds, size_t ds_len)
{
    const uint8_t *key;
    size_t at = 0, len;
    uint8_t digest[SHA384_DIGEST_SIZE];

    if (ds_len < 4)
        return 0;
    if (digest_of(ds[3], zone->apex, ds, 0, digest) == 0)
        return -1;
    while (rdata_next(&zone->keys, &at, &key, &len)) {
        if (len < 4 || key[3] != ds[2] || key_tag(key, len) != (unsigned)(ds[0] << 8 | ds[1]))
            continue;
        const size_t digest_len = digest_of(ds[3], zone->apex, key, len, digest);
        if (digest_len == ds_len - 4 && memcmp(digest, ds + 4, digest_len) == 0)
            return 1;
    }
    return 0;
}

/* ---- the delegation ---- */

/* What a referral for the cut says, record by record. */
struct referral {
    unsigned servers, shared, ds, fitting, strange;
    uint32_t ttl;
    const uint8_t *names[AUDIT_NAMES_MAX];
};

static void see_server(struct referral *seen, const struct audit_zone *zone, const uint8_t *name,
                       uint32_t ttl)
{
    if (seen->servers < AUDIT_NAMES_MAX)
        seen->names[seen->servers] = name;
    seen->servers++;
    if (seen->servers == 1 || ttl < seen->ttl)
        seen->ttl = ttl;
    seen->shared += has_server(&zone->servers, name);
}

static void see_ds(struct referral *seen, const struct audit_zone *zone, const uint8_t *ds,
                   size_t len)
{
    const int fits = audit_ds_fits(zone, ds, len);

    seen->ds++;
    seen->fitting += fits == 1;
    seen->strange += fits < 0;
}

static void judge_referral(const struct referral *seen, struct audit_answer *answer)
{
    char first[NAME_TEXT_MAX];

    answer->verdict = AUDIT_VERDICT_FOUND;
    answer->ttl = seen->ttl;
    for (unsigned i = 0; i < seen->servers && i < AUDIT_NAMES_MAX; i++)
        name_copy_lower(answer->servers.of[answer->servers.count++], seen->names[i]);
    answer->found = AUDIT_MISMATCHED;
    if (seen->shared == 0) {
        snprintf(answer->why, sizeof(answer->why), "the parent delegates to others: %.300s",
                 seen->servers > 0 ? name_to_text(seen->names[0], first) : "nobody");
    } else if (seen->ds > 0 && seen->fitting == 0 && seen->strange < seen->ds) {
        snprintf(answer->why, sizeof(answer->why), "no DS of the parent fits a key of the zone");
    } else {
        answer->found = AUDIT_DELEGATED;
        snprintf(answer->why, sizeof(answer->why), "the parent names %u of our name servers",
                 seen->shared);
    }
}

void audit_judge_own(const struct audit_zone *zone, const struct zonedb_rrset *servers,
                     const struct zonedb_rrset *ds, struct audit_answer *answer)
{
    struct referral seen = {0};
    const uint8_t *rdata;
    size_t at = 0, len;

    *answer = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS};
    while (rdata_next(servers, &at, &rdata, &len))
        if (audit_is_name(rdata, len))
            see_server(&seen, zone, rdata, servers->ttl);
    at = 0;
    while (ds != NULL && rdata_next(ds, &at, &rdata, &len))
        see_ds(&seen, zone, rdata, len);
    judge_referral(&seen, answer);
}

/* ---- responses ---- */

static const uint8_t *record_rdata(const struct received_record *record, size_t *len_out)
{
    const knot_rdata_t *rdata = record->set.rrs.rdata;

    if (record->is_malformed || record->set.rrs.count != 1 || rdata == NULL)
        return NULL;
    *len_out = rdata->len;
    return rdata->data;
}

/* Nobody may tell of zones that are not below what it was asked for, and above the one in question. */
static bool is_between(const struct audit_zone *zone, const uint8_t *above, const uint8_t *owner)
{
    return name_is_at_or_below(zone->apex, owner) &&
           (above == NULL || (name_is_at_or_below(owner, above) && !name_equal(owner, above)));
}

struct sight {
    struct referral referral;
    const uint8_t *cut;      /* owner of NS in the authority section, the first */
    const uint8_t *negative; /* owner of a SOA there */
    bool is_child;           /* NS of the zone itself in the answer section */
};

static void see_record(struct sight *sight, const struct audit_zone *zone, const uint8_t *above,
                       const struct received_record *record)
{
    const uint8_t *owner = record->set.owner;
    size_t len = 0;
    const uint8_t *rdata = record_rdata(record, &len);
    const bool is_here = rdata != NULL && name_equal(owner, zone->apex);

    if (record->section == RECEIVED_ANSWER)
        sight->is_child |= is_here && record->set.type == TYPE_NS;
    if (record->section != RECEIVED_AUTHORITY || rdata == NULL)
        return;
    /* Who does not have the zone that it was asked for, and has one above it, knows nothing. */
    if (record->set.type == TYPE_SOA && name_is_at_or_below(zone->apex, owner) && !is_here &&
        (above == NULL || name_is_at_or_below(owner, above)))
        sight->negative = owner;
    if (record->set.type == TYPE_NS && audit_is_name(rdata, len) &&
        is_between(zone, above, owner)) {
        if (sight->cut == NULL)
            sight->cut = owner;
        if (is_here)
            see_server(&sight->referral, zone, rdata, record->set.ttl);
    }
    if (record->set.type == TYPE_DS && is_here)
        see_ds(&sight->referral, zone, rdata, len);
}

static void judge_sight(const struct sight *sight, const struct audit_zone *zone,
                        const struct received *response, struct audit_answer *answer)
{
    const bool is_aa = (response->flags & RECEIVED_AA) != 0;

    if (response->rcode != RCODE_NOERROR && response->rcode != RCODE_NXDOMAIN) {
        char text[32];
        snprintf(answer->why, sizeof(answer->why), "the parent's server says %s",
                 received_rcode_text(response->rcode, text));
    } else if (is_aa && sight->is_child) {
        snprintf(answer->why, sizeof(answer->why),
                 "the parent's server has the zone itself and does not show the delegation");
    } else if (is_aa && (response->rcode == RCODE_NXDOMAIN || sight->negative != NULL)) {
        if (sight->negative == NULL) {
            snprintf(answer->why, sizeof(answer->why), "NXDOMAIN without SOA");
            return;
        }
        answer->verdict = AUDIT_VERDICT_FOUND;
        answer->found = AUDIT_UNDELEGATED;
        snprintf(answer->why, sizeof(answer->why), "the parent has no such delegation (%s)",
                 response->rcode == RCODE_NXDOMAIN ? "NXDOMAIN" : "no data");
    } else if (!is_aa && response->rcode == RCODE_NOERROR && sight->cut != NULL) {
        if (name_equal(sight->cut, zone->apex)) {
            judge_referral(&sight->referral, answer);
            return;
        }
        answer->verdict = AUDIT_VERDICT_ABOVE;
        name_copy_lower(answer->cut, sight->cut);
        snprintf(answer->why, sizeof(answer->why), "a referral to a zone above");
    } else {
        snprintf(answer->why, sizeof(answer->why),
                 "neither a referral nor an authoritative answer");
    }
}

void audit_judge(const struct audit_zone *zone, const uint8_t *above, const uint8_t *octets,
                 size_t len, struct audit_answer *answer)
{
    struct received response;
    struct sight sight = {.cut = NULL};

    *answer = (struct audit_answer){.verdict = AUDIT_VERDICT_USELESS};
    received_begin(octets, len, &response);
    if (response.fault[0] != '\0') {
        snprintf(answer->why, sizeof(answer->why), "a malformed response: %s", response.fault);
    } else {
        for (size_t i = 0; i < response.record_count; i++)
            see_record(&sight, zone, above, &response.records[i]);
        judge_sight(&sight, zone, &response, answer);
    }
    received_end(&response);
}
