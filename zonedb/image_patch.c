/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An owner that a commit touched changes, in the image, the block of the name right below the apex
 * that it is at or below, or the apex's; those of its RRsets; and where it is a host, the blocks of
 * cuts and RRsets elsewhere that name it (image_hosts.c).
 *
 * An entry that says IMAGE_PLACE_CLIMB stays: it may stand for another name with the same
 * fingerprint too. So here names that climb get blocks without bodies instead, which tell whose
 * they are.
 */
#include "zonedb/image_room.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(IMAGE_OUTDATED == ZONEDB_CHANGES_UNKNOWN, "one is passed on as the other");

/* Hosts of many delegations that a patch deals with, and delegations of theirs: with more, to make
 * the image anew is quicker. */
#define HOSTS_MAX 16
#define RENEWED_MAX 50000

struct patch {
    struct image *image;
    struct zonedb_view *view;
    uint64_t now_ns;
    uint32_t zone_id; /* of the last owner, if it is in the image; else 0 */
    struct find_zone zone;
    struct image_apex apex;
    bool is_apex_done;
    uint8_t done[NAME_MAX_LEN]; /* the last name right below the apex */
    size_t done_len;
    struct image_draft draft;
    struct {
        uint32_t zone_id;
        uint8_t name[NAME_MAX_LEN];
    } hosts[HOSTS_MAX]; /* that were touched */
    unsigned host_count, renewed;
};

/* ---- room ---- */

/* Nobody reads any more what was replaced so long ago. */
static void retired_give(struct image *image, uint64_t now_ns, uint64_t grace_ns)
{
    size_t given = 0;
    while (given < image->retired_count && now_ns - image->retired[given].since_ns >= grace_ns) {
        image_block_give(image, image->retired[given].place);
        given++;
    }
    image->retired_count -= given;
    if (given > 0)
        memmove(image->retired, image->retired + given,
                image->retired_count * sizeof *image->retired);
}

/* Without memory its room is lost until the image is made anew. */
static void block_retire(struct patch *patch, uint64_t place)
{
    struct image *image = patch->image;
    if (place <= IMAGE_PLACE_FULL)
        return;
    if (image->retired_count == image->retired_cap) {
        size_t wanted = image->retired_cap == 0 ? 64 : 2 * image->retired_cap;
        void *grown = reallocarray(image->retired, wanted, sizeof *image->retired);
        if (grown == NULL)
            return;
        image->retired = grown;
        image->retired_cap = wanted;
    }
    image->retired[image->retired_count++] = (struct image_retired){place, patch->now_ns};
}

/* ---- names ---- */

/* The name gets this place (0: it is gone), in place of the one that it has. If it climbs, so it
 * stays. */
static void entry_renew(struct patch *patch, uint32_t what, const uint8_t *name, size_t len,
                        uint64_t place)
{
    uint64_t *entry = image_entry_find(patch->image, what, name, len);
    if (entry == NULL && place != 0) {
        image_entry_add(patch->image, what, image_name_hash(what, name, len), place);
    } else if (entry != NULL && (*entry & IMAGE_PLACE_MASK) == IMAGE_PLACE_CLIMB) {
        if (place != 0)
            image_block_give(patch->image, place);
    } else if (entry != NULL) {
        uint64_t old = *entry & IMAGE_PLACE_MASK;
        image_entry_set(entry, place);
        block_retire(patch, old);
    }
}

/* What the zone has at a name right below its apex, or below it. Returns 1 and the node, a
 * plain one if it is an empty non-terminal; 0 nothing; negative errno. */
static int node_find(struct patch *patch, const uint8_t *name, struct node *node_out)
{
    struct find_key key;
    find_key_set(&key, patch->zone.id, name);
    struct block_place place;
    size_t len = key.end[key.label_count];
    if (find_place(patch->view->nodes, NULL, &patch->zone, key.octets, len, &place) != 1)
        return -EBADMSG;
    *node_out = place.is_exact ? place.node : (struct node){.place = NODE_PLAIN};
    return place.is_exact || (place.has_next && place.next_common == len - ZONE_ID_LEN);
}

