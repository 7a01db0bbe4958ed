/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/compare.h"

#include "stateless_tcp/siphash.h"
#include "stateless_tcp/wire.h"
#include "zonedb/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN 12
#define FIXED_LEN 10 /* type, class, TTL, RDLENGTH */
#define RDATA_SHOWN 64

#define FLAG_TC 0x0200u
#define FLAGS_COMPARED 0x07b0u /* AA TC RD RA AD CD */

enum { TYPE_SIG = 24, TYPE_OPT = 41, TYPE_TSIG = 250 };

static const char *const section_names[COMPARE_SECTIONS] = {"answer", "authority", "additional"};

/* What RDATA begins with, by type: a digit is so many octets, 'n' a name, 's' a string; the rest is
 * octets. */
static const char *rdata_form(unsigned type)
{
    switch (type) {
    case 2:  /* NS */
    case 3:  /* MD */
    case 4:  /* MF */
    case 5:  /* CNAME */
    case 7:  /* MB */
    case 8:  /* MG */
    case 9:  /* MR */
    case 12: /* PTR */
    case 30: /* NXT */
    case 39: /* DNAME */
        return "n";
    case 6:  /* SOA */
    case 14: /* MINFO */
    case 17: /* RP */
        return "nn";
    case 15: /* MX */
    case 18: /* AFSDB */
    case 21: /* RT */
    case 36: /* KX */
        return "2n";
    case 26: /* PX */
        return "2nn";
    case 33: /* SRV */
        return "6n";
    case 35: /* NAPTR */
        return "4sssn";
    default:
        return "";
    }
}

/* The name at `at`, in lower case, to `out`, which has room for NAME_MAX_LEN; *len_out octets.
 * Returns where it ends in the message; 0: it is none. */
static size_t read_name(const uint8_t *octets, size_t len, size_t at, uint8_t *out, size_t *len_out)
{
    size_t end = 0, used = 0, before = at;
    for (;;) {
        if (at >= len)
            return 0;
        unsigned label = octets[at];
        if (label >= 0xc0) {
            if (at + 1 >= len)
                return 0;
            size_t to = (label & 0x3fu) << 8 | octets[at + 1];
            end = end != 0 ? end : at + 2;
            if (to >= before) /* ever further to the front, so it ends */
                return 0;
            at = before = to;
            continue;
        }
        if (label > 63 || at + 1 + label > len || used + 1 + label > NAME_MAX_LEN)
            return 0;
        out[used++] = (uint8_t)label;
        for (unsigned i = 1; i <= label; i++)
            out[used++] = name_octet_lower(octets[at + i]);
        at += 1 + label;
        if (label == 0)
            break;
    }
    *len_out = used;
    return end != 0 ? end : at;
}

/* RDATA from `at` to `end` as it counts, to `out`. Returns how many octets; SIZE_MAX: malformed. */
static size_t canonical_rdata(const struct compare_message *message, unsigned type, size_t at,
                              size_t end, uint8_t *out)
{
    size_t used = 0;
    for (const char *form = rdata_form(type); *form != '\0'; form++) {
        size_t octets =
            *form == 's' ? (at < end ? 1u + message->octets[at] : 1u) : (size_t)(*form - '0');
        if (*form == 'n') {
            size_t name_octets;
            at = read_name(message->octets, end, at, out + used, &name_octets);
            if (at == 0)
                return SIZE_MAX;
            used += name_octets;
            continue;
        }
        if (octets > end - at)
            return SIZE_MAX;
        memcpy(out + used, message->octets + at, octets);
        used += octets;
        at += octets;
    }
    memcpy(out + used, message->octets + at, end - at);
    return used + (end - at);
}

static void take_opt(struct compare_message *message, const uint8_t *fixed)
{
    message->has_edns = true;
    message->rcode |= (unsigned)fixed[4] << 4;
    message->is_do = (fixed[6] & 0x80) != 0;
}

/* The record at `at`. Returns where it ends; 0: malformed. */
static size_t take_record(struct compare *compare, struct compare_message *message, size_t at,
                          uint32_t *count)
{
    uint8_t *canonical = compare->canonical;
    size_t used;
    size_t fixed_at = read_name(message->octets, message->len, at, canonical, &used);
    const uint8_t *fixed = message->octets + fixed_at;
    if (fixed_at == 0 || message->len - fixed_at < FIXED_LEN)
        return 0;
    size_t rdata_at = fixed_at + FIXED_LEN, end = rdata_at + wire_load_be16(fixed + 8);
    unsigned type = wire_load_be16(fixed);
    if (end > message->len)
        return 0;
    if (type == TYPE_OPT)
        take_opt(message, fixed);
    if (type == TYPE_OPT || type == TYPE_TSIG ||
        (type == TYPE_SIG && rdata_at + 2 <= end && wire_load_be16(fixed + FIXED_LEN) == 0))
        return end;
    memcpy(canonical + used, fixed, FIXED_LEN - 2);
    used += FIXED_LEN - 2;
    size_t rdata_octets = canonical_rdata(message, type, rdata_at, end, canonical + used);
    if (rdata_octets == SIZE_MAX || *count == COMPARE_RECORDS_MAX)
        return 0;
    message->records[(*count)++] = (struct compare_record){
        .hash = siphash_2_4_64(compare->key, canonical, used + rdata_octets), .at = (uint32_t)at};
    return end;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t left = ((const struct compare_record *)a)->hash;
    uint64_t right = ((const struct compare_record *)b)->hash;
    return (left > right) - (left < right);
}

