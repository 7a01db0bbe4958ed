/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_udp.bpf.h - a UDP request in a frame, made its response: the frame that packet_reply_udp()
 * would make of the image's answer.
 */
#ifndef SERVER_IMAGE_UDP_BPF_H
#define SERVER_IMAGE_UDP_BPF_H

#include "server/image_answer.bpf.h"
#include "stateless_tcp/io/xdp/tcp.bpf.h"
#include "stateless_tcp/io/xdp/udp.bpf.h"

/* What image_udp() found, written into the frame, or into a copy of it. */
DRIVER_INLINE enum driver_verdict
image_udp_put(struct driver_context *ctx, const struct driver_work *driver, struct image_work *work)
{
    uint32_t message_at = (driver->frame.tcp_at & 0x7f) + PACKET_UDP_HEADER_LEN;
    enum driver_verdict verdict =
        driver_resize(ctx, message_at + work->len, message_at + work->question_end);
    if (verdict != DRIVER_TX)
        return verdict;
    return driver_udp_put(driver_begin(ctx), driver_end(ctx), &driver->frame, &driver->segment,
                          PACKET_UDP_HEADER_LEN + work->len, work->sum) &&
                   image_put(ctx, message_at, work)
               ? DRIVER_TX
               : DRIVER_DROP;
}

/* driver->frame tells of the datagram. DRIVER_TX: the frame is the answer now. DRIVER_CLIMB: it is
 * as it came; if work->segments is 1, it lacks nothing but room. DRIVER_DROP never happens. */
DRIVER_INLINE enum driver_verdict image_udp(struct driver_context *ctx,
                                            const struct driver_config *config,
                                            struct driver_work *driver, struct image_work *work)
{
    uint32_t ip_at = driver->frame.ip_at & 0x3f, udp_at = driver->frame.tcp_at & 0x7f;
    uint32_t message_at = udp_at + PACKET_UDP_HEADER_LEN;
    uint8_t *data = driver_begin(ctx), *end = driver_end(ctx), *udp = data + udp_at;
    work->segments = 0;
    if (udp + PACKET_UDP_HEADER_LEN > end)
        return DRIVER_CLIMB;
    uint32_t len = driver_be32(driver_load32(udp + 4)) >> 16;
    if (len < PACKET_UDP_HEADER_LEN || udp_at + len > driver->frame.end_at ||
        !image_find(ctx, message_at, len - PACKET_UDP_HEADER_LEN, false, work) ||
        !driver_udp_has_room(config, &driver->frame, work->len))
        return DRIVER_CLIMB;
    driver->segment.family = driver->frame.family;
    if (!driver_read_addresses(data + ip_at, end, &driver->segment) ||
        !driver_udp_is_sum_good(udp, end, &driver->segment, work->request_sum, len,
                                config->checksum_policy))
        return DRIVER_CLIMB;
    work->segments = 1;
    return image_udp_put(ctx, driver, work);
}

#endif
