/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_chain.c - denial chains are closed: each NSEC or NSEC3 names the one after it (RFC
 * 4034 4.1.1, RFC 5155 3.1.7). That they cover the right names is for text_check.c.
 */
#include "zonedb/base32hex.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <string.h>

/* The only record of this type at the owner; NULL if none. Several are an error. */
static const struct text_record *only_record(struct text_zone *zone, size_t owner, uint16_t type)
{
    const struct text_record *record = text_owner_record(zone, owner, type);
    const struct text_owner *holder = &zone->owners[owner];

    if (record == NULL)
        return NULL;
    if (record + 1 < &zone->records[holder->first] + holder->count && record[1].type == type) {
        char name[24];
        text_tell(zone, TEXT_ERROR, record + 1, TEXT_AT_TYPE, "several %s records at one name",
                  text_type_name(type, name, sizeof(name)));
    }
    return record;
}

static void check_nsec_link(struct text_zone *zone, const struct text_record *record,
                            const uint8_t *wanted)
{
    char text[NAME_TEXT_MAX];

    if (!name_equal(record->rdata + 2, wanted))
        text_tell(zone, TEXT_ERROR, record, TEXT_AT_RDATA, "broken NSEC chain: the next name is %s",
                  name_to_text(wanted, text));
}

/* Keep the last link beyond the window: its place, and what it names as next. */
static void keep_link(struct text_record *last, uint8_t *kept, size_t len)
{
    if (last->rdata == NULL || last->rdata == kept)
        return;
    memcpy(kept, last->rdata, 2 + len);
    last->rdata = kept;
}

static void check_nsec_chain(struct text_zone *zone)
{
    struct text_record *last = &zone->links.nsec;

    for (size_t i = zone->is_continued ? 1 : 0; i < zone->owner_count && !text_is_full(zone); i++) {
        const struct text_record *nsec = only_record(zone, i, TYPE_NSEC);
        if (nsec == NULL)
            continue;
        if (last->rdata == NULL && i > 0) {
            text_tell(zone, TEXT_ERROR, nsec, TEXT_AT_OWNER,
                      "broken NSEC chain: the apex has no NSEC");
            return;
        }
        if (last->rdata != NULL)
            check_nsec_link(zone, last, text_owner_name(&zone->owners[i]));
        *last = *nsec;
    }
    if (last->rdata != NULL)
        keep_link(last, zone->links.nsec_next, name_len(last->rdata + 2, NAME_MAX_LEN));
}

/* More than this is beyond what RFC 5155 10.3 allows for any key, and each denial would cost
 * milliseconds. */
#define ITERATIONS_MAX 2500
/* Resolvers take a zone of more for unsigned, some for broken (RFC 9276 3.2). */
#define ITERATIONS_SOUND 100

static void check_iterations(struct text_zone *zone, const struct text_record *param)
{
    const unsigned iterations = (unsigned)(param->rdata[4] << 8 | param->rdata[5]);

    if (iterations > ITERATIONS_MAX)
        text_tell(zone, TEXT_ERROR, param, TEXT_AT_RDATA,
                  "%u NSEC3 iterations; the limit is %u (RFC 5155 10.3), and 0 is right (RFC 9276)",
                  iterations, ITERATIONS_MAX);
    else if (iterations > ITERATIONS_SOUND)
        text_tell(
            zone, TEXT_WARNING, param, TEXT_AT_RDATA,
            "%u NSEC3 iterations: resolvers may take the zone for unsigned or refuse it; 0 is "
            "right (RFC 9276)",
            iterations);
}

/* SHA-1, no flags (RFC 5155 4.1.2). */
static bool is_usable(const struct text_record *record)
{
    return record->type == TYPE_NSEC3PARAM && record->rdata[2] == 1 && record->rdata[3] == 0;
}

const struct text_record *text_chain_param(const struct text_zone *zone)
{
    const struct text_owner *apex = &zone->owners[0];
    const struct text_record *found = NULL;

    for (uint32_t i = 0; i < apex->count; i++)
        if (is_usable(&zone->records[apex->first + i]))
            found = &zone->records[apex->first + i];
    return found;
}

