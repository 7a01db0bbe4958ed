/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_rules.c - what the records of one name, and names among each other, must hold.
 */
#include "zonedb/store.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <string.h>

#define NONE SIZE_MAX

/* Where the walk in canonical order stands: all names below an owner follow it directly. */
struct walk {
    struct text_zone *zone;
    struct text_node node;
    size_t owner;
    size_t cut;   /* the zone cut above or at the owner, or NONE */
    size_t dname; /* the DNAME above the owner, or NONE */
};

static const struct text_record *at_rrset(const struct walk *walk, const struct zonedb_rrset *rrset)
{
    return text_node_record(&walk->node, walk->zone, (size_t)(rrset - walk->node.rrsets));
}

/* RFC 2181 10.1, RFC 4035 2.5; RFC 6672 2.4: a DNAME is alone of its kind. */
static void check_aliases(const struct walk *walk)
{
    const struct text_node *node = &walk->node;
    const struct zonedb_rrset *cname = text_node_rrset(node, TYPE_CNAME);
    const struct zonedb_rrset *dname = text_node_rrset(node, TYPE_DNAME);
    char name[24];

    if (cname != NULL && cname->rr_count > 1)
        text_tell(walk->zone, TEXT_ERROR, at_rrset(walk, cname) + 1, TEXT_AT_TYPE,
                  "several CNAMEs at one name");
    if (dname != NULL && dname->rr_count > 1)
        text_tell(walk->zone, TEXT_ERROR, at_rrset(walk, dname) + 1, TEXT_AT_TYPE,
                  "several DNAMEs at one name");
    for (size_t i = 0; cname != NULL && i < node->rrset_count; i++) {
        const uint16_t type = node->rrsets[i].type;
        if (type != TYPE_CNAME && type != TYPE_RRSIG && type != TYPE_NSEC && type != TYPE_NSEC3) {
            text_tell(walk->zone, TEXT_ERROR, at_rrset(walk, cname), TEXT_AT_TYPE,
                      "CNAME beside other data (%s) at one name",
                      text_type_name(type, name, sizeof(name)));
            break;
        }
    }
}

static void check_apex(const struct walk *walk)
{
    struct text_zone *zone = walk->zone;
    const struct zonedb_rrset *soa = NULL, *ns = NULL;

    if (walk->node.name != NULL && zone->owners[walk->owner].key_len == zone->apex_key_len) {
        soa = text_node_rrset(&walk->node, TYPE_SOA);
        ns = text_node_rrset(&walk->node, TYPE_NS);
    }
    if (soa == NULL)
        text_tell_at(zone, TEXT_ERROR, 0, SIZE_MAX, "no SOA at the zone's apex");
    else if (soa->rr_count > 1)
        text_tell(zone, TEXT_ERROR, at_rrset(walk, soa) + 1, TEXT_AT_TYPE,
                  "several SOAs at the zone's apex");
    if (ns == NULL)
        text_tell_at(zone, TEXT_ERROR, 0, SIZE_MAX, "no NS at the zone's apex");
}

static bool has_address(const struct text_zone *zone, size_t owner)
{
    return text_owner_record(zone, owner, TYPE_A) != NULL ||
           text_owner_record(zone, owner, TYPE_AAAA) != NULL;
}

/* What a name server's own records tell. */
struct server {
    bool is_there, has_cname, has_address, has_ns;
};

static void judge_server(struct text_zone *zone, const struct text_record *record,
                         struct server server)
{
    const uint8_t *target = record->rdata + 2;
    char text[NAME_TEXT_MAX];

    if (server.has_cname)
        text_tell(zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                  "name server %s is a CNAME (RFC 2181 10.3)", name_to_text(target, text));
    else if (!server.is_there || (!server.has_address && !server.has_ns))
        text_tell(zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                  "name server %s has no address in this zone", name_to_text(target, text));
}

/* RFC 9471: a referral needs the addresses of name servers at or below the cut. */
static void check_name_server(const struct walk *walk, const struct text_record *record)
{
    struct text_zone *zone = walk->zone;
    const uint8_t *target = record->rdata + 2;
    const uint8_t *owner_name = text_owner_name(&zone->owners[walk->owner]);
    const bool is_in_domain = name_is_at_or_below(target, owner_name);
    struct server server = {.is_there = false};

    if (!is_in_domain && (!zone->options.is_thorough || !name_is_at_or_below(target, zone->apex)))
        return;
    if (zone->is_part && walk->owner == 0)
        return; /* text_check_apex_servers() */
    const size_t found = text_find_name(zone, target, is_in_domain ? walk->owner : 0);
    if (found < zone->owner_count)
        server = (struct server){true, text_owner_record(zone, found, TYPE_CNAME) != NULL,
                                 has_address(zone, found),
                                 text_owner_record(zone, found, TYPE_NS) != NULL};
    judge_server(zone, record, server);
}

static int note_server(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct server *server = context;

    (void)owner;
    server->is_there = true;
    server->has_cname |= rrset->type == TYPE_CNAME;
    server->has_address |= rrset->type == TYPE_A || rrset->type == TYPE_AAAA;
    server->has_ns |= rrset->type == TYPE_NS;
    return 0;
}

