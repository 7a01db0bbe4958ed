/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_scan.c - text into records: libzscanner, one record at a time, and what can be said of a
 * record by itself.
 */
#include "zonedb/text_rdata.h"
#include "zonedb/text_runs.h"
#include "zonedb/text_stream.h"
#include "zonedb/text_zone.h"

#include <errno.h>
#include <fcntl.h>
#include <libzscanner/scanner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TTL_MAX 0x7fffffffU
#define FILES_MAX 65535
#define PROGRESS_EVERY 8192

/* ---- records ---- */

bool text_is_hash_owner(const struct text_zone *zone, const uint8_t *owner)
{
    if (owner[0] != 32 || !name_equal(owner + 33, zone->apex))
        return false;
    for (unsigned i = 1; i <= 32; i++) {
        const uint8_t c = owner[i] | 0x20;
        if (!((owner[i] >= '0' && owner[i] <= '9') || (c >= 'a' && c <= 'v')))
            return false;
    }
    return true;
}

/* What is wrong with the record by itself; NULL: nothing. */
static const char *find_fault(const struct text_zone *zone, const zs_scanner_t *scanner,
                              enum text_spot *spot_out)
{
    const bool is_at_apex = name_equal(scanner->r_owner, zone->apex);

    *spot_out = TEXT_AT_OWNER;
    if (!name_is_at_or_below(scanner->r_owner, zone->apex))
        return "the name is outside of the zone";
    *spot_out = TEXT_AT_TYPE;
    if (text_type_is_meta(scanner->r_type))
        return "this type is not data and cannot be in a zone";
    if (scanner->r_type == TYPE_SOA && !is_at_apex)
        return "a SOA below the zone's apex";
    if (scanner->r_type == TYPE_NSEC3PARAM && !is_at_apex)
        return "an NSEC3PARAM below the zone's apex";
    *spot_out = TEXT_AT_TTL;
    const bool has_no_ttl = zone->is_change && scanner->r_ttl == TEXT_TTL_NONE;
    if (scanner->r_ttl > TTL_MAX && !has_no_ttl)
        return "the TTL is above 2147483647";
    *spot_out = TEXT_AT_RDATA;
    if (!text_rdata_is_valid(scanner->r_type, scanner->r_data, scanner->r_data_length))
        return "malformed RDATA of this type";
    *spot_out = TEXT_AT_OWNER;
    if (scanner->r_type == TYPE_NSEC3 && !text_is_hash_owner(zone, scanner->r_owner))
        return "the owner of an NSEC3 must be 32 base32hex digits right below the apex";
    return NULL;
}

static int take_record(struct text_zone *zone, const zs_scanner_t *scanner, size_t file,
                       size_t offset)
{
    const struct text_record record = {
        .offset = offset,
        .ttl = scanner->r_ttl,
        .type = scanner->r_type,
        .file = (uint16_t)file,
    };

    if (scanner->r_class != 1) {
        text_tell(zone, TEXT_ERROR, &record, TEXT_AT_OWNER, "class %u; only class IN is served",
                  scanner->r_class);
        return 0;
    }
    enum text_spot spot;
    const char *fault = find_fault(zone, scanner, &spot);
    if (fault != NULL && record.type == TYPE_SOA && spot == TEXT_AT_OWNER) {
        char apex[NAME_TEXT_MAX];
        text_tell(zone, TEXT_ERROR, &record, spot, "%s: a SOA of %s, is that the zone meant?",
                  fault, name_to_text(scanner->r_owner, apex));
        return 0;
    }
    if (fault != NULL) {
        char name[24];
        text_tell(zone, TEXT_ERROR, &record, spot, "%s (%s)", fault,
                  text_type_name(record.type, name, sizeof(name)));
        return 0;
    }
    const int error = text_append(zone, scanner->r_owner, scanner->r_owner_length, &record,
                                  scanner->r_data, scanner->r_data_length);
    if (error != 0 || zone->options.spill_directory == NULL)
        return error;
    if (zone->stream != NULL)
        return text_stream_next(zone);
    const size_t limit = zone->options.memory_octets;
    if (text_memory(zone) < (limit == 0 ? TEXT_MEMORY_DEFAULT : limit))
        return 0;
    return text_stream_is_possible(zone) ? text_stream_begin(zone) : text_runs_spill(zone);
}

