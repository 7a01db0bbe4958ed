/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/recent.h"
#include "test/unit/test_main.h"

#include <string.h>

#define SIZE RECENT_SIZE_MIN

static _Alignas(max_align_t) uint8_t memory[SIZE];
static uint8_t octets[SIZE];

static struct recent make(void)
{
    memset(memory, 0, sizeof memory);
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(i * 7 + i / 256);
    return recent_make(memory, sizeof memory);
}

START_TEST(without_a_cache_there_is_nothing)
{
    ck_assert_ptr_null(recent_find(NULL, 1));
    ck_assert_ptr_null(recent_take(NULL, 1));
    struct recent recent = make();
    ck_assert_ptr_null(recent_find(&recent, 1));
    ck_assert_ptr_null(recent_find(&recent, 0));
    ck_assert_ptr_null(recent_take(&recent, 0));
}
END_TEST

START_TEST(entries_and_octets_share_the_memory)
{
    struct recent recent = make();
    size_t entries_len = (recent.entry_mask + 1) * sizeof(struct recent_entry);
    ck_assert_uint_le(entries_len, SIZE / 4);
    ck_assert_uint_gt(entries_len, SIZE / 8 - 1);
    /* One behind the other, to the end. */
    size_t silences_len = (recent.entry_mask + 1) * sizeof(struct recent_silence);
    size_t heads_len = 4 * (recent.head_mask + 1) * sizeof(struct recent_head);
    ck_assert_ptr_eq(recent.entries, memory);
    ck_assert_ptr_eq(recent.silences, memory + entries_len);
    ck_assert_ptr_eq(recent.heads, memory + entries_len + silences_len);
    ck_assert_ptr_eq(recent.head_ring.octets, memory + entries_len + silences_len + heads_len);
    ck_assert_ptr_eq(recent.ring.octets, recent.head_ring.octets + recent.head_ring.cap);
    ck_assert_ptr_eq(recent.ring.octets + recent.ring.cap, memory + SIZE);
    ck_assert_uint_ge(recent.head_ring.cap, RECENT_TAIL_MAX);
    ck_assert_uint_gt(recent.ring.cap, SIZE / 2);
}
END_TEST

/* Four of a set stay, each connection has one, and the oldest goes first. */
START_TEST(heads_outlive_others)
{
    struct recent recent = make();
    ck_assert_ptr_null(recent_find_head(NULL, 1));
    ck_assert_ptr_null(recent_find_head(&recent, 0));
    for (uint32_t i = 1; i <= 4; i++) {
        uint8_t two[2] = {(uint8_t)i, 7};
        recent_keep_head(&recent, i, 100 * i, two, 2);
    }
    recent_keep_head(&recent, 1, 101, (const uint8_t *)"abc", 3); /* now the youngest */
    for (uint32_t i = 1; i <= 4; i++) {
        const struct recent_head *head = recent_find_head(&recent, i);
        ck_assert_ptr_nonnull(head);
        ck_assert_uint_eq(head->seq, i == 1 ? 101 : 100 * i);
        ck_assert_uint_eq(head->len, i == 1 ? 3 : 2);
        ck_assert_uint_eq(recent_head_octets(&recent, head)[0], i == 1 ? 'a' : i);
    }
    recent_keep_head(&recent, 5, 500, (const uint8_t *)"e", 1);
    ck_assert_ptr_null(recent_find_head(&recent, 2));
    ck_assert_ptr_nonnull(recent_find_head(&recent, 3));
    ck_assert_ptr_nonnull(recent_find_head(&recent, 1));
    static uint8_t much[RECENT_TAIL_MAX];
    for (uint32_t written = 0; written <= recent.head_ring.cap; written += sizeof much)
        recent_keep_head(&recent, 1ull << 32, 1, much, sizeof much); /* of another set */
    ck_assert_ptr_null(recent_head_octets(&recent, recent_find_head(&recent, 5)));
    recent.heads = NULL;
    ck_assert_ptr_null(recent_find_head(&recent, 5));
}
END_TEST

