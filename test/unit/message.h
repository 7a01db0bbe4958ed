/* SPDX-License-Identifier: BSD-2-Clause
 *
 * message.h - make a request, take a response apart; independent of the code under test.
 */
#ifndef TEST_MESSAGE_H
#define TEST_MESSAGE_H

#include "../must.h"
#include "zonedb/name.h"

#include <stdio.h>

#define MESSAGE_RECORDS_MAX 6000

static inline unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

struct record {
    unsigned section; /* 0 answer, 1 authority, 2 additional without OPT */
    char owner[NAME_TEXT_MAX];
    unsigned type, class_, ttl, rdata_len;
    const uint8_t *rdata;
};

struct message {
    unsigned id, flags, rcode, count[3];
    bool has_opt;
    unsigned opt_payload, opt_version, opt_flags, option_len;
    const uint8_t *options;
    char qname[NAME_TEXT_MAX];
    size_t len;
    struct record record[MESSAGE_RECORDS_MAX];
    unsigned record_count;
};

/* A question with RD and ID 0x1234; `opt`: octets of an OPT's RDATA, payload 0: no OPT. */
static inline size_t request_make(uint8_t *out, const char *qname, unsigned qtype, unsigned payload,
                                  bool is_do, const uint8_t *opt, size_t opt_len)
{
    static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
    memcpy(out, head, sizeof head);
    size_t len = sizeof head + name_from_text(qname, out + sizeof head);
    MUST(len > sizeof head);
    out[len++] = (uint8_t)(qtype >> 8);
    out[len++] = (uint8_t)qtype;
    out[len++] = 0;
    out[len++] = 1;
    if (payload == 0)
        return len;
    out[11] = 1;
    const uint8_t fixed[11] = {0,
                               0,
                               41,
                               (uint8_t)(payload >> 8),
                               (uint8_t)payload,
                               0,
                               0,
                               is_do ? 0x80 : 0,
                               0,
                               (uint8_t)(opt_len >> 8),
                               (uint8_t)opt_len};
    memcpy(out + len, fixed, sizeof fixed);
    if (opt_len > 0)
        memcpy(out + len + sizeof fixed, opt, opt_len);
    return len + sizeof fixed + opt_len;
}

/* The name at *at, decompressed to text; *at moves behind it. Pointers must go back. */
static inline void message_name(const uint8_t *octets, size_t len, size_t *at, char *text)
{
    uint8_t name[NAME_MAX_LEN];
    size_t name_at = 0, p = *at, limit = len;
    bool has_jumped = false;
    for (;;) {
        MUST(p < len);
        if (octets[p] >= 0xc0) {
            MUST(p + 1 < len);
            size_t target = get16(octets + p) & 0x3fff;
            if (!has_jumped)
                *at = p + 2;
            has_jumped = true;
            MUST(target < p && target < limit && target >= 12);
            MUST(octets[target] < 0xc0);
            limit = p = target;
            continue;
        }
        MUST(octets[p] <= 63);
        MUST(name_at + octets[p] + 1 <= NAME_MAX_LEN);
        MUST(p + octets[p] + 1 <= len);
        memcpy(name + name_at, octets + p, octets[p] + 1u);
        name_at += octets[p] + 1u;
        if (octets[p] == 0)
            break;
        p += octets[p] + 1u;
    }
    if (!has_jumped)
        *at = p + 1;
    name_to_text(name, text);
}

static inline void message_record(struct message *m, const uint8_t *octets, size_t len, size_t *at,
                                  unsigned section)
{
    MUST(m->record_count < MESSAGE_RECORDS_MAX);
    struct record *r = &m->record[m->record_count];
    r->section = section;
    message_name(octets, len, at, r->owner);
    MUST(*at + 10 <= len);
    const uint8_t *fixed = octets + *at;
    r->type = get16(fixed);
    r->class_ = get16(fixed + 2);
    r->ttl = get16(fixed + 4) << 16 | get16(fixed + 6);
    r->rdata_len = get16(fixed + 8);
    r->rdata = fixed + 10;
    *at += 10;
    MUST(*at + r->rdata_len <= len);
    *at += r->rdata_len;
    if (r->type != 41) {
        m->record_count++;
        return;
    }
    MUST(section == 2 && !m->has_opt);
    m->has_opt = true;
    m->opt_payload = r->class_;
    m->rcode |= (r->ttl >> 24) << 4;
    m->opt_version = r->ttl >> 16 & 0xff;
    m->opt_flags = r->ttl & 0xffff;
    m->options = r->rdata;
    m->option_len = r->rdata_len;
}

/* Parse all of it, to the last octet. */
static inline void message_parse(struct message *m, const uint8_t *octets, size_t len)
{
    memset(m, 0, offsetof(struct message, record));
    m->record_count = 0;
    MUST(len >= 12);
    m->id = get16(octets);
    m->flags = get16(octets + 2) & 0xfff0;
    m->rcode = octets[3] & 15;
    m->len = len;
    size_t at = 12;
    MUST(get16(octets + 4) <= 1);
    if (get16(octets + 4) == 1) {
        message_name(octets, len, &at, m->qname);
        at += 4;
    }
    for (unsigned section = 0; section < 3; section++) {
        m->count[section] = get16(octets + 6 + 2 * section);
        for (unsigned i = 0; i < m->count[section]; i++)
            message_record(m, octets, len, &at, section);
    }
    MUST(at == len);
}

/* The data of an option, NULL if it is not there. */
static inline const uint8_t *message_option(const struct message *m, unsigned code,
                                            unsigned *len_out)
{
    for (unsigned at = 0; at + 4 <= m->option_len; at += 4 + get16(m->options + at + 2)) {
        if (get16(m->options + at) == code) {
            *len_out = get16(m->options + at + 2);
            return m->options + at + 4;
        }
    }
    return NULL;
}

/* "an/TYPE owner" of every record, in order, one a line. */
static inline char *message_text(const struct message *m, char *text, size_t cap)
{
    size_t at = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < m->record_count && at < cap; i++) {
        static const char *const sections[] = {"an", "ns", "ar"};
        at += (size_t)snprintf(text + at, cap - at, "%s/%u %s\n", sections[m->record[i].section],
                               m->record[i].type, m->record[i].owner);
    }
    return text;
}

#endif