/* ---- the scanner ---- */

struct source {
    const struct source *parent;
    size_t file;
    unsigned depth;
};

static int scan_source(struct text_zone *zone, const struct source *source, const char *origin,
                       uint32_t ttl);

/* Where the scanner stands. It ends each input with a newline block of its own. */
static size_t scanner_offset(const struct text_zone *zone, const zs_scanner_t *scanner, size_t file)
{
    const struct text_file *input = &zone->files[file];

    return input->base_offset + (scanner->input.start == input->base
                                     ? (size_t)(scanner->input.current - input->base)
                                     : input->size);
}

/* The rest of the line, from the offending octet on, is in the scanner's buffer, NUL included. */
static void tell_syntax_error(struct text_zone *zone, const zs_scanner_t *scanner, size_t file,
                              size_t begin)
{
    const size_t end = scanner_offset(zone, scanner, file);
    size_t rest = scanner->buffer_length > 0 ? scanner->buffer_length - 1 : 0;
    const bool is_unclosed = scanner->error.code == ZS_UNCLOSED_MULTILINE;

    if (rest > end - begin)
        rest = end - begin;
    zone->is_incomplete = true;
    if (is_unclosed) {
        const struct text_record record = {.offset = begin, .file = (uint16_t)file};
        text_tell(zone, TEXT_ERROR, &record, TEXT_AT_OWNER, "%s", zs_strerror(scanner->error.code));
    } else {
        text_tell_at(zone, TEXT_ERROR, file, end - rest, "%s", zs_strerror(scanner->error.code));
    }
}

/* The path as seen from the including file. libzscanner has put "./" before a relative one. */
static char *include_path(const struct text_zone *zone, const zs_scanner_t *scanner, size_t file)
{
    const char *included = scanner->include_filename;
    const char *including = zone->files[file].name;
    const char *slash = strrchr(including, '/');
    char *path = NULL;

    if (strncmp(included, "./", 2) == 0)
        included += 2;
    if (included[0] == '/' || slash == NULL)
        return strdup(included);
    return asprintf(&path, "%.*s%s", (int)(slash - including + 1), including, included) < 0 ? NULL
                                                                                            : path;
}

static bool is_loop(const struct text_zone *zone, const struct source *source)
{
    const struct text_file *file = &zone->files[source->file];

    for (const struct source *above = source->parent; above != NULL; above = above->parent)
        if (zone->files[above->file].inode == file->inode &&
            zone->files[above->file].device == file->device)
            return true;
    return false;
}

/* The line of the $INCLUDE that the scanner has just read. */
static size_t directive_offset(const struct text_zone *zone, const zs_scanner_t *scanner,
                               size_t file)
{
    const struct text_file *input = &zone->files[file];
    const size_t end = scanner_offset(zone, scanner, file) - input->base_offset;
    const char *newline = end == 0 ? NULL : memrchr(input->base, '\n', end - 1);

    return input->base_offset + (newline == NULL ? 0 : (size_t)(newline - input->base) + 1);
}

