/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/recent.h"

#include <assert.h>
#include <string.h>

enum {
    HEAD_SET = 4,
};

/* `len` octets of what is left of the memory. */
static void *take(uint8_t **memory, size_t *left, size_t len)
{
    void *taken = *memory;
    assert(len <= *left);
    *memory += len;
    *left -= len;
    return taken;
}

struct recent recent_make(void *memory, size_t size)
{
    assert(size >= RECENT_SIZE_MIN);
    uint32_t entry_count = 1;
    while (2 * entry_count * sizeof(struct recent_entry) <= size / 4 && entry_count < 1u << 30)
        entry_count *= 2;
    uint32_t set_count = entry_count / (2 * HEAD_SET);
    uint8_t *at = memory;
    size_t left = size, head_octets_len = size / 16;
    struct recent recent = {.entry_mask = entry_count - 1, .head_mask = set_count - 1};
    recent.entries = take(&at, &left, entry_count * sizeof(struct recent_entry));
    recent.silences = take(&at, &left, entry_count * sizeof(struct recent_silence));
    recent.heads = take(&at, &left, set_count * HEAD_SET * sizeof(struct recent_head));
    recent.head_ring = octet_ring_make(take(&at, &left, head_octets_len), head_octets_len);
    recent.ring = octet_ring_make(at, left);
    return recent;
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

bool recent_read_train(const struct recent *recent, uint64_t connection,
                       struct recent_train *train_out)
{
    if (recent == NULL || recent->trains == NULL || connection == 0)
        return false;
    const volatile struct recent_train *train = &recent->trains[recent_train_place(connection)];
    *train_out = (struct recent_train){.connection = train->connection,
                                       .check = train->check,
                                       .seq = train->seq,
                                       .seq_end = train->seq_end,
                                       .start = train->start,
                                       .end = train->end,
                                       .snapshot = train->snapshot};
    uint32_t len = train_out->seq_end - train_out->seq;
    uint64_t mixed = 0;
    if (train_out->connection != connection || len > sizeof(train_out->request))
        return false;
    for (uint32_t i = 0; 8 * i < len; i++) {
        train_out->request[i] = train->request[i];
        mixed = recent_train_mix(mixed, train_out->request[i]);
    }
    return train_out->check == recent_train_check(train_out, mixed);
}

struct recent_entry *recent_take(struct recent *recent, uint64_t connection)
{
    if (recent == NULL || connection == 0)
        return NULL;
    struct recent_entry *entry = recent_slot(recent, connection);
    *entry = (struct recent_entry){.connection = connection};
    return entry;
}

uint32_t recent_count_silence(struct recent *recent, uint64_t connection, uint32_t seq,
                              uint32_t held)
{
    if (recent == NULL || recent->silences == NULL || connection == 0)
        return 0;
    struct recent_silence *silence =
        &recent->silences[(uint32_t)(connection >> 32) & recent->entry_mask];
    /* Who is stuck comes back at longer and longer intervals; many others may come between. */
    if (silence->connection != connection && silence->count > 1) {
        silence->count--;
        return 0;
    }
    if (silence->connection != connection || silence->seq != seq || silence->held != held)
        *silence = (struct recent_silence){.connection = connection, .seq = seq, .held = held};
    return silence->count++;
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

const uint8_t *recent_join(struct recent *recent, const uint8_t *before, uint32_t before_len,
                           const uint8_t *octets, uint32_t len)
{
    uint8_t copy[RECENT_TAIL_MAX]; /* the room may be where it is */
    uint64_t at;
    assert(before_len <= RECENT_TAIL_MAX);
    if (len > recent->ring.cap / 4)
        return NULL;
    memcpy(copy, before, before_len);
    uint8_t *room = octet_ring_take(&recent->ring, before_len + len, &at);
    if (room == NULL)
        return NULL;
    memcpy(room, copy, before_len);
    memcpy(room + before_len, octets, len);
    return room;
}

static struct recent_head *head_set(const struct recent *recent, uint64_t connection)
{
    return recent->heads + (size_t)HEAD_SET * ((uint32_t)(connection >> 32) & recent->head_mask);
}

/* The one of a connection, else a free one, else the oldest. */
static struct recent_head *head_slot(const struct recent *recent, uint64_t connection)
{
    struct recent_head *set = head_set(recent, connection), *chosen = set;
    for (unsigned i = 0; i < HEAD_SET; i++) {
        if (set[i].connection == connection)
            return &set[i];
        if (chosen->connection != 0 && (set[i].connection == 0 || set[i].at < chosen->at))
            chosen = &set[i];
    }
    return chosen;
}

void recent_keep_head(struct recent *recent, uint64_t connection, uint32_t seq,
                      const uint8_t *octets, uint32_t len)
{
    assert(len > 0 && len <= RECENT_TAIL_MAX);
    if (recent == NULL || recent->heads == NULL || connection == 0)
        return;
    struct recent_head *head = head_slot(recent, connection);
    *head = (struct recent_head){.connection = connection, .seq = seq, .len = len};
    memcpy(octet_ring_take(&recent->head_ring, len, &head->at), octets, len);
}

const struct recent_head *recent_find_head(const struct recent *recent, uint64_t connection)
{
    if (recent == NULL || recent->heads == NULL || connection == 0)
        return NULL;
    const struct recent_head *head = head_slot(recent, connection);
    return head->connection == connection ? head : NULL;
}

const uint8_t *recent_head_octets(const struct recent *recent, const struct recent_head *head)
{
    return octet_ring_find(&recent->head_ring, head->at);
}
