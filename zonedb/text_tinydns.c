/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_tinydns.c - records of all lines, in canonical order, dealt out to their zones.
 *
 * In that order a zone is a run of owners with the zones below it inside: a stack of apexes tells
 * where each owner goes.
 */
#include "zonedb/text_tinydns.h"
#include "zonedb/text_tinydns_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct text_tinydns {
    struct text_zone *source; /* all records; has the file */
    struct text_zone **zones;
    size_t count, cap;
};

/* A zone that the owner at hand is at or below; the lower one is higher on the stack. */
struct level {
    size_t zone;  /* of the set; SIZE_MAX: it was not asked for */
    size_t owner; /* its apex, in the source */
};

struct deal {
    struct text_tinydns *set;
    const uint8_t *wanted; /* apex; NULL: all */
    const struct text_options *options;
    struct level levels[NAME_LABELS_MAX + 1];
    size_t depth;
};

/* ---- zones ---- */

static char kind_of(const struct text_zone *source, const struct text_record *record)
{
    return source->files[0].base[record->offset];
}

static int zone_add(struct deal *deal, const struct text_owner *apex)
{
    struct text_tinydns *set = deal->set;

    if (set->count == set->cap) {
        const size_t cap = set->cap == 0 ? 16 : set->cap * 2;
        struct text_zone **grown = reallocarray(set->zones, cap, sizeof(struct text_zone *));
        if (grown == NULL)
            return -ENOMEM;
        set->zones = grown;
        set->cap = cap;
    }
    struct text_zone *zone = text_zone_new(text_owner_name(apex), deal->options);
    if (zone == NULL)
        return -ENOMEM;
    zone->is_tinydns = true;
    zone->options.spill_directory = NULL;
    set->zones[set->count++] = zone;
    return text_share_files(zone, set->source);
}

static struct text_zone *level_zone(const struct deal *deal, size_t depth)
{
    if (depth == 0 || deal->levels[depth - 1].zone == SIZE_MAX)
        return NULL;
    return deal->set->zones[deal->levels[depth - 1].zone];
}

/* Where owner number `owner` is: leave the zones that it is not below, enter that of which it is the
 * apex. */
static int enter(struct deal *deal, size_t number)
{
    const struct text_zone *source = deal->set->source;
    const struct text_owner *owner = &source->owners[number];

    while (deal->depth > 0 &&
           !text_key_is_below(owner, &source->owners[deal->levels[deal->depth - 1].owner]))
        deal->depth--;
    if (text_owner_record(source, number, TYPE_SOA) == NULL)
        return 0;
    struct level *level = &deal->levels[deal->depth++];
    *level = (struct level){SIZE_MAX, number};
    if (deal->wanted != NULL && !name_equal(deal->wanted, text_owner_name(owner)))
        return 0;
    level->zone = deal->set->count;
    return zone_add(deal, owner);
}

/* ---- records ---- */

static int copy(struct text_zone *zone, const struct text_owner *owner,
                const struct text_record *record)
{
    const uint8_t *name = text_owner_name(owner);

    return text_append(zone, name, name_len(name, NAME_MAX_LEN), record, record->rdata + 2,
                       (size_t)(record->rdata[0] << 8 | record->rdata[1]));
}

/* The first one in the file counts. Those of "." lines come one with each name server. */
static bool is_other_soa(struct text_zone *source, const struct text_owner *owner,
                         const struct text_record *record)
{
    if (record->type != TYPE_SOA)
        return false;
    for (uint32_t i = 0; i < owner->count; i++) {
        const struct text_record *other = &source->records[owner->first + i];
        if (other->type != TYPE_SOA || other->offset >= record->offset)
            continue;
        if (kind_of(source, record) == 'Z')
            text_tell(source, TEXT_WARNING, record, TEXT_AT_OWNER,
                      "the zone has a SOA of a line before; this one is not used");
        return true;
    }
    return false;
}