START_TEST(silences_are_counted)
{
    struct recent recent = make();
    ck_assert_uint_eq(recent_count_silence(NULL, 1, 2, 3), 0);
    for (uint32_t i = 0; i < 5; i++)
        ck_assert_uint_eq(recent_count_silence(&recent, 1, 2, 3), i);
    ck_assert_uint_eq(recent_count_silence(&recent, 2, 2, 3), 0); /* another of the slot, in vain */
    ck_assert_uint_eq(recent_count_silence(&recent, 1, 2, 3), 4); /* which costs one */
    ck_assert_uint_eq(recent_count_silence(&recent, 1, 4, 3), 0); /* progress */
    ck_assert_uint_eq(recent_count_silence(&recent, 1, 4, 5), 0);
    ck_assert_uint_eq(recent_count_silence(&recent, 1, 4, 5), 1);
    for (uint32_t i = 0; i < 2; i++)
        recent_count_silence(&recent, 2, 2, 3);
    ck_assert_uint_eq(recent_count_silence(&recent, 2, 2, 3), 1);
}
END_TEST

/* Whoever shares a slot takes it; nobody is taken for another. */
START_TEST(the_later_takes_the_slot)
{
    struct recent recent = make();
    uint64_t one = 5ull << 32 | 1, other = 5ull << 32 | 2; /* the low half does not choose */
    recent_take(&recent, one)->seq = 11;
    ck_assert_uint_eq(recent_find(&recent, one)->seq, 11);
    ck_assert_ptr_null(recent_find(&recent, other));
    ck_assert_ptr_eq(recent_take(&recent, other), recent.entries + 5);
    ck_assert_uint_eq(recent_find(&recent, other)->seq, 0);
    ck_assert_ptr_null(recent_find(&recent, one));
    uint64_t far = (uint64_t)recent.entry_mask << 32 | 3;
    ck_assert_ptr_eq(recent_take(&recent, far), recent.entries + recent.entry_mask);
    ck_assert_ptr_nonnull(recent_find(&recent, other));
}
END_TEST

/* Pieces of many lengths: each is what it was, until exactly as much was written as the ring
 * holds. */
START_TEST(octets_stay_until_overwritten)
{
    struct recent recent = make();
    enum { COUNT = 64 };
    uint32_t lens[COUNT];
    unsigned kept = 0, gone = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        lens[i] = 1 + i * 977 % 9000;
        recent_keep(&recent, recent_take(&recent, (uint64_t)(i + 1) << 32 | 1), octets + i,
                    lens[i]);
        for (unsigned j = 0; j <= i; j++) {
            const struct recent_entry *entry = recent_find(&recent, (uint64_t)(j + 1) << 32 | 1);
            const uint8_t *found = recent_octets(&recent, entry);
            ck_assert_uint_eq(entry->octets_len, lens[j]);
            ck_assert_int_eq(found != NULL, recent.ring.written - entry->at <= recent.ring.cap);
            if (found != NULL) {
                ck_assert(found >= recent.ring.octets);
                ck_assert(found + lens[j] <= recent.ring.octets + recent.ring.cap);
                ck_assert_mem_eq(found, octets + j, lens[j]);
                kept++;
            } else {
                gone++;
            }
        }
    }
    ck_assert_uint_gt(kept, 0);
    ck_assert_uint_gt(gone, 0);
}
END_TEST

START_TEST(what_is_too_long_is_not_kept)
{
    struct recent recent = make();
    struct recent_entry *entry = recent_take(&recent, 1ull << 32);
    recent_keep(&recent, entry, octets, recent.ring.cap);
    ck_assert_mem_eq(recent_octets(&recent, entry), octets, recent.ring.cap);
    recent.ring.cap--;
    recent_keep(&recent, entry, octets, recent.ring.cap + 1);
    ck_assert_ptr_null(recent_octets(&recent, entry));
}
END_TEST

TEST_MAIN("stateless_tcp/recent", without_a_cache_there_is_nothing,
          entries_and_octets_share_the_memory, heads_outlive_others, silences_are_counted,
          the_later_takes_the_slot, octets_stay_until_overwritten, what_is_too_long_is_not_kept)