/* Outcomes: 0; IMAGE_OUTDATED; negative errno. */
static int name_renew(struct patch *patch, const uint8_t *name, size_t len)
{
    struct image *image = patch->image;
    struct node node;
    uint64_t place = 0;
    bool is_cut = false;
    uint64_t *entry = image_entry_find(image, IMAGE_CUT, name, len);
    if (entry != NULL && (*entry & IMAGE_PLACE_MASK) == IMAGE_PLACE_CLIMB)
        return 0;
    int status = node_find(patch, name, &node);
    if (status < 0)
        return status;
    if (status == 1) {
        patch->draft.len = 0;
        if (node.place == NODE_CUT)
            image_draft_cut(image, &patch->apex, name, len, &node, &patch->draft);
        is_cut = patch->draft.len > 0;
        if (!is_cut)
            image_draft_climb(image, &patch->apex, name, len, &patch->draft);
        uint64_t hash = image_name_hash(IMAGE_CUT, name, len);
        if ((place = image_block_put(image, hash, &patch->draft)) == 0)
            return IMAGE_OUTDATED;
    }
    entry_renew(patch, IMAGE_CUT, name, len, place);
    if (is_cut)
        image_hosts_note(image, &patch->apex, name, len, &node, place);
    return 0;
}

static int apex_renew(struct patch *patch)
{
    const struct image_apex *apex = &patch->apex;
    struct node node;
    uint8_t wildcard[2 + NAME_MAX_LEN] = {1, '*'};
    if (patch->is_apex_done)
        return 0;
    patch->is_apex_done = true;
    int status = node_find(patch, apex->name, &node);
    if (status != 1 || node.place == NODE_DNAME)
        return status < 0 ? status : IMAGE_OUTDATED;
    bool has_wildcard = false;
    if (apex->len + 2 <= NAME_MAX_LEN) {
        memcpy(wildcard + 2, apex->name, apex->len);
        if ((status = node_find(patch, wildcard, &node)) < 0)
            return status;
        has_wildcard = status == 1;
    }
    image_draft_apex(patch->image, apex, has_wildcard, &patch->draft);
    uint64_t place = image_block_put(
        patch->image, image_name_hash(IMAGE_APEX, apex->name, apex->len), &patch->draft);
    if (place == 0)
        return IMAGE_OUTDATED;
    entry_renew(patch, IMAGE_APEX, apex->name, apex->len, place);
    return 0;
}

/* ---- RRsets ---- */

/* What the image has of them goes. Outcomes: 0; IMAGE_OUTDATED: that is not known. */
static int rrsets_remove(struct patch *patch, const uint8_t *name, size_t len)
{
    struct image *image = patch->image;
    const uint32_t what = image_what(IMAGE_RRSET, 0);
    const uint64_t *entry = image_entry_find(image, what, name, len);
    uint16_t types[IMAGE_TYPES_MAX];
    entry_renew(patch, image_what(IMAGE_RRSET, RR_DS), name, len, 0); /* of a zone cut */
    if (entry == NULL)
        return image_entry_may_be_lost(image, image_name_hash(what, name, len)) ? IMAGE_OUTDATED
                                                                                : 0;
    if ((*entry & IMAGE_PLACE_MASK) == IMAGE_PLACE_CLIMB)
        return IMAGE_OUTDATED;
    const struct image_block *block = image_block_of(image, *entry & IMAGE_PLACE_MASK);
    unsigned count = block->body[0].pointer_count;
    assert(count <= IMAGE_TYPES_MAX);
    memcpy(types, (const uint8_t *)block + block->body[0].pointers_at, count * sizeof *types);
    for (unsigned i = 0; i < count; i++)
        entry_renew(patch, image_what(IMAGE_RRSET, types[i]), name, len, 0);
    entry_renew(patch, what, name, len, 0);
    return 0;
}

