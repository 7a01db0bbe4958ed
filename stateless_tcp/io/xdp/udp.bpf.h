/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.bpf.h - a UDP datagram judged by its checksum, and answered in its place: what packet.c does,
 * for whoever in the driver knows the answer. The data's sum is the caller's.
 */
#ifndef STATELESS_TCP_IO_XDP_UDP_BPF_H
#define STATELESS_TCP_IO_XDP_UDP_BPF_H

#include "stateless_tcp/io/xdp/resize.bpf.h"

/* is_transport_sum_good() in packet.c, and the zero of RFC 768. `udp`: the header of a datagram of
 * `len` octets. `data_sum`: of the data behind it, in pairs from the first octet. */
DRIVER_INLINE bool driver_udp_is_sum_good(const uint8_t *udp, const uint8_t *end,
                                          const struct driver_segment *segment, uint64_t data_sum,
                                          uint32_t len, uint8_t policy)
{
    if (udp + PACKET_UDP_HEADER_LEN > end)
        return false;
    uint16_t field = driver_load16(udp + 6);
    if (field == 0)
        return segment->family == 4;
    if (policy == PACKET_CHECKSUM_NEVER)
        return true;
    uint64_t pseudo = driver_sum_pseudo_header(segment, PROTOCOL_UDP, len);
    uint64_t sum = pseudo + driver_load32(udp) + driver_load32(udp + 4) + data_sum;
    return driver_fold(sum) == 0xffff ||
           (policy == PACKET_CHECKSUM_AUTO && field == driver_fold(pseudo));
}

/* Does the interface carry a response of so many octets whole? Nobody else would tell: XDP_TX asks for
 * no MTU. */
DRIVER_INLINE bool driver_udp_has_room(const struct driver_config *config,
                                       const struct driver_frame *frame, uint32_t message_len)
{
    uint32_t headers_len = (uint32_t)(frame->tcp_at - frame->ip_at) + PACKET_UDP_HEADER_LEN;
    return config->mtu == 0 || headers_len + message_len <= config->mtu;
}

/* packet_reply_udp(), all before the data, in a frame that has the answer's length by now: a
 * datagram of `len` octets, header included. */
DRIVER_INLINE bool driver_udp_put(uint8_t *data, const uint8_t *end,
                                  const struct driver_frame *frame,
                                  const struct driver_segment *segment, uint32_t len,
                                  uint64_t data_sum)
{
    uint8_t *udp = data + (frame->tcp_at & 0x7f);
    if (!driver_put_before(data, end, frame, segment, PROTOCOL_UDP, len) ||
        udp + PACKET_UDP_HEADER_LEN > end)
        return false;
    uint32_t ports = driver_load32(udp), len_and_sum = driver_be32(len << 16);
    driver_store32(udp, ports << 16 | ports >> 16);
    driver_store32(udp + 4, len_and_sum);
    uint64_t sum =
        driver_sum_pseudo_header(segment, PROTOCOL_UDP, len) + ports + len_and_sum + data_sum;
    uint16_t folded = (uint16_t)~driver_fold(sum);
    driver_store16(udp + 6, folded == 0 ? 0xffff : folded);
    return true;
}

#endif