static void tell_astray(struct text_zone *source, const struct text_record *record)
{
    const char kind = kind_of(source, record);
    const bool is_by_the_way =
        (kind == '=' && record->type == TYPE_PTR) ||
        (record->type == TYPE_A && (kind == '.' || kind == '&' || kind == '@'));

    if (!is_by_the_way)
        text_tell(source, TEXT_WARNING, record, TEXT_AT_OWNER,
                  "left out: in no zone of this file (no \".\" or \"Z\" line above it)");
}

/* The owner is a name server of the zone at the top of the stack. */
static bool is_server(const struct deal *deal, const struct text_owner *owner)
{
    const struct text_zone *source = deal->set->source;
    const struct text_owner *apex = &source->owners[deal->levels[deal->depth - 1].owner];

    for (uint32_t i = 0; i < apex->count; i++) {
        const struct text_record *record = &source->records[apex->first + i];
        if (record->type == TYPE_NS && name_equal(record->rdata + 2, text_owner_name(owner)))
            return true;
    }
    return false;
}

/* What the zone above has of it: the delegation. */
static bool is_for_parent(const struct deal *deal, const struct text_owner *owner,
                          const struct text_record *record, bool is_at_apex)
{
    return (is_at_apex && record->type == TYPE_NS) ||
           (record->type == TYPE_A && is_server(deal, owner)) ||
           (record->type == TYPE_AAAA && is_server(deal, owner));
}

static int deal_owner(struct deal *deal, size_t number)
{
    struct text_zone *source = deal->set->source;
    const struct text_owner *owner = &source->owners[number];
    int error = enter(deal, number);
    const bool is_at_apex = deal->depth > 0 && deal->levels[deal->depth - 1].owner == number;
    struct text_zone *zone = level_zone(deal, deal->depth);
    struct text_zone *parent = deal->depth > 1 ? level_zone(deal, deal->depth - 1) : NULL;

    for (uint32_t i = 0; i < owner->count && error == 0; i++) {
        const struct text_record *record = &source->records[owner->first + i];
        if (deal->depth == 0 && deal->wanted == NULL)
            tell_astray(source, record);
        if (zone != NULL && !is_other_soa(source, owner, record))
            error = copy(zone, owner, record);
        if (error == 0 && parent != NULL && is_for_parent(deal, owner, record, is_at_apex))
            error = copy(parent, owner, record);
    }
    return error;
}

/* ---- wildcards ---- */

/* One name below a wildcard's parent is enough to tell of. Owners are in canonical order. */
static void tell_wildcards(struct text_zone *zone)
{
    for (size_t i = 0; i < zone->owner_count; i++) {
        const struct text_owner *wildcard = &zone->owners[i];
        const uint8_t *name = text_owner_name(wildcard);
        if (name[0] != 1 || name[1] != '*')
            continue;
        const struct text_owner above = {.key = wildcard->key,
                                         .key_len = (uint16_t)(wildcard->key_len - 2)};
        size_t other = i + 1;
        while (other < zone->owner_count && text_key_is_below(&zone->owners[other], wildcard))
            other++;
        if (other == zone->owner_count || !text_key_is_below(&zone->owners[other], &above))
            continue;
        char text[NAME_TEXT_MAX], below[NAME_TEXT_MAX];
        text_tell(zone, TEXT_WARNING, &zone->records[wildcard->first], TEXT_AT_OWNER,
                  "%s does not hold below names that exist, such as %s (RFC 4592); with tinydns it "
                  "does",
                  name_to_text(name, text),
                  name_to_text(text_owner_name(&zone->owners[other]), below));
        return;
    }
}

/* ---- all of it ---- */

static int finish_zones(struct deal *deal)
{
    struct text_tinydns *set = deal->set;
    bool is_refused = false;

    for (size_t i = 0; i < set->count; i++) {
        struct text_zone *zone = set->zones[i];
        const int error = text_zone_finish(zone);
        if (error != 0 && error != -EINVAL)
            return error;
        is_refused |= error != 0;
        if (error == 0)
            tell_wildcards(zone);
    }
    return is_refused ? -EINVAL : 0;
}

