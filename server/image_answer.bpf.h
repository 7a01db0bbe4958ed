/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_answer.bpf.h - a request in a frame, answered from the zone image: image_respond() as BPF's
 * verifier wants it, for UDP and TCP alike.
 *
 *     image_find()     looks: is it answered, how long is that, what is its sum? The frame stays.
 *     (the caller      makes the frame as long, writes what is before the message)
 *     image_put()      writes: flags and counts, body, OPT. ID and question stand where they came.
 *
 *     header | question as it came | body, its pointers moved | OPT
 *
 * What image_find() answers image_respond() answers so, octet for octet. It climbs more often: for
 * names of more octets than are read here, and where two of a bucket have one fingerprint.
 *
 * SUM. No octet of the answer is added up. The question's sum is the request's less its OPT; the
 * body's is kept in the image, and moving a pointer at an even place by so much adds so much, at an
 * odd one the same with its octets exchanged (RFC 1071 2 B); so does a body that begins at one.
 *
 * Nothing of the image is believed: a damaged one gives wrong answers, and nothing else.
 */
#ifndef SERVER_IMAGE_ANSWER_BPF_H
#define SERVER_IMAGE_ANSWER_BPF_H

#include "server/image_request.bpf.h"

/* Larger bodies take several frames; a multiple of 32. */
#define IMAGE_FRAME_BODY_MAX 1248u

/* ---- the look-up ---- */

enum image_found {
    IMAGE_FOUND,
    IMAGE_ABSENT,
    IMAGE_CLIMB,
};

/* Eight octets, the `left` first of them. */
DRIVER_INLINE uint64_t image_cut(uint64_t word, uint32_t left)
{
    return left < 8 ? word & ~UINT64_C(0) >> (64 - 8 * (left & 7)) : word;
}

DRIVER_INLINE uint64_t image_word(const uint64_t *lower, uint32_t at, uint32_t left)
{
    return image_cut(image_le64(driver_load64((const uint8_t *)lower + (at & 0x7f))), left);
}

/* The entry of a bucket that has this fingerprint, without a branch that would have to be guessed.
 * 0: none. More than one, and an empty one that looks so, climb. */
DRIVER_INLINE uint64_t image_entry(const volatile uint64_t *entries, uint64_t fingerprint,
                                   uint64_t *last_out)
{
    uint64_t found = 0, count = 0, entry = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i < IMAGE_WAYS; i++) {
        entry = entries[i];
        uint64_t apart = (entry >> IMAGE_FINGERPRINT_SHIFT) ^ fingerprint;
        uint64_t is_same = (uint64_t)((int64_t)(apart - 1) >> 63);
        found |= entry & is_same;
        count -= is_same;
    }
    *last_out = entry & IMAGE_PLACE_MASK;
    found &= IMAGE_PLACE_MASK;
    return count == 0 ? 0 : count > 1 || found == 0 ? IMAGE_PLACE_CLIMB : found;
}

/* Whether the name in the page, `at` octets from its begin, is the suffix. */
DRIVER_INLINE bool image_is_same(const uint8_t *page, uint64_t at, const struct image_work *work,
                                 uint32_t suffix_at, uint32_t len)
{
    uint64_t apart = 0;
    for (uint32_t i = 0; i < IMAGE_QUESTION_MAX && i < len; i += 8, at += 8) {
        IMAGE_KEEP(at);
        if (at > IMAGE_PAGE_LEN - 8)
            return false;
        uint64_t word = image_le64(driver_load64(page + at));
        apart |= image_cut(word, len - i) ^ image_word(work->lower, suffix_at + i, len - i);
    }
    return apart == 0;
}

/* The suffix of `depth` labels of the name that was read. */
DRIVER_INLINE uint64_t image_hash(const struct image_work *work, uint32_t what, uint32_t depth)
{
    uint32_t at = work->label_at[(work->label_count - depth) & 0x3f], len = work->name_len - at;
    uint64_t hash = what;
    for (uint32_t i = 0; i < IMAGE_QUESTION_MAX && i < len; i += 8)
        hash = image_mix(hash, image_word(work->lower, at + i, len - i));
    return hash;
}

/* The bucket of a hash; NULL: beyond the image. */
DRIVER_INLINE const volatile uint64_t *image_entries(const struct image_work *work, uint64_t hash)
{
    uint64_t bucket = image_bucket(hash, work->bucket_mask);
    const uint8_t *page = image_page(image_bucket_page(bucket, work->bucket_shift));
    if (page == NULL)
        return NULL;
    page += image_bucket_at(bucket, work->bucket_shift);
    return (const volatile uint64_t *)(const void *)page;
}

