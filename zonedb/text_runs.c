/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file, all numbers in the order of this machine, as only this process reads it:
 *
 *   owner    length of all of it (4), records (4), key length (2), name length (2), key, name,
 *            records
 *   record   offset (8), TTL (4), type (2), number of the file (2), RDLENGTH in network order (2),
 *            RDATA
 */
#include "zonedb/text_runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWNER_HEAD 12
#define RECORD_HEAD 16
#define BUFFER ((size_t)1 << 20)

struct run {
    uint64_t begin, end;
};

struct text_runs {
    int descriptor;
    uint64_t end;
    struct run *runs;
    size_t run_count, run_cap;
    uint8_t *buffer; /* to write */
    size_t buffer_len, buffer_cap;
};

/* ---- to write ---- */

static int make_file(const char *directory)
{
    int descriptor = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return descriptor >= 0 ? descriptor : -errno;
    char *name = NULL;
    if (asprintf(&name, "%s/lethe-XXXXXX", directory) < 0)
        return -ENOMEM;
    descriptor = mkostemp(name, O_CLOEXEC);
    const int error = descriptor < 0 ? -errno : 0;
    if (error == 0)
        unlink(name);
    free(name);
    return error == 0 ? descriptor : error;
}

static struct text_runs *runs_new(const char *directory, int *error_out)
{
    struct text_runs *runs = calloc(1, sizeof(*runs));

    *error_out = runs == NULL ? -ENOMEM : 0;
    if (runs == NULL)
        return NULL;
    runs->buffer_cap = BUFFER;
    runs->buffer = malloc(BUFFER);
    runs->descriptor = runs->buffer == NULL ? -ENOMEM : make_file(directory);
    if (runs->descriptor >= 0)
        return runs;
    *error_out = runs->descriptor;
    text_runs_free(runs);
    return NULL;
}

void text_runs_free(struct text_runs *runs)
{
    if (runs == NULL)
        return;
    if (runs->descriptor >= 0)
        close(runs->descriptor);
    free(runs->runs);
    free(runs->buffer);
    free(runs);
}

