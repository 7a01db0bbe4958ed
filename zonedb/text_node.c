/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_rdata.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t rdata_len(const struct text_record *record)
{
    return (size_t)(record->rdata[0] << 8 | record->rdata[1]);
}

/* RRSIGs sort with the type that they cover, behind it. */
static uint32_t group_of(const struct text_record *record)
{
    const uint8_t *rdata = record->rdata + 2;

    if (record->type != TYPE_RRSIG)
        return (uint32_t)record->type << 1;
    return (uint32_t)(rdata[0] << 8 | rdata[1]) << 1 | 1;
}

static int record_compare(const struct text_record *a, const struct text_record *b)
{
    const uint32_t a_group = group_of(a), b_group = group_of(b);

    if (a_group != b_group)
        return a_group < b_group ? -1 : 1;
    return text_rdata_compare(a->type, a->rdata + 2, rdata_len(a), b->rdata + 2, rdata_len(b));
}

static int sort_compare(const void *a, const void *b)
{
    const struct text_record *first = a, *second = b;
    const int order = record_compare(first, second);

    if (order != 0)
        return order;
    if (first->file != second->file)
        return first->file < second->file ? -1 : 1;
    return first->offset < second->offset ? -1 : first->offset > second->offset;
}

/* Few records a name is the rule: insertion while it is few, stable, mostly no move at all. */
static void sort_records(struct text_record *records, size_t count)
{
    if (count > 16) {
        qsort(records, count, sizeof(*records), sort_compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        const struct text_record moved = records[i];
        size_t at = i;
        for (; at > 0 && record_compare(&records[at - 1], &moved) > 0; at--)
            records[at] = records[at - 1];
        if (at != i)
            records[at] = moved;
    }
}

/* RFC 2181 5.2: the TTLs of an RRset are equal; take the lowest. */
static void equalise_ttl(struct text_zone *zone, struct text_record *records, size_t count)
{
    uint32_t ttl = records[0].ttl;
    size_t odd = 0;

    for (size_t i = 1; i < count; i++) {
        if (records[i].ttl != records[0].ttl && odd == 0)
            odd = i;
        if (records[i].ttl < ttl)
            ttl = records[i].ttl;
    }
    if (odd == 0)
        return;
    char name[24];
    text_tell(zone, TEXT_WARNING, &records[odd], TEXT_AT_OWNER,
              "TTLs of %s records of one name differ; the lowest, %u, is taken for all",
              text_type_name(records[0].type, name, sizeof(name)), ttl);
    for (size_t i = 0; i < count; i++)
        records[i].ttl = ttl;
}

static void arrange_owner(struct text_zone *zone, struct text_owner *owner)
{
    struct text_record *records = &zone->records[owner->first];
    size_t kept = 0;

    sort_records(records, owner->count);
    for (size_t i = 0; i < owner->count; i++) {
        if (kept > 0 && record_compare(&records[kept - 1], &records[i]) == 0)
            continue;
        records[kept++] = records[i];
    }
    zone->counts.duplicates += owner->count - kept;
    owner->count = (uint32_t)kept;

    for (size_t begin = 0, end; begin < kept; begin = end) {
        const uint32_t group = group_of(&records[begin]);
        for (end = begin + 1; end < kept && group_of(&records[end]) == group; end++)
            ;
        equalise_ttl(zone, records + begin, end - begin);
        if (group >> 1 == TYPE_NSEC3)
            owner->has_nsec3 = true;
        else
            owner->has_other = true;
        const bool is_lone =
            (group & 1) != 0 && (begin == 0 || group_of(&records[begin - 1]) != (group & ~1U));
        char name[24];
        if (is_lone)
            text_tell(zone, TEXT_WARNING, &records[begin], TEXT_AT_RDATA,
                      "this name has no %s records for the RRSIG to cover; it is left out",
                      text_type_name((uint16_t)(group >> 1), name, sizeof(name)));
        if (end - begin > UINT16_MAX)
            text_tell(zone, TEXT_ERROR, &records[begin], TEXT_AT_OWNER,
                      "an RRset of %zu records; the limit is %u", end - begin, UINT16_MAX);
    }
}

int text_arrange(struct text_zone *zone)
{
    const size_t first = zone->is_continued ? 1 : 0;

    for (size_t i = first; i < zone->owner_count; i++) {
        arrange_owner(zone, &zone->owners[i]);
        zone->counts.records += zone->owners[i].count;
    }
    zone->counts.owners += zone->owner_count - first;
    return 0;
}

static int node_reserve(struct text_node *node, size_t records, size_t octets)
{
    if (records > node->rrset_cap) {
        const size_t cap = records * 2;
        void *rrsets = reallocarray(node->rrsets, cap, sizeof(node->rrsets[0]));
        if (rrsets == NULL)
            return -ENOMEM;
        node->rrsets = rrsets;
        void *firsts = reallocarray(node->firsts, cap, sizeof(node->firsts[0]));
        if (firsts == NULL)
            return -ENOMEM;
        node->firsts = firsts;
        node->rrset_cap = cap;
    }
    if (octets > node->buffer_cap) {
        void *buffer = realloc(node->buffer, octets * 2);
        if (buffer == NULL)
            return -ENOMEM;
        node->buffer = buffer;
        node->buffer_cap = octets * 2;
    }
    return 0;
}

int text_node_fill(struct text_node *node, const struct text_zone *zone, size_t owner)
{
    const struct text_owner *source = &zone->owners[owner];
    const struct text_record *records = &zone->records[source->first];
    size_t octets = 0;

    for (size_t i = 0; i < source->count; i++)
        octets += 2 + rdata_len(&records[i]);
    if (node_reserve(node, source->count, octets) != 0)
        return -ENOMEM;

    uint8_t *out = node->buffer;
    uint32_t last_group = UINT32_MAX;
    node->owner = source;
    node->name = text_owner_name(source);
    node->rrset_count = 0;
    for (uint32_t i = 0; i < source->count; i++) {
        const size_t len = 2 + rdata_len(&records[i]);
        const uint32_t group = group_of(&records[i]);
        if (group != last_group) {
            node->firsts[node->rrset_count] = source->first + i;
            node->rrsets[node->rrset_count++] =
                (struct zonedb_rrset){.type = records[i].type, .ttl = records[i].ttl, .rdata = out};
            last_group = group;
        }
        struct zonedb_rrset *rrset = &node->rrsets[node->rrset_count - 1];
        rrset->rr_count++;
        rrset->rdata_len += (uint32_t)len;
        memcpy(out, records[i].rdata, len);
        out += len;
    }
    return 0;
}

void text_node_free(struct text_node *node)
{
    free(node->rrsets);
    free(node->firsts);
    free(node->buffer);
    *node = (struct text_node){0};
}

const struct zonedb_rrset *text_node_rrset(const struct text_node *node, uint16_t type)
{
    for (size_t i = 0; i < node->rrset_count; i++)
        if (node->rrsets[i].type == type)
            return &node->rrsets[i];
    return NULL;
}

const struct text_record *text_node_record(const struct text_node *node,
                                           const struct text_zone *zone, size_t rrset)
{
    return &zone->records[node->firsts[rrset]];
}

uint16_t text_covered_type(const struct zonedb_rrset *rrset)
{
    if (rrset->type != TYPE_RRSIG)
        return rrset->type;
    return (uint16_t)(rrset->rdata[2] << 8 | rrset->rdata[3]);
}
