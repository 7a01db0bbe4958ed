/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a parent's server may say to the audit of zone.example. The first octet says as whose authority
 * it was asked, the others are the response.
 *
 * Whatever it is: a verdict is only there if the message has what it rests on, as it is found here
 * by looking for it in all records; who was asked can tell of nothing beside or above what it was
 * asked for; addresses to go on with are the message's own.
 */
#include "fuzz.h"
#include "tools/audit/referral.h"
#include "tools/query/received.h"

#include <netinet/in.h>

enum { TYPE_NS = 2, TYPE_SOA = 6, PORT = 5353 };

static const char *const aboves[] = {NULL, ".", "example.", "zone.example."};
static struct audit_zone zone;
static uint8_t servers[2 * (NAME_MAX_LEN + 2)], keys[16];

static void add_rdata(struct zonedb_rrset *rrset, uint8_t *octets, size_t len)
{
    octets[rrset->rdata_len] = (uint8_t)(len >> 8);
    octets[rrset->rdata_len + 1] = (uint8_t)len;
    rrset->rdata = octets;
    rrset->rdata_len += (uint32_t)(2 + len);
    rrset->rr_count++;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    name_from_text("zone.example.", zone.apex);
    add_rdata(&zone.servers, servers, name_from_text("ns1.zone.example.", servers + 2));
    uint8_t *second = servers + zone.servers.rdata_len + 2;
    add_rdata(&zone.servers, servers, name_from_text("ns.host.net.", second));
    memcpy(keys + 2, "\1\0\3\5\1\3\1\3", 8);
    add_rdata(&zone.keys, keys, 8);
    return 0;
}

static bool is_ours(const uint8_t *name)
{
    return name_equal(name, servers + 2) ||
           name_equal(name, servers + 2 + (servers[0] << 8 | servers[1]) + 2);
}

/* Whether an authority record of this type has this owner; of NS: and an own server, if so wanted. */
static bool has_record(const struct received *m, uint16_t type, const uint8_t *owner,
                       bool wants_ours)
{
    for (size_t i = 0; i < m->record_count; i++) {
        const struct received_record *record = &m->records[i];
        if (record->section == RECEIVED_AUTHORITY && record->set.type == type &&
            !record->is_malformed && name_equal(record->set.owner, owner) &&
            (!wants_ours || (record->rdata_len > 0 && is_ours(record->set.rrs.rdata->data))))
            return true;
    }
    return false;
}

static bool is_between(const uint8_t *name, const uint8_t *above)
{
    return name_is_at_or_below(zone.apex, name) &&
           (above == NULL || (name_is_at_or_below(name, above) && !name_equal(name, above)));
}

static bool has_soa_above(const struct received *m, const uint8_t *above)
{
    for (unsigned skipped = 1; skipped <= name_label_count(zone.apex); skipped++) {
        const uint8_t *name = name_skip(zone.apex, skipped);
        if (has_record(m, TYPE_SOA, name, false) &&
            (above == NULL || name_is_at_or_below(name, above)))
            return true;
    }
    return false;
}

static void check_found(const struct received *m, const uint8_t *above,
                        const struct audit_answer *answer)
{
    const bool is_aa = (m->flags & RECEIVED_AA) != 0;
    MUST(m->fault[0] == '\0' && (m->rcode == 0 || m->rcode == 3));
    switch (answer->found) {
    case AUDIT_DELEGATED:
    case AUDIT_MISMATCHED:
        MUST(!is_aa && m->rcode == 0 && is_between(zone.apex, above));
        MUST(answer->servers.count > 0 && has_record(m, TYPE_NS, zone.apex, false));
        MUST(answer->found == AUDIT_MISMATCHED || has_record(m, TYPE_NS, zone.apex, true));
        for (unsigned i = 0; i < answer->servers.count; i++)
            MUST(name_len(answer->servers.of[i], NAME_MAX_LEN) > 0);
        return;
    case AUDIT_UNDELEGATED:
        MUST(is_aa && has_soa_above(m, above));
        MUST(answer->servers.count == 0 && answer->ttl == 0);
        return;
    case AUDIT_UNKNOWN:
        break;
    }
    MUST(false);
}

static void check_above(const struct received *m, const uint8_t *above, const uint8_t *octets,
                        size_t len, const uint8_t *cut)
{
    struct audit_servers glue;
    MUST(is_between(cut, above) && !name_equal(cut, zone.apex));
    MUST((m->flags & RECEIVED_AA) == 0 && m->rcode == 0 && has_record(m, TYPE_NS, cut, false));
    referral_glue(octets, len, above, cut, PORT, &glue);
    MUST(glue.count <= AUDIT_ADDRESSES_MAX && glue.count <= m->record_count);
    for (size_t i = 0; i < glue.count; i++) {
        const struct sockaddr_in *in = (const void *)&glue.of[i];
        const struct sockaddr_in6 *in6 = (const void *)&glue.of[i];
        if (in->sin_family == AF_INET)
            MUST(ntohs(in->sin_port) == PORT && memmem(octets, len, &in->sin_addr, 4) != NULL);
        else
            MUST(in->sin_family == AF_INET6 && ntohs(in6->sin6_port) == PORT &&
                 memmem(octets, len, &in6->sin6_addr, 16) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct audit_answer answer, again;
    uint8_t name[NAME_MAX_LEN];
    const uint8_t *above = NULL;
    if (size < 1 + 12 || size > 1 + 65535)
        return 0;
    if (aboves[data[0] % 4] != NULL) {
        name_from_text(aboves[data[0] % 4], name);
        above = name;
    }
    const size_t len = size - 1;
    uint8_t *octets = exact_copy(data + 1, len);
    struct received m;
    audit_judge(&zone, above, octets, len, &answer);
    audit_judge(&zone, above, octets, len, &again);
    MUST(memcmp(octets, data + 1, len) == 0 && memcmp(&answer, &again, sizeof answer) == 0);
    MUST(answer.servers.count <= AUDIT_NAMES_MAX && answer.why[0] != '\0');
    for (const char *at = answer.why; *at != '\0'; at++)
        MUST(*at >= ' ' && *at < 0x7f);
    received_begin(octets, len, &m);
    if (answer.verdict == AUDIT_VERDICT_FOUND)
        check_found(&m, above, &answer);
    else if (answer.verdict == AUDIT_VERDICT_ABOVE)
        check_above(&m, above, octets, len, answer.cut);
    received_end(&m);
    free(octets);
    return 0;
}
