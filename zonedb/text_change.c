/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_change.c - some records of a zone, changed in one transaction.
 *
 *     lines    the records of the change; the number of their file tells the sign
 *     after    the zone in which the rules are tried: all owners of the change as they will be, the
 *              apex, and what the rules look at besides: the owners above (cuts, DNAMEs) and the
 *              name servers below
 *
 * Records from the database bear the place of the first line of their owner, so that a message
 * about them points at what has brought them up.
 */
#include "zonedb/text_change.h"
#include "zonedb/base32hex.h"
#include "zonedb/store.h"
#include "zonedb/text_change_rules.h"
#include "zonedb/text_rdata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROW_MAX 44

struct change {
    struct text_zone *lines, *after;
    struct zonedb_writer *writer;
    enum zonedb_signing signing;
    uint32_t serial_before;
    bool has_soa; /* one has been added */
    bool is_told; /* messages of an attempt before this one */
};

static size_t rdata_len(const struct text_record *record)
{
    return (size_t)(record->rdata[0] << 8 | record->rdata[1]);
}

static bool is_same_record(const struct text_record *a, const struct text_record *b)
{
    return a->type == b->type &&
           text_rdata_compare(a->type, a->rdata + 2, rdata_len(a), b->rdata + 2, rdata_len(b)) == 0;
}

/* ---- owners into the zone to be tried ---- */

struct fetch {
    struct text_zone *zone;
    const uint8_t *owner;
    struct text_record place;
};

static int fetch_rrset(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    struct fetch *fetch = context;
    const uint8_t *at = rrset->rdata, *end = rrset->rdata + rrset->rdata_len;
    const size_t owner_len = name_len(fetch->owner, NAME_MAX_LEN);
    int error = 0;

    (void)owner;
    fetch->place.type = rrset->type;
    fetch->place.ttl = rrset->ttl;
    for (unsigned i = 0; i < rrset->rr_count && error == 0; i++) {
        if (end - at < 2 || end - at - 2 < (at[0] << 8 | at[1]))
            return -EBADMSG;
        const size_t len = (size_t)(at[0] << 8 | at[1]);
        if (!text_rdata_is_valid(rrset->type, at + 2, len))
            return -EBADMSG;
        error = text_append(fetch->zone, fetch->owner, owner_len, &fetch->place, at + 2, len);
        at += 2 + len;
    }
    return error;
}

/* Add all that the database has at `owner`. */
static int fetch_owner(struct change *change, const uint8_t *owner, const struct text_record *place)
{
    struct fetch fetch = {change->after, owner, *place};
    uint8_t hash[20];
    int error = zonedb_writer_change_walk(change->writer, owner, fetch_rrset, &fetch);

    if ((error == 0 || error == -ENOENT) && text_is_hash_owner(change->after, owner) &&
        base32hex_decode(owner + 1, hash))
        error = zonedb_writer_change_walk_nsec3(change->writer, hash, fetch_rrset, &fetch);
    return error == -ENOENT ? 0 : error;
}

/* ---- the lines of one owner ---- */

static void drop_record(struct text_zone *zone, struct text_owner *owner, size_t index)
{
    zone->records[index] = zone->records[--zone->record_count];
    owner->count--;
}

/* The index of a record of this owner, which is the last of the zone; SIZE_MAX: none. */
static size_t find_record(const struct text_zone *zone, const struct text_record *wanted,
                          bool is_any_of_type)
{
    const struct text_owner *owner = &zone->owners[zone->owner_count - 1];

    for (size_t i = owner->first; i < zone->record_count; i++)
        if (is_any_of_type ? zone->records[i].type == wanted->type
                           : is_same_record(&zone->records[i], wanted))
            return i;
    return SIZE_MAX;
}

/* The TTL of what goes is noted in its line. */
static void remove_record(struct change *change, struct text_record *line, bool is_there)
{
    struct text_zone *after = change->after;
    const size_t found = is_there ? find_record(after, line, false) : SIZE_MAX;

    if (found == SIZE_MAX) {
        text_tell(after, TEXT_ERROR, line, TEXT_AT_OWNER, "the zone has no such record");
        return;
    }
    line->ttl = after->records[found].ttl;
    drop_record(after, &after->owners[after->owner_count - 1], found);
}

/* RFC 1982: a is before b. */
static bool is_before(uint32_t a, uint32_t b)
{
    return a != b && b - a < 0x80000000U;
}

static uint32_t soa_serial(const struct text_record *soa)
{
    const uint8_t *serial = soa->rdata + 2 + rdata_len(soa) - 20;

    return (uint32_t)serial[0] << 24 | (uint32_t)serial[1] << 16 | (uint32_t)serial[2] << 8 |
           serial[3];
}

