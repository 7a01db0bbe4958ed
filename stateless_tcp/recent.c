/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/recent.h"

#include <assert.h>
#include <string.h>

struct recent recent_make(void *memory, size_t size)
{
    assert(size >= RECENT_SIZE_MIN);
    uint32_t entry_count = 1;
    while (2 * entry_count * sizeof(struct recent_entry) <= size / 4 && entry_count < 1u << 30)
        entry_count *= 2;
    size_t entries_len = entry_count * sizeof(struct recent_entry);
    size_t octets_cap = size - entries_len;
    return (struct recent){
        .entries = memory,
        .entry_mask = entry_count - 1,
        .octets = (uint8_t *)memory + entries_len,
        .octets_cap = octets_cap < UINT32_MAX ? (uint32_t)octets_cap : UINT32_MAX,
    };
}

/* By the half of the hash that is no sequence number, and so not for others to see. */
static struct recent_entry *slot_of(const struct recent *recent, uint64_t connection)
{
    return &recent->entries[(uint32_t)(connection >> 32) & recent->entry_mask];
}

struct recent_entry *recent_find(const struct recent *recent, uint64_t connection)
{
    if (recent == NULL || connection == 0)
        return NULL;
    struct recent_entry *entry = slot_of(recent, connection);
    return entry->connection == connection ? entry : NULL;
}

struct recent_entry *recent_take(struct recent *recent, uint64_t connection)
{
    if (recent == NULL || connection == 0)
        return NULL;
    struct recent_entry *entry = slot_of(recent, connection);
    *entry = (struct recent_entry){.connection = connection};
    return entry;
}

void recent_keep(struct recent *recent, struct recent_entry *entry, const uint8_t *octets,
                 uint32_t len)
{
    entry->octets_len = 0;
    if (len > recent->octets_cap)
        return;
    uint32_t place = (uint32_t)(recent->written % recent->octets_cap);
    if (len > recent->octets_cap - place) { /* in one piece, so from the beginning again */
        recent->written += recent->octets_cap - place;
        place = 0;
    }
    memcpy(recent->octets + place, octets, len);
    entry->at = recent->written;
    entry->octets_len = len;
    recent->written += len;
}

const uint8_t *recent_octets(const struct recent *recent, const struct recent_entry *entry)
{
    if (entry->octets_len == 0 || recent->written - entry->at > recent->octets_cap)
        return NULL;
    return recent->octets + entry->at % recent->octets_cap;
}