static int flush(struct text_runs *runs)
{
    for (size_t at = 0; at < runs->buffer_len;) {
        const ssize_t put = write(runs->descriptor, runs->buffer + at, runs->buffer_len - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        at += (size_t)put;
    }
    runs->end += runs->buffer_len;
    runs->buffer_len = 0;
    return 0;
}

/* Room for `len` octets in the buffer; NULL and an error. */
static uint8_t *reserve(struct text_runs *runs, size_t len, int *error_out)
{
    if (runs->buffer_cap - runs->buffer_len < len) {
        *error_out = flush(runs);
        if (*error_out != 0)
            return NULL;
    }
    if (runs->buffer_cap < len) {
        uint8_t *grown = realloc(runs->buffer, len);
        *error_out = -ENOMEM;
        if (grown == NULL)
            return NULL;
        runs->buffer = grown;
        runs->buffer_cap = len;
    }
    runs->buffer_len += len;
    return runs->buffer + runs->buffer_len - len;
}

static size_t rdata_octets(const struct text_record *record)
{
    return 2 + (size_t)(record->rdata[0] << 8 | record->rdata[1]);
}

static uint8_t *put(uint8_t *out, const void *octets, size_t len)
{
    memcpy(out, octets, len);
    return out + len;
}

static int put_owner(struct text_runs *runs, const struct text_zone *zone,
                     const struct text_owner *owner)
{
    const struct text_record *records = &zone->records[owner->first];
    const uint16_t name_octets = (uint16_t)name_len(text_owner_name(owner), NAME_MAX_LEN);
    size_t len = OWNER_HEAD + (size_t)owner->key_len + name_octets;
    int error = 0;

    for (uint32_t i = 0; i < owner->count; i++)
        len += RECORD_HEAD + rdata_octets(&records[i]);
    uint8_t *out = reserve(runs, len, &error);
    if (out == NULL)
        return error;
    out = put(out, &(uint32_t){(uint32_t)len}, 4);
    out = put(out, &owner->count, 4);
    out = put(out, &owner->key_len, 2);
    out = put(out, &name_octets, 2);
    out = put(out, owner->key, (size_t)owner->key_len + name_octets);
    for (uint32_t i = 0; i < owner->count; i++) {
        out = put(out, &records[i].offset, 8);
        out = put(out, &records[i].ttl, 4);
        out = put(out, &records[i].type, 2);
        out = put(out, &records[i].file, 2);
        out = put(out, records[i].rdata, rdata_octets(&records[i]));
    }
    return 0;
}

static int put_run(struct text_runs *runs, const struct text_zone *zone)
{
    int error = 0;

    if (runs->run_count == runs->run_cap) {
        const size_t cap = runs->run_cap == 0 ? 16 : runs->run_cap * 2;
        struct run *grown = reallocarray(runs->runs, cap, sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        runs->runs = grown;
        runs->run_cap = cap;
    }
    struct run *run = &runs->runs[runs->run_count++];
    run->begin = runs->end;
    for (size_t i = 0; i < zone->owner_count && error == 0; i++)
        error = put_owner(runs, zone, &zone->owners[i]);
    if (error == 0)
        error = flush(runs);
    run->end = runs->end;
    return error;
}

int text_runs_spill(struct text_zone *zone)
{
    int error = text_sort(zone);

    if (error == 0 && zone->runs == NULL)
        zone->runs = runs_new(zone->options.spill_directory, &error);
    if (zone->runs == NULL)
        return error;
    if (error == 0)
        error = put_run(zone->runs, zone);
    text_clear(zone);
    return error;
}

/* ---- to read ---- */

/* Where one run stands: an owner, whole in memory. */
struct source {
    uint64_t at, end; /* in the file, behind what is in the buffer */
    uint8_t *buffer;
    size_t begin, filled, cap;
    size_t number;
    const uint8_t *key; /* of the owner; NULL: the run has ended */
    const uint8_t *name, *records;
    uint32_t len, record_count;
    uint16_t key_len, name_len;
};

struct text_merge {
    const struct text_runs *runs;
    struct text_zone *part, *top; /* the window; the apex alone, to begin each window with */
    struct source *sources;
    struct source **heap;
    size_t heap_count;
    size_t window;
    bool is_begun;
    uint64_t done;
};

/* Have `len` octets behind `begin` in the buffer. 0; negative errno. */
static int source_fill(const struct text_merge *merge, struct source *source, size_t len)
{
    if (source->filled - source->begin >= len)
        return 0;
    memmove(source->buffer, source->buffer + source->begin, source->filled - source->begin);
    source->filled -= source->begin;
    source->begin = 0;
    if (source->cap < len) {
        uint8_t *grown = realloc(source->buffer, len);
        if (grown == NULL)
            return -ENOMEM;
        source->buffer = grown;
        source->cap = len;
    }
    while (source->filled < len) {
        uint64_t left = source->end - source->at;
        if (left > source->cap - source->filled)
            left = source->cap - source->filled;
        const ssize_t got = pread(merge->runs->descriptor, source->buffer + source->filled,
                                  (size_t)left, (off_t)source->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        source->filled += (size_t)got;
        source->at += (uint64_t)got;
    }
    return 0;
}

/* Stand at the next owner of the run. */
static int source_next(struct text_merge *merge, struct source *source)
{
    source->begin += source->len;
    merge->done += source->len;
    source->len = 0;
    source->key = NULL;
    if (source->begin == source->filled && source->at == source->end)
        return 0;
    int error = source_fill(merge, source, OWNER_HEAD);
    if (error == 0) {
        memcpy(&source->len, source->buffer + source->begin, 4);
        error = source_fill(merge, source, source->len);
    }
    if (error != 0)
        return error;
    const uint8_t *at = source->buffer + source->begin;
    memcpy(&source->record_count, at + 4, 4);
    memcpy(&source->key_len, at + 8, 2);
    memcpy(&source->name_len, at + 10, 2);
    source->key = at + OWNER_HEAD;
    source->name = source->key + source->key_len;
    source->records = source->name + source->name_len;
    return 0;
}

/* Owners in canonical order; the same owner in the order of runs, which is that of the text. */
static bool is_before(const struct source *a, const struct source *b)
{
    const size_t common = a->key_len < b->key_len ? a->key_len : b->key_len;
    const int order = memcmp(a->key, b->key, common);

    if (order != 0)
        return order < 0;
    return a->key_len != b->key_len ? a->key_len < b->key_len : a->number < b->number;
}

static void heap_sink(struct text_merge *merge, size_t at)
{
    struct source *moved = merge->heap[at];

    for (size_t child; (child = 2 * at + 1) < merge->heap_count; at = child) {
        if (child + 1 < merge->heap_count && is_before(merge->heap[child + 1], merge->heap[child]))
            child++;
        if (!is_before(merge->heap[child], moved))
            break;
        merge->heap[at] = merge->heap[child];
    }
    merge->heap[at] = moved;
}

static int sources_open(struct text_merge *merge)
{
    const size_t count = merge->runs->run_count;
    /* All buffers together are as large as one window of reading, but not tiny. */
    size_t cap = 8 * BUFFER / (count > 0 ? count : 1);

    if (cap < 65536)
        cap = 65536;
    merge->sources = calloc(count > 0 ? count : 1, sizeof(*merge->sources));
    merge->heap = calloc(count > 0 ? count : 1, sizeof(struct source *));
    if (merge->sources == NULL || merge->heap == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct source *source = &merge->sources[i];
        *source = (struct source){.at = merge->runs->runs[i].begin,
                                  .end = merge->runs->runs[i].end,
                                  .number = i,
                                  .cap = cap};
        source->buffer = malloc(cap);
        const int error = source->buffer == NULL ? -ENOMEM : source_next(merge, source);
        if (error != 0)
            return error;
        if (source->key != NULL)
            merge->heap[merge->heap_count++] = source;
    }
    for (size_t i = merge->heap_count; i > 0; i--)
        heap_sink(merge, i - 1);
    return 0;
}

int text_merge_begin(struct text_zone *zone, struct text_merge **merge_out,
                     struct text_zone **part_out)
{
    struct text_merge *merge = calloc(1, sizeof(*merge));
    int error = -ENOMEM;

    *merge_out = merge;
    if (merge == NULL)
        return error;
    merge->runs = zone->runs;
    merge->window = zone->options.memory_octets / 4;
    if (merge->window == 0 || merge->window > TEXT_WINDOW)
        merge->window = TEXT_WINDOW;
    merge->part = text_zone_new(zone->apex, &zone->options);
    merge->top = text_zone_new(zone->apex, NULL);
    if (merge->part != NULL && merge->top != NULL &&
        (error = text_share_files(merge->part, zone)) == 0) {
        merge->part->is_part = true;
        merge->part->counts = zone->counts;
        error = sources_open(merge);
    }
    *part_out = merge->part;
    return error;
}

void text_merge_end(struct text_merge *merge)
{
    if (merge == NULL)
        return;
    for (size_t i = 0; merge->sources != NULL && i < merge->runs->run_count; i++)
        free(merge->sources[i].buffer);
    free(merge->sources);
    free(merge->heap);
    text_zone_free(merge->part);
    text_zone_free(merge->top);
    free(merge);
}

void text_merge_progress(const struct text_merge *merge, uint64_t *done_out, uint64_t *total_out)
{
    *done_out = merge->done;
    *total_out = merge->runs->end;
}

/* ---- windows ---- */

/* The owner that the source stands at, into the window. */
static int take_owner(struct text_zone *part, const struct source *source)
{
    const size_t len = source->len - OWNER_HEAD;
    uint8_t *copy = text_alloc(part, len);
    const struct text_owner *last =
        part->owner_count == 0 ? NULL : &part->owners[part->owner_count - 1];
    const bool is_same = last != NULL && last->key_len == source->key_len &&
                         memcmp(last->key, source->key, source->key_len) == 0;

    if (copy == NULL || text_reserve(part, source->record_count) != 0)
        return -ENOMEM;
    memcpy(copy, source->key, len);
    if (!is_same)
        part->owners[part->owner_count++] = (struct text_owner){
            .key = copy, .key_len = source->key_len, .first = (uint32_t)part->record_count};
    const uint8_t *at = copy + source->key_len + source->name_len;
    for (uint32_t i = 0; i < source->record_count; i++) {
        struct text_record *record = &part->records[part->record_count++];
        memcpy(&record->offset, at, 8);
        memcpy(&record->ttl, at + 8, 4);
        memcpy(&record->type, at + 12, 2);
        memcpy(&record->file, at + 14, 2);
        record->owner = (uint32_t)(part->owner_count - 1);
        record->rdata = at + RECORD_HEAD;
        at += RECORD_HEAD + rdata_octets(record);
    }
    part->owners[part->owner_count - 1].count += source->record_count;
    return 0;
}

int text_top_keep(const struct text_zone *part, struct text_zone *top)
{
    const struct text_owner *apex = &part->owners[0];
    int error = 0;

    if (part->owner_count == 0 || apex->key_len != part->apex_key_len)
        return 0;
    for (uint32_t i = 0; i < apex->count && error == 0; i++) {
        const struct text_record *record = &part->records[apex->first + i];
        error = text_append(top, part->apex, part->apex_len, record, record->rdata + 2,
                            rdata_octets(record) - 2);
    }
    return error;
}

int text_top_put(struct text_zone *part, const struct text_zone *top)
{
    text_clear(part);
    part->is_continued = true;
    if (top->owner_count == 0)
        return 0;
    if (text_reserve(part, top->record_count) != 0)
        return -ENOMEM;
    memcpy(part->records, top->records, top->record_count * sizeof(*top->records));
    part->owners[0] = top->owners[0];
    part->record_count = top->record_count;
    part->owner_count = 1;
    return 0;
}

bool text_is_border(const struct text_zone *zone, const struct text_owner *a,
                    const struct text_owner *b)
{
    size_t at = zone->apex_key_len;

    if (a->key_len <= at || b->key_len <= at)
        return false;
    for (; at < a->key_len && at < b->key_len && a->key[at] == b->key[at]; at++)
        if (a->key[at] == 0)
            return false;
    return true;
}

/* The next owner begins another subtree than the last one of the window. */
static bool is_border(const struct text_zone *part, const struct source *source)
{
    const struct text_owner next = {.key = source->key, .key_len = source->key_len};

    return text_is_border(part, &part->owners[part->owner_count - 1], &next);
}

int text_merge_next(struct text_merge *merge)
{
    struct text_zone *part = merge->part;
    int error = 0;

    if (merge->heap_count == 0)
        return 0;
    if (!merge->is_begun)
        merge->is_begun = true;
    else if ((!part->is_continued && (error = text_top_keep(part, merge->top)) != 0) ||
             (error = text_top_put(part, merge->top)) != 0)
        return error;
    while (merge->heap_count > 0 && error == 0) {
        struct source *source = merge->heap[0];
        if (text_memory(part) >= merge->window && part->owner_count > 1 && is_border(part, source))
            break;
        error = take_owner(part, source);
        if (error == 0)
            error = source_next(merge, source);
        if (source->key == NULL)
            merge->heap[0] = merge->heap[--merge->heap_count];
        if (merge->heap_count > 0)
            heap_sink(merge, 0);
    }
    return error == 0 ? 1 : error;
}
