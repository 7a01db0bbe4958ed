/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_sort.c - owners into canonical order.
 *
 * Keys compare by memcmp, and a key never has two zero octets in a row nor begins with one, so a
 * key padded with zeroes compares like the key itself. So: take eight octets of each key as one
 * number (behind the apex, which all have in common), radix sort by it, then do the same with the
 * next eight for each run of equal numbers.
 */
#include "zonedb/text_zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct item {
    uint64_t prefix;
    uint32_t index;
};

#define INSERTION_MAX 24
#define DIGITS 8

static uint64_t prefix_at(const struct text_owner *owner, size_t depth)
{
    uint64_t prefix = 0;

    if (owner->key_len >= depth + 8) {
        for (size_t i = 0; i < 8; i++)
            prefix = prefix << 8 | owner->key[depth + i];
        return prefix;
    }
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (depth + i < owner->key_len ? owner->key[depth + i] : 0U);
    return prefix;
}

static void insertion_sort(struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct item moved = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1].prefix > moved.prefix; at--)
            items[at] = items[at - 1];
        items[at] = moved;
    }
}

/* Stable, least significant digit first; digits that all items share are skipped. */
static void radix_sort(struct item *items, struct item *spare, size_t count)
{
    size_t histogram[DIGITS][256] = {0};
    struct item *from = items, *to = spare;

    for (size_t i = 0; i < count; i++)
        for (unsigned digit = 0; digit < DIGITS; digit++)
            histogram[digit][items[i].prefix >> 8 * digit & 0xff]++;
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        size_t at = 0, *counts = histogram[digit];
        if (counts[items[0].prefix >> 8 * digit & 0xff] == count)
            continue;
        for (size_t value = 0; value < 256; value++) {
            const size_t here = counts[value];
            counts[value] = at;
            at += here;
        }
        for (size_t i = 0; i < count; i++)
            to[counts[from[i].prefix >> 8 * digit & 0xff]++] = from[i];
        struct item *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != items)
        memcpy(items, from, count * sizeof(*items));
}

/* Depth of recursion is at most NAME_KEY_MAX / 8. */
static void sort_range(const struct text_zone *zone, struct item *items, struct item *spare,
                       size_t count, size_t depth)
{
    for (size_t i = 0; i < count; i++)
        items[i].prefix = prefix_at(&zone->owners[items[i].index], depth);
    if (count <= INSERTION_MAX)
        insertion_sort(items, count);
    else
        radix_sort(items, spare, count);

    for (size_t begin = 0, end; begin < count; begin = end) {
        bool is_longer = false;
        for (end = begin; end < count && items[end].prefix == items[begin].prefix; end++)
            is_longer |= zone->owners[items[end].index].key_len > depth + 8;
        if (end - begin > 1 && is_longer)
            sort_range(zone, items + begin, spare, end - begin, depth + 8);
    }
}

/* Put the owners into the order of `items`, joining equal ones; `rank` gets the new number of each
 * old one. */
static void reorder_owners(struct text_zone *zone, const struct item *items,
                           struct text_owner *sorted, uint32_t *rank)
{
    size_t count = 0;

    for (size_t i = 0; i < zone->owner_count; i++) {
        const struct text_owner *owner = &zone->owners[items[i].index];
        struct text_owner *last = count == 0 ? NULL : &sorted[count - 1];
        if (last != NULL && last->key_len == owner->key_len &&
            memcmp(last->key, owner->key, owner->key_len) == 0)
            last->count += owner->count;
        else
            sorted[count++] = *owner;
        rank[items[i].index] = (uint32_t)(count - 1);
    }
    uint32_t first = 0;
    for (size_t i = 0; i < count; i++) {
        sorted[i].first = first;
        first += sorted[i].count;
    }
    free(zone->owners);
    zone->owners = sorted;
    zone->owner_cap = zone->owner_count;
    zone->owner_count = count;
}

/* Gather the records of each owner, those of the same owner in the order of the text. */
static void reorder_records(struct text_zone *zone, struct text_record *sorted,
                            const uint32_t *rank)
{
    for (size_t i = 0; i < zone->record_count; i++) {
        struct text_owner *owner = &zone->owners[rank[zone->records[i].owner]];
        sorted[owner->first] = zone->records[i];
        sorted[owner->first++].owner = rank[zone->records[i].owner];
    }
    for (size_t i = 0; i < zone->owner_count; i++)
        zone->owners[i].first -= zone->owners[i].count;
    free(zone->records);
    zone->records = sorted;
    zone->record_cap = zone->record_count;
}

int text_sort(struct text_zone *zone)
{
    const size_t count = zone->owner_count;

    if (zone->is_sorted || count == 0)
        return 0;
    struct item *items = text_array(2 * count, sizeof(*items));
    uint32_t *rank = text_array(count, sizeof(*rank));
    struct text_owner *owners = text_array(count, sizeof(*owners));
    struct text_record *records = text_array(zone->record_count, sizeof(*records));
    if (items == NULL || rank == NULL || owners == NULL || records == NULL) {
        free(items);
        free(rank);
        free(owners);
        free(records);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        items[i].index = (uint32_t)i;
    sort_range(zone, items, items + count, count, zone->apex_key_len);
    reorder_owners(zone, items, owners, rank);
    reorder_records(zone, records, rank);
    zone->is_sorted = true;
    zone->last_owner_len = 0; /* the last record's owner may not be the last one any more */
    free(items);
    free(rank);
    return 0;
}
