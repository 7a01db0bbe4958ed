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

/* What the block of a delegation takes besides its name and records, and in the directory. */
#define NAME_OCTETS_MORE 84
#define RRSET_OCTETS_MORE 12
#define NAME_OCTETS_DIRECTORY 24
/* Of a proof that there is no DS, by NSEC3. */
#define PROOF_OCTETS 450

/* A zone of the snapshot, while the image is made. */
struct candidate {
    MDB_val apex; /* key in `zones`; of length 0 for the root */
    struct find_zone zone;
    uint64_t names, octets; /* that go into the image, and about how much their blocks take */
    uint64_t rrset_entries, rrset_octets; /* the same of RRsets, which come if there is room left */
    bool is_wanted, has_rrsets;
};

struct build {
    struct image *image;
    struct zonedb_view *view;
    struct candidate *candidates;
    size_t count, cap, at; /* at: the one that is being put in */
    MDB_cursor *nodes;
    bool has_wildcard; /* right below the apex */
    bool is_hidden;    /* another apex is at or below the last name right below it */
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

void image_set_stop(struct image *image, const atomic_bool *stop)
{
    image->stop = stop;
}

struct image_counts image_count(const struct image *image)
{
    return image->counts;
}

void image_close(struct image *image)
{
    if (image == NULL)
        return;
    if (image->octets != NULL)
        image_version_set(image, 0);
    free(image->zones);
    free(image->apexes);
    image_hosts_end(image);
    free(image->page_next);
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
    if (!find_zone_parse(key->mv_data, key->mv_size, record->mv_data, record->mv_size, &c->zone,
                         NULL))
        return -EBADMSG;
    c->apex = *key;
    if (c->zone.depth == 0)
        c->apex.mv_size = 0;
    c->names = c->octets = c->rrset_entries = c->rrset_octets = 0;
    c->has_rrsets = false;
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

/* ---- the nodes of a zone ---- */

/* A node: the apex, or one at or below a name right below it. */
struct met {
    const struct node *node;
    const uint8_t *key; /* of the node */
    size_t key_len;
    size_t len;    /* of that name's, or the apex's */
    bool is_first; /* of those at or below it */
};

/* Nodes below that name that have no RRsets for an image are not met. Other values than 0 end the
 * walk. */
typedef int node_visit(struct build *build, const struct image_apex *apex, const struct met *met);

struct walk {
    struct build *build;
    const struct image_apex *apex;
    node_visit *visit;
    size_t last_len; /* of the last name's key; 0: none yet */
    uint8_t last[NAME_KEY_MAX];
};

static int node_meet(void *context, const uint8_t *key, size_t key_len, const struct node *node)
{
    struct walk *walk = context;
    const atomic_bool *stop = walk->build->image->stop;
    struct met met = {node, key, key_len, walk->apex->key.mv_size, true};
    if (walk->last_len > 0 && key_len > walk->last_len &&
        memcmp(key, walk->last, walk->last_len) == 0) {
        met.len = walk->last_len;
        met.is_first = false;
        return node->place <= NODE_CUT ? walk->visit(walk->build, walk->apex, &met) : 0;
    }
    if (stop != NULL && atomic_load_explicit(stop, memory_order_relaxed))
        return -ECANCELED;
    if (key_len > met.len) {
        while (met.len < key_len && key[met.len] != 0)
            met.len++;
        met.len++;
        walk->last_len = met.len;
        memcpy(walk->last, key, met.len < key_len ? met.len : key_len);
    }
    return walk->visit(walk->build, walk->apex, &met);
}

static int nodes_walk(struct build *build, const struct image_apex *apex, node_visit *visit)
{
    struct walk walk = {.build = build, .apex = apex, .visit = visit};
    return find_walk(build->nodes, apex->zone, node_meet, &walk);
}

/* How much there will be of it. */
static int node_count(struct build *build, const struct image_apex *apex, const struct met *met)
{
    struct candidate *c = &build->candidates[build->at];
    struct rrsets rest = met->node->rrsets;
    struct zonedb_rrset rrset;
    uint64_t entries, octets;
    int status;
    if (image_rrsets_count(apex->zone, met->node, met->key_len + 1, &entries, &octets) != 0)
        return -EBADMSG;
    c->rrset_entries += entries;
    c->rrset_octets += octets;
    c->names += met->is_first;
    if (met->key_len != met->len || met->node->place != NODE_CUT)
        return 0;
    c->octets += NAME_OCTETS_MORE + met->key_len;
    while ((status = rrsets_next(&rest, &rrset)) == 1)
        c->octets += RRSET_OCTETS_MORE + rrset.rdata_len;
    if (apex->zone->signing == ZONEDB_NSEC3)
        c->octets += PROOF_OCTETS;
    return status < 0 ? -EBADMSG : 0;
}

/* What there will be of all zones. */
struct totals {
    uint64_t names, entries, octets;
};

static bool totals_add(struct totals *totals, uint64_t entries, uint64_t octets, uint64_t room)
{
    if (totals->octets + octets + (totals->entries + entries) * NAME_OCTETS_DIRECTORY > room)
        return false;
    totals->entries += entries;
    totals->octets += octets;
    return true;
}

/* A zone that is too large for what room is left climbs as a whole; and its RRsets do, when all
 * delegations are in, if they are too many for the rest of `rrset_room`. */
static int zones_count(struct build *build, size_t room, size_t rrset_room, struct totals *totals)
{
    *totals = (struct totals){.entries = build->count};
    for (build->at = 0; build->at < build->count; build->at++) {
        struct candidate *c = &build->candidates[build->at];
        struct image_apex apex;
        if (!c->is_wanted)
            continue;
        if (!image_apex_set(&apex, build->view, &c->apex, &c->zone))
            return -EBADMSG;
        c->names = c->octets = c->rrset_entries = c->rrset_octets = 0;
        int rc = nodes_walk(build, &apex, node_count);
        if (rc != 0)
            return rc;
        c->is_wanted = totals_add(totals, c->names, c->octets, room);
        if (c->is_wanted)
            totals->names += c->names;
    }
    totals->names += build->count;
    for (size_t i = 0; i < build->count; i++) {
        struct candidate *c = &build->candidates[i];
        c->has_rrsets =
            c->is_wanted && totals_add(totals, c->rrset_entries, c->rrset_octets, rrset_room);
    }
    return 0;
}

/* ---- apexes in the way ---- */

static void climb_add(struct build *build, const uint8_t *name, size_t len)
{
    if (image_entry_find(build->image, IMAGE_CUT, name, len) == NULL)
        image_entry_add(build->image, IMAGE_CUT, image_name_hash(IMAGE_CUT, name, len),
                        IMAGE_PLACE_CLIMB);
}

/* The name whose key ends behind the first label at or after `at`. Returns its length, 0: damaged.
 */
static size_t name_below(const MDB_val *key, size_t at, uint8_t name[NAME_MAX_LEN])
{
    const uint8_t *octets = key->mv_data;
    while (at < key->mv_size && octets[at] != 0)
        at++;
    return at < key->mv_size ? name_from_key(octets, at + 1, name) : 0;
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
            size_t len = name_below(key, build->candidates[above[k]].apex.mv_size, name);
            if (len == 0)
                return -EBADMSG;
            climb_add(build, name, len);
        }
        above[depth++] = i;
    }
    return 0;
}

