/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_change_rules.h"
#include "zonedb/base32hex.h"

#include <string.h>

static uint16_t covered_type(const struct text_record *rrsig)
{
    return (uint16_t)(rrsig->rdata[2] << 8 | rrsig->rdata[3]);
}

/* ---- what the kind of signing allows ---- */

/* What makes a line one for a load; NULL: nothing. */
static const char *find_obstacle(const struct text_record *line, enum zonedb_signing signing)
{
    if (line->type == TYPE_NSEC3PARAM)
        return "how a zone is signed changes by loading it, not by a change";
    if ((line->type == TYPE_NSEC && signing != ZONEDB_NSEC) ||
        (line->type == TYPE_NSEC3 && signing != ZONEDB_NSEC3))
        return "the zone is not signed that way; load it to change that";
    return NULL;
}

/* The SOA's serial must rise, and only who has the keys can sign that. */
static void check_soa(struct text_zone *after, const struct text_zone *lines)
{
    const size_t apex = text_find(lines, lines->apex_key, lines->apex_key_len, 0);

    for (uint32_t i = 0; apex < lines->owner_count && i < lines->owners[apex].count; i++) {
        const struct text_record *line = &lines->records[lines->owners[apex].first + i];
        if (line->type == TYPE_SOA && line->file == TEXT_FILE_ADDED)
            return;
    }
    text_tell_at(after, TEXT_ERROR, 0, SIZE_MAX,
                 "the zone is signed: its new SOA, with RRSIG, must be among what is added");
}

/* RFC 8976: a digest over all of the zone. */
static void check_zonemd(struct text_zone *after)
{
    const struct text_record *zonemd = text_owner_record(after, 0, TYPE_ZONEMD);

    if (zonemd != NULL)
        text_tell(
            after, TEXT_ERROR, zonemd, TEXT_AT_OWNER,
            "the zone has a ZONEMD, which only a load can verify; remove it in the change, or "
            "load the zone");
}

/* ---- signatures ---- */

/* The owner lies below a cut or DNAME: nothing there is signed but NSEC3. */
static bool is_occluded(const struct text_zone *after, const struct text_owner *owner)
{
    const uint8_t *name = text_owner_name(owner);
    const unsigned apex_labels = name_label_count(after->apex);
    const unsigned labels = name_label_count(name);

    for (unsigned i = 1; i + apex_labels <= labels; i++) {
        const size_t above = text_find_name(after, name_skip(name, i), 0);
        const bool is_apex = i + apex_labels == labels;
        if (above < after->owner_count &&
            (text_owner_record(after, above, TYPE_DNAME) != NULL ||
             (!is_apex && text_owner_record(after, above, TYPE_NS) != NULL)))
            return true;
    }
    return false;
}

/* The type is authoritative at this owner. */
static bool is_signed_type(const struct text_zone *after, size_t owner, uint16_t type)
{
    const bool is_apex = after->owners[owner].key_len == after->apex_key_len;

    if (type == TYPE_NSEC3)
        return true;
    if (is_occluded(after, &after->owners[owner]))
        return false;
    return is_apex || text_owner_record(after, owner, TYPE_NS) == NULL || type == TYPE_DS ||
           type == TYPE_NSEC;
}

static bool has_new_rrsig(const struct text_record *lines, uint32_t count, uint16_t type)
{
    for (uint32_t i = 0; i < count; i++)
        if (lines[i].type == TYPE_RRSIG && lines[i].file == TEXT_FILE_ADDED &&
            covered_type(&lines[i]) == type)
            return true;
    return false;
}

static void check_owner(struct text_zone *after, const struct text_zone *lines, size_t which)
{
    const struct text_owner *owner = &lines->owners[which];
    const struct text_record *first = &lines->records[owner->first];
    const size_t found = text_find(after, owner->key, owner->key_len, 0);
    char name[24];

    for (uint32_t i = 0; i < owner->count && found < after->owner_count; i++) {
        const uint16_t type = first[i].type;
        if (type == TYPE_RRSIG || text_owner_record(after, found, type) == NULL ||
            !is_signed_type(after, found, type) || has_new_rrsig(first, owner->count, type))
            continue;
        text_tell(after, TEXT_ERROR, &first[i], TEXT_AT_TYPE,
                  "the zone is signed, and no RRSIG is added that covers the changed %s",
                  text_type_name(type, name, sizeof(name)));
    }
}

