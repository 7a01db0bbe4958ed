/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_tinydns_line.c - one line of a tinydns-data file.
 *
 *     Xfqdn:field:field:...      the first octet says what it is; trailing blanks do not count
 */
#include "zonedb/text_tinydns_line.h"
#include "zonedb/text_rdata.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIELDS_MAX 15
#define TTL_SERVERS 259200
#define TTL_POSITIVE 86400
#define TTL_NEGATIVE 2560
#define TTL_MAX 0x7fffffffU
#define STRING_MAX 127
/* Of a name, written with \ooo for each octet. */
#define NAME_FIELD_MAX (4 * NAME_MAX_LEN)
/* A label of TAI64 for 1970 (2^62, and the ten seconds that TAI was ahead then). */
#define TAI_EPOCH (((uint64_t)1 << 62) + 10)
/* How long a record lives at most that ends at a given time. */
#define TTL_ENDING_MIN 2
#define TTL_ENDING_MAX 3600

struct field {
    const char *text;
    size_t len;
};

struct line {
    struct text_zone *zone;
    size_t offset; /* of the line's first octet */
    char kind;
    struct field fields[FIELDS_MAX]; /* those that are not there are empty */
    uint32_t serial;
    uint64_t now_s;
    bool is_faulty;
    bool is_out; /* of its time */
    bool has_zero_ttl;
    uint32_t ttl;
    int error; /* 0; -ENOMEM; -EOVERFLOW */
};

static void fault(struct line *line, const struct field *field, const char *what)
{
    const char *base = line->zone->files[0].base;
    const size_t at = field->text != NULL ? (size_t)(field->text - base) : line->offset;

    text_tell_at(line->zone, TEXT_ERROR, 0, at, "%s", what);
    line->is_faulty = true;
}

/* ---- fields ---- */

static void line_split(struct line *line, const char *text, size_t len)
{
    const char *end = text + len;

    memset(line->fields, 0, sizeof(line->fields));
    for (unsigned i = 0; i < FIELDS_MAX && text <= end; i++) {
        const char *colon = text < end ? memchr(text, ':', (size_t)(end - text)) : NULL;
        if (colon == NULL)
            colon = end;
        line->fields[i] = (struct field){text, (size_t)(colon - text)};
        text = colon + 1;
    }
}

/* Up to `max`; an empty field is `otherwise`. */
static uint32_t number(struct line *line, unsigned which, uint32_t max, uint32_t otherwise)
{
    const struct field *field = &line->fields[which];
    uint64_t value = 0;

    for (size_t i = 0; i < field->len; i++) {
        if (field->text[i] < '0' || field->text[i] > '9') {
            fault(line, field, "not a number");
            return otherwise;
        }
        value = value * 10 + (uint64_t)(field->text[i] - '0');
        if (value > max) {
            fault(line, field, "the number is too high");
            return otherwise;
        }
    }
    return field->len == 0 ? otherwise : (uint32_t)value;
}

/* One octet, behind a backslash up to three octal digits; `at` moves. */
static uint8_t octet_take(const struct field *field, size_t *at)
{
    unsigned value = 0, digits = 0;

    if (field->text[*at] != '\\' || *at + 1 == field->len)
        return (uint8_t)field->text[(*at)++];
    ++*at;
    while (digits < 3 && *at < field->len && field->text[*at] >= '0' && field->text[*at] <= '7') {
        value = value * 8 + (unsigned)(field->text[(*at)++] - '0');
        digits++;
    }
    return digits == 0 ? (uint8_t)field->text[(*at)++] : (uint8_t)value;
}

/* Labels between dots; empty ones do not count. Returns the length; 0, and *fault_out. */
static size_t domain_parse(const struct field *field, uint8_t name[NAME_MAX_LEN],
                           const char **fault_out)
{
    size_t len = 0, label = 0;

    for (size_t at = 0; at < field->len;) {
        if (field->text[at] == '.') {
            at++;
            name[len] = (uint8_t)label;
            len += label > 0 ? label + 1 : 0;
            label = 0;
            continue;
        }
        const uint8_t octet = octet_take(field, &at);
        if (label == 63 || len + 1 + label + 1 >= NAME_MAX_LEN) {
            *fault_out = label == 63 ? "a label of more than 63 octets" : "the name is too long";
            return 0;
        }
        name[len + 1 + label++] = octet;
    }
    name[len] = (uint8_t)label;
    len += label > 0 ? label + 1 : 0;
    name[len] = 0;
    return len + 1;
}

static size_t domain(struct line *line, const struct field *field, uint8_t name[NAME_MAX_LEN])
{
    const char *what;
    const size_t len = domain_parse(field, name, &what);

    if (len == 0)
        fault(line, field, what);
    return len;
}