/* Where a bucket goes on, by its last entry; NULL: beyond the image. */
DRIVER_INLINE const volatile uint64_t *image_entries_more(uint64_t last)
{
    uint64_t place = last & (IMAGE_PLACE_MORE - 1);
    const uint8_t *page = image_page(place / (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN));
    uint32_t at = (uint32_t)(place % (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN)) * IMAGE_UNIT_LEN;
    if (page == NULL || at > IMAGE_PAGE_LEN - 8u * IMAGE_WAYS)
        return NULL;
    return (const volatile uint64_t *)(const void *)(page + at);
}

/* Has a bucket with this last entry all of its names? */
DRIVER_INLINE bool image_is_complete(uint64_t last)
{
    return last != IMAGE_PLACE_FULL && (last & IMAGE_PLACE_MORE) == 0;
}

/* Does the filter say that there is no such name? */
DRIVER_INLINE bool image_is_absent(const struct image_work *work, uint64_t hash)
{
    if (work->filter_page == 0)
        return false;
    uint32_t bit = image_filter_bit(hash, work->filter_mask);
    const uint8_t *page = image_page((uint64_t)work->filter_page + bit / IMAGE_FILTER_PAGE_BITS);
    if (page == NULL)
        return false;
    uint8_t octet = *(const volatile uint8_t *)(page + bit % IMAGE_FILTER_PAGE_BITS / 8);
    return (octet >> (bit & 7) & 1) == 0;
}

/* The hashes of an apex of so many labels, and of the name one label longer. The bucket of that one
 * is cold: it comes while the apex is looked up. */
DRIVER_STEP int image_prepare(struct image_work *work, uint32_t depth)
{
    if (work == NULL)
        return 0;
    work->hashes[IMAGE_CUT] = image_hash(work, IMAGE_CUT, depth + 1);
    DRIVER_FORGET(); /* how often the loop went round */
    work->is_absent = image_is_absent(work, work->hashes[IMAGE_CUT]);
    if (!work->is_absent) {
        const volatile uint64_t *entries = image_entries(work, work->hashes[IMAGE_CUT]);
        if (entries != NULL)
            *entries;
    }
    work->hashes[IMAGE_APEX] = image_hash(work, IMAGE_APEX, depth);
    return 0;
}

/* The hash of the whole name and a type. */
DRIVER_STEP int image_prepare_rrset(struct image_work *work, uint32_t type)
{
    if (work == NULL)
        return 0;
    work->rrset_type = type;
    work->hashes[IMAGE_RRSET] =
        image_hash(work, image_what(IMAGE_RRSET, (uint16_t)type), work->label_count);
    DRIVER_FORGET();
    return 0;
}

/* The suffix of `depth` labels in the directory. work->place: where its block is. */
DRIVER_STEP enum image_found image_look_up(struct image_work *work, enum image_kind kind,
                                           uint32_t depth)
{
    if (work == NULL)
        return IMAGE_CLIMB;
    if (kind == IMAGE_CUT && work->is_absent)
        return IMAGE_ABSENT;
    uint64_t hash = work->hashes[kind & 3], last = 0, place = 0;
    const volatile uint64_t *entries = image_entries(work, hash);
    const uint8_t *page;
    for (unsigned i = 0; i < 2; i++) {
        if (entries == NULL)
            return IMAGE_CLIMB;
        place = image_entry(entries, image_fingerprint(hash), &last);
        if (place != 0 || (last & IMAGE_PLACE_MORE) == 0)
            break;
        entries = image_entries_more(last);
    }
    if (place == 0)
        return image_is_complete(last) ? IMAGE_ABSENT : IMAGE_CLIMB;
    if (place <= IMAGE_PLACE_FULL || (place & IMAGE_PLACE_MORE) != 0)
        return IMAGE_CLIMB;
    work->last = last;
    uint32_t block_at = (uint32_t)(place % (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN)) * IMAGE_UNIT_LEN;
    page = image_page(place / (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN));
    if (page == NULL || block_at > IMAGE_PAGE_LEN - sizeof(struct image_block))
        return IMAGE_CLIMB;
    /* What the body will be read from comes meanwhile. */
    *(const volatile uint8_t *)(page + (block_at + 64) % IMAGE_PAGE_LEN);
    *(const volatile uint8_t *)(page + (block_at + 128) % IMAGE_PAGE_LEN);
    *(const volatile uint8_t *)(page + (block_at + 192) % IMAGE_PAGE_LEN);
    work->place = place;
    uint32_t at = work->label_at[(work->label_count - depth) & 0x3f], len = work->name_len - at;
    const struct image_block *block = (const void *)(page + block_at);
    if (block->kind == kind && block->name_len == len &&
        block->type == (kind == IMAGE_RRSET ? work->rrset_type : 0) &&
        image_is_same(page, block_at + sizeof(struct image_block), work, at, len)) {
        work->block_flags = block->flags;
        work->has_body = block->body[work->is_do & 1].len != 0;
        return IMAGE_FOUND;
    }
    return image_is_complete(work->last) ? IMAGE_ABSENT : IMAGE_CLIMB;
}

