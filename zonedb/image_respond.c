/* SPDX-License-Identifier: BSD-2-Clause
 *
 * All of a request that an image can answer is told by a few comparisons; everything unusual
 * climbs.
 */
#include "zonedb/image_respond.h"

#include "zonedb/name.h"
#include "zonedb/node.h"
#include "zonedb/response.h"
#include "zonedb/words.h"

#define OPT_LEN 11
/* Flags that a request may have: the answer depends on none but RD, which is copied. */
#define FLAGS_USUAL (FLAG_RD | 0x0030u)

/* An image whose directory lies within it. */
struct place {
    const uint8_t *octets;
    size_t len; /* whole pages */
    uint32_t bucket_mask, bucket_shift;
    uint32_t filter_page, filter_mask;
};

/* The request. The name is in lower case, with zeros behind it to read in words. */
struct asked {
    unsigned label_count;
    size_t name_len;
    uint16_t flags;
    uint16_t qtype;
    bool has_opt, is_do;
    uint16_t payload;
    uint8_t label_at[NAME_LABELS_MAX + 1];
    uint8_t lower[NAME_MAX_LEN + 9];
};

/* ---- the request ---- */

/* Returns the name's length; 0: it is no whole uncompressed name. */
static size_t name_read(const uint8_t *name, size_t available, struct asked *asked)
{
    unsigned count = 0;
    size_t at = 0, end = available < NAME_MAX_LEN ? available : NAME_MAX_LEN;
    while (at < end && name[at] <= 63) {
        asked->label_at[count] = (uint8_t)at;
        if (name[at] == 0) {
            asked->label_count = count;
            return at + 1;
        }
        count++;
        at += 1u + name[at];
    }
    return 0;
}

static void name_lower(const uint8_t *name, size_t len, struct asked *asked)
{
    memcpy(asked->lower, name, len);
    memset(asked->lower + len, 0, 8);
    words_lower(asked->lower, len);
}

/* What stands behind the question: nothing, or OPT of version 0 without options. */
static bool opt_read(const uint8_t *at, size_t len, unsigned count, struct asked *asked)
{
    asked->has_opt = count == 1;
    asked->is_do = false;
    asked->payload = RESPOND_UDP_PAYLOAD_MIN;
    if (count == 0)
        return len == 0;
    if (len != OPT_LEN || at[0] != 0 || load_be16(at + 1) != RR_OPT || at[6] != 0 ||
        load_be16(at + 9) != 0)
        return false;
    asked->payload = load_be16(at + 3);
    asked->is_do = (at[7] & 0x80) != 0;
    return true;
}

/* Returns where the question ends; 0: not for an image. */
static size_t request_read(const uint8_t *request, size_t len, struct asked *asked)
{
    if (len < HEADER_LEN)
        return 0;
    unsigned opt_count = load_be16(request + 10);
    asked->flags = load_be16(request + 2);
    if ((asked->flags & ~FLAGS_USUAL) != 0 || load_be16(request + 4) != 1 ||
        load_be32(request + 6) != 0 || opt_count > 1)
        return 0;
    asked->name_len = name_read(request + HEADER_LEN, len - HEADER_LEN, asked);
    size_t end = HEADER_LEN + asked->name_len + 4;
    if (asked->name_len == 0 || len < end)
        return 0;
    asked->qtype = load_be16(request + end - 4);
    if (load_be16(request + end - 2) != CLASS_IN || (asked->qtype >= 128 && asked->qtype < RR_ANY))
        return 0;
    if (!opt_read(request + end, len - end, opt_count, asked))
        return 0;
    name_lower(request + HEADER_LEN, asked->name_len, asked);
    return end;
}

/* ---- the look-up ---- */

enum lookup {
    LOOKUP_BLOCK,
    LOOKUP_ABSENT,
    LOOKUP_CLIMB,
};

/* A block, and how far its page goes. */
struct block {
    const struct image_block *at;
    size_t room;
};

/* The block at a place; its name may be longer than the room. */
static bool block_at(const struct place *image, uint64_t place, struct block *block_out)
{
    uint64_t at = place * IMAGE_UNIT_LEN;
    const void *octets = image->octets + at;
    block_out->at = octets;
    block_out->room = IMAGE_PAGE_LEN - at % IMAGE_PAGE_LEN;
    return at < image->len && block_out->room > sizeof(struct image_block);
}

