/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_check.h"
#include "zonedb/text_denial.h"
#include "zonedb/text_verify.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct check {
    struct text_zone *zone;
    uint32_t now_s; /* RRSIG times are modulo 2^32 (RFC 4034 3.1.5) */
    struct text_keys *keys;
    struct text_node node;
    struct text_denial *denial;
    const struct text_record *expired, *early; /* the first of each */
    uint64_t expired_count, early_count;
    bool is_algorithm_told[256];
};

static uint32_t get32(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
}

/* RFC 1982: a is before b. */
static bool is_before(uint32_t a, uint32_t b)
{
    return a != b && b - a < 0x80000000U;
}

static void check_times(struct check *check, const struct text_record *record)
{
    const uint32_t expiration = get32(record->rdata + 2 + 8);
    const uint32_t inception = get32(record->rdata + 2 + 12);

    if (is_before(expiration, inception))
        text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_RDATA,
                  "the signature expires before its inception");
    if (is_before(expiration, check->now_s) && check->expired_count++ == 0)
        check->expired = record;
    if (is_before(check->now_s, inception) && check->early_count++ == 0)
        check->early = record;
}

/* Often all signatures of a zone are expired: one message for all. */
static void tell_times(const struct check *check)
{
    char text[32] = "";
    struct tm tm;
    const time_t expired_s =
        check->expired != NULL ? (time_t)get32(check->expired->rdata + 2 + 8) : 0;

    if (check->expired_count > 0) {
        if (gmtime_r(&expired_s, &tm) != NULL)
            strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
        text_tell(check->zone, TEXT_WARNING, check->expired, TEXT_AT_RDATA,
                  "%llu signatures have expired, this one on %s UTC",
                  (unsigned long long)check->expired_count, text);
    }
    if (check->early_count > 0)
        text_tell(check->zone, TEXT_WARNING, check->early, TEXT_AT_RDATA,
                  "%llu signatures are not valid yet, this one among them",
                  (unsigned long long)check->early_count);
}

/* RFC 4035 2.2 and 5.3.1: signer, labels and TTL fit the place where the RRSIG stands. */
static bool check_fields(struct check *check, const struct text_record *record,
                         const struct zonedb_rrset *covered)
{
    const uint8_t *rrsig = record->rdata + 2, *owner = check->node.name;
    const bool is_wildcard = owner[0] == 1 && owner[1] == '*';
    const unsigned labels = name_label_count(owner) - (is_wildcard ? 1 : 0);

    if (!name_equal(rrsig + 18, check->zone->apex)) {
        text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_RDATA,
                  "the signer of an RRSIG must be the zone's apex");
        return false;
    }
    if (rrsig[3] != labels) {
        text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_RDATA,
                  "the RRSIG is for a name of %u labels, this one has %u", rrsig[3], labels);
        return false;
    }
    if (get32(rrsig + 4) != covered->ttl)
        text_tell(check->zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                  "the original TTL in the RRSIG, %u, is not the TTL of its RRset, %u",
                  get32(rrsig + 4), covered->ttl);
    return true;
}

/* Returns whether the signature is, or may be, good; -ENOMEM. */
static int check_signature(struct check *check, const struct text_record *record,
                           const struct zonedb_rrset *covered)
{
    const uint8_t *rrsig = record->rdata + 2;
    const size_t len = (size_t)(record->rdata[0] << 8 | record->rdata[1]);

    check_times(check, record);
    if (!check_fields(check, record, covered))
        return 0;
    const int verdict = text_verify(check->keys, check->node.name, covered, rrsig, len);
    if (verdict < 0)
        return verdict;
    switch ((enum text_verdict)verdict) {
    case TEXT_SIGNATURE_GOOD:
        check->zone->counts.signatures++;
        return 1;
    case TEXT_SIGNATURE_BAD:
        text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_RDATA, "the signature does not verify");
        return 0;
    case TEXT_SIGNATURE_NO_KEY:
        text_tell(check->zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                  "the zone has no DNSKEY of tag %u and algorithm %u", rrsig[16] << 8 | rrsig[17],
                  rrsig[2]);
        return 0;
    case TEXT_SIGNATURE_UNKNOWN:
        if (!check->is_algorithm_told[rrsig[2]])
            text_tell(check->zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                      "signatures of algorithm %u are not known and not verified", rrsig[2]);
        check->is_algorithm_told[rrsig[2]] = true;
        return 1;
    }
    return 0;
}

