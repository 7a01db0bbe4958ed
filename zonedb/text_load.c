/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_load.h"
#include "zonedb/base32hex.h"
#include "zonedb/store.h"
#include "zonedb/text_runs.h"
#include "zonedb/text_stream.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- read ---- */

struct text_zone *text_zone_new(const uint8_t *apex, const struct text_options *options)
{
    struct text_zone *zone = calloc(1, sizeof(*zone));

    if (zone == NULL)
        return NULL;
    zone->apex_len = name_copy_lower(zone->apex, apex);
    zone->apex_key_len = name_to_key(zone->apex, zone->apex_key);
    zone->is_sorted = true;
    if (options != NULL)
        zone->options = *options;
    return zone;
}

int text_zone_finish(struct text_zone *zone)
{
    if (zone->stream != NULL)
        return text_stream_finish(zone);
    if (zone->runs != NULL) /* the rules are tried where the runs are merged */
        return zone->counts.errors > 0 ? -EINVAL : text_runs_spill(zone);

    int error = text_sort(zone);

    if (error == 0)
        error = text_arrange(zone);
    if (error == 0 && !zone->is_incomplete)
        error = text_check_nodes(zone);
    if (error == 0 && zone->counts.errors == 0)
        text_check_chain(zone);
    if (error == 0 && zone->counts.errors == zone->links.errors)
        text_check_chain_end(zone);
    if (error == 0 && zone->counts.errors == 0 && (error = text_zonemd_begin(zone)) == 0) {
        text_zonemd_add(zone);
        text_zonemd_end(zone);
    }
    if (error == 0 && zone->counts.errors > 0)
        error = -EINVAL;
    return error;
}

static int read_zone(struct text_zone *zone, int scan_error, struct text_zone **zone_out,
                     struct text_counts *counts_out)
{
    int error = scan_error == 0 ? text_zone_finish(zone) : scan_error;

    if (counts_out != NULL)
        *counts_out = zone->counts;
    if (error != 0) {
        text_zone_free(zone);
        zone = NULL;
    }
    *zone_out = zone;
    return error;
}

int text_zone_read(const uint8_t *apex, const char *file, const struct text_options *options,
                   struct text_zone **zone_out, struct text_counts *counts_out)
{
    struct text_zone *zone = text_zone_new(apex, options);
    struct text_counts counts;

    *zone_out = NULL;
    if (zone == NULL)
        return -ENOMEM;
    int error = read_zone(zone, text_scan_file(zone, file), zone_out, &counts);
    if (error == -EAGAIN) { /* not in order after all, or with errors */
        zone = text_zone_new(apex, options);
        if (zone == NULL)
            return -ENOMEM;
        zone->options.database = NULL;
        error = read_zone(zone, text_scan_file(zone, file), zone_out, &counts);
    }
    if (counts_out != NULL)
        *counts_out = counts;
    return error;
}

int text_zone_read_memory(const uint8_t *apex, const char *name, const char *text, size_t text_len,
                          const struct text_options *options, struct text_zone **zone_out,
                          struct text_counts *counts_out)
{
    struct text_zone *zone = text_zone_new(apex, options);

    *zone_out = NULL;
    if (zone == NULL)
        return -ENOMEM;
    return read_zone(zone, text_scan_memory(zone, name, text, text_len), zone_out, counts_out);
}

/* ---- store ---- */

size_t text_node_select(struct text_node *node, bool is_nsec3)
{
    size_t kept = 0;
    uint16_t last = 0;

    for (size_t i = 0; i < node->rrset_count; i++) {
        const struct zonedb_rrset *rrset = &node->rrsets[i];
        const uint16_t type = text_covered_type(rrset);
        const bool is_lone = rrset->type == TYPE_RRSIG && type != last;
        last = type;
        if (!is_lone && (type == TYPE_NSEC3) == is_nsec3)
            node->rrsets[kept++] = *rrset;
    }
    return kept;
}

static int write_owners(struct text_zone *zone, struct zonedb_writer *writer,
                        struct text_node *node, bool is_nsec3)
{
    int error = 0;

    for (size_t i = zone->is_continued ? 1 : 0; i < zone->owner_count && error == 0; i++) {
        if (!(is_nsec3 ? zone->owners[i].has_nsec3 : zone->owners[i].has_other))
            continue;
        if (i % 8192 == 0 && !is_nsec3 && !zone->is_part)
            text_progress(zone, TEXT_WRITING, i, zone->owner_count);
        error = text_node_fill(node, zone, i);
        if (error != 0)
            return error;
        const size_t count = text_node_select(node, is_nsec3);
        if (count == 0)
            continue;
        uint8_t hash[20];
        if (!is_nsec3)
            error = zonedb_writer_node(writer, node->name, node->rrsets, count);
        else if (base32hex_decode(node->name + 1, hash))
            error = zonedb_writer_nsec3(writer, hash, node->rrsets, count);
    }
    return error;
}

