/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/template.h"

#include "zonedb/words.h"

#define SEQUENCE_BITS 48
#define SEQUENCE_MASK (((uint64_t)1 << SEQUENCE_BITS) - 1)

/* As it stands in the ring, followed by the places of its pointers and of its labels right below
 * the suffix (two octets each, counted from the body's begin), the suffix, the content, and the
 * body. */
struct template
{
    uint64_t hash;
    uint64_t of;
    uint8_t kind;
    bool is_do;
    uint8_t child_count;
    uint8_t rcode;
    uint16_t pointer_count; /* of all */
    uint16_t
        cut_pointer_count; /* of the first, which point to the zone cut of a SERVERS' question */
    uint8_t suffix_len;
    bool is_overflow;
    uint16_t body_len;
    uint16_t question_end;
    uint16_t room_min; /* behind the question: with less, less would fit */
    uint32_t room_end; /* with so much, more would fit */
    uint16_t aa;       /* FLAG_AA or 0 */
    uint16_t ede;
    uint16_t count[3];
    uint16_t content_len;
};

void template_name_set(struct template_name *name, const uint8_t *qname, size_t len)
{
    memcpy(name->lower, qname, len);
    words_lower(name->lower, len);
    unsigned count = 0;
    size_t at = 0;
    for (; name->lower[at] != 0; at += 1u + name->lower[at])
        name->label_at[count++] = (uint8_t)at;
    name->label_at[count] = (uint8_t)at;
    name->label_count = count;
    name->len = len;
    uint64_t hash = name->hash[0] = 0;
    for (unsigned depth = 1; depth <= count && depth <= TEMPLATE_DEPTH_MAX; depth++) {
        const uint8_t *label = name->lower + name->label_at[count - depth];
        size_t left = 1u + label[0];
        for (; left > 8; left -= 8, label += 8)
            hash = image_mix(hash, load_word(label));
        hash = image_mix(hash, load_word(label) << 8 * (8 - left));
        name->hash[depth] = hash;
    }
}

static uint64_t use_hash(const struct template_name *name, const struct template_use *use)
{
    return image_mix(name->hash[use->depth], use->of << 4 | (unsigned)use->kind << 1 | use->is_do);
}

static size_t suffix_at(const struct template_name *name, unsigned depth)
{
    return name->label_at[name->label_count - depth];
}

static uint64_t ring_place(uint64_t sequence)
{
    return sequence % TEMPLATE_RING_UNITS;
}

static const uint16_t *template_places(const struct template *t)
{
    return (const uint16_t *)(const void *)(t + 1);
}

static const uint8_t *template_suffix(const struct template *t)
{
    return (const uint8_t *)(template_places(t) + t->pointer_count + t->child_count);
}

void template_clear(struct template_cache *cache)
{
    cache->floor = cache->head;
    cache->cut_depths = 0;
}

static bool is_of_use(const struct template *t, uint64_t hash, const struct template_name *name,
                      const struct template_use *use, size_t room)
{
    size_t at = suffix_at(name, use->depth), suffix_len = name->len - at;
    const uint8_t *suffix = template_suffix(t);
    return t->hash == hash && t->of == use->of && t->kind == use->kind && t->is_do == use->is_do &&
           room >= t->room_min && room < t->room_end && t->suffix_len == suffix_len &&
           t->content_len == use->content_len &&
           memcmp(suffix, name->lower + at, suffix_len) == 0 &&
           (t->content_len == 0 ||
            memcmp(suffix + suffix_len, use->content, use->content_len) == 0);
}

static const struct template *find(const struct template_cache *cache,
                                   const struct template_name *name, const struct template_use *use,
                                   size_t room)
{
    uint64_t hash = use_hash(name, use);
    const uint64_t *ways = cache->index[hash % TEMPLATE_BUCKETS];
    for (unsigned i = 0; i < TEMPLATE_WAYS; i++) {
        if (ways[i] >> SEQUENCE_BITS != hash >> SEQUENCE_BITS)
            continue;
        uint64_t sequence = ways[i] & SEQUENCE_MASK;
        if (sequence < cache->floor || cache->head - sequence > TEMPLATE_RING_UNITS)
            continue;
        const struct template *t =
            (const struct template *)(const void *)(cache->ring + ring_place(sequence));
        if (is_of_use(t, hash, name, use, room))
            return t;
    }
    return NULL;
}

/* Does a label of the body that stands right below the suffix equal the question's there? */
static bool has_child(const struct template *t, const uint8_t *body,
                      const struct template_name *name, unsigned depth)
{
    if (t->child_count == 0 || name->label_count == depth)
        return false;
    const uint8_t *label = name->lower + suffix_at(name, depth + 1);
    const uint16_t *children = template_places(t) + t->pointer_count;
    for (unsigned i = 0; i < t->child_count; i++)
        if (name_label_equal(label, body + children[i]))
            return true;
    return false;
}

