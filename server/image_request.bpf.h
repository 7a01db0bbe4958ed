/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_request.bpf.h - a request in a frame read, for image_answer.bpf.h: what is asked, in the
 * memory that all of it works in, and the sums of what came.
 */
#ifndef SERVER_IMAGE_REQUEST_BPF_H
#define SERVER_IMAGE_REQUEST_BPF_H

#include "stateless_tcp/io/xdp/resize.bpf.h"
#include "zonedb/image.h"

enum {
    IMAGE_HEADER_LEN = 12,
    IMAGE_QUESTION_MAX = 128, /* octets of a request behind its header; a multiple of 8 */
    IMAGE_QUESTION_MIN = 5,   /* the root's name, type, class */
    IMAGE_LABELS_MAX = 60,
    IMAGE_OPT_LEN = 11,
    IMAGE_TYPE_OPT = 41,
    IMAGE_TYPE_DS = 43,
    IMAGE_TYPE_RRSIG = 46,
    IMAGE_TYPE_NSEC = 47,
    IMAGE_TYPE_META = 128, /* from here on, below ANY */
    IMAGE_TYPE_ANY = 255,
    IMAGE_UDP_LEN_MIN = 512,
};

/* Memory to work in, as struct driver_work. */
struct image_work {
    /* What is behind the header, in lower case; what is behind that is of no meaning. */
    uint64_t lower[IMAGE_QUESTION_MAX / 8 + 2];
    uint8_t label_at[IMAGE_LABELS_MAX + 4];
    uint64_t version; /* of the snapshot */
    uint32_t generation;
    uint32_t bucket_mask, bucket_shift;
    uint32_t filter_page, filter_mask;
    uint32_t is_absent; /* the name one label longer than the apex, by the filter */
    uint32_t label_count, name_len;
    uint16_t type;
    uint16_t flags; /* as they lie in memory, as whatever is added up or copied */
    uint32_t has_opt, is_do, payload;
    uint64_t request_sum;  /* of all of its octets, in pairs from the first one */
    uint64_t question_sum; /* of the ID and the question */

    /* By kind: of an apex, of the name one label longer, of the whole one and a type. */
    uint64_t hashes[4];
    uint32_t rrset_type;
    uint64_t last;  /* place of its bucket */
    uint64_t place; /* of the block, as in image.h */
    uint32_t block_flags, has_body;
    uint32_t flags_mask; /* of the body's flags, those that hold */
    uint32_t question_end;
    uint32_t body_at, body_len; /* from the page's begin */
    uint32_t pointers_at, pointer_count;
    uint32_t moved_by;
    uint32_t counts[2]; /* the second and third word of the response's header */
    uint32_t opt[2];    /* the first eight octets of its OPT */
    uint32_t len;       /* of the response */
    uint32_t segments;  /* that it takes; 0: there is none */
    uint32_t fence;     /* nothing is kept here */
    uint64_t sum;

    /* One of several segments: where in the stream it begins, its octets, and their sum. */
    uint32_t segment_len; /* of all but the last */
    uint32_t part_from, part_len;
    uint64_t part_sum;
};

/* What is checked is what is used, and not another sum of the same: so the verifier wants it. */
#define IMAGE_KEEP(value) __asm__ volatile("" : "+r"(value))

/* ---- memory ---- */

#ifdef __bpf__
struct image_page {
    uint8_t octets[IMAGE_PAGE_LEN];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1); /* as many as whoever loads it says */
    __type(key, uint32_t);
    __type(value, struct image_page);
} image_pages SEC(".maps");

static __always_inline const uint8_t *image_page(uint64_t index)
{
    uint32_t key = (uint32_t)index;
    const struct image_page *page = bpf_map_lookup_elem(&image_pages, &key);
    return page ? page->octets : NULL;
}

static __always_inline uint64_t image_now_ns(void)
{
    return bpf_ktime_get_coarse_ns(); /* some ms behind: the other one takes 20 ns */
}
#else
/* The test's. */
static const uint8_t *image_host_pages;
static uint32_t image_host_page_count;
static uint64_t image_host_now_ns;

static inline const uint8_t *image_page(uint64_t index)
{
    return (uint32_t)index < image_host_page_count
               ? image_host_pages + (size_t)(uint32_t)index * IMAGE_PAGE_LEN
               : NULL;
}

static inline uint64_t image_now_ns(void)
{
    return image_host_now_ns;
}
#endif

/* Between the machine's order and the little-endian one, either way. */
DRIVER_INLINE uint64_t image_le64(uint64_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? value : __builtin_bswap64(value);
}

DRIVER_INLINE uint32_t image_be16(uint32_t value)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16((uint16_t)value) : value;
}

/* The sum of something that begins at an odd place, or not, given its own. */
DRIVER_INLINE uint32_t image_sum_at(uint32_t place, uint64_t sum)
{
    uint16_t folded = driver_fold(sum);
    return place & 1 ? __builtin_bswap16(folded) : folded;
}

/* ---- the request ---- */