static int write_whole(struct text_zone *zone, struct zonedb_writer *writer)
{
    struct text_node node = {0};
    int error = write_owners(zone, writer, &node, false);

    if (error == 0)
        error = write_owners(zone, writer, &node, true);
    text_progress(zone, TEXT_WRITING, zone->owner_count, zone->owner_count);
    text_node_free(&node);
    return error;
}

int text_write_window(struct text_zone *part, struct zonedb_writer *writer, struct text_node *node)
{
    int error = text_arrange(part);

    if (error == 0)
        error = text_check_nodes(part);
    if (error == 0 && part->counts.errors == part->links.errors)
        text_check_chain(part);
    if (error == 0 && part->counts.errors == 0 && !part->is_continued)
        error = text_zonemd_begin(part);
    if (error == 0 && part->counts.errors == 0)
        text_zonemd_add(part);
    if (error == 0 && part->counts.errors == 0)
        error = write_owners(part, writer, node, false);
    if (error == 0 && part->counts.errors == 0)
        error = write_owners(part, writer, node, true);
    return error;
}

int text_write_end(struct text_zone *part, struct zonedb_writer *writer)
{
    int error = 0;

    if (part->counts.errors == part->links.errors)
        text_check_chain_end(part);
    if (part->counts.errors == 0)
        text_zonemd_end(part);
    if (part->counts.errors == 0)
        error = text_check_apex_servers(part, writer);
    return part->counts.errors > 0 ? -EINVAL : error;
}

static int write_windows(struct text_merge *merge, struct text_zone *part,
                         struct zonedb_writer *writer)
{
    struct text_node node = {0};
    uint64_t done, total;
    int status;

    while ((status = text_merge_next(merge)) == 1 && !text_is_full(part)) {
        status = text_write_window(part, writer, &node);
        if (status != 0)
            break;
        text_merge_progress(merge, &done, &total);
        text_progress(part, TEXT_WRITING, done, total);
    }
    text_node_free(&node);
    if (status < 0)
        return status;
    return text_write_end(part, writer);
}

static int write_runs(struct text_zone *zone, struct zonedb_writer *writer)
{
    struct text_merge *merge;
    struct text_zone *part = NULL;
    int error = text_merge_begin(zone, &merge, &part);

    if (error == 0)
        error = write_windows(merge, part, writer);
    if (error == 0 || error == -EINVAL) {
        zone->counts = part->counts;
        zone->runs_serial = error == 0 ? text_zone_serial(part) : 0;
    }
    zone->options.message = NULL; /* if all is tried again, it has been told */
    text_merge_end(merge);
    return error;
}

static int write_zone(struct text_zone *zone, struct zonedb_writer *writer, uint64_t loaded_s)
{
    int error = zonedb_writer_zone_begin(writer, zone->apex);

    if (error == 0)
        error = zone->runs != NULL ? write_runs(zone, writer) : write_whole(zone, writer);
    if (error == 0)
        error = zonedb_writer_zone_end(writer, loaded_s);
    return error;
}

static int write_zones(struct text_zone *const *zones, size_t count, struct zonedb *db,
                       uint64_t loaded_s)
{
    struct zonedb_writer *writer;
    int error = zonedb_writer_begin(db, &writer);

    if (error != 0)
        return error;
    for (size_t i = 0; i < count && error == 0; i++)
        error = write_zone(zones[i], writer, loaded_s);
    if (error == 0)
        return zonedb_writer_commit(writer);
    zonedb_writer_abort(writer);
    return error;
}

/* Doublings of the map: from one mebibyte to beyond any address space. */
#define GROW_MAX 44

int text_zones_store(struct text_zone *const *zones, size_t count, struct zonedb *db,
                     uint64_t loaded_s)
{
    if (count == 1 && zones[0]->stream != NULL)
        return text_stream_commit(zones[0], loaded_s);
    for (unsigned i = 0;; i++) {
        int error = write_zones(zones, count, db, loaded_s);
        if (error != -ENOSPC || i == GROW_MAX)
            return error;
        error = zonedb_grow(db);
        if (error != 0)
            return error;
    }
}

int text_zone_store(struct text_zone *zone, struct zonedb *db, uint64_t loaded_s)
{
    return text_zones_store(&zone, 1, db, loaded_s);
}