int text_check_apex_servers(struct text_zone *zone, struct zonedb_writer *writer)
{
    const struct text_owner *apex = &zone->owners[0];

    for (uint32_t i = 0; i < apex->count; i++) {
        const struct text_record *record = &zone->records[apex->first + i];
        struct server server = {.is_there = false};
        if (record->type != TYPE_NS || !name_is_at_or_below(record->rdata + 2, zone->apex))
            continue;
        const int error =
            zonedb_writer_change_walk(writer, record->rdata + 2, note_server, &server);
        if (error != 0 && error != -ENOENT)
            return error;
        judge_server(zone, record, server);
    }
    return 0;
}

/* RFC 2181 10.3 for mail servers. */
static void check_mail_server(const struct walk *walk, const struct text_record *record)
{
    struct text_zone *zone = walk->zone;
    const uint8_t *target = record->rdata + 4;
    char text[NAME_TEXT_MAX];

    if (!name_is_at_or_below(target, zone->apex))
        return;
    const size_t found = text_find_name(zone, target, 0);
    if (found < zone->owner_count && text_owner_record(zone, found, TYPE_CNAME) != NULL)
        text_tell(zone, TEXT_WARNING, record, TEXT_AT_RDATA,
                  "mail server %s is a CNAME (RFC 2181 10.3)", name_to_text(target, text));
}

static void check_targets(const struct walk *walk)
{
    const struct text_zone *zone = walk->zone;
    const struct text_owner *owner = &zone->owners[walk->owner];
    const bool is_occluded = (walk->cut != NONE && walk->cut != walk->owner) || walk->dname != NONE;

    for (uint32_t i = 0; i < owner->count && !is_occluded; i++) {
        const struct text_record *record = &zone->records[owner->first + i];
        if (record->type == TYPE_NS)
            check_name_server(walk, record);
        else if (record->type == TYPE_MX && zone->options.is_thorough)
            check_mail_server(walk, record);
    }
}

/* What stands where no question ever gets to. */
static void check_occlusion(const struct walk *walk)
{
    struct text_zone *zone = walk->zone;
    const struct text_owner *owner = &zone->owners[walk->owner];
    const struct text_record *first = &zone->records[owner->first];
    char text[NAME_TEXT_MAX];

    if (walk->dname != NONE)
        text_tell(zone, TEXT_WARNING, first, TEXT_AT_OWNER,
                  "the name is below the DNAME at %s and not served",
                  name_to_text(text_owner_name(&zone->owners[walk->dname]), text));
    if (walk->cut == NONE || !zone->options.is_thorough)
        return;
    for (uint32_t i = 0; i < owner->count; i++) {
        const uint16_t type = first[i].type;
        const bool is_glue = type == TYPE_A || type == TYPE_AAAA;
        const bool is_cut_data =
            walk->cut == walk->owner && (type == TYPE_NS || type == TYPE_DS || type == TYPE_NSEC);
        if (is_glue || is_cut_data || type == TYPE_RRSIG || type == TYPE_NSEC3)
            continue;
        text_tell(zone, TEXT_WARNING, &first[i], TEXT_AT_TYPE,
                  "the record is at or below the zone cut %s and not served",
                  name_to_text(text_owner_name(&zone->owners[walk->cut]), text));
        break;
    }
}

/* Leave the cut and the DNAME that the owner is not below; enter its own cut. */
static void enter(struct walk *walk)
{
    const struct text_owner *owner = &walk->zone->owners[walk->owner];

    if (walk->cut != NONE && !text_key_is_below(owner, &walk->zone->owners[walk->cut]))
        walk->cut = NONE;
    if (walk->dname != NONE && !text_key_is_below(owner, &walk->zone->owners[walk->dname]))
        walk->dname = NONE;
    if (walk->cut == NONE && owner->key_len > walk->zone->apex_key_len &&
        text_node_rrset(&walk->node, TYPE_NS) != NULL)
        walk->cut = walk->owner;
}

int text_check_nodes(struct text_zone *zone)
{
    struct walk walk = {.zone = zone, .cut = NONE, .dname = NONE};
    int error = 0;

    if (zone->owner_count == 0)
        check_apex(&walk);
    for (; walk.owner < zone->owner_count && !text_is_full(zone); walk.owner++) {
        error = text_node_fill(&walk.node, zone, walk.owner);
        if (error != 0)
            break;
        const bool is_new = walk.owner > 0 || !zone->is_continued;
        if (walk.owner == 0 && is_new)
            check_apex(&walk);
        enter(&walk);
        if (is_new) {
            check_aliases(&walk);
            check_targets(&walk);
            check_occlusion(&walk);
        }
        if (walk.cut == NONE && walk.dname == NONE &&
            text_node_rrset(&walk.node, TYPE_DNAME) != NULL)
            walk.dname = walk.owner;
        if (walk.owner % 8192 == 0 && !zone->is_part)
            text_progress(zone, TEXT_CHECKING, walk.owner, zone->owner_count);
    }
    if (!zone->is_part)
        text_progress(zone, TEXT_CHECKING, zone->owner_count, zone->owner_count);
    text_node_free(&walk.node);
    return error;
}
