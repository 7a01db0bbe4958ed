/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_zone.h"
#include "zonedb/text_runs.h"
#include "zonedb/text_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_MIN ((size_t)1024)
#define CHUNK_MAX ((size_t)64 * 1024 * 1024)
#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

struct text_chunk {
    struct text_chunk *next;
    size_t used, cap;
    uint8_t octets[];
};

/* A zone of a million delegations is a few hundred megabytes: by ordinary pages, half of the time
 * goes into faults. */
void *text_array(size_t count, size_t element)
{
    if (count > SIZE_MAX / 2 / element)
        return NULL;
    const size_t octets = count * element;
    if (octets < 2 * HUGE_PAGE)
        return malloc(octets > 0 ? octets : 1);
    const size_t whole = (octets + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *array = aligned_alloc(HUGE_PAGE, whole);
    if (array != NULL)
        madvise(array, whole, MADV_HUGEPAGE); /* a wish; without it: slower */
    return array;
}

uint8_t *text_alloc(struct text_zone *zone, size_t len)
{
    struct text_chunk *chunk = zone->chunks;

    if (chunk == NULL || chunk->cap - chunk->used < len) {
        size_t cap = chunk == NULL ? CHUNK_MIN : chunk->cap * 2;
        if (cap > CHUNK_MAX)
            cap = CHUNK_MAX;
        if (cap < len)
            cap = len;
        chunk = text_array(1, sizeof(*chunk) + cap);
        if (chunk == NULL)
            return NULL;
        chunk->next = zone->chunks;
        chunk->used = 0;
        chunk->cap = cap;
        zone->chunks = chunk;
    }
    chunk->used += len;
    zone->chunk_octets += len;
    return chunk->octets + chunk->used - len;
}

/* Double the array; 0 or -ENOMEM. */
static int grow_to(void **array, size_t count, size_t *cap, size_t element)
{
    const size_t wanted = *cap == 0 ? 16 : *cap * 2;
    void *grown = text_array(wanted, element);
    if (grown == NULL)
        return -ENOMEM;
    if (count > 0)
        memcpy(grown, *array, count * element);
    free(*array);
    *array = grown;
    *cap = wanted;
    return 0;
}

/* Room for one more element; 0 or -ENOMEM. */
static int grow(void **array, size_t count, size_t *cap, size_t element)
{
    return count < *cap ? 0 : grow_to(array, count, cap, element);
}

int text_reserve(struct text_zone *zone, size_t records)
{
    if (zone->record_count + records > UINT32_MAX || zone->owner_count == UINT32_MAX)
        return -EOVERFLOW;
    int error =
        grow((void **)&zone->owners, zone->owner_count, &zone->owner_cap, sizeof(zone->owners[0]));
    while (error == 0 && zone->record_cap - zone->record_count < records)
        error = grow_to((void **)&zone->records, zone->record_count, &zone->record_cap,
                        sizeof(zone->records[0]));
    return error;
}

void text_clear(struct text_zone *zone)
{
    struct text_chunk *largest = zone->chunks;

    while (largest != NULL && largest->next != NULL) {
        struct text_chunk *next = largest->next;
        struct text_chunk *kept = next->cap > largest->cap ? next : largest;
        struct text_chunk *rest = next->next;
        free(kept == next ? largest : next);
        kept->next = rest;
        largest = kept;
    }
    if (largest != NULL)
        largest->used = 0;
    zone->chunks = largest;
    zone->chunk_octets = 0;
    zone->owner_count = zone->record_count = 0;
    zone->last_owner_len = 0;
    zone->is_sorted = true;
}

size_t text_memory(const struct text_zone *zone)
{
    return zone->chunk_octets + zone->owner_count * sizeof(zone->owners[0]) +
           zone->record_count * sizeof(zone->records[0]);
}

const uint8_t *text_owner_name(const struct text_owner *owner)
{
    return owner->key + owner->key_len;
}

/* Begin a run of records with another owner than the record before. */
static int append_owner(struct text_zone *zone, const uint8_t *name, size_t name_octets)
{
    uint8_t key[NAME_KEY_MAX];
    const size_t key_len = name_to_key(name, key);
    const struct text_owner *last =
        zone->owner_count == 0 ? NULL : &zone->owners[zone->owner_count - 1];

    if (last != NULL) {
        const size_t common = key_len < last->key_len ? key_len : last->key_len;
        int order = memcmp(last->key, key, common);
        if (order == 0 && last->key_len == key_len)
            return 0; /* the same name in other case */
        if (order > 0 || (order == 0 && last->key_len > key_len))
            zone->is_sorted = false;
    }
    if (zone->owner_count == UINT32_MAX)
        return -EOVERFLOW;
    int error =
        grow((void **)&zone->owners, zone->owner_count, &zone->owner_cap, sizeof(zone->owners[0]));
    uint8_t *stored = error == 0 ? text_alloc(zone, key_len + name_octets) : NULL;
    if (stored == NULL)
        return -ENOMEM;
    memcpy(stored, key, key_len);
    name_copy_lower(stored + key_len, name);
    zone->owners[zone->owner_count++] = (struct text_owner){
        .key = stored,
        .key_len = (uint16_t)key_len,
        .first = (uint32_t)zone->record_count,
    };
    return 0;
}

int text_append(struct text_zone *zone, const uint8_t *owner, size_t owner_len,
                const struct text_record *record, const uint8_t *rdata, size_t rdata_len)
{
    if (zone->record_count == UINT32_MAX)
        return -EOVERFLOW;
    if (zone->owner_count == 0 || owner_len != zone->last_owner_len ||
        memcmp(owner, zone->last_owner, owner_len) != 0) {
        const int error = append_owner(zone, owner, owner_len);
        if (error != 0)
            return error;
        memcpy(zone->last_owner, owner, owner_len);
        zone->last_owner_len = owner_len;
    }

    int error = grow((void **)&zone->records, zone->record_count, &zone->record_cap,
                     sizeof(zone->records[0]));
    uint8_t *stored = error == 0 ? text_alloc(zone, 2 + rdata_len) : NULL;
    if (stored == NULL)
        return -ENOMEM;
    stored[0] = (uint8_t)(rdata_len >> 8);
    stored[1] = (uint8_t)rdata_len;
    memcpy(stored + 2, rdata, rdata_len);

    struct text_record *added = &zone->records[zone->record_count++];
    *added = *record;
    added->rdata = stored;
    added->owner = (uint32_t)(zone->owner_count - 1);
    zone->owners[zone->owner_count - 1].count++;
    return 0;
}

static int key_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    const int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

size_t text_find(const struct text_zone *zone, const uint8_t *key, size_t key_len, size_t from)
{
    size_t low = from, step = 1, high;

    /* What is looked for is mostly near `from`: gallop, then halve. */
    for (high = from; high < zone->owner_count; high = low + step, step *= 2) {
        const struct text_owner *owner = &zone->owners[high];
        const int order = key_compare(owner->key, owner->key_len, key, key_len);
        if (order == 0)
            return high;
        if (order > 0)
            break;
        low = high + 1;
    }
    if (high > zone->owner_count)
        high = zone->owner_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct text_owner *owner = &zone->owners[middle];
        const int order = key_compare(owner->key, owner->key_len, key, key_len);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return zone->owner_count;
}

size_t text_find_name(const struct text_zone *zone, const uint8_t *name, size_t from)
{
    uint8_t key[NAME_KEY_MAX];

    return text_find(zone, key, name_to_key(name, key), from);
}

const struct text_record *text_owner_record(const struct text_zone *zone, size_t owner,
                                            uint16_t type)
{
    const struct text_owner *found = &zone->owners[owner];

    for (uint32_t i = 0; i < found->count; i++)
        if (zone->records[found->first + i].type == type)
            return &zone->records[found->first + i];
    return NULL;
}

bool text_key_is_below(const struct text_owner *owner, const struct text_owner *parent)
{
    return owner->key_len >= parent->key_len &&
           memcmp(owner->key, parent->key, parent->key_len) == 0;
}

const struct text_counts *text_zone_counts(const struct text_zone *zone)
{
    return &zone->counts;
}

const uint8_t *text_zone_apex(const struct text_zone *zone)
{
    return zone->apex;
}

uint32_t text_zone_serial(const struct text_zone *zone)
{
    const struct text_record *soa =
        zone->owner_count == 0 ? NULL : text_owner_record(zone, 0, TYPE_SOA);

    if (soa == NULL)
        return zone->runs_serial;
    const size_t len = (size_t)(soa->rdata[0] << 8 | soa->rdata[1]);
    const uint8_t *serial = soa->rdata + 2 + len - 20;
    return (uint32_t)serial[0] << 24 | (uint32_t)serial[1] << 16 | (uint32_t)serial[2] << 8 |
           serial[3];
}

int text_share_files(struct text_zone *zone, const struct text_zone *source)
{
    zone->files = calloc(source->file_count, sizeof(zone->files[0]));
    if (zone->files == NULL)
        return -ENOMEM;
    for (; zone->file_count < source->file_count; zone->file_count++) {
        struct text_file *file = &zone->files[zone->file_count];
        *file = source->files[zone->file_count];
        file->is_allocated = false;
        file->name = strdup(file->name);
        if (file->name == NULL)
            return -ENOMEM;
    }
    return 0;
}

void text_zone_free(struct text_zone *zone)
{
    if (zone == NULL)
        return;
    for (struct text_chunk *chunk = zone->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    for (size_t i = 0; i < zone->file_count; i++)
        text_file_close(&zone->files[i]);
    text_runs_free(zone->runs);
    text_stream_free(zone->stream);
    free(zone->digest);
    text_drop_held(zone);
    free(zone->files);
    free(zone->owners);
    free(zone->records);
    free(zone);
}
