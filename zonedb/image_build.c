/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The walk goes through all zones in canonical order, and through the nodes of each: keys of names
 * right below the apex have one label more than the apex's; those that go on behind that label are
 * below such a name, which is an empty non-terminal if it has not just been met.
 */
#include "zonedb/image_room.h"
#include "zonedb/view.h"

#include <errno.h>
#include <stdlib.h>

/* Less than any delegation takes. */
#define NAME_OCTETS_MIN 128
/* More than most take. */
#define NAME_OCTETS_USUAL 448
#define HOST_BITS_MIN ((uint64_t)1 << 16)

/* A zone of the snapshot, while the image is made. */
struct candidate {
    MDB_val apex; /* key in `zones`; of length 0 for the root */
    struct find_zone zone;
    uint64_t node_count;
    bool is_wanted;
};

struct build {
    struct image *image;
    struct zonedb_view *view;
    struct candidate *candidates;
    size_t count, cap;
    MDB_cursor *nodes;
    struct image_draft draft;
};

bool image_can(const struct respond_policy *policy)
{
    return policy->has_edns;
}

int image_open(const struct respond_policy *policy, struct image **image_out)
{
    assert(image_can(policy));
    *image_out = calloc(1, sizeof **image_out);
    if (*image_out == NULL)
        return -ENOMEM;
    (*image_out)->policy = *policy;
    return 0;
}

static void version_set(struct image *image, uint64_t version)
{
    __atomic_store_n(&image_head_of(image)->version, version, __ATOMIC_SEQ_CST);
}

void image_close(struct image *image)
{
    if (image == NULL)
        return;
    if (image->octets != NULL)
        version_set(image, 0);
    free(image->zones);
    free(image->hosts);
    free(image->retired);
    free(image);
}

size_t image_used(const struct image *image)
{
    size_t used = image->next * IMAGE_UNIT_LEN;
    return (used + IMAGE_PAGE_LEN - 1) / IMAGE_PAGE_LEN * IMAGE_PAGE_LEN;
}

/* ---- the zones ---- */

static int candidate_add(struct build *build, const MDB_val *key, const MDB_val *record)
{
    if (build->count == build->cap) {
        size_t wanted = build->cap == 0 ? 64 : 2 * build->cap;
        void *grown = reallocarray(build->candidates, wanted, sizeof *build->candidates);
        if (grown == NULL)
            return -ENOMEM;
        build->candidates = grown;
        build->cap = wanted;
    }
    struct candidate *c = &build->candidates[build->count];
    if (!find_zone_parse(record->mv_data, record->mv_size, &c->zone))
        return -EBADMSG;
    c->apex = *key;
    if (c->zone.depth == 0)
        c->apex.mv_size = 0;
    c->node_count = load_be64((const uint8_t *)record->mv_data + 12);
    c->is_wanted = c->zone.state == ZONEDB_SERVING && c->zone.depth <= IMAGE_APEX_LABELS_MAX;
    build->count++;
    return 0;
}