/* x with a dot is a name, x without one is x.MIDDLE.FQDN. */
static size_t server(struct line *line, unsigned which, const char *middle,
                     uint8_t name[NAME_MAX_LEN])
{
    const struct field *x = &line->fields[which], *fqdn = &line->fields[0];
    char text[2 * NAME_FIELD_MAX + 8];
    const char *what = "the name is too long";
    size_t len = 0;

    if (x->len > 0 && memchr(x->text, '.', x->len) != NULL)
        return domain(line, x, name);
    if (x->len <= NAME_FIELD_MAX && fqdn->len <= NAME_FIELD_MAX) {
        const int text_len = snprintf(text, sizeof(text), "%.*s.%s.", (int)x->len,
                                      x->text != NULL ? x->text : "", middle);
        memcpy(text + text_len, fqdn->text, fqdn->len);
        const struct field joined = {text, (size_t)text_len + fqdn->len};
        len = domain_parse(&joined, name, &what);
    }
    if (len == 0)
        fault(line, x->text != NULL ? x : fqdn, what);
    return len;
}

/* Returns whether there is one; an empty field is none. */
static bool address(struct line *line, unsigned which, uint8_t octets[4])
{
    const struct field *field = &line->fields[which];
    unsigned part = 0, value = 0, digits = 0;

    if (field->len == 0)
        return false;
    for (size_t i = 0; i <= field->len; i++) {
        const char c = i < field->len ? field->text[i] : '.';
        if (c >= '0' && c <= '9' && digits < 3) {
            value = value * 10 + (unsigned)(c - '0');
            digits++;
        } else if (c == '.' && digits > 0 && value < 256 && part < 4) {
            octets[part++] = (uint8_t)value;
            value = digits = 0;
        } else {
            part = 5;
            break;
        }
    }
    if (part != 4)
        fault(line, field, "not an IPv4 address");
    return part == 4;
}

/* ---- time and place ---- */

static bool stamp(struct line *line, const struct field *field, uint64_t *stamp_out)
{
    *stamp_out = 0;
    for (size_t i = 0; i < field->len; i++) {
        const char c = (char)(field->text[i] | 0x20);
        const bool is_digit = field->text[i] >= '0' && field->text[i] <= '9';
        if (field->len != 16 || (!is_digit && (c < 'a' || c > 'f'))) {
            fault(line, field, "a time stamp has 16 hexadecimal digits (TAI64)");
            return false;
        }
        *stamp_out = *stamp_out << 4 | (uint64_t)(is_digit ? field->text[i] - '0' : c - 'a' + 10);
    }
    return field->len > 0;
}

/* With a TTL of 0 the record ends at that time, else it begins then. */
static void judge_stamp(struct line *line, const struct field *field)
{
    uint64_t tai;

    if (!stamp(line, field, &tai))
        return;
    const size_t at = (size_t)(field->text - line->zone->files[0].base);
    const uint64_t now = TAI_EPOCH + line->now_s;
    const bool has_end = line->ttl == 0;
    line->is_out = has_end ? tai < now : tai >= now;
    if (has_end && !line->is_out) {
        const uint64_t left_s = tai - now;
        line->ttl = left_s < TTL_ENDING_MIN   ? TTL_ENDING_MIN
                    : left_s > TTL_ENDING_MAX ? TTL_ENDING_MAX
                                              : (uint32_t)left_s;
        text_tell_at(line->zone, TEXT_WARNING, 0, at,
                     "the record ends at this time: load the file again then");
    } else if (line->is_out) {
        text_tell_at(line->zone, TEXT_WARNING, 0, at,
                     has_end ? "left out: its time has ended"
                             : "left out: its time has not begun; load the file again then");
    }
}

/* Fields `ttl`, and the time stamp and location behind it. */
static void lifetime(struct line *line, unsigned ttl, uint32_t otherwise)
{
    line->ttl = number(line, ttl, TTL_MAX, otherwise);
    line->has_zero_ttl = line->ttl == 0;
    judge_stamp(line, &line->fields[ttl + 1]);
    if (line->fields[ttl + 2].len > 0)
        fault(line, &line->fields[ttl + 2],
              "a record for the clients of one location; zones are the same for all clients");
}

/* ---- records ---- */

static void add(struct line *line, const uint8_t *owner, uint16_t type, uint32_t ttl,
                const uint8_t *rdata, size_t rdata_len)
{
    const struct text_record record = {.offset = line->offset, .ttl = ttl, .type = type};

    if (line->is_faulty || line->is_out || line->error != 0)
        return;
    line->error =
        text_append(line->zone, owner, name_len(owner, NAME_MAX_LEN), &record, rdata, rdata_len);
}