/* ---- a zone's names ---- */

/* A name right below the apex that has a node, or nodes below it. Returns 0; -ENOSPC. */
static int name_add(struct build *build, const struct image_apex *apex, const struct node *node,
                    const uint8_t *name, size_t len)
{
    struct image *image = build->image;
    build->is_hidden = image_entry_find(image, IMAGE_CUT, name, len) != NULL;
    if (build->is_hidden)
        return 0; /* it climbs: an apex lies there */
    build->draft.len = 0;
    if (node->place == NODE_CUT) {
        image_draft_cut(image, apex, name, len, node, &build->draft);
        image->counts.delegations++;
    }
    uint64_t hash = image_name_hash(IMAGE_CUT, name, len), place = IMAGE_PLACE_CLIMB;
    if (build->draft.len > 0 && (place = image_block_put(image, hash, &build->draft)) == 0)
        return -ENOSPC;
    image_entry_add(image, IMAGE_CUT, hash, place);
    if (place != IMAGE_PLACE_CLIMB)
        image_hosts_note(image, apex, name, len, node, place);
    return 0;
}

static int apex_add(struct build *build, const struct image_apex *apex, bool has_wildcard)
{
    struct image *image = build->image;
    image_draft_apex(image, apex, has_wildcard, &build->draft);
    uint64_t hash = image_name_hash(IMAGE_APEX, apex->name, apex->len);
    uint64_t place = image_block_put(image, hash, &build->draft);
    if (place == 0)
        return -ENOSPC;
    image_entry_add(image, IMAGE_APEX, hash, place);
    image_head_of(image)->apex_depths |= UINT32_C(1) << apex->zone->depth;
    return 0;
}