static void check_params(struct text_zone *zone, const struct text_record *param)
{
    const struct text_owner *apex = &zone->owners[0];
    bool is_first = true;

    for (uint32_t i = 0; i < apex->count; i++) {
        const struct text_record *record = &zone->records[apex->first + i];
        if (!is_usable(record))
            continue;
        if (!is_first)
            text_tell(zone, TEXT_ERROR, record, TEXT_AT_RDATA,
                      "several NSEC3PARAMs: one NSEC3 chain is supported");
        is_first = false;
    }
    if (zone->apex_len + 33 > NAME_MAX_LEN)
        text_tell(zone, TEXT_WARNING, param, TEXT_AT_TYPE,
                  "the zone's name is too long for NSEC3: a hashed owner has no room below it");
    check_iterations(zone, param);
}

const char *text_chain_fault(const struct text_record *nsec3, const struct text_record *param)
{
    const uint8_t *mine = nsec3->rdata + 2, *wanted = param->rdata + 2;
    const uint8_t salt_len = mine[4];

    if (mine[0] != 1)
        return "NSEC3 of a hash algorithm other than SHA-1";
    if (mine[2] != wanted[2] || mine[3] != wanted[3] || salt_len != wanted[4] ||
        memcmp(mine + 5, wanted + 5, salt_len) != 0)
        return "NSEC3 with other iterations or salt than NSEC3PARAM";
    if (mine[5 + salt_len] != 20)
        return "the next hash of an NSEC3 must have 20 octets";
    return NULL;
}

static void check_nsec3_link(struct text_zone *zone, const struct text_record *nsec3,
                             const uint8_t wanted[20])
{
    const uint8_t *next = nsec3->rdata + 2 + 6 + nsec3->rdata[6];
    uint8_t text[BASE32HEX_HASH_LEN];

    base32hex_encode(wanted, text);
    if (memcmp(next, wanted, 20) != 0)
        text_tell(zone, TEXT_ERROR, nsec3, TEXT_AT_RDATA,
                  "broken NSEC3 chain: the next hash is %.*s", BASE32HEX_HASH_LEN,
                  (const char *)text);
}

static void check_nsec3_chain(struct text_zone *zone, const struct text_record *param)
{
    struct text_record *last = &zone->links.nsec3;
    uint8_t hash[20];

    for (size_t i = 0; i < zone->owner_count && !text_is_full(zone) && !zone->links.is_broken;
         i++) {
        const struct text_record *nsec3 =
            zone->owners[i].has_nsec3 ? only_record(zone, i, TYPE_NSEC3) : NULL;
        if (nsec3 == NULL)
            continue;
        const char *fault = param == NULL
                                ? "NSEC3 in a zone without a usable NSEC3PARAM at its apex"
                                : text_chain_fault(nsec3, param);
        if (fault != NULL) {
            text_tell(zone, TEXT_ERROR, nsec3, TEXT_AT_RDATA, "%s", fault);
            zone->links.is_broken = true;
            return;
        }
        base32hex_decode(text_owner_name(&zone->owners[i]) + 1, hash);
        if (last->rdata == NULL)
            memcpy(zone->links.first_hash, hash, sizeof(hash));
        else
            check_nsec3_link(zone, last, hash);
        *last = *nsec3;
    }
    if (last->rdata != NULL)
        keep_link(last, zone->links.nsec3_next, 6 + (size_t)last->rdata[6] + 20);
}

void text_check_chain(struct text_zone *zone)
{
    const uint64_t errors = zone->counts.errors;
    const struct text_record *param = text_chain_param(zone);

    if (param != NULL && !zone->is_continued)
        check_params(zone, param);
    check_nsec_chain(zone);
    check_nsec3_chain(zone, param);
    zone->links.errors += zone->counts.errors - errors;
}

void text_check_chain_end(struct text_zone *zone)
{
    const struct text_links *links = &zone->links;
    const struct text_record *param = text_chain_param(zone);

    if (links->nsec.rdata != NULL)
        check_nsec_link(zone, &links->nsec, zone->apex);
    if (links->nsec3.rdata != NULL && !links->is_broken && !text_is_full(zone))
        check_nsec3_link(zone, &links->nsec3, links->first_hash);
    if (links->nsec3.rdata == NULL && !links->is_broken && param != NULL &&
        zone->apex_len + 33 <= NAME_MAX_LEN)
        text_tell(zone, TEXT_ERROR, param, TEXT_AT_TYPE, "NSEC3PARAM in a zone without NSEC3");
}