/* As image_find_block(), where the whole name's RRsets answer, or that the type is not among them:
 * then the apex's block does, which has so many labels, and is the last one found. */
DRIVER_INLINE uint32_t image_find_rrset(struct image_work *work, uint64_t apex_place,
                                        uint32_t apex_depth)
{
    image_prepare_rrset(work, work->type);
    switch (image_look_up(work, IMAGE_RRSET, work->label_count)) {
    case IMAGE_FOUND:
        return work->label_count;
    case IMAGE_ABSENT:
        break;
    case IMAGE_CLIMB:
        return UINT32_MAX;
    }
    if (work->type == IMAGE_TYPE_ANY || work->type == IMAGE_TYPE_RRSIG ||
        work->type == IMAGE_TYPE_NSEC || work->type == IMAGE_TYPE_DS)
        return UINT32_MAX;
    image_prepare_rrset(work, 0);
    if (image_look_up(work, IMAGE_RRSET, work->label_count) != IMAGE_FOUND ||
        (work->block_flags & IMAGE_HAS_ALIAS) != 0)
        return UINT32_MAX;
    work->place = apex_place;
    work->flags_mask = 0x0400; /* AA alone: the name exists */
    return apex_depth;
}

/* The block that answers, work->place, has so many labels; UINT32_MAX: it climbs. */
DRIVER_INLINE uint32_t image_find_block(struct image_work *work, uint32_t apex_depths)
{
    enum image_found found = IMAGE_ABSENT;
    uint32_t depth = IMAGE_APEX_LABELS_MAX + 1;
    work->flags_mask = 0xffff;
    while (depth > 0 && found == IMAGE_ABSENT) {
        depth--;
        if ((apex_depths >> depth & 1) == 0 || depth > work->label_count)
            continue;
        image_prepare(work, depth);
        found = image_look_up(work, IMAGE_APEX, depth);
    }
    if (found != IMAGE_FOUND || depth > work->label_count)
        return UINT32_MAX;
    uint64_t apex_place = work->place;
    uint32_t has_wildcard = work->block_flags & IMAGE_HAS_WILDCARD;
    bool is_ds = work->type == IMAGE_TYPE_DS; /* the parent's side of a cut answers for it itself */
    found = depth == work->label_count ? IMAGE_CLIMB : image_look_up(work, IMAGE_CUT, depth + 1);
    if (found == IMAGE_ABSENT) {
        work->place = apex_place;
        return has_wildcard ? UINT32_MAX : depth;
    }
    if (found == IMAGE_FOUND && work->has_body && !(is_ds && depth + 1 == work->label_count))
        return depth + 1;
    if (is_ds && depth == work->label_count)
        return UINT32_MAX;
    return image_find_rrset(work, apex_place, depth);
}

/* ---- the answer ---- */

/* Might a label of the body that stands right below the suffix equal the question's there? */
DRIVER_INLINE bool image_has_child(const uint8_t *children, const struct image_work *work,
                                   uint32_t depth)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint8_t *lower = (const uint8_t *)work->lower;
    uint64_t marks = driver_load64(children);
    if (marks == 0 || depth == work->label_count)
        return false;
    uint32_t at = work->label_at[(work->label_count - depth - 1) & 0x3f];
    uint32_t len = lower[at & 0x7f];
    uint64_t mark =
        image_label_mark((uint8_t)len, lower[(at + 1) & 0x7f], lower[(at + len) & 0x7f]);
    uint64_t apart = marks ^ mark * ones;
    return ((apart - ones) & ~apart & 0x80 * ones) != 0;
}