static int add_record(struct change *change, const uint8_t *owner, const struct text_record *line,
                      bool is_there)
{
    struct text_zone *after = change->after;
    struct text_record added = *line;
    const size_t kin = is_there ? find_record(after, line, true) : SIZE_MAX;
    const uint32_t ttl = kin != SIZE_MAX ? after->records[kin].ttl : TEXT_TTL_DEFAULT;

    if (line->type == TYPE_SOA) {
        if (change->has_soa)
            text_tell(after, TEXT_ERROR, line, TEXT_AT_TYPE, "several SOAs at the zone's apex");
        else if (!is_before(change->serial_before, soa_serial(line)))
            text_tell(after, TEXT_ERROR, line, TEXT_AT_RDATA,
                      "the serial must be higher than %u, that of the zone (RFC 1982)",
                      change->serial_before);
        if (kin != SIZE_MAX)
            drop_record(after, &after->owners[after->owner_count - 1], kin);
        change->has_soa = true;
    } else if (is_there && find_record(after, line, false) != SIZE_MAX) {
        text_tell(after, TEXT_ERROR, line, TEXT_AT_OWNER, "the zone has this record already");
        return 0;
    }
    if (line->ttl == TEXT_TTL_NONE)
        added.ttl = ttl;
    return text_append(after, owner, name_len(owner, NAME_MAX_LEN), &added, line->rdata + 2,
                       rdata_len(line));
}

/* Whether the last owner of the zone is this one. */
static bool is_last_owner(const struct text_zone *zone, const struct text_owner *owner)
{
    const struct text_owner *last =
        zone->owner_count == 0 ? NULL : &zone->owners[zone->owner_count - 1];

    return last != NULL && last->key_len == owner->key_len &&
           memcmp(last->key, owner->key, owner->key_len) == 0;
}

/* An owner that is left without records is none. */
static void drop_empty_owner(struct text_zone *zone)
{
    if (zone->owner_count > 0 && zone->owners[zone->owner_count - 1].count == 0) {
        zone->owner_count--;
        zone->last_owner_len = 0;
    }
}

static int change_owner(struct change *change, const struct text_owner *owner)
{
    struct text_record *lines = &change->lines->records[owner->first];
    const uint8_t *name = text_owner_name(owner);
    int error = fetch_owner(change, name, &lines[0]);

    for (uint32_t i = 0; i < owner->count && error == 0; i++)
        if (lines[i].file == TEXT_FILE_REMOVED)
            remove_record(change, &lines[i], is_last_owner(change->after, owner));
    for (uint32_t i = 0; i < owner->count && error == 0; i++)
        if (lines[i].file == TEXT_FILE_ADDED)
            error = add_record(change, name, &lines[i], is_last_owner(change->after, owner));
    drop_empty_owner(change->after);
    return error;
}

/* ---- the rest of what the rules look at ---- */

/* The owner stands in the change, hence already in the zone to be tried, or nowhere. */
static bool is_changed(const struct change *change, const uint8_t *name)
{
    return text_find_name(change->lines, name, 0) < change->lines->owner_count;
}

static int fetch_above(struct change *change, const struct text_owner *owner,
                       const struct text_record *place)
{
    const uint8_t *name = text_owner_name(owner);
    const unsigned apex_labels = name_label_count(change->after->apex);
    const unsigned labels = name_label_count(name);
    int error = 0;

    for (unsigned i = 1; i + apex_labels < labels && error == 0; i++)
        if (!is_changed(change, name_skip(name, i)))
            error = fetch_owner(change, name_skip(name, i), place);
    return error;
}

/* The name servers of a cut at or below it. */
static int fetch_below(struct change *change, const struct text_record *ns)
{
    const struct text_record place = *ns; /* the array of records may move */
    const uint8_t *target = place.rdata + 2;

    if (!name_is_at_or_below(target, text_owner_name(&change->after->owners[place.owner])) ||
        is_changed(change, target))
        return 0;
    return fetch_owner(change, target, &place);
}

static int fetch_around(struct change *change)
{
    static const struct text_record top = {.offset = TEXT_OFFSET_NONE};
    struct text_zone *lines = change->lines, *after = change->after;
    int error = 0;

    if (!is_changed(change, lines->apex))
        error = fetch_owner(change, lines->apex, &top);
    for (size_t i = 0; i < lines->owner_count && error == 0; i++)
        error = fetch_above(change, &lines->owners[i], &lines->records[lines->owners[i].first]);
    const size_t count = after->record_count;
    for (size_t i = 0; i < count && error == 0; i++)
        if (after->records[i].type == TYPE_NS)
            error = fetch_below(change, &after->records[i]);
    return error;
}