static void pointers_move(uint8_t *body, const struct template *t, uint16_t by, size_t cut_at)
{
    const uint16_t *places = template_places(t);
    unsigned i = 0;
    for (; i < t->cut_pointer_count; i++)
        store_be16(body + places[i], (uint16_t)(0xc000u | cut_at));
    for (; by != 0 && i < t->pointer_count; i++)
        store_be16(body + places[i], (uint16_t)(load_be16(body + places[i]) + by));
}

bool template_write(const struct template_cache *cache, const struct template_name *name,
                    const struct template_use *use, struct response *r, uint16_t *ede_out)
{
    if (use->depth > TEMPLATE_DEPTH_MAX)
        return false;
    const struct template *t = find(cache, name, use, r->limit - r->len);
    if (t == NULL)
        return false;
    const uint8_t *body = template_suffix(t) + t->suffix_len + t->content_len;
    if (has_child(t, body, name, use->depth))
        return false;
    *ede_out = t->ede;
    r->flags |= t->aa;
    r->rcode = t->rcode;
    r->is_overflow = t->is_overflow;
    if (t->is_overflow)
        return true; /* all that was written is taken back */
    memcpy(r->octets + r->len, body, t->body_len);
    pointers_move(r->octets + r->len, t, (uint16_t)(r->len - t->question_end),
                  HEADER_LEN + suffix_at(name, use->cut_depth));
    r->len += t->body_len;
    memcpy(r->count, t->count, sizeof r->count);
    return true;
}

bool template_answer(const struct template_cache *cache, const struct template_name *name,
                     const struct template_use *exact, uint16_t qtype, struct response *r,
                     uint16_t *ede_out)
{
    struct template_use cut = {.kind = TEMPLATE_REFERRAL, .is_do = exact->is_do};
    /* The parent's side of a cut answers for DS itself. */
    unsigned end = name->label_count + (qtype != RR_DS);
    for (; cut.depth < end && cache->cut_depths >> cut.depth != 0; cut.depth++)
        if ((cache->cut_depths >> cut.depth & 1) != 0 &&
            template_write(cache, name, &cut, r, ede_out))
            return true;
    return template_write(cache, name, exact, r, ede_out);
}

/* A hash of the octets is enough to find them: they are compared then. Those of the same octets with
 * different TTLs differ, as image_mix() makes one number of another (and the same) one to one. */
struct template_use template_use_servers(unsigned depth, unsigned cut_depth, bool is_do,
                                         const struct zonedb_rrset *servers)
{
    uint64_t hash = servers->ttl, last = 0;
    size_t at = 0;
    for (; servers->rdata_len - at >= 8; at += 8)
        hash = image_mix(hash, load_word(servers->rdata + at));
    memcpy(&last, servers->rdata + at, servers->rdata_len - at);
    return (struct template_use){.kind = TEMPLATE_SERVERS,
                                 .depth = depth,
                                 .of = image_mix(hash, last),
                                 .is_do = is_do,
                                 .cut_depth = cut_depth,
                                 .content = servers->rdata,
                                 .content_len = servers->rdata_len};
}

/* The labels of the body whose suffix stands at `parent`. Returns their number, -1: too many. */
static int children_of(const struct response *r, size_t parent,
                       uint16_t children[TEMPLATE_CHILDREN_MAX])
{
    int count = 0;
    for (unsigned i = 0; r->has_suffixes && i < r->suffix_count; i++) {
        if (r->suffix_mark[i] >> 16 != parent || r->suffix_at[i] < r->question_end)
            continue;
        if (count == TEMPLATE_CHILDREN_MAX)
            return -1;
        children[count++] = (uint16_t)(r->suffix_at[i] - r->question_end);
    }
    return count;
}

static size_t pointer_target(const struct response *r, unsigned i)
{
    return load_be16(r->octets + r->pointer_at[i]) & POINTER_MAX;
}

/* A pointer to a part of the question that is not of the suffix, nor just the zone cut, serves this
 * question only. */
static bool points_into_suffix(const struct response *r, size_t begin, size_t cut_at)
{
    for (unsigned i = 0; i < r->pointer_count; i++)
        if (pointer_target(r, i) < begin && pointer_target(r, i) != cut_at)
            return false;
    return true;
}

/* Are all of its names known, so that none could be compressed better in another question?
 * Addresses have the names of servers that were named before. */
static bool is_known(const struct response *r, enum template_kind kind)
{
    return (kind == TEMPLATE_EXACT || !r->is_overflow ||
            (kind == TEMPLATE_REFERRAL && r->overflow_section == SECTION_ADDITIONAL)) &&
           r->len - r->question_end <= TEMPLATE_BODY_MAX && r->pointer_count <= POINTER_COUNT_MAX &&
           r->suffix_count < SUFFIX_COUNT_MAX;
}