/* The RRsets of a node. Those of literal wildcards are asked for by nobody. */
static int rrsets_add(struct build *build, const struct image_apex *apex, const struct met *met)
{
    uint8_t name[NAME_MAX_LEN];
    if (met->node->place > NODE_CUT || build->is_hidden || !build->candidates[build->at].has_rrsets)
        return 0;
    size_t len = name_from_key(met->key, met->key_len, name);
    if (len == 0)
        return -EBADMSG;
    if (name[0] == 1 && name[1] == '*')
        return 0;
    return image_rrsets_add(build->image, apex, name, len, met->node, &build->draft);
}

/* Returns 0; 1: nothing of the zone can be in an image; negative errno. */
static int node_add(struct build *build, const struct image_apex *apex, const struct met *met)
{
    uint8_t name[NAME_MAX_LEN];
    struct node node = *met->node;
    if (met->len == apex->key.mv_size) { /* a DNAME there hides all names below */
        build->is_hidden = false;
        return node.place == NODE_DNAME ? 1 : rrsets_add(build, apex, met);
    }
    if (!met->is_first)
        return rrsets_add(build, apex, met);
    size_t len = met->len > met->key_len ? 0 : name_from_key(met->key, met->len, name);
    if (len == 0)
        return -EBADMSG;
    build->has_wildcard |= name[0] == 1 && name[1] == '*';
    if (met->key_len > met->len)
        node.place = NODE_PLAIN; /* of a name below: this one is an empty non-terminal */
    int rc = name_add(build, apex, &node, name, len);
    return rc == 0 ? rrsets_add(build, apex, met) : rc;
}

/* Without its apex's entry, nothing that was entered for a zone is ever looked up. */
static int zone_add(struct build *build, const struct candidate *candidate)
{
    struct image *image = build->image;
    struct image_apex apex;
    if (!image_apex_set(&apex, build->view, &candidate->apex, &candidate->zone))
        return -EBADMSG;
    build->has_wildcard = false;
    int rc = nodes_walk(build, &apex, node_add);
    if (rc == 0)
        rc = apex_add(build, &apex, build->has_wildcard);
    if (rc != 0)
        return rc;
    struct image_zone *zone = &image->zones[image->zone_count++];
    *zone = (struct image_zone){candidate->zone.id, (uint32_t)image->apexes_len, apex.len,
                                candidate->zone.signing};
    memcpy(image->apexes + image->apexes_len, apex.name, apex.len);
    image->apexes_len += apex.len;
    return 0;
}

