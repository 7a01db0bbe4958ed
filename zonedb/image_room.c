/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/image_room.h"

#include "zonedb/words.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* Names in a bucket, on average, at most: with four, one bucket of fifty goes on elsewhere. */
#define BUCKET_LOAD 4
#define BUCKET_LEN (8u * IMAGE_WAYS)
#define BUCKETS_MIN 64
/* Bits of the filter for a name, at least: a name that does not exist is met by one in sixteen. */
#define FILTER_BITS 16

uint64_t image_name_hash(uint32_t what, const uint8_t *name, size_t len)
{
    uint64_t hash = what, last = 0;
    for (; len > 8; len -= 8, name += 8)
        hash = image_mix(hash, load_word(name));
    memcpy(&last, name, len);
    return image_mix(hash, le64toh(last));
}

/* As many buckets to a page that there is room for the blocks of their names, on average. */
static uint32_t bucket_shift_of(uint64_t buckets, uint64_t octet_count)
{
    uint32_t shift = IMAGE_BUCKET_SHIFT_MAX - 1;
    while (shift > 0 && (BUCKET_LEN + octet_count / buckets) << shift > IMAGE_PAGE_LEN)
        shift--;
    return shift;
}

static int directory_begin(struct image *image, uint64_t page_count)
{
    free(image->page_next);
    image->page_next = calloc(page_count, sizeof *image->page_next);
    if (image->page_next == NULL)
        return -ENOMEM;
    for (uint64_t page = 0; page < page_count; page++) {
        size_t len = (size_t)BUCKET_LEN << image->bucket_shift;
        memset(image->octets + (1 + page) * IMAGE_PAGE_LEN, 0, len);
        image->page_next[page] = (uint16_t)(len / IMAGE_UNIT_LEN);
    }
    return 0;
}

static uint32_t filter_bits(uint64_t name_count)
{
    uint32_t bits = IMAGE_FILTER_PAGE_BITS;
    while (bits < name_count * FILTER_BITS && bits < UINT32_C(1) << 31)
        bits *= 2;
    return bits;
}

int image_room_begin(struct image *image, struct image_memory memory, uint64_t name_count,
                     uint64_t entry_count, uint64_t octet_count)
{
    uint64_t buckets = BUCKETS_MIN;
    while (buckets * BUCKET_LOAD < entry_count && buckets <= UINT32_MAX / 2)
        buckets *= 2;
    image->octets = memory.octets;
    image->len = memory.len - memory.len % IMAGE_PAGE_LEN;
    image->bucket_mask = (uint32_t)(buckets - 1);
    image->bucket_shift = bucket_shift_of(buckets, octet_count);
    image->filter_page = (uint32_t)image_bucket_page(buckets, image->bucket_shift);
    image->filter_mask = filter_bits(name_count) - 1;
    image->next = (image->filter_page + image->filter_mask / IMAGE_FILTER_PAGE_BITS + UINT64_C(1)) *
                  IMAGE_UNITS_MAX;
    memset(image->spare, 0, sizeof image->spare);
    image->retired_count = 0;
    if (image->next * IMAGE_UNIT_LEN > image->len)
        return -ENOSPC;
    struct image_head *head = image_head_of(image);
    head->apex_depths = 0;
    head->bucket_mask = image->bucket_mask;
    head->bucket_shift = (uint16_t)image->bucket_shift;
    head->udp_payload = image->policy.udp_payload;
    head->filter_page = image->filter_page;
    head->filter_mask = image->filter_mask;
    memset(image->octets + (size_t)image->filter_page * IMAGE_PAGE_LEN, 0,
           (size_t)image->filter_mask / 8 + 1);
    return directory_begin(image, buckets >> image->bucket_shift);
}

/* ---- blocks ---- */

static uint64_t *spare_link(const struct image *image, uint64_t place)
{
    return (uint64_t *)(void *)(image->octets + place * IMAGE_UNIT_LEN);
}

static void spare_add(struct image *image, uint64_t place, uint64_t units)
{
    if (units == 0)
        return;
    *spare_link(image, place) = image->spare[units];
    image->spare[units] = place;
}

static uint64_t room_take(struct image *image, uint64_t hash, uint64_t units)
{
    uint64_t page = image_bucket_page(image_bucket(hash, image->bucket_mask), image->bucket_shift);
    uint16_t *page_next = &image->page_next[page - 1];
    if (*page_next + units <= IMAGE_UNITS_MAX) {
        *page_next = (uint16_t)(*page_next + units);
        return page * IMAGE_UNITS_MAX + *page_next - units;
    }
    uint64_t place = image->spare[units];
    if (place != 0) {
        image->spare[units] = *spare_link(image, place);
        return place;
    }
    uint64_t left = IMAGE_UNITS_MAX - image->next % IMAGE_UNITS_MAX;
    uint64_t begin = left < units ? image->next + left : image->next;
    if ((begin + units) * IMAGE_UNIT_LEN > image->len)
        return 0;
    if (begin != image->next)
        spare_add(image, image->next, left);
    image->next = begin + units;
    return begin;
}

uint64_t image_block_put(struct image *image, uint64_t hash, const struct image_draft *draft)
{
    uint64_t place = room_take(image, hash, draft->len / IMAGE_UNIT_LEN);
    if (place != 0)
        memcpy(image->octets + place * IMAGE_UNIT_LEN, draft->octets, draft->len);
    return place;
}