static void put_be32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void soa(struct line *line, const uint8_t *owner, const uint8_t *mname, const uint8_t *rname,
                uint32_t ttl, const uint32_t numbers[5])
{
    uint8_t rdata[2 * NAME_MAX_LEN + 20];
    const size_t mname_len = name_len(mname, NAME_MAX_LEN),
                 rname_len = name_len(rname, NAME_MAX_LEN);

    memcpy(rdata, mname, mname_len);
    memcpy(rdata + mname_len, rname, rname_len);
    for (unsigned i = 0; i < 5; i++)
        put_be32(rdata + mname_len + rname_len + 4 * i, numbers[i]);
    add(line, owner, TYPE_SOA, ttl, rdata, mname_len + rname_len + 20);
}

/* .fqdn:ip:x:ttl:timestamp:lo   &fqdn:ip:x:ttl:timestamp:lo */
static void name_server(struct line *line, const uint8_t *owner)
{
    uint8_t name[NAME_MAX_LEN], mailbox[NAME_MAX_LEN], ip[4];

    lifetime(line, 3, TTL_SERVERS);
    const bool has_address = address(line, 1, ip);
    const size_t len = server(line, 2, "ns", name);
    if (line->kind == '.' && len > 0) {
        const uint32_t numbers[5] = {line->serial, 16384, 2048, 1048576, TTL_NEGATIVE};
        static const char hostmaster[] = "\12hostmaster";
        const size_t owner_len = name_len(owner, NAME_MAX_LEN);
        if (owner_len + sizeof(hostmaster) - 1 > NAME_MAX_LEN) {
            fault(line, &line->fields[0], "the name is too long");
            return;
        }
        memcpy(mailbox, hostmaster, sizeof(hostmaster) - 1);
        memcpy(mailbox + sizeof(hostmaster) - 1, owner, owner_len);
        soa(line, owner, name, mailbox, line->has_zero_ttl ? line->ttl : TTL_NEGATIVE, numbers);
    }
    if (len > 0)
        add(line, owner, TYPE_NS, line->ttl, name, len);
    if (len > 0 && has_address)
        add(line, name, TYPE_A, line->ttl, ip, sizeof(ip));
}

/* =fqdn:ip:ttl:timestamp:lo   +fqdn:ip:ttl:timestamp:lo */
static void host(struct line *line, const uint8_t *owner)
{
    char text[40];
    uint8_t ip[4], reverse[NAME_MAX_LEN];

    lifetime(line, 2, TTL_POSITIVE);
    if (!address(line, 1, ip)) {
        if (!line->is_faulty)
            fault(line, &line->fields[1], "no IPv4 address");
        return;
    }
    add(line, owner, TYPE_A, line->ttl, ip, sizeof(ip));
    snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]);
    if (line->kind == '=' && name_from_text(text, reverse) > 0)
        add(line, reverse, TYPE_PTR, line->ttl, owner, name_len(owner, NAME_MAX_LEN));
}

/* @fqdn:ip:x:dist:ttl:timestamp:lo */
static void mail_server(struct line *line, const uint8_t *owner)
{
    uint8_t rdata[2 + NAME_MAX_LEN], ip[4];
    const uint32_t distance = number(line, 3, UINT16_MAX, 0);

    lifetime(line, 4, TTL_POSITIVE);
    const bool has_address = address(line, 1, ip);
    const size_t len = server(line, 2, "mx", rdata + 2);
    if (len == 0)
        return;
    rdata[0] = (uint8_t)(distance >> 8);
    rdata[1] = (uint8_t)distance;
    add(line, owner, TYPE_MX, line->ttl, rdata, 2 + len);
    if (has_address)
        add(line, rdata + 2, TYPE_A, line->ttl, ip, sizeof(ip));
}

/* 'fqdn:s:ttl:timestamp:lo */
static void text_strings(struct line *line, const uint8_t *owner)
{
    const struct field *field = &line->fields[1];
    uint8_t empty[1] = {0}; /* a string, if there is no text */
    const size_t cap = field->len + field->len / STRING_MAX + 1;
    uint8_t *out = cap > 1 ? text_alloc(line->zone, cap) : empty;
    size_t len = 0, string = 0;

    lifetime(line, 2, TTL_POSITIVE);
    if (out == NULL) {
        line->error = -ENOMEM;
        return;
    }
    for (size_t at = 0; at < field->len;) {
        const uint8_t octet = octet_take(field, &at);
        if (len == string)
            len++; /* of its length */
        out[len++] = octet;
        if (len - string > STRING_MAX || at == field->len) {
            out[string] = (uint8_t)(len - string - 1);
            string = len;
        }
    }
    if (len > TEXT_RDATA_MAX)
        fault(line, field, "the text is too long");
    else
        add(line, owner, TYPE_TXT, line->ttl, out, len > 0 ? len : 1);
}