/* They are as the view has them, unless the name is in another zone, or occluded. Outcomes: 0;
 * IMAGE_OUTDATED; negative errno. */
static int rrsets_renew(struct patch *patch, const uint8_t *name, size_t len)
{
    struct found found;
    int rc = rrsets_remove(patch, name, len);
    if (rc != 0 || !patch->image->has_rrsets || (name[0] == 1 && name[1] == '*'))
        return rc;
    enum find_outcome outcome = zonedb_find(patch->view, name, RR_A, &found);
    if (outcome == FIND_CORRUPT)
        return -EBADMSG;
    bool is_cut = outcome == FIND_DELEGATION && found.node_depth == found.key.label_count;
    bool is_plain =
        outcome == FIND_NODE && !found.is_empty_non_terminal && found.node.place == NODE_PLAIN;
    if (!(is_cut || is_plain) || found.zone.id != patch->zone.id)
        return 0;
    rc = image_rrsets_add(patch->image, &patch->apex, name, len, &found.node, &patch->draft);
    return rc == -ENOSPC ? IMAGE_OUTDATED : rc;
}

/* ---- what was touched ---- */

static int zones_compare(const void *id, const void *zone)
{
    uint32_t x = *(const uint32_t *)id, y = ((const struct image_zone *)zone)->id;
    return (x > y) - (x < y);
}

/* Get ready for this zone. Outcomes: 1; 0, it is not in the image; -ESTALE, it is not as it was;
 * other negative errno. */
static int zone_enter(struct patch *patch, uint32_t zone_id)
{
    const struct image *image = patch->image;
    static const uint8_t root_key[1] = {0};
    struct find_key key;
    if (patch->zone_id == zone_id)
        return 1;
    const struct image_zone *known =
        bsearch(&zone_id, image->zones, image->zone_count, sizeof *image->zones, zones_compare);
    if (known == NULL)
        return 0;
    find_key_set(&key, zone_id, image->apexes + known->apex_at);
    size_t len = (size_t)key.end[key.label_count] - ZONE_ID_LEN;
    MDB_val k = {len, key.octets + ZONE_ID_LEN}, value;
    if (len == 0)
        k = (MDB_val){sizeof root_key, (void *)(uintptr_t)root_key};
    int rc = mdb_cursor_get(patch->view->zones, &k, &value, MDB_SET_KEY);
    if (rc != 0)
        return zonedb_errno(rc);
    if (!find_zone_parse(k.mv_data, k.mv_size, value.mv_data, value.mv_size, &patch->zone, NULL) ||
        patch->zone.id != zone_id)
        return -EBADMSG;
    if (patch->zone.signing != known->signing || patch->zone.state != ZONEDB_SERVING)
        return -ESTALE;
    k.mv_size = len;
    if (!image_apex_set(&patch->apex, patch->view, &k, &patch->zone))
        return -EBADMSG;
    patch->apex.key = (MDB_val){0, NULL}; /* it is not wanted here, and gone when this returns */
    patch->zone_id = zone_id;
    patch->is_apex_done = false;
    patch->done_len = 0;
    return 1;
}

static int owner_renew(struct patch *patch, const uint8_t *owner)
{
    unsigned labels = name_label_count(owner), depth = patch->zone.depth;
    uint8_t lower[NAME_MAX_LEN];
    int outcome = rrsets_renew(patch, lower, name_copy_lower(lower, owner));
    if (outcome != 0 || labels <= depth)
        return outcome != 0 ? outcome : apex_renew(patch);
    const uint8_t *name = name_skip(owner, labels - depth - 1);
    size_t len = name_len(name, NAME_MAX_LEN);
    if (len == patch->done_len && memcmp(name, patch->done, len) == 0)
        return 0;
    memcpy(patch->done, name, len);
    patch->done_len = len;
    int rc = name_renew(patch, name, len);
    if (rc == 0 && name[0] == 1 && name[1] == '*') {
        patch->is_apex_done = false;
        rc = apex_renew(patch);
    }
    return rc;
}