/* false: it is no message. */
static bool take_message(struct compare *compare, struct compare_message *message,
                         const uint8_t *octets, size_t len)
{
    uint8_t name[NAME_MAX_LEN];
    size_t at = HEADER_LEN, name_octets;
    uint32_t count = 0;
    if (len < HEADER_LEN)
        return false;
    message->octets = octets;
    message->len = len;
    message->flags = wire_load_be16(octets + 2) & FLAGS_COMPARED;
    message->rcode = octets[3] & 0x0fu;
    message->has_edns = message->is_do = false;
    for (unsigned i = wire_load_be16(octets + 4); i > 0; i--) {
        at = read_name(octets, len, at, name, &name_octets);
        if (at == 0 || len - at < 4)
            return false;
        at += 4;
    }
    for (unsigned section = 0; section < COMPARE_SECTIONS; section++) {
        uint32_t first = count;
        for (unsigned i = wire_load_be16(octets + 6 + 2 * section); i > 0; i--) {
            at = take_record(compare, message, at, &count);
            if (at == 0)
                return false;
        }
        qsort(message->records + first, count - first, sizeof *message->records, by_hash);
        message->ends[section] = count;
    }
    return at == len;
}

/* ---- saying it ---- */

static void say_flags(unsigned flags, char text[64])
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{0x0400, "AA"}, {0x0200, "TC"}, {0x0100, "RD"},
                 {0x0080, "RA"}, {0x0020, "AD"}, {0x0010, "CD"}};
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (flags & names[i].flag) {
            strcat(text, text[0] != '\0' ? " " : "");
            strcat(text, names[i].name);
        }
    if (text[0] == '\0')
        strcpy(text, "none");
}

/* A record of a message that was read; RDATA as in RFC 3597 5. */
static void say_record(const struct compare_message *message, uint32_t at, const char *what,
                       unsigned section, char text[COMPARE_TEXT_CAP])
{
    uint8_t owner[NAME_MAX_LEN];
    char owner_text[NAME_TEXT_MAX];
    size_t owner_octets;
    size_t fixed_at = read_name(message->octets, message->len, at, owner, &owner_octets);
    const uint8_t *fixed = message->octets + fixed_at;
    unsigned rdata_len = wire_load_be16(fixed + 8);
    int len =
        snprintf(text, COMPARE_TEXT_CAP, "%s in section %s: %s %u CLASS%u TYPE%u \\# %u ", what,
                 section_names[section], name_to_text(owner, owner_text), wire_load_be32(fixed + 4),
                 wire_load_be16(fixed + 2), wire_load_be16(fixed), rdata_len);
    for (unsigned i = 0; i < rdata_len && i < RDATA_SHOWN; i++)
        len += snprintf(text + len, COMPARE_TEXT_CAP - (size_t)len, "%02x", fixed[FIXED_LEN + i]);
    if (rdata_len > RDATA_SHOWN)
        snprintf(text + len, COMPARE_TEXT_CAP - (size_t)len, "...");
}

static bool is_same_section(const struct compare *compare, unsigned section,
                            char text[COMPARE_TEXT_CAP])
{
    const struct compare_message *got = &compare->got, *expected = &compare->expected;
    uint32_t g = section > 0 ? got->ends[section - 1] : 0;
    uint32_t e = section > 0 ? expected->ends[section - 1] : 0;
    while (g < got->ends[section] || e < expected->ends[section]) {
        const struct compare_record *a = g < got->ends[section] ? &got->records[g] : NULL;
        const struct compare_record *b = e < expected->ends[section] ? &expected->records[e] : NULL;
        if (a != NULL && b != NULL && a->hash == b->hash) {
            g++;
            e++;
        } else if (b == NULL || (a != NULL && a->hash < b->hash)) {
            say_record(got, a->at, "not expected", section, text);
            return false;
        } else {
            say_record(expected, b->at, "missing", section, text);
            return false;
        }
    }
    return true;
}

bool compare_messages(struct compare *compare, const uint8_t *got_octets, size_t got_len,
                      const uint8_t *expected_octets, size_t expected_len,
                      char text[COMPARE_TEXT_CAP])
{
    struct compare_message *got = &compare->got, *expected = &compare->expected;
    char flags[64], flags_expected[64];
    if (!take_message(compare, expected, expected_octets, expected_len)) {
        snprintf(text, COMPARE_TEXT_CAP, "what was expected is malformed");
        return false;
    }
    if (!take_message(compare, got, got_octets, got_len)) {
        snprintf(text, COMPARE_TEXT_CAP, "malformed");
        return false;
    }
    if (got->rcode != expected->rcode) {
        snprintf(text, COMPARE_TEXT_CAP, "RCODE %u, expected %u", got->rcode, expected->rcode);
        return false;
    }
    if (got->flags != expected->flags) {
        say_flags(got->flags, flags);
        say_flags(expected->flags, flags_expected);
        snprintf(text, COMPARE_TEXT_CAP, "flags %s, expected %s", flags, flags_expected);
        return false;
    }
    if (got->has_edns != expected->has_edns || got->is_do != expected->is_do) {
        snprintf(text, COMPARE_TEXT_CAP, "EDNS %s, expected %s",
                 !got->has_edns ? "absent"
                 : got->is_do   ? "with DO"
                                : "without DO",
                 !expected->has_edns ? "absent"
                 : expected->is_do   ? "with DO"
                                     : "without DO");
        return false;
    }
    for (unsigned i = 0; i < COMPARE_SECTIONS && (got->flags & FLAG_TC) == 0; i++)
        if (!is_same_section(compare, i, text))
            return false;
    return true;
}
