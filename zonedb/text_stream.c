/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_stream.h"
#include "zonedb/store.h"
#include "zonedb/text_runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct text_stream {
    struct zonedb_writer *writer; /* NULL: committed, or given up */
    struct text_node node;
    struct text_zone *top, *rest; /* the apex; owners behind the border, while windows change */
    size_t window;
    uint8_t last_key[NAME_KEY_MAX]; /* of the last owner that is written */
    size_t last_key_len;
};

bool text_stream_is_possible(const struct text_zone *zone)
{
    return zone->options.database != NULL && zone->is_sorted && zone->runs == NULL &&
           zone->file_count == 1 && zone->files[0].descriptor >= 0 && zone->counts.errors == 0;
}

void text_stream_free(struct text_stream *stream)
{
    if (stream == NULL)
        return;
    zonedb_writer_abort(stream->writer);
    text_node_free(&stream->node);
    text_zone_free(stream->top);
    text_zone_free(stream->rest);
    free(stream);
}

/* Owners from `border` on, in and out of the way. */
static int copy_owners(const struct text_zone *from, size_t border, struct text_zone *to)
{
    int error = 0;

    for (size_t i = border; i < from->owner_count && error == 0; i++) {
        const uint8_t *name = text_owner_name(&from->owners[i]);
        const size_t name_octets = name_len(name, NAME_MAX_LEN);
        for (uint32_t r = 0; r < from->owners[i].count && error == 0; r++) {
            const struct text_record *record = &from->records[from->owners[i].first + r];
            error = text_append(to, name, name_octets, record, record->rdata + 2,
                                (size_t)(record->rdata[0] << 8 | record->rdata[1]));
        }
    }
    return error;
}

/* Write the owners before `border`; those behind it begin the next window. */
static int write_window(struct text_zone *zone, size_t border)
{
    struct text_stream *stream = zone->stream;
    const size_t owner_count = zone->owner_count, record_count = zone->record_count;
    const struct text_owner *last = &zone->owners[border - 1];
    int error = copy_owners(zone, border, stream->rest);

    memcpy(stream->last_key, last->key, last->key_len);
    stream->last_key_len = last->key_len;
    zone->record_count = border < owner_count ? zone->owners[border].first : record_count;
    zone->owner_count = border;
    if (error == 0)
        error = text_write_window(zone, stream->writer, &stream->node);
    if (error == 0 && !zone->is_continued)
        error = text_top_keep(zone, stream->top);
    if (border == owner_count || error != 0)
        return error; /* the last one stays for what looks at the apex */
    error = text_top_put(zone, stream->top);
    if (error == 0)
        error = copy_owners(stream->rest, 0, zone);
    text_clear(stream->rest);
    return error;
}

/* The last owner that is in another subtree than the one before it; 0: none. */
static size_t find_border(const struct text_zone *zone)
{
    for (size_t i = zone->owner_count - 1; i > 1; i--)
        if (text_is_border(zone, &zone->owners[i - 1], &zone->owners[i]))
            return i;
    return 0;
}

int text_stream_begin(struct text_zone *zone)
{
    struct zonedb *db = zone->options.database(zone->options.context);
    struct text_stream *stream = db == NULL ? NULL : calloc(1, sizeof(*stream));

    if (stream == NULL)
        return db == NULL ? -EACCES : -ENOMEM;
    zone->stream = stream;
    zone->is_part = true;
    stream->top = text_zone_new(zone->apex, NULL);
    stream->rest = text_zone_new(zone->apex, NULL);
    if (stream->top == NULL || stream->rest == NULL)
        return -ENOMEM;
    int error = zonedb_writer_begin(db, &stream->writer);
    text_progress(zone, TEXT_WRITING, 0, 0); /* the lock is ours */
    if (error == 0)
        error = zonedb_writer_zone_begin(stream->writer, zone->apex);
    stream->window = text_memory(zone);
    if (error == 0)
        error = text_stream_next(zone);
    stream->window = TEXT_WINDOW;
    if (zone->options.memory_octets != 0 && zone->options.memory_octets < stream->window)
        stream->window = zone->options.memory_octets;
    return error;
}

/* Names may be out of order within a window, but not come too late for it. */
static bool is_too_late(const struct text_zone *zone)
{
    const struct text_stream *stream = zone->stream;
    const struct text_owner *last = &zone->owners[zone->owner_count - 1];
    const size_t common =
        last->key_len < stream->last_key_len ? last->key_len : stream->last_key_len;
    const int order = memcmp(last->key, stream->last_key, common);

    if (zone->is_continued && zone->owner_count == 1)
        return true; /* a record of the apex */
    return order < 0 || (order == 0 && last->key_len <= stream->last_key_len);
}

int text_stream_next(struct text_zone *zone)
{
    if (zone->counts.errors > 0 || (!zone->is_sorted && is_too_late(zone)))
        return -EAGAIN;
    if (text_memory(zone) < zone->stream->window)
        return 0;
    int error = text_sort(zone);
    const size_t border = error == 0 ? find_border(zone) : 0;
    if (border > 1)
        error = write_window(zone, border);
    else
        zone->stream->window *= 2;             /* one large subtree */
    return error == -ENOSPC ? -EAGAIN : error; /* the map is full: not while records come */
}

int text_stream_finish(struct text_zone *zone)
{
    int error = zone->counts.errors > 0 ? -EAGAIN : text_sort(zone);

    if (error == 0)
        error = write_window(zone, zone->owner_count);
    if (error == 0)
        error = text_write_end(zone, zone->stream->writer);
    if (error == 0)
        text_tell_held(zone);
    return error == -ENOSPC || error == -EINVAL ? -EAGAIN : error;
}

int text_stream_commit(struct text_zone *zone, uint64_t loaded_s)
{
    struct zonedb_writer *writer = zone->stream->writer;
    int error = zonedb_writer_zone_end(writer, loaded_s);

    if (error != 0)
        return error;
    zone->stream->writer = NULL;
    return zonedb_writer_commit(writer);
}