/* The octets behind the header, and the sum of all. Returns 0 if it is nothing for an image. */
DRIVER_STEP int image_read(struct driver_context *ctx, uint32_t at, uint32_t len,
                           struct image_work *work)
{
    if (work == NULL)
        return 0;
    const uint8_t *end = driver_end(ctx), *message = driver_begin(ctx) + (at & 0xff);
    uint32_t behind = len - IMAGE_HEADER_LEN;
    if (len < IMAGE_HEADER_LEN + IMAGE_QUESTION_MIN || behind > IMAGE_QUESTION_MAX ||
        message + IMAGE_HEADER_LEN > end)
        return 0;
    /* No flags but RD, AD, CD; one question, nothing else but an additional record. */
    uint32_t first = driver_load32(message), second = driver_load32(message + 4),
             third = driver_load32(message + 8);
    if ((first & driver_be32(0xfecf)) != 0 || second != driver_be32(0x00010000) ||
        (third & ~driver_be32(1)) != 0)
        return 0;
    work->has_opt = third != 0;
    work->flags = (uint16_t)image_be16((driver_be32(first) & 0x0100) | 0x8000);
    uint64_t sum = 0;
#pragma GCC unroll 16
    for (unsigned i = 0; i < IMAGE_QUESTION_MAX / 8; i++) {
        const uint8_t *octets = message + IMAGE_HEADER_LEN + 8 * i;
        if (8 * i + 8 > behind)
            break;
        if (octets + 8 > end)
            return 0;
        uint64_t word = driver_load64(octets);
        sum += (word & 0xffffffff) + (word >> 32);
        work->lower[i] = image_le64(image_word_lower(image_le64(word)));
    }
    /* The last ones are read with those in front of them. */
    uint32_t left = behind & 7;
    const uint8_t *last = message + ((len - 8) & 0xff);
    if (last + 8 > end)
        return 0;
    if (left > 0) {
        uint64_t word = image_le64(driver_load64(last)) >> (64 - 8 * left);
        work->lower[(behind / 8) & 0xf] = image_le64(image_word_lower(word));
        word = image_le64(word);
        sum += (word & 0xffffffff) + (word >> 32);
    }
    work->request_sum = (uint64_t)first + second + third + sum;
    work->question_sum = driver_load16(message) + sum; /* for now, and OPT */
    return 1;
}

/* Where the labels are. False: there is no name that leaves `behind` octets room for type and
 * class. */
DRIVER_INLINE bool image_walk(struct image_work *work, uint32_t behind)
{
    const uint8_t *lower = (const uint8_t *)work->lower;
    uint32_t at = 0, count = 0;
    for (; count < IMAGE_LABELS_MAX; count++) {
        uint32_t label_len = lower[at & 0x7f];
        work->label_at[count] = (uint8_t)at;
        if (label_len == 0)
            break;
        at += 1 + label_len;
        if (label_len > 63 || at + IMAGE_QUESTION_MIN > behind)
            return false;
    }
    work->label_count = count;
    work->name_len = at + 1;
    DRIVER_FORGET(); /* how often the loop went round */
    return count < IMAGE_LABELS_MAX && at + IMAGE_QUESTION_MIN <= behind;
}

/* What is behind the name, `behind` octets from the header's end. */
DRIVER_INLINE bool image_read_rest(struct driver_context *ctx, uint32_t at, uint32_t behind,
                                   struct image_work *work)
{
    const uint8_t *end = driver_end(ctx), *opt;
    uint32_t question_len = work->name_len + 4;
    const uint8_t *type =
        driver_begin(ctx) + (at & 0xff) + IMAGE_HEADER_LEN + (work->name_len & 0x7f);
    if (type + 4 > end)
        return false;
    uint32_t type_and_class = driver_be32(driver_load32(type));
    work->type = (uint16_t)(type_and_class >> 16);
    work->question_end = IMAGE_HEADER_LEN + question_len;
    work->is_do = 0;
    work->payload = 0;
    if ((type_and_class & 0xffff) != 1 ||
        (work->type >= IMAGE_TYPE_META && work->type < IMAGE_TYPE_ANY))
        return false;
    if (!work->has_opt)
        return behind == question_len;
    opt = type + 4;
    if (behind != question_len + IMAGE_OPT_LEN || opt + IMAGE_OPT_LEN > end)
        return false;
    uint32_t first = driver_load32(opt), second = driver_load32(opt + 4),
             third = driver_load16(opt + 8);
    uint32_t head = driver_be32(first), fixed = driver_be32(second);
    /* Root, type; version; no options. */
    if (head >> 8 != IMAGE_TYPE_OPT || (fixed & 0xff00) != 0 || (opt[9] | opt[10]) != 0)
        return false;
    work->payload = (head & 0xff) << 8 | fixed >> 24;
    work->is_do = fixed >> 7 & 1;
    work->question_sum += image_sum_at(question_len, (uint64_t)first + second + third) ^ 0xffff;
    return true;
}

#endif
