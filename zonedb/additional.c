/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The additional section: addresses of the hosts that an answer, or a referral, names.
 */
#include "zonedb/answer.h"

/* Where the host name of a record stands in its RDATA; -1: the type names none. */
static int target_at(uint16_t type)
{
    switch (type) {
    case RR_NS:
        return 0;
    case RR_MX:
    case RR_SVCB:
    case RR_HTTPS:
        return 2;
    case RR_SRV:
        return 6;
    default:
        return -1;
    }
}

static bool is_service(uint16_t type)
{
    return type == RR_SVCB || type == RR_HTTPS;
}

/* The addresses of one host, if the zone has them, and for SVCB and its kind the target's record of
 * the same type (RFC 9460 4.1). Glue has no RRSIGs of its own. */
static void addresses_add(struct answer *a, struct owner host, bool is_required)
{
    const uint16_t types[] = {RR_A, RR_AAAA, a->hosts.type};
    struct node node;
    int status = zonedb_find_exact(a->view, &a->hosts_zone, host.name, &node);
    a->is_corrupt |= status < 0;
    if (status != 1)
        return;
    for (unsigned i = 0; i < (is_service(a->hosts.type) ? 3 : 2); i++) {
        struct zonedb_rrset rrset, sigs;
        if (!answer_rrset(a, &node, types[i], &rrset, &sigs) || rrset.rdata == a->hosts.rdata)
            continue; /* not there, or the answer itself */
        if (is_required)
            answer_add(a, SECTION_ADDITIONAL, host, &rrset, &sigs, TTL_AS_STORED);
        else
            answer_add_optional(a, host, &rrset, &sigs);
    }
}

/* Addresses of the hosts that an RRset names, as far as they are in the zone: of a referral, those
 * at or below the cut, which are required, or the others; else all. */
static void hosts_add(struct answer *a, bool is_required)
{
    int at = target_at(a->hosts.type);
    struct rdata_cursor cursor = rdata_begin(&a->hosts);
    const uint8_t *rdata;
    uint16_t rdata_len;
    int status;
    for (unsigned i = 0; (status = rdata_next(&cursor, &rdata, &rdata_len)) == 1; i++) {
        size_t host_len = rdata_len <= at ? 0 : name_len(rdata + at, (size_t)(rdata_len - at));
        if (host_len == 0) {
            a->is_corrupt = true;
            return;
        }
        struct owner host = {rdata + at, response_target(a->response, &a->hosts, i)};
        if (host.name[0] == 0 && is_service(a->hosts.type) && load_be16(rdata) != 0) {
            addresses_add(a, (struct owner){a->hosts_owner, 0}, false); /* RFC 9460 2.5.2 */
            continue;
        }
        bool is_below = a->hosts_cut != NULL &&
                        name_ends_in(host.name, host_len, a->hosts_cut, a->hosts_cut_len);
        if (is_below && a->use.kind == TEMPLATE_SERVERS)
            a->use.kind = TEMPLATE_NONE; /* no other cut has these */
        if (is_below == is_required &&
            (is_below || name_ends_in(host.name, host_len, a->hosts_apex, a->hosts_apex_len)))
            addresses_add(a, host, is_required);
    }
    a->is_corrupt |= status < 0;
}

void additional_add(struct answer *a)
{
    if (a->hosts.rr_count == 0)
        return;
    if (a->hosts_cut != NULL)
        hosts_add(a, true);
    hosts_add(a, false);
}

void additional_want(struct answer *a, const struct subject *subject, const struct found *found,
                     const struct zonedb_rrset *rrset, const uint8_t *cut)
{
    if (target_at(rrset->type) < 0 || (a->policy->is_minimal && cut == NULL))
        return;
    a->hosts = *rrset;
    a->hosts_owner = subject->name;
    a->hosts_zone = found->zone;
    a->hosts_apex = name_skip(subject->name, (unsigned)found->key.label_count - found->zone.depth);
    a->hosts_apex_len = name_len(a->hosts_apex, NAME_MAX_LEN);
    a->hosts_cut = cut;
    a->hosts_cut_len = cut != NULL ? name_len(cut, NAME_MAX_LEN) : 0;
}
