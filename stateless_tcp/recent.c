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

/* Room for `len` octets in one piece, whatever was there; they count as written. NULL: too many. */
static uint8_t *make_room(struct recent *recent, uint32_t len, uint64_t *at_out)
{
    if (len > recent->octets_cap)
        return NULL;
    uint32_t place = (uint32_t)(recent->written % recent->octets_cap);
    if (len > recent->octets_cap - place) { /* from the beginning again */
        recent->written += recent->octets_cap - place;
        place = 0;
    }
    *at_out = recent->written;
    recent->written += len;
    return recent->octets + place;
}

static const uint8_t *find(const struct recent *recent, uint64_t at, uint32_t len)
{
    if (len == 0 || recent->written - at > recent->octets_cap)
        return NULL;
    return recent->octets + at % recent->octets_cap;
}

void recent_keep(struct recent *recent, struct recent_entry *entry, const uint8_t *octets,
                 uint32_t len)
{
    uint8_t *room = make_room(recent, len, &entry->at);
    entry->octets_len = room == NULL ? 0 : len;
    if (room != NULL)
        memcpy(room, octets, len);
}

const uint8_t *recent_octets(const struct recent *recent, const struct recent_entry *entry)
{
    return find(recent, entry->at, entry->octets_len);
}

void recent_keep_tail(struct recent *recent, struct recent_entry *entry, const uint8_t *octets,
                      uint32_t len)
{
    assert(len > 0 && len <= RECENT_TAIL_MAX);
    uint8_t *room = make_room(recent, len, &entry->tail_at);
    entry->tail_len = len;
    memcpy(room, octets, len);
}

const uint8_t *recent_tail(const struct recent *recent, const struct recent_entry *entry)
{
    return find(recent, entry->tail_at, entry->tail_len);
}

const uint8_t *recent_join(struct recent *recent, const struct recent_entry *entry,
                           uint32_t tail_len, const uint8_t *octets, uint32_t len)
{
    const uint8_t *tail = recent_tail(recent, entry);
    uint8_t copy[RECENT_TAIL_MAX]; /* the room may be where it is */
    uint64_t at;
    assert(tail_len <= entry->tail_len);
    if (tail == NULL || len > recent->octets_cap / 4)
        return NULL;
    memcpy(copy, tail, tail_len);
    uint8_t *room = make_room(recent, tail_len + len, &at);
    memcpy(room, copy, tail_len);
    memcpy(room + tail_len, octets, len);
    return room;
}