bool template_seen(struct template_cache *cache, const struct template_name *name,
                   const struct template_use *use)
{
    if (use->kind == TEMPLATE_NONE || use->depth > TEMPLATE_DEPTH_MAX)
        return false;
    uint64_t hash = use_hash(name, use);
    uint16_t *seen = cache->seen[(hash >> 16) % TEMPLATE_BUCKETS];
    uint16_t mark = (uint16_t)(hash | 1);
    for (unsigned i = 0; i < TEMPLATE_WAYS; i++)
        if (seen[i] == mark)
            return true;
    memmove(seen + 1, seen, (TEMPLATE_WAYS - 1) * sizeof *seen);
    seen[0] = mark;
    return false;
}

/* Room for a template in the ring, entered in the index in place of the oldest of its bucket. */
static void *ring_take(struct template_cache *cache, uint64_t hash, size_t len)
{
    size_t units = (len + 7) / 8;
    if (ring_place(cache->head) + units > TEMPLATE_RING_UNITS)
        cache->head += TEMPLATE_RING_UNITS - ring_place(cache->head);
    uint64_t *ways = cache->index[hash % TEMPLATE_BUCKETS], *oldest = ways;
    for (unsigned i = 1; i < TEMPLATE_WAYS; i++)
        if ((ways[i] & SEQUENCE_MASK) < (*oldest & SEQUENCE_MASK))
            oldest = &ways[i];
    *oldest = (hash >> SEQUENCE_BITS) << SEQUENCE_BITS | (cache->head & SEQUENCE_MASK);
    void *place = cache->ring + ring_place(cache->head);
    cache->head += units;
    return place;
}

/* The places of the pointers to the zone cut, or of all others. Returns their number. */
static uint16_t places_write(const struct response *r, bool is_to_cut, size_t cut_at,
                             uint16_t *places_out)
{
    uint16_t count = 0;
    for (unsigned i = 0; i < r->pointer_count; i++)
        if ((pointer_target(r, i) == cut_at) == is_to_cut)
            places_out[count++] = (uint16_t)(r->pointer_at[i] - r->question_end);
    return count;
}

void template_keep(struct template_cache *cache, const struct template_name *name,
                   const struct template_use *use, const struct response *r, uint16_t ede)
{
    size_t room = r->limit - r->question_end, body_len = r->len - r->question_end;
    if (!template_seen(cache, name, use) || !is_known(r, use->kind) ||
        find(cache, name, use, room) != NULL)
        return;
    uint64_t hash = use_hash(name, use);
    size_t at = suffix_at(name, use->depth), suffix_len = name->len - at;
    size_t cut_at =
        use->kind == TEMPLATE_SERVERS ? HEADER_LEN + suffix_at(name, use->cut_depth) : SIZE_MAX;
    uint16_t children[TEMPLATE_CHILDREN_MAX];
    int child_count = 0;
    if (use->kind != TEMPLATE_EXACT)
        child_count = children_of(r, use->depth == 0 ? 0 : HEADER_LEN + at, children);
    if (child_count < 0 || !points_into_suffix(r, HEADER_LEN + at, cut_at))
        return;
    struct template *t = ring_take(cache, hash,
                                   sizeof *t + 2 * (r->pointer_count + (size_t)child_count) +
                                       suffix_len + use->content_len + body_len);
    if (use->kind == TEMPLATE_REFERRAL)
        cache->cut_depths |= 1u << use->depth;
    *t = (struct template){
        .hash = hash,
        .of = use->of,
        .kind = (uint8_t)use->kind,
        .is_do = use->is_do,
        .child_count = (uint8_t)child_count,
        .rcode = (uint8_t)r->rcode,
        .pointer_count = (uint16_t)r->pointer_count,
        .suffix_len = (uint8_t)suffix_len,
        .is_overflow = r->is_overflow,
        .body_len = (uint16_t)body_len,
        .question_end = (uint16_t)r->question_end,
        .room_min = (uint16_t)body_len,
        .room_end = (uint32_t)(r->needed - r->question_end),
        .aa = r->flags & FLAG_AA,
        .ede = ede,
        .count = {r->count[0], r->count[1], r->count[2]},
        .content_len = (uint16_t)use->content_len,
    };
    uint16_t *places = (uint16_t *)(void *)(t + 1);
    t->cut_pointer_count = places_write(r, true, cut_at, places);
    places_write(r, false, cut_at, places + t->cut_pointer_count);
    places += r->pointer_count;
    memcpy(places, children, 2 * (size_t)child_count);
    uint8_t *octets = (uint8_t *)(places + child_count);
    memcpy(octets, name->lower + at, suffix_len);
    octets += suffix_len;
    if (use->content_len > 0)
        memcpy(octets, use->content, use->content_len);
    memcpy(octets + use->content_len, r->octets + r->question_end, body_len);
}