static int include(struct text_zone *zone, const zs_scanner_t *scanner, const struct source *source)
{
    const size_t offset = directive_offset(zone, scanner, source->file);
    const struct source included = {source, zone->file_count, source->depth + 1};

    if (!zone->has_include || included.depth > TEXT_INCLUDE_DEPTH ||
        zone->file_count >= FILES_MAX) {
        zone->is_incomplete = true;
        text_tell_at(zone, TEXT_ERROR, source->file, offset, "%s",
                     zone->has_include ? "$INCLUDE nested too deep, or too many files"
                                       : "$INCLUDE is not possible here");
        return 0;
    }
    char *path = include_path(zone, scanner, source->file);
    if (path == NULL)
        return -ENOMEM;
    char origin[NAME_TEXT_MAX + 1];
    snprintf(origin, sizeof(origin), "%.*s", NAME_TEXT_MAX, (const char *)scanner->buffer);
    int error = text_file_open(zone, path, path);
    if (error == 0 && !is_loop(zone, &included)) {
        error = scan_source(zone, &included, origin, scanner->default_ttl);
    } else if (error != -ENOMEM) {
        zone->is_incomplete = true;
        text_tell_at(zone, TEXT_ERROR, source->file, offset, "$INCLUDE of %s: %s", path,
                     error != 0 ? strerror(-error) : "the file includes itself");
        error = 0;
    }
    free(path);
    return error;
}

/* No more of this file makes sense. */
#define SCAN_ENDS 1

/* All records of a piece of text. Returns 0; SCAN_ENDS; negative errno. */
static int scan_records(struct text_zone *zone, zs_scanner_t *scanner, const struct source *source)
{
    size_t begin = zone->files[source->file].base_offset;
    int error = 0;

    for (uint64_t round = 0; error == 0 && !text_is_full(zone); round++) {
        if (zs_parse_record(scanner) != 0 && scanner->state != ZS_STATE_ERROR)
            return -EINVAL;
        const size_t now = scanner_offset(zone, scanner, source->file);
        switch (scanner->state) {
        case ZS_STATE_DATA:
            error = take_record(zone, scanner, source->file, begin);
            break;
        case ZS_STATE_INCLUDE:
            error = include(zone, scanner, source);
            break;
        case ZS_STATE_ERROR:
            tell_syntax_error(zone, scanner, source->file, begin);
            /* A scanner that does not get on would tell the same for ever. */
            if (scanner->error.fatal || now == begin)
                return SCAN_ENDS;
            break;
        case ZS_STATE_NONE:
        case ZS_STATE_EOF:
        case ZS_STATE_STOP:
            return 0;
        }
        begin = now;
        if (round % PROGRESS_EVERY == 0 && source->parent == NULL)
            text_progress(zone, TEXT_READING, now, zone->files[source->file].total);
    }
    return error;
}

/* All pieces of a file, one after the other: the scanner goes on as if they were one. */
static int scan_pieces(struct text_zone *zone, zs_scanner_t *scanner, const struct source *source)
{
    int status = 0;

    while (status == 0 && !text_is_full(zone) &&
           (status = text_file_next(&zone->files[source->file])) == 1) {
        const struct text_file *piece = &zone->files[source->file];
        zone->counts.octets += piece->size;
        status = 0;
        if (piece->size > 0 && zs_set_input_string(scanner, piece->base, piece->size) == 0)
            status = scan_records(zone, scanner, source);
    }
    return status == SCAN_ENDS ? 0 : status;
}

struct text_scanner {
    zs_scanner_t scanner;
    bool is_set_up, is_clean;
};

struct text_scanner *text_scanner_new(void)
{
    struct text_scanner *scanner = malloc(sizeof(*scanner));

    if (scanner != NULL)
        scanner->is_set_up = scanner->is_clean = false;
    return scanner;
}

void text_scanner_free(struct text_scanner *scanner)
{
    if (scanner != NULL && scanner->is_set_up)
        zs_deinit(&scanner->scanner);
    free(scanner);
}

/* As zs_init() would leave a scanner that has come to the end of a text without an error: without its
 * clearing two hundred kilobytes. */
static bool scanner_renew(zs_scanner_t *scanner, const char *origin, uint32_t ttl)
{
    char settings[sizeof("$ORIGIN \n") + NAME_TEXT_MAX];
    const int len = snprintf(settings, sizeof(settings), "$ORIGIN %s\n", origin);

    if (zs_set_input_string(scanner, settings, (size_t)len) != 0 || zs_parse_record(scanner) != 0 ||
        scanner->state != ZS_STATE_EOF)
        return false;
    scanner->default_ttl = ttl;
    scanner->r_owner_length = 0;
    scanner->line_counter = 1;
    return true;
}