/* All that goes before and behind the body, and the sum. */
DRIVER_INLINE void image_render(struct image_work *work, const struct image_body *body,
                                uint32_t udp_payload)
{
    uint32_t question_len = work->question_end - IMAGE_HEADER_LEN, by = image_be16(work->moved_by);
    work->flags |= (uint16_t)image_be16(body->flags & work->flags_mask);
    work->counts[0] = driver_be32(0x00010000 | body->count[0]);
    work->counts[1] =
        driver_be32((uint32_t)body->count[1] << 16 | (body->count[2] + work->has_opt));
    uint64_t body_sum = (uint64_t)body->sum +
                        (uint64_t)(body->pointer_count - body->pointer_odd_count) * by +
                        (uint64_t)body->pointer_odd_count * __builtin_bswap16((uint16_t)by);
    work->sum = work->question_sum + work->flags + work->counts[0] + work->counts[1] +
                image_sum_at(question_len, body_sum);
    if (work->has_opt) {
        work->opt[0] = driver_be32((uint32_t)IMAGE_TYPE_OPT << 8 | udp_payload >> 8);
        work->opt[1] = driver_be32((udp_payload & 0xff) << 24 | work->is_do << 7);
        work->sum += image_sum_at(question_len + body->len, (uint64_t)work->opt[0] + work->opt[1]);
    }
}

/* Whether the response fits, and all that is to be known to write it. */
DRIVER_INLINE bool image_take(struct image_work *work, uint32_t depth, uint32_t udp_payload,
                              uint32_t is_tcp)
{
    const uint8_t *page = image_page(work->place / (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN));
    uint32_t block_at =
        (uint32_t)(work->place % (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN)) * IMAGE_UNIT_LEN;
    if (page == NULL || block_at > IMAGE_PAGE_LEN - sizeof(struct image_block))
        return false;
    const struct image_block *block = (const void *)(page + block_at);
    const struct image_body *body = &block->body[work->is_do & 1];
    work->body_at = block_at + body->at;
    work->body_len = body->len;
    work->pointers_at = block_at + body->pointers_at;
    work->pointer_count = body->pointer_count;
    work->moved_by = work->label_at[(work->label_count - depth) & 0x3f];
    work->len = work->question_end + body->len + (work->has_opt ? IMAGE_OPT_LEN : 0);
    uint32_t limit = work->payload < IMAGE_UDP_LEN_MIN ? IMAGE_UDP_LEN_MIN : work->payload;
    limit = limit > udp_payload ? udp_payload : limit;
    if (body->len < 8 || body->len > (is_tcp ? IMAGE_BODY_MAX : IMAGE_FRAME_BODY_MAX) ||
        work->body_at + body->len > IMAGE_PAGE_LEN ||
        work->pointers_at + 2u * body->pointer_count > IMAGE_PAGE_LEN ||
        (!is_tcp && work->len > limit) || image_has_child(block->children, work, depth))
        return false;
    image_render(work, body, udp_payload);
    return true;
}

/* What is read before is read before what is read behind. */
DRIVER_INLINE void image_fence(struct image_work *work)
{
#ifdef __x86_64__
    (void)work;
    DRIVER_FORGET();
#else
    __sync_fetch_and_add(&work->fence, 1);
#endif
}

/* Look for the answer to a message of `len` octets, `at` octets into the frame, an even number of
 * them behind the transport header's begin. Returns 0 if it climbs. Else in `work` are len, sum (of
 * all of the response's octets in pairs from the first one, as in memory), question_end, and for a
 * look at the request's checksum request_sum. The frame is as it came. */
DRIVER_STEP int image_find(struct driver_context *ctx, uint32_t at, uint32_t len, uint32_t is_tcp,
                           struct image_work *work)
{
    const struct image_head *head = (const void *)image_page(0);
    if (work == NULL || head == NULL)
        return 0;
    work->generation = *(const volatile uint16_t *)&head->generation;
    image_fence(work);
    work->version = *(const volatile uint64_t *)&head->version;
    if (work->version == 0 || image_now_ns() >= *(const volatile uint64_t *)&head->until_ns ||
        !image_read(ctx, at, len, work))
        return 0;
    uint32_t behind = len - IMAGE_HEADER_LEN;
    work->bucket_mask = head->bucket_mask;
    work->bucket_shift = head->bucket_shift;
    work->filter_page = head->filter_page;
    work->filter_mask = head->filter_mask;
    if (!image_walk(work, behind) || !image_read_rest(ctx, at, behind, work))
        return 0;
    uint32_t depth = image_find_block(work, head->apex_depths);
    if (depth == UINT32_MAX || !image_take(work, depth, head->udp_payload, is_tcp))
        return 0;
    /* All of that was of one snapshot. What is replaced from now on stays what it is for long. */
    image_fence(work);
    return *(const volatile uint64_t *)&head->version == work->version;
}