/* RRset number `index` of the node, its RRSIGs behind it. */
static int check_rrset(struct check *check, size_t index, bool must_be_signed)
{
    const struct text_node *node = &check->node;
    const struct zonedb_rrset *rrset = &node->rrsets[index];
    const bool has_rrsig = index + 1 < node->rrset_count &&
                           node->rrsets[index + 1].type == TYPE_RRSIG &&
                           text_covered_type(&node->rrsets[index + 1]) == rrset->type;
    const struct text_record *record = text_node_record(node, check->zone, index);
    char name[24];
    int good = 0;

    text_type_name(rrset->type, name, sizeof(name));
    if (!must_be_signed) {
        if (has_rrsig)
            text_tell(check->zone, TEXT_WARNING, record, TEXT_AT_OWNER,
                      "%s here is not authoritative data but has an RRSIG", name);
        return 0;
    }
    if (!has_rrsig) {
        text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_OWNER, "no RRSIG covers %s", name);
        return 0;
    }
    const struct zonedb_rrset *rrsigs = &node->rrsets[index + 1];
    for (unsigned i = 0; i < rrsigs->rr_count; i++) {
        const int verdict =
            check_signature(check, text_node_record(node, check->zone, index + 1) + i, rrset);
        if (verdict < 0)
            return verdict;
        good += verdict;
    }
    if (good == 0)
        text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_OWNER, "no good signature covers %s",
                  name);
    return 0;
}

static void check_ds(struct check *check, size_t index)
{
    const struct zonedb_rrset *rrset = &check->node.rrsets[index];
    const struct text_record *record = text_node_record(&check->node, check->zone, index);
    /* by digest type: SHA-1, SHA-256, GOST R 34.11-94, SHA-384 */
    static const uint8_t lengths[] = {0, 20, 32, 32, 48};

    for (unsigned i = 0; i < rrset->rr_count; i++, record++) {
        const size_t len = (size_t)(record->rdata[0] << 8 | record->rdata[1]) - 4;
        const uint8_t type = record->rdata[5];
        if (type == 0 || type >= sizeof(lengths))
            text_tell(check->zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                      "DS digest of unknown type %u", type);
        else if (len != lengths[type])
            text_tell(check->zone, TEXT_ERROR, record, TEXT_AT_RDATA,
                      "DS digest of type %u has %zu octets instead of %u", type, len,
                      lengths[type]);
    }
}

static int check_owner(struct check *check, size_t owner, enum text_place place)
{
    const bool is_authoritative = place == TEXT_AUTHORITATIVE;
    int error = text_node_fill(&check->node, check->zone, owner);

    for (size_t i = 0; error == 0 && i < check->node.rrset_count; i++) {
        const uint16_t type = check->node.rrsets[i].type;
        if (type == TYPE_RRSIG)
            continue;
        if (type == TYPE_DS)
            check_ds(check, i);
        const bool must_be_signed = is_authoritative || type == TYPE_NSEC3 ||
                                    (place == TEXT_CUT && (type == TYPE_DS || type == TYPE_NSEC));
        if (check->keys != NULL)
            error = check_rrset(check, i, must_be_signed);
    }
    if (error == 0 && check->keys != NULL)
        error = text_denial_owner(check->denial, owner, &check->node, place);
    return error;
}

static int check_zone(struct check *check)
{
    struct text_zone *zone = check->zone;
    struct text_walk walk = {.cut = SIZE_MAX, .dname = SIZE_MAX};
    int error = text_node_fill(&check->node, zone, 0);
    const struct zonedb_rrset *dnskeys =
        error == 0 ? text_node_rrset(&check->node, TYPE_DNSKEY) : NULL;
    uint8_t *kept = NULL;

    if (dnskeys != NULL) {
        struct zonedb_rrset copy = *dnskeys;
        kept = malloc(copy.rdata_len);
        if (kept == NULL)
            return -ENOMEM;
        memcpy(kept, dnskeys->rdata, copy.rdata_len);
        copy.rdata = kept;
        check->keys = text_keys_new(&copy);
        check->denial = text_denial_new(zone);
        if (check->keys == NULL || check->denial == NULL)
            error = -ENOMEM;
    }
    for (size_t i = 0; i < zone->owner_count && error == 0 && !text_is_full(zone); i++) {
        error = check_owner(check, i, text_walk_enter(&walk, zone, i));
        if (i % 64 == 0)
            text_progress(zone, TEXT_VERIFYING, i, zone->owner_count);
    }
    if (error == 0 && check->denial != NULL && !text_is_full(zone))
        text_denial_end(check->denial);
    text_keys_free(check->keys);
    text_denial_free(check->denial);
    free(kept);
    return error;
}

int text_zone_check(struct text_zone *zone, uint64_t now_s)
{
    struct check check = {.zone = zone, .now_s = (uint32_t)now_s};
    const int error = check_zone(&check);

    text_progress(zone, TEXT_VERIFYING, zone->owner_count, zone->owner_count);
    text_node_free(&check.node);
    if (error != 0)
        return error;
    tell_times(&check);
    return zone->counts.errors > 0 ? -EINVAL : 0;
}
