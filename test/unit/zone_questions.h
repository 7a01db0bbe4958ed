/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone_questions.h - for names at, below, beside and above every owner of every zone in a database,
 * and below the hosts that NS records name: questions of many types, with many sizes, options and
 * flags and in other cases. Each is given to answer_is_right(), which the program defines.
 */
#ifndef ZONE_QUESTIONS_H
#define ZONE_QUESTIONS_H

#include "../must.h"
#include "zonedb/name.h"
#include "zonedb/respond.h"
#include "zonedb/zonedb.h"

#include <stdio.h>
#include <string.h>

/* The policy is the default but for what the program changes. */
static bool answer_is_right(const struct respond_client *client, const uint8_t *request,
                            size_t request_len);

static unsigned long questions, differences;
static uint64_t dice = 1;

static unsigned roll(unsigned sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % sides;
}

/* The name behind a prefix, letters in any case. Returns its length, 0 if it is too long. */
static size_t name_make(uint8_t *out, const char *prefix, const uint8_t *name)
{
    size_t prefix_len = strlen(prefix), len = name_len(name, NAME_MAX_LEN);
    bool is_mixed = roll(3) == 0;
    if (prefix_len + len > NAME_MAX_LEN)
        return 0;
    memcpy(out, prefix, prefix_len);
    memcpy(out + prefix_len, name, len);
    for (size_t i = 0; i < prefix_len + len && is_mixed; i++)
        if (name_octet_lower(out[i]) >= 'a' && name_octet_lower(out[i]) <= 'z' && roll(2) == 0)
            out[i] ^= 0x20;
    return prefix_len + len;
}

static size_t request_build(uint8_t *request, const uint8_t *name, size_t len, uint16_t type)
{
    static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
    static const uint8_t flags[][2] = {{0, 0}, {1, 0x20}, {0, 0x10}, {1, 0x30}, {4, 0}, {0, 0x80}};
    static const uint16_t payloads[] = {512, 700, 1232, 4096};
    static const uint8_t options[] = {0, 3, 0, 0, 0xfd, 0xea, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0};
    memcpy(request, head, sizeof head);
    if (roll(4) == 0)
        memcpy(request + 2, flags[roll(6)], 2);
    memcpy(request + 12, name, len);
    uint8_t *at = request + 12 + len;
    const uint8_t type_class[] = {(uint8_t)(type >> 8), (uint8_t)type, 0, 1};
    memcpy(at, type_class, sizeof type_class);
    at += sizeof type_class;
    if (roll(4) == 0)
        return (size_t)(at - request);
    request[11] = 1;
    uint16_t payload = payloads[roll(4)];
    size_t options_len = roll(6) == 0 ? (roll(2) == 0 ? 4 : sizeof options) : 0;
    const uint8_t opt[11] = {0,
                             0,
                             41,
                             (uint8_t)(payload >> 8),
                             (uint8_t)payload,
                             0,
                             0,
                             roll(2) == 0 ? 0x80 : 0,
                             0,
                             0,
                             (uint8_t)options_len};
    memcpy(at, opt, sizeof opt);
    memcpy(at + sizeof opt, options, options_len);
    return (size_t)(at - request) + sizeof opt + options_len;
}

static void check_question(const uint8_t *name, size_t len, uint16_t type)
{
    uint8_t request[12 + NAME_MAX_LEN + 4 + 11 + 32];
    char text[NAME_TEXT_MAX];
    struct respond_client client = {.transport = roll(5) == 0 ? RESPOND_TCP : RESPOND_UDP};
    size_t request_len = request_build(request, name, len, type);
    questions++;
    if (!answer_is_right(&client, request, request_len) && differences++ < 20)
        printf("%s type %u, %zu octets: not the same\n", name_to_text(name, text), type,
               request_len);
}

/* Another name beside it. */
static void check_beside(const uint8_t *name)
{
    uint8_t beside[NAME_MAX_LEN], qname[NAME_MAX_LEN];
    size_t len = name_copy_lower(beside, name);
    if (len < 2)
        return;
    beside[1 + roll(beside[0])] = (uint8_t)('a' + roll(26));
    len = name_make(qname, roll(2) == 0 ? "" : "\3www", beside);
    if (len > 0)
        check_question(qname, len, 1);
}

static void check_name(const uint8_t *name, uint16_t own_type)
{
    static const char *const prefixes[] = {"", "", "\3www", "\3ns1", "\1a", "\3foo\3bar", "\1*"};
    static const uint16_t types[] = {1, 2, 6, 43, 48, 255, 46};
    uint8_t qname[NAME_MAX_LEN];
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t len = name_make(qname, prefixes[i], name);
        if (len > 0)
            check_question(qname, len, i == 0 ? own_type : types[roll(7)]);
    }
    check_beside(name);
}

static int visit(void *context, const uint8_t *owner, const struct zonedb_rrset *rrset)
{
    (void)context;
    if (rrset->type == 46 || (rrset->type != 2 && roll(3) > 0))
        return 0;
    check_name(owner, rrset->type);
    if (owner[0] != 0)
        check_name(owner + 1 + owner[0], rrset->type);
    const uint8_t *at = rrset->rdata;
    for (unsigned i = 0; rrset->type == 2 && i < rrset->rr_count; i++) {
        if (roll(4) == 0)
            check_name(at + 2, 1);
        at += 2 + (at[0] << 8 | at[1]);
    }
    return 0;
}

/* Ask about the names of a zone. Returns how many questions. */
static unsigned long zone_questions(struct zonedb_view *view, const uint8_t *apex)
{
    unsigned long before = questions;
    MUST(zonedb_zone_walk(view, apex, visit, NULL) == 0);
    return questions - before;
}

#endif