static int candidates_list(struct build *build)
{
    MDB_val key, record;
    int rc = mdb_cursor_get(build->view->zones, &key, &record, MDB_FIRST);
    build->view->memo.is_set = false;
    while (rc == 0) {
        int error = candidate_add(build, &key, &record);
        if (error != 0)
            return error;
        rc = mdb_cursor_get(build->view->zones, &key, &record, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : zonedb_errno(rc);
}

/* How many names there will be at most, of zones that may fit. */
static uint64_t names_count(struct build *build, size_t room)
{
    uint64_t names = 0;
    for (size_t i = 0; i < build->count; i++) {
        struct candidate *c = &build->candidates[i];
        c->is_wanted = c->is_wanted && names + c->node_count <= room / NAME_OCTETS_MIN;
        names += c->is_wanted ? c->node_count + 1 : 1;
    }
    return names;
}

/* ---- the directory ---- */

static void climb_add(struct build *build, const uint8_t *name, size_t len)
{
    if (image_entry_find(build->image, IMAGE_CUT, name, len) == NULL)
        image_entry_add(build->image, image_name_hash(IMAGE_CUT, name, len), IMAGE_PLACE_CLIMB);
}

/* The name whose key ends behind the first label at or after `at`. Returns its length, 0: damaged.
 */
static size_t name_below(const MDB_val *key, size_t begin, size_t at, uint8_t name[NAME_MAX_LEN])
{
    const uint8_t *octets = key->mv_data;
    while (at < key->mv_size && octets[at] != 0)
        at++;
    return at < key->mv_size ? name_from_key(octets + begin, at + 1 - begin, name) : 0;
}

static bool is_below(const MDB_val *key, const MDB_val *apex)
{
    return key->mv_size > apex->mv_size && memcmp(key->mv_data, apex->mv_data, apex->mv_size) == 0;
}

/* Names right below an apex that other apexes are at or below climb. */
static int nested_add(struct build *build)
{
    size_t above[NAME_LABELS_MAX + 1], depth = 0;
    for (size_t i = 0; i < build->count; i++) {
        const MDB_val *key = &build->candidates[i].apex;
        while (depth > 0 && !is_below(key, &build->candidates[above[depth - 1]].apex))
            depth--;
        for (size_t k = 0; k < depth; k++) {
            uint8_t name[NAME_MAX_LEN];
            size_t len = name_below(key, 0, build->candidates[above[k]].apex.mv_size, name);
            if (len == 0)
                return -EBADMSG;
            climb_add(build, name, len);
        }
        above[depth++] = i;
    }
    return 0;
}

/* ---- the nodes of a zone ---- */

/* Remember the hosts of the zone whose addresses are in the referral without being below the cut. */
static void hosts_note(struct image *image, const struct image_source *cut, const uint8_t *apex,
                       size_t apex_len, const struct node *node)
{
    struct zonedb_rrset ns;
    const uint8_t *rdata;
    uint16_t rdata_len;
    if (rrsets_find(node->rrsets, RR_NS, &ns, NULL) != 1)
        return;
    for (struct rdata_cursor cursor = rdata_begin(&ns);
         rdata_next(&cursor, &rdata, &rdata_len) == 1;) {
        uint8_t host[NAME_MAX_LEN];
        size_t len = name_len(rdata, rdata_len);
        if (len == 0 || !name_ends_in(rdata, len, apex, apex_len) ||
            name_ends_in(rdata, len, cut->name, cut->name_len))
            continue;
        name_copy_lower(host, rdata);
        uint64_t bit = image_name_hash(IMAGE_CUT, host, len) & image->host_mask;
        image->hosts[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

/* A name right below the apex that has a node. Returns 0; -ENOSPC. */
static int name_add(struct build *build, const struct find_zone *zone, const struct node *node,
                    const uint8_t *name, size_t len, const uint8_t *apex, size_t apex_len)
{
    struct image *image = build->image;
    const struct image_source source = {
        .view = build->view,
        .policy = &image->policy,
        .zone = zone,
        .name = name,
        .name_len = (uint8_t)len,
        .label_count = (uint8_t)(zone->depth + 1),
    };
    if ((node->flags & NODE_CUT) == 0 || (node->flags & NODE_OCCLUDED) != 0 ||
        image_entry_find(image, IMAGE_CUT, name, len) != NULL) {
        climb_add(build, name, len);
        return 0;
    }
    hosts_note(image, &source, apex, apex_len, node);
    image_block_cut(&source, node, &build->draft);
    if (build->draft.len == 0) {
        climb_add(build, name, len);
        return 0;
    }
    uint64_t place = image_block_put(image, &build->draft);
    if (place == 0)
        return -ENOSPC;
    image_entry_add(image, image_name_hash(IMAGE_CUT, name, len), place);
    return 0;
}

static int apex_add(struct build *build, const struct find_zone *zone, const uint8_t *apex,
                    size_t apex_len, bool has_wildcard)
{
    const struct image_source source = {
        .view = build->view,
        .policy = &build->image->policy,
        .zone = zone,
        .name = apex,
        .name_len = (uint8_t)apex_len,
        .label_count = zone->depth,
    };
    image_block_apex(&source, !has_wildcard, &build->draft);
    uint64_t place = image_block_put(build->image, &build->draft);
    if (place == 0)
        return -ENOSPC;
    image_entry_add(build->image, image_name_hash(IMAGE_APEX, apex, apex_len), place);
    image_head_of(build->image)->apex_depths |= UINT32_C(1) << zone->depth;
    return 0;
}

static bool is_wildcard(const uint8_t *name)
{
    return name[0] == 1 && name[1] == '*';
}

/* Returns 0; -ENOSPC; -EBADMSG; 1: nothing of the zone can be in an image. */
static int nodes_add(struct build *build, const struct candidate *candidate)
{
    uint8_t prefix[ZONE_ID_LEN], name[NAME_MAX_LEN], apex[NAME_MAX_LEN];
    size_t apex_end = ZONE_ID_LEN + candidate->apex.mv_size, met_len = 0;
    const uint8_t *met = NULL; /* key of the last name right below the apex */
    bool has_wildcard = false;
    size_t apex_len = name_from_key(candidate->apex.mv_data, candidate->apex.mv_size, apex);
    store_be32(prefix, candidate->zone.id);
    MDB_val key = {sizeof prefix, prefix}, value;
    struct node node;
    int rc = mdb_cursor_get(build->nodes, &key, &value, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(build->nodes, &key, &value, MDB_NEXT)) {
        if (key.mv_size < apex_end || memcmp(key.mv_data, prefix, sizeof prefix) != 0)
            break;
        if (met != NULL && key.mv_size > met_len && memcmp(key.mv_data, met, met_len) == 0)
            continue;
        if (apex_len == 0 || !node_parse(value.mv_data, value.mv_size, &node))
            return -EBADMSG;
        if (key.mv_size == apex_end && (node.flags & NODE_DNAME) != 0)
            return 1;
        if (key.mv_size == apex_end)
            continue;
        size_t len = name_below(&key, ZONE_ID_LEN, apex_end, name);
        if (len == 0)
            return -EBADMSG;
        met = key.mv_data;
        met_len = apex_end;
        while (met[met_len++] != 0)
            ;
        has_wildcard |= is_wildcard(name);
        if (key.mv_size > met_len)
            node = (struct node){.flags = 0};
        int error = name_add(build, &candidate->zone, &node, name, len, apex, apex_len);
        if (error != 0)
            return error;
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return zonedb_errno(rc);
    return apex_add(build, &candidate->zone, apex, apex_len, has_wildcard);
}

/* Without its apex's entry, nothing that was entered for a zone is ever looked up. */
static int zone_add(struct build *build, const struct candidate *candidate)
{
    struct image *image = build->image;
    uint64_t next = image->next;
    int rc = nodes_add(build, candidate);
    if (rc == -ENOSPC || rc == 1) {
        memset(image->spare, 0, sizeof image->spare);
        image->next = next;
        return 0;
    }
    if (rc == 0)
        image->zones[image->zone_count++] =
            (struct image_zone){candidate->zone.id, candidate->zone.depth, candidate->zone.signing};
    return rc;
}

static int zones_compare(const void *a, const void *b)
{
    const struct image_zone *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int keeper_begin(struct image *image, size_t zone_count, uint64_t name_count)
{
    uint64_t bits = HOST_BITS_MIN;
    while (bits < 4 * name_count)
        bits *= 2;
    free(image->hosts);
    free(image->zones);
    image->zone_count = 0;
    image->host_mask = bits - 1;
    image->hosts = calloc(bits / 64, sizeof *image->hosts);
    image->zones = calloc(zone_count + 1, sizeof *image->zones);
    return image->hosts != NULL && image->zones != NULL ? 0 : -ENOMEM;
}

static int image_fill(struct build *build, struct image_memory memory)
{
    int rc = candidates_list(build);
    if (rc != 0)
        return rc;
    uint64_t name_count = names_count(build, memory.len);
    rc = keeper_begin(build->image, build->count, name_count);
    if (rc == 0 && !image_room_begin(build->image, memory, name_count))
        rc = -ENOSPC;
    if (rc == 0)
        rc = nested_add(build);
    for (size_t i = 0; i < build->count && rc == 0; i++)
        if (build->candidates[i].is_wanted)
            rc = zone_add(build, &build->candidates[i]);
    if (rc == 0)
        qsort(build->image->zones, build->image->zone_count, sizeof *build->image->zones,
              zones_compare);
    return rc;
}

int image_build(struct image *image, struct image_memory memory, struct zonedb_view *view)
{
    struct build build = {.image = image, .view = view};
    if (memory.len < IMAGE_PAGE_LEN)
        return -ENOSPC;
    if (!view->is_active)
        return -EBADMSG;
    image->octets = memory.octets;
    version_set(image, 0);
    int rc = mdb_cursor_open(view->txn, view->db->nodes, &build.nodes);
    if (rc != 0)
        return zonedb_errno(rc);
    rc = image_fill(&build, memory);
    mdb_cursor_close(build.nodes);
    free(build.candidates);
    if (rc == 0)
        version_set(image, view->version);
    return rc;
}

size_t image_estimate(struct zonedb_view *view)
{
    struct zonedb_stat stat;
    if (zonedb_stat(view, &stat) != 0)
        return 0;
    return 64 * IMAGE_PAGE_LEN + (stat.node_count + stat.zone_count) * NAME_OCTETS_USUAL;
}

int image_move(struct image *image, struct image_memory memory)
{
    size_t used = image_used(image);
    if (memory.len < used)
        return -ENOSPC;
    uint64_t version = image_head_of(image)->version;
    struct image_head *head = memory.octets;
    __atomic_store_n(&head->version, 0, __ATOMIC_SEQ_CST);
    memcpy((uint8_t *)memory.octets + sizeof *head, image->octets + sizeof *head,
           used - sizeof *head);
    head->apex_depths = image_head_of(image)->apex_depths;
    head->bucket_mask = image->bucket_mask;
    head->udp_payload = image->policy.udp_payload;
    version_set(image, 0);
    image->octets = memory.octets;
    image->len = memory.len - memory.len % IMAGE_PAGE_LEN;
    version_set(image, version);
    return 0;
}