/* ---- try and write ---- */

/* Without a SOA in the change, the serial is raised by one. */
static void raise_serial(struct change *change)
{
    const struct text_record *soa = text_owner_record(change->after, 0, TYPE_SOA);

    if (soa == NULL || soa_serial(soa) != change->serial_before)
        return;
    /* In the arena of the zone to be tried, which is ours. */
    uint8_t *serial = (uint8_t *)(uintptr_t)(soa->rdata + 2 + rdata_len(soa) - 20);
    for (int i = 3; i >= 0 && ++serial[i] == 0; i--)
        ;
}

static int try_rules(struct change *change)
{
    struct text_zone *after = change->after;
    int error = text_sort(after);

    if (error == 0 && change->signing == ZONEDB_UNSIGNED && after->counts.errors == 0)
        raise_serial(change);
    if (error == 0)
        error = text_arrange(after);
    if (error == 0)
        error = text_check_nodes(after);
    if (error == 0 && after->counts.errors == 0)
        text_check_change(after, change->lines, change->signing);
    return error;
}

static int write_owner(struct change *change, struct text_node *node,
                       const struct text_owner *owner)
{
    const struct text_zone *after = change->after;
    const uint8_t *name = text_owner_name(owner);
    const size_t found = text_find(after, owner->key, owner->key_len, 0);
    const bool is_hash = text_is_hash_owner(after, name);
    uint8_t hash[20];
    int error = 0;

    for (int is_nsec3 = 0; is_nsec3 <= is_hash && error == 0; is_nsec3++) {
        size_t count = 0;
        if (found < after->owner_count && (error = text_node_fill(node, after, found)) == 0)
            count = text_node_select(node, is_nsec3 != 0);
        if (error == 0 && is_nsec3 == 0)
            error = zonedb_writer_change_node(change->writer, name, node->rrsets, count);
        else if (error == 0 && base32hex_decode(name + 1, hash))
            error = zonedb_writer_change_nsec3(change->writer, hash, node->rrsets, count);
    }
    return error;
}

static int write_owners(struct change *change)
{
    const struct text_zone *lines = change->lines;
    struct text_node node = {0};
    int error = 0;

    if (!is_changed(change, lines->apex))
        error = write_owner(change, &node, &change->after->owners[0]);
    for (size_t i = 0; i < lines->owner_count && error == 0; i++)
        error = write_owner(change, &node, &lines->owners[i]);
    text_node_free(&node);
    return error;
}

static int find_serial(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    uint32_t *serial = context;
    const struct text_record soa = {.rdata = rrset->rdata};

    (void)owner;
    if (rrset->type == TYPE_SOA && rrset->rdata_len >= 2 + 22 &&
        rdata_len(&soa) + 2 == rrset->rdata_len)
        *serial = soa_serial(&soa);
    return 0;
}

/* Everything inside of the transaction. */
static int change_zone(struct change *change, uint64_t now_s)
{
    struct text_zone *lines = change->lines;
    const int signing = zonedb_writer_change_begin(change->writer, lines->apex);
    int error = signing < 0 ? signing : 0;

    change->signing = (enum zonedb_signing)signing;
    change->has_soa = false;
    if (error == 0)
        error = zonedb_writer_change_walk(change->writer, lines->apex, find_serial,
                                          &change->serial_before);
    for (size_t i = 0; i < lines->owner_count && error == 0; i++)
        error = change_owner(change, &lines->owners[i]);
    if (error == 0)
        error = fetch_around(change);
    if (error == 0)
        error = try_rules(change);
    if (error == 0 && change->after->counts.errors > 0)
        error = -EINVAL;
    if (error == 0)
        error = write_owners(change);
    if (error == 0)
        error = text_check_change_chain(change->after, lines, change->writer, change->signing);
    if (error == 0 && change->after->counts.errors > 0)
        error = -EINVAL;
    if (error == 0)
        error = zonedb_writer_change_end(change->writer, now_s);
    return error;
}

/* What has become of the delegation at this owner of the change. */
static void tell_moved(const struct change *change, const struct text_owner *owner)
{
    const struct text_zone *after = change->after;
    const struct text_record *lines = &change->lines->records[owner->first];
    const size_t found = text_find_name(after, text_owner_name(owner), 0);
    uint32_t added = 0, now = 0, ttl = 0;
    bool is_touched = false;

    for (uint32_t i = 0; i < owner->count; i++) {
        added += lines[i].type == TYPE_NS && lines[i].file == TEXT_FILE_ADDED;
        if (lines[i].type != TYPE_NS || lines[i].file != TEXT_FILE_REMOVED)
            continue;
        is_touched = true;
        ttl = lines[i].ttl;
    }
    for (uint32_t i = 0; found < after->owner_count && i < after->owners[found].count; i++)
        now += after->records[after->owners[found].first + i].type == TYPE_NS;
    if (is_touched && now == added)
        after->options.moved(after->options.context, text_owner_name(owner), ttl, now == 0);
}