static int scanner_set_up(struct text_scanner *scanner, const char *origin, uint32_t ttl)
{
    if (scanner->is_set_up && scanner->is_clean && scanner_renew(&scanner->scanner, origin, ttl))
        return 0;
    if (scanner->is_set_up)
        zs_deinit(&scanner->scanner);
    scanner->is_set_up = zs_init(&scanner->scanner, origin, 1, ttl) == 0;
    return scanner->is_set_up ? 0 : -ENOMEM;
}

static int scan_source(struct text_zone *zone, const struct source *source, const char *origin,
                       uint32_t ttl)
{
    struct text_scanner *kept = source->parent == NULL ? zone->options.scanner : NULL;
    struct text_scanner *scanner = kept != NULL ? kept : text_scanner_new();
    int error = scanner == NULL ? -ENOMEM : scanner_set_up(scanner, origin, ttl);

    if (error == 0) {
        error = scan_pieces(zone, &scanner->scanner, source);
        scanner->is_clean = error == 0 && zone->counts.errors == 0;
    }
    if (kept == NULL)
        text_scanner_free(scanner);
    return error;
}

static int scan_top(struct text_zone *zone)
{
    const struct source top = {.file = 0};
    char origin[NAME_TEXT_MAX];

    text_name(zone->apex, origin);
    const int error = scan_source(zone, &top, origin, TEXT_TTL_DEFAULT);
    text_progress(zone, TEXT_READING, zone->files[0].total, zone->files[0].total);
    return error;
}

int text_scan_file(struct text_zone *zone, const char *file)
{
    const int error =
        text_file_open(zone, file, strcmp(file, "-") == 0 ? "(standard input)" : file);

    if (error == -ENOMEM)
        return error;
    if (error != 0) {
        zone->is_incomplete = true;
        text_tell_at(zone, TEXT_ERROR, 0, SIZE_MAX, "%s", strerror(-error));
        return 0;
    }
    zone->has_include = true;
    return scan_top(zone);
}

int text_scan_memory(struct text_zone *zone, const char *name, const char *text, size_t text_len)
{
    struct text_file *file;
    const int error = text_file_add(zone, name, &file);

    if (error != 0)
        return error;
    file->base = text;
    file->size = file->total = text_len;
    return scan_top(zone);
}

/* ---- changes ---- */

/* Where a mistake in the line is: the rest of it, NUL included, is in the scanner's buffer. */
static void tell_line_error(struct text_zone *zone, const zs_scanner_t *scanner, size_t begin,
                            size_t end)
{
    size_t rest = scanner->buffer_length > 0 ? scanner->buffer_length - 1 : 0;

    if (rest > end - begin)
        rest = end - begin;
    if (rest == 0 && zone->files[0].base[end - 1] == '\n')
        rest = 1; /* it is the end of the line */
    if (scanner->error.code == ZS_UNCLOSED_MULTILINE)
        text_tell_at(zone, TEXT_ERROR, 0, begin, "a record must stand on one line");
    else
        text_tell_at(zone, TEXT_ERROR, 0, end - rest, "%s", zs_strerror(scanner->error.code));
}

/* One record between `begin` and `end` of the text, the newline included. */
static int scan_change(struct text_zone *zone, zs_scanner_t *scanner, size_t file, size_t begin,
                       size_t end)
{
    int error = 0;

    if (zs_set_input_string(scanner, zone->files[0].base + begin, end - begin) != 0)
        return -ENOMEM;
    /* The second call swallows the end of the line; an error may show there only. */
    const bool is_read = zs_parse_record(scanner) == 0 && scanner->state == ZS_STATE_DATA;
    if (is_read) {
        error = take_record(zone, scanner, file, begin);
        if (zs_parse_record(scanner) == 0 && scanner->state == ZS_STATE_EOF)
            return error;
    }
    if (scanner->state == ZS_STATE_ERROR)
        tell_line_error(zone, scanner, begin, end);
    else
        text_tell_at(zone, TEXT_ERROR, 0, begin, "no record stands behind the sign");
    return error;
}