DRIVER_INLINE bool image_put_body(uint8_t *to, const uint8_t *end, const uint8_t *page,
                                  uint64_t from, uint32_t len)
{
    /* The last eight, some of them twice. */
    uint8_t *last = to + ((len - 8) & 0x7ff);
    uint64_t last_from = from + len - 8;
    IMAGE_KEEP(last_from);
    if (last + 8 > end || last_from > IMAGE_PAGE_LEN - 8 || len > IMAGE_FRAME_BODY_MAX)
        return false;
    driver_store64(last, driver_load64(page + last_from));
    for (unsigned i = 0; i < IMAGE_FRAME_BODY_MAX / 32 && len >= 32; i++, len -= 32) {
        IMAGE_KEEP(from);
        if (to + 32 > end || from > IMAGE_PAGE_LEN - 32)
            return false;
#pragma GCC unroll 4
        for (unsigned j = 0; j < 32; j += 8)
            driver_store64(to + j, driver_load64(page + from + j));
        to += 32;
        from += 32;
        __asm__ volatile("" : "+r"(to)); /* as in driver_sum_data() */
    }
    for (unsigned i = 0; i < 3 && len >= 8; i++, len -= 8) {
        IMAGE_KEEP(from);
        if (to + 8 > end || from > IMAGE_PAGE_LEN - 8)
            return false;
        driver_store64(to, driver_load64(page + from));
        to += 8;
        from += 8;
        __asm__ volatile("" : "+r"(to));
    }
    return true;
}

DRIVER_INLINE bool image_move_pointers(uint8_t *body, const uint8_t *end, const uint8_t *page,
                                       const struct image_work *work)
{
    uint64_t at = work->pointers_at;
    uint32_t count = work->pointer_count, by = work->moved_by;
    for (unsigned i = 0; i < IMAGE_POINTERS_MAX && i < count; i++, at += 2) {
        IMAGE_KEEP(at);
        if (at > IMAGE_PAGE_LEN - 2)
            return false;
        uint8_t *pointer = body + (driver_load16(page + at) & 0x7ff);
        if (pointer + 2 > end)
            return false;
        uint32_t moved = image_be16(driver_load16(pointer)) + by;
        driver_store16(pointer, (uint16_t)image_be16(moved));
    }
    return true;
}

/* Write what was found: the frame has the response's length by now. Returns 0, and the frame is
 * lost, if it has not, which never happens, or if the image is being made anew meanwhile. */
DRIVER_STEP int image_put(struct driver_context *ctx, uint32_t at, struct image_work *work)
{
    uint8_t *message = driver_begin(ctx) + (at & 0xff);
    const uint8_t *end = driver_end(ctx), *page;
    if (work == NULL || message + IMAGE_HEADER_LEN > end)
        return 0;
    page = image_page(work->place / (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN));
    uint8_t *body = message + (work->question_end & 0xff);
    uint8_t *opt = body + (work->body_len & 0x7ff);
    if (page == NULL)
        return 0;
    driver_store16(message + 2, work->flags);
    driver_store32(message + 4, work->counts[0]);
    driver_store32(message + 8, work->counts[1]);
    if (work->has_opt) {
        if (opt + IMAGE_OPT_LEN > end)
            return 0;
        driver_store32(opt, work->opt[0]);
        driver_store32(opt + 4, work->opt[1]);
        driver_store16(opt + 8, 0);
        opt[10] = 0;
    }
    const struct image_head *head = (const void *)image_page(0);
    bool is_put = image_put_body(body, end, page, work->body_at, work->body_len) &&
                  (work->moved_by == 0 || image_move_pointers(body, end, page, work));
    image_fence(work);
    return is_put && head != NULL &&
           *(const volatile uint16_t *)&head->generation == work->generation;
}

#endif