void text_check_change(struct text_zone *after, const struct text_zone *lines,
                       enum zonedb_signing signing)
{
    const struct text_record *param = signing == ZONEDB_NSEC3 ? text_chain_param(after) : NULL;

    check_zonemd(after);
    for (size_t i = 0; i < lines->record_count && !text_is_full(after); i++) {
        const struct text_record *line = &lines->records[i];
        const char *fault = find_obstacle(line, signing);
        if (fault == NULL && line->type == TYPE_NSEC3 && line->file == TEXT_FILE_ADDED &&
            param != NULL)
            fault = text_chain_fault(line, param);
        if (fault != NULL)
            text_tell(after, TEXT_ERROR, line, TEXT_AT_TYPE, "%s", fault);
    }
    if (signing == ZONEDB_UNSIGNED)
        return;
    check_soa(after, lines);
    for (size_t i = 0; i < lines->owner_count && !text_is_full(after); i++)
        check_owner(after, lines, i);
}

/* ---- the chain ---- */

struct link {
    struct text_zone *after;
    struct zonedb_writer *writer;
    const struct text_record *line;
    bool is_nsec3;
    const uint8_t *owner; /* name or hash */
};

static bool is_same(const struct link *link, const uint8_t *a, const uint8_t *b)
{
    return link->is_nsec3 ? memcmp(a, b, 20) == 0 : name_equal(a, b);
}

static int near(const struct link *link, const uint8_t *owner, bool is_after,
                struct zonedb_near *near_out)
{
    return (link->is_nsec3 ? zonedb_writer_change_near_nsec3
                           : zonedb_writer_change_near)(link->writer, owner, is_after, near_out);
}

static void tell_broken(const struct link *link, const struct zonedb_near *from)
{
    char text[NAME_TEXT_MAX];
    uint8_t digits[BASE32HEX_HASH_LEN + 1] = {0};

    if (link->is_nsec3)
        base32hex_encode(from->owner, digits);
    text_tell(link->after, TEXT_ERROR, link->line, TEXT_AT_OWNER,
              "the change breaks the %s chain: what %s names as next is not the next one",
              link->is_nsec3 ? "NSEC3" : "NSEC",
              link->is_nsec3 ? (const char *)digits : name_to_text(from->owner, text));
}

/* The link before the changed owner, and if it is still in the chain, its own. */
static int check_link(const struct link *link)
{
    struct zonedb_near before, here, behind;
    int found = near(link, link->owner, false, &before);

    if (found == 0)
        text_tell(link->after, TEXT_ERROR, link->line, TEXT_AT_OWNER,
                  "the change leaves the zone without a denial chain; load it to change that");
    if (found <= 0)
        return found;
    found = near(link, before.owner, true, &here);
    if (found == 1 && !is_same(link, before.next, here.owner))
        tell_broken(link, &before);
    if (found != 1 || !is_same(link, here.owner, link->owner))
        return found < 0 ? found : 0;
    found = near(link, here.owner, true, &behind);
    if (found == 1 && !is_same(link, here.next, behind.owner))
        tell_broken(link, &here);
    return found < 0 ? found : 0;
}

int text_check_change_chain(struct text_zone *after, const struct text_zone *lines,
                            struct zonedb_writer *writer, enum zonedb_signing signing)
{
    const uint16_t type = signing == ZONEDB_NSEC3 ? TYPE_NSEC3 : TYPE_NSEC;
    int error = 0;

    for (size_t i = 0; i < lines->owner_count && signing != ZONEDB_UNSIGNED && error == 0; i++) {
        const struct text_record *line = text_owner_record(lines, i, type);
        uint8_t hash[20];
        struct link link = {after, writer, line, type == TYPE_NSEC3,
                            text_owner_name(&lines->owners[i])};
        if (line == NULL || (link.is_nsec3 && !base32hex_decode(link.owner + 1, hash)))
            continue;
        if (link.is_nsec3)
            link.owner = hash;
        error = check_link(&link);
    }
    return error;
}