static int deal_out(struct deal *deal)
{
    struct text_zone *source = deal->set->source;
    int error = text_sort(source);

    for (size_t i = 0; i < source->owner_count && error == 0; i++)
        error = deal_owner(deal, i);
    if (error == 0 && deal->set->count == 0) {
        char text[NAME_TEXT_MAX];
        text_tell_at(source, TEXT_ERROR, 0, SIZE_MAX, "no \".\" or \"Z\" line%s%s",
                     deal->wanted != NULL ? " of " : "",
                     deal->wanted != NULL ? name_to_text(deal->wanted, text) : "");
        error = -EINVAL;
    }
    return error == 0 ? finish_zones(deal) : error;
}

static void sum_up(const struct text_tinydns *set, struct text_counts *sum)
{
    *sum = set->source->counts;
    for (size_t i = 0; i < set->count; i++) {
        const struct text_counts *counts = &set->zones[i]->counts;
        sum->records += counts->records;
        sum->duplicates += counts->duplicates;
        sum->owners += counts->owners;
        sum->errors += counts->errors;
        sum->warnings += counts->warnings;
    }
}

static struct text_tinydns *set_new(const struct text_options *options)
{
    static const uint8_t root[1] = {0};
    struct text_tinydns *set = calloc(1, sizeof(*set));

    if (set == NULL)
        return NULL;
    set->source = text_zone_new(root, options);
    if (set->source == NULL) {
        free(set);
        return NULL;
    }
    set->source->is_tinydns = true;
    set->source->options.spill_directory = NULL;
    return set;
}

/* The source has its file, or an error has been told. */
static int read_set(struct text_tinydns *set, int error, uint32_t serial, const uint8_t *apex,
                    uint64_t now_s, const struct text_options *options,
                    struct text_tinydns **set_out, struct text_counts *counts_out)
{
    struct deal deal = {.set = set, .wanted = apex, .options = options};

    if (error == 0)
        error = text_tinydns_lines(set->source, serial, now_s);
    if (error == 0 && set->source->counts.errors > 0)
        error = -EINVAL;
    if (error == 0)
        error = deal_out(&deal);
    if (counts_out != NULL)
        sum_up(set, counts_out);
    if (error != 0) {
        text_tinydns_free(set);
        set = NULL;
    }
    *set_out = set;
    return error;
}

int text_tinydns_read(const char *file, const uint8_t *apex, uint64_t now_s,
                      const struct text_options *options, struct text_tinydns **set_out,
                      struct text_counts *counts_out)
{
    struct text_tinydns *set = set_new(options);
    const bool is_stdin = strcmp(file, "-") == 0;
    struct stat status;
    uint32_t serial = (uint32_t)now_s;

    *set_out = NULL;
    if (set == NULL)
        return -ENOMEM;
    if (!is_stdin && stat(file, &status) == 0)
        serial = (uint32_t)status.st_mtime;
    int error = text_file_open(set->source, file, is_stdin ? "(standard input)" : file);
    if (error == 0)
        error = text_file_next(&set->source->files[0]) < 0 ? -EIO : 0;
    if (error != 0 && error != -ENOMEM) {
        text_tell_at(set->source, TEXT_ERROR, 0, SIZE_MAX, "%s", strerror(-error));
        error = -EINVAL;
    }
    return read_set(set, error, serial, apex, now_s, options, set_out, counts_out);
}

int text_tinydns_read_memory(const char *name, const char *text, size_t text_len, uint32_t serial,
                             const uint8_t *apex, uint64_t now_s,
                             const struct text_options *options, struct text_tinydns **set_out,
                             struct text_counts *counts_out)
{
    struct text_tinydns *set = set_new(options);
    struct text_file *file;

    *set_out = NULL;
    if (set == NULL)
        return -ENOMEM;
    const int error = text_file_add(set->source, name, &file);
    if (error == 0) {
        file->base = text;
        file->size = file->total = text_len;
    }
    return read_set(set, error, serial, apex, now_s, options, set_out, counts_out);
}

struct text_zone *const *text_tinydns_zones(const struct text_tinydns *set, size_t *count_out)
{
    *count_out = set->count;
    return set->zones;
}

void text_tinydns_free(struct text_tinydns *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        text_zone_free(set->zones[i]);
    free(set->zones);
    text_zone_free(set->source);
    free(set);
}