static void tell_all_moved(const struct change *change)
{
    for (size_t i = 0; i < change->lines->owner_count; i++)
        if (!name_equal(text_owner_name(&change->lines->owners[i]), change->lines->apex))
            tell_moved(change, &change->lines->owners[i]);
}

/* The zone to be tried tells messages as the lines do. */
static struct text_zone *after_new(const struct change *change)
{
    struct text_options options = change->lines->options;

    if (change->is_told)
        options.message = NULL;
    struct text_zone *after = text_zone_new(change->lines->apex, &options);
    if (after != NULL && text_share_files(after, change->lines) != 0) {
        text_zone_free(after);
        return NULL;
    }
    return after;
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int attempt(struct change *change, struct zonedb *db, uint64_t now_s,
                   struct text_change_counts *counts)
{
    const uint64_t begun_ns = clock_ns();
    int error = zonedb_writer_begin(db, &change->writer);

    if (error != 0)
        return error;
    counts->wait_ns += clock_ns() - begun_ns;
    text_progress(change->lines, TEXT_WRITING, 0, 0);
    change->after = after_new(change);
    error = change->after == NULL ? -ENOMEM : change_zone(change, now_s);
    if (change->after != NULL) {
        counts->errors = change->after->counts.errors;
        counts->warnings = change->after->counts.warnings;
        counts->serial_before = change->serial_before;
        if (error == 0)
            counts->serial_after = text_zone_serial(change->after);
    }
    if (error == 0)
        error = zonedb_writer_commit(change->writer);
    else
        zonedb_writer_abort(change->writer);
    if (error == 0 && change->lines->options.moved != NULL)
        tell_all_moved(change);
    text_zone_free(change->after);
    change->after = NULL;
    change->is_told = true;
    return error;
}

static int change_db(struct change *change, struct zonedb *db, uint64_t now_s,
                     struct text_change_counts *counts)
{
    for (unsigned i = 0;; i++) {
        int error = attempt(change, db, now_s, counts);
        if (error != -ENOSPC || i == GROW_MAX)
            return error;
        error = zonedb_grow(db);
        if (error != 0)
            return error;
    }
}

/* A change of nothing is one of a zone all the same. */
static int find_zone(const uint8_t *apex, struct zonedb *db)
{
    struct zonedb_zone zone;
    struct zonedb_view *view;
    int error = zonedb_view_open(db, &view);

    if (error == 0)
        error = zonedb_zone_get(view, apex, &zone);
    zonedb_view_close(view);
    return error;
}

static int change_text(const uint8_t *apex, const char *file, const char *text, size_t text_len,
                       const struct text_options *options, struct zonedb *db, uint64_t now_s,
                       struct text_change_counts *counts)
{
    struct change change = {.lines = text_zone_new(apex, options)};

    if (change.lines == NULL)
        return -ENOMEM;
    int error = text_scan_changes(change.lines, file, text, text_len);
    for (size_t i = 0; i < change.lines->record_count; i++)
        *(change.lines->records[i].file == TEXT_FILE_ADDED ? &counts->added : &counts->removed) +=
            1;
    counts->errors = change.lines->counts.errors;
    if (error == 0 && counts->errors > 0)
        error = -EINVAL;
    if (error == 0)
        error = text_sort(change.lines);
    counts->owners = change.lines->owner_count;
    if (error == 0)
        error = change.lines->record_count > 0 ? change_db(&change, db, now_s, counts)
                                               : find_zone(apex, db);
    text_zone_free(change.lines);
    return error;
}

int text_zone_change(const uint8_t *apex, const char *file, const struct text_options *options,
                     struct zonedb *db, uint64_t now_s, struct text_change_counts *counts_out)
{
    struct text_change_counts counts = {0};
    const int error = change_text(apex, file, NULL, 0, options, db, now_s, &counts);

    if (counts_out != NULL)
        *counts_out = counts;
    return error;
}

int text_zone_change_memory(const uint8_t *apex, const char *name, const char *text,
                            size_t text_len, const struct text_options *options, struct zonedb *db,
                            uint64_t now_s, struct text_change_counts *counts_out)
{
    struct text_change_counts counts = {0};
    const int error = change_text(apex, name, text, text_len, options, db, now_s, &counts);

    if (counts_out != NULL)
        *counts_out = counts;
    return error;
}
