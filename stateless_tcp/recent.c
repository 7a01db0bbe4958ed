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
    return (struct recent){
        .entries = memory,
        .entry_mask = entry_count - 1,
        .ring = octet_ring_make((uint8_t *)memory + entries_len, size - entries_len),
    };
}

bool recent_read_note(const struct recent *recent, uint64_t connection,
                      struct recent_note *note_out)
{
    if (recent == NULL || recent->notes == NULL || connection == 0)
        return false;
    const volatile struct recent_note *note = &recent->notes[recent_note_place(connection)];
    *note_out = (struct recent_note){.check = note->check,
                                     .seq = note->seq,
                                     .seq_end = note->seq_end,
                                     .start = note->start,
                                     .end = note->end,
                                     .snapshot = note->snapshot};
    return note_out->check == recent_note_check(note_out, connection);
}

struct recent_entry *recent_take(struct recent *recent, uint64_t connection)
{
    if (recent == NULL || connection == 0)
        return NULL;
    struct recent_entry *entry = recent_slot(recent, connection);
    *entry = (struct recent_entry){.connection = connection};
    return entry;
}

static const uint8_t *find(const struct recent *recent, uint64_t at, uint32_t len)
{
    return len == 0 ? NULL : octet_ring_find(&recent->ring, at);
}

void recent_keep(struct recent *recent, struct recent_entry *entry, const uint8_t *octets,
                 uint32_t len)
{
    uint8_t *room = octet_ring_take(&recent->ring, len, &entry->at);
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
    uint8_t *room = octet_ring_take(&recent->ring, len, &entry->tail_at);
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
    if (tail == NULL || len > recent->ring.cap / 4)
        return NULL;
    memcpy(copy, tail, tail_len);
    uint8_t *room = octet_ring_take(&recent->ring, tail_len + len, &at);
    memcpy(room, copy, tail_len);
    memcpy(room + tail_len, octets, len);
    return room;
}
