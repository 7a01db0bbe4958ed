/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP answered from the zone image in the driver (server/image_udp.bpf.h), compiled for the host,
 * beside image_respond() and packet_reply_udp().
 */
#include "test/unit/driver_frames.h"
#include "test/unit/image_frames.h"
#include "test/unit/image_front.h"

#define FRAMES 40000u

enum { ROOM_LEN = 4096, HEADROOM = 256 };

static struct image_made made;
static uint8_t frame[FRAME_CAP], answer[TRAIN_CAP];
static unsigned answered, climbed, roomless, moved, unread, copied;

/* What there is in front of a frame and behind it, on interfaces of several kinds. */
static struct driver_context place(size_t len, uint32_t seed, uint8_t *room)
{
    size_t in_front = seed % 5 == 0 ? seed / 5 % 40 : HEADROOM;
    size_t behind = seed % 3 == 0 ? seed / 3 % 300 : 2 * HEADROOM + 1024;
    uint8_t *begin = room + ROOM_LEN - behind - len;
    memset(room, 0xa5, ROOM_LEN);
    memcpy(begin, frame, len);
    return (struct driver_context){.data = begin,
                                   .data_end = begin + len,
                                   .room = begin - in_front,
                                   .room_end = begin + len + behind};
}

/* Behind the frame, in front, or both. */
static bool has_room_for(const struct driver_context *ctx, size_t answer_len)
{
    size_t behind = (size_t)(ctx->room_end - ctx->data), in_front = (size_t)(ctx->data - ctx->room);
    size_t len = (size_t)(ctx->data_end - ctx->data);
    return behind >= answer_len || answer_len - len <= in_front ||
           (in_front >= DRIVER_FRONT_MAX && behind + DRIVER_FRONT_MAX >= answer_len);
}

/* The answer that had no room, in a copy of its request's frame. */
static void check_copy(struct driver_context *ctx, uint32_t number, size_t answer_len)
{
    static uint8_t page[IMAGE_PAGE_LEN];
    struct driver_context copy;
    if (!image_front_copy(ctx, number, page, &copy))
        return;
    MUST(image_udp_put(&copy, &image_front_driver, &image_front_work) == DRIVER_TX);
    MUST((size_t)(copy.data_end - copy.data) == answer_len);
    MUST(memcmp(copy.data, answer, answer_len) == 0);
    MUST(driver_ticket_is_none(&copy));
    copied++;
}

static void check(enum packet_checksum_policy policy, size_t len, uint32_t seed, bool is_whole)
{
    struct driver_frame found;
    bool is_short;
    if (!image_front_find(frame, len, driver_endpoints, 2, &found))
        return;
    uint8_t *room = calloc(1, ROOM_LEN);
    MUST(room != NULL);
    struct driver_context ctx = place(len, seed, room), before = ctx;
    enum driver_verdict verdict = image_front(policy, &found, &ctx);
    size_t answer_len = image_frame_answer(&made, policy, frame, len, answer, &is_short);
    switch (verdict) {
    case DRIVER_CLIMB:
        MUST(memcmp(&ctx, &before, sizeof ctx) == 0 && memcmp(ctx.data, frame, len) == 0);
        bool has_room = has_room_for(&ctx, answer_len);
        MUST(image_front_work.segments == 0 || !is_whole || (answer_len > 0 && !has_room));
        MUST(image_front_work.segments == 1 || has_room || answer_len == 0 || !is_whole ||
             !is_short);
        if (image_front_work.segments > 0 && is_whole)
            check_copy(&ctx, seed, answer_len);
        MUST(answer_len == 0 || !is_short || !has_room || !is_whole);
        roomless += answer_len > 0 && !has_room;
        unread += answer_len > 0 && !is_short;
        climbed++;
        break;
    case DRIVER_DROP:
        MUST(!is_whole);
        break;
    case DRIVER_TX:
        answered++;
        moved += ctx.data != before.data;
        if (!is_whole)
            break;
        MUST((size_t)(ctx.data_end - ctx.data) == answer_len);
        MUST(memcmp(ctx.data, answer, answer_len) == 0);
        MUST(frame_is_sound(ctx.data, answer_len));
        break;
    }
    free(room);
}

static void check_lease(void)
{
    struct image_head *head = (struct image_head *)(void *)made.pages;
    unsigned before = answered;
    image_host_now_ns = head->until_ns = 1000000;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        size_t len = image_frame_make(&made, seed, frame);
        check(PACKET_CHECKSUM_AUTO, len, 1, false);
    }
    MUST(answered == before);
    image_host_now_ns--;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        size_t len = image_frame_make(&made, seed, frame);
        check(PACKET_CHECKSUM_AUTO, len, 1, true);
    }
    MUST(answered > before);
    before = answered;
    head->version = 0;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        size_t len = image_frame_make(&made, seed, frame);
        check(PACKET_CHECKSUM_AUTO, len, 1, false);
    }
    MUST(answered == before);
    image_host_now_ns = 0;
}

int main(void)
{
    image_host_pages = made.pages;
    image_host_page_count = IMAGE_FRAMES_PAGES;
    for (unsigned index = 0; index < IMAGE_FRAMES_IMAGES; index++) {
        image_made_begin(&made, index);
        for (uint32_t seed = 0; seed < FRAMES; seed++) {
            size_t len = image_frame_make(&made, index * FRAMES + seed, frame);
            check((enum packet_checksum_policy)(seed % 3), len, seed, true);
        }
        unsigned whole = answered;
        check_lease();
        /* Anything may be in a damaged one: it is read within its bounds, and so is the frame. */
        image_made_begin(&made, index);
        image_made_spoil(&made, index);
        for (uint32_t seed = 0; seed < FRAMES / 2; seed++) {
            size_t len = image_frame_make(&made, seed, frame);
            check((enum packet_checksum_policy)(seed % 3), len, seed, false);
        }
        MUST(answered > whole);
    }
    printf("%u answered (%u moved to the front), %u climbed (%u for want of room, %u too long), "
           "%u copied\n",
           answered, moved, climbed, roomless, unread, copied);
    MUST(answered > IMAGE_FRAMES_IMAGES * FRAMES / 4 && moved > 1000 && roomless > 100 &&
         copied > 100 && unread > 100 && climbed > IMAGE_FRAMES_IMAGES * FRAMES / 8);
    return EXIT_SUCCESS;
}
