/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/image_room.h"

#include <endian.h>

/* Names in a bucket, on average, at most: with so few nearly none overflows. */
#define BUCKET_LOAD 3

static uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

uint64_t image_name_hash(enum image_kind kind, const uint8_t *name, size_t len)
{
    uint64_t hash = kind, last = 0;
    for (; len > 8; len -= 8, name += 8)
        hash = image_mix(hash, load_word(name));
    memcpy(&last, name, len);
    return image_mix(hash, le64toh(last));
}

bool image_room_begin(struct image *image, struct image_memory memory, uint64_t name_count)
{
    uint64_t buckets = IMAGE_BUCKETS_PER_PAGE;
    while (buckets * BUCKET_LOAD < name_count && buckets <= UINT32_MAX / 2)
        buckets *= 2;
    size_t directory_len = (size_t)buckets * 8 * IMAGE_WAYS;
    image->octets = memory.octets;
    image->len = memory.len - memory.len % IMAGE_PAGE_LEN;
    image->next = (IMAGE_PAGE_LEN + directory_len) / IMAGE_UNIT_LEN;
    image->bucket_mask = (uint32_t)(buckets - 1);
    memset(image->spare, 0, sizeof image->spare);
    image->retired_count = 0;
    if (image->len < 2 * IMAGE_PAGE_LEN || image->len - IMAGE_PAGE_LEN < directory_len)
        return false;
    struct image_head *head = image_head_of(image);
    head->apex_depths = 0;
    head->bucket_mask = image->bucket_mask;
    head->udp_payload = image->policy.udp_payload;
    memset(image->octets + IMAGE_PAGE_LEN, 0, directory_len);
    return true;
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

static uint64_t room_take(struct image *image, uint64_t units)
{
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

uint64_t image_block_put(struct image *image, const struct image_draft *draft)
{
    uint64_t place = room_take(image, draft->len / IMAGE_UNIT_LEN);
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
    uint64_t at = IMAGE_PAGE_LEN + 8 * IMAGE_WAYS * image_bucket(hash, image->bucket_mask);
    return (uint64_t *)(void *)(image->octets + at);
}

static uint64_t entry_place(uint64_t entry)
{
    return entry & IMAGE_PLACE_MASK;
}

uint64_t *image_entry_find(struct image *image, enum image_kind kind, const uint8_t *name,
                           size_t len)
{
    uint64_t hash = image_name_hash(kind, name, len);
    uint64_t *entry = bucket_of(image, hash);
    for (unsigned i = 0; i < IMAGE_WAYS; i++, entry++) {
        uint64_t place = entry_place(*entry);
        if (*entry >> IMAGE_FINGERPRINT_SHIFT != image_fingerprint(hash) || place == 0 ||
            place == IMAGE_PLACE_FULL)
            continue;
        const struct image_block *block = image_block_of(image, place);
        if (place == IMAGE_PLACE_CLIMB ||
            (block->kind == kind && block->name_len == len && memcmp(block + 1, name, len) == 0))
            return entry;
    }
    return NULL;
}

void image_entry_set(uint64_t *entry, uint64_t place)
{
    uint64_t fingerprint = *entry >> IMAGE_FINGERPRINT_SHIFT << IMAGE_FINGERPRINT_SHIFT;
    __atomic_store_n(entry, place == 0 ? 0 : fingerprint | place, __ATOMIC_RELEASE);
}

void image_entry_add(struct image *image, uint64_t hash, uint64_t place)
{
    uint64_t *bucket = bucket_of(image, hash), *last = bucket + IMAGE_WAYS - 1;
    for (unsigned i = 0; i < IMAGE_WAYS; i++) {
        if (bucket[i] != 0)
            continue;
        uint64_t entry = image_fingerprint(hash) << IMAGE_FINGERPRINT_SHIFT | place;
        __atomic_store_n(bucket + i, entry, __ATOMIC_RELEASE);
        return;
    }
    /* Its room is lost if somebody may be reading it; a bucket overflows once. */
    __atomic_store_n(last, (uint64_t)IMAGE_PLACE_FULL, __ATOMIC_RELEASE);
}
