/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/unit/driver_front.h"

#include "stateless_tcp/io/xdp/tcp.bpf.h"
#include "test/must.h"

static struct driver_config make_config(const struct stateless_tcp_config *config,
                                        const struct stateless_tcp_keys *keys)
{
    return (struct driver_config){
        .keys = *keys,
        .mss = config->mss,
        .checksum_policy = (uint8_t)config->checksum_policy,
        .profile = (uint8_t)config->profile,
        .has_stale_reset = config->has_stale_reset,
        .has_fast_open = config->has_fast_open,
        .is_answering = true,
    };
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] * 256 + p[1];
}

/* What the program's main promises of a frame (driver.h). Whether packet_parse() takes it does not
 * depend on options, nor on TCP's checksum. */
static bool find(const struct packet_endpoint *endpoints, size_t endpoint_count,
                 const uint8_t *frame, size_t len, struct driver_frame *found_out)
{
    static uint8_t copy[1 << 16];
    struct packet packet;
    size_t ip_at = 14;
    if (len > DRIVER_FRAME_MAX || len < 14)
        return false;
    while (ip_at <= 22 && ip_at + 20 <= len &&
           (get16(frame + ip_at - 2) == 0x8100 || get16(frame + ip_at - 2) == 0x88a8))
        ip_at += 4;
    if (ip_at + 20 > len)
        return false;
    bool is_v4 = get16(frame + ip_at - 2) == 0x0800;
    size_t tcp_at = ip_at + (is_v4 ? 20 : 40);
    if (tcp_at + 20 > len || (is_v4 ? frame[ip_at] != 0x45 : frame[ip_at + 6] != 6))
        return false;
    memcpy(copy, frame, len);
    copy[tcp_at + 12] = 0x50;
    if (packet_parse(copy, len, true, PACKET_CHECKSUM_AUTO, &packet) != PACKET_TCP ||
        (endpoint_count > 0 && !packet_is_for(&packet, endpoints, endpoint_count)))
        return false;
    size_t header_len = (frame[tcp_at + 12] >> 4) * 4u;
    if (header_len < 20 || tcp_at + header_len > ip_at + packet.ip_len)
        return false;
    *found_out = (struct driver_frame){.family = packet.source.family,
                                       .ip_at = (uint16_t)ip_at,
                                       .tcp_at = (uint16_t)tcp_at,
                                       .end_at = (uint16_t)(ip_at + packet.ip_len)};
    return true;
}

enum driver_verdict driver_front(const struct stateless_tcp_config *config,
                                 const struct stateless_tcp_keys *keys,
                                 const struct packet_endpoint *endpoints, size_t endpoint_count,
                                 uint8_t *frame, size_t *frame_len,
                                 enum driver_counter *counter_out)
{
    const struct driver_config driver = make_config(config, keys);
    struct driver_frame found;
    struct driver_work work;
    uint32_t len = 0;
    if (!find(endpoints, endpoint_count, frame, *frame_len, &found))
        return DRIVER_CLIMB;
    memset(&work, 0xa5, sizeof work); /* what the frame before left there */
    enum driver_verdict verdict =
        driver_tcp_answer(frame, frame + *frame_len, &found, &driver, &work, &len, counter_out);
    if (verdict == DRIVER_TX)
        *frame_len = len;
    return verdict;
}

void driver_front_compare(const struct stateless_tcp_config *config,
                          const struct stateless_tcp_keys *keys, const uint8_t *frame, size_t len,
                          const struct train *train)
{
    enum driver_counter counter;
    static uint8_t room[1 << 17];
    MUST(len <= sizeof room);
    uint8_t *copy = room + sizeof room - len; /* so that one octet too many is noticed */
    memcpy(copy, frame, len);
    size_t copy_len = len;
    switch (driver_front(config, keys, NULL, 0, copy, &copy_len, &counter)) {
    case DRIVER_CLIMB:
        MUST(copy_len == len && memcmp(copy, frame, len) == 0);
        break;
    case DRIVER_DROP:
        MUST(train->frame_count == 0);
        break;
    case DRIVER_TX:
        MUST(train->frame_count == 1 && train->len == copy_len);
        MUST(memcmp(copy, train->octets, copy_len) == 0);
        break;
    }
}