void image_block_give(struct image *image, uint64_t place)
{
    spare_add(image, place, image_block_len(image_block_of(image, place)) / IMAGE_UNIT_LEN);
}

/* ---- the directory ---- */

static uint64_t *bucket_of(const struct image *image, uint64_t hash)
{
    uint64_t bucket = image_bucket(hash, image->bucket_mask);
    uint64_t at = IMAGE_PAGE_LEN * image_bucket_page(bucket, image->bucket_shift) +
                  image_bucket_at(bucket, image->bucket_shift);
    return (uint64_t *)(void *)(image->octets + at);
}

static uint64_t entry_place(uint64_t entry)
{
    return entry & IMAGE_PLACE_MASK;
}

/* Where a bucket goes on; NULL: nowhere. */
static uint64_t *bucket_more(const struct image *image, const uint64_t *bucket)
{
    uint64_t place = entry_place(bucket[IMAGE_WAYS - 1]);
    if ((place & IMAGE_PLACE_MORE) == 0)
        return NULL;
    return (uint64_t *)(void *)(image->octets + (place ^ IMAGE_PLACE_MORE) * IMAGE_UNIT_LEN);
}

/* Is there a name with this fingerprint? */
static bool entry_is_of(uint64_t entry, uint64_t fingerprint)
{
    uint64_t place = entry_place(entry);
    return entry >> IMAGE_FINGERPRINT_SHIFT == fingerprint && place != 0 &&
           place != IMAGE_PLACE_FULL && place < IMAGE_PLACE_MORE;
}

static bool block_is_of(const struct image_block *block, uint32_t what, const uint8_t *name,
                        size_t len)
{
    return image_what(block->kind, block->type) == what && block->name_len == len &&
           memcmp(block + 1, name, len) == 0;
}

uint64_t *image_entry_find(struct image *image, uint32_t what, const uint8_t *name, size_t len)
{
    uint64_t hash = image_name_hash(what, name, len);
    uint64_t *bucket = bucket_of(image, hash);
    for (; bucket != NULL; bucket = bucket_more(image, bucket)) {
        for (uint64_t *entry = bucket; entry < bucket + IMAGE_WAYS; entry++) {
            if (!entry_is_of(*entry, image_fingerprint(hash)))
                continue;
            uint64_t place = entry_place(*entry);
            if (place == IMAGE_PLACE_CLIMB ||
                block_is_of(image_block_of(image, place), what, name, len))
                return entry;
        }
    }
    return NULL;
}

bool image_entry_may_be_lost(const struct image *image, uint64_t hash)
{
    const uint64_t *bucket = bucket_of(image, hash), *more;
    while ((more = bucket_more(image, bucket)) != NULL)
        bucket = more;
    return bucket[IMAGE_WAYS - 1] == IMAGE_PLACE_FULL;
}

void image_entry_set(uint64_t *entry, uint64_t place)
{
    uint64_t fingerprint = *entry >> IMAGE_FINGERPRINT_SHIFT << IMAGE_FINGERPRINT_SHIFT;
    __atomic_store_n(entry, place == 0 ? 0 : fingerprint | place, __ATOMIC_RELEASE);
}

/* From now on it is looked for. */
static void filter_add(struct image *image, uint64_t hash)
{
    uint32_t bit = image_filter_bit(hash, image->filter_mask);
    uint8_t *octet = image->octets + (size_t)image->filter_page * IMAGE_PAGE_LEN + bit / 8;
    __atomic_store_n(octet, (uint8_t)(*octet | 1u << bit % 8), __ATOMIC_RELEASE);
}

/* A full bucket goes on elsewhere. Returns false if there is no room. */
static bool bucket_extend(struct image *image, uint64_t hash, uint64_t *bucket)
{
    uint64_t place = room_take(image, hash, BUCKET_LEN / IMAGE_UNIT_LEN);
    if (place == 0)
        return false;
    uint64_t *more = spare_link(image, place);
    memset(more, 0, BUCKET_LEN);
    more[0] = bucket[IMAGE_WAYS - 1];
    __atomic_store_n(&bucket[IMAGE_WAYS - 1], IMAGE_PLACE_MORE | place, __ATOMIC_RELEASE);
    return true;
}

void image_entry_add(struct image *image, uint32_t what, uint64_t hash, uint64_t place)
{
    uint64_t *bucket = bucket_of(image, hash), *first = bucket, *last = NULL, *unused = NULL;
    if (what == IMAGE_CUT)
        filter_add(image, hash);
    for (; bucket != NULL; bucket = bucket_more(image, bucket)) {
        last = bucket + IMAGE_WAYS - 1;
        for (uint64_t *entry = bucket; entry <= last; entry++) {
            if (*entry == 0 && unused == NULL)
                unused = entry;
            if (entry_is_of(*entry, image_fingerprint(hash))) {
                image_entry_set(entry, IMAGE_PLACE_CLIMB);
                return;
            }
        }
    }
    uint64_t entry = image_fingerprint(hash) << IMAGE_FINGERPRINT_SHIFT | place;
    if (unused == NULL && last == first + IMAGE_WAYS - 1 && *last != IMAGE_PLACE_FULL &&
        bucket_extend(image, hash, first))
        unused = bucket_more(image, first) + 1;
    if (unused == NULL) {
        unused = last;
        entry = IMAGE_PLACE_FULL;
    }
    __atomic_store_n(unused, entry, __ATOMIC_RELEASE);
}