/* Octets of blank space at the beginning of a line. */
static size_t blank_len(const char *line, size_t len)
{
    size_t at = 0;

    while (at < len && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r'))
        at++;
    return at;
}

static int scan_change_line(struct text_zone *zone, zs_scanner_t *scanner, size_t begin, size_t end)
{
    const char *line = zone->files[0].base + begin;
    const size_t len = end - begin, blank = blank_len(line, len);

    if (blank == len || line[blank] == '\n' || line[blank] == ';')
        return 0;
    const size_t gap = blank_len(line + 1, len - 1);
    if (gap == 0 || (line[0] != '+' && line[0] != '-')) {
        text_tell_at(zone, TEXT_ERROR, 0, begin, "a line of a change begins with \"+ \" or \"- \"");
        return 0;
    }
    return scan_change(zone, scanner, line[0] == '+' ? TEXT_FILE_ADDED : TEXT_FILE_REMOVED,
                       begin + 1 + gap, end);
}

/* A mistake may leave the scanner in the middle of something, or with another origin. */
static int scanner_reset(zs_scanner_t *scanner, const char *origin)
{
    zs_deinit(scanner);
    return zs_init(scanner, origin, 1, TEXT_TTL_NONE) == 0 ? 0 : -ENOMEM;
}

static int scan_changes(struct text_zone *zone)
{
    const struct text_file *text = &zone->files[0];
    zs_scanner_t *scanner = malloc(sizeof(*scanner));
    char origin[NAME_TEXT_MAX];

    text_name(zone->apex, origin);
    if (scanner == NULL || zs_init(scanner, origin, 1, TEXT_TTL_NONE) != 0) {
        free(scanner);
        return -ENOMEM;
    }
    int error = 0;
    for (size_t begin = 0, end; error == 0 && begin < text->size && !text_is_full(zone);
         begin = end) {
        const char *newline = memchr(text->base + begin, '\n', text->size - begin);
        const uint64_t errors = zone->counts.errors;
        end = newline == NULL ? text->size : (size_t)(newline - text->base) + 1;
        error = scan_change_line(zone, scanner, begin, end);
        if (error == 0 && zone->counts.errors != errors)
            error = scanner_reset(scanner, origin);
    }
    zs_deinit(scanner);
    free(scanner);
    return error;
}

/* The same text under another number, so that records tell their sign. */
static int scan_changes_twice_named(struct text_zone *zone)
{
    struct text_file *removed;
    const int error = text_file_add(zone, zone->files[TEXT_FILE_ADDED].name, &removed);

    if (error != 0)
        return error;
    removed->base = zone->files[TEXT_FILE_ADDED].base;
    removed->size = zone->files[TEXT_FILE_ADDED].size;
    zone->is_change = true;
    return scan_changes(zone);
}

int text_scan_changes(struct text_zone *zone, const char *file, const char *text, size_t text_len)
{
    struct text_file *memory;
    int error = 0;

    if (text == NULL) {
        error = text_file_open(zone, file, strcmp(file, "-") == 0 ? "(standard input)" : file);
        if (error != 0 && error != -ENOMEM) {
            text_tell_at(zone, TEXT_ERROR, 0, SIZE_MAX, "%s", strerror(-error));
            return 0;
        }
    } else if ((error = text_file_add(zone, file, &memory)) == 0) {
        memory->base = text;
        memory->size = text_len;
        zone->counts.octets = text_len;
    }
    return error == 0 ? scan_changes_twice_named(zone) : error;
}