static int zones_compare(const void *a, const void *b)
{
    const struct image_zone *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int keeper_begin(struct build *build, uint64_t name_count)
{
    struct image *image = build->image;
    size_t apexes_len = 1;
    for (size_t i = 0; i < build->count; i++)
        apexes_len += build->candidates[i].apex.mv_size + 1;
    free(image->zones);
    free(image->apexes);
    image->zone_count = image->apexes_len = 0;
    image->counts = (struct image_counts){0};
    image->zones = calloc(build->count + 1, sizeof *image->zones);
    image->apexes = malloc(apexes_len);
    if (image->zones == NULL || image->apexes == NULL)
        return -ENOMEM;
    return image_hosts_begin(image, name_count);
}

static int zones_add(struct build *build, struct image_memory memory, size_t rrset_room)
{
    struct image *image = build->image;
    struct totals totals;
    int rc = zones_count(build, memory.len, rrset_room, &totals);
    build->at = build->count;
    image->has_rrsets = rrset_room > 0;
    if (rc == 0)
        rc = keeper_begin(build, totals.names);
    if (rc == 0)
        rc = image_room_begin(image, memory, totals.names, totals.entries, totals.octets);
    if (rc == 0)
        rc = nested_add(build);
    for (build->at = rc == 0 ? 0 : build->count; build->at < build->count; build->at++) {
        const struct candidate *c = &build->candidates[build->at];
        rc = c->is_wanted ? zone_add(build, c) : 1;
        image->counts.zones += rc == 0;
        image->counts.zones_out += rc == 1;
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

/* Where it turns out that not all fits, it is done again without RRsets; then the zone that does not
 * fit and what comes behind it are left out. */
static int image_fill(struct build *build, struct image_memory memory)
{
    int rc = candidates_list(build);
    if (rc == 0)
        rc = zones_add(build, memory, memory.len - memory.len / 8);
    if (rc == -ENOSPC)
        rc = zones_add(build, memory, 0);
    if (rc == -ENOSPC && build->at < build->count) {
        for (size_t i = build->at; i < build->count; i++)
            build->candidates[i].is_wanted = false;
        rc = zones_add(build, memory, 0);
    }
    if (rc == 0)
        qsort(build->image->zones, build->image->zone_count, sizeof *build->image->zones,
              zones_compare);
    return rc;
}

int image_build(struct image *image, struct image_memory memory, struct zonedb_view *view)
{
    struct build build = {.image = image, .view = view};
    image->version = 0;
    if (memory.len < IMAGE_PAGE_LEN)
        return -ENOSPC;
    if (!view->is_active)
        return -EBADMSG;
    image->octets = memory.octets;
    image_version_set(image, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    image_head_of(image)->generation++;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    int rc = mdb_cursor_open(view->txn, view->db->nodes, &build.nodes);
    if (rc != 0)
        return zonedb_errno(rc);
    rc = image_fill(&build, memory);
    mdb_cursor_close(build.nodes);
    free(build.candidates);
    if (rc == 0) {
        image->version = view->version;
        image_version_set(image, view->version);
    } else { /* nothing of the memory is in use */
        image->octets = NULL;
        image->next = 0;
    }
    return rc;
}

int image_move(struct image *image, struct image_memory memory)
{
    size_t used = image_used(image);
    if (image->octets == NULL || memory.len < used)
        return -ENOSPC;
    uint64_t version = image_head_of(image)->version;
    struct image_head *head = memory.octets;
    __atomic_store_n(&head->version, 0, __ATOMIC_SEQ_CST);
    head->generation++;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy((uint8_t *)memory.octets + sizeof *head, image->octets + sizeof *head,
           used - sizeof *head);
    head->apex_depths = image_head_of(image)->apex_depths;
    head->bucket_mask = image->bucket_mask;
    head->bucket_shift = (uint16_t)image->bucket_shift;
    head->filter_page = image->filter_page;
    head->filter_mask = image->filter_mask;
    head->udp_payload = image->policy.udp_payload;
    image_version_set(image, 0);
    image->octets = memory.octets;
    image->len = memory.len - memory.len % IMAGE_PAGE_LEN;
    image_version_set(image, version);
    return 0;
}