/* Cuts elsewhere may have the addresses of this owner. */
static int host_add(struct patch *patch, uint32_t zone_id, const uint8_t *owner)
{
    for (unsigned i = 0; i < patch->host_count; i++)
        if (patch->hosts[i].zone_id == zone_id && name_equal(patch->hosts[i].name, owner))
            return 0;
    if (patch->host_count == HOSTS_MAX)
        return IMAGE_OUTDATED;
    patch->hosts[patch->host_count].zone_id = zone_id;
    name_copy_lower(patch->hosts[patch->host_count].name, owner);
    patch->host_count++;
    return 0;
}

static int host_renew(void *context, const struct image_block *block)
{
    struct patch *patch = context;
    uint8_t name[NAME_MAX_LEN];
    size_t len = block->name_len;
    if ((block->kind == IMAGE_CUT && block->label_count != patch->zone.depth + 1) ||
        !name_ends_in((const uint8_t *)(block + 1), len, patch->apex.name, patch->apex.len))
        return 0; /* of another zone, with the same fingerprint */
    if (++patch->renewed > RENEWED_MAX)
        return IMAGE_OUTDATED;
    memcpy(name, block + 1, len);
    return block->kind == IMAGE_CUT ? name_renew(patch, name, len) : rrsets_renew(patch, name, len);
}

static int hosts_renew(struct patch *patch)
{
    int rc = 0;
    for (unsigned i = 0; i < patch->host_count && rc == 0; i++) {
        rc = zone_enter(patch, patch->hosts[i].zone_id);
        if (rc == 1)
            rc = image_hosts_visit(patch->image, patch->hosts[i].name, host_renew, patch);
    }
    return rc == -ENOMEM ? IMAGE_OUTDATED : rc;
}

/* Is there more to it than the block of the name? Nothing is changed yet. */
static int touched_check(void *context, uint32_t zone_id, const uint8_t *owner)
{
    struct patch *patch = context;
    const struct image *image = patch->image;
    int rc = zone_enter(patch, zone_id);
    if (rc != 1)
        return rc == -ESTALE ? IMAGE_OUTDATED : rc;
    if (owner == NULL) /* part of the proofs in some referrals */
        return patch->zone.signing == ZONEDB_NSEC3 ? IMAGE_OUTDATED : 0;
    return image_hosts_may_have(image, owner) ? host_add(patch, zone_id, owner) : 0;
}

static int touched_renew(void *context, uint32_t zone_id, const uint8_t *owner)
{
    struct patch *patch = context;
    int rc = zone_enter(patch, zone_id);
    return rc == 1 && owner != NULL ? owner_renew(patch, owner) : rc < 0 ? rc : 0;
}

int image_patch(struct image *image, struct zonedb_view *view, uint64_t now_ns, uint64_t grace_ns)
{
    struct patch patch = {.image = image, .view = view, .now_ns = now_ns};
    if (image->version == 0)
        return IMAGE_OUTDATED;
    if (!view->is_active)
        return -EBADMSG;
    if (image->version == view->version)
        return 0;
    uint64_t since = image->version;
    image->version = 0;
    image_version_set(image, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    retired_give(image, now_ns, grace_ns);
    image_hosts_clean(image);
    int rc = zonedb_view_changes(view, since, touched_check, &patch);
    if (rc == 0)
        rc = zonedb_view_changes(view, since, touched_renew, &patch);
    if (rc == 0)
        rc = hosts_renew(&patch);
    if (rc == 0) {
        image->version = view->version;
        image_version_set(image, view->version);
    }
    return rc;
}
