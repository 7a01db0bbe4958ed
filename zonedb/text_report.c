/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_report.c - messages with the place that they are about.
 *
 * Of a record only the place is kept where the scanner stood before it. Line, column and the token
 * in question are found again in the text when there is something to tell.
 */
#include "zonedb/text_zone.h"

#include <ctype.h>
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool text_is_full(const struct text_zone *zone)
{
    return zone->counts.errors >= TEXT_ERRORS_MAX;
}

const char *text_type_name(uint16_t type, char *buffer, size_t buffer_cap)
{
    if (knot_rrtype_to_string(type, buffer, buffer_cap) < 0)
        snprintf(buffer, buffer_cap, "TYPE%u", type);
    return buffer;
}

char *text_name(const uint8_t *name, char *text)
{
    char *out = text;

    if (name[0] == 0)
        *out++ = '.';
    for (; name[0] != 0; name += name[0] + 1U) {
        for (unsigned i = 1; i <= name[0]; i++) {
            const uint8_t c = name[i];
            const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                  (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '*';
            if (is_plain)
                *out++ = (char)c;
            else
                out += sprintf(out, "\\%03u", c);
        }
        *out++ = '.';
    }
    *out = '\0';
    return text;
}

void text_progress(const struct text_zone *zone, enum text_phase phase, uint64_t done,
                   uint64_t total)
{
    if (zone->options.progress != NULL)
        zone->options.progress(zone->options.context, phase, done, total);
}

/* Octets that are looked at of a file at a time, where it is not in memory. */
#define PEEK ((size_t)64 * 1024)
/* Of these, a record and what is blank before it have no more. */
#define RECORD_MAX ((size_t)1 << 20)

static void find_line(struct text_file *file, size_t offset, uint64_t *line_out,
                      uint64_t *column_out)
{
    size_t line_at = offset >= file->seen_offset ? file->seen_offset : 0;
    uint64_t line = line_at == 0 ? 1 : file->seen_line;
    char buffer[PEEK];
    const char *text;

    for (size_t at = line_at, len; at < offset; at += len) {
        len = text_file_peek(file, at, buffer, sizeof(buffer), &text);
        if (len > offset - at)
            len = offset - at;
        if (len == 0)
            break;
        for (const char *newline = text;
             (newline = memchr(newline, '\n', len - (size_t)(newline - text))) != NULL; line++)
            line_at = at + (size_t)(++newline - text);
    }
    file->seen_offset = line_at;
    file->seen_line = line;
    *line_out = line;
    *column_out = offset - line_at + 1;
}

/* What is found of a zone that is written while it is read may come of its not being in order: then
 * it is read again, and what is wrong is told then. */
static void hold(struct text_zone *zone, struct text_message message)
{
    if (message.severity == TEXT_ERROR)
        return;
    message.text = strdup(message.text);
    if (message.text != NULL)
        zone->held[zone->held_count++] = message;
}

void text_tell_held(struct text_zone *zone)
{
    for (size_t i = 0; i < zone->held_count; i++)
        zone->options.message(zone->options.context, &zone->held[i]);
    text_drop_held(zone);
}

void text_drop_held(struct text_zone *zone)
{
    while (zone->held_count > 0)
        free((char *)(uintptr_t)zone->held[--zone->held_count].text);
}

static void tell(struct text_zone *zone, enum text_severity severity, size_t file, size_t offset,
                 const char *format, va_list arguments)
{
    char text[1024];
    struct text_message message = {.severity = severity, .file = "", .text = text};
    uint64_t *counter = severity == TEXT_ERROR ? &zone->counts.errors : &zone->counts.warnings;
    const uint64_t limit = severity == TEXT_ERROR ? TEXT_ERRORS_MAX : TEXT_WARNINGS_MAX;

    (*counter)++;
    if (*counter > limit || zone->options.message == NULL)
        return;
    vsnprintf(text, sizeof(text), format, arguments);
    if (file < zone->file_count) {
        message.file = zone->files[file].name;
        if (offset != SIZE_MAX)
            find_line(&zone->files[file], offset, &message.line, &message.column);
    }
    if (zone->stream != NULL)
        hold(zone, message);
    else
        zone->options.message(zone->options.context, &message);
}

void text_tell_at(struct text_zone *zone, enum text_severity severity, size_t file, size_t offset,
                  const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(zone, severity, file, offset, format, arguments);
    va_end(arguments);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '(' || c == ')';
}

/* The first octet of the record that follows `at`: blank lines, comments and directives skipped. */
static size_t skip_to_record(const struct text_file *file, size_t at)
{
    while (at < file->size) {
        const size_t line = at;
        while (at < file->size && is_space(file->base[at]))
            at++;
        if (at >= file->size)
            break;
        const char c = file->base[at];
        if (c != '\n' && c != '\r' && c != ';' && c != '$')
            return line;
        const char *newline = memchr(file->base + at, '\n', file->size - at);
        if (newline == NULL)
            break;
        at = (size_t)(newline - file->base) + 1;
    }
    return file->size;
}

static size_t skip_space(const struct text_file *file, size_t at)
{
    while (at < file->size) {
        const char c = file->base[at];
        if (c == ';') {
            const char *newline = memchr(file->base + at, '\n', file->size - at);
            at = newline == NULL ? file->size : (size_t)(newline - file->base);
        } else if (is_space(c) || c == '\n' || c == '\r') {
            at++;
        } else {
            break;
        }
    }
    return at;
}

static size_t skip_token(const struct text_file *file, size_t at)
{
    while (at < file->size && !is_space(file->base[at]) && strchr("\n\r;", file->base[at]) == NULL)
        at += file->base[at] == '\\' && at + 1 < file->size ? 2 : 1;
    return at;
}

/* A TTL or class stands at `at`. */
static bool is_ttl_or_class(const struct text_file *file, size_t at)
{
    const char *token = file->base + at;
    const size_t len = skip_token(file, at) - at;

    return (len > 0 && isdigit((unsigned char)token[0])) ||
           (len == 2 && (strncasecmp(token, "IN", 2) == 0 || strncasecmp(token, "CH", 2) == 0 ||
                         strncasecmp(token, "HS", 2) == 0)) ||
           (len > 5 && strncasecmp(token, "CLASS", 5) == 0);
}

/* In a text that begins with the record. */
static size_t find_spot(const struct text_file *file, enum text_spot spot)
{
    size_t at = skip_to_record(file, 0);
    const bool has_owner = at < file->size && !is_space(file->base[at]);

    at = skip_space(file, at);
    if (spot == TEXT_AT_OWNER)
        return at;
    if (has_owner)
        at = skip_space(file, skip_token(file, at));
    for (; at < file->size && is_ttl_or_class(file, at);
         at = skip_space(file, skip_token(file, at)))
        if (spot == TEXT_AT_TTL && isdigit((unsigned char)file->base[at]))
            return at;
    if (spot == TEXT_AT_RDATA)
        at = skip_space(file, skip_token(file, at));
    return at;
}

static size_t find_place(const struct text_file *file, size_t offset, enum text_spot spot)
{
    struct text_file record = {.descriptor = -1};
    char *buffer = file->descriptor < 0 ? NULL : malloc(RECORD_MAX);

    if (file->descriptor >= 0 && buffer == NULL)
        return offset;
    record.size = text_file_peek(file, offset, buffer, RECORD_MAX, &record.base);
    const size_t at = offset + find_spot(&record, spot);
    free(buffer);
    return at;
}

void text_tell(struct text_zone *zone, enum text_severity severity,
               const struct text_record *record, enum text_spot spot, const char *format, ...)
{
    va_list arguments;
    const size_t offset = record->offset == TEXT_OFFSET_NONE ? SIZE_MAX
                          : zone->is_tinydns
                              ? record->offset
                              : find_place(&zone->files[record->file], record->offset, spot);

    va_start(arguments, format);
    tell(zone, severity, record->file, offset, format, arguments);
    va_end(arguments);
}