/* Eight octets stand behind the names, in ours zeros: rooms are whole units. */
static bool names_equal(const uint8_t *name, const uint8_t *of_block, size_t len)
{
    _Static_assert(sizeof(struct image_block) % IMAGE_UNIT_LEN == 0, "the name begins a unit");
    size_t at = 0;
    if (len < 8)
        return load_word(name) == (load_word(of_block) & ~UINT64_C(0) >> (64 - 8 * len));
    for (; at + 8 < len; at += 8)
        if (load_word(name + at) != load_word(of_block + at))
            return false;
    return load_word(name + len - 8) == load_word(of_block + len - 8);
}

/* All that a block begins with but for label count and flags. */
#define BLOCK_WORD_MASK UINT64_C(0x0000ffff0000ffff)
static uint64_t block_word(uint32_t what, size_t name_len)
{
    return (what & 0xff) | name_len << 8 | (uint64_t)(what >> 8) << 32;
}

static bool block_is_of(const struct block *block, uint64_t word, const uint8_t *name, size_t len)
{
    return (load_word((const uint8_t *)block->at) & BLOCK_WORD_MASK) == word &&
           sizeof *block->at + len <= block->room &&
           names_equal(name, (const uint8_t *)(block->at + 1), len);
}

static size_t suffix_at(const struct asked *asked, unsigned depth)
{
    return asked->label_at[asked->label_count - depth];
}

static uint64_t suffix_hash(const struct asked *asked, uint32_t what, unsigned depth)
{
    uint64_t hash = what;
    for (size_t at = suffix_at(asked, depth); at < asked->name_len; at += 8)
        hash = image_mix(hash, load_word(asked->lower + at));
    return hash;
}

/* False: there is no such name. */
static bool filter_has(const struct place *image, uint64_t hash)
{
    if (image->filter_page == 0)
        return true;
    uint32_t bit = image_filter_bit(hash, image->filter_mask);
    const uint8_t *filter = image->octets + (size_t)image->filter_page * IMAGE_PAGE_LEN;
    return (__atomic_load_n(filter + bit / 8, __ATOMIC_ACQUIRE) >> bit % 8 & 1) != 0;
}

/* The suffix of `depth` labels in the directory. Within its callers, of which the usual ones call
 * it twice: a twentieth of all instructions. */
__attribute__((always_inline)) static inline enum lookup
lookup(const struct place *image, uint32_t what, const struct asked *asked, unsigned depth,
       uint64_t hash, struct block *block_out)
{
    const uint8_t *name = asked->lower + suffix_at(asked, depth);
    size_t len = asked->name_len - suffix_at(asked, depth);
    uint64_t word = block_word(what, len);
    uint64_t fingerprint = hash & ~IMAGE_PLACE_MASK, entry = 0;
    uint64_t number = image_bucket(hash, image->bucket_mask);
    uint64_t at = IMAGE_PAGE_LEN * image_bucket_page(number, image->bucket_shift) +
                  image_bucket_at(number, image->bucket_shift);
    for (unsigned hop = 0; hop < 2; hop++) {
        const uint64_t *entries = (const uint64_t *)(const void *)(image->octets + at);
        for (unsigned i = 0; i < IMAGE_WAYS; i++) {
            entry = __atomic_load_n(entries + i, __ATOMIC_ACQUIRE);
            uint64_t place = entry ^ fingerprint;
            if (place > IMAGE_PLACE_MASK || place == 0)
                continue;
            if (place <= IMAGE_PLACE_FULL || !block_at(image, place, block_out))
                return LOOKUP_CLIMB;
            if (block_is_of(block_out, word, name, len))
                return LOOKUP_BLOCK;
        }
        if ((entry & IMAGE_PLACE_MORE) == 0)
            return (entry & IMAGE_PLACE_MASK) == IMAGE_PLACE_FULL ? LOOKUP_CLIMB : LOOKUP_ABSENT;
        at = (entry & (IMAGE_PLACE_MORE - 1)) * IMAGE_UNIT_LEN;
        if (at > image->len - 8u * IMAGE_WAYS)
            return LOOKUP_CLIMB;
    }
    return LOOKUP_CLIMB;
}

