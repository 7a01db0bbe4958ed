/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_front.h - UDP answered from the zone image in the driver (server/image_udp.bpf.h), compiled
 * for the host. The image is the includer's image_host_pages.
 */
#ifndef TEST_UNIT_IMAGE_FRONT_H
#define TEST_UNIT_IMAGE_FRONT_H

#include "server/image_udp.bpf.h"
#include "stateless_tcp/io/xdp/copies.bpf.h"
#include "test/must.h"

static inline unsigned image_front_get16(const uint8_t *p)
{
    return (unsigned)p[0] * 256 + p[1];
}

/* What lethe_driver hands over of a frame; false: it does not. */
static inline bool image_front_find(const uint8_t *frame, size_t len,
                                    const struct packet_endpoint *endpoints, size_t endpoint_count,
                                    struct driver_frame *found_out)
{
    struct packet packet;
    size_t ip_at = 14;
    if (len > DRIVER_FRAME_MAX ||
        packet_parse(frame, len, true, PACKET_CHECKSUM_AUTO, &packet) != PACKET_UDP ||
        !packet_is_for(&packet, endpoints, endpoint_count))
        return false;
    while (image_front_get16(frame + ip_at - 2) == 0x8100 ||
           image_front_get16(frame + ip_at - 2) == 0x88a8)
        ip_at += 4;
    bool is_v4 = packet.source.family == 4;
    *found_out = (struct driver_frame){.family = packet.source.family,
                                       .transport = DRIVER_TRANSPORT_UDP,
                                       .ip_at = (uint16_t)ip_at,
                                       .tcp_at = (uint16_t)(ip_at + (is_v4 ? 20 : 40)),
                                       .end_at = (uint16_t)(ip_at + packet.ip_len)};
    return is_v4 ? frame[ip_at] == 0x45 : frame[ip_at + 6] == 17;
}

/* What the programs behind it work in. What the frame before left there stays. */
static struct driver_work image_front_driver;
static struct image_work image_front_work;

/* What the program behind it does then. */
static inline enum driver_verdict image_front(enum packet_checksum_policy policy,
                                              const struct driver_frame *found,
                                              struct driver_context *ctx)
{
    const struct driver_config config = {.checksum_policy = (uint8_t)policy};
    image_front_driver.frame = *found;
    return image_udp(ctx, &config, &image_front_driver, &image_front_work);
}

/* Behind that where there was no room: a copy as the kernel makes it, on a page. Returns false if
 * not even a ticket has room. */
static inline bool image_front_copy(struct driver_context *ctx, uint32_t number,
                                    uint8_t page[IMAGE_PAGE_LEN], struct driver_context *copy_out)
{
    enum { TAIL = 320 }; /* the kernel keeps that */
    uint32_t taken = ~number;
    struct driver_context before = *ctx;
    size_t in_front = (size_t)(ctx->data - ctx->room);
    MUST(driver_ticket_is_none(ctx));
    if (!driver_ticket_put(ctx, number)) {
        MUST(memcmp(ctx, &before, sizeof before) == 0 && in_front < DRIVER_TICKET_LEN);
        return false;
    }
    MUST(!driver_ticket_is_none(ctx));
    size_t len = (size_t)(ctx->data_end - ctx->data);
    in_front -= DRIVER_TICKET_LEN;
    memset(page, 0x5a, IMAGE_PAGE_LEN);
    memcpy(page + in_front, ctx->data, len);
    *copy_out = (struct driver_context){.data = page + in_front,
                                        .data_end = page + in_front + len,
                                        .room = page,
                                        .room_end = page + IMAGE_PAGE_LEN - TAIL};
    MUST(driver_ticket_take(copy_out, &taken) && taken == number);
    MUST(driver_ticket_take(ctx, &taken) && memcmp(ctx, &before, sizeof before) == 0);
    return true;
}

/* Hold that against what user space, which serves the same zones, answered to the frame. Ends the
 * test if it is not that, or nothing. Returns whether it was answered. */
static inline bool image_front_compare(enum packet_checksum_policy policy,
                                       const struct packet_endpoint *endpoints,
                                       size_t endpoint_count, const uint8_t *frame, size_t len,
                                       const struct train *train)
{
    static uint8_t room[DRIVER_FRAME_MAX + 2048];
    struct driver_frame found;
    if (!image_front_find(frame, len, endpoints, endpoint_count, &found))
        return false;
    memcpy(room, frame, len);
    struct driver_context ctx = {room, room + len, room, room + sizeof room};
    switch (image_front(policy, &found, &ctx)) {
    case DRIVER_CLIMB:
        MUST(ctx.data == room && ctx.data_end == room + len && memcmp(room, frame, len) == 0);
        return false;
    case DRIVER_DROP:
        MUST(false);
        break;
    case DRIVER_TX:
        MUST(train->frame_count == 1 && train->len == (size_t)(ctx.data_end - ctx.data));
        MUST(memcmp(ctx.data, train->octets, train->len) == 0);
        break;
    }
    return true;
}

#endif