/* ^fqdn:p:ttl:timestamp:lo   Cfqdn:p:ttl:timestamp:lo */
static void pointer(struct line *line, const uint8_t *owner)
{
    uint8_t name[NAME_MAX_LEN];

    lifetime(line, 2, TTL_POSITIVE);
    const size_t len = domain(line, &line->fields[1], name);
    if (len > 0)
        add(line, owner, line->kind == '^' ? TYPE_PTR : TYPE_CNAME, line->ttl, name, len);
}

/* Zfqdn:mname:rname:ser:ref:ret:exp:min:ttl:timestamp:lo */
static void authority(struct line *line, const uint8_t *owner)
{
    uint8_t mname[NAME_MAX_LEN], rname[NAME_MAX_LEN];
    const uint32_t numbers[5] = {
        number(line, 3, UINT32_MAX, line->serial), number(line, 4, UINT32_MAX, 16384),
        number(line, 5, UINT32_MAX, 2048),         number(line, 6, UINT32_MAX, 1048576),
        number(line, 7, UINT32_MAX, TTL_NEGATIVE),
    };

    lifetime(line, 8, TTL_NEGATIVE);
    if (domain(line, &line->fields[1], mname) > 0 && domain(line, &line->fields[2], rname) > 0)
        soa(line, owner, mname, rname, line->ttl, numbers);
}

/* Types that have a line of their own, and those that are no data. */
static bool is_generic(uint16_t type)
{
    switch (type) {
    case TYPE_NS:
    case TYPE_CNAME:
    case TYPE_SOA:
    case TYPE_PTR:
    case TYPE_MX:
    case TYPE_NSEC3:
    case TYPE_NSEC3PARAM:
        return false;
    default:
        return !text_type_is_meta(type);
    }
}

/* :fqdn:n:rdata:ttl:timestamp:lo */
static void generic(struct line *line, const uint8_t *owner)
{
    const struct field *field = &line->fields[2];
    const uint16_t type = (uint16_t)number(line, 1, UINT16_MAX, 0);
    uint8_t *out = text_alloc(line->zone, field->len + 1);
    size_t len = 0;

    lifetime(line, 3, TTL_POSITIVE);
    if (out == NULL) {
        line->error = -ENOMEM;
        return;
    }
    if (!line->is_faulty && !is_generic(type))
        fault(line, &line->fields[1], "records of this type cannot be written with \":\"");
    for (size_t at = 0; at < field->len;)
        out[len++] = octet_take(field, &at);
    if (!line->is_faulty && (len > TEXT_RDATA_MAX || !text_rdata_is_valid(type, out, len)))
        fault(line, field, "malformed RDATA of this type");
    add(line, owner, type, line->ttl, out, len);
}

/* ---- lines ---- */

static void line_read(struct line *line)
{
    uint8_t owner[NAME_MAX_LEN];

    if (memchr("#-%", line->kind, 3) != NULL) /* comments, and locations, which nobody refers to */
        return;
    if (memchr(".&=+@'^CZ:", line->kind, 10) == NULL) {
        text_tell_at(line->zone, TEXT_ERROR, 0, line->offset,
                     "a line begins with one of . & = + @ - ' ^ C Z : %% #");
        return;
    }
    if (domain(line, &line->fields[0], owner) == 0)
        return;
    switch (line->kind) {
    case '.':
    case '&':
        name_server(line, owner);
        break;
    case '=':
    case '+':
        host(line, owner);
        break;
    case '@':
        mail_server(line, owner);
        break;
    case '\'':
        text_strings(line, owner);
        break;
    case '^':
    case 'C':
        pointer(line, owner);
        break;
    case 'Z':
        authority(line, owner);
        break;
    default:
        generic(line, owner);
        break;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

int text_tinydns_lines(struct text_zone *source, uint32_t serial, uint64_t now_s)
{
    const char *base = source->files[0].base;
    const size_t size = source->files[0].size;
    int error = 0;

    for (size_t begin = 0, end; begin < size && error == 0 && !text_is_full(source); begin = end) {
        const char *newline = memchr(base + begin, '\n', size - begin);
        end = newline == NULL ? size : (size_t)(newline - base) + 1;
        size_t len = end - begin;
        while (len > 0 && is_blank(base[begin + len - 1]))
            len--;
        if (len == 0)
            continue;
        struct line line = {
            .zone = source, .offset = begin, .kind = base[begin], .serial = serial, .now_s = now_s};
        line_split(&line, base + begin + 1, len - 1);
        line_read(&line);
        error = line.error;
    }
    source->counts.octets = size;
    text_progress(source, TEXT_READING, size, size);
    return error;
}
