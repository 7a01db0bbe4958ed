/* SPDX-License-Identifier: BSD-2-Clause
 *
 * template_zones DB: for names at, below and above every owner of every zone in the database, and
 * below the hosts that NS records name, with many types, sizes, options and in other cases: the
 * answers with templates are those without, octet for octet.
 */
#include "template_check.h"
#include "zonedb/name.h"

#include <stdio.h>

static struct zonedb_view *asked; /* the walk has a view of its own: it moves cursors */
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
    static const uint16_t payloads[] = {512, 700, 1232, 4096};
    static const uint8_t options[] = {0, 3, 0, 0, 0xfd, 0xea, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0};
    memcpy(request, head, sizeof head);
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
    struct respond_policy policy = respond_policy_default();
    struct respond_client client = {.transport = roll(5) == 0 ? RESPOND_TCP : RESPOND_UDP};
    policy.nsid = (const uint8_t *)"templates";
    policy.nsid_len = 9;
    policy.is_any_full = roll(2) == 0;
    policy.udp_payload = roll(3) == 0 ? 4096 : 1232;
    size_t request_len = request_build(request, name, len, type);
    questions++;
    if (templates_agree(asked, &policy, &client, request, request_len, RESPOND_MESSAGE_MAX))
        return;
    if (differences++ < 20)
        printf("%s type %u, %zu octets: not the same\n", name_to_text(name, text), type,
               request_len);
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

int main(int argc, char **argv)
{
    struct zonedb_error error;
    struct zonedb *db;
    struct zonedb_view *view;
    struct zonedb_zone zone;
    if (argc != 2 || zonedb_open(argv[1], ZONEDB_READ, &db, &error) != 0) {
        fprintf(stderr, "usage: template_zones DB; or it cannot be opened\n");
        return 2;
    }
    MUST(zonedb_view_open(db, &view) == 0 && zonedb_view_open(db, &asked) == 0);
    const uint8_t *after = NULL;
    uint8_t apex[NAME_MAX_LEN];
    while (zonedb_zone_next(view, after, &zone) == 0) {
        memcpy(apex, zone.apex, zone.apex_len);
        after = apex;
        unsigned long before = questions;
        uint64_t head = asked->templates->head;
        MUST(zonedb_zone_walk(view, apex, visit, NULL) == 0);
        char text[NAME_TEXT_MAX];
        printf("%s: %lu questions, %lu octets of templates\n", name_to_text(apex, text),
               questions - before, 8 * (unsigned long)(asked->templates->head - head));
        MUST(asked->templates->head > head);
    }
    printf("%lu questions, %lu differences\n", questions, differences);
    zonedb_view_close(asked);
    zonedb_view_close(view);
    zonedb_close(db);
    return differences > 0 || questions == 0;
}