/* What answers. */
struct answered {
    struct block block;
    unsigned depth;        /* labels of the block's name */
    bool is_without_rcode; /* not as for a name that does not exist */
};

/* The RRset asked for, or that the name, which exists, has none of that type. `out` has the apex. */
__attribute__((noinline)) static bool rrset_find(const struct place *image,
                                                 const struct asked *asked, struct answered *out)
{
    struct block block;
    uint32_t what = image_what(IMAGE_RRSET, asked->qtype);
    unsigned depth = asked->label_count;
    switch (lookup(image, what, asked, depth, suffix_hash(asked, what, depth), &block)) {
    case LOOKUP_BLOCK:
        out->block = block;
        out->depth = depth;
        return true;
    case LOOKUP_ABSENT:
        break;
    case LOOKUP_CLIMB:
        return false;
    }
    if (asked->qtype == RR_ANY || asked->qtype == RR_RRSIG || asked->qtype == RR_NSEC ||
        asked->qtype == RR_DS)
        return false;
    what = image_what(IMAGE_RRSET, 0);
    out->is_without_rcode = true;
    return lookup(image, what, asked, depth, suffix_hash(asked, what, depth), &block) ==
               LOOKUP_BLOCK &&
           (block.at->flags & IMAGE_HAS_ALIAS) == 0;
}

/* Returns false: it climbs. */
static bool block_find(const struct place *image, uint32_t apex_depths, const struct asked *asked,
                       struct answered *out)
{
    struct block cut;
    enum lookup found = LOOKUP_ABSENT;
    unsigned depth =
        asked->label_count < IMAGE_APEX_LABELS_MAX ? asked->label_count : IMAGE_APEX_LABELS_MAX;
    for (apex_depths <<= 31 - depth; apex_depths != 0; apex_depths <<= 1, depth--) {
        if (apex_depths >> 31 == 0)
            continue;
        found = lookup(image, IMAGE_APEX, asked, depth, suffix_hash(asked, IMAGE_APEX, depth),
                       &out->block);
        if (found != LOOKUP_ABSENT)
            break;
    }
    out->depth = depth;
    out->is_without_rcode = false;
    if (found != LOOKUP_BLOCK)
        return false;
    if (depth == asked->label_count) /* the parent's side answers for DS */
        return asked->qtype != RR_DS && rrset_find(image, asked, out);
    uint64_t hash = suffix_hash(asked, IMAGE_CUT, depth + 1);
    found = filter_has(image, hash) ? lookup(image, IMAGE_CUT, asked, depth + 1, hash, &cut)
                                    : LOOKUP_ABSENT;
    if (found == LOOKUP_ABSENT)
        return (out->block.at->flags & IMAGE_HAS_WILDCARD) == 0;
    /* The parent's side of the cut answers for DS itself. */
    if (found == LOOKUP_CLIMB || cut.at->body[asked->is_do].len == 0 ||
        (asked->qtype == RR_DS && depth + 1 == asked->label_count))
        return rrset_find(image, asked, out);
    out->block = cut;
    out->depth = depth + 1;
    return true;
}

/* ---- the answer ---- */

/* Might a label of the body that stands right below the suffix equal the question's there? */
static bool has_child(const struct image_block *block, const struct asked *asked, unsigned depth)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t marks;
    memcpy(&marks, block->children, sizeof marks);
    if (marks == 0 || depth == asked->label_count)
        return false;
    const uint8_t *label = asked->lower + suffix_at(asked, depth + 1);
    uint64_t apart = marks ^ image_label_mark(label[0], label[1], label[label[0]]) * ones;
    return ((apart - ones) & ~apart & 0x80 * ones) != 0;
}

static bool body_lies_within(const struct image_body *body, size_t room)
{
    return body->len > 0 && (size_t)body->at + body->len <= room &&
           body->pointers_at + 2u * body->pointer_count <= room;
}

/* Returns false if a place is none of the body. */
static bool pointers_move(uint8_t *octets, const struct image_body *body, const uint8_t *places,
                          size_t by)
{
    for (unsigned i = 0; i < body->pointer_count; i++) {
        uint16_t at;
        memcpy(&at, places + 2 * i, sizeof at);
        if (at + 2u > body->len)
            return false;
        store_be16(octets + at, (uint16_t)(load_be16(octets + at) + by));
    }
    return true;
}

