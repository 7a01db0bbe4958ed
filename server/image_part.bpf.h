/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_part.bpf.h - a part of an answer over TCP: what image_find() found, cut into segments.
 *
 *     stream   length | header | question as it came | body, its pointers moved | OPT
 *     parts    0.....................|.......................|.........
 *
 * The first part holds all before the body, and is made in the request's own octets. Anything else
 * may be cut anywhere.
 */
#ifndef SERVER_IMAGE_PART_BPF_H
#define SERVER_IMAGE_PART_BPF_H

#include "server/image_answer.bpf.h"
#include "stateless_tcp/framing.h"

/* Where in the stream the body begins. */
DRIVER_INLINE uint32_t image_part_body(const struct image_work *work)
{
    return LENGTH_LEN + work->question_end;
}

/* Octets of a page into a frame. */
DRIVER_INLINE bool image_part_copy(uint8_t *to, const uint8_t *end, const uint8_t *page,
                                   uint64_t from, uint32_t len)
{
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
    for (unsigned i = 0; i < 31 && len > 0; i++, len--) {
        IMAGE_KEEP(from);
        if (to + 1 > end || from > IMAGE_PAGE_LEN - 1)
            return false;
        *to = page[from];
        to++;
        from++;
        __asm__ volatile("" : "+r"(to));
    }
    return len == 0;
}

/* As much of the body as the part has. */
DRIVER_INLINE bool image_part_put_body(uint8_t *part, const uint8_t *end, const uint8_t *page,
                                       const struct image_work *work)
{
    uint32_t body = image_part_body(work), body_end = body + work->body_len;
    uint32_t from = work->part_from, to = from + work->part_len;
    uint32_t first = from > body ? from : body, last = to < body_end ? to : body_end;
    if (first >= last)
        return true;
    return image_part_copy(part + ((first - from) & 0x7ff), end, page, work->body_at + first - body,
                           last - first);
}

/* An octet of the stream, if it is in the part. */
DRIVER_INLINE bool image_part_put(uint8_t *part, const uint8_t *end, const struct image_work *work,
                                  uint32_t at, uint8_t octet)
{
    uint32_t in_part = at - work->part_from;
    if (in_part >= work->part_len)
        return true;
    uint8_t *to = part + (in_part & 0x7ff);
    if (to + 1 > end)
        return false;
    *to = octet;
    return true;
}

/* image_move_pointers(), where the two octets of one may be in two parts. */
DRIVER_INLINE bool image_part_move_pointers(uint8_t *part, const uint8_t *end, const uint8_t *page,
                                            const struct image_work *work)
{
    uint64_t at = work->pointers_at;
    uint32_t count = work->pointer_count, body = image_part_body(work);
    for (unsigned i = 0; i < IMAGE_POINTERS_MAX && i < count; i++, at += 2) {
        IMAGE_KEEP(at);
        if (at > IMAGE_PAGE_LEN - 2)
            return false;
        uint32_t place = driver_load16(page + at);
        uint64_t from = work->body_at + place;
        IMAGE_KEEP(from);
        if (from > IMAGE_PAGE_LEN - 2)
            return false;
        uint32_t moved = image_be16(driver_load16(page + from)) + work->moved_by;
        if (!image_part_put(part, end, work, body + place, (uint8_t)(moved >> 8)) ||
            !image_part_put(part, end, work, body + place + 1, (uint8_t)moved))
            return false;
    }
    return true;
}

DRIVER_INLINE bool image_part_put_opt(uint8_t *part, const uint8_t *end,
                                      const struct image_work *work)
{
    const uint8_t *opt = (const uint8_t *)work->opt;
    uint32_t at = image_part_body(work) + work->body_len;
    if (!work->has_opt || at + IMAGE_OPT_LEN <= work->part_from)
        return true;
#pragma GCC unroll 11
    for (unsigned i = 0; i < IMAGE_OPT_LEN; i++)
        if (!image_part_put(part, end, work, at + i, i < sizeof(work->opt) ? opt[i] : 0))
            return false;
    return true;
}

/* What comes before the question. */
DRIVER_INLINE bool image_part_put_header(uint8_t *part, const uint8_t *end,
                                         const struct image_work *work)
{
    uint8_t *message = part + LENGTH_LEN;
    if (work->part_from > 0)
        return true;
    if (message + IMAGE_HEADER_LEN > end)
        return false;
    part[0] = (uint8_t)(work->len >> 8);
    part[1] = (uint8_t)work->len;
    driver_store16(message + 2, work->flags);
    driver_store32(message + 4, work->counts[0]);
    driver_store32(message + 8, work->counts[1]);
    return true;
}

/* The sum of a part, in pairs from its first octet. */
DRIVER_INLINE bool image_part_sum(const uint8_t *at, const uint8_t *end, uint32_t len,
                                  uint64_t *sum_out)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < IMAGE_FRAME_BODY_MAX / 32 && len >= 32; i++, len -= 32) {
        if (at + 32 > end)
            return false;
#pragma GCC unroll 4
        for (unsigned j = 0; j < 32; j += 8) {
            uint64_t word = driver_load64(at + j);
            sum += (word & 0xffffffff) + (word >> 32);
        }
        at += 32;
        __asm__ volatile("" : "+r"(at));
    }
    *sum_out = sum;
    return len < 32 && driver_sum_data(at, end, len, sum_out);
}

/* Write the part of work->part_from and part_len, at whose first octet, `at` octets into it, the
 * frame has so much room; work->part_sum is its sum. Returns 0 as image_put() does. */
DRIVER_STEP int image_part(struct driver_context *ctx, uint32_t at, struct image_work *work)
{
    uint8_t *part = driver_begin(ctx) + (at & 0xff);
    const uint8_t *end = driver_end(ctx);
    const struct image_head *head = (const void *)image_page(0);
    if (work == NULL || head == NULL)
        return 0;
    const uint8_t *page = image_page(work->place / (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN));
    uint64_t sum = 0;
    if (page == NULL || !image_part_put_header(part, end, work) ||
        !image_part_put_body(part, end, page, work))
        return 0;
    DRIVER_FORGET();
    if ((work->moved_by != 0 && !image_part_move_pointers(part, end, page, work)) ||
        !image_part_put_opt(part, end, work))
        return 0;
    DRIVER_FORGET();
    if (!image_part_sum(part, end, work->part_len, &sum))
        return 0;
    work->part_sum = sum;
    image_fence(work);
    return *(const volatile uint16_t *)&head->generation == work->generation;
}

#endif