static void opt_write(uint8_t *opt, uint16_t udp_payload, bool is_do)
{
    memset(opt, 0, OPT_LEN);
    opt[2] = RR_OPT;
    store_be16(opt + 3, udp_payload);
    opt[7] = is_do ? 0x80 : 0; /* RFC 3225 3: copied */
}

static void header_write(uint8_t *header, const struct asked *asked, const struct image_body *body)
{
    store_be16(header + 2, (uint16_t)(FLAG_QR | (asked->flags & FLAG_RD) | body->flags));
    store_be16(header + 6, body->count[SECTION_ANSWER]);
    store_be16(header + 8, body->count[SECTION_AUTHORITY]);
    store_be16(header + 10, (uint16_t)(body->count[SECTION_ADDITIONAL] + asked->has_opt));
}

static size_t limit_of(const struct asked *asked, bool is_tcp, uint16_t udp_payload, size_t cap)
{
    if (is_tcp)
        return cap;
    size_t limit =
        asked->payload < RESPOND_UDP_PAYLOAD_MIN ? RESPOND_UDP_PAYLOAD_MIN : asked->payload;
    if (limit > udp_payload)
        limit = udp_payload;
    return limit < cap ? limit : cap;
}

/* Of an answer that does not fit nothing is left. Returns false if it may be that some of it is. */
static bool body_truncate(const struct image_block *block, struct image_body *body)
{
    if (block->kind != IMAGE_RRSET || body->count[SECTION_AUTHORITY] > 0 ||
        body->count[SECTION_ADDITIONAL] > 0)
        return false;
    *body = (struct image_body){.flags = (uint16_t)(body->flags | FLAG_TC)};
    return true;
}

/* Returns false if directory or filter do not lie within the image. */
static bool place_read(const void *image, size_t image_len, struct place *place_out)
{
    const struct image_head *head = image;
    *place_out = (struct place){
        .octets = image,
        .len = image_len - image_len % IMAGE_PAGE_LEN,
        .bucket_mask = head->bucket_mask,
        .bucket_shift = head->bucket_shift,
        .filter_page = head->filter_page,
        .filter_mask = head->filter_mask,
    };
    uint64_t page_count = place_out->len / IMAGE_PAGE_LEN;
    return image_bucket_page(place_out->bucket_mask, place_out->bucket_shift) < page_count &&
           place_out->filter_page + UINT64_C(1) * place_out->filter_mask / IMAGE_FILTER_PAGE_BITS <
               page_count;
}

size_t image_respond(const void *image, size_t image_len, bool is_tcp, const uint8_t *request,
                     size_t request_len, uint8_t *response, size_t response_cap)
{
    const struct image_head *head = image;
    struct asked asked;
    struct image_body body;
    struct answered found;
    size_t question_end = request_read(request, request_len, &asked);
    if (question_end == 0 || image_len < IMAGE_PAGE_LEN)
        return 0;
    uint64_t version = image_version(image);
    struct place place;
    if (!place_read(image, image_len, &place))
        return 0;
    if (!block_find(&place, head->apex_depths, &asked, &found) ||
        has_child(found.block.at, &asked, found.depth))
        return 0;
    memcpy(&body, &found.block.at->body[asked.is_do], sizeof body); /* once: it may be changed */
    if (found.is_without_rcode)
        body.flags &= FLAG_AA;
    size_t len = question_end + body.len + (asked.has_opt ? OPT_LEN : 0);
    if (!body_lies_within(&body, found.block.room))
        return 0;
    if (len > limit_of(&asked, is_tcp, head->udp_payload, response_cap)) {
        if (!body_truncate(found.block.at, &body))
            return 0;
        len = question_end + (asked.has_opt ? OPT_LEN : 0);
    }
    const uint8_t *octets = (const uint8_t *)found.block.at;
    memcpy(response, request, question_end);
    header_write(response, &asked, &body);
    memcpy(response + question_end, octets + body.at, body.len);
    if (!pointers_move(response + question_end, &body, octets + body.pointers_at,
                       suffix_at(&asked, found.depth)))
        return 0;
    if (asked.has_opt)
        opt_write(response + question_end + body.len, head->udp_payload, asked.is_do);
    /* Nothing of it is from a later image. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return version != 0 && image_version(image) == version ? len : 0;
}
